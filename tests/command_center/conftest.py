"""A city that answers, shared by the tests of one file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Database
from tests.running_city import RunningCity, running_city


@pytest.fixture(scope="module")
def running(module_database: Database) -> Iterator[RunningCity]:
    """The small city and its web process; what one test leaves behind, the next one finds."""
    with running_city(module_database) as found:
        yield found
