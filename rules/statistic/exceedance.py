"""How often a limit was exceeded since local midnight."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

from rules.statistic.exact import MILLION, millionths
from rules.statistic.moment import rfc3339


class Exceedance:
    """Counts readings beyond ``limit`` (``sign`` 1 above, -1 below; at the limit is within it), or, with ``mean_s``, means of
    intervals that are aligned to local midnight.

    A mean counts once its interval is over: when a reading of a later one comes. That of a day's last interval is known only
    after midnight; it counts for its own day, which ``why`` still tells (``day_before``).
    """

    __slots__ = (
        "_before",
        "_count",
        "_day",
        "_interval_end_us",
        "_last",
        "_limit",
        "_mean_us",
        "_n",
        "_sign",
        "_total",
        "_zone",
    )

    _last: tuple[int, int] | None
    _day: tuple[int, int]
    _count: int

    def __init__(self, limit: float, sign: int, mean_s: float | None, zone: tzinfo) -> None:
        self._limit = sign * millionths(limit)
        self._sign = sign
        self._mean_us = None if mean_s is None else max(1, round(mean_s * MILLION))
        self._zone = zone
        self.forget()

    def take(self, at_us: int, value: float, place: int = 0) -> float | None:
        reading = (at_us, millionths(value))
        if reading != self._last:
            self._last = reading
            if not self._day[0] <= at_us < self._day[1]:
                self._close()
                day = local_day(at_us, self._zone)
                self._before = self._count if day[0] == self._day[1] else 0
                self._day, self._count = day, 0
            if self._mean_us is None:
                self._count += self._sign * reading[1] > self._limit
            else:
                self._mean(at_us, reading[1], self._mean_us)
        return float(self._count)

    def forget(self) -> None:
        self._last = None
        self._day = (0, 0)
        self._count = self._before = 0
        self._interval_end_us = self._total = self._n = 0

    def frozen(self) -> Any:
        if self._last is None:
            return None
        # The sum of an interval may outgrow 64 bits.
        interval = [self._interval_end_us, str(self._total), self._n]
        return [*self._last, self._count, self._before, *interval]

    def thaw(self, frozen: Any) -> None:
        match frozen:
            case None:
                self.forget()
            case [int(at_us), int(value), int(count), int(before), int(interval_end_us), str(total), int(n)]:
                self._last = (at_us, value)
                self._day = local_day(at_us, self._zone)
                self._count, self._before = count, before
                self._interval_end_us, self._total, self._n = interval_end_us, int(total), n
            case _:
                raise ValueError("not a count of exceedances")

    def why(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "limit": self._sign * self._limit / MILLION,
            "count": self._count,
            "day_before": self._before,
        }
        return told if self._last is None else told | {"from": rfc3339(self._day[0]), "to": rfc3339(self._last[0])}

    def _mean(self, at_us: int, value: int, mean_us: int) -> None:
        if at_us >= self._interval_end_us:
            self._close()
            start_us, end_us = self._day
            self._interval_end_us = min(end_us, at_us - (at_us - start_us) % mean_us + mean_us)
        self._total += value
        self._n += 1

    def _close(self) -> None:
        # A mean beyond the limit: the sum beyond as many limits, and no division.
        self._count += self._sign * self._total > self._limit * self._n
        self._total = self._n = 0


def local_day(at_us: int, zone: tzinfo) -> tuple[int, int]:
    """Start and end (excluded) of the local day around a moment, epoch microseconds."""
    day = datetime.fromtimestamp(at_us // MILLION, zone).date()
    start, end = (datetime.combine(d, time.min, zone) for d in (day, day + timedelta(days=1)))
    return round(start.astimezone(UTC).timestamp()) * MILLION, round(end.astimezone(UTC).timestamp()) * MILLION
