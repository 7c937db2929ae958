"""The demo city's drawing plane: metres east and north of a fixed point.

Equirectangular: x = R cos(lat0) (lng - lng0), y = R (lat - lat0), angles in radians, R the mean radius of the earth.
Over the 60 km that the city reaches from its middle a distance is off by less than one percent, which a synthetic city
does not mind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

Points = npt.NDArray[np.float64]

LNG0 = 118.3
LAT0 = 33.9
EARTH_RADIUS_M = 6_371_008.8
DECIMALS = 7  # about a centimetre, finer than the plane's own rounding, so that distinct vertices stay distinct

_NORTH_M = EARTH_RADIUS_M * np.pi / 180
_EAST_M = _NORTH_M * float(np.cos(np.radians(LAT0)))


def area_m2(geometry: BaseGeometry) -> float:
    """The area of a geometry in lng/lat, in square metres of the plane."""
    return float(geometry.area) * _NORTH_M * _EAST_M


def to_lng_lat(points: npt.NDArray[Any]) -> Points:
    """Degrees (n, 2), rounded the same way for everybody who asks, from metres (n, 2)."""
    degrees = np.asarray(points, dtype=np.float64) / (_EAST_M, _NORTH_M) + (LNG0, LAT0)
    return np.round(degrees, DECIMALS)


def to_metres(points: npt.NDArray[Any]) -> Points:
    """Metres (n, 2) from degrees (n, 2)."""
    metres: Points = (np.asarray(points, dtype=np.float64) - (LNG0, LAT0)) * (_EAST_M, _NORTH_M)
    return metres
