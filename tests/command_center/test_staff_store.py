"""Who is on duty where, and where they were last: in the database and through the web process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from command_center import staff_store
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
