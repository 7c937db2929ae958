"""Located batches and rules small enough to evaluate by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gis.locate import LocatedBatch
from ingest.reading import ReadingBatch
from ingest.sensor import Catalogue, Quantity
from rules.rulebook import Evidence, Level, ThresholdRule, Words
from tests.ingest.wire import sensor

WATER, PRESSURE, NOISE = 1, 13, 12
_WORDS = Words(zh="字", en="word")

CITY = Catalogue.of(
    [
        sensor(1, "gauge-1", quantities=("water_depth", "noise")),
        sensor(2, "gauge-2", quantities=("water_depth",)),
        sensor(3, "pipe-1", quantities=("water_pressure",), lng=None, lat=None),
    ],
    [
        Quantity(WATER, "water_depth", "m", "积水深度", "Water depth"),
        Quantity(NOISE, "noise", "dB", "噪声", "Noise"),
        Quantity(PRESSURE, "water_pressure", "MPa", "供水压力", "Water pressure"),
    ],
)


def rule(identity: str, quantity: str, ladder: Sequence[tuple[int, float]], clear: float, **more: Any) -> ThresholdRule:
    """A threshold rule with a ladder of (severity, at)."""
    fields: dict[str, Any] = {
        "id": identity,
        "domain": "emergency",
        "category": "waterlogging",
        "title": Words(zh="积水", en="Flood"),
        "quantity": quantity,
        "direction": "above",
        "levels": tuple(Level(severity, at, _WORDS) for severity, at in ladder),
        "clear": clear,
        "source": Evidence("a test", "unverified"),
    }
    return ThresholdRule(**fields | more)


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


def located(rows: Sequence[Row]) -> LocatedBatch:
    """The rows as a batch; no cell, no position: evaluation looks at neither."""
    nan = math.nan
    full = [
        (r.sensor, r.quantity, r.value, r.at_us, r.received_us, r.key, r.flags, nan, nan, 0, i)
        for i, r in enumerate(rows)
    ]
    nowhere = np.full(len(rows), nan)
    return LocatedBatch(ReadingBatch.of(full), np.zeros(len(rows), dtype="i4"), nowhere, nowhere, {})
