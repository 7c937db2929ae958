"""A sensor's newest values, whatever the order in which its messages come and whoever forgets them in between."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.pipeline import save_latest
from ingest.decode import AHEAD_AFTER_S, LATE_AFTER_S
from ingest.message import Message
from tests.command_center.test_pipeline import Bench
from tests.conftest import Database

Sent = tuple[str, int, int]
"""Sensor, seconds by which its clock is ahead of our receipt, value."""


@pytest.fixture(scope="module")
def bench(module_database: Database) -> Iterator[Bench]:
    made = Bench(module_database)
    yield made
    made.engine.dispose()


# Behind and ahead by seconds (shuffled), by hours (history) and by days (a mad clock); None: everything is forgotten but rows.
sent = st.tuples(
    st.sampled_from(["water-1", "water-2"]),
    st.sampled_from([-200_000, -LATE_AFTER_S - 1, -600, -60, -3, -2, -1, 0, 1, 2, 200, AHEAD_AFTER_S + 1, 2_246_400]),
    st.integers(0, 9),
)


def expected(lists: list[tuple[float, Sent]]) -> dict[str, int]:
    """By sensor, the value with the highest time that counts; the one that came later of two equal ones."""
    best: dict[str, tuple[float, int]] = {}
    for received, (sensor, ahead_s, value) in lists:
        if ahead_s < -LATE_AFTER_S:
            continue
        counted = received if ahead_s > AHEAD_AFTER_S else received + ahead_s
        if sensor not in best or best[sensor][0] <= counted:
            best[sensor] = counted, value
    return {sensor: value for sensor, (_, value) in best.items()}


@settings(max_examples=25, deadline=None)
@given(parts=st.lists(st.one_of(st.none(), st.lists(sent, min_size=1, max_size=4)), min_size=1, max_size=5))
def test_the_newest_value_is_the_newest_by_its_own_time_also_after_a_restart(
    bench: Bench, parts: list[list[Sent] | None]
) -> None:
    begin_again(bench)
    begun: float = int(time.time()) - 30
    told: list[tuple[float, Sent]] = []
    for n, part in enumerate(parts):
        if part is None:
            bench.restart()
            continue
        came = [(begun + n + k / 8, one) for k, one in enumerate(part)]
        told += came
        bench.send(*(message(f"at {received}", received, one) for received, one in came))
        save_latest(bench.memory, bench.city, bench.engine)
    bench.restart()
    save_latest(bench.memory, bench.city, bench.engine)
    wanted = expected(told)
    found = {
        row.id: row.latest["water_depth"]["value"] * 100
        for row in bench.rows("SELECT id, latest FROM sensors WHERE latest <> '{}'")
    }
    assert {sensor: round(value) for sensor, value in found.items()} == wanted


def begin_again(bench: Bench) -> None:
    with bench.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM readings; UPDATE sensors SET latest = '{}', last_received_at = NULL")
    bench.restart()


def message(name: str, received: float, one: Sent) -> Message:
    sensor, ahead_s, value = one
    body: dict[str, Any] = {
        "id": name,
        "at": round((received + ahead_s) * 1000),
        "values": {"water_depth": value / 100},
    }
    return Message(f"cc/v1/321302/{sensor}/reading", json.dumps(body).encode(), received)


def test_what_was_stored_but_not_yet_shown_when_the_worker_died_is_shown_by_the_next_one(bench: Bench) -> None:
    begin_again(bench)
    bench.send(message(f"last words {time.time()}", time.time(), ("water-2", 0, 7)))
    bench.restart()
    save_latest(bench.memory, bench.city, bench.engine)
    [row] = bench.rows("SELECT latest FROM sensors WHERE id = 'water-2'")
    assert row.latest["water_depth"]["value"] == 0.07
