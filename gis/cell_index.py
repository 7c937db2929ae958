"""Which merged cell covers a point: nearly always a table read, an exact test beside an edge, a tree where cells overlap."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import count
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from gis.raster import ASK, EIGHT, OUTSIDE, TREE, Raster, paint

__all__ = ["OUTSIDE", "CellIndex"]

Rows = npt.NDArray[np.int64]
Degrees = npt.NDArray[np.float64]

_CHUNK: Final = 1 << 14  # points worked on together: their columns stay in the processor's cache
_SMALL: Final = EIGHT * EIGHT
# The determinant of two differences of doubles is right to 3.34e-16 of the sum of its terms' sizes; this leaves room.
_ROUNDING: Final = 1e-15
_EQUATOR_M: Final = 6378137.0  # semi-major axis of CGCS2000 and WGS 84
_ECCENTRICITY_SQUARED: Final = 0.00669438


class CellIndex:
    """Point look-up over cells that are a coverage or nearly one.

    A point on a shared edge belongs to every cell that touches it; the one with the lowest code is the answer, so that the
    same point always has the same cell (as ``ST_Covers`` with the lowest code; ``ST_Contains`` finds none there).

    Multipolygons, holes and gaps are no different. Where cells overlap or are invalid the answer is the same but comes from
    a tree, a hundred times more slowly: ``tree_share`` says how much of the map that is, so that the caller can log it.
    Without ``painted`` all of it is: an index for a few look-ups is not worth the seconds that painting a city takes.
    """

    def __init__(self, codes: Sequence[str], polygons: Sequence[shapely.Geometry], *, painted: bool = True) -> None:
        order = sorted(range(len(codes)), key=codes.__getitem__)
        self.codes = [codes[i] for i in order]
        self._polygons = np.array([polygons[i] for i in order], dtype=object)
        shapely.prepare(self._polygons)
        self._tree = shapely.STRtree(self._polygons)
        self.raster = paint(self._polygons) if painted else None

    @property
    def nbytes(self) -> int:
        """Bytes of the tables; polygons and tree come on top."""
        return self.raster.nbytes if self.raster else 0

    @property
    def tree_share(self) -> float:
        """Share of the map's pixels (0 to 1) in which points are looked up in the tree, 0 for a valid coverage."""
        if self.raster is None:
            return 1.0 if self.codes else 0.0
        return self.raster.tree_pixels / len(self.raster.pixels)

    @property
    def is_coverage(self) -> bool:
        """Whether the cells lie side by side, so that no look-up needs the tree."""
        return self.tree_share == 0

    def locate(self, lng: npt.NDArray[Any], lat: npt.NDArray[Any]) -> Rows:
        """Row into ``codes`` for each point (degrees), OUTSIDE where no cell covers it or the position is NaN."""
        x, y = np.asarray(lng, dtype=np.float64), np.asarray(lat, dtype=np.float64)
        if self.raster is None:
            return self._ask_tree(x, y)
        if len(x) <= _CHUNK:
            return self._read(self.raster, x, y)
        found = np.empty(len(x), dtype=np.int64)
        for begin in range(0, len(x), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            found[part] = self._read(self.raster, x[part], y[part])
        return found

    def nearest(self, lng: npt.NDArray[Any], lat: npt.NDArray[Any]) -> tuple[Rows, Degrees]:
        """Row of the nearest cell and the distance to it in metres, 0 in a cell; OUTSIDE and NaN without a position or cells.

        Of cells equally near the lowest code is the answer. Distances are right to 0.1 % within 100 km of the cells.
        """
        x, y = np.asarray(lng, dtype=np.float64), np.asarray(lat, dtype=np.float64)
        rows = self.locate(x, y)
        distance_m = np.where(rows == OUTSIDE, np.nan, 0.0)
        lost = np.flatnonzero((rows == OUTSIDE) & np.isfinite(x) & np.isfinite(y))
        if len(lost) and self.codes:
            rows[lost], distance_m[lost] = self._look_around(x[lost], y[lost])
        return rows, distance_m

    def _read(self, raster: Raster, lng: Degrees, lat: Degrees) -> Rows:
        frame = raster.frame
        x = lng - frame.west
        x *= frame.columns_per_degree / EIGHT
        y = lat - frame.south
        y *= frame.rows_per_degree / EIGHT
        # What lies off the picture, NaN included, goes to its border, which is empty. fmax and fmin prefer numbers to NaN.
        np.fmin(np.fmax(x, 0.0, out=x), frame.width - 1.0, out=x)
        np.fmin(np.fmax(y, 0.0, out=y), frame.height - 1.0, out=y)
        pixel = np.floor(y)
        pixel *= frame.width
        pixel += np.floor(x)
        found = raster.pixels.take(pixel.astype(np.intp)).astype(np.int64)
        edged = (found < OUTSIDE).nonzero()[0]
        if len(edged):
            slot = OUTSIDE - 1 - found[edged]
            found[edged] = self._read_small(raster, slot, x[edged], y[edged], lng[edged], lat[edged])
        return found

    def _read_small(self, raster: Raster, slot: Rows, x: Degrees, y: Degrees, lng: Degrees, lat: Degrees) -> Rows:
        y -= np.floor(y)
        y *= EIGHT
        x -= np.floor(x)
        x *= EIGHT
        inner = np.floor(y)
        inner *= EIGHT
        inner += np.floor(x)
        inner += slot * _SMALL
        code = raster.small.take(inner.astype(np.intp))
        found = raster.items.take(raster.first.take(slot) + code).astype(np.int64)
        found[code >= TREE] = OUTSIDE
        beside = (found < OUTSIDE).nonzero()[0]
        ask = code == ASK
        if len(beside):
            segment = OUTSIDE - 1 - found[beside]
            found[beside], unsure = _beside(raster, segment, lng[beside], lat[beside])
            ask[beside[unsure]] = True
        if ask.any():
            self._settle(raster, found, slot, ask.nonzero()[0], lng, lat)
        left = (code == TREE).nonzero()[0]
        if len(left):
            found[left] = self._ask_tree(lng[left], lat[left])
        return found

    def _settle(self, raster: Raster, found: Rows, slot: Rows, undecided: Rows, lng: Degrees, lat: Degrees) -> None:
        """Write the first of the slot's cells that covers each undecided point, OUTSIDE where none does."""
        found[undecided] = OUTSIDE
        for rank in count():
            undecided = undecided[raster.cells.take(slot[undecided]) > rank]
            if not len(undecided):
                break
            row = raster.items.take(raster.first.take(slot[undecided]) + rank)
            covered = shapely.intersects_xy(self._polygons[row], lng[undecided], lat[undecided])
            found[undecided[covered]] = row[covered]
            undecided = undecided[~covered]

    def _ask_tree(self, lng: Degrees, lat: Degrees) -> Rows:
        found = np.full(len(lng), OUTSIDE, dtype=np.int64)
        real = np.flatnonzero(~(np.isnan(lng) | np.isnan(lat)))
        if not len(real) or not self.codes:
            return found
        points, cells = self._tree.query(shapely.points(lng[real], lat[real]), predicate="intersects")
        best = np.full(len(real), len(self.codes), dtype=np.int64)
        np.minimum.at(best, points, cells)
        found[real] = np.where(best < len(self.codes), best, OUTSIDE)
        return found

    def _look_around(self, lng: Degrees, lat: Degrees) -> tuple[Rows, Degrees]:
        """Nearest cell and distance in metres of places that no cell covers."""
        flat, squeeze = self._flat
        places: npt.NDArray[Any] = np.asarray(shapely.points(lng * squeeze, lat))
        place, row = flat.query_nearest(places, all_matches=True)
        best = np.full(len(lng), len(self.codes), dtype=np.int64)
        np.minimum.at(best, place, row)
        best[best == len(self.codes)] = OUTSIDE
        ends = shapely.get_coordinates(shapely.shortest_line(places, flat.geometries[best])).reshape(-1, 2, 2)
        return best, _length_m(ends[:, 0, 0] / squeeze, ends[:, 0, 1], ends[:, 1, 0] / squeeze, ends[:, 1, 1])

    @cached_property
    def _flat(self) -> tuple[shapely.STRtree, float]:
        """A tree of the cells with longitudes squeezed, so that both degrees are about equally long, and by how much."""
        _, south, _, north = shapely.total_bounds(self._polygons).tolist()
        squeeze = max(float(np.cos(np.radians((south + north) / 2))), 1e-6)
        return shapely.STRtree(shapely.transform(self._polygons, lambda corners: corners * (squeeze, 1.0))), squeeze


def _beside(raster: Raster, segment: Rows, lng: Degrees, lat: Degrees) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """The row on that side of each segment where the point is, and whether rounding leaves the side unsure."""
    ax, ay, run, rise = raster.segments.take(segment, axis=0).T
    left = run * (lat - ay)
    right = rise * (lng - ax)
    turn = left - right
    found = raster.sides.ravel().take(2 * segment + (turn < 0)).astype(np.int64)
    return found, np.abs(turn) <= _ROUNDING * (np.abs(left) + np.abs(right))


def _length_m(lng: Degrees, lat: Degrees, other_lng: Degrees, other_lat: Degrees) -> Degrees:
    """Length of short ways on the ellipsoid, by its two radii of curvature half way."""
    middle = np.radians((lat + other_lat) / 2)
    bend = 1.0 - _ECCENTRICITY_SQUARED * np.sin(middle) ** 2
    north = np.radians(other_lat - lat) * _EQUATOR_M * (1.0 - _ECCENTRICITY_SQUARED) / bend**1.5
    east = np.radians(other_lng - lng) * _EQUATOR_M / np.sqrt(bend) * np.cos(middle)
    length: Degrees = np.hypot(north, east)
    return length
