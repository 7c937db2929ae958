"""The programs that ``bench ingest`` measures: our worker, the same on paho's own callbacks, and one message at a time.

``python -m command_center.bench.ingest_worker WAY WARM COUNT`` takes WARM messages, then COUNT more, and prints what these took
it. The database and the broker come from the environment as for any worker.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import paho.mqtt.client as paho
import psycopg

from command_center.bench.feeder import QUANTITY
from command_center.bench.rules import threshold
from command_center.city import City
from command_center.pipeline import Outcome
from command_center.worker import Worker, nowhere
from config.log import start_logging
from config.settings import from_environment
from ingest.message import Message
from ingest.mqtt import Inbox, endpoint, make_client
from rules.judge import lay

RULES_EACH = 10


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass
class Measured:
    """Time and processor time between the first ``warm`` messages and the next ``count``."""

    warm: int
    count: int
    done: Callable[[], None]
    taken: int = 0
    begun: tuple[float, float, int] | None = None

    def take(self, count: int) -> None:
        self.taken += count
        if self.begun is None and self.taken >= self.warm:
            self.begun = time.monotonic(), _cpu_s(), self.taken
        elif self.begun is not None and self.taken >= self.warm + self.count:
            seconds, cpu_s, before = self.begun
            count = self.taken - before
            told = {"messages": count, "s": time.monotonic() - seconds, "cpu_s": _cpu_s() - cpu_s}
            self.begun = None
            self.warm = sys.maxsize
            print(json.dumps(told), flush=True)
            self.done()


class MeasuredWorker(Worker):
    """The worker as it is, over a city with ten rules for each sensor."""

    measured: Measured
    in_bulk = True

    def _open_inbox(self) -> Inbox:
        return Inbox(self.settings.require_mqtt(), f"cc-{self.settings.worker_name}", self.buffer, in_bulk=self.in_bulk)

    def _read_city(self) -> City:
        city = super()._read_city()
        rules = tuple(msgspec.structs.replace(threshold(0, k), quantity=QUANTITY) for k in range(RULES_EACH))
        book = replace(city.rulebook, rules=rules)
        return replace(city, rulebook=book, layout=lay(book, city.catalogue, city.cameras, city.zone))

    def _done(self, part: Sequence[Message], outcome: Outcome) -> None:
        super()._done(part, outcome)
        self.measured.take(len(part))


def whole(warm: int, count: int, *, in_bulk: bool) -> None:
    """Our worker."""
    stop = threading.Event()
    worker = MeasuredWorker(from_environment(os.environ), start_logging("worker"), stop, nowhere)
    worker.measured = Measured(warm, count, stop.set)
    worker.in_bulk = in_bulk
    worker.run()


def one_by_one(warm: int, count: int) -> None:
    """What many a first version is: a callback that looks up the cell, inserts the row and commits."""
    settings, stop = from_environment(os.environ), threading.Event()
    database = psycopg.connect(settings.database_url)
    numbers = {name: n for name, n in database.execute("SELECT id, n FROM sensors").fetchall()}  # noqa: C416 (rows are tuples of any)
    points = {
        n: (lng, lat) for n, lng, lat in database.execute("SELECT n, ST_X(geom), ST_Y(geom) FROM sensors").fetchall()
    }
    quantity = database.execute("SELECT n FROM quantities WHERE name = %s", (QUANTITY,)).fetchone()
    database.commit()
    assert quantity is not None
    measured = Measured(warm, count, stop.set)

    def take(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload)
        sensor = numbers[message.topic.split("/")[3]]
        cell = database.execute(
            "SELECT n FROM cells WHERE valid_to IS NULL AND ST_Covers(geom, ST_SetSRID(ST_MakePoint(%s, %s), 4490))"
            " ORDER BY code LIMIT 1",
            points[sensor],
        ).fetchone()
        database.execute(
            "INSERT INTO readings (received_at, at, sensor, quantity, value, key, flags, cell)"
            " VALUES (now(), to_timestamp(%s), %s, %s, %s, hashtext(%s), 0, %s)",
            (body["at"] / 1000, sensor, quantity[0], body["values"][QUANTITY], body["id"], cell[0] if cell else 0),
        )
        database.commit()
        measured.take(1)

    client = make_client(settings.require_mqtt(), "one-by-one")
    client.on_message = take
    client.on_connect = lambda client, *_: client.subscribe("cc/v1/#", qos=1)
    client.connect(*endpoint(settings.require_mqtt()))
    client.loop_start()
    stop.wait()
    client.loop_stop()


def main(way: str, warm: int, count: int) -> None:
    if way == "one-by-one":
        one_by_one(warm, count)
    else:
        whole(warm, count, in_bulk=way == "bulk")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
