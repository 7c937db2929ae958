"""Cells of a synthetic city: a smooth random outline filled with Voronoi cells that are denser around the seats.

Pairs of points mirrored on the outline make the outline itself an edge of the Voronoi diagram, so nothing has to be clipped and
the cells form a valid coverage. Edges are then roughened: each shared edge once, so that both neighbours get the same vertices.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import Polygon

from command_center.demo.plane import Points
from gis.arrangement import components

Vertex = tuple[float, float]
Edge = tuple[Vertex, Vertex]

_OUTLINE_GAP_M = 1_150.0
_MIRROR_M = 420.0
_RELAXATIONS = 8
_ROUGHNESS = 0.13
_SHORTEST_EDGE_M = 25.0
_VERTEX_DECIMALS = 1


@dataclass(frozen=True, slots=True)
class Peak:
    """A seat around which cells are smaller: ``weight`` times denser at its middle, falling off within ``reach_m``."""

    x: float
    y: float
    weight: float
    reach_m: float


@dataclass(frozen=True)
class Tessellation:
    """Cells as closed rings of vertices in metres, in the order of ``points``."""

    points: Points
    rings: tuple[tuple[Vertex, ...], ...]

    @cached_property
    def neighbours(self) -> npt.NDArray[np.int64]:
        """Pairs (m, 2) of cells that share an edge."""
        owners: dict[Edge, list[int]] = {}
        for cell, ring in enumerate(self.rings):
            for edge in edges(ring):
                owners.setdefault(edge, []).append(cell)
        return np.array([pair for pair in owners.values() if len(pair) == 2], dtype=np.int64)


def edges(ring: tuple[Vertex, ...]) -> list[Edge]:
    """The undirected edges of a closed ring."""
    return [(a, b) if a < b else (b, a) for a, b in pairwise(ring)]


def outline(rng: np.random.Generator, area_m2: float) -> Points:
    """A smooth closed curve around the origin (n, 2), first point not repeated, enclosing ``area_m2``."""
    angle = np.linspace(0, 2 * np.pi, 4096, endpoint=False)
    radius = np.ones_like(angle)
    for wave in range(2, 9):
        radius += rng.uniform(0.3, 1.0) * 0.20 / wave * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    curve = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    curve *= np.sqrt(area_m2 / Polygon(curve).area)
    return _even(curve, _OUTLINE_GAP_M)


def density(points: Points, peaks: Iterable[Peak]) -> npt.NDArray[np.float64]:
    """Relative number of cells an area should hold at each point; 1 far from every seat."""
    found = np.ones(len(points))
    for peak in peaks:
        far = ((points - (peak.x, peak.y)) ** 2).sum(axis=1) / peak.reach_m**2
        found += peak.weight * (0.8 * np.exp(-far / 2) + 0.2 * np.exp(-far / 12))
    return found


def tessellate(
    rng: np.random.Generator, border: Points, peaks: tuple[Peak, ...], count: int, *, straight_below_m: float
) -> Tessellation:
    """Exactly ``count`` cells that fill the border's polygon; edges are rough down to pieces of ``straight_below_m``."""
    inner, outer = _mirrored(border)
    room = Polygon(inner)
    free = _scatter(rng, room, peaks, count - len(inner))
    for _ in range(_RELAXATIONS):
        free = _relaxed(np.vstack([free, inner, outer]), len(free), room)
    points = np.vstack([free, inner])
    return Tessellation(points, _roughened(_voronoi(np.vstack([points, outer]))[: len(points)], straight_below_m))


def _even(curve: Points, gap: float) -> Points:
    closed = np.vstack([curve, curve[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    stops = np.linspace(0, along[-1], round(along[-1] / gap), endpoint=False)
    return np.column_stack([np.interp(stops, along, closed[:, axis]) for axis in (0, 1)])


def _mirrored(border: Points) -> tuple[Points, Points]:
    tangent = np.roll(border, -1, axis=0) - np.roll(border, 1, axis=0)
    normal = np.column_stack([tangent[:, 1], -tangent[:, 0]]) / np.hypot(*tangent.T)[:, None]
    return border - normal * _MIRROR_M, border + normal * _MIRROR_M


def _scatter(rng: np.random.Generator, room: Polygon, peaks: tuple[Peak, ...], count: int) -> Points:
    """Points inside the room by rejection, as many per area as the density asks for."""
    left, low, right, high = room.bounds
    ceiling = 1.0 + sum(peak.weight for peak in peaks)
    found = np.empty((0, 2))
    while len(found) < count:
        tried = rng.uniform((left, low), (right, high), size=(200_000, 2))
        tried = tried[rng.uniform(0, ceiling, len(tried)) < density(tried, peaks)]
        found = np.vstack([found, tried[shapely.contains_xy(room, *tried.T)]])
    return found[:count]


def _relaxed(points: Points, moving: int, room: Polygon) -> Points:
    """One Lloyd step of the first ``moving`` points; those that would leave the room stay."""
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.MultiPoint(points), ordered=True))[:moving]
    middles: Points = shapely.get_coordinates(shapely.centroid(cells))
    stays = ~shapely.contains_xy(room, *middles.T)
    middles[stays] = points[:moving][stays]
    return middles


def _voronoi(points: Points) -> list[tuple[Vertex, ...]]:
    """Closed rings of the Voronoi cells in point order; vertices closer than a street is wide are one."""
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.MultiPoint(points), ordered=True))
    at, cell = shapely.get_coordinates(cells, return_index=True)
    at, vertex = np.unique(np.round(at, _VERTEX_DECIMALS), axis=0, return_inverse=True)
    vertex = vertex.ravel()
    ends = np.column_stack([vertex[:-1], vertex[1:]])[cell[:-1] == cell[1:]]
    short = ends[np.hypot(*(at[ends[:, 0]] - at[ends[:, 1]]).T) < _SHORTEST_EDGE_M]
    vertex = components(len(at), short)[vertex]
    new = np.ones(len(vertex), dtype=bool)
    new[1:] = (vertex[1:] != vertex[:-1]) | (cell[1:] != cell[:-1])
    vertex, cell = vertex[new], cell[new]
    stops = np.searchsorted(cell, np.arange(len(cells) + 1))
    corners = [(x, y) for x, y in at[vertex].tolist()]
    return [tuple(corners[start:stop]) for start, stop in pairwise(stops.tolist())]


def _roughened(rings: list[tuple[Vertex, ...]], straight_below_m: float) -> tuple[tuple[Vertex, ...], ...]:
    """Rings with rough edges; edges of cells that this would break stay straight."""
    straight: set[Edge] = set()
    while True:
        rough = tuple(_rough_ring(ring, straight, straight_below_m) for ring in rings)
        polygons = np.array([Polygon(ring) for ring in rough])
        broken = ~shapely.is_valid(polygons) | (shapely.length(shapely.coverage_invalid_edges(polygons)) > 0)
        found = {edge for cell in np.flatnonzero(broken) for edge in edges(rings[cell])}
        if not found - straight:
            return rough
        straight |= found


def _rough_ring(ring: tuple[Vertex, ...], straight: set[Edge], straight_below_m: float) -> tuple[Vertex, ...]:
    found: list[Vertex] = []
    for a, b in pairwise(ring):
        first, last = (a, b) if a < b else (b, a)
        between = [] if (first, last) in straight else _displaced(first, last, straight_below_m)
        found += [a, *(between if a == first else between[::-1])]
    return (*found, ring[-1])


def _displaced(a: Vertex, b: Vertex, straight_below_m: float) -> list[Vertex]:
    """Vertices between two others, moved sideways by an amount that depends on the two alone."""
    length = float(np.hypot(b[0] - a[0], b[1] - a[1]))
    if length < straight_below_m:
        return []
    swing = (_fraction(a, b) - 0.5) * 2 * _ROUGHNESS
    middle = (
        round((a[0] + b[0]) / 2 - (b[1] - a[1]) * swing, _VERTEX_DECIMALS),
        round((a[1] + b[1]) / 2 + (b[0] - a[0]) * swing, _VERTEX_DECIMALS),
    )
    return [*_displaced(a, middle, straight_below_m), middle, *_displaced(middle, b, straight_below_m)]


def _fraction(a: Vertex, b: Vertex) -> float:
    """A number from 0 to 1 that looks random and depends on the vertices only."""
    mixed = 0x9E3779B97F4A7C15
    for number in (*a, *b):
        mixed = ((mixed ^ (round(number * 10) & 0xFFFFFFFF)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        mixed ^= mixed >> 29
    return mixed / 2**64
