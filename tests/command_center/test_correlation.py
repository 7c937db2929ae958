"""Promise 3: one cause, one incident, one open ticket, in whatever order it is told; and what was told is mended by steps."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from command_center.city import correlations
from command_center.event import log
from command_center.regroup import relabel
from command_center.respond import respond
from command_center.ticket.deadline import deadlines_of
from command_center.ticket.store import load_steps, load_tickets, stored_deadlines
from command_center.ticket.ticket import fold
from config.database import worker_engine
from gis.region import Region
from rules.alert import Alert, AlertChange, Change, Source
from rules.correlation import Correlation, Reach, Storm
from tests.running_city import RunningCity
from tests.small_city import CITY, COUNTIES, cell_code

A, B, _ = COUNTIES
TOWN, VILLAGE = f"{A}001", f"{A}001001"
METRE_LAT = 1 / 111_195.08
TABLE = Correlation(
    Reach(50.0, 24 * 3_600_000_000), {"flood": ("waterlogging", "area_flooding")}, {}, Storm(rate=30, window_s=60)
)
NOW_US = int(time.time() * 1e6)


@pytest.fixture
def empty(running: RunningCity) -> Iterator[RunningCity]:
    """Nothing of what another test told is near, nor in its township's storm: it is another matter by name."""
    running.city = replace(running.city, correlation=TABLE)
    yield running
    tickets_are_in_order(running)


def alert(
    home: Region,
    category: str,
    *,
    at: tuple[float, float],
    north_m: float = 0,
    later_s: float = 0,
    severity: int = 2,
    source: str | None = None,
) -> Alert:
    identity = uuid4()
    at_us = NOW_US - 3_600_000_000 + round(later_s * 1e6)
    own = source or f"sensor-{identity}"
    place = Source("sensor", own, "测点", home.code, home.parent or "", home.scope, at[0], at[1] + north_m * METRE_LAT)
    return Alert(
        id=identity, rule=f"rule-{identity}", rule_version=1, source=place, domain="emergency", category=category,
        severity=severity, title=f"{category} {severity}", title_en=f"{category} {severity}", quantity="water_depth",
        unit="m", value=0.3, threshold=0.2, raised_at_us=at_us, at_us=at_us,
    )  # fmt: skip


def here(running: RunningCity, category: str, **more: Any) -> Alert:
    home = running.small.region(cell_code())
    return alert(home, category, at=running.small.centre(home.code), **more)


def told(running: RunningCity, alerts: Sequence[Alert], change: Change = Change.RAISED) -> None:
    """One batch, by the path's own door."""
    with running.engine.begin() as connection:
        changes = [AlertChange(change, one) for one in alerts]
        log.append(connection, respond(connection, changes, running.city, datetime.now(UTC)))


def partition(running: RunningCity, alerts: Sequence[Alert]) -> list[set[UUID]]:
    """Which of the alerts are of one incident, in the order of their first ones."""
    rows = running.rows(
        "SELECT s.signal, s.incident, i.status FROM incident_signals s JOIN incidents i ON i.id = s.incident"
        " WHERE s.signal = ANY (:ids)",
        ids=[one.id for one in alerts],
    )
    assert {row.status for row in rows} <= {"open"}
    of = {row.signal: row.incident for row in rows}
    assert of.keys() == {one.id for one in alerts}
    found: dict[UUID, set[UUID]] = {}
    for one in alerts:
        found.setdefault(of[one.id], set()).add(one.id)
    return list(found.values())


def incident_of(running: RunningCity, one: Alert) -> Any:
    [row] = running.rows(
        "SELECT i.* FROM incidents i JOIN incident_signals s ON s.incident = i.id WHERE s.signal = :id", id=one.id
    )
    return row


def steps(running: RunningCity, incident: UUID, code: str = CITY) -> list[dict[str, Any]]:
    answer = running.console(code).get(f"/api/v1/incidents/{incident}/steps")
    assert answer.status == 200, answer.content
    found: list[dict[str, Any]] = answer.json["items"]
    return found


def tickets_are_in_order(running: RunningCity) -> None:
    """Every ticket is the fold of its steps, with its deadlines; an open incident has one open ticket; nothing is lost."""
    with running.engine.begin() as connection:
        stored = load_tickets(connection, [row.id for row in running.rows("SELECT id FROM tickets")])
        rows = stored_deadlines(connection, list(stored.values()))
        for identity, ticket in stored.items():
            assert fold(ticket.place, load_steps(connection, identity)) == ticket
            assert rows.get(identity, {}) == deadlines_of(ticket)
    wrong = running.rows(
        "SELECT i.id, i.status, t.status FROM incidents i LEFT JOIN tickets t ON t.incident = i.id"
        " WHERE (i.status = 'open') <> (t.closed_at IS NULL AND t.status NOT IN ('reported', 'verifying'))"
        " OR (i.status = 'merged') <> (t.status = 'merged') OR (i.status = 'merged') <> (i.merged_into IS NOT NULL)"
    )
    assert wrong == []
    miscounted = running.rows(
        "SELECT i.id FROM incidents i WHERE i.signals <> (SELECT count(*) FROM incident_signals s WHERE s.incident = i.id)"
    )
    assert miscounted == []
    untold = running.rows(
        "SELECT id FROM alerts WHERE muted_kind IS NULL AND id NOT IN (SELECT signal FROM incident_signals)"
    )
    assert untold == []
    last = running.rows(
        "SELECT DISTINCT ON (e.id) e.id, e.data ->> 'version' AS said, i.version FROM event_log e"
        " JOIN incidents i ON i.id::text = e.id WHERE e.kind = 'incident' ORDER BY e.id, e.n DESC"
    )
    assert all(int(row.said) == row.version for row in last)


def chain(running: RunningCity, category: str, links: int, **more: Any) -> list[Alert]:
    """Alerts forty metres apart, each linked to the next only."""
    return [here(running, category, north_m=40 * n, later_s=n, **more) for n in range(links)]


@pytest.mark.parametrize("seed", range(6))
def test_any_order_and_any_batches_leave_the_same_incidents_and_repeats_nothing(empty: RunningCity, seed: int) -> None:
    dice = random.Random(seed)
    one, other = chain(empty, f"order-{seed}", 6), chain(empty, f"other-{seed}", 3)
    far = [here(empty, f"order-{seed}", north_m=700 + 100 * n) for n in range(2)]
    alerts = [*one, *other, *far]
    shuffled = dice.sample(alerts, len(alerts))
    while shuffled:
        size = dice.randint(1, 4)
        told(empty, shuffled[:size])
        # The same again, after a restart for example: it is known.
        told(empty, shuffled[:size])
        shuffled = shuffled[size:]
    assert sorted(map(sorted, partition(empty, alerts))) == sorted(
        sorted(each.id for each in own) for own in (one, other, far[:1], far[1:])
    )


def test_a_bridge_merges_the_younger_incident_and_its_ticket_into_the_older_by_visible_steps(
    empty: RunningCity,
) -> None:
    first, bridge, second = chain(empty, "bridge", 3, severity=1)
    grave = replace(second, severity=3, title="更严重")
    told(empty, [first])
    told(empty, [grave])
    older, younger = incident_of(empty, first), incident_of(empty, grave)
    assert older.id != younger.id
    told(empty, [bridge])
    survivor = incident_of(empty, bridge)
    assert (survivor.id, survivor.signals, survivor.severity, survivor.title) == (older.id, 3, 3, "更严重")
    [gone] = empty.rows("SELECT * FROM incidents WHERE id = :id", id=younger.id)
    assert (gone.status, gone.merged_into, gone.signals) == ("merged", older.id, 0)
    follower, master = empty.ticket(younger.ticket), empty.ticket(older.ticket)
    assert (follower["status"], follower["merged_into"]) == ("merged", str(older.ticket))
    assert (master["merged"], master["severity"]) == ([str(younger.ticket)], 3)
    assert [step["what"] for step in steps(empty, younger.id)] == ["opened", "merged"]
    assert [step["what"] for step in steps(empty, older.id)] == ["opened", "absorbed"]
    assert steps(empty, younger.id)[1]["facts"]["into"] == str(older.id)
    trail = empty.console(CITY).get(f"/api/v1/tickets/{younger.ticket}/steps").json["items"]
    assert [(step["move"], step["by"]) for step in trail] == [("file", None), ("merge", None)]
    trail = empty.console(CITY).get(f"/api/v1/tickets/{older.ticket}/steps").json["items"]
    assert [step["move"] for step in trail] == ["file", "absorb", "raise"]
    answer = empty.console(CITY).get(f"/api/v1/incidents/{older.id}/signals")
    assert [item["id"] for item in answer.json["items"]] == [str(one.id) for one in (first, bridge, grave)]


def test_a_ticket_that_somebody_works_on_is_merged_too_and_one_that_owes_a_report_upwards_goes_on(
    empty: RunningCity,
) -> None:
    first, bridge, second = chain(empty, "owes", 3, severity=1)
    told(empty, [first])
    told(empty, [second])
    older, younger = incident_of(empty, first), incident_of(empty, second)
    desk = empty.ticket(older.ticket)["holder"]["region"]
    empty.move(desk, older.ticket, "accept")
    graded = empty.console(A).ask(
        "PATCH",
        f"/api/v1/incidents/{younger.id}",
        {"event_grade": 3, "reason": "较大"},
        {"If-Match": str(younger.version)},
    )
    assert graded.status == 200, graded.content
    told(empty, [bridge])
    assert incident_of(empty, bridge).id == younger.id
    assert empty.ticket(older.ticket)["status"] == "merged"


def test_a_batch_that_is_rolled_back_leaves_nothing_and_may_come_again(empty: RunningCity) -> None:
    first, bridge, second = chain(empty, "killed", 3)
    told(empty, [first])
    told(empty, [second])
    with empty.engine.connect() as connection:
        # Killed before its commit.
        respond(connection, [AlertChange(Change.RAISED, bridge)], empty.city, datetime.now(UTC))
    assert len(partition(empty, [first, second])) == 2
    told(empty, [bridge])
    assert len(partition(empty, [first, bridge, second])) == 1


def test_eight_workers_at_once_come_to_the_same_incidents_while_people_move_the_tickets(empty: RunningCity) -> None:
    lines = [chain(empty, f"race-{n}", 12) for n in range(3)]
    alerts = [one for line in lines for one in line]
    engine = worker_engine(empty.database.worker_url, pool_size=8)
    done = threading.Event()

    def work(seed: int) -> None:
        for one in random.Random(seed).sample(alerts, len(alerts)):
            with engine.begin() as connection:
                changes = [AlertChange(Change.RAISED, one)]
                log.append(connection, respond(connection, changes, empty.city, datetime.now(UTC)))

    def people() -> int:
        moved = 0
        while not done.is_set():
            for row in empty.rows("SELECT t.id FROM tickets t WHERE category LIKE 'race-%' AND status = 'filed'"):
                seen = empty.ticket(row.id)
                answer = empty.console(seen["holder"]["region"]).move(seen, "accept")
                assert answer.status in (200, 409), answer.content
                moved += answer.status == 200
        return moved

    with ThreadPoolExecutor(9) as crowd:
        busy = crowd.submit(people)
        list(crowd.map(work, range(8)))
        done.set()
        assert busy.result() > 0
    engine.dispose()
    assert partition(empty, alerts) == [{one.id for one in line} for line in lines]


def test_a_flood_of_alarms_in_one_township_is_one_incident_and_a_fire_stays_its_own(empty: RunningCity) -> None:
    home = empty.small.region(cell_code(0, 2, 1, 1))
    at = empty.small.centre(home.code)
    dice = random.Random(1)
    flood = [
        alert(
            home,
            dice.choice(["waterlogging", "area_flooding"]),
            at=at,
            north_m=dice.uniform(-2000, 2000),
            later_s=dice.uniform(0, 10),
        )
        for _ in range(600)
    ]
    fire = alert(home, "fire", at=at, later_s=5)
    # The first come one by one, before anybody can know that it is a storm.
    for one in flood[:20]:
        told(empty, [one])
    before = len({incident_of(empty, one).id for one in flood[:20]})
    assert before > 5
    told(empty, [*flood[20:300], fire])
    told(empty, flood[300:])
    assert partition(empty, [*flood, fire]) == [{one.id for one in flood}, {fire.id}]
    survivor = incident_of(empty, flood[0])
    assert survivor.signals == 600
    assert [step["what"] for step in steps(empty, survivor.id)] == ["opened", *["absorbed"] * (before - 1)]


def test_another_table_takes_up_what_is_open_and_what_it_says_is_one_matter_becomes_one(empty: RunningCity) -> None:
    before = replace(TABLE, families={"old-name": ("re-smoke", "re-soot")})
    after = replace(TABLE, families={"new-name": ("re-smoke", "re-fire")})
    empty.city = replace(empty.city, correlation=before)
    smoke, fire, soot = (here(empty, f"re-{what}", later_s=n) for n, what in enumerate(("smoke", "fire", "soot")))
    far = here(empty, "re-fire", north_m=400)
    for one in (smoke, fire, soot, far):
        told(empty, [one])
    assert sorted(map(len, partition(empty, [smoke, fire, soot, far]))) == [1, 1, 2], "soot is smoke, a fire is not"
    older, younger = incident_of(empty, smoke), incident_of(empty, fire)
    empty.city = replace(empty.city, correlation=after)
    for turn in range(2):
        with empty.engine.begin() as connection:
            events = relabel(connection, empty.city, datetime.now(UTC))
            log.append(connection, events)
        assert bool(events) is (turn == 0), "what is under the table in force stays as it is"
    assert incident_of(empty, fire).id == incident_of(empty, smoke).id == older.id
    assert incident_of(empty, soot).id == older.id, "a link never parts what was joined"
    assert incident_of(empty, far).id not in (older.id, younger.id)
    assert [step["what"] for step in steps(empty, older.id)] == ["opened", "absorbed"]
    assert empty.ticket(younger.ticket)["status"] == "merged"
    new = here(empty, "re-fire", north_m=390)
    told(empty, [new])
    assert incident_of(empty, new).id == incident_of(empty, far).id, "signals that come find what came before"


def split(running: RunningCity, incident: Any, *alerts: Alert, who: str = TOWN, **more: Any) -> Any:
    body = {"signals": [str(one.id) for one in alerts], "reason": "两件事", "version": incident.version}
    return running.console(who).post(f"/api/v1/incidents/{incident.id}/split", body | more)


def join(running: RunningCity, incident: Any, other: UUID, who: str = TOWN, **more: Any) -> Any:
    body = {"other": str(other), "reason": "一件事", "version": incident.version}
    return running.console(who).post(f"/api/v1/incidents/{incident.id}/join", body | more)


def test_what_a_person_split_stays_apart_whatever_comes_after_until_a_person_joins_it(empty: RunningCity) -> None:
    alerts = chain(empty, "parted", 4)
    told(empty, alerts)
    whole = incident_of(empty, alerts[0])
    answer = split(empty, whole, *alerts[2:])
    assert answer.status == 201, answer.content
    fresh = answer.json
    assert (fresh["signals"], fresh["status"], fresh["version"]) == (2, "open", 1)
    assert incident_of(empty, alerts[2]).id == UUID(fresh["id"]) != whole.id
    assert empty.ticket(UUID(fresh["ticket"]))["status"] == "filed"
    # Between the two, nearer to the one that was split off; and later ones on top of either.
    near = [
        here(empty, "parted", north_m=61, later_s=9),
        here(empty, "parted", north_m=41),
        here(empty, "parted", north_m=79),
    ]
    for one in near:
        told(empty, [one])
    assert {incident_of(empty, near[0]).id, incident_of(empty, near[2]).id} == {UUID(fresh["id"])}
    assert incident_of(empty, near[1]).id == whole.id
    assert [step["what"] for step in steps(empty, whole.id)] == ["opened", "parted"]
    assert [(step["what"], step["reason"]) for step in steps(empty, UUID(fresh["id"]))] == [("split", "两件事")]
    joined = join(empty, incident_of(empty, near[0]), whole.id)
    assert joined.status == 200, joined.content
    assert (joined.json["id"], joined.json["signals"]) == (str(whole.id), 7)
    assert len(partition(empty, [*alerts, *near])) == 1
    [*_, last] = steps(empty, whole.id)
    assert (last["what"], last["by"]["account"], last["reason"]) == ("absorbed", empty.small.username(TOWN), "一件事")
    # Nothing holds them apart any more.
    more = here(empty, "parted", north_m=60)
    told(empty, [more])
    assert incident_of(empty, more).id == whole.id


def test_what_was_kept_apart_stays_so_when_one_of_the_two_is_merged_into_a_third(empty: RunningCity) -> None:
    alerts = chain(empty, "third", 4)
    elder = here(empty, "third", north_m=-80)
    told(empty, [elder])
    told(empty, alerts)
    fresh = split(empty, incident_of(empty, alerts[0]), *alerts[2:]).json
    told(empty, [here(empty, "third", north_m=-40)])
    assert incident_of(empty, alerts[0]).id == incident_of(empty, elder).id
    told(empty, [here(empty, "third", north_m=60)])
    assert incident_of(empty, alerts[2]).id == UUID(fresh["id"])
    assert incident_of(empty, alerts[0]).id == incident_of(empty, elder).id


def test_merging_a_ticket_takes_its_signals_along_and_splitting_gives_them_back_for_good(empty: RunningCity) -> None:
    one, other = here(empty, "tickets", severity=2), here(empty, "tickets", severity=2, north_m=120)
    told(empty, [one])
    told(empty, [other])
    master, follower = incident_of(empty, one), incident_of(empty, other)
    desk = empty.ticket(follower.ticket)["holder"]["region"]
    empty.move(desk, follower.ticket, "merge", to=str(master.ticket))
    assert incident_of(empty, other).id == master.id
    told(empty, [here(empty, "tickets", north_m=125)])
    assert incident_of(empty, other).signals == 3
    empty.move(desk, follower.ticket, "split", reason="另一件事")
    assert incident_of(empty, other).id == follower.id
    assert (incident_of(empty, other).signals, incident_of(empty, one).signals) == (1, 2)
    told(empty, [here(empty, "tickets", north_m=north_m) for north_m in (40, 80)])
    assert incident_of(empty, other).id == follower.id != incident_of(empty, one).id
    assert [step["what"] for step in steps(empty, follower.id)] == ["opened", "merged", "split"]


def test_a_filed_report_stands_alone_beside_what_it_was_filed_against_and_takes_what_comes_near_it_otherwise(
    empty: RunningCity,
) -> None:
    empty.city = replace(empty.city, correlation=correlations("suqian"))
    cell = cell_code(0, 1, 2, 3)
    home = empty.small.region(cell)
    at = empty.small.centre(cell)
    machine = alert(home, "waterlogging", at=at, severity=1)
    told(empty, [machine])
    words = {"kind": "waterlogging", "words": "路面积水", "lng": at[0], "lat": at[1] + 30 * METRE_LAT}
    report = empty.console(TOWN).post("/api/v1/reports", words)
    assert report.status == 201, report.content
    [row] = empty.rows(
        "SELECT i.* FROM incidents i JOIN incident_signals s ON s.incident = i.id WHERE s.kind = 'report'"
    )
    assert row.status == "reported"
    told(empty, [alert(home, "waterlogging", at=at, north_m=31)])
    assert incident_of(empty, machine).signals == 2
    empty.move(TOWN, row.ticket, "file", reason="另一处积水")
    trails = [steps(empty, identity) for identity in (row.id, incident_of(empty, machine).id)]
    assert [[step["what"] for step in trail] for trail in trails] == [["opened", "kept_apart"]] * 2
    assert [trail[1]["reason"] for trail in trails] == ["另一处积水"] * 2, "both say why"
    assert [trail[1]["facts"]["from"] for trail in trails] == [[str(incident_of(empty, machine).id)], [str(row.id)]]
    near_report = alert(home, "waterlogging", at=at, north_m=75)
    told(empty, [near_report])
    # 45 m from the report, 44 m from what the machine saw last.
    assert incident_of(empty, near_report).id == incident_of(empty, machine).id != row.id
    assert incident_of(empty, machine).status == "open"
    assert {r.status for r in empty.rows("SELECT status FROM incidents WHERE id = :id", id=row.id)} == {"open"}


def test_who_may_split_and_join_and_what_is_refused_in_words(empty: RunningCity) -> None:
    alerts = chain(empty, "refused", 3)
    told(empty, alerts)
    incident = incident_of(empty, alerts[0])
    elsewhere = alert(empty.small.region(cell_code(1)), "refused", at=empty.small.centre(cell_code(1)))
    told(empty, [elsewhere])
    other = incident_of(empty, elsewhere)
    assert split(empty, incident, alerts[0], who=VILLAGE).status == 403
    assert split(empty, incident, alerts[0], who=B).status == 404
    assert join(empty, incident, other.id, who=A).status == 404
    stale = split(empty, incident, alerts[0], version=99)
    assert (stale.status, stale.json["current"]["id"]) == (409, str(incident.id))
    assert split(empty, incident, *alerts).status == 422
    assert split(empty, incident, elsewhere).status == 422
    assert split(empty, incident, alerts[0], reason="  ").status == 422
    assert split(empty, incident).status == 422
    assert join(empty, incident, incident.id).status == 422
    assert join(empty, incident, uuid4()).status == 404
    assert empty.console(B).get(f"/api/v1/incidents/{incident.id}/steps").status == 404
    assert empty.console(B).get(f"/api/v1/incidents/{incident.id}/signals").status == 404
    joined = join(empty, incident, other.id, who=CITY)
    assert joined.status == 200, joined.content
    assert join(empty, incident_of(empty, elsewhere), other.id, who=CITY).status == 409
    # What lies in another county is counted, and shown to nobody who may not see it.
    shown = empty.console(A).get(f"/api/v1/incidents/{incident.id}/signals").json["items"]
    assert {item["id"] for item in shown} == {str(one.id) for one in alerts}
    assert incident_of(empty, elsewhere).signals == 4


def test_a_desk_is_shown_the_open_incidents_around_nearest_first_and_where_each_signal_lies(empty: RunningCity) -> None:
    home = empty.small.region(cell_code(0, 1, 1, 2))

    def away(matter: str, north_m: float) -> Any:
        one = alert(home, matter, at=empty.small.centre(home.code), north_m=north_m)
        told(empty, [one])
        return incident_of(empty, one)

    def around() -> list[tuple[UUID, int]]:
        found = empty.console(TOWN).get(f"/api/v1/incidents/{own.id}/nearby").json["items"]
        mine = {one.id for one in (own, far, near, beyond)}
        shown = [(UUID(item["incident"]["id"]), round(item["metres"])) for item in found]
        assert [metres for _, metres in shown] == sorted(metres for _, metres in shown)
        return [one for one in shown if one[0] in mine]

    own, far, near, beyond = (away(f"matter {m}", m) for m in (0, 900, 100, 2_100))
    assert around() == [(near.id, 100), (far.id, 900)]
    assert empty.console(B).get(f"/api/v1/incidents/{own.id}/nearby").status == 404
    assert join(empty, own, near.id).status == 200
    assert around() == [(far.id, 900)]
    signals = empty.console(TOWN).get(f"/api/v1/incidents/{own.id}/signals").json["items"]
    assert sorted(round(item["metres"]) for item in signals) == [0, 100]
    assert all((item["severity"], item["ended_at"]) == (2, None) and item["name"] for item in signals)


def test_a_repeat_of_a_split_with_its_key_gets_the_first_answer(empty: RunningCity) -> None:
    alerts = chain(empty, "again", 3)
    told(empty, alerts)
    incident = incident_of(empty, alerts[0])
    body = {"signals": [str(alerts[2].id)], "reason": "两件事", "version": incident.version}
    path, key = f"/api/v1/incidents/{incident.id}/split", {"Idempotency-Key": "split again"}
    first, again = (empty.console(TOWN).post(path, body, key) for _ in range(2))
    assert (first.status, again.status) == (201, 201)
    assert first.json == again.json
