"""What people do to alerts, by HTTP: acknowledge, shelve, take out of service, silence; and who may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest

from command_center.city import Desk
from command_center.event import log
from command_center.respond import respond
from command_center.schedule import begin_mutes, release_alerts, tell_groups
from rules.alert import Alert, AlertChange, Change
from rules.life import AlertMove, State
from tests.command_center.test_alert_life import ended, grew, raised
from tests.console import Answer
from tests.rules.test_life import ALLOWED
from tests.running_city import RunningCity
from tests.small_city import CITY, COUNTIES, cell_code

A, B, _ = COUNTIES
CELL = cell_code()
TOWN, VILLAGE = "321302001", "321302001001"


def later(hours: float = 1) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def tell(running: RunningCity, *changes: AlertChange) -> None:
    with running.engine.begin() as connection:
        log.append(connection, respond(connection, changes, running.city, datetime.now(UTC)))


def stand(running: RunningCity, cell: str = CELL, category: str | None = None) -> Alert:
    """An alert that stands, of a gauge that has no other."""
    matter = category or f"matter-{uuid4().hex[:8]}"
    alert = running.alert(running.small.region(cell), 2, f"gauge-{uuid4().hex[:8]}", matter)
    tell(running, AlertChange(Change.RAISED, alert))
    return alert


def work(running: RunningCity) -> None:
    """What the scheduler does each second."""
    now, city = datetime.now(UTC), running.city
    begin_mutes(running.engine, now, city.grouping)
    release_alerts(
        running.engine, now, lambda _: Desk(city.tree, city.dispatch, city.zone, city.inhibitions, city.grouping)
    )


def seen(running: RunningCity, alert: Alert, code: str = TOWN) -> dict[str, Any]:
    answer = running.console(code).get(f"/api/v1/alerts/{alert.id}")
    assert answer.status == 200, answer.content
    found: dict[str, Any] = answer.json
    return found


def move(running: RunningCity, alert: Alert, wish: str, code: str = TOWN, **more: Any) -> Answer:
    """A desk makes a move looking at the alert as it stands."""
    body: dict[str, Any] = {"move": wish, "version": seen(running, alert)["version"]}
    if wish in {"shelve", "out_of_service"}:
        body |= {"until": later(), "reason": "传感器故障"}
    return running.console(code).post(f"/api/v1/alerts/{alert.id}/moves", body | more)


def is_problem(answer: Answer, status: int, says: str = "") -> dict[str, Any]:
    assert answer.status == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json
    assert says in body["detail"], body
    return body


def _moved(*moves: str) -> Callable[[RunningCity, Alert], None]:
    def make(running: RunningCity, alert: Alert) -> None:
        for one in moves:
            assert move(running, alert, one).status == 200

    return make


def _end(running: RunningCity, alert: Alert) -> None:
    tell(running, ended(alert))


def _acknowledge_and_end(running: RunningCity, alert: Alert) -> None:
    _moved("acknowledge")(running, alert)
    _end(running, alert)


def _silence(running: RunningCity, alert: Alert) -> None:
    body = {"kind": "silence", "rule": alert.rule, "ends_at": later(), "reason": "演练"}
    assert running.console(TOWN).post("/api/v1/mutes", body).status == 201
    work(running)


INTO: dict[State, Callable[[RunningCity, Alert], None]] = {
    State.RAISED: _moved(),
    State.ACKNOWLEDGED: _moved("acknowledge"),
    State.RETURNED: _end,
    State.NORMAL: _acknowledge_and_end,
    State.SHELVED: _moved("shelve"),
    State.SUPPRESSED: _silence,
    State.OUT_OF_SERVICE: _moved("out_of_service"),
}

AFTER = {
    (State.RAISED, AlertMove.ACKNOWLEDGE): "acknowledged",
    (State.RETURNED, AlertMove.ACKNOWLEDGE): "normal",
    (State.RAISED, AlertMove.SHELVE): "shelved",
    (State.ACKNOWLEDGED, AlertMove.SHELVE): "shelved",
    (State.SHELVED, AlertMove.UNSHELVE): "raised",
    (State.OUT_OF_SERVICE, AlertMove.IN_SERVICE): "raised",
}


@pytest.mark.parametrize("from_state", State)
def test_the_whole_product_of_states_and_moves_by_http(running: RunningCity, from_state: State) -> None:
    for wish in AlertMove:
        alert = stand(running)
        INTO[from_state](running, alert)
        before = seen(running, alert)
        assert before["state"] == from_state
        assert (str(wish) in before["moves"]) == ((from_state, wish) in ALLOWED)
        ticket = running.rows("SELECT * FROM tickets WHERE source = :s", s=alert.source.id)
        answer = move(running, alert, str(wish))
        if (from_state, wish) in ALLOWED:
            assert answer.status == 200, answer.content
            work(running)
            expected = AFTER.get((from_state, wish), "out_of_service")
            assert seen(running, alert)["state"] == expected, (from_state, wish)
        else:
            is_problem(answer, 422, str(from_state))
            assert seen(running, alert) == before
        # Nothing of this closes anything, or opens a second one.
        assert running.rows("SELECT * FROM tickets WHERE source = :s", s=alert.source.id) == ticket


def test_an_acknowledgement_says_by_whom_and_when_and_everybody_who_sees_the_alert_may(running: RunningCity) -> None:
    for code in (CITY, A, TOWN, VILLAGE, CELL):
        alert = stand(running)
        answer = move(running, alert, "acknowledge", code)
        assert (answer.status, answer.json["state"]) == (200, "acknowledged")
        assert answer.json["acknowledged_by"] == f"{running.small.region(code).name}值班员"
        assert answer.json["acknowledged_at"] is not None
        [event] = running.rows(
            "SELECT data, version FROM event_log WHERE id = :id ORDER BY n DESC LIMIT 1", id=str(alert.id)
        )
        assert (event.data["state"], event.version) == ("acknowledged", 2)
        assert running.rows("SELECT status FROM tickets WHERE source = :s", s=alert.source.id)[0].status == "filed"


@pytest.mark.parametrize("code", [VILLAGE, CELL])
@pytest.mark.parametrize("wish", ["shelve", "out_of_service"])
def test_villages_and_grids_cannot_keep_anything_quiet(running: RunningCity, code: str, wish: str) -> None:
    alert = stand(running)
    is_problem(move(running, alert, wish, code), 403, "township")
    assert seen(running, alert)["state"] == "raised"
    body = {"kind": "silence", "category": "x", "ends_at": later(), "reason": "r"}
    is_problem(running.console(code).post("/api/v1/mutes", body), 403, "township")


def test_the_next_county_neither_sees_nor_moves_an_alert_or_a_mute(running: RunningCity) -> None:
    alert = stand(running)
    console = running.console(B)
    is_problem(console.get(f"/api/v1/alerts/{alert.id}"), 404)
    for wish in ("acknowledge", "shelve", "in_service"):
        body = {"move": wish, "version": 1, "until": later(), "reason": "r"}
        is_problem(console.post(f"/api/v1/alerts/{alert.id}/moves", body), 404, "no alert")
    made = running.console(A).post("/api/v1/mutes", {"kind": "silence", "ends_at": later(), "reason": "r"})
    assert made.status == 201, made.content
    mute = made.json["id"]
    is_problem(console.post(f"/api/v1/mutes/{mute}/end", {"reason": "r"}), 404, "no mute")
    assert mute not in {item["id"] for item in console.get("/api/v1/mutes?limit=500").json["items"]}
    body = {"kind": "silence", "region": A, "ends_at": later(), "reason": "r"}
    is_problem(console.post("/api/v1/mutes", body), 422, "not one of yours")
    assert running.console(A).post(f"/api/v1/mutes/{mute}/end", {"reason": "r"}).status == 200


def test_a_move_made_looking_at_an_old_version_gets_the_current_alert(running: RunningCity) -> None:
    alert = stand(running)
    tell(running, grew(alert, 3))
    body = {"move": "acknowledge", "version": 1}
    problem = is_problem(running.console(TOWN).post(f"/api/v1/alerts/{alert.id}/moves", body), 409)
    assert (problem["current"]["version"], problem["current"]["severity"]) == (2, 3)
    assert running.console(TOWN).post(f"/api/v1/alerts/{alert.id}/moves", body | {"version": 2}).status == 200


def test_a_repeat_with_its_key_gets_the_first_answer_and_does_nothing_twice(running: RunningCity) -> None:
    alert = stand(running)
    key = {"Idempotency-Key": uuid4().hex}
    body = {"move": "acknowledge", "version": 1}
    path = f"/api/v1/alerts/{alert.id}/moves"
    first, second = (running.console(TOWN).post(path, body, key) for _ in range(2))
    assert (first.status, first.json) == (second.status, second.json)
    assert seen(running, alert)["version"] == 2
    is_problem(running.console(TOWN).post(path, body | {"version": 2}, key), 422, "Idempotency-Key")
    mute = {"kind": "silence", "category": "x", "ends_at": later(), "reason": "r"}
    key = {"Idempotency-Key": uuid4().hex}
    first, second = (running.console(TOWN).post("/api/v1/mutes", mute, key) for _ in range(2))
    assert (first.status, second.status) == (201, 201)
    assert first.json == second.json
    assert running.rows("SELECT count(*) FROM mutes WHERE id = :id", id=UUID(first.json["id"]))[0][0] == 1


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"until": None}, "until when"),
        ({"reason": None}, "reason"),
        ({"reason": "  "}, "reason"),
        ({"until": "2020-01-01T00:00:00Z"}, "not after its start"),
        ({"until": "9999-12-31T23:59:59Z"}, "24 hours at most"),
        ({"until": "tomorrow"}, "until"),
        ({"until": "2030-01-01T00:00:00"}, "until"),
        ({"version": "x"}, "version"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_to_shelve_needs_a_reason_and_an_end_within_a_day(
    running: RunningCity, more: dict[str, Any], says: str
) -> None:
    alert = stand(running)
    is_problem(move(running, alert, "shelve", **more), 422, says)
    assert seen(running, alert)["state"] == "raised"


def test_what_is_shelved_stays_so_when_its_rule_raises_it_again_and_says_until_when_and_by_whom(
    running: RunningCity,
) -> None:
    alert = stand(running)
    until = later()
    answer = move(running, alert, "shelve", until=until)
    assert answer.json["muted"] == {
        "kind": "shelved",
        "by": answer.json["muted"]["by"],
        "until": answer.json["muted"]["until"],
        "name": f"{running.small.region(TOWN).name}值班员",
        "reason": "传感器故障",
    }
    assert datetime.fromisoformat(answer.json["muted"]["until"]) == datetime.fromisoformat(until)
    tell(running, ended(alert))
    again = Alert(**{n: getattr(alert, n) for n in alert.__slots__} | {"id": uuid4(), "raised_at_us": alert.at_us + 2})
    tell(running, raised(again))
    assert seen(running, again)["state"] == "shelved"
    assert len(running.rows("SELECT 1 FROM tickets WHERE source = :s", s=alert.source.id)) == 1
    assert move(running, again, "unshelve").status == 200
    is_problem(move(running, again, "unshelve"), 422, "ended already")
    work(running)
    assert seen(running, again)["state"] == "raised"


def test_a_township_cannot_lift_what_the_county_shelved(running: RunningCity) -> None:
    alert = stand(running)
    assert move(running, alert, "shelve", A).status == 200
    is_problem(move(running, alert, "unshelve", TOWN), 403, "larger region")
    assert move(running, alert, "unshelve", CITY).status == 200


def test_a_silence_is_listed_with_its_author_marks_what_stands_and_frees_it_at_its_end(running: RunningCity) -> None:
    category = f"c-{uuid4().hex[:8]}"
    alert = stand(running, category=category)
    body = {"kind": "maintenance", "region": VILLAGE, "category": category, "ends_at": later(), "reason": "检修"}
    made = running.console(TOWN).post("/api/v1/mutes", body)
    assert made.status == 201
    mute = made.json
    assert (mute["state"], mute["author"], mute["region"]) == ("in_force", running.small.username(TOWN), VILLAGE)
    assert (mute["author_name"], mute["region_name"]) == (f"{running.small.region(TOWN).name}值班员", "第1村")
    work(running)
    assert (seen(running, alert)["state"], seen(running, alert)["muted"]["by"]) == ("suppressed", mute["id"])
    listed = running.console(A).get("/api/v1/mutes?active=true&limit=500").json["items"]
    assert [item for item in listed if item["id"] == mute["id"]] == [mute]
    is_problem(running.console(TOWN).post(f"/api/v1/mutes/{mute['id']}/end", {}), 422, "reason")
    ended_one = running.console(TOWN).post(f"/api/v1/mutes/{mute['id']}/end", {"reason": "提前完工"})
    assert (ended_one.status, ended_one.json["state"], ended_one.json["ended_reason"]) == (200, "over", "提前完工")
    is_problem(running.console(TOWN).post(f"/api/v1/mutes/{mute['id']}/end", {"reason": "x"}), 422, "already")
    work(running)
    assert seen(running, alert)["state"] == "raised"
    over = running.console(TOWN).get("/api/v1/mutes?active=false&limit=500").json["items"]
    assert mute["id"] in {item["id"] for item in over}


@pytest.mark.parametrize(
    ("code", "more", "says"),
    [
        (CITY, {}, "whole city"),
        (CITY, {"region": CITY}, "whole city"),
        (TOWN, {"region": A}, "not one of yours"),
        (TOWN, {"region": "nowhere"}, "not one of yours"),
        (TOWN, {"starts_at": "2020-01-01T00:00:00Z"}, "past"),
        (TOWN, {"ends_at": "9999-12-31T23:59:59Z"}, "720 hours"),
        (TOWN, {"kind": "shelve"}, "source"),
        (TOWN, {"kind": "quiet"}, "kind"),
        (TOWN, {"domain": "weather"}, "domain"),
        (TOWN, {"reason": ""}, "reason"),
        (TOWN, {"reason": " "}, "reason"),
        (TOWN, {"category": "a\0b"}, ""),
    ],
)
def test_a_mute_that_may_not_be_made_says_why(running: RunningCity, code: str, more: dict[str, Any], says: str) -> None:
    before = running.rows("SELECT count(*) FROM mutes")
    body = {"kind": "silence", "ends_at": later(), "reason": "r"} | more
    is_problem(running.console(code).post("/api/v1/mutes", body), 422, says)
    assert running.rows("SELECT count(*) FROM mutes") == before


def test_alerts_are_found_by_state_rule_source_and_whether_they_stand(running: RunningCity) -> None:
    alerts = {wanted: stand(running) for wanted in State}
    for wanted, alert in alerts.items():
        INTO[wanted](running, alert)
    everything = running.console().get("/api/v1/alerts?limit=500").json["items"]

    def found(query: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = running.console().get(f"/api/v1/alerts?limit=500&{query}").json["items"]
        return items

    one = alerts[State.RAISED]
    for wanted in State:
        assert found(f"state={wanted}") == [item for item in everything if item["state"] == wanted], wanted
        assert str(alerts[wanted].id) in {item["id"] for item in found(f"state={wanted}")}
    for query in (f"rule={quote(one.rule)}", f"source={one.source.id}", f"sensor={one.source.id}"):
        assert [item["id"] for item in found(query)] == [str(one.id)]
    for name in ("active", "open"):
        assert found(f"{name}=true") == [item for item in everything if item["ended_at"] is None]
        assert found(f"{name}=false") == [item for item in everything if item["ended_at"] is not None]
    is_problem(running.console().get("/api/v1/alerts?state=asleep"), 422, "state")
    item = found(f"source={one.source.id}")[0]
    assert (item["fingerprint"], item["why"], item["warning_level"]) == (str(one.fingerprint), {}, None)


def test_a_console_that_comes_gets_the_notices_that_stand(running: RunningCity) -> None:
    alert = stand(running, cell_code(1))
    assert running.city.grouping is not None
    tell_groups(running.engine, datetime.now(UTC) + timedelta(seconds=10), running.city.grouping)

    def categories(code: str) -> set[str]:
        return {notice["category"] for notice in running.socket(code).sync(None)["snapshot"]["notices"]}

    assert alert.category in categories(B)
    assert alert.category not in categories(A)
    running.hang_up()


# -- the levels of the law -------------------------------------------------------------------------------------------------


def incident_of(running: RunningCity, alert: Alert, code: str = A) -> dict[str, Any]:
    [(identity,)] = running.rows("SELECT incident FROM incident_signals WHERE signal = :id", id=alert.id)
    answer = running.console(code).get(f"/api/v1/incidents/{identity}")
    assert answer.status == 200, answer.content
    found: dict[str, Any] = answer.json
    return found


def state_levels(running: RunningCity, incident: dict[str, Any], code: str = A, **body: Any) -> Answer:
    match = body.pop("match", f'"{incident["version"]}"')
    headers = {} if match is None else {"If-Match": match}
    return running.console(code).ask(
        "PATCH", f"/api/v1/incidents/{incident['id']}", {"reason": "省气象台发布"} | body, headers
    )


def test_the_four_levels_are_four_fields_set_by_people_and_never_made_from_each_other(running: RunningCity) -> None:
    alert = stand(running)
    one = incident_of(running, alert)
    assert [one[name] for name in ("warning_level", "event_grade", "response_level")] == [None, None, None]
    two = state_levels(running, one, warning_level=2).json
    three = state_levels(running, two, CITY, event_grade=4, response_level=3).json
    tell(running, grew(alert, 4))
    four = incident_of(running, alert)
    assert [(i["severity"], i["warning_level"], i["event_grade"], i["response_level"]) for i in (two, three, four)] == [
        (2, 2, None, None),
        (2, 2, 4, 3),
        (4, 2, 4, 3),
    ]
    five = state_levels(running, four, response_level=None).json
    assert (five["response_level"], five["event_grade"]) == (None, 4)
    trail = running.console(A).get(f"/api/v1/incidents/{one['id']}/levels").json["items"]
    assert [(t["version"], t["warning_level"], t["event_grade"], t["response_level"]) for t in trail] == [
        (2, 2, None, None),
        (3, 2, 4, 3),
        (5, 2, 4, None),
    ]
    assert trail[0]["by"]["account"] == running.small.username(A)
    assert trail[0]["reason"] == "省气象台发布"
    [event] = running.rows("SELECT data FROM event_log WHERE id = :id ORDER BY n DESC LIMIT 1", id=one["id"])
    assert event.data["event_grade"] == 4
    assert running.console(B).get(f"/api/v1/incidents/{one['id']}/levels").json["items"] == []


def test_levels_that_cannot_be_stated_say_why_and_change_nothing(running: RunningCity) -> None:
    one = incident_of(running, stand(running))
    is_problem(state_levels(running, one, TOWN, event_grade=1), 403, "county")
    is_problem(state_levels(running, one, B, event_grade=1), 404)
    is_problem(state_levels(running, one, event_grade=1, match=None), 428, "If-Match")
    is_problem(state_levels(running, one, event_grade=1, match="*"), 428)
    is_problem(state_levels(running, one, event_grade=1, match='"' + "9" * 20 + '"'), 428)
    problem = is_problem(state_levels(running, one, event_grade=1, match="7"), 412)
    assert problem["current"] == one
    for body in ({}, {"event_grade": 5}, {"event_grade": 0}, {"severity": 1}, {"event_grade": 1, "reason": " "}):
        is_problem(state_levels(running, one, **body), 422)
    assert running.console(A).get(f"/api/v1/incidents/{one['id']}").json == one
    assert running.rows("SELECT count(*) FROM incident_levels WHERE incident = :id", id=one["id"])[0][0] == 0


def test_public_order_carries_no_statutory_colour(running: RunningCity) -> None:
    alert = running.alert(running.small.region(CELL), 4, f"gauge-{uuid4().hex[:8]}", "crowd")
    alert = Alert(**{name: getattr(alert, name) for name in alert.__slots__} | {"domain": "public_order"})
    tell(running, raised(alert))
    one = incident_of(running, alert)
    is_problem(state_levels(running, one, warning_level=2), 422, "public order")
    assert state_levels(running, one, warning_level=None, event_grade=2).json["event_grade"] == 2
