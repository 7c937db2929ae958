"""Readings by the hour: what stays when the readings themselves are dropped, and what long ranges are answered from.

An hour is computed once, when it is past and the lateness bound with it. Readings that come later still leave a mark in their
own transaction, and the hour is computed again from all of them; so a row here is always what the stored readings say, except
in hours whose readings are no longer there: those stay as they are. A reading counts in the hour of its own time, with a clock
that is ahead in that of its receipt, as everywhere. What lies outside the plausible range is counted and otherwise left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Double,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    text,
)

from config.database import Policy, metadata
from ingest.decode import AHEAD_AFTER_S, LATE_AFTER_S
from ingest.reading import AHEAD, ReadingBatch
from ingest.reading_range import from_readings

HOUR: Final = timedelta(hours=1)
CLOSED_AFTER: Final = HOUR + timedelta(seconds=LATE_AFTER_S)
"""After its beginning an hour is closed: a reading of it that is stored later leaves a mark."""
_SLACK: Final = timedelta(minutes=10)
"""How much longer we wait before an hour is computed: transactions that began before it was closed have ended by then, and
the clocks of worker and scheduler may differ."""
_AHEAD: Final = timedelta(seconds=AHEAD_AFTER_S)

Instant = DateTime(timezone=True)

reading_hours = Table(
    "reading_hours",
    metadata,
    Column("hour", Instant, primary_key=True),
    Column("sensor", Integer, primary_key=True),
    Column("quantity", SmallInteger, primary_key=True),
    Column("readings", Integer, nullable=False),
    Column("left_out", Integer, nullable=False),
    Column("lowest", Double),
    Column("highest", Double),
    Column("mean", Double),
    Column("last", Double),
    Column("last_at", Instant),
    Index("ix_reading_hours_hour", "hour", postgresql_using="brin"),
)

# Only ever added to by the worker: a key would make it wait for who takes the marks away.
stale_hours = Table(
    "stale_hours", metadata, Column("hour", Instant, nullable=False), Column("sensor", Integer, nullable=False)
)

# ``hours``: all before it have been computed. ``dropped``: readings received before it may be gone.
reading_marks = Table(
    "reading_marks", metadata, Column("name", Text, primary_key=True), Column("at", Instant, nullable=False)
)

policies = (Policy("reading_hours", "sensor = ANY (ARRAY(SELECT n FROM sensors))"),)

_COLUMNS = "hour, sensor, quantity, readings, left_out, lowest, highest, mean, last, last_at"
_SET = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[3:])
_SAVE = f"INSERT INTO reading_hours ({_COLUMNS}) {{found}} ON CONFLICT (sensor, quantity, hour) DO UPDATE SET {_SET}"
_ALL = text(_SAVE.format(found=from_readings("true")))
_SOME = text(
    _SAVE.format(
        found=f"SELECT found.* FROM ({from_readings('sensor = ANY(:among)')}) AS found"
        " JOIN unnest(CAST(:hours AS timestamptz[]), CAST(:sensors AS int[])) AS wanted (hour, sensor)"
        " USING (hour, sensor)"
    )
)


def mark_stale(connection: Connection, batch: ReadingBatch, now: datetime) -> None:
    """Leave marks for the readings of hours that are closed. ``now`` is read inside the transaction that stores them."""
    counted = np.where((batch.flags & AHEAD) == 0, batch.at, batch.received_at)
    hours = counted.astype("M8[h]")
    rows = np.flatnonzero(hours <= np.datetime64((now.astimezone(UTC) - CLOSED_AFTER).replace(tzinfo=None), "us"))
    if not len(rows):
        return
    pairs = np.unique(np.stack([hours[rows].astype("i8"), batch.sensor[rows].astype("i8")]), axis=1)
    connection.execute(
        text(
            "INSERT INTO stale_hours SELECT to_timestamp(hour * 3600), sensor"
            " FROM unnest(CAST(:hours AS bigint[]), CAST(:sensors AS int[])) AS stale (hour, sensor)"
        ),
        {"hours": pairs[0].tolist(), "sensors": pairs[1].tolist()},
    )


def computed_to(connection: Connection) -> datetime:
    """The hours before it are in ``reading_hours``."""
    return _mark(connection, "hours")


def compute_next(connection: Connection, now: datetime, hours: int = 24) -> bool:
    """Compute the next ``hours`` that are due; whether more of them are. Nothing while another process is at it."""
    claimed = connection.execute(
        text("SELECT at FROM reading_marks WHERE name = 'hours' FOR UPDATE SKIP LOCKED")
    ).scalar()
    if claimed is None:
        return False
    first: datetime = claimed.astimezone(UTC)
    due = (now.astimezone(UTC) - CLOSED_AFTER - _SLACK).replace(minute=0, second=0, microsecond=0) + HOUR
    last = min(due, first + HOUR * hours)
    if last <= first:
        return False
    connection.execute(_ALL, {"first": first, "last": last, "received": first - _AHEAD})
    connection.execute(text("UPDATE reading_marks SET at = :last WHERE name = 'hours'"), {"last": last})
    return last < due


def compute_stale(connection: Connection, most: int = 5_000) -> int:
    """Compute hours again for which readings came late; how many marks were taken up.

    Of hours that were not computed yet the marks wait. Of hours whose readings are gone nothing better is known.
    """
    claim = text("SELECT at FROM reading_marks WHERE name = 'hours' FOR UPDATE SKIP LOCKED")
    done_to = connection.execute(claim).scalar()
    if done_to is None:
        return 0
    marks = connection.execute(
        text(
            "DELETE FROM stale_hours WHERE ctid = ANY (ARRAY("
            "SELECT ctid FROM stale_hours WHERE hour < :done_to ORDER BY hour, sensor LIMIT :most)) RETURNING hour, sensor"
        ),
        {"done_to": done_to, "most": most},
    ).all()
    safe_from = _mark(connection, "dropped") + HOUR
    by_day: dict[datetime, set[tuple[datetime, int]]] = {}
    for hour, sensor in marks:
        if hour >= safe_from:
            day = hour.astimezone(UTC).replace(hour=0)
            by_day.setdefault(day, set()).add((hour, sensor))
    for pairs in by_day.values():
        _compute(connection, sorted(pairs))
    return len(marks)


def _compute(connection: Connection, pairs: Sequence[tuple[datetime, int]]) -> None:
    first, last = pairs[0][0], pairs[-1][0] + HOUR
    values: dict[str, Any] = {
        "first": first,
        "last": last,
        "received": first - _AHEAD,
        "among": sorted({sensor for _, sensor in pairs}),
        "hours": [hour for hour, _ in pairs],
        "sensors": [sensor for _, sensor in pairs],
    }
    connection.execute(_SOME, values)


def waits_for(connection: Connection, before: datetime) -> bool:
    """Whether hours before a time still have to be computed, or computed again."""
    if computed_to(connection) < before:
        return True
    found = text("SELECT EXISTS (SELECT FROM stale_hours WHERE hour < :before)")
    return bool(connection.execute(found, {"before": before}).scalar_one())


def drop_hours(connection: Connection, before: datetime) -> int:
    """Forget the hours before a time; how many rows."""
    return connection.execute(text("DELETE FROM reading_hours WHERE hour < :before"), {"before": before}).rowcount


def note_dropped(connection: Connection, before: datetime) -> None:
    """Readings received before a time may be gone from now on."""
    connection.execute(
        text("UPDATE reading_marks SET at = greatest(at, :before) WHERE name = 'dropped'"), {"before": before}
    )


def _mark(connection: Connection, name: str) -> datetime:
    found: datetime = connection.execute(
        text("SELECT at FROM reading_marks WHERE name = :name"), {"name": name}
    ).scalar_one()
    return found
