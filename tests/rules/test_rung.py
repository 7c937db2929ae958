"""Which levels of threshold rules count for a sensor now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from shapely import box

from ingest.sensor import Sensor
from rules.rule import Evidence, Level, Site, ThresholdRule, When, Where, Words
from rules.rung import rungs
from rules.situation import Situation

WORDS = Words("积水", "water")
FOUND = Evidence("测试", "unverified")
PEACE = Situation(ZoneInfo("Asia/Shanghai"))
WAR = replace(PEACE, wartime={"C/A/": frozenset({"emergency"})})
NOON_US = 1_795_492_800_000_000  # 12:00 by the city's clock
AREAS = {"basin": box(118, 33, 119, 34)}


def level(severity: int, at: float) -> Level:
    return Level(severity, at, WORDS)


def rule(name: str = "r", **more: Any) -> ThresholdRule:
    facts: dict[str, Any] = {
        "id": name, "domain": "emergency", "category": "waterlogging", "title": WORDS, "source": FOUND, "clear": 0.1,
        "quantity": "water_depth", "levels": (level(2, 0.15), level(4, 0.25)),
    }  # fmt: skip
    return ThresholdRule(**facts | more)


def sensor(**more: Any) -> Sensor:
    facts: dict[str, Any] = {
        "n": 1, "id": "s1", "name": "积水监测 1", "county": "A", "region": "V", "cell": "G", "scope": "C/A/T/V/G/",
        "domain": "emergency", "quantities": ("water_depth",), "lng": 118.5, "lat": 33.5, "interval_s": 60.0,
    }  # fmt: skip
    return Sensor(**facts | more)


def met(*rules: ThresholdRule, own: Sensor | None = None, situation: Situation = PEACE) -> list[tuple[str, int, float]]:
    found = rungs(rules, own or sensor(), "water_depth", NOON_US, situation, AREAS)
    return [(rung.rule, rung.level.severity, rung.level.at) for rung in found]


def test_levels_of_all_rules_of_the_quantity_come_least_severe_first() -> None:
    other = rule("other", quantity="rain")
    assert met(rule("b"), other, rule("a", levels=(level(3, 0.2),))) == [("b", 2, 0.15), ("a", 3, 0.2), ("b", 4, 0.25)]


def test_a_sites_own_numbers_take_the_place_of_the_rules() -> None:
    own = rule(sites=(Site("s1", (level(3, 1.0),), 0.9, FOUND),))
    assert met(own) == [("r", 3, 1.0)]
    assert len(met(own, own=sensor(id="s2"))) == 2


@pytest.mark.parametrize(
    ("when", "situation", "counts"),
    [
        (When(mode="wartime"), PEACE, False),
        (When(mode="wartime"), WAR, True),
        (When(mode="peacetime"), WAR, False),
        (When(hours=("08:00-18:00",)), PEACE, True),
        (When(hours=("22:00-06:00",)), PEACE, False),
    ],
)
def test_what_does_not_count_now_has_no_level(when: When, situation: Situation, counts: bool) -> None:
    assert bool(met(rule(when=when), situation=situation)) is counts


@pytest.mark.parametrize(
    ("where", "own", "counts"),
    [
        (Where(sensors=("s2",)), sensor(), False),
        (Where(regions=("A",)), sensor(), True),
        (Where(inside="basin"), sensor(), True),
        (Where(outside="basin"), sensor(), False),
        (Where(), sensor(lng=None, lat=None), True),
        (Where(inside="basin"), sensor(lng=None, lat=None), False),
    ],
)
def test_a_rule_that_is_for_others_or_for_places_not_known_ahead_has_no_level(
    where: Where, own: Sensor, counts: bool
) -> None:
    assert bool(met(rule(where=where), own=own)) is counts
