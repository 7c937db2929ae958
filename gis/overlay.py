"""The plain overlay: every boundary of every network in one arrangement, and which grids claim each piece.

A piece that two grids of one network claim is an overlap. It goes to the smaller of the two, and to the lower id where they are
equally large: a small grid drawn on top of a large one is nearly always the later and more particular drawing, and giving
overlaps to the larger would make an enclave vanish. A piece that no grid of a network claims carries NOBODY there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from gis.arrangement import OUTSIDE, Arrangement, arrange, components, distinct, pieces
from gis.lattice import Lattice
from gis.network import Network
from gis.projection import EqualArea
from gis.sliver import Limits, are_slivers

Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Geometries = npt.NDArray[np.object_]

NOBODY: Final = -1


@dataclass(frozen=True)
class Ground:
    """Where the work happens: the lattice for cutting, the projection for sizes."""

    lattice: Lattice
    projection: EqualArea

    @classmethod
    def under(cls, geometries: Geometries) -> Ground:
        west, south, east, north = shapely.total_bounds(geometries).tolist()
        lattice = Lattice.around((west, south, east, north))
        return cls(lattice, EqualArea(*lattice.centre))

    def metres(self, lattice_polygons: Geometries) -> Geometries:
        """Lattice polygons in the equal-area projection."""
        return self.projection.metres(self.lattice.to_degrees(lattice_polygons))


@dataclass(frozen=True, slots=True)
class Claim:
    """``pieces`` that several ``grids`` (places in the network's ids, ascending) of ``network`` claim, in one connected patch."""

    network: int
    grids: tuple[int, ...]
    pieces: Whole
    taker: int


@dataclass(frozen=True)
class Overlay:
    """``label`` (n pieces, k networks) is the grid of each piece after overlaps are resolved, NOBODY where there is none.

    ``village`` is the village of each piece (NOBODY throughout where none are given). ``inside`` are the pieces that belong to the
    city. ``area`` is in m2.
    """

    ground: Ground
    arrangement: Arrangement
    label: Whole
    village: Whole
    inside: Flags
    area: Floats
    overlaps: tuple[Claim, ...]
    village_fill: tuple[tuple[Whole, int], ...] = ()

    def outline(self, chosen: Whole) -> BaseGeometry:
        """The pieces as one shape in degrees."""
        whole = shapely.coverage_union_all(self.arrangement.faces[chosen])
        return shapely.normalize(self.ground.lattice.to_degrees(np.array([whole], dtype=object))[0])

    def patches(self, chosen: Flags) -> list[Whole]:
        """The chosen pieces in connected patches."""
        return patches(self.arrangement, chosen)


def overlay(
    networks: Sequence[Network], villages: Network | None, boundary: BaseGeometry | None, limits: Limits
) -> Overlay:
    """Cut the networks by each other, by villages and by the boundary.

    Without a boundary the city is whatever any network covers, and holes that are slivers. Villages cover the city in
    the end: a piece without one gets the village beside it.
    """
    layers = [*networks, villages] if villages else list(networks)
    given = np.concatenate([layer.polygons for layer in layers])
    ground = Ground.under(given if boundary is None else np.append(given, boundary))
    drawn = [ground.lattice.from_degrees(layer.polygons) for layer in layers]
    edge = None if boundary is None else ground.lattice.from_degrees(np.array([boundary], dtype=object))
    lines = [pieces(polygons) for polygons in [*drawn, *([] if edge is None else [edge])]]
    plane = arrange(distinct(np.vstack(lines)))
    found = [_labelled(plane, number, polygons) for number, polygons in enumerate(drawn)]
    label = np.column_stack([column for column, _ in found[: len(networks)]])
    area = shapely.area(ground.metres(plane.faces))
    inside = _inside(plane, label, edge, ground, limits)
    village = found[-1][0] if villages else np.full(len(area), NOBODY)
    fill: tuple[tuple[Whole, int], ...] = ()
    if villages:
        village, fill = _filled(plane, village, inside, ground)
    claims = tuple(claim for _, own in found for claim in own if inside[claim.pieces].any())
    return Overlay(ground, plane, label, village, inside, area, claims, fill)


def patches(plane: Arrangement, chosen: Flags) -> list[Whole]:
    """The chosen faces, grouped by what hangs together over an edge, each group ascending, groups by their first face."""
    pairs = np.column_stack([plane.left, plane.right])
    pairs = pairs[(pairs != OUTSIDE).all(axis=1)]
    pairs = pairs[chosen[pairs].all(axis=1)]
    lowest = components(len(chosen), pairs)
    rows = np.flatnonzero(chosen)
    order = rows[np.argsort(lowest[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(lowest[order])) + 1
    return [patch for patch in np.split(order, starts) if len(patch)]


def _labelled(plane: Arrangement, number: int, polygons: Geometries) -> tuple[Whole, list[Claim]]:
    """The grid of each face, and the patches that several claim."""
    grid, face = plane.covering(polygons)
    # Smaller grids last, and of equals the lower id last, so that what is written last is what the rule says.
    order = np.lexsort((-grid, -shapely.area(polygons)[grid]))
    label = np.full(len(plane.faces), NOBODY, dtype=np.int64)
    label[face[order]] = grid[order]
    claimed = np.bincount(face, minlength=len(plane.faces)) > 1
    if not claimed.any():
        return label, []
    chosen = claimed[face]
    claimants: dict[int, list[int]] = {}
    for one, where in sorted(zip(grid[chosen].tolist(), face[chosen].tolist(), strict=True)):
        claimants.setdefault(where, []).append(one)
    by_grids: dict[tuple[int, ...], list[int]] = {}
    for where, grids in claimants.items():
        by_grids.setdefault(tuple(grids), []).append(where)
    found = []
    for grids, faces in sorted(by_grids.items()):
        mask = np.zeros(len(plane.faces), dtype=bool)
        mask[faces] = True
        found += [Claim(number, grids, patch, int(label[patch[0]])) for patch in patches(plane, mask)]
    return label, found


def _inside(plane: Arrangement, label: Whole, edge: Geometries | None, ground: Ground, limits: Limits) -> Flags:
    if edge is not None:
        inside = np.zeros(len(label), dtype=bool)
        inside[plane.covering(edge)[1]] = True
        return inside
    inside = (label != NOBODY).any(axis=1)
    holes = patches(plane, ~inside)
    if holes:
        shapes = np.array([shapely.coverage_union_all(plane.faces[hole]) for hole in holes], dtype=object)
        for hole, is_sliver in zip(holes, are_slivers(ground.metres(shapes), limits), strict=True):
            inside[hole] = is_sliver
    return inside


def _filled(
    plane: Arrangement, village: Whole, inside: Flags, ground: Ground
) -> tuple[Whole, tuple[tuple[Whole, int], ...]]:
    """Every patch without a village goes to the village with which it shares the longest edge."""
    village, fill = village.copy(), []
    lengths = plane.lengths(ground.lattice.scale)
    for patch in patches(plane, inside & (village == NOBODY)):
        here = np.zeros(len(village) + 1, dtype=bool)
        here[patch] = True
        across = np.concatenate([plane.right[here[plane.left]], plane.left[here[plane.right]]])
        along = np.concatenate([lengths[here[plane.left]], lengths[here[plane.right]]])
        known = (across != OUTSIDE) & (village[across] != NOBODY)
        if known.any():
            share = np.bincount(village[across[known]], weights=along[known])
            village[patch] = int(share.argmax())
            fill.append((patch, int(share.argmax())))
    return village, tuple(fill)
