"""Absence: a sensor that says nothing. Judged by the clock of receipt, for nobody can send the time of what was not sent.

A rule with a quantity is for the sensors that measure it; one without is for those it names, or, naming none, for those of
its domain. The rest of ``where`` must hold too. A sensor that moves has no position to ask ``inside`` and ``outside`` about
while it is silent: such rules leave it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from ingest.sensor import Catalogue, Sensor
from rules import when as whens
from rules import where as wheres
from rules.alert import Alert, AlertChange, Change, Source, alert_id
from rules.evaluation import Evaluation
from rules.rule import AbsenceRule, Where
from rules.situation import Situation
from rules.statistic.moment import rfc3339
from rules.when import ALWAYS

Numbers: TypeAlias = npt.NDArray[Any]

NEVER: Final = 0
"""When a sensor was heard that never was."""
QUANTITY: Final = "silence"

_VERSION = 1
_LEVELS = 4
_ENDLESS = 1 << 62
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Slots:
    """Rules on sensors: ``rule`` (index), ``sensor`` (number) and ``ladder`` (slots x 4, microseconds) by slot."""

    rules: tuple[AbsenceRule, ...]
    catalogue: Catalogue
    rule: Numbers
    sensor: Numbers
    ladder: Numbers

    def __len__(self) -> int:
        return len(self.rule)

    def places(self) -> dict[tuple[str, str], int]:
        """Slot by rule and sensor id."""
        pairs = zip(self.rule.tolist(), self.sensor.tolist(), strict=True)
        return {(self.rules[r].id, self.catalogue.by_n[n].id): slot for slot, (r, n) in enumerate(pairs)}


@dataclass
class Memory:
    """Changed in place by ``judge``. Times are epoch microseconds of the receipt clock.

    ``listening_since_us``: while we were deaf nobody was silent. By slot: ``rung`` (0 quiet), ``since_us`` (from when on the
    sensor was silent as its alert was raised); the open alerts; ``quieted``: from when to when a silence that goes on was no
    concern, because of ``when``.
    """

    listening_since_us: int
    rung: Numbers
    since_us: Numbers
    firing: dict[int, Alert] = field(default_factory=dict)
    quieted: dict[int, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def quiet(cls, slots: Slots, listening_since_us: int) -> Memory:
        return cls(listening_since_us, np.zeros(len(slots), dtype="i1"), np.zeros(len(slots), dtype="i8"))

    def clock_stepped(self, delta_us: int) -> None:
        """The server's clock stepped: what it told moves along. The times at which sensors were heard are the caller's."""
        self.listening_since_us += delta_us
        self.since_us[self.rung > 0] += delta_us
        self.quieted = {slot: (since + delta_us, until + delta_us) for slot, (since, until) in self.quieted.items()}


def lay_out(
    rules: Sequence[AbsenceRule], catalogue: Catalogue, areas: Mapping[str, BaseGeometry] | None = None
) -> Slots:
    """Slots for every rule on every sensor it is for."""
    found = [
        (index, sensor.n)
        for index, rule in enumerate(rules)
        for sensor in catalogue.sensors.values()
        if sensor.in_service and _is_for(rule, sensor, areas or {})
    ]
    table = np.array(found, dtype="i8").reshape(-1, 2)
    ladders = np.full((len(rules), _LEVELS), _ENDLESS, dtype="i8")
    for index, rule in enumerate(rules):
        ladders[index, : len(rule.levels)] = [round(level.at * _SECOND_US) for level in rule.levels]
    return Slots(tuple(rules), catalogue, table[:, 0], table[:, 1], ladders[table[:, 0]])


def heard_by_number(heard_at: Mapping[int, float], catalogue: Catalogue) -> Numbers:
    """When each sensor was last heard (epoch seconds by its number) as ``judge`` takes it."""
    heard_us = np.full(max(catalogue.by_n, default=0) + 1, NEVER, dtype="i8")
    known = np.fromiter(heard_at.keys(), dtype="i8", count=len(heard_at))
    at_us = np.rint(np.fromiter(heard_at.values(), dtype="f8", count=len(heard_at)) * _SECOND_US).astype("i8")
    heard_us[known[known < len(heard_us)]] = at_us[known < len(heard_us)]
    return heard_us


def judge(slots: Slots, heard_us: Numbers, memory: Memory, now_us: int, situation: Situation) -> Evaluation:
    """Who has fallen silent, is so for longer still, or is heard again. ``heard_us``: by sensor number, NEVER where never.

    Asked late or seldom it finds the same alerts with the same times, except for one that came and went in between.
    """
    heard = heard_us[slots.sensor]
    since = np.maximum(heard, memory.listening_since_us)
    rung = ((now_us - since)[:, None] >= slots.ladder).sum(axis=1)
    counts = np.array([whens.is_hour(rule.when, now_us, situation) for rule in slots.rules], dtype=bool)
    bound = np.array([rule.when != ALWAYS for rule in slots.rules], dtype=bool)
    stands = memory.rung > 0
    back = stands & (heard > memory.since_us)
    touched = back | ((rung > memory.rung) & counts[slots.rule])
    if bound.any():
        touched |= stands & bound[slots.rule]
    changes: list[AlertChange] = []
    for slot in np.flatnonzero(touched).tolist():
        rule = slots.rules[slots.rule[slot]]
        sensor = slots.catalogue.by_n[int(slots.sensor[slot])]
        met = bool(counts[slots.rule[slot]]) and whens.is_mode(rule.when, sensor.scope, rule.domain, situation)
        turn = _Turn(rule, sensor, slot, int(heard[slot]), int(since[slot]), int(rung[slot]), met)
        changes += _step(turn, memory, now_us, situation)
    return Evaluation(changes)


def recall(slots: Slots, open_alerts: Iterable[Alert], memory: Memory) -> Memory:
    """``memory`` brought in line with the alerts that the database says are open."""
    alerts = {alert.id: alert for alert in open_alerts}
    for slot, firing in list(memory.firing.items()):
        known = alerts.pop(firing.id, None)
        if known is None:
            memory.rung[slot] = 0
            del memory.firing[slot]
        elif known.version > firing.version:
            _stand(slots, memory, slot, known, int(memory.since_us[slot]))
    places = slots.places() if alerts else {}
    for alert in alerts.values():
        slot = places.get((alert.rule, alert.source.id), -1)
        if slot >= 0 and slot not in memory.firing:
            _stand(slots, memory, slot, alert, _since_of(alert))
    return memory


def freeze(memory: Memory, slots: Slots) -> bytes:
    """All it remembers, by rule and sensor."""
    kept = sorted(memory.firing.keys() | memory.quieted.keys())
    names = {slot: name for name, slot in slots.places().items()} if kept else {}
    rows = [
        _Row(*names[slot], int(memory.since_us[slot]), memory.firing.get(slot), memory.quieted.get(slot))
        for slot in kept
    ]
    return msgspec.msgpack.encode(_Frozen(_VERSION, memory.listening_since_us, rows))


def thaw(frozen: bytes, slots: Slots) -> Memory:
    """What ``freeze`` wrote, as far as its rules and sensors are still there. Raises ValueError."""
    try:
        found = msgspec.msgpack.decode(frozen, type=_Frozen)
    except msgspec.MsgspecError as problem:
        raise ValueError(f"not the memory of absences: {problem}") from None
    if found.version != _VERSION:
        raise ValueError(f"the memory of absences is of version {found.version}, not {_VERSION}")
    memory = Memory.quiet(slots, found.listening_since_us)
    places = slots.places() if found.rows else {}
    for row in found.rows:
        slot = places.get((row.rule, row.sensor))
        if slot is None:
            continue
        if row.quieted is not None:
            memory.quieted[slot] = row.quieted
        if row.alert is not None:
            _stand(slots, memory, slot, row.alert, row.since_us)
    return memory


class _Row(msgspec.Struct, frozen=True, array_like=True):
    rule: str
    sensor: str
    since_us: int
    alert: Alert | None
    quieted: tuple[int, int] | None


class _Frozen(msgspec.Struct, frozen=True, array_like=True):
    version: int
    listening_since_us: int
    rows: list[_Row]


@dataclass(frozen=True, slots=True)
class _Turn:
    """A slot as it is now: silent ``since_us``, long enough for ``rung``; ``met``: its rule counts now."""

    rule: AbsenceRule
    sensor: Sensor
    slot: int
    heard_us: int
    since_us: int
    rung: int
    met: bool


def _is_for(rule: AbsenceRule, sensor: Sensor, areas: Mapping[str, BaseGeometry]) -> bool:
    where: Where = rule.where
    if not wheres.is_named(where, sensor.id, sensor.scope) or not _is_meant(rule, sensor):
        return False
    if where.inside is None and where.outside is None:
        return True
    return sensor.lng is not None and sensor.lat is not None and wheres.is_met(where, sensor.lng, sensor.lat, areas)


def _is_meant(rule: AbsenceRule, sensor: Sensor) -> bool:
    if rule.quantity is not None:
        return rule.quantity in sensor.quantities
    return bool(rule.where.sensors) or sensor.domain == rule.domain


def _stand(slots: Slots, memory: Memory, slot: int, alert: Alert, since_us: int) -> None:
    # The ladder may have been edited since: the alert stands on the highest rung no graver than it, and on the first at least.
    levels = slots.rules[slots.rule[slot]].levels
    memory.rung[slot] = max(1, sum(level.severity <= alert.severity for level in levels))
    memory.since_us[slot] = since_us
    memory.firing[slot] = alert


def _since_of(alert: Alert) -> int:
    try:
        since = datetime.fromisoformat(str(alert.why.get("since")))
    except ValueError:
        return alert.raised_at_us
    return round(since.timestamp() * _SECOND_US)


def _step(turn: _Turn, memory: Memory, now_us: int, situation: Situation) -> Iterator[AlertChange]:
    slot = turn.slot
    alert = memory.firing.get(slot)
    if alert is not None and turn.heard_us > memory.since_us[slot]:
        silent_s = (turn.heard_us - int(memory.since_us[slot])) / _SECOND_US
        yield _end(memory, slot, alert, max(turn.heard_us, alert.at_us), value=silent_s)
        alert = None
    if alert is not None and not turn.met:
        # Hours end at a minute of their own; a mode ends when we are told.
        over_us = whens.first(turn.rule.when, False, alert.at_us, now_us, situation) or now_us
        memory.quieted[slot] = turn.since_us, over_us
        yield _end(memory, slot, alert, over_us, value=alert.value, because=_suppressed(turn, now_us, situation))
        alert = None
    if not turn.met or turn.rung <= memory.rung[slot]:
        return
    alert = (
        _raised(turn, memory, now_us, situation)
        if alert is None
        else _told(replace(alert, version=alert.version + 1), turn)
    )
    yield AlertChange(Change.RAISED if alert.version == 1 else Change.GREW, alert)
    memory.rung[slot] = turn.rung
    memory.since_us[slot] = turn.since_us
    memory.firing[slot] = alert


def _end(
    memory: Memory, slot: int, alert: Alert, at_us: int, value: float, because: Mapping[str, Any] | None = None
) -> AlertChange:
    memory.rung[slot] = 0
    del memory.firing[slot]
    why = {**alert.why, **(because or {"silent_s": value})}
    ended = replace(alert, ended_at_us=at_us, at_us=at_us, value=value, version=alert.version + 1, why=why)
    return AlertChange(Change.ENDED, ended)


def _suppressed(turn: _Turn, now_us: int, situation: Situation) -> Mapping[str, Any]:
    return {"ended": "mode" if whens.is_hour(turn.rule.when, now_us, situation) else "hours"}


def _raised(turn: _Turn, memory: Memory, now_us: int, situation: Situation) -> Alert:
    rule, sensor = turn.rule, turn.sensor
    due_us = turn.since_us + round(rule.levels[0].at * _SECOND_US)
    quieted = memory.quieted.pop(turn.slot, None)
    again_us = quieted[1] if quieted is not None and quieted[0] == turn.since_us else None
    from_us = max(due_us, again_us or due_us)
    at_us = whens.first(rule.when, True, from_us - 1, now_us, situation) or now_us
    # The same silence may be raised again after hours in which it was no concern.
    cause = f"absence\0{turn.since_us}" + ("" if again_us is None else f"\0{again_us}")
    source = Source(
        "sensor", sensor.id, sensor.name, sensor.cell, sensor.region, sensor.scope, sensor.lng or 0.0, sensor.lat or 0.0
    )
    alert = Alert(
        id=alert_id(rule.id, sensor.id, cause),
        rule=rule.id,
        rule_version=rule.version,
        source=source,
        domain=rule.domain,
        category=rule.category,
        severity=1,
        title="",
        title_en="",
        quantity=QUANTITY,
        unit="s",
        value=0.0,
        threshold=0.0,
        raised_at_us=at_us,
        at_us=at_us,
        why={"kind": "absence", "since": rfc3339(turn.since_us), "heard": turn.heard_us != NEVER},
    )
    return _told(alert, turn)


def _told(alert: Alert, turn: _Turn) -> Alert:
    level = turn.rule.levels[turn.rung - 1]
    zh, en = _lasting(level.at)
    return replace(
        alert,
        at_us=max(turn.since_us + round(level.at * _SECOND_US), alert.at_us),
        severity=level.severity,
        warning_level=level.warning_level,
        value=level.at,
        threshold=level.at,
        title=f"{turn.rule.title.zh} {zh}，{level.action.zh}",
        title_en=f"{turn.rule.title.en} {en}: {level.action.en}",
    )


def _lasting(seconds: float) -> tuple[str, str]:
    for size, zh, en in ((86_400, "天", "d"), (3_600, "小时", "h"), (60, "分钟", "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {zh}", f"{seconds / size:.3g} {en}"
    return f"{seconds:.3g} 秒", f"{seconds:.3g} s"
