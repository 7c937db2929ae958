"""How far a reading is from what its sensor usually reports at that hour, in its usual spreads.

A simple seasonal baseline: one bin for each local hour (of the day; of workdays and days off; of the week), with a mean and
a spread that fade with a half-life of ``HALF_LIFE_DAYS`` days of that bin. They are learnt robustly, after Gelper, Fried and
Croux (Robust forecasting with exponential and Holt-Winters smoothing, Journal of Forecasting 29, 2010): a reading further
out than two spreads moves the mean as if it were two out, and the spread by a bounded biweight. So one outlier hardly
counts, and a long anomaly becomes usual only over weeks. A bin starts with the median and 1.4826 MAD of a thinned sample of
its first days.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from datetime import date, datetime, tzinfo
from math import isfinite, sqrt
from statistics import median
from typing import Any, Final

from rules.statistic.exact import FURTHEST, MILLION

HALF_LIFE_DAYS: Final = 30
SAMPLED: Final = 32
"""Readings of a bin's first days that are kept for its start: every one, then every second, every fourth … of them."""

_CLEAN = 2.0
_BIWEIGHT = 2.52  # with _CLEAN, makes the spread of normal readings their standard deviation
_MAD = 1.4826  # likewise for the median absolute deviation
_FURTHEST = 1e9
_HOUR_US = 3_600 * MILLION


class Deviation:
    """``side`` 0: the distance either way. 1 or -1: above or below the usual, negative on the other side.

    A reading is compared before it is learnt. Not known before ``least_days`` different local days, today's not counted, have
    been learnt in the hour's bin.
    """

    __slots__ = (
        "_bins",
        "_compared",
        "_hour",
        "_is_workday",
        "_last",
        "_least_days",
        "_least_spread",
        "_pattern",
        "_share",
        "_side",
        "_zone",
    )

    _last: tuple[int, float, float | None] | None
    _compared: tuple[int, float, float, float, int] | None

    def __init__(
        self,
        pattern: str,
        side: int,
        least_days: int,
        least_spread: float,
        interval_s: float,
        zone: tzinfo,
        is_workday: Callable[[date], bool],
    ) -> None:
        self._pattern = pattern
        self._side = side
        self._least_days = least_days
        self._least_spread = least_spread
        self._zone = zone
        self._is_workday = is_workday
        # The readings of one hour fade what is known by one day of the half-life.
        self._share = 1 - 0.5 ** (1 / (HALF_LIFE_DAYS * max(1.0, 3600 / interval_s)))
        self._bins: dict[int, _Bin] = {}
        self._hour = (0, 0, 0)  # start (epoch microseconds), day and bin of the hour that was asked for last
        self.forget()

    def take(self, at_us: int, value: float, place: int = 0) -> float | None:
        if self._last is not None and self._last[:2] == (at_us, value):
            return self._last[2]
        day, number = self._hour_of(at_us)
        found = self._bins.get(number)
        if found is None:
            found = self._bins[number] = _Bin()
        found.enter(day, self._least_days)
        near = min(max(value, -FURTHEST), FURTHEST)
        statistic = None
        if found.started:
            spread = max(found.spread, self._least_spread)
            self._compared = (number, value, found.mean, spread, found.days - 1)
            distance = min(max((near - found.mean) / spread, -_FURTHEST), _FURTHEST)
            statistic = distance * self._side if self._side else abs(distance)
        else:
            self._compared = None
        found.learn(near, self._share, self._least_spread)
        self._last = (at_us, value, statistic)
        return statistic

    def forget(self) -> None:
        """Only the last reading: what is usual is experience, which a gap does not take away."""
        self._last = None
        self._compared = None

    def frozen(self) -> Any:
        return [self._last, [[number, *found.frozen()] for number, found in self._bins.items()]]

    def thaw(self, frozen: Any) -> None:
        match frozen:
            case [(None | [int(), _, _]) as last, list(bins)]:
                self.forget()
                self._last = None if last is None else (last[0], _number(last[1]), last[2])
                self._bins = {}
                for found in bins:
                    if not isinstance(found, list) or not found or not isinstance(found[0], int):
                        raise ValueError("not an hour's experience")
                    self._bins[found[0]] = _Bin.thawed(found[1:])
            case _:
                raise ValueError("not what is usual by hour")

    def why(self) -> dict[str, Any]:
        if self._compared is None:
            return {}
        number, value, mean, spread, days = self._compared
        kind, hour = divmod(number, 24)
        told: dict[str, Any] = {"value": value, "mean": mean, "spread": spread, "days": days, "hour": hour}
        if self._pattern == "workday":
            told["day"] = ("workday", "day_off")[kind]
        elif self._pattern == "week":
            told["weekday"] = kind + 1
        return told

    def _hour_of(self, at_us: int) -> tuple[int, int]:
        """Local day and bin."""
        if not 0 <= at_us - self._hour[0] < _HOUR_US:
            local = datetime.fromtimestamp(at_us // MILLION, self._zone)
            past_us = (local.minute * 60 + local.second) * MILLION + at_us % MILLION
            self._hour = (at_us - past_us, local.toordinal(), self._bin_of(local))
        return self._hour[1:]

    def _bin_of(self, local: datetime) -> int:
        match self._pattern:
            case "week":
                return 24 * (local.isoweekday() - 1) + local.hour
            case "workday":
                return local.hour if self._is_workday(local.date()) else 24 + local.hour
            case _:
                return local.hour


class _Bin:
    """What is usual in one hour. ``days`` different days have been met, the newest of them ``day``; ``n`` readings."""

    __slots__ = ("day", "days", "mean", "n", "sample", "spread", "started", "stride")

    def __init__(self) -> None:
        self.day = self.days = self.n = 0
        self.mean = self.spread = 0.0
        self.started = False
        self.stride = 1
        self.sample = array("d")

    def enter(self, day: int, least_days: int) -> None:
        """A reading of ``day`` comes: the first of a day may find enough days behind it to start."""
        if day == self.day:
            return
        if not self.started and self.days >= least_days:
            self.started = True
            self.mean = median(self.sample)
            self.spread = _MAD * median(abs(value - self.mean) for value in self.sample)
            self.sample = array("d")
        self.day = day
        self.days += 1

    def learn(self, value: float, share: float, least_spread: float) -> None:
        self.n += 1
        if not self.started:
            self._keep(value)
            return
        # While there is little experience every reading counts as in a plain average.
        weight = max(share, 1 / self.n)
        spread = max(self.spread, least_spread)
        out = (value - self.mean) / spread
        self.mean += weight * min(max(out, -_CLEAN), _CLEAN) * spread
        bounded = _BIWEIGHT * (1 - (1 - (out / _CLEAN) ** 2) ** 3) if abs(out) <= _CLEAN else _BIWEIGHT
        self.spread = sqrt((1 - weight) * self.spread**2 + weight * bounded * spread**2)

    def _keep(self, value: float) -> None:
        if len(self.sample) == SAMPLED:
            self.sample = self.sample[::2]
            self.stride *= 2
        if (self.n - 1) % self.stride == 0:
            self.sample.append(value)

    def frozen(self) -> list[Any]:
        return [self.day, self.days, self.n, self.mean, self.spread, self.started, self.stride, self.sample.tolist()]

    @classmethod
    def thawed(cls, frozen: Any) -> _Bin:
        match frozen:
            case [int(day), int(days), int(n), mean, spread, bool(started), int(stride), list(sample)] if stride > 0:
                found = cls()
                found.day, found.days, found.n, found.started, found.stride = day, days, n, started, stride
                found.mean, found.spread = _number(mean), _number(spread)
                found.sample = array("d", [_number(value) for value in sample])
                return found
            case _:
                raise ValueError("not an hour's experience")


def _number(found: Any) -> float:
    if not isinstance(found, int | float) or not isfinite(found):
        raise ValueError(f"{found!r} is not a number")
    return float(found)
