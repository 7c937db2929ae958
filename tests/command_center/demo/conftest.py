"""The demo city and its catalogue, built once: they take seconds."""

from __future__ import annotations

import pytest

from command_center.demo.catalogue import DemoCatalogue, make_catalogue
from command_center.demo.city import DemoCity, make_city


@pytest.fixture(scope="session")
def city() -> DemoCity:
    return make_city()


@pytest.fixture(scope="session")
def catalogue(city: DemoCity) -> DemoCatalogue:
    return make_catalogue(city)
