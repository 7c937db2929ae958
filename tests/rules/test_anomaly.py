"""The detector of the unusual: what it finds, what it leaves alone, and that it knows only what came before."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rules import anomaly
from rules.anomaly import HIGH, LOW, Reason, judge

Numbers = npt.NDArray[Any]

STEP_S = 300
DAY = 288  # readings
RARE = 1.5


def course(readings: int, seed: int = 1) -> Numbers:
    """Noise of 1 around a daily course of 20 either way about 50."""
    hour = np.arange(readings) * STEP_S / 3600
    return 50 + 20 * np.sin(hour * math.tau / 24) + np.random.default_rng(seed).normal(0, 1, readings)


def scores(value: Numbers, memory: Numbers | None = None, first: int = 0) -> tuple[Numbers, dict[int, Reason], Numbers]:
    """One sensor's scores, the reasons of what is rare by place, and the side."""
    memory = anomaly.fresh(1) if memory is None else memory
    row, found, reasons, side = np.array([0]), np.zeros(len(value)), {}, np.zeros(len(value))
    for place, one in enumerate(value):
        at_s = np.array([(first + place) * STEP_S])
        said = judge(memory, row, at_s, np.array([one]))
        found[place], side[place] = said.score[0], LOW if said.lower[0] else HIGH
        if said.score[0] >= RARE:
            reasons[place] = said.reason(0, int(side[place]))
    return found, reasons, side


def test_a_value_that_is_high_but_usual_at_that_hour_is_not_rare_and_the_same_value_at_another_hour_is() -> None:
    value = course(12 * DAY)
    peak = 10 * DAY + DAY // 4
    trough = 10 * DAY + 3 * DAY // 4
    assert value[peak] > 65
    value[trough] = 68.0
    _, reasons, side = scores(value)
    assert peak not in reasons
    why = reasons[trough]
    assert side[trough] == HIGH
    assert why.aspect != "level", "68 is no high value of this sensor"
    assert why.seen == 68.0
    assert abs(why.expected - 30) < 6
    assert why.high < 68.0
    assert why.one_in > 1000


def test_a_value_beyond_all_that_was_ever_seen_is_rare_at_first_and_not_when_it_has_lasted() -> None:
    value = course(8 * DAY)
    at = 6 * DAY
    value[at : at + 20] = 300.0
    found, reasons, _ = scores(value)
    assert found[at] == found.max()
    assert at in reasons
    assert found[at + 5 : at + 20].max() < 3, "what five readings said is known"


def test_a_reading_that_is_high_has_a_score_as_a_high_one_only() -> None:
    memory, row, value = anomaly.fresh(1), np.array([0]), course(2 * DAY)
    value[-1] = 300.0
    for place, one in enumerate(value):
        said = judge(memory, row, np.array([place * STEP_S]), np.array([one]))
    assert said.by_side[0, HIGH] > RARE
    assert said.by_side[0, LOW] == 0


def test_a_fall_is_low() -> None:
    value = course(8 * DAY)
    value[6 * DAY] = -100.0
    _, reasons, side = scores(value)
    assert 6 * DAY in reasons
    assert side[6 * DAY] == LOW


def test_a_lasting_shift_that_stays_within_the_usual_range_is_noticed() -> None:
    value = course(16 * DAY)
    value[12 * DAY + DAY // 2 :] += 12.0  # at the falling middle: 62 where 50 is usual, and 70 is seen every day
    found, reasons, _ = scores(value)
    told = [place for place in reasons if 12 * DAY + DAY // 2 <= place < 13 * DAY]
    assert told
    assert found[12 * DAY + DAY // 2 :].max() > 2


def test_readings_that_are_each_ordinary_but_together_too_high_are_found_by_the_shift_of_their_mean() -> None:
    value = np.random.default_rng(4).normal(0, 1, 2000)
    value[1500:] += 1.2
    memory, row, why = anomaly.fresh(1), np.array([0]), {}
    for place, one in enumerate(value):
        said = judge(memory, row, np.array([place * STEP_S]), np.array([one]))
        reason = said.reason(0, HIGH)
        if 1500 <= place < 1600 and said.by_side[0, HIGH] >= 0.7 and reason.aspect == "shift":
            why[place] = reason
    assert why
    for place, reason in why.items():
        window = value[place + 1 - 2 * reason.window : place + 1]
        by_hand = window[reason.window :].mean() - window[: reason.window].mean()
        assert reason.seen == pytest.approx(by_hand, abs=0.5), "of the distances from the usual of the hour"
        assert reason.expected == 0.0
        assert reason.seen > reason.high


def test_an_ordinary_sensor_is_seldom_rare() -> None:
    memory, rows = anomaly.fresh(20), np.arange(20)
    value = np.column_stack([course(10 * DAY, seed) for seed in range(20)])
    said = [judge(memory, rows, np.full(20, turn * STEP_S), one).score for turn, one in enumerate(value)]
    assert (np.array(said) >= RARE).mean() < 3e-3
    assert np.array(said)[1000:].max() < 3


@pytest.mark.parametrize("value", [np.full(800, 7.0), np.zeros(800), np.tile([0.0, 1.0], 400)])
def test_a_sensor_that_never_says_anything_new_is_never_rare(value: Numbers) -> None:
    found, reasons, _ = scores(value)
    assert not reasons
    assert np.isfinite(found).all()


def test_nothing_is_said_before_there_is_experience() -> None:
    value = course(anomaly.WARM)
    value[anomaly.WARM // 2] = 1e6
    found, _, _ = scores(value)
    assert not found.any()


def test_the_unit_does_not_matter() -> None:
    value = course(6 * DAY)
    value[5 * DAY] = 90.0
    plain, _, _ = scores(value)
    other, _, _ = scores(value * 1000 - 3e4)
    assert np.allclose(plain, other, atol=0.05)


def test_a_spread_that_does_not_matter_is_not_rare() -> None:
    memory, row = anomaly.fresh(1), np.array([0])
    value = 7 + np.random.default_rng(2).normal(0, 1e-6, 600)
    value[500] = 7.0001
    told = [
        place
        for place, one in enumerate(value)
        if judge(memory, row, np.array([place * STEP_S]), np.array([one]), least_spread=0.1).score[0] > 2.5
    ]
    assert not told


def test_sensors_judged_together_and_alone_get_the_same_scores() -> None:
    value = np.column_stack([course(3 * DAY, seed) * (seed + 1) for seed in range(4)])
    memory, rows = anomaly.fresh(6), np.array([4, 0, 5, 2])
    together = np.array(
        [judge(memory, rows, np.full(4, turn * STEP_S), one).score for turn, one in enumerate(value)],
    )
    alone = np.column_stack([scores(value[:, place])[0] for place in range(4)])
    assert np.array_equal(together, alone)
    assert alone.any()


def test_after_a_restart_it_goes_on_as_if_nothing_had_been() -> None:
    value = course(6 * DAY)
    value[5 * DAY + 7] = 200.0
    whole, reasons, _ = scores(value)
    memory = anomaly.fresh(1)
    scores(value[: 4 * DAY], memory)
    again = np.frombuffer(memory.tobytes(), anomaly.SENSOR).copy()
    rest, rest_reasons, _ = scores(value[4 * DAY :], again, first=4 * DAY)
    assert np.array_equal(rest, whole[4 * DAY :])
    assert rest_reasons[DAY + 7] == reasons[5 * DAY + 7]


def test_what_is_remembered_of_a_sensor_is_less_than_5000_bytes() -> None:
    assert anomaly.fresh(1).nbytes < 5000


def test_records_are_forgotten_after_two_spans_and_not_after_one() -> None:
    memory, value = anomaly.fresh(1), course(DAY)
    spiked = value.copy()
    spiked[-10:] = 1000.0

    def level_of_records() -> float:
        return float(memory["records"][0, 0, 0].max())

    scores(spiked, memory)
    memory["n"] = anomaly.SPAN - DAY // 2  # as if that many readings had been taken
    scores(value, memory)
    assert level_of_records() == 1000.0
    memory["n"] = 2 * anomaly.SPAN - DAY // 2
    scores(value, memory)
    assert level_of_records() < 80.0
