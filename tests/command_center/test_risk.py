"""Risk on PostGIS and over HTTP: an alert raises its cell and all above, the lines add up, nobody sees the neighbour's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from command_center.city import risk_weights
from command_center.risk_move import FLUSH_S, RiskMemory, Update, update_risks
from rules.alert import Alert, AlertChange, Change
from rules.risk import DOMAINS
from rules.risk_store import claim_writing
from rules.store import save_alerts
from tests import processes
from tests.running_city import RunningCity, desks
from tests.small_city import CITY, COUNTIES, cell_code
from tests.waiting import wait_until

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
CELL, BESIDE, ELSEWHERE = cell_code(), cell_code(0, 1, 1, 2), cell_code(1)
ABOVE = ("321302001001", "321302001", "321302", CITY)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def memory() -> RiskMemory:
    """A scheduler that has just begun."""
    table = risk_weights("suqian")
    assert table is not None
    return RiskMemory("suqian", ZoneInfo("Asia/Shanghai"), table)


@pytest.fixture
def city(running: RunningCity) -> RunningCity:
    """The city before anything happened."""
    for table in ("alerts", "risks", "risk_history"):
        running.rows(f"DELETE FROM {table}")
    running.rows("UPDATE sensors SET latest = '{}', last_received_at = NULL, state = 'unknown', state_since = NULL")
    return running


def flood(city: RunningCity, cell: str = CELL, severity: int = 3, source: str = "water-1", **more: Any) -> Alert:
    """A stored alert that stands."""
    now_us = int(NOW.timestamp()) * 1_000_000
    made = replace(city.alert(city.small.region(cell), severity, source, "flood"), raised_at_us=now_us, at_us=now_us)
    alert = replace(made, **more)
    with city.engine.begin() as connection:
        save_alerts(connection, [AlertChange(Change.RAISED, alert)], {}, NOW)
    return alert


def end(city: RunningCity, alert: Alert, seconds: float) -> None:
    over = replace(alert, ended_at_us=alert.raised_at_us + int(seconds * 1_000_000), version=alert.version + 1)
    with city.engine.begin() as connection:
        save_alerts(connection, [AlertChange(Change.ENDED, over)], {}, at(seconds))


def heard(city: RunningCity, sensor: str, quantity: str, value: float, seconds: float = 0) -> None:
    """A newest value, as the worker stores it."""
    text = at(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    city.rows(
        "UPDATE sensors SET latest = jsonb_build_object(CAST(:q AS text), jsonb_build_object('value', CAST(:v AS float8),"
        " 'at', CAST(:at AS text))), last_received_at = :heard, state = 'online' WHERE id = :id",
        q=quantity,
        v=value,
        at=text,
        heard=at(seconds),
        id=sensor,
    )


def poke(city: RunningCity, known: RiskMemory, seconds: float = 0) -> Update:
    done = update_risks(city.engine, at(seconds), known)
    assert done is not None
    return done


def scores(city: RunningCity, domain: str = "overall") -> dict[str, float]:
    found = city.rows("SELECT code, score FROM risks WHERE domain = :d AND score > 0", d=domain)
    return {row.code: row.score for row in found}


def why(city: RunningCity, code: str, domain: str = "overall", asker: str = CITY) -> tuple[float, list[dict[str, Any]]]:
    """Score and lines as a desk sees them."""
    answer = city.console(asker).get(f"/api/v1/risks/{code}")
    assert answer.status == 200, answer.content
    [found] = [one for one in answer.json["scores"] if one["domain"] == domain]
    return found["score"], found["why"]


def told(city: RunningCity) -> list[Any]:
    return city.rows("SELECT id, version, data FROM event_log WHERE kind = 'risk' ORDER BY n")


def test_an_alert_raises_its_cell_and_every_region_above_within_one_poke(city: RunningCity) -> None:
    known = memory()
    poke(city, known)
    assert scores(city) == {}
    flood(city, severity=3)
    before = len(told(city))
    poke(city, known, 1)
    found = scores(city)
    assert set(found) == {CELL, *ABOVE}
    assert len(set(found.values())) == 1
    assert found[CELL] > 70, "what stands there makes it count more"
    assert scores(city, "emergency") == found
    assert scores(city, "traffic") == {}
    events = told(city)[before:]
    assert {event.id for event in events} == set(ABOVE), "one for a region, none for a cell"
    [own] = [event for event in events if event.id == CITY]
    assert own.data["scores"]["overall"] == found[CITY]
    assert own.data["top"] == [{"cell": CELL, "name": "第1网格", "score": found[CELL]}]


def test_the_lines_add_up_on_every_place_and_in_every_domain(city: RunningCity) -> None:
    for n, (cell, domain) in enumerate(
        [(CELL, "emergency"), (CELL, "traffic"), (BESIDE, "emergency"), (CELL, "emergency")]
    ):
        flood(city, cell, n % 4 + 1, f"source-{n}", domain=domain)
    heard(city, "water-1", "water_depth", 0.14)
    poke(city, memory())
    for code in (CELL, BESIDE, *ABOVE):
        for domain in (*DOMAINS, "overall"):
            score, lines = why(city, code, domain)
            assert round(sum(line["points"] for line in lines), 1) == score
            assert all(line["zh"] and line["en"] for line in lines)
    _, lines = why(city, CELL)
    assert sum(line["kind"] == "alert" for line in lines) == 3
    assert {line["of"] for line in lines} == {"hazard", "exposure"}
    _, lines = why(city, ABOVE[0])
    assert lines[0]["source"] == CELL


def test_every_hazard_names_its_alert_or_sensor(city: RunningCity) -> None:
    alert = flood(city, severity=2)
    heard(city, "water-2", "water_depth", 0.14)
    poke(city, memory())
    _, lines = why(city, CELL, "emergency")
    hazards = {line["kind"]: line for line in lines if line["of"] == "hazard"}
    assert hazards["alert"]["source"] == str(alert.id)
    assert hazards["reading"]["source"] == "water-2"
    assert "0.14 m" in hazards["reading"]["zh"]
    assert "0.15 m" in hazards["reading"]["zh"]


def test_a_risk_fades_after_the_alert_ended_and_is_gone_in_the_end(city: RunningCity) -> None:
    known = memory()
    alert = flood(city, severity=4)
    poke(city, known)
    full = scores(city)[CELL]
    end(city, alert, 10)
    found = []
    for minutes in (1, 30, 60, 120):
        poke(city, known, minutes * 60)
        found.append(scores(city)[CELL])
    assert full >= found[0] > found[1] > found[2] > found[3] > 0
    _, lines = why(city, CELL)
    assert "渐消" in lines[0]["zh"]
    poke(city, known, 6 * 3600)
    assert scores(city) == {}
    assert why(city, CELL) == (0, [])
    assert why(city, CITY) == (0, [])


def test_what_only_fades_is_written_once_in_half_a_minute(city: RunningCity) -> None:
    known = memory()
    end(city, flood(city, severity=4), 0)
    poke(city, known)
    assert poke(city, known, FLUSH_S - 1).written == 0
    assert poke(city, known, FLUSH_S).written > 0


def test_an_alert_whose_sensor_fell_silent_fades_from_when_it_was_last_heard(city: RunningCity) -> None:
    known = memory()
    flood(city, severity=4)
    heard(city, "water-1", "water_depth", 0.05)
    poke(city, known)
    full = scores(city)[CELL]
    poke(city, known, 7200)
    assert scores(city)[CELL] == full, "it stands and is heard of"
    city.rows("UPDATE sensors SET state = 'offline', state_since = :at WHERE id = 'water-1'", at=at(7200))
    poke(city, known, 7201)
    assert scores(city)[CELL] < full
    _, lines = why(city, CELL)
    assert "失联" in lines[0]["zh"]
    poke(city, known, 7300)
    _, lines = why(city, CELL)
    assert "silent" in {line["kind"] for line in lines if line["of"] == "vulnerability"}


def test_an_alert_that_flaps_counts_once(city: RunningCity) -> None:
    known = memory()
    first = flood(city, severity=3)
    poke(city, known)
    once = scores(city)[CELL]
    end(city, first, 1)
    flood(city, severity=3, rule=first.rule)
    poke(city, known, 2)
    assert scores(city)[CELL] == once


def test_a_reading_close_to_its_limit_adds_a_little_and_less_as_it_ages(city: RunningCity) -> None:
    known = memory()
    heard(city, "water-1", "water_depth", 0.10)
    poke(city, known)
    assert scores(city) == {}
    heard(city, "water-1", "water_depth", 0.149, 1)
    poke(city, known, 1)
    close = scores(city)[CELL]
    assert 0 < close < 20
    poke(city, known, 1200)
    assert 0 < scores(city)[CELL] < close
    heard(city, "water-1", "water_depth", 0.0, 1201)
    poke(city, known, 1201)
    assert scores(city) == {}


def test_open_overdue_tickets_and_past_ones_make_a_hazard_count_more(city: RunningCity) -> None:
    flood(city, severity=2)
    poke(city, memory())
    before, _ = why(city, CELL)
    city.open_ticket(CELL, severity=1)
    city.rows("UPDATE tickets SET overdue_at = :at, opened_at = :at", at=NOW)
    # The alert of the ticket itself is not what is asked for here.
    city.rows("DELETE FROM alerts WHERE rule LIKE 'rule-of-the-tests%' AND severity = 1")
    poke(city, memory(), 60)
    after, lines = why(city, CELL)
    assert after > before
    assert {line["kind"]: line["value"] for line in lines if line["of"] == "vulnerability"} == {"past": 1, "overdue": 1}
    assert round(sum(line["points"] for line in lines), 1) == after


def test_what_is_under_maintenance_counts_for_nothing(city: RunningCity) -> None:
    flood(city, severity=4)
    city.rows("UPDATE alerts SET muted_kind = 'maintenance', muted_by = gen_random_uuid()")
    poke(city, memory())
    assert scores(city) == {}


def test_further_bad_cells_make_the_region_a_little_worse(city: RunningCity) -> None:
    flood(city, CELL, 4, "a")
    poke(city, memory())
    alone = scores(city)
    flood(city, BESIDE, 3, "b")
    flood(city, cell_code(0, 1, 1, 3), 3, "c")
    poke(city, memory(), 1)
    found = scores(city)
    score, (highest, more) = why(city, ABOVE[0])
    assert found[CELL] == alone[CELL] == highest["points"]
    assert more["value"] == 2
    assert found[ABOVE[0]] == score == round(min(highest["points"] + 3.6, 100), 1)


def test_the_history_keeps_what_moved_far_and_an_entry_an_hour(city: RunningCity) -> None:
    known = memory()
    alert = flood(city, severity=3)
    poke(city, known)
    poke(city, known, 60)
    poke(city, known, 3600)
    end(city, alert, 3600)
    poke(city, known, 12 * 3600)
    answer = city.console().get(f"/api/v1/risks/{CELL}/history")
    entries = answer.json["items"]
    assert [entry["at"] for entry in entries] == [at(s).isoformat() for s in (12 * 3600, 3600, 0)]
    assert [entry["score"] > 0 for entry in entries] == [False, True, True]
    page = city.console().get(f"/api/v1/risks/{CELL}/history?limit=1").json
    assert page["items"] == entries[:1]
    rest = city.console().get(f"/api/v1/risks/{CELL}/history?cursor={page['next']}").json
    assert rest["items"] == entries[1:]
    since = at(3600).isoformat().replace("+", "%2B")
    assert city.console().get(f"/api/v1/risks/{CELL}/history?since={since}").json["items"] == entries[:2]
    poke(city, known, 100 * 86_400)
    assert city.rows("SELECT FROM risk_history") == []


def test_a_process_that_begins_or_wrote_meanwhile_is_taken_up_from_the_tables(city: RunningCity) -> None:
    first, second = memory(), memory()
    flood(city, severity=3)
    poke(city, first)
    flood(city, ELSEWHERE, 3, "water-far")
    before = len(told(city))
    poke(city, second, 1)
    assert {event.id for event in told(city)[before:]} >= {"321322", CITY}
    assert "321302" not in {event.id for event in told(city)[before:]}, "that was told before"
    found, before = scores(city), len(told(city))
    poke(city, first, 2)
    assert scores(city) == found
    assert len(told(city)) == before
    assert [
        row.n
        for row in city.rows("SELECT count(*) AS n FROM risk_history WHERE code = :c AND domain = 'overall'", c=CELL)
    ] == [1]


def test_while_one_process_writes_another_leaves_it_at_that(city: RunningCity) -> None:
    flood(city)
    with city.engine.begin() as connection:
        assert claim_writing(connection)
        assert update_risks(city.engine, NOW, memory()) is None
    assert update_risks(city.engine, NOW, memory()) is not None


def test_a_desk_sees_its_own_subtree_and_nothing_above_or_beside(city: RunningCity) -> None:
    flood(city, CELL, 4)
    flood(city, ELSEWHERE, 3, "water-far")
    poke(city, memory())
    a, b, _ = COUNTIES
    listed = {item["code"] for item in city.console(a).get("/api/v1/risks").json["items"]}
    assert listed == {CELL, *ABOVE} - {CITY}
    assert set(city.console(a).get("/api/v1/risks/map").json["cells"]) == {CELL}
    assert set(city.console(b).get("/api/v1/risks/map").json["cells"]) == {ELSEWHERE}
    for tail in ("", "/history"):
        answers = [city.console(a).get(f"/api/v1/risks/{code}{tail}") for code in (ELSEWHERE, CITY, b)]
        nobodys = city.console(a).get(f"/api/v1/risks/999{tail}")
        assert [answer.status for answer in (*answers, nobodys)] == [404] * 4
        assert answers[0].content.decode().replace(ELSEWHERE, "999") == nobodys.content.decode()
    assert city.console(a).get(f"/api/v1/risks/{CELL}").status == 200


def test_the_list_is_highest_first_narrowed_and_paged(city: RunningCity) -> None:
    flood(city, CELL, 4)
    flood(city, BESIDE, 1, "b")
    flood(city, ELSEWHERE, 2, "c", domain="traffic")
    poke(city, memory())

    def codes(query: str) -> list[str]:
        answer = city.console().get(f"/api/v1/risks?{query}")
        assert answer.status == 200, answer.content
        return [item["code"] for item in answer.json["items"]]

    assert codes("tier=grid") == [CELL, ELSEWHERE, BESIDE]
    assert codes("tier=grid&domain=traffic") == [ELSEWHERE]
    assert codes("tier=grid&min=60") == [CELL]
    assert codes("tier=grid&region=321322") == [ELSEWHERE]
    page = city.console().get("/api/v1/risks?tier=grid&limit=2").json
    assert codes(f"tier=grid&limit=2&cursor={page['next']}") == [BESIDE]
    for bad in ("domain=weather", "tier=street", "min=101"):
        answer = city.console().get(f"/api/v1/risks?{bad}")
        assert (answer.status, answer.headers["Content-Type"]) == (422, "application/problem+json")


def test_the_map_answers_that_nothing_changed(city: RunningCity) -> None:
    flood(city)
    known = memory()
    poke(city, known)
    first = city.console().get("/api/v1/risks/map")
    assert first.json["cells"] == {CELL: scores(city)[CELL]}
    tag = {"If-None-Match": first.headers["ETag"]}
    assert city.console().ask("GET", "/api/v1/risks/map", None, tag).status == 304
    flood(city, BESIDE, 2, "b")
    poke(city, known, 1)
    assert set(city.console().ask("GET", "/api/v1/risks/map", None, tag).json["cells"]) == {CELL, BESIDE}


def test_a_cell_that_ends_takes_its_risk_with_it_and_the_alert_is_counted_as_of_nowhere(city: RunningCity) -> None:
    known = memory()
    flood(city, BESIDE)
    assert poke(city, known).unplaced == 0
    assert BESIDE in scores(city)
    city.rows("UPDATE cells SET valid_to = now() WHERE code = :code", code=BESIDE)
    try:
        assert poke(city, known, 61).unplaced == 1
        assert scores(city) == {}
        assert city.rows("SELECT FROM risks WHERE code = :code", code=BESIDE) == []
    finally:
        city.rows("UPDATE cells SET valid_to = NULL WHERE code = :code", code=BESIDE)


def test_a_row_stands_where_its_place_does(city: RunningCity) -> None:
    known = memory()
    flood(city)
    poke(city, known)
    city.rows("UPDATE risks SET scope = 'elsewhere/' || scope")
    city.rows("UPDATE risk_history SET scope = 'elsewhere/' || scope")
    poke(city, memory(), 61)
    for table in ("risks", "risk_history"):
        assert city.rows(f"SELECT FROM {table} WHERE starts_with(scope, 'elsewhere')") == []


def test_the_scheduler_brings_risk_up_to_date_by_itself(city: RunningCity) -> None:
    flood(city)
    now_us = int(datetime.now(UTC).timestamp()) * 1_000_000
    with processes.scheduler(city.database.worker_url):
        wait_until(lambda: CITY in scores(city), what="the risk of what stands")
        flood(city, ELSEWHERE, 3, "water-far", raised_at_us=now_us, at_us=now_us)
        wait_until(lambda: ELSEWHERE in scores(city), what="the risk of what came")
    assert set(scores(city)) >= set(desks(ELSEWHERE, city.small))


def test_the_hours_ahead_of_a_cell_add_up_and_name_what_is_not_forecast(city: RunningCity) -> None:
    flood(city, severity=3)
    answer = city.console().get(f"/api/v1/risks/{CELL}/outlook")
    assert answer.status == 200, answer.content
    found = answer.json
    assert [item["horizon_h"] for item in found["items"]] == [1, 2, 3, 4, 5, 6]
    poke(city, memory())
    assert {item["score"] for item in found["items"]} == {scores(city)[CELL]}, "it stands, and nothing else is forecast"
    for item in found["items"]:
        assert round(sum(line["points"] for line in item["why"]), 1) == item["score"]
    assert found["highest"]["cause"]["kind"] == "alert"
    assert found["age_s"] is None
    silent = {one["sensor"]: one["reason"]["kind"] for one in found["not_forecast"]}
    assert silent["water-1"] == "not_enough_history"


def test_the_hours_ahead_are_of_cells_and_of_one_s_own_subtree(city: RunningCity) -> None:
    a, _, _ = COUNTIES
    answers = [city.console(a).get(f"/api/v1/risks/{code}/outlook") for code in (ELSEWHERE, CITY, "999", ABOVE[0])]
    assert [answer.status for answer in answers] == [404] * 4
    assert answers[0].content.decode().replace(ELSEWHERE, "999") == answers[2].content.decode()
    assert city.console(a).get(f"/api/v1/risks/{CELL}/outlook").status == 200
