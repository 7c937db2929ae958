"""Promises 1, 2 and 6 in the single case; what dies in between, at any moment, is tried by tests/faults."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from command_center.local.broker import Broker
from config.database import worker_engine
from rules import judge
from rules.snapshot_store import Snapshot, save_snapshot
from tests import processes
from tests.conftest import Database
from tests.console import Console
from tests.gateway import connected
from tests.running_city import read_city
from tests.small_city import build
from tests.waiting import wait_until

DEEP = {"water_depth": 0.31}


class Stored:
    """What the database holds, looked at from outside."""

    def __init__(self, database: Database) -> None:
        self.engine: Engine = worker_engine(database.worker_url)

    def rows(self, sql: str, **values: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(sql), values))

    def readings(self, sensor: str) -> int:
        sql = "SELECT count(*) FROM readings r JOIN sensors s ON s.n = r.sensor WHERE s.id = :sensor"
        return int(self.rows(sql, sensor=sensor)[0][0])

    def tickets(self) -> int:
        return int(self.rows("SELECT count(*) FROM tickets")[0][0])

    def figures(self) -> dict[str, Any]:
        found = self.rows(
            "SELECT figures, at > clock_timestamp() - interval '3 s' AS fresh FROM heartbeats WHERE process = 'worker'"
        )
        return dict(found[0].figures) if found and found[0].fresh else {}

    def worker_listens(self) -> bool:
        return self.figures().get("broker") == "connected"


@pytest.fixture
def stored(database: Database) -> Iterator[Stored]:
    build(database)
    found = Stored(database)
    yield found
    found.engine.dispose()


def _topic(sensor: str, county: str = "321302") -> str:
    return f"cc/v1/{county}/{sensor}/reading"


def test_the_receipt_comes_after_the_commit_and_names_what_was_stored(
    stored: Stored, database: Database, broker: Broker
) -> None:
    with (
        processes.worker(database.worker_url, broker.url("worker"), f"receipt-{database.name}"),
        connected(broker.url("gateway"), listen="cc/v1/321302/water-1/ack") as gateway,
    ):
        wait_until(stored.worker_listens, 20, "the worker is subscribed")
        gateway.publish(_topic("water-1"), {"id": "r-1", "values": {"water_depth": 0.0}, "ack": True})
        receipt = gateway.received.get(timeout=10)
        assert stored.readings("water-1") == 1
        assert json.loads(receipt.payload) == {"stored": 1, "ids": ["r-1"], "rejected": []}


def test_a_database_that_goes_away_costs_time_but_no_message(
    stored: Stored, database: Database, broker: Broker
) -> None:
    with (
        processes.web(database.web_url) as url,
        processes.scheduler(database.worker_url),
        processes.worker(database.worker_url, broker.url("worker"), f"away-{database.name}"),
        connected(broker.url("gateway")) as gateway,
    ):
        console = Console(url)
        wait_until(lambda: console.get("/readyz").status == 200, 20, "everything is ready")
        with psycopg.connect(
            database.superuser_url.replace(f"/{database.name}", "/postgres"), autocommit=True
        ) as owner:
            owner.execute(f"ALTER DATABASE {database.name} WITH ALLOW_CONNECTIONS false")
            owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database.name,))
            answer = wait_until(lambda: _unready(console), 20, "/readyz says that the database is away")
            assert answer["parts"]["database"]["state"] == "away"
            for n in range(20):
                gateway.publish(_topic("water-1"), {"id": f"meanwhile-{n}", "values": {"water_depth": 0.01 * n}})
            owner.execute(f"ALTER DATABASE {database.name} WITH ALLOW_CONNECTIONS true")
        wait_until(lambda: _count(stored, "water-1") == 20, 40, "all readings are stored after all")
        wait_until(lambda: console.get("/readyz").status == 200, 30, "everything is ready again")
        assert stored.tickets() == 1


def _unready(console: Console) -> Any:
    answer = console.get("/readyz")
    return answer.json if answer.status == 503 else None


def _count(stored: Stored, sensor: str) -> int:
    try:
        return stored.readings(sensor)
    except SQLAlchemyError:
        stored.engine.dispose()
        return -1


def test_a_message_that_no_transaction_can_store_is_put_aside_and_its_neighbours_are_stored(
    stored: Stored, database: Database, broker: Broker
) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE readings ADD CONSTRAINT poison CHECK (value <> 0.66)")
    with connected(broker.url("gateway")) as gateway:
        name = f"poison-{database.name}"
        with processes.worker(database.worker_url, broker.url("worker"), name):
            wait_until(stored.worker_listens, 20, "the worker is subscribed")
        for n in range(9):
            depth = 0.66 if n == 5 else 0.01 * n
            gateway.publish(_topic("water-1"), {"id": f"p-{n}", "values": {"water_depth": depth}})
        with processes.worker(database.worker_url, broker.url("worker"), name):
            wait_until(lambda: stored.readings("water-1") == 8, 20, "the eight good ones are stored")
            kept = wait_until(
                lambda: stored.rows("SELECT reason, detail FROM quarantine"), what="the ninth is put aside"
            )
    [row] = kept
    assert row.reason == "not_stored"
    assert "poison" in row.detail


def test_what_a_rule_remembered_in_another_shape_stops_no_worker_and_is_counted_as_begun_anew(
    stored: Stored, database: Database, broker: Broker
) -> None:
    name = f"shape-{database.name}"
    city = read_city(stored.engine)
    memory = judge.Memory.quiet(city.layout, 0)
    [slot] = city.layout.slots.find("link-speed-unusual", "vehicle-1")
    # What a baseline by hour of day kept of one hour.
    memory.slots.sleeping[slot] = [None, [[8, 739_900, 1, 2, 0.0, 0.0, False, 1, [41.0, 43.0]]]]
    snapshot = Snapshot(datetime.now(UTC), datetime.now(UTC), (), judge.frozen(memory, city.layout))
    with stored.engine.begin() as connection:
        save_snapshot(connection, name, snapshot)
    with (
        processes.worker(database.worker_url, broker.url("worker"), name),
        connected(broker.url("gateway")) as gateway,
    ):
        wait_until(stored.worker_listens, 20, "the worker is subscribed")
        gateway.publish(_topic("water-1"), {"id": "after", "values": DEEP})
        wait_until(lambda: stored.tickets() == 1, 20, "the other rules go on")
        wait_until(lambda: stored.figures().get("counts", {}).get("forgotten") == 1, 20, "it is counted once")


def test_silence_is_told_with_since_when(stored: Stored, database: Database, broker: Broker) -> None:
    with psycopg.connect(database.superuser_url, autocommit=True) as owner:
        owner.execute("UPDATE sensors SET interval_s = 1 WHERE id = 'water-1'")
    with (
        processes.worker(database.worker_url, broker.url("worker"), f"silent-{database.name}"),
        connected(broker.url("gateway")) as gateway,
    ):
        wait_until(stored.worker_listens, 20, "the worker is subscribed")
        gateway.publish(_topic("water-1"), {"id": "last words", "values": {"water_depth": 0.0}})
        spoken_at = time.time()
        gateway.publish("cc/v1/321302/water-2/state", b"offline")
        wait_until(lambda: _state(stored, "water-2").state == "offline", what="its own word is enough")
        found = wait_until(lambda: _silent(stored, "water-1"), 30, "silence is noticed")
    assert abs(found.state_since.timestamp() - spoken_at) < 5


def _state(stored: Stored, sensor: str) -> Any:
    return stored.rows("SELECT state, state_since FROM sensors WHERE id = :sensor", sensor=sensor)[0]


def _silent(stored: Stored, sensor: str) -> Any:
    row = _state(stored, sensor)
    return row if row.state == "silent" else None


@pytest.mark.parametrize(
    ("command", "settings", "names"),
    [
        ("worker", {}, "CC_DATABASE_URL"),
        ("worker", {"CC_DATABASE_URL": "mysql://x@y/z"}, "CC_DATABASE_URL"),
        ("worker", {"CC_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/c"}, "CC_MQTT_URL"),
        ("web", {"CC_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/c", "CC_HTTP_PORT": "http"}, "CC_HTTP_PORT"),
        ("scheduler", {"CC_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/c", "CC_CITY": "../etc"}, "CC_CITY"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_clear_line(
    command: str, settings: dict[str, str], names: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with processes.running(["-m", "command_center.cli", command], settings) as process:
        assert process.wait(20) == 2
    said = capfd.readouterr().out.strip().splitlines()[1:]
    assert len(said) == 1, said
    assert names in said[0]
