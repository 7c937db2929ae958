"""Where messages wait for the path: bounded, so that a worker that cannot keep up makes its senders wait, not its memory grow.

Nothing in it is acknowledged, so nothing in it can be lost: whoever sent it sends it again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from ingest.message import Message


class Buffer:
    """Messages in order of arrival, put by any number of doors and taken by one worker.

    It is full with ``most_messages`` waiting, or ``most_bytes`` of payload. A door that has read something may put it all the
    same, but reads no more until there is room: the bound is exceeded by what each door reads at once.
    """

    def __init__(self, most_messages: int, most_bytes: int) -> None:
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self.deferred = 0
        """How many times a message waited while one that came later was taken, because that one's sensor mattered more."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def nbytes(self) -> int:
        """Bytes of payload waiting."""
        return self._bytes

    @property
    def waiting_since(self) -> float | None:
        """When the oldest of those that wait was received, epoch seconds; None when none waits."""
        with self._changed:
            return self._waiting[0].received_at if self._waiting else None

    @property
    def has_room(self) -> bool:
        """Whether a door may read on."""
        return len(self._waiting) < self._most_messages and self._bytes < self._most_bytes

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait at most so long until a door may read on; whether it may."""
        with self._changed:
            return self._changed.wait_for(lambda: self.has_room, timeout_s)

    def put(self, messages: Sequence[Message]) -> None:
        """Add messages that were read. Ask ``has_room`` or ``wait_for_room`` before reading."""
        size = sum([len(message.payload) for message in messages])
        with self._changed:
            self._waiting.extend(messages)
            self._bytes += size
            self._changed.notify_all()

    def take(
        self, most: int, wait_s: float, linger_s: float, is_urgent: Callable[[str], bool] | None = None
    ) -> list[Message]:
        """Up to ``most`` messages: waits ``wait_s`` for the first one, then ``linger_s`` for company.

        When more than ``most`` wait, those of urgent topics come before the others. Those of one topic keep their order.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, wait_s):
                return []
            until = time.monotonic() + linger_s
            while len(self._waiting) < most and (left_s := until - time.monotonic()) > 0:
                self._changed.wait(left_s)
            taken = self._pick(most, is_urgent)
            self._bytes -= sum([len(message.payload) for message in taken])
            self._changed.notify_all()
        return taken

    def _pick(self, most: int, is_urgent: Callable[[str], bool] | None) -> list[Message]:
        waiting = self._waiting
        if len(waiting) <= most:
            taken = list(waiting)
            waiting.clear()
            return taken
        if is_urgent is None:
            return [waiting.popleft() for _ in range(most)]
        urgent = [place for place, message in enumerate(waiting) if is_urgent(message.topic)][:most]
        room = most - len(urgent)
        chosen = set(urgent)
        for place in range(len(waiting)):
            if not room:
                break
            if place not in chosen:
                chosen.add(place)
                room -= 1
        everything = list(waiting)
        taken = [everything[place] for place in sorted(chosen)]
        left = [message for place, message in enumerate(everything) if place not in chosen]
        # Those that came before the last one taken were passed over.
        self.deferred += sum(place not in chosen for place in range(max(chosen)))
        self._waiting = deque(left)
        return taken
