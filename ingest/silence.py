"""Who has gone silent. Silence is a fact like any other: it is shown, with since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ingest.sensor import Sensor

MISSED: Final = 3
"""A sensor is offline after this many expected messages did not come (as GB/T 28181 keep-alives are judged)."""
SHORTEST_S: Final = 30.0

ONLINE: Final = "online"
OFFLINE: Final = "offline"


def patience_s(sensor: Sensor) -> float:
    """How long a sensor may say nothing."""
    return max(MISSED * sensor.interval_s, SHORTEST_S)


def silent(
    sensors: Iterable[Sensor],
    heard_at: Mapping[int, float],
    state: Mapping[int, str],
    listening_since: float,
    now: float,
) -> list[tuple[Sensor, float]]:
    """Sensors that were online and have been silent too long, with when they were last heard (epoch seconds).

    ``listening_since`` is when we began to listen, or listened again: while we were deaf nobody was silent.
    """
    found = []
    for sensor in sensors:
        heard = heard_at.get(sensor.n)
        if heard is None or state.get(sensor.n) != ONLINE:
            continue
        if now - max(heard, listening_since) > patience_s(sensor):
            found.append((sensor, heard))
    return found
