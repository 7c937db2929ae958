"""What is wrong with one network as its department drew it, each thing with the place to look at.

Overlaps and gaps come from the overlay that the merge itself makes (gis.overlay), repairs from reading the network
(gis.network): the map editor shows what the merge will meet, found in one way only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from gis.datum import Datum
from gis.merge_report import HAIRLINE_M2
from gis.network import GridId, Network
from gis.outline import judge
from gis.overlay import NOBODY, Ground, Overlay, overlay
from gis.region import SEPARATOR, TIERS
from gis.sliver import Limits, are_slivers, width_m

Whole = npt.NDArray[np.int64]
Geometries = npt.NDArray[np.object_]

_WHOLE_SHARE: Final = 0.8


class Kind(StrEnum):
    """The kinds of problem."""

    INVALID = "invalid"
    OVERLAP = "overlap"
    GAP = "gap"
    INVALID_EDGE = "invalid_edge"
    SLIVER = "sliver"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend, at ``geometry`` (lng/lat), with the ``grids`` that have part in it; a size that it has not is None."""

    kind: Kind
    grids: tuple[GridId, ...]
    geometry: BaseGeometry
    detail: str
    area_m2: float | None = None
    length_m: float | None = None


@dataclass(frozen=True, slots=True)
class Land:
    """A region's ground: what of the city a drawing lies in."""

    code: str
    tier: str
    scope: str
    shape: BaseGeometry


def find_problems(network: Network, limits: Limits) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """Everything wrong with a network, and a notice of what is too fine to be listed one by one."""
    found = overlay([network], None, None, limits)
    listed = [*_overlaps(network, found), *_gaps(network, found)]
    wide = [problem for problem in listed if (problem.area_m2 or 0.0) >= HAIRLINE_M2]
    fine = [problem.area_m2 or 0.0 for problem in listed if (problem.area_m2 or 0.0) < HAIRLINE_M2]
    notices = (
        (f"{len(fine)} overlaps and gaps below {HAIRLINE_M2:g} m2, {sum(fine):.2f} m2 together, are not listed",)
        if fine
        else ()
    )
    problems = (*_repairs(network), *wide, *_invalid_edges(network, found.ground), *_slivers(network, found, limits))
    return problems, notices


def _repairs(network: Network) -> list[Problem]:
    return [Problem(Kind.INVALID, (own.id,), own.geometry, own.reason) for own in network.repaired]


def _overlaps(network: Network, found: Overlay) -> list[Problem]:
    return [
        Problem(
            Kind.OVERLAP,
            tuple(network.ids[grid] for grid in claim.grids),
            found.outline(claim.pieces),
            f"counted to {network.ids[claim.taker]}",
            area_m2=_rounded(found.area[claim.pieces].sum()),
        )
        for claim in found.overlaps
    ]


def _gaps(network: Network, found: Overlay) -> list[Problem]:
    """Ground that the network encloses and no grid of it covers, with the grids around it."""
    label = found.label[:, 0]
    patches = found.patches(label == NOBODY)
    around = _around(found, label, patches)
    return [
        Problem(
            Kind.GAP,
            tuple(network.ids[grid] for grid in grids),
            found.outline(patch),
            f"no grid here, {len(grids)} around it",
            area_m2=_rounded(found.area[patch].sum()),
        )
        for patch, grids in zip(patches, around, strict=True)
    ]


def _around(found: Overlay, label: Whole, patches: Sequence[Whole]) -> list[list[int]]:
    """The grids that share an edge with each patch of faces, ascending."""
    plane = found.arrangement
    patch_of, grid_of = (np.full(len(label) + 1, NOBODY, dtype=np.int64) for _ in range(2))  # OUTSIDE is the last place
    grid_of[:-1] = label
    for number, patch in enumerate(patches):
        patch_of[patch] = number
    here, there = np.concatenate([plane.left, plane.right]), np.concatenate([plane.right, plane.left])
    pairs = np.column_stack([patch_of[here], grid_of[there]])
    around: list[list[int]] = [[] for _ in patches]
    for number, grid in np.unique(pairs[(pairs != NOBODY).all(axis=1)], axis=0).tolist():
        around[number].append(grid)
    return around


def _invalid_edges(network: Network, ground: Ground) -> list[Problem]:
    """Edges that another grid meets or crosses without having the very same edge, to the millimetre of the lattice."""
    lines = shapely.coverage_invalid_edges(ground.lattice.from_degrees(network.polygons))
    bad = np.flatnonzero(~shapely.is_empty(lines))
    shown = ground.lattice.to_degrees(lines[bad])
    length = shapely.length(ground.projection.metres(shown))
    return [
        Problem(
            Kind.INVALID_EDGE,
            (network.ids[grid],),
            line,
            "not the same edge as the grid beside it",
            length_m=_rounded(metres),
        )
        for grid, line, metres in zip(bad.tolist(), shown, length.tolist(), strict=True)
    ]


def _slivers(network: Network, found: Overlay, limits: Limits) -> list[Problem]:
    """Grids, or parts of grids, below the least size of a cell."""
    parts, grid = shapely.get_parts(network.polygons, return_index=True)
    metres = found.ground.projection.metres(parts)
    alone = np.bincount(grid)[grid] == 1
    return [
        Problem(
            Kind.SLIVER,
            (network.ids[grid[row]],),
            parts[row],
            f"{'' if alone[row] else 'a part of it is '}{width_m(metres[row]):.2f} m wide",
            area_m2=_rounded(shapely.area(metres[row])),
        )
        for row in np.flatnonzero(are_slivers(metres, limits)).tolist()
    ]


def outline_datum(polygons: Geometries, city: BaseGeometry) -> Datum | None:
    """The datum that polygons of the whole city, as drawn, are in for sure by their outline; None when it cannot be told.

    Polygons of a part of the city have an outline of their own, which says nothing.
    """
    whole = shapely.union_all(polygons)
    if not _WHOLE_SHARE <= shapely.area(whole) / shapely.area(city) <= 1 / _WHOLE_SHARE:
        return None
    judgement = judge(whole, city)
    return judgement.datum if judgement.is_sure else None


def homes(shapes: Geometries, lands: Sequence[Land]) -> list[str]:
    """The scope of the smallest region that holds the representative point of each shape; the city's where none does."""
    root = next(land.scope for land in lands if land.tier == "city")
    found = [(0, "", root)] * len(shapes)
    tree = shapely.STRtree([land.shape for land in lands])
    for shape, place in tree.query(shapely.point_on_surface(shapes), predicate="intersects").T.tolist():
        land = lands[place]
        deeper, held = TIERS.index(land.tier), found[shape]
        # On a shared edge the lowest code, as everywhere.
        if (-deeper, land.code) < (-held[0], held[1]):
            found[shape] = (deeper, land.code, land.scope)
    return [scope for _, _, scope in found]


def concerned(problems: Sequence[Problem], own: Sequence[str], scope_of: dict[GridId, str]) -> list[str]:
    """The scope of each problem: its ``own`` place and that of each of its grids. What two counties share is the city's."""
    return [
        shared([place, *(scope_of[grid] for grid in problem.grids if grid in scope_of)])
        for problem, place in zip(problems, own, strict=True)
    ]


def shared(scopes: Sequence[str]) -> str:
    """The scope of the smallest region that all of these lie in."""
    steps = zip(*(scope.split(SEPARATOR)[:-1] for scope in scopes), strict=False)
    return "".join(f"{step[0]}{SEPARATOR}" for step in takewhile(lambda step: len(set(step)) == 1, steps))


def _rounded(size: float) -> float:
    return round(float(size), 2)
