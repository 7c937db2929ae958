"""The door to the broker, against a real Mosquitto: read in bulk or by paho itself, plain or encrypted."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from command_center.local.broker import Broker
from ingest import mqtt
from ingest.buffer import Buffer
from ingest.message import Message, acknowledge
from ingest.mqtt import PRIVATE_NAMES, Inbox, reads_in_bulk
from tests.gateway import connected
from tests.waiting import wait_until

TOPIC = "cc/v1/321302/gauge-1/reading"


@contextmanager
def _inbox(url: str, name: str, buffer: Buffer, *, in_bulk: bool = True) -> Iterator[Inbox]:
    inbox = Inbox(url, name, buffer, in_bulk=in_bulk)
    inbox.open()
    try:
        wait_until(lambda: inbox.connected, what="the inbox is connected")
        yield inbox
    finally:
        inbox.close()


def _all_of(buffer: Buffer, count: int) -> list[Message]:
    found: list[Message] = []
    wait_until(lambda: len(found.__iadd__(buffer.take(count, 0.2, 0))) >= count, what=f"{count} messages")
    return found


def test_this_paho_has_what_the_bulk_reader_stands_on() -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    assert [name for name in PRIVATE_NAMES if not hasattr(client, name)] == []
    assert reads_in_bulk(client)


@pytest.mark.parametrize("in_bulk", [True, False])
def test_messages_come_with_all_that_they_carry_and_unacknowledged_ones_come_again(
    broker: Broker, in_bulk: bool
) -> None:
    name, sizes = f"inbox-{in_bulk}", [10, 200, 70_000, 300_000]
    buffer = Buffer(1000, 1 << 24)
    with connected(broker.url("gateway")) as gateway:
        with _inbox(broker.url("worker"), name, buffer, in_bulk=in_bulk):
            for size in sizes:
                gateway.publish(TOPIC, b"x" * size)
            properties = Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic, properties.CorrelationData = "cc/v1/321302/gauge-1/ack/1", b"17"
            gateway._client.publish(TOPIC, b"asked", qos=1, properties=properties).wait_for_publish(10)
            gateway._client.publish(TOPIC, b"at most once", qos=0).wait_for_publish(10)
            found = _all_of(buffer, 6)
            assert [len(m.payload) for m in found[:4]] == sizes
            assert {m.topic for m in found} == {TOPIC}
            assert (found[4].response_topic, found[4].correlation) == ("cc/v1/321302/gauge-1/ack/1", b"17")
            assert found[5].origin is None, "nobody waits for an answer to QoS 0"
            assert not any(m.duplicate or m.retained for m in found)
            acknowledge([found[0], found[2]])
            gateway.publish(TOPIC, b"last")
            _all_of(buffer, 1)
        # Acknowledgements that were under way when we left may be lost: then what they stand for comes again too.
        with _inbox(broker.url("worker"), name, buffer, in_bulk=in_bulk):
            again = []
            while not again or again[-1].payload != b"last":
                again += _all_of(buffer, 1)
            assert all(m.duplicate for m in again)
            assert {200, 300_000, len("asked"), len("last")} <= {len(m.payload) for m in again} <= {*sizes, 4, 5}
            acknowledge(again)


@pytest.mark.parametrize("missing", PRIVATE_NAMES)
def test_without_one_of_paho_s_private_names_messages_come_all_the_same(
    missing: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "PRIVATE_NAMES", (*PRIVATE_NAMES, f"{missing}_of_another_release"))
    buffer = Buffer(1000, 1 << 24)
    with (
        connected(broker.url("gateway")) as gateway,
        _inbox(broker.url("worker"), f"without{missing}", buffer) as inbox,
    ):
        assert type(inbox._client) is paho.Client
        gateway.publish(TOPIC, b"1")
        found = _all_of(buffer, 1)
        assert [m.payload for m in found] == [b"1"]
        acknowledge(found)


def test_a_full_buffer_makes_the_broker_wait_and_nothing_is_lost(broker: Broker) -> None:
    buffer = Buffer(10, 1 << 24)
    with connected(broker.url("gateway")) as gateway, _inbox(broker.url("worker"), "full", buffer):
        count, payload = 3000, b"x" * 2000
        sent = [gateway._client.publish(TOPIC, payload + str(n).encode(), qos=1) for n in range(count)]
        for info in sent:
            info.wait_for_publish(60)
        wait_until(lambda: not buffer.has_room, what="the buffer is full")
        found: list[Message] = []
        while len(found) < count:
            most = len(buffer)
            assert most <= 10 + mqtt._CHUNK_BYTES // len(payload) + 1, "a door puts one chunk more at most"
            part = buffer.take(7, 30, 0)
            assert part, "messages go on coming"
            found += part
            acknowledge(part)
        assert [m.payload for m in found] == [payload + str(n).encode() for n in range(count)]


def test_packet_numbers_of_a_lost_connection_acknowledge_nothing(broker: Broker) -> None:
    buffer = Buffer(1000, 1 << 24)
    with connected(broker.url("gateway")) as gateway:
        with _inbox(broker.url("worker"), "lost", buffer):
            gateway.publish(TOPIC, b"1")
            before = _all_of(buffer, 1)
        with _inbox(broker.url("worker"), "lost", buffer):
            acknowledge(before)
            [again] = _all_of(buffer, 1)
            assert (again.payload, again.duplicate) == (b"1", True)
            acknowledge([again])


@contextmanager
def _encrypted(port: int, folder: Path) -> Iterator[str]:
    """The broker behind an encrypting door of its own; yields the address to use."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run(["openssl", *made, *named], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("localhost", 0))
    ends: list[socket.socket] = [listener]

    def forward(source: socket.socket, target: socket.socket) -> None:
        try:
            while chunk := source.recv(65536):
                target.sendall(chunk)
        except (OSError, ValueError):
            return  # the test is over

    def accept() -> None:
        inner = socket.create_connection(("127.0.0.1", port))
        outer = context.wrap_socket(listener.accept()[0], server_side=True)
        ends.extend((inner, outer))
        threading.Thread(target=forward, args=(outer, inner), daemon=True).start()
        forward(inner, outer)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"localhost:{listener.getsockname()[1]}?ca={certificate}"
    finally:
        for end in ends:
            end.close()


def test_an_encrypted_connection_is_read_in_bulk_too(broker: Broker, tmp_path: Path) -> None:
    buffer = Buffer(10_000, 1 << 24)
    account = broker.url("worker").removeprefix("mqtt://").partition("@")[0]
    with (
        connected(broker.url("gateway")) as gateway,
        _encrypted(broker.port, tmp_path) as place,
        _inbox(f"mqtts://{account}@{place}", "encrypted", buffer),
    ):
        payloads = [b"x" * (50 + 500 * (n % 40)) + str(n).encode() for n in range(300)]
        for info in [gateway._client.publish(TOPIC, payload, qos=1) for payload in payloads]:
            info.wait_for_publish(60)
        found = _all_of(buffer, len(payloads))
        assert [m.payload for m in found] == payloads
        acknowledge(found)
