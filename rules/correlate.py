"""Signals to incidents: what is the same matter, seen again.

Two signals of one family of categories are linked when they are near each other in place and time, or when one source gave
both; and two of one group of families when both are in one storm: a stretch of time in which a township has so many signals
of the group that they have one cause. Which pairs are linked follows from the set of signals alone, and more signals only
link more. So the incidents,
which are the connected components, come out the same in whatever order and in whatever batches the signals come, and they
can be kept up as they come. The one thing that stops a link is a person: what was kept apart stays apart.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

import numpy as np
import numpy.typing as npt

from rules.alert import NAMESPACE, Alert
from rules.correlation import PLAIN, Correlation, Reach, Storm
from rules.group import township

_EARTH_M: Final = 6_371_008.8
METRES_A_DEGREE: Final = math.radians(1) * _EARTH_M
_Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Signal:
    """Anything that may speak of a matter. ``at_us`` epoch microseconds (UTC), position in degrees (NaN: nobody knows).

    ``township`` is the path of the township it lies in, ``source`` what saw it: empty for a person.
    """

    id: UUID
    kind: str
    family: str
    township: str
    source: str
    lng: float
    lat: float
    at_us: int


@dataclass(frozen=True, slots=True)
class Known:
    """A signal of an open incident."""

    signal: Signal
    incident: UUID


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is one matter: new signals, oldest first, and the open incidents that they, or a storm, bring together."""

    signals: tuple[Signal, ...]
    incidents: tuple[UUID, ...]


def signal_of(alert: Alert, table: Correlation) -> Signal:
    """An alert as a signal: of the time when it was raised, which is the same whenever it comes."""
    source = alert.source
    return Signal(
        id=alert.id,
        kind="alert",
        family=table.family(alert.category),
        township=township(source.scope),
        source=source.id,
        lng=source.lng,
        lat=source.lat,
        at_us=alert.raised_at_us,
    )


def incident_id(signal: Signal) -> UUID:
    """The id of the incident that a signal opens."""
    return uuid5(NAMESPACE, f"incident\0{signal.id}")


def correlate(
    new: Iterable[Signal],
    known: Iterable[Known] = (),
    apart: Collection[frozenset[UUID]] = (),
    table: Correlation = PLAIN,
) -> list[Cluster]:
    """Join new signals with each other and with open incidents, of which ``known`` are the signals within reach.

    ``apart`` are pairs of incidents that a person parted: a signal that is linked to both goes to the one of its nearest
    signal. Clusters without anything new or joined are left out.
    """
    fresh = sorted({signal.id: signal for signal in new}.values(), key=_order)
    held = sorted(known, key=lambda one: _order(one.signal))
    field = _Field([one.signal for one in held] + fresh, [one.incident for one in held], apart)
    for family in sorted({signal.family for signal in fresh}):
        _follow_near(field, family, table.reach(family))
    if table.storm is not None:
        for group in sorted({table.group(signal.family) for signal in fresh}):
            _follow_storms(field, table.grouped(group), table.storm)
    return field.clusters()


def _order(signal: Signal) -> tuple[int, UUID]:
    return signal.at_us, signal.id


class _Field:
    """Signals with the label of the component that each is in; those of one incident begin in one."""

    def __init__(self, signals: list[Signal], incidents: list[UUID], apart: Collection[frozenset[UUID]]) -> None:
        self.signals = signals
        self.held = len(incidents)
        self.names = list(dict.fromkeys(incidents))
        numbers = {name: n for n, name in enumerate(self.names)}
        fresh = len(signals) - self.held
        self.label = np.array([numbers[i] for i in incidents] + [len(self.names) + n for n in range(fresh)], np.int64)
        self.incidents = {n: {name} for name, n in numbers.items()}
        self.apart = apart

    def join(self, one: int, other: int) -> None:
        """Make two components one, unless a person parted them."""
        if one == other:
            return
        mine, theirs = self.incidents.get(one, set()), self.incidents.get(other, set())
        if self.apart and any(frozenset((a, b)) in self.apart for a in mine for b in theirs):
            return
        self.label[self.label == other] = one
        if theirs:
            self.incidents[one] = mine | theirs
            del self.incidents[other]

    def clusters(self) -> list[Cluster]:
        members: dict[int, list[Signal]] = defaultdict(list)
        for n in range(self.held, len(self.signals)):
            members[int(self.label[n])].append(self.signals[n])
        for label, joined in self.incidents.items():
            if len(joined) > 1:
                members[label] += []
        rank = {name: n for n, name in enumerate(self.names)}
        return [
            Cluster(tuple(own), tuple(sorted(self.incidents.get(label, ()), key=rank.__getitem__)))
            for label, own in members.items()
        ]


def _follow_near(field: _Field, family: str, reach: Reach) -> None:
    """Join each new signal with what is within its reach: the nearest first, as a parted pair lets it join one only."""
    own = np.array([n for n, signal in enumerate(field.signals) if signal.family == family], np.int64)
    signals = [field.signals[n] for n in own]
    lng, lat = np.array([s.lng for s in signals]), np.array([s.lat for s in signals])
    at_us = np.array([s.at_us for s in signals], np.int64)
    grid = _Grid(lng, lat, reach.near_m)
    by_time = np.argsort(at_us, kind="stable")
    times = at_us[by_time]
    by_source: dict[str, list[int]] = defaultdict(list)
    for n, signal in enumerate(signals):
        if own[n] >= field.held:
            near = grid.around(n)
            if reach.moves_m_s:
                begin, end = np.searchsorted(times, [at_us[n] - reach.moves_for_us, at_us[n] + reach.moves_for_us + 1])
                near = np.concatenate((near, by_time[begin:end]))
            found = np.concatenate((near[near < n], np.array(by_source[signal.source], np.int64)))
            _join_linked(field, own, n, found, len(near[near < n]), (lng, lat, at_us), reach)
        # Where the cause moves, or nobody knows where it is, the source says what is one matter.
        if signal.source and (reach.moves_m_s or not np.isfinite(lng[n])):
            by_source[signal.source].append(n)


def _join_linked(
    field: _Field, own: _Array, n: int, found: _Array, near: int, where: tuple[_Array, _Array, _Array], reach: Reach
) -> None:
    """Join the signal ``n`` with those of ``found`` that it is linked to; from ``near`` on they are of its own source."""
    lng, lat, at_us = where
    apart_us = np.abs(at_us[found] - at_us[n])
    away_m = _metres_from(lng[n], lat[n], lng[found], lat[found])
    follows = apart_us <= reach.moves_for_us
    limit_m = reach.near_m + np.where(follows, reach.moves_m_s * apart_us / 1e6, 0.0)
    linked = (apart_us <= reach.within_us) & ((away_m <= limit_m) | (np.arange(len(found)) >= near))
    away_m[near:] = 0.0
    found, away_m, apart_us = found[linked], away_m[linked], apart_us[linked]
    others = field.label[own[found[np.lexsort((found, apart_us, away_m))]]]
    _, first = np.unique(others, return_index=True)
    for other in others[np.sort(first)]:
        field.join(int(other), int(field.label[own[n]]))


def _follow_storms(field: _Field, families: Collection[str], storm: Storm) -> None:
    """Join what is in one storm: runs of ``rate`` signals of a township within the window, each overlapping the next."""
    by_town: dict[str, list[int]] = defaultdict(list)
    for n, signal in enumerate(field.signals):
        if signal.family in families:
            by_town[signal.township].append(n)
    for town in by_town.values():
        if len(town) < storm.rate:
            continue
        own = sorted(town, key=lambda n: _order(field.signals[n]))
        at_us = np.array([field.signals[n].at_us for n in own], np.int64)
        dense = at_us[storm.rate - 1 :] - at_us[: len(at_us) - storm.rate + 1] <= storm.window_s * 1e6
        # How many dense runs hold both a signal and the next.
        turns = np.zeros(len(own) + 1, np.int64)
        turns[: len(dense)] += dense
        turns[storm.rate - 1 : storm.rate - 1 + len(dense)] -= dense
        for k in np.flatnonzero(np.cumsum(turns)[: len(own) - 1]).tolist():
            field.join(int(field.label[own[k]]), int(field.label[own[k + 1]]))


class _Grid:
    """Squares at least ``side_m`` wide: whatever is that near to a point lies in its square or in one of the eight around."""

    def __init__(self, lng: _Array, lat: _Array, side_m: float) -> None:
        side = side_m / METRES_A_DEGREE * 1.01
        widest = float(np.nanmax(np.abs(lat))) if np.isfinite(lat).any() else 0.0
        placed = np.isfinite(lng) & np.isfinite(lat)
        self.row = np.floor(np.where(placed, lat, 0.0) / side).astype(np.int64)
        self.column = np.floor(np.where(placed, lng, 0.0) / (side / max(math.cos(math.radians(widest)), 0.01))).astype(
            np.int64
        )
        key = self._key(self.row, self.column)
        self.order = np.argsort(key, kind="stable")
        self.keys = key[self.order]

    @staticmethod
    def _key(row: Any, column: Any) -> Any:
        return row * 2**32 + column

    def around(self, n: int) -> _Array:
        """The numbers of the points in the nine squares around a point."""
        row, column = int(self.row[n]), int(self.column[n])
        wanted = [self._key(row + north, column + east) for north in (-1, 0, 1) for east in (-1, 2)]
        ends = np.searchsorted(self.keys, wanted)
        return np.concatenate([self.order[ends[k] : ends[k + 1]] for k in (0, 2, 4)])


def _metres_from(lng: float, lat: float, lngs: _Array, lats: _Array) -> _Array:
    half_lat, half_lng = np.radians(lats - lat) / 2, np.radians(lngs - lng) / 2
    chord = np.sin(half_lat) ** 2 + math.cos(math.radians(lat)) * np.cos(np.radians(lats)) * np.sin(half_lng) ** 2
    found: _Array = 2 * _EARTH_M * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))
    return found


def metres(lng: float, lat: float, other_lng: float, other_lat: float) -> float:
    """Great-circle distance (haversine) of two points in degrees."""
    half_lat = math.radians(other_lat - lat) / 2
    half_lng = math.radians(other_lng - lng) / 2
    scale = math.cos(math.radians(lat)) * math.cos(math.radians(other_lat))
    chord = math.sin(half_lat) ** 2 + scale * math.sin(half_lng) ** 2
    # Between antipodes rounding can lift the chord above 1.
    return 2 * _EARTH_M * math.asin(math.sqrt(min(chord, 1.0)))
