"""The grid as people ask for it: where a point lies, now and before; and a city that sees a new version without a restart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from shapely import Point

from command_center.local.broker import Broker
from gis.datum import Datum, convert
from gis.version_store import publish, take_effect
from tests import processes
from tests.conftest import Database
from tests.gateway import connected
from tests.redrawn import EAST_PART, FIRST, WEST_PART, first_cell_split, planned, standing_cells
from tests.running_city import RunningCity, running_city
from tests.small_city import CITY, COUNTIES, SIDE, SOUTH, WEST, cell_code
from tests.waiting import wait_until

ZONE = ZoneInfo("Asia/Shanghai")
OTHER = cell_code(1)


@pytest.fixture(scope="module")
def before() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=30)


@pytest.fixture(scope="module")
def redrawn(running: RunningCity, before: datetime) -> RunningCity:
    """The first cell was split a minute after the city stood there."""
    cells = standing_cells(running)
    running.rows(
        "INSERT INTO cell_functions (cell, domain, organisation, worker, valid_from, scope)"
        " SELECT code, 'traffic', 'road office', 'w', '2026-01-01', scope FROM cells WHERE code = :code",
        code=FIRST,
    )
    moment = before + timedelta(seconds=30)
    publish(running.engine, planned(running, first_cell_split(cells)), moment, datetime.now(UTC))
    assert take_effect(running.engine, moment, ZONE) is not None
    return running


def at(running: RunningCity, lng: float, lat: float, who: str = CITY, **more: Any) -> dict[str, Any]:
    answer = running.console(who).get(f"/api/v1/cells/at?{urlencode({'lng': lng, 'lat': lat, **more})}")
    assert answer.status == 200, answer.content
    found: dict[str, Any] = answer.json
    return found


def later(before: datetime) -> str:
    return (before + timedelta(minutes=5)).isoformat()


def test_a_point_has_another_cell_as_of_another_moment(redrawn: RunningCity, before: datetime) -> None:
    lng, lat = redrawn.small.centre(FIRST)
    then = at(redrawn, lng, lat, as_of=before.isoformat())
    assert then["cell"]["code"] == FIRST
    assert then["nearest"] is None
    now = at(redrawn, lng, lat, as_of=later(before))
    cell = now["cell"]
    assert (cell["code"], cell["region"], cell["kind"], cell["sources"]) == (EAST_PART, FIRST[:12], "basic", {})
    assert cell["area_m2"] == pytest.approx(0.6 * 1.0247e6, rel=0.01)
    assert [f["organisation"] for f in cell["functions"]] == ["road office"]


def test_on_a_shared_edge_the_lowest_code_wins(redrawn: RunningCity, before: datetime) -> None:
    assert at(redrawn, round(WEST + 0.004, 6), SOUTH + 0.005, as_of=later(before))["cell"]["code"] == WEST_PART


def test_outside_means_outside_with_the_distance_to_the_nearest_cell(redrawn: RunningCity) -> None:
    found = at(redrawn, WEST - 0.01, SOUTH + SIDE / 2 + SIDE)
    assert found["cell"] is None
    assert found["nearest"]["code"] == cell_code(0, 1, 1, 2)
    assert found["nearest"]["distance_m"] == pytest.approx(923.4, abs=1.0)


def test_the_nearest_is_so_in_metres_and_not_in_degrees(redrawn: RunningCity) -> None:
    # North-east of the corner cell: a degree of longitude is shorter than one of latitude.
    found = at(redrawn, 118.5, 35.0)
    assert found["nearest"]["code"] == cell_code(2, 2, 2, 4)


def test_a_position_in_another_datum_is_converted(redrawn: RunningCity) -> None:
    lng, lat = redrawn.small.centre(cell_code(0, 1, 1, 4))
    sent_lng, sent_lat = (float(v[0]) for v in convert([lng], [lat], Datum.CGCS2000, Datum.BD09))
    assert at(redrawn, sent_lng, sent_lat, datum="bd-09")["cell"]["code"] == cell_code(0, 1, 1, 4)
    assert at(redrawn, sent_lng, sent_lat)["cell"] != at(redrawn, lng, lat)["cell"]


@pytest.mark.parametrize(
    "query",
    ["lng=118", "lng=nan&lat=34", "lng=181&lat=34", "lng=118&lat=34&datum=moon", "lng=118&lat=34&as_of=2026-01-01"],
)
def test_a_place_that_cannot_be_meant_is_a_problem(redrawn: RunningCity, query: str) -> None:
    answer = redrawn.console().get(f"/api/v1/cells/at?{query}")
    assert answer.status == 422
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_an_account_finds_cells_of_its_own_region_only(redrawn: RunningCity) -> None:
    lng, lat = redrawn.small.centre(OTHER)
    assert at(redrawn, lng, lat)["cell"]["code"] == OTHER
    found = at(redrawn, lng, lat, who=COUNTIES[0])
    assert found["cell"] is None
    assert found["nearest"]["code"] not in (OTHER, None)
    assert redrawn.console(COUNTIES[1]).get(f"/api/v1/cells/{FIRST}/lineage").status == 404


def test_a_cell_knows_its_states_its_ancestors_and_its_heirs(redrawn: RunningCity) -> None:
    gone = redrawn.console(FIRST[:12]).get(f"/api/v1/cells/{FIRST}/lineage").json
    assert [state["valid_to"] is None for state in gone["states"]] == [False]
    assert {(kin["code"], kin["change"]) for kin in gone["into"]} == {(WEST_PART, "split"), (EAST_PART, "split")}
    assert sum(kin["area_m2"] for kin in gone["into"]) == pytest.approx(1.0247e6, rel=0.01)
    came = redrawn.console().get(f"/api/v1/cells/{EAST_PART}/lineage").json
    assert [(kin["code"], kin["change"]) for kin in came["from"]] == [(FIRST, "split")]
    assert redrawn.console().get("/api/v1/cells/nowhere/lineage").status == 404


def test_a_plan_is_not_yet_part_of_a_cells_history(redrawn: RunningCity) -> None:
    cells = standing_cells(redrawn)
    merged = {code: shape for code, shape in cells.items() if code not in (EAST_PART, WEST_PART)}
    planned(redrawn, merged | {WEST_PART: cells[EAST_PART].union(cells[WEST_PART])})
    assert redrawn.console().get(f"/api/v1/cells/{EAST_PART}/lineage").json["into"] == []


def test_versions_are_listed_for_the_city_alone(redrawn: RunningCity) -> None:
    [*_, first] = redrawn.console().get("/api/v1/grid/versions").json["items"]
    assert (first["state"], first["counts"]["split"]) == ("in_force", 2)
    assert redrawn.console(COUNTIES[0]).get("/api/v1/grid/versions").json["items"] == []


def test_the_list_of_cells_tells_kind_and_functions(redrawn: RunningCity) -> None:
    [cell] = redrawn.console().get(f"/api/v1/cells?code={WEST_PART}").json["items"]
    assert cell["kind"] == "basic"
    assert redrawn.console().get(f"/api/v1/cells?code={FIRST}").json["items"] == []


@pytest.fixture
def whole(database: Database) -> Iterator[RunningCity]:
    with running_city(database) as found:
        yield found


def test_worker_and_web_process_see_a_new_version_without_a_restart(whole: RunningCity, broker: Broker) -> None:
    cells = standing_cells(whole)
    url, name = whole.database.worker_url, f"reload-{whole.database.name}"
    centre = Point(whole.small.centre(FIRST))

    def reading(identity: str, sensor: str, **more: Any) -> None:
        topic = f"cc/v1/321302/{sensor}/reading"
        with connected(broker.url("gateway"), f"gateway-{identity}") as gateway:
            gateway.publish(topic, {"id": identity, **more})

    def cells_of(sensor: str) -> list[str | None]:
        found = whole.rows(
            "SELECT c.code FROM readings r JOIN sensors s ON s.n = r.sensor LEFT JOIN cells c ON c.n = r.cell"
            " WHERE s.id = :sensor ORDER BY r.received_at",
            sensor=sensor,
        )
        return [row.code for row in found]

    def figures() -> dict[str, Any]:
        found = whole.rows("SELECT figures FROM heartbeats WHERE process = 'worker'")
        return dict(found[0].figures) if found else {}

    with processes.worker(url, broker.url("worker"), name), processes.scheduler(url):
        wait_until(lambda: figures().get("broker") == "connected", what="the worker listens")
        reading("one", "water-1", values={"water_depth": 0.31})
        wait_until(lambda: cells_of("water-1") == [FIRST], what="the first reading")
        [old] = whole.rows("SELECT id, cell FROM tickets")
        assert old.cell == FIRST
        publish(whole.engine, planned(whole, first_cell_split(cells)), None, datetime.now(UTC))
        wait_until(
            lambda: whole.rows("SELECT 1 FROM grid_versions WHERE state = 'in_force'"), what="the version takes effect"
        )
        counted = iter(range(100))

        def goes_to_the_new_cell() -> bool:
            reading(f"more-{next(counted)}", "vehicle-1", lng=centre.x, lat=centre.y, values={"link_speed": 40})
            return cells_of("vehicle-1")[-1:] == [EAST_PART]

        wait_until(goes_to_the_new_cell, timeout_s=20, what="the worker uses the new cells")
        reading("two", "water-1", values={"water_depth": 0.32})
        wait_until(lambda: cells_of("water-1") == [FIRST, EAST_PART], what="the catalogue was read anew too")
        # The alert that was open goes on: what the rules remember came along, and no second matter was opened.
        assert len(whole.rows("SELECT id FROM alerts")) == 1
        assert len(whole.rows("SELECT id FROM tickets")) == 1

        whole.send_down(old.id, CITY, COUNTIES[0], FIRST[:9], FIRST[:12])
        village = whole.console(FIRST[:12])
        assert village.get(f"/api/v1/tickets/{old.id}").status == 200
        targets = wait_until(lambda: _targets(whole, old.id), what="the web process offers the new cells")
        assert EAST_PART in targets
        assert FIRST not in targets
        assert village.get(f"/api/v1/tickets?region={FIRST}").json["items"][0]["cell"] == FIRST


def _targets(running: RunningCity, ticket: Any) -> list[str]:
    found = running.ticket(ticket, FIRST[:12])
    return [to["region"] for move in found["moves"] if move["move"] == "dispatch" for to in move["to"]]
