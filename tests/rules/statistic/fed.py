"""Statistics fed with readings whose times are seconds after a local midnight."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from rules.statistic import Statistic

ZONE = ZoneInfo("Asia/Shanghai")
MIDNIGHT_US = round(datetime(2026, 6, 1, tzinfo=ZONE).timestamp()) * 1_000_000
"""A Monday."""
DAY_S = 86_400.0


def at(seconds: float) -> int:
    return MIDNIGHT_US + round(seconds * 1_000_000)


def fed(statistic: Statistic, readings: Iterable[tuple[float, float]], place: int = 0) -> list[float | None]:
    """What the statistic says after each (seconds, value)."""
    return [statistic.take(at(seconds), value, place) for seconds, value in readings]
