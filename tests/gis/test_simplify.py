"""Simplified shapes stay side by side: what is simplified is the coverage, never a shape by itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from shapely import box

from gis.merge import merge
from gis.read_network import read_network
from gis.simplify import LAST_ZOOM, LEVELS, as_coverage, by_level, is_coverage, level_at, mercator, unit_m

Shapes = npt.NDArray[Any]

SEATTLE = Path(__file__).parent / "data" / "seattle"
FILES = {"beats": "spd-beats", "council": "city-council-districts"}


@pytest.fixture(scope="module")
def seattle() -> Shapes:
    """A city's merged cells in web Mercator."""
    networks = [read_network(name, SEATTLE / f"{file}.geojson") for name, file in FILES.items()]
    return mercator(np.array([cell.geometry for cell in merge(networks).cells], dtype=object))


def is_seen(shape: shapely.Geometry, unit: float) -> bool:
    """Wider than two roundings of a point make it: each by half a unit along both axes. A pixel is eight units wide."""
    return not shapely.buffer(shape, -unit * math.sqrt(0.5), join_style="mitre").is_empty


def test_web_mercator_is_the_one_that_everybody_uses() -> None:
    # The figures of EPSG guidance note 7-2 for its example of method 1024.
    [point] = mercator(np.array([shapely.Point(-100.33333333333333, 24.381786944444446)]))
    assert (point.x, point.y) == pytest.approx((-11_169_055.58, 2_800_000.00), abs=0.01)


def test_every_zoom_has_a_level_and_the_closest_has_the_shapes_as_they_are() -> None:
    for zoom in range(LAST_ZOOM + 1):
        level = level_at(zoom)
        assert zoom <= level.last_zoom
        assert level is LEVELS[0] or zoom > LEVELS[LEVELS.index(level) - 1].last_zoom
    assert [level.is_exact for level in LEVELS] == [False] * (len(LEVELS) - 1) + [True]


def test_a_real_city_keeps_its_edges_in_common_at_every_level(seattle: Shapes) -> None:
    assert is_coverage(seattle)
    city = shapely.union_all(seattle)
    points = []
    for level, shapes in by_level(seattle):
        unit = unit_m(level.last_zoom)
        assert len(shapes) == len(seattle)
        assert shapely.is_valid(shapes).all()
        tree = shapely.STRtree(shapes)
        left, right = tree.query(shapes, predicate="intersects")
        common = shapely.intersection(shapes[left[left < right]], shapes[right[left < right]])
        assert not any(is_seen(shape, unit) for shape in common)
        # Away from the city's own edge, whose inlets may close: inside, every point belongs to a cell.
        gaps = shapely.difference(shapely.buffer(city, -20 * unit), shapely.union_all(shapes))
        assert not is_seen(gaps, unit)
        points.append(int(shapely.get_num_coordinates(shapes).sum()))
    assert points == sorted(points, reverse=True)
    assert points[0] > 10 * points[-1]


def test_what_a_pixel_holds_is_still_there(seattle: Shapes) -> None:
    for level, shapes in by_level(seattle):
        pixel = (8 * unit_m(level.last_zoom)) ** 2
        assert not shapely.is_empty(shapes[shapely.area(seattle) > pixel]).any()


def test_points_lie_on_the_grid_of_the_closest_zoom_and_outer_rings_run_clockwise(seattle: Shapes) -> None:
    for level, shapes in by_level(seattle):
        if level.is_exact:
            assert shapely.equals_exact(shapes, seattle, 0).all()
            continue
        units = shapely.get_coordinates(shapes) / unit_m(level.last_zoom)
        assert np.abs(units - units.round()).max() < 1e-4
        rings = shapely.get_exterior_ring(shapely.get_parts(shapes))
        assert not shapely.is_ccw(rings).any()


def test_slivers_between_neighbours_are_closed_before_the_coverage_is_simplified() -> None:
    shapes = np.array([box(0, 0, 100, 100), box(99.99, 0, 200, 100)])
    assert not is_coverage(shapes)
    cleaned = as_coverage(shapes)
    assert cleaned is not None
    assert is_coverage(cleaned)


def test_a_zone_drawn_over_its_county_is_left_as_it_is_drawn() -> None:
    county, zone = box(0, 0, 50_000, 50_000), box(10_000, 10_000, 20_000, 20_000)
    shapes = np.array([county, zone])
    assert as_coverage(shapes) is None
    for level, drawn in by_level(shapes):
        reach = 2 * unit_m(level.last_zoom)
        assert [shapely.hausdorff_distance(a, b) <= reach for a, b in zip(shapes, drawn, strict=True)] == [True, True]


def test_a_ring_that_crosses_itself_is_not_simplified_and_breaks_nothing() -> None:
    bow = shapely.Polygon([(0, 0), (40_000, 40_000), (40_000, 0), (0, 40_000)])
    for _, shapes in by_level(np.array([bow, box(50_000, 0, 90_000, 40_000)])):
        assert len(shapes) == 2
        assert not shapely.is_empty(shapes).any()


def test_no_shapes_are_no_trouble() -> None:
    assert [len(shapes) for _, shapes in by_level(np.array([], dtype=object))] == [0] * len(LEVELS)
