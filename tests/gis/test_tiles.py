"""A tile shows an account its own subtree, the outlines above it, and nothing beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from config.database import scoped, web_engine, worker_engine
from gis.region import ancestors, covers
from gis.tiles import LAST_ZOOM, LAYERS, NoSuchTile, tile, versions
from tests.conftest import Database
from tests.small_city import CITY, SIDE, SOUTH, WEST, SmallCity, build, cell_code

CODE = re.compile(rb"\d{6,15}")
SCOPES = (CITY, "321302", "321391", "321302001", "321302001001", cell_code(1, 2, 1, 3))


@pytest.fixture(scope="module")
def small(module_database: Database) -> SmallCity:
    return build(module_database)


@pytest.fixture(scope="module")
def web(module_database: Database, small: SmallCity) -> Iterator[Engine]:
    made = web_engine(module_database.web_url)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def unbound(module_database: Database, small: SmallCity) -> Iterator[Engine]:
    """A role that row-level security does not bind: the tile's own condition stands alone."""
    made = worker_engine(module_database.worker_url)
    yield made
    made.dispose()


def tiles_over_city(zoom: int) -> list[tuple[int, int, int]]:
    """(z, x, y) of every tile that the small city touches."""

    def column(lng: float) -> int:
        return int((lng + 180) / 360 * 2**zoom)

    def row(lat: float) -> int:
        return int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**zoom)

    columns = range(column(WEST), column(WEST + 12 * SIDE) + 1)
    rows = range(row(SOUTH + 4 * SIDE), row(SOUTH) + 1)
    return [(zoom, x, y) for x in columns for y in rows]


def codes_in(engine: Engine, layer: str, scope: str, zoom: int) -> set[str]:
    """Every region code in the bytes of the tiles: a vector tile keeps its strings as they are."""
    with scoped(engine, scope) as connection:
        found = b"\n".join(tile(connection, layer, *place, scope) for place in tiles_over_city(zoom))
    return {code.decode() for code in CODE.findall(found)}


@pytest.mark.parametrize("code", SCOPES)
@pytest.mark.parametrize("role", ["web", "unbound"])
def test_an_account_s_cells_are_those_under_it_and_no_others(
    code: str, role: str, small: SmallCity, request: pytest.FixtureRequest
) -> None:
    scope = small.region(code).scope
    under = {
        s.region.code: s.region
        for s in small.spots.values()
        if s.region.tier == "grid" and covers(scope, s.region.scope)
    }
    parents = {region.parent for region in under.values()}
    assert codes_in(request.getfixturevalue(role), "cells", scope, 13) == set(under) | parents


@pytest.mark.parametrize("code", SCOPES)
@pytest.mark.parametrize("role", ["web", "unbound"])
def test_an_account_s_regions_are_those_under_it_and_those_above_it(
    code: str, role: str, small: SmallCity, request: pytest.FixtureRequest
) -> None:
    scope = small.region(code).scope
    regions = [s.region for s in small.spots.values() if s.region.tier != "grid"]
    mine = {r.code for r in regions if covers(scope, r.scope) or r.scope in ancestors(scope)}
    assert codes_in(request.getfixturevalue(role), "regions", scope, 12) == mine


def test_far_out_only_the_upper_tiers_are_drawn(web: Engine, small: SmallCity) -> None:
    scope = small.region(CITY).scope
    tiers = {zoom: {small.region(c).tier for c in codes_in(web, "regions", scope, zoom)} for zoom in (5, 9, 12)}
    assert tiers == {
        5: {"city", "county"},
        9: {"city", "county", "township"},
        12: {"city", "county", "township", "village"},
    }


def test_a_connection_without_scope_gets_empty_tiles(web: Engine, small: SmallCity) -> None:
    with web.connect() as connection:
        for place in tiles_over_city(12):
            assert tile(connection, "cells", *place, small.region(CITY).scope) == b""


def test_a_tile_far_from_the_city_is_empty(web: Engine, small: SmallCity) -> None:
    scope = small.region(CITY).scope
    with scoped(web, scope) as connection:
        assert [tile(connection, layer, 10, 0, 0, scope) for layer in LAYERS] == [b"", b"", b""]


@pytest.mark.parametrize(
    ("layer", "z", "x", "y"),
    [
        ("roads", 0, 0, 0),
        ("", 0, 0, 0),
        ("cells", -1, 0, 0),
        ("cells", LAST_ZOOM + 1, 0, 0),
        ("cells", 1, 2, 0),
        ("cells", 1, 0, 2),
        ("cells", 1, -1, 0),
        ("cells", 1, 0, -1),
        ("cells", 10**9, 0, 0),
    ],
)
def test_a_tile_that_cannot_be_is_named_as_such(web: Engine, layer: str, z: int, x: int, y: int) -> None:
    with web.connect() as connection, pytest.raises(NoSuchTile, match=f"{layer}/{z}/{x}/{y}"):
        tile(connection, layer, z, x, y, f"{CITY}/")


def test_the_corners_of_the_pyramid_are_tiles(web: Engine) -> None:
    last = 2**LAST_ZOOM - 1
    with scoped(web, f"{CITY}/") as connection:
        for place in ((0, 0, 0), (LAST_ZOOM, 0, 0), (LAST_ZOOM, last, last)):
            tile(connection, "water", *place, f"{CITY}/")


def test_the_version_of_a_layer_follows_its_rows_and_the_scope(unbound: Engine) -> None:
    with unbound.connect() as connection:
        before = versions(connection, "a/")
        assert versions(connection, "a/") == before
        assert versions(connection, "b/")["cells"] != before["cells"]
        connection.execute(text("UPDATE regions SET name = name || 'x' WHERE code = '321302'"))
        after = versions(connection, "a/")
    assert set(before) == set(LAYERS)
    assert after["regions"] != before["regions"]
    assert after["cells"] == before["cells"]
