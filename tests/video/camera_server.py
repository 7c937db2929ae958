"""Small cameras for tests: real sockets that serve real streams on a free loopback port."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path

Talk = Callable[[socket.socket, threading.Event], None]


@contextlib.contextmanager
def serving(talk: Talk) -> Iterator[int]:
    """Run ``talk`` for every connection, each in its thread; yields the port. ``stop`` is set and awaited at the end."""
    stop = threading.Event()
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def attend(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(20)
                talk(connection, stop)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threads.append(threading.Thread(target=attend, args=(connection,), daemon=True))
                    threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(10)
            for thread in threads:
                thread.join(10)


def silent(connection: socket.socket, stop: threading.Event) -> None:
    """Takes the connection and never says a word."""
    stop.wait(60)


def redirecting(address: str) -> Talk:
    """Sends every HTTP caller elsewhere."""

    def talk(connection: socket.socket, stop: threading.Event) -> None:
        connection.recv(4096)
        connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {address}\r\nContent-Length: 0\r\n\r\n".encode())

    return talk


def document(text: str, kind: str) -> Talk:
    """Answers every HTTP caller with one text."""

    def talk(connection: socket.socket, stop: threading.Event) -> None:
        connection.recv(4096)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + text.encode())

    return talk


def noting(calls: list[bytes]) -> Talk:
    """Writes down what every caller says and hangs up."""

    def talk(connection: socket.socket, stop: threading.Event) -> None:
        calls.append(connection.recv(4096))

    return talk


def motion_jpeg(pictures: Sequence[bytes], rate: float = 10, stall_after: int | None = None) -> Talk:
    """An HTTP camera that repeats JPEG pictures for ever, or falls silent after some."""

    def talk(connection: socket.socket, stop: threading.Event) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n")
        sent = 0
        while not stop.wait(1 / rate):
            if stall_after is not None and sent >= stall_after:
                continue
            picture = pictures[sent % len(pictures)]
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            connection.sendall(head.encode() + picture + b"\r\n")
            sent += 1

    return talk


def rtsp(h264: Path, rate: float, last: int) -> Talk:
    """An RTSP camera that repeats the last pictures of an H.264 file (Annex B), its RTP interleaved in the TCP connection."""
    units = _access_units(h264.read_bytes())[-last:]

    def talk(connection: socket.socket, stop: threading.Event) -> None:
        reader = connection.makefile("rb")
        while (request := _request(reader)) is not None:
            method, url, sequence = request
            answer = {
                "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n",
                "DESCRIBE": _description(url),
                "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n\r\n",
            }.get(method, "Session: 1\r\n\r\n")
            connection.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{answer}".encode())
            if method == "PLAY":
                _play(connection, stop, units, rate)
                return

    return talk


def _request(reader: BufferedReader) -> tuple[str, str, str] | None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = reader.readline()
        if not line:
            return None
        head += line
    method, url, _ = head.decode().split(" ", 2)
    found = re.search(r"CSeq: *(\d+)", head.decode(), re.IGNORECASE)
    return method, url, found.group(1) if found else "0"


def _description(url: str) -> str:
    body = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
        "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track0\r\n"
    )
    return f"Content-Base: {url}/\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def _access_units(stream: bytes) -> list[list[bytes]]:
    """The NAL units of each picture."""
    pictures: list[list[bytes]] = [[]]
    for nal in (n.rstrip(b"\0") for n in re.split(b"\0\0\1", stream)):
        if not nal:
            continue
        pictures[-1].append(nal)
        if nal[0] & 31 in (1, 5):
            pictures.append([])
    return [picture for picture in pictures if picture]


def _play(connection: socket.socket, stop: threading.Event, units: list[list[bytes]], rate: float) -> None:
    count = number = 0
    while not stop.wait(1 / rate):
        packets = [p for nal in units[count % len(units)] for p in _fragments(nal)]
        for index, packet in enumerate(packets):
            marker = 128 if index == len(packets) - 1 else 0
            head = struct.pack("!BBHII", 128, 96 | marker, number & 0xFFFF, int(count * 90_000 / rate) & 0xFFFFFFFF, 1)
            connection.sendall(struct.pack("!BBH", 36, 0, len(head) + len(packet)) + head + packet)
            number += 1
        count += 1


def _fragments(nal: bytes, size: int = 1200) -> list[bytes]:
    if len(nal) <= size:
        return [nal]
    indicator, kind, rest = nal[0] & 0xE0 | 28, nal[0] & 31, nal[1:]
    parts = [rest[i : i + size] for i in range(0, len(rest), size)]
    edges = [(128 if i == 0 else 0) | (64 if i == len(parts) - 1 else 0) for i in range(len(parts))]
    return [bytes([indicator, edge | kind]) + part for edge, part in zip(edges, parts, strict=True)]
