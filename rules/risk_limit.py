"""How close a reading is to the first level of a rule: what a sensor's newest values say before any alert does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shapely.geometry import Polygon

from ingest.sensor import Catalogue, Sensor
from rules.risk import closeness
from rules.rule import ThresholdRule
from rules.where import is_met, is_named


@dataclass(frozen=True, slots=True)
class Limit:
    """A threshold rule as it holds for one sensor: where it clears, and its first level. ``symbol`` is the unit's."""

    rule: str
    domain: str
    quantity: str
    symbol: str
    title: str
    title_en: str
    clear: float
    first: float


@dataclass(frozen=True, slots=True)
class Near:
    """A newest value between a limit's clear value and its first level: how close, 0 to 1, and of when (RFC 3339)."""

    limit: Limit
    closeness: float
    value: float
    at: str


def limits(
    rules: Iterable[ThresholdRule], catalogue: Catalogue, areas: Mapping[str, Polygon], *, wartime: bool = False
) -> dict[int, tuple[Limit, ...]]:
    """The limits of every sensor that stands somewhere, by its number. Rules for wartime alone count with ``wartime`` only."""
    found = defaultdict[int, list[Limit]](list)
    by_quantity = defaultdict[str, list[Sensor]](list)
    for sensor in catalogue.sensors.values():
        for quantity in sensor.quantities:
            by_quantity[quantity].append(sensor)
    for rule in rules:
        if (rule.when.mode == "wartime" and not wartime) or rule.quantity not in catalogue.quantities:
            continue
        symbol = catalogue.quantities[rule.quantity].symbol
        sites = {site.sensor: site for site in rule.sites}
        for sensor in by_quantity[rule.quantity]:
            if _is_for(rule, sensor, areas):
                own = sites.get(sensor.id, rule)
                words = (rule.title.zh, rule.title.en)
                limit = Limit(rule.id, rule.domain, rule.quantity, symbol, *words, own.clear, own.levels[0].at)
                found[sensor.n].append(limit)
    return {n: tuple(own) for n, own in found.items()}


def _is_for(rule: ThresholdRule, sensor: Sensor, areas: Mapping[str, Polygon]) -> bool:
    if sensor.lng is None or sensor.lat is None or not is_named(rule.where, sensor.id, sensor.scope):
        return False
    return is_met(rule.where, sensor.lng, sensor.lat, areas)


def near(own: Iterable[Limit], latest: Mapping[str, Any]) -> tuple[Near, ...]:
    """What of a sensor's newest values comes close; ``latest``: {quantity: {"value", "at"}}."""
    found = []
    for limit in own:
        reading = latest.get(limit.quantity)
        if reading is None or reading.get("value") is None:
            continue
        close = closeness(reading["value"], limit.clear, limit.first)
        if close > 0:
            found.append(Near(limit, close, reading["value"], reading["at"]))
    return tuple(found)
