"""What the store writes is what a query returns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from config.database import worker_engine
from ingest.decode import Doubt, Memory, decode
from ingest.partition_store import ensure_partitions
from ingest.quarantine import KEPT_BYTES, Rejection
from ingest.quarantine_store import quarantine, save_quarantine
from ingest.reading import ReadingBatch
from ingest.store import (
    load_keys,
    readings,
    save_positions,
    save_readings,
    stored_keys,
    stored_readings,
)
from tests.conftest import Database
from tests.ingest.test_decode import CITY, wire_messages
from tests.ingest.wire import message

TODAY = datetime(2026, 11, 23, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMES = ("received_at", "at", "sensor", "quantity", "value", "key", "flags", "cell")


@pytest.fixture(scope="module")
def engine(module_database: Database) -> Iterator[Engine]:
    made = worker_engine(module_database.worker_url)
    with made.begin() as connection:
        ensure_partitions(connection, TODAY)
    yield made
    made.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """One transaction that is taken back."""
    with engine.connect() as opened:
        yield opened


def us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def instants(first: datetime, last: datetime) -> st.SearchStrategy[datetime]:
    """Times between two, in UTC and to the microsecond."""
    return st.datetimes(first.replace(tzinfo=None), last.replace(tzinfo=None), timezones=st.just(UTC))


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


rows = st.fixed_dictionaries(
    {
        "received_at": instants(TODAY, TODAY + timedelta(days=3, microseconds=-1)),
        "at": instants(datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)),
        "sensor": integers(32),
        "quantity": integers(16),
        "value": st.floats(allow_nan=False, allow_infinity=False),
        "key": integers(64),
        "flags": st.integers(0, 31),
        "cell": st.integers(0, 2**31 - 1),
    }
)


def batch_of(found: list[dict[str, Any]]) -> ReadingBatch:
    nan = math.nan
    return ReadingBatch.of(
        [
            (
                r["sensor"],
                r["quantity"],
                r["value"],
                us(r["at"]),
                us(r["received_at"]),
                r["key"],
                r["flags"],
                nan,
                nan,
                0,
                0,
            )
            for r in found
        ]
    )


@settings(max_examples=40, deadline=None)
@given(found=st.lists(rows, max_size=20))
def test_what_is_copied_in_is_what_comes_out(engine: Engine, found: list[dict[str, Any]]) -> None:
    with engine.connect() as connection:
        save_readings(connection, batch_of(found), np.array([r["cell"] for r in found], dtype="i4"))
        stored = connection.execute(readings.select()).all()
    # -0.0 equals 0.0, so the sign is compared too.
    wanted = [(*(r[name] for name in NAMES), math.copysign(1, r["value"])) for r in found]
    assert sorted((*(getattr(row, name) for name in NAMES), math.copysign(1, row.value)) for row in stored) == sorted(
        wanted
    )


def test_a_batch_that_was_cut_out_of_another_is_copied_like_any_other(connection: Connection) -> None:
    at = us(TODAY)
    batch = ReadingBatch.of([(n, 1, n / 10, at, at, n, 0, math.nan, math.nan, 0, 0) for n in range(6)])
    save_readings(connection, batch.take(batch.sensor % 2 == 1), np.zeros(3, dtype="i4"))
    save_readings(connection, batch.take(np.array([], dtype="i8")), np.zeros(0, dtype="i4"))
    assert connection.execute(text("SELECT sensor, value FROM readings ORDER BY sensor")).all() == [
        (1, 0.1),
        (3, 0.3),
        (5, 0.5),
    ]


def test_keys_are_found_again_by_receipt_and_by_device_time(connection: Connection) -> None:
    received, at = us(TODAY + timedelta(hours=1)), us(TODAY - timedelta(days=30))
    batch = ReadingBatch.of([(1, 1, 0.5, at, received, 77, 0, math.nan, math.nan, 0, 0)])
    save_readings(connection, batch, np.zeros(1, dtype="i4"))
    assert load_keys(connection, TODAY, 10) == ([77], None)
    assert load_keys(connection, TODAY + timedelta(hours=2), 10) == ([], None)
    assert load_keys(connection, TODAY, 1) == ([77], TODAY + timedelta(hours=1))
    assert stored_keys(connection, [Doubt(77, at), Doubt(78, at)]) == {(77, 1, at)}
    assert stored_keys(connection, [Doubt(77, at + 60_000_000)]) == set()


def test_quarantine_keeps_the_beginning_of_a_message_and_its_true_size(connection: Connection) -> None:
    large = message(b"x" * (KEPT_BYTES + 5), topic="t\0opic")
    rejection = Rejection(0, "malformed", "a\0b", "321302", "s")
    save_quarantine(connection, [large], [rejection], {"321302": "1/2/"}, "1/", bytes)
    [row] = connection.execute(quarantine.select()).all()
    assert (len(row.payload), row.size, row.scope) == (KEPT_BYTES, KEPT_BYTES + 5, "1/2/")
    assert (row.topic, row.detail) == ("t�opic", "a�b")


@settings(max_examples=50, deadline=None)
@given(messages=st.lists(wire_messages, min_size=1, max_size=6))
def test_whatever_was_rejected_can_be_kept(engine: Engine, messages: list[Any]) -> None:
    rejections = decode(messages, CITY, Memory()).rejections
    with engine.connect() as connection:
        save_quarantine(connection, messages, rejections, {}, "321300/", bytes)
        kept = connection.execute(text("SELECT count(*) FROM quarantine")).scalar_one()
    assert kept == len(rejections)


def test_stored_readings_come_back_as_they_were_in_the_order_of_receipt_and_by_parts(connection: Connection) -> None:
    start = us(TODAY) + 3_600_000_000
    rows = [
        (1, 1, 0.1 * n, start - n * 7, start + n // 2, n, n % 3, *position, 0)
        for n, position in enumerate([(math.nan, math.nan, 0), (118.2, 33.9, 2), (118.3, 33.8, 0)] * 3)
    ]
    batch = ReadingBatch.of(rows)
    cell = np.arange(len(rows), dtype="i4")
    connection.execute(text("DELETE FROM readings"))
    save_readings(connection, batch, cell)
    save_positions(connection, batch, batch.lng + 0.001, batch.lat + 0.002)
    since = TODAY + timedelta(hours=1)

    parts = list(stored_readings(connection, since, since + timedelta(seconds=1), rows=4))

    assert [len(part.readings) for part in parts] == [4, 4, 1]
    for name in (f for f in ReadingBatch.__slots__ if f != "message"):
        found = np.concatenate([getattr(part.readings, name) for part in parts])
        np.testing.assert_array_equal(found, getattr(batch, name), err_msg=name)
    np.testing.assert_array_equal(np.concatenate([part.cell for part in parts]), cell)
    np.testing.assert_allclose(np.concatenate([part.lng for part in parts]), batch.lng + 0.001)
    np.testing.assert_allclose(np.concatenate([part.lat for part in parts]), batch.lat + 0.002)


def test_only_readings_of_the_asked_time_come_back(connection: Connection) -> None:
    start = us(TODAY) + 7_200_000_000
    connection.execute(text("DELETE FROM readings"))
    batch = ReadingBatch.of([(1, 1, 0.5, start, start + n, n, 0, math.nan, math.nan, 0, 0) for n in range(5)])
    save_readings(connection, batch, np.zeros(5, dtype="i4"))
    since = TODAY + timedelta(hours=2, microseconds=1)

    (part,) = stored_readings(connection, since, since + timedelta(microseconds=3))

    assert part.readings.key.tolist() == [1, 2, 3]
