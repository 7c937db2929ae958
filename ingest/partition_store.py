"""The days that readings and their positions are kept in: made ahead, indexed when they are over, dropped whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, text

_OVER_AFTER = timedelta(hours=1)


def ensure_partitions(connection: Connection, today: datetime, days: int = 3) -> None:
    """Make the partitions of ``today`` (UTC) and the days after it."""
    for ahead in range(days):
        day = (today + timedelta(days=ahead)).date()
        connection.execute(text("SELECT make_reading_partition(:day)"), {"day": day})


def kept_days(connection: Connection) -> list[date]:
    """The days (UTC, by receipt) that have a partition, oldest first."""
    found = connection.execute(
        text(
            "SELECT to_date(right(relname, 8), 'YYYYMMDD') AS day FROM pg_class WHERE relkind = 'r' AND relispartition"
            " AND relnamespace = 'public'::regnamespace AND relname ~ '^readings_[0-9]{8}$' ORDER BY 1"
        )
    )
    return list(found.scalars())


def days_to_index(connection: Connection, now: datetime) -> list[date]:
    """The days that are over and have no index by sensor yet. While a day is filled one would cost more than it gives."""
    found = connection.execute(
        text("SELECT substring(relname FROM '[0-9]{8}') FROM pg_class WHERE relname ~ '^ix_readings_[0-9]{8}_sensor$'")
    )
    indexed = {datetime.strptime(name, "%Y%m%d").replace(tzinfo=UTC).date() for name in found.scalars()}
    over_before = (now.astimezone(UTC) - _OVER_AFTER).date()
    return [day for day in kept_days(connection) if day < over_before and day not in indexed]


def index_day(connection: Connection, day: date) -> None:
    """Let the readings of a day be found by sensor, quantity and their own time."""
    connection.execute(text("SELECT index_reading_partition(:day)"), {"day": day})


def drop_day(connection: Connection, day: date) -> None:
    """Drop the readings received on a day, with their positions."""
    connection.execute(text("SELECT drop_reading_partition(:day)"), {"day": day})


def days_to_drop(
    days: Iterable[date], opened: Sequence[datetime], needed_from: datetime, now: datetime, keep_days: int
) -> list[date]:
    """Which of the days are older than ``keep_days`` and needed by nobody. Pure.

    What is open keeps the day it began on and its two neighbours: what led there, and what came of it. ``needed_from``: what
    was received later is still to be read by somebody who goes on from there.
    """
    needed = {at.astimezone(UTC).date() + timedelta(days=shift) for at in opened for shift in (-1, 0, 1)}
    oldest = min((now - timedelta(days=keep_days)).astimezone(UTC).date(), needed_from.astimezone(UTC).date())
    return [day for day in days if day < oldest and day not in needed]
