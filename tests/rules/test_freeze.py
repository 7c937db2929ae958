"""What was frozen goes on as if nothing had happened."""

from __future__ import annotations

import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.reading import NO_TIME
from ingest.sensor import Catalogue
from rules.freeze import freeze, thaw
from rules.rule import CombinationRule, DeviationRule, DifferenceRule, Pair, RateRule, WindowRule
from rules.where import Where
from tests.ingest.wire import sensor
from tests.rules.located import (
    CITY,
    FOUND,
    NOISE,
    RULES,
    SECOND,
    WATER,
    WORDS,
    Row,
    Station,
    fields_of,
    rule,
    water,
)

LONG = rule("long", "water_depth", [(1, 1.0), (3, 2.0, 5)], 0.5, for_s=3, clear_for_s=2, gap="fire", gap_after_s=9)
EVERY_KIND = (
    *RULES,
    LONG,
    rule("ordered", "water_depth", [(2, 1.0)], 0.5, for_s=2, gap="reset", gap_after_s=9, disorder_s=4),
    WindowRule(**fields_of("mean", "water_depth", [(1, 1.0)], 0.75), statistic="mean", over_s=6, gap="hold"),
    RateRule(**fields_of("rate", "water_depth", [(1, 900.0)], 0.75), over_s=6, gap="hold"),
    DeviationRule(
        **fields_of("rare", "noise", [(1, 1.5)], 1.0),
        least_days=1,
        least_spread=0.5,
        gap="fire",
        gap_after_s=9,
    ),
    DifferenceRule(
        **fields_of("drop", "water_depth", [(1, 1.0)], 0.5),
        pairs=(Pair("gauge-1", "gauge-2"), Pair("gauge-2", "gauge-1")),
        gap="hold",
    ),
    CombinationRule(
        id="both",
        domain="emergency",
        category="waterlogging",
        title=WORDS,
        source=FOUND,
        quantity="water_depth",
        condition={"any": [{"quantity": "noise", "above": 2.0}, {"not": {"quantity": "water_depth", "above": 0.5}}]},
        severity=2,
        action=WORDS,
        for_s=2,
        gap="reset",
        gap_after_s=20,
    ),
)
SLOTS = Station(EVERY_KIND).slots


@st.composite
def days(draw: st.DrawFn) -> list[Row]:
    """Readings of both gauges with silences."""
    at_s, rows = 10**9, []
    for _ in range(draw(st.integers(0, 40))):
        at_s += draw(st.sampled_from([0, 1, 1, 1, 2, 3, 5, 12, -2]))
        sensor_n, quantity = draw(st.sampled_from([(1, WATER), (1, WATER), (2, WATER), (1, NOISE)]))
        value = draw(st.sampled_from([0.0, 0.4, 0.6, 1.0, 2.5]))
        flags = draw(st.sampled_from([0, 0, NO_TIME]))
        rows.append(Row(sensor_n, quantity, value, at_s * SECOND, at_s * SECOND, at_s, flags))
    return rows


@settings(max_examples=100, deadline=None)
@given(days(), st.integers(0, 40), st.booleans())
def test_a_restart_in_the_middle_changes_nothing(rows: list[Row], cut: int, ticks: bool) -> None:
    through, restarted = (Station(EVERY_KIND, slots=SLOTS) for _ in range(2))
    through.take(rows[:cut])
    restarted.take(rows[:cut])
    if ticks and rows[:cut]:
        through.tick(rows[:cut][-1].at_us / SECOND + 10)
        restarted.tick(rows[:cut][-1].at_us / SECOND + 10)
    restarted.memory = thaw(freeze(restarted.memory, SLOTS), SLOTS)
    for station in (through, restarted):
        station.take(rows[cut:]).tick((rows[-1].at_us if rows else 0) / SECOND + 100)
    assert restarted.changes == through.changes
    assert freeze(restarted.memory, SLOTS) == freeze(through.memory, SLOTS)


def test_a_rule_that_computes_something_else_begins_anew_and_the_others_go_on() -> None:
    station = Station([LONG, RULES[2]]).take(water([1.0, 1.0]))
    changed = msgspec.structs.replace(LONG, for_s=4.0)
    other = Station([RULES[2], changed])
    other.memory = thaw(freeze(station.memory, station.slots), other.slots)
    assert [alert.rule for alert in other.memory.firing.values()] == ["flood"]
    assert other.take(water([1.0] * 6, start_s=2)).said == [("raised", 1, 6)]  # four seconds from the first at 2


def test_what_a_rule_remembered_before_it_computed_something_else_is_counted_as_begun_anew() -> None:
    rare = next(each for each in EVERY_KIND if isinstance(each, DeviationRule))
    station = Station([rare, LONG]).take([Row(1, NOISE, 0.4, at * SECOND, at * SECOND, at) for at in range(9)])
    other = Station([msgspec.structs.replace(rare, least_days=2), LONG]).slots
    assert thaw(freeze(station.memory, station.slots), other).forgotten == 1
    elsewhere = msgspec.structs.replace(rare, least_days=2, where=Where(sensors=("gauge-2",)))
    assert thaw(freeze(station.memory, station.slots), Station([elsewhere]).slots).forgotten == 0
    assert thaw(freeze(station.memory, station.slots), station.slots).forgotten == 0


def test_other_words_source_or_version_forget_nothing() -> None:
    station = Station([LONG]).take(water([1.0, 1.0, 1.0]))
    words = msgspec.structs.replace(LONG, version=2, title=WORDS, notes="better said")
    other = Station([words])
    other.memory = thaw(freeze(station.memory, station.slots), other.slots)
    assert other.take(water([1.0], start_s=3)).said == [("raised", 1, 3)]


def test_a_combination_whose_neighbours_changed_begins_anew() -> None:
    rows = [Row(1, WATER, 0.0, s * SECOND, s * SECOND, s) for s in range(3)]
    station = Station([EVERY_KIND[-1]]).take(rows)
    assert station.memory.firing
    grown = Catalogue.of([*CITY.sensors.values(), sensor(9, "gauge-9")], CITY.quantities.values())
    other = Station([EVERY_KIND[-1]], grown)
    other.memory = thaw(freeze(station.memory, station.slots), other.slots)
    assert (other.memory.firing, other.memory.sleeping) == ({}, {})


@pytest.mark.parametrize("found", [b"", b"no", zlib.compress(b""), zlib.compress(b"\x91\x63"), zlib.compress(b"\x90")])
def test_what_is_no_frozen_memory_is_refused(found: bytes) -> None:
    with pytest.raises(ValueError, match="frozen memory"):
        thaw(found, SLOTS)


def test_a_statistic_that_cannot_be_read_any_more_begins_anew_and_is_counted() -> None:
    station = Station([EVERY_KIND[5]]).take(water([1.0]))
    slot = next(iter(station.memory.statistics))
    restarted = Station([EVERY_KIND[5]])
    restarted.memory.sleeping[slot] = "of an older kind"
    restarted.take(water([0.0]))
    assert restarted.memory.forgotten == 1
