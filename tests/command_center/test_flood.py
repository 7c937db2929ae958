"""Three thousand gauges of one township in alarm within ten seconds, from the broker to a console, and a fire among them.

Broker, worker and web process are real; what the console heard is the proof. The time from the first message to the last alarm
on the console is printed: `command-center bench incidents` is where it is measured against its goal.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from command_center.local.broker import Broker
from tests import processes
from tests.conftest import Database
from tests.gateway import connected
from tests.running_city import RunningCity, running_city
from tests.small_city import CITY, cell_code
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(600)

ALARMS = 3000
SECONDS = 10
PLACE = cell_code()
APART_DEGREES = 0.00003  # about 3 m
# Of a hundred gauges ninety stand in the streets, nine at ditches, and one measures rain.
KINDS = (*(("water_depth", 0.31),) * 90, *(("river_level", 4.6),) * 9, ("rain_1h", 60.0))


@pytest.fixture(scope="module")
def flood(module_database: Database, broker: Broker) -> Iterator[RunningCity]:
    with running_city(module_database) as running:
        add_gauges(running)
        with processes.worker(module_database.worker_url, broker.url("worker"), f"flood-{module_database.name}"):
            wait_until(lambda: listens(running), 60, "the worker is subscribed")
            yield running


def listens(running: RunningCity) -> bool:
    found = running.rows("SELECT figures ->> 'broker' AS broker FROM heartbeats WHERE process = 'worker'")
    return bool(found) and found[0].broker == "connected"


def add_gauges(running: RunningCity) -> None:
    """In rows three metres apart around the middle of the cell."""
    home = running.small.region(PLACE)
    lng, lat = running.small.centre(PLACE)
    rows = [
        {
            "n": 10_000 + n,
            "id": f"flood-{n:04d}",
            "county": home.scope.split("/")[1],
            "region": home.parent,
            "cell": PLACE,
            "scope": home.scope,
            "quantities": [KINDS[n % len(KINDS)][0]],
            "geom": f"SRID=4490;POINT({lng + APART_DEGREES * (n % 55 - 27)} {lat + APART_DEGREES * (n // 55 - 27)})",
        }
        for n in range(ALARMS)
    ]
    with running.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sensors (n, id, name, county, region, cell, scope, domain, quantities, geom, interval_s) VALUES"
                " (:n, :id, :id, :county, :region, :cell, :scope, 'emergency', :quantities, CAST(:geom AS geometry), 60)"
            ),
            rows,
        )


def test_a_flood_of_three_thousand_alarms_is_five_incidents_at_most_and_a_fire_beside_it_its_own(
    flood: RunningCity, broker: Broker
) -> None:
    console = flood.socket(CITY)
    console.sync(None)
    county = flood.small.region(PLACE).scope.split("/")[1]
    begun = time.monotonic()
    with connected(broker.url("gateway")) as gateway:
        for second in range(SECONDS):
            gateway.publish_all(
                (
                    f"cc/v1/{county}/flood-{n:04d}/reading",
                    {"id": f"{n}", "at": round(time.time() * 1000), "values": dict([KINDS[n % len(KINDS)]])},
                )
                for n in range(second, ALARMS, SECONDS)
            )
            if second == SECONDS // 2:
                flood.open_ticket(PLACE, source="smoke-1", matter="fire")
    heard: set[str] = set()
    while len(heard) < ALARMS + 1:
        assert time.monotonic() - begun < 300, f"{len(heard)} of {ALARMS + 1} alarms reached the console"
        heard |= {
            event["id"]
            for event in console.heard()
            if event["kind"] == "alert" and event["data"]["source"]["id"].startswith(("flood-", "smoke-"))
        }
    print(f"{ALARMS} alarms from the first message to the console: {time.monotonic() - begun:.1f} s")
    opened = flood.rows("SELECT category, signals FROM incidents WHERE status = 'open'")
    [fire] = [row for row in opened if row.category == "fire"]
    assert fire.signals == 1
    assert 1 <= len(opened) - 1 <= 5
    [linked] = flood.rows(
        "SELECT count(DISTINCT a.id) AS n FROM alerts a JOIN incident_signals s ON s.signal = a.id JOIN incidents i"
        " ON i.id = s.incident WHERE i.status = 'open' AND a.source LIKE 'flood-%'"
    )
    assert linked.n == ALARMS
