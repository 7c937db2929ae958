"""The tile benchmark measures what it says, over a city small enough for a test."""

from __future__ import annotations

import re

import pytest

from command_center.bench.tiles import LIVE, measure, tiles_at
from config.database import scoped, web_engine
from gis.tiles import tile
from tests.conftest import Database
from tests.small_city import CITY, PASSWORD, SmallCity, build


@pytest.fixture(scope="module")
def small(module_database: Database) -> SmallCity:
    return build(module_database)


def test_every_zoom_has_its_figures(module_database: Database, small: SmallCity) -> None:
    figures = {figure.what: figure for figure in measure(module_database.web_url, PASSWORD, [8, 14])}
    for layer in ("cells", "regions"):
        for zoom in (8, 14):
            for way in ("cold", "cached"):
                for called in ("median", "99th percentile"):
                    assert figures.pop(f"{layer}, zoom {zoom}: {way}, {called}").value > 0
            alone = figures.pop(f"{layer}, zoom {zoom}: drawing the fullest tile")
            assert (alone.ratio is not None) == (zoom == 8)
            assert figures.pop(f"{layer}, zoom {zoom}: largest tile, packed").met
    assert figures == {}


def test_the_baseline_draws_the_same_ground(module_database: Database, small: SmallCity) -> None:
    scope = f"{CITY}/"
    engine = web_engine(module_database.web_url)
    points = [small.centre(code) for code, spot in small.spots.items() if spot.region.tier == "grid"]
    for layer, queries in LIVE.items():
        for z, x, y in tiles_at(12, points):
            with scoped(engine, scope) as connection:
                values = {"z": z, "x": x, "y": y, "scope": scope}
                live = b"".join(bytes(connection.execute(sql, values).scalar_one()) for sql in queries)
                ours = tile(connection, layer, z, x, y, scope)
            # A vector tile keeps its strings as they are; ours holds what lies in its margin besides.
            codes = [set(re.findall(rb"\d{6,15}", content)) for content in (live, ours)]
            assert codes[0]
            assert codes[0] <= codes[1]
    engine.dispose()
