"""Promise 4 under contention: however many raise the same event there is one ticket, and of two movers exactly one wins."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from command_center.account.account import Account
from command_center.event import log
from command_center.move import OutOfDate, make_move, tell
from command_center.respond import respond
from command_center.ticket.decide import BadWish, IllegalMove, NoSuchTarget, NotYours, Wish, decide
from command_center.ticket.store import load_steps, load_tickets, read_ticket
from command_center.ticket.ticket import ENDED, Cause, Move, Ticket, after, fold
from config.database import scoped, web_engine, worker_engine
from rules.alert import Alert, AlertChange, Change
from tests.conftest import Database
from tests.running_city import StandingCity, desks, standing_city
from tests.small_city import cell_code

WORKERS, FINGERPRINTS, BATCH = 64, 100, 10
RACERS, RACES = 8, 125


@pytest.fixture(scope="module")
def standing(module_database: Database) -> Iterator[StandingCity]:
    with standing_city(module_database) as found:
        yield found


def together(work: Sequence[Callable[[], str]]) -> list[str]:
    """All at once; what they came to. What one raises is raised."""
    start = threading.Barrier(len(work))

    def run(one: Callable[[], str]) -> str:
        start.wait(60)
        return one()

    with ThreadPoolExecutor(len(work)) as people:
        return list(people.map(run, work))


def raise_all(standing: StandingCity, engine: Engine, alerts: list[Alert], order: int) -> str:
    """One worker: the same alerts in an order of its own, batch by batch."""
    own = random.Random(order).sample(alerts, len(alerts))
    for n in range(0, len(own), BATCH):
        changes = [AlertChange(Change.RAISED, alert) for alert in own[n : n + BATCH]]
        with engine.begin() as connection:
            log.append(connection, respond(connection, changes, standing.city, datetime.now(UTC)))
    return "raised"


def test_64_workers_that_raise_the_same_events_make_one_ticket_for_each(standing: StandingCity) -> None:
    cells = [cell_code(county, town, 1, 1) for county in range(3) for town in (1, 2)]
    alerts = [
        standing.alert(standing.small.region(cells[n % len(cells)]), n % 4 + 1, "water-1", f"race-{n}")
        for n in range(FINGERPRINTS)
    ]
    assert len({alert.fingerprint for alert in alerts}) == FINGERPRINTS
    engine = worker_engine(standing.database.worker_url, pool_size=WORKERS)
    try:
        together([partial(raise_all, standing, engine, alerts, n) for n in range(WORKERS)])
    finally:
        engine.dispose()
    [counts] = standing.rows(
        "SELECT (SELECT count(*) FROM incidents) AS incidents, (SELECT count(*) FROM tickets) AS tickets,"
        " (SELECT count(*) FROM ticket_steps) AS steps, (SELECT count(*) FROM alerts) AS alerts,"
        " (SELECT count(*) FROM incident_signals) AS signals"
    )
    assert set(counts._mapping.values()) == {FINGERPRINTS}, dict(counts._mapping)
    assert every_row_is_the_fold_of_its_steps(standing) == FINGERPRINTS


def test_64_workers_with_sensors_of_their_own_make_one_ticket_for_each_matter(standing: StandingCity) -> None:
    home, engine = standing.small.region(cell_code()), worker_engine(standing.database.worker_url, pool_size=WORKERS)
    seen = [
        [standing.alert(home, n % 4 + 1, f"sensor-{worker}", f"shared-{n}") for n in range(BATCH)]
        for worker in range(WORKERS)
    ]
    try:
        together([partial(raise_all, standing, engine, alerts, n) for n, alerts in enumerate(seen)])
    finally:
        engine.dispose()
    found = standing.rows(
        "SELECT i.category, i.signals, (SELECT count(*) FROM tickets t WHERE t.incident = i.id) AS tickets"
        " FROM incidents i WHERE i.category LIKE 'shared-%'"
    )
    assert sorted((row.category, row.signals, row.tickets) for row in found) == [
        (f"shared-{n}", WORKERS, 1) for n in range(BATCH)
    ]


@dataclass(frozen=True)
class Chance:
    """A move that an account may make of a ticket as it stands."""

    account: Account
    wish: Wish


def account(standing: StandingCity, code: str) -> Account:
    region = standing.small.region(code)
    name = standing.small.username(code)
    return Account(uuid4(), name, region.name, region.tier, code, region.name, region.scope)


def chances(standing: StandingCity, ticket: Ticket, people: Sequence[Account]) -> list[Chance]:
    """What can be done to a ticket without ending it."""
    found, now = [], datetime.now(UTC)
    for who in people:
        for move in Move:
            wish = Wish(move, ticket.version, None, "竞争", Cause.OTHER, now.replace(year=now.year + 1, day=1), True, 5)
            with suppress(IllegalMove, NotYours, NoSuchTarget, BadWish):
                step = decide(ticket, wish, who.actor, standing.city.tree, standing.city.dispatch, now)
                if step.status not in ENDED and not after(ticket, step).helpers:
                    found.append(Chance(who, wish))
    return found


def attempt(standing: StandingCity, web: Engine, ticket: UUID, chance: Chance) -> str:
    with suppress(OutOfDate), scoped(web, chance.account.scope) as connection:
        tell(connection, make_move(connection, chance.account, standing.city, ticket, chance.wish, datetime.now(UTC)))
        return "moved"
    return "out of date"


def race(standing: StandingCity, web: Engine, seed: int) -> Counter[tuple[str, ...]]:
    """Two people at a time, each time looking at the same version of a ticket."""
    dice, found = random.Random(seed), Counter[tuple[str, ...]]()
    people = [account(standing, code) for code in desks(cell_code(), standing.small)]
    opened = [standing.open_ticket(severity=severity) for severity in (1, 2, 3, 4)]
    for n in range(RACES):
        with standing.engine.connect() as connection:
            ticket = read_ticket(connection, opened[n % len(opened)])
        assert ticket is not None
        two = dice.choices(chances(standing, ticket, people), k=2)
        ends = together([partial(attempt, standing, web, ticket.place.id, one) for one in two])
        found[tuple(sorted(ends))] += 1
    return found


def test_of_two_people_in_a_thousand_races_exactly_one_wins_each_time(standing: StandingCity) -> None:
    web = web_engine(standing.database.web_url)
    try:
        with ThreadPoolExecutor(RACERS) as racers:
            found = sum(racers.map(lambda seed: race(standing, web, seed), range(RACERS)), Counter())
    finally:
        web.dispose()
    assert found == {("moved", "out of date"): RACERS * RACES}
    assert every_row_is_the_fold_of_its_steps(standing) >= RACERS * 4


def every_row_is_the_fold_of_its_steps(standing: StandingCity) -> int:
    """How many tickets there are, every one of which its steps add up to."""
    with standing.engine.begin() as connection:
        stored = load_tickets(connection, [row.id for row in standing.rows("SELECT id FROM tickets")])
        for identity, ticket in stored.items():
            steps = load_steps(connection, identity)
            assert [step.version for step in steps] == list(range(1, ticket.version + 1))
            assert fold(ticket.place, steps) == ticket
    return len(stored)
