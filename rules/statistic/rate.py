"""The change of a value over a time, told per a unit of time."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from rules.statistic.exact import MILLION, flat, millionths, unflat
from rules.statistic.moment import rfc3339

KEPT: Final = 20_000
"""Readings held at most; the oldest go first. What is left serves as long as it spans half of the time."""


class Rate:
    """The newest value minus the newest one at or before ``over_s`` ago, over the true time between them, times ``per_s``.

    When none is that old the oldest serves, once it is half as old; before that the rate is not known.
    """

    __slots__ = ("_kept", "_over_us", "_per_s", "_reach_us")

    def __init__(self, over_s: float, per_s: float) -> None:
        self._over_us = round(over_s * MILLION)
        self._reach_us = self._over_us / 2
        self._per_s = per_s
        self.forget()

    def take(self, at_us: int, value: float, place: int = 0) -> float | None:
        kept = self._kept
        reading = (at_us, millionths(value))
        if not kept or kept[-1] != reading:
            kept.append(reading)
            start_us = at_us - self._over_us
            while len(kept) > 1 and kept[1][0] <= start_us:
                kept.popleft()
            if len(kept) > KEPT:
                kept.popleft()
        return self._rate()

    def forget(self) -> None:
        self._kept: deque[tuple[int, int]] = deque()

    def frozen(self) -> Any:
        return flat(self._kept)

    def thaw(self, frozen: Any) -> None:
        readings = unflat(frozen)
        if len(readings) > KEPT:
            raise ValueError("more readings than a rate holds")
        self._kept = deque(readings)

    def why(self) -> dict[str, Any]:
        if not self._kept:
            return {}
        (start_us, before), (end_us, after) = self._kept[0], self._kept[-1]
        return {
            "from": rfc3339(start_us),
            "to": rfc3339(end_us),
            "before": before / MILLION,
            "after": after / MILLION,
            "per_s": self._per_s,
            "value": self._rate(),
        }

    def _rate(self) -> float | None:
        (start_us, before), (end_us, after) = self._kept[0], self._kept[-1]
        elapsed_us = end_us - start_us
        if not elapsed_us or elapsed_us < self._reach_us:
            return None
        # Millionths by microseconds are units by seconds. Multiplied first: half a metre an hour is 0.5, not 0.49999.
        return (after - before) * self._per_s / elapsed_us
