"""The life of tickets through HTTP: its stories from end to end, and a long walk at random through all of it."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from command_center.audit import audit_deadlines
from command_center.city import Desk
from command_center.schedule import fire_deadlines
from command_center.ticket import store
from command_center.ticket.deadline import deadlines_of
from command_center.ticket.decide import offers
from command_center.ticket.ticket import Actor, Cause, Move, Status, Ticket, audience, fold
from tests.console import Answer
from tests.running_city import RunningCity, desks
from tests.small_city import CITY, COUNTIES, cell_code

A, B, C = COUNTIES
TOWN, VILLAGE, CELL = "321302001", "321302001001", cell_code()


def fire(running: RunningCity, at: datetime) -> None:
    """What a scheduler whose clock shows ``at`` does."""
    city = running.city
    desk = Desk(city.tree, city.dispatch, city.zone, city.inhibitions, city.grouping)
    fire_deadlines(running.engine, at, lambda _: desk)


def moment(stated: str) -> datetime:
    return datetime.fromisoformat(stated)


def rows(running: RunningCity, ticket: UUID) -> dict[str, datetime]:
    found = running.rows("SELECT kind, due_at FROM deadlines WHERE ticket = :of", of=ticket)
    return {row.kind: row.due_at for row in found}


def refused(running: RunningCity, code: str, ticket: UUID, move: str, status: int, **more: Any) -> None:
    answer = running.console(code).move(running.ticket(ticket, code), move, **more)
    assert answer.status == status, answer.content


def told(running: RunningCity, ticket: UUID) -> list[int]:
    """The versions of a ticket that the event log told."""
    found = running.rows("SELECT version FROM event_log WHERE kind = 'ticket' AND id = :of ORDER BY n", of=str(ticket))
    return [row.version for row in found]


def incident_status(running: RunningCity, ticket: UUID) -> str:
    [row] = running.rows(
        "SELECT i.status FROM incidents i JOIN tickets t ON t.incident = i.id WHERE t.id = :of", of=ticket
    )
    return str(row.status)


def test_more_time_is_asked_for_and_granted_twice_and_no_third_time(running: RunningCity) -> None:
    ticket = running.open_ticket(severity=1)
    due = moment(running.move(VILLAGE, ticket, "accept")["due_at"])
    for n in (1, 2):
        asked = running.move(VILLAGE, ticket, "ask_extension", reason="等待材料")
        assert (asked["request"]["what"], asked["responsible"], asked["version"]) == ("extension", TOWN, 2 * n + 1)
        refused(running, VILLAGE, ticket, "ask_extension", 409, reason="再次申请")
        refused(running, VILLAGE, ticket, "grant", 403)
        granted = running.move(TOWN, ticket, "grant")
        assert moment(granted["due_at"]) == due + n * timedelta(hours=24)
        assert (granted["request"], granted["extensions"], granted["responsible"]) == (None, n, VILLAGE)
        assert rows(running, ticket) == {"handling": moment(granted["due_at"])}
    refused(running, VILLAGE, ticket, "ask_extension", 409, reason="第三次")


def test_a_suspended_ticket_is_resumed_by_the_scheduler_with_the_time_that_was_left(running: RunningCity) -> None:
    ticket = running.open_ticket(severity=1)
    due = moment(running.move(VILLAGE, ticket, "accept")["due_at"])
    until = datetime.now(UTC) + timedelta(days=3)
    running.move(VILLAGE, ticket, "ask_suspension", reason="等待汛期结束", until=until.isoformat())
    suspended = running.move(TOWN, ticket, "grant")
    assert (suspended["status"], moment(suspended["resumes_at"])) == ("suspended", until)
    assert rows(running, ticket) == {"resume": until}
    fire(running, until - timedelta(seconds=1))
    assert running.ticket(ticket)["status"] == "suspended"
    fire(running, until)
    resumed = running.ticket(ticket)
    assert (resumed["status"], resumed["holder"]["region"]) == ("accepted", VILLAGE)
    left = due - moment(suspended["suspended_at"])
    assert moment(resumed["due_at"]) - until == left
    assert rows(running, ticket) == {"handling": until + left}
    refused(running, VILLAGE, ticket, "ask_suspension", 409, reason="再次", until=(until + timedelta(9)).isoformat())


def test_a_county_beside_helps_and_the_lead_waits_for_its_answer(running: RunningCity) -> None:
    ticket = running.open_ticket(severity=1)
    running.move(VILLAGE, ticket, "accept")
    path = f"/api/v1/tickets/{ticket}"
    assert running.console(B).get(path).status == 404
    running.move(VILLAGE, ticket, "assist", to=B, reason="请支援排水泵车")
    assert [running.console(code).get(path).status for code in (B, C)] == [200, 404]
    assert f"help:{B}" in rows(running, ticket)
    refused(running, VILLAGE, ticket, "finish", 409)
    refused(running, B, ticket, "finish", 403)
    running.move(B, ticket, "help_accept")
    refused(running, VILLAGE, ticket, "finish", 409)
    answered = running.move(B, ticket, "help_done", reason="泵车已到场")
    assert [(own["state"], own["answer"]) for own in answered["helpers"]] == [("done", "泵车已到场")]
    assert rows(running, ticket).keys() == {"handling"}
    assert running.move(VILLAGE, ticket, "finish")["status"] == "handled"


def test_a_helper_that_does_not_answer_is_told_again_and_again(running: RunningCity) -> None:
    ticket = running.open_ticket(severity=1)
    running.move(VILLAGE, ticket, "accept")
    running.move(VILLAGE, ticket, "assist", to=B, reason="请支援")
    first = rows(running, ticket)[f"help:{B}"]
    fire(running, first)
    assert rows(running, ticket)[f"help:{B}"] > first
    assert running.ticket(ticket, B)["version"] == 4


def test_what_is_given_back_twice_is_arbitrated_and_the_arbitration_binds(running: RunningCity) -> None:
    ticket = running.open_ticket(severity=1)
    running.move(VILLAGE, ticket, "return", reason="不属于本村", cause="not_ours")
    back = running.move(TOWN, ticket, "return", reason="也不属于本镇", cause="not_ours")
    assert (back["status"], back["holder"]["region"], back["returns"]) == ("arbitrating", A, 2)
    assert back["disowned"] == [VILLAGE, TOWN]
    assert rows(running, ticket).keys() == {"handling", "stage"}
    refused(running, A, ticket, "arbitrate", 422, to=VILLAGE)
    given = running.move(A, ticket, "arbitrate", to=VILLAGE, reason="按属地由本村处理")
    assert (given["status"], given["holder"]["region"], given["binding"]) == ("dispatched", VILLAGE, VILLAGE)
    refused(running, VILLAGE, ticket, "return", 409, reason="仍不属于本村")
    refused(running, VILLAGE, ticket, "hand_up", 409, reason="仍不属于本村")
    running.move(VILLAGE, ticket, "accept")


def closed_overdue(running: RunningCity) -> UUID:
    ticket = running.open_ticket(severity=1)
    due = moment(running.move(VILLAGE, ticket, "accept")["due_at"])
    fire(running, due)
    assert running.ticket(ticket)["overdue_at"] is not None
    running.move(VILLAGE, ticket, "finish")
    running.move(TOWN, ticket, "close")
    return ticket


def test_an_appeal_against_an_overdue_is_granted_by_the_desk_above_and_reviewed_by_the_city(
    running: RunningCity,
) -> None:
    ticket = closed_overdue(running)
    refused(running, TOWN, ticket, "appeal", 403, reason="不是本席位")
    running.move(VILLAGE, ticket, "appeal", reason="道路封闭，无法到达")
    reviewed = running.move(TOWN, ticket, "grant")
    assert (reviewed["request"]["what"], reviewed["exempt"]) == ("appeal_review", False)
    refused(running, A, ticket, "grant", 403)
    done = running.move(CITY, ticket, "grant")
    assert (done["request"], done["exempt"], done["status"]) == (None, True, "closed")
    refused(running, VILLAGE, ticket, "appeal", 409, reason="再次申诉")
    assert rows(running, ticket) == {}


def test_an_appeal_is_not_lost_when_the_ticket_is_evaluated_before_the_answer(running: RunningCity) -> None:
    ticket = closed_overdue(running)
    running.move(VILLAGE, ticket, "appeal", reason="道路封闭")
    judged = running.move(TOWN, ticket, "evaluate", score=3)
    assert (judged["status"], judged["request"]["what"]) == ("evaluated", "appeal")
    running.move(TOWN, ticket, "grant")
    assert running.move(CITY, ticket, "grant")["exempt"] is True


def test_of_merged_tickets_both_are_told_and_a_split_brings_the_follower_back(running: RunningCity) -> None:
    master, follower = running.open_ticket(severity=1), running.open_ticket(severity=1)
    merged = running.move(VILLAGE, follower, "merge", to=str(master))
    assert (merged["status"], merged["merged_into"]) == ("merged", str(master))
    assert (running.ticket(master)["merged"], running.ticket(master)["version"]) == ([str(follower)], 2)
    assert told(running, follower)[-1] == 2
    assert told(running, master)[-1] == 2
    assert (rows(running, follower), incident_status(running, follower)) == ({}, "merged")
    refused(running, VILLAGE, master, "merge", 409, to=str(follower))
    split = running.move(VILLAGE, follower, "split", reason="不是同一处")
    assert (split["status"], split["merged_into"], split["closed_at"]) == ("filed", None, None)
    assert (running.ticket(master)["merged"], told(running, master)[-1]) == ([], 3)
    assert rows(running, follower).keys() == {"handling", "stage"}
    assert incident_status(running, follower) == "open"


def test_what_nobody_handles_climbs_to_the_city_rung_by_rung(running: RunningCity) -> None:
    ticket = running.open_ticket(severity=1)
    at = moment(running.move(VILLAGE, ticket, "accept")["due_at"])
    climbed = []
    for minutes in (0, 60, 60, 240, 240):
        at += timedelta(minutes=minutes)
        fire(running, at)
        now = running.ticket(ticket)
        climbed.append((now["holder"]["region"], now["rung"], now["supervised_at"] is not None))
    assert climbed == [
        (VILLAGE, 1, False), (VILLAGE, 2, True), (TOWN, 3, True), (CITY, 4, True), (CITY, 5, True),
    ]  # fmt: skip
    assert {"dispatch", "return", "finish", "accept", "self_handle"} & {
        move["move"] for move in running.ticket(ticket)["moves"]
    }, "who has it now can do something"
    assert rows(running, ticket).keys() >= {"escalation"}


def test_a_graded_event_is_reported_upwards_until_the_final_report_and_is_closed_after_it(running: RunningCity) -> None:
    ticket = running.open_ticket(severity=1)
    running.move(VILLAGE, ticket, "accept")
    incident = running.ticket(ticket)["incident"]
    [row] = running.rows("SELECT version FROM incidents WHERE id = :id", id=incident)
    answer = running.console(A).ask(
        "PATCH",
        f"/api/v1/incidents/{incident}",
        {"event_grade": 2, "reason": "三人被困"},
        {"If-Match": f'"{row.version}"'},
    )
    assert answer.status == 200, answer.content
    graded = running.ticket(ticket)
    since = moment(graded["upward"]["since"])
    assert (graded["upward"]["next"], rows(running, ticket)["upward"]) == ("first", since + timedelta(minutes=15))
    refused(running, VILLAGE, ticket, "report_final", 409, reason="终报")
    fire(running, since + timedelta(minutes=15))
    assert running.ticket(ticket)["upward"]["lapses"] == 1
    reported = running.move(VILLAGE, ticket, "report_up", reason="电话初报")
    assert reported["upward"]["next"] == "written"
    assert rows(running, ticket)["upward"] == since + timedelta(minutes=30)
    assert running.move(VILLAGE, ticket, "report_up", reason="书面报告")["upward"]["next"] == "follow_up"
    running.move(VILLAGE, ticket, "finish")
    refused(running, TOWN, ticket, "close", 409)
    final = running.move(TOWN, ticket, "report_final", reason="终报")
    assert (final["upward"].get("next"), final["upward"]["given"]) == (None, 3)
    assert "upward" not in rows(running, ticket)
    assert running.move(TOWN, ticket, "close")["status"] == "closed"


# A walk at random.

WALKERS, ROUNDS, MOVES = 4, 10, 50
HONEST = {200, 403, 404, 409, 412, 422}


class Walk:
    """Tickets of one city, everybody who may have to do with them, and what their requests were answered."""

    def __init__(self, running: RunningCity) -> None:
        self.running = running
        self.matters = [f"walk-{n}" for n in range(24)]
        self.tickets = [
            running.open_ticket(cell_code(n % 2), severity=n % 4 + 1, matter=matter)
            for n, matter in enumerate(self.matters)
        ]
        cells = [cell_code(0), cell_code(1)]
        self.people = sorted({code for cell in cells for code in desks(cell, running.small)} | {C, "321302002"})
        for code in self.people:
            running.console(code)
        self.answers = Counter[int]()
        self.made = Counter[str]()
        self.lock = threading.Lock()

    def ticket(self, identity: UUID) -> Ticket:
        with self.running.engine.connect() as connection:
            found = store.read_ticket(connection, identity)
        assert found is not None
        return found

    def note(self, what: str, answer: Answer) -> None:
        with self.lock:
            self.answers[answer.status] += 1
            self.made[what] += answer.status == 200
        assert answer.status in HONEST, (what, answer.status, answer.content)

    def wander(self, seed: int) -> None:
        """One person after the other does something: mostly what may be done, to tickets as they stand."""
        dice = random.Random(seed)
        for _ in range(MOVES):
            identity = dice.choice(self.tickets)
            if dice.random() < 0.03:
                self.grade(identity, dice)
            else:
                self.move(identity, dice)

    def grade(self, identity: UUID, dice: random.Random) -> None:
        incident = self.ticket(identity).place.incident
        [row] = self.running.rows("SELECT version FROM incidents WHERE id = :id", id=incident)
        body = {"event_grade": dice.choice([None, 1, 2, 3, 4]), "reason": "定级"}
        path, condition = f"/api/v1/incidents/{incident}", {"If-Match": f'"{row.version - (dice.random() < 0.1)}"'}
        self.note("grade", self.running.console(dice.choice([CITY, A, B])).ask("PATCH", path, body, condition))

    def move(self, identity: UUID, dice: random.Random) -> None:
        ticket, now = self.ticket(identity), datetime.now(UTC)
        who, move, to = dice.choice(self.people), dice.choice(list(Move)), [dice.choice(self.people)]
        if dice.random() < 0.85:
            found = [
                (code, offer.move, [region for region, _ in offer.to])
                for code in self.people
                for offer in offers(ticket, self.actor(code), self.running.city.tree, self.running.city.dispatch, now)
                # Few end, or the walk would soon stand still.
                if offer.move not in {Move.FORCE_CLOSE, Move.MERGE, Move.REMIND, Move.SUPERVISE} or dice.random() < 0.2
            ]
            who, move, to = dice.choice(found) if found else (who, move, to)
        body: dict[str, Any] = {"move": move, "version": ticket.version - (dice.random() < 0.1)}
        if to and dice.random() < 0.7:
            body["to"] = dice.choice(to)
        if move is Move.MERGE:
            body["to"] = str(dice.choice(self.tickets))
        if dice.random() < 0.95:
            body |= {"reason": "随机", "cause": dice.choice(list(Cause)), "ok": dice.random() < 0.5}
            body |= {"score": dice.randint(1, 5), "until": (now + timedelta(hours=dice.randint(1, 99))).isoformat()}
        self.note(move, self.running.console(who).post(f"/api/v1/tickets/{identity}/moves", body))

    def actor(self, code: str) -> Actor:
        region = self.running.small.region(code)
        return Actor(self.running.small.username(code), region.name, region.tier, region.scope)

    def worsen(self, n: int) -> None:
        """The matter is seen again, and graver, while people move its ticket."""
        self.running.open_ticket(cell_code(n % 2), severity=n % 4 + 1, matter=self.matters[n])


def jumps(dice: random.Random) -> Iterator[timedelta]:
    """Ever later: minutes, hours, days."""
    ahead = timedelta()
    while True:
        ahead += dice.choice([timedelta(minutes=20), timedelta(hours=2), timedelta(hours=30), timedelta(days=3)])
        yield ahead


def test_a_long_walk_leaves_every_ticket_the_fold_of_its_steps_with_its_deadlines(running: RunningCity) -> None:
    walk = Walk(running)
    ahead = jumps(random.Random(1))
    with ThreadPoolExecutor(WALKERS + 2) as people:
        for n in range(ROUNDS):
            at = datetime.now(UTC) + next(ahead)
            walking = [people.submit(walk.wander, WALKERS * n + own) for own in range(WALKERS)]
            walking += [people.submit(fire, running, at), people.submit(walk.worsen, n)]
            for one in walking:
                one.result()
    assert sum(walk.answers.values()) == WALKERS * ROUNDS * MOVES >= 2000
    assert walk.answers[200] >= 1000, walk.answers
    assert {403, 409, 422} <= walk.answers.keys()
    assert len([move for move, times in walk.made.items() if times]) >= 20, walk.made
    everything_agrees(running)
    assert audit_deadlines(running.engine, datetime.now(UTC), lambda _: running.city.tree) == []


def everything_agrees(running: RunningCity) -> None:
    """Row, steps, deadlines, grants, incident and event log of every ticket say the same."""
    identities = [row.id for row in running.rows("SELECT id FROM tickets")]
    with running.engine.begin() as connection:
        stored = store.load_tickets(connection, identities)
        trails = {identity: store.load_steps(connection, identity) for identity in identities}
    for identity, ticket in stored.items():
        assert fold(ticket.place, trails[identity]) == ticket
        assert rows(running, identity) == deadlines_of(ticket)
        assert ticket.ended or deadlines_of(ticket)
        grants = running.rows("SELECT scope FROM object_grants WHERE object = :of", of=identity)
        assert {row.scope for row in grants} == set(audience(ticket)[1:])
        assert incident_status(running, identity) == (
            "merged" if ticket.status is Status.MERGED else "closed" if ticket.ended else "open"
        )
        assert told(running, identity)[-1] == ticket.version
