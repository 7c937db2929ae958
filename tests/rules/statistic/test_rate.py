from __future__ import annotations

from typing import Any

import pytest

from rules.statistic.rate import Rate
from tests.rules.statistic.fed import fed


def test_a_rise_is_told_per_hour_over_the_true_time() -> None:
    # Over 30 min, every 10 min. At 900 s (half of it) the oldest serves: 0.25 m in 15 min is 1 m an hour. At 2400 s that of
    # 600 s: 0.6 m in 30 min is 1.2. At 4200 s that of 2400 s: nothing in 30 min.
    readings = [(0.0, 1.0), (600.0, 1.0), (900.0, 1.25), (1800.0, 1.5), (2400.0, 1.6), (4200.0, 1.6)]
    assert fed(Rate(1800, 3600), readings) == [None, None, 1.0, 1.0, 1.2, 0.0]


def test_the_newest_reading_before_the_time_serves_however_old_it_is() -> None:
    # 2 m in two hours is 1 m an hour, though only half an hour is asked for.
    assert fed(Rate(1800, 3600), [(0.0, 1.0), (7200.0, 3.0)]) == [None, 1.0]


def test_a_fall_is_negative() -> None:
    assert fed(Rate(60, 60), [(0.0, 0.4), (60.0, 0.15)]) == [None, -0.25]


def test_the_same_reading_again_changes_nothing_and_forgotten_ones_are_gone() -> None:
    rate = Rate(60, 60)
    assert fed(rate, [(0.0, 1.0), (60.0, 2.0), (60.0, 2.0)]) == [None, 1.0, 1.0]
    rate.forget()
    assert rate.why() == {}
    assert fed(rate, [(120.0, 5.0)]) == [None]


def test_a_rate_says_between_what_it_was_taken() -> None:
    rate = Rate(60, 60)
    fed(rate, [(0.0, 1.0), (60.0, 2.0)])
    assert rate.why() == {
        "from": "2026-05-31T16:00:00Z",
        "to": "2026-05-31T16:01:00Z",
        "before": 1.0,
        "after": 2.0,
        "per_s": 60,
        "value": 1.0,
    }


@pytest.mark.parametrize("frozen", [None, [1], [2, 0, 1, 0], ["a", 0]])
def test_what_is_no_frozen_rate_is_refused(frozen: Any) -> None:
    with pytest.raises(ValueError, match="readings"):
        Rate(60, 60).thaw(frozen)
