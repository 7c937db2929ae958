from __future__ import annotations

from typing import Any

import pytest

from rules import condition
from rules.statistic.combination import Combination
from tests.rules.statistic.fed import fed

WATER, RAIN, OTHER_RAIN = 0, 1, 2
INPUTS = ("water_depth", "rain", "rain")
FLOOD = condition.read(
    {
        "all": [
            {"quantity": "water_depth", "above": 0.15, "fresh_s": 600},
            {"quantity": "rain", "above": 10, "fresh_s": 900},
        ]
    }
)
DRY_FLOOD = condition.read(
    {"all": [{"quantity": "water_depth", "above": 0.15}, {"not": {"quantity": "rain", "above": 1, "fresh_s": 900}}]}
)


def test_a_condition_holds_while_every_leaf_surely_does() -> None:
    flood = Combination(FLOOD, INPUTS)
    assert fed(flood, [(0.0, 0.2)], WATER) == [None]
    assert fed(flood, [(10.0, 3.0)], RAIN) == [0.0]
    assert fed(flood, [(20.0, 10.0)], OTHER_RAIN) == [1.0]
    assert fed(flood, [(30.0, 2.0)], OTHER_RAIN) == [0.0]
    assert fed(flood, [(40.0, 12.0)], RAIN) == [1.0]
    assert fed(flood, [(50.0, 0.1)], WATER) == [0.0]


def test_what_is_stale_is_not_known_and_settles_nothing() -> None:
    flood = Combination(FLOOD, INPUTS)
    fed(flood, [(0.0, 12.0)], RAIN)
    # The rain is fresh up to 900 s. At 901 s nobody knows, but low water settles it all the same.
    assert fed(flood, [(900.0, 0.2), (901.0, 0.2), (902.0, 0.1)], WATER) == [1.0, None, 0.0]


def test_not_of_what_is_unknown_is_unknown() -> None:
    flood = Combination(DRY_FLOOD, INPUTS)
    assert fed(flood, [(0.0, 0.2)], WATER) == [None]
    assert fed(flood, [(1.0, 0.0)], RAIN) == [1.0]
    assert fed(flood, [(902.0, 0.2)], WATER) == [None]


def test_times_of_different_sensors_may_cross() -> None:
    flood = Combination(FLOOD, INPUTS)
    fed(flood, [(1000.0, 0.2)], WATER)
    # This rain is 901 s older than the newest that is known: not fresh, though it has just come.
    assert fed(flood, [(99.0, 12.0)], RAIN) == [None]
    assert fed(flood, [(100.0, 12.0)], RAIN) == [1.0]


def test_a_combination_says_what_each_leaf_compared() -> None:
    flood = Combination(FLOOD, INPUTS)
    fed(flood, [(0.0, 0.2)], WATER)
    fed(flood, [(60.0, 14.0)], RAIN)
    fed(flood, [(61.0, 12.0)], OTHER_RAIN)
    assert flood.why() == {
        "conditions": [
            {"quantity": "water_depth", "above": 0.15, "holds": True, "value": 0.2, "at": "2026-05-31T16:00:00Z"},
            {"quantity": "rain", "above": 10.0, "holds": True, "value": 14.0, "at": "2026-05-31T16:01:00Z"},
        ]
    }
    flood.forget()
    assert fed(flood, [(62.0, 12.0)], OTHER_RAIN) == [None]


@pytest.mark.parametrize(
    "frozen", [None, [0], [0, []], [0, [None, None]], [0, [[None, [[1]]], [None, []]]], [0, [[[], []], [None, []]]]]
)
def test_what_is_no_frozen_combination_is_refused(frozen: Any) -> None:
    with pytest.raises(ValueError, match=r"condition|leaf|unpack"):
        Combination(FLOOD, INPUTS).thaw(frozen)
