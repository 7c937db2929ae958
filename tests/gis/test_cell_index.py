"""The cell of a point is the one that PostGIS names: covered, and of the lowest code."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from config.database import worker_engine
from gis.cell_index import OUTSIDE, CellIndex
from gis.locate import Cells
from gis.store import load_cells
from tests.conftest import Database
from tests.small_city import SIDE, SOUTH, WEST, build, cell_code, spots

COLUMNS, ROWS = 12, 4


@pytest.fixture(scope="module")
def engine(module_database: Database) -> Iterator[Engine]:
    build(module_database)
    made = worker_engine(module_database.worker_url)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def cells(engine: Engine) -> Cells:
    with engine.connect() as connection:
        return load_cells(connection)


def by_postgis(engine: Engine, lng: list[float], lat: list[float]) -> list[str | None]:
    with engine.connect() as connection:
        found = connection.execute(
            text(
                'SELECT (SELECT min(code COLLATE "C") FROM cells c'
                "  WHERE ST_Covers(c.geom, ST_SetSRID(ST_MakePoint(p.lng, p.lat), 4490)))"
                " FROM unnest(CAST(:lng AS float8[]), CAST(:lat AS float8[])) WITH ORDINALITY AS p(lng, lat, n) ORDER BY n"
            ),
            {"lng": lng, "lat": lat},
        )
        return list(found.scalars())


def by_index(index: CellIndex, lng: list[float], lat: list[float]) -> list[str | None]:
    rows = index.locate(np.array(lng, dtype="f8"), np.array(lat, dtype="f8"))
    return [None if row == OUTSIDE else index.codes[row] for row in rows.tolist()]


# A line of the grid exactly as the cells' own corners have it, or anywhere in and around the city.
def along(start: float, count: int) -> st.SearchStrategy[float]:
    corners = [start + SIDE * n for n in range(count + 1)] + [start + SIDE * n + SIDE for n in range(count)]
    return st.sampled_from(corners) | st.floats(start - SIDE, start + SIDE * (count + 1))


points = st.tuples(along(WEST, COLUMNS), along(SOUTH, ROWS))


@settings(max_examples=60, deadline=None)
@given(found=st.lists(points, min_size=1, max_size=60))
def test_any_point_is_in_the_cell_that_postgis_names(
    engine: Engine, cells: Cells, found: list[tuple[float, float]]
) -> None:
    lng, lat = [p[0] for p in found], [p[1] for p in found]
    assert by_index(cells.index, lng, lat) == by_postgis(engine, lng, lat)


def test_every_corner_and_every_middle_of_an_edge_is_in_the_cell_that_postgis_names(
    engine: Engine, cells: Cells
) -> None:
    shapes = [spot.shape for spot in spots() if spot.region.tier == "grid"]
    corners = np.concatenate([shapely.get_coordinates(shape) for shape in shapes])
    middles = (corners[:-1] + corners[1:]) / 2
    lng, lat = np.concatenate([corners, middles]).T.tolist()
    named = by_postgis(engine, lng, lat)
    assert by_index(cells.index, lng, lat) == named
    assert all(named[: len(corners)])


def test_a_point_where_four_cells_meet_is_in_the_one_of_the_lowest_code(cells: Cells) -> None:
    # The corner of the first two columns and the first two rows: two villages of one town.
    lng, lat = cells_corner()
    assert by_index(cells.index, [lng], [lat]) == [cell_code(0, 1, 1, 1)]


def cells_corner() -> tuple[float, float]:
    shape = next(spot.shape for spot in spots() if spot.region.code == cell_code(0, 1, 1, 1))
    return shape.bounds[2], shape.bounds[3]


def test_no_position_and_positions_off_the_map_are_outside(cells: Cells) -> None:
    nan, inf = float("nan"), float("inf")
    lng, lat = [nan, WEST + SIDE / 2, nan, inf, -inf, 0.0], [SOUTH, nan, nan, SOUTH, SOUTH, 0.0]
    assert by_index(cells.index, lng, lat) == [None] * 6
    assert by_index(cells.index, [nan, WEST + SIDE / 2], [nan, SOUTH + SIDE / 2]) == [None, cell_code()]
    assert by_index(cells.index, [], []) == []


def test_a_city_without_cells_covers_nothing() -> None:
    assert by_index(CellIndex([], []), [118.0], [34.0]) == [None]


def test_the_order_in_which_cells_are_given_does_not_matter() -> None:
    squares = {"b": shapely.box(0, 0, 1, 1), "a": shapely.box(1, 0, 2, 1), "c": shapely.box(0, 1, 1, 2)}
    for order in (["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]):
        index = CellIndex(order, [squares[code] for code in order])
        assert by_index(index, [1.0, 0.5, 0.5], [0.5, 1.0, 1.5]) == ["a", "b", "c"]


def test_numbers_and_codes_of_cells_answer_to_each_other(cells: Cells) -> None:
    assert len(cells.number) == COLUMNS * ROWS
    assert {cells.code[n] for n in cells.number.values()} == set(cells.index.codes)
    assert 0 not in cells.code
