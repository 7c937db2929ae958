"""The door for stations that speak HJ 212: TCP in, one message for each frame, an answer to the station after the commit.

One thread holds all connections. While the buffer is full it reads from nobody, so that stations wait and our memory does not
grow. A station whose connection ends before its answer sends the frame again, which is harmless.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.buffer import Buffer
from ingest.formats.hj212 import Result, answer, frames, read, topic
from ingest.formats.native import Unreadable
from ingest.message import Message
from ingest.quarantine import BAD_CHECKSUM

_CHUNK_BYTES = 65_536
_TURN_S = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """What a station may take: connections of all of them, seconds without a byte, seconds for one frame to come whole, pieces
    in a row that are no frames, and bytes of answers that it does not fetch.
    """

    connections: int = 1000
    idle_s: float = 900.0
    frame_s: float = 30.0
    bad_pieces: int = 20
    unfetched_bytes: int = 65_536


class _Station:
    """One connection. Its own thread is the door's; only ``stored`` is called by the worker's."""

    def __init__(self, door: StationDoor, line: socket.socket, now: float) -> None:
        self.line = line
        self.rest = b""
        self.heard_at = now
        self.begun_at: float | None = None
        """Since when a frame is only partly here."""
        self.bad = 0
        self.answers = bytearray()
        self._door = door

    def stored(self, messages: Sequence[Message]) -> None:
        """The origin of its messages: they are committed, so the station may be answered."""
        self._door.answer_later(self, messages)


class StationDoor:
    """Listens at ``host``:``port`` (0 takes a free one) once it is open, and puts into ``buffer``."""

    def __init__(self, host: str, port: int, buffer: Buffer, limits: Limits | None = None) -> None:
        self._where = host, port
        self._buffer = buffer
        self._limits = limits or Limits()
        self._stations: set[_Station] = set()
        self._to_answer: deque[tuple[_Station, list[bytes]]] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hj212", daemon=True)
        self.counts: Counter[str] = Counter()

    def open(self) -> int:
        """Begin to listen; the port. Raises OSError when the place is taken."""
        self._selector = selectors.DefaultSelector()
        self._ear = socket.create_server(self._where, backlog=128)
        self._ear.setblocking(False)
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._ringer.setblocking(False)
        self._selector.register(self._ear, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._thread.start()
        return int(self._ear.getsockname()[1])

    def close(self) -> None:
        """Leave. Stations send again what was not answered."""
        self._stop.set()
        self._ring()
        self._thread.join()

    @property
    def connections(self) -> int:
        """How many stations are connected."""
        return len(self._stations)

    def answer_later(self, station: _Station, messages: Sequence[Message]) -> None:
        """From any thread: tell a station what became of its frames."""
        found = [said for message in messages if (said := answer(message.payload, message.number)) is not None]
        if found:
            self._to_answer.append((station, found))
            self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it has been rung often enough
            self._ringer.send(b"\0")

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._buffer.has_room:
                    self._wait_for_room()
                for key, events in self._selector.select(_TURN_S):
                    if key.fileobj is self._ear:
                        self._welcome()
                    elif key.fileobj is self._bell:
                        self._bell.recv(4096)
                    elif key.data in self._stations:
                        self._attend(key.data, events)
                self._give_answers()
                self._look_at_the_clock(time.monotonic())
        finally:
            for station in list(self._stations):
                self._part(station)
            for place in (self._ear, self._bell, self._ringer):
                place.close()
            self._selector.close()

    def _wait_for_room(self) -> None:
        """Nobody is read meanwhile, so nobody's time runs; answers go out, for what is stored makes room."""
        while not self._stop.is_set() and not self._buffer.wait_for_room(_TURN_S):
            self._give_answers()
        now = time.monotonic()
        for station in self._stations:
            station.heard_at = now
            station.begun_at = None if station.begun_at is None else now

    def _welcome(self) -> None:
        try:
            line, _ = self._ear.accept()
        except OSError:
            # It went away before we looked, or we are out of descriptors, which a moment later may be better.
            self._stop.wait(0.05)
            return
        if len(self._stations) >= self._limits.connections:
            self.counts["turned_away"] += 1
            line.close()
            return
        line.setblocking(False)
        station = _Station(self, line, time.monotonic())
        self._stations.add(station)
        self._selector.register(line, selectors.EVENT_READ, station)
        self.counts["connected"] += 1

    def _attend(self, station: _Station, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._send(station)
            if events & selectors.EVENT_READ:
                data = station.line.recv(_CHUNK_BYTES)
                if not data:
                    self._part(station)
                    return
                self._hear(station, data, time.monotonic())
        except BlockingIOError:
            return
        except OSError:
            self._part(station)

    def _hear(self, station: _Station, data: bytes, now: float) -> None:
        pieces, rest = frames(station.rest + data)
        if not rest:
            station.begun_at = None
        elif pieces or station.begun_at is None:
            station.begun_at = now
        station.rest, station.heard_at = rest, now
        received_at = time.time()
        messages = []
        for piece in pieces:
            result = _judged(piece)
            station.bad = 0 if result is Result.STORED else station.bad + 1
            messages.append(Message(topic(piece), piece, received_at, origin=station.stored, number=result))
        self.counts["frames"] += len(messages)
        if messages:
            self._buffer.put(messages)
        if station.bad >= self._limits.bad_pieces:
            self.counts["spoke_nonsense"] += 1
            self._part(station)

    def _give_answers(self) -> None:
        while self._to_answer:
            station, found = self._to_answer.popleft()
            if station not in self._stations:
                continue
            station.answers += b"".join(found)
            self.counts["answers"] += len(found)
            if len(station.answers) > self._limits.unfetched_bytes:
                self.counts["did_not_listen"] += 1
                self._part(station)
                continue
            try:
                self._send(station)
            except OSError:
                self._part(station)

    def _send(self, station: _Station) -> None:
        try:
            sent = station.line.send(station.answers) if station.answers else 0
        except BlockingIOError:
            sent = 0
        del station.answers[:sent]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if station.answers else 0)
        self._selector.modify(station.line, wanted, station)

    def _look_at_the_clock(self, now: float) -> None:
        for station in list(self._stations):
            if station.begun_at is not None and now - station.begun_at > self._limits.frame_s:
                self.counts["too_slow"] += 1
                self._part(station)
            elif now - station.heard_at > self._limits.idle_s:
                self.counts["idle"] += 1
                self._part(station)

    def _part(self, station: _Station) -> None:
        self._stations.discard(station)
        self._selector.unregister(station.line)
        station.line.close()


def _judged(piece: bytes) -> Result:
    """What to answer once it is stored, in the readings or with its reason in quarantine."""
    try:
        read(piece)
    except Unreadable as problem:
        return Result.BAD_CHECKSUM if problem.reason == BAD_CHECKSUM else Result.REFUSED
    return Result.STORED
