"""Rules edited through the API: by two people of the city, step by step, with nobody alerted before it is published."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest

from command_center.account.password import digest
from command_center.account.store import save_account
from command_center.city import city_mark, load_city
from command_center.pipeline import advance, remember
from ingest.message import Message
from rules.alert import AlertChange, Change
from rules.shadow_store import load_open_shadow, save_shadow
from tests import processes
from tests.console import Answer, Console, logged_in
from tests.gateway import connected
from tests.running_city import RunningCity, read_city
from tests.small_city import CITY, PASSWORD, cell_code
from tests.waiting import wait_until

RULES = "/api/v1/rules"
SECOND = "second"


def text(rule: str, first: float = 0.3, *, quantity: str = "water_depth", more: str = "") -> str:
    return f"""\
# A comment that stays as it was written.
kind: threshold
id: {rule}
domain: emergency
category: waterlogging
title: {{zh-CN: 测试积水, en: Water of the tests}}
quantity: {quantity}
levels:
- {{severity: 2, at: {first}, action: {{zh-CN: 查看, en: Look}}}}
clear: 0.1
source: {{text: of the tests, confidence: unverified}}
{more}"""


class Desk:
    """Rules as two people of the city see them."""

    def __init__(self, running: RunningCity) -> None:
        self.running = running
        self.author = running.console(CITY)
        with running.engine.begin() as connection:
            grant = (CITY, "city", "宿迁市", f"{CITY}/")
            save_account(connection, SECOND, "值班长", digest(PASSWORD), grant)
        self.second = logged_in(running.url, SECOND)

    def write(self, written: str, note: str = "a better number") -> dict[str, Any]:
        answer = self.author.post(RULES, {"text": written, "note": note})
        assert answer.status == 201, answer.content
        found: dict[str, Any] = answer.json
        return found

    def move(self, who: Console, version: dict[str, Any], move: str, /, **more: Any) -> Answer:
        return who.post(f"{RULES}/{version['rule']}/versions/{version['version']}/moves", {"move": move, **more})

    def done(self, who: Console, version: dict[str, Any], move: str, /, **more: Any) -> dict[str, Any]:
        answer = self.move(who, version, move, **more)
        assert answer.status == 200, answer.content
        found: dict[str, Any] = answer.json
        return found

    def publish(self, written: str) -> dict[str, Any]:
        return self.done(self.second, self.write(written), "publish")

    def rules(self) -> dict[str, dict[str, Any]]:
        return {item["id"]: item for item in self.author.get(RULES).json["items"]}

    def rule(self, name: str) -> dict[str, Any]:
        answer = self.author.get(f"{RULES}/{name}")
        assert answer.status == 200, answer.content
        found: dict[str, Any] = answer.json
        return found


@pytest.fixture(scope="module")
def desk(running: RunningCity) -> Desk:
    return Desk(running)


@pytest.fixture
def name() -> str:
    """A rule that no other test knows."""
    return f"rule-{uuid4().hex[:8]}"


# -- what is in force ------------------------------------------------------------------------------------------------------


def test_the_packs_rules_are_listed_with_origin_and_open_alerts(desk: Desk) -> None:
    rule = desk.rules()["road-waterlogging"]
    assert (rule["origin"], rule["state"], rule["open_alerts"]) == ("pack", "in_force", 0)
    assert rule["source"]["confidence"] in {"found", "unverified"}
    assert rule["levels"][0]["at"] == 0.15
    assert desk.author.get(RULES).json["refused"] == []


def test_open_alerts_are_counted_as_far_as_the_account_sees(desk: Desk) -> None:
    desk.running.open_ticket(cell_code(1), matter="counted")
    desk.running.rows("UPDATE alerts SET rule = 'road-waterlogging' WHERE category = 'counted'")
    counts = {
        code: {i["id"]: i["open_alerts"] for i in desk.running.console(code).get(RULES).json["items"]}
        for code in (CITY, "321302", "321322")
    }
    assert [counts[code]["road-waterlogging"] for code in (CITY, "321302", "321322")] == [1, 0, 1]


def test_a_pack_rule_is_told_as_text_that_can_be_edited_and_saved(desk: Desk) -> None:
    found = desk.rule("road-waterlogging")
    assert found["versions"] == []
    assert found["packed"]["text"] == found["text"]
    checked = desk.author.post(f"{RULES}/check", {"text": found["text"]}).json
    assert checked["ok"]
    assert checked["rule"]["levels"] == found["in_force"]["levels"]


def test_everybody_who_is_logged_in_reads_and_only_the_city_writes(desk: Desk, name: str) -> None:
    draft = desk.write(text(name))
    grid = desk.running.console(cell_code(0))
    for path in ("", f"/{name}", f"/{name}/versions/1", f"/{name}/versions/1/diff"):
        assert grid.get(f"{RULES}{path}").status == 200
    assert grid.get(f"{RULES}/{name}").json["versions"][0]["moves"] == []
    for who in (grid, desk.running.console("321302")):
        refused = [
            who.post(RULES, {"text": text(name), "note": "mine"}),
            who.post(f"{RULES}/check", {"text": text(name)}),
            desk.move(who, draft, "publish"),
            desk.move(who, draft, "withdraw", reason="no"),
        ]
        assert [answer.status for answer in refused] == [403] * 4
    stranger = Console(desk.running.url)
    for path in ("", f"/{name}", f"/{name}/versions/1/shadow"):
        assert stranger.get(f"{RULES}{path}").status == 401
    assert desk.rule(name)["versions"][0]["state"] == "draft"


# -- writing ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "line", "reason"),
    [
        (text("some-rule", quantity="nonsense"), 7, "nonsense"),
        (text("some-rule", more="colour: red\n"), None, "colour"),
        ("kind: threshold\nid: [unclosed\n", None, ""),
        (text("some-rule").replace("clear: 0.1", "clear: 0.9"), 10, "clear"),
    ],
)
def test_a_bad_rule_is_refused_with_its_line_and_nothing_is_stored(
    desk: Desk, bad: str, line: int | None, reason: str
) -> None:
    checked = desk.author.post(f"{RULES}/check", {"text": bad}).json
    answer = desk.author.post(RULES, {"text": bad, "note": "why"})
    assert (checked["ok"], checked["rule"]) == (False, None)
    assert (answer.status, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert answer.json["problems"] == checked["problems"]
    [problem] = checked["problems"]
    assert reason in problem["reason"]
    if line is not None:
        assert problem["line"] == line
    assert desk.author.get(f"{RULES}/some-rule").status == 404


def test_checking_stores_nothing(desk: Desk, name: str) -> None:
    checked = desk.author.post(f"{RULES}/check", {"text": text(name)}).json
    assert (checked["ok"], checked["problems"], checked["rule"]["id"]) == (True, [], name)
    assert desk.author.get(f"{RULES}/{name}").status == 404


def test_a_draft_is_kept_as_it_was_written_and_changes_nothing(desk: Desk, name: str) -> None:
    draft = desk.write(text(name), "first try")
    assert (draft["rule"], draft["version"], draft["state"], draft["based_on"]) == (name, 1, "draft", None)
    assert (draft["text"], draft["note"], draft["author"]) == (
        text(name),
        "first try",
        desk.running.small.username(CITY),
    )
    assert name not in desk.rules()
    pending = [item for item in desk.author.get(RULES).json["pending"] if item["rule"] == name]
    assert [item["state"] for item in pending] == ["draft"]


def test_a_repeated_request_writes_one_draft(desk: Desk, name: str) -> None:
    body = {"text": text(name), "note": "once"}
    answers = [desk.author.post(RULES, body, {"Idempotency-Key": f"draft of {name}"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].json == answers[1].json
    assert len(desk.rule(name)["versions"]) == 1


def test_the_database_lets_the_web_process_change_no_text(desk: Desk, name: str) -> None:
    desk.write(text(name))
    for statement in (
        "UPDATE rule_versions SET text = 'x'",
        "UPDATE rule_versions SET author = 'x'",
        "DELETE FROM rule_versions",
        "UPDATE rule_steps SET reason = 'x'",
        "DELETE FROM rule_steps",
        "INSERT INTO shadow_alerts SELECT * FROM shadow_alerts",
    ):
        with psycopg.connect(desk.running.database.web_url) as connection:
            connection.execute("SELECT set_config('cc.scope', %s, true)", (f"{CITY}/",))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


# -- publishing ------------------------------------------------------------------------------------------------------------


def test_a_rules_whole_life(desk: Desk, name: str) -> None:
    first = desk.publish(text(name, 0.3))
    assert (first["state"], first["in_force"], first["published_by"]) == ("published", True, SECOND)
    assert desk.rules()[name]["version"] == 1
    draft = desk.write(text(name, 0.25))
    assert (draft["version"], draft["based_on"]) == (2, 1)
    difference = desk.author.get(f"{RULES}/{name}/versions/2/diff").json
    assert difference["against"] == 1
    assert difference["items"] == [{"path": "levels[0].at", "before": 0.3, "after": 0.25}]
    running = desk.done(desk.author, draft, "shadow")
    assert (running["state"], desk.rules()[name]["version"]) == ("shadow", 1)
    desk.done(desk.second, draft, "publish", reason="a week in the shadow")
    rule = desk.rules()[name]
    assert (rule["version"], rule["levels"][0]["at"], rule["origin"]) == (2, 0.25, "edited")
    found = desk.rule(name)
    assert [(v["version"], v["state"]) for v in found["versions"]] == [(2, "published"), (1, "replaced")]
    assert [(step["version"], step["move"], step["by"]["account"]) for step in found["steps"]] == [
        (1, "save", desk.running.small.username(CITY)),
        (1, "publish", SECOND),
        (2, "save", desk.running.small.username(CITY)),
        (2, "shadow", desk.running.small.username(CITY)),
        (1, "replace", SECOND),
        (2, "publish", SECOND),
    ]
    assert found["steps"][-1]["reason"] == "a week in the shadow"


def test_nobody_publishes_what_they_wrote(desk: Desk, name: str) -> None:
    draft = desk.write(text(name))
    answer = desk.move(desk.author, draft, "publish")
    assert answer.status == 403
    assert answer.json["title"] == "A second person is needed"
    assert "another account" in answer.json["detail"]
    [publish] = [m for m in desk.rule(name)["versions"][0]["moves"] if m["move"] == "publish"]
    assert "another account" in publish["refused"]
    assert name not in desk.rules()


def test_of_two_who_move_a_version_the_slower_gets_409(desk: Desk, name: str) -> None:
    draft = desk.write(text(name))
    desk.done(desk.author, draft, "shadow", version=draft["revision"])
    assert desk.move(desk.second, draft, "publish", version=draft["revision"]).status == 409
    desk.done(desk.second, draft, "publish")
    assert desk.move(desk.second, draft, "publish").status == 409
    assert desk.move(desk.author, draft, "withdraw", reason="no").status == 409


def test_of_two_who_publish_at_the_same_time_one_wins(desk: Desk, name: str) -> None:
    with desk.running.engine.begin() as connection:
        save_account(connection, "third", "副班长", digest(PASSWORD), (CITY, "city", "宿迁市", f"{CITY}/"))
    third = logged_in(desk.running.url, "third")
    for n in range(5):
        draft = desk.write(text(f"{name}-{n}"))
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda who: desk.move(who, draft, "publish"), (desk.second, third)))  # noqa: B023
        assert sorted(answer.status for answer in answers) == [200, 409]
        assert [step["move"] for step in desk.rule(f"{name}-{n}")["steps"]] == ["save", "publish"]


def test_a_draft_that_somebody_overtook_is_looked_at_again_before_it_is_published(desk: Desk, name: str) -> None:
    desk.publish(text(name, 0.3))
    slow = desk.write(text(name, 0.35))
    desk.publish(text(name, 0.2))
    answer = desk.move(desk.second, slow, "publish")
    assert answer.status == 409
    assert "save it anew" in answer.json["detail"]
    assert desk.rules()[name]["levels"][0]["at"] == 0.2


def test_one_version_of_a_rule_runs_in_the_shadow_at_a_time(desk: Desk, name: str) -> None:
    one, other = desk.write(text(name, 0.3)), desk.write(text(name, 0.4))
    desk.done(desk.author, one, "shadow")
    assert desk.move(desk.author, other, "shadow").status == 409
    desk.done(desk.author, one, "withdraw", reason="too many alerts")
    desk.done(desk.author, other, "shadow")
    assert [v["state"] for v in desk.rule(name)["versions"]] == ["shadow", "withdrawn"]


def test_withdrawing_and_retiring_need_a_reason(desk: Desk, name: str) -> None:
    draft = desk.write(text(name))
    assert desk.move(desk.author, draft, "withdraw").status == 422
    desk.done(desk.second, draft, "publish")
    assert desk.move(desk.author, draft, "retire", reason=" ").status == 422


def test_a_rule_is_switched_off_by_two_people_and_comes_back_by_two(desk: Desk, name: str) -> None:
    published = desk.publish(text(name))
    draft = desk.done(desk.author, published, "retire", reason="the gauge is gone")
    assert (draft["version"], draft["state"], draft["retires"]) == (2, "draft", True)
    assert name in desk.rules(), "a draft switches nothing off"
    assert desk.move(desk.author, draft, "publish").status == 403
    assert desk.move(desk.author, draft, "shadow").status == 409
    assert {item["after"] for item in desk.author.get(f"{RULES}/{name}/versions/2/diff").json["items"]} == {None}
    desk.done(desk.second, draft, "publish")
    assert name not in desk.rules()
    retired = [item["rule"] for item in desk.author.get(RULES).json["retired"]]
    assert name in retired
    assert desk.rule(name)["in_force"] is None
    desk.publish(text(name, 0.4))
    assert desk.rules()[name]["version"] == 3


def test_a_packs_rule_can_be_overridden_and_retired(desk: Desk) -> None:
    packed = desk.rule("gas-leak") if "gas-leak" in desk.rules() else desk.rule(sorted(desk.rules())[-1])
    rule, n = packed["id"], packed["in_force"]["version"]
    answer = desk.author.post(f"{RULES}/{rule}/versions/{n}/moves", {"move": "retire", "reason": "not here"})
    assert answer.status == 200, answer.content
    assert answer.json["version"] == n + 1
    desk.done(desk.second, answer.json, "publish")
    assert rule not in desk.rules()
    back = desk.publish(packed["packed"]["text"])
    assert back["version"] == n + 2
    assert desk.rules()[rule]["origin"] == "edited"
    assert desk.move(desk.author, {"rule": rule, "version": n}, "retire", reason="again").status == 409


def test_what_does_not_exist_is_not_found(desk: Desk, name: str) -> None:
    desk.write(text(name))
    for path in ("/no-such-rule", f"/{name}/versions/9", f"/{name}/versions/9/diff", f"/{name}/versions/1/shadow"):
        answer = desk.author.get(f"{RULES}{path}")
        assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert desk.move(desk.author, {"rule": name, "version": 9}, "publish").status == 404
    assert desk.move(desk.author, {"rule": "no-such-rule", "version": 1}, "retire", reason="x").status == 404


# -- what the worker makes of it -------------------------------------------------------------------------------------------


def test_a_rule_for_a_later_day_takes_effect_at_local_midnight(desk: Desk, name: str) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    today = datetime.now(zone).date()
    desk.publish(text(name, 0.3))
    later = desk.publish(text(name, 0.2, more=f"effective_from: {today + timedelta(2)}"))
    assert (later["waits"], later["in_force"]) == (True, False)
    assert desk.rules()[name]["version"] == 1
    evening = datetime.combine(today + timedelta(1), datetime.max.time(), zone)
    midnight = evening + timedelta(microseconds=1)
    with desk.running.engine.connect() as connection:
        before, after = (load_city(connection, "suqian", zone, at) for at in (evening, midnight))
        assert city_mark(connection, zone, evening) == before.mark
        assert city_mark(connection, zone, midnight) == after.mark != before.mark
    versions = [next(r.version for r in city.rulebook.rules if r.id == name) for city in (before, after)]
    assert versions == [1, 2]
    desk.done(desk.author, later, "withdraw", reason="not yet")


def test_a_stored_rule_gone_bad_is_refused_by_name_and_stops_no_other(desk: Desk, name: str) -> None:
    desk.publish(text(name))
    desk.running.rows("UPDATE rule_versions SET text = 'kind: nonsense' WHERE rule = :rule", rule=name)
    # Another publication makes everybody read the rules again.
    other = desk.publish(text(f"{name}-x"))
    city = read_city(desk.running.engine)
    names = {rule.id for rule in city.rulebook.rules}
    assert other["rule"] in names
    assert name not in names
    assert f"{name}@1" in {refusal.file for refusal in city.rulebook.refusals}
    refused = [item for item in desk.author.get(RULES).json["refused"] if item["file"] == f"{name}@1"]
    assert refused[0]["line"] == 1
    assert refused[0]["reason"]
    assert desk.author.get(f"{RULES}/{name}/versions/1").json["fields"] is None
    assert desk.author.get(f"{RULES}/{name}/versions/1/diff").status == 422
    desk.running.rows("UPDATE rule_versions SET text = :text WHERE rule = :rule", text=text(name), rule=name)


def _counts(running: RunningCity) -> list[int]:
    found = running.rows(
        "SELECT (SELECT count(*) FROM alerts), (SELECT count(*) FROM incidents), (SELECT count(*) FROM tickets),"
        " (SELECT count(*) FROM event_log WHERE kind <> 'sensor')"
    )
    return list(found[0])


def _shadow_alert(running: RunningCity, rule: str, version: int, cell: str) -> AlertChange:
    alert = running.alert(running.small.region(cell), 2, "water-1", "shadowed")
    return AlertChange(Change.RAISED, replace(alert, rule=rule, rule_version=version))


def test_a_shadow_run_is_told_beside_the_rule_in_force_and_alerts_nobody(desk: Desk, name: str) -> None:
    running = desk.running
    desk.publish(text(name, 0.4))
    draft = desk.write(text(name, 0.2))
    desk.done(desk.author, draft, "shadow")
    before = _counts(running)
    one = _shadow_alert(running, name, 2, cell_code(0))
    ended = AlertChange(Change.ENDED, replace(one.alert, ended_at_us=one.alert.raised_at_us + 60_000_000))
    other = _shadow_alert(running, name, 2, cell_code(1))
    with running.engine.begin() as connection:
        save_shadow(connection, [one, other])
        save_shadow(connection, [ended])
        save_shadow(connection, [])
    assert _counts(running) == before, "no alert, no incident, no ticket, no event"
    found = desk.author.get(f"{RULES}/{name}/versions/2/shadow").json
    assert found["shadow"]["count"] == 2
    assert {(c["cell"], c["count"]) for c in found["shadow"]["per_cell"]} == {(cell_code(0), 1), (cell_code(1), 1)}
    today = datetime.now(ZoneInfo("Asia/Shanghai")).date().isoformat()
    assert found["shadow"]["per_day"] == [{"day": today, "count": 2}]
    assert {a["id"]: a["ended_at"] is None for a in found["shadow"]["alerts"]} == {
        str(one.alert.id): False,
        str(other.alert.id): True,
    }
    assert (found["in_force"]["count"], found["in_force"]["alerts"], found["until"]) == (0, [], None)
    county = running.console("321322").get(f"{RULES}/{name}/versions/2/shadow").json
    assert [alert["id"] for alert in county["shadow"]["alerts"]] == [str(other.alert.id)]
    with running.engine.connect() as connection:
        assert [a.id for a in load_open_shadow(connection) if a.rule == name] == [other.alert.id]
    desk.done(desk.author, draft, "withdraw", reason="looked at")
    with running.engine.connect() as connection:
        assert [a for a in load_open_shadow(connection) if a.rule == name] == []
    assert desk.author.get(f"{RULES}/{name}/versions/2/shadow").json["until"] is not None


def test_what_comes_in_meets_shadow_versions_too_and_opens_nothing(desk: Desk, name: str) -> None:
    running = desk.running
    draft = desk.write(text(name, 0.12))
    desk.done(desk.author, draft, "shadow")
    city, now = read_city(running.engine), time.time()
    with running.engine.connect() as connection:
        memory = remember(connection, city, now)
    advance([_reading("water-2", 0.01, now)], city, memory, running.engine, now)
    before = _counts(running)
    advance([_reading("water-2", 0.13, now + 60)], city, memory, running.engine, now + 60)
    found = desk.author.get(f"{RULES}/{name}/versions/1/shadow").json["shadow"]
    assert [(alert["source"]["id"], alert["value"], alert["severity"]) for alert in found["alerts"]] == [
        ("water-2", 0.13, 2)
    ]
    assert _counts(running) == before, "no alert, no incident, no ticket, no event"
    with running.engine.connect() as connection:
        memory = remember(connection, city, now + 60)
    advance([_reading("water-2", 0.05, now + 120)], city, memory, running.engine, now + 120)
    [alert] = desk.author.get(f"{RULES}/{name}/versions/1/shadow").json["shadow"]["alerts"]
    assert alert["ended_at"] is not None, "a worker that starts anew goes on with it"
    desk.done(desk.author, draft, "withdraw", reason="looked at")


def _reading(sensor: str, depth: float, at: float) -> Message:
    body = {"id": uuid4().hex, "at": round(at * 1000), "values": {"water_depth": depth}}
    return Message(f"cc/v1/321302/{sensor}/reading", json.dumps(body).encode(), at)


def test_the_alerts_of_the_rule_in_force_are_told_that_held_during_the_run(desk: Desk, name: str) -> None:
    desk.publish(text(name, 0.4))
    draft = desk.write(text(name, 0.2))
    desk.done(desk.author, draft, "shadow")
    for matter in ("during", "long-before"):
        desk.running.open_ticket(cell_code(0), matter=f"{matter}-{name}")
    desk.running.rows("UPDATE alerts SET rule = :rule WHERE category LIKE :like", rule=name, like=f"%-{name}")
    desk.running.rows(
        "UPDATE alerts SET raised_at = raised_at - interval '2 h', ended_at = raised_at - interval '1 h'"
        " WHERE category = :matter",
        matter=f"long-before-{name}",
    )
    found = desk.author.get(f"{RULES}/{name}/versions/2/shadow").json["in_force"]
    assert (found["count"], [alert["category"] for alert in found["alerts"]]) == (1, [f"during-{name}"])
    desk.done(desk.author, draft, "withdraw", reason="looked at")


# -- in force without a restart ----------------------------------------------------------------------------------------------


@pytest.fixture
def listening(desk: Desk, broker: Any) -> Iterator[Any]:
    """A worker on the running city, and a gateway that publishes to it."""
    running = desk.running

    def subscribed() -> bool:
        found = running.rows(
            "SELECT figures ->> 'broker' FROM heartbeats WHERE process = 'worker' AND at > clock_timestamp() - interval '3 s'"
        )
        return bool(found and found[0][0] == "connected")

    with (
        processes.worker(running.database.worker_url, broker.url("worker"), f"rules-{uuid4().hex[:8]}"),
        connected(broker.url("gateway")) as gateway,
    ):
        wait_until(subscribed, 20, "the worker is subscribed")
        yield gateway


def test_what_is_published_is_in_force_within_two_seconds_and_what_stood_goes_on(
    desk: Desk, listening: Any, name: str
) -> None:
    running = desk.running

    def alerts(rule: str) -> list[Any]:
        return running.rows("SELECT id, severity, ended_at FROM alerts WHERE rule = :rule", rule=rule)

    def deep(depth: float) -> None:
        body = {"id": uuid4().hex, "values": {"water_depth": depth}}
        listening.publish("cc/v1/321322/water-far/reading", body)

    stands = f"{name}-stands"
    desk.publish(text(stands, 0.15))
    time.sleep(2.5)
    deep(0.2)
    wait_until(lambda: len(alerts(stands)) == 1, what="the first rule alerts")
    begun = time.monotonic()
    desk.publish(text(name, 0.18))

    def in_force() -> bool:
        deep(0.2)
        return len(alerts(name)) == 1

    wait_until(in_force, 10, "the new rule alerts")
    print(f"in force {time.monotonic() - begun:.1f} s after its publication")
    assert time.monotonic() - begun < 4
    assert len(alerts(stands)) == 1, "what is remembered of the other rule went on"
    deep(0.05)
    wait_until(
        lambda: all(row.ended_at is not None for rule in (stands, name) for row in alerts(rule)), what="both end"
    )
    assert [len(alerts(rule)) for rule in (stands, name)] == [1, 1]


def test_an_open_alert_goes_on_by_the_new_version_and_ends_with_its_rule(desk: Desk, listening: Any, name: str) -> None:
    running = desk.running

    def alerts(rule: str) -> list[Any]:
        return running.rows("SELECT ended_at, why FROM alerts WHERE rule = :rule", rule=rule)

    def deep(depth: float) -> None:
        body = {"id": uuid4().hex, "values": {"gas_concentration": depth}}
        listening.publish("cc/v1/321322/gas-1/reading", body)

    changed, retired = f"{name}-changed", f"{name}-retired"
    version = [desk.publish(text(rule, 0.15, quantity="gas_concentration")) for rule in (changed, retired)][1]

    def both_stand() -> bool:
        deep(0.2)
        return all(len(alerts(rule)) == 1 for rule in (changed, retired))

    wait_until(both_stand, 15, "both rules alert")
    desk.publish(text(changed, 0.18, quantity="gas_concentration"))
    desk.done(desk.second, desk.done(desk.author, version, "retire", reason="over"), "publish")
    wait_until(lambda: alerts(retired)[0].ended_at is not None, 15, "the retired rule's alert ends")
    assert alerts(retired)[0].why["ended"] == "rule_not_in_force"
    assert alerts(changed)[0].ended_at is None
    deep(0.05)
    wait_until(lambda: alerts(changed)[0].ended_at is not None, 15, "the changed rule's alert ends by a reading")
    assert [len(alerts(rule)) for rule in (changed, retired)] == [1, 1]
