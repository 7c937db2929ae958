"""HJ 212 stations at a worker's door: an answer means committed."""

from __future__ import annotations

import signal
import socket

from command_center.local.broker import Broker
from tests import processes
from tests.conftest import Database
from tests.ingest.test_hj212_door import answers, is_closed, sample, station
from tests.running_city import standing_city
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

        def kept() -> int:
            # A station that the catalogue does not know is kept all the same, with its reason.
            return int(city.rows("SELECT count(*) FROM quarantine WHERE topic = 'hj212/DUST-1'")[0][0])

        with processes.running(("-m", "tests.killed_worker", "before_commit"), settings) as doomed:
            wait_until(listens, 60, "the door is open")
            with station(port) as line:
                line.sendall(sample(1))
                assert is_closed(line), "it died without an answer"
            assert doomed.wait(30) == -signal.SIGKILL
        assert kept() == 0
        with processes.running(("-m", "command_center.cli", "worker"), settings):
            wait_until(listens, 60, "the door is open again")
            with station(port) as line:
                line.sendall(sample(1))
                assert b"CN=9014" in answers(line, 1)[0]
                assert kept() == 1
