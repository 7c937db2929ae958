"""A console that writes down what it hears, and comes back with its cursor whenever its line breaks."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import Any

from tests.faults.check import Caught, Seen, Told
from tests.socket_console import Ended, SocketConsole

_PAUSE_S = 0.2


class Watcher:
    """A live connection of ``scope``'s desk, for as long as ``stop`` is not called."""

    def __init__(self, url: str, cookie: str, scope: str) -> None:
        self.scope = scope
        self.record: deque[Caught | Told] = deque()
        self.cursor: int | None = None
        self._url, self._cookie = url, cookie
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"console {scope}")
        self._thread.start()

    def seen(self, audible: frozenset[int]) -> Seen:
        """What it has heard so far, beside what of the log its account may hear."""
        return Seen(f"the console of {self.scope}", list(self.record), audible)

    def stop(self) -> None:
        """Hang up."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            with suppress(Ended, OSError):
                self._listen()
            self._stop.wait(_PAUSE_S)

    def _listen(self) -> None:
        console = SocketConsole(self._url, self._cookie)
        try:
            console.open()
            answer = console.sync(self.cursor)
            if "cursor" not in answer:
                return
            events = tuple(_told(event) for event in answer.get("events", ()))
            self.record.append(Caught(answer["cursor"], "snapshot" in answer, events))
            self.cursor = answer["cursor"]
            while not self._stop.is_set():
                # A pulse comes each second, so this ends.
                for event in console.heard():
                    self.record.append(_told(event))
                    self.cursor = event["cursor"]
        finally:
            console.close()


def _told(event: dict[str, Any]) -> Told:
    return Told(event["cursor"], event["kind"], event["id"], event["version"])
