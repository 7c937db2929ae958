"""The only door to the broker, and the only file that knows paho.

A message is acknowledged when we say so, which is after its commit. The broker may have ``RECEIVE_MAXIMUM`` of them
unacknowledged, so a worker that cannot store makes the broker wait instead of filling its own memory.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.buffer import Buffer
from ingest.message import Message, Reply

RECEIVE_MAXIMUM = 10_000
SESSION_EXPIRY_S = 7 * 24 * 3600
SUBSCRIPTIONS = ("cc/v1/+/+/reading", "cc/v1/+/+/state", "cc/v1/+/+/raw/#")


def make_client(url: str, client_id: str, *, manual_ack: bool = False) -> paho.Client:
    """A client for ``mqtt://user:password@host:port``, not yet connected; it reconnects by itself once started.

    ``mqtts://…?ca=FILE`` is encrypted and trusts the authorities in FILE, the system's without it.
    """
    parts = urlsplit(url)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5, manual_ack=manual_ack)
    if parts.username:
        client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
    if parts.scheme == "mqtts":
        client.tls_set(ca_certs=authority(url))
    client.reconnect_delay_set(min_delay=1, max_delay=15)
    client.connect_timeout = 5.0
    return client


def authority(url: str) -> str | None:
    """The file of certificates that a broker's address names."""
    return next(iter(parse_qs(urlsplit(url).query).get("ca", ())), None)


def endpoint(url: str) -> tuple[str, int]:
    """Host and port of a broker's address."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or (8883 if parts.scheme == "mqtts" else 1883)


class Inbox:
    """The broker's messages, put into ``buffer`` as they come and acknowledged after the commit."""

    def __init__(self, url: str, client_id: str, buffer: Buffer) -> None:
        self._where = endpoint(url)
        self._buffer = buffer
        self._connection: _Connection | None = None
        self.refused: str | None = None
        self._client = make_client(url, client_id, manual_ack=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    @property
    def connected(self) -> bool:
        """Whether the broker has us subscribed now."""
        return self._connection is not None

    @property
    def behind(self) -> bool:
        """Whether so much waits here that the broker may hold back more."""
        return len(self._buffer) >= RECEIVE_MAXIMUM // 2 or not self._buffer.has_room

    def open(self) -> None:
        """Start to connect, and to reconnect for ever. Returns at once: the broker may be away."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        self._client.connect_async(*self._where, keepalive=30, clean_start=False, properties=properties)
        self._client.loop_start()

    def close(self) -> None:
        """Leave. What is not acknowledged comes again at the next start."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, replies: Iterable[Reply]) -> None:
        """Send receipts. A receipt that is lost costs its producer one repeat, which is harmless."""
        for reply in replies:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if reply.correlation is not None:
                properties.CorrelationData = reply.correlation
            self._client.publish(reply.topic, reply.payload, qos=1, properties=properties)

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self.refused = f"the broker refused the connection: {reason}"
            return
        self.refused = None
        self._connection = _Connection(self)
        client.subscribe([(topic, _asking(topic)) for topic in SUBSCRIPTIONS])

    def _on_disconnect(self, *_: Any) -> None:
        self._connection = None

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        connection, properties = self._connection, message.properties
        read = Message(
            topic=message.topic,
            payload=bytes(message.payload),
            received_at=time.time(),
            duplicate=message.dup,
            response_topic=getattr(properties, "ResponseTopic", None),
            correlation=getattr(properties, "CorrelationData", None),
            origin=connection.acknowledge if connection and message.qos else None,
            number=message.mid,
            retained=message.retain,
        )
        self._buffer.put([read])


class _Connection:
    """One connection to the broker: packet numbers mean nothing once it is gone.

    After a reconnect a number may already stand for another message: then the broker sends this one again, and its key shows
    that it is stored.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell the broker that these are stored for good."""
        for message in messages:
            if self._inbox._connection is not self:
                return
            self._inbox._client.ack(message.number, 1)


def _asking(topic: str) -> SubscribeOptions:
    """How to subscribe: kept messages once for each session, not at every reconnect; and of a reading we want to know whether
    its producer asked to have it kept, which is refused (a state may be).
    """
    send_if_new = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
    return SubscribeOptions(qos=1, retainAsPublished=topic.endswith("/reading"), retainHandling=send_if_new)


class NotDelivered(Exception):
    """The broker or the worker did not confirm a message in time."""


def deliver(url: str, topic: str, payload: bytes, receipt_topic: str, timeout_s: float) -> bytes:
    """Publish one message and wait for the worker's receipt, which it sends after the commit. Raises NotDelivered."""
    where = endpoint(url)
    receipts: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    client = make_client(url, "")

    def ask(client: paho.Client, *_: Any) -> None:
        client.subscribe(receipt_topic, qos=1)

    def publish(client: paho.Client, *_: Any) -> None:
        client.publish(topic, payload, qos=1)

    client.on_connect = ask
    client.on_subscribe = publish
    client.on_message = lambda _client, _data, message: receipts.put(bytes(message.payload))
    try:
        client.connect(*where)
        client.loop_start()
        return receipts.get(timeout=timeout_s)
    except OSError as problem:
        raise NotDelivered(f"the broker {where[0]}:{where[1]} cannot be reached: {problem}") from None
    except queue.Empty:
        raise NotDelivered(f"no receipt on {receipt_topic} within {timeout_s:g} s: is the worker running?") from None
    finally:
        client.disconnect()
        client.loop_stop()
