"""What stays of readings: hours that equal the readings they stand for, and days that go when nobody needs them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from command_center.retention import keep_days, keep_hours
from config.database import worker_engine
from config.settings import Keeping
from ingest.decode import AHEAD_AFTER_S, LATE_AFTER_S
from ingest.hour_store import computed_to
from ingest.partition_store import days_to_drop, ensure_partitions, kept_days
from ingest.reading import AHEAD, LATE, OUT_OF_RANGE, ReadingBatch
from ingest.store import save_positions, save_readings
from tests.conftest import Database
from tests.running_city import StandingCity, standing_city

BEGIN = datetime(2031, 3, 1, tzinfo=UTC)
NAN = math.nan


@dataclass(frozen=True)
class Told:
    """A reading, its times in seconds from BEGIN."""

    sensor: int
    quantity: int
    value: float
    at_s: int
    received_s: int
    odd: bool

    @property
    def flags(self) -> int:
        late_s = self.received_s - self.at_s
        ahead = AHEAD if -late_s > AHEAD_AFTER_S else 0
        return ahead | (LATE if late_s > LATE_AFTER_S else 0) | (OUT_OF_RANGE if self.odd else 0)

    @property
    def counted_s(self) -> int:
        return self.received_s if self.flags & AHEAD else self.at_s


def batch_of(told: list[Told], keys: Iterator[int]) -> ReadingBatch:
    us = int(BEGIN.timestamp()) * 1_000_000
    return ReadingBatch.of(
        [
            (t.sensor, t.quantity, t.value, us + t.at_s * 1_000_000, us + t.received_s * 1_000_000, next(keys), t.flags,
             NAN, NAN, 0, 0)
            for t in told
        ]
    )  # fmt: skip


def hours_of(told: list[Told]) -> dict[tuple[int, int, int], tuple[Any, ...]]:
    """By (hour, sensor, quantity): how many, how many left out, lowest, highest, mean, last and when that was."""
    parts: dict[tuple[int, int, int], list[Told]] = {}
    for one in told:
        parts.setdefault((one.counted_s // 3600, one.sensor, one.quantity), []).append(one)
    found = {}
    for name, part in parts.items():
        kept = [one for one in part if not one.odd]
        values = [one.value for one in kept]
        last = max(kept, key=lambda one: (one.counted_s, one.received_s, one.value), default=None)
        found[name] = (
            len(kept),
            len(part) - len(kept),
            min(values, default=None),
            max(values, default=None),
            round(sum(values) / len(values), 6) if values else None,
            None if last is None else last.value,
            None if last is None else last.counted_s,
        )
    return found


@pytest.fixture(scope="module")
def engine(module_database: Database) -> Iterator[Engine]:
    made = worker_engine(module_database.worker_url)
    with made.begin() as connection:
        ensure_partitions(connection, BEGIN, 2)
    yield made
    made.dispose()


# A reading by its delay on the way to the database and by what its clock says against its receipt, on and beside every bound.
told = st.builds(
    lambda sensor, quantity, value, delay_s, ahead_s, odd: (sensor, quantity, value, delay_s, ahead_s, odd),
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(-3, 9).map(float),
    st.sampled_from([0, 1, 600, 4000, 12_000]),
    st.sampled_from([0, -1, -1800, -3599, -3600, -3601, -9000, -20_000, 60, 300, 301, 1_000_000]),
    st.booleans(),
)
# Minutes that pass, then what is stored in one transaction; None: the scheduler computes what is due.
steps = st.lists(
    st.tuples(st.integers(0, 150), st.one_of(st.none(), st.lists(told, min_size=1, max_size=5))), max_size=8
)


@settings(max_examples=30, deadline=None)
@given(found=steps)
def test_hours_say_what_a_computation_from_all_readings_says_whenever_they_came(engine: Engine, found: Any) -> None:
    keys, now_s, stored = count(1), 8 * 3600, []
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM readings; DELETE FROM reading_hours; DELETE FROM stale_hours")
        connection.execute(text("UPDATE reading_marks SET at = :at"), {"at": BEGIN - timedelta(hours=12)})
        connection.execute(text("UPDATE reading_marks SET at = '2000-01-01' WHERE name = 'dropped'"))
    for minutes, part in [*found, (150, None)]:
        now_s += minutes * 60
        now = BEGIN + timedelta(seconds=now_s)
        if part is None:
            keep_hours(engine, now)
            continue
        fresh = []
        for sensor, quantity, value, delay_s, ahead_s, odd in part:
            received_s = now_s - delay_s
            fresh.append(Told(sensor, quantity, value, received_s + ahead_s, received_s, odd))
        with engine.begin() as connection:
            save_readings(connection, batch_of(fresh, keys), np.zeros(len(fresh), dtype="i4"), lambda now=now: now)
        stored += fresh
    with engine.begin() as connection:
        done_s = (computed_to(connection) - BEGIN).total_seconds()
        rows = connection.execute(text("SELECT * FROM reading_hours")).all()
    assert done_s > now_s - 4 * 3600
    shown = {
        (int((r.hour - BEGIN).total_seconds()) // 3600, r.sensor, r.quantity): (
            r.readings, r.left_out, r.lowest, r.highest, None if r.mean is None else round(r.mean, 6), r.last,
            None if r.last_at is None else int((r.last_at - BEGIN).total_seconds()),
        )
        for r in rows
    }  # fmt: skip
    wanted = hours_of(stored)
    assert shown == {name: value for name, value in wanted.items() if name[0] * 3600 < done_s}


def test_two_processes_that_compute_hours_do_not_wait_for_each_other(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE reading_marks SET at = :at WHERE name = 'hours'"), {"at": BEGIN})
        connection.execute(text("SELECT FROM reading_marks FOR UPDATE"))
        keep_hours(engine, BEGIN + timedelta(days=1))
    with engine.begin() as connection:
        assert computed_to(connection) == BEGIN
    keep_hours(engine, BEGIN + timedelta(days=3))
    with engine.begin() as connection:
        assert computed_to(connection) == BEGIN + timedelta(days=2, hours=22)


# -- days ------------------------------------------------------------------------------------------------------------------

DAYS = [(BEGIN + timedelta(days=n)).date() for n in range(10)]


@given(
    keep=st.integers(0, 12),
    opened=st.lists(st.integers(-2, 12).map(lambda n: BEGIN + timedelta(days=n, hours=13)), max_size=3),
    goes_on=st.integers(0, 12).map(lambda n: BEGIN + timedelta(days=n)),
)
def test_a_day_goes_when_it_is_old_and_nothing_open_and_no_rule_needs_it(
    keep: int, opened: list[datetime], goes_on: datetime
) -> None:
    now = BEGIN + timedelta(days=9, hours=5)
    dropped = days_to_drop(DAYS, opened, goes_on, now, keep)
    for day in DAYS:
        old = (now.date() - day).days > keep and day < goes_on.date()
        needed = any(abs((at.date() - day).days) <= 1 for at in opened)
        assert (day in dropped) == (old and not needed), day


@pytest.fixture
def city(database: Database) -> Iterator[StandingCity]:
    with standing_city(database) as found:
        yield found


def fill(city: StandingCity, now: datetime, days: int) -> None:
    """A reading with a position on each of the days before today."""
    with city.engine.begin() as connection:
        ensure_partitions(connection, now - timedelta(days=days), days)
        for n in range(1, days):
            at = int((now - timedelta(days=n)).timestamp() * 1_000_000)
            batch = ReadingBatch.of([(1, 1, n / 10, at, at, n, 0, 118.2, 33.9, 0, 0)])
            save_readings(connection, batch, np.zeros(1, dtype="i4"))
            save_positions(connection, batch, batch.lng, batch.lat)
    keep_hours(city.engine, now)


def test_old_days_are_dropped_with_their_positions_and_their_hours_stay(city: StandingCity) -> None:
    now = datetime.now(UTC)
    fill(city, now, 45)
    city.open_ticket()
    begun = now - timedelta(days=40)
    city.rows("UPDATE alerts SET raised_at = :at", at=begun)
    city.rows("UPDATE incidents SET opened_at = :at", at=now)

    indexed, dropped = keep_days(city.engine, now, Keeping(readings_days=30))

    today = now.date()
    kept_old = {(begun + timedelta(days=n)).date() for n in (-1, 0, 1)}
    assert set(dropped) == {today - timedelta(days=n) for n in range(31, 46)} - kept_old
    # The day before today may not be over for long enough.
    assert set(indexed) >= {today - timedelta(days=n) for n in range(2, 46)}
    left = {row.day for row in city.rows("SELECT (received_at AT TIME ZONE 'UTC')::date AS day FROM readings")}
    assert left == {today - timedelta(days=n) for n in range(1, 31)} | kept_old
    assert [r.n for r in city.rows("SELECT count(*) AS n FROM reading_positions")] == [len(left)]
    assert len(city.rows("SELECT FROM reading_hours")) == 44
    with city.engine.connect() as connection:
        assert today in kept_days(connection)
    assert keep_days(city.engine, now, Keeping(readings_days=30)) == ([], [])
    city.rows("UPDATE alerts SET ended_at = now()")
    assert set(keep_days(city.engine, now, Keeping(readings_days=30))[1]) == kept_old


def test_a_reading_that_comes_after_its_day_was_dropped_spoils_no_hour(city: StandingCity) -> None:
    now = datetime.now(UTC)
    fill(city, now, 33)
    before = city.rows("SELECT hour, readings FROM reading_hours ORDER BY hour")
    keep_days(city.engine, now, Keeping(readings_days=30))
    at, received = (int((now - timedelta(days=n)).timestamp() * 1_000_000) for n in (32, 0))
    late = ReadingBatch.of([(1, 1, 9.0, at, received, 99, LATE, NAN, NAN, 0, 0)])
    with city.engine.begin() as connection:
        save_readings(connection, late, np.zeros(1, dtype="i4"))
    keep_hours(city.engine, now)
    assert city.rows("SELECT hour, readings FROM reading_hours ORDER BY hour") == before
    assert city.rows("SELECT FROM stale_hours") == []


def test_a_day_that_somebody_reads_is_dropped_the_next_time(city: StandingCity) -> None:
    now = datetime.now(UTC)
    fill(city, now, 33)
    # Not as the worker, whose transactions may not lie idle.
    with psycopg.connect(city.database.superuser_url) as reader:
        reader.execute("SELECT count(*) FROM readings")
        assert keep_days(city.engine, now, Keeping(readings_days=30))[1] == []
        assert len(city.rows("SELECT FROM readings")) == 32
    assert keep_days(city.engine, now, Keeping(readings_days=30))[1] != []
    assert len(city.rows("SELECT FROM readings")) == 30
