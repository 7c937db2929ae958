"""On-time figures against a hand-worked handful, and against a month of real tickets counted once more in other code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from command_center.ticket.history import Finished, OnTime, on_time
from tests.command_center.ticket import recorded

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
EXPORTED = "2016-08-12T11:34:21.000Z"
"""The last closing in the file: about when it was exported."""


def ticket(number: int, due: float | None, closed: float | None, service: str = "pothole") -> Finished:
    """Opened a day before noon; due and closed so many hours after noon."""
    due_at, closed_at = (None if hours is None else NOON + hours * HOUR for hours in (due, closed))
    return Finished(str(number), service, "roads", NOON - 24 * HOUR, due_at, closed_at)


def per_service(*tickets: Finished, now: datetime = NOON) -> list[OnTime]:
    return on_time(tickets, lambda t: t.service, now)


def test_a_ticket_closed_at_its_due_time_is_on_time_and_a_second_later_it_is_late() -> None:
    (row,) = per_service(ticket(1, -2, -2), ticket(2, -2, -2 + 1 / 3600))
    assert (row.on_time, row.late, row.closed, row.due) == (1, 1, 2, 2)
    assert row.rate == row.rate_of_closed == 0.5


def test_an_open_ticket_counts_against_the_rate_from_its_due_time_on_and_before_it_not_at_all() -> None:
    tickets = [ticket(1, -2, -3), ticket(2, -1, None), ticket(3, 1, None)]
    (row,) = per_service(*tickets)
    assert (row.total, row.due, row.closed, row.open_overdue) == (3, 2, 1, 1)
    assert (row.rate, row.rate_of_closed) == (0.5, 1.0)
    (later,) = per_service(*tickets, now=NOON + 2 * HOUR)
    assert (later.due, later.open_overdue) == (3, 2)


def test_a_ticket_closed_before_a_due_time_to_come_is_among_those_that_should_be_closed() -> None:
    assert per_service(ticket(1, 5, -1)) == [OnTime("pothole", 1, 1, 1, 1, 0, 0)]


def test_what_is_closed_after_the_instant_asked_about_was_open_then() -> None:
    assert per_service(ticket(1, -1, 1), ticket(2, 2, 1)) == [OnTime("pothole", 2, 1, 0, 0, 0, 1)]


def test_without_a_due_time_a_ticket_is_counted_but_neither_on_time_nor_late() -> None:
    (row,) = per_service(ticket(1, None, -1), ticket(2, None, None))
    assert row == OnTime("pothole", 2, 0, 1, 0, 0, 0)
    assert row.rate is None
    assert row.rate_of_closed is None


def test_the_service_with_most_tickets_comes_first_and_equals_by_name() -> None:
    found = per_service(ticket(1, 1, 0, "b"), ticket(2, 1, 0, "a"), ticket(3, 1, 0, "c"), ticket(4, 1, 0, "c"))
    assert [row.key for row in found] == ["c", "a", "b"]
    assert per_service() == []


def counted(column: str) -> dict[str, tuple[int, ...]]:
    """Total, due, closed, on time, late, open and overdue by the file's own texts: its stamps sort as they are written."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in recorded.rows():
        key, due, closed = row[column], row["SERVICEDUEDATE"], row["RESOLUTIONDATE"]
        counts[key, "total"] += 1
        counts[key, "closed"] += bool(closed)
        counts[key, "on time"] += bool(due and closed) and closed <= due
        counts[key, "late"] += bool(due and closed) and closed > due
        counts[key, "overdue"] += bool(due) and not closed and due < EXPORTED
    names = ("total", "due", "closed", "on time", "late", "overdue")
    for key in {key for key, _ in counts}:
        counts[key, "due"] = counts[key, "on time"] + counts[key, "late"] + counts[key, "overdue"]
    return {key: tuple(counts[key, name] for name in names) for key in {key for key, _ in counts}}


@pytest.mark.parametrize(
    ("column", "by", "keys"),
    [("SERVICECODE", lambda t: t.service, 48), ("ORGANIZATIONACRONYM", lambda t: t.agency, 6)],
)
def test_a_month_of_real_tickets_gives_what_counting_its_lines_gives(
    column: str, by: Callable[[Finished], str], keys: int
) -> None:
    expected = counted(column)
    found = on_time(recorded.tickets(UTC), by, datetime.fromisoformat(EXPORTED))
    assert len(found) == keys
    assert {r.key: (r.total, r.due, r.closed, r.on_time, r.late, r.open_overdue) for r in found} == expected


def test_of_a_month_of_real_tickets_89_4_percent_of_the_closed_and_84_3_of_those_due_were_on_time() -> None:
    (row,) = on_time(recorded.tickets(UTC), lambda _: "all", datetime.fromisoformat(EXPORTED))
    assert row == OnTime("all", 15_360, 12_631, 11_917, 10_651, 1_265, 715)
    assert row.rate_of_closed is not None
    assert row.rate is not None
    assert (round(row.rate_of_closed * 100, 1), round(row.rate * 100, 1)) == (89.4, 84.3)
