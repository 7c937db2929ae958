"""Readings that are held back to be put in order."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.alert import AlertChange
from rules.order import Held, HoldBack
from rules.rule import WindowRule
from tests.rules.located import SECOND, WATER, Row, Station, fields_of, rule, water

BOUND_S = 5
RULES = (
    WindowRule(
        **fields_of("mean", "water_depth", [(1, 1.0), (2, 2.0)], 0.75),
        statistic="mean",
        over_s=4,
        gap="reset",
        gap_after_s=9,
        disorder_s=BOUND_S,
    ),
    rule("long", "water_depth", [(1, 1.0), (3, 2.0)], 0.5, for_s=3, gap="fire", gap_after_s=9, disorder_s=BOUND_S),
    rule("once", "water_depth", [(2, 2.5)], 0.5, disorder_s=2 * BOUND_S),
)
SLOTS = Station(RULES).slots


def held(at_us: int, value: float = 0.0, key: int = 0) -> Held:
    return Held(at_us, value, key, at_us, 0, at_us, False, float("nan"), float("nan"), None)


def test_a_reading_waits_until_one_is_younger_by_more_than_the_bound() -> None:
    back = HoldBack()
    assert [one.at_us for at in (10, 8, 15) for one in back.push(held(at), 5)] == [8]
    assert [one.at_us for one in back.push(held(16), 5)] == [10]
    assert [one.at_us for one in back.pop()] == [15, 16]


def test_of_one_time_the_smaller_value_comes_first_whichever_arrived_first() -> None:
    for order in ((1.0, 2.0), (2.0, 1.0)):
        back = HoldBack()
        assert not [one for value in order for one in back.push(held(1, value), 5)]
        assert [one.value for one in back.pop()] == [1.0, 2.0]


def taken(rows: list[Row], size: int) -> Station:
    station = Station(RULES, slots=SLOTS)
    for begin in range(0, len(rows), size):
        station.take(rows[begin : begin + size])
    return station.tick((max((row.received_us for row in rows), default=0)) / SECOND + 100)


def by_rule(station: Station) -> dict[str, list[AlertChange]]:
    """Several readings may go on at once: only a rule's own changes have one order."""
    return {one.id: [change for change in station.changes if change.alert.rule == one.id] for one in RULES}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 1, 2, 3, 12]), st.sampled_from([0.0, 0.6, 1.0, 2.0, 3.0])), max_size=40),
    st.integers(0, 2**32),
    st.integers(1, 9),
)
def test_shuffled_within_the_bound_is_sorted(steps: list[tuple[int, float]], seed: int, size: int) -> None:
    moment, rows, rng = 0, [], random.Random(seed)
    for key, (step, value) in enumerate(steps):
        moment += step * SECOND
        rows.append(Row(1, WATER, value, moment, moment, key))
    # Each is underway for at most the bound, so nothing arrives after one that is younger by more.
    arrived = sorted(rows, key=lambda row: row.at_us + rng.randint(0, BOUND_S * SECOND))
    ordered, shuffled = taken(rows, size), taken(arrived, size)
    assert by_rule(shuffled) == by_rule(ordered)
    assert shuffled.disordered == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=30))
def test_duplicates_of_what_is_held_back_change_nothing(moments: list[int]) -> None:
    rows = [Row(1, WATER, float(s % 4), s * SECOND, 30 * SECOND, s) for s in sorted(moments)]
    twice = [row for row in rows for _ in range(2)]
    assert taken(twice, 7).changes == taken(rows, 7).changes


def test_what_comes_later_than_the_bound_is_counted_and_left_out() -> None:
    station = Station([RULES[1]])
    station.take([*water([0.0, 0.0], step_s=20), *water([9.0], start_s=10), *water([0.0], start_s=27)])
    assert station.disordered == 0  # nothing younger than it had gone on yet
    station.take(water([9.0], start_s=9))
    assert station.disordered == 1


def test_the_clock_lets_go_on_what_nothing_follows() -> None:
    station = Station([RULES[2]]).take(water([3.0], start_s=50)).tick(60)
    assert station.said == []
    assert station.tick(60.001).said == [("raised", 2, 50)]
