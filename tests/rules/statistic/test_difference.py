from __future__ import annotations

from typing import Any

import pytest

from rules.statistic.difference import Difference
from tests.rules.statistic.fed import fed

A, B = 0, 1


def test_a_difference_is_a_minus_b_while_both_are_of_about_the_same_time() -> None:
    drop = Difference(apart_s=300)
    assert fed(drop, [(0.0, 0.35)], A) == [None]
    assert fed(drop, [(60.0, 0.3)], B) == [0.05]
    assert fed(drop, [(300.0, 0.32), (360.0, 0.31), (361.0, 0.31)], A) == [0.02, 0.01, None]
    assert fed(drop, [(100.0, 0.1)], B) == [0.21]


def test_a_difference_says_what_was_compared_and_forgets_both() -> None:
    drop = Difference(300)
    fed(drop, [(0.0, 0.35)], A)
    fed(drop, [(60.0, 0.3)], B)
    assert drop.why() == {
        "a": {"at": "2026-05-31T16:00:00Z", "value": 0.35},
        "b": {"at": "2026-05-31T16:01:00Z", "value": 0.3},
    }
    drop.forget()
    assert drop.why() == {}
    assert fed(drop, [(61.0, 0.3)], B) == [None]


@pytest.mark.parametrize("frozen", [None, [None], [None, [1]], [None, ["a", 1]]])
def test_what_is_no_frozen_pair_is_refused(frozen: Any) -> None:
    with pytest.raises(ValueError, match="reading"):
        Difference(300).thaw(frozen)
