"""Named areas of a rule pack: polygons in CGCS2000 degrees that rules ask positions about."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import Polygon

MOST_VERTICES: Final = 10_000
WEST, SOUTH, EAST, NORTH = 70.0, 0.0, 140.0, 60.0

_Ring: TypeAlias = list[tuple[float, float]]


class BadArea(ValueError):
    """An area that is no polygon in reach."""


def read(found: Any) -> Polygon:
    """The polygon of ``[[lng, lat], …]``, or of a list of such rings: the outline first, then holes. Raises BadArea."""
    if not isinstance(found, list) or not found:
        raise BadArea("an area is a list of [lng, lat]")
    rings = found if _is_ring(found[0]) else [found]
    if sum(len(ring) for ring in rings if isinstance(ring, list)) > MOST_VERTICES:
        raise BadArea(f"an area has at most {MOST_VERTICES} points")
    outline, *holes = [_ring(ring, f"ring {i + 1}, " if rings is found else "") for i, ring in enumerate(rings)]
    polygon = Polygon(outline, holes)
    if not polygon.is_valid or not polygon.area:
        raise BadArea(f"not a polygon: {shapely.is_valid_reason(polygon)}")
    shapely.prepare(polygon)
    return polygon


def covers(area: Polygon, lng: npt.NDArray[Any], lat: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether each position lies in the area; its edge does, NaN does not."""
    return np.asarray(shapely.intersects_xy(area, lng, lat), dtype=bool)


def _is_ring(found: Any) -> bool:
    return isinstance(found, list) and bool(found) and isinstance(found[0], list)


def _ring(found: Any, where: str) -> _Ring:
    if not isinstance(found, list) or len(found) < 3:
        raise BadArea(f"{where}a ring has at least three points")
    return [_point(point, f"{where}point {i + 1}") for i, point in enumerate(found)]


def _point(found: Any, where: str) -> tuple[float, float]:
    match found:
        case [int() | float() as lng, int() | float() as lat] if _reaches(lng, lat):
            return float(lng), float(lat)
        case _:
            raise BadArea(f"{where}: give [lng, lat] in degrees, {WEST:g} to {EAST:g} and {SOUTH:g} to {NORTH:g}")


def _reaches(lng: float, lat: float) -> bool:
    # int before float: a YAML integer may be larger than any float.
    return WEST <= lng <= EAST and SOUTH <= lat <= NORTH and isfinite(lng) and isfinite(lat)
