"""The demo city's readings through the shipped rules, as the worker would put them through."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date
from itertools import groupby
from zoneinfo import ZoneInfo

import numpy as np

from command_center.city import rule_packs
from command_center.demo.route import position
from command_center.demo.scenario import Scenario
from command_center.demo.series import values
from gis.locate import LocatedBatch
from ingest.reading import ReadingBatch
from ingest.sensor import Catalogue, Sensor
from rules import rulebook
from rules.alert import Alert
from rules.count import Memory as CountMemory
from rules.count import count_events, occurrences
from rules.evaluate import Memory, evaluate, lay_out, tick
from rules.situation import Situation
from tests.small_city import quantities

ZONE = ZoneInfo("Asia/Shanghai")
_SECOND_US = 1_000_000


def played(sensors: Iterable[Sensor], turns: Mapping[str, Iterable[float]], scenario: Scenario) -> list[Alert]:
    """The alerts, as they ended or stand, when sensors speak at their ``turns`` (epoch seconds by id)."""
    catalogue = Catalogue.of(sensors, quantities())
    book = rulebook.read(rule_packs("suqian"), catalogue.quantities, date(2026, 6, 1))
    slots = lay_out(book.sensor_rules, catalogue, zone=ZONE, areas=book.areas)
    memory, counted, situation = Memory.quiet(slots), CountMemory(), Situation(ZONE)
    rows = sorted(
        (round(at * _SECOND_US), sensor.n, catalogue.quantities[quantity].n, value, *_where(sensor, at, scenario))
        for sensor in catalogue.sensors.values()
        for at in turns[sensor.id]
        for quantity, value in values(sensor, at, scenario).items()
    )
    found: dict[object, Alert] = {}
    for minute, some in groupby(rows, key=lambda row: row[0] // (10 * _SECOND_US)):
        now_us = (minute + 1) * 10 * _SECOND_US
        changes = evaluate(_batch(list(some)), slots, memory, situation).changes
        changes += tick(now_us, slots, memory, situation).changes
        changes += count_events(occurrences(changes, [], {}), book.counts, counted, now_us, situation).changes
        found |= {change.alert.id: change.alert for change in changes}
    return list(found.values())


def _where(sensor: Sensor, at: float, scenario: Scenario) -> tuple[float, float]:
    return position(sensor, at, scenario) or (math.nan, math.nan)


def _batch(rows: list[tuple[int, int, int, float, float, float]]) -> LocatedBatch:
    readings = ReadingBatch.of(
        [
            (n, quantity, value, at, at, at, 0, lng, lat, 0, i)
            for i, (at, n, quantity, value, lng, lat) in enumerate(rows)
        ]
    )
    return LocatedBatch(readings, np.zeros(len(rows), dtype="i4"), readings.lng, readings.lat, {})


def grades(alerts: Iterable[Alert]) -> dict[str, int]:
    """The highest severity of each rule."""
    found: dict[str, int] = {}
    for alert in alerts:
        found[alert.rule] = max(alert.severity, found.get(alert.rule, 0))
    return found
