"""The only door to the broker, and the only file that knows paho.

A message is acknowledged when we say so, which is after its commit. The broker may have ``RECEIVE_MAXIMUM`` of them
unacknowledged, so a worker that cannot store makes the broker wait instead of filling its own memory.

paho calls recv four times and select once for every message. So this door reads beneath it: chunks of many packets off the
socket, ordinary messages out of them at once (ingest.packet), all else handed on to paho packet by packet. That needs names
that paho does not promise (PRIVATE_NAMES); where one is missing paho reads by itself, several times more slowly.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.buffer import Buffer
from ingest.message import Message, Reply
from ingest.packet import BadPacket, Topics, acknowledgements, packet_at, publishes

RECEIVE_MAXIMUM = 10_000
SESSION_EXPIRY_S = 7 * 24 * 3600
SUBSCRIPTIONS = ("cc/v1/+/+/reading", "cc/v1/+/+/state", "cc/v1/+/+/raw/#")


PRIVATE_NAMES: Final = (
    "_in_packet",
    "_last_bytes_received",
    "_packet_handle",
    "_packet_queue",
    "_packet_read",
    "_ping_t",
    "_sock",
    "_sock_recv",
)
"""What of paho's inside the bulk reader stands on."""

_CHUNK_BYTES: Final = 256 * 1024
_ROOM_S: Final = 0.1


def make_client(
    url: str, client_id: str, *, manual_ack: bool = False, kind: type[paho.Client] = paho.Client
) -> paho.Client:
    """A client for ``mqtt://user:password@host:port``, not yet connected; it reconnects by itself once started.

    ``mqtts://…?ca=FILE`` is encrypted and trusts the authorities in FILE, the system's without it.
    """
    parts = urlsplit(url)
    client = kind(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5, manual_ack=manual_ack)
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


def reads_in_bulk(client: paho.Client) -> bool:
    """Whether this paho has all that the bulk reader stands on."""
    return all(hasattr(client, name) for name in PRIVATE_NAMES)


class _Ended(Exception):
    """A packet ended the connection."""

    def __init__(self, code: MQTTErrorCode) -> None:
        super().__init__(code.name)
        self.code = code


class _BulkClient(paho.Client):
    """paho with its reading replaced: ``take`` is given a chunk's bytes and returns those that are not a whole packet yet."""

    take: Callable[[bytes], bytes]
    may_read: Callable[[], bool]
    _left: tuple[object, bytes] = (None, b"")

    def _packet_read(self) -> MQTTErrorCode:
        if not self.may_read():
            # The broker waits for us; that it does not answer a ping meanwhile says nothing of it.
            self._ping_t = 0.0
            return MQTTErrorCode.MQTT_ERR_AGAIN
        try:
            chunk = self._sock_recv(_CHUNK_BYTES)
        except BlockingIOError:
            return MQTTErrorCode.MQTT_ERR_AGAIN
        except OSError:
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        if not chunk:
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        self._last_bytes_received = time.monotonic()
        # What is left of an earlier connection's bytes means nothing to this one.
        socket, left = self._left
        data = left + chunk if left and socket is self._sock else chunk
        try:
            self._left = self._sock, self.take(data)
        except BadPacket:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        except _Ended as end:
            return end.code
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def hand_on(self, first: int, body: bytes) -> None:
        """Let paho deal with one packet. Raises _Ended."""
        self._in_packet = {
            "command": first,
            "have_remaining": 1,
            "remaining_count": [],
            "remaining_mult": 1,
            "remaining_length": len(body),
            "packet": bytearray(body),
            "to_process": 0,
            "pos": 0,
        }
        try:
            code = self._packet_handle()
        except MalformedPacket as problem:
            raise BadPacket(str(problem)) from None
        if code > 0:
            raise _Ended(code)

    def write(self, packets: bytes) -> None:
        """Send packets that ask for no answer."""
        self._packet_queue(packets[0], packets, 0, 1)


class Inbox:
    """The broker's messages, put into ``buffer`` as they come and acknowledged after the commit.

    ``in_bulk`` False lets paho read by itself, one message at a time.
    """

    def __init__(self, url: str, client_id: str, buffer: Buffer, *, in_bulk: bool = True) -> None:
        self._where = endpoint(url)
        self._buffer = buffer
        self._connection: _Connection | None = None
        self._also: list[tuple[str, SubscribeOptions]] = []
        self.refused: str | None = None
        self._topics = Topics()
        self._client = make_client(url, client_id, manual_ack=True, kind=_BulkClient if in_bulk else paho.Client)
        if isinstance(self._client, _BulkClient):
            if reads_in_bulk(self._client):
                self._client.take = self._take
                self._client.may_read = self._may_read
            else:
                self._client = make_client(url, client_id, manual_ack=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    @property
    def connected(self) -> bool:
        """Whether the broker has us subscribed now."""
        return self._connection is not None

    def is_current(self, connection: _Connection) -> bool:
        """Whether packet numbers of this connection still mean something."""
        return self._connection is connection

    @property
    def behind(self) -> bool:
        """Whether so much waits here that the broker may hold back more."""
        return len(self._buffer) >= RECEIVE_MAXIMUM // 2 or not self._buffer.has_room

    def open(self, also: Iterable[str] = ()) -> None:
        """Start to connect, and to reconnect for ever. Returns at once: the broker may be away.

        ``also`` are topics of other formats. What was retained there is not asked for: it would look as if it came just now.
        """
        self._also = [
            (topic, SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)) for topic in also
        ]
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
        self._connection = _Connection(self, client)
        client.subscribe([*((topic, _asking(topic)) for topic in SUBSCRIPTIONS), *self._also])

    def _on_disconnect(self, *_: Any) -> None:
        self._connection = None

    def _may_read(self) -> bool:
        return self._buffer.wait_for_room(_ROOM_S)

    def _take(self, data: bytes) -> bytes:
        """Packets out of a chunk, in their order; returns what is not a whole packet yet. Raises BadPacket."""
        begin, received_at = 0, time.time()
        while True:
            connection = self._connection
            origin = None if connection is None else connection.acknowledge
            messages, begin = publishes(data, begin, self._topics, received_at, origin)
            if messages:
                self._buffer.put(messages)
            packet = packet_at(data, begin)
            if packet is None:
                return data[begin:]
            assert isinstance(self._client, _BulkClient)
            self._client.hand_on(packet.first, data[packet.body : packet.end])
            begin = packet.end

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

    def __init__(self, inbox: Inbox, client: paho.Client) -> None:
        self._inbox = inbox
        self._client = client
        # One object, so that a batch's messages are told apart by it quickly.
        self.acknowledge: Callable[[Sequence[Message]], None] = self._acknowledge

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell the broker that these are stored for good."""
        if not self._inbox.is_current(self):
            return
        if isinstance(self._client, _BulkClient):
            self._client.write(acknowledgements([message.number for message in messages]))
        else:
            for message in messages:
                self._client.ack(message.number, 1)


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
