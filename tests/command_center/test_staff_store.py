"""Who is on duty where, and where they were last: in the database and through the web process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from command_center import schedule, staff_store
from command_center.staff_store import Roster
from config.database import scoped, web_engine
from tests.running_city import RunningCity
from tests.small_city import CITY, COUNTIES, cell_code

A, B, _ = COUNTIES
IN_A, IN_B = cell_code(0), cell_code(1)
VILLAGE, TOWN = IN_A[:-3], IN_A[:-6]


@pytest.fixture(scope="module")
def web(running: RunningCity) -> Any:
    engine = web_engine(running.database.web_url)
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def _nobody_on_duty(running: RunningCity) -> None:
    for table in ("rosters", "skills", "positions"):
        running.rows(f"DELETE FROM {table}")


def identity(running: RunningCity, code: str) -> UUID:
    [(found,)] = running.rows("SELECT id FROM accounts WHERE username = :name", name=running.small.username(code))
    return UUID(str(found))


def shift(
    running: RunningCity, code: str, at: str | None = None, *, org: str | None = None, days: tuple[int, int] = (-1, 1)
) -> None:
    """The account of ``code`` is on duty at the desk of ``at``."""
    desk, now = running.small.region(at or code), datetime.now(UTC)
    first, last = (now + timedelta(days=day) for day in days)
    roster = Roster(uuid4(), identity(running, code), desk.code, desk.scope, org, first, last, "u-test")
    with running.engine.begin() as connection:
        staff_store.add_roster(connection, roster)


def duty(running: RunningCity, code: str) -> list[str]:
    with running.engine.begin() as connection:
        found = staff_store.on_duty(connection, running.small.region(code).scope, datetime.now(UTC))
    return [person.account for person in found]


def test_on_duty_is_who_has_a_shift_at_that_desk_now(running: RunningCity) -> None:
    shift(running, TOWN)
    shift(running, A, days=(-3, -1))
    shift(running, B, days=(1, 2))
    assert duty(running, TOWN) == [f"u-{TOWN}"]
    assert duty(running, A) == duty(running, B) == []


def test_a_village_s_people_are_its_own_and_those_of_its_grids_a_township_s_only_its_own(running: RunningCity) -> None:
    for code in (VILLAGE, IN_A, TOWN):
        shift(running, code)
    assert duty(running, VILLAGE) == [f"u-{VILLAGE}", f"u-{IN_A}"]
    assert duty(running, TOWN) == [f"u-{TOWN}"]


def test_somebody_on_duty_elsewhere_counts_there_and_the_rest_where_their_grant_is(running: RunningCity) -> None:
    shift(running, A, TOWN, org="gas_company")
    with running.engine.begin() as connection:
        staff_store.set_skills(connection, identity(running, A), ["gas", "pipes"])
        scopes = [running.small.region(code).scope for code in (A, TOWN)]
        found = {person.account: person for person in staff_store.people_of(connection, scopes, datetime.now(UTC))}
    assert set(found) == {f"u-{A}", f"u-{TOWN}"}
    lent, own = found[f"u-{A}"], found[f"u-{TOWN}"]
    assert (lent.region, lent.org, lent.on_duty, lent.skills) == (TOWN, "gas_company", True, {"gas", "pipes"})
    assert (own.region, own.org, own.on_duty, own.skills) == (TOWN, None, False, set())


def test_open_tickets_meant_for_somebody_are_their_load(running: RunningCity) -> None:
    shift(running, CITY)
    opened = running.open_ticket(matter="load")
    running.rows("UPDATE tickets SET assignee = :name WHERE id = :id", name=f"u-{CITY}", id=opened)

    def load() -> int:
        with running.engine.begin() as connection:
            [person] = staff_store.on_duty(connection, running.small.region(CITY).scope, datetime.now(UTC))
        return person.open_tickets

    before = load()
    running.rows("UPDATE tickets SET closed_at = now() WHERE id = :id", id=opened)
    assert before - load() == 1


def test_only_the_last_position_is_kept_and_an_older_one_that_comes_late_is_not(running: RunningCity) -> None:
    home, who, now = running.small.region(IN_A), identity(running, IN_A), datetime.now(UTC)
    with running.engine.begin() as connection:
        assert staff_store.save_position(connection, who, 118.1, 34.1, now, home.scope)
        assert staff_store.save_position(connection, who, 118.2, 34.2, now + timedelta(minutes=1), home.scope)
        assert not staff_store.save_position(connection, who, 118.3, 34.3, now, home.scope)
    assert running.rows("SELECT lng, lat FROM positions") == [(118.2, 34.2)]


def test_row_level_security_hides_shifts_skills_and_positions_of_others(running: RunningCity, web: Engine) -> None:
    now = datetime.now(UTC)
    for code in (IN_A, IN_B):
        shift(running, code)
        with running.engine.begin() as connection:
            staff_store.set_skills(connection, identity(running, code), ["gas"])
            staff_store.save_position(
                connection, identity(running, code), 118, 34, now, running.small.region(code).scope
            )
    with scoped(web, running.small.region(A).scope) as connection:
        for table in (staff_store.rosters, staff_store.skills, staff_store.positions):
            assert [row.account for row in connection.execute(table.select())] == [identity(running, IN_A)]


def test_a_person_says_where_they_are_and_no_time_to_come(running: RunningCity) -> None:
    console = running.console(IN_A)
    now = datetime.now(UTC)
    later, earlier = (now + timedelta(minutes=m) for m in (5, -5))
    assert console.ask("PUT", "/api/v1/positions", {"lng": 118.001, "lat": 34.001}).json["kept"] is True
    late = console.ask("PUT", "/api/v1/positions", {"lng": 118.0, "lat": 34.0, "at": earlier.isoformat()})
    assert (late.status, late.json["kept"]) == (200, False)
    refused = console.ask("PUT", "/api/v1/positions", {"lng": 118.0, "lat": 34.0, "at": later.isoformat()})
    assert (refused.status, refused.json["title"]) == (422, "Position not taken")
    assert console.ask("PUT", "/api/v1/positions", {"lng": 200, "lat": 34.0}).status == 422
    assert running.rows("SELECT account, lng, lat FROM positions") == [(identity(running, IN_A), 118.001, 34.001)]


def asked(**changes: Any) -> dict[str, Any]:
    return {"domain": "emergency", "category": "gas_leak", "severity": 2, "cell": IN_A} | changes


def test_trying_tells_the_desk_the_organisation_the_person_and_every_rule(running: RunningCity) -> None:
    shift(running, TOWN)
    shift(running, A, TOWN, org="gas_company")
    answer = running.console(A).post("/api/v1/routing/try", asked())
    assert answer.status == 200, answer.content
    found = answer.json
    assert found["routed"]["tier"] == "township"
    assert (found["routed"]["region"], found["routed"]["rule"]) == (TOWN, "gas-leak")
    assert found["organisation"]["code"] == "gas_company"
    assert found["chosen"]["person"]["account"] == f"u-{A}"
    assert {person["account"] for person in found["people"]} == {f"u-{A}", f"u-{TOWN}"}
    assert [rule["rule"] for rule in found["rules"] if rule["state"] == "chosen"] == ["gas-leak"]
    assert len(found["rules"]) == len(running.city.dispatch.routing.rules)


def test_trying_at_a_point_tells_how_far_people_are_and_never_where(running: RunningCity) -> None:
    shift(running, IN_A)
    lng, lat = running.small.centre(IN_A)
    running.console(IN_A).ask("PUT", "/api/v1/positions", {"lng": lng, "lat": lat + 0.001})
    body = asked(severity=1, lng=lng, lat=lat) | {"cell": None}
    found = running.console(VILLAGE).post("/api/v1/routing/try", body).json
    assert found["cell"] == IN_A
    assert found["chosen"]["person"]["distance_m"] == 111
    assert not {"lng", "lat"} & found["chosen"]["person"].keys()


def test_one_may_try_only_one_s_own_cells_and_see_only_one_s_own_people(running: RunningCity) -> None:
    shift(running, CITY)
    console = running.console(A)
    lng, lat = running.small.centre(IN_B)
    outside = [asked(cell=IN_B), asked(cell="nowhere"), asked(cell=None, lng=lng, lat=lat), asked(cell=TOWN)]
    answers = [console.post("/api/v1/routing/try", body) for body in outside]
    assert {(answer.status, answer.content) for answer in answers} == {(422, answers[0].content)}
    assert console.post("/api/v1/routing/try", asked(lng=lng, lat=lat)).status == 422
    above = console.post("/api/v1/routing/try", asked(severity=4)).json
    assert above["routed"]["region"] == CITY
    assert (above["people"], above["chosen"]["person"]) == ([], None)


def rostered(account: str, **changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    times = {"starts_at": now.isoformat(), "ends_at": (now + timedelta(hours=8)).isoformat()}
    return {"account": account} | times | changes


def test_a_shift_is_made_once_and_listed_to_those_above_it(running: RunningCity) -> None:
    body, key = rostered(f"u-{TOWN}", org="gas_company"), {"Idempotency-Key": str(uuid4())}
    made = [running.console(A).post("/api/v1/rosters", body, key) for _ in range(2)]
    assert [answer.status for answer in made] == [201, 201]
    assert made[0].json == made[1].json
    assert (made[0].json["region"], made[0].json["made_by"]) == (TOWN, f"u-{A}")
    for code, many in ((CITY, 1), (A, 1), (TOWN, 1), (VILLAGE, 0), (B, 0)):
        for query in ("", f"?region={TOWN}", "?active=true"):
            assert len(running.console(code).get(f"/api/v1/rosters{query}").json["items"]) == many
    assert running.console(A).get("/api/v1/rosters?active=false").json["items"] == []
    assert duty(running, TOWN) == [f"u-{TOWN}"]


def test_a_shift_that_cannot_be_is_refused_with_its_reason(running: RunningCity) -> None:
    now = datetime.now(UTC)
    refused = {
        "not one of your region": rostered(f"u-{IN_B}"),
        "account nobody is not": rostered("nobody"),
        "is not one of account": rostered(f"u-{TOWN}", region=A),
        "no organisation": rostered(f"u-{TOWN}", org="circus"),
        "ends_at comes after": rostered(f"u-{TOWN}", ends_at=(now - timedelta(hours=1)).isoformat()),
        "at most 31 days": rostered(f"u-{TOWN}", ends_at=(now + timedelta(days=40)).isoformat()),
    }
    for reason, body in refused.items():
        answer = running.console(A).post("/api/v1/rosters", body)
        assert answer.status == 422
        assert reason in answer.json["detail"]
    assert running.console(IN_A).post("/api/v1/rosters", rostered(f"u-{IN_A}")).status == 403
    assert running.rows("SELECT count(*) FROM rosters") == [(0,)]


def test_a_second_shift_at_the_same_time_is_refused_and_the_first_one_named(running: RunningCity) -> None:
    now = datetime.now(UTC)
    first = running.console(A).post("/api/v1/rosters", rostered(f"u-{TOWN}"))
    refused = running.console(A).post("/api/v1/rosters", rostered(f"u-{TOWN}"))
    assert (refused.status, refused.json["title"]) == (409, "Shifts overlap")
    assert first.json["id"] in refused.json["detail"]
    assert refused.json["shift"] == {n: first.json[n] for n in ("id", "region", "org", "starts_at", "ends_at")}
    after = {"starts_at": first.json["ends_at"], "ends_at": (now + timedelta(hours=16)).isoformat()}
    assert running.console(A).post("/api/v1/rosters", rostered(f"u-{TOWN}", **after)).status == 201


def test_of_two_who_put_somebody_on_duty_at_once_the_second_waits_and_is_refused(running: RunningCity) -> None:
    desk, now = running.small.region(TOWN), datetime.now(UTC)
    times = now, now + timedelta(hours=8)

    def made() -> Roster:
        return Roster(uuid4(), identity(running, TOWN), desk.code, desk.scope, None, *times, "u-test")

    def second() -> None:
        with running.engine.begin() as connection:
            staff_store.add_roster(connection, made())

    with ThreadPoolExecutor(1) as pool:
        with running.engine.begin() as connection:
            staff_store.add_roster(connection, made())
            waiting = pool.submit(second)
            # What is not committed yet nobody else sees: only waiting finds it.
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.5)
        with pytest.raises(staff_store.ShiftsOverlap):
            waiting.result(timeout=10)


def test_a_running_shift_ends_now_and_a_coming_one_is_withdrawn(running: RunningCity) -> None:
    now, console = datetime.now(UTC), running.console(A)
    running_one = console.post(
        "/api/v1/rosters", rostered(f"u-{TOWN}", starts_at=(now - timedelta(hours=1)).isoformat())
    )
    coming = {"starts_at": (now + timedelta(days=1)).isoformat(), "ends_at": (now + timedelta(days=2)).isoformat()}
    coming_one = console.post("/api/v1/rosters", rostered(f"u-{TOWN}", **coming))
    assert [answer.json["state"] for answer in (running_one, coming_one)] == ["running", "to_come"]
    key = {"Idempotency-Key": str(uuid4())}
    ended = [console.post(f"/api/v1/rosters/{running_one.json['id']}/end", {}, key) for _ in range(2)]
    assert [(answer.status, answer.json["state"]) for answer in ended] == [(200, "over"), (200, "over")]
    assert datetime.fromisoformat(ended[0].json["ends_at"]) < now + timedelta(minutes=1)
    assert duty(running, TOWN) == []
    again = console.post(f"/api/v1/rosters/{running_one.json['id']}/end", {})
    assert (again.status, again.json["title"]) == (409, "Shift is over")
    assert console.post(f"/api/v1/rosters/{coming_one.json['id']}/end", {}).json["state"] == "withdrawn"
    assert running.rows("SELECT count(*) FROM rosters") == [(1,)]


def test_a_shift_is_ended_by_desks_above_its_person_only(running: RunningCity) -> None:
    shift(running, IN_A)
    [(own,)] = running.rows("SELECT id FROM rosters")
    assert running.console(B).post(f"/api/v1/rosters/{own}/end", {}).status == 404
    assert running.console(IN_A).post(f"/api/v1/rosters/{own}/end", {}).status == 403
    running.rows("DELETE FROM rosters")
    shift(running, A, TOWN)
    [(lent,)] = running.rows("SELECT id FROM rosters")
    assert running.console(TOWN).post(f"/api/v1/rosters/{lent}/end", {}).status == 403
    assert running.console(A).post(f"/api/v1/rosters/{lent}/end", {}).status == 200


def test_shifts_that_touch_a_span_are_listed(running: RunningCity) -> None:
    shift(running, TOWN, days=(-3, -1))
    shift(running, A, days=(1, 3))
    now = datetime.now(UTC)

    def listed(**span: int) -> list[str]:
        query = urlencode({name: (now + timedelta(days=days)).isoformat() for name, days in span.items()})
        return [one["account"] for one in running.console(CITY).get(f"/api/v1/rosters?{query}").json["items"]]

    assert listed(starts_before=0, ends_after=-2) == [f"u-{TOWN}"]
    assert listed(starts_before=0, ends_after=0) == []
    assert listed(ends_after=0) == [f"u-{A}"]


def staff(running: RunningCity, code: str, query: str = "") -> dict[str, Any]:
    answer = running.console(code).get(f"/api/v1/staff{query}")
    assert answer.status == 200, answer.content
    return {one["account"]: one for one in answer.json["items"]}


def test_the_people_of_a_desk_are_told_with_their_duty_skills_load_and_the_age_of_their_position(
    running: RunningCity,
) -> None:
    shift(running, IN_A)
    running.console(IN_A).ask("PUT", "/api/v1/positions", {"lng": 118.0, "lat": 34.0})
    assert (
        running.console(VILLAGE).ask("PUT", f"/api/v1/staff/u-{IN_A}/skills", {"skills": ["gas", "flood"]}).status
        == 200
    )
    opened = running.open_ticket(matter="of somebody")
    running.rows("UPDATE tickets SET assignee = :name WHERE id = :id", name=f"u-{IN_A}", id=opened)
    found = staff(running, VILLAGE)
    assert list(found) == [f"u-{VILLAGE}", *(f"u-{VILLAGE}{n:03d}" for n in range(1, 5))]
    own = found[f"u-{IN_A}"]
    assert (own["on_duty"]["region"], own["skills"], own["open_tickets"], own["yours"]) == (
        IN_A,
        ["flood", "gas"],
        1,
        True,
    )
    assert own["position_at"] is not None
    assert not {"lng", "lat"} & own.keys()
    off = found[f"u-{VILLAGE}"]
    assert (off["on_duty"], off["skills"], off["open_tickets"], off["position_at"]) == (None, [], 0, None)


def test_people_are_told_within_one_s_region_only_and_in_pages(running: RunningCity) -> None:
    assert {one["region"][:6] for one in staff(running, B).values()} == {B}
    assert staff(running, B, f"?region={A}") == staff(running, B, "?region=nowhere") == {}
    assert list(staff(running, CITY, f"?region={VILLAGE}")) == list(staff(running, VILLAGE))
    first = running.console(A).get("/api/v1/staff?limit=2").json
    second = running.console(A).get(f"/api/v1/staff?limit=2&cursor={first['next']}").json
    assert [one["account"] for one in (*first["items"], *second["items"])] == list(staff(running, A))[:4]


def test_who_is_lent_to_a_desk_is_among_its_people_but_not_theirs_to_change(running: RunningCity) -> None:
    assert f"u-{A}" not in staff(running, TOWN)
    shift(running, A, TOWN, org="gas_company")
    lent = staff(running, TOWN)[f"u-{A}"]
    assert (lent["on_duty"]["org"], lent["yours"]) == ("gas_company", False)
    assert running.console(TOWN).ask("PUT", f"/api/v1/staff/u-{A}/skills", {"skills": []}).status == 404


def test_only_skills_that_a_rule_asks_for_are_taken_and_a_grid_account_states_none(running: RunningCity) -> None:
    path = f"/api/v1/staff/u-{IN_A}/skills"
    unknown = running.console(A).ask("PUT", path, {"skills": ["juggling"]})
    assert (unknown.status, unknown.json["title"]) == (422, "Skills not taken")
    assert "juggling" in unknown.json["detail"]
    assert "gas" in unknown.json["detail"]
    assert running.console(IN_A).ask("PUT", path, {"skills": ["gas"]}).status == 403
    assert running.console(B).ask("PUT", path, {"skills": ["gas"]}).status == 404
    assert running.rows("SELECT count(*) FROM skills") == [(0,)]
    # A skill that was dropped from the rules stays until somebody takes it away.
    with running.engine.begin() as connection:
        staff_store.set_skills(connection, identity(running, IN_A), ["juggling"])
    assert running.console(A).ask("PUT", path, {"skills": ["juggling", "gas"]}).json["skills"] == ["gas", "juggling"]
    assert running.console(A).ask("PUT", path, {"skills": []}).json["skills"] == []


def test_the_routing_rules_are_told_in_order_with_what_they_ask_for(running: RunningCity) -> None:
    found, table = running.console(IN_A).get("/api/v1/routing").json, running.city.dispatch.routing
    assert [rule["id"] for rule in found["items"]] == [rule.id for rule in table.rules]
    first = found["items"][0]
    assert (first["to"]["org"], first["effective_from"], first["in_force"]) == ("gas_company", "2026-01-01", True)
    assert first["source"]["confidence"] == "unverified"
    assert {"gas", "flood"} <= set(found["skills"])
    assert found["tier_by_severity"]["4"] == "city"
    assert {own["code"] for own in found["organisations"]} == set(table.organisations)
    assert found["wartime"] == {"handling_share": 0.5, "accept_share": 0.5, "push": ["county", "township"]}


def test_findings_of_the_auditor_are_told_newest_first_to_those_who_see_the_ticket(running: RunningCity) -> None:
    opened = {code: running.open_ticket(code) for code in (IN_A, IN_B)}
    now = datetime.now(UTC)
    for n, (code, what) in enumerate([(IN_A, "rows"), (IN_B, "nobody"), (IN_A, "no_deadline")]):
        running.rows(
            "INSERT INTO deadline_findings (ticket, found_at, what, missing, stray) VALUES (:t, :at, :what, '{accept}', '{}')",
            t=opened[code],
            at=now + timedelta(seconds=n),
            what=what,
        )

    def told(code: str, query: str = "") -> list[str]:
        return [one["what"] for one in running.console(code).get(f"/api/v1/deadline-findings{query}").json["items"]]

    assert told(CITY) == ["no_deadline", "nobody", "rows"]
    assert told(A) == ["no_deadline", "rows"]
    assert told(CITY, "?what=nobody") == ["nobody"]
    page = running.console(CITY).get("/api/v1/deadline-findings?limit=2").json
    assert told(CITY, f"?cursor={page['next']}") == ["rows"]
    newest = page["items"][0]
    assert (newest["ticket"], newest["missing"], newest["closed"]) == (str(opened[IN_A]), ["accept"], False)
    assert page["every_s"] == schedule._AUDIT_S
