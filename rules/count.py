"""Several events of a kind near each other: they are alerted together, as one place.

What is near is the same cell, or within ``radius_m`` of an event, which is then the centre. Events are taken in the order of
their own times, held back for ``HELD_BACK_S`` of the clock so that the order in which they came does not matter:

- An event within reach of the centre of an open alert belongs to it (to the nearest of several).
- Any other is free. As soon as some free event has enough free events in its reach and within ``over_s`` before the newest of
  them, itself included, the alert is raised there (most events first, then the earliest), and they belong to it.
- An alert grows with the events it has within ``over_s``, and ends when they are fewer than its first level asks for. Those
  left are free again.

What comes later than the hold-back still counts from when it is known, and is counted (``count_disordered``); what is older
than ``over_s``, or repeated after it, does not (``count_too_late``), nor does what a camera saw longer ago than the lateness
bound of readings: history alerts nobody.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from ingest.decode import LATE_AFTER_S
from rules import when as whens
from rules import where as wheres
from rules.alert import Alert, AlertChange, Change, Source, alert_id
from rules.evaluation import Evaluation
from rules.rule import CountRule
from rules.situation import Situation
from rules.statistic.moment import rfc3339
from video.camera import Camera, CameraEvent

Numbers: TypeAlias = npt.NDArray[Any]

HELD_BACK_S: Final = 5.0
KEPT: Final = 10_000
"""Events that a rule keeps at most; the oldest go first, and are counted (``count_overflow``)."""
PLACE: Final = "place"

_VERSION = 1
_FREE = 0
_SECOND_US = 1_000_000
_HELD_BACK_US = round(HELD_BACK_S * _SECOND_US)
_EARTH_M = 6_371_008.8
_LONG_AGO = -(1 << 62)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event that rules may count: an alert (``rule``, ``category``) or a camera event (``camera_event``).

    ``at_us`` epoch microseconds; ``source`` the id of its sensor or camera, ``name`` that one's name; position in degrees.
    """

    id: str
    at_us: int
    source: str
    name: str
    cell: str
    region: str
    scope: str
    lng: float
    lat: float
    rule: str = ""
    category: str = ""
    camera_event: str = ""


def occurrences(
    changes: Iterable[AlertChange], events: Iterable[CameraEvent], cameras: Mapping[str, Camera]
) -> list[Occurrence]:
    """What may be counted: alerts as they are raised, and camera events. Alerts of places are counts themselves."""
    found = [
        _of_alert(change.alert)
        for change in changes
        if change.change is Change.RAISED and change.alert.source.kind != PLACE
    ]
    return found + [_of_event(event, cameras[event.camera]) for event in events]


def _of_alert(alert: Alert) -> Occurrence:
    s = alert.source
    where = (s.id, s.name, s.cell, s.region, s.scope, s.lng, s.lat)
    return Occurrence(str(alert.id), alert.raised_at_us, *where, rule=alert.rule, category=alert.category)


def _of_event(event: CameraEvent, camera: Camera) -> Occurrence:
    where = (camera.id, camera.name, camera.cell, camera.region, camera.scope, camera.lng, camera.lat)
    at_us = round(event.started_at * _SECOND_US)
    return Occurrence(f"{camera.id}\0{event.key}", at_us, *where, camera_event=event.kind)


@dataclass
class Memory:
    """Changed in place. ``crowds`` by rule id, of the rules that have met an event."""

    crowds: dict[str, Crowd] = field(default_factory=dict)

    def clock_stepped(self, delta_us: int) -> None:
        """The server's clock stepped: how far events have been taken moves along. Their own times are their devices'."""
        for crowd in self.crowds.values():
            crowd.now_us += delta_us


def count_events(
    events: Sequence[Occurrence],
    rules: Sequence[CountRule],
    memory: Memory,
    now_us: int,
    situation: Situation,
    areas: Mapping[str, BaseGeometry] | None = None,
) -> Evaluation:
    """Phase changes that events and the clock bring: without events it is the tick. An event given twice counts once."""
    counts: Counter[str] = Counter()
    changes: list[AlertChange] = []
    for rule in rules:
        crowd = memory.crowds.get(rule.id)
        asked = [event for event in events if _is_of(rule, event)]
        placed = [event for event in asked if _has_place(rule, event)]
        counts["count_without_place"] += len(asked) - len(placed)
        fresh = [event for event in placed if not _is_history(event, now_us)]
        counts["count_too_late"] += len(placed) - len(fresh)
        met = [event for event in fresh if _is_for(rule, event, situation, areas or {})]
        if crowd is None and not met:
            continue
        if crowd is None:
            crowd = memory.crowds[rule.id] = Crowd(rule)
        if rule != crowd.rule:
            crowd = memory.crowds[rule.id] = Crowd.thawed(rule, crowd.frozen())
        # A clock ahead of ours counts as of receipt.
        crowd.held += [replace(event, at_us=min(event.at_us, now_us)) for event in met]
        changes += crowd.advance(now_us - _HELD_BACK_US, now_us, situation, counts)
    return Evaluation(changes, +counts)


def recall(rules: Sequence[CountRule], open_alerts: Iterable[Alert], memory: Memory) -> Memory:
    """``memory`` brought in line with the alerts that the database says are open. One that it did not know has no events: it
    goes on with those that come, or ends after ``over_s``.
    """
    places = [alert for alert in open_alerts if alert.source.kind == PLACE]
    for rule in rules:
        of_rule = {alert.id: alert for alert in places if alert.rule == rule.id}
        if of_rule and rule.id not in memory.crowds:
            memory.crowds[rule.id] = Crowd(rule)
        if rule.id in memory.crowds:
            memory.crowds[rule.id].recall(of_rule)
    return memory


def freeze(memory: Memory) -> bytes:
    """All it remembers."""
    return msgspec.msgpack.encode(_Frozen(_VERSION, {name: crowd.frozen() for name, crowd in memory.crowds.items()}))


def thaw(frozen: bytes, rules: Sequence[CountRule]) -> Memory:
    """What ``freeze`` wrote, as far as its rules are still there. Raises ValueError."""
    try:
        found = msgspec.msgpack.decode(frozen, type=_Frozen)
    except msgspec.MsgspecError as problem:
        raise ValueError(f"not the memory of counts: {problem}") from None
    if found.version != _VERSION:
        raise ValueError(f"the memory of counts is of version {found.version}, not {_VERSION}")
    known = {rule.id: rule for rule in rules}
    return Memory({name: Crowd.thawed(known[name], crowd) for name, crowd in found.crowds.items() if name in known})


class _FrozenCrowd(msgspec.Struct, frozen=True, array_like=True):
    now_us: int
    dropped_us: int
    held: list[Occurrence]
    events: list[tuple[Occurrence, int]]
    open: dict[int, Alert]


class _Frozen(msgspec.Struct, frozen=True, array_like=True):
    version: int
    crowds: dict[str, _FrozenCrowd]


@dataclass
class _Open:
    """An open alert, where its centre is, its rung, and when it ends if no event comes."""

    alert: Alert
    spot: Numbers
    rung: int
    until_us: int


class Crowd:
    """The events that one rule looks at. ``now_us``: how far they have been taken.

    Events before ``dropped_us`` come too late. ``held`` wait for their turn. Those taken are kept in columns: when, where (on
    the globe in metres, or the cell's number), the number of the open alert they belong to (0: free), and for free ones how
    many free ones are in reach.
    """

    def __init__(self, rule: CountRule) -> None:
        self.rule = rule
        self.now_us = _LONG_AGO
        self.dropped_us = _LONG_AGO
        self.held: list[Occurrence] = []
        self.open: dict[int, _Open] = {}
        self._cells: dict[str, int] = {}
        self._empty()

    @property
    def _over_us(self) -> int:
        return round(self.rule.over_s * _SECOND_US)

    @property
    def _least(self) -> int:
        return max(1, math.ceil(self.rule.levels[0].at))

    @property
    def _reach(self) -> float:
        """The square of the chord that spans the radius; 0 for the same cell."""
        radius_m = self.rule.reach.radius_m
        return 0.0 if radius_m is None else (2 * _EARTH_M * math.sin(radius_m / _EARTH_M / 2)) ** 2

    def advance(
        self, until_us: int, clock_us: int, situation: Situation, counts: Counter[str]
    ) -> Iterator[AlertChange]:
        """Take the events up to a time, and bring the alerts up to it."""
        due = sorted((e for e in self.held if e.at_us <= until_us), key=lambda e: (e.at_us, e.id))
        self.held = [e for e in self.held if e.at_us > until_us]
        if len(self.held) > KEPT:
            self.held.sort(key=lambda e: (e.at_us, e.id))
            due += self.held[:-KEPT]
            self.held = self.held[-KEPT:]
        for event in due:
            if event.id in self._ids:
                continue
            if event.at_us <= max(self.dropped_us, self.now_us - self._over_us):
                counts["count_too_late"] += 1
                continue
            counts["count_disordered"] += event.at_us < self.now_us
            yield from self._pass(event.at_us - 1, situation)
            self.now_us = max(self.now_us, event.at_us)
            yield from self._take(event, counts)
        yield from self._pass(until_us, situation)
        if not all(self._in_mode(found.alert.source.scope, situation) for found in self.open.values()):
            yield from self._leave_mode(clock_us, situation)

    def recall(self, alerts: dict[UUID, Alert]) -> None:
        """Exactly these alerts are open."""
        for number, found in list(self.open.items()):
            known = alerts.pop(found.alert.id, None)
            if known is None:
                del self.open[number]
                self._free_all(number)
            elif known.version > found.alert.version:
                found.alert, found.rung = known, self._rung_of(known)
        for alert in alerts.values():
            self._reopen(max(self.open, default=_FREE) + 1, alert)
            self.now_us = max(self.now_us, alert.at_us)

    def frozen(self) -> _FrozenCrowd:
        owned = zip(self._events, self._owner.tolist(), strict=True)
        alerts = {number: found.alert for number, found in self.open.items()}
        return _FrozenCrowd(self.now_us, self.dropped_us, self.held, list(owned), alerts)

    @classmethod
    def thawed(cls, rule: CountRule, frozen: _FrozenCrowd) -> Crowd:
        crowd = cls(rule)
        crowd.now_us, crowd.dropped_us, crowd.held = frozen.now_us, frozen.dropped_us, list(frozen.held)
        for number, alert in frozen.open.items():
            crowd._reopen(number, alert)
        for event, owner in frozen.events[-KEPT:]:
            crowd._add(event, owner if owner in crowd.open else _FREE)
        for number in crowd.open:
            crowd._extend(number)
        return crowd

    def _reopen(self, number: int, alert: Alert) -> None:
        until_us = alert.at_us + self._over_us
        self.open[number] = _Open(alert, self._spot_of(alert.source), self._rung_of(alert), until_us)

    def _rung_of(self, alert: Alert) -> int:
        # The ladder may have been edited since: the alert stands on the highest rung no graver than it, on the first at least.
        return max(1, sum(level.severity <= alert.severity for level in self.rule.levels))

    def _empty(self) -> None:
        self._events: list[Occurrence] = []
        self._ids: set[str] = set()
        self._at = np.empty(0, dtype="i8")
        self._spots = np.empty((0, 3))
        self._owner = np.empty(0, dtype="i8")
        self._near = np.empty(0, dtype="i8")

    def _spot_of(self, place: Occurrence | Source) -> Numbers:
        if self.rule.reach.radius_m is None:
            return np.array([self._cells.setdefault(place.cell, len(self._cells)), 0.0, 0.0])
        lng, lat = math.radians(place.lng), math.radians(place.lat)
        on_globe = (math.cos(lat) * math.cos(lng), math.cos(lat) * math.sin(lng), math.sin(lat))
        return _EARTH_M * np.array(on_globe)

    def _around(self, spot: Numbers) -> npt.NDArray[np.bool_]:
        """Which events are in reach of a spot."""
        return np.asarray(((self._spots - spot) ** 2).sum(axis=1) <= self._reach)

    def _add(self, event: Occurrence, owner: int) -> None:
        spot = self._spot_of(event)
        self._events.append(event)
        self._ids.add(event.id)
        self._at = np.append(self._at, event.at_us)
        self._spots = np.vstack([self._spots, spot])
        self._owner = np.append(self._owner, owner)
        self._near = np.append(self._near, 0)
        if owner == _FREE:
            self._free(len(self._events) - 1)

    def _free(self, index: int) -> None:
        """An event counts as free from now on."""
        self._owner[index] = _FREE
        around = self._around(self._spots[index]) & (self._owner == _FREE)
        around[index] = False
        self._near[around] += 1
        self._near[index] = 1 + int(around.sum())

    def _free_all(self, number: int) -> None:
        for index in np.flatnonzero(self._owner == number).tolist():
            self._free(index)

    def _own(self, index: int, owner: int) -> None:
        """A free event belongs to an alert, or is about to be forgotten."""
        around = self._around(self._spots[index]) & (self._owner == _FREE)
        self._near[around] -= 1
        self._owner[index] = owner
        self._near[index] = 0

    def _forget(self, gone: npt.NDArray[np.bool_]) -> None:
        if not gone.any():
            return
        for index in np.flatnonzero(gone & (self._owner == _FREE)).tolist():
            self._own(index, -1)
        kept = ~gone
        self._events = [event for event, keep in zip(self._events, kept.tolist(), strict=True) if keep]
        self._ids = {event.id for event in self._events}
        self._at, self._spots = self._at[kept], self._spots[kept]
        self._owner, self._near = self._owner[kept], self._near[kept]

    def _take(self, event: Occurrence, counts: Counter[str]) -> Iterator[AlertChange]:
        self._forget(self._at <= self.now_us - self._over_us)
        if len(self._events) == KEPT:
            counts["count_overflow"] += 1
            oldest = int(np.argmin(self._at))
            self.dropped_us = max(self.dropped_us, int(self._at[oldest]))
            self._forget(np.arange(KEPT) == oldest)
        owner = self._owner_of(event)
        self._add(event, owner)
        if owner != _FREE:
            self._extend(owner)
            yield from self._grow(owner)
            return
        around = self._around(self._spots[-1]) & (self._owner == _FREE) & (self._near >= self._least)
        if around.any():
            best = int(self._near[around].max())
            equal = np.flatnonzero(around & (self._near == best)).tolist()
            yield self._raise(min(equal, key=lambda i: (self._events[i].at_us, self._events[i].id)))

    def _owner_of(self, event: Occurrence) -> int:
        spot = self._spot_of(event)
        distances = ((float(((found.spot - spot) ** 2).sum()), number) for number, found in self.open.items())
        return min((pair for pair in distances if pair[0] <= self._reach), default=(0.0, _FREE))[1]

    def _raise(self, index: int) -> AlertChange:
        centre = self._events[index]
        members = np.flatnonzero(self._around(self._spots[index]) & (self._owner == _FREE)).tolist()
        newest = max((self._events[i] for i in members), key=lambda e: (e.at_us, e.id))
        number = max(self.open, default=_FREE) + 1
        for member in members:
            self._own(member, number)
        rung = self._rung(len(members))
        alert = _told(_alert(self.rule, centre, newest), self.rule, rung, len(members), self._seen(number))
        self.open[number] = _Open(alert, self._spots[index].copy(), rung, newest.at_us)
        self._extend(number)
        return AlertChange(Change.RAISED, alert)

    def _grow(self, number: int) -> Iterator[AlertChange]:
        found = self.open[number]
        count = int((self._owner == number).sum())
        rung = self._rung(count)
        if rung > found.rung:
            at_us = int(self._at[self._owner == number].max())
            grown = replace(found.alert, at_us=max(at_us, found.alert.at_us), version=found.alert.version + 1)
            found.alert = _told(grown, self.rule, rung, count, self._seen(number))
            found.rung = rung
            yield AlertChange(Change.GREW, found.alert)

    def _rung(self, count: int) -> int:
        return sum(count >= level.at for level in self.rule.levels)

    def _seen(self, number: int) -> dict[str, Any]:
        at = self._at[self._owner == number]
        sources = {e.source for e, owner in zip(self._events, self._owner.tolist(), strict=True) if owner == number}
        times = {"from": rfc3339(int(at.min())), "to": rfc3339(int(at.max()))}
        return {"kind": "count", "events": len(at), "sources": len(sources), "over_s": self.rule.over_s} | times

    def _pass(self, until_us: int, situation: Situation) -> Iterator[AlertChange]:
        """Let time pass: hours that end, and alerts that run out of events."""
        if until_us <= self.now_us:
            return
        begun_us = self.now_us if self._events or self.open else until_us
        over_us = whens.first(self.rule.when, False, begun_us, until_us, situation)
        yield from self._run_out(until_us if over_us is None else over_us)
        if over_us is not None:
            for number in list(self.open):
                yield self._end(number, over_us, {"ended": "hours"})
            self._empty()
            self.dropped_us = over_us
        self.now_us = until_us

    def _run_out(self, until_us: int) -> Iterator[AlertChange]:
        """The ends up to a time, in their order."""
        while self.open:
            end_us, number = min((found.until_us, number) for number, found in self.open.items())
            if end_us > until_us:
                return
            yield self._end(number, end_us, {})
            self._free_all(number)

    def _extend(self, number: int) -> None:
        """An alert lasts until too few of its events are left."""
        at = np.sort(self._at[self._owner == number])
        if len(at) >= self._least:
            self.open[number].until_us = int(at[-self._least]) + self._over_us

    def _end(self, number: int, at_us: int, because: Mapping[str, Any]) -> AlertChange:
        alert = self.open.pop(number).alert
        ended_us = max(at_us, alert.at_us)
        why = {**alert.why, **because}
        ended = replace(alert, ended_at_us=ended_us, at_us=ended_us, version=alert.version + 1, why=why)
        return AlertChange(Change.ENDED, ended)

    def _in_mode(self, scope: str, situation: Situation) -> bool:
        return whens.is_mode(self.rule.when, scope, self.rule.domain, situation)

    def _leave_mode(self, clock_us: int, situation: Situation) -> Iterator[AlertChange]:
        for number, found in list(self.open.items()):
            if not self._in_mode(found.alert.source.scope, situation):
                gone = self._owner == number
                self.dropped_us = max([self.dropped_us, *self._at[gone].tolist()])
                self._forget(gone)
                yield self._end(number, clock_us, {"ended": "mode"})


def _is_of(rule: CountRule, event: Occurrence) -> bool:
    of = rule.of
    if of.camera_event is not None:
        return event.camera_event == of.camera_event
    return event.rule == of.rule if of.rule is not None else event.category == of.category


def _is_history(event: Occurrence, now_us: int) -> bool:
    # An alert is of a reading that was judged live; what cameras saw comes as it was sent, however long ago.
    return bool(event.camera_event) and event.at_us < now_us - LATE_AFTER_S * _SECOND_US


def _has_place(rule: CountRule, event: Occurrence) -> bool:
    by_cell = rule.reach.radius_m is None and rule.where.inside is None and rule.where.outside is None
    return bool(event.cell) and (by_cell or event.lng != 0 or event.lat != 0)


def _is_for(rule: CountRule, event: Occurrence, situation: Situation, areas: Mapping[str, BaseGeometry]) -> bool:
    return (
        wheres.is_named(rule.where, event.source, event.scope)
        and wheres.is_met(rule.where, event.lng, event.lat, areas)
        and whens.is_met(rule.when, event.at_us, event.scope, rule.domain, situation)
    )


def _alert(rule: CountRule, centre: Occurrence, newest: Occurrence) -> Alert:
    place = centre.cell if rule.reach.radius_m is None else f"{centre.cell}@{centre.lng:.6f},{centre.lat:.6f}"
    where = (centre.name, centre.cell, centre.region, centre.scope, centre.lng, centre.lat)
    return Alert(
        id=alert_id(rule.id, place, f"count\0{newest.id}"),
        rule=rule.id,
        rule_version=rule.version,
        source=Source(PLACE, place, *where),
        domain=rule.domain,
        category=rule.category,
        severity=1,
        title="",
        title_en="",
        quantity=rule.of.rule or rule.of.category or rule.of.camera_event or "",
        unit="1",
        value=0.0,
        threshold=0.0,
        raised_at_us=newest.at_us,
        at_us=newest.at_us,
    )


def _told(alert: Alert, rule: CountRule, rung: int, count: int, why: Mapping[str, Any]) -> Alert:
    level = rule.levels[rung - 1]
    return replace(
        alert,
        severity=level.severity,
        warning_level=level.warning_level,
        value=float(count),
        threshold=level.at,
        title=f"{rule.title.zh} {count} 起，{level.action.zh}",
        title_en=f"{rule.title.en} {count}: {level.action.en}",
        why=why,
    )
