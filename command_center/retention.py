"""What is kept of readings and of quarantine, and for how long: the work of the scheduler, a little at a time.

Every step is one transaction that another process doing the same cannot disturb. Dropping a day needs its tables for an
instant; when that is not to be had soon, it is tried again later, so that the path never waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from config.settings import Keeping
from ingest import hour_store
from ingest.partition_store import days_to_drop, days_to_index, drop_day, index_day, kept_days
from ingest.quarantine_store import drop_surplus

# What still has its hands on a reading: open alerts and incidents, and rules that go on from a snapshot.
_OPEN = text(
    "SELECT raised_at FROM alerts WHERE ended_at IS NULL"
    " UNION ALL SELECT opened_at FROM incidents WHERE status IN ('open', 'reported')"
)
_GOES_ON_FROM = text("SELECT min(taken_in_to) FROM rule_snapshots")


def keep_hours(engine: Engine, now: datetime) -> int:
    """Compute the hours that are due and those for which readings came late; how many transactions that took."""
    done = 0
    while True:
        with engine.begin() as connection:
            more = hour_store.compute_next(connection, now)
        with engine.begin() as connection:
            late = hour_store.compute_stale(connection)
        done += 1
        if not more and not late:
            return done


def keep_days(engine: Engine, now: datetime, keeping: Keeping) -> tuple[list[date], list[date]]:
    """Index the days that are over and drop those that are too old; which were indexed and which dropped.

    A day that somebody uses at this moment, or whose hours wait to be computed, is left for the next time.
    """
    with engine.connect() as connection:
        over = days_to_index(connection, now)
    indexed = [day for day in over if _done(engine, day, index_day)]
    with engine.begin() as connection:
        opened = list(connection.execute(_OPEN).scalars())
        goes_on_from = connection.execute(_GOES_ON_FROM).scalar() or now
        old = days_to_drop(kept_days(connection), opened, goes_on_from, now, keeping.readings_days)
        old = [day for day in old if not hour_store.waits_for(connection, _end(day))]
        hour_store.drop_hours(connection, now - timedelta(days=keeping.hours_days))
    return indexed, [day for day in old if _done(engine, day, _drop)]


def _drop(connection: Connection, day: date) -> None:
    hour_store.note_dropped(connection, _end(day))
    drop_day(connection, day)


def _end(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def _done(engine: Engine, day: date, work: Callable[[Connection, date], None]) -> bool:
    try:
        with engine.begin() as connection:
            work(connection, day)
    except OperationalError:
        return False  # the day is in use, or the database away: the next turn finds it again
    return True


def keep_quarantine(engine: Engine, now: datetime, keeping: Keeping) -> int:
    """Hold quarantine to its bounds; how many counties and reasons lost messages by it."""
    before = now - timedelta(days=keeping.quarantine_days)
    with engine.begin() as connection:
        return drop_surplus(connection, keeping.quarantine_rows, keeping.quarantine_bytes, before, now)
