"""Silence, wills and links from the wire to what is stored, told and shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from command_center.local.broker import Broker
from command_center.pipeline import Memory, advance, declare_silence, remember
from ingest.message import Message
from tests import processes
from tests.conftest import Database
from tests.console import Answer
from tests.gateway import Gateway, connected
from tests.running_city import RunningCity, StandingCity, read_city, standing_city
from tests.small_city import COUNTIES, add_sensor, cell_code
from tests.waiting import wait_until

A = COUNTIES[0]
LINK = f"cc/v1/{A}/$link/state"
DOZEN = [f"many-{n}" for n in range(30)]


@pytest.fixture
def city(database: Database) -> Iterator[StandingCity]:
    """The small city with thirty gauges more in its first county."""
    with standing_city(database) as found:
        with found.engine.begin() as connection:
            for n, name in enumerate(DOZEN, start=100):
                add_sensor(connection, found.small, name, cell_code(), ("water_depth",), n=n)
        found.city = read_city(found.engine)
        yield found


class Path:
    """The worker's path without its process, at times of our choosing."""

    def __init__(self, city: StandingCity, now: float) -> None:
        self.city, self.now = city, now
        with city.engine.connect() as connection:
            self.memory: Memory = remember(connection, city.city, now)

    def send(self, *sent: tuple[str, bytes], **more: Any) -> None:
        messages = [Message(topic, payload, self.now, **more) for topic, payload in sent]
        advance(messages, self.city.city, self.memory, self.city.engine, self.now)

    def pass_time(self, seconds: int) -> None:
        """The worker's tick, every second."""
        for _ in range(seconds):
            self.now += 1
            declare_silence(self.city.city, self.memory, self.city.engine, 0.0, self.now)

    def events(self, kind: str) -> list[tuple[str, str]]:
        rows = self.city.rows(
            "SELECT id, data ->> 'state' AS state FROM event_log WHERE kind = :kind ORDER BY n", kind=kind
        )
        return [(row.id, row.state) for row in rows]


def speak(name: str, depth: float = 0.0) -> tuple[str, bytes]:
    return f"cc/v1/{A}/{name}/reading", b'{"values": {"water_depth": %g}}' % depth


def test_a_county_that_is_cut_off_is_said_once_and_each_of_its_sensors_is_silent(city: StandingCity) -> None:
    path = Path(city, time.time())
    for name in DOZEN:
        path.now += 2
        path.send(speak(name))
    assert path.events("link") == [(A, "online")]
    told = len(path.events("sensor"))
    path.pass_time(75)
    assert path.events("link") == [(A, "online"), (A, "silent")]
    assert len(path.events("sensor")) == told, "no sensor is told by itself"
    states = city.rows("SELECT state, state_since = last_received_at AS exact FROM sensors WHERE id LIKE 'many-%'")
    assert {row.state for row in states} == {"silent"}
    path.send(speak(DOZEN[3]))
    assert path.events("link")[2:] == [(A, "online")]
    assert path.events("sensor")[told:] == [(DOZEN[3], "online")]


def test_one_sensor_that_falls_silent_is_told_with_since_when_and_again_when_it_speaks(city: StandingCity) -> None:
    path = Path(city, time.time())
    path.send(speak("water-1"))
    spoken_at = path.now
    for _ in range(7):
        path.pass_time(10)
        path.send(speak("water-2"))
    assert path.events("sensor") == [("water-1", "online"), ("water-2", "online"), ("water-1", "silent")]
    [row] = city.rows("SELECT state_since FROM sensors WHERE id = 'water-1'")
    assert abs(row.state_since.timestamp() - spoken_at) < 0.01
    path.send(speak("water-1"))
    assert path.events("sensor")[-1] == ("water-1", "online")


def test_a_link_that_said_it_is_gone_stays_so_though_a_sensor_still_comes_through(city: StandingCity) -> None:
    path = Path(city, time.time())
    path.send((LINK, b"online"), speak("water-1"))
    path.send((LINK, b"offline"))
    path.send(speak("water-1"))
    assert path.events("link") == [(A, "online"), (A, "offline")]
    path.send((LINK, b"online"))
    assert path.events("link")[-1] == (A, "online")
    with city.engine.connect() as connection:
        assert remember(connection, city.city, path.now).links[A].state == "online"


def test_history_that_comes_late_shows_that_a_sensor_is_there(city: StandingCity) -> None:
    path = Path(city, time.time())
    path.send(speak("water-1"))
    path.pass_time(70)
    path.send((f"cc/v1/{A}/water-1/reading", b'{"at": %d, "values": {"water_depth": 0}}' % ((path.now - 7200) * 1000)))
    path.pass_time(30)
    assert path.events("sensor") == [("water-1", "online"), ("water-1", "silent"), ("water-1", "online")]


class Device(Gateway):
    """A sensor that left its will with the broker."""

    def __init__(self, url: str, name: str, will: str) -> None:
        parts = urlsplit(url)
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(parts.username, parts.password)
        self._client.will_set(will, b"offline", qos=1, retain=True)
        self._client.connect(parts.hostname or "127.0.0.1", parts.port or 1883)
        self._client.loop_start()
        wait_until(self._client.is_connected, what="the device is connected")

    def die(self) -> None:
        """Be gone without a word: the broker sends the will."""
        self._client.loop_stop()
        found = self._client.socket()
        assert found is not None
        found.close()


def test_wills_are_honoured_and_kept_readings_refused(running: RunningCity, broker: Broker) -> None:
    console = running.console(A)

    def state(sensor: str) -> str:
        return str(console.get(f"/api/v1/sensors?id={sensor}").json["items"][0]["state"])

    def links() -> dict[str, Any]:
        answer: Answer = console.get("/api/v1/links")
        return {item["id"]: item for item in answer.json["items"]}

    with connected(broker.url("gateway"), "kept") as gateway:
        gateway.publish(f"cc/v1/{A}/water-2/reading", {"values": {"water_depth": 0.9}}, retain=True)
        gateway.publish(f"cc/v1/{A}/water-2/state", b"online", retain=True)
        device = Device(broker.url("gateway"), "device", f"cc/v1/{A}/water-1/state")
        bridge = Device(broker.url("gateway"), "bridge", LINK)
        with processes.worker(running.database.worker_url, broker.url("worker"), f"will-{running.database.name}"):
            wait_until(lambda: running.rows("SELECT FROM quarantine WHERE reason = 'retained'"), 30, "it is refused")
            device.publish(f"cc/v1/{A}/water-1/reading", {"values": {"water_depth": 0.0}})
            bridge.publish(LINK, b"online", retain=True)
            wait_until(lambda: state("water-1") == "online", 20, "the sensor speaks")
            assert links()[A]["state"] == "online"
            device.die()
            bridge.die()
            wait_until(lambda: state("water-1") == "offline", 20, "the will of the sensor")
            wait_until(lambda: links()[A]["state"] == "offline", 20, "the will of the link")
            assert running.console(COUNTIES[1]).get("/api/v1/links").json["items"] == []
            gateway.publish(f"cc/v1/{A}/water-1/reading", {"values": {"water_depth": 0.0}})
            wait_until(lambda: state("water-1") == "online", 20, "it is back")
            metrics = console.get("/metrics").content.decode()
            assert f'cc_link_up{{county="{A}"}} 0.0' in metrics
        assert state("water-2") == "unknown", "what the broker kept is no news"
        for kept in (f"cc/v1/{A}/water-2/reading", f"cc/v1/{A}/water-2/state", f"cc/v1/{A}/water-1/state", LINK):
            gateway.publish(kept, b"", retain=True)
