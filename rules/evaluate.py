"""Thresholds over a batch of located readings.

A *slot* is one rule on one sensor. Slots lie in compressed rows by (sensor, quantity), so a whole batch meets all its rules in
a few array operations; only the few slots whose phase may change are walked one reading at a time. Event time rules: a
reading older than what a slot has seen changes nothing, and a historical one (LATE) never alerts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gis.locate import CellPlace, LocatedBatch
from ingest.reading import AHEAD, LATE, OUT_OF_RANGE, OUTSIDE_CITY, ReadingBatch
from ingest.sensor import Catalogue
from rules.alert import Alert, AlertChange, Change, Source, alert_id
from rules.rulebook import CameraRule, ThresholdRule
from video.camera import Camera, CameraEvent

Numbers = npt.NDArray[Any]

_QUANTITIES = 1 << 16
_LEVELS = 4


@dataclass(frozen=True)
class Slots:
    """Threshold rules laid out over the catalogue.

    ``pairs`` int64 sorted (sensor, quantity) keys; slots of pair i are ``starts[i]:starts[i + 1]``. Per slot: ``rule`` index,
    ``sign`` (+1 above, -1 below), ``levels`` (slots x 4, signed, +inf where the ladder ends), ``clear`` (signed).
    """

    rules: tuple[ThresholdRule, ...]
    catalogue: Catalogue
    pairs: Numbers
    starts: Numbers
    rule: Numbers
    sensor: Numbers
    sign: Numbers
    levels: Numbers
    clear: Numbers


@dataclass
class Memory:
    """What evaluation remembers between batches. Changed only by ``after``, once the batch is committed.

    ``seen_us`` is the newest device time by slot; ``rung`` the level a slot stands on (0 quiet); ``firing`` the open alert by
    slot or by camera event.
    """

    seen_us: Numbers
    rung: Numbers
    firing: dict[int, Alert] = field(default_factory=dict)
    camera_firing: dict[tuple[str, str, str], Alert] = field(default_factory=dict)

    @classmethod
    def quiet(cls, slots: Slots) -> Memory:
        count = len(slots.rule)
        return cls(np.full(count, np.iinfo("i8").min, dtype="i8"), np.zeros(count, dtype="i1"))


@dataclass(frozen=True)
class Evaluation:
    """What a batch did: phase changes to store, and what memory becomes once they are stored."""

    changes: list[AlertChange]
    seen: tuple[Numbers, Numbers]
    slots: dict[int, tuple[int, Alert | None]]
    camera: dict[tuple[str, str, str], Alert | None] = field(default_factory=dict)

    def after(self, memory: Memory) -> None:
        """Take the committed batch into ``memory``."""
        slot, at = self.seen
        np.maximum.at(memory.seen_us, slot, at)
        for index, (rung, alert) in self.slots.items():
            memory.rung[index] = rung
            _keep(memory.firing, index, alert)
        for key, alert in self.camera.items():
            _keep(memory.camera_firing, key, alert)


def _keep(firing: dict[Any, Alert], key: Any, alert: Alert | None) -> None:
    if alert is None:
        firing.pop(key, None)
    else:
        firing[key] = alert


def lay_out(rules: Sequence[ThresholdRule], catalogue: Catalogue) -> Slots:
    """Slots for every rule on every sensor that measures its quantity."""
    found: list[tuple[int, int, int]] = []
    for index, rule in enumerate(rules):
        quantity = catalogue.quantities[rule.quantity].n
        found += [
            (sensor.n * _QUANTITIES + quantity, index, sensor.n)
            for sensor in catalogue.sensors.values()
            if rule.quantity in sensor.quantities
        ]
    found.sort()
    table = np.array(found, dtype="i8").reshape(-1, 3)
    pairs, first = np.unique(table[:, 0], return_index=True)
    chosen = table[:, 1]
    sign = np.array([1.0 if rule.direction == "above" else -1.0 for rule in rules])
    ladders = np.full((len(rules), _LEVELS), np.inf)
    for index, rule in enumerate(rules):
        ladders[index, : len(rule.levels)] = [sign[index] * level.at for level in rule.levels]
    clear = sign * np.array([rule.clear for rule in rules])
    return Slots(
        tuple(rules),
        catalogue,
        pairs,
        np.append(first, len(table)),
        chosen,
        table[:, 2],
        sign[chosen],
        ladders[chosen],
        clear[chosen],
    )


def recall(slots: Slots, open_alerts: Iterable[Alert]) -> Memory:
    """The memory a restarted worker begins with: the alerts that the database says are open."""
    memory = Memory.quiet(slots)
    place = {
        (slots.rules[r].id, slots.catalogue.by_n[n].id): i
        for i, (r, n) in enumerate(zip(slots.rule.tolist(), slots.sensor.tolist(), strict=True))
    }
    for alert in open_alerts:
        index = place.get((alert.rule, alert.source.id))
        if alert.source.kind == "camera":
            memory.camera_firing[alert.rule, alert.source.id, str(alert.id)] = alert
        elif index is not None:
            # The ladder may have been edited since: the alert stands on the highest rung no graver than it. One that stands
            # below the whole ladder is left out, so that the new rule can raise its own.
            rung = sum(level.severity <= alert.severity for level in slots.rules[slots.rule[index]].levels)
            if rung:
                memory.firing[index] = alert
                memory.rung[index] = rung
                memory.seen_us[index] = alert.at_us
    return memory


def evaluate(batch: LocatedBatch, slots: Slots, memory: Memory) -> Evaluation:
    """Phase changes of a batch, in order of arrival: the same however the batches are cut.

    Neither the batch nor the memory is changed.
    """
    readings = batch.readings
    rows = np.flatnonzero((readings.flags & (LATE | OUT_OF_RANGE | OUTSIDE_CITY)) == 0)
    row, slot = _meet(readings, rows, slots)
    # A clock far ahead must not silence its own later readings: such a reading counts as of its receipt.
    at = np.where(readings.flags & AHEAD, readings.received_at.view("i8"), readings.at.view("i8"))[row]
    fresh = at >= memory.seen_us[slot]
    row, slot, at = row[fresh], slot[fresh], at[fresh]
    value = slots.sign[slot] * readings.value[row]
    rung = (value[:, None] >= slots.levels[slot]).sum(axis=1)
    stands = memory.rung[slot]
    moving = (rung > stands) | ((stands > 0) & (value < slots.clear[slot]))
    touched = np.isin(slot, np.unique(slot[moving])) if moving.any() else moving
    changes: list[AlertChange] = []
    outcome: dict[int, tuple[int, Alert | None]] = {}
    newest: dict[int, int] = {}
    for i in np.flatnonzero(touched).tolist():
        index = int(slot[i])
        if at[i] < newest.get(index, at[i]):
            continue
        newest[index] = at[i]
        before = outcome.get(index) or (int(memory.rung[index]), memory.firing.get(index))
        after = _step(slots, index, before, int(rung[i]), batch, int(row[i]), int(at[i]))
        if after is not None:
            changes.append(after)
            ended = after.change is Change.ENDED
            outcome[index] = (0, None) if ended else (max(before[0], int(rung[i])), after.alert)
    return Evaluation(changes, (slot, at), outcome)


def _meet(readings: ReadingBatch, rows: Numbers, slots: Slots) -> tuple[Numbers, Numbers]:
    """Every (reading row, slot) that belong together."""
    if not len(slots.pairs) or not len(rows):
        return np.empty(0, dtype="i8"), np.empty(0, dtype="i8")
    key = readings.sensor[rows].astype("i8") * _QUANTITIES + readings.quantity[rows]
    place = np.minimum(np.searchsorted(slots.pairs, key), len(slots.pairs) - 1)
    met = slots.pairs[place] == key
    rows, place = rows[met], place[met]
    count = slots.starts[place + 1] - slots.starts[place]
    row = np.repeat(rows, count)
    offset = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    return row, np.repeat(slots.starts[place], count) + offset


def _step(
    slots: Slots,
    index: int,
    before: tuple[int, Alert | None],
    rung: int,
    batch: LocatedBatch,
    row: int,
    at_us: int,
) -> AlertChange | None:
    stands, alert = before
    readings = batch.readings
    value = float(readings.value[row])
    if alert is not None and slots.sign[index] * value < slots.clear[index]:
        ended = replace(alert, ended_at_us=at_us, at_us=at_us, value=value, version=alert.version + 1)
        return AlertChange(Change.ENDED, ended)
    if rung <= stands:
        return None
    rule = slots.rules[slots.rule[index]]
    level = rule.levels[rung - 1]
    if alert is None:
        # The key alone may come again: a device without ids or times sends the same bytes for the next flood too.
        cause = f"{int(readings.key[row])}\0{int(readings.at.view('i8')[row])}"
        raised = _raise(slots, index, rule, cause, value, at_us, batch.place(row))
        return AlertChange(Change.RAISED, _told(raised, rule, rung, value))
    grown = replace(alert, severity=level.severity, at_us=at_us, version=alert.version + 1)
    return AlertChange(Change.GREW, _told(grown, rule, rung, value))


def _raise(
    slots: Slots, index: int, rule: ThresholdRule, cause: str, value: float, at_us: int, place: CellPlace | None
) -> Alert:
    sensor = slots.catalogue.by_n[int(slots.sensor[index])]
    source = Source(
        "sensor", sensor.id, sensor.name, sensor.cell, sensor.region, sensor.scope, sensor.lng or 0.0, sensor.lat or 0.0
    )
    if sensor.lng is None and place is not None:
        source = replace(source, cell=place.code, region=place.region, scope=place.scope, lng=place.lng, lat=place.lat)
    return Alert(
        id=alert_id(rule.id, sensor.id, cause),
        rule=rule.id,
        rule_version=rule.version,
        source=source,
        domain=rule.domain,
        category=rule.category,
        severity=1,
        title="",
        title_en="",
        quantity=rule.quantity,
        unit=slots.catalogue.quantities[rule.quantity].symbol,
        value=value,
        threshold=0.0,
        raised_at_us=at_us,
        at_us=at_us,
    )


def _told(alert: Alert, rule: ThresholdRule, rung: int, value: float) -> Alert:
    level = rule.levels[rung - 1]
    shown = f"{value:.4g} {alert.unit}".rstrip()
    return replace(
        alert,
        severity=level.severity,
        value=value,
        threshold=level.at,
        title=f"{rule.title.zh} {shown}，{level.action.zh}",
        title_en=f"{rule.title.en} {shown}: {level.action.en}",
    )


def evaluate_events(
    events: Sequence[CameraEvent], rules: Sequence[CameraRule], cameras: dict[str, Camera], memory: Memory
) -> Evaluation:
    """Phase changes that camera events bring. The same event (camera, key) has one alert whatever was repeated."""
    nothing = np.empty(0, dtype="i8")
    outcome: dict[tuple[str, str, str], Alert | None] = {}
    changes: list[AlertChange] = []
    for event in events:
        for rule in rules:
            identity = alert_id(rule.id, event.camera, event.key)
            key = (rule.id, event.camera, str(identity))
            if key in outcome and outcome[key] is None:
                continue  # it ended in this very batch: what follows is a repeat
            alert = outcome.get(key) or memory.camera_firing.get(key)
            for change in _event_step(event, rule, cameras[event.camera], alert):
                changes.append(change)
                alert = None if change.change is Change.ENDED else change.alert
                outcome[key] = alert
    return Evaluation(changes, (nothing, nothing), {}, outcome)


def _event_step(event: CameraEvent, rule: CameraRule, camera: Camera, alert: Alert | None) -> Iterator[AlertChange]:
    at_us = round(event.at * 1_000_000)
    if alert is None and _holds(event, rule):
        alert = _camera_alert(event, rule, camera, at_us)
        yield AlertChange(Change.RAISED, alert)
    if alert is not None and event.phase == "end":
        ended_at_us = round((event.ended_at or event.at) * 1_000_000)
        yield AlertChange(Change.ENDED, replace(alert, ended_at_us=ended_at_us, at_us=at_us, version=alert.version + 1))


def _holds(event: CameraEvent, rule: CameraRule) -> bool:
    inside = not rule.zones or not set(rule.zones).isdisjoint(event.zones)
    return event.kind == rule.event and event.score >= rule.min_score and inside


def _camera_alert(event: CameraEvent, rule: CameraRule, camera: Camera, at_us: int) -> Alert:
    return Alert(
        id=alert_id(rule.id, camera.id, event.key),
        rule=rule.id,
        rule_version=rule.version,
        source=Source(
            "camera", camera.id, camera.name, camera.cell, camera.region, camera.scope, camera.lng, camera.lat
        ),
        domain=rule.domain,
        category=rule.category,
        severity=rule.severity,
        title=f"{rule.title.zh}，{rule.action.zh}",
        title_en=f"{rule.title.en}: {rule.action.en}",
        quantity=rule.event,
        unit="1",
        value=event.score,
        threshold=rule.min_score,
        raised_at_us=round(event.started_at * 1_000_000),
        at_us=at_us,
    )
