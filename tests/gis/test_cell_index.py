"""The cell of a point is the one that PostGIS names: covered, and of the lowest code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod
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
    assert {cells.places[n].code for n in cells.number.values()} == set(cells.index.codes)
    assert 0 not in cells.places


def by_shapes(shapes: list[Any], lng: Any, lat: Any) -> list[int]:
    """The lowest row of all shapes that touch each point, asked one shape after the other."""
    covers = np.array([shapely.intersects_xy(shape, lng, lat) for shape in shapes])
    return np.where(covers.any(axis=0), covers.argmax(axis=0), OUTSIDE).tolist()


def telling_points(rng: np.random.Generator, shapes: list[Any]) -> Any:
    """Vertices, middles of edges, places within rounding of both, and places all over the map and around it."""
    corners = shapely.get_coordinates(shapes)
    middles = (corners[:-1] + corners[1:]) / 2
    west, south, east, north = shapely.total_bounds(shapes).tolist()
    wide, high = (east - west) / 10, (north - south) / 10
    anywhere = rng.uniform((west - wide, south - high), (east + wide, north + high), (3000, 2))
    beside = np.concatenate([corners, middles])[rng.integers(0, 2 * len(corners) - 1, 600)]
    sizes = rng.choice([1e-15, 1e-12, 1e-9, 1e-6], (600, 1))
    return np.concatenate([corners, middles, anywhere, beside + rng.normal(0, 1, (600, 2)) * sizes])


def discs(rng: np.random.Generator) -> list[Any]:
    """Shapes that lie over each other."""
    return [shapely.Point(*rng.uniform(0, 1, 2)).buffer(rng.uniform(0.001, 0.3), quad_segs=3) for _ in range(12)]


def gaps(rng: np.random.Generator) -> list[Any]:
    """A tessellation from which cells are missing."""
    whole = shapely.voronoi_polygons(shapely.MultiPoint(rng.uniform(0, 1, (40, 2))))
    return shapely.get_parts(whole)[rng.random(40) < 0.8].tolist()


def blocks(rng: np.random.Generator) -> list[Any]:
    """Boxes with common corners: side by side, over each other, the same twice, and one of two parts."""
    found = [
        shapely.box(x, y, x + w, y + h) for x, y, w, h in rng.integers((0, 0, 1, 1), (6, 6, 4, 4), (15, 4)).tolist()
    ]
    return [*found, shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(3, 3, 4, 4)])]


def knots(rng: np.random.Generator) -> list[Any]:
    """Rings that cross themselves."""
    return [shapely.Polygon(rng.uniform(0, 1, (6, 2)) + rng.uniform(-1, 1, 2)) for _ in range(8)]


def lakes_and_islands(rng: np.random.Generator) -> list[Any]:
    """A coverage of cells with holes and of several parts."""
    lines = [shapely.Point(*rng.uniform(0, 20, 2)).buffer(rng.uniform(1, 6), quad_segs=4).exterior for _ in range(12)]
    faces = shapely.get_parts(shapely.polygonize([shapely.union_all(lines)]))
    owner = rng.integers(0, max(len(faces) // 2, 1), len(faces))
    return [shapely.union_all(faces[owner == n]) for n in np.unique(owner)]


@pytest.mark.parametrize("draw", [discs, gaps, blocks, knots, lakes_and_islands])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_cells_are_like_every_point_is_in_the_first_that_touches_it(
    draw: Callable[[np.random.Generator], list[Any]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shapes = [shapely.transform(shape, lambda at: at / 100 + (118.3, 33.9)) for shape in draw(rng)]
    lng, lat = telling_points(rng, shapes).T
    index = CellIndex([f"{row:03d}" for row in range(len(shapes))], shapes)
    assert index.locate(lng, lat).tolist() == by_shapes(shapes, lng, lat)


def test_only_cells_beside_each_other_do_without_the_tree_and_the_index_says_so() -> None:
    rng = np.random.default_rng(3)
    for draw in (gaps, lakes_and_islands):
        shapes = draw(rng)
        index = CellIndex([str(row) for row in range(len(shapes))], shapes)
        assert index.is_coverage
        assert index.tree_share == 0
    squares = [shapely.box(0, 0, 2, 2), shapely.box(1, 1, 3, 3), shapely.box(3, 0, 4, 2)]
    overlapping = CellIndex(["a", "b", "c"], squares)
    assert not overlapping.is_coverage
    assert 0.05 < overlapping.tree_share < 0.3
    assert not CellIndex(["line"], [shapely.LineString([(0, 0), (1, 1)])]).is_coverage


def test_many_points_at_once_are_found_like_each_few() -> None:
    rng = np.random.default_rng(4)
    shapes = gaps(rng)
    index = CellIndex([f"{row:03d}" for row in range(len(shapes))], shapes)
    lng, lat = rng.uniform(-0.2, 1.2, (2, 50_000))
    together = index.locate(lng, lat)
    assert together.tolist() == [
        row for n in range(0, 50_000, 999) for row in index.locate(lng[n : n + 999], lat[n : n + 999])
    ]
    assert set(together.tolist()) == {OUTSIDE, *range(len(shapes))}


def test_a_point_outside_knows_the_nearest_cell_and_how_far_it_is() -> None:
    index = CellIndex(["east", "west"], [shapely.box(118.0, 34.0, 118.1, 34.1), shapely.box(117.8, 34.0, 117.9, 34.1)])
    degree_m = Geod(ellps="GRS80").line_length([118.1, 118.2], [34.05, 34.05])
    lng, lat = np.array([118.2, 118.05, 117.95, 117.9, np.nan]), np.array([34.05, 34.05, 34.05, 34.2, 34.0])
    rows, distance_m = index.nearest(lng, lat)
    assert [index.codes[row] for row in rows[:4]] == ["east", "east", "east", "west"]
    assert distance_m[0] == pytest.approx(degree_m, rel=1e-3)
    assert distance_m[1] == 0
    assert distance_m[2] == pytest.approx(degree_m / 2, rel=1e-3)
    assert distance_m[3] == pytest.approx(Geod(ellps="GRS80").line_length([117.9, 117.9], [34.1, 34.2]), rel=1e-3)
    assert rows[4] == OUTSIDE
    assert np.isnan(distance_m[4])


def test_without_cells_nothing_is_near() -> None:
    rows, distance_m = CellIndex([], []).nearest(np.array([118.0]), np.array([34.0]))
    assert rows.tolist() == [OUTSIDE]
    assert np.isnan(distance_m).all()


def test_the_tables_stay_bounded_however_unequal_the_cells_are() -> None:
    tiny = [shapely.box(x / 1e6, y / 1e6, (x + 1) / 1e6, (y + 1) / 1e6) for x in range(30) for y in range(30)]
    shapes = [*tiny, shapely.box(100, 10, 110, 20)]
    index = CellIndex([f"{row:04d}" for row in range(len(shapes))], shapes)
    lng, lat = np.concatenate([telling_points(np.random.default_rng(5), tiny), [[105.0, 15.0], [50.0, 10.0]]]).T
    assert index.nbytes < 20_000_000
    assert index.locate(lng, lat).tolist() == by_shapes(shapes, lng, lat)
