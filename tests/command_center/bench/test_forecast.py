"""The forecast's benchmark: hours are made as they should be, what is not known is not counted, losses are listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from command_center import bench
from command_center.bench.figure import Figure
from command_center.bench.forecast import Hours, asked, car_parks, cost, hourly, installed, measured, unhelpful, windows
from rules.forecast import HISTORY, LEAST


def noisy(hours: int) -> Hours:
    rng = np.random.default_rng(1)
    return Hours("made up", "m", 5 + np.sin(np.arange(hours) * np.pi / 12) + rng.normal(0, 0.1, hours))


def test_it_is_a_benchmark() -> None:
    assert "forecast" in bench.names()


def test_hours_are_means_and_hours_without_readings_are_not_known() -> None:
    found = hourly([3600.0, 5400.0, 7100.0, 14_400.0], [1.0, 2.0, 3.0, 8.0])
    assert np.array_equal(found, np.array([2.0, np.nan, np.nan, 8.0]), equal_nan=True)


def test_a_window_ends_with_its_hour() -> None:
    found = windows(np.arange(1000.0), np.array([0, 999]))
    assert found.shape == (2, HISTORY)
    assert found[:, -1].tolist() == [0, 999]
    assert np.isnan(found[0, :-1]).all()
    assert found[1, 0] == 1000 - HISTORY


def test_only_the_second_half_is_measured_and_only_what_has_history() -> None:
    assert asked(noisy(1000).value).min() == 500
    assert asked(noisy(80).value).min() == LEAST
    assert len(asked(noisy(LEAST).value)) == 0


def test_each_horizon_is_held_against_both_baselines() -> None:
    found = measured(noisy(700))
    assert len(found) == 2 * 6 + 1
    assert [figure.what.rpartition(" ")[2] for figure in found[:2]] == ["persistence", "climatology"]
    assert all(figure.ratio and figure.ratio > 1.5 for figure in found[4:-1:2])
    assert found[-1].value == pytest.approx(90, abs=8)


def test_a_series_too_short_to_forecast_says_so() -> None:
    [figure] = measured(noisy(20))
    assert "no forecast" in figure.what
    assert figure.value == 20


def test_what_does_not_help_is_listed() -> None:
    worse, better = (Figure(f"x +1 h: mean error, against {n}", 2.0, "m", 1.0, r) for n, r in (("a", 0.5), ("b", 2.0)))
    [listed] = unhelpful([worse, better])
    assert listed.what == "does not help: x +1 h, against a"
    assert listed.value == pytest.approx(100)


def test_car_parks_keep_their_free_places_until_they_change(tmp_path: Path) -> None:
    file = tmp_path / "parking.csv"
    rows = ["timestamp,a,b", "2020-05-22 00:00:02,10,", "2020-05-22 01:00:02,,5", "2020-05-22 02:00:02,7,"]
    file.write_text("\n".join(rows) + "\n", "utf-8")
    assert [one.tolist() for one in car_parks(file, least=2)] == [[10.0, 10.0, 7.0]]


def test_the_installed_series_are_read_and_costs_have_figures() -> None:
    assert [len(one.value) for one in installed()] == [168, 168, 168, 2]
    assert len(cost(sensors=2)) == 3
