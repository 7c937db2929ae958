"""Signals to incidents: what is the same matter, seen again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from rules.alert import NAMESPACE, Alert

NEAR_M = 50.0
RECENT_S = 24 * 3600
"""The defaults a city system was found to use for duplicate candidates: 50 m and 24 h within one category."""

_EARTH_M = 6_371_008.8


@dataclass(frozen=True, slots=True)
class Signal:
    """Anything that may speak of a matter. ``at_us`` epoch microseconds (UTC), position in degrees."""

    id: UUID
    kind: str
    category: str
    lng: float
    lat: float
    at_us: int


@dataclass(frozen=True, slots=True)
class Matter:
    """An open incident as far as correlation cares."""

    id: UUID
    category: str
    lng: float
    lat: float
    last_at_us: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A signal with the incident it belongs to; ``opens`` when it is the first of a new one."""

    signal: Signal
    incident: UUID
    opens: bool


def signal_of(alert: Alert) -> Signal:
    """An alert as a signal."""
    return Signal(alert.id, "alert", alert.category, alert.source.lng, alert.source.lat, alert.at_us)


def correlate(signals: Sequence[Signal], open_matters: Iterable[Matter]) -> list[Placed]:
    """Give each signal its incident: the nearest open one of its category within NEAR_M and RECENT_S, else a new one."""
    matters = list(open_matters)
    placed = []
    for signal in signals:
        near = [(metres(signal.lng, signal.lat, m.lng, m.lat), m.last_at_us, m) for m in matters if _same(signal, m)]
        chosen = min(((d, -t, m) for d, t, m in near if d <= NEAR_M), key=lambda n: (n[0], n[1], n[2].id), default=None)
        if chosen is not None:
            placed.append(Placed(signal, chosen[2].id, opens=False))
            continue
        identity = incident_id(signal)
        matters.append(Matter(identity, signal.category, signal.lng, signal.lat, signal.at_us))
        placed.append(Placed(signal, identity, opens=True))
    return placed


def incident_id(signal: Signal) -> UUID:
    """The id of the incident that a signal opens."""
    return uuid5(NAMESPACE, f"incident\0{signal.id}")


def _same(signal: Signal, matter: Matter) -> bool:
    return signal.category == matter.category and abs(signal.at_us - matter.last_at_us) <= RECENT_S * 1_000_000


def metres(lng: float, lat: float, other_lng: float, other_lat: float) -> float:
    """Great-circle distance (haversine) of two points in degrees."""
    half_lat = math.radians(other_lat - lat) / 2
    half_lng = math.radians(other_lng - lng) / 2
    scale = math.cos(math.radians(lat)) * math.cos(math.radians(other_lat))
    chord = math.sin(half_lat) ** 2 + scale * math.sin(half_lng) ** 2
    # Between antipodes rounding can lift the chord above 1.
    return 2 * _EARTH_M * math.asin(math.sqrt(min(chord, 1.0)))
