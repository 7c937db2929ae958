"""Limits found again behind due times: hand-made ones, and a month of real tickets row by row."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache
from zoneinfo import ZoneInfo

from command_center.ticket.clock import Limit, OfficeHours, Offices, Unit, due
from command_center.ticket.explain import Explained, Match, Terms, explain, terms
from command_center.ticket.history import Finished
from command_center.work_calendar import StatedDay, WorkCalendar
from tests.command_center.ticket import recorded

ZONE = ZoneInfo("America/New_York")
SUMMER = timezone(timedelta(hours=-4))
"""The file's stamps: due times after the change of clocks in November lie at 18:00 in it, an hour after closing."""
DAYS_OFF = (
    *(
        date(2016, 7, 4),
        date(2016, 9, 5),
        date(2016, 10, 10),
        date(2016, 11, 11),
        date(2016, 11, 24),
        date(2016, 12, 26),
    ),
    *(date(2017, 1, 2), date(2017, 1, 16), date(2017, 1, 20), date(2017, 2, 20), date(2017, 5, 29), date(2017, 7, 4)),
)


def offices(*days_off: date) -> Offices:
    """Monday to Friday, 09:00 to 17:00. Every day of the two years is stated, or the calendar's own holidays would show."""
    days = (date(2016, 1, 1) + timedelta(n) for n in range(731))
    stated = (StatedDay(day, day.weekday() < 5 and day not in days_off, "by hand", True) for day in days)
    return Offices(ZONE, OfficeHours(((time(9), time(17)),)), WorkCalendar(tuple(stated)))


CALENDARS = {"weekdays": offices(), "holidays": offices(*DAYS_OFF)}
FIVE = Terms(Limit(5, Unit.WORKING_DAYS), "weekdays")


def ticket(opened: str, due_at: str | None) -> Finished:
    opened_at, ends_at = (
        None if at is None else datetime.fromisoformat(at).replace(tzinfo=ZONE) for at in (opened, due_at)
    )
    assert opened_at is not None
    return Finished("1", "pothole", "roads", opened_at, ends_at, None)


def explained(opened: str, due_at: str | None) -> Explained:
    return explain(ticket(opened, due_at), {"pothole": FIVE}, CALENDARS)


def test_the_limit_of_the_service_explains_a_due_time_to_the_second_or_from_the_whole_minute() -> None:
    assert explained("2016-07-11 10:20:30", "2016-07-18 10:20:30") == Explained(Match.EXACT, FIVE)
    assert explained("2016-07-11 10:20:30", "2016-07-18 10:20:00") == Explained(Match.MINUTE, FIVE)
    # In its first minute an office is not open yet to who counts whole minutes: the time ends with the day before.
    assert explained("2016-07-11 09:00:30", "2016-07-15 17:00:00") == Explained(Match.MINUTE, FIVE)


def test_out_of_office_hours_the_limit_counts_from_the_next_opening() -> None:
    for opened in ("2016-07-15 17:40:00", "2016-07-16 12:00:00", "2016-07-18 08:59:00"):
        assert explained(opened, "2016-07-22 17:00:00") == Explained(Match.EXACT, FIVE)


def test_the_right_day_at_an_odd_time_of_day_is_the_same_day() -> None:
    assert explained("2016-07-11 10:20:30", "2016-07-18 12:34:56") == Explained(Match.SAME_DAY, FIVE)


def test_a_ticket_with_a_whole_limit_of_its_own_is_told_with_it() -> None:
    own = Terms(Limit(1, Unit.WORKING_DAYS), "weekdays")
    assert explained("2016-07-15 10:20:30", "2016-07-18 10:20:00") == Explained(Match.OTHER_LIMIT, own)
    natural = Terms(Limit(1, Unit.NATURAL_DAYS), "weekdays")
    assert explained("2016-07-15 10:20:30", "2016-07-16 10:20:30") == Explained(Match.OTHER_LIMIT, natural)
    hours = Terms(Limit(30, Unit.CONTINUOUS), "weekdays")
    assert explained("2016-07-15 10:20:30", "2016-07-16 16:20:30") == Explained(Match.OTHER_LIMIT, hours)


def test_a_due_time_that_no_limit_explains_is_named_by_what_is_odd_about_it() -> None:
    assert explained("2016-07-15 10:20:30", None) == Explained(Match.NO_DUE, None)
    assert explained("2016-07-15 10:20:30", "2016-07-15 10:20:30") == Explained(Match.BEFORE_OPENED, None)
    assert explained("2016-07-15 10:20:30", "2016-07-24 13:07:11") == Explained(Match.DAY_OFF, None)
    assert explained("2016-07-15 10:20:30", "2016-07-26 13:07:11") == Explained(Match.UNEXPLAINED, None)


def test_a_service_has_the_terms_that_explain_most_of_its_tickets() -> None:
    # Only one of them reaches over a holiday (5 September), so it alone tells the calendars apart.
    tickets = [
        ticket("2016-07-11 10:00:00", "2016-07-18 10:00:00"),
        ticket("2016-09-01 10:00:00", "2016-09-09 10:00:00"),
        ticket("2016-07-12 10:00:00", "2016-07-13 10:00:00"),
    ]
    assert terms(tickets[:1], CALENDARS) == {"pothole": FIVE}
    assert terms(tickets, CALENDARS) == {"pothole": Terms(Limit(5, Unit.WORKING_DAYS), "holidays")}
    assert terms([ticket("2016-07-11 10:00:00", None)], CALENDARS) == {}


@cache
def month() -> tuple[list[Finished], dict[str, Terms], list[Explained]]:
    tickets = recorded.tickets(SUMMER)
    found = terms(tickets, CALENDARS)
    return tickets, found, [explain(own, found, CALENDARS) for own in tickets]


def test_one_limit_per_service_explains_15_349_of_15_360_real_due_times_and_no_ticket_is_left_unexplained() -> None:
    _, _, every = month()
    # 99.93 % by the limit of the service (6,824 to the second, 8,525 to the minute), 0.07 % named, 0.00 % unexplained.
    assert Counter(own.match for own in every) == {
        Match.EXACT: 6_824,
        Match.MINUTE: 8_525,
        Match.OTHER_LIMIT: 10,
        Match.NO_DUE: 1,
    }
    assert sum(Counter(own.match for own in every).values()) == len(recorded.rows()) == 15_360


def test_of_the_real_tickets_ten_got_another_whole_limit_and_one_no_due_time() -> None:
    tickets, _, every = month()
    odd = [
        (ticket.number, ticket.service, own.terms.limit.amount if own.terms else None)
        for ticket, own in zip(tickets, every, strict=True)
        if own.match not in (Match.EXACT, Match.MINUTE)
    ]
    assert odd == [
        ("16-00584601", "S0000", 1),
        ("16-00595629", "S0391", 1),
        ("16-00601885", "S05SL", 1),
        ("16-00603733", "S0391", 5),
        ("16-00604335", "S0003", 1),
        ("16-00606951", "S0476", 1),
        ("16-00607808", "S05SL", 1),
        ("16-00608841", "S0346", None),
        ("16-00612018", "S0311", 1),
        ("16-00613713", "S0441", 1),
        ("16-00615094", "S05SL", 1),
    ]
    assert {own.terms.limit.unit for own in every if own.match is Match.OTHER_LIMIT and own.terms} == {
        Unit.WORKING_DAYS
    }


def test_the_real_services_count_in_working_days_but_five_and_only_road_markings_keep_holidays() -> None:
    _, found, _ = month()
    natural = {service for service, own in found.items() if own.limit.unit is Unit.NATURAL_DAYS}
    assert natural == {"SIGTRAMA", "SPSTDAMA", "FESAADNU", "DDOCONRU", "DDENIDTI"}
    assert {own.limit.unit for own in found.values()} == {Unit.WORKING_DAYS, Unit.NATURAL_DAYS}
    assert {service for service, own in found.items() if own.calendar == "holidays"} == {
        "MARKMAIN",
        "MARKINST",
        "MARKMODI",
    }
    # 48 services; a single ticket (MARKREMO) or time over no holiday leaves the calendar open: weekdays is then said.
    assert len(found) == 48
    assert found["S0261"].limit.amount == 1
    assert found["S0031"].limit.amount == 14


def test_with_one_calendar_for_all_services_the_tickets_that_follow_the_other_show() -> None:
    tickets, _, _ = month()
    left = {}
    for name, own in CALENDARS.items():
        found = terms(tickets, {name: own})
        matches = Counter(explain(ticket, found, {name: own}).match for ticket in tickets)
        assert matches.total() == 15_360
        left[name] = 15_360 - matches[Match.EXACT] - matches[Match.MINUTE]
    assert left == {"weekdays": 15, "holidays": 478}


def test_the_stamps_of_the_file_are_summer_time_all_year() -> None:
    stamps = [row["SERVICEDUEDATE"] for row in recorded.rows()]
    winter = ("2016-11-06", "2017-03-12")
    at_closing = {hour: [at for at in stamps if at[11:19] == f"{hour}:00:00"] for hour in (17, 18)}
    assert len(at_closing[18]) == 274
    assert all(winter[0] < at < winter[1] for at in at_closing[18])
    assert not any(winter[0] < at < winter[1] for at in at_closing[17])


def test_a_due_time_is_worked_out_again_by_hand_for_one_real_ticket_after_the_change_of_clocks() -> None:
    # Filed on Friday 8 July at 00:38, before opening: the 132nd weekday, that Friday included, is Monday 9 January. Offices
    # close at 17:00, 22:00 UTC.
    (own,) = (ticket for ticket in recorded.tickets(SUMMER) if ticket.number == "16-00579654")
    expected = datetime(2017, 1, 9, 22, tzinfo=UTC)
    assert own.due_at == expected
    assert due(own.opened_at, Limit(132, Unit.WORKING_DAYS), CALENDARS["weekdays"]) == expected
