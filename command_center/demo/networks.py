"""Three networks of work grids over the demo city, as three departments would draw them (synthetic, 示意).

Every grid is a union of faces of one mesh, so the networks share most of their lines and differ elsewhere:

- emergency (应急): a village, or two that touch;
- public order (综治): about three faces, shared out within a township and so across villages;
- urban management (城管): one face, or two that touch.

In one county the first two were drawn again from another base map: every corner inside the county lies 1 to 3 m off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from command_center.demo.partition import Labels, clusters
from command_center.demo.plane import Points, to_lng_lat, to_metres
from command_center.demo.tessellation import Tessellation
from gis.network import GridId, Network

Geometries = npt.NDArray[np.object_]

EMERGENCY: Final = "emergency"
PUBLIC_ORDER: Final = "public_order"
URBAN_MANAGEMENT: Final = "urban_management"
REDRAWN_COUNTY: Final = "321311"  # 宿豫区

_PREFIX: Final = {EMERGENCY: "YJ", PUBLIC_ORDER: "ZZ", URBAN_MANAGEMENT: "CG"}
_REDRAWN: Final = (EMERGENCY, PUBLIC_ORDER)
_OFF_M: Final = (1.0, 3.0)
_VILLAGES_PAIRED: Final = 0.4
_FACES_PAIRED: Final = 0.35
_FACES_A_GRID: Final = 3.2  # of public order


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid of one department before it has an outline: its id and the faces of the mesh in it."""

    id: GridId
    faces: Labels


def draw_grids(
    rng: np.random.Generator, mesh: Tessellation, town: str, villages: Sequence[Labels]
) -> Mapping[str, list[Grid]]:
    """Each network's grids in one township (its code), whose villages are given by their faces."""
    faces = np.sort(np.concatenate(villages))
    village = np.full(len(mesh.points), -1)
    for number, own in enumerate(villages):
        village[own] = number
    beside = mesh.neighbours[np.isin(mesh.neighbours, faces).all(axis=1)]
    touching = np.unique(np.sort(village[beside], axis=1), axis=0)
    place = np.full(len(mesh.points), -1)
    place[faces] = np.arange(len(faces))
    share = clusters(rng, mesh.points[faces], max(1, round(len(faces) / _FACES_A_GRID)), place[beside])
    drawn = {
        EMERGENCY: [
            np.concatenate([villages[v] for v in group])
            for group in _pairs(rng, len(villages), touching, _VILLAGES_PAIRED)
        ],
        PUBLIC_ORDER: [faces[share == number] for number in range(share.max() + 1)],
        URBAN_MANAGEMENT: [faces[group] for group in _pairs(rng, len(faces), place[beside], _FACES_PAIRED)],
    }
    return {name: _numbered(mesh.points, town, _PREFIX[name], groups) for name, groups in drawn.items()}


def outlined(
    rng: np.random.Generator, county: str, drawn: Mapping[str, Sequence[Grid]], polygons: Geometries
) -> tuple[Network, ...]:
    """The networks of one county with outlines, made of the mesh's ``polygons`` (lng/lat)."""
    faces = np.sort(np.concatenate([grid.faces for grid in next(iter(drawn.values()))]))
    found = []
    for name, grids in drawn.items():
        off = polygons.copy()
        if county == REDRAWN_COUNTY and name in _REDRAWN:
            off[faces] = _redrawn(rng, polygons[faces])
        ordered = sorted(grids, key=lambda grid: str(grid.id))
        shapes = np.empty(len(ordered), dtype=object)
        shapes[:] = [shapely.normalize(shapely.coverage_union_all(off[grid.faces])) for grid in ordered]
        found.append(Network(name, tuple(grid.id for grid in ordered), shapes, len(ordered)))
    return tuple(found)


def together(counties: Sequence[Sequence[Network]]) -> tuple[Network, ...]:
    """The same networks of several counties as networks of the city."""
    return tuple(_joined(parts) for parts in zip(*counties, strict=True))


def _joined(parts: Sequence[Network]) -> Network:
    grids = sorted(
        (pair for part in parts for pair in zip(part.ids, part.polygons, strict=True)), key=lambda pair: str(pair[0])
    )
    shapes = np.empty(len(grids), dtype=object)
    shapes[:] = [shape for _, shape in grids]
    return Network(parts[0].name, tuple(own for own, _ in grids), shapes, len(grids))


def _pairs(rng: np.random.Generator, count: int, touching: Labels, share: float) -> list[list[int]]:
    """Things in ones and twos: about a ``share`` of them are paired with one that they touch."""
    partner: dict[int, int] = {}
    apart = touching[touching[:, 0] != touching[:, 1]]
    for one, other in rng.permutation(apart).tolist():
        if len(partner) < share * count and one not in partner and other not in partner:
            partner[one], partner[other] = other, one
    return [
        [thing] if thing not in partner else [thing, partner[thing]]
        for thing in range(count)
        if thing <= partner.get(thing, thing)
    ]


def _numbered(points: Points, town: str, prefix: str, groups: Sequence[Labels]) -> list[Grid]:
    """From north to south, as a department numbers its grids."""
    ordered = sorted(groups, key=lambda faces: (-points[faces, 1].mean(), points[faces, 0].mean()))
    return [Grid(f"{prefix}{town}{serial:03d}", faces) for serial, faces in enumerate(ordered, start=1)]


def _redrawn(rng: np.random.Generator, polygons: Geometries) -> Geometries:
    """The polygons with every corner off, but for those on the outline of them all: the county's line is everybody's."""
    rim = set(map(tuple, shapely.get_coordinates(shapely.coverage_union_all(polygons)).tolist()))
    at = np.unique(shapely.get_coordinates(polygons), axis=0)
    angle, off = rng.uniform(0, 2 * np.pi, len(at)), rng.uniform(*_OFF_M, len(at))
    moved = to_lng_lat(to_metres(at) + np.column_stack([np.cos(angle), np.sin(angle)]) * off[:, None])
    target = {
        place: place if place in rim else there
        for place, there in zip(map(tuple, at.tolist()), map(tuple, moved.tolist()), strict=True)
    }
    found: Geometries = shapely.transform(polygons, lambda old: np.array([target[p] for p in map(tuple, old.tolist())]))
    return found
