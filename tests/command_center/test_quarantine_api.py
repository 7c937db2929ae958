"""``/api/v1/quarantine``: a county's rejected messages, and nobody else's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from command_center.pipeline import advance, remember
from ingest.message import Message
from ingest.quarantine_store import take_up
from tests.command_center.test_pipeline import reading
from tests.conftest import Database
from tests.running_city import RunningCity, read_city, running_city
from tests.small_city import CITY, COUNTIES, add_sensor, cell_code

A, B, _ = COUNTIES


@pytest.fixture(scope="module")
def running(module_database: Database) -> Iterator[RunningCity]:
    with running_city(module_database) as found:
        with found.engine.connect() as connection:
            memory = remember(connection, found.city, time.time())
        came = [
            *(reading("newcomer", {"water_depth": n / 100}) for n in range(1, 4)),
            reading("stranger", {"water_depth": 0.1}, county=B),
            Message(f"cc/v1/{A}/water-1/reading", b"\xff\xfe{", time.time()),
        ]
        advance(came, found.city, memory, found.engine, time.time())
        yield found


def take_all_up(running: RunningCity, engine: Engine) -> None:
    running.city = read_city(engine)
    with engine.connect() as connection:
        memory = remember(connection, running.city, time.time())
    while True:
        with engine.begin() as connection:
            taken = take_up(connection, "worker", datetime.now(UTC))
        if not taken:
            return
        advance(taken, running.city, memory, engine, time.time())


def test_a_county_lists_counts_reads_and_replays_its_own_and_nobody_elses(running: RunningCity) -> None:
    mine, theirs, all_of_it = running.console(A), running.console(B), running.console(CITY)
    assert len(mine.get("/api/v1/quarantine").json["items"]) == 4
    assert len(all_of_it.get("/api/v1/quarantine?limit=2").json["items"]) == 2
    [other] = theirs.get("/api/v1/quarantine").json["items"]
    assert (other["reason"], other["source"], other["state"]) == ("unknown_sensor", "stranger", "waiting")
    counts = {one["reason"]: one for one in mine.get("/api/v1/quarantine/reasons").json["items"]}
    assert {reason: one["kept"] for reason, one in counts.items()} == {"unknown_sensor": 3, "malformed": 1}
    assert counts["unknown_sensor"]["hours"][-1] == 3

    [broken] = mine.get("/api/v1/quarantine?reason=malformed").json["items"]
    found = mine.get(f"/api/v1/quarantine/{broken['id']}").json
    assert (found["text"], found["hex"], found["cut"]) == (None, "fffe7b", False)
    assert mine.get(f"/api/v1/quarantine/{other['id']}").status == 404

    assert mine.post("/api/v1/quarantine/replay", {}).status == 422
    nothing = mine.post("/api/v1/quarantine/replay", {"ids": [other["id"]]})
    assert (nothing.status, nothing.json["messages"]) == (202, 0)
    with running.engine.begin() as connection:
        add_sensor(connection, running.small, "newcomer", cell_code(), ("water_depth",), n=101)
    answers = [
        mine.post("/api/v1/quarantine/replay", {"reason": "unknown_sensor"}, {"Idempotency-Key": "once"})
        for _ in range(2)
    ]
    assert [answer.status for answer in answers] == [202, 202]
    assert answers[0].json == answers[1].json
    replay = answers[0].json
    assert (replay["state"], replay["messages"], replay["done"]) == ("waiting", 3, 0)
    assert len(mine.get("/api/v1/quarantine?state=queued").json["items"]) == 3
    take_all_up(running, running.engine)
    done = mine.get(f"/api/v1/quarantine/replays/{replay['id']}").json
    assert (done["state"], done["outcomes"]) == ("done", {"stored": 3})
    assert theirs.get(f"/api/v1/quarantine/replays/{replay['id']}").status == 404
    assert replay["id"] in {one["id"] for one in all_of_it.get("/api/v1/quarantine/replays").json["items"]}
    assert len(running.rows("SELECT FROM readings WHERE sensor = 101")) == 3
