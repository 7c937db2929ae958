from __future__ import annotations

import random
from datetime import date
from math import sqrt
from typing import Any

import pytest

from rules.statistic.deviation import Deviation
from tests.rules.statistic.fed import DAY_S, ZONE, fed

EIGHT = 8 * 3600.0
HOLIDAY = date(2026, 6, 2)


def deviation(**more: Any) -> Deviation:
    """One reading an hour, three days before it is known."""
    fields: dict[str, Any] = {
        "pattern": "day",
        "side": 0,
        "least_days": 3,
        "least_spread": 1.0,
        "interval_s": 3600.0,
        "zone": ZONE,
        "is_workday": lambda day: day.isoweekday() <= 5 and day != HOLIDAY,
    }
    return Deviation(**fields | more)


def on_days(*values: float, hour_s: float = EIGHT) -> list[tuple[float, float]]:
    """One reading a day, from the first Monday on."""
    return [(day * DAY_S + hour_s, value) for day, value in enumerate(values)]


def test_a_reading_is_so_many_usual_spreads_away() -> None:
    # Three days give median 12 and 1.4826 times the median distance, 2: a spread of 2.9652. 18 is 6 away.
    found = fed(deviation(), on_days(10, 14, 12, 18))
    assert found[:3] == [None, None, None]
    assert found[3] == pytest.approx(6 / 2.9652)


def test_a_reading_is_learnt_after_it_was_compared_and_as_if_it_were_two_spreads_out_at_most() -> None:
    statistic = deviation()
    fed(statistic, on_days(10, 14, 12, 1_000_000))
    # The fourth reading counts a quarter: the mean moves by a quarter of two spreads, the spread by a quarter of 2.52 squares.
    mean, spread = 12 + 0.25 * 2 * 2.9652, 2.9652 * sqrt(0.75 + 0.25 * 2.52)
    assert fed(statistic, [(4 * DAY_S + EIGHT, mean + spread)]) == [pytest.approx(1.0)]
    assert statistic.why() == {
        "value": mean + spread,
        "mean": pytest.approx(mean),
        "spread": pytest.approx(spread),
        "days": 4,
        "hour": 8,
    }


def test_a_side_gives_the_distance_its_sign() -> None:
    readings = on_days(12, 12, 12, 10)
    assert [fed(deviation(side=side), readings)[-1] for side in (0, 1, -1)] == [2.0, -2.0, 2.0]


def test_spreads_below_the_least_count_as_it() -> None:
    assert fed(deviation(least_spread=0.5), on_days(12, 12, 12, 12.25))[-1] == 0.5


def test_every_hour_has_its_own_usual() -> None:
    statistic = deviation()
    for day in range(3):
        fed(statistic, [(day * DAY_S + hour * 3600, 100.0 * hour) for hour in (8, 9)])
    assert fed(statistic, [(3 * DAY_S + 8.99 * 3600, 800.0), (3 * DAY_S + 9 * 3600, 800.0)]) == [0.0, 100.0]


def test_many_readings_of_one_day_are_one_day_of_experience() -> None:
    statistic = deviation(least_days=2, interval_s=60.0)
    day = [(day * DAY_S + EIGHT + 60 * i, 12.0) for day in (0, 1) for i in range(60)]
    assert set(fed(statistic, day)) == {None}
    assert fed(statistic, [(2 * DAY_S + EIGHT, 15.0)]) == [3.0]


def test_workdays_and_days_off_are_learnt_apart_by_the_work_calendar() -> None:
    statistic = deviation(pattern="workday", least_days=2)
    # From Monday to Monday; the Tuesday is a holiday. Workdays give 10, days off 50.
    readings = on_days(10, 50, 10, 10, 10, 50, 50, 10)
    assert fed(statistic, readings) == [None, None, None, 0.0, 0.0, None, 0.0, 0.0]
    assert statistic.why()["day"] == "workday"


def test_days_of_the_week_are_learnt_apart() -> None:
    statistic = deviation(pattern="week", least_days=1)
    week = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0]
    assert fed(statistic, on_days(*week, 10, 20, 30)) == [None] * 7 + [0.0] * 3
    assert statistic.why()["weekday"] == 3


def test_a_gap_does_not_take_experience_away() -> None:
    statistic = deviation()
    fed(statistic, on_days(12, 12, 12))
    statistic.forget()
    assert statistic.why() == {}
    assert fed(statistic, [(30 * DAY_S + EIGHT, 15.0)]) == [3.0]


def test_the_same_reading_again_changes_nothing() -> None:
    readings = on_days(10, 14, 12, 18, 13)
    once = fed(deviation(), readings)
    assert fed(deviation(), [reading for reading in readings for _ in range(2)]) == [v for v in once for _ in range(2)]


def test_spread_and_mean_come_near_those_of_normal_readings() -> None:
    chance = random.Random(4)
    statistic = deviation(least_days=7, interval_s=300.0, least_spread=0.1)
    fed(statistic, [(d * DAY_S + EIGHT + 300 * i, chance.gauss(40, 5)) for d in range(60) for i in range(12)])
    assert statistic.why()["mean"] == pytest.approx(40, abs=0.7)
    assert statistic.why()["spread"] == pytest.approx(5, rel=0.12)


def test_an_anomaly_of_three_days_does_not_become_usual() -> None:
    chance = random.Random(4)
    statistic = deviation(least_days=7, interval_s=300.0, least_spread=0.1)
    fed(statistic, [(d * DAY_S + EIGHT + 300 * i, chance.gauss(40, 5)) for d in range(30) for i in range(12)])
    anomaly = fed(statistic, [(d * DAY_S + EIGHT + 300 * i, 80.0) for d in range(30, 33) for i in range(12)])
    assert all(value is not None and value > 5 for value in anomaly)


@pytest.mark.parametrize(
    "frozen",
    [
        None,
        [None],
        [None, [[8]]],
        [None, [[8, 1, 1, 1, "a", 0.0, True, 1, []]]],
        [None, [[8, 1, 1, 1, 0.0, 0.0, True, 0, []]]],
        [None, [["8", 1, 1, 1, 0.0, 0.0, True, 1, []]]],
        [None, [[8, 1, 1, 1, float("nan"), 0.0, True, 1, []]]],
    ],
)
def test_what_is_no_frozen_experience_is_refused(frozen: Any) -> None:
    with pytest.raises(ValueError, match=r"usual|experience|number"):
        deviation().thaw(frozen)
