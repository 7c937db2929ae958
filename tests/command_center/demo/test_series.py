from __future__ import annotations

from typing import Any

import pytest
import shapely

from command_center.demo.catalogue import KNOWN_GAUGE, PICTURE_QUANTITIES, DemoCatalogue
from command_center.demo.city import DemoCity
from command_center.demo.frigate import PEOPLE, events
from command_center.demo.route import FORBIDDEN, position
from command_center.demo.scenario import (
    BEFORE_BURST,
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
from tests.command_center.demo.played import grades, played

MONDAY = 1_780_243_200.0  # 2026-06-01 00:00 in Suqian
WEEK_S = 7 * 86_400
START = MONDAY + 36_000

EXPECTED = {
    "storm": {"road-waterlogging": 4, "heavy-rain-3h": 3},
    "gas-leak": {"gas-leak": 4},
    "crowd": {"crowd-density": 3, "visitor-load": 2},
    "hazmat": {"hazmat-speed-elsewhere": 2},
}
# What a scenario raises through the engine, each rule with its gravest severity.
RAISED = {
    "storm": {
        "road-waterlogging": 4,
        "heavy-rain-3h": 3,
        "rain-sum-1h": 2,
        "rain-sum-3h": 3,
        "rain-sum-6h": 2,
        "rain-sum-12h": 1,
        "river-rise": 3,
        "rain-and-waterlogging": 3,
        "area-flooding": 4,
    },
    "gas-leak": {"gas-leak": 4, "gas-and-people": 4},
    "crowd": {"crowd-density": 3, "crowd-growing": 2, "visitor-load": 2},
    "pipe-burst": {"pressure-drop": 3, "pressure-pair": 3, "water-pressure-low": 2},
    "hazmat": {"hazmat-forbidden-area": 3, "hazmat-speed-elsewhere": 2},
}
RAISED["great-storm"] = RAISED["storm"]


def _play(scenario: Scenario, sensors: tuple[Sensor, ...]) -> dict[tuple[str, str], list[float]]:
    """Every value of the sensors that take part, each five seconds until a minute after the end."""
    found: dict[tuple[str, str], list[float]] = {}
    for sensor in sensors:
        if sensor.id in scenario.lag_s:
            for second in range(0, int(DURATION_S) + 60, 5):
                for quantity, value in values(sensor, scenario.started_at + second, scenario).items():
                    found.setdefault((sensor.id, quantity), []).append(value)
    return found


def _severities(rule: dict[str, Any], told: dict[tuple[str, str], list[float]]) -> list[int]:
    return [
        max(crosses(rule, v) for v in found) for (_, quantity), found in told.items() if quantity == rule["quantity"]
    ]


def _everywhere() -> list[dict[str, Any]]:
    """Threshold rules that are for every sensor of their quantity."""
    return [rule for rule in threshold_rules() if "where" not in rule]


def test_everyday_bands_keep_clear_of_every_rule() -> None:
    for rule in _everywhere():
        band = BANDS.get(rule["quantity"])
        if band is not None:
            above = rule.get("direction", "above") == "above"
            assert band.high < rule["clear"] if above else band.low > rule["clear"], rule["id"]


def test_a_simulated_everyday_week_crosses_no_rule_and_stays_plausible(catalogue: DemoCatalogue) -> None:
    by_quantity: dict[str, list[dict[str, Any]]] = {}
    for rule in _everywhere():
        by_quantity.setdefault(rule["quantity"], []).append(rule)
    plausible = {q["name"]: (q["low"], q["high"]) for q in pack("quantities.yaml")["quantities"]}
    everyday = make_scenario(EVERYDAY, catalogue.sensors, MONDAY)
    seen: set[str] = set()
    for sensor in (*catalogue.sensors[:2003:9], *catalogue.sensors[2003::2]):
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
    still = {"elevator_trapped_s", "ride_stuck_s", "rain", "rain_1h", "rain_3h"}
    for quantity in set(BANDS) - still:
        sensor = next(sensor for sensor in catalogue.sensors if quantity in sensor.quantities)
        day = {values(sensor, MONDAY + hour * 3600, everyday)[quantity] for hour in range(48)}
        assert len(day) >= (3 if quantity == "oxygen" else 6), quantity


def test_an_everyday_day_raises_no_alert_of_any_rule(catalogue: DemoCatalogue) -> None:
    everyday = make_scenario(EVERYDAY, catalogue.sensors, MONDAY)
    sensors = [*catalogue.sensors[:2003:60], *catalogue.sensors[2003:]]
    day = {
        s.id: [MONDAY + at for at in range(int(phase(s) * s.interval_s), 86_400, int(s.interval_s))] for s in sensors
    }
    assert played(sensors, day, everyday) == []


@pytest.mark.parametrize("name", sorted(RAISED))
def test_a_scenario_raises_its_rules_and_no_others(catalogue: DemoCatalogue, name: str) -> None:
    scenario = make_scenario(name, catalogue.sensors, START)
    sensors = [s for s in catalogue.sensors if s.id in scenario.lag_s or s.id == BEFORE_BURST]
    turns = {
        s.id: [START + at for at in range(0, int(DURATION_S), 5 if s.id in scenario.lag_s else 60)] for s in sensors
    }
    alerts = played(sensors, turns, scenario)
    assert grades(alerts) == RAISED[name]
    assert (len(alerts) >= 300) is (name == "great-storm")


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_scenario_drives_its_rules_and_ends_below_them(catalogue: DemoCatalogue, name: str) -> None:
    scenario = make_scenario(name, catalogue.sensors, START)
    told = _play(scenario, catalogue.sensors)
    by_id = {rule["id"]: rule for rule in threshold_rules()}
    for rule_id, severity in EXPECTED[name].items():
        rule = by_id[rule_id]
        assert set(_severities(rule, told)) == {severity}, rule_id
        for (_, quantity), found in told.items():
            if quantity == rule["quantity"]:
                assert found[0] < rule["clear"], rule_id
                assert found[-1] < rule["clear"], rule_id


def test_vehicles_keep_to_their_loop_unless_a_scenario_leads_them_away(catalogue: DemoCatalogue) -> None:
    astray = make_scenario("hazmat", catalogue.sensors, START)
    everyday = make_scenario(EVERYDAY, catalogue.sensors, START)
    vehicles = [sensor for sensor in catalogue.sensors if sensor.lng is None]
    for vehicle in vehicles:
        usual = [position(vehicle, START + at, everyday) for at in range(0, 5400, 30)]
        assert len(set(usual)) > 100
        west, east = min(p[0] for p in usual if p), max(p[0] for p in usual if p)
        assert 118.2 < west < east < 118.43
        led = position(vehicle, START + 150, astray)
        assert (led == FORBIDDEN) is (vehicle.id in astray.lag_s)
    assert position(catalogue.sensors[0], START, astray) is None


def test_storm_gauges_are_several_near_each_other_and_not_in_the_known_gauges_town(catalogue: DemoCatalogue) -> None:
    scenario = make_scenario("storm", catalogue.sensors, START)
    wet = [sensor for sensor in catalogue.sensors if sensor.id in scenario.lag_s and "water_depth" in sensor.quantities]
    assert len(wet) >= 4
    assert not any("/321302002/" in sensor.scope for sensor in wet)
    assert max(abs((a.lng or 0) - (b.lng or 0)) for a in wet for b in wet) < 0.05


def test_vehicles_never_leave_the_city(city: DemoCity, catalogue: DemoCatalogue) -> None:
    astray = make_scenario("hazmat", catalogue.sensors, START)
    [first] = astray.lag_s
    vehicle = next(sensor for sensor in catalogue.sensors if sensor.id == first)
    cells = shapely.STRtree([place.geometry for place in city.cells])
    for at in range(-2700, 2700, 10):
        where = position(vehicle, START + at, astray)
        assert where is not None
        assert len(cells.query(shapely.Point(where), predicate="intersects")), where


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
    pictures = next(sensor for sensor in catalogue.sensors if sensor.quantities == PICTURE_QUANTITIES)
    assert values(pictures, START, everyday) == {}


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
    with pytest.raises(UnknownScenario, match="everyday, storm, gas-leak, crowd, pipe-burst, hazmat"):
        make_scenario("flood", catalogue.sensors, START)


def test_a_scenario_without_its_sensors_says_which_are_missing() -> None:
    with pytest.raises(NothingToPlay, match="gas_concentration"):
        make_scenario("gas-leak", (), START)
