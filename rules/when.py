"""When a rule counts: hours of the city's clock, days, the work calendar, and peacetime or wartime operation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Final

from rules.rule import When
from rules.situation import Situation

_SECOND_US: Final = 1_000_000
_DAY: Final = timedelta(days=1)
_LOOKED_AT: Final = 400
"""Days: longer than any pattern of a year; a silence that is longer still turned within it."""

ALWAYS: Final = When()


def is_met(when: When, at_us: int, scope: str, domain: str, situation: Situation) -> bool:
    """Whether a rule of ``domain`` counts at a place and time (epoch microseconds)."""
    return is_hour(when, at_us, situation) and is_mode(when, scope, domain, situation)


def is_hour(when: When, at_us: int, situation: Situation) -> bool:
    """Whether the time is one of its hours, days and calendar days. It turns at whole minutes only."""
    local = datetime.fromtimestamp(at_us // _SECOND_US, situation.zone)
    if when.days and local.isoweekday() not in when.days:
        return False
    if when.calendar is not None and situation.is_workday(local.date()) is not (when.calendar == "workday"):
        return False
    if not when.hours:
        return True
    minute = local.hour * 60 + local.minute
    # What ends no later than it begins runs over midnight.
    return any(
        begin <= minute < end if begin < end else minute >= begin or minute < end for begin, end in _spans(when.hours)
    )


def is_mode(when: When, scope: str, domain: str, situation: Situation) -> bool:
    """Whether the place is in the operation that it asks for."""
    return when.mode is None or situation.is_wartime(scope, domain) is (when.mode == "wartime")


def first(when: When, met: bool, after_us: int, until_us: int, situation: Situation) -> int | None:
    """The first time in (after, until] at which the hours are ``met`` (or are not); None when there is none."""
    for turn_us in _turns(when, after_us, until_us, situation):
        if is_hour(when, turn_us, situation) is met:
            return turn_us
    return None


def _turns(when: When, after_us: int, until_us: int, situation: Situation) -> Iterator[int]:
    """The moment after ``after_us``, whenever the hours may begin or end since, and ``until_us``; in order."""
    if after_us >= until_us:
        return
    yield after_us + 1
    minutes = sorted({minute % 1440 for span in _spans(when.hours) for minute in span} | {0})
    day = datetime.fromtimestamp(after_us // _SECOND_US, situation.zone).date()
    for _ in range(_LOOKED_AT):
        for minute in minutes:
            turn = datetime.combine(day, time(minute // 60, minute % 60), situation.zone)
            turn_us = round(turn.timestamp()) * _SECOND_US
            if turn_us >= until_us:
                yield until_us
                return
            if turn_us > after_us + 1:
                yield turn_us
        day += _DAY
    yield until_us


@lru_cache(maxsize=4096)
def _spans(hours: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Minutes of the day (begin, end)."""
    return tuple((_minute(span[:5]), _minute(span[6:])) for span in hours)


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])
