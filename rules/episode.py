"""What rules said over a stretch of time: alerts from beginning to end, how they belong together, and how they are counted."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final
from uuid import UUID

from rules.alert import Alert, AlertChange, Change
from rules.correlate import Signal, correlate, incident_id, signal_of
from rules.correlation import PLAIN, Correlation

_SECOND_US: Final = 1_000_000
_MINUTE_US: Final = 60 * _SECOND_US
_DAY: Final = timedelta(days=1)


@dataclass
class Episodes:
    """What the rules said, in order of being said; the alerts as their last change left them, each with its severest value."""

    changes: list[AlertChange] = field(default_factory=list)
    alerts: dict[UUID, Alert] = field(default_factory=dict)
    peaks: dict[UUID, float] = field(default_factory=dict)

    def take(self, changes: Sequence[AlertChange]) -> None:
        self.changes += changes
        for change in changes:
            alert = change.alert
            self.alerts[alert.id] = alert
            if change.change is not Change.ENDED:
                self.peaks[alert.id] = alert.value

    def in_order(self) -> list[Alert]:
        """By time raised, then rule and source."""
        return sorted(self.alerts.values(), key=_order)


@dataclass(frozen=True, slots=True)
class Group:
    """Alerts of one matter: what live would have been one incident. ``first`` is the alert that opened it, as it was then.

    Times are epoch microseconds.
    """

    id: UUID
    category: str
    severity: int
    first: Alert
    members: tuple[Alert, ...]

    @property
    def from_us(self) -> int:
        return min(alert.raised_at_us for alert in self.members)

    @property
    def to_us(self) -> int | None:
        """None: one of them is still open."""
        ends = [alert.ended_at_us for alert in self.members]
        return None if None in ends else max(end for end in ends if end is not None)


def groups(episodes: Episodes, table: Correlation = PLAIN) -> list[Group]:
    """Incident groups by the same correlation as live, as if nobody had closed or parted an incident meanwhile.

    Alerts without a position are of one matter only with those of their own source: nobody knows what is near them.
    """
    told = sorted(
        (c.alert for c in episodes.changes if c.change is not Change.ENDED), key=lambda a: (a.at_us, *_order(a))
    )
    first: dict[UUID, Alert] = {}
    for alert in told:
        first.setdefault(alert.id, alert)
    clusters = correlate([_signal(alert, table) for alert in first.values()], table=table)
    found = []
    for cluster in clusters:
        members = sorted((episodes.alerts[signal.id] for signal in cluster.signals), key=_order)
        opener = first[cluster.signals[0].id]
        severity = max(alert.severity for alert in members)
        found.append(Group(incident_id(cluster.signals[0]), opener.category, severity, opener, tuple(members)))
    return found


def _signal(alert: Alert, table: Correlation) -> Signal:
    signal = signal_of(alert, table)
    placed = signal.lng != 0.0 or signal.lat != 0.0
    return signal if placed else replace(signal, lng=math.nan, lat=math.nan)


def _order(alert: Alert) -> tuple[int, str, str]:
    return alert.raised_at_us, alert.rule, alert.source.id


@dataclass(frozen=True, slots=True)
class Difference:
    """Alerts of two rulebooks over the same readings: those with a partner in the other, those without."""

    both: int
    only_here: tuple[Alert, ...]
    only_there: tuple[Alert, ...]


def differ(here: Sequence[Alert], there: Sequence[Alert], until_us: int) -> Difference:
    """Alerts are the same when rule and source are (the fingerprint) and their times overlap; an open one lasts to the end."""
    only_here = _alone(here, there, until_us)
    return Difference(len(here) - len(only_here), only_here, _alone(there, here, until_us))


def _alone(alerts: Sequence[Alert], others: Sequence[Alert], until_us: int) -> tuple[Alert, ...]:
    spans: dict[UUID, list[tuple[int, int]]] = defaultdict(list)
    for other in others:
        spans[other.fingerprint].append((other.raised_at_us, _end_us(other, until_us)))
    return tuple(
        alert
        for alert in alerts
        if not any(
            begun <= _end_us(alert, until_us) and alert.raised_at_us <= ended
            for begun, ended in spans.get(alert.fingerprint, ())
        )
    )


def _end_us(alert: Alert, until_us: int) -> int:
    return until_us if alert.ended_at_us is None else alert.ended_at_us


@dataclass
class Load:
    """How many alerts, of which severities, and for how long they stood."""

    alerts: int = 0
    minutes: float = 0.0
    severities: Counter[int] = field(default_factory=Counter)
    sources: set[str] = field(default_factory=set)


def loads(alerts: Iterable[Alert], until_us: int, key: Callable[[Alert], str]) -> dict[str, Load]:
    """Alerts counted by what ``key`` says of them."""
    found: dict[str, Load] = defaultdict(Load)
    for alert in alerts:
        load = found[key(alert)]
        load.alerts += 1
        load.severities[alert.severity] += 1
        load.sources.add(alert.source.id)
        load.minutes += (_end_us(alert, until_us) - alert.raised_at_us) / _MINUTE_US
    return dict(sorted(found.items()))


def days(alerts: Iterable[Alert], until_us: int, zone: tzinfo) -> dict[date, Load]:
    """Alerts by the local day on which they were raised; their minutes by the days on which they stood."""
    found: dict[date, Load] = defaultdict(Load)
    for alert in alerts:
        begun_us, ended_us = alert.raised_at_us, _end_us(alert, until_us)
        day = _local(begun_us, zone).date()
        load = found[day]
        load.alerts += 1
        load.severities[alert.severity] += 1
        load.sources.add(alert.source.id)
        while True:
            night_us = _midnight_us(day + _DAY, zone)
            found[day].minutes += (min(ended_us, night_us) - begun_us) / _MINUTE_US
            if ended_us <= night_us:
                break
            begun_us, day = night_us, day + _DAY
    return dict(sorted(found.items()))


def _local(us: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(us / _SECOND_US, zone)


def _midnight_us(day: date, zone: tzinfo) -> int:
    return round(datetime.combine(day, time(), zone).timestamp() * _SECOND_US)
