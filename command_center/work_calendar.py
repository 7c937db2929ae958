"""Workdays and days off, with statutory holidays and make-up days.

Published years come from the library ``chinesecalendar``. A year that is not published yet is weekends and the holidays whose
date is fixed (全国年节及纪念日放假办法, as revised 2024: 1 January, 1 to 2 May, 1 to 3 October): no error, but unverified.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import chinese_calendar

_FIXED: Final = frozenset({(1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3)})


def is_published(year: int) -> bool:
    """Whether the holidays of a year are known, not computed."""
    published: list[date] = sorted(chinese_calendar.holidays)
    return published[0].year <= year <= published[-1].year


def is_workday(day: date) -> bool:
    """Whether offices are open on a day of the city's calendar."""
    if is_published(day.year):
        found: bool = chinese_calendar.is_workday(day)
        return found
    return day.isoweekday() <= 5 and (day.month, day.day) not in _FIXED
