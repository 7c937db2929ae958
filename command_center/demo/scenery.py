"""A lake, two rivers and roads for the demo city: invented (示意), to make the map readable as a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from command_center.demo.plane import Points, to_lng_lat

_LAKE_REACH_M = 7_000.0
_ROAD_SWING = 0.07
_RIVER_SWING = 0.16


@dataclass(frozen=True, slots=True)
class Feature:
    """Something to draw. ``kind`` is lake, river or road; ``rank`` 1 is drawn at every scale, 2 only close by."""

    name: str
    kind: str
    rank: int
    geometry: BaseGeometry


def lake(rng: np.random.Generator, room: Polygon, seats: Points) -> Polygon:
    """A lake in metres, where there is most room away from the seats and from the border."""
    left, low, right, high = room.bounds
    tried = rng.uniform((left, low), (right, high), size=(4000, 2))
    tried = tried[shapely.contains_xy(room, *tried.T)]
    away = np.sqrt(((tried[:, None, :] - seats[None, :, :]) ** 2).sum(axis=2)).min(axis=1)
    inland = shapely.distance(shapely.points(tried), room.exterior)
    middle = tried[np.minimum(away, inland * 1.6).argmax()]
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radius = np.ones_like(angle)
    for wave in range(2, 7):
        radius += rng.uniform(0.4, 1.0) * 0.30 / wave * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    turn = rng.uniform(0, np.pi)
    shape = np.column_stack([1.35 * radius * np.cos(angle), 0.8 * radius * np.sin(angle)]) * _LAKE_REACH_M
    turned = shape @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return Polygon(turned + middle)


def rivers(rng: np.random.Generator, room: Polygon, water: Polygon, seats: Points) -> list[LineString]:
    """One river from the border into the lake, one out of it past the middle of the seats to the border, in metres."""
    source = np.array(water.centroid.coords[0])
    middle = seats.mean(axis=0)
    ahead = (middle - source) / np.hypot(*(middle - source))
    side = np.array([-ahead[1], ahead[0]])
    mouth = middle + ahead * 90_000 + side * rng.uniform(-45_000, 45_000)
    spring = source - ahead * 90_000 + side * rng.uniform(30_000, 60_000)
    lower = _winding(rng, [source, middle + side * 2_500, mouth], _RIVER_SWING)
    upper = _winding(rng, [spring, source], _RIVER_SWING)
    return [_longest(line.intersection(room).difference(water)) for line in (upper, lower)]


def trunk_roads(rng: np.random.Generator, room: Polygon, seats: Points) -> list[LineString]:
    """Roads that join all seats, with a few shorter loops, in metres."""
    joined = tree(seats)
    apart = np.hypot(*(seats[:, None, :] - seats[None, :, :]).transpose(2, 0, 1))
    others = [(apart[a, b], a, b) for a in range(len(seats)) for b in range(a + 1, len(seats)) if (a, b) not in joined]
    loops = [(a, b) for _, a, b in sorted(others)[: len(seats) // 2 + 1]]
    return _roads(rng, room, seats, [*joined, *loops])


def town_roads(rng: np.random.Generator, room: Polygon, middles: Points) -> list[LineString]:
    """Roads that join the given places (the seat first), in metres."""
    return _roads(rng, room, middles, tree(middles))


def tree(points: Points) -> list[tuple[int, int]]:
    """The shortest set of joints (a < b) that connects all points (Prim)."""
    apart = np.hypot(*(points[:, None, :] - points[None, :, :]).transpose(2, 0, 1))
    inside, found = [0], []
    while len(inside) < len(points):
        outside = [n for n in range(len(points)) if n not in inside]
        reach = apart[np.ix_(inside, outside)]
        row, column = np.unravel_index(reach.argmin(), reach.shape)
        a, b = inside[int(row)], outside[int(column)]
        found.append((min(a, b), max(a, b)))
        inside.append(b)
    return found


def degrees(geometry: BaseGeometry) -> BaseGeometry:
    """The geometry in lng/lat."""
    moved: BaseGeometry = shapely.transform(geometry, to_lng_lat)
    return moved


def _roads(
    rng: np.random.Generator, room: Polygon, places: Points, joints: Sequence[tuple[int, int]]
) -> list[LineString]:
    lines = [_winding(rng, [places[a], places[b]], _ROAD_SWING) for a, b in joints]
    return [_longest(line.intersection(room)) for line in lines]


def _winding(rng: np.random.Generator, stops: Sequence[Points], swing: float) -> LineString:
    """A winding line through the stops: middles moved sideways again and again, corners cut at the end."""
    line = np.array(stops)
    for _ in range(5):
        middle = (line[:-1] + line[1:]) / 2
        step = line[1:] - line[:-1]
        middle += np.column_stack([-step[:, 1], step[:, 0]]) * rng.uniform(-swing, swing, (len(step), 1))
        line = np.insert(line, range(1, len(line)), middle, axis=0)
    for _ in range(2):
        quarter = np.stack([line[:-1] * 0.75 + line[1:] * 0.25, line[:-1] * 0.25 + line[1:] * 0.75], axis=1)
        line = np.vstack([line[:1], quarter.reshape(-1, 2), line[-1:]])
    return LineString(shapely.get_coordinates(LineString(np.round(line, 1)).simplify(15)))


def _longest(geometry: BaseGeometry) -> LineString:
    lines = [part for part in shapely.get_parts(geometry) if isinstance(part, LineString)]
    return max(lines, key=lambda line: float(line.length))
