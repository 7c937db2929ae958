from __future__ import annotations

from math import cos, nan, radians, sin
from typing import Any

import numpy as np
import pytest

from rules import area
from rules.area import BadArea

SQUARE = [[118.0, 33.0], [119.0, 33.0], [119.0, 34.0], [118.0, 34.0]]
HOLE = [[118.4, 33.4], [118.6, 33.4], [118.6, 33.6], [118.4, 33.6], [118.4, 33.4]]


def covered(found: Any, *positions: tuple[float, float]) -> list[bool]:
    lng, lat = np.array(positions).T
    return area.covers(area.read(found), lng, lat).tolist()


def test_an_area_covers_what_is_inside_and_its_edge() -> None:
    assert covered(SQUARE, (118.5, 33.5), (118.0, 33.5), (118.0, 33.0), (117.999999, 33.5), (118.5, 34.1)) == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_a_hole_is_outside_but_for_its_edge_and_a_position_that_is_not_known_is_nowhere() -> None:
    assert covered([SQUARE, HOLE], (118.5, 33.5), (118.4, 33.5), (118.2, 33.5), (nan, nan)) == [
        False,
        True,
        True,
        False,
    ]


def ring(points: int) -> list[list[float]]:
    return [[118 + cos(radians(360 * i / points)) / 2, 33 + sin(radians(360 * i / points)) / 2] for i in range(points)]


def test_an_area_of_ten_thousand_points_is_read() -> None:
    assert area.read(ring(10_000)).area > 0.7


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (None, "an area is a list"),
        ([], "an area is a list"),
        ({"lng": 118}, "an area is a list"),
        (SQUARE[:2], "a ring has at least three points"),
        ([*SQUARE[:2], [118.0]], r"point 3: give \[lng, lat\] in degrees, 70 to 140 and 0 to 60"),
        ([*SQUARE[:2], [34.0, 118.0]], "point 3"),
        ([*SQUARE[:2], ["118", "34"]], "point 3"),
        ([*SQUARE[:2], [nan, 34.0]], "point 3"),
        ([*SQUARE[:2], [10**400, 34]], "point 3"),
        ([*SQUARE[:2], None], "point 3"),
        ([SQUARE, [*HOLE[:2], [0, 0]]], "ring 2, point 3"),
        ([SQUARE, HOLE[:2]], "ring 2, a ring has at least three points"),
        ([SQUARE, 7], "ring 2, a ring has at least three points"),
        ([SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]], "not a polygon: Self-intersection"),
        ([SQUARE[0], SQUARE[1], SQUARE[0]], "not a polygon"),
        ([HOLE, SQUARE], "not a polygon: Hole lies outside shell"),
        (ring(10_001), "an area has at most 10000 points"),
        ([SQUARE] * 2_501, "an area has at most 10000 points"),
    ],
)
def test_what_is_no_area_is_refused_with_the_point(found: Any, problem: str) -> None:
    with pytest.raises(BadArea, match=f"^{problem}"):
        area.read(found)
