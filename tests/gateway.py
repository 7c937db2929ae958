"""A stock MQTT client, as a sensor gateway would use one."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.waiting import wait_until


class Gateway:
    """A connected client. ``received`` holds what it was sent on the topics it listens to."""

    def __init__(self, url: str, name: str, listen: str | None = None) -> None:
        parts = urlsplit(url)
        self.received: queue.SimpleQueue[MQTTMessage] = queue.SimpleQueue()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(parts.username, parts.password)
        self._client.on_message = lambda _client, _data, message: self.received.put(message)
        self._client.on_connect = lambda client, *_: client.subscribe(listen, 1) if listen else None
        self._client.connect(parts.hostname or "127.0.0.1", parts.port or 1883)
        self._client.loop_start()
        wait_until(self._client.is_connected, what="the gateway is connected")

    def publish(self, topic: str, payload: bytes | str | dict[str, Any], *, retain: bool = False) -> None:
        """QoS 1; returns once the broker has acknowledged."""
        content = json.dumps(payload) if isinstance(payload, dict) else payload
        self._client.publish(topic, content, qos=1, retain=retain).wait_for_publish(10)

    def publish_all(self, messages: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """QoS 1, many under way at once; returns once the broker has acknowledged them all."""
        sent = [self._client.publish(topic, json.dumps(payload), qos=1) for topic, payload in messages]
        for one in sent:
            one.wait_for_publish(60)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def connected(url: str, name: str = "test-gateway", listen: str | None = None) -> Iterator[Gateway]:
    """A gateway for the length of a ``with`` block."""
    gateway = Gateway(url, name, listen)
    try:
        yield gateway
    finally:
        gateway.close()
