from __future__ import annotations

from collections import Counter

import shapely

from command_center.demo.catalogue import KNOWN_GAUGE, PICTURE_QUANTITIES, DemoCatalogue, demo_accounts, make_catalogue
from command_center.demo.city import DemoCity
from gis.region import covers
from ingest.sensor import SENSOR_ID, Sensor
from tests.command_center.demo.pack import rules
from video.camera import Camera


def test_there_are_about_2000_sensors_numbered_from_one_and_300_cameras(catalogue: DemoCatalogue) -> None:
    assert 1900 <= len(catalogue.sensors) <= 2100
    assert [sensor.n for sensor in catalogue.sensors] == list(range(1, len(catalogue.sensors) + 1))
    assert len(catalogue.cameras) == 300


def test_ids_are_unique_and_fit_a_topic(catalogue: DemoCatalogue) -> None:
    ids = [sensor.id for sensor in catalogue.sensors]
    assert len(set(ids)) == len(ids)
    assert all(SENSOR_ID.fullmatch(one) for one in ids)
    assert len({sensor.name for sensor in catalogue.sensors}) == len(ids)


def test_every_sensor_and_camera_that_stands_still_is_strictly_inside_its_cell(
    city: DemoCity, catalogue: DemoCatalogue
) -> None:
    cells = {place.region.code: place for place in city.cells}
    things: list[Sensor | Camera] = [*(s for s in catalogue.sensors if "hazmat_speed" not in s.quantities)]
    things += catalogue.cameras
    for thing in things:
        place = cells[thing.cell]
        assert thing.lng is not None
        assert thing.lat is not None
        assert shapely.contains_properly(place.geometry, shapely.Point(thing.lng, thing.lat)), thing.id
        assert thing.scope == place.region.scope
        assert thing.region == place.region.parent
        assert thing.county == thing.scope.split("/")[1]


def test_sensors_in_a_zone_carry_the_zones_code_as_their_county(catalogue: DemoCatalogue) -> None:
    counts = Counter(sensor.county for sensor in catalogue.sensors)
    assert len(counts) == 9
    in_zone = [sensor for sensor in catalogue.sensors if "/321311004/" in sensor.scope]
    assert in_zone
    assert {sensor.county for sensor in in_zone} == {"321392"}


def test_sensors_measure_at_least_twelve_quantities_in_four_domains(catalogue: DemoCatalogue) -> None:
    assert len({quantity for sensor in catalogue.sensors for quantity in sensor.quantities}) >= 12
    assert len({sensor.domain for sensor in catalogue.sensors}) == 4


def test_the_known_gauge_measures_water_in_xiangli(catalogue: DemoCatalogue) -> None:
    gauge = next(sensor for sensor in catalogue.sensors if sensor.id == KNOWN_GAUGE)
    assert gauge.quantities == ("water_depth",)
    assert gauge.scope.startswith("321300/321302/321302002/")
    assert gauge.name.startswith("项里街道 积水监测")


def test_vehicles_have_a_home_but_no_place(city: DemoCity, catalogue: DemoCatalogue) -> None:
    homes = {place.region.code: place.region.scope for place in city.cells}
    vehicles = [sensor for sensor in catalogue.sensors if sensor.lng is None]
    assert [vehicle.id for vehicle in vehicles] == [f"demo-hazmat-00{n}" for n in range(1, 7)]
    assert all(vehicle.scope == homes[vehicle.cell] and vehicle.lat is None for vehicle in vehicles)


def test_what_rules_compare_stands_in_one_cell(catalogue: DemoCatalogue) -> None:
    sensors = {sensor.id: sensor for sensor in catalogue.sensors}
    pairs = [pair for rule in rules() for pair in rule.get("pairs", ())]
    assert len(pairs) >= 5
    for pair in pairs:
        assert sensors[pair["a"]].cell == sensors[pair["b"]].cell
        assert sensors[pair["a"]].quantities == sensors[pair["b"]].quantities


def test_later_kinds_leave_the_earlier_ones_their_numbers(catalogue: DemoCatalogue) -> None:
    numbers = {sensor.id: sensor.n for sensor in catalogue.sensors}
    assert (numbers[KNOWN_GAUGE], numbers["demo-rain-001"], numbers["demo-parking-100"]) == (1, 261, 2000)
    assert [sensor.quantities for sensor in catalogue.sensors[2000:2003]] == [PICTURE_QUANTITIES] * 3
    assert numbers["demo-main-001"] == 2004


def test_a_camera_has_a_twenty_digit_code_of_the_national_layout(catalogue: DemoCatalogue) -> None:
    ids = [camera.id for camera in catalogue.cameras]
    assert len(set(ids)) == len(ids)
    for one in ids:
        assert len(one) == 20
        assert one.isdigit()
        assert (one[:4], one[10:13], one[13]) == ("3213", "132", "6")


def test_three_cameras_are_also_catalogued_as_sensors_of_picture_quality(catalogue: DemoCatalogue) -> None:
    cameras = {camera.id: camera for camera in catalogue.cameras}
    checked = [sensor for sensor in catalogue.sensors if sensor.quantities == PICTURE_QUANTITIES]
    assert len(checked) == 3
    for sensor in checked:
        assert (sensor.lng, sensor.lat, sensor.cell) == (
            cameras[sensor.id].lng,
            cameras[sensor.id].lat,
            cameras[sensor.id].cell,
        )


def test_accounts_make_one_chain_in_every_county_down_to_a_grid(city: DemoCity, catalogue: DemoCatalogue) -> None:
    accounts = demo_accounts(city)
    assert accounts == catalogue.accounts
    assert Counter(account.tier for account in accounts) == {
        "city": 2,
        "county": 9,
        "township": 9,
        "village": 9,
        "grid": 9,
    }
    assert len({account.username for account in accounts}) == len(accounts)
    scopes = {place.region.code: place.region.scope for place in city.places}
    for county in (account for account in accounts if account.tier == "county"):
        below = [account for account in accounts if covers(scopes[county.region], scopes[account.region])]
        assert sorted(account.tier for account in below) == ["county", "grid", "township", "village"]


def test_a_grid_account_holds_the_known_gauges_cell(city: DemoCity, catalogue: DemoCatalogue) -> None:
    gauge = next(sensor for sensor in catalogue.sensors if sensor.id == KNOWN_GAUGE)
    assert gauge.cell in {account.region for account in demo_accounts(city) if account.tier == "grid"}
    assert "county-321302" in {account.username for account in demo_accounts(city)}


def test_the_same_seed_makes_the_same_catalogue_and_another_seed_another(
    city: DemoCity, catalogue: DemoCatalogue
) -> None:
    assert make_catalogue(city) == catalogue
    assert make_catalogue(city, seed=7).sensors != catalogue.sensors
