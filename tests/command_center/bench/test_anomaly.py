"""The benchmark's score by hand-computed cases, and that the benchmark measures what it says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from command_center import bench
from command_center.bench.anomaly import _DATA, Choice, alerts, calm, cost, held_out, judged, kept, windowed_gaussian
from command_center.bench.nab import FALSE, Series, points, read, sigmoid, sweep, total_at

Numbers = npt.NDArray[Any]


def series(*windows: tuple[int, int], readings: int = 1000, name: str = "made/one") -> Series:
    return Series(name, np.arange(readings) * 300, np.zeros(readings), windows)


def telling(*places: int, readings: int = 1000) -> Numbers:
    found = np.zeros(readings)
    found[list(places)] = 1.0
    return found


def total(one: Series, *places: int) -> float:
    return total_at([one], [telling(*places)], 0.5)[0]


def test_it_is_a_benchmark_and_its_score_is_none() -> None:
    assert "anomaly" in bench.names()
    assert "nab" not in bench.names()


def test_the_sigmoid_has_the_values_of_the_paper() -> None:
    assert sigmoid(np.array([-1.0, -0.5, 0.0, 1.0, 3.0])) == pytest.approx(
        [0.98661, 0.84828, 0.0, -0.98661, -1.0], abs=5e-6
    )


def test_a_window_s_first_reading_earns_one_and_its_last_little() -> None:
    one = series((300, 309))
    assert total(one, 300) == pytest.approx(1.0)
    assert total(one, 309) == pytest.approx((2 / (1 + math.exp(-0.5)) - 1) / 0.98661430, abs=1e-6)


def test_only_the_earliest_reading_told_in_a_window_counts() -> None:
    one = series((300, 309))
    assert total(one, 303, 305, 309) == total(one, 303)


def test_a_missed_window_costs_one() -> None:
    assert total(series((300, 309), (600, 609)), 300) == pytest.approx(0.0)


def test_far_from_a_window_each_false_one_costs_its_whole_price_and_soon_after_it_less() -> None:
    one = series((300, 309))
    assert total(one, 300, 200) == pytest.approx(1 - 0.11), "before any window"
    assert total(one, 300, 700, 800) == pytest.approx(1 - 0.22)
    assert total(one, 300, 310) == pytest.approx(1 + 0.11 * (2 / (1 + math.exp(5 / 9)) - 1))
    assert total(one, 300, 309 + 27) == pytest.approx(1 - FALSE), "three widths on"


def test_the_first_part_is_not_counted_and_never_more_than_750_readings_of_it() -> None:
    assert total(series((300, 309)), 300, 149) == pytest.approx(1.0)
    assert total(series((300, 309)), 300, 150) == pytest.approx(0.89)
    assert series(readings=20_000).probation == 750


def test_telling_nothing_is_0_points_and_each_first_reading_100() -> None:
    one = series((300, 309), (600, 609))
    assert points(total(one), 2) == 0.0
    assert points(total(one, 300, 600), 2) == pytest.approx(100.0)


def test_all_thresholds_at_once_give_what_each_gives_alone() -> None:
    rng = np.random.default_rng(7)
    several = [series((300, 339), (500, 520)), series((200, 260), name="made/two"), series(name="made/three")]
    scores = [rng.integers(0, 12, 1000) / 10 for _ in several]
    found = sweep(several, scores)
    assert found.windows == 3
    for threshold, its in zip(found.thresholds[1:], found.totals[1:], strict=True):
        by_hand = 0.0
        for one, score in zip(several, scores, strict=True):
            told = [place for place in range(one.probation, 1000) if score[place] >= threshold]
            by_hand += sum(one.weight[place] for place in told if one.window[place] < 0)
            for number in range(len(one.windows)):
                by_hand += max((one.weight[place] for place in told if one.window[place] == number), default=-1.0)
        assert its == pytest.approx(by_hand)


def test_what_follows_soon_is_kept_quiet_as_it_is_live() -> None:
    score = np.array([0.2, 1.6, 1.7, 2.8, 1.4, 0.0])
    assert kept(score, Choice(1.5, 100, 1.0)).tolist() == [0.2, 1.6, 0.0, 2.8, 1.4, 0.0]
    assert kept(score, Choice(1.5, 0, 1.0)).tolist() == score.tolist()


def test_series_of_different_lengths_are_judged_as_if_alone() -> None:
    rng = np.random.default_rng(8)
    several = [
        Series(f"{category}/one", np.arange(n) * 300, rng.normal(0, 1, n), ((n - 50, n - 20),))
        for category, n in (("a", 400), ("b", 700), ("c", 500))
    ]
    scores = judged(several)
    assert [len(score) for score in scores] == [400, 700, 500]
    assert scores[0].tolist() == judged(several[:1])[0].tolist()
    assert 0 <= held_out(several, scores) <= 100


def test_the_rule_kind_raises_where_the_detector_scores_and_is_quiet_elsewhere() -> None:
    rng = np.random.default_rng(8)
    several = [Series(f"a/{n}", np.arange(n) * 300, rng.normal(0, 1, n), ()) for n in (900, 700)]
    several[0].value[800] = 40.0
    scores, raised = judged(several), alerts(several)
    assert raised[0][800] == scores[0][800] > 3
    for score, told in zip(scores, raised, strict=True):
        assert set(told[told > 0].tolist()) <= set(score[score >= 1.5].tolist())
    assert np.count_nonzero(raised[0]) < 5


def test_every_cost_has_its_figure() -> None:
    rng = np.random.default_rng(9)
    found = [calm(rng, sensors=5, readings=400), *cost(rng, sensors=50, before=120, batches=5)]
    assert len(found) == 4
    assert all(figure.value >= 0 for figure in found)


@pytest.mark.skipif(not (_DATA / "label_windows.json").is_file(), reason="the benchmark's series are not at hand")
def test_the_windowed_gaussian_comes_out_near_the_board_s_figure() -> None:
    several = read(_DATA)
    assert sum(len(one.windows) for one in several) == 61
    assert sweep(several, [windowed_gaussian(one) for one in several]).best[0] == pytest.approx(39.6, abs=5)
