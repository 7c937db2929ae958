"""What a sensor that nobody knows has sent: enough to say what it is, and to begin an entry of the catalogue with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

from ingest.formats import native
from ingest.reading import DATUMS


@dataclass(frozen=True, slots=True)
class Sent:
    """``values``: the newest value by quantity; ``position``: the newest (lng, lat) in ``datum``; ``interval_s``: the usual
    time between two messages. ``unread`` counts messages that are not of the native format.
    """

    values: Mapping[str, float]
    position: tuple[float, float] | None
    datum: str
    interval_s: float | None
    unread: int


def look_into(messages: Sequence[tuple[datetime, bytes]]) -> Sent:
    """``messages``: (received, payload), newest first."""
    values: dict[str, float] = {}
    position, datum, unread = None, DATUMS[0], 0
    for _, payload in messages:
        try:
            observations = [native.read(raw) for raw in native.split(payload)]
        except native.Unreadable:
            unread += 1
            continue
        for observation in reversed(observations):
            for name, value in observation.values.items():
                values.setdefault(name, value)
            stated = observation.lng is not None and observation.lat is not None and observation.datum in DATUMS
            if position is None and stated and observation.lng is not None and observation.lat is not None:
                position, datum = (observation.lng, observation.lat), observation.datum
    times = [at for at, _ in messages]
    gaps = [(later - earlier).total_seconds() for later, earlier in pairwise(times)]
    usual = median(gaps) if gaps else 0
    return Sent(values, position, datum, float(max(1, round(usual))) if usual > 0 else None, unread)
