"""Play an example through the engine that runs live, and tell which alerts came of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from itertools import groupby
from typing import Final

import numpy as np
from shapely.geometry import Polygon

from gis.locate import LocatedBatch
from ingest.reading import ReadingBatch
from ingest.sensor import Catalogue, Quantity, Sensor
from rules import absence, count
from rules.alert import AlertChange
from rules.camera import evaluate_events
from rules.count import HELD_BACK_S, Occurrence, count_events
from rules.evaluate import Memory, evaluate, lay_out, tick
from rules.example import Example, Expected, Happening, Part, Run
from rules.rule import AbsenceRule, CameraRule, CountRule, Rule, SensorRule
from rules.rulebook import Rulebook
from rules.situation import Situation
from video.camera import Camera, CameraEvent

LNG: Final = 118.28
LAT: Final = 33.93
"""Where the first sensor of an example stands, unless it says otherwise."""

_CELL: Final = "321302002001001"
_SCOPE: Final = "321300/321302/321302002/321302002001/321302002001001/"
_METRES_EAST: Final = 111_195.0 * math.cos(math.radians(LAT))
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Row:
    at_us: int
    sensor: int
    quantity: int
    value: float
    lng: float
    lat: float


def play(
    example: Example, rule: Rule, quantities: Mapping[str, Quantity], areas: Mapping[str, Polygon], zone: tzinfo
) -> list[Expected]:
    """The alerts of a rule on an example, by time; seconds count from the example's start."""
    start_us = round(example.start.timestamp() * _SECOND_US)
    # Everything is at war for a rule that asks for it.
    situation = Situation(zone, wartime={"": frozenset({rule.domain})} if rule.when.mode == "wartime" else {})
    match rule:
        case CountRule():
            changes = _counted(example, rule, start_us, situation, areas)
        case CameraRule():
            changes = _seen(example, rule, start_us, situation, areas)
        case AbsenceRule():
            changes = _missed(example, rule, quantities, start_us, situation, areas)
        case _:
            changes = _read(example, rule, quantities, start_us, situation, areas)
    return _told(changes, start_us)


def differences(book: Rulebook, quantities: Mapping[str, Quantity], zone: tzinfo) -> Iterator[str]:
    """A line for each example of a rulebook that does not come out as it says."""
    rules = {rule.id: rule for rule in book.rules}
    for example in book.examples:
        found = play(example, rules[example.rule], quantities, book.areas, zone)
        if found != list(example.alerts):
            yield f"rule {example.rule}, example {example.name!r}: {_words(example.alerts)} expected, {_words(found)} found"


def _words(alerts: Sequence[Expected]) -> str:
    return (
        "; ".join(
            f"severity {alert.severity} from {alert.at_s:g} s"
            + ("" if alert.ended_s is None else f" to {alert.ended_s:g} s")
            for alert in alerts
        )
        or "no alert"
    )


def _told(changes: Iterable[AlertChange], start_us: int) -> list[Expected]:
    last = {change.alert.id: change.alert for change in changes}
    found = [
        Expected(
            (alert.raised_at_us - start_us) / _SECOND_US,
            alert.severity,
            None if alert.ended_at_us is None else (alert.ended_at_us - start_us) / _SECOND_US,
        )
        for alert in last.values()
    ]
    return sorted(found, key=lambda alert: (alert.at_s, alert.severity))


def _parts(example: Example, rule: Rule) -> tuple[Part, ...]:
    """Who speaks: as the example says, or one sensor that the rule is for."""
    if example.parts:
        return example.parts
    name = next(iter(rule.where.sensors), "sensor")
    quantity = "" if isinstance(rule, CountRule | CameraRule) else rule.quantity or ""
    return (Part(name, quantity, example.readings),)


def _catalogue(example: Example, rule: Rule, parts: Sequence[Part], quantities: Mapping[str, Quantity]) -> Catalogue:
    sensors = []
    for n, part in enumerate(parts, start=1):
        moves = any(not isinstance(told, Run) and len(told) > 2 for told in part.readings)
        east_m = part.east_m or 0.0
        sensors.append(
            Sensor(
                n=n,
                id=part.sensor,
                name=part.sensor,
                county="321302",
                region="321302002001",
                cell="" if moves else _CELL if part.east_m is None else f"{_CELL}-{n}",
                scope="/".join([*rule.where.regions, _SCOPE]),
                domain=rule.domain,
                quantities=(part.quantity,),
                lng=None if moves else LNG + east_m / _METRES_EAST,
                lat=None if moves else LAT,
                interval_s=example.interval_s,
            )
        )
    return Catalogue.of(sensors, quantities.values())


def _rows(parts: Sequence[Part], quantities: Mapping[str, Quantity], start_us: int) -> list[_Row]:
    rows = [
        _Row(start_us + round(at_s * _SECOND_US), n, quantities[part.quantity].n, value, lng, lat)
        for n, part in enumerate(parts, start=1)
        for at_s, value, lng, lat in _readings(part)
    ]
    return sorted(rows, key=lambda row: (row.at_us, row.sensor))


def _readings(part: Part) -> Iterator[tuple[float, float, float, float]]:
    for told in part.readings:
        if isinstance(told, Run):
            for step in range(len(told)):
                yield told.from_s + step * told.every_s, told.value, math.nan, math.nan
        else:
            lng, lat = told[2:] if len(told) == 4 else (math.nan, math.nan)
            yield told[0], told[1], lng, lat


def _moments(rows: Sequence[_Row], example: Example, start_us: int) -> Iterator[tuple[int, list[_Row]]]:
    """The rows of each time, and at the end the time until which the example goes on."""
    for at_us, found in groupby(rows, key=lambda row: row.at_us):
        yield at_us, list(found)
    if example.until_s is not None:
        yield start_us + round(example.until_s * _SECOND_US), []


def _read(
    example: Example,
    rule: SensorRule,
    quantities: Mapping[str, Quantity],
    start_us: int,
    situation: Situation,
    areas: Mapping[str, Polygon],
) -> list[AlertChange]:
    parts = _parts(example, rule)
    slots = lay_out([rule], _catalogue(example, rule, parts, quantities), zone=situation.zone, areas=areas)
    memory = Memory.quiet(slots)
    changes: list[AlertChange] = []
    for at_us, rows in _moments(_rows(parts, quantities, start_us), example, start_us):
        changes += tick(at_us, slots, memory, situation).changes
        changes += evaluate(_batch(rows), slots, memory, situation).changes
    return changes


def _batch(rows: Sequence[_Row]) -> LocatedBatch:
    readings = ReadingBatch.of(
        [(r.sensor, r.quantity, r.value, r.at_us, r.at_us, r.at_us, 0, r.lng, r.lat, 0, i) for i, r in enumerate(rows)]
    )
    return LocatedBatch(readings, np.zeros(len(rows), dtype="i4"), readings.lng, readings.lat, {})


def _missed(
    example: Example,
    rule: AbsenceRule,
    quantities: Mapping[str, Quantity],
    start_us: int,
    situation: Situation,
    areas: Mapping[str, Polygon],
) -> list[AlertChange]:
    parts = _parts(example, rule)
    slots = absence.lay_out([rule], _catalogue(example, rule, parts, quantities), areas)
    memory = absence.Memory.quiet(slots, start_us)
    heard_us = np.zeros(len(parts) + 1, dtype="i8")
    changes: list[AlertChange] = []
    for at_us, rows in _moments(_rows(parts, quantities, start_us), example, start_us):
        changes += absence.judge(slots, heard_us, memory, at_us, situation).changes
        for row in rows:
            heard_us[row.sensor] = row.at_us
        changes += absence.judge(slots, heard_us, memory, at_us, situation).changes
    return changes


def _counted(
    example: Example, rule: CountRule, start_us: int, situation: Situation, areas: Mapping[str, Polygon]
) -> list[AlertChange]:
    memory = count.Memory()
    changes: list[AlertChange] = []
    until_us = start_us
    for event in example.events:
        until_us = start_us + round(event.at_s * _SECOND_US)
        changes += count_events(
            [_occurrence(event, rule, until_us)], [rule], memory, until_us, situation, areas
        ).changes
    if example.until_s is not None:
        until_us = start_us + round(example.until_s * _SECOND_US)
    until_us += round(HELD_BACK_S * _SECOND_US)
    return changes + count_events([], [rule], memory, until_us, situation, areas).changes


def _occurrence(event: Happening, rule: CountRule, at_us: int) -> Occurrence:
    of = {"rule": rule.of.rule or "", "category": rule.of.category or "", "camera_event": rule.of.camera_event or ""}
    lng = LNG + event.east_m / _METRES_EAST
    return Occurrence(event.key, at_us, event.key, event.key, _CELL, "321302002001", _SCOPE, lng, LAT, **of)


def _seen(
    example: Example, rule: CameraRule, start_us: int, situation: Situation, areas: Mapping[str, Polygon]
) -> list[AlertChange]:
    name = next(iter(rule.where.sensors), "camera")
    scope = "/".join([*rule.where.regions, _SCOPE])
    camera = Camera(name, name, "321302", "321302002001", _CELL, scope, rule.domain, LNG, LAT, 0.0, 90.0)
    events = [_event(event, name, start_us / _SECOND_US) for event in example.events]
    memory = Memory.quiet(lay_out([], Catalogue.of([], []), zone=situation.zone))
    return evaluate_events(events, [rule], {name: camera}, memory, situation, areas).changes


def _event(event: Happening, camera: str, start_s: float) -> CameraEvent:
    at = start_s + event.at_s
    return CameraEvent(
        camera=camera,
        key=event.key,
        phase=event.phase,
        kind=event.kind or "",
        score=event.score,
        zones=event.zones,
        started_at=start_s + (event.at_s if event.since_s is None else event.since_s),
        at=at,
        ended_at=at if event.phase == "end" else None,
        message=0,
    )
