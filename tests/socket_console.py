"""A console's live side: a Socket.IO client that reads only when it is asked to, so that a test can be slow on purpose."""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, RejectConnection, Request, TextMessage

_TARGET = "/socket.io/?EIO=4&transport=websocket"
_DEADLINE_S = 15.0


class Ended(Exception):
    """The server ended the connection."""


class SocketConsole:
    """One connection. ``events`` and ``pulses`` are what came in while something else was waited for, oldest first."""

    def __init__(
        self, url: str, cookie: str | None = None, *, headers: dict[str, str] | None = None, receive_buffer: int = 0
    ) -> None:
        where = urlsplit(url)
        self._socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(_DEADLINE_S)
        try:
            self._socket.connect((where.hostname, where.port))
        except OSError:
            self._socket.close()
            raise
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._packets: deque[str] = deque()
        self._unfinished = ""
        self._asked = 0
        self._synced = -1
        self.accepted: bool | None = None
        self.answers: dict[int, Any] = {}
        self.events: deque[dict[str, Any]] = deque()
        self.pulses: deque[dict[str, Any]] = deque()
        given = {**({"Cookie": cookie} if cookie else {}), **(headers or {})}
        fields = [(name.encode(), value.encode()) for name, value in given.items()]
        request = Request(host=f"{where.hostname}:{where.port}", target=_TARGET, extra_headers=fields)
        self._socket.sendall(self._protocol.send(request))

    def open(self) -> SocketConsole:
        """Through Engine.IO's and Socket.IO's greetings. Raises Ended with the server's reason when it refuses."""
        assert self._packet()[0] == "0"
        self.say("40")
        answer = self._packet()
        if not answer.startswith("40"):
            raise Ended(answer)
        return self

    def close(self) -> None:
        self._socket.close()

    def say(self, packet: str) -> None:
        """Send a packet as it is, sound or not."""
        self._socket.sendall(self._protocol.send(TextMessage(data=packet)))

    def ask(self, name: str, *values: Any) -> Any:
        """Emit and wait for the acknowledgement."""
        self._asked += 1
        number = self._asked
        self.say(f"42{number}{json.dumps([name, *values])}")
        self._until(lambda: number in self.answers)
        [answer] = self.answers.pop(number)
        return answer

    def sync(self, cursor: int | None) -> dict[str, Any]:
        """Sync as the contract asks a client to: live events that the answer covers are dropped."""
        answer: dict[str, Any] = self.ask("sync", {"cursor": cursor})
        self._synced = answer["cursor"]
        self.events = deque(event for event in self.events if event["cursor"] > self._synced)
        return answer

    def event(self, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next live event that is wanted; those before it are dropped."""
        while True:
            self._until(lambda: bool(self.events))
            found = self.events.popleft()
            if wanted(found):
                return found

    def heard(self) -> list[dict[str, Any]]:
        """Live events that have come, oldest first; waits for a packet when there is none, and that may be a pulse."""
        if not self.events:
            self._take(self._packet())
        found = list(self.events)
        self.events.clear()
        return found

    def pulse(self) -> dict[str, Any]:
        """The next pulse."""
        self._until(lambda: bool(self.pulses))
        return self.pulses.popleft()

    def answered(self, number: int) -> Any:
        """Wait for the acknowledgement of a packet that was said by hand."""
        self._until(lambda: number in self.answers)
        return self.answers.pop(number)[0]

    def unread(self) -> list[str]:
        """Packets that have arrived, without waiting for any."""
        self._socket.setblocking(False)
        with suppress(BlockingIOError, Ended):
            while True:
                self._read()
        return list(self._packets)

    def wait_end(self) -> None:
        """Read until the server ends the connection."""
        try:
            self._until(lambda: False)
        except Ended:
            return

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "nothing of what was waited for came"
            self._take(self._packet())

    def _take(self, packet: str) -> None:
        if packet.startswith("42"):
            name, value = json.loads(packet[2:])
            if name == "pulse":
                self.pulses.append(value)
            elif value["cursor"] > self._synced:
                self.events.append(value)
        elif packet.startswith("43"):
            start = packet.index("[")
            self.answers[int(packet[2:start])] = json.loads(packet[start:])
        elif packet.startswith("41") or packet == "1":
            raise Ended(packet)
        else:
            raise AssertionError(f"an unknown packet: {packet[:200]}")

    def _packet(self) -> str:
        """The next packet that is not a ping."""
        while True:
            while not self._packets:
                self._read()
            packet = self._packets.popleft()
            if packet != "2":
                return packet
            self.say("3")

    def _read(self) -> None:
        try:
            content = self._socket.recv(65536)
        except ConnectionError:
            content = b""
        if not content:
            raise Ended("the line is dead")
        self._protocol.receive_data(content)
        for event in self._protocol.events():
            if isinstance(event, TextMessage):
                self._unfinished += event.data
                if event.message_finished:
                    self._packets.append(self._unfinished)
                    self._unfinished = ""
            elif isinstance(event, Ping):
                self._socket.sendall(self._protocol.send(event.response()))
            elif isinstance(event, AcceptConnection):
                self.accepted = True
            elif isinstance(event, RejectConnection | CloseConnection):
                raise Ended(repr(event))
