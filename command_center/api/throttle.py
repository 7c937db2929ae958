"""How often somebody may try something. In this process's memory: a restart forgives, which costs an attacker nothing it
could not have waited for.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime


class Throttled(Exception):
    """Too many attempts; the message says when to try again."""


class Throttle:
    """At most ``attempts`` by one name within ``window_s`` seconds."""

    def __init__(self, attempts: int, window_s: float) -> None:
        self._attempts = attempts
        self._window_s = window_s
        self._made: dict[str, deque[float]] = {}

    def require(self, name: str, what: str, now: datetime) -> None:
        """Raises Throttled, saying ``what`` there was too much of and when to try again."""
        horizon = now.timestamp() - self._window_s
        for other in [n for n, times in self._made.items() if times[-1] < horizon]:
            del self._made[other]
        times = self._made.get(name)
        if times is not None and len(times) == self._attempts and times[0] > horizon:
            raise Throttled(f"{what}: try again in {int(times[0] - horizon) + 1} s")

    def count(self, name: str, now: datetime) -> None:
        """One more attempt."""
        self._made.setdefault(name, deque(maxlen=self._attempts)).append(now.timestamp())

    def forgive(self, name: str) -> None:
        """Forget the attempts of a name."""
        self._made.pop(name, None)
