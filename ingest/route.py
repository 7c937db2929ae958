"""Which topic carries which format, and what its devices and fields are called here: the table ``formats.yaml`` of a city.

``cc/v1/{county}/{source}/raw/{format}/…`` needs no route: it always works, and who is a sensor there speaks for itself only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Final

import msgspec
import yaml

from ingest.sensor import SENSOR_ID

FORMATS: Final = (
    *("senml", "sparkplug", "chirpstack", "things_stack", "zigbee2mqtt", "tasmota", "sensor_things", "hj212"),
)
RAW: Final = re.compile(r"cc/v1/([^/]+)/([^/]+)/raw/([^/]+)(?:/(.*))?", re.DOTALL)
_TOPIC_FILTER: Final = re.compile(r"(?:[^/+#\0]+|\+)(?:/(?:[^/+#\0]*|\+))*(?:/#)?")


class BadRoutes(ValueError):
    """The table of formats is wrong; the message says where."""


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a field of a device is here. ``unit`` is that of its values where they do not name one: else the catalogue's."""

    quantity: str
    unit: str | None = None
    sensor: str | None = None


class Naming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a format's fields are called here. A ``*`` in a name stands for anything."""

    fields: dict[str, Field] = {}
    ignored: list[str] = []


class _Route(Naming, frozen=True, forbid_unknown_fields=True, kw_only=True):
    topic: str
    format: str
    county: str
    sensors: dict[str, str] = {}


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pack: str
    version: int
    formats: dict[str, Naming] = {}
    routes: list[_Route] = []


@dataclass(frozen=True)
class Route:
    """One line of the table, the naming of its format included. ``county`` None: wherever the catalogue has the sensor.

    ``source`` is the only sensor that may be spoken for, where the topic says so.
    """

    format: str
    county: str | None
    sensors: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Field] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    source: str | None = None

    def field(self, name: str) -> Field | None:
        """What a field is here: by its name, else by the first pattern that fits."""
        return self.fields.get(name) or next(
            (known for pattern, known in self._patterns if fnmatchcase(name, pattern)), None
        )

    def ignores(self, name: str) -> bool:
        """Whether a field is known to be of no use."""
        return any(fnmatchcase(name, pattern) for pattern in self.ignored)

    @cached_property
    def _patterns(self) -> list[tuple[str, Field]]:
        return [(name, known) for name, known in self.fields.items() if "*" in name]


@dataclass(frozen=True)
class Found:
    """The route of a topic, and the topic as the format knows it: without what is ours, or the base that a gateway is given."""

    route: Route
    topic: str


@dataclass(frozen=True)
class Routes:
    """The whole table. ``zone`` is the city's: some devices tell the time without one."""

    zone: tzinfo = UTC
    naming: Mapping[str, Naming] = field(default_factory=dict)
    by_filter: Mapping[str, Route] = field(default_factory=dict)

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The topic filters that the worker has to subscribe to beside the product's own."""
        return tuple(self.by_filter)

    def takes(self, topic: str) -> bool:
        """Whether a topic is not one of the native format. Asked for every message: the common answer comes first."""
        if topic.startswith("cc/v1/"):
            return "/raw/" in topic
        return topic.startswith("hj212/") or any(_below(pattern, topic) is not None for pattern in self.by_filter)

    def find(self, topic: str) -> Found | None:
        """How a topic that is not in the native format is to be read; None when nobody says so.

        What a raw topic names may be no format that is known.
        """
        raw = RAW.fullmatch(topic)
        if raw:
            county, source, name, below = raw.groups()
            return Found(self._plain(name, county, source), below or "")
        if topic.startswith("hj212/"):
            return Found(self._plain("hj212", None, None), topic.removeprefix("hj212/"))
        for pattern, route in self.by_filter.items():
            below = _below(pattern, topic)
            if below is not None:
                return Found(route, below if route.format == "zigbee2mqtt" else topic)
        return None

    def _plain(self, name: str, county: str | None, source: str | None) -> Route:
        naming = self.naming.get(name, Naming())
        return Route(name, county, fields=naming.fields, ignored=tuple(naming.ignored), source=source)


def read(text: str, zone: tzinfo) -> Routes:
    """The table from its YAML. Raises BadRoutes."""
    try:
        table = msgspec.convert(yaml.safe_load(text), _Table)
    except (yaml.YAMLError, msgspec.ValidationError) as problem:
        raise BadRoutes(str(problem).replace("\n", " ")) from None
    for name in table.formats.keys() | {route.format for route in table.routes}:
        if name not in FORMATS:
            raise BadRoutes(f"format {name!r} is unknown: use {', '.join(FORMATS)}")
    by_filter: dict[str, Route] = {}
    for line in table.routes:
        _check(line, by_filter)
        common = table.formats.get(line.format, Naming())
        by_filter[line.topic] = Route(
            line.format,
            line.county,
            line.sensors,
            common.fields | line.fields,
            (*common.ignored, *line.ignored),
        )
    return Routes(zone, table.formats, by_filter)


def _check(line: _Route, known: Mapping[str, Any]) -> None:
    where = f"route {line.topic!r}"
    if not _TOPIC_FILTER.fullmatch(line.topic) or line.topic.startswith(("$", "cc/v1/", "hj212/")):
        raise BadRoutes(f"{where}: a topic filter is wanted, such as zigbee2mqtt/#, that is not below cc/v1")
    if line.topic in known:
        raise BadRoutes(f"{where} stands there twice")
    if not re.fullmatch(r"\d{6}", line.county):
        raise BadRoutes(f"{where}: county {line.county!r} has to be six digits in quotes")
    named = [*line.sensors.values(), *(found.sensor for found in line.fields.values() if found.sensor)]
    for sensor in named:
        if not SENSOR_ID.fullmatch(sensor):
            raise BadRoutes(f"{where}: {sensor!r} is no sensor id")


def _below(pattern: str, topic: str) -> str | None:
    """The levels of a topic from the pattern's first wildcard on, without any its last, None when it does not match."""
    wanted, levels = pattern.split("/"), topic.split("/")
    many = wanted[-1] == "#"
    if many:
        wanted.pop()
    if len(levels) < len(wanted) or (len(levels) > len(wanted) and not many):
        return None
    if any(want not in {"+", level} for want, level in zip(wanted, levels, strict=False)):
        return None
    fixed = wanted.index("+") if "+" in wanted else len(wanted) - (not many)
    return "/".join(levels[fixed:])
