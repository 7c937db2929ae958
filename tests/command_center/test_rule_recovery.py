"""What rules remember survives the worker: a timer goes on, nothing is raised twice, a step of the clock fires nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from command_center.city import City, load_city
from command_center.pipeline import Memory, Outcome, advance, advance_clock, clock_stepped, keep, remember
from config.database import worker_engine
from ingest.message import Message
from rules import rulebook
from rules.judge import lay
from tests.conftest import Database
from tests.small_city import build

PACK = """
pack: recovery
rules:
  - id: deep-for-a-minute
    kind: threshold
    domain: emergency
    category: waterlogging
    title: {zh-CN: 积水, en: Flooded}
    quantity: water_depth
    levels: [{severity: 2, at: 0.2, action: {zh-CN: 查看, en: look}}]
    clear: 0.1
    for_s: 60
    gap: hold
    gap_after_s: 600
    source: {text: test, confidence: unverified}
  - id: wet-hour
    kind: window
    domain: emergency
    category: waterlogging
    title: {zh-CN: 小时最大, en: Hourly maximum}
    quantity: water_depth
    statistic: mean
    over_s: 300
    least_share: 0
    levels: [{severity: 1, at: 1.0, action: {zh-CN: 查看, en: look}}]
    clear: 0.5
    gap: hold
    gap_after_s: 600
    source: {text: test, confidence: unverified}
  - id: gauge-gone
    kind: absence
    domain: emergency
    category: silence
    title: {zh-CN: 无数据, en: Nothing heard}
    levels: [{severity: 1, at: 600, action: {zh-CN: 检修, en: repair}}]
    where: {sensors: [water-1]}
    source: {text: test, confidence: unverified}
"""
ZONE = ZoneInfo("Asia/Shanghai")


class Works:
    """The worker's path, restarted at will; ``now`` is the server's clock (epoch seconds)."""

    def __init__(self, database: Database) -> None:
        build(database)
        self.engine: Engine = worker_engine(database.worker_url)
        self.now = float(int(time.time()))
        with self.engine.connect() as connection:
            city = load_city(connection, "suqian", ZONE, datetime.now(UTC))
        book = rulebook.read({"recovery.yaml": PACK}, city.catalogue.quantities, date(2026, 11, 24))
        assert not book.refusals
        nothing = replace(book, rules=())
        layout = lay(book, city.catalogue, city.cameras, ZONE)
        shadow = lay(nothing, city.catalogue, city.cameras, ZONE)
        self.city: City = replace(city, rulebook=book, layout=layout, shadow_layout=shadow)
        self.restart()

    def restart(self) -> None:
        """As after kill -9: all that is left is in the database."""
        with self.engine.connect() as connection:
            self.memory: Memory = remember(connection, self.city, self.now, "worker")

    def keep(self) -> None:
        keep(self.memory, self.city, self.engine, self.now, "worker")

    def depth(self, value: float, after_s: float = 0.0, **more: Any) -> Outcome:
        """The gauge reports, ``after_s`` later than it was."""
        self.now += after_s
        body = {"id": f"d-{time.time_ns()}", "at": int(self.now * 1000), "values": {"water_depth": value}} | more
        message = Message("cc/v1/321302/water-1/reading", json.dumps(body).encode(), self.now)
        return advance([message], self.city, self.memory, self.engine, self.now)

    def clock(self, after_s: float = 0.0) -> None:
        self.now += after_s
        advance_clock(self.city, self.memory, self.engine, self.now)

    def alerts(self, rule: str = "deep-for-a-minute") -> list[tuple[float, bool]]:
        """(seconds from now back to the raise, whether it ended) of a rule's alerts."""
        with self.engine.connect() as connection:
            sql = (
                "SELECT extract(epoch FROM raised_at)::float8 AS at, ended_at FROM alerts WHERE rule = :rule ORDER BY 1"
            )
            found = connection.execute(text(sql), {"rule": rule})
            return [(self.now - row.at, row.ended_at is not None) for row in found]

    def count(self, table: str) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


@pytest.fixture
def works(database: Database) -> Iterator[Works]:
    made = Works(database)
    yield made
    made.engine.dispose()


@pytest.mark.parametrize("kept", ["before the first reading", "between the two"])
def test_a_duration_that_runs_goes_on_after_a_kill(works: Works, kept: str) -> None:
    if kept == "before the first reading":
        works.keep()
    works.depth(0.3)
    if kept == "between the two":
        works.keep()
    works.depth(0.3, after_s=30)
    works.restart()
    works.depth(0.3, after_s=29)
    assert works.alerts() == []
    works.restart()
    works.depth(0.3, after_s=1)
    assert works.alerts() == [(0.0, False)]


def test_what_was_raised_since_the_snapshot_is_not_raised_again_and_ends_once(works: Works) -> None:
    works.depth(0.3)
    works.keep()
    works.depth(0.3, after_s=60)
    assert works.alerts() == [(0.0, False)]
    works.restart()
    works.depth(0.3, after_s=60)
    works.restart()
    works.depth(0.05, after_s=60)
    assert works.alerts() == [(120.0, True)]
    works.restart()
    works.depth(0.05, after_s=60)
    assert works.alerts() == [(180.0, True)]
    assert works.count("tickets") == 1
    assert works.count("incident_signals") == 1


def test_a_window_is_as_full_after_a_kill_as_before(works: Works) -> None:
    works.keep()
    works.depth(0.9)
    works.depth(0.9, after_s=60)
    works.restart()
    works.depth(1.2, after_s=60)
    assert works.alerts("wet-hour") == [(0.0, False)], "(0.9 + 0.9 + 1.2) / 3 is 1.0"


def test_a_snapshot_that_cannot_be_read_is_made_up_for_by_the_newest_readings(works: Works) -> None:
    works.depth(0.3)
    works.keep()
    with works.engine.begin() as connection:
        connection.execute(text("UPDATE rule_snapshots SET memory = 'nonsense'::bytea"))
    works.restart()
    assert "memory of rules" in works.memory.unread
    works.depth(0.3, after_s=60)
    assert works.alerts() == [(0.0, False)]


def test_a_batch_that_is_not_committed_spoils_the_memory_and_recovery_mends_it(works: Works) -> None:
    works.keep()
    works.depth(0.3)

    def dies(where: str) -> None:
        if where == "before_commit":
            raise OperationalError("gone", None, Exception())

    message = Message(
        "cc/v1/321302/water-1/reading",
        json.dumps({"id": "x", "at": int((works.now + 60) * 1000), "values": {"water_depth": 0.0}}).encode(),
        works.now + 60,
    )
    with pytest.raises(OperationalError):
        advance([message], works.city, works.memory, works.engine, works.now + 60, dies)
    assert works.memory.spoilt
    works.restart()
    works.depth(0.3, after_s=60)
    assert works.alerts() == [(0.0, False)], "the dip was never committed"


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_step_of_the_servers_clock_makes_nobody_silent_and_no_timer_early(works: Works, step_s: float) -> None:
    works.depth(0.0)
    works.clock(after_s=500)
    assert works.alerts("gauge-gone") == []
    works.now += step_s
    clock_stepped(works.memory, step_s, works.now)
    works.clock(after_s=99)
    assert works.alerts("gauge-gone") == []
    works.clock(after_s=2)
    assert len(works.alerts("gauge-gone")) == 1


def test_a_restart_counts_silence_from_when_it_listens_again(works: Works) -> None:
    works.depth(0.0)
    works.keep()
    works.now += 5000
    works.restart()
    works.clock(after_s=599)
    assert works.alerts("gauge-gone") == []
    works.clock(after_s=2)
    assert len(works.alerts("gauge-gone")) == 1
    works.restart()
    works.depth(0.0, after_s=1)
    works.clock()
    assert [ended for _, ended in works.alerts("gauge-gone")] == [True]
