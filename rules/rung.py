"""The levels that a sensor's own values meet now: of threshold rules, with a site's numbers where it has its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from shapely.geometry.base import BaseGeometry

from ingest.sensor import Sensor
from rules.rule import Level, ThresholdRule, Where, Words
from rules.situation import Situation
from rules.when import is_met as counts
from rules.where import is_met, is_named


@dataclass(frozen=True, slots=True)
class Rung:
    """One level of a rule, as a value meets it from ``direction``; ``level.at`` is in the quantity's unit."""

    rule: str
    title: Words
    direction: Literal["above", "below"]
    level: Level


def rungs(
    rules: Iterable[ThresholdRule],
    sensor: Sensor,
    quantity: str,
    now_us: int,
    situation: Situation,
    areas: Mapping[str, BaseGeometry],
) -> tuple[Rung, ...]:
    """Those of the rules that count for the sensor at this time (epoch microseconds), least severe first."""
    found = [
        Rung(rule.id, rule.title, rule.direction, level)
        for rule in rules
        if rule.quantity == quantity
        and is_named(rule.where, sensor.id, sensor.scope)
        and counts(rule.when, now_us, sensor.scope, rule.domain, situation)
        and _stands_in(rule.where, sensor, areas)
        for level in next((site.levels for site in rule.sites if site.sensor == sensor.id), rule.levels)
    ]
    return tuple(sorted(found, key=lambda rung: (rung.level.severity, rung.rule, rung.level.at)))


def _stands_in(where: Where, sensor: Sensor, areas: Mapping[str, BaseGeometry]) -> bool:
    """Of a sensor that moves nobody knows ahead where its readings will be taken."""
    if sensor.lng is None or sensor.lat is None:
        return where.inside is None and where.outside is None
    return is_met(where, sensor.lng, sensor.lat, areas)
