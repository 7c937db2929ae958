"""Which desk, organisation and skill a matter is for."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from command_center.city import routing_table
from command_center.ticket.routing import BadRoutingTable, Matter, RoutingTable, read, route, trace
from gis.region import TIERS, RegionTree
from tests.command_center.ticket.opened import CELL, COUNTY, TOWN, TREE, VILLAGE
from tests.small_city import CITY, cell_code

DAY = date(2026, 11, 24)
SOURCE = {"text": "a test", "confidence": "unverified"}
SHIPPED = routing_table("suqian")
GAS = {"code": "gas", "name": "燃气企业", "name_en": "gas company", "tiers": ["county", "township"]}
FLOOD = Matter("emergency", "waterlogging", None, 2, CELL)


def rule(name: str, to: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A rule as YAML has it; it fits everything unless ``when`` narrows it."""
    words = {"text": f"规则 {name}", "text_en": f"rule {name}", "source": dict(SOURCE)}
    return {"id": name, "when": {}, "to": to or {}, "effective_from": date(2026, 1, 1)} | words | more


def text(*rules: dict[str, Any], **changes: Any) -> str:
    """A whole table as YAML."""
    pack = {"pack": "test", "version": 1, "tier_by_severity": dict(zip((1, 2, 3, 4), TIERS[3::-1], strict=True))}
    return yaml.safe_dump(pack | {"organisations": [dict(GAS)], "rules": list(rules)} | changes, allow_unicode=True)


def table(*rules: dict[str, Any]) -> RoutingTable:
    return read(text(*rules))


def test_the_first_rule_that_fits_wins() -> None:
    own = table(
        rule("other", when={"category": ["dust"]}),
        rule("first", {"tier": "county"}, when={"domain": ["emergency"], "category": ["dust", "waterlogging"]}),
        rule("second", {"tier": "city"}),
    )
    found = route(own, FLOOD, TREE, DAY)
    assert (found.rule, found.tier, found.region) == ("first", "county", COUNTY)
    assert (found.text, found.text_en) == ("规则 first", "rule first")


def test_without_a_rule_the_township_has_it_and_the_text_says_so() -> None:
    found = route(table(), FLOOD, TREE, DAY)
    assert (found.rule, found.tier, found.region, found.org) == (None, "township", TOWN, None)
    assert "没有规则" in found.text
    assert "no rule" in found.text_en


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({"domain": ["traffic"]}, False),
        ({"small_class": ["E0506"]}, False),
        ({"severity": [2, 3]}, True),
        ({"severity": [3, 4]}, False),
        ({"region": [COUNTY]}, True),
        ({"region": [CELL]}, True),
        ({"region": [cell_code(1)]}, False),
    ],
)
def test_everything_that_a_rule_states_must_fit(when: dict[str, Any], fits: bool) -> None:
    assert route(table(rule("own", when=when)), FLOOD, TREE, DAY).rule == ("own" if fits else None)


def test_a_small_class_that_is_stated_is_matched() -> None:
    own = table(rule("own", when={"small_class": ["E0506"]}))
    assert route(own, replace(FLOOD, small_class="E0506"), TREE, DAY).rule == "own"


@pytest.mark.parametrize(("day", "fits"), [(9, False), (10, True), (20, True), (21, False)])
def test_a_rule_holds_from_its_first_to_its_last_day(day: int, fits: bool) -> None:
    own = table(rule("own", effective_from=date(2026, 11, 10), effective_to=date(2026, 11, 20)))
    assert route(own, FLOOD, TREE, date(2026, 11, day)).rule == ("own" if fits else None)


@pytest.mark.parametrize(("severity", "org"), [(4, None), (3, "gas"), (2, "gas"), (1, None)])
def test_an_organisation_has_a_matter_only_where_it_has_a_desk(severity: int, org: str | None) -> None:
    own = table(rule("own", {"org": "gas", "skill": "gas"}))
    found = route(own, replace(FLOOD, severity=severity), TREE, DAY)
    assert (found.org, found.skill) == (org, "gas")
    assert ("没有席位" in found.text) == (org is None)


def test_nothing_is_sent_to_a_cell_that_has_ended() -> None:
    tree = RegionTree.of((r for r in TREE.regions.values() if r.code != CELL), [TREE[CELL]])
    own = table(rule("own", {"tier": "grid"}))
    assert route(own, FLOOD, TREE, DAY).region == CELL
    assert route(own, FLOOD, tree, DAY).region == VILLAGE


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (text(rule("twin"), rule("twin")), "rule twin: stands there twice"),
        (text(rule("lost", {"org": "nobody"})), "rule lost: there is no organisation nobody"),
        (text(rule("high", {"org": "gas", "tier": "city"})), "rule high: gas has no desk at the tier city"),
        (
            text(rule("late", effective_to=date(2025, 1, 1))),
            "rule late: effective_to 2025-01-01 lies before 2026-01-01",
        ),
        (text(rule("odd", when={"colour": ["red"]})), "rule odd: Object contains unknown field `colour`"),
        (text(rule("low", when={"severity": [3, 1]})), "rule low: severity [3, 1] is empty"),
        (text(rule("void", when={"category": []})), "rule void: Expected `array` of length >= 1"),
        (text(tier_by_severity={1: "village"}), "severity 2 needs a tier"),
        (text(organisations=[GAS, GAS | {"tiers": ["city"]}]), "organisation gas: stands there twice"),
        ("rules: [", "not YAML"),
        ("pack: a\npack: b\n", "line 2: pack stands there already"),
    ],
)
def test_a_bad_table_is_refused_in_one_line_that_names_the_rule(bad: str, said: str) -> None:
    with pytest.raises(BadRoutingTable) as refused:
        read(bad)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


matters = st.builds(
    Matter,
    st.sampled_from(["emergency", "public_order", "urban_management", "traffic"]),
    st.sampled_from(["gas_leak", "waterlogging", "crowd", "dust", "parking", "sensor_fault", "what nobody knows"]),
    st.sampled_from([None, "E0506", "E0502", "X9999"]),
    st.integers(1, 4),
    st.sampled_from([cell_code(0), cell_code(1, 2, 2, 4), cell_code(2)]),
)


@given(matters)
def test_the_shipped_table_sends_every_matter_to_the_tier_of_its_severity(matter: Matter) -> None:
    found = route(SHIPPED, matter, TREE, DAY)
    tier = {1: "village", 2: "township", 3: "county", 4: "city"}[matter.severity]
    assert found.rule is not None
    assert (found.tier, found.region) == (tier, TREE.path(matter.cell)[TIERS.index(tier)].code)


@given(matters, st.permutations(SHIPPED.rules), st.dates(date(2025, 12, 30), date(2026, 1, 3)))
def test_the_trace_tells_what_the_route_does_whatever_the_order(matter: Matter, rules: list[Any], day: date) -> None:
    own = replace(SHIPPED, rules=tuple(rules))
    told = trace(own, matter, TREE, day)
    assert [trial.rule for trial in told] == [rule.id for rule in rules]
    assert [trial.rule for trial in told if trial.state == "chosen"] == [
        name for name in [route(own, matter, TREE, day).rule] if name is not None
    ]
    fits = [trial.state for trial in told if trial.state != "unfit"]
    assert fits == ["chosen"] * bool(fits) + ["later"] * (len(fits) - 1)
    assert all(bool(trial.unfit) == (trial.state == "unfit") for trial in told)


def test_a_gas_leak_of_the_demo_city_is_the_gas_company_s() -> None:
    found = route(SHIPPED, Matter("emergency", "gas_leak", None, 4, CELL), TREE, DAY)
    assert (found.rule, found.region, found.org, found.skill) == ("gas-leak", CITY, "gas_company", "gas")
