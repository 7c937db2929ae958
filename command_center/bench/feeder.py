"""A stand-in for the broker that costs next to nothing: just enough MQTT 5 on a loop-back socket to hand out messages that were
made beforehand and to count their acknowledgements.

``python -m command_center.bench.feeder COUNT SENSORS`` prints its port, serves one client and prints the seconds it took.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import Final

import numpy as np

WINDOW: Final = 10_000
COUNTY: Final = "321302"
QUANTITY: Final = "noise"
_PART: Final = 500
_CONNACK: Final = b"\x20\x03\x00\x00\x00"
_SUBSCRIBE, _PINGREQ = 0x80, 0xC0


def publish(topic: bytes, payload: bytes, number: int) -> bytes:
    """A PUBLISH packet with QoS 1 and no properties."""
    body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", number) + b"\0" + payload
    size = len(body)
    length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
    return b"\x32" + length + body


def messages(count: int, sensors: int, run: str = "f") -> Iterator[tuple[bytes, bytes]]:
    """Topic and payload of ordinary readings, sensor after sensor, of this moment and on a quiet day."""
    values = np.random.default_rng(7).normal(50, 3, count).clip(40, 60).round(1).tolist()
    now_ms = int(time.time() * 1000)
    for n, value in enumerate(values):
        body = f'{{"id":"{run}-{n}","at":{now_ms + n // 100},"values":{{"{QUANTITY}":{value}}}}}'
        yield f"cc/v1/{COUNTY}/s{n % sensors + 1}/reading".encode(), body.encode()


def parts(count: int, sensors: int, run: str = "f") -> list[bytes]:
    """The packets of so many messages, some hundreds together. Packet numbers come again after 60,000."""
    packets = [publish(topic, body, n % 60_000 + 1) for n, (topic, body) in enumerate(messages(count, sensors, run))]
    return [b"".join(packets[begin : begin + _PART]) for begin in range(0, count, _PART)]


def serve(client: socket.socket, chunks: list[bytes], count: int) -> float:
    """Hand out the chunks, at most WINDOW messages ahead of their acknowledgements; seconds until the last one came."""
    subscribed = client.recv(65536)  # CONNECT
    client.sendall(_CONNACK)
    while _SUBSCRIBE not in {subscribed[0] & 0xF0}:
        subscribed = client.recv(65536)
    client.sendall(b"\x90\x06" + subscribed[2:4] + b"\x00\x01\x01\x01")
    client.setblocking(False)
    begun, sent, acknowledged, waiting = time.monotonic(), 0, 0, memoryview(b"")
    left = iter(chunks)
    while acknowledged < count:
        idle = True
        if not waiting and sent - acknowledged <= WINDOW - _PART and (chunk := next(left, None)) is not None:
            waiting = memoryview(chunk)
            sent = min(sent + _PART, count)
        if waiting:
            try:
                waiting = waiting[client.send(waiting) :]
                idle = False
            except BlockingIOError:
                pass
        try:
            answers = client.recv(1 << 18)
            if not answers:
                raise ConnectionError("the client went away")
            # A question whether we live is two bytes long, an acknowledgement four.
            pings = len(answers) % 4 // 2
            if pings:
                client.sendall(b"\xd0\x00")
            acknowledged += (len(answers) - 2 * pings) // 4
            idle = False
        except BlockingIOError:
            pass
        if idle:
            time.sleep(0.001)
    return time.monotonic() - begun


def main(count: int, sensors: int) -> None:
    chunks = parts(count, sensors)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print(serve(client, chunks, count), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
