"""A storm from the simulator, from its readings to the last word about its tickets.

The readings are the simulator's own ``great-storm``, published over MQTT as fast as the worker process takes them in. Its
gauges stand in two hollows of one county, each hollow within the 50 m in which alerts of one category are the same matter: so a
hollow is four matters (water on the road, rain, the river, the area as a whole); in a storm these are one, a township at a
time, until the county splits them among its crews. The tests move tickets of their own through the web process; the last one
looks at all of them.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from command_center.audit import audit_deadlines
from command_center.city import Desk
from command_center.demo.scenario import DURATION_S, make_scenario
from command_center.demo.simulate import Player, connector
from command_center.local.broker import Broker
from command_center.schedule import fire_deadlines
from command_center.ticket import store
from command_center.ticket.deadline import deadlines_of
from command_center.ticket.ticket import Step, Ticket, fold, shown
from gis.region import TIERS
from ingest.sensor import Sensor
from tests import processes
from tests.conftest import Database
from tests.running_city import RunningCity, read_city, running_city
from tests.small_city import CITY, COUNTIES, add_sensor, cell_code
from tests.waiting import wait_until

A, B = COUNTIES[:2]
# More than 2 km apart, so that each hollow is a flooded area of its own.
HOLLOWS = (cell_code(0), cell_code(0, 2, 2, 4))
CATEGORIES = ("waterlogging", "rainstorm", "river_flood", "area_flooding")
# As many as the scenario casts, half of them in each hollow.
GAUGES = (
    ("water", ("water_depth",), 60),
    ("rain", ("rain_1h", "rain_3h", "rain"), 48),
    ("river", ("river_level",), 20),
)
APART_DEGREES = 0.00003  # about 3 m
UNDER_WAY = 3000
"""Messages between the simulator and the last commit, at most: fewer than the simulator's queue holds."""

TOWN, VILLAGE = "321302001", "321302001001"
OTHER_TOWN, OTHER_VILLAGE = "321302002", "321302002002"


@pytest.fixture(scope="module")
def storm(module_database: Database, broker: Broker) -> Iterator[RunningCity]:
    """The small city when the storm is over: what it raised is stored, and nobody has moved anything."""
    with running_city(module_database) as running:
        gauges = set_up(running)
        name = f"storm-{module_database.name}"
        with processes.worker(module_database.worker_url, broker.url("worker"), name):
            wait_until(lambda: figures(running).get("broker") == "connected", 60, "the worker is subscribed")
            play(running, gauges, broker.url("gateway"))
        yield running


def set_up(running: RunningCity) -> list[Sensor]:
    """Stand the gauges into their hollows, in rows three metres apart; the simulator's catalogue."""
    names = [(kind, measured, n) for kind, measured, count in GAUGES for n in range(count)]
    with running.engine.begin() as connection:
        for n, (kind, measured, serial) in enumerate(names, start=1000):
            name = f"hollow-{kind}-{serial:03d}"
            add_sensor(connection, running.small, name, HOLLOWS[serial % 2], measured, n=n)
            east, north = (APART_DEGREES * ((n // 2) % 8 - 4), APART_DEGREES * ((n // 16) % 8 - 4))
            moved = text("UPDATE sensors SET geom = ST_Translate(geom, :east, :north) WHERE id = :id")
            connection.execute(moved, {"east": east, "north": north, "id": name})
    catalogue = read_city(running.engine).catalogue
    return [sensor for sensor in catalogue.sensors.values() if sensor.id.startswith("hollow-")]


def play(running: RunningCity, gauges: list[Sensor], mqtt_url: str) -> None:
    """The whole storm, which ends now by the gauges' own clocks, until the worker has committed all of it."""
    scenario = make_scenario("great-storm", gauges, time.time() - DURATION_S)
    assert len(scenario.lag_s) == len(gauges)
    player = Player(scenario, gauges, running.city.catalogue.quantities, connector(mqtt_url))
    player.start()
    wait_until(player.client.is_connected, what="the simulator is connected")
    for second in range(round(DURATION_S)):
        player.play(scenario.started_at + second)
        wait_until(lambda: player.sent - handled(running) < UNDER_WAY, 60, "the worker keeps up with the simulator")
    assert player.missed == 0
    wait_until(lambda: handled(running) >= player.sent, 60, f"the worker has committed all {player.sent} readings")
    player.close()


def figures(running: RunningCity) -> dict[str, Any]:
    found = running.rows("SELECT figures FROM heartbeats WHERE process = 'worker'")
    return dict(found[0].figures) if found else {}


def handled(running: RunningCity) -> int:
    return int(figures(running).get("counts", {}).get("messages", 0))


def the_ticket(running: RunningCity, hollow: int, category: str) -> UUID:
    [row] = running.rows(
        "SELECT id FROM tickets WHERE category = :category AND status <> 'merged' AND scope LIKE :town || '%'",
        category=category,
        town=running.small.region(HOLLOWS[hollow]).scope.rsplit("/", 3)[0],
    )
    return UUID(str(row.id))


def fire(running: RunningCity, at: datetime) -> None:
    """What a scheduler whose clock shows ``at`` does."""
    city = running.city
    desk = Desk(city.tree, city.dispatch, city.zone, city.inhibitions, city.grouping)
    fire_deadlines(running.engine, at, lambda _: desk)


def trail(running: RunningCity, identity: UUID) -> list[Step]:
    with running.engine.connect() as connection:
        return store.load_steps(connection, identity)


def tiers_of(running: RunningCity, identity: UUID) -> list[str]:
    """Where a ticket was, each stay once, in order."""
    stays = [step.holder.tier for step in trail(running, identity)]
    return [tier for n, tier in enumerate(stays) if n == 0 or stays[n - 1] != tier]


def test_three_hundred_alerts_of_a_storm_become_one_incident_a_township_with_a_ticket_each(storm: RunningCity) -> None:
    [alerts] = storm.rows("SELECT count(*) AS n, count(*) FILTER (WHERE muted_kind IS NOT NULL) AS quiet FROM alerts")
    assert alerts.n >= 300
    assert alerts.quiet == 0
    incidents = storm.rows("SELECT scope, status, signals FROM incidents WHERE status <> 'merged'")
    assert len(incidents) == len({row.scope.split("/")[2] for row in incidents}) == len(HOLLOWS)
    assert {row.status for row in incidents} == {"open"}
    assert sum(row.signals for row in incidents) == alerts.n


def test_every_alert_of_the_storm_belongs_to_one_open_incident_with_one_open_ticket(storm: RunningCity) -> None:
    links = storm.rows(
        "SELECT a.id, count(i.id) AS incidents, min(i.status) AS status FROM alerts a"
        " LEFT JOIN incident_signals s ON s.signal = a.id LEFT JOIN incidents i ON i.id = s.incident GROUP BY a.id"
    )
    assert {(row.incidents, row.status) for row in links} == {(1, "open")}
    tickets = storm.rows(
        "SELECT i.id, count(t.id) FILTER (WHERE t.closed_at IS NULL) AS open FROM incidents i"
        " LEFT JOIN tickets t ON t.incident = i.id WHERE i.status = 'open' GROUP BY i.id"
    )
    assert {row.open for row in tickets} == {1}


@pytest.fixture(scope="module")
def crews(storm: RunningCity) -> RunningCity:
    """The county splits each township's storm by category: a crew for each of the four, with a ticket of its own."""
    for incident in storm.rows("SELECT id, category FROM incidents WHERE status = 'open'"):
        for category in (one for one in CATEGORIES if one != incident.category):
            [now] = storm.rows("SELECT version FROM incidents WHERE id = :id", id=incident.id)
            own = storm.rows(
                "SELECT a.id FROM alerts a JOIN incident_signals s ON s.signal = a.id"
                " WHERE s.incident = :id AND a.category = :category",
                id=incident.id,
                category=category,
            )
            body = {"signals": [str(row.id) for row in own], "reason": "分类处置", "version": now.version}
            answer = storm.console(A).post(f"/api/v1/incidents/{incident.id}/split", body)
            assert answer.status == 201, answer.content
    return storm


def test_a_ticket_of_the_storm_goes_down_all_five_tiers_and_its_result_comes_back(crews: RunningCity) -> None:
    ticket = the_ticket(crews, 0, "waterlogging")
    crews.send_down(ticket, CITY, A, TOWN, VILLAGE, HOLLOWS[0])
    crews.move(HOLLOWS[0], ticket, "accept")
    assert crews.move(HOLLOWS[0], ticket, "finish")["responsible"] == VILLAGE
    crews.move(TOWN, ticket, "check", to=VILLAGE)
    crews.move(VILLAGE, ticket, "checked", ok=True, reason="积水已排除")
    crews.move(CITY, ticket, "close")
    assert crews.move(CITY, ticket, "evaluate", score=5)["status"] == "evaluated"
    assert tiers_of(crews, ticket)[-7:] == [*TIERS, "village", "grid"]


def test_what_two_desks_give_back_is_arbitrated_at_their_lowest_common_tier_and_that_binds(crews: RunningCity) -> None:
    village = bounced(crews, the_ticket(crews, 1, "waterlogging"), (CITY, A, OTHER_TOWN, OTHER_VILLAGE), judge=A)
    assert village["returns"] == 2
    area = the_ticket(crews, 0, "area_flooding")
    for county in (A, B):
        crews.move(CITY, area, "dispatch", to=county)
        sent_back = crews.move(county, area, "return", reason="不属于本县", cause="not_ours")
    judged(crews, area, sent_back, judge=CITY, to=A)


def bounced(running: RunningCity, ticket: UUID, path: tuple[str, ...], *, judge: str) -> dict[str, Any]:
    """Sent down to the last desk, given back by it and by the one above it, and given to it after all, who deals with it."""
    running.send_down(ticket, *path)
    running.move(path[-1], ticket, "return", reason="不属于本村", cause="not_ours")
    sent_back = running.move(path[-2], ticket, "return", reason="不属于本镇", cause="not_ours")
    return judged(running, ticket, sent_back, judge=judge, to=path[-1])


def judged(running: RunningCity, ticket: UUID, sent_back: dict[str, Any], *, judge: str, to: str) -> dict[str, Any]:
    assert (sent_back["status"], sent_back["holder"]["region"]) == ("arbitrating", judge)
    given = running.move(judge, ticket, "arbitrate", to=to, reason="按属地处理")
    assert (given["holder"]["region"], given["binding"]) == (to, to)
    again = running.console(to).move(given, "return", reason="仍不属于本单位", cause="not_ours")
    assert again.status == 409
    running.move(to, ticket, "accept")
    running.move(to, ticket, "finish")
    return running.move(CITY, ticket, "close")


LADDER = ["remind", "supervise", "up", "city"]


def test_what_is_left_alone_goes_overdue_and_climbs_to_the_city_each_rung_once(crews: RunningCity) -> None:
    accepted = [the_ticket(crews, 1, "area_flooding"), the_ticket(crews, 0, "river_flood")]
    crews.send_down(accepted[0], CITY, A, OTHER_TOWN, OTHER_VILLAGE)
    crews.send_down(accepted[1], A, TOWN, VILLAGE)
    for desk, ticket in zip((OTHER_VILLAGE, VILLAGE), accepted, strict=True):
        crews.move(desk, ticket, "accept")
    untouched = [the_ticket(crews, *one) for one in ((0, "rainstorm"), (1, "rainstorm"), (1, "river_flood"))]
    left = [*accepted, *untouched]
    moments = climb(crews, left)
    assert len(moments) > len(LADDER)
    for ticket in left:
        steps = trail(crews, ticket)
        rungs = [step.told["rung"] for step in steps if "rung" in step.told]
        assert rungs[: len(LADDER)] == LADDER
        # Past the last rung the last desk is reminded now and again, while the others still climb.
        assert set(rungs[len(LADDER) :]) <= {"remind"}
        moves = Counter(str(step.move) for step in steps)
        assert (moves["overdue"], moves["supervise"], moves["escalate"]) == (1, 1, 2)
        assert moves["lapse"] == (ticket in untouched), "nobody accepted it in time"
        assert crews.ticket(ticket)["holder"]["region"] == CITY
    assert tiers_of(crews, accepted[0])[-3:] == ["village", "township", "city"]
    # What reached the city is dealt with there.
    crews.move(CITY, left[0], "self_handle", reason="市级直接处置")
    assert crews.move(CITY, left[0], "close")["status"] == "closed"


def climb(running: RunningCity, left: list[UUID]) -> list[datetime]:
    """Two schedulers at once whenever a deadline of the tickets comes, and one of them again, until all are at the top."""
    moments: list[datetime] = []
    with ThreadPoolExecutor(2) as schedulers:
        while not all(top(running.ticket(ticket)) for ticket in left):
            assert len(moments) < 50, moments
            [row] = running.rows("SELECT min(due_at) AS at FROM deadlines WHERE ticket = ANY (:left)", left=left)
            list(schedulers.map(fire, [running, running], [row.at, row.at]))
            fire(running, row.at)
            moments.append(row.at)
    return moments


def top(ticket: dict[str, Any]) -> bool:
    return ticket["rung"] >= len(LADDER) and ticket["overdue_at"] is not None


def test_every_trail_replays_to_the_row_its_deadlines_and_every_word_of_the_log(crews: RunningCity) -> None:
    identities = [row.id for row in crews.rows("SELECT id FROM tickets")]
    with crews.engine.begin() as connection:
        stored = store.load_tickets(connection, identities)
        trails = {identity: store.load_steps(connection, identity) for identity in identities}
    for identity, ticket in stored.items():
        steps = trails[identity]
        assert [step.version for step in steps] == list(range(1, len(steps) + 1))
        assert fold(ticket.place, steps) == ticket
        assert deadline_rows(crews, identity) == deadlines_of(ticket)
        words = said(crews, identity)
        assert words == [(version, word(shown(fold(ticket.place, steps[:version])))) for version, _ in words]
        assert words[-1][0] == ticket.version
        answer = crews.console(CITY).get(f"/api/v1/tickets/{identity}/steps")
        assert [step["version"] for step in answer.json["items"]] == [step.version for step in steps]
    assert audit_deadlines(crews.engine, datetime.now(UTC), lambda _: crews.city.tree) == []
    report(crews, stored, [step for steps in trails.values() for step in steps])


def deadline_rows(running: RunningCity, ticket: UUID) -> dict[str, datetime]:
    found = running.rows("SELECT kind, due_at FROM deadlines WHERE ticket = :of", of=ticket)
    return {row.kind: row.due_at for row in found}


def said(running: RunningCity, ticket: UUID) -> list[tuple[int, dict[str, Any]]]:
    """What the event log said of a ticket, oldest first."""
    found = "SELECT version, data FROM event_log WHERE kind = 'ticket' AND id = :of ORDER BY n"
    return [(row.version, word(row.data)) for row in running.rows(found, of=str(ticket))]


def word(data: dict[str, Any]) -> dict[str, Any]:
    """A ticket as shown, in JSON's own types, its times as instants whatever zone they are written in."""
    plain: dict[str, Any] = json.loads(json.dumps(data))
    return plain | {
        name: datetime.fromisoformat(value) for name, value in plain.items() if name.endswith("_at") and value
    }


def report(running: RunningCity, tickets: dict[UUID, Ticket], steps: list[Step]) -> None:
    [counts] = running.rows(
        "SELECT (SELECT count(*) FROM readings) AS readings, (SELECT count(*) FROM alerts) AS alerts,"
        " (SELECT count(*) FROM incidents) AS incidents"
    )
    table = {
        "readings": counts.readings,
        "alerts": counts.alerts,
        "incidents": counts.incidents,
        "tickets": len(tickets),
        "statuses": dict(Counter(str(ticket.status) for ticket in tickets.values())),
        "tiers": {tier: Counter(step.holder.tier for step in steps)[tier] for tier in TIERS},
        "moves": dict(Counter(str(step.move) for step in steps).most_common()),
    }
    for what, value in table.items():
        print(f"{what:10} {value}")
