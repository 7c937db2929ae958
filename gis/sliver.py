"""Slivers, and how they dissolve into the cells beside them.

A sliver is smaller than ``min_area_m2`` or narrower than ``min_width_m``, the diameter of the largest circle that fits
inside.

It dissolves into the neighbour that agrees with most of its labels, then the one with the longest shared edge, then the
larger, then the first. Slivers dissolve in rounds: whoever would go to a sliver that goes itself in this round waits
for the next, and whoever would go to a smaller sliver waits for that one to come. So slivers reach real cells by their
own labels, a round has always something to do, and the result does not depend on any order of processing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from gis.arrangement import OUTSIDE, Arrangement, components

Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Geometries = npt.NDArray[np.object_]

# Sizes are measured by others in slightly different projections: what is kept clears the limits by a hair.
_HAIR: Final = 1e-4
FREE: Final = -1


@dataclass(frozen=True, slots=True)
class Limits:
    """Below either a cell is a sliver."""

    min_area_m2: float = 1_000.0
    min_width_m: float = 5.0


@dataclass(frozen=True)
class Dissolved:
    """``group`` is the cell of each face (the lowest face in it), OUTSIDE for faces outside the city.

    ``label`` and ``hard`` hold what a cell carries, in the row of its lowest face. A cell that is a sliver still has no
    neighbour to go to.
    """

    group: Whole
    label: Whole
    hard: Whole


def are_slivers(shapes: Geometries, limits: Limits) -> Flags:
    """Which polygons in metres are slivers."""
    area = shapely.area(shapes)
    found = area < limits.min_area_m2 * (1 + _HAIR)
    found[~found] = are_thin(shapes[~found], area[~found], shapely.length(shapes[~found]), limits.min_width_m)
    return found


def are_thin(shapes: Geometries, area: Floats, perimeter: Floats, width_m: float) -> Flags:
    """Which polygons in metres no circle of diameter ``width_m`` fits into."""
    # No point lies farther from the edge than the radius of the largest circle, so area <= radius * perimeter.
    thin = area < width_m / 2 * (1 + _HAIR) * perimeter
    rows = np.flatnonzero(thin)
    thin[rows] = shapely.is_empty(shapely.buffer(shapes[rows], -width_m / 2 * (1 + _HAIR)))
    return thin


def width_m(shape: shapely.Polygon) -> float:
    """The diameter of the largest circle inside a polygon in metres, to the centimetre."""
    return float(2 * shapely.length(shapely.maximum_inscribed_circle(shape, tolerance=0.005)))


@dataclass
class _Graph:
    """Cells in the making: the group (lowest face) of each face, what each group carries, and which faces touch over
    which length."""

    pairs: Whole
    along: Floats
    outer: Floats
    group: Whole
    label: Whole
    hard: Whole
    whole: Whole
    area: Floats

    def touching(self) -> tuple[Whole, Floats]:
        """Each pair of different groups that touch, once in each direction, with the length of their edge."""
        ends = self.group[self.pairs]
        apart = ends[:, 0] != ends[:, 1]
        ends, along = np.sort(ends[apart], axis=1), self.along[apart]
        number = ends[:, 0] * len(self.group) + ends[:, 1]
        one, place = np.unique(number, return_inverse=True)
        length = np.bincount(place, weights=along, minlength=len(one))
        both = np.column_stack([one // len(self.group), one % len(self.group)])
        return np.vstack([both, both[:, ::-1]]), np.concatenate([length, length])

    def per_group(self, values: Floats | None) -> Floats:
        """Sums of the faces' values by group, or their number."""
        sums: Floats = np.bincount(self.group, weights=values, minlength=len(self.group)).astype(np.float64)
        return sums

    def join(self, pairs: Whole) -> None:
        self.group = components(len(self.group), pairs)[self.group]

    def join_alike(self) -> None:
        """Join neighbours that carry the same."""
        ends = self.group[self.pairs]
        alike = (ends[:, 0] != ends[:, 1]) & (self.label[ends[:, 0]] == self.label[ends[:, 1]]).all(axis=1)
        alike &= self.hard[ends[:, 0]] == self.hard[ends[:, 1]]
        alike &= (self.whole[ends] == FREE).all(axis=1)
        if alike.any():
            self.join(np.unique(ends[alike], axis=0))

    def join_wholes(self, rows: Whole) -> None:
        """Join faces with the same number in ``whole``, wherever they lie."""
        rows = rows[np.argsort(self.whole[rows], kind="stable")]
        same = self.whole[rows[1:]] == self.whole[rows[:-1]]
        self.join(np.column_stack([rows[:-1][same], rows[1:][same]]))

    def move(self, source: Whole, target: Whole) -> None:
        """Join sources to targets: the joined group is called by its lowest face but carries what the target carried."""
        carried = self.label[target].copy(), self.hard[target].copy(), self.whole[target].copy()
        self.join(np.column_stack([source, target]))
        root = self.group[target]
        self.label[root], self.hard[root], self.whole[root] = carried

    def _scraps(self, attached: Whole, area: Floats) -> Flags:
        """Which groups are cut off from all others with their ``hard``, and hold less than half of its ground."""
        place = np.unique(self.hard, return_inverse=True)[1].ravel()
        ground = np.bincount(place, weights=self.area)[place]
        scraps: Flags = 2 * area < ground
        scraps[attached] = False
        return scraps

    def moves(self, slivers: Flags) -> tuple[Whole, Whole]:
        """Which groups go to which other groups in this round."""
        pairs, length = self.touching()
        area = self.per_group(self.area)
        same = self.hard[pairs[:, 0]] == self.hard[pairs[:, 1]]
        able = slivers[pairs[:, 0]] & (same | self._scraps(pairs[same, 0], area)[pairs[:, 0]])
        source, target, along = pairs[able, 0], pairs[able, 1], length[able]
        agree = (self.label[source] == self.label[target]).sum(axis=1)
        order = np.lexsort((target, -area[target], -along, -agree, source))
        source, target = source[order], target[order]
        first = np.ones(len(source), dtype=bool)
        first[1:] = source[1:] != source[:-1]
        source, target = source[first], target[first]
        larger = (area[target] > area[source]) | ((area[target] == area[source]) & (target < source))
        goes = np.zeros(len(area), dtype=bool)
        goes[source] = ~slivers[target] | larger
        now = goes[source] & ~goes[target]
        return source[now], target[now]


@dataclass(frozen=True)
class Dissolver:
    """What stays the same over the rounds.

    ``lengths`` are the metres of each piece of line; per face there are ``shapes`` in metres and ``inside``, whether it
    takes part.
    """

    plane: Arrangement
    lengths: Floats
    shapes: Geometries
    inside: Flags
    limits: Limits

    def dissolve(self, label: Whole, hard: Whole, whole: Whole) -> Dissolved:
        """Join what has the same labels (n faces, k), then dissolve slivers until none is left that can go.

        Nothing dissolves over a change of ``hard``, but for scraps that are cut off from everything else that carries
        theirs. Faces with the same number in ``whole`` form one cell whatever its size; FREE faces do not.
        """
        graph = self._graph(label.copy(), hard.copy(), whole.copy())
        graph.join_wholes(np.flatnonzero(self.inside & (whole != FREE)))
        known: dict[int, tuple[int, bool]] = {}
        while True:
            graph.join_alike()
            slivers = self._slivers(graph, known)
            source, target = graph.moves(slivers)
            if not len(source):
                return Dissolved(np.where(self.inside, graph.group, OUTSIDE), graph.label, graph.hard)
            graph.move(source, target)

    def _graph(self, label: Whole, hard: Whole, whole: Whole) -> _Graph:
        padded = np.append(self.inside, False)
        left, right = padded[self.plane.left], padded[self.plane.right]
        both, one = left & right, left ^ right
        outer = np.zeros(len(label))
        np.add.at(outer, np.where(left, self.plane.left, self.plane.right)[one], self.lengths[one])
        pairs = np.column_stack([self.plane.left, self.plane.right])[both]
        area = np.where(self.inside, shapely.area(self.shapes), 0.0)
        return _Graph(pairs, self.lengths[both], outer, np.arange(len(label)), label, hard, whole, area)

    def _slivers(self, graph: _Graph, known: dict[int, tuple[int, bool]]) -> Flags:
        """Flags by group; ``known`` remembers the width test by group, with the number of faces the group had then."""
        roots = np.unique(graph.group[self.inside])
        roots = roots[graph.whole[roots] == FREE]
        area, size = graph.per_group(graph.area), graph.per_group(None)
        slivers = np.zeros(len(area), dtype=bool)
        slivers[roots] = area[roots] < self.limits.min_area_m2 * (1 + _HAIR)
        pairs, length = graph.touching()
        perimeter = graph.per_group(graph.outer) + np.bincount(pairs[:, 0], weights=length, minlength=len(area))
        # The lattice's metres are not quite the projection's: five percent of room before the exact test.
        doubtful = roots[~slivers[roots] & (area[roots] < self.limits.min_width_m / 2 * 1.05 * perimeter[roots])]
        new = [root for root in doubtful.tolist() if known.get(root, (0, False))[0] != size[root]]
        if new:
            thin = self._are_thin(graph.group, new)
            known.update({root: (int(size[root]), t) for root, t in zip(new, thin, strict=True)})
        slivers[doubtful] = [known[root][1] for root in doubtful.tolist()]
        return slivers

    def _are_thin(self, group: Whole, roots: list[int]) -> list[bool]:
        order = np.argsort(group, kind="stable")
        starts = np.searchsorted(group[order], roots, side="left")
        ends = np.searchsorted(group[order], roots, side="right")
        members = [order[start:end] for start, end in zip(starts, ends, strict=True)]
        shapes = np.array([shapely.coverage_union_all(self.shapes[faces]) for faces in members], dtype=object)
        thin = are_thin(shapes, shapely.area(shapes), shapely.length(shapes), self.limits.min_width_m)
        return [bool(one) for one in thin]
