"""Ranges of stored readings as SQL: each reading, or figures by the hour or the day. Text only; who runs it binds the names.

A reading lies where its own time says, with a clock that is ahead where its receipt says. ``first`` and ``last`` bound that
time, ``received`` is AHEAD_AFTER_S before ``first``: nothing of the range can have been received earlier. What lies outside the
plausible range, or was called faulty by the device itself, is counted as left out and otherwise no part of the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from ingest.reading import AHEAD, FAULTY, OUT_OF_RANGE

Step = Literal["raw", "hour", "day"]

_ODD: Final = OUT_OF_RANGE | FAULTY
_KEPT: Final = f"FILTER (WHERE flags & {_ODD} = 0)"
# The last one by an array's order: its own time, then its receipt. Collecting and sorting them would take memory.
_FIGURES: Final = f"""count(*) {_KEPT} AS readings, count(*) FILTER (WHERE flags & {_ODD} <> 0) AS left_out,
 min(value) {_KEPT} AS lowest, max(value) {_KEPT} AS highest, avg(value) {_KEPT} AS mean,
 (max(ARRAY[extract(epoch FROM counted_at)::float8, extract(epoch FROM received_at)::float8, value]) {_KEPT})[3] AS last,
 max(counted_at) {_KEPT} AS last_at"""
_HOUR: Final = "hour, sensor, quantity, readings, left_out, lowest, highest, mean, last, last_at"

_ONE_RAW: Final = timedelta(days=2)
_ONE_HOURLY: Final = timedelta(days=62)
_MANY_RAW: Final = timedelta(hours=1)
_MANY_HOURLY: Final = timedelta(days=7)
MOST_RAW: Final = timedelta(days=1)
"""The longest range that is given reading by reading for more than one sensor."""


class BadRange(ValueError):
    """A range cannot be given like that."""


@dataclass(frozen=True, slots=True)
class Names:
    """The placeholders of whoever runs the query."""

    first: str = ":first"
    last: str = ":last"
    received: str = ":received"
    computed_to: str = ":computed_to"
    zone: str = ":zone"


def step_for(wanted: Step | None, span: timedelta, one_sensor: bool) -> Step:
    """How a range is given: as ``wanted``, else in as much detail as can be looked at. Raises BadRange."""
    if wanted == "raw" and not one_sensor and span > MOST_RAW:
        raise BadRange(
            "reading by reading at most one day of more than one sensor: ask for step=hour, or for one sensor"
        )
    if wanted is not None:
        return wanted
    raw, hourly = (_ONE_RAW, _ONE_HOURLY) if one_sensor else (_MANY_RAW, _MANY_HOURLY)
    return "raw" if span <= raw else "hour" if span <= hourly else "day"


def each(condition: str, names: Names = Names()) -> str:
    """Every reading; ``counted_at`` is where it lies. ``condition`` over sensor and quantity."""
    columns = "sensor, quantity, value, flags, key, at, received_at"
    return f"""SELECT {columns}, at AS counted_at FROM readings
 WHERE at >= {names.first} AND at < {names.last} AND received_at >= {names.received} AND flags & {AHEAD} = 0 AND {condition}
 UNION ALL SELECT {columns}, received_at FROM readings
 WHERE received_at >= {names.first} AND received_at < {names.last} AND flags & {AHEAD} <> 0 AND {condition}"""


def from_readings(condition: str, names: Names = Names()) -> str:
    """Figures by the hour, computed from the readings."""
    hour = "date_trunc('hour', counted_at, 'UTC') AS hour"
    return f"SELECT {hour}, sensor, quantity, {_FIGURES} FROM ({each(condition, names)}) AS counted GROUP BY 1, 2, 3"


def by_hour(condition: str, names: Names = Names()) -> str:
    """Figures by the hour: as they are stored, and computed for the hours since. ``first`` and ``last`` are whole hours."""
    computed_to = f"CAST({names.computed_to} AS timestamptz)"
    since = Names(
        f"greatest({names.first}, {computed_to})",
        names.last,
        f"greatest({names.received}, {computed_to} - interval '5 min')",
    )
    return f"""SELECT {_HOUR} FROM reading_hours
 WHERE hour >= {names.first} AND hour < {names.last} AND hour < {computed_to} AND {condition}
 UNION ALL {from_readings(condition, since)}"""


def by_day(condition: str, names: Names = Names()) -> str:
    """Figures by the day of ``zone``. ``first`` and ``last`` are whole days."""
    last = "(max(ARRAY[extract(epoch FROM last_at)::float8, last]) FILTER (WHERE last_at IS NOT NULL))[2] AS last"
    return f"""SELECT date_trunc('day', hour, {names.zone}) AS hour, sensor, quantity, sum(readings)::bigint AS readings,
 sum(left_out)::bigint AS left_out, min(lowest) AS lowest, max(highest) AS highest,
 sum(mean * readings) / nullif(sum(readings), 0) AS mean, {last}, max(last_at) AS last_at
 FROM ({by_hour(condition, names)}) AS hours GROUP BY 1, 2, 3"""
