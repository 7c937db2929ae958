from __future__ import annotations

from typing import Any

import pytest

from command_center.demo.catalogue import KNOWN_GAUGE, DemoCatalogue
from command_center.demo.frigate import PEOPLE, events
from command_center.demo.scenario import (
    DURATION_S,
    EVERYDAY,
    SCENARIOS,
    NothingToPlay,
    Scenario,
    UnknownScenario,
    is_running,
    make_scenario,
)
from command_center.demo.series import BANDS, phase, values
from ingest.sensor import Sensor
from tests.command_center.demo.pack import crosses, pack, rules, threshold_rules

MONDAY = 1_780_243_200.0  # 2026-06-01 00:00 in Suqian
WEEK_S = 7 * 86_400
START = MONDAY + 36_000

EXPECTED = {
    "storm": {"road-waterlogging": 4, "heavy-rain-3h": 3},
    "gas-leak": {"gas-leak": 4},
    "crowd": {"crowd-density": 3, "visitor-load": 2},
}


def _play(scenario: Scenario, sensors: tuple[Sensor, ...]) -> dict[tuple[str, str], list[float]]:
    """Every value of the sensors that take part, each five seconds until a minute after the end."""
    found: dict[tuple[str, str], list[float]] = {}
    for sensor in sensors:
        if sensor.id in scenario.lag_s:
            for second in range(0, int(DURATION_S) + 60, 5):
                for quantity, value in values(sensor, scenario.started_at + second, scenario).items():
                    found.setdefault((sensor.id, quantity), []).append(value)
    return found


def _severities(rule: dict[str, Any], played: dict[tuple[str, str], list[float]]) -> list[int]:
    return [
        max(crosses(rule, v) for v in found) for (_, quantity), found in played.items() if quantity == rule["quantity"]
    ]


def test_everyday_bands_keep_clear_of_every_rule() -> None:
    for rule in threshold_rules():
        band = BANDS.get(rule["quantity"])
        if band is not None:
            above = rule["direction"] == "above"
            assert band.high < rule["clear"] if above else band.low > rule["clear"], rule["id"]


def test_a_simulated_everyday_week_crosses_no_rule_and_stays_plausible(catalogue: DemoCatalogue) -> None:
    by_quantity: dict[str, list[dict[str, Any]]] = {}
    for rule in threshold_rules():
        by_quantity.setdefault(rule["quantity"], []).append(rule)
    plausible = {q["name"]: (q["low"], q["high"]) for q in pack("quantities.yaml")["quantities"]}
    everyday = make_scenario(EVERYDAY, catalogue.sensors, MONDAY)
    seen: set[str] = set()
    for sensor in catalogue.sensors[::9]:
        for at in range(int(MONDAY), int(MONDAY) + WEEK_S, 1800):
            for quantity, value in values(sensor, float(at), everyday).items():
                seen.add(quantity)
                low, high = plausible[quantity]
                assert low <= value <= high, (sensor.id, quantity, value)
                assert not any(crosses(rule, value) for rule in by_quantity.get(quantity, ())), (
                    sensor.id,
                    quantity,
                    value,
                )
    assert seen == set(BANDS)


def test_the_known_gauge_stays_dry_in_every_scenario(catalogue: DemoCatalogue) -> None:
    gauge = next(sensor for sensor in catalogue.sensors if sensor.id == KNOWN_GAUGE)
    for name in SCENARIOS:
        scenario = make_scenario(name, catalogue.sensors, START)
        depths = [values(gauge, START + second, scenario)["water_depth"] for second in range(0, 3600, 7)]
        assert 0 <= min(depths) <= max(depths) <= 0.02, name


def test_everyday_series_are_alive(catalogue: DemoCatalogue) -> None:
    everyday = make_scenario(EVERYDAY, catalogue.sensors, MONDAY)
    still = {"elevator_trapped_s", "rain_1h", "rain_3h"}
    for quantity in set(BANDS) - still:
        sensor = next(sensor for sensor in catalogue.sensors if quantity in sensor.quantities)
        day = {values(sensor, MONDAY + hour * 3600, everyday)[quantity] for hour in range(48)}
        assert len(day) > 5, quantity


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_scenario_drives_its_rules_and_ends_below_them(catalogue: DemoCatalogue, name: str) -> None:
    scenario = make_scenario(name, catalogue.sensors, START)
    played = _play(scenario, catalogue.sensors)
    by_id = {rule["id"]: rule for rule in threshold_rules()}
    for rule_id, severity in EXPECTED[name].items():
        rule = by_id[rule_id]
        assert set(_severities(rule, played)) == {severity}, rule_id
        for (_, quantity), found in played.items():
            if quantity == rule["quantity"]:
                assert found[0] < rule["clear"], rule_id
                assert found[-1] < rule["clear"], rule_id


def test_a_scenario_drives_no_other_rule(catalogue: DemoCatalogue) -> None:
    for name, expected in EXPECTED.items():
        played = _play(make_scenario(name, catalogue.sensors, START), catalogue.sensors)
        driven = {rule["id"] for rule in threshold_rules() if any(_severities(rule, played))}
        assert driven == set(expected), name


def test_storm_gauges_are_several_near_each_other_and_not_in_the_known_gauges_town(catalogue: DemoCatalogue) -> None:
    scenario = make_scenario("storm", catalogue.sensors, START)
    wet = [sensor for sensor in catalogue.sensors if sensor.id in scenario.lag_s and "water_depth" in sensor.quantities]
    assert len(wet) >= 4
    assert not any("/321302002/" in sensor.scope for sensor in wet)
    assert max(abs((a.lng or 0) - (b.lng or 0)) for a in wet for b in wet) < 0.05


def test_sensors_that_take_no_part_live_their_everyday(catalogue: DemoCatalogue) -> None:
    storm = make_scenario("storm", catalogue.sensors, START)
    everyday = make_scenario(EVERYDAY, catalogue.sensors, START)
    others = [sensor for sensor in catalogue.sensors if sensor.id not in storm.lag_s]
    assert all(values(s, START + 150, storm) == values(s, START + 150, everyday) for s in others)


def test_values_and_phases_depend_on_sensor_and_time_alone(catalogue: DemoCatalogue) -> None:
    everyday = make_scenario(EVERYDAY, catalogue.sensors, MONDAY)
    sensor = catalogue.sensors[700]
    assert values(sensor, START, everyday) == values(sensor, START, make_scenario(EVERYDAY, catalogue.sensors, 5.0))
    phases = [phase(sensor) for sensor in catalogue.sensors]
    assert 0 <= min(phases) < 0.01 < 0.99 < max(phases) < 1


def test_pictures_are_left_to_the_picture_check(catalogue: DemoCatalogue) -> None:
    everyday = make_scenario(EVERYDAY, catalogue.sensors, MONDAY)
    assert values(catalogue.sensors[-1], START, everyday) == {}


def test_a_crowd_puts_people_into_the_restricted_zone_of_a_catalogued_camera(catalogue: DemoCatalogue) -> None:
    rule = next(rule for rule in rules() if rule["id"] == "person-in-restricted-zone")
    scenario = make_scenario("crowd", catalogue.sensors, START)
    cameras = {camera.id: camera for camera in catalogue.cameras}
    seen = list(events(scenario, START, START + DURATION_S))
    hits = {
        event["after"]["id"]
        for county, event in seen
        if event["after"]["label"] == rule["event"]
        and set(event["after"]["current_zones"]) & set(rule["zones"])
        and event["after"]["score"] >= rule["min_score"]
        and cameras[event["after"]["camera"]].county == county
    }
    assert len(hits) == PEOPLE
    assert [event["type"] for _, event in seen].count("new") == PEOPLE
    assert [event["type"] for _, event in seen].count("end") == PEOPLE


def test_camera_events_come_once_however_the_time_is_cut(catalogue: DemoCatalogue) -> None:
    scenario = make_scenario("crowd", catalogue.sensors, START)
    whole = list(events(scenario, START, START + 300))
    cut = [event for second in range(300) for event in events(scenario, START + second, START + second + 1)]
    assert sorted(map(str, cut)) == sorted(map(str, whole))


def test_a_scenario_ends(catalogue: DemoCatalogue) -> None:
    for name in EXPECTED:
        scenario = make_scenario(name, catalogue.sensors, START)
        assert is_running(scenario, START + 1)
        assert not is_running(scenario, START + DURATION_S)
    assert not is_running(make_scenario(EVERYDAY, catalogue.sensors, START), START + 1)


def test_an_unknown_scenario_is_refused_with_the_names_that_exist(catalogue: DemoCatalogue) -> None:
    with pytest.raises(UnknownScenario, match="everyday, storm, gas-leak, crowd"):
        make_scenario("flood", catalogue.sensors, START)


def test_a_scenario_without_its_sensors_says_which_are_missing() -> None:
    with pytest.raises(NothingToPlay, match="gas_concentration"):
        make_scenario("gas-leak", (), START)
