"""Mean, sum, extreme or percentile of the readings of the last ``over_s`` seconds, (at - over_s, at].

A window with fewer readings than its least share is not known, with one exception: what is there may settle the matter
already. A sum of values none of which is negative only grows with the readings that are missing, a maximum never falls
by them, a minimum never rises: beyond the first level they count with however few readings.

The percentile is the nearest rank (the smallest reading that at least p percent of them do not exceed): it is always a
reading that somebody can point at, and exact.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, insort
from collections import deque
from fractions import Fraction
from typing import Any, Final

from rules.statistic.exact import MILLION, flat, millionths, unflat
from rules.statistic.moment import rfc3339

KEPT: Final = 20_000
"""Readings that a window holds at most. The oldest go first, and while it would need one that went it is not known."""

_LONG_AGO: Final = -(1 << 62)


class Window(ABC):
    """The readings of a window, and what its kind makes of them. ``least`` is how many it needs to be known; ``enough`` the
    value from which on (times ``sign``) it counts with fewer.
    """

    __slots__ = ("_cut_us", "_enough", "_kept", "_least", "_over_us", "_sign")

    def __init__(self, over_s: float, least: int, sign: int = 1, enough: float = math.inf) -> None:
        self._over_us = round(over_s * MILLION)
        self._least = least
        self._sign = sign
        self._enough = enough
        self.forget()

    def take(self, at_us: int, value: float, place: int = 0) -> float | None:
        kept = self._kept
        reading = (at_us, millionths(value))
        if kept and kept[-1] == reading:
            return self._statistic(at_us)
        start_us = at_us - self._over_us
        while kept and kept[0][0] <= start_us:
            self._drop(kept.popleft())
        if len(kept) == KEPT:
            self._cut_us = kept[0][0]
            self._drop(kept.popleft())
        kept.append(reading)
        self._add(reading)
        return self._statistic(at_us)

    def forget(self) -> None:
        self._kept: deque[tuple[int, int]] = deque()
        self._cut_us = _LONG_AGO
        self._clear()

    def frozen(self) -> Any:
        return [self._cut_us, flat(self._kept)]

    def thaw(self, frozen: Any) -> None:
        match frozen:
            case [int(cut_us), list(readings)] if len(readings) <= 2 * KEPT:
                self.forget()
                self._cut_us = cut_us
                for reading in unflat(readings):
                    self._kept.append(reading)
                    self._add(reading)
            case _:
                raise ValueError("not a window's readings")

    def why(self) -> dict[str, Any]:
        told: dict[str, Any] = {"readings": len(self._kept), "needed": self._least}
        if self._kept:
            told |= {"from": rfc3339(self._kept[0][0]), "to": rfc3339(self._kept[-1][0]), "value": self._value()}
            if self._cut_us > self._kept[-1][0] - self._over_us:
                told["unknown"] = f"more than {KEPT} readings in the window"
        return told

    def _statistic(self, at_us: int) -> float | None:
        value = self._value()
        if len(self._kept) >= self._least and self._cut_us <= at_us - self._over_us:
            return value
        return value if self._sign * value >= self._enough and self._only_grows() else None

    @abstractmethod
    def _add(self, reading: tuple[int, int]) -> None: ...

    @abstractmethod
    def _drop(self, reading: tuple[int, int]) -> None: ...

    @abstractmethod
    def _clear(self) -> None: ...

    @abstractmethod
    def _value(self) -> float:
        """Of at least one reading."""

    def _only_grows(self) -> bool:
        """Whether missing readings could only take it further beyond."""
        return False


class Mean(Window):
    """The arithmetic mean of the readings."""

    __slots__ = ("_total",)

    def _add(self, reading: tuple[int, int]) -> None:
        self._total += reading[1]

    def _drop(self, reading: tuple[int, int]) -> None:
        self._total -= reading[1]

    def _clear(self) -> None:
        self._total = 0

    def _value(self) -> float:
        return self._total / (len(self._kept) * MILLION)


class Sum(Window):
    """The sum of the readings."""

    __slots__ = ("_negative", "_total")

    def _add(self, reading: tuple[int, int]) -> None:
        self._total += reading[1]
        self._negative += reading[1] < 0

    def _drop(self, reading: tuple[int, int]) -> None:
        self._total -= reading[1]
        self._negative -= reading[1] < 0

    def _clear(self) -> None:
        self._total = 0
        self._negative = 0

    def _value(self) -> float:
        return self._total / MILLION

    def _only_grows(self) -> bool:
        return self._sign > 0 and not self._negative


class Extreme(Window):
    """The largest (``side`` 1) or smallest (-1) reading."""

    __slots__ = ("_peaks", "_side")

    def __init__(self, side: int, over_s: float, least: int, sign: int = 1, enough: float = math.inf) -> None:
        self._side = side
        super().__init__(over_s, least, sign, enough)

    def _add(self, reading: tuple[int, int]) -> None:
        # Only what no later reading outdoes can still become the extreme.
        peaks, height = self._peaks, self._side * reading[1]
        while peaks and self._side * peaks[-1][1] <= height:
            peaks.pop()
        peaks.append(reading)

    def _drop(self, reading: tuple[int, int]) -> None:
        if self._peaks[0] is reading:
            self._peaks.popleft()

    def _clear(self) -> None:
        self._peaks: deque[tuple[int, int]] = deque()

    def _value(self) -> float:
        return self._peaks[0][1] / MILLION

    def _only_grows(self) -> bool:
        return self._sign == self._side


class Percentile(Window):
    """The nearest-rank percentile of the readings."""

    __slots__ = ("_share", "_sorted")

    def __init__(self, percentile: float, over_s: float, least: int) -> None:
        # As it is written, not as binary fractions round it: 99.9 of 1,000 readings is the 999th.
        share = Fraction(str(percentile)) / 100
        self._share = share.numerator, share.denominator
        super().__init__(over_s, least)

    def _add(self, reading: tuple[int, int]) -> None:
        insort(self._sorted, reading[1])

    def _drop(self, reading: tuple[int, int]) -> None:
        del self._sorted[bisect_left(self._sorted, reading[1])]

    def _clear(self) -> None:
        self._sorted: list[int] = []

    def _value(self) -> float:
        above, below = self._share
        rank = max(1, -(-len(self._sorted) * above // below))
        return self._sorted[rank - 1] / MILLION
