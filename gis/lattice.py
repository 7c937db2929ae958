"""The fixed grid of coordinates on which boundaries are cut, compared and written.

A lattice point is a pair of whole numbers of hundred-millionths of a degree (about a millimetre) from an origin near
the data. All cutting of lines happens on this lattice, so what is written to a file are the very coordinates that were
cut, not a rounded copy of them. Being an even stretch of longitude and latitude it also keeps straight boundaries
straight; a map projection bends them, by two centimetres in a kilometre, which is enough to push a corner through its
neighbour's edge.

Sizes are not read off the lattice: areas and widths come from ``gis.projection``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

PER_DEGREE: Final = 100_000_000
_METRES_PER_DEGREE: Final = 111_195.0
_REACH: Final = 1 << 30  # 10.7 degrees either side of the origin: two numbers pack into one of 64 bits
_ROW: Final = 1 << 32

Floats = npt.NDArray[np.float64]
Geometries = npt.NDArray[np.object_]


class TooWide(ValueError):
    """The data reaches farther than one city can."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """``origin_u`` and ``origin_v`` are the origin in hundred-millionths of a degree, on whole thousandths of a
    degree."""

    origin_u: int
    origin_v: int

    @classmethod
    def around(cls, bounds: tuple[float, float, float, float]) -> Lattice:
        """The lattice for data within (west, south, east, north) in degrees. Raises TooWide beyond 20 degrees."""
        west, south, east, north = bounds
        if max(east - west, north - south) > 20.0:
            raise TooWide(f"the data spans {east - west:.0f} by {north - south:.0f} degrees, which is no city")
        step = PER_DEGREE // 1000
        return cls(round((west + east) * 500) * step, round((south + north) * 500) * step)

    @property
    def centre(self) -> tuple[float, float]:
        """Longitude and latitude of the origin in degrees."""
        return self.origin_u / PER_DEGREE, self.origin_v / PER_DEGREE

    @property
    def scale(self) -> Floats:
        """Metres per lattice step along longitude and latitude, near the origin."""
        step = _METRES_PER_DEGREE / PER_DEGREE
        return np.array([step * np.cos(np.radians(self.centre[1])), step])

    def from_degrees(self, geometries: Geometries) -> Geometries:
        """Geometries in lng/lat as geometries with whole-numbered lattice coordinates, elevation dropped."""
        origin = np.array([self.origin_u, self.origin_v])
        moved: Geometries = shapely.transform(geometries, lambda at: np.rint(at * PER_DEGREE) - origin)
        return moved

    def to_degrees(self, geometries: Geometries) -> Geometries:
        """The way back; every coordinate is the float nearest to its eight decimals."""
        origin = np.array([self.origin_u, self.origin_v])
        moved: Geometries = shapely.transform(geometries, lambda at: (np.rint(at) + origin) / PER_DEGREE)
        return moved


def keys(points: Floats) -> npt.NDArray[np.int64]:
    """One whole number per lattice point (n, 2): equal points have equal keys, and keys order points west to east."""
    whole = np.rint(points).astype(np.int64) + _REACH
    packed: npt.NDArray[np.int64] = whole[:, 0] * _ROW + whole[:, 1]
    return packed


def segments(ends: Floats) -> Geometries:
    """Straight lines (n) from their ends (n, 2, 2)."""
    lines: Geometries = np.asarray(shapely.linestrings(ends), dtype=object)
    return lines


def dots(at: Floats) -> Geometries:
    """Point geometries (n) at places (n, 2)."""
    made: Geometries = np.asarray(shapely.points(at), dtype=object)
    return made


def points(keys: npt.NDArray[np.int64]) -> Floats:
    """The lattice points of keys, (n, 2)."""
    return np.column_stack([keys // _ROW - _REACH, keys % _ROW - _REACH]).astype(np.float64)
