"""The checker itself: each thing that can go wrong, alone, is found, and named what it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.faults.check import Caught, Held, HeldStep, HeldTicket, Seen, Told, judge
from tests.faults.ledger import Asked, Ledger, Name, Sent, Step

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ONE, TWO = UUID(int=1), UUID(int=2)
NOISE, ALARM = Name("lift-1", "noise", 50.1), Name("lift-1", "elevator_trapped_s", 100.1)
LOG = [Told(3, "alert", "a", 1), Told(4, "ticket", str(ONE), 1), Told(7, "ticket", str(TWO), 1)]
LOG += [Told(8, "ticket", str(ONE), 2), Told(9, "ticket", str(TWO), 2)]


def ledger() -> Ledger:
    """One alarm became ticket ONE, which was accepted; one report became ticket TWO, whose time ran out."""
    book = Ledger(alarms={ALARM})
    book.readings = {NOISE: Sent(5, 3, 3, 1), ALARM: Sent(6, 1, 1, 0)}
    book.poisons = {"poison-0-1": Sent(None, 1, 1)}
    book.moves = {Step(ONE, 2, "accept"): Asked(2, 200), Step(ONE, 3, "accept"): Asked(1, 409)}
    book.reports = {"井盖缺失": Asked(1, 201), "never answered": Asked(5, 0)}
    book.timers = {TWO: NOON}
    return book


def held() -> Held:
    return Held(
        {NOISE: (5,), ALARM: (6,)},
        frozenset({"poison-0-1"}),
        [("elevator-trapped", "lift-1")],
        [HeldTicket(ONE, "lift-1", None, 2), HeldTicket(TWO, "", "井盖缺失", 2)],
        [
            HeldStep(ONE, 1, "open", NOON, False),
            HeldStep(ONE, 2, "accept", NOON, True),
            HeldStep(TWO, 1, "report", NOON, False),
            HeldStep(TWO, 2, "overdue", NOON + timedelta(seconds=1), False),
        ],
        Counter(["井盖缺失"]),
        LOG,
    )


def console(*record: Caught | Told, audible: frozenset[int] = frozenset(told.n for told in LOG)) -> Seen:
    return Seen("a console", record or (Caught(3, True), *LOG[1:]), audible)


def wrong(book: Ledger, stored: Held, seen: Seen, **more: bool) -> set[str]:
    """The names of what the checker finds."""
    verdict = judge(book, stored, [seen], NOON + timedelta(minutes=5), **more)
    print(verdict.table("a case"))
    names = ("lost", "extra", "duplicate_tickets", "late_timers", "out_of_order", "forgotten")
    return {name for name in names if getattr(verdict, name)}


def test_where_nothing_is_wrong_nothing_is_found() -> None:
    assert wrong(ledger(), held(), console()) == set()


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        (lambda held: replace(held, readings={ALARM: (6,)}), {"lost"}),
        (lambda held: replace(held, readings={NOISE: (5, 5), ALARM: (6,)}), {"extra"}),
        (lambda held: replace(held, readings={NOISE: (4,), ALARM: (6,)}), {"extra"}),
        (lambda held: replace(held, readings={**held.readings, Name("lift-2", "noise", 1.0): (5,)}), {"extra"}),
        (lambda held: replace(held, quarantined=frozenset()), {"lost"}),
        (lambda held: replace(held, quarantined=frozenset({"poison-0-1", "poison-9-9"})), {"extra"}),
        (lambda held: replace(held, alerts=held.alerts * 2), {"extra"}),
        (lambda held: replace(held, reports=Counter()), {"lost"}),
        (lambda held: replace(held, reports=Counter(["井盖缺失"] * 2)), {"extra"}),
        (lambda held: replace(held, reports=Counter(["井盖缺失", "nobody's"])), {"extra"}),
        (lambda held: replace(held, steps=held.steps[:1] + held.steps[2:]), {"lost"}),
        (lambda held: replace(held, steps=held.steps[:3]), {"lost", "late_timers"}),
    ],
)
def test_what_the_database_lacks_or_has_too_much_is_found(stored: Callable[[Held], Held], found: set[str]) -> None:
    assert wrong(ledger(), stored(held()), console()) == found


def test_a_second_ticket_for_one_alarm_or_one_report_is_found_and_a_missing_one_too() -> None:
    good = held()
    for second in (replace(good.tickets[0], id=UUID(int=3)), replace(good.tickets[1], id=UUID(int=3))):
        stored = replace(
            good,
            tickets=[*good.tickets, replace(second, version=1)],
            steps=[*good.steps, HeldStep(second.id, 1, "open", NOON, False)],
            log=[*LOG, Told(10, "ticket", str(second.id), 1)],
        )
        heard = console(Caught(3, True), *stored.log[1:], audible=frozenset(told.n for told in stored.log))
        assert wrong(ledger(), stored, heard) == {"duplicate_tickets"}
    assert wrong(ledger(), replace(good, tickets=good.tickets[1:]), console()) == {"lost"}


@pytest.mark.parametrize(
    ("at_s", "away", "found"),
    [
        ([-1], [], {"late_timers"}),
        ([9], [], set()),
        ([60], [], {"late_timers"}),
        ([60], [(-30, 55)], set()),
        ([60], [(-30, 20)], {"late_timers"}),
        ([1, 2], [], {"late_timers"}),
        ([], [], {"late_timers"}),
    ],
)
def test_a_deadline_that_is_done_early_late_twice_or_never_is_found(
    at_s: list[float], away: list[tuple[float, float]], found: set[str]
) -> None:
    good, book = held(), ledger()
    overdue = [HeldStep(TWO, 2 + n, "overdue", NOON + timedelta(seconds=s), False) for n, s in enumerate(at_s)]
    version = 1 + len(at_s)
    told = [*LOG[:4], *(Told(9 + n, "ticket", str(TWO), 2 + n) for n in range(len(at_s)))]
    stored = replace(
        good,
        tickets=[good.tickets[0], replace(good.tickets[1], version=version)],
        steps=good.steps[:3] + overdue,
        log=told,
    )
    book.scheduler_away = [(NOON + timedelta(seconds=a), NOON + timedelta(seconds=b)) for a, b in away]
    heard = console(Caught(3, True), *told[1:], audible=frozenset(entry.n for entry in told))
    assert wrong(book, stored, heard) == found


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ([Caught(3, True), *LOG[1:3], *LOG[4:]], {"lost"}),
        ([Caught(3, True), *LOG[1:3], Caught(9, True)], set()),
        ([Caught(3, True), *LOG[1:3], Caught(9, False, tuple(LOG[3:]))], set()),
        ([Caught(3, True), *LOG[1:], LOG[-1]], {"out_of_order"}),
        ([Caught(3, True), LOG[1], LOG[3], LOG[2], LOG[4]], {"out_of_order"}),
        ([Caught(3, True), *LOG[1:], Told(10, "ticket", "rolled back", 1)], {"extra"}),
        ([Caught(3, True), *LOG[1:4], LOG[4]._replace(version=1)], {"extra"}),
    ],
)
def test_what_a_console_misses_hears_twice_or_in_the_wrong_order_is_found(
    record: list[Caught | Told], found: set[str]
) -> None:
    assert wrong(ledger(), held(), console(*record)) == found


def test_a_console_that_hears_of_others_is_found() -> None:
    assert wrong(ledger(), held(), console(audible=frozenset({4, 7, 8}))) == {"extra"}


def test_what_a_killed_broker_had_acknowledged_is_told_apart_from_what_we_had() -> None:
    stored = replace(held(), readings={NOISE: (5,)})
    assert wrong(ledger(), stored, console(), broker_kept=False) == {"forgotten"}
    assert wrong(ledger(), stored, console(), broker_kept=True) == {"lost"}
    stored = replace(held(), readings={ALARM: (6,)})
    assert wrong(ledger(), stored, console(), broker_kept=False) == {"lost"}
