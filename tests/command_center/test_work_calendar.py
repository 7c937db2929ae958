"""The work calendar against days that anybody can look up."""

from __future__ import annotations

from datetime import date

import pytest

from command_center.work_calendar import is_published, is_workday


@pytest.mark.parametrize(
    ("day", "works"),
    [
        (date(2026, 10, 1), False),  # National Day
        (date(2026, 10, 10), True),  # a Saturday made up for it
        (date(2026, 11, 24), True),
        (date(2026, 11, 22), False),
        (date(2031, 10, 1), False),  # not published yet: the date is fixed by law
        (date(2031, 10, 6), True),
        (date(2031, 10, 11), False),  # a Saturday: which one is made up nobody knows yet
    ],
)
def test_a_day_is_a_workday_or_not(day: date, works: bool) -> None:
    assert is_workday(day) is works


def test_a_year_that_is_not_published_is_known_as_such() -> None:
    assert is_published(2026)
    assert not is_published(2031)
    assert not is_published(1999)
