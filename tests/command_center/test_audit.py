"""The auditor: an open ticket without its deadlines, or without anybody who must act, is found and put right."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from command_center.audit import Finding, audit_deadlines
from command_center.city import Desk
from command_center.schedule import fire_deadlines
from command_center.ticket import store
from command_center.ticket import ticket as tickets
from command_center.ticket.deadline import deadlines_of, graded
from command_center.ticket.decide import Wish, decide
from command_center.ticket.ticket import Actor, Move, Status, Step, Ticket
from gis.region import Region, RegionTree
from tests import processes
from tests.conftest import Database
from tests.running_city import StandingCity, standing_city
from tests.small_city import CITY, COUNTIES, cell_code
from tests.waiting import wait_until

OPENED, LOST = 200, 100
A, B = COUNTIES[:2]
TOWN, VILLAGE, CELL = "321302001", "321302001001", cell_code()
SOON = timedelta(days=30)

# From a ticket that the village has to each kind of standing, by (who, move, and what else it says).
_ACCEPTED: tuple[tuple[str, Move, dict[str, Any]], ...] = ((VILLAGE, Move.ACCEPT, {}),)
_HANDLED = (*_ACCEPTED, (VILLAGE, Move.FINISH, {}))
PATHS: tuple[tuple[tuple[str, Move, dict[str, Any]], ...], ...] = (
    (),
    _ACCEPTED,
    ((VILLAGE, Move.DISPATCH, {"to": CELL}),),
    ((VILLAGE, Move.RETURN, {}),),
    ((VILLAGE, Move.RETURN, {}), (TOWN, Move.RETURN, {})),
    (*_ACCEPTED, (VILLAGE, Move.ASSIST, {"to": B})),
    (*_ACCEPTED, (VILLAGE, Move.ASSIST, {"to": B}), (B, Move.HELP_ACCEPT, {})),
    (*_ACCEPTED, (VILLAGE, Move.ASK_SUSPENSION, {"until": SOON}), (TOWN, Move.GRANT, {})),
    (*_ACCEPTED, (VILLAGE, Move.ASK_EXTENSION, {})),
    _HANDLED,
    (*_HANDLED, (A, Move.CHECK, {"to": "321302002"})),
    (*_HANDLED, (TOWN, Move.REWORK, {})),
)


@pytest.fixture
def standing(database: Database) -> Iterator[StandingCity]:
    with standing_city(database) as found:
        yield found


def write(standing: StandingCity, ticket: UUID, step: Step) -> None:
    with standing.engine.begin() as connection:
        before = store.load_tickets(connection, [ticket])[ticket]
        store.move_ticket(connection, before, tickets.after(before, step), step)


def go(standing: StandingCity, ticket: UUID, who: str, move: Move, more: dict[str, Any]) -> None:
    region, now, own = standing.small.region(who), datetime.now(UTC), dict(more)
    if "until" in own:
        own["until"] = now + own["until"]
    [before] = read(standing, [ticket])
    wish, actor = Wish(move, before.version, reason="审计", **own), Actor(who, region.name, region.tier, region.scope)
    write(standing, ticket, decide(before, wish, actor, standing.city.tree, standing.city.dispatch, now))


def read(standing: StandingCity, ids: list[UUID]) -> list[Ticket]:
    with standing.engine.begin() as connection:
        found = store.load_tickets(connection, ids)
    return [found[one] for one in ids]


def in_all_sorts_of_statuses(standing: StandingCity, count: int) -> list[UUID]:
    """Open tickets; some are overdue, some are of graded events and report upwards."""
    opened = [standing.open_ticket(severity=1) for _ in range(count)]
    for n, ticket in enumerate(opened):
        for who, move, more in PATHS[n % len(PATHS)]:
            go(standing, ticket, who, move, more)
        if n % 5 == 0:
            [before] = read(standing, [ticket])
            step = graded(before, 2, standing.city.dispatch, datetime.now(UTC))
            assert step is not None
            write(standing, ticket, step)
    late = opened[: count // 4]
    standing.rows("UPDATE deadlines SET due_at = due_at + interval '40 days' WHERE ticket <> ALL (:late)", late=late)
    city = standing.city
    desk = Desk(city.tree, city.dispatch, city.zone, city.inhibitions, city.grouping)
    fire_deadlines(standing.engine, datetime.now(UTC) + timedelta(hours=30), lambda _: desk)
    standing.rows("UPDATE deadlines SET due_at = due_at - interval '40 days' WHERE ticket <> ALL (:late)", late=late)
    return opened


def rows_by_ticket(standing: StandingCity, ids: list[UUID]) -> dict[UUID, dict[str, datetime]]:
    with standing.engine.connect() as connection:
        return store.stored_deadlines(connection, read(standing, ids))


def lose(standing: StandingCity, ids: list[UUID]) -> dict[UUID, set[str]]:
    """Take away or move rows by hand, one ticket after the other in another way; returns the kinds that are wrong then."""
    rows, wrong = rows_by_ticket(standing, ids), dict[UUID, set[str]]()
    for n, ticket in enumerate(ids):
        own = rows[ticket]
        first, last = min(own, key=own.__getitem__), max(own, key=own.__getitem__)
        if n % 4 == 0:
            wrong[ticket], change = set(own), "DELETE FROM deadlines WHERE ticket = :of"
        elif n % 4 == 1:
            wrong[ticket], change = {last}, "DELETE FROM deadlines WHERE ticket = :of AND kind = :last"
        elif n % 4 == 2:
            change = "UPDATE deadlines SET due_at = due_at + interval '400 days' WHERE ticket = :of AND kind = :first"
            wrong[ticket] = {first}
        else:
            # So much earlier that it would be the first: it would fire before its time.
            change = "UPDATE deadlines SET due_at = due_at - interval '400 days' WHERE ticket = :of AND kind = :last"
            wrong[ticket] = {last}
        standing.rows(change, of=ticket, first=first, last=last)
    return wrong


def audit(standing: StandingCity, tree: RegionTree | None = None) -> list[Finding]:
    return audit_deadlines(standing.engine, datetime.now(UTC), lambda _: tree or standing.city.tree)


def all_in_order(standing: StandingCity, ids: list[UUID]) -> bool:
    rows = rows_by_ticket(standing, ids)
    return all(rows.get(ticket.place.id, {}) == deadlines_of(ticket) for ticket in read(standing, ids))


def test_of_200_open_tickets_the_100_whose_deadlines_were_lost_are_found_and_no_other(standing: StandingCity) -> None:
    opened = in_all_sorts_of_statuses(standing, OPENED)
    found = read(standing, opened)
    assert {ticket.status for ticket in found} == {
        Status.FILED, Status.DISPATCHED, Status.ACCEPTED, Status.RETURNED, Status.ARBITRATING, Status.SUSPENDED,
        Status.HANDLED, Status.CHECKING,
    }  # fmt: skip
    assert {kind.partition(":")[0] for ticket in found for kind in deadlines_of(ticket)} == {
        "handling", "stage", "escalation", "resume", "upward", "help",
    }  # fmt: skip
    assert all_in_order(standing, opened)
    assert audit(standing) == []
    wrong = lose(standing, random.Random(7).sample(opened, LOST))
    findings = audit(standing)
    assert len(findings) == LOST
    assert {one.ticket: set(one.missing) for one in findings} == wrong
    assert {(one.what, one.stray) for one in findings} == {("rows", ())}
    assert all_in_order(standing, opened)
    assert audit(standing) == [], "what was put right is not found again"
    kept = standing.rows("SELECT ticket, missing FROM deadline_findings")
    assert {row.ticket: set(row.missing) for row in kept} == wrong


def test_the_scheduler_finds_all_of_them_within_a_minute_by_itself(standing: StandingCity, database: Database) -> None:
    opened = in_all_sorts_of_statuses(standing, OPENED)
    # Nothing comes due while the process runs: only the auditor can bring a row back.
    wrong = lose(standing, [t.place.id for t in read(standing, opened) if t.overdue_at is None][:LOST])
    standing.rows(
        "DELETE FROM deadlines WHERE ticket = ANY (:lost) AND due_at < now() + interval '5 minutes'", lost=list(wrong)
    )
    with processes.scheduler(database.worker_url):
        wait_until(
            lambda: {row.ticket for row in standing.rows("SELECT ticket FROM deadline_findings")} == wrong.keys(),
            timeout_s=60,
            what="every lost deadline is found",
        )
    assert all_in_order(standing, opened)


def test_rows_of_kinds_that_a_ticket_does_not_have_are_found_too(standing: StandingCity) -> None:
    ticket = standing.open_ticket(severity=1)
    standing.rows("INSERT INTO deadlines VALUES (:of, 'resume', now() + interval '1 day')", of=ticket)
    [finding] = audit(standing)
    assert (finding.ticket, finding.what, finding.missing, finding.stray) == (ticket, "rows", (), ("resume",))
    assert all_in_order(standing, [ticket])


def test_a_later_deadline_that_was_moved_still_later_is_found_once_it_should_be_the_next(
    standing: StandingCity,
) -> None:
    ticket = standing.open_ticket(severity=1)
    standing.rows(
        "UPDATE deadlines SET due_at = due_at + interval '9 days' WHERE ticket = :of AND kind = 'handling'", of=ticket
    )
    assert audit(standing) == [], "the next deadline is right and there are as many as there should be"
    go(standing, ticket, VILLAGE, Move.ACCEPT, {})
    assert [one.missing for one in audit(standing)] == [("handling",)]
    assert all_in_order(standing, [ticket])


def test_a_closed_ticket_needs_no_deadline(standing: StandingCity) -> None:
    ticket = standing.open_ticket(severity=1)
    for who, move in ((VILLAGE, Move.ACCEPT), (VILLAGE, Move.FINISH), (TOWN, Move.CLOSE)):
        go(standing, ticket, who, move, {})
    assert rows_by_ticket(standing, [ticket]) == {}
    assert audit(standing) == []


def without(tree: RegionTree, code: str) -> RegionTree:
    kept: list[Region] = [region for region in tree.regions.values() if region.code != code]
    return RegionTree.of(kept, tree.former.values())


def test_a_ticket_that_a_desk_has_which_is_no_more_is_nobodys(standing: StandingCity) -> None:
    held, other = standing.open_ticket(severity=1), standing.open_ticket(severity=4)
    assert audit(standing) == []
    found = audit(standing, without(standing.city.tree, VILLAGE))
    assert [(one.ticket, one.what) for one in found] == [(held, "nobody")]
    assert audit(standing, without(standing.city.tree, VILLAGE)) == [], "it is told once"
    assert all_in_order(standing, [held, other])
    go(standing, other, CITY, Move.DISPATCH, {"to": VILLAGE})
    again = audit(standing, without(standing.city.tree, VILLAGE))
    assert [(one.ticket, one.what) for one in again] == [(other, "nobody")]


def test_finished_work_that_waits_for_a_desk_which_is_no_more_is_nobodys(standing: StandingCity) -> None:
    ticket = standing.open_ticket(severity=1)
    for move in (Move.ACCEPT, Move.FINISH):
        go(standing, ticket, VILLAGE, move, {})
    found = audit(standing, without(standing.city.tree, TOWN))
    assert [(one.ticket, one.what) for one in found] == [(ticket, "nobody")]
