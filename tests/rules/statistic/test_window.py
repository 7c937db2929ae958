from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.statistic import window
from rules.statistic.window import Extreme, Mean, Percentile, Sum, Window
from tests.rules.statistic.fed import at, fed

OVER_S = 300.0

READINGS = [(0.0, 1.0), (60.0, 5.0), (120.0, 3.0), (180.0, 3.0), (240.0, 8.0), (300.0, 2.0), (601.0, 4.0)]
# (at - 300 s, at]: the reading at 0 s is out at 300 s, at 601 s those up to 300 s are.
MEANS = [1.0, 3.0, 3.0, 3.0, 4.0, 4.2, 4.0]
SUMS = [1.0, 6.0, 9.0, 12.0, 20.0, 21.0, 4.0]
LARGEST = [1.0, 5.0, 5.0, 5.0, 8.0, 8.0, 4.0]
SMALLEST = [1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 4.0]
# Nearest rank: of 1, 3, 3, 5 the median is the second, 3; of 1, 3, 3, 5, 8 the third; of 2, 3, 3, 5, 8 the third.
MEDIANS = [1.0, 1.0, 3.0, 3.0, 3.0, 3.0, 4.0]
# The 90th percentile of up to five readings is the largest: ceil(0.9 n) = n for n < 10.
NINETIETHS = LARGEST


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        (Mean(OVER_S, 1), MEANS),
        (Sum(OVER_S, 1), SUMS),
        (Extreme(1, OVER_S, 1), LARGEST),
        (Extreme(-1, OVER_S, 1), SMALLEST),
        (Percentile(50, OVER_S, 1), MEDIANS),
        (Percentile(90, OVER_S, 1), NINETIETHS),
        (Percentile(100, OVER_S, 1), LARGEST),
        (Percentile(0, OVER_S, 1), SMALLEST),
    ],
)
def test_statistics_are_those_of_the_readings_in_the_window(statistic: Window, expected: list[float]) -> None:
    assert fed(statistic, READINGS) == expected


def test_the_95th_percentile_of_twenty_readings_is_the_nineteenth() -> None:
    statistic = Percentile(95, 2000, 1)
    assert fed(statistic, [(60.0 * i, float(i)) for i in range(1, 21)])[-1] == 19.0


def test_a_percentile_counts_as_it_is_written() -> None:
    # In binary 99.9 / 100 * 1000 is a little more than 999, and its rank would be 1000.
    statistic = Percentile(99.9, 2000, 1)
    assert fed(statistic, [(float(i), float(i)) for i in range(1, 1001)])[-1] == 999.0


def test_a_window_with_too_few_readings_is_not_known() -> None:
    assert fed(Mean(OVER_S, 3), READINGS) == [None, None, 3.0, 3.0, 4.0, 4.2, None]


def test_a_sum_that_is_beyond_the_first_level_counts_with_few_readings() -> None:
    assert fed(Sum(OVER_S, 4, 1, 9.0), READINGS) == [None, None, 9.0, 12.0, 20.0, 21.0, None]


def test_a_sum_with_a_negative_reading_does_not_count_with_few() -> None:
    readings = [(0.0, 10.0), (60.0, -1.0), (301.0, 10.0)]
    # At 301 s the 10 of 0 s is out and the -1 still in; two readings are not four.
    assert fed(Sum(OVER_S, 4, 1, 9.0), readings) == [10.0, None, None]


def test_a_maximum_beyond_the_first_level_counts_with_few_readings_but_a_minimum_does_not() -> None:
    assert fed(Extreme(1, OVER_S, 4, 1, 5.0), READINGS[:2]) == [None, 5.0]
    assert fed(Extreme(-1, OVER_S, 4, 1, 1.0), READINGS[:2]) == [None, None]


def test_a_minimum_below_the_first_level_counts_with_few_readings() -> None:
    assert fed(Extreme(-1, OVER_S, 4, -1, -1.0), READINGS[:2]) == [1.0, 1.0]


@pytest.mark.parametrize(
    "statistic", [Mean(OVER_S, 1), Sum(OVER_S, 1), Extreme(1, OVER_S, 1), Percentile(50, OVER_S, 1)]
)
def test_the_same_reading_again_changes_nothing(statistic: Window) -> None:
    twice = [reading for reading in READINGS for _ in range(2)]
    once = fed(statistic, READINGS)
    statistic.forget()
    assert fed(statistic, twice) == [value for value in once for _ in range(2)]


def test_forgotten_readings_are_gone() -> None:
    statistic = Mean(OVER_S, 2)
    fed(statistic, READINGS[:3])
    statistic.forget()
    assert fed(statistic, READINGS[3:5]) == [None, 5.5]


def test_tenths_added_a_hundred_thousand_times_do_not_drift() -> None:
    statistic = Sum(1.0, 1)
    for i in range(100_000):
        last = statistic.take(at(i * 0.1), 0.1)
    assert last == 1.0


def test_a_window_says_what_it_was_made_of() -> None:
    statistic = Mean(OVER_S, 2)
    fed(statistic, READINGS[:2])
    assert statistic.why() == {
        "readings": 2,
        "needed": 2,
        "from": "2026-05-31T16:00:00Z",
        "to": "2026-05-31T16:01:00Z",
        "value": 3.0,
    }


def test_a_window_that_would_need_more_readings_than_it_holds_is_not_known_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(window, "KEPT", 3)
    statistic = Mean(OVER_S, 1)
    assert fed(statistic, READINGS[:5]) == [1.0, 3.0, 3.0, None, None]
    assert statistic.why()["unknown"] == "more than 3 readings in the window"
    thawed = Mean(OVER_S, 1)
    thawed.thaw(statistic.frozen())
    assert thawed.why() == statistic.why()
    # Known again once the window has left behind what was dropped: what came at 60 s is out at 360 s.
    assert fed(statistic, [(359.0, 1.0), (420.0, 1.0), (541.0, 5.0)])[1:] == [None, 7.0 / 3.0]


def test_a_sum_of_more_readings_than_it_holds_still_counts_beyond_the_first_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(window, "KEPT", 3)
    assert fed(Sum(OVER_S, 1, 1, 12.0), READINGS[:5]) == [1.0, 6.0, 9.0, None, 14.0]


def test_a_value_beyond_everything_is_beyond_every_level_and_one_that_is_no_number_is_refused() -> None:
    largest = Extreme(1, OVER_S, 1).take(at(0), 1e300)
    assert largest is not None
    assert largest > 1e9
    with pytest.raises(ValueError, match="not a number"):
        Mean(OVER_S, 1).take(at(0), math.nan)


@pytest.mark.parametrize(
    "frozen", [None, [], [0], [0, [1]], [0, [1.5, 2]], [0, ["a", 1]], [0, [2, 0, 1, 0]], ["x", []]]
)
def test_what_is_no_frozen_window_is_refused(frozen: Any) -> None:
    with pytest.raises(ValueError, match=r"window|readings"):
        Mean(OVER_S, 1).thaw(frozen)


def _rank(values: list[Fraction], percent: int) -> Fraction:
    return sorted(values)[max(1, math.ceil(Fraction(percent, 100) * len(values))) - 1]


NAIVE: list[tuple[Callable[[], Window], Callable[[list[Fraction]], Fraction]]] = [
    (lambda: Mean(60, 3), lambda values: sum(values, Fraction()) / len(values)),
    (lambda: Sum(60, 3), lambda values: sum(values, Fraction())),
    (lambda: Extreme(1, 60, 3), max),
    (lambda: Extreme(-1, 60, 3), min),
    (lambda: Percentile(75, 60, 3), lambda values: _rank(values, 75)),
]

SERIES = st.lists(
    st.tuples(st.sampled_from([0, 1, 5, 20, 61]), st.integers(-50, 50).map(lambda i: i / 10)), min_size=1, max_size=60
)


@pytest.mark.parametrize(("make", "naive"), NAIVE)
@given(steps=SERIES)
@settings(max_examples=60, deadline=None)
def test_a_window_equals_what_the_whole_list_gives(
    make: Callable[[], Window], naive: Callable[[list[Fraction]], Fraction], steps: list[tuple[int, float]]
) -> None:
    statistic = make()
    seconds = 0
    listed: list[tuple[int, Fraction]] = []
    for step, value in steps:
        seconds += step
        reading = (seconds, Fraction(str(value)))
        if not listed or listed[-1] != reading:
            listed.append(reading)
        values = [known for second, known in listed if second > seconds - 60]
        expected = float(naive(values)) if len(values) >= 3 else None
        assert statistic.take(at(seconds), value) == expected
