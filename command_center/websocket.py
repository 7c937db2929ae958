"""The WebSocket under Socket.IO: frames that leave whole, and an end that ends.

The library hands a frame to ``send`` of a socket that does not block, which may take only a part of it: on a slow line the rest
would be lost and all that follows unreadable. And it waits for a peer that went away without a word until TCP gives it up.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import simple_websocket  # type: ignore[import-untyped]
from engineio.async_drivers.gevent import WebSocketWSGI  # type: ignore[import-untyped]


class _Line:
    """A connected socket as simple_websocket uses one."""

    def __init__(self, connected: Any) -> None:
        self._socket = connected
        self._turn = threading.Lock()

    def send(self, frame: bytes) -> None:
        # The reader answers pings while the writer is in the middle of a frame: one after the other.
        with self._turn:
            self._socket.sendall(frame)

    def recv(self, size: int) -> bytes:
        return bytes(self._socket.recv(size))

    def end(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


class _Connection(simple_websocket.Server):  # type: ignore[misc]
    sock: Any

    def handshake(self) -> None:
        self.sock = _Line(self.sock)
        super().handshake()


class WebSocket(WebSocketWSGI):  # type: ignore[misc]
    """One console's connection. Engine.IO's own socket finds it under ``line``."""

    def __init__(self, answer: Callable[[WebSocket], Any], engine: Any) -> None:
        super().__init__(answer, engine)
        answer.__self__.line = self  # type: ignore[attr-defined]

    def __call__(self, environ: dict[str, Any], _start_response: Any) -> Any:
        self.ws = _Connection(environ, **self.server_args)
        return self.app(self)

    def close(self) -> None:
        """Say goodbye and hang up."""
        with suppress(OSError, simple_websocket.ConnectionClosed):
            super().close()
        self.end()

    def end(self) -> None:
        """Hang up now, whatever is still on its way: a write that waits for the peer fails."""
        self.ws.sock.end()


def install(engine: Any) -> None:
    """Have an Engine.IO server use it."""
    engine._async = {**engine._async, "websocket": WebSocket}
