"""Anomalies: the detector on the labelled series of the Numenta Anomaly Benchmark, beside simple ones, and what it costs.

The benchmark's own board counts all its 58 series; here all detectors are counted on those at hand. ``held out`` is the
honest figure: how a category fares when the threshold and the telling (how long to keep quiet, how much rarer to speak
again) are chosen on the other categories alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from command_center.bench.figure import Figure, at_most
from command_center.bench.nab import Series, points, read, sweep, total_at
from command_center.bench.rules import sensor
from gis.locate import LocatedBatch
from ingest.reading import ReadingBatch
from ingest.sensor import Catalogue, Quantity
from rules import anomaly
from rules.alert import Change
from rules.evaluate import evaluate
from rules.memory import Memory
from rules.rule import DeviationRule, Evidence, Level, Words
from rules.situation import Situation
from rules.slots import lay_out

Numbers = npt.NDArray[Any]

SECOND_US: Final = 1_000_000
_DATA: Final = Path(__file__).parents[3] / "shared" / "data" / "nab"
_GOAL: Final = 75.0
_WORDS: Final = Words(zh="字", en="word")
_RULE: Final = DeviationRule(
    id="learnt",
    domain="urban_management",
    category="bench",
    title=_WORDS,
    source=Evidence("a benchmark", "unverified"),
    quantity="value",
    least_days=1,
    least_spread=1e-9,
    levels=tuple(Level(severity, severity + 0.5, _WORDS) for severity in range(1, 5)),
    clear=1.5,
    clear_for_s=100 * 300,
    gap="hold",
    gap_after_s=6 * 3600,
    damping=None,
)
"""Choice as a rule: an alert from 1.5 on, graver when ten times as rare, over after 100 usual readings of five minutes."""
_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Choice:
    """When a score is told: from ``least`` on; within ``quiet`` readings of the last one told only if it is ``rarer`` higher
    (1: ten times as rare).
    """

    least: float = 1.5
    quiet: int = 100
    rarer: float = 1.0

    def tells(self, score: float, n: int, told_score: float, told_n: int) -> bool:
        """Whether the n-th reading is told, when the last one told was the ``told_n``-th (0: none) of ``told_score``."""
        calm = told_n == 0 or n - told_n > self.quiet
        return score >= self.least and (calm or score > told_score + self.rarer)


_CHOICES: Final = [
    Choice(least, quiet, rarer)
    for least, quiet, rarer in product((1.25, 1.5, 1.75), (50, 75, 100, 150), (0.0, 0.5, 1.0))
]
_SENSORS: Final = 2000
_SEEDS: Final = range(5)
_BEFORE: Final = 300
_BATCHES: Final = 50
_MOST_US: Final = 1000.0


def run() -> list[Figure]:
    """Measure; without the benchmark's series only what it costs. Takes a minute."""
    rng = np.random.default_rng(20261124)
    found = [calm(rng, sensors=100, readings=5000), *cost(rng, _SENSORS)]
    if (_DATA / "label_windows.json").is_file():
        found = scored(read(_DATA)) + found
    return found


def scored(series: Sequence[Series]) -> list[Figure]:
    """The detector's points and those of simple ones."""
    scores = judged(series)
    emitted = [kept(score, Choice()) for score in scores]
    windows = sweep(series, emitted).windows
    plain, threshold = sweep(series, emitted).best
    as_shipped = points(*total_at(series, emitted, Choice().least))
    three = [three_sigma(one) for one in series]
    simple: dict[str, float] = {
        "nothing told": 0.0,
        "random": float(np.mean([sweep(series, random(series, seed)).best[0] for seed in _SEEDS])),
        "3 sigma of all before, fixed": points(*total_at(series, three, 3.0)),
        "sigmas of all before, best threshold": sweep(series, three).best[0],
        "windowed Gaussian": sweep(series, [windowed_gaussian(one) for one in series]).best[0],
    }
    every = f"{len(series)} series, {windows} windows"
    return [
        Figure(f"NAB standard profile, {every}", plain, "points", goal=_GOAL, met=plain >= _GOAL),
        Figure("the same: best threshold", threshold, "score"),
        Figure(f"the same: told as shipped, threshold {Choice().least:g}", as_shipped, "points"),
        Figure("the same: held out, threshold and telling by the other categories", held_out(series, scores), "points"),
        Figure(
            "the same: rule kind deviation as it runs in the city",
            points(*total_at(series, alerts(series), 1.5)),
            "points",
        ),
        *(Figure(f"the same: {name}", value, "points") for name, value in simple.items()),
    ]


def judged(series: Sequence[Series]) -> list[Numbers]:
    """Every reading's score, all series side by side as sensors."""
    longest_first = sorted(series, key=lambda one: -len(one.value))
    found = {one.name: np.zeros(len(one.value)) for one in series}
    memory = anomaly.fresh(len(series))
    for turn in range(len(longest_first[0].value)):
        speaking = [one for one in longest_first if turn < len(one.value)]
        at_s = np.array([one.at_s[turn] for one in speaking])
        value = np.array([one.value[turn] for one in speaking])
        score = anomaly.judge(memory, np.arange(len(speaking)), at_s, value).score
        for one, its in zip(speaking, score.tolist(), strict=True):
            found[one.name][turn] = its
    return [found[one.name] for one in series]


def kept(score: Numbers, choice: Choice) -> Numbers:
    """The scores, 0 where a reading that reaches the choice's threshold is not told because of one before it."""
    found = score.copy()
    told_score, told_n = 0.0, 0
    for place in np.flatnonzero(score >= choice.least).tolist():
        one, n = float(score[place]), place + 1
        if choice.tells(one, n, told_score, told_n):
            told_score, told_n = one, n
        else:
            found[place] = 0.0
    return found


def alerts(series: Sequence[Series]) -> list[Numbers]:
    """By reading the score with which a rule of the kind ``deviation`` raised its alert or made it graver, else 0: what the
    city's own evaluation does with the series as sensors, all their readings in order of time.
    """
    sensors = [sensor(n, "value") for n in range(1, len(series) + 1)]
    slots = lay_out((_RULE,), Catalogue.of(sensors, [Quantity(1, "value", "1", "值", "Value")]), zone=UTC)
    memory, situation = Memory.quiet(slots), Situation(UTC)
    at_s = np.concatenate([one.at_s for one in series])
    order = np.argsort(at_s, kind="stable")
    number = np.repeat(np.arange(1, len(series) + 1), [len(one.value) for one in series])[order]
    value, at_us = np.concatenate([one.value for one in series])[order], at_s[order] * SECOND_US
    found = {one.id: np.zeros(len(its.value)) for one, its in zip(sensors, series, strict=True)}
    place = {one.id: its.at_s for one, its in zip(sensors, series, strict=True)}
    for first in range(0, len(order), _AT_ONCE):
        batch = slice(first, first + _AT_ONCE)
        for change in evaluate(located(number[batch], value[batch], at_us[batch]), slots, memory, situation).changes:
            if change.change in (Change.RAISED, Change.GREW):
                name, alert = change.alert.source.id, change.alert
                found[name][np.searchsorted(place[name], alert.at_us // SECOND_US)] = alert.value
    return list(found.values())


def located(number: Numbers, value: Numbers, at_us: Numbers) -> LocatedBatch:
    """Readings of one quantity as the worker gets them, received when they were taken."""
    count, at = len(number), at_us.astype("i8").view("M8[us]")
    none, nowhere = np.zeros(count, "i4"), np.full(count, np.nan)
    readings = ReadingBatch(
        sensor=number.astype("i4"),
        quantity=np.ones(count, "i2"),
        value=value.astype("f8"),
        at=at,
        received_at=at,
        key=np.arange(count),
        flags=np.zeros(count, "i2"),
        lng=nowhere,
        lat=nowhere,
        datum=np.zeros(count, "i1"),
        message=none,
    )
    return LocatedBatch(readings, none, nowhere, nowhere, {})


def held_out(series: Sequence[Series], scores: Sequence[Numbers]) -> float:
    """Points when each category is told by what is best for the others."""
    ways = [[kept(score, choice) for score in scores] for choice in _CHOICES]
    total, windows = 0.0, 0
    for category in sorted({one.category for one in series}):
        others = [place for place, one in enumerate(series) if one.category != category]
        its = [place for place, one in enumerate(series) if one.category == category]

        def of(way: Sequence[Numbers], places: Sequence[int]) -> tuple[list[Series], list[Numbers]]:
            return [series[place] for place in places], [way[place] for place in places]

        found = [sweep(*of(way, others)).best for way in ways]
        best = max(range(len(ways)), key=lambda place: found[place][0])
        its_total, its_windows = total_at(*of(ways[best], its), found[best][1])
        total += its_total
        windows += its_windows
    return points(total, windows)


def random(series: Sequence[Series], seed: int) -> list[Numbers]:
    """Scores by chance."""
    rng = np.random.default_rng(seed)
    return [rng.random(len(one.value)) for one in series]


def three_sigma(series: Series) -> Numbers:
    """Distance from the mean of all readings before, in their standard deviations."""
    n = np.arange(1, len(series.value))
    centred = series.value - series.value[0]
    mean = np.cumsum(centred)[:-1] / n
    spread = np.sqrt(np.maximum(np.cumsum(centred**2)[:-1] / n - mean**2, 1e-12))
    return np.append(0.0, np.abs(centred[1:] - mean) / spread)


def windowed_gaussian(series: Series, window: int = 6400, step: int = 100) -> Numbers:
    """The benchmark's own baseline: normal tail probability by the last ``window`` readings, moved on ``step`` at a time."""
    value, found = series.value, np.zeros(len(series.value))
    end, mean, spread = 0, 0.0, 1.0
    for place in range(1, len(value)):
        if place <= window or (place - window) % step == 0:
            end = place
            known = value[max(0, end - window) : end]
            mean, spread = float(known.mean()), float(known.std()) or 1e-6
        found[place] = 1 - 0.5 * math.erfc(abs(value[place] - mean) / spread / math.sqrt(2))
    return found


def calm(rng: np.random.Generator, sensors: int, readings: int) -> Figure:
    """How often ordinary sensors, which the benchmark does not have, are told: noise over a daily course."""
    hour = np.arange(readings) * 300 / 3600
    value = 50 + 20 * np.sin(hour * math.tau / 24)[:, None] + rng.normal(0, 3, (readings, sensors))
    memory, rows, score = anomaly.fresh(sensors), np.arange(sensors), np.zeros(value.shape)
    for turn in range(readings):
        score[turn] = anomaly.judge(memory, rows, np.full(sensors, turn * 300), value[turn]).score
    told = sum(int(np.count_nonzero(kept(one, Choice()) >= Choice().least)) for one in score.T)
    return Figure("anomaly: told of noise over a daily course", told / value.size * 1e6, "per million readings")


def cost(rng: np.random.Generator, sensors: int, before: int = _BEFORE, batches: int = _BATCHES) -> list[Figure]:
    """Memory of a sensor, and processor time of a reading in large batches and alone, ``before`` readings known of each."""
    memory = anomaly.fresh(sensors)
    rows = np.arange(sensors)
    values = rng.normal(50, 8, (before + batches, sensors))
    begun = time.process_time()
    for turn, value in enumerate(values):
        if turn == before:
            begun = time.process_time()
        anomaly.judge(memory, rows, np.full(sensors, turn * 300), value)
    batch_us = (time.process_time() - begun) / batches / sensors * 1e6
    begun = time.process_time()
    for row in rows:
        anomaly.judge(memory, rows[row : row + 1], np.array([len(values) * 300]), values[0, row : row + 1])
    single_us = (time.process_time() - begun) / sensors * 1e6
    return [
        Figure("anomaly: memory of a sensor", anomaly.SENSOR.itemsize, "bytes"),
        Figure(f"anomaly: a reading in batches of {sensors:,}", batch_us, "us of processor time"),
        at_most("anomaly: a reading alone", single_us, "us of processor time", _MOST_US),
    ]
