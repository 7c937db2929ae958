"""Packets in a stream of bytes: the same messages however the stream is cut."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt._packet import decode_publish
from paho.mqtt.enums import MQTTProtocolVersion

from ingest.message import Message
from ingest.packet import BadPacket, Topics, acknowledgements, packet_at, publishes


def _length(size: int) -> bytes:
    found = bytearray()
    while True:
        size, low = size >> 7, size & 0x7F
        found.append(low | (0x80 if size else 0))
        if not size:
            return bytes(found)


def _packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _length(len(body)) + body


def _publish(topic: str, payload: bytes, first: int, number: int, properties: bytes = b"") -> bytes:
    text = topic.encode()
    named = struct.pack(">H", number) if first & 0x06 else b""
    body = struct.pack(">H", len(text)) + text + named + _length(len(properties)) + properties + payload
    return _packet(first, body)


_PUBLISHES = st.builds(
    _publish,
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
    st.binary(max_size=40) | st.binary(min_size=100, max_size=300),
    st.sampled_from([0x30, 0x31, 0x32, 0x3A, 0x33, 0x34]),
    st.integers(1, 65535),
    st.sampled_from([b"", b"", b"\x01\x00", b"\x02\x00\x00\x00\x05"]),
)
_OTHERS = st.sampled_from([_packet(0xD0, b""), _packet(0x90, b"\0\1\0\1"), _packet(0x40, b"\0\1")])


def _read(stream: bytes, cuts: list[int]) -> list[Any]:
    """What a door makes of the stream when it comes in such pieces: messages, and (first byte, body) of all else."""
    found: list[Any] = []
    data, topics = b"", Topics()
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for begin, end in pairwise(edges):
        data, at = data + stream[begin:end], 0
        while True:
            messages, at = publishes(data, at, topics, 1.0, _nobody)
            found += messages
            packet = packet_at(data, at)
            if packet is None:
                break
            found.append((packet.first, data[packet.body : packet.end]))
            at = packet.end
        data = data[at:]
    assert data == b""
    return found


def _nobody(_: Any) -> None:
    """Somebody who is told."""


@given(st.lists(_PUBLISHES | _OTHERS, max_size=12), st.lists(st.integers(0, 5000), max_size=12))
def test_any_cutting_of_a_stream_gives_the_same_and_it_is_what_paho_reads(
    packets: list[bytes], cuts: list[int]
) -> None:
    found = _read(b"".join(packets), cuts)
    assert found == _read(b"".join(packets), [])
    assert len(found) == len(packets)
    for told, packet in zip(found, packets, strict=True):
        if not isinstance(told, Message):
            continue
        whole = packet_at(packet, 0)
        assert whole is not None
        theirs = decode_publish(packet[0], packet[whole.body :], MQTTProtocolVersion.MQTTv5)
        assert (told.topic.encode(), told.payload, told.duplicate, told.retained) == (
            theirs.topic,
            theirs.payload,
            theirs.dup,
            theirs.retain,
        )
        assert (told.number or 0, told.origin is _nobody) == (theirs.mid, theirs.qos == 1)


def test_ordinary_messages_are_read_at_once_and_all_others_left() -> None:
    ordinary, asked = _publish("t", b"x", 0x32, 7), _publish("t", b"x", 0x32, 8, b"\x08\x00\x01r")
    messages, at = publishes(ordinary * 3 + asked + ordinary, 0, Topics(), 1.0, None)
    assert len(messages) == 3
    assert at == 3 * len(ordinary)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_packets_or_a_bad_packet(data: bytes) -> None:
    at = 0
    try:
        while True:
            _, at = publishes(data, at, Topics(), 1.0, None)
            packet = packet_at(data, at)
            if packet is None:
                return
            assert packet.end > at
            at = packet.end
    except BadPacket:
        return


@pytest.mark.parametrize("data", [b"\x30\xff\xff\xff\xff\x01", b"\x30\x01\x00", b"\x32\x05\x00\x01t\x00\x01"])
def test_what_is_no_mqtt_is_said(data: bytes) -> None:
    with pytest.raises(BadPacket):
        packet_at(data, publishes(data, 0, Topics(), 1.0, None)[1])


@given(st.lists(st.integers(1, 65535)))
def test_acknowledgements_are_one_packet_each(numbers: list[int]) -> None:
    assert acknowledgements(numbers) == b"".join(b"\x40\x02" + struct.pack(">H", number) for number in numbers)
