from __future__ import annotations

from importlib.resources import files

import pytest

from command_center.demo.catalogue import SENSOR_KINDS
from command_center.demo.division import counties, rows, towns
from tests.command_center.demo.pack import DOMAINS, pack, rules, threshold_rules

CONFIDENCES = {"found", "unverified"}


def test_every_yaml_file_of_the_pack_names_itself_its_version_and_its_first_day() -> None:
    paths = [("quantities.yaml",), ("dispatch.yaml",), *(("rules", f"{domain}.yaml") for domain in DOMAINS)]
    for path in paths:
        content = pack(*path)
        assert content["pack"].startswith("suqian-"), path
        assert content["version"] >= 1
        assert content["effective_from"].isoformat() == "2026-01-01"


def test_quantities_have_their_own_numbers_and_names_and_a_plausible_range() -> None:
    quantities = pack("quantities.yaml")["quantities"]
    assert len(quantities) >= 14
    assert sorted(q["n"] for q in quantities) == list(range(1, len(quantities) + 1))
    assert len({q["name"] for q in quantities}) == len(quantities)
    for quantity in quantities:
        assert quantity["low"] < quantity["high"], quantity
        assert set(quantity["title"]) == {"zh-CN", "en"}
        assert quantity["interval_s"] > 0


def test_rule_ids_are_unique_and_stand_in_the_file_of_their_domain() -> None:
    found = rules()
    assert len({rule["id"] for rule in found}) == len(found)
    for domain in DOMAINS:
        assert {rule["domain"] for rule in pack("rules", f"{domain}.yaml")["rules"]} == {domain}


def test_every_rule_says_where_its_numbers_come_from_and_how_sure_that_is() -> None:
    for rule in rules():
        assert rule["source"]["text"], rule["id"]
        assert rule["source"]["confidence"] in CONFIDENCES, rule["id"]
        assert set(rule["title"]) == {"zh-CN", "en"}


def test_threshold_rules_name_known_quantities_and_rise_in_severity() -> None:
    names = {q["name"] for q in pack("quantities.yaml")["quantities"]}
    for rule in threshold_rules():
        assert rule["quantity"] in names, rule["id"]
        severities = [level["severity"] for level in rule["levels"]]
        assert severities == sorted(set(severities)), rule["id"]
        assert set(severities) <= {1, 2, 3, 4}
        bounds = [level["at"] for level in rule["levels"]]
        above = rule.get("direction", "above") == "above"
        assert bounds == sorted(set(bounds), reverse=not above), rule["id"]
        assert rule["clear"] < bounds[0] if above else rule["clear"] > bounds[0], rule["id"]


def test_waterlogging_files_a_case_at_fifteen_centimetres_and_closes_the_road_at_twenty_five() -> None:
    rule = next(rule for rule in rules() if rule["id"] == "road-waterlogging")
    assert [(level["at"], level["action"]["zh-CN"]) for level in rule["levels"]] == [
        (0.15, "立案处置"),
        (0.25, "需封路"),
    ]


def test_public_order_rules_carry_no_statutory_colour() -> None:
    text = files("config").joinpath("suqian", "rules", "public_order.yaml").read_text(encoding="utf-8")
    assert not [word for word in ("红色", "橙色", "黄色", "蓝色", "预警") if word in text]


def test_numbers_that_no_document_states_are_marked_unverified() -> None:
    unsure = {rule["id"] for rule in rules() if rule["source"]["confidence"] == "unverified"}
    assert {"crowd-density", "bridge-strain", "parking-full", "river-level-high", "manhole-cover"} <= unsure


def test_dispatch_names_a_tier_for_every_severity_and_two_continuous_hours_for_waterlogging() -> None:
    dispatch = pack("dispatch.yaml")
    assert set(dispatch["handling"]["by_severity"]) == {1, 2, 3, 4}
    waterlogging = dispatch["handling"]["by_category"]["waterlogging"]
    assert (waterlogging["hours"], waterlogging["clock"]) == (2, "continuous")
    categories = {rule["category"] for rule in rules()}
    for category, limit in dispatch["handling"]["by_category"].items():
        assert category in categories
        assert limit["source"]["confidence"] in CONFIDENCES


def test_divisions_are_nine_county_level_centres_and_109_towns_under_todays_parents() -> None:
    centres, divisions = counties(), towns()
    assert len(centres) == 9
    assert [c.code for c in centres if c.inferred] == ["321391", "321392", "321393"]
    assert len(divisions) == 109
    assert {d.parent for d in divisions} == {c.code for c in centres}
    moved = {d.code: d.parent for d in divisions if d.inferred}
    assert moved["321311004"] == moved["321311005"] == moved["321311151"] == "321392"
    assert moved["321302150"] == "321393"
    assert moved["321302450"] == "321391"


@pytest.mark.parametrize("name", ["speed_6005", "occupancy_6005", "nyc_taxi"])
def test_a_recorded_series_is_one_week_of_half_hours(name: str) -> None:
    series = list(rows("suqian", "series", f"{name}.csv"))
    assert len(series) == 7 * 48
    assert all(float(row["value"]) >= 0 for row in series)


def test_sensor_kinds_measure_known_quantities_of_all_four_domains() -> None:
    names = {q["name"] for q in pack("quantities.yaml")["quantities"]}
    measured = {quantity for kind in SENSOR_KINDS for quantity in kind.quantities}
    assert measured <= names
    assert len(measured) >= 12
    assert {kind.domain for kind in SENSOR_KINDS} == set(DOMAINS)
