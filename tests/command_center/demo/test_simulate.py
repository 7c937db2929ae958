"""The simulator against a real Mosquitto of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from command_center.demo.catalogue import DemoCatalogue
from command_center.demo.scenario import UnknownScenario, make_scenario
from command_center.demo.simulate import BadBrokerUrl, Player, connector, run_simulation
from ingest.sensor import Quantity
from tests.command_center.demo.pack import pack

DEADLINE_S = 20.0
BROKER = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def _until(done: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < end, f"waited {DEADLINE_S:g} s in vain until {what}"
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Broker:
    """A private Mosquitto that can be stopped and started again on the same port."""

    folder: Path
    port: int = field(default_factory=_free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        config = self.folder / "mosquitto.conf"
        user = "user root\n" if os.getuid() == 0 else ""
        config.write_text(f"{user}listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        assert BROKER is not None
        self.process = subprocess.Popen(
            [BROKER, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _until(lambda: _answers(self.port), "the broker answers")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Listener:
    """A stock client that keeps what it hears and connects again by itself."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self.client.on_connect = lambda client, *_: client.subscribe("cc/v1/#", qos=1)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self._keep
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _keep(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self.heard.append((message.topic, json.loads(message.payload)))

    def readings(self) -> list[tuple[str, dict[str, Any]]]:
        return [(topic, payload) for topic, payload in list(self.heard) if topic.endswith("/reading")]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class Simulation:
    """A simulation in a thread of its own."""

    scenario: str
    catalogue: DemoCatalogue
    url: str
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Simulation:
        arguments = (self.scenario, self.catalogue.sensors, _quantities(), self.url, self.stop)
        self.thread = threading.Thread(target=run_simulation, args=arguments, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive()


def _quantities() -> dict[str, Quantity]:
    rows = pack("quantities.yaml")["quantities"]
    return {
        q["name"]: Quantity(q["n"], q["name"], q["unit"], q["title"]["zh-CN"], q["title"]["en"], q["low"], q["high"])
        for q in rows
    }


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    if BROKER is None:
        pytest.fail("mosquitto is not installed: run make test, which installs it")
    found = Broker(tmp_path)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    found = Listener(broker.port)
    _until(found.subscribed.is_set, "the listener is subscribed")
    yield found
    found.close()


def test_readings_arrive_in_the_contracts_shape_under_the_catalogues_county(
    broker: Broker, listener: Listener, catalogue: DemoCatalogue
) -> None:
    sensors = {sensor.id: sensor for sensor in catalogue.sensors}
    with Simulation("everyday", catalogue, broker.url):
        _until(lambda: len(listener.readings()) >= 50, "fifty readings are heard")
    for topic, payload in listener.readings():
        root, version, county, sensor, _ = topic.split("/")
        assert (root, version, county) == ("cc", "v1", sensors[sensor].county)
        moves = sensors[sensor].lng is None
        assert set(payload) == {"id", "at", "values"} | ({"lng", "lat"} if moves else set())
        assert isinstance(payload["at"], int)
        assert abs(payload["at"] / 1000 - time.time()) < 60
        assert tuple(payload["values"]) == sensors[sensor].quantities


def test_a_storm_reaches_the_broker_from_the_sensors_that_take_part(
    broker: Broker, listener: Listener, catalogue: DemoCatalogue
) -> None:
    cast = set(make_scenario("storm", catalogue.sensors, 0).lag_s)

    def times_heard() -> list[int]:
        heard = [topic.split("/")[3] for topic, _ in listener.readings()]
        return [heard.count(sensor) for sensor in cast]

    with Simulation("storm", catalogue, broker.url):
        _until(lambda: min(times_heard()) >= 2, "every storm sensor has spoken twice")
    announced = [payload for topic, payload in listener.heard if topic == "cc/v1/demo/simulator/scenario"]
    assert [one["name"] for one in announced] == ["storm"]


def test_everyday_life_leaves_a_storms_sensors_to_the_process_that_plays_it(
    broker: Broker, listener: Listener, catalogue: DemoCatalogue
) -> None:
    started_at = time.time()
    cast = set(make_scenario("storm", catalogue.sensors, started_at).lag_s)
    told = json.dumps({"name": "storm", "started_at": started_at})
    listener.client.publish("cc/v1/demo/simulator/scenario", told, qos=1, retain=True).wait_for_publish(DEADLINE_S)
    with Simulation("everyday", catalogue, broker.url) as simulation:
        _until(lambda: len(listener.readings()) >= 1200, "a good part of the city has spoken")
        assert simulation.thread.is_alive()
    speakers = {topic.split("/")[3] for topic, _ in listener.readings()}
    assert len(speakers) >= 1000
    # A turn that came before the announcement did may have slipped through, never half of the cast.
    assert len(speakers & cast) <= len(cast) // 4


def test_a_crowds_camera_events_go_out_under_the_camera_that_sees_them(
    broker: Broker, listener: Listener, catalogue: DemoCatalogue
) -> None:
    scenario = make_scenario("crowd", catalogue.sensors, time.time())
    player = Player(scenario, catalogue.sensors[2000:2003], _quantities(), connector(broker.url))
    player.start()
    _until(player.client.is_connected, "the simulator is connected")
    player.play(scenario.started_at + 60)
    _until(lambda: any("/raw/" in topic for topic, _ in listener.heard), "a camera event is heard")
    player.close()
    cameras = {camera.id: camera for camera in catalogue.cameras}
    topic, event = next(one for one in listener.heard if "/raw/" in one[0])
    camera = cameras[event["after"]["camera"]]
    assert topic == f"cc/v1/{camera.county}/{camera.id}/raw/frigate/events"
    assert event["after"]["label"] == "person"


def test_everyday_turns_fall_on_the_same_times_in_two_processes(catalogue: DemoCatalogue) -> None:
    now = time.time()
    one, other = (
        Player(
            make_scenario("everyday", catalogue.sensors, at),
            catalogue.sensors,
            _quantities(),
            connector("mqtt://127.0.0.1:1"),
        )
        for at in (now - 900, now - 17)
    )
    one.play(now)
    other.play(now)
    assert sorted(at for at, _ in one.turns()) == sorted(at for at, _ in other.turns())


def test_it_waits_for_a_broker_that_is_away_and_comes_back_by_itself(broker: Broker, catalogue: DemoCatalogue) -> None:
    broker.stop()
    with Simulation("everyday", catalogue, broker.url):
        broker.start()
        first = Listener(broker.port)
        _until(lambda: len(first.readings()) >= 5, "readings come after a late start")
        first.close()
        broker.stop()
        broker.start()
        second = Listener(broker.port)
        _until(lambda: len(second.readings()) >= 5, "readings come after a restart")
        second.close()


def test_what_a_full_queue_drops_is_counted_as_left_out(
    broker: Broker, listener: Listener, catalogue: DemoCatalogue
) -> None:
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client.max_inflight_messages_set(1)
    client.max_queued_messages_set(1)
    client.connect_async("127.0.0.1", broker.port)
    scenario = make_scenario("everyday", catalogue.sensors, time.time())
    player = Player(scenario, catalogue.sensors[:500], _quantities(), client)
    player.start()
    _until(client.is_connected, "the simulator is connected")
    player.play(scenario.started_at + 15)
    assert player.missed > 0
    _until(lambda: len(listener.readings()) >= player.sent, "all that was sent is heard")
    player.close()
    assert len(listener.readings()) == player.sent


def test_it_ends_at_once_with_and_without_a_broker(broker: Broker, catalogue: DemoCatalogue) -> None:
    for away in (False, True):
        if away:
            broker.stop()
        with Simulation("everyday", catalogue, broker.url) as simulation:
            began = time.monotonic()
            simulation.stop.set()
            simulation.thread.join(DEADLINE_S)
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("url", ["http://127.0.0.1", "mqtt://", "mqtt://127.0.0.1:port", "127.0.0.1:1883"])
def test_an_address_that_cannot_be_used_is_refused_before_anything_starts(catalogue: DemoCatalogue, url: str) -> None:
    with pytest.raises(BadBrokerUrl, match="mqtt://user:password@"):
        run_simulation("everyday", catalogue.sensors, _quantities(), url, threading.Event())


def test_a_scenario_nobody_knows_is_refused_before_anything_starts(catalogue: DemoCatalogue) -> None:
    with pytest.raises(UnknownScenario, match="choose one of"):
        run_simulation("earthquake", catalogue.sensors, _quantities(), "mqtt://127.0.0.1:1", threading.Event())
