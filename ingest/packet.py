"""MQTT 5 packets in a stream of bytes, many at a time (OASIS MQTT 5.0, sections 2 and 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from ingest.message import Message, Origin

_PUBLISH: Final = 0x30
_DUPLICATE, _QOS_1, _QOS_2, _RETAIN = 0x08, 0x02, 0x04, 0x01
_PUBACK: Final = 0x4002
_MOST_TOPICS: Final = 200_000


class BadPacket(ValueError):
    """The stream is not MQTT: nothing after this can be understood."""


class Packet(NamedTuple):
    """One packet: its first byte, and where its body and the next packet begin."""

    first: int
    body: int
    end: int


def packet_at(data: bytes, begin: int) -> Packet | None:
    """The packet that begins there, None when it has not come whole. Raises BadPacket."""
    length = 0
    for place in range(4):
        if begin + 1 + place >= len(data):
            return None
        byte = data[begin + 1 + place]
        length |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            body = begin + 2 + place
            return Packet(data[begin], body, body + length) if body + length <= len(data) else None
    raise BadPacket("a length of more than four bytes")


class Topics:
    """Topics as texts: each is made once, not once for every message."""

    def __init__(self) -> None:
        self._known: dict[bytes, str] = {}

    @property
    def known(self) -> dict[bytes, str]:
        """Bounded: a flood of new ones begins it anew."""
        if len(self._known) > _MOST_TOPICS:
            self._known.clear()
        return self._known


def publishes(  # noqa: C901  runs for every message: a call for each of its steps would double its price
    data: bytes, begin: int, topics: Topics, received_at: float, origin: Origin | None
) -> tuple[list[Message], int]:
    """The messages of the ordinary PUBLISH packets (QoS 0 or 1, no properties) from ``begin`` on, and where they end: at a
    packet that has not come whole, or one that is anything else. ``origin`` is told of those with QoS 1. Raises BadPacket.
    """
    found: list[Message] = []
    add, known, size = found.append, topics.known, len(data)
    while begin + 2 <= size:
        first = data[begin]
        if first & 0xF4 != _PUBLISH:
            break
        length, body = data[begin + 1], begin + 2
        if length >= 0x80:
            packet = packet_at(data, begin)
            if packet is None:
                break
            body, end = packet.body, packet.end
        else:
            end = body + length
            if end > size:
                break
        text = body + 2
        if text > end:
            raise BadPacket("a PUBLISH without a topic")
        after = text + (data[body] << 8 | data[body + 1])
        number = None
        content = after + 1
        if first & _QOS_1:
            content = after + 3
            if content <= end:
                number = data[after] << 8 | data[after + 1]
        if content > end:
            raise BadPacket("a PUBLISH that is shorter than its parts")
        if data[content - 1]:
            break  # it has properties
        raw = data[text:after]
        topic = known.get(raw)
        if topic is None:
            if not raw:
                break  # its topic is an alias
            topic = known[raw] = raw.decode("utf-8", "replace")
        add(
            Message(
                topic,
                data[content:end],
                received_at,
                first & _DUPLICATE != 0,
                None,
                None,
                None if number is None else origin,
                number,
                first & _RETAIN != 0,
            )
        )
        begin = end
    return found, begin


def acknowledgements(numbers: Sequence[int]) -> bytes:
    """The PUBACK packets of these messages, one after the other."""
    packets = np.empty((len(numbers), 2), dtype=">u2")
    packets[:, 0] = _PUBACK
    packets[:, 1] = numbers
    return packets.tobytes()
