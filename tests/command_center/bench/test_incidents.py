"""The incident benchmark measures what it says, over few alerts."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from command_center.bench.incidents import steady, storm
from command_center.city import build_city, read_city
from config.database import worker_engine
from tests.conftest import Database
from tests.small_city import build


def test_every_alert_has_its_incident_and_the_storm_becomes_a_few(database: Database) -> None:
    build(database)
    engine = worker_engine(database.worker_url)
    try:
        now = datetime.now(UTC)
        city = build_city(read_city(engine), "suqian", ZoneInfo("Asia/Shanghai"), now)
        found = {figure.what: figure for figure in steady(engine, city, 1, 120)}
        assert found["alerts that have their incident"].value == 120
        assert 0 < found["open incidents at the end"].value < 120
        told = {figure.what: figure for figure in storm(engine, 200, 10.0)}
    finally:
        engine.dispose()
    assert told["alarms that it raised"].value >= 200
    assert all(
        told[what].met for what in told if what.startswith(("alarms", "open incidents", "incidents of the fire"))
    )
