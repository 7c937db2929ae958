"""The plain overlay: every boundary of every network in one arrangement, and which grids claim each piece.

A piece that two grids of one network claim is an overlap. It goes to the smaller of the two, and to the lower id where
they are equally large: a small grid drawn on top of a large one is nearly always the later and more particular drawing,
and giving overlaps to the larger would make an enclave vanish. A piece that no grid of a network claims carries NOBODY
there.
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


class NoVillage(ValueError):
    """Villages were given that have nothing to do with the networks."""


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
    """``pieces`` that several ``grids`` (places in the network's ids, ascending) of ``network`` claim, in one
    connected patch."""

    network: int
    grids: tuple[int, ...]
    pieces: Whole
    taker: int


@dataclass(frozen=True)
class Overlay:
    """``label`` (n pieces, k networks) is the grid of each piece after overlaps are resolved, NOBODY where there is none.

    ``village`` is the village of each piece (NOBODY throughout where none are given). ``inside`` are the pieces that
    belong to the city. ``area`` is in m2.
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
        outline: BaseGeometry = shapely.normalize(self.ground.lattice.to_degrees(np.array([whole], dtype=object))[0])
        return outline

    def patches(self, chosen: Flags) -> list[Whole]:
        """The chosen pieces in connected patches."""
        return patches(self.arrangement, chosen)


def overlay(
    networks: Sequence[Network], villages: Network | None, boundary: BaseGeometry | None, limits: Limits
) -> Overlay:
    """Cut the networks by each other, by villages and by the boundary.

    Without a boundary the city is whatever any network covers, and holes that are slivers. Villages cover the city in
    the end: a piece without one gets the village beside it. Raises NoVillage.
    """
    layers = [*networks, villages] if villages else list(networks)
    given = np.concatenate([layer.polygons for layer in layers])
    ground = Ground.under(given if boundary is None else np.append(given, np.array([boundary], dtype=object)))
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


def patches(plane: Arrangement, chosen: Flags, kind: Whole | None = None) -> list[Whole]:
    """The chosen faces, grouped by what hangs together over an edge, each group ascending, groups by their first face.

    With ``kind``, one number per face, only faces of one kind hang together.
    """
    pairs = np.column_stack([plane.left, plane.right])
    pairs = pairs[(pairs != OUTSIDE).all(axis=1)]
    pairs = pairs[chosen[pairs].all(axis=1)]
    if kind is not None:
        pairs = pairs[kind[pairs[:, 0]] == kind[pairs[:, 1]]]
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
    claimants: dict[int, list[int]] = {}
    for one, where in sorted(zip(grid[claimed[face]].tolist(), face[claimed[face]].tolist(), strict=True)):
        claimants.setdefault(where, []).append(one)
    kinds = sorted({tuple(grids) for grids in claimants.values()})
    place = {grids: row for row, grids in enumerate(kinds)}
    kind = np.full(len(plane.faces), NOBODY, dtype=np.int64)
    for where, grids in claimants.items():
        kind[where] = place[tuple(grids)]
    found = [Claim(number, kinds[kind[p[0]]], p, int(label[p[0]])) for p in patches(plane, claimed, kind)]
    return label, sorted(found, key=lambda claim: (claim.grids, int(claim.pieces[0])))


def _inside(plane: Arrangement, label: Whole, edge: Geometries | None, ground: Ground, limits: Limits) -> Flags:
    inside = np.zeros(len(label), dtype=bool)
    if edge is not None:
        inside[plane.covering(edge)[1]] = True
        return inside
    inside |= (label != NOBODY).any(axis=1)
    holes = patches(plane, ~inside)
    if holes:
        shapes = np.array([shapely.coverage_union_all(plane.faces[hole]) for hole in holes], dtype=object)
        for hole, is_sliver in zip(holes, are_slivers(ground.metres(shapes), limits), strict=True):
            inside[hole] = is_sliver
    return inside


def _filled(
    plane: Arrangement, village: Whole, inside: Flags, ground: Ground
) -> tuple[Whole, tuple[tuple[Whole, int], ...]]:
    """Every patch without a village goes to the one with which it shares the longest edge, an island to the nearest."""
    without = patches(plane, inside & (village == NOBODY))
    patch_of = np.full(len(village) + 1, NOBODY, dtype=np.int64)
    for number, patch in enumerate(without):
        patch_of[patch] = number
    beside = np.append(village, NOBODY)
    here, there = np.concatenate([plane.left, plane.right]), np.concatenate([plane.right, plane.left])
    edge = np.flatnonzero((patch_of[here] != NOBODY) & (beside[there] != NOBODY))
    lengths = np.tile(plane.lengths(ground.lattice.scale), 2)[edge]
    taker = most(len(without), patch_of[here[edge]], beside[there[edge]], lengths)
    known = np.flatnonzero(inside & (village != NOBODY))
    if len(without) and not len(known):
        raise NoVillage("no village covers any of the ground that the networks cover")
    for number in np.flatnonzero(taker == NOBODY).tolist():
        face = shapely.coverage_union_all(plane.faces[without[number]])
        near = shapely.STRtree(plane.faces[known]).query_nearest(face)
        taker[number] = village[known[near]].min()
    village = village.copy()
    for patch, own in zip(without, taker.tolist(), strict=True):
        village[patch] = own
    return village, tuple(zip(without, taker.tolist(), strict=True))


def most(count: int, row: Whole, value: Whole, weight: Floats) -> Whole:
    """For each of ``count`` rows the value with the most weight, the lowest of equals; NOBODY for rows without any."""
    lowest = int(value.min(initial=0))
    span = int(value.max(initial=0)) - lowest + 1
    number, place = np.unique(row * span + (value - lowest), return_inverse=True)
    total = np.bincount(place, weights=weight, minlength=len(number))
    order = np.lexsort((-number, total))  # the heaviest, and of equals the lowest, is written last
    found = np.full(count, NOBODY, dtype=np.int64)
    found[number[order] // span] = number[order] % span + lowest
    return found
