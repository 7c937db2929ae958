"""The clock of deadlines against hand-worked days, and its laws for any of them."""

from __future__ import annotations

import time as stopwatch
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.ticket.clock import (
    WORKING,
    BadOfficeHours,
    Light,
    Limit,
    OfficeHours,
    Offices,
    Shares,
    Unit,
    due,
    extended,
    marks,
    recounted,
    resumed,
    spent,
)
from command_center.work_calendar import StatedDay, WorkCalendar

ZONE = ZoneInfo("Asia/Shanghai")
OFFICES = Offices(ZONE)
CLOSING = Offices(ZONE, OfficeHours(OFFICES.hours.spans, day_ends_at_closing=True))
CONTINUOUS, HOURS, DAYS, NATURAL = Unit


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


# 2026 by the notice: off 1-3 January (made up on Sunday the 4th), 15-23 February (Saturdays 14 and 28), 4-6 April, 1-5 May
# (Saturday the 9th), 19-21 June, 25-27 September (Sunday the 20th), 1-7 October (Sunday 20 September, Saturday the 10th).
TABLE = [
    # Within a day, over lunch, over the night, over a weekend.
    ("2026-11-24 09:00", 2, HOURS, "2026-11-24 11:00"),
    ("2026-11-24 11:00", 2, HOURS, "2026-11-24 15:00"),
    ("2026-11-24 10:00", 2, HOURS, "2026-11-24 12:00"),
    ("2026-11-24 17:00", 2, HOURS, "2026-11-25 09:00"),
    ("2026-11-24 12:30", 1, HOURS, "2026-11-24 15:00"),
    ("2026-11-24 03:00", 4, HOURS, "2026-11-24 12:00"),
    ("2026-11-24 07:50", 1, HOURS, "2026-11-24 09:00"),
    ("2026-11-24 13:50", 1, HOURS, "2026-11-24 15:00"),
    ("2026-11-24 18:00", 1, HOURS, "2026-11-25 09:00"),
    ("2026-11-27 17:00", 4, HOURS, "2026-11-30 11:00"),
    ("2026-11-28 10:00", 4, HOURS, "2026-11-30 12:00"),
    ("2026-11-24 09:00", 0.5, HOURS, "2026-11-24 09:30"),
    # Working days keep the time of day, and weekends do not count.
    ("2026-11-23 17:30", 1, DAYS, "2026-11-24 17:30"),
    ("2026-11-27 09:15", 5, DAYS, "2026-12-04 09:15"),
    ("2026-11-23 20:00", 1, DAYS, "2026-11-24 18:00"),
    ("2026-11-22 10:00", 1, DAYS, "2026-11-23 18:00"),
    ("2026-11-23 08:00", 1, DAYS, "2026-11-23 18:00"),
    ("2026-11-23 09:00", 0.5, DAYS, "2026-11-23 15:00"),
    # Holidays and make-up days.
    ("2026-02-13 17:00", 2, HOURS, "2026-02-14 09:00"),
    ("2026-02-14 17:00", 2, HOURS, "2026-02-24 09:00"),
    ("2026-02-13 10:00", 5, DAYS, "2026-02-27 10:00"),
    ("2026-02-27 10:00", 1, DAYS, "2026-02-28 10:00"),
    ("2026-04-03 17:00", 2, HOURS, "2026-04-07 09:00"),
    ("2026-04-30 16:00", 1, DAYS, "2026-05-06 16:00"),
    ("2026-05-08 16:00", 1, DAYS, "2026-05-09 16:00"),
    ("2026-06-18 16:00", 1, DAYS, "2026-06-22 16:00"),
    ("2026-09-18 16:00", 1, DAYS, "2026-09-20 16:00"),
    ("2026-09-24 16:00", 1, DAYS, "2026-09-28 16:00"),
    ("2026-09-30 17:30", 1, DAYS, "2026-10-08 17:30"),
    ("2026-10-09 17:30", 1, DAYS, "2026-10-10 17:30"),
    ("2026-10-04 11:00", 2, HOURS, "2026-10-08 10:00"),
    # Ends of months and years.
    ("2025-12-31 16:00", 1, DAYS, "2026-01-04 16:00"),
    ("2025-12-31 17:00", 2, HOURS, "2026-01-04 09:00"),
    ("2026-01-30 10:00", 1, DAYS, "2026-02-02 10:00"),
    # The unpublished year 2031: weekends and fixed dates. 1 January is a Wednesday, 1 and 2 May Thursday and Friday.
    ("2030-12-31 16:00", 1, DAYS, "2031-01-02 16:00"),
    ("2031-04-30 16:00", 1, DAYS, "2031-05-05 16:00"),
    ("2031-09-30 16:00", 1, DAYS, "2031-10-06 16:00"),
    ("2031-01-24 16:00", 1, DAYS, "2031-01-27 16:00"),
    # Day and night.
    ("2026-02-16 23:30", 2, CONTINUOUS, "2026-02-17 01:30"),
    ("2026-12-31 23:00", 2, CONTINUOUS, "2027-01-01 01:00"),
    ("2026-09-30 17:30", 7, NATURAL, "2026-10-07 17:30"),
    ("2028-02-28 10:00", 2, NATURAL, "2028-03-01 10:00"),
]


@pytest.mark.parametrize(("start", "amount", "unit", "end"), TABLE)
def test_a_limit_is_used_up_when_a_hand_with_a_calendar_finds_it_is(
    start: str, amount: float, unit: Unit, end: str
) -> None:
    assert due(local(start), Limit(amount, unit), OFFICES) == local(end)
    assert spent(local(start), local(end), unit, OFFICES) == amount


@pytest.mark.parametrize(
    ("start", "amount", "end"),
    [
        ("2026-11-23 17:30", 1, "2026-11-24 18:00"),
        ("2026-11-23 08:00", 1, "2026-11-23 18:00"),
        ("2026-09-30 09:00", 2, "2026-10-09 18:00"),
    ],
)
def test_a_city_may_give_the_last_working_day_whole(start: str, amount: float, end: str) -> None:
    assert due(local(start), Limit(amount, DAYS), CLOSING) == local(end)
    assert due(local(start), Limit(4, HOURS), CLOSING) == due(local(start), Limit(4, HOURS), OFFICES)


_INSTANTS = st.datetimes(datetime(2025, 1, 1), datetime(2033, 12, 31), timezones=st.just(ZONE))  # noqa: DTZ001
_UNITS = st.sampled_from(Unit)
# Whole minutes of the unit: amounts that people write.
_MINUTES = st.integers(1, 60 * 400)


def limit(minutes: int, unit: Unit) -> Limit:
    """So many minutes of the clock of ``unit``, as an amount in it."""
    return Limit(minutes / {CONTINUOUS: 60, HOURS: 60, DAYS: 480, NATURAL: 1440}[unit], unit)


@given(_INSTANTS, _MINUTES, _UNITS)
def test_what_is_spent_until_the_due_time_is_the_limit(start: datetime, minutes: int, unit: Unit) -> None:
    end = due(start, limit(minutes, unit), OFFICES)
    assert end > start
    assert spent(start, end, unit, OFFICES) == limit(minutes, unit).amount
    # And it is the earliest such instant.
    assert spent(start, end - timedelta(microseconds=1), unit, OFFICES) < limit(minutes, unit).amount


@given(_INSTANTS, _MINUTES, _MINUTES, _UNITS)
def test_two_limits_one_after_the_other_are_their_sum(start: datetime, first: int, second: int, unit: Unit) -> None:
    whole = due(start, limit(first + second, unit), OFFICES)
    assert due(due(start, limit(first, unit), OFFICES), limit(second, unit), OFFICES) == whole
    assert extended(due(start, limit(first, unit), OFFICES), limit(second, unit), OFFICES) == whole


@given(_INSTANTS, st.timedeltas(timedelta(0), timedelta(days=30)), _MINUTES, st.integers(0, 5000), _UNITS)
def test_who_begins_later_or_is_given_more_is_never_due_earlier(
    start: datetime, later: timedelta, minutes: int, more: int, unit: Unit
) -> None:
    end = due(start, limit(minutes, unit), OFFICES)
    assert due(start.astimezone(UTC) + later, limit(minutes, unit), OFFICES) >= end
    assert due(start, limit(minutes + more, unit), OFFICES) >= end


@given(_INSTANTS, _MINUTES, _UNITS)
def test_working_time_ends_while_the_offices_are_open(start: datetime, minutes: int, unit: Unit) -> None:
    end = due(start, limit(minutes, unit), OFFICES).astimezone(ZONE)
    if unit in WORKING:
        assert OFFICES.calendar.is_workday(end.date())
        assert any(opens < end.time() <= closes for opens, closes in OFFICES.hours.spans)


@given(_INSTANTS, _INSTANTS, _INSTANTS, _UNITS)
def test_what_is_spent_adds_up_over_any_instant_between(
    first: datetime, second: datetime, third: datetime, unit: Unit
) -> None:
    a, b, c = sorted((first, second, third))
    parts = spent(a, b, unit, OFFICES) + spent(b, c, unit, OFFICES)
    assert parts == pytest.approx(spent(a, c, unit, OFFICES), abs=1e-9)
    assert spent(c, a, unit, OFFICES) == 0


@given(_INSTANTS, _MINUTES, st.floats(0, 0.99), st.timedeltas(timedelta(0), timedelta(days=400)), _UNITS)
def test_a_pause_leaves_what_was_left(
    start: datetime, minutes: int, share: float, pause: timedelta, unit: Unit
) -> None:
    end = due(start, limit(minutes, unit), OFFICES)
    paused = start.astimezone(UTC) + (end - start) * share
    again = paused + pause
    after = resumed(end, paused, again, unit, OFFICES)
    assert after >= end
    assert spent(again, after, unit, OFFICES) == spent(paused, end, unit, OFFICES)


def test_a_pause_over_a_holiday_costs_nothing_and_one_over_office_hours_is_given_back() -> None:
    end = local("2026-10-09 10:00")
    assert resumed(end, local("2026-09-30 18:00"), local("2026-10-08 08:00"), HOURS, OFFICES) == end
    paused, again = local("2026-10-08 09:00"), local("2026-10-08 16:00")
    # 9 hours were left: 2 on Thursday, 7 on Friday.
    assert resumed(end, paused, again, HOURS, OFFICES) == local("2026-10-09 17:00")


def test_what_is_overdue_when_it_is_paused_stays_overdue() -> None:
    end = local("2026-11-24 10:00")
    assert resumed(end, end, local("2026-12-24 10:00"), HOURS, OFFICES) == end


def test_the_lights_turn_by_the_share_that_is_left_and_not_while_the_offices_are_closed() -> None:
    start = local("2026-11-27 14:00")
    end = due(start, Limit(1, DAYS), OFFICES)
    found = marks(start, end, DAYS, Shares(0.5, 0.2), OFFICES)
    assert (found.amber_at, found.red_at, found.due_at) == (
        local("2026-11-27 18:00"),
        local("2026-11-30 10:24"),
        local("2026-11-30 12:00"),
    )
    assert found.light(start) is Light.GREEN
    assert found.light(found.amber_at) is found.light(local("2026-11-29 12:00")) is Light.AMBER
    assert found.light(found.red_at) is Light.RED
    assert found.light(end - timedelta(microseconds=1)) is Light.RED
    assert found.light(end) is Light.OVERDUE


@given(_INSTANTS, _MINUTES, _UNITS, st.sampled_from([OFFICES, CLOSING]))
def test_green_comes_before_amber_before_red_before_overdue(
    start: datetime, minutes: int, unit: Unit, offices: Offices
) -> None:
    end = due(start, limit(minutes, unit), offices)
    found = marks(start, end, unit, Shares(), offices)
    assert start < found.amber_at <= found.red_at <= found.due_at == end


def test_another_calendar_moves_what_counts_working_time_by_the_days_between_and_nothing_else() -> None:
    """Spring Festival of 2027 is not published: then a notice says 5 to 11 February are off and Sunday the 14th is worked."""
    off = [StatedDay(date(2027, 2, day), is_workday=False, source="notice", verified=True) for day in range(5, 12)]
    made_up = StatedDay(date(2027, 2, 14), is_workday=True, source="notice", verified=True)
    after = Offices(ZONE, calendar=WorkCalendar((*off, made_up)))
    start = local("2027-02-03 10:00")
    was = due(start, Limit(5, DAYS), OFFICES)
    assert was == local("2027-02-10 10:00")
    assert recounted(start, was, DAYS, OFFICES, after) == local("2027-02-16 10:00")
    assert due(start, Limit(5, DAYS), after) == local("2027-02-16 10:00")
    for unit in (CONTINUOUS, NATURAL):
        assert recounted(start, was, unit, OFFICES, after) == was


@given(_INSTANTS, _MINUTES, _UNITS, st.sampled_from([OFFICES, CLOSING]))
def test_the_same_calendar_moves_nothing(start: datetime, minutes: int, unit: Unit, offices: Offices) -> None:
    end = due(start, limit(minutes, unit), offices)
    assert recounted(start, end, unit, offices, offices) == end


def test_another_time_zone_has_other_office_hours() -> None:
    paris = Offices(ZoneInfo("Europe/Paris"))
    # The clocks go forward on Sunday 29 March 2026: eight office hours lie between all the same.
    start = datetime(2026, 3, 27, 16, tzinfo=paris.zone)
    assert due(start, Limit(1, DAYS), paris) == datetime(2026, 3, 30, 16, tzinfo=paris.zone)


@pytest.mark.parametrize(
    "spans",
    [
        (),
        ((time(12), time(8)),),
        ((time(8), time(8)),),
        ((time(8), time(12)), (time(11), time(18))),
        ((time(14), time(18)), (time(8), time(12))),
    ],
)
def test_office_hours_that_no_day_has_are_refused(spans: tuple[tuple[time, time], ...]) -> None:
    with pytest.raises(BadOfficeHours):
        OfficeHours(spans)


def test_a_hundred_thousand_deadlines_take_less_than_five_seconds() -> None:
    starts = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=17 * n) for n in range(100_000)]
    begun = stopwatch.process_time()
    for start in starts:
        due(start, Limit(15, DAYS), OFFICES)
    assert stopwatch.process_time() - begun < 5
