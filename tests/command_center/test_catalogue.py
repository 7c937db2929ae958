"""The catalogue as people keep it: entries with their history, tables with their faults, and sensors nobody knew."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from command_center.city import state_measurable
from command_center.pipeline import advance, remember
from ingest.message import Message
from tests.command_center.test_sensor_commands import row, written
from tests.console import Answer
from tests.running_city import RunningCity, read_city
from tests.small_city import CITY, COUNTIES, cell_code
from tests.waiting import wait_until

A, B = COUNTIES[:2]
CSV = {"Content-Type": "text/csv"}


def add(running: RunningCity, identity: str, at: str = "", code: str = CITY, **more: Any) -> Answer:
    lng, lat = running.small.centre(at or cell_code())
    body = {"id": identity, "name": f"测点{identity}", "domain": "emergency", "quantities": ["water_depth"]}
    place = {"lng": lng, "lat": lat, "profile": "water-depth-gauge"}
    return running.console(code).post("/api/v1/sensors", body | place | more)


def change(running: RunningCity, identity: str, revision: int, code: str = CITY, **fields: Any) -> Answer:
    header = {"If-Match": f'"{revision}"'}
    return running.console(code).ask("PATCH", f"/api/v1/sensors/{identity}", fields, header)


@pytest.fixture(scope="module", autouse=True)
def _models(running: RunningCity) -> None:
    """The models of the pack, which the worker states when it starts."""
    with running.engine.begin() as connection:
        state_measurable(connection, "suqian")
    wait_until(lambda: running.console().get("/api/v1/catalogue").json["profiles"])


def test_an_entry_is_added_changed_and_tells_its_history(running: RunningCity) -> None:
    made = add(running, "desk-1", owner="水利局")
    assert made.status == 201, made.content
    entry = made.json
    assert (entry["cell"], entry["county"], entry["interval_s"], entry["revision"]) == (cell_code(), A, 60, 1)
    assert (entry["sharing"], entry["in_service"], entry["credential_at"]) == ("conditional", True, None)
    changed = change(running, "desk-1", 1, owner="城管局", in_service=False)
    assert changed.status == 200, changed.content
    assert changed.json["revision"] == 2
    assert changed.headers["ETag"] == '"2"'
    stale = change(running, "desk-1", 1, owner="别人")
    assert (stale.status, stale.json["current"]["owner"]) == (412, "城管局")
    assert running.console().ask("PATCH", "/api/v1/sensors/desk-1", {"owner": "x"}).status == 428
    newest, first = running.console().get("/api/v1/sensors/desk-1/history").json["items"]
    assert (first["what"], newest["what"]) == ("added", "changed")
    assert {c["field"]: (c["before"], c["after"]) for c in newest["changes"]}["owner"] == ("水利局", "城管局")
    assert newest["by"]["account"] == running.small.username(CITY)
    events = running.rows("SELECT version, data FROM event_log WHERE kind = 'sensor' AND id = 'desk-1' ORDER BY n")
    assert [event.data["owner"] for event in events] == ["水利局", "城管局"]
    assert events[0].version < events[1].version


def test_a_county_keeps_its_own_sensors_and_no_others(running: RunningCity) -> None:
    assert add(running, "own-1", code=A).status == 201
    assert change(running, "own-1", 1, A, name="新名").status == 200
    assert change(running, "water-far", 1, A, name="x").status == 404
    beyond = add(running, "own-2", cell_code(1), A)
    assert (beyond.status, beyond.json["faults"][0]["column"]) == (422, "lng")
    lng, lat = running.small.centre(cell_code(1))
    assert change(running, "own-1", 2, A, lng=lng, lat=lat).status == 422
    assert add(running, "water-far", code=A).json["faults"][0]["zh"] == "编号已被其他单位的传感器使用：换一个编号"
    assert add(running, "own-1", code=A).json["faults"][0]["zh"].startswith("编号已在目录中")
    assert add(running, "own-3", code="321302001").status == 403
    assert running.console(B).get("/api/v1/sensors/own-1").status == 404
    assert running.console(B).get("/api/v1/sensors/own-1/history").status == 404


def test_the_city_may_move_a_sensor_to_another_county_and_the_first_hears_that_it_is_gone(running: RunningCity) -> None:
    assert add(running, "moved-1").status == 201
    lng, lat = running.small.centre(cell_code(1))
    assert change(running, "moved-1", 1, lng=lng, lat=lat).json["county"] == B
    [_, event] = running.rows("SELECT before, after FROM event_log WHERE id = 'moved-1' ORDER BY n")
    assert (A in event.before[0], B in event.after[0]) == (True, True)


def test_the_list_is_searched_by_words_owner_model_and_service(running: RunningCity) -> None:
    add(running, "find-1", owner="水务集团")
    add(running, "find-2", owner="水务集团", profile="", interval_s=60, in_service=False)

    def found(query: str, code: str = CITY) -> set[str]:
        items = running.console(code).get(f"/api/v1/sensors?{query}&limit=500").json["items"]
        return {item["id"] for item in items if item["id"].startswith("find-")}

    assert found("text=FIND-") == {"find-1", "find-2"}
    assert found("text=%E6%B0%B4%E5%8A%A1") == {"find-1", "find-2"}
    assert found("text=%25") == set()
    assert found("profile=water-depth-gauge&text=find") == {"find-1"}
    assert found("in_service=false") == {"find-2"}
    assert found("text=find", B) == set()


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({"domain": "weather"}, "domain"),
        ({"quantities": ["nothing"]}, "quantities"),
        ({"profile": "nothing"}, "profile"),
        ({"sharing": "secret"}, "sharing"),
        ({"interval_s": 0}, "interval_s"),
        ({"datum": "UTM"}, "datum"),
        ({"lat": None}, "lat"),
        ({"lng": 0, "lat": 0}, "lng"),
        ({"name": "=1"}, "name"),
        ({"cell": cell_code(1)}, "cell"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_field_in_both_languages(
    running: RunningCity, fields: dict[str, Any], column: str
) -> None:
    answer = add(running, "wrong-1", **fields)
    assert answer.status == 422, answer.content
    [fault] = answer.json["faults"]
    assert fault["column"] == column
    assert fault["zh"] != fault["en"]


def test_a_table_is_tried_first_then_taken_whole_or_in_part(running: RunningCity, tmp_path: Any) -> None:
    good, bad = row(running, "table-1"), row(running, "table-2", datum="UTM")
    content = written(tmp_path / "t.csv", good, bad).read_bytes()
    console = running.console(A)
    tried = console.ask("POST", "/api/v1/sensors/import", content, CSV).json
    assert (tried["added"], tried["stored"], tried["faulty_rows"]) == (1, False, 1)
    assert (tried["faults"][0]["line"], tried["faults"][0]["column"]) == (3, "datum")
    assert console.ask("POST", "/api/v1/sensors/import?check=false", content, CSV).status == 422
    assert console.get("/api/v1/sensors/table-1").status == 404
    taken = console.ask("POST", "/api/v1/sensors/import?check=false&partial=true&name=t.csv", content, CSV).json
    assert (taken["added"], taken["stored"]) == (1, True)
    [line] = console.get("/api/v1/sensors/table-1/history").json["items"]
    assert line["source"] == "t.csv"
    again = console.ask("POST", "/api/v1/sensors/import?check=false&partial=true", content, CSV).json
    assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, 1)
    assert console.ask("POST", "/api/v1/sensors/import", b"a,b\n", CSV).status == 422
    assert console.ask("POST", "/api/v1/sensors/import", b"x" * (5 << 20), CSV).status == 413
    assert running.console("321302001").ask("POST", "/api/v1/sensors/import", content, CSV).status == 403


def test_what_is_exported_is_of_the_own_region_and_comes_back_unchanged(running: RunningCity) -> None:
    console = running.console(B)
    answer = console.get("/api/v1/sensors/export.csv")
    assert answer.content.startswith(b"\xef\xbb\xbfid,")
    assert b"water-far" in answer.content
    assert b"water-1" not in answer.content
    back = console.ask("POST", "/api/v1/sensors/import?check=false", answer.content, CSV).json
    assert (back["added"], back["changed"], back["faults"]) == (0, 0, [])
    elsewhere = console.get(f"/api/v1/sensors/export.csv?region={A}").content.decode("utf-8-sig")
    assert len(elsewhere.splitlines()) == 1


def _publish(running: RunningCity, identity: str, county: str, *bodies: dict[str, Any]) -> Any:
    city = read_city(running.engine)
    with running.engine.connect() as connection:
        memory = remember(connection, city, time.time())
    topic = f"cc/v1/{county}/{identity}/reading"
    now = time.time()
    messages = [Message(topic, json.dumps(body).encode(), now - 60 * n) for n, body in enumerate(bodies)]
    return advance(messages[::-1], city, memory, running.engine, now)


def test_an_unknown_sensor_is_listed_with_what_it_sent_and_adopted_its_messages_are_taken(running: RunningCity) -> None:
    lng, lat = running.small.centre(cell_code())
    body = {"values": {"water_depth": 0.4, "mystery": 1}, "lng": lng, "lat": lat}
    _publish(running, "stray-1", A, body, {"values": {"water_depth": 0.3}}, {"values": {"noise": 60}})
    listed = running.console(A).get("/api/v1/unknown-sensors").json["items"]
    [stray] = [item for item in listed if item["id"] == "stray-1"]
    assert (stray["county"], stray["count"], stray["adoptable"]) == (A, 3, True)
    assert {(v["quantity"], v["value"], v["known"]) for v in stray["values"]} == {
        ("water_depth", 0.4, True),
        ("mystery", 1.0, False),
        ("noise", 60.0, True),
    }
    assert stray["suggestion"]["quantities"] == ["water_depth", "noise"]
    assert (stray["suggestion"]["interval_s"], stray["suggestion"]["lng"]) == (60, lng)
    assert not [i for i in running.console(B).get("/api/v1/unknown-sensors").json["items"] if i["id"] == "stray-1"]
    assert running.console(B).post("/api/v1/unknown-sensors/stray-1/adopt", {}).status == 404
    assert running.console("321302001").post("/api/v1/unknown-sensors/stray-1/adopt", {}).status == 403
    adopted = running.console(A).post("/api/v1/unknown-sensors/stray-1/adopt", {"name": "收养的测点"})
    assert adopted.status == 201, adopted.content
    assert (adopted.json["name"], adopted.json["cell"], adopted.json["domain"]) == (
        "收养的测点",
        cell_code(),
        "emergency",
    )
    [line] = running.console(A).get("/api/v1/sensors/stray-1/history").json["items"]
    assert line["what"] == "adopted"
    assert "stray-1" not in running.console(A).get("/api/v1/unknown-sensors").content.decode()
    outcome = _publish(running, "stray-1", A, {"values": {"water_depth": 0.1}})
    assert (outcome.counts["readings"], outcome.counts["rejected_unknown_sensor"]) == (1, 0)


def test_a_stray_that_says_another_county_than_where_it_stands_is_not_adopted(running: RunningCity) -> None:
    lng, lat = running.small.centre(cell_code(1))
    _publish(running, "stray-2", A, {"values": {"water_depth": 0.4}, "lng": lng, "lat": lat})
    answer = running.console(CITY).post("/api/v1/unknown-sensors/stray-2/adopt", {})
    assert (answer.status, answer.json["faults"][0]["column"]) == (422, "county")


def test_the_web_process_knows_a_new_entry_without_a_restart(running: RunningCity) -> None:
    assert add(running, "fresh-1").status == 201
    wait_until(lambda: running.console().get("/api/v1/sensors/fresh-1/forecast?quantity=water_depth").status != 404)
