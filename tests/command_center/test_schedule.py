"""Promise 2 for deadlines: they are rows, claimed by one scheduler at a time, and done once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from command_center.event import log
from command_center.schedule import fire_deadlines
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.decide import Wish, decide
from command_center.ticket.ticket import Actor, Move
from tests import processes
from tests.conftest import Database
from tests.running_city import StandingCity, standing_city
from tests.small_city import cell_code
from tests.waiting import wait_until


@pytest.fixture
def standing(database: Database) -> Iterator[StandingCity]:
    with standing_city(database) as found:
        yield found


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


def steps(standing: StandingCity) -> list[tuple[UUID, str]]:
    found = standing.rows("SELECT ticket, move FROM ticket_steps WHERE move = 'overdue' ORDER BY ticket")
    return [(row.ticket, row.move) for row in found]


def kinds(standing: StandingCity, ticket: UUID) -> list[str]:
    rows = standing.rows("SELECT kind FROM deadlines WHERE ticket = :ticket ORDER BY kind", ticket=ticket)
    return [row.kind for row in rows]


def fire(standing: StandingCity, now: datetime) -> None:
    fire_deadlines(standing.engine, now, lambda _: standing.city)


def close(standing: StandingCity, ticket: UUID) -> None:
    """The grid accepts and finishes, the village closes."""
    village = standing.small.region(standing.small.region(cell_code()).parent or "")
    desk = Actor("desk", "值班员", village.tier, village.scope)
    above = Actor("above", "值班长", "township", village.scope.rsplit("/", 2)[0] + "/")
    with standing.engine.begin() as connection:
        for move, actor in ((Move.ACCEPT, desk), (Move.FINISH, desk), (Move.CLOSE, above)):
            before = ticket_store.load_tickets(connection, [ticket])[ticket]
            city = standing.city
            step = decide(before, Wish(move, before.version), actor, city.tree, city.dispatch, datetime.now(UTC))
            ticket_store.move_ticket(connection, before, tickets.after(before, step), step)


def test_two_schedulers_at_once_fire_each_deadline_once(standing: StandingCity) -> None:
    opened = {standing.open_ticket(severity=1) for _ in range(20)}
    moment, start, failed = tomorrow(), threading.Barrier(2), list[BaseException]()

    def race() -> None:
        try:
            start.wait()
            fire(standing, moment)
        except BaseException as problem:
            failed.append(problem)
            raise

    schedulers = [threading.Thread(target=race) for _ in range(2)]
    for scheduler in schedulers:
        scheduler.start()
    for scheduler in schedulers:
        scheduler.join()
    assert not failed
    assert steps(standing) == [(ticket, "overdue") for ticket in sorted(opened)]
    told = standing.rows("SELECT id FROM event_log WHERE data ->> 'overdue_at' IS NOT NULL")
    assert sorted(UUID(row.id) for row in told) == sorted(opened)


def test_what_one_scheduler_has_claimed_another_passes_over_without_waiting(standing: StandingCity) -> None:
    first, second = standing.open_ticket(severity=1), standing.open_ticket(severity=1)
    moment = tomorrow()
    with standing.engine.begin() as holder, standing.engine.begin() as other:
        held = [ticket.place.id for ticket in ticket_store.claim_due(holder, moment, 1)]
        rest = [ticket.place.id for ticket in ticket_store.claim_due(other, moment, 10)]
        assert sorted(held + rest) == sorted([first, second])
        assert len(held) == 1
        fire(standing, moment)
        assert steps(standing) == [], "both are held"
    fire(standing, moment)
    assert steps(standing) == [(ticket, "overdue") for ticket in sorted([first, second])]


def test_what_a_scheduler_that_died_had_begun_is_done_by_the_next(standing: StandingCity) -> None:
    ticket = standing.open_ticket(severity=1)
    moment = tomorrow()
    with standing.engine.connect() as connection:
        assert [own.place.id for own in ticket_store.claim_due(connection, moment, 10)] == [ticket]
        connection.rollback()
    fire(standing, moment)
    fire(standing, moment)
    assert steps(standing) == [(ticket, "overdue")]


def test_a_deadline_that_comes_back_after_it_fired_does_nothing_and_is_put_right(standing: StandingCity) -> None:
    ticket = standing.open_ticket(severity=1)
    moment = tomorrow()
    fire(standing, moment)
    before = kinds(standing, ticket)
    standing.rows("INSERT INTO deadlines VALUES (:ticket, 'handling', now())", ticket=ticket)
    fire(standing, moment)
    assert steps(standing) == [(ticket, "overdue")]
    assert kinds(standing, ticket) == before


def test_a_closed_tickets_deadline_never_fires(standing: StandingCity) -> None:
    ticket = standing.open_ticket(severity=1)
    close(standing, ticket)
    assert kinds(standing, ticket) == []
    # Nor when a row for it comes from anywhere.
    standing.rows("INSERT INTO deadlines VALUES (:ticket, 'handling', now())", ticket=ticket)
    fire(standing, tomorrow())
    assert steps(standing) == []
    assert kinds(standing, ticket) == []


def test_a_ticket_becomes_overdue_at_its_time_and_not_before(standing: StandingCity) -> None:
    ticket = standing.open_ticket(severity=1)
    [(due,)] = standing.rows("SELECT due_at FROM tickets")
    fire(standing, due - timedelta(microseconds=1))
    assert steps(standing) == []
    fire(standing, due)
    assert steps(standing) == [(ticket, "overdue")]
    with standing.engine.connect() as connection:
        assert log.read(connection, 0, 100)[-1].version > 2


def test_two_scheduler_processes_beat_and_fire_what_is_due_once(standing: StandingCity, database: Database) -> None:
    opened = sorted(standing.open_ticket(severity=1) for _ in range(5))
    standing.rows("UPDATE tickets SET due_at = now()")
    standing.rows("UPDATE deadlines SET due_at = now() WHERE kind = 'handling'")
    with processes.scheduler(database.worker_url), processes.scheduler(database.worker_url):
        wait_until(lambda: len(steps(standing)) == 5, what="the deadlines are fired")
        beat = "SELECT at FROM heartbeats WHERE process = 'scheduler'"
        first = wait_until(lambda: standing.rows(beat), what="a heartbeat")[0].at
        wait_until(lambda: standing.rows(beat)[0].at > first, what="the next heartbeat")
    assert steps(standing) == [(ticket, "overdue") for ticket in opened]
