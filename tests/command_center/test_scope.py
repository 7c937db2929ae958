"""Promise 5: nobody sees what lies outside their region subtree plus what was dispatched to them."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from command_center.pipeline import advance, remember
from config.database import scoped, web_engine
from ingest.message import Message
from tests.running_city import RunningCity, read_city
from tests.small_city import CITY, COUNTIES, add_camera, cell_code

A, B, C = COUNTIES
IN_A, IN_B = cell_code(0), cell_code(1)
BESIDE = cell_code(0, 1, 1, 2)
"""A grid of the same village as IN_A, to which a ticket of IN_A was sent."""

# Tables whose rows belong to no region, each with the reason why the web process may read them whole.
WITHOUT_SCOPE = {
    "accounts": "logging in comes before any scope",
    "account_grants": "logging in comes before any scope",
    "sessions": "finding the session comes before any scope",
    "heartbeats": "processes, not places",
    "quantities": "what can be measured",
    "profiles": "models of devices",
    "rule_versions": "rules hold for the whole city, and everybody may read them",
    "rule_steps": "rules hold for the whole city, and everybody may read them",
    "calendar_days": "the whole city has one work calendar",
    "filing_standards": "limits hold for the whole city, and everybody may read them",
    "water": "the map's background",
    "map_layers": "how often a layer was drawn",
    "alembic_version": "the schema's number",
    "stale_hours": "the web process may not read it at all",
    "reading_marks": "how far hourly figures go, for the whole city",
    "rule_snapshots": "the web process may not read it at all",
    "sensor_credentials": "the web process may not read it at all",
    "sparkplug_edges": "the web process may not read it at all",
    "spatial_ref_sys": "of PostGIS",
}

_OWN = "starts_with(scope, :scope)"
_TICKETS = f"SELECT id FROM tickets WHERE {_OWN} OR id IN (SELECT object FROM object_grants WHERE {_OWN})"
_REGIONS = f"{_OWN} OR starts_with(:scope, scope) OR tier = 'city'"
_OF_THE_CITY = f":scope = '{CITY}/'"
# What an account sees of every other table, said without the policies' own words.
SEEN = {
    "regions": _REGIONS,
    "region_parents": f"code IN (SELECT code FROM regions WHERE {_REGIONS})",
    "cells": _OWN,
    "planned_cells": _OWN,
    "cell_lineage": _OWN,
    "cell_functions": _OWN,
    "network_grids": _OWN,
    "network_problems": _OWN,
    "tile_shapes": f"{_OWN} OR (layer <> 'cells' AND starts_with(:scope, scope))",
    "grid_versions": _OF_THE_CITY,
    "networks": _OF_THE_CITY,
    "merge_jobs": _OF_THE_CITY,
    "imports": _OF_THE_CITY,
    "reading_positions": f"sensor IN (SELECT n FROM sensors WHERE {_OWN})",
    "sensors": _OWN,
    "links": _OWN,
    "sensor_history": _OWN,
    "readings": f"sensor IN (SELECT n FROM sensors WHERE {_OWN})",
    "reading_hours": f"sensor IN (SELECT n FROM sensors WHERE {_OWN})",
    "quarantine": _OWN,
    "replays": _OWN,
    "quarantine_dropped": _OWN,
    "cameras": _OWN,
    "camera_events": _OWN,
    "alerts": _OWN,
    "mutes": _OWN,
    "alert_groups": _OWN,
    "shadow_alerts": _OWN,
    "risks": _OWN,
    "risk_history": _OWN,
    "reports": f"{_OWN} OR ticket IN ({_TICKETS})",
    "incidents": _OWN,
    "incident_signals": f"incident IN (SELECT id FROM incidents WHERE {_OWN})",
    "incident_levels": f"incident IN (SELECT id FROM incidents WHERE {_OWN})",
    "incident_steps": f"incident IN (SELECT id FROM incidents WHERE {_OWN})",
    "incident_apart": f"one IN (SELECT id FROM incidents WHERE {_OWN})"
    f" AND other IN (SELECT id FROM incidents WHERE {_OWN})",
    "tickets": f"id IN ({_TICKETS})",
    "ticket_steps": f"ticket IN ({_TICKETS})",
    "deadlines": f"ticket IN ({_TICKETS})",
    "deadline_findings": f"ticket IN ({_TICKETS})",
    "object_grants": _OWN,
    "rosters": _OWN,
    "positions": _OWN,
    "skills": f"account IN (SELECT account FROM account_grants WHERE {_OWN})",
    "modes": f"{_OWN} OR starts_with(:scope, scope)",
    "mode_steps": f"mode IN (SELECT id FROM modes WHERE {_OWN} OR starts_with(:scope, scope))",
    "event_log": "EXISTS (SELECT FROM unnest(before || after) AS path WHERE starts_with(path, :scope)"
    " OR (kind = 'mode' AND starts_with(:scope, path)))",
    "idempotency_keys": "account IN (SELECT username FROM accounts a JOIN account_grants g ON g.account = a.id"
    f" WHERE {_OWN.replace('scope,', 'g.scope,')})",
}


_NAMING_THE_CITY = ("regions",)


@pytest.fixture(scope="module")
def filled(running: RunningCity) -> RunningCity:
    """Rows of every county in every table."""
    other_camera = "32132200081326000002"
    with running.engine.begin() as connection:
        add_camera(connection, running.small, other_camera, IN_B, alias="back_door")
        for code in COUNTIES:
            values = {"code": code, "city": CITY}
            connection.execute(
                text("INSERT INTO region_parents (code, valid_from, parent) VALUES (:code, '2020-01-01', :city)"),
                values,
            )
        _draw(connection)
    running.city = read_city(running.engine)
    with running.engine.connect() as connection:
        memory = remember(connection, running.city, time.time())
    messages = [
        _message(A, "water-1/reading", {"id": "a", "values": {"water_depth": 0.31}}),
        _message(B, "water-far/reading", {"id": "b", "values": {"water_depth": 0.31}}),
        _message(A, "nobody/reading", {"id": "qa", "values": {"water_depth": 0.31}}),
        _message(B, "nobody/reading", {"id": "qb", "values": {"water_depth": 0.31}}),
        _frigate(A, "front_door"),
        _frigate(B, "back_door"),
    ]
    advance(messages, running.city, memory, running.engine, time.time())
    for cell, county in ((IN_A, A), (IN_B, B), (cell_code(2), C)):
        ticket = running.open_ticket(cell, severity=1, source=f"gauge-{county}", matter="sent beside")
        village = running.small.region(cell).parent or ""
        answer = running.console(village).post(
            f"/api/v1/tickets/{ticket}/moves",
            {"move": "dispatch", "version": 1, "to": f"{village}002"},
            {"Idempotency-Key": f"first of {county}"},
        )
        assert answer.status == 200, answer.content
        _people_set(running, county)
        lng, lat = running.small.centre(cell)
        told = {"kind": "manhole", "words": "井盖缺失", "lng": lng, "lat": lat, "contact": f"of {county}"}
        assert running.console(village).post("/api/v1/reports", told).status == 201
    for statement in (
        "INSERT INTO rosters SELECT gen_random_uuid(), account, region, scope, NULL, now(), now() + interval '1 hour', 'x'"
        " FROM account_grants",
        "INSERT INTO skills SELECT account, 'gas' FROM account_grants",
        "INSERT INTO positions SELECT account, 118, 34, now(), scope FROM account_grants",
    ):
        running.rows(statement)
    running.rows(
        "INSERT INTO incident_apart SELECT a.id, b.id, now() FROM incidents a JOIN incidents b ON a.id < b.id"
        " AND split_part(a.scope, '/', 2) = split_part(b.scope, '/', 2) ON CONFLICT DO NOTHING"
    )
    running.rows(
        "INSERT INTO deadline_findings (ticket, found_at, what, missing, stray)"
        " SELECT id, now(), 'rows', '{handling}', '{}' FROM tickets"
    )
    return running


def _people_set(running: RunningCity, county: str) -> None:
    """A county keeps something quiet and states the levels of an incident."""
    console, end = running.console(county), datetime.now(UTC) + timedelta(hours=1)
    wish = {"kind": "silence", "category": "nothing", "ends_at": end.isoformat(), "reason": "of the tests"}
    assert console.post("/api/v1/mutes", wish).status == 201
    war = {"region": county, "domains": ["traffic"], "ends_at": end.isoformat(), "reason": "of the tests"}
    assert console.post("/api/v1/modes", war).status == 201
    incident = console.get("/api/v1/incidents?limit=1").json["items"][0]
    stated = console.ask(
        "PATCH",
        f"/api/v1/incidents/{incident['id']}",
        {"event_grade": 4, "reason": "of the tests"},
        {"If-Match": str(incident["version"])},
    )
    assert stated.status == 200, stated.content


def _draw(connection: Connection) -> None:
    """What the map editor keeps: something in every cell, and what concerns the city as a whole."""
    everywhere = "FROM cells"
    for statement in (
        "INSERT INTO networks VALUES ('n', 'n.geojson', 'CGCS2000', now(), 1, '[]')",
        "INSERT INTO imports (what, file, digest, datum, imported_at, rows, notices)"
        " VALUES ('county', 'f', 'd', 'CGCS2000', now(), 1, '[]')",
        "INSERT INTO grid_versions (state, made_at, made_by) VALUES ('planned', now(), 'somebody')",
        "INSERT INTO merge_jobs (asked_by, asked_at, wish, state) VALUES ('somebody', now(), '{}', 'waiting')",
        "INSERT INTO planned_cells SELECT v.n, c.code, c.name, c.kind, c.region, c.scope, c.area_m2, c.sources, c.geom"
        " FROM cells c, grid_versions v",
        "INSERT INTO cell_lineage SELECT v.n, c.code, c.code, 'reshaped', 1, c.scope FROM cells c, grid_versions v",
        "INSERT INTO cell_functions (cell, domain, organisation, valid_from, scope)"
        f" SELECT code, 'emergency', 'o', '2026-01-01', scope {everywhere}",
        f"INSERT INTO network_grids SELECT 'n', n, '1', '', scope, geom {everywhere}",
        f"INSERT INTO network_problems SELECT 'n', n, 'gap', '[]', 1, NULL, 'd', scope, geom {everywhere}",
        "INSERT INTO tile_shapes SELECT 'cells', 0, code, name, 'grid', region, false, scope, ST_Transform(geom, 3857)"
        f" {everywhere}",
        "INSERT INTO tile_shapes SELECT 'regions', 0, code, name, tier, parent, false, scope, ST_Transform(geom, 3857)"
        " FROM regions",
        "INSERT INTO shadow_alerts SELECT 'r', 1, gen_random_uuid(), 's', code, scope, 1, now(), NULL, '{}' FROM cells",
        "INSERT INTO risks SELECT code, 'overall', 'grid', scope, 50, '[]', now(), 1 FROM cells",
        "INSERT INTO risk_history SELECT code, 'overall', now(), scope, 50 FROM cells",
        "INSERT INTO sensor_history (sensor, revision, at, by, by_name, what, source, changes, scope)"
        " SELECT id, 1, now(), 'somebody', 'somebody', 'changed', '', '{}', scope FROM sensors",
        "INSERT INTO quarantine_dropped SELECT scope, 'malformed', 1, 1, now(), now() FROM regions WHERE tier = 'county'",
        "INSERT INTO replays (asked_by, asked_at, scope, wish, messages, impossible)"
        " SELECT 'somebody', now(), scope, '{}', 0, 0 FROM regions WHERE tier = 'county'",
        "INSERT INTO reading_hours (hour, sensor, quantity, readings, left_out)"
        " SELECT date_trunc('hour', now()) - interval '5 hours', n, 1, 1, 0 FROM sensors",
        "INSERT INTO reading_positions SELECT now(), n, n, 118, 34, 'WGS84', 118, 34 FROM sensors",
    ):
        connection.execute(text(statement))


def _message(county: str, tail: str, body: dict[str, Any]) -> Message:
    return Message(f"cc/v1/{county}/{tail}", json.dumps(body).encode(), time.time())


def _frigate(county: str, camera: str) -> Message:
    now = time.time()
    body = {
        "id": f"1.5-{camera}",
        "camera": camera,
        "frame_time": now,
        "label": "person",
        "score": 0.9,
        "top_score": 0.95,
        "false_positive": False,
        "start_time": now - 5,
        "end_time": None,
        "current_zones": ["restricted"],
        "entered_zones": ["restricted"],
    }
    return _message(county, "nvr-1/raw/frigate/events", {"type": "new", "before": body, "after": body})


@pytest.fixture
def web(filled: RunningCity) -> Iterator[Engine]:
    """The web process's engine with a single connection, so that every transaction comes to the same one."""
    engine = web_engine(filled.database.web_url, pool_size=1)
    yield engine
    engine.dispose()


def _tables(running: RunningCity) -> set[str]:
    found = running.rows(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace"
        " AND c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition"
    )
    return {row.relname for row in found}


def _every_row(connection: Any, table: str, where: str = "true", **values: Any) -> list[str]:
    found = connection.execute(text(f"SELECT t::text FROM {table} t WHERE {where} ORDER BY 1"), values)
    return list(found.scalars())


def test_every_table_is_fenced_by_a_forced_policy_or_stands_in_the_list_of_those_that_need_none(
    filled: RunningCity,
) -> None:
    fenced = {
        row.relname
        for row in filled.rows(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relrowsecurity"
            " AND c.relforcerowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)"
        )
    }
    assert _tables(filled) - fenced == set(WITHOUT_SCOPE), "a table with rows of regions needs a policy in its store"
    assert fenced == set(SEEN), "say here what an account may see of the new table"


def test_no_view_reads_with_its_owners_eyes(filled: RunningCity) -> None:
    views = filled.rows(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'"
        " AND pg_get_userbyid(c.relowner) LIKE 'cc_%'"
        " AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false)"
    )
    assert views == []


@pytest.mark.parametrize("table", sorted(table for table, seen in SEEN.items() if seen != _OF_THE_CITY))
def test_every_county_has_rows_here_that_the_next_tests_can_miss(filled: RunningCity, table: str) -> None:
    with filled.engine.connect() as connection:
        for county in (A, B):
            scope = filled.small.region(county).scope
            others = f"NOT coalesce({SEEN[table]}, false)"
            assert _every_row(connection, table, SEEN[table], scope=scope), "the county has no row of its own"
            assert _every_row(connection, table, others, scope=scope), "there is no row that the county may not see"


@pytest.mark.parametrize("table", sorted(SEEN))
def test_a_scope_shows_its_own_rows_all_of_them_and_nothing_more(filled: RunningCity, web: Engine, table: str) -> None:
    for code in (A, B, C, CITY, "321302001", "321302001001", IN_A, BESIDE):
        scope = filled.small.region(code).scope
        with filled.engine.connect() as connection:
            expected = _every_row(connection, table, SEEN[table], scope=scope)
        with scoped(web, scope) as connection:
            assert _every_row(connection, table) == expected, code


@pytest.mark.parametrize("table", sorted(SEEN))
def test_a_connection_without_scope_sees_nothing_also_when_it_had_one_before(web: Engine, table: str) -> None:
    def seen() -> int:
        with web.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())

    # The city's name stands on the login page.
    nothing = 1 if table in _NAMING_THE_CITY else 0
    assert seen() == nothing
    with scoped(web, f"{CITY}/") as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        assert _every_row(connection, table)
    assert seen() == nothing
    with pytest.raises(ZeroDivisionError), scoped(web, f"{CITY}/"):
        raise ZeroDivisionError
    assert seen() == nothing
    with web.connect() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == pid


@pytest.mark.parametrize("scope", ["", "/", "~", "%", f"{A}/", "3213", f"{CITY}", "' OR true --", "\\"])
def test_a_scope_that_is_no_path_shows_nothing_but_the_city(web: Engine, scope: str) -> None:
    shown = {}
    with scoped(web, scope) as connection:
        for table in sorted(SEEN):
            shown[table] = len(_every_row(connection, table))
    # "3213" and the city's code without its separator are beginnings of the city's own path: a scope is never made from a code.
    if scope not in {"3213", CITY}:
        assert shown == dict.fromkeys(SEEN, 0) | dict.fromkeys(_NAMING_THE_CITY, 1)


def test_a_partition_cannot_be_read_beside_its_table(filled: RunningCity) -> None:
    partitions = filled.rows(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'readings'::regclass"
    )
    assert len(partitions) >= 3
    with psycopg.connect(filled.database.web_url, autocommit=True) as connection:
        connection.execute("SELECT set_config('cc.scope', %s, false)", (f"{CITY}/",))
        for (name,) in partitions:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT count(*) FROM {name}")


def test_the_web_process_may_write_what_people_do_and_nothing_else(filled: RunningCity) -> None:
    found = filled.rows(
        "SELECT c.relname, verb FROM pg_class c,"
        " unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS verb"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')"
        " AND (has_table_privilege('cc_web', c.oid, verb) OR (verb IN ('INSERT', 'UPDATE', 'REFERENCES')"
        " AND has_any_column_privilege('cc_web', c.oid, verb)))"
    )
    assert {(row.relname, row.verb) for row in found} == {
        ("tickets", "INSERT"),
        ("tickets", "UPDATE"),
        ("ticket_steps", "INSERT"),
        ("reports", "INSERT"),
        ("object_grants", "INSERT"),
        ("object_grants", "DELETE"),
        ("deadlines", "INSERT"),
        ("deadlines", "UPDATE"),
        ("deadlines", "DELETE"),
        ("incidents", "INSERT"),
        ("incidents", "UPDATE"),
        ("incident_signals", "INSERT"),
        ("incident_signals", "UPDATE"),
        ("incident_steps", "INSERT"),
        ("incident_apart", "INSERT"),
        ("incident_apart", "DELETE"),
        ("incident_levels", "INSERT"),
        ("alerts", "UPDATE"),
        ("mutes", "INSERT"),
        ("mutes", "UPDATE"),
        ("modes", "INSERT"),
        ("modes", "UPDATE"),
        ("mode_steps", "INSERT"),
        ("event_log", "INSERT"),
        ("replays", "INSERT"),
        ("replays", "UPDATE"),
        ("quarantine", "UPDATE"),
        ("sessions", "INSERT"),
        ("sessions", "DELETE"),
        ("idempotency_keys", "INSERT"),
        ("merge_jobs", "INSERT"),
        ("sensors", "INSERT"),
        ("sensors", "UPDATE"),
        ("sensor_history", "INSERT"),
        ("rosters", "INSERT"),
        ("rosters", "UPDATE"),
        ("rosters", "DELETE"),
        ("skills", "INSERT"),
        ("skills", "DELETE"),
        ("positions", "INSERT"),
        ("positions", "UPDATE"),
        ("rule_versions", "INSERT"),
        ("rule_versions", "UPDATE"),
        ("rule_steps", "INSERT"),
        ("idempotency_keys", "DELETE"),
    }


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE regions SET name = 'x'",
        "DELETE FROM cells",
        "UPDATE sensors SET scope = 'x'",
        "INSERT INTO readings SELECT * FROM readings",
        "DELETE FROM readings",
        "UPDATE quarantine SET payload = ''",
        "DELETE FROM quarantine",
        "UPDATE replays SET ended_at = now()",
        "DELETE FROM quarantine_dropped",
        "UPDATE accounts SET password = 'x'",
        "UPDATE account_grants SET scope = ''",
        "DELETE FROM ticket_steps",
        "UPDATE alerts SET severity = 1",
        "UPDATE alerts SET ended_at = now()",
        "DELETE FROM alerts",
        "UPDATE mutes SET ends_at = now() + interval '1 year'",
        "DELETE FROM mutes",
        "UPDATE incident_steps SET reason = 'another'",
        "DELETE FROM incident_steps",
        "DELETE FROM incident_signals",
        "UPDATE modes SET reason = 'another'",
        "DELETE FROM modes",
        "UPDATE mode_steps SET reason = 'another'",
        "UPDATE incident_levels SET reason = 'another'",
        "UPDATE reports SET words = 'another'",
        "DELETE FROM incidents",
        "UPDATE alert_groups SET ended_at = now()",
        "UPDATE event_log SET data = '{}'",
        "DELETE FROM event_log",
        "TRUNCATE tickets",
        "CREATE TABLE mine (n int)",
        "ALTER TABLE tickets DISABLE ROW LEVEL SECURITY",
        "DROP POLICY scope ON tickets",
        "SET ROLE cc_worker",
        "SET SESSION AUTHORIZATION cc_owner",
        "SELECT make_reading_partition('2030-01-01')",
        "SET LOCAL row_security = off; SELECT count(*) FROM tickets",
    ],
)
def test_the_web_process_is_refused_by_the_database(filled: RunningCity, statement: str) -> None:
    with psycopg.connect(filled.database.web_url) as connection:
        connection.execute("SELECT set_config('cc.scope', %s, true)", (f"{CITY}/",))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_a_county_can_neither_change_anothers_ticket_nor_push_its_own_over_the_border(
    filled: RunningCity, web: Engine
) -> None:
    a, b = filled.small.region(A).scope, filled.small.region(IN_B).scope
    with scoped(web, a) as connection:
        changed = connection.execute(text("UPDATE tickets SET title = 'x' WHERE scope >= :b"), {"b": b})
        assert changed.rowcount == 0
    for statement in (
        "UPDATE tickets SET scope = :b",
        "INSERT INTO object_grants (object, scope) SELECT id, :b FROM tickets LIMIT 1",
        "INSERT INTO event_log (kind, id, version, region, before, after, data)"
        " VALUES ('notice', 'n', 1, 'r', '{}', ARRAY[:b], '{}')",
    ):
        with pytest.raises(ProgrammingError, match="row-level security"), scoped(web, a) as connection:
            connection.execute(text(statement), {"b": b})


def test_a_township_reads_that_its_county_is_at_war_and_can_write_nothing_of_it(
    filled: RunningCity, web: Engine
) -> None:
    township = filled.small.region("321302001").scope
    with scoped(web, township) as connection:
        assert connection.execute(text("SELECT region FROM modes")).scalars().all() == [A]
        assert connection.execute(text("SELECT count(*) FROM event_log WHERE kind = 'mode'")).scalar_one() == 1
    for statement in (
        "UPDATE modes SET ends_at = ends_at + interval '1 day'",
        "INSERT INTO mode_steps (mode, version, move, at, ends_at) SELECT id, 9, 'ended', now(), now() FROM modes",
        "INSERT INTO event_log (kind, id, version, region, before, after, data)"
        f" VALUES ('mode', 'n', 1, 'r', '{{}}', ARRAY['{CITY}/{A}/'], '{{}}')",
    ):
        with pytest.raises(ProgrammingError, match="row-level security"), scoped(web, township) as connection:
            connection.execute(text(statement))


def test_a_stranger_to_the_tables_cannot_even_connect(filled: RunningCity) -> None:
    with psycopg.connect(filled.database.superuser_url, autocommit=True) as connection:
        found = connection.execute("SELECT has_database_privilege('public', current_database(), 'CONNECT')").fetchone()
    assert found == (False,)


# -- by HTTP ---------------------------------------------------------------------------------------------------------------


def _items(running: RunningCity, code: str, path: str) -> list[dict[str, Any]]:
    answer = running.console(code).get(path)
    assert answer.status == 200, answer.content
    found: list[dict[str, Any]] = answer.json["items"]
    return found


def _names(items: list[dict[str, Any]]) -> set[str]:
    return {str(item.get("id") or item["code"]) for item in items}


LISTS = ("tickets", "incidents", "alerts", "mutes", "sensors", "cameras", "cells", "regions")


@pytest.mark.parametrize("resource", LISTS)
def test_a_list_holds_the_countys_own_and_the_lists_of_all_counties_are_the_citys(
    filled: RunningCity, resource: str
) -> None:
    path = f"/api/v1/{resource}?limit=500"
    found = {code: _names(_items(filled, code, path)) - {CITY} for code in (CITY, *COUNTIES)}
    assert found[A]
    assert found[B]
    assert not found[A] & found[B]
    assert found[A] | found[B] | found[C] == found[CITY] - {CITY}
    outside = [
        spot.region.code for spot in filled.small.spots.values() if not spot.region.scope.startswith(f"{CITY}/{A}/")
    ]
    for item in _items(filled, A, path):
        places = {item.get("region"), item.get("county"), item.get("cell"), item.get("code"), item.get("parent")}
        assert not places & set(outside) - {CITY}


@pytest.mark.parametrize("query", [
    f"tickets?region={B}", f"incidents?region={B}", f"alerts?region={B}", f"mutes?region={B}",
    f"sensors?region={B}", f"cameras?region={B}",
    f"cells?region={B}", f"tickets?region={IN_B}", "tickets?sensor=water-far", "alerts?source=water-far",
    "sensors?id=water-far",
    "cameras?id=32132200081326000002", "readings?sensor=water-far", "readings?sensor=water-far&since=2020-01-01T00:00:00Z",
    f"regions?code={B}", f"regions?parent={B}", f"cells?code={IN_B}", f"cells?region={IN_B}",
])  # fmt: skip
def test_asking_for_the_next_county_by_name_gives_an_empty_list(filled: RunningCity, query: str) -> None:
    assert _items(filled, A, f"/api/v1/{query}") == []
    assert _items(filled, B, f"/api/v1/{query}") != []


@pytest.mark.parametrize("resource", LISTS)
def test_somebody_elses_cursor_opens_nothing(filled: RunningCity, resource: str) -> None:
    own = _names(_items(filled, A, f"/api/v1/{resource}?limit=500"))
    cursor: str | None = None
    while True:
        following = "" if cursor is None else f"&cursor={cursor}"
        page = filled.console(CITY).get(f"/api/v1/{resource}?limit=3{following}").json
        cursor = page["next"]
        if cursor is None:
            break
        assert _names(_items(filled, A, f"/api/v1/{resource}?limit=500&cursor={cursor}")) <= own


@pytest.mark.parametrize(
    "values", [["2999-01-01T00:00:00+00:00", "ffffffff-ffff-ffff-ffff-ffffffffffff"], ["x' OR true --", "y"]]
)
def test_a_cursor_made_by_hand_shows_no_more_than_the_list(filled: RunningCity, values: list[str]) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    own = _names(_items(filled, A, "/api/v1/tickets?limit=500"))
    answer = filled.console(A).get(f"/api/v1/tickets?limit=500&cursor={cursor}")
    assert answer.status in {200, 422}
    if answer.status == 200:
        assert _names(answer.json["items"]) == own


def test_the_figures_of_the_counties_add_up_to_the_citys(filled: RunningCity) -> None:
    figures = {code: filled.console(code).get("/api/v1/summary").json for code in (CITY, *COUNTIES)}

    def counts(found: dict[str, Any]) -> list[int]:
        domains = [value for d in found["domains"] for value in (d["open"], d["today"], d["overdue"], sum(d["trend"]))]
        states = [
            found[kind][state]
            for kind in ("sensors", "cameras")
            for state in ("online", "silent", "offline", "unknown", "total")
        ]
        return domains + states

    assert [sum(values) for values in zip(*(counts(figures[c]) for c in COUNTIES), strict=True)] == counts(
        figures[CITY]
    )
    assert figures[A]["cameras"]["total"] == 1
    opened = sum(domain["open"] for domain in figures[A]["domains"])
    assert opened == len(_items(filled, A, "/api/v1/tickets?open=true&limit=500")) > 0


def test_a_tile_shows_the_countys_part_only(filled: RunningCity) -> None:
    # A tile of zoom 5 holds the whole small city.
    z, x, y = 9, 423, 204
    shown: dict[str, set[str]] = {}
    for code in (A, B, CITY):
        versions = filled.console(code).get("/api/v1/map").json["layers"]
        shown[code] = set()
        for layer in ("regions", "cells"):
            answer = filled.console(code).get(f"/tiles/{layer}/{versions[layer]['version']}/{z}/{x}/{y}.mvt")
            assert answer.status == 200
            assert "private" in answer.headers["Cache-Control"]
            shown[code] |= {found.decode() for found in re.findall(rb"\d{6,15}", answer.content)}
    small = filled.small.spots
    within = {code: {c for c in small if small[c].region.scope.startswith(small[code].region.scope)} for code in (A, B)}
    assert len(shown[CITY] & set(small)) > len(shown[A] & set(small)) > 10
    assert shown[A] & set(small) <= within[A] | {CITY}
    assert shown[B] & set(small) <= within[B] | {CITY}
    assert {cell for cell in within[A] if small[cell].region.tier == "grid"} <= shown[A]


def test_the_map_of_a_county_begins_at_the_county_and_its_tiles_have_addresses_of_their_own(
    filled: RunningCity,
) -> None:
    found = {code: filled.console(code).get("/api/v1/map").json for code in (A, B, CITY)}
    for code in (A, B):
        assert found[code]["bounds"] == pytest.approx(filled.small.spots[code].shape.bounds)
    for layer in ("regions", "cells", "water"):
        assert len({found[code]["layers"][layer]["version"] for code in found}) == 3


def test_a_ticket_of_the_next_county_answers_as_one_that_never_was(filled: RunningCity) -> None:
    theirs = UUID(_items(filled, B, "/api/v1/tickets")[0]["id"])
    nobodys = uuid4()
    body = {"move": "accept", "version": 1}
    requests: list[tuple[str, str, Any, dict[str, str] | None]] = [
        ("GET", "", None, None),
        ("GET", "/steps", None, None),
        ("POST", "/moves", body, None),
        ("POST", "/moves", body | {"version": 99}, None),
        ("POST", "/moves", {"move": "close", "version": 1}, None),
        ("POST", "/moves", {"move": "return", "version": 1}, {"Idempotency-Key": "first of 321322"}),
    ]
    before = filled.ticket(theirs, B)
    for method, tail, content, headers in requests:
        answers = [
            filled.console(A).ask(method, f"/api/v1/tickets/{i}{tail}", content, headers) for i in (theirs, nobodys)
        ]
        assert [answer.status for answer in answers] == [404, 404]
        texts = [a.content.decode().replace(str(i), "?") for a, i in zip(answers, (theirs, nobodys), strict=True)]
        assert texts[0] == texts[1]
        assert answers[0].headers["Content-Type"] == answers[1].headers["Content-Type"]
    assert filled.ticket(theirs, B) == before


def test_no_error_text_names_what_lies_outside(filled: RunningCity) -> None:
    mine = filled.open_ticket(IN_A, severity=3)
    answer = filled.console(A).move(filled.ticket(mine, A), "dispatch", to=IN_B)
    assert answer.status == 422
    nobodys = filled.console(A).move(filled.ticket(mine, A), "dispatch", to="999999999999999")
    assert answer.content.decode().replace(IN_B, "?") == nobodys.content.decode().replace("999999999999999", "?")


# -- dispatched beside the place ---------------------------------------------------------------------------------------------


def test_who_a_ticket_is_sent_to_beside_its_place_sees_it_and_after_the_return_no_more(filled: RunningCity) -> None:
    village = filled.small.region(IN_A).parent or ""
    ticket = filled.open_ticket(IN_A, severity=1)
    name = str(ticket)
    beside, third = filled.socket(BESIDE), filled.socket(cell_code(0, 1, 1, 3))
    older = beside.sync(None)["cursor"]
    third.sync(None)
    assert filled.console(BESIDE).get(f"/api/v1/tickets/{ticket}").status == 404

    filled.move(village, ticket, "dispatch", to=BESIDE)
    put = beside.event(lambda event: event["id"] == name)
    assert (put["op"], put["version"], put["data"]["holder"]["region"]) == ("put", 2, BESIDE)
    assert name in _names(_items(filled, BESIDE, "/api/v1/tickets"))
    assert [step["move"] for step in _items(filled, BESIDE, f"/api/v1/tickets/{ticket}/steps")] == ["file", "dispatch"]
    assert {move["move"] for move in filled.ticket(ticket, BESIDE)["moves"]} >= {"accept", "return"}
    filled.move(BESIDE, ticket, "accept")
    assert beside.event(lambda event: event["id"] == name)["data"]["status"] == "accepted"

    filled.move(BESIDE, ticket, "return", reason="不在本网格")
    gone = beside.event(lambda event: event["id"] == name)
    assert (gone["op"], gone["version"]) == ("gone", 4)
    assert "data" not in gone
    assert filled.console(BESIDE).get(f"/api/v1/tickets/{ticket}").status == 404
    assert filled.console(BESIDE).get(f"/api/v1/tickets/{ticket}/steps").status == 404
    assert (
        filled.console(BESIDE).post(f"/api/v1/tickets/{ticket}/moves", {"move": "accept", "version": 4}).status == 404
    )
    assert name not in _names(_items(filled, BESIDE, "/api/v1/tickets"))
    replayed = [event for event in filled.socket(BESIDE).sync(older)["events"] if event["id"] == name]
    assert [event["op"] for event in replayed] == ["put", "put", "gone"]
    assert "data" not in replayed[-1]
    assert name not in {item["id"] for item in filled.socket(BESIDE).sync(None)["snapshot"]["tickets"]}

    filled.append(cell_code(0, 1, 1, 3), "only for the third")
    assert third.event()["id"] == "only for the third", "a third grid heard of it"
    assert filled.ticket(ticket, village)["status"] == "returned"


def test_a_ticket_sent_to_another_village_goes_on_down_comes_back_up_and_is_closed_there(filled: RunningCity) -> None:
    township, other = "321302001", "321302001002"
    ticket = filled.open_ticket(IN_A, severity=2)
    filled.send_down(ticket, township, other, f"{other}001")
    filled.move(f"{other}001", ticket, "return", reason="找不到地点")
    assert filled.console(f"{other}001").get(f"/api/v1/tickets/{ticket}").status == 404
    assert filled.ticket(ticket, other)["holder"]["region"] == other
    filled.move(other, ticket, "dispatch", to=f"{other}002")
    filled.move(f"{other}002", ticket, "accept")
    filled.move(f"{other}002", ticket, "finish")
    village = filled.small.region(IN_A).parent or ""
    place = filled.socket(village)
    place.sync(None)
    assert filled.move(other, ticket, "close")["status"] == "closed"
    [(incident, status)] = filled.rows(
        "SELECT i.id, i.status FROM incidents i JOIN tickets t ON t.incident = i.id WHERE t.id = :id", id=ticket
    )
    assert status == "closed"
    told = [place.event(), place.event()]
    assert {(event["kind"], event["id"], event["data"]["status"]) for event in told} == {
        ("ticket", str(ticket), "closed"),
        ("incident", str(incident), "closed"),
    }


def test_a_ticket_that_a_township_takes_over_from_beside_is_lost_to_nobody_above(filled: RunningCity) -> None:
    ticket = filled.open_ticket(IN_A, severity=3)
    filled.send_down(ticket, A, "321302002")
    filled.move("321302002", ticket, "return", reason="请派往事发乡镇")
    assert filled.console("321302002").get(f"/api/v1/tickets/{ticket}").status == 404
    filled.send_down(ticket, A, "321302001")
    for code in (CITY, A, "321302001", "321302001001", IN_A):
        assert filled.ticket(ticket, code)["holder"]["region"] == "321302001"
    assert filled.rows("SELECT FROM object_grants WHERE object = :id", id=ticket) == []


def test_the_error_of_the_database_never_reaches_who_asks(filled: RunningCity, web: Engine) -> None:
    with pytest.raises(DBAPIError), scoped(web, "x") as connection:
        connection.execute(text("SELECT 1/0"))
    answer = filled.console(A).get("/api/v1/tickets?sensor=%00")
    assert answer.status == 422
    assert "psycopg" not in answer.content.decode()
    assert "SELECT" not in answer.content.decode()
