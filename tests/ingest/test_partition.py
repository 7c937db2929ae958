"""Partitions of readings: whoever starts first makes them, and nobody stumbles over another who does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

from sqlalchemy import text

from config.database import worker_engine
from ingest.partition_store import ensure_partitions
from tests.conftest import Database

TOGETHER = 4
FIRST = datetime(2031, 1, 1, tzinfo=UTC)


def test_processes_that_start_together_make_each_day_once_and_none_fails(database: Database) -> None:
    engine = worker_engine(database.worker_url, pool_size=TOGETHER)
    line = Barrier(TOGETHER)

    def start(round_: int) -> None:
        with engine.begin() as connection:
            connection.execute(text("SELECT 1"))
            line.wait(timeout=30)
            ensure_partitions(connection, FIRST + timedelta(days=3 * round_))

    with ThreadPoolExecutor(TOGETHER) as threads:
        for round_ in range(8):
            for done in [threads.submit(start, round_) for _ in range(TOGETHER)]:
                done.result()
    with engine.connect() as connection:
        made = connection.execute(
            text("SELECT count(*) FROM pg_class WHERE relname LIKE 'readings_2031%' AND relkind = 'r'")
        )
        assert made.scalar_one() == 24
    engine.dispose()
