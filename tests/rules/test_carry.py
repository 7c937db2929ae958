"""A city read anew goes on where it stood: evaluation cannot tell that it was."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sensor import Catalogue
from rules.carry import carried
from rules.rule import SensorRule
from tests.ingest.wire import sensor
from tests.rules.located import BURST, CITY, DRY, FLOOD, RULES, WATER, Row, Station, rule, water
from tests.rules.test_freeze import EVERY_KIND, SLOTS, days

# A sensor in front moves every slot and stream; it stands in a cell of its own, so nobody's neighbours change.
GROWN = Catalogue.of([sensor(9, "gauge-0", cell="elsewhere"), *CITY.sensors.values()], CITY.quantities.values())
RENUMBERED = Catalogue.of(
    [
        sensor(7, "gauge-1", quantities=("water_depth", "noise")),
        sensor(5, "gauge-2", quantities=("water_depth",)),
        *(s for s in CITY.sensors.values() if s.n > 2),
    ],
    CITY.quantities.values(),
)
SHRUNK = Catalogue.of([s for s in CITY.sensors.values() if s.id != "gauge-1"], CITY.quantities.values())


def flooded(rules: tuple[SensorRule, ...] = RULES) -> Station:
    """Gauge 1 stands on the second rung."""
    return Station(rules).take([Row(1, WATER, 2.5, 10)])


def moved(station: Station, rules: tuple[SensorRule, ...], city: Catalogue) -> Station:
    """The station over another city or other rules."""
    after = Station(rules, city)
    after.memory = carried(station.memory, station.slots, after.slots)
    return after


def test_an_open_alert_goes_on_when_sensors_and_rules_have_other_numbers() -> None:
    after = moved(flooded(), (FLOOD, DRY, BURST), GROWN)
    assert after.take([Row(1, WATER, 2.5, 20)]).changes == []
    [grew] = after.take([Row(1, WATER, 3.5, 20)]).changes
    assert (str(grew.change), grew.alert.source.id, grew.alert.version) == ("grew", "gauge-1", 2)


def test_what_is_older_than_the_last_reading_stays_without_effect() -> None:
    assert moved(flooded(), RULES, GROWN).take([Row(1, WATER, 3.5, 5)]).changes == []


def test_sensors_that_are_gone_are_forgotten_and_new_ones_begin_quiet() -> None:
    memory = moved(flooded(), RULES, SHRUNK).memory
    assert memory.firing == {}
    assert not memory.rung.any()


def test_a_changed_rule_s_open_alert_stays_open_and_ends_by_the_new_rule() -> None:
    changed = rule("flood", "water_depth", [(1, 1.5), (2, 2.0), (4, 3.0)], 1.2)
    after = moved(flooded((FLOOD,)), (changed,), CITY)
    assert after.take([Row(1, WATER, 1.3, 20)]).changes == []
    assert after.take([Row(1, WATER, 1.1, 30)]).said == [("ended", 2, 30 / 1_000_000)]


def test_a_duration_goes_on_through_a_reload() -> None:
    slow = rule("slow", "water_depth", [(1, 1.0)], 0.5, for_s=3, gap="hold")
    station = Station([slow]).take(water([1.0, 1.0]))
    other = msgspec.structs.replace(FLOOD, id="a-new-one")
    after = moved(station, (other, slow), GROWN).take(water([1.0, 1.0], start_s=2))
    assert [(c.alert.rule, c.alert.raised_at_us) for c in after.changes] == [
        ("a-new-one", 2_000_000),
        ("slow", 3_000_000),
    ]


@settings(max_examples=60, deadline=None)
@given(days(), st.integers(0, 40))
def test_a_reload_in_the_middle_changes_nothing(rows: list[Row], cut: int) -> None:
    through = Station(EVERY_KIND, slots=SLOTS).take(rows)
    before = Station(EVERY_KIND, slots=SLOTS).take(rows[:cut])
    after = moved(before, EVERY_KIND, GROWN).take(rows[cut:])
    assert [*before.changes, *after.changes] == through.changes


@settings(max_examples=30, deadline=None)
@given(days(), st.integers(0, 40))
def test_nor_do_other_numbers_of_the_same_sensors(rows: list[Row], cut: int) -> None:
    through = Station(EVERY_KIND, slots=SLOTS).take(rows)
    before = Station(EVERY_KIND, slots=SLOTS).take(rows[:cut])
    number = {1: 7, 2: 5}
    after = moved(before, EVERY_KIND, RENUMBERED).take([row._replace(sensor=number[row.sensor]) for row in rows[cut:]])
    assert [*before.changes, *after.changes] == through.changes
