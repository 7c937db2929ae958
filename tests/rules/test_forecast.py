"""Forecasts: what is said never depends on what comes later, patterns are learnt, gaps are borne, and intervals hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.forecast import (
    CARRIED,
    HISTORY,
    HORIZONS,
    WAYS,
    Forecast,
    ahead,
    carried,
    climatology,
    exceedance,
    forecasts,
    is_silent,
    known_hours,
)

Numbers = npt.NDArray[Any]

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
HOURS = np.arange(HISTORY + HORIZONS)
DAILY = 50 + 20 * np.sin(HOURS * np.pi / 12)


def noisy(seed: int = 1, sensors: int = 1) -> Numbers:
    rng = np.random.default_rng(seed)
    return np.asarray(DAILY[:HISTORY] + rng.normal(0, 3, (sensors, HISTORY)))


def said(history: Numbers, **bounds: float) -> tuple[Forecast, ...]:
    return forecasts(ahead(history[None]), 0, NOW, **bounds)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    hour=st.integers(1, HISTORY - 2),
    change=st.floats(-1e6, 1e6) | st.just(float("nan")),
)
def test_what_comes_later_never_changes_what_was_said_before(seed: int, hour: int, change: float) -> None:
    history = noisy(seed)
    other = history.copy()
    other[0, hour + 1 :] = change
    rain = np.abs(noisy(seed + 1))
    other_rain = rain.copy()
    other_rain[0, hour + 1 :] = 9.0
    before, after = ahead(history, rain).hindcast, ahead(other, other_rain).hindcast
    assert np.array_equal(before[:, :, : hour + 1], after[:, :, : hour + 1], equal_nan=True)


def test_the_last_hour_does_change_what_is_said_now() -> None:
    history = noisy()
    other = history.copy()
    other[0, -1] += 10
    assert np.abs(ahead(history).value - ahead(other).value).min() > 0.01


@pytest.mark.parametrize("level", [0.0, 7.25, -3e6, 1e-6])
def test_a_constant_series_stays_what_it_is(level: float) -> None:
    found = ahead(np.full((1, HISTORY), level))
    for of in (found.value, found.low, found.high):
        assert of == pytest.approx(level, rel=1e-9)


def test_a_daily_pattern_is_learnt() -> None:
    found = ahead(DAILY[None, :HISTORY])
    assert found.value[0] == pytest.approx(DAILY[HISTORY:], abs=0.5)
    assert found.share.sum(-1) == pytest.approx(1.0)


def test_a_weekly_pattern_is_learnt() -> None:
    weekend = HOURS // 24 % 7 >= 5
    series = np.where(weekend, 10.0, DAILY) + np.random.default_rng(3).normal(0, 0.5, len(HOURS))
    turn = 26 * 24  # the last Saturday of the history begins: yesterday's pattern is no help
    found = ahead(series[None, :turn])
    assert found.value[0, 1:] == pytest.approx(series[turn + 1 : turn + HORIZONS], abs=8.0)
    assert abs(found.value[0, 0] - 10) < abs(found.value[0, 0] - 50)


def test_a_rise_goes_on_for_a_while_and_its_interval_opens() -> None:
    rng = np.random.default_rng(4)
    series = np.cumsum(np.convolve(rng.normal(0, 0.02, HISTORY + 30), np.ones(6), "valid"))[:HISTORY]
    series[-6:] = series[-7] + np.arange(1, 7) * 0.4
    found = ahead(series[None])
    assert found.value[0, 0] > series[-1] + 0.2
    width = (found.high - found.low)[0]
    assert width[-1] > width[0]


def test_gaps_are_borne_and_a_short_silence_is_bridged() -> None:
    history = noisy()
    whole = ahead(history).value
    history[0, 100:140] = np.nan
    history[0, ::17] = np.nan
    history[0, -CARRIED:] = np.nan
    found = ahead(history)
    assert np.isfinite(found.value).all()
    assert np.isfinite(found.low).all()
    assert found.value == pytest.approx(whole, abs=15)
    assert not is_silent(history[0])


def test_nothing_is_made_of_nothing() -> None:
    history = np.full((1, HISTORY), np.nan)
    assert np.isnan(ahead(history).value).all()
    assert is_silent(history[0])
    assert known_hours(history[0]) == 0
    history[0, : -CARRIED - 1] = 5.0
    assert is_silent(history[0])


def test_a_value_is_carried_on_for_so_many_hours_and_no_further() -> None:
    series = np.array([[np.nan, 4.0, *[np.nan] * (CARRIED + 2), 6.0]])
    expected = [np.nan, *[4.0] * (CARRIED + 1), np.nan, np.nan, 6.0]
    assert np.array_equal(carried(series)[0], np.array(expected), equal_nan=True)


def test_the_climatology_of_an_hour_is_the_mean_of_that_hour_in_all_weeks_before() -> None:
    series = np.arange(400.0)[None]
    found = climatology(series)[0]
    assert found[350] == pytest.approx((350 - 168 + 350 - 336) / 2)
    assert found[100] == pytest.approx(np.mean([76, 52, 28, 4]))
    assert np.isnan(found[0])


def test_sensors_side_by_side_are_forecast_as_if_alone() -> None:
    history = noisy(5, sensors=3)
    together = ahead(history)
    for row in range(3):
        assert ahead(history[row : row + 1]).value[0] == pytest.approx(together.value[row])


def test_a_shorter_history_counts_as_one_with_nothing_before() -> None:
    history = noisy()
    padded = history.copy()
    padded[0, :-200] = np.nan
    assert ahead(history[:, -200:]).value == pytest.approx(ahead(padded).value)


def test_the_unit_does_not_matter() -> None:
    history = noisy(6)
    assert ahead(history * 1000 + 5e4).value == pytest.approx(ahead(history).value * 1000 + 5e4, rel=1e-6)


def test_intervals_hold_nine_truths_in_ten() -> None:
    rng = np.random.default_rng(7)
    series = DAILY + np.cumsum(rng.normal(0, 1, (300, len(HOURS))), axis=1)
    found = ahead(series[:, :HISTORY])
    truth = series[:, HISTORY:]
    assert ((truth >= found.low) & (truth <= found.high)).mean() == pytest.approx(0.9, abs=0.04)


def test_a_rain_gauge_beside_a_level_helps() -> None:
    rng = np.random.default_rng(8)
    rain = (rng.random((150, HISTORY + HORIZONS)) < 0.03) * rng.gamma(2, 6, (150, HISTORY + HORIZONS))
    rain[:, HISTORY:] = 0
    level, soil = np.zeros_like(rain), np.zeros(len(rain))
    for hour in range(1, rain.shape[1]):
        soil = 0.7 * soil + 0.3 * rain[:, hour]
        level[:, hour] = 0.96 * level[:, hour - 1] + 0.04 * soil
    dry, wet = ahead(level[:, :HISTORY]), ahead(level[:, :HISTORY], rain[:, :HISTORY])
    truth = level[:, HISTORY:]
    assert np.abs(wet.value - truth).mean() < 0.8 * np.abs(dry.value - truth).mean()


def test_a_forecast_says_when_how_sure_and_why_in_both_languages() -> None:
    found = said(noisy()[0])
    assert [one.horizon_h for one in found] == [1, 2, 3, 4, 5, 6]
    assert [(one.at - NOW).total_seconds() / 3600 for one in found] == [1, 2, 3, 4, 5, 6]
    for one in found:
        assert one.low <= one.value <= one.high
        assert one.leading in WAYS
        assert one.zh
        assert one.en
        assert "{" not in one.zh + one.en


def test_what_a_quantity_cannot_be_is_not_forecast() -> None:
    found = said(noisy()[0], least=40.0, most=55.0)
    assert all(40 <= one.low <= one.value <= one.high <= 55 for one in found)


def rising(step: float = 0.1, half: float = 0.1) -> tuple[Forecast, ...]:
    """From 23.0 now on: 23.05 in half an hour, and so on."""
    middles = [23 + step * (hour - 0.5) for hour in range(1, 7)]
    return tuple(
        Forecast(NOW, hour, value, value - half, value + half, "trend", 1.0, "", "")
        for hour, value in enumerate(middles, start=1)
    )


def test_a_threshold_ahead_is_told_with_its_time_and_interval() -> None:
    found = exceedance(rising(), 23.0, 23.3, "m")
    assert found.in_s == pytest.approx(3 * 3600)
    assert found.earliest_s == pytest.approx(2 * 3600)
    assert found.latest_s == pytest.approx(4 * 3600)
    assert found.en == "23.3 m expected in about 3 h (2 h to 4 h)"
    assert found.zh == "预计约 3 小时后达到 23.3 m（2 小时至4 小时）"
    assert found.probability > 0.9


def test_a_threshold_out_of_reach_is_told_as_such() -> None:
    found = exceedance(rising(), 23.0, 30.0, "m")
    assert (found.in_s, found.earliest_s, found.latest_s, found.probability) == (None, None, None, 0.0)
    assert found.en == "30 m not expected within 6 h (probability about 0%)"


def test_a_threshold_that_only_the_edge_reaches_is_unlikely_not_impossible() -> None:
    found = exceedance(rising(), 23.0, 23.6, "m")
    assert found.in_s is None
    assert found.earliest_s is not None
    assert 0.05 < found.probability < 0.5


def test_a_threshold_reached_already_is_told_as_such_and_downwards_is_the_mirror_image() -> None:
    assert exceedance(rising(), 23.0, 22.9, "m").in_s == 0
    falling = rising(step=-0.1)
    down, up = exceedance(falling, 23.0, 22.7, "m", above=False), exceedance(rising(), 23.0, 23.3, "m")
    assert down.in_s == pytest.approx(up.in_s)
    assert down.latest_s == pytest.approx(up.latest_s)
    assert down.probability == pytest.approx(up.probability)


def test_a_rise_that_may_never_reach_the_threshold_has_no_latest_time() -> None:
    found = exceedance(rising(), 23.0, 23.5, "m")
    assert found.latest_s is None
    assert found.en.endswith("to after 6 h)")
