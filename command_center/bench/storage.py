"""What a million readings weigh: their rows, their indexes, what stays of them by the hour, and what retention gives back.

One day of one-minute readings is stored as the worker stores it, in batches in the order of their receipt, and then treated as
the scheduler treats a day that is over and one that is too old.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import Engine, text

from command_center.bench.figure import Figure, at_most, faster
from command_center.local import postgres
from command_center.migrations import upgrade
from command_center.retention import keep_days, keep_hours
from config.database import worker_engine
from config.settings import Keeping
from ingest.partition_store import ensure_partitions
from ingest.reading import ReadingBatch
from ingest.store import save_readings

_SENSORS: Final = 694
_MINUTES: Final = 1440
_COUNT: Final = _SENSORS * _MINUTES
_MB: Final = float(_COUNT)  # bytes of all of them, divided by this, are megabytes of a million
_LOOKED_AT: Final = 25


def run() -> list[Figure]:
    """Measure in a private PostgreSQL. Takes half a minute."""
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        Path(folder).chmod(0o755)
        with postgres.running(Path(folder) / "var") as cluster:
            postgres.prepare(cluster)
            upgrade(cluster.url("cc_owner"))
            engine = worker_engine(cluster.url("cc_worker"))
            try:
                return measure(engine, datetime.now(UTC))
            finally:
                engine.dispose()


def measure(engine: Engine, now: datetime) -> list[Figure]:
    """Over one day that is over, then as if it were too old."""
    day = (now - timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0)
    with engine.begin() as connection:
        ensure_partitions(connection, day, 5)
    fill_s = timed(lambda: fill(engine, day))
    table = f"readings_{day:%Y%m%d}"
    rows = _size(engine, f"pg_table_size('{table}')")
    brin = _size(engine, f"pg_indexes_size('{table}')")
    bare_ms = _one_sensor_ms(engine, day)
    hours_s = timed(lambda: keep_hours(engine, now))
    hours = _size(engine, "pg_total_relation_size('reading_hours')")
    index_s = timed(lambda: keep_days(engine, now, Keeping()))
    index = _size(engine, f"pg_indexes_size('{table}')") - brin
    indexed_ms = _one_sensor_ms(engine, day)
    later = now + timedelta(days=100)
    keep_hours(engine, later)
    drop_s = timed(lambda: keep_days(engine, later, Keeping()))
    left = _size(engine, "sum(pg_total_relation_size(inhrelid))", "pg_inherits WHERE inhparent = 'readings'::regclass")
    return [
        Figure("a million readings: their rows", rows / _MB, "MB"),
        Figure("a million readings: indexes by time", brin / _MB, "MB"),
        Figure("a million readings: index by sensor, once the day is over", index / _MB, "MB"),
        at_most("a million readings: all of it", (rows + brin + index) / _MB, "MB", 130),
        Figure("a million one-minute readings: their hours", hours / _MB, "MB"),
        at_most("after retention: what stays, of 100", 100 * (hours + left) / (rows + brin + index), "%", 5),
        faster("one sensor's day from the index: against without", 1000 / indexed_ms, "1/s", 1000 / bare_ms, 10),
        Figure("stored and hours marked", _COUNT / fill_s, "readings/s"),
        Figure("hours computed", _COUNT / hours_s, "readings/s"),
        Figure("a day indexed", index_s, "s"),
        Figure("a day dropped", drop_s, "s"),
    ]


def fill(engine: Engine, day: datetime) -> None:
    """Every sensor once a minute, as batches of some thousand in the order of receipt."""
    rng = np.random.default_rng(20261124)
    begin = np.datetime64(day.replace(tzinfo=None), "us")
    together = 8
    sensors = np.tile(np.arange(1, _SENSORS + 1, dtype="i4"), together)
    count = len(sensors)
    for minute in range(0, _MINUTES, together):
        at = begin + np.repeat(np.arange(minute, minute + together), _SENSORS) * np.timedelta64(60_000_000, "us")
        nothing = np.full(count, math.nan)
        batch = ReadingBatch(
            sensor=sensors,
            quantity=np.ones(count, dtype="i2"),
            value=rng.normal(1, 0.2, count),
            at=at,
            received_at=at + np.timedelta64(300_000, "us"),
            key=rng.integers(-(2**63), 2**63 - 1, count),
            flags=np.zeros(count, dtype="i2"),
            lng=nothing,
            lat=nothing,
            datum=np.zeros(count, dtype="i1"),
            message=np.arange(count, dtype="i4"),
        )
        with engine.begin() as connection:
            save_readings(connection, batch, np.zeros(count, dtype="i4"))


def timed(work: Callable[[], Any]) -> float:
    """How long it took, in seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _size(engine: Engine, what: str, source: str = "(VALUES (1)) one") -> float:
    with engine.connect() as connection:
        return float(connection.execute(text(f"SELECT {what} FROM {source}")).scalar_one())


def _one_sensor_ms(engine: Engine, day: datetime) -> float:
    statement = text(
        "SELECT avg(value) FROM readings WHERE sensor = :sensor AND quantity = 1 AND at >= :day AND at < :next"
        " AND received_at >= :day"
    )
    taken = []
    with engine.begin() as connection:
        for sensor in range(1, _LOOKED_AT + 1):
            values = {"sensor": sensor * 7, "day": day, "next": day + timedelta(days=1)}
            taken.append(timed(lambda values=values: connection.execute(statement, values).all()))  # type: ignore[misc]
    return statistics.median(taken) * 1000
