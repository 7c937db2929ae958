"""Promises 2 and 3: a worker that is killed while a signal makes one matter of two makes it once, and says so once."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from typing import Any

import psycopg
import pytest

from command_center.local.broker import Broker
from command_center.pipeline import advance, remember
from command_center.ticket.store import load_steps, load_tickets
from command_center.ticket.ticket import fold
from ingest.message import Message
from tests import processes
from tests.conftest import Database
from tests.gateway import connected
from tests.running_city import StandingCity, read_city, standing_city
from tests.small_city import add_sensor, cell_code
from tests.waiting import wait_until

FORTY_M = 40 / 111_195.08  # degrees of latitude


def deep(sensor: str) -> tuple[str, bytes]:
    """A gauge says that the road is flooded: topic and payload, the same whenever it is sent."""
    return f"cc/v1/321302/{sensor}/reading", json.dumps(
        {"id": f"deep-{sensor}", "values": {"water_depth": 0.31}}
    ).encode()


def three_in_a_row(found: StandingCity, database: Database) -> None:
    """water-1, water-2 and water-3, each forty metres north of the one before."""
    with found.engine.begin() as connection:
        add_sensor(connection, found.small, "water-3", cell_code(), ("water_depth",), n=6)
    lng, lat = found.small.centre(cell_code())
    with psycopg.connect(database.superuser_url, autocommit=True) as owner:
        for place in range(3):
            where = (lng, lat + place * FORTY_M, f"water-{place + 1}")
            owner.execute("UPDATE sensors SET geom = ST_SetSRID(ST_MakePoint(%s, %s), 4490) WHERE id = %s", where)


def take(found: StandingCity, *sensors: str) -> None:
    """Readings one after the other, by the path's own door."""
    city = read_city(found.engine)
    with found.engine.connect() as connection:
        memory = remember(connection, city, time.time())
    for sensor in sensors:
        topic, payload = deep(sensor)
        advance([Message(topic, payload, time.time())], city, memory, found.engine, time.time())


def standing(found: StandingCity) -> list[tuple[Any, ...]]:
    """(status, signals) of the incidents, the oldest first. Three gauges are a flooded area too, a matter of its own."""
    sql = "SELECT status, signals FROM incidents WHERE category = 'waterlogging' ORDER BY number"
    return [tuple(row) for row in found.rows(sql)]


def listens(found: StandingCity) -> bool:
    sql = (
        "SELECT figures ->> 'broker' = 'connected' AND at > clock_timestamp() - interval '3 s' FROM heartbeats"
        " WHERE process = 'worker'"
    )
    return bool(found.rows(sql) and found.rows(sql)[0][0])


@pytest.mark.parametrize(("fatal", "bridged"), [("before_commit", False), ("after_commit", True)])
def test_a_worker_killed_around_a_bridge_leaves_one_incident_and_tells_the_merging_once(
    fatal: str, bridged: bool, database: Database, broker: Broker
) -> None:
    name = f"bridge-{database.name}-{fatal.replace('_', '-')}"
    program = ("-m", "tests.killed_worker", fatal)
    with standing_city(database) as found, connected(broker.url("gateway")) as gateway:
        three_in_a_row(found, database)
        take(found, "water-1", "water-3")
        two = [("open", 1), ("open", 1)]
        one = [("open", 3), ("merged", 0)]
        assert standing(found) == two
        with processes.worker(database.worker_url, broker.url("worker"), name, program=program) as doomed:
            wait_until(lambda: listens(found), 20, "the worker is subscribed")
            gateway.publish(*deep("water-2"))
            assert doomed.wait(20) == -signal.SIGKILL
        assert standing(found) == (one if bridged else two)
        with processes.worker(database.worker_url, broker.url("worker"), name):
            # The broker sends the bridge again by itself, its sensor a third time, and then something else.
            gateway.publish(*deep("water-2"))
            gateway.publish(
                "cc/v1/321302/water-2/reading", json.dumps({"id": "marker", "values": {"water_depth": 0.3}})
            )
            marker = (
                "SELECT 1 FROM readings r JOIN sensors s ON s.n = r.sensor WHERE s.id = 'water-2' AND r.value = 0.3"
            )
            wait_until(lambda: found.rows(marker), 20, "what came after it is stored")
        assert standing(found) == one
        assert_told_once(found)


def assert_told_once(found: StandingCity) -> None:
    """One incident with its open ticket, the other merged into it, every step once, every ticket the fold of its steps."""
    sql = "SELECT id, ticket, merged_into FROM incidents WHERE category = 'waterlogging' ORDER BY number"
    incidents = found.rows(sql)
    survivor, gone = incidents
    assert gone.merged_into == survivor.id
    steps = found.rows("SELECT incident, what, facts FROM incident_steps ORDER BY incident, version")
    told = {row.id: [step.what for step in steps if step.incident == row.id] for row in incidents}
    assert told == {survivor.id: ["opened", "absorbed"], gone.id: ["opened", "merged"]}
    with found.engine.begin() as connection:
        tickets = load_tickets(connection, [row.ticket for row in incidents])
        moves = {}
        for identity, ticket in tickets.items():
            trail = load_steps(connection, identity)
            assert fold(ticket.place, trail) == ticket
            moves[identity] = Counter(str(step.move) for step in trail)
    assert [tickets[row.ticket].ended for row in incidents] == [False, True]
    assert (moves[survivor.ticket]["absorb"], moves[gone.ticket]["merge"]) == (1, 1)
    opened = found.rows("SELECT count(*) FROM tickets WHERE category = 'waterlogging'")
    raised = found.rows("SELECT count(*) FROM alerts WHERE category = 'waterlogging'")
    assert (opened[0][0], raised[0][0]) == (2, 3)
    repeated = found.rows("SELECT kind, id, version FROM event_log GROUP BY 1, 2, 3 HAVING count(*) > 1")
    assert [row for row in repeated if row.kind in ("incident", "ticket", "alert")] == []
