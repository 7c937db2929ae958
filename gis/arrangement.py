"""A plane cut by lines: the faces between them, and which two faces each piece of line parts.

Lines are cut at every crossing on the lattice (snap rounding), so a face has exactly the vertices its neighbours have, and the
faces are a valid coverage by construction. Input is put in a canonical order first: the same lines, in any order and
direction and drawn any number of times, give the same arrangement.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import shapely

from gis.lattice import keys, points, segments

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Geometries = npt.NDArray[np.object_]

OUTSIDE = -1
_CLEAR = 3.0  # lattice steps: an inner point nearer than this to its face's edge may fall on the wrong side of a rounded line


@dataclass(frozen=True)
class Arrangement:
    """``faces`` are polygons; row i of ``ends`` (n, 2 keys, lower first) is a piece of line with the face ``left[i]`` on
    its left and ``right[i]`` on its right, OUTSIDE where there is none."""

    faces: Geometries
    ends: Whole
    left: Whole
    right: Whole

    @cached_property
    def inner_points(self) -> Geometries:
        """A point inside each face, clear of its edge where the face is wide enough for that."""
        inner = shapely.point_on_surface(self.faces)
        mean_width = 2 * shapely.area(self.faces) / np.maximum(shapely.length(self.faces), 1.0)
        tight = np.flatnonzero(mean_width > 2 * _CLEAR)
        tight = tight[shapely.distance(inner[tight], shapely.boundary(self.faces[tight])) < _CLEAR]
        for face in tight.tolist():
            # The centre need not be exact: a circle within a tenth of the mean width of the largest is clear of the edge.
            circle = shapely.maximum_inscribed_circle(self.faces[face], tolerance=max(_CLEAR, mean_width[face] / 10))
            inner[face] = shapely.get_point(circle, 0)
        return inner

    def covering(self, polygons: Geometries) -> tuple[Whole, Whole]:
        """Pairs (polygon, face) of every polygon that covers a face."""
        tree = shapely.STRtree(self.inner_points)
        shapely.prepare(polygons)
        found: npt.NDArray[np.int64] = tree.query(polygons, predicate="contains")
        return found[0], found[1]

    def parting(self, label: Whole) -> npt.NDArray[np.bool_]:
        """Which pieces of line have different labels on their two sides; ``label`` is one whole number per face."""
        padded = np.append(label, np.iinfo(np.int64).min)  # OUTSIDE is the last place
        parts: npt.NDArray[np.bool_] = padded[self.left] != padded[self.right]
        return parts

    def lengths(self, scale: Floats) -> Floats:
        """Metres of each piece of line; ``scale`` as of Lattice."""
        reach = (points(self.ends[:, 1]) - points(self.ends[:, 0])) * scale
        return np.hypot(reach[:, 0], reach[:, 1])


def pieces(polygons: Geometries) -> Whole:
    """The distinct straight pieces (n, 2 keys, lower first) that the rings of lattice polygons are made of."""
    at, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(polygons)), return_index=True)
    along = np.flatnonzero(ring[1:] == ring[:-1])
    corners = keys(at)
    return distinct(np.column_stack([corners[along], corners[along + 1]]))


def distinct(ends: Whole) -> Whole:
    """Pieces (n, 2 keys) lower end first, each once, in order, those without length left out."""
    ends = np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1)
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    ends = ends[order]
    first = np.ones(len(ends), dtype=bool)
    first[1:] = (ends[1:] != ends[:-1]).any(axis=1)
    return ends[first]


def arrange(ends: Whole) -> Arrangement:
    """Cut the plane by pieces of line (n, 2 keys)."""
    ends = distinct(ends)
    if not len(ends):
        none = np.empty(0, dtype=np.int64)
        return Arrangement(np.empty(0, dtype=object), np.empty((0, 2), dtype=np.int64), none, none)
    lines = segments(points(ends.ravel()).reshape(-1, 2, 2))
    # Cutting long chains is several times faster than cutting single pieces: their bounding boxes overlap far less.
    chains = shapely.line_merge(shapely.multilinestrings(lines))
    cut = shapely.get_parts(shapely.unary_union(chains, grid_size=1.0))
    faces = shapely.orient_polygons(shapely.get_parts(shapely.polygonize(cut)))
    return _with_sides(faces)


def _with_sides(faces: Geometries) -> Arrangement:
    """Match each piece of each ring, walked with its face on the left, with the same piece walked the other way."""
    rings, owner = shapely.get_rings(faces, return_index=True)
    at, ring = shapely.get_coordinates(rings, return_index=True)
    along = np.flatnonzero(ring[1:] == ring[:-1])
    corners = keys(at)
    start, end, face = corners[along], corners[along + 1], owner[ring[along]]
    forward = start < end
    low, high = np.where(forward, start, end), np.where(forward, end, start)
    order = np.lexsort((high, low))
    low, high, face, forward = low[order], high[order], face[order], forward[order]
    new = np.ones(len(low), dtype=bool)
    new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    row = np.cumsum(new) - 1
    left, right = (np.full(int(new.sum()), OUTSIDE, dtype=np.int64) for _ in range(2))
    left[row[forward]] = face[forward]
    right[row[~forward]] = face[~forward]
    return Arrangement(faces, np.column_stack([low[new], high[new]]), left, right)


def components(count: int, pairs: Whole) -> Whole:
    """For each of ``count`` things the lowest thing it hangs together with through ``pairs`` (m, 2)."""
    lowest = np.arange(count)
    if not len(pairs):
        return lowest
    while True:
        before = lowest.copy()
        ends = lowest[pairs]
        least = ends.min(axis=1)
        np.minimum.at(lowest, ends[:, 0], least)
        np.minimum.at(lowest, ends[:, 1], least)
        while (lowest[lowest] != lowest).any():
            lowest = lowest[lowest]
        if (lowest == before).all():
            return lowest
