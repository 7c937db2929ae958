"""What is wrong with one network, found and placed."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely import box
from shapely.geometry.base import BaseGeometry

from gis.datum import Datum, convert
from gis.network import Drawn, Network, assemble
from gis.network_problem import Kind, Land, Problem, find_problems, homes, outline_datum, shared
from gis.sliver import Limits
from tests.gis.drawn import area_m2, network, place


def _found(drawn: Network, *kinds: Kind) -> list[Problem]:
    return [problem for problem in find_problems(drawn, Limits())[0] if problem.kind in kinds]


def _sound() -> dict[str, BaseGeometry]:
    return {f"{x}-{y}": box(x * 200, y * 200, x * 200 + 200, y * 200 + 200) for x in range(3) for y in range(3)}


def test_a_sound_network_has_no_problem() -> None:
    assert find_problems(network("n", _sound()), Limits()) == ((), ())


def test_an_overlap_is_shown_with_its_grids_its_area_and_whose_it_is() -> None:
    drawn = network("n", _sound() | {"0-0": box(0, 0, 230, 200)})
    [overlap] = _found(drawn, Kind.OVERLAP)
    assert overlap.grids == ("0-0", "1-0")
    assert overlap.area_m2 == pytest.approx(30 * 200, rel=1e-3)
    assert area_m2([overlap.geometry]) == pytest.approx(30 * 200, rel=1e-3)
    assert overlap.detail == "counted to 1-0"


def test_ground_that_a_network_encloses_without_a_grid_is_a_gap_with_the_grids_around_it() -> None:
    shapes = _sound()
    del shapes["1-1"]
    [gap] = _found(network("n", shapes), Kind.GAP)
    assert gap.grids == ("0-1", "1-0", "1-2", "2-1")
    assert gap.area_m2 == pytest.approx(200 * 200, rel=1e-3)
    assert _found(network("n", {key: _sound()[key] for key in ("0-0", "1-0")}), Kind.GAP) == []


def test_an_edge_that_ends_in_the_middle_of_its_neighbours_is_shown_as_a_line_with_its_length() -> None:
    drawn = network("n", {"west": box(0, 0, 200, 200), "se": box(200, 0, 400, 90), "ne": box(200, 90, 400, 200)})
    found = _found(drawn, Kind.INVALID_EDGE)
    assert [problem.grids for problem in found] == [("ne",), ("se",), ("west",)]
    assert found[2].geometry.geom_type == "LineString"
    assert found[2].length_m == pytest.approx(200, rel=5e-3)
    assert found[1].length_m == pytest.approx(90, rel=5e-3)


def test_a_repaired_ring_says_why() -> None:
    bow = shapely.Polygon([(0, 0), (200, 200), (200, 0), (0, 200)])
    [problem] = _found(network("n", {"bow": bow, "far": box(900, 900, 1100, 1100)}), Kind.INVALID)
    assert (problem.grids, problem.detail) == (("bow",), "self-intersection")
    assert problem.geometry.is_valid


def test_a_grid_below_the_least_size_is_a_sliver_and_so_is_a_stray_part_of_one() -> None:
    torn = shapely.MultiPolygon([box(0, 0, 200, 200), box(500, 0, 510, 10)])
    drawn = network("n", {"torn": torn, "thin": box(0, 300, 800, 303), "sound": box(0, 400, 200, 600)})
    found = {problem.grids: problem for problem in _found(drawn, Kind.SLIVER)}
    assert set(found) == {("torn",), ("thin",)}
    assert found["thin",].detail == "2.99 m wide"
    assert found["torn",].detail.startswith("a part of it is ")
    assert found["torn",].area_m2 == pytest.approx(100, rel=1e-3)


def test_what_is_finer_than_a_square_metre_is_counted_in_a_notice() -> None:
    problems, notices = find_problems(network("n", _sound() | {"0-0": box(0, 0, 200.004, 200)}), Limits())
    assert [problem for problem in problems if problem.kind is Kind.OVERLAP] == []
    assert len(notices) == 1
    assert notices[0].startswith("1 overlaps and gaps below 1 m2, 0.")


def test_a_grid_that_collapses_altogether_is_a_problem_without_a_place() -> None:
    flat = shapely.Polygon([(118.3, 33.9), (118.31, 33.9), (118.32, 33.9)])
    drawn = assemble("n", [Drawn(flat, {"id": "flat"}), Drawn(place(box(0, 0, 200, 200)), {"id": "whole"})])
    [problem] = _found(drawn, Kind.INVALID)
    assert problem.geometry.is_empty
    assert homes(np.array([problem.geometry], dtype=object), _lands()) == ["c/"]


def _lands() -> list[Land]:
    return [
        Land("c", "city", "c/", place(box(0, 0, 1000, 1000))),
        Land("c1", "county", "c/c1/", place(box(0, 0, 500, 1000))),
        Land("c2", "county", "c/c2/", place(box(500, 0, 1000, 1000))),
        Land("v", "village", "c/c1/t/v/", place(box(0, 0, 250, 250))),
    ]


def test_a_shape_belongs_to_the_smallest_region_around_its_representative_point_or_to_the_city() -> None:
    boxes = [box(0, 0, 300, 200), box(300, 300, 400, 400), box(700, 0, 800, 50), box(5000, 0, 5100, 50)]
    shapes = np.array([place(shape) for shape in boxes], dtype=object)
    assert homes(shapes, _lands()) == ["c/c1/t/v/", "c/c1/", "c/c2/", "c/"]
    assert homes(shapes, _lands()[::-1]) == homes(shapes, _lands())


@pytest.mark.parametrize(
    ("scopes", "whose"),
    [
        (["c/c1/t/v/"], "c/c1/t/v/"),
        (["c/c1/t/v/", "c/c1/t/w/"], "c/c1/t/"),
        (["c/c1/t/v/", "c/c1/"], "c/c1/"),
        (["c/c1/t/", "c/c11/t/"], "c/"),
    ],
)
def test_what_two_regions_share_belongs_to_the_one_above_both(scopes: list[str], whose: str) -> None:
    assert shared(scopes) == whose


def test_the_outline_of_a_network_of_the_whole_city_tells_its_datum_and_that_of_a_part_tells_nothing() -> None:
    side = np.linspace(0, 30_000, 40)
    rim = [(x, 900 * np.sin(x / 2_000)) for x in side] + [(x, 30_000 + 900 * np.sin(x / 2_500)) for x in side[::-1]]
    city = place(shapely.Polygon(rim))
    moved = shapely.transform(
        city, lambda at: np.column_stack(convert(at[:, 0], at[:, 1], Datum.CGCS2000, Datum.GCJ02))
    )
    half = shapely.intersection(moved, place(box(0, -5_000, 12_000, 40_000)))
    judged = [outline_datum(np.array([shape], dtype=object), city) for shape in (city, moved, half)]
    assert judged == [Datum.CGCS2000, Datum.GCJ02, None]
