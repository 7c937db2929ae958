"""Forecasts over HTTP: from what is stored, for whom may see it, and plain words where there is too little."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from math import sin, tau
from typing import Any

import pytest

from ingest.partition_store import ensure_partitions
from ingest.reading import OUT_OF_RANGE
from tests.running_city import RunningCity
from tests.small_city import CITY, COUNTIES, add_sensor, cell_code

_STORE = (
    "INSERT INTO readings (received_at, at, sensor, quantity, value, key, flags, cell)"
    " SELECT t, t, :sensor, q.n, {value}, extract(epoch FROM t)::bigint, :flags, 0 FROM quantities q,"
    " generate_series(CAST(:first AS timestamptz), CAST(:last AS timestamptz), make_interval(secs => :step)) t"
    " WHERE q.name = :quantity"
)
_DAILY = "1 + sin(extract(epoch FROM t) * 2 * pi() / 86400) / 2"
_RISING = "0.1 + 0.2 * greatest(0, 3 - extract(epoch FROM CAST(:last AS timestamptz) - t) / 3600)"


@pytest.fixture(scope="module")
def city(running: RunningCity) -> RunningCity:
    """Partitions for four weeks, and a rain gauge beside the level."""
    with running.engine.begin() as connection:
        ensure_partitions(connection, datetime.now(UTC) - timedelta(days=29), days=31)
        add_sensor(connection, running.small, "rain-1", cell_code(0), ("rain_1h",), n=50)
    wait_s = time.monotonic() + 10
    while running.console().get("/api/v1/sensors/rain-1/forecast").status == 404:
        assert time.monotonic() < wait_s
        time.sleep(0.2)
    return running


@pytest.fixture(autouse=True)
def _no_readings(city: RunningCity) -> None:
    city.rows("DELETE FROM readings")


def stored(
    city: RunningCity,
    value: str,
    *,
    sensor: int = 1,
    quantity: str = "water_depth",
    hours: float = 28 * 24,
    until_h: float = 0,
    step: float = 900,
    flags: int = 0,
) -> None:
    """Readings of the last hours, the newest ``until_h`` ago."""
    last = datetime.now(UTC) - timedelta(hours=until_h, seconds=5)
    first = last - timedelta(hours=hours)
    city.rows(
        _STORE.format(value=value),
        sensor=sensor,
        quantity=quantity,
        first=first,
        last=last,
        step=step,
        flags=flags,
    )


def asked(city: RunningCity, query: str = "", sensor: str = "water-1", desk: str = CITY) -> dict[str, Any]:
    answer = city.console(desk).get(f"/api/v1/sensors/{sensor}/forecast{query}")
    assert answer.status == 200, answer.content
    found: dict[str, Any] = answer.json
    return found


def test_six_hours_are_forecast_with_interval_age_and_reason_in_words(city: RunningCity) -> None:
    stored(city, _DAILY)
    found = asked(city)
    assert [item["horizon_h"] for item in found["items"]] == [1, 2, 3, 4, 5, 6]
    for item in found["items"]:
        middle = datetime.fromisoformat(item["at"]) - timedelta(minutes=30)
        expected = 1 + _sine(middle.timestamp()) / 2
        assert item["value"] == pytest.approx(expected, abs=0.02)
        assert item["low"] <= item["value"] <= item["high"]
        assert item["zh"]
        assert item["en"]
    assert found["quantity"] == "water_depth"
    assert found["unit"] == "m"
    assert found["known_hours"] == 28 * 24
    assert 0 <= found["age_s"] < 60
    assert found["reason"] is None
    assert found["exceedance"] is None


def _sine(seconds: float) -> float:
    return sin(seconds * tau / 86400)


def test_a_threshold_is_told_with_the_time_until_it_is_reached(city: RunningCity) -> None:
    stored(city, _RISING)
    found = asked(city, "?threshold=0.8")["exceedance"]
    assert found["threshold"] == 0.8
    assert found["in_s"] is None or 600 <= found["in_s"] <= 6 * 3600
    assert "0.8 m" in found["en"]
    assert "0.8 m" in found["zh"]
    assert asked(city, "?threshold=0.3")["exceedance"]["in_s"] == 0
    assert asked(city, "?threshold=0.9&direction=below")["exceedance"]["in_s"] == 0


def test_too_little_history_is_said_plainly(city: RunningCity) -> None:
    stored(city, "1.0", hours=10)
    found = asked(city, "?threshold=2")
    assert found["items"] == []
    assert found["exceedance"] is None
    assert found["reason"]["kind"] == "not_enough_history"
    assert str(found["known_hours"]) in found["reason"]["zh"]
    assert found["latest"]["value"] == 1.0


def test_no_readings_at_all_are_no_error(city: RunningCity) -> None:
    found = asked(city)
    assert (found["items"], found["latest"], found["age_s"], found["known_hours"]) == ([], None, None, 0)
    assert found["reason"]["kind"] == "not_enough_history"


def test_a_silent_sensor_is_not_forecast_and_its_age_is_told(city: RunningCity) -> None:
    stored(city, _DAILY, until_h=8, hours=20 * 24)
    found = asked(city)
    assert found["items"] == []
    assert found["reason"]["kind"] == "silent"
    assert found["age_s"] == pytest.approx(8 * 3600, abs=60)


def test_implausible_readings_do_not_count(city: RunningCity) -> None:
    stored(city, "0.5", hours=100)
    stored(city, "4.5", hours=100, flags=OUT_OF_RANGE)
    assert all(item["value"] == pytest.approx(0.5) for item in asked(city)["items"])


def test_what_a_quantity_cannot_be_is_not_forecast(city: RunningCity) -> None:
    stored(city, "greatest(0, 5 - extract(epoch FROM CAST(:last AS timestamptz) - t) / 36000)", hours=200)
    assert all(-0.05 <= item["low"] <= item["high"] <= 5 for item in asked(city)["items"])


def test_the_rain_gauge_beside_a_level_is_named_when_it_reports(city: RunningCity) -> None:
    stored(city, _DAILY)
    assert asked(city)["rain_gauge"] is None
    stored(city, "CASE WHEN extract(hour FROM t) = 3 THEN 8 ELSE 0 END", sensor=50, quantity="rain_1h")
    assert asked(city)["rain_gauge"] == "rain-1"
    assert asked(city, sensor="rain-1")["rain_gauge"] is None


def test_who_may_not_see_a_sensor_hears_nothing_of_it(city: RunningCity) -> None:
    stored(city, _DAILY)
    assert asked(city, desk=COUNTIES[0])["items"]
    answer = city.console(COUNTIES[1]).get("/api/v1/sensors/water-1/forecast")
    nobody = city.console(COUNTIES[1]).get("/api/v1/sensors/nowhere/forecast")
    assert (answer.status, nobody.status) == (404, 404)
    assert answer.json["detail"].replace("water-1", "nowhere") == nobody.json["detail"]


@pytest.mark.parametrize(
    "query", ["?quantity=pm25", "?quantity=nothing", "?threshold=deep", "?threshold=nan", "?direction=sideways"]
)
def test_what_cannot_be_answered_is_a_problem(city: RunningCity, query: str) -> None:
    answer = city.console().get(f"/api/v1/sensors/water-1/forecast{query}")
    assert answer.status == 422
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_another_quantity_of_the_sensor_can_be_asked_for(city: RunningCity) -> None:
    stored(city, "45.0", sensor=4, quantity="noise", hours=72)
    assert asked(city, "?quantity=noise", sensor="gas-1")["items"][0]["value"] == pytest.approx(45.0)
    assert asked(city, sensor="gas-1")["quantity"] == "gas_concentration"
    assert asked(city, sensor="gas-1")["items"] == []


def test_an_answer_is_cheap(city: RunningCity) -> None:
    stored(city, _DAILY, step=300)
    asked(city)
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        asked(city)
        took.append(time.perf_counter() - begun)
    assert min(took) < 0.5  # on a busy machine, with the readings of this sensor alone


def test_the_levels_of_the_rules_that_count_for_the_sensor_are_told_with_the_time_to_each(city: RunningCity) -> None:
    stored(city, _RISING)
    found = asked(city)
    assert [(level["rule"], level["severity"], level["at"]) for level in found["levels"]] == [
        ("road-waterlogging", 2, 0.15),
        ("road-waterlogging", 4, 0.25),
    ]
    assert [level["reached"]["in_s"] for level in found["levels"]] == [0, 0]
    assert asked(city, "?quantity=rain_1h", sensor="rain-1")["levels"] == []
    assert [past["value"] for past in found["past"]] == sorted(past["value"] for past in found["past"])
    assert len(found["past"]) == 12
    assert datetime.fromisoformat(found["past"][-1]["at"]) == datetime.fromisoformat(found["now"])


def test_levels_and_past_hours_are_told_where_nothing_can_be_forecast(city: RunningCity) -> None:
    stored(city, "0.05", hours=3)
    found = asked(city)
    assert found["items"] == []
    assert [level["reached"] for level in found["levels"]] == [None, None]
    assert {round(past["value"], 6) for past in found["past"]} == {0.05}


def test_in_wartime_its_levels_count_too(city: RunningCity) -> None:
    stored(city, "0.05", hours=3)
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"region": COUNTIES[0], "domains": ["emergency"], "ends_at": ends_at, "reason": "台风登陆"}
    mode = city.console().post("/api/v1/modes", body).json
    assert next(level["rule"] for level in asked(city)["levels"]) == "road-waterlogging-wartime"
    assert city.console().post(f"/api/v1/modes/{mode['id']}/end", {"reason": "test over"}).status == 200
    assert len(asked(city)["levels"]) == 2


def test_a_rising_level_raises_the_hours_ahead_of_its_cell(city: RunningCity) -> None:
    stored(city, _RISING)
    found = city.console().get(f"/api/v1/risks/{cell_code()}/outlook").json
    assert "water-1" not in {one["sensor"] for one in found["not_forecast"]}
    assert found["highest"]["cause"]["kind"] == "forecast"
    assert found["highest"]["cause"]["source"] == "water-1"
    assert found["highest"]["score"] > 0
    assert 0 <= found["age_s"] < 60
