"""Which merged cell covers a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

OUTSIDE = -1


class CellIndex:
    """Point look-up over a coverage of cells.

    A point on a shared edge belongs to every cell that touches it; the one with the lowest code is the answer, so that the
    same point always has the same cell (as ``ST_Covers`` with the lowest code; ``ST_Contains`` finds none there).
    """

    def __init__(self, codes: Sequence[str], polygons: Sequence[shapely.Geometry]) -> None:
        order = np.argsort(np.array(codes, dtype=object), kind="stable") if codes else np.empty(0, dtype=np.int64)
        self.codes = [codes[i] for i in order]
        self._polygons = np.array([polygons[i] for i in order], dtype=object)
        shapely.prepare(self._polygons)
        self._tree = shapely.STRtree(self._polygons)

    def locate(self, lng: npt.NDArray[Any], lat: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Row into ``codes`` for each point (degrees), OUTSIDE where no cell covers it or the position is NaN."""
        found = np.full(len(lng), OUTSIDE, dtype=np.int64)
        real = np.flatnonzero(~(np.isnan(lng) | np.isnan(lat)))
        if not len(real) or not self.codes:
            return found
        points, cells = self._tree.query(shapely.points(lng[real], lat[real]), predicate="covered_by")
        best = np.full(len(real), len(self.codes), dtype=np.int64)
        np.minimum.at(best, points, cells)
        found[real] = np.where(best < len(self.codes), best, OUTSIDE)
        return found
