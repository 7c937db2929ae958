"""Which tickets may be the same matter."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.ticket.duplicate import candidates
from command_center.ticket.ticket import Holder, Place, Status, Ticket

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
DESK = Holder("t", "t", "township", "c/a/t/")
LNG, LAT = 118.27, 33.96
# One metre in degrees on the sphere that distances are measured on.
NORTH = 1 / 111_195.08


def ticket(
    n: int, *, north_m: float = 0, after_h: float = 0, small: str | None = "C0101", category: str = "m"
) -> Ticket:
    at = NOW + timedelta(hours=after_h)
    place = Place(
        UUID(int=n), f"T{n}", UUID(int=n), "urban_management", category, "g", "v", "c/a/t/v/g/", LNG,
        LAT + north_m * NORTH, (), "report", "r", "public", at,
    )  # fmt: skip
    return Ticket(place, Status.REPORTED, DESK, 1, 2, "井盖", "cover", at, small_class=small)


def found(own: Ticket, *others: tuple[Ticket, float]) -> list[tuple[int, str]]:
    """Ids and what they share; each other comes with the hours from now to its last signal."""
    signals = [(other, NOW + timedelta(hours=last)) for other, last in others]
    return [(one.ticket.place.id.int, one.same) for one in candidates(own, signals, 50, timedelta(hours=24))]


@pytest.mark.parametrize(("north_m", "is_one"), [(0, True), (49.9, True), (-49.9, True), (50.2, False), (200, False)])
def test_within_fifty_metres_it_may_be_the_same(north_m: float, is_one: bool) -> None:
    assert bool(found(ticket(1), (ticket(2, north_m=north_m), 0))) is is_one


@pytest.mark.parametrize(
    ("opened_h", "last_h", "is_one"),
    [(-1, -1, True), (-23.9, -23.9, True), (-24.1, -24.1, False), (-100, -1, True), (23, 23, True), (25, 25, False)],
)
def test_within_a_day_of_its_signals_it_may_be_the_same(opened_h: float, last_h: float, is_one: bool) -> None:
    assert bool(found(ticket(1), (ticket(2, after_h=opened_h), last_h))) is is_one


def test_two_small_classes_are_two_matters_and_where_one_has_none_the_category_says() -> None:
    own, machine = ticket(1), ticket(4, small=None)
    assert found(own, (ticket(2, small="C0102"), 0)) == []
    assert found(own, (machine, 0), (ticket(3, north_m=40), 0)) == [(3, "small_class"), (4, "category")]
    assert found(own, (ticket(5, small=None, category="other"), 0)) == []
    assert found(machine, (own, 0)) == [(1, "category")]


def test_what_has_ended_and_the_ticket_itself_are_no_candidates() -> None:
    own, other = ticket(1), ticket(2)
    assert (
        found(own, (own, 0), (replace(other, status=Status.CLOSED), 0), (replace(other, status=Status.MERGED), 0)) == []
    )


@given(st.floats(-120, 120), st.floats(-60, 60), st.sampled_from(["C0101", "C0102", None]), st.sampled_from(["m", "n"]))
def test_it_does_not_matter_which_of_two_reports_is_asked(
    north_m: float, after_h: float, small: str | None, category: str
) -> None:
    one, other = ticket(1), ticket(2, north_m=north_m, after_h=after_h, small=small, category=category)
    there = found(one, (other, after_h))
    back = [(n, same) for n, same in found(other, (one, 0))]
    assert bool(there) == bool(back)
    assert [same for _, same in there] == [same for _, same in back]
