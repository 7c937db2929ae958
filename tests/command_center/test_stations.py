"""HJ 212 stations at a worker's door: an answer means committed."""

from __future__ import annotations

import signal
import socket

from command_center.local.broker import Broker
from tests import processes
from tests.conftest import Database
from tests.ingest.test_hj212_door import answers, is_closed, sample, station
from tests.running_city import standing_city
from tests.small_city import add_sensor, cell_code
from tests.waiting import wait_until


def test_a_station_is_answered_after_the_commit_and_sends_again_to_a_worker_that_died_before(
    database: Database, broker: Broker
) -> None:
    port = processes.free_port()
    settings = {
        "CC_DATABASE_URL": database.worker_url,
        "CC_MQTT_URL": broker.url("worker"),
        "CC_WORKER_NAME": f"stations-{database.name}",
        "CC_HJ212": f"127.0.0.1:{port}",
    }

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            return False
        return True

    with standing_city(database) as city:
        with city.engine.begin() as connection:
            add_sensor(connection, city.small, "DUST-1", cell_code(), ("tsp",), n=200)

        def readings() -> list[float]:
            rows = city.rows("SELECT value FROM readings r JOIN sensors s ON s.n = r.sensor WHERE s.id = 'DUST-1'")
            return [row.value for row in rows]

        for fatal, stored in (("before_commit", []), ("after_commit", [35.2])):
            with processes.running(("-m", "tests.killed_worker", fatal), settings) as doomed:
                wait_until(listens, 60, "the door is open")
                with station(port) as line:
                    line.sendall(sample(1))
                    assert is_closed(line), "it died without an answer"
                assert doomed.wait(30) == -signal.SIGKILL
            assert readings() == stored
        with processes.running(("-m", "command_center.cli", "worker"), settings):
            wait_until(listens, 60, "the door is open again")
            with station(port) as line:
                line.sendall(sample(1) + sample(2, "NOBODY"))
                assert [b"CN=9014" in said for said in answers(line, 2)] == [True, True]
            assert readings() == [35.2], "what is sent again is stored once"
            [kept] = city.rows("SELECT reason FROM quarantine WHERE topic = 'hj212/NOBODY'")
            assert kept.reason == "unknown_sensor"
