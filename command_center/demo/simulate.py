"""A real MQTT client that plays the demo city: readings of every demo sensor, and a scenario's camera events.

Two of them may run at once, such as a storm beside everyday life. Everyday readings carry ids that depend on sensor and
time alone, so the worker takes the second copy for a redelivery; and who plays a scenario announces it, upon which the
others leave the sensors that take part to it.
"""

from __future__ import annotations

import heapq
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import structlog
from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from command_center.demo.frigate import events
from command_center.demo.route import position
from command_center.demo.scenario import (
    DURATION_S,
    NothingToPlay,
    Scenario,
    UnknownScenario,
    is_running,
    make_scenario,
)
from command_center.demo.series import phase, values
from ingest.mqtt import endpoint, make_client
from ingest.sensor import Quantity, Sensor

ANNOUNCEMENT_TOPIC: Final = "cc/v1/demo/simulator/scenario"

_QOS: Final = 1
_FIRST_ROUND_S: Final = 15.0  # every sensor speaks once within this time, so that a fresh city does not look silent
_SCENARIO_INTERVAL_S: Final = 5.0
_REPORT_S: Final = 10.0
_LONGEST_NAP_S: Final = 0.5
_QUEUED_MESSAGES: Final = 5000


class BadBrokerUrl(ValueError):
    """The broker's address cannot be used."""


def run_simulation(
    scenario: str, sensors: Sequence[Sensor], quantities: Mapping[str, Quantity], mqtt_url: str, stop: threading.Event
) -> None:
    """Play until ``stop`` is set, whatever happens to the broker meanwhile.

    ``mqtt_url`` is ``mqtt://user:password@host:port`` or ``mqtts://…``. Raises UnknownScenario, NothingToPlay and
    BadBrokerUrl before anything is sent.
    """
    chosen = make_scenario(scenario, sensors, time.time())
    player = Player(chosen, sensors, quantities, connector(mqtt_url))
    player.start()
    try:
        while not stop.is_set():
            stop.wait(player.play(time.time()))
    finally:
        player.close()


class Player:
    """Sends what is due. The network runs in paho's own thread; everything else in the caller's."""

    def __init__(
        self, scenario: Scenario, sensors: Sequence[Sensor], quantities: Mapping[str, Quantity], client: Client
    ) -> None:
        self.scenario = scenario
        self.sensors = sensors
        self.quantities = quantities
        self.client = client
        self.sent = self.missed = self.camera_events = 0
        self._elsewhere: Scenario | None = None  # a scenario that another simulator plays
        self._due = [(self._first_at(sensor), n) for n, sensor in enumerate(sensors)]
        heapq.heapify(self._due)
        self._played_at = self._reported_at = scenario.started_at
        self._log = structlog.get_logger(process="simulate")
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message

    def start(self) -> None:
        """Begin to connect; a broker that is away is tried again and again."""
        self.client.loop_start()

    def close(self) -> None:
        """Leave the broker at once."""
        self.client.disconnect()
        self.client.loop_stop()
        self._report()

    def play(self, now: float) -> float:
        """Send everything due at ``now`` (epoch seconds); the seconds to wait until the next call."""
        while self._due and self._due[0][0] <= now:
            due_at, n = self._due[0]
            self._read(self.sensors[n], due_at)
            heapq.heapreplace(self._due, (self._next_at(self.sensors[n], due_at, now), n))
        for county, payload in events(self.scenario, self._played_at, now):
            topic = f"cc/v1/{county}/{payload['after']['camera']}/raw/frigate/events"
            self.camera_events += self._publish(topic, payload)
        self._played_at = now
        if now - self._reported_at >= _REPORT_S:
            self._reported_at = now
            self._report()
        wait = self._due[0][0] - now if self._due else _LONGEST_NAP_S
        return min(max(wait, 0.0), _LONGEST_NAP_S)

    def turns(self) -> list[tuple[float, str]]:
        """When each sensor speaks next (epoch seconds) and its id, soonest first."""
        return [(at, self.sensors[n].id) for at, n in sorted(self._due)]

    def _first_at(self, sensor: Sensor) -> float:
        within_s = _SCENARIO_INTERVAL_S if sensor.id in self.scenario.lag_s else _FIRST_ROUND_S
        return self.scenario.started_at + phase(sensor) * min(sensor.interval_s, within_s)

    def _next_at(self, sensor: Sensor, due_at: float, now: float) -> float:
        """The sensor's next turn. Everyday turns fall on the same times in every process; missed turns are not made up."""
        if sensor.id in self.scenario.lag_s and is_running(self.scenario, now):
            return now + _SCENARIO_INTERVAL_S
        offset = phase(sensor) * sensor.interval_s
        turns = (max(due_at, now) - offset) // sensor.interval_s + 1
        return float(turns * sensor.interval_s + offset)

    def _read(self, sensor: Sensor, at: float) -> None:
        theirs = self._elsewhere
        if theirs is not None and sensor.id in theirs.lag_s and is_running(theirs, at):
            return
        found = dict(self._plausible(values(sensor, at, self.scenario)))
        if found:
            at_ms = int(at * 1000)
            payload: dict[str, Any] = {"id": f"{sensor.id}-{at_ms}", "at": at_ms, "values": found}
            if (where := position(sensor, at, self.scenario)) is not None:
                payload["lng"], payload["lat"] = where
            self.sent += self._publish(f"cc/v1/{sensor.county}/{sensor.id}/reading", payload)

    def _plausible(self, found: Mapping[str, float]) -> Iterator[tuple[str, float]]:
        for name, value in found.items():
            if (quantity := self.quantities.get(name)) is not None:
                yield name, min(max(value, quantity.low), quantity.high)

    def _publish(self, topic: str, payload: dict[str, Any]) -> bool:
        """Whether the message went out; while the broker is away a live reading is left out, not saved up."""
        said = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        # A broker that cannot keep up leaves paho's queue full, and then the message is dropped.
        if not self.client.is_connected() or self.client.publish(topic, said, qos=_QOS).rc != MQTT_ERR_SUCCESS:
            self.missed += 1
            return False
        return True

    def _report(self) -> None:
        self._log.info(
            "simulated",
            scenario=self.scenario.name,
            running=is_running(self.scenario, self._played_at),
            connected=self.client.is_connected(),
            readings=self.sent,
            camera_events=self.camera_events,
            left_out=self.missed,
        )

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._log.warning("broker refused the simulator", reason=str(reason))
            return
        self._log.info("broker reached")
        client.subscribe(ANNOUNCEMENT_TOPIC, options=SubscribeOptions(qos=_QOS, noLocal=True))
        left_s = self.scenario.started_at + DURATION_S - time.time()
        if is_running(self.scenario, time.time()) and left_s >= 1:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho left it bare
            properties.MessageExpiryInterval = int(left_s)
            said = json.dumps({"name": self.scenario.name, "started_at": self.scenario.started_at})
            client.publish(ANNOUNCEMENT_TOPIC, said, qos=_QOS, retain=True, properties=properties)

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._log.warning("broker lost, trying again", reason=str(reason))

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            said = json.loads(message.payload)
            self._elsewhere = make_scenario(str(said["name"]), self.sensors, float(said["started_at"]))
        except (ValueError, KeyError, TypeError, UnknownScenario, NothingToPlay) as problem:
            self._log.warning("an announcement that makes no sense", problem=str(problem))


def connector(mqtt_url: str) -> Client:
    """A client that will connect to the address by itself once it is started. Raises BadBrokerUrl."""
    _check(mqtt_url)
    client = make_client(mqtt_url, f"demo-simulator-{uuid4().hex[:12]}")
    client.max_inflight_messages_set(500)
    client.max_queued_messages_set(_QUEUED_MESSAGES)
    client.connect_async(*endpoint(mqtt_url), keepalive=20)
    return client


def _check(mqtt_url: str) -> None:
    try:
        parts = urlsplit(mqtt_url)
        usable = parts.scheme in {"mqtt", "mqtts"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError as problem:
        raise BadBrokerUrl(
            f"the broker's address cannot be read ({problem}): give mqtt://user:password@host:port"
        ) from None
    if not usable:
        raise BadBrokerUrl("the broker's address must look like mqtt://user:password@host:port")
