"""A tile shows an account its own subtree, the outlines above it, and nothing beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from config.database import scoped, web_engine, worker_engine
from gis.region import ancestors, covers
from gis.tiles import LAST_ZOOM, LAYERS, NoSuchTile, mark_stale, redraw_stale, tile, versions
from tests.conftest import Database
from tests.gis.decoded_tile import decode
from tests.small_city import CITY, SIDE, SOUTH, WEST, SmallCity, build, cell_code
from tests.waiting import wait_until

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
        assert {tile(connection, layer, 10, 0, 0, scope) for layer in LAYERS} == {b""}


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


@pytest.mark.parametrize("tier", ["county", "township", "village"])
def test_a_tier_s_own_tiles_hold_that_tier_at_every_zoom(web: Engine, small: SmallCity, tier: str) -> None:
    scope = small.region(CITY).scope
    wanted = {code for code, spot in small.spots.items() if spot.region.tier == tier}
    for zoom in (9, 12):
        found = set()
        with scoped(web, scope) as connection:
            for place in tiles_over_city(zoom):
                layers = decode(tile(connection, tier, *place, scope))
                assert set(layers) <= {tier}
                found |= {drawn.properties["code"] for drawn in layers.get(tier, [])}
        assert found == wanted


def test_a_tile_says_of_a_region_and_a_cell_what_the_map_shows(web: Engine, small: SmallCity) -> None:
    scope = small.region(CITY).scope
    county, cell = small.region("321302"), small.region(cell_code())
    with scoped(web, scope) as connection:
        tiles = [
            {**decode(tile(connection, "regions", *place, scope)), **decode(tile(connection, "cells", *place, scope))}
            for place in tiles_over_city(8)
        ]
    drawn = {layer: {d.properties["code"]: d for t in tiles for d in t[layer]} for layer in tiles[0]}
    assert drawn["cells"][cell.code].properties == {"code": cell.code, "region": cell.parent}
    described = {"code": county.code, "name": county.name, "tier": "county", "parent": CITY, "inferred": False}
    assert drawn["regions"][county.code].properties == described
    assert drawn["region_labels"][county.code].properties == described
    assert drawn["region_labels"][county.code].shape.geom_type == "Point"


# -- drawn ahead -------------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.fixture
def worker(database: Database) -> Iterator[Engine]:
    """A small city of the test's own, drawn."""
    build(database)
    made = worker_engine(database.worker_url)
    yield made
    made.dispose()


def revisions(engine: Engine) -> dict[str, tuple[int, bool]]:
    """(revision, stale) of each layer."""
    with engine.connect() as connection:
        found = connection.execute(text("SELECT layer, revision, stale FROM map_layers"))
        return {row.layer: (row.revision, row.stale) for row in found}


def names_drawn(engine: Engine, code: str = "321302") -> set[str]:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT DISTINCT name FROM tile_shapes WHERE code = :code"), {"code": code})
        return set(found.scalars())


def rename(connection: Connection, name: str) -> None:
    """An import, as far as the map is concerned."""
    connection.execute(text("UPDATE regions SET name = :name WHERE code = '321302'"), {"name": name})
    mark_stale(connection, "regions")


def test_what_is_not_stale_is_not_drawn_again(worker: Engine) -> None:
    assert revisions(worker) == {"regions": (1, False), "cells": (1, False), "water": (1, False)}
    assert redraw_stale(worker, NOW) == []
    assert set(revisions(worker).values()) == {(1, False)}


def test_what_is_stale_is_drawn_again_and_has_new_addresses(worker: Engine) -> None:
    with worker.begin() as connection:
        before = versions(connection, f"{CITY}/")
        rename(connection, "宿城新区")
    assert revisions(worker)["regions"] == (1, True)
    assert redraw_stale(worker, NOW) == ["regions"]
    assert revisions(worker)["regions"] == (2, False)
    assert names_drawn(worker) == {"宿城新区"}
    with worker.begin() as connection:
        after = versions(connection, f"{CITY}/")
    assert {layer for layer in LAYERS if after[layer] != before[layer]} == {"regions", "county", "township", "village"}


def test_cells_that_are_no_longer_in_force_leave_the_tiles(worker: Engine) -> None:
    gone = cell_code(1, 1, 1, 2)
    with worker.begin() as connection:
        connection.execute(text("UPDATE cells SET valid_to = now() WHERE code = :code"), {"code": gone})
        mark_stale(connection, "cells")
    assert names_drawn(worker, gone)
    assert redraw_stale(worker, NOW) == ["cells"]
    assert not names_drawn(worker, gone)
    assert names_drawn(worker, cell_code())


def test_a_change_that_is_taken_back_makes_nothing_stale(worker: Engine) -> None:
    with worker.connect() as connection:
        rename(connection, "宿城新区")
        connection.rollback()
    assert redraw_stale(worker, NOW) == []


def test_layers_that_were_never_drawn_are(database: Database) -> None:
    engine = worker_engine(database.worker_url)
    with engine.begin() as connection:
        assert set(versions(connection, "a/")) == set(LAYERS)
    assert redraw_stale(engine, NOW) == ["regions", "cells", "water"]
    assert set(revisions(engine).values()) == {(1, False)}
    engine.dispose()


def is_anybody_waiting(engine: Engine) -> bool:
    with engine.connect() as connection:
        waits = text("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
        return bool(connection.execute(waits).scalar_one())


def test_what_changes_while_it_is_drawn_stays_stale_and_is_not_shown_as_new(worker: Engine) -> None:
    with worker.begin() as connection:
        rename(connection, "第一")
    with ThreadPoolExecutor(1) as pool:
        with worker.begin() as connection:
            rename(connection, "第二")
            drawing = pool.submit(redraw_stale, worker, NOW)
            wait_until(lambda: is_anybody_waiting(worker), what="the drawing to wait for the import")
        assert drawing.result(20) == []
    assert revisions(worker)["regions"] == (1, True)
    assert names_drawn(worker) == {"县区321302"}
    assert redraw_stale(worker, NOW) == ["regions"]
    assert names_drawn(worker) == {"第二"}


def test_a_drawing_that_is_killed_leaves_the_tiles_as_they_were_and_the_layer_stale(
    worker: Engine, database: Database
) -> None:
    with worker.begin() as connection:
        rename(connection, "宿城新区")
    with ThreadPoolExecutor(1) as pool, worker.begin() as holding:
        holding.execute(text("SELECT FROM map_layers WHERE layer = 'regions' FOR UPDATE"))
        drawing = pool.submit(redraw_stale, worker, NOW)
        wait_until(lambda: is_anybody_waiting(worker), what="the drawing to come to its last line")
        with psycopg.connect(database.superuser_url) as killer:
            killer.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
        with pytest.raises(OperationalError):
            drawing.result(20)
    assert revisions(worker)["regions"] == (1, True)
    assert names_drawn(worker) == {"县区321302"}
    assert redraw_stale(worker, NOW) == ["regions"]
    assert names_drawn(worker) == {"宿城新区"}


def test_two_who_draw_at_once_draw_once(worker: Engine) -> None:
    with worker.begin() as connection:
        rename(connection, "宿城新区")
    with ThreadPoolExecutor(2) as pool:
        drawings = [pool.submit(redraw_stale, worker, NOW) for _ in range(2)]
        done = [layer for drawing in drawings for layer in drawing.result(20)]
    assert done == ["regions"]
    assert revisions(worker)["regions"] == (2, False)


def test_the_version_of_a_layer_differs_from_scope_to_scope_and_from_database_to_database(worker: Engine) -> None:
    with worker.begin() as connection:
        mine, beside = versions(connection, "a/"), versions(connection, "b/")
        assert versions(connection, "a/") == mine
        assert not set(mine.values()) & set(beside.values())
        # The same revision, drawn at another time: another database that is seen at the same address later.
        connection.execute(text("UPDATE map_layers SET drawn_at = drawn_at + interval '1 second'"))
        assert not set(mine.values()) & set(versions(connection, "a/").values())
