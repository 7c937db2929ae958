"""Promise 4: people move a ticket through five tiers, one at a time, and every move is one step that stays."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from command_center.ticket.store import load_steps, load_tickets
from command_center.ticket.ticket import fold
from tests.console import Answer
from tests.running_city import RunningCity, desks
from tests.small_city import CITY, COUNTIES, cell_code

A = COUNTIES[0]
CELL = cell_code()
VILLAGE = "321302001001"
WATCHING = {"force_close", "merge", "remind", "supervise"}


def steps(running: RunningCity, ticket: UUID, code: str = CITY) -> list[dict[str, Any]]:
    answer = running.console(code).get(f"/api/v1/tickets/{ticket}/steps")
    assert answer.status == 200
    found: list[dict[str, Any]] = answer.json["items"]
    return found


def offered(ticket: dict[str, Any]) -> set[str]:
    return {move["move"] for move in ticket["moves"]}


def is_problem(answer: Answer, status: int) -> dict[str, Any]:
    assert answer.status == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def test_a_ticket_goes_down_five_tiers_is_handled_and_is_closed_by_the_desk_above(running: RunningCity) -> None:
    ticket = running.open_ticket()
    path = desks(CELL, running.small)
    opened = running.ticket(ticket)
    assert (opened["status"], opened["tier"], opened["holder"]["account"]) == ("filed", "city", None)
    assert [node["region"] for node in opened["path"]] == path
    for holder, target in pairwise(path):
        shown = running.ticket(ticket, holder)
        [dispatch] = [move for move in shown["moves"] if move["move"] == "dispatch"]
        assert dispatch["to"][0]["region"] == target, "the region on the way to the place comes first"
        moved = running.move(holder, ticket, "dispatch")
        assert (moved["status"], moved["holder"]["region"]) == ("dispatched", target)
        assert offered(moved) == WATCHING, "who handed it down has nothing to do but watch"
    accepted = running.move(CELL, ticket, "accept")
    assert accepted["holder"]["account"] == running.small.username(CELL)
    assert offered(accepted) == {"finish", "return", "hand_up", "assist", "merge", "ask_extension", "ask_suspension"}
    handled = running.move(CELL, ticket, "finish")
    assert (handled["status"], offered(handled)) == ("handled", set())
    assert offered(running.ticket(ticket, VILLAGE)) == {
        "close",
        "rework",
        "check",
        "force_close",
        "remind",
        "supervise",
    }
    closed = running.move(VILLAGE, ticket, "close")
    assert (closed["status"], closed["version"], offered(closed)) == ("closed", 8, {"evaluate", "reopen"})
    times = [closed[name] for name in ("opened_at", "accepted_at", "handled_at", "closed_at")]
    assert times == sorted(times, key=datetime.fromisoformat)
    [(status,)] = running.rows("SELECT status FROM incidents WHERE id = :id", id=closed["incident"])
    assert status == "closed"


def test_every_move_is_a_step_with_its_maker_and_the_row_is_the_fold_of_the_steps(running: RunningCity) -> None:
    ticket = running.open_ticket()
    running.send_down(ticket, CITY, A)
    running.move(A, ticket, "return", reason="不属于本县区")
    running.move(CITY, ticket, "accept")
    running.move(CITY, ticket, "finish")
    running.move(CITY, ticket, "rework", reason="现场还有积水")
    trail = steps(running, ticket, A)
    assert [step["version"] for step in trail] == [1, 2, 3, 4, 5, 6]
    assert [step["move"] for step in trail] == ["file", "dispatch", "return", "accept", "finish", "rework"]
    assert trail[0]["by"] is None
    assert (trail[2]["by"]["account"], trail[2]["reason"]) == (running.small.username(A), "不属于本县区")
    with running.engine.begin() as connection:
        stored = load_tickets(connection, [ticket])[ticket]
        assert fold(stored.place, load_steps(connection, ticket)) == stored
    shown = running.ticket(ticket)
    assert (shown["handled_at"], shown["accepted_at"], shown["holder"]["account"]) == (None, None, None)


def test_a_closed_incident_takes_no_more_signals_and_the_next_one_opens_a_new_ticket(running: RunningCity) -> None:
    first = running.open_ticket(matter="again")
    running.move(CITY, first, "accept")
    running.move(CITY, first, "finish")
    running.move(CITY, first, "close")
    second = running.open_ticket(matter="again")
    assert second != first
    assert running.ticket(first)["version"] == 4


def test_a_move_made_looking_at_an_old_version_gets_the_current_ticket(running: RunningCity) -> None:
    ticket = running.open_ticket()
    old = running.ticket(ticket)
    running.move(CITY, ticket, "accept")
    problem = is_problem(running.console().move(old, "dispatch"), 409)
    current = running.ticket(ticket)
    assert problem["current"] == {name: value for name, value in current.items() if name != "moves"}


@pytest.mark.parametrize("attempt", range(3))
def test_of_two_people_at_once_exactly_one_wins(running: RunningCity, attempt: int) -> None:
    ticket = running.open_ticket()
    seen = running.ticket(ticket)
    start = threading.Barrier(2)
    answers: dict[str, Answer] = {}

    def move(what: str) -> None:
        start.wait()
        answers[what] = running.console().move(seen, what)

    people = [threading.Thread(target=move, args=(what,)) for what in ("accept", "dispatch")]
    for person in people:
        person.start()
    for person in people:
        person.join()
    won, lost = sorted(answers.values(), key=lambda answer: answer.status)
    assert won.status == 200
    assert is_problem(lost, 409)["current"]["version"] == 2
    assert [step["version"] for step in steps(running, ticket)] == [1, 2]


def test_a_repeat_with_its_key_gets_the_first_answer_and_makes_no_second_step(running: RunningCity) -> None:
    ticket = running.open_ticket()
    path, key = f"/api/v1/tickets/{ticket}/moves", {"Idempotency-Key": "once"}
    first = running.console().post(path, {"move": "accept", "version": 1}, key)
    again = running.console().post(path, {"version": 1, "move": "accept"}, key)
    assert (first.status, first.json) == (200, again.json)
    assert again.status == 200
    assert len(steps(running, ticket)) == 2
    is_problem(running.console().post(path, {"move": "finish", "version": 2}, key), 422)
    other = running.open_ticket()
    is_problem(running.console().post(f"/api/v1/tickets/{other}/moves", {"move": "accept", "version": 1}, key), 422)
    assert len(steps(running, ticket)) == 2


def test_ten_repeats_at_once_are_one_move(running: RunningCity) -> None:
    ticket = running.open_ticket()
    answers: list[Answer] = []

    def send() -> None:
        body, key = {"move": "accept", "version": 1}, {"Idempotency-Key": "ten at once"}
        answers.append(running.console().post(f"/api/v1/tickets/{ticket}/moves", body, key))

    people = [threading.Thread(target=send) for _ in range(10)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert Counter(answer.status for answer in answers) == {200: 10}
    assert len({answer.content for answer in answers}) == 1
    assert len(steps(running, ticket)) == 2


def test_a_key_belongs_to_one_account(running: RunningCity) -> None:
    ticket, key = running.open_ticket(severity=3), {"Idempotency-Key": "shared"}
    path = f"/api/v1/tickets/{ticket}/moves"
    assert running.console(A).post(path, {"move": "dispatch", "version": 1}, key).status == 200
    # The same request, with the same key: another account may not make it, and does not get the first one's answer.
    is_problem(running.console(VILLAGE).post(path, {"move": "dispatch", "version": 1}, key), 409)


def test_a_failed_move_leaves_its_key_free_for_another_try(running: RunningCity) -> None:
    ticket, key = running.open_ticket(), {"Idempotency-Key": "second try"}
    path = f"/api/v1/tickets/{ticket}/moves"
    is_problem(running.console().post(path, {"move": "accept", "version": 7}, key), 409)
    assert running.console().post(path, {"move": "accept", "version": 1}, key).status == 200


@pytest.mark.parametrize(("code", "move", "more", "status"), [
    (CITY, "finish", {}, 409),
    (CITY, "close", {}, 409),
    (CITY, "rework", {"reason": "x"}, 409),
    (A, "accept", {}, 403),
    (CELL, "dispatch", {}, 403),
    (CITY, "dispatch", {"to": "nowhere"}, 422),
    (CITY, "dispatch", {"to": CITY}, 422),
    (CITY, "dispatch", {"to": "x" * 65}, 422),
    (CITY, "dispatch", {"whither": A}, 422),
    (CITY, "explode", {}, 422),
    (CITY, "raise", {}, 422),
    (CITY, "overdue", {}, 422),
    (CITY, "file", {}, 409),
    (CITY, "accept", {"version": "newest"}, 422),
    (CITY, "accept", {"version": None}, 422),
    (CITY, "accept", {"version": 10**30}, 409),
    (CITY, "accept", {"reason": "x" * 2001}, 422),
])  # fmt: skip
def test_a_move_that_cannot_be_made_says_why_and_changes_nothing(
    running: RunningCity, code: str, move: str, more: dict[str, Any], status: int
) -> None:
    ticket = running.open_ticket()
    seen = running.ticket(ticket)
    is_problem(running.console(code).move(seen, move, **more), status)
    assert running.ticket(ticket) == seen
    assert len(steps(running, ticket)) == 1


@pytest.mark.parametrize("reason", [None, "", "   "])
def test_a_return_without_a_reason_is_refused(running: RunningCity, reason: str | None) -> None:
    ticket = running.open_ticket(severity=3)
    running.move(A, ticket, "accept")
    is_problem(running.console(A).move(running.ticket(ticket, A), "return", reason=reason), 422)
    assert running.move(A, ticket, "return", reason="不属于本县区")["status"] == "returned"


def test_a_grid_can_hand_nothing_down_and_nobody_closes_his_own_work(running: RunningCity) -> None:
    ticket = running.open_ticket(severity=1)
    running.send_down(ticket, VILLAGE, CELL)
    is_problem(running.console(CELL).move(running.ticket(ticket, CELL), "dispatch"), 422)
    running.move(CELL, ticket, "accept")
    running.move(CELL, ticket, "finish")
    is_problem(running.console(CELL).move(running.ticket(ticket, CELL), "close"), 403)


def test_a_move_for_a_ticket_that_never_was_is_a_404(running: RunningCity) -> None:
    nobody = {"id": "00000000-0000-4000-8000-000000000000", "version": 1}
    is_problem(running.console().move(nobody, "accept"), 404)


def test_a_move_waits_for_nobody_who_only_looks(running: RunningCity) -> None:
    ticket = running.open_ticket()
    with running.engine.connect() as looking:
        looking.exec_driver_sql("SELECT * FROM tickets WHERE id = %s", (ticket,))
        assert running.move(CITY, ticket, "accept")["version"] == 2
