"""Located batches and rules small enough to evaluate by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC
from typing import Any, NamedTuple

import numpy as np

from gis.locate import CellPlace, LocatedBatch
from ingest.reading import ReadingBatch
from ingest.sensor import Catalogue, Quantity
from rules.alert import AlertChange
from rules.evaluate import evaluate, tick
from rules.memory import Memory
from rules.rule import Evidence, Level, SensorRule, ThresholdRule, Words
from rules.situation import Situation
from rules.slots import Slots, lay_out
from tests.ingest.wire import sensor

WATER, PRESSURE, NOISE, SPEED = 1, 13, 12, 20
SECOND = 1_000_000
WORDS = Words(zh="字", en="word")
ANY_TIME = Situation(UTC)
FOUND = Evidence("a test", "unverified")

CITY = Catalogue.of(
    [
        sensor(1, "gauge-1", quantities=("water_depth", "noise")),
        sensor(2, "gauge-2", quantities=("water_depth",)),
        sensor(3, "pipe-1", quantities=("water_pressure",), lng=None, lat=None),
        sensor(4, "truck-1", quantities=("speed",), lng=None, lat=None, cell="", region="", scope="321300/"),
    ],
    [
        Quantity(WATER, "water_depth", "m", "积水深度", "Water depth"),
        Quantity(NOISE, "noise", "dB", "噪声", "Noise"),
        Quantity(PRESSURE, "water_pressure", "MPa", "供水压力", "Water pressure"),
        Quantity(SPEED, "speed", "km/h", "车速", "Speed"),
    ],
)


def fields_of(identity: str, quantity: str, ladder: Sequence[tuple[Any, ...]], clear: float) -> dict[str, Any]:
    """What rules with a ladder of (severity, at) or (severity, at, for_s) have in common."""
    return {
        "id": identity,
        "domain": "emergency",
        "category": "waterlogging",
        "title": Words(zh="积水", en="Flood"),
        "quantity": quantity,
        "levels": tuple(Level(one[0], one[1], WORDS, *one[2:]) for one in ladder),
        "clear": clear,
        "source": FOUND,
    }


def rule(identity: str, quantity: str, ladder: Sequence[tuple[Any, ...]], clear: float, **more: Any) -> ThresholdRule:
    """A threshold rule."""
    return ThresholdRule(**fields_of(identity, quantity, ladder, clear) | more)


FLOOD = rule("flood", "water_depth", [(1, 1.0), (2, 2.0), (4, 3.0)], 0.5)
DRY = rule("dry", "water_depth", [(2, 0.0)], 0.0, direction="below")
BURST = rule("burst", "water_pressure", [(2, 2.0), (3, 1.0)], 2.5, direction="below")
RULES = (BURST, DRY, FLOOD)


class Row(NamedTuple):
    """One reading. Times in microseconds."""

    sensor: int
    quantity: int
    value: float
    at_us: int
    received_us: int = 1_000
    key: int = 0
    flags: int = 0
    lng: float = math.nan
    lat: float = math.nan


def located(rows: Sequence[Row]) -> LocatedBatch:
    """The rows as a batch; what carries a position lies in cell 1."""
    full = [
        (r.sensor, r.quantity, r.value, r.at_us, r.received_us, r.key, r.flags, r.lng, r.lat, 0, i)
        for i, r in enumerate(rows)
    ]
    readings = ReadingBatch.of(full)
    cell = np.where(np.isnan(readings.lng), 0, 1).astype("i4")
    place = CellPlace("cell-1", "321302001001", "321300/321302/", 118.5, 34.5)
    return LocatedBatch(readings, cell, readings.lng, readings.lat, {1: place})


def water(values: Sequence[float], step_s: float = 1, start_s: float = 0, sensor: int = 1) -> list[Row]:
    """Readings of a gauge, ``step_s`` apart, received as they are made."""
    moments = [round((start_s + i * step_s) * SECOND) for i in range(len(values))]
    return [Row(sensor, WATER, value, at, at, key=at) for value, at in zip(values, moments, strict=True)]


class Station:
    """Rules at work: takes readings and ticks, keeps what they brought."""

    def __init__(
        self, rules: Sequence[SensorRule], city: Catalogue = CITY, situation: Situation = ANY_TIME, **more: Any
    ) -> None:
        self.slots: Slots = more.get("slots") or lay_out(rules, city, zone=situation.zone, areas=more.get("areas", {}))
        self.memory = Memory.quiet(self.slots)
        self.situation = situation
        self.changes: list[AlertChange] = []
        self.disordered = 0

    def take(self, rows: Sequence[Row], many: int = 96) -> Station:
        """One batch."""
        found = evaluate(located(rows), self.slots, self.memory, self.situation, many=many)
        self.changes += found.changes
        self.disordered += found.counts["disordered"]
        return self

    def tick(self, now_s: float) -> Station:
        """The clock."""
        self.changes += tick(round(now_s * SECOND), self.slots, self.memory, self.situation).changes
        return self

    @property
    def said(self) -> list[tuple[str, int, float]]:
        """(what, severity, seconds) of each change."""
        return [(str(c.change), c.alert.severity, c.alert.at_us / SECOND) for c in self.changes]
