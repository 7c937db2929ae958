"""A Mapbox vector tile (specification 2.1) read back, by nothing that the product draws with."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shapely import LinearRing, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

_CLOSE, _LINE_TO = 7, 2


@dataclass(frozen=True)
class Drawn:
    """A feature in a tile's units, y downwards."""

    properties: dict[str, Any]
    shape: BaseGeometry


def decode(tile: bytes) -> dict[str, list[Drawn]]:
    """Points and polygons of a tile, layer by layer."""
    return dict(_layer(layer) for number, layer in _fields(tile) if number == 3)


def _layer(content: bytes) -> tuple[str, list[Drawn]]:
    name, keys, values, features = "", [], [], []
    for number, value in _fields(content):
        if number == 1:
            name = value.decode()
        elif number == 2:
            features.append(value)
        elif number == 3:
            keys.append(value.decode())
        elif number == 4:
            values.append(_value(value))
    return name, [_feature(feature, keys, values) for feature in features]


def _feature(content: bytes, keys: list[str], values: list[Any]) -> Drawn:
    fields = dict(_fields(content))
    tags = list(_varints(fields[2]))
    properties = {keys[key]: values[value] for key, value in zip(tags[::2], tags[1::2], strict=True)}
    paths = list(_paths(list(_varints(fields[4]))))
    return Drawn(properties, Point(paths[0][0]) if fields[3] == 1 else _polygons(paths))


def _polygons(rings: list[list[tuple[int, int]]]) -> BaseGeometry:
    # By the specification an outer ring has positive area with y downwards; the rings of its holes follow it.
    found: list[tuple[list[tuple[int, int]], list[list[tuple[int, int]]]]] = []
    for ring in rings:
        if LinearRing(ring).is_ccw:
            found.append((ring, []))
        else:
            found[-1][1].append(ring)
    polygons = [Polygon(outer, holes) for outer, holes in found]
    return polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)


def _paths(numbers: list[int]) -> Iterator[list[tuple[int, int]]]:
    x = y = at = 0
    path: list[tuple[int, int]] = []
    while at < len(numbers):
        command, count = numbers[at] & 7, numbers[at] >> 3
        at += 1
        if command == _CLOSE:
            continue
        if command != _LINE_TO and path:
            yield path
            path = []
        for _ in range(count):
            x, y = x + _signed(numbers[at]), y + _signed(numbers[at + 1])
            path.append((x, y))
            at += 2
    yield path


def _signed(number: int) -> int:
    return (number >> 1) ^ -(number & 1)


def _value(content: bytes) -> Any:
    [(number, value)] = _fields(content)
    return value.decode() if number == 1 else bool(value) if number == 7 else value


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value: Any
            value, at = _varint(content, at)
        elif kind == 1:
            (value,), at = struct.unpack_from("<d", content, at), at + 8
        else:
            size, at = _varint(content, at)
            value, at = content[at : at + size], at + size
        yield number, value


def _varints(content: bytes) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
