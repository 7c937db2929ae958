"""The work calendar against days that anybody can look up."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from command_center.work_calendar import (
    COLUMNS,
    BadCalendar,
    StatedDay,
    WorkCalendar,
    is_published,
    is_workday,
    overlaid,
    stated_days,
    unverified_years,
)

FIXED = [date(2027, 1, 1), date(2027, 5, 1), date(2027, 5, 2), date(2027, 10, 1), date(2027, 10, 2), date(2027, 10, 3)]


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


def _off(*days: date, verified: bool = True) -> tuple[StatedDay, ...]:
    return tuple(StatedDay(day, is_workday=False, source="notice", verified=verified) for day in days)


def test_what_the_city_states_wins_over_the_library_and_the_law() -> None:
    typhoon, saturday = date(2026, 11, 24), date(2026, 11, 28)
    stated = (*_off(typhoon), StatedDay(saturday, is_workday=True, source="notice", verified=True))
    calendar = WorkCalendar(stated)
    assert not calendar.is_workday(typhoon)
    assert calendar.is_workday(saturday)
    assert calendar.is_workday(date(2026, 11, 25))
    assert calendar.workday(typhoon, 0) == date(2026, 11, 25)
    assert calendar.workday(typhoon, 3) == saturday


def test_workdays_are_counted_and_found_as_one_by_one() -> None:
    calendar = WorkCalendar()
    days = [date(2025, 12, 20) + timedelta(days=n) for n in range(430)]
    worked = [day for day in days if is_workday(day)]
    for start in days[:40]:
        assert calendar.workdays(start, days[-1]) == sum(start <= day < days[-1] for day in worked)
        assert calendar.workday(start, 250) == [day for day in worked if day >= start][250]


def test_a_year_is_verified_when_it_is_published_or_all_its_fixed_holidays_are_stated_as_such() -> None:
    today = date(2026, 11, 24)
    assert unverified_years(WorkCalendar(), today) == [2027]
    assert unverified_years(WorkCalendar(_off(*FIXED[1:])), today) == [2027]
    assert unverified_years(WorkCalendar(_off(*FIXED, verified=False)), today) == [2027]
    assert unverified_years(WorkCalendar(_off(*FIXED)), today) == []
    assert unverified_years(WorkCalendar(_off(*FIXED)), date(2027, 1, 1)) == [2028]


def test_a_later_statement_replaces_an_earlier_one_about_the_same_day() -> None:
    before = WorkCalendar(_off(FIXED[0], FIXED[1]))
    after = overlaid(before, [StatedDay(FIXED[0], is_workday=True, source="corrected", verified=True)])
    assert after.is_workday(FIXED[0])
    assert not after.is_workday(FIXED[1])
    assert [stated.source for stated in after.stated] == ["corrected", "notice"]


def _row(*values: str) -> dict[str, str]:
    return dict(zip(COLUMNS, values, strict=True))


def test_stated_days_are_read_in_both_languages() -> None:
    found = stated_days([(2, _row("2027-02-14", "是", "notice", "yes")), (3, _row("2027-02-05", "No", "notice", "否"))])
    assert found == (
        StatedDay(date(2027, 2, 5), is_workday=False, source="notice", verified=False),
        StatedDay(date(2027, 2, 14), is_workday=True, source="notice", verified=True),
    )


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("2027-02-30", "no", "n", "yes")], "line 2: '2027-02-30' is no day"),
        ([("5 Feb", "no", "n", "yes")], "line 2: '5 Feb' is no day"),
        ([("2027-02-05", "maybe", "n", "yes")], "line 2: is_workday must be yes or no"),
        ([("2027-02-05", "no", "n", "")], "line 2: verified must be yes or no"),
        ([("2027-02-05", "no", "", "yes")], "line 2: source is empty"),
        ([("2027-02-05", "no", "n", "yes"), ("2027-02-05", "yes", "n", "yes")], "2027-02-05 stands in it twice"),
        ([], "no day in it"),
    ],
)
def test_a_statement_that_cannot_be_used_is_refused_with_its_line(rows: list[tuple[str, ...]], reason: str) -> None:
    with pytest.raises(BadCalendar, match=reason):
        stated_days((n, _row(*row)) for n, row in enumerate(rows, 2))
