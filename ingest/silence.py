"""Who has gone silent. Silence is a fact like any other: it is shown, with since when.

A sensor whose next message is overdue is silent. When many of one county are overdue and nobody of that county was heard since,
it is the county's link that fell silent, and that is said once instead of sensor by sensor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from ingest.sensor import Sensor

ONLINE: Final = "online"
SILENT: Final = "silent"
OFFLINE: Final = "offline"
UNKNOWN: Final = "unknown"

LATE_S: Final = 5.0
"""How long after its time a message may come: delays on the way are no silence."""
DOUBT_S: Final = 8.0
"""How long a sensor is given while nobody else of its county was heard either: it may be the link."""
DOZENS: Final = 10
"""A county with fewer sensors online has no link to tell from its sensors: that is silent once all of them are."""
ENOUGH: Final = 2
"""So many sensors, due since their county was last heard and late, mean that it is the link."""


class Fallen(NamedTuple):
    """Who fell silent: (sensor, last heard, whether it is said by itself) and (county, last heard); epoch seconds."""

    sensors: list[tuple[Sensor, float, bool]]
    links: list[tuple[str, float]]


class _Late(NamedTuple):
    sensor: Sensor
    heard: float
    due: float


def fallen_silent(
    sensors: Iterable[Sensor],
    heard_at: Mapping[int, float],
    state: Mapping[int, str],
    links: Mapping[str, str],
    listening_since: float,
    now: float,
) -> Fallen:
    """Sensors and links that were online and are silent now. A sensor becomes so at most DOUBT_S after it was due.

    ``links``: state by county. ``listening_since`` is when we began to listen, or listened again: while we were deaf nobody
    was silent.
    """
    last: dict[str, float] = {}
    online: dict[str, int] = {}
    late: dict[str, list[_Late]] = {}
    for sensor in sensors:
        heard = heard_at.get(sensor.n)
        if heard is None:
            continue
        county = sensor.county
        if heard > last.get(county, 0.0):
            last[county] = heard
        if not sensor.in_service or state.get(sensor.n) != ONLINE:
            continue
        online[county] = online.get(county, 0) + 1
        due = max(heard, listening_since) + sensor.interval_s
        if now - due > LATE_S:
            late.setdefault(county, []).append(_Late(sensor, heard, due))
    fallen = Fallen([], [])
    for county, overdue in late.items():
        _judge(county, overdue, online[county], last[county], links.get(county, UNKNOWN), now, fallen)
    return fallen


def _judge(county: str, late: list[_Late], online: int, last: float, link: str, now: float, fallen: Fallen) -> None:
    """``last``: when anybody of the county was heard; ``online``: how many of its sensors are."""
    due_since = sum(one.due > last for one in late)
    away = link in (SILENT, OFFLINE)
    if not away and online >= DOZENS and due_since >= ENOUGH:
        fallen.links.append((county, last))
        away = True
    silent = [one for one in late if away or one.due <= last or now - one.due > DOUBT_S]
    fallen.sensors.extend((one.sensor, one.heard, not away) for one in silent)
    if not away and len(silent) == online:
        fallen.links.append((county, last))
