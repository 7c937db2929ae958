"""Wartime operation through the web process: who may declare it, what it changes, where it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection

from command_center.city import Desk
from command_center.mode import store as mode_store
from command_center.mode.mode import in_force
from command_center.pipeline import advance, remember
from command_center.schedule import end_modes, tell_beside
from ingest.message import Message
from tests import processes
from tests.console import Answer
from tests.gateway import connected
from tests.running_city import RunningCity, read_city
from tests.small_city import CITY, COUNTIES, cell_code
from tests.waiting import wait_until

A, B, _ = COUNTIES
TOWN = f"{A}001"
CELL, CELL_OF_B = cell_code(0), cell_code(1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def peace_afterwards(running: RunningCity) -> Iterator[None]:
    """What one test declared is over before the next one begins, and its matters are none that the next one's would join."""
    yield
    running.rows("UPDATE incidents SET status = 'closed'")
    for mode in running.console().get("/api/v1/modes?active=true").json["items"]:
        assert running.console().post(f"/api/v1/modes/{mode['id']}/end", {"reason": "test over"}).status == 200


def declare(running: RunningCity, who: str = CITY, region: str = A, *, key: str | None = None, **more: Any) -> Answer:
    ends_at = datetime.now(UTC) + 2 * HOUR
    body = {"region": region, "domains": ["emergency"], "ends_at": ends_at.isoformat(), "reason": "台风登陆"} | more
    return running.console(who).post("/api/v1/modes", body, {} if key is None else {"Idempotency-Key": key})


def declared(running: RunningCity, who: str = CITY, region: str = A, **more: Any) -> dict[str, Any]:
    answer = declare(running, who, region, **more)
    assert answer.status == 201, answer.content
    found: dict[str, Any] = answer.json
    return found


def in_sight(running: RunningCity, code: str) -> set[str]:
    """The regions at war that a desk is told of when it looks at its session."""
    return {mode["region"] for mode in running.console(code).get("/api/v1/session").json["modes"]}


def trail(running: RunningCity, mode: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    steps = running.console().get(f"/api/v1/modes/{mode['id']}/steps").json["items"]
    return [(step["move"], step["by"], step["reason"]) for step in steps]


def after(running: RunningCity, mode: dict[str, Any]) -> datetime:
    """Just after its end."""
    return datetime.fromisoformat(mode["ends_at"]) + timedelta(seconds=1)


def clock(ticket: dict[str, Any]) -> tuple[float, float]:
    """Hours from opening to the deadline, and to that of accepting."""
    opened = datetime.fromisoformat(ticket["opened_at"])
    due, stage = (datetime.fromisoformat(ticket[name]) for name in ("due_at", "stage_due_at"))
    return (due - opened) / HOUR, (stage - opened) / HOUR


@pytest.mark.parametrize("who", [TOWN, f"{A}001001", CELL])
def test_desks_below_the_county_declare_nothing(running: RunningCity, who: str) -> None:
    refused = declare(running, who, who)
    assert (refused.status, refused.json["title"]) == (403, "Not yours to declare")


def test_a_county_declares_for_itself_and_not_for_another_or_the_city(running: RunningCity) -> None:
    assert declared(running, A, TOWN)["by_name"] == "县区321302值班员"
    for other in (B, CITY, "no such region"):
        assert declare(running, A, other).status == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"domains": []},
        {"domains": ["weather"]},
        {"reason": ""},
        {"reason": "  "},
        {"ends_at": "2020-01-01T00:00:00Z"},
        {"ends_at": "2999-01-01T00:00:00Z"},
        {"ends_at": "2026-01-01T00:00:00"},
        {"mode": "peacetime"},
    ],
)
def test_what_is_no_declaration_is_refused_with_a_problem(running: RunningCity, wrong: dict[str, Any]) -> None:
    refused = declare(running, **wrong)
    assert refused.status == 422
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert running.console().get("/api/v1/modes?active=true").json["items"] == []


def test_declaring_twice_with_one_key_declares_once(running: RunningCity) -> None:
    ends_at, key = (datetime.now(UTC) + HOUR).isoformat(), uuid4().hex
    first, second = (declared(running, ends_at=ends_at, key=key) for _ in range(2))
    assert first == second
    assert len(running.console().get("/api/v1/modes?active=true").json["items"]) == 1


def test_those_above_and_below_know_and_those_beside_do_not(running: RunningCity) -> None:
    mode = declared(running, A, A)
    for code in (CITY, A, TOWN, CELL):
        assert in_sight(running, code) == {A}
        assert running.console(code).get(f"/api/v1/modes/{mode['id']}/steps").status == 200
        assert [each["region"] for each in running.socket(code).sync(None)["snapshot"]["modes"]] == [A]
    assert in_sight(running, B) == set()
    assert running.console(B).get(f"/api/v1/modes/{mode['id']}/steps").status == 404
    assert running.console(B).post(f"/api/v1/modes/{mode['id']}/end", {"reason": "x"}).status == 404
    assert running.console(TOWN).post(f"/api/v1/modes/{mode['id']}/end", {"reason": "x"}).status == 403


def test_consoles_above_and_below_hear_of_it_at_once_and_again_when_they_were_away(running: RunningCity) -> None:
    cursor = running.socket(CELL).sync(None)["cursor"]
    listening = {code: running.socket(code) for code in (CITY, A, TOWN, CELL, CELL_OF_B)}
    for console in listening.values():
        console.sync(None)
    mode = declared(running, A, A)
    for code in (CITY, A, TOWN, CELL):
        told = listening[code].event()
        assert (told["kind"], told["id"], told["data"]["state"]) == ("mode", mode["id"], "in_force")
    running.append(CELL_OF_B, "only for the other county")
    assert listening[CELL_OF_B].event()["id"] == "only for the other county"
    assert mode["id"] in {event["id"] for event in running.socket(CELL).sync(cursor)["events"]}
    running.hang_up()


def test_the_trail_says_who_declared_prolonged_and_ended_it_and_why(running: RunningCity) -> None:
    mode = declared(running, A, A)
    later = {"ends_at": (datetime.now(UTC) + 5 * HOUR).isoformat(), "reason": "雨还在下"}
    prolonged = running.console(CITY).post(f"/api/v1/modes/{mode['id']}/prolong", later)
    assert (prolonged.status, prolonged.json["ends_at"]) == (200, later["ends_at"])
    assert running.console(CITY).post(f"/api/v1/modes/{mode['id']}/prolong", later).status == 422
    assert running.console(A).post(f"/api/v1/modes/{mode['id']}/end", {"reason": "雨停"}).json["state"] == "over"
    assert trail(running, mode) == [
        ("declared", f"u-{A}", "台风登陆"),
        ("prolonged", f"u-{CITY}", "雨还在下"),
        ("ended", f"u-{A}", "雨停"),
    ]
    again = running.console(A).post(f"/api/v1/modes/{mode['id']}/end", {"reason": "雨停"})
    assert (again.status, again.json["title"]) == (409, "Mode is over")


def test_a_county_does_not_end_what_the_city_declared_for_it(running: RunningCity) -> None:
    mode = declared(running, CITY, A)
    assert running.console(A).post(f"/api/v1/modes/{mode['id']}/end", {"reason": "不需要"}).status == 403


def send(running: RunningCity, county: str, sensor: str, depth: float) -> None:
    """A reading goes through the path of a worker that has just begun, and knows only what the database holds."""
    city = read_city(running.engine)
    with running.engine.connect() as connection:
        memory = remember(connection, city, time.time())
    body = {"id": uuid4().hex, "values": {"water_depth": depth}}
    message = Message(f"cc/v1/{county}/{sensor}/reading", json.dumps(body).encode(), time.time())
    advance([message], city, memory, running.engine, time.time())


def early_alerts(running: RunningCity) -> list[str]:
    found = running.rows("SELECT source FROM alerts WHERE rule = 'road-waterlogging-wartime' ORDER BY 1")
    return [row.source for row in found]


def test_what_alerts_in_wartime_only_alerts_there_and_not_in_the_county_beside(running: RunningCity) -> None:
    send(running, A, "water-1", 0.12)
    assert early_alerts(running) == []
    declared(running)
    send(running, A, "water-1", 0.13)
    send(running, B, "water-far", 0.13)
    assert early_alerts(running) == ["water-1"]
    running.rows("UPDATE alerts SET ended_at = now() WHERE ended_at IS NULL")


def test_a_ticket_opened_in_wartime_has_half_the_time_and_comes_to_the_county(running: RunningCity) -> None:
    mode = declared(running)
    running.city = read_city(running.engine)
    at_war = running.open_ticket(cell_code(0, 1, 1, 3), severity=2, matter="waterlogging")
    at_peace = running.open_ticket(cell_code(1, 1, 1, 3), severity=2, source="water-far", matter="waterlogging")
    shown, beside = running.ticket(at_war), running.ticket(at_peace)
    assert (shown["holder"]["region"], shown["holder"]["tier"]) == (A, "county")
    assert beside["holder"]["tier"] == "township"
    assert clock(shown) == pytest.approx((1, 0.5))
    assert clock(beside) == pytest.approx((2, 1))
    # Peace does not give the time back: its clock runs as it was told to.
    assert running.console().post(f"/api/v1/modes/{mode['id']}/end", {"reason": "雨停"}).status == 200
    running.city = read_city(running.engine)
    assert clock(running.ticket(at_war)) == pytest.approx((1, 0.5))


def test_other_domains_of_the_county_stay_at_peace(running: RunningCity) -> None:
    declared(running, domains=["traffic"])
    running.city = read_city(running.engine)
    ticket = running.open_ticket(cell_code(0, 1, 1, 4), severity=2, matter="waterlogging")
    assert running.ticket(ticket)["holder"]["tier"] == "township"
    send(running, A, "water-2", 0.12)
    assert "water-2" not in early_alerts(running)


def tried(running: RunningCity, cell: str = CELL) -> tuple[str, str]:
    """The rule and desk that the web process would choose for standing water now."""
    matter = {"domain": "emergency", "category": "waterlogging", "severity": 2, "cell": cell}
    found = running.console().post("/api/v1/routing/try", matter)
    assert found.status == 200, found.content
    return found.json["routed"]["rule"], found.json["routed"]["region"]


def test_the_web_process_routes_by_it_at_once_and_by_peace_at_once_after_its_end(running: RunningCity) -> None:
    assert tried(running) == ("flood", TOWN)
    mode = declared(running)
    assert tried(running) == ("flood-wartime", A)
    assert tried(running, CELL_OF_B)[0] == "flood"
    assert running.console().post(f"/api/v1/modes/{mode['id']}/end", {"reason": "雨停"}).status == 200
    assert tried(running) == ("flood", TOWN)


def test_a_report_filed_in_wartime_is_routed_and_timed_by_it(running: RunningCity) -> None:
    lng, lat = running.small.centre(CELL)
    said = {"kind": "manhole", "words": "井盖缺失", "lng": lng, "lat": lat}
    answer = running.console(TOWN).post("/api/v1/reports", said)
    assert answer.status == 201, answer.content
    [(ticket, domain)] = running.rows("SELECT id, domain FROM tickets WHERE source_kind = 'report'")
    declared(running, domains=[domain])
    before = datetime.now(UTC)
    filed = running.move(TOWN, UUID(str(ticket)), "file", reason="另一处")
    # manhole: 2 hours of handling and, at severity 2, an hour to accept in peacetime
    assert (datetime.fromisoformat(filed["due_at"]) - before) / HOUR == pytest.approx(1, abs=0.01)
    assert (datetime.fromisoformat(filed["stage_due_at"]) - before) / HOUR < 1


def push(running: RunningCity, now: datetime | None = None) -> int:
    """What the scheduler does each second, as of ``now``."""
    moment = now or datetime.now(UTC)

    def desk(connection: Connection) -> Desk:
        city = running.city.at_war(in_force(mode_store.unended(connection), moment))
        return Desk(city.tree, city.dispatch, city.zone, city.inhibitions, city.grouping, city.correlation)

    return tell_beside(running.engine, moment, desk)


def test_in_wartime_the_townships_of_a_county_see_each_others_tickets_and_the_next_county_hears_nothing(
    running: RunningCity,
) -> None:
    push(running)
    other, far = f"{A}002", (B, f"{B}001")
    ticket = running.open_ticket(CELL, severity=2)
    consoles = {code: running.socket(code) for code in (TOWN, other, *far)}
    for console in consoles.values():
        console.sync(None)
    sight = f"/api/v1/tickets/{ticket}"
    assert running.console(other).get(sight).status == 404
    mode = declared(running, A, A)
    assert push(running) >= 1
    assert push(running) == 0, "once is enough"
    heard = consoles[other].event(lambda told: told["id"] == str(ticket))
    assert (heard["op"], heard["kind"], heard["data"]["holder"]["region"]) == ("put", "ticket", TOWN)
    seen = running.console(other).get(sight).json
    assert running.console(other).move(seen, "accept").status == 403, "to see is not to have"
    assert str(ticket) in {one["id"] for one in running.socket(other).sync(None)["snapshot"]["tickets"]}
    later = running.open_ticket(CELL, severity=2)
    assert push(running) == 1, "what is opened meanwhile is told too"
    consoles[other].event(lambda told: told["id"] == str(later))
    assert push(running, after(running, mode)) >= 2
    gone = consoles[other].event(lambda told: told["id"] == str(ticket))
    assert (gone["op"], "data" in gone) == ("gone", False)
    assert running.console(other).get(sight).status == 404
    moves = [step["move"] for step in running.console(TOWN).get(f"{sight}/steps").json["items"]]
    assert moves == ["file", "tell", "tell"]
    for code in far:
        assert running.console(code).get(sight).status == 404
        assert [told for told in consoles[code].heard() if told["id"] in (str(ticket), str(later))] == []


def test_what_a_person_reported_and_what_has_ended_is_told_to_nobody_beside(running: RunningCity) -> None:
    other = f"{A}002"
    lng, lat = running.small.centre(CELL)
    said = {"kind": "waterlogging", "words": "积水，请联系我", "contact": "13800000000", "lng": lng, "lat": lat}
    assert running.console(TOWN).post("/api/v1/reports", said).status == 201
    [(report,)] = running.rows("SELECT ticket FROM reports WHERE words = '积水，请联系我'")
    ticket = running.open_ticket(CELL, severity=2)
    declared(running, A, A)
    push(running)
    assert running.console(other).get(f"/api/v1/tickets/{report}").status == 404
    assert running.console(other).get(f"/api/v1/tickets/{ticket}").status == 200
    running.move(A, ticket, "force_close", reason="已处置")
    assert running.console(other).get(f"/api/v1/tickets/{ticket}").status == 404


def test_it_runs_out_by_itself_and_that_is_noted_once(running: RunningCity) -> None:
    mode = declared(running)
    end_modes(running.engine, datetime.fromisoformat(mode["ends_at"]) - timedelta(seconds=1))
    assert trail(running, mode)[-1][0] == "declared"
    for _ in range(2):
        end_modes(running.engine, after(running, mode))
    assert trail(running, mode) == [("declared", f"u-{CITY}", "台风登陆"), ("ran_out", None, None)]
    [told] = running.console().get("/api/v1/modes?limit=1").json["items"]
    assert (told["ended_at"], told["ended_by"]) == (mode["ends_at"], None)
    assert in_sight(running, TOWN) == set()


def test_what_holds_is_told_by_its_end_though_nobody_notes_it(running: RunningCity) -> None:
    mode = declared(running)
    assert read_city(running.engine).situation.is_wartime(running.small.region(CELL).scope, "emergency")
    running.rows("UPDATE modes SET ends_at = clock_timestamp() WHERE id = :id", id=UUID(mode["id"]))
    assert read_city(running.engine).situation.wartime == {}
    assert in_sight(running, A) == set()
    wait_until(lambda: tried(running)[0] == "flood", 3, "the web process is at peace")
    end_modes(running.engine, datetime.now(UTC))


def test_a_worker_is_at_war_and_at_peace_again_within_two_seconds_and_a_scheduler_ends_it(
    running: RunningCity, broker: Any
) -> None:
    running.rows("UPDATE alerts SET ended_at = now() WHERE ended_at IS NULL")
    running.rows("DELETE FROM heartbeats")
    url = running.database.worker_url
    name = f"mode-{uuid4().hex[:8]}"
    with processes.scheduler(url), connected(broker.url("gateway")) as gateway:

        def subscribed() -> bool:
            found = running.rows("SELECT figures ->> 'broker' AS broker FROM heartbeats WHERE process = 'worker'")
            return bool(found and found[0].broker == "connected")

        def open_alerts() -> int:
            body = {"id": uuid4().hex, "values": {"water_depth": 0.12}}
            gateway.publish(f"cc/v1/{A}/water-2/reading", body)
            time.sleep(0.1)
            return len(
                running.rows(
                    "SELECT FROM alerts WHERE rule LIKE '%-wartime' AND source = 'water-2' AND ended_at IS NULL"
                )
            )

        with processes.worker(url, broker.url("worker"), name):
            wait_until(subscribed, 20, "the worker is subscribed")
            assert open_alerts() == 0
            mode, begun = declared(running), time.monotonic()
            wait_until(open_alerts, 3, "the worker judges as at war")
            print(f"at war {time.monotonic() - begun:.1f} s after it was declared")
        running.rows("DELETE FROM heartbeats WHERE process = 'worker'")
        with processes.worker(url, broker.url("worker"), name):
            wait_until(subscribed, 20, "the worker is back")
            assert open_alerts() == 1, "it came back into the middle of the war"
            running.rows("UPDATE modes SET ends_at = clock_timestamp() WHERE id = :id", id=UUID(mode["id"]))
            begun = time.monotonic()
            wait_until(lambda: not open_alerts(), 3, "the worker judges as at peace")
            print(f"at peace {time.monotonic() - begun:.1f} s after its end")
        wait_until(lambda: trail(running, mode)[-1][0] == "ran_out", 10, "the scheduler notes the end")


def test_a_web_process_that_begins_in_the_middle_of_a_war_is_at_war(running: RunningCity) -> None:
    declared(running)
    with processes.web(running.database.web_url) as url:
        other = RunningCity(running.database, running.small, running.city, running.engine, url, running._stack)
        assert tried(other) == ("flood-wartime", A)
