"""Slivers, and how they dissolve into the cells beside them.

A sliver is smaller than ``min_area_m2`` or narrower than ``min_width_m``, the diameter of the largest circle that fits inside.

It dissolves into the neighbour that agrees with most of its labels, then the one with the longest shared edge, then the larger,
then the first. Slivers dissolve in rounds: whoever would go to a sliver that goes itself in this round waits for the next, and
whoever would go to a smaller sliver waits for that one to come. So slivers reach real cells by their own labels, a round
has always something to do, and the result does not depend on any order of processing.
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
    """``group`` is the cell of each face (the lowest face in it), OUTSIDE for faces outside the city; ``stuck`` are the cells that
    are slivers still, because there is no neighbour to go to."""

    group: Whole
    label: Whole
    stuck: Whole


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


def width_m(shape: shapely.Geometry) -> float:
    """The diameter of the largest circle inside a polygon in metres, to the centimetre."""
    return float(2 * shapely.length(shapely.maximum_inscribed_circle(shape, tolerance=0.005)))


@dataclass
class _Graph:
    """Cells in the making: the faces' groups, and which groups touch over which length."""

    pairs: Whole
    along: Floats
    outer: Floats
    group: Whole

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

    def perimeter(self, pairs: Whole, length: Floats) -> Floats:
        found = np.bincount(self.group, weights=self.outer, minlength=len(self.group))
        return found + np.bincount(pairs[:, 0], weights=length, minlength=len(self.group))

    def join(self, pairs: Whole) -> None:
        self.group = components(len(self.group), pairs)[self.group]


@dataclass(frozen=True)
class Dissolver:
    """What stays the same over the rounds.

    Per face: ``area`` in m2, ``shapes`` in metres, ``hard`` a label over which nothing dissolves, ``whole`` a number for faces that
    form one cell whatever their size, FREE elsewhere. ``inside`` are the faces that take part.
    """

    plane: Arrangement
    lengths: Floats
    area: Floats
    shapes: Geometries
    inside: Flags
    hard: Whole
    whole: Whole
    limits: Limits

    def dissolve(self, label: Whole) -> Dissolved:
        """Join what has the same labels (n faces, k), then dissolve slivers until none is left that can go."""
        graph, label = self._graph(), label.copy()
        self._join_wholes(graph, label)
        known: dict[int, tuple[int, bool]] = {}
        while True:
            self._join_alike(graph, label)
            pairs, length = graph.touching()
            slivers = self._slivers(graph, pairs, length, known)
            source, target = self._moves(graph, pairs, length, label, slivers)
            if not len(source):
                break
            self._move(graph, label, source, target)
        group = np.where(self.inside, graph.group, OUTSIDE)
        return Dissolved(group, label, np.flatnonzero(slivers))

    def _graph(self) -> _Graph:
        padded = np.append(self.inside, False)
        left, right = padded[self.plane.left], padded[self.plane.right]
        both, one = left & right, left ^ right
        outer = np.zeros(len(self.area))
        np.add.at(outer, np.where(left, self.plane.left, self.plane.right)[one], self.lengths[one])
        pairs = np.column_stack([self.plane.left, self.plane.right])[both]
        return _Graph(pairs, self.lengths[both], outer, np.arange(len(self.area)))

    def _join_wholes(self, graph: _Graph, label: Whole) -> None:
        rows = np.flatnonzero(self.inside & (self.whole != FREE))
        if not len(rows):
            return
        rows = rows[np.argsort(self.whole[rows], kind="stable")]
        same = self.whole[rows[1:]] == self.whole[rows[:-1]]
        graph.join(np.column_stack([rows[:-1][same], rows[1:][same]]))
        label[:] = label[graph.group]

    def _join_alike(self, graph: _Graph, label: Whole) -> None:
        ends = graph.group[graph.pairs]
        alike = (ends[:, 0] != ends[:, 1]) & (label[ends[:, 0]] == label[ends[:, 1]]).all(axis=1)
        alike &= self.hard[ends[:, 0]] == self.hard[ends[:, 1]]
        alike &= (self.whole[ends] == FREE).all(axis=1)
        if alike.any():
            graph.join(np.unique(ends[alike], axis=0))

    def _slivers(self, graph: _Graph, pairs: Whole, length: Floats, known: dict[int, tuple[int, bool]]) -> Flags:
        """Flags by group; ``known`` remembers the width test by group and how many faces it had then."""
        roots = np.unique(graph.group[self.inside])
        roots = roots[self.whole[roots] == FREE]
        area = np.bincount(graph.group, weights=self.area, minlength=len(self.area))
        slivers = np.zeros(len(self.area), dtype=bool)
        slivers[roots] = area[roots] < self.limits.min_area_m2 * (1 + _HAIR)
        perimeter = graph.perimeter(pairs, length)
        doubtful = roots[~slivers[roots] & (area[roots] < self.limits.min_width_m / 2 * 1.02 * perimeter[roots])]
        size = np.bincount(graph.group, minlength=len(self.area))
        new = [root for root in doubtful.tolist() if known.get(root, (0, False))[0] != size[root]]
        if new:
            shapes = np.array([self._shape(graph, root) for root in new], dtype=object)
            thin = are_thin(shapes, shapely.area(shapes), shapely.length(shapes), self.limits.min_width_m)
            known.update({root: (int(size[root]), bool(t)) for root, t in zip(new, thin, strict=True)})
        for root in doubtful.tolist():
            slivers[root] = known[root][1]
        return slivers

    def _shape(self, graph: _Graph, root: int) -> shapely.Geometry:
        return shapely.coverage_union_all(self.shapes[(graph.group == root) & self.inside])

    def _moves(self, graph: _Graph, pairs: Whole, length: Floats, label: Whole, slivers: Flags) -> tuple[Whole, Whole]:
        """Which groups go to which other groups in this round."""
        none = np.empty(0, dtype=np.int64)
        able = slivers[pairs[:, 0]] & (self.hard[pairs[:, 0]] == self.hard[pairs[:, 1]])
        source, target, along = pairs[able, 0], pairs[able, 1], length[able]
        if not len(source):
            return none, none
        area = np.bincount(graph.group, weights=self.area, minlength=len(self.area))
        agree = (label[source] == label[target]).sum(axis=1)
        order = np.lexsort((target, -area[target], -along, -agree, source))
        source, target = source[order], target[order]
        first = np.ones(len(source), dtype=bool)
        first[1:] = source[1:] != source[:-1]
        source, target = source[first], target[first]
        larger = (area[target] > area[source]) | ((area[target] == area[source]) & (target < source))
        goes = np.zeros(len(self.area), dtype=bool)
        goes[source] = ~slivers[target] | larger
        now = goes[source] & ~goes[target]
        return source[now], target[now]

    def _move(self, graph: _Graph, label: Whole, source: Whole, target: Whole) -> None:
        """Join sources to targets; the joined group is called by its lowest face but keeps the target's labels."""
        taken = label[target].copy()
        hard, whole = self.hard[target].copy(), self.whole[target].copy()
        graph.join(np.column_stack([source, target]))
        root = graph.group[target]
        label[root], self.hard[root], self.whole[root] = taken, hard, whole
