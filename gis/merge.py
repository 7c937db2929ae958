"""Departments' work grids into one (三网融合): every point of the city in one cell that knows its grid in each network.

How it works, told once:

1. *Overlay.* All boundaries are cut by each other on one lattice (gis.arrangement). Each piece between them lies in at
   most one grid of each network; where a network contradicts itself the smaller grid wins (gis.overlay). The pieces of
   the overlay are the truth: whatever follows is accounted for against them, piece by piece.
2. *Snap.* Two departments that mean the same street draw it metres apart. Boundaries that run alongside each other
   within half the least width become one line: the city's outline stays, then villages, then the base network, then the
   others, those with most line first (gis.snap). What a network loses is the strip between its line and the one that
   stays, so whoever has most line would lose most: it keeps its own. The outline never moves, so the area of the city is
   untouched. Nothing wide enough to be a cell can close up.
3. *Label.* The snapped lines make a second arrangement. Each of its faces takes the labels of the overlay piece that
   holds most of its ground; ``None`` is a label like any other, where a network really has no grid.
4. *Dissolve.* Neighbours with the same labels are one cell. What is still too small or too narrow dissolves into the
   neighbour that agrees with most of its labels, then along the longest edge (gis.sliver); ground changes hands, it is
   never dropped. A sliver without a neighbour stays and is listed.

With villages no cell crosses a village's boundary; only scraps cut off from their village go to another. With a base
network the faces of one base grid (in one village) form one cell, whatever the others say, and each other network
contributes the grid that holds most of the cell.

Networks are taken by name, grids by id, lines by place: the order in which anything was given plays no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from gis.arrangement import Arrangement, arrange, distinct
from gis.cell_code import VILLAGE_CODE, Coded, Previous, assign
from gis.lattice import points, segments
from gis.network import GridId, Network
from gis.overlay import NOBODY, Overlay, most, overlay
from gis.sliver import FREE, Dissolver, Limits
from gis.snap import snap

Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Geometries = npt.NDArray[np.object_]


class NothingToMerge(ValueError):
    """Fewer than two networks, two with one name, or a base that is not among them."""


class NotACoverage(RuntimeError):
    """The merged cells overlap or leave gaps: a fault of the merge, never of its input."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A merged cell: outline in lng/lat (CGCS2000), area in m2, its grid in each network, its village where any are
    given."""

    code: str
    geometry: BaseGeometry
    area_m2: float
    sources: dict[str, GridId | None]
    village: str | None = None


@dataclass(frozen=True)
class Account:
    """Which ground of the overlay ended up where: row i says that ``area[i]`` m2 of overlay piece ``piece[i]`` lie in cell
    ``cell[i]``."""

    piece: Whole
    cell: Whole
    area: Floats


@dataclass(frozen=True)
class Merged:
    """Cells by code, and what a report needs: the overlay, the account and the labels (n cells, k networks) of the cells in the
    order of ``cells``; ``metres`` are their outlines in the projection; ``moved_m`` is each network's largest displacement."""

    networks: tuple[Network, ...]
    villages: Network | None
    base: str | None
    limits: Limits
    cells: tuple[Cell, ...]
    coded: Coded
    overlay: Overlay
    account: Account
    label: Whole
    metres: Geometries
    moved_m: tuple[float, ...]
    notices: tuple[str, ...] = field(default=())


def merge(
    networks: Sequence[Network],
    *,
    base: str | None = None,
    villages: Network | None = None,
    boundary: BaseGeometry | None = None,
    previous: Previous | None = None,
    limits: Limits | None = None,
) -> Merged:
    """One coverage out of two or more networks.

    ``boundary`` (lng/lat) is the city; without it the city is what any network covers. ``previous`` is an earlier
    result whose codes live on. Raises NothingToMerge, gis.lattice.TooWide, gis.cell_code.TooManyCells,
    gis.overlay.NoVillage.
    """
    limits = limits or Limits()
    networks = _in_order(networks, base)
    found = overlay(networks, villages, boundary, limits)
    rank = _rank(found, [n.name for n in networks], base)
    lines = found.arrangement.ends[rank >= 0]
    snapped = snap(lines, rank[rank >= 0], found.ground.lattice.scale, limits.min_width_m / 2)
    # Cutting is most of the work: where nothing moved it is done already.
    plane = found.arrangement if np.array_equal(snapped, found.arrangement.ends) else arrange(snapped)
    both = distinct(np.vstack([lines, snapped]))
    account = _account(found, plane, plane if np.array_equal(both, snapped) else arrange(both))
    group, label, village = _cells(found, plane, account, _place(networks, base), limits)
    return _finished(networks, villages, base, limits, previous, found, plane, account, group, label, village)


def _in_order(networks: Sequence[Network], base: str | None) -> tuple[Network, ...]:
    names = sorted(network.name for network in networks)
    if len(names) < 2:
        raise NothingToMerge("two networks or more are needed")
    if len(set(names)) < len(names):
        raise NothingToMerge(f"two networks have the same name: {', '.join(names)}")
    if base is not None and base not in names:
        raise NothingToMerge(f"the base {base!r} is none of the networks {', '.join(names)}")
    return tuple(sorted(networks, key=lambda network: network.name))


def _place(networks: Sequence[Network], base: str | None) -> int | None:
    return None if base is None else [network.name for network in networks].index(base)


def _rank(found: Overlay, names: Sequence[str], base: str | None) -> Whole:
    """The layer that each piece of line belongs to first: 0 outline, 1 villages, then networks, base first, then those
    with most line; -1 for none."""
    plane = found.arrangement
    drawn = [plane.parting(found.label[:, k]) for k in range(len(names))]
    lengths = plane.lengths(found.ground.lattice.scale)
    total = [round(float(lengths[own].sum())) for own in drawn]
    order = sorted(range(len(names)), key=lambda k: (names[k] != base, -total[k], names[k]))
    rank = np.full(len(plane.ends), -1, dtype=np.int64)
    for place, k in reversed(list(enumerate(order))):
        rank[drawn[k]] = 2 + place
    rank[plane.parting(found.village)] = 1
    within = np.append(found.inside, False)
    left, right = within[plane.left], within[plane.right]
    rank[~left & ~right] = -1
    rank[left ^ right] = 0
    return rank


def _account(found: Overlay, plane: Arrangement, fine: Arrangement) -> Account:
    """The faces of the snapped lines cut by the pieces of the overlay (``fine``); ``cell`` is the face for now."""
    piece, face = (np.full(len(fine.faces), NOBODY, dtype=np.int64) for _ in range(2))
    for place, faces in ((piece, found.arrangement.faces), (face, plane.faces)):
        outer, inner = fine.covering(faces)
        place[inner] = outer
    area = shapely.area(found.ground.metres(fine.faces))
    known = (piece != NOBODY) & (face != NOBODY) & np.append(found.inside, False)[piece]
    return Account(piece[known], face[known], area[known])


def _cells(
    found: Overlay, plane: Arrangement, account: Account, base: int | None, limits: Limits
) -> tuple[Whole, Whole, Whole]:
    """The cell (lowest face) of each face of the snapped lines, and labels and village of each cell in the row of
    that face."""
    kinds, kind = np.unique(np.column_stack([found.label, found.village]), axis=0, return_inverse=True)
    held = most(len(plane.faces), account.cell, kind.ravel()[account.piece], account.area)
    inside = held != NOBODY
    label, village = kinds[held, :-1], kinds[held, -1]
    shapes = found.ground.metres(plane.faces)
    whole = np.full(len(held), FREE, dtype=np.int64)
    if base is not None:
        whole = _whole(label[:, base], village, shapely.area(shapes), inside, limits)
        label = _majority(found, account, label, whole)
    lengths = plane.lengths(found.ground.lattice.scale)
    dissolved = Dissolver(plane, lengths, shapes, inside, limits).dissolve(label, village, whole)
    return dissolved.group, dissolved.label, dissolved.hard


def _whole(grid: Whole, village: Whole, area: Floats, inside: Flags, limits: Limits) -> Whole:
    """A number for each base grid in each village; FREE where there is none, or only a scrap that a village cut off."""
    whole = np.where(inside & (grid != NOBODY), grid * (int(village.max(initial=0)) + 2) + village + 1, FREE)
    place = np.unique(whole, return_inverse=True)[1].ravel()
    size = np.bincount(place, weights=area)[place]
    of_grid = np.bincount(np.maximum(grid, 0), weights=np.where(whole != FREE, area, 0.0))[np.maximum(grid, 0)]
    scrap = (size < limits.min_area_m2) & (2 * size < of_grid)
    return np.where(scrap, FREE, whole)


def _majority(found: Overlay, account: Account, label: Whole, whole: Whole) -> Whole:
    """Labels where every whole takes, in each network, the grid that holds most of it."""
    number = np.unique(whole, return_inverse=True)[1].ravel()
    label = label.copy()
    for k in range(label.shape[1]):
        held = most(len(label), number[account.cell], found.label[account.piece, k], account.area)
        label[:, k] = np.where(whole == FREE, label[:, k], held[number])
    return label


def _finished(
    networks: tuple[Network, ...],
    villages: Network | None,
    base: str | None,
    limits: Limits,
    previous: Previous | None,
    found: Overlay,
    plane: Arrangement,
    account: Account,
    group: Whole,
    label: Whole,
    village: Whole,
) -> Merged:
    roots = np.unique(group[group != NOBODY])
    polygons = _outlines(found, plane, group, roots)
    names = [str(own) for own in villages.ids] if villages else []
    coded_villages = bool(villages) and all(VILLAGE_CODE.match(name) for name in names)
    in_village = [names[place] for place in village[roots].tolist()] if villages else None
    coded = assign(polygons, in_village if coded_villages else None, previous, found.ground.projection)
    order = sorted(range(len(roots)), key=lambda cell: coded.codes[cell])
    metres = found.ground.projection.metres(polygons)
    cells = tuple(
        Cell(
            coded.codes[cell],
            polygons[cell],
            round(float(shapely.area(metres[cell])), 2),
            {
                n.name: n.ids[own] if own != NOBODY else None
                for n, own in zip(networks, label[roots[cell]], strict=True)
            },
            in_village[cell] if in_village else None,
        )
        for cell in order
    )
    number = np.full(len(group) + 1, NOBODY, dtype=np.int64)
    number[roots[order]] = np.arange(len(order))
    placed = Account(account.piece, number[group[account.cell]], account.area)
    moved_m = tuple(_moved_m(found, plane, group, label, k) for k in range(len(networks)))
    notices = () if not villages or coded_villages else ("villages have no 12-digit codes: cells are numbered plainly",)
    coded = Coded(tuple(cell.code for cell in cells), coded.kept, coded.retired)
    return Merged(
        networks,
        villages,
        base,
        limits,
        cells,
        coded,
        found,
        placed,
        label[roots[order]],
        metres[order],
        moved_m,
        notices,
    )


def _outlines(found: Overlay, plane: Arrangement, group: Whole, roots: Whole) -> Geometries:
    """The cells in degrees, a valid coverage. Raises NotACoverage."""
    order = np.argsort(group, kind="stable")
    starts, ends = (np.searchsorted(group[order], roots, side=side) for side in ("left", "right"))
    shapes = np.empty(len(roots), dtype=object)
    for cell, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        faces = plane.faces[order[start:end]]
        shapes[cell] = faces[0] if len(faces) == 1 else shapely.coverage_union_all(faces)
    polygons = shapely.orient_polygons(shapely.normalize(found.ground.lattice.to_degrees(shapes)))
    if not (shapely.is_valid(polygons).all() and shapely.coverage_is_valid(polygons)):
        raise NotACoverage(f"{len(polygons)} merged cells are no valid coverage")
    return polygons


def _moved_m(found: Overlay, plane: Arrangement, group: Whole, label: Whole, k: int) -> float:
    """How far from its network's own lines the boundary between two of its grids came to lie, at most, in metres.

    Measured at the ends and middles of its pieces; the outline of the city is left out, as it does not move.
    """
    now = _between(plane, group != NOBODY, label[group, k])
    before = _between(found.arrangement, found.inside, found.label[:, k])
    known = np.isin(now[:, 0], before) & np.isin(now[:, 1], before)
    ends = points(now[~known].ravel()).reshape(-1, 2, 2)
    if not len(ends) or not len(before):
        return 0.0
    scale = found.ground.lattice.scale
    tree = shapely.STRtree(segments((points(before.ravel()) * scale).reshape(-1, 2, 2)))
    asked = shapely.points(np.vstack([points(np.unique(now[~known])), ends.mean(axis=1)]) * scale)
    return float(tree.query_nearest(asked, all_matches=False, return_distance=True)[1].max())


def _between(plane: Arrangement, inside: Flags, label: Whole) -> Whole:
    """The pieces of line (n, 2 keys) that part two labels inside the city."""
    within = np.append(inside, False)
    found: Whole = plane.ends[plane.parting(label) & within[plane.left] & within[plane.right]]
    return found
