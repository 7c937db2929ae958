"""The HTTP contract: lists, errors, the OpenAPI document, health and what every answer carries."""

from __future__ import annotations

import base64
import http.client
import json
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

import psycopg
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from command_center.app import LARGEST_REQUEST, make_app
from command_center.pipeline import advance, remember
from config.settings import from_environment
from ingest.message import Message
from tests.console import Answer, Console
from tests.running_city import RunningCity
from tests.small_city import CITY, COUNTIES, cell_code
from tests.waiting import wait_until

A, B, _ = COUNTIES
LISTS = ("tickets", "incidents", "alerts", "sensors", "cameras", "cells", "regions", "readings?sensor=water-1")
fuzz = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def busy(running: RunningCity) -> RunningCity:
    """Some rows in every list; tickets of one instant, which only their ids tell apart."""
    now = time.time()
    with running.engine.connect() as connection:
        memory = remember(connection, running.city, now)
    readings = [{"id": str(n), "at": int((now - 60 + n) * 1000), "values": {"water_depth": 0.01 * n}} for n in range(5)]
    message = Message(f"cc/v1/{A}/water-1/reading", json.dumps(readings).encode(), now)
    advance([message], running.city, memory, running.engine, now)
    for n in range(6):
        running.open_ticket(cell_code(n % 3), severity=1 + n % 4)
    running.rows("UPDATE tickets SET opened_at = (SELECT min(opened_at) FROM tickets)")
    return running


def is_problem(answer: Answer, *statuses: int) -> dict[str, Any]:
    assert answer.status in (statuses or range(400, 500)), answer.content[:500]
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json
    assert body["status"] == answer.status
    assert all(isinstance(body[name], str) and body[name] for name in ("type", "title", "detail"))
    assert "Traceback" not in body["detail"]
    return body


# -- lists -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", LISTS)
def test_paging_one_by_one_gives_every_row_once_in_the_order_of_the_whole_list(
    busy: RunningCity, resource: str
) -> None:
    joint = "&" if "?" in resource else "?"
    whole = busy.console().get(f"/api/v1/{resource}{joint}limit=500").json
    assert whole["next"] is None
    assert len(whole["items"]) > 1 or resource == "cameras"
    found, cursor = [], ""
    while True:
        page = busy.console().get(f"/api/v1/{resource}{joint}limit=1{cursor}").json
        assert len(page["items"]) == 1
        found += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={quote(page['next'])}"
    assert found == whole["items"]


def test_a_row_that_comes_while_somebody_pages_neither_repeats_nor_hides_another(busy: RunningCity) -> None:
    first = busy.console().get("/api/v1/tickets?limit=2").json
    expected = [item["id"] for item in busy.console().get("/api/v1/tickets?limit=500").json["items"]]
    new = busy.open_ticket()
    rest = busy.console().get(f"/api/v1/tickets?limit=500&cursor={first['next']}").json["items"]
    assert [item["id"] for item in first["items"] + rest] == expected
    assert UUID(busy.console().get("/api/v1/tickets?limit=1").json["items"][0]["id"]) == new


def test_tickets_are_found_by_what_the_contract_names(busy: RunningCity) -> None:
    everything = busy.console().get("/api/v1/tickets?limit=500").json["items"]

    def found(query: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = busy.console().get(f"/api/v1/tickets?limit=500&{query}").json["items"]
        return items

    filters: dict[str, Callable[[dict[str, Any]], bool]] = {
        "status=filed": lambda t: t["status"] == "filed",
        "status=closed": lambda t: t["status"] == "closed",
        "open=true": lambda t: t["status"] != "closed",
        "domain=emergency": lambda t: t["domain"] == "emergency",
        "domain=traffic": lambda t: t["domain"] == "traffic",
        "sensor=water-1": lambda t: t["source"]["id"] == "water-1",
        f"region={A}": lambda t: t["path"][1]["region"] == A,
        f"region={cell_code(1)}": lambda t: t["cell"] == cell_code(1),
        "region=nowhere": lambda t: False,
        "since=2999-01-01T00:00:00Z": lambda t: False,
        f"since={quote(everything[-1]['opened_at'])}": lambda t: True,
    }
    for query, wanted in filters.items():
        assert found(query) == [ticket for ticket in everything if wanted(ticket)], query
    assert {t["path"][1]["region"] for t in everything} == set(COUNTIES)


def test_a_zones_tickets_are_found_by_today_s_parentage_not_by_the_beginning_of_a_code(busy: RunningCity) -> None:
    zone = busy.console().get("/api/v1/tickets?limit=500&region=321391").json["items"]
    assert zone
    assert all(ticket["cell"].startswith("321302") for ticket in zone)


def test_a_sensor_shows_its_newest_value_by_quantity(busy: RunningCity) -> None:
    [sensor] = busy.console().get("/api/v1/sensors?id=gas-1").json["items"]
    assert (sensor["county"], sensor["cell"], sensor["state"]) == (B, cell_code(1, 2, 2, 4), "unknown")
    assert [quantity["name"] for quantity in sensor["quantities"]] == ["gas_concentration", "noise"]
    [reading] = busy.console().get("/api/v1/readings?sensor=water-1&limit=1").json["items"]
    assert (reading["sensor"], reading["quantity"]) == ("water-1", "water_depth")
    assert busy.console().get("/api/v1/readings?sensor=water-1&since=2999-01-01T00:00:00Z").json["items"] == []


def test_a_camera_never_shows_where_its_stream_is(busy: RunningCity) -> None:
    busy.rows("UPDATE cameras SET stream = 'rtsp://user:secret@10.0.0.9/1'")
    assert b"secret" not in busy.console().get("/api/v1/cameras").content
    assert b"stream" not in busy.console().get("/api/v1/cameras").content


def test_every_time_carries_its_offset(busy: RunningCity) -> None:
    ticket = busy.console().get("/api/v1/tickets?limit=1").json["items"][0]
    for name in ("opened_at", "due_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)", ticket[name])


# -- what makes no sense -----------------------------------------------------------------------------------------------------


def cursor_of(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


_UUID = "00000000-0000-4000-8000-000000000000"
BAD_CURSORS = ["x", "????", "é", "%00", "%ff", cursor_of({}), cursor_of([]), cursor_of([1, 2]), cursor_of(["yesterday", _UUID]),
               cursor_of(["2026-11-23T10:00:00+08:00", "no-uuid"]), cursor_of(["2026-11-23T10:00:00+08:00", 7]),
               cursor_of([None, None]), cursor_of([float("inf"), 1, 1]), cursor_of(b"[" * 5000), cursor_of(b"\xff\xfe"),
               cursor_of(["a", "b", "c", "d"])]  # fmt: skip


@pytest.mark.parametrize("resource", LISTS)
def test_a_cursor_that_is_none_of_ours_is_a_problem(busy: RunningCity, resource: str) -> None:
    joint = "&" if "?" in resource else "?"
    for cursor in BAD_CURSORS:
        is_problem(busy.console().get(f"/api/v1/{resource}{joint}cursor={quote(cursor, safe='%')}"), 422)


def test_a_readings_cursor_with_a_number_too_large_is_a_problem(busy: RunningCity) -> None:
    for number in (str(10**30), "9" * 5000, "1e3"):
        cursor = cursor_of(["2026-11-23T10:00:00+08:00", number, "1"])
        is_problem(busy.console().get(f"/api/v1/readings?sensor=water-1&cursor={cursor}"), 422)


@pytest.mark.parametrize("query", [
    "tickets?limit=0", "tickets?limit=-1", "tickets?limit=501", "tickets?limit=many", "tickets?limit=1.5", "tickets?limit=",
    "tickets?open=perhaps", "tickets?since=yesterday", "tickets?since=2026-13-45T00:00:00Z", "readings", "readings?limit=3",
    "readings?sensor=water-1&since=x", "tickets?sensor=%00", "sensors?id=a%00b", "regions?code=%00",
])  # fmt: skip
def test_a_query_that_makes_no_sense_is_a_problem_that_says_where(busy: RunningCity, query: str) -> None:
    is_problem(busy.console().get(f"/api/v1/{query}"), 422)


@pytest.mark.parametrize("path", [
    "/api/v1/tickets/no-uuid", f"/api/v1/tickets/{_UUID}", f"/api/v1/tickets/{_UUID}/steps", "/api/v1/nothing", "/nothing",
    "/assets/nothing.js", "/assets/../app.py", "/assets/%2e%2e/index.html", "/tiles/nothing/v/1/0/0.mvt",
    "/tiles/cells/v/99/0/0.mvt", "/tiles/cells/v/3/8/0.mvt", "/tiles/cells/v/-1/0/0.mvt", "/tiles/cells/v/a/0/0.mvt",
    f"/tiles/cells/v/9/{'9' * 5000}/0.mvt",
])  # fmt: skip
def test_an_address_that_leads_nowhere_is_a_problem(busy: RunningCity, path: str) -> None:
    is_problem(busy.console().get(path), 404)


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/tickets"), ("DELETE", "/api/v1/tickets"),
                                              ("PUT", "/api/v1/session"), ("POST", "/healthz")])  # fmt: skip
def test_a_verb_that_an_address_does_not_know_is_a_problem(busy: RunningCity, method: str, path: str) -> None:
    is_problem(busy.console().ask(method, path), 405)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"7", b'"text"', b"\xff\xfe", b"{}", b'{"move": "accept"}',
                                  b'{"move": 1, "version": 1}', b'{"move": "accept", "version": {}}', b"[" * 100_000,
                                  b'{"move": "accept", "version": 1, "reason": "\\u0000"}', b'{"a":' * 5000,
                                  b'{"move": "accept", "version": 1, "to": "\\ud800"}'])  # fmt: skip
def test_a_body_that_makes_no_sense_is_a_problem(busy: RunningCity, body: bytes) -> None:
    ticket = busy.open_ticket()
    # An accept does not look at reason or target: what cannot be stored must not be taken all the same.
    answer = busy.console().post(f"/api/v1/tickets/{ticket}/moves", body)
    is_problem(answer, 400, 415, 422)
    assert busy.ticket(ticket)["version"] == 1


def test_a_body_of_another_kind_and_one_too_large_are_problems(busy: RunningCity) -> None:
    path = "/api/v1/session"
    answer = busy.console().ask(
        "POST", path, b"username=u&password=p", {"Content-Type": "application/x-www-form-urlencoded"}
    )
    is_problem(answer, 415, 422)
    is_problem(Console(busy.url).ask("POST", path, b'{"username": "' + b"x" * LARGEST_REQUEST + b'"}'), 413)


def test_an_idempotency_key_too_long_is_a_problem(busy: RunningCity) -> None:
    ticket = busy.open_ticket()
    body = {"move": "accept", "version": 1}
    is_problem(busy.console().post(f"/api/v1/tickets/{ticket}/moves", body, {"Idempotency-Key": "k" * 129}), 422)


_NAMES = st.sampled_from(["region", "status", "domain", "sensor", "since", "open", "cursor", "limit", "id", "state", "tier",
                          "parent", "code", "source", "quantity"])  # fmt: skip
_VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.integers().map(str),
    st.datetimes().map(str),
    st.sampled_from(
        [
            "\0",
            "'",
            '"',
            "%",
            "\\",
            "~",
            "/",
            "true",
            "nan",
            "inf",
            "1e400",
            A,
            "2026-11-23T10:00:00+08:00",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-12:00",
            "-infinity",
            "now",
        ]
    ),
    st.lists(st.one_of(st.text(max_size=20), st.integers(), st.none(), st.floats()), max_size=4).map(cursor_of),
)


@fuzz
@given(st.sampled_from([*LISTS[:-1], "readings"]), st.lists(st.tuples(_NAMES, _VALUES), max_size=4))
def test_no_query_whatever_breaks_the_server(busy: RunningCity, resource: str, pairs: list[tuple[str, str]]) -> None:
    answer = busy.console().get(f"/api/v1/{resource}?{urlencode(pairs)}")
    if answer.status != 200:
        is_problem(answer)


_JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), st.sampled_from(["accept", "close"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from(["move", "version", "to", "reason"]), st.text(max_size=5)), inner, max_size=4
        ),
    ),
    max_leaves=8,
)
_BODIES = st.one_of(_JSON.map(lambda value: json.dumps(value).encode()), st.binary(max_size=60))


@fuzz
@given(_BODIES)
def test_no_body_whatever_breaks_the_server(busy: RunningCity, body: bytes) -> None:
    answer = busy.console().post(f"/api/v1/tickets/{_UUID}/moves", body)
    is_problem(answer, 400, 404, 415, 422)


@fuzz
@given(st.binary(max_size=40))
def test_no_path_whatever_breaks_the_server(busy: RunningCity, path: bytes) -> None:
    where = urlsplit(busy.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
    connection.request("GET", "/" + quote(path))
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status < 500 or (answer.status == 503 and quote(path) in {"login", "wall", "county", "worker"})


# -- documents ---------------------------------------------------------------------------------------------------------------


def test_the_openapi_document_lists_every_route_and_only_those(busy: RunningCity) -> None:
    answer = Console(busy.url).get("/api/v1/openapi.json")
    assert answer.status == 200
    document = answer.json
    assert document["openapi"].startswith("3.")
    documented = {(path, method.upper()) for path, operations in document["paths"].items() for method in operations}
    chosen = from_environment({"CC_DATABASE_URL": busy.database.web_url, "CC_HTTP_PORT": "0"})
    app, _, push = make_app(chosen, structlog.stdlib.get_logger())
    push.server.engine.dispose()
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/api/v1/", "/tiles/")) and not rule.endpoint.startswith("openapi")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert documented == routes
    references = set(re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
    named = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("path", ["/", "/login", "/healthz", "/readyz", "/metrics", "/api/v1/city", "/api/v1/session",
                                  "/api/v1/tickets", "/api/v1/openapi.json", "/nothing"])  # fmt: skip
def test_every_answer_forbids_the_browser_what_a_closed_network_does_not_have(busy: RunningCity, path: str) -> None:
    where = urlsplit(busy.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert not re.search(rb"""(?:src|href)=["']https?://""", content), "nothing is asked of elsewhere"


# -- health ------------------------------------------------------------------------------------------------------------------


def test_the_process_says_that_it_lives(busy: RunningCity) -> None:
    answer = Console(busy.url).get("/healthz")
    assert (answer.status, answer.json) == (200, {"status": "alive"})


def beats(running: RunningCity, process: str, age_s: float = 0, figures: Any = None) -> None:
    running.rows(
        "INSERT INTO heartbeats (process, at, figures)"
        " VALUES (:process, now() - :age * interval '1 s', CAST(:figures AS jsonb))"
        " ON CONFLICT (process) DO UPDATE SET at = excluded.at, figures = excluded.figures",
        process=process,
        age=age_s,
        figures=json.dumps(figures or {}),
    )


def readiness(running: RunningCity) -> tuple[int, dict[str, str]]:
    answer = Console(running.url).get("/readyz")
    return answer.status, {name: part["state"] for name, part in answer.json["parts"].items()}


def test_readiness_names_the_part_that_is_away(busy: RunningCity) -> None:
    busy.rows("DELETE FROM heartbeats")
    assert readiness(busy) == (503, {"database": "ready", "worker": "away", "scheduler": "away", "broker": "away"})
    beats(busy, "worker", figures={"broker": "connected"})
    assert readiness(busy) == (503, {"database": "ready", "worker": "ready", "scheduler": "away", "broker": "ready"})
    beats(busy, "scheduler")
    assert readiness(busy) == (200, dict.fromkeys(("database", "worker", "scheduler", "broker"), "ready"))
    beats(busy, "worker", figures={"broker": "away"})
    assert readiness(busy) == (503, {"database": "ready", "worker": "ready", "scheduler": "ready", "broker": "away"})
    beats(busy, "worker", age_s=60, figures={"broker": "connected"})
    assert readiness(busy) == (503, {"database": "ready", "worker": "away", "scheduler": "ready", "broker": "away"})


@pytest.mark.parametrize(("age_s", "state"), [(0, "live"), (7, "late"), (60, "away")])
def test_the_summary_says_how_the_worker_is(busy: RunningCity, age_s: float, state: str) -> None:
    beats(busy, "worker", age_s=age_s)
    assert busy.console(A).get("/api/v1/summary").json["worker"]["state"] == state


def test_the_figures_count_what_was_put_into_quarantine_by_reason(busy: RunningCity) -> None:
    counts = {"readings": 12, "rejected_malformed": 3, "rejected_wrong_county": 1}
    beats(busy, "worker", figures={"counts": counts})
    live = busy.socket(A)
    live.pulse()
    answer = Console(busy.url).get("/metrics")
    assert answer.status == 200
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }
    assert found["cc_quarantined_total", "malformed"] == 3
    assert found["cc_quarantined_total", "wrong_county"] == 1
    assert found["cc_handled_total", "readings"] == 12
    assert found["cc_consoles",] >= 1
    assert 0 <= found["cc_worker_beat_age_seconds",] < 60


def test_a_summary_counts_a_new_ticket_in_its_domain_and_its_hour(busy: RunningCity) -> None:
    def figures() -> dict[str, Any]:
        found = busy.console(A).get("/api/v1/summary").json["domains"]
        return next(domain for domain in found if domain["domain"] == "emergency")

    before = figures()
    ticket = busy.open_ticket()
    opened = figures()
    assert (opened["open"], opened["today"]) == (before["open"] + 1, before["today"] + 1)
    assert sum(opened["trend"]) == sum(before["trend"]) + 1
    assert len(opened["trend"]) == 24
    assert opened["trend"][-1] > 0
    busy.rows("UPDATE tickets SET due_at = now() - interval '1 s' WHERE id = :id", id=ticket)
    assert figures()["overdue"] == before["overdue"] + 1


def test_a_database_that_goes_away_is_said_and_comes_back(busy: RunningCity) -> None:
    with psycopg.connect(busy.database.superuser_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'cc_web'"
        )
    live = busy.console(CITY)
    wait_until(lambda: live.get("/api/v1/tickets?limit=1").status == 200, what="the web process has new connections")
    console = busy.socket(A)
    console.sync(None)
    busy.append(cell_code(), "after the cut")
    assert console.event()["id"] == "after the cut"
