"""The demo city: regions of five tiers with exactly nested, synthetic geometry (示意).

Codes and names are real, the geometry comes from codes and a random seed alone and is no map of anywhere. The faces of
a mesh are drawn first; they are shared out to county-level centres, towns and villages from the top down, and every
region is the union of what it got. Three departments draw their networks on the same mesh (command_center.demo.networks),
and the city's cells are what the merge makes of them (gis.merge), county by county: villages cut cells, so no cell
depends on what another county drew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from command_center.demo import scenery
from command_center.demo.division import CITY_CODE, CITY_NAME, Division, counties, towns
from command_center.demo.networks import Grid, draw_grids, outlined, together
from command_center.demo.partition import Labels, partition, spread
from command_center.demo.plane import Points, to_lng_lat, to_metres
from command_center.demo.scenery import Feature
from command_center.demo.tessellation import Peak, Tessellation, outline, tessellate
from gis.merge import Cell, merge
from gis.network import GridId, Network
from gis.region import SEPARATOR, Region

NOTICE: Final = {
    "zh-CN": "示意：代码与名称为真实数据，图形为程序生成，不代表任何真实位置或界线",
    "en": "Synthetic: codes and names are real, shapes are generated and stand for no real place or boundary",
}
AREA_M2 = 8_500_000_000.0
FACES = 6_400
# Coarse enough that the merge of the whole city does not keep a first start waiting.
STRAIGHT_BELOW_M: Final = 400.0
# How many villages a town of each kind gets, and the order in which towns take the densest parts of their county.
VILLAGES_BY_KIND: Final = {"街道": 7, "功能区": 4, "镇": 6, "乡": 5}
_COMMUNITY_KINDS = ("街道", "功能区")
_VILLAGE_COMMITTEE_FROM = 200


@dataclass(frozen=True, slots=True)
class Place:
    """A region and its polygon in lng/lat."""

    region: Region
    geometry: Polygon


@dataclass(frozen=True, slots=True)
class CellPlace(Place):
    """A merged cell: its area in m2 and its grid in each network."""

    area_m2: float
    sources: Mapping[str, GridId | None]


@dataclass(frozen=True)
class DemoCity:
    """``regions`` are the upper four tiers, city first; ``cells`` the tier ``grid``, merged from ``networks``; ``water``
    also holds the roads."""

    seed: int
    regions: tuple[Place, ...]
    cells: tuple[CellPlace, ...]
    networks: tuple[Network, ...]
    water: tuple[Feature, ...]
    notice: dict[str, str] = field(default_factory=lambda: dict(NOTICE))

    @property
    def places(self) -> tuple[Place, ...]:
        """Every region of every tier, parents before children."""
        return self.regions + self.cells


@dataclass(frozen=True, slots=True)
class _Group:
    """A region before it has a polygon: the indices of its faces."""

    code: str
    name: str
    tier: str
    parent: str | None
    scope: str
    kind: str
    inferred: bool
    faces: Labels


def make_city(seed: int = 20260101) -> DemoCity:
    """The whole city, the same for the same seed."""
    rng = np.random.default_rng(seed)
    border = outline(rng, AREA_M2)
    centres, villages = counties(), _by_parent(towns())
    seats = _seats(rng, centres, float(np.sqrt(AREA_M2 / np.pi)))
    mesh = tessellate(rng, border, _peaks(centres, seats), FACES, straight_below_m=STRAIGHT_BELOW_M)
    groups = list(_groups(rng, mesh, centres, villages, seats))
    polygons = np.array([Polygon(to_lng_lat(np.array(ring))) for ring in mesh.rings])
    drawn = [_networks(rng, mesh, polygons, groups, centre.code) for centre in centres]
    cells = [
        cell
        for networks, centre in zip(drawn, centres, strict=True)
        for cell in _merged(networks, groups, polygons, centre.code)
    ]
    regions = tuple(_regions(groups, cells))
    of_village = {place.region.code: place.region for place in regions if place.region.tier == "village"}
    places = tuple(_cell_place(cell, of_village[str(cell.village)]) for cell in cells)
    return DemoCity(seed, regions, places, together(drawn), _scenery(rng, regions, seats))


def _by_parent(divisions: Sequence[Division]) -> dict[str, list[Division]]:
    found: dict[str, list[Division]] = {}
    for division in divisions:
        found.setdefault(division.parent, []).append(division)
    return found


def _seats(rng: np.random.Generator, centres: Sequence[Division], radius: float) -> Points:
    """Where the nine centres stand: districts in the middle, zones around them, counties far out; angles are random."""
    far = {"区": (0.07, 0.10), "功能区": (0.20, 0.36), "县": (0.56, 0.64)}
    start = {kind: rng.uniform(0, 2 * np.pi) for kind in far}
    found = []
    for centre in centres:
        same = [c.code for c in centres if c.kind == centre.kind]
        angle = start[centre.kind] + 2 * np.pi * (same.index(centre.code) + rng.uniform(-0.12, 0.12)) / len(same)
        reach = radius * rng.uniform(*far[centre.kind])
        found.append((reach * np.cos(angle), reach * np.sin(angle)))
    return np.array(found)


def _peaks(centres: Sequence[Division], seats: Points) -> tuple[Peak, ...]:
    weight = {"区": 11.0, "功能区": 7.0, "县": 10.0}
    reach = {"区": 4_200.0, "功能区": 2_600.0, "县": 4_800.0}
    return tuple(Peak(x, y, weight[c.kind], reach[c.kind]) for c, (x, y) in zip(centres, seats.tolist(), strict=True))


def _groups(
    rng: np.random.Generator,
    mesh: Tessellation,
    centres: Sequence[Division],
    villages: dict[str, list[Division]],
    seats: Points,
) -> Iterator[_Group]:
    """City, counties, towns and villages, each parent before its children."""
    everything = np.arange(len(mesh.points))
    city = _Group(CITY_CODE, CITY_NAME, "city", None, CITY_CODE + SEPARATOR, "市", inferred=False, faces=everything)
    sizes = [sum(VILLAGES_BY_KIND[town.kind] for town in villages[centre.code]) for centre in centres]
    yield city
    shares = _shares(mesh, everything, sizes, seats, sites_move=False)
    for centre, faces in zip(centres, shares, strict=True):
        county = _child(city, centre.code, centre.name, "county", centre.kind, faces, inferred=centre.inferred)
        yield county
        yield from _town_groups(rng, mesh, county, villages[centre.code])


def _town_groups(
    rng: np.random.Generator, mesh: Tessellation, county: _Group, divisions: list[Division]
) -> Iterator[_Group]:
    ranked = sorted(divisions, key=lambda town: (list(VILLAGES_BY_KIND).index(town.kind), town.code))
    sites = _densest_first(mesh.points[county.faces], spread(rng, mesh.points[county.faces], len(ranked)))
    shares = _shares(mesh, county.faces, [VILLAGES_BY_KIND[town.kind] for town in ranked], sites)
    for town, faces in sorted(zip(ranked, shares, strict=True), key=lambda pair: pair[0].code):
        # The town itself is published; only which zone holds it may be inferred, and that stands in parentage.csv.
        township = _child(county, town.code, town.name, "township", town.kind, faces, inferred=False)
        yield township
        yield from _village_groups(rng, mesh, township)


def _village_groups(rng: np.random.Generator, mesh: Tessellation, township: _Group) -> Iterator[_Group]:
    count = min(VILLAGES_BY_KIND[township.kind], len(township.faces))
    sites = spread(rng, mesh.points[township.faces], count)
    shares = _shares(mesh, township.faces, [1] * count, sites)
    kind = "社区" if township.kind in _COMMUNITY_KINDS else "村"
    first = 0 if kind == "社区" else _VILLAGE_COMMITTEE_FROM - 1
    for number, faces in enumerate(_reading_order(mesh.points, shares), start=1):
        code = f"{township.code}{first + number:03d}"
        yield _child(township, code, f"第{number}{kind}", "village", kind, faces, inferred=True)


def _child(
    parent: _Group | Region, code: str, name: str, tier: str, kind: str, faces: Labels, *, inferred: bool
) -> _Group:
    return _Group(code, name, tier, parent.code, f"{parent.scope}{code}{SEPARATOR}", kind, inferred, faces)


def _shares(
    mesh: Tessellation, faces: Labels, sizes: Sequence[int], sites: Points, *, sites_move: bool = True
) -> list[Labels]:
    """The faces of each group, as indices into the whole mesh."""
    position = np.full(len(mesh.points), -1)
    position[faces] = np.arange(len(faces))
    pairs = position[mesh.neighbours]
    labels = partition(mesh.points[faces], sizes, sites, pairs[(pairs >= 0).all(axis=1)], sites_move=sites_move)
    return [faces[labels == group] for group in range(len(sizes))]


def _densest_first(points: Points, sites: Points) -> Points:
    """Sites in the order of how many of the points stand close by."""
    squared = ((sites[:, None, :] - points[None, :, :]) ** 2).sum(axis=2)
    reach = np.sort(squared, axis=1)[:, min(12, len(points) - 1)]
    return sites[np.argsort(reach, kind="stable")]


def _reading_order(points: Points, shares: Sequence[Labels]) -> list[Labels]:
    """From north to south, so that numbers can be found on a map."""
    return sorted(shares, key=lambda faces: (-points[faces, 1].mean(), points[faces, 0].mean()))


def _union(polygons: npt.NDArray[np.object_]) -> Polygon:
    return _one(shapely.normalize(shapely.coverage_union_all(polygons)))


def _one(whole: BaseGeometry) -> Polygon:
    parts = [part for part in shapely.get_parts(whole) if isinstance(part, Polygon)]
    if len(parts) != 1:
        raise AssertionError(f"a region fell into {len(parts)} pieces")
    return parts[0]


def _place(group: _Group, polygon: Polygon) -> Place:
    middle = polygon.centroid if polygon.contains(polygon.centroid) else polygon.point_on_surface()
    region = Region(
        group.code,
        group.name,
        group.tier,
        group.parent,
        group.scope,
        group.kind,
        group.inferred,
        round(middle.x, 6),
        round(middle.y, 6),
    )
    return Place(region, polygon)


def _networks(
    rng: np.random.Generator,
    mesh: Tessellation,
    polygons: npt.NDArray[np.object_],
    groups: Sequence[_Group],
    county: str,
) -> tuple[Network, ...]:
    """What the departments drew in one county."""
    drawn: dict[str, list[Grid]] = {}
    for town in (group for group in groups if group.tier == "township" and group.parent == county):
        villages = [group.faces for group in groups if group.parent == town.code]
        for name, grids in draw_grids(rng, mesh, town.code, villages).items():
            drawn.setdefault(name, []).extend(grids)
    return outlined(rng, county, drawn, polygons)


def _merged(
    networks: Sequence[Network], groups: Sequence[_Group], polygons: npt.NDArray[np.object_], county: str
) -> tuple[Cell, ...]:
    """The cells of one county, cut by its villages."""
    path = f"{SEPARATOR}{county}{SEPARATOR}"
    inside = [group for group in groups if path in group.scope]
    villages = sorted((group for group in inside if group.tier == "village"), key=lambda group: group.code)
    shapes = np.array([_union(polygons[group.faces]) for group in villages])
    layer = Network("villages", tuple(group.code for group in villages), shapes, len(villages))
    return merge(networks, villages=layer, boundary=_union(polygons[inside[0].faces])).cells


def _regions(groups: Sequence[_Group], cells: Sequence[Cell]) -> Iterator[Place]:
    """The upper four tiers. Where lines of several departments cross, the merge bends a village's line by a millimetre: so
    that all tiers nest exactly, every region is drawn as the union of its cells."""
    of_village: dict[str, list[BaseGeometry]] = {}
    for cell in cells:
        of_village.setdefault(str(cell.village), []).append(cell.geometry)
    for group in groups:
        villages = [below.code for below in groups if below.tier == "village" and below.scope.startswith(group.scope)]
        yield _place(group, _union(np.array([shape for code in villages for shape in of_village[code]])))


def _cell_place(cell: Cell, village: Region) -> CellPlace:
    serial = int(cell.code.removeprefix(village.code))
    group = _child(
        village, cell.code, f"第{serial}网格", "grid", "单元网格", np.array([], dtype=np.int64), inferred=True
    )
    place = _place(group, _one(cell.geometry))
    return CellPlace(place.region, place.geometry, cell.area_m2, cell.sources)


def _scenery(rng: np.random.Generator, regions: Sequence[Place], seats: Points) -> tuple[Feature, ...]:
    room = Polygon(to_metres(np.array(regions[0].geometry.exterior.coords)))
    lake = scenery.lake(rng, room, seats)
    rivers = scenery.rivers(rng, room, lake, seats)
    drawn: list[tuple[str, str, int, BaseGeometry]] = [("示意湖", "lake", 1, lake)]
    drawn += [(name, "river", 1, line) for name, line in zip(("示意河甲", "示意河乙"), rivers, strict=True)]
    trunks = scenery.trunk_roads(rng, room, seats)
    drawn += [(f"示意干路{n}", "road", 1, line) for n, line in enumerate(trunks, start=1)]
    drawn += [(f"示意支路{n}", "road", 2, line) for n, line in enumerate(_branches(rng, room, regions, seats), start=1)]
    return tuple(Feature(name, kind, rank, scenery.degrees(shape)) for name, kind, rank, shape in drawn)


def _branches(
    rng: np.random.Generator, room: Polygon, regions: Sequence[Place], seats: Points
) -> Iterator[shapely.LineString]:
    centres = [place.region.code for place in regions if place.region.tier == "county"]
    for code, seat in zip(centres, seats, strict=True):
        middles = [
            (p.region.lng, p.region.lat) for p in regions if p.region.tier == "township" and p.region.parent == code
        ]
        yield from scenery.town_roads(rng, room, np.vstack([seat, to_metres(np.array(middles))]))
