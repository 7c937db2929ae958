"""Workdays and days off, with statutory holidays and make-up days.

Published years come from the library ``chinesecalendar``. A year that is not published yet is weekends and the holidays whose
date is fixed (全国年节及纪念日放假办法, as revised 2024: 1 January, 1 to 2 May, 1 to 3 October): no error, but unverified.
What the city has stated about a day itself wins over both.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

import chinese_calendar

_FIXED: Final = frozenset({(1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3)})
_PUBLISHED: Final[tuple[int, int]] = (min(chinese_calendar.holidays).year, max(chinese_calendar.holidays).year)


def is_published(year: int) -> bool:
    """Whether the library knows the holidays of a year."""
    first, last = _PUBLISHED
    return first <= year <= last


def is_workday(day: date) -> bool:
    """Whether offices are open on a day, as far as the library and the law tell."""
    if is_published(day.year):
        found: bool = chinese_calendar.is_workday(day)
        return found
    return day.isoweekday() <= 5 and (day.month, day.day) not in _FIXED


@dataclass(frozen=True, slots=True)
class StatedDay:
    """What the city itself says about a day. ``verified``: taken from the published notice, not expected."""

    day: date
    is_workday: bool
    source: str
    verified: bool


@dataclass(frozen=True)
class WorkCalendar:
    """Workdays and days off: those the city has stated, else those of ``is_workday``."""

    stated: tuple[StatedDay, ...] = ()
    _by_day: dict[date, bool] = field(init=False, repr=False, compare=False)
    _workdays: dict[int, tuple[date, ...]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_day", {stated.day: stated.is_workday for stated in self.stated})

    def is_workday(self, day: date) -> bool:
        """Whether offices are open on a day of the city's calendar."""
        found = self._by_day.get(day)
        return is_workday(day) if found is None else found

    def is_verified(self, year: int) -> bool:
        """Whether a year's holidays are known: published in the library, or every holiday of fixed date stated as verified.

        A notice always names those, so a single stated day (a typhoon, a local festival) does not pass for the whole of it.
        """
        verified = {(d.day.month, d.day.day) for d in self.stated if d.verified and d.day.year == year}
        return is_published(year) or verified >= _FIXED

    def workday(self, since: date, n: int) -> date:
        """The n-th workday after the first one that is not before ``since``; 0 is that one."""
        days = self._of(since.year)
        place = bisect_left(days, since) + n
        year = since.year
        while place >= len(days):
            place -= len(days)
            year += 1
            days = self._of(year)
        return days[place]

    def workdays(self, since: date, until: date) -> int:
        """How many workdays lie from ``since`` to before ``until``."""
        years = range(since.year, until.year)
        whole = sum(len(self._of(year)) for year in years)
        return whole + bisect_left(self._of(until.year), until) - bisect_left(self._of(since.year), since)

    def _of(self, year: int) -> tuple[date, ...]:
        found = self._workdays.get(year)
        if found is None:
            first = date(year, 1, 1)
            days = (first + timedelta(days=n) for n in range((date(year, 12, 31) - first).days + 1))
            found = self._workdays[year] = tuple(day for day in days if self.is_workday(day))
        return found


def unverified_years(calendar: WorkCalendar, today: date) -> list[int]:
    """Which of this year and the next have holidays that are only computed: limits in working time may still shift."""
    return [year for year in (today.year, today.year + 1) if not calendar.is_verified(year)]


class BadCalendar(ValueError):
    """Stated days cannot be used; the message says which and why."""


_WORDS: Final = {
    **dict.fromkeys(("yes", "true", "1", "是", "工作日", "上班"), True),
    **dict.fromkeys(("no", "false", "0", "否", "休息日", "放假"), False),
}
COLUMNS: Final = ("day", "is_workday", "source", "verified")


def stated_days(rows: Iterable[tuple[int, dict[str, str]]]) -> tuple[StatedDay, ...]:
    """Stated days from table rows with their line numbers. Raises BadCalendar at the first that cannot be."""
    found = []
    for line, row in rows:
        try:
            day = date.fromisoformat(row["day"])
        except ValueError:
            raise BadCalendar(f"line {line}: {row['day'][:30]!r} is no day such as 2027-02-06") from None
        if not row["source"]:
            raise BadCalendar(f"line {line}: source is empty: name the notice that says so")
        words = {name: _truth(line, name, row[name]) for name in ("is_workday", "verified")}
        found.append(StatedDay(day, source=row["source"], **words))
    found.sort(key=lambda stated: stated.day)
    twice = next((a.day for a, b in pairwise(found) if a.day == b.day), None)
    if twice is not None:
        raise BadCalendar(f"{twice} stands in it twice")
    if not found:
        raise BadCalendar("there is no day in it")
    return tuple(found)


def _truth(line: int, name: str, word: str) -> bool:
    found = _WORDS.get(word.casefold())
    if found is None:
        raise BadCalendar(f"line {line}: {name} must be yes or no, it is {word[:30]!r}")
    return found


def overlaid(calendar: WorkCalendar, stated: Iterable[StatedDay]) -> WorkCalendar:
    """The calendar once these days are stated too; what they say replaces what was said about the same day."""
    days = {own.day: own for own in (*calendar.stated, *stated)}
    return WorkCalendar(tuple(days[day] for day in sorted(days)))
