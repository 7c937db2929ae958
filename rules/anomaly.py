"""Unusual, not just high: how little a reading agrees with all that its sensor has reported before.

A reading is looked at in ten ways (``VIEWS``): the value itself; its distance from the usual at that time of day (hours,
half hours, quarters of an hour) and of that hour of the week; the change since the last reading; the departure from the
recent course; and how far the mean of the last 24, 48 and 96 readings lies from that of as many before. A way knows its
``RECORDS`` furthest values to either side. How rare a value beyond them is follows from how many readings are known and
from how far apart the records lie, by a generalised Pareto tail (peaks over a threshold: Pickands, Statistical inference
using extreme order statistics, Annals of Statistics 3, 1975; in streams: Siffer et al., Anomaly detection in streams with
extreme value theory, KDD 2017). The score is the mean over the ways, as detectors that err differently are best averaged
(Aggarwal and Sathe, Theoretical foundations and algorithms for outlier ensembles, SIGKDD Explorations 17, 2015), for the
high and the low side apart.

Nothing here depends on the unit, and there is one configuration for all. What is remembered of a sensor is bounded: one
record of ``SENSOR``. Records are forgotten by spans: always those of the last ``SPAN`` to twice ``SPAN`` readings are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from rules.statistic.exact import FURTHEST

Numbers = npt.NDArray[Any]
Aspect = Literal["level", "time_of_day", "time_of_week", "change", "course", "shift"]

RECORDS: Final = 5
SPAN: Final = 20_000
HIGH: Final = 0
LOW: Final = 1
WARM: Final = 100
"""Readings before a way says anything."""
VIEWS: Final[tuple[Aspect, ...]] = (
    "level",
    "time_of_day",
    "time_of_day",
    "time_of_day",
    "time_of_week",
    "change",
    "course",
    "shift",
    "shift",
    "shift",
)

_PARTS: Final = np.array([24, 48, 96])
"""Into how many parts the ways of the time of day cut it; their bins lie one behind the other."""
_FIRST: Final = np.array([0, 24, 72])
_WINDOWS: Final = np.array([24, 48, 96, 192])
_SINCE: Final = np.array([0, 0, 0, 0, 0, 0, 0, 47, 95, 191])
"""Readings before a way's first."""
_SHARE: Final = 0.01  # of what is usual, renewed by each reading of a bin
_SPREAD_SHARE: Final = 0.001
_CRUMB: Final = 0.01  # of the spread: records that lie closer together count as this far apart
_COURSE_SHARE: Final = 0.02
_TRUST: Final = 24  # readings of an hour of the week that count as much as the hour of the day
_SHAPE: Final = 0.25  # of the tail: heavier than exponential
_DAY_S: Final = 86_400
_MOST: Final = 255
_MOST_TENFOLDS: Final = 12.0
_LEAST: Final = 1e-9  # of the value: what rounding may do

SENSOR: Final = np.dtype(
    [
        ("n", "i8"),  # readings taken
        ("level", "f8"),
        ("spread", "f8"),  # mean distance of a value from the level
        ("course", "f8"),
        ("distance", "f8"),  # of the last reading from the usual of its hour
        ("day", "f4", 168),
        ("day_n", "u1", 168),
        ("week", "f4", 168),
        ("week_n", "u1", 168),
        ("ring", "f4", 192),  # distances of the last readings
        ("sums", "f8", 4),  # of the last 24, 48, 96, 192 of them
        ("records", "f8", (2, len(VIEWS), RECORDS)),  # high, low (negated)
        ("fresh", "f8", (2, len(VIEWS), RECORDS)),  # those of the running span alone
    ]
)
"""All that is remembered of one sensor."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a reading is unusual: the way that found it least usual.

    ``seen`` and ``expected`` are in the quantity's unit; for a shift they are the difference of the two means and 0. All but
    a handful of what is remembered lay from ``low`` to ``high``. Such a value comes once in ``one_in`` readings.
    ``window``: the readings of a shift's means, else 0.
    """

    aspect: Aspect
    seen: float
    expected: float
    low: float
    high: float
    one_in: float
    window: int


@dataclass(frozen=True, slots=True)
class Judged:
    """Of each reading: ``by_side`` [reading, side], how rare it is as a high value (0) and as a low one (1), 0 when it is not;
    the rest is what reasons are made of.
    """

    by_side: Numbers
    value: Numbers
    level: Numbers
    views: Numbers
    records: Numbers
    evidence: Numbers

    @property
    def score(self) -> Numbers:
        """The rarer side's."""
        return np.asarray(self.by_side.max(axis=1))

    @property
    def lower(self) -> Numbers:
        """Whether the low side is the rarer one."""
        return np.asarray(self.by_side[:, LOW] > self.by_side[:, HIGH])

    def reason(self, place: int, side: int) -> Reason:
        """Why the reading at ``place`` has a score on ``side``."""
        way = int(self.evidence[place, side].argmax())
        aspect, value, seen = VIEWS[way], float(self.value[place]), float(self.views[place, way])
        high, low = float(self.records[place, HIGH, way].min()), -float(self.records[place, LOW, way].min())
        one_in = float(10 ** min(self.evidence[place, side, way], _MOST_TENFOLDS))
        match aspect:
            case "level":
                return Reason(aspect, value, float(self.level[place]), low, high, one_in, 0)
            case "shift":
                return Reason(aspect, seen, 0.0, low, high, one_in, int(_WINDOWS[way - VIEWS.index("shift")]))
            case _:
                expected = value - seen
                return Reason(aspect, value, expected, expected + low, expected + high, one_in, 0)


def fresh(sensors: int) -> Numbers:
    """A memory [sensor] of SENSOR that knows nothing."""
    memory = np.zeros(sensors, SENSOR)
    memory["records"] = memory["fresh"] = -np.inf
    return memory


def judge(
    memory: Numbers, rows: Numbers, local_s: Numbers, values: Numbers, least_spread: Numbers | float = 0.0
) -> Judged:
    """Score one reading each of different sensors by what came before, then learn it; ``memory`` is changed in place.

    ``rows`` are places in the memory, none twice; ``local_s`` is local wall-clock time in seconds, in order for each sensor;
    ``values`` are finite. ``least_spread``: records that lie closer together count as this far apart (in the unit).
    """
    value = np.clip(np.asarray(values, "f8"), -FURTHEST, FURTHEST)
    before, level = memory["n"][rows], memory["level"][rows]
    views = _views(memory, rows, np.asarray(local_s, "i8"), value, before)
    sides = np.stack([views, -views], axis=1)  # [reading, side, way]
    known = np.minimum((before[:, None] - _SINCE), SPAN + before[:, None] % SPAN)
    records = memory["records"][rows]
    evidence = _evidence(sides, records, known, np.maximum(_CRUMB * memory["spread"][rows], least_spread))
    _learn_records(memory, rows, sides, known, before + 1)
    _learn_level(memory, rows, value, before)
    return Judged(evidence.mean(axis=2), value, level, views, records, evidence)


def _views(memory: Numbers, rows: Numbers, local_s: Numbers, value: Numbers, before: Numbers) -> Numbers:
    """What each way sees [reading, way]; learns the usual, the course and the windows on its way."""
    level = np.where(before > 0, memory["level"][rows], value)
    across = rows[:, None]
    bins = _FIRST + (local_s % _DAY_S)[:, None] * _PARTS // _DAY_S
    usual, met = memory["day"][across, bins].astype("f8"), memory["day_n"][across, bins]
    day = value[:, None] - np.where(met > 0, usual, level[:, None])
    _learn_usual(memory["day"], memory["day_n"], (across, bins), usual, met, value[:, None])

    hour = local_s // 3600 % 168
    usual, met = memory["week"][rows, hour].astype("f8"), memory["week_n"][rows, hour].astype("i8")
    trust = met / (met + _TRUST)
    week = value - (trust * usual + (1 - trust) * (value - day[:, 0]))
    _learn_usual(memory["week"], memory["week_n"], (rows, hour), usual, met, value)

    distance = day[:, 0]
    course = np.where(before > 0, memory["course"][rows], distance)
    change = np.where(before > 0, distance - memory["distance"][rows], 0.0)
    memory["course"][rows] = course + np.maximum(_COURSE_SHARE, 1 / (before + 2)) * (distance - course)
    memory["distance"][rows] = distance
    means = _window_sums(memory, rows, distance, before) / _WINDOWS
    shift = 2 * (means[:, :3] - means[:, 1:])  # the mean of w, less that of the w before: 2 (mean of w - mean of 2 w)
    return np.column_stack([value, day, week, change, distance - course, shift])


def _learn_usual(usual: Numbers, count: Numbers, at: Any, known: Numbers, met: Numbers, value: Numbers) -> None:
    met = np.minimum(met.astype("i8") + 1, _MOST)
    usual[at] = known + np.maximum(_SHARE, 1 / met) * (value - known)
    count[at] = met


def _window_sums(memory: Numbers, rows: Numbers, distance: Numbers, before: Numbers) -> Numbers:
    across, ring = rows[:, None], memory["ring"]
    stored = distance.astype("f4")  # what is added is what will be taken away
    leaving = ring[across, (before[:, None] - _WINDOWS) % len(ring[0])].astype("f8")
    sums = memory["sums"][rows] + stored.astype("f8")[:, None] - leaving
    ring[rows, before % len(ring[0])] = stored
    memory["sums"][rows] = sums
    return np.asarray(sums)


def _evidence(sides: Numbers, records: Numbers, known: Numbers, least_apart: Numbers) -> Numbers:
    """How rare [reading, side, way]: the negative decimal logarithm of the share that goes as far; 0 within the records."""
    found = np.zeros(sides.shape)
    lowest = records.min(axis=-1)
    at = np.nonzero((sides > lowest) & (known >= WARM)[:, None, :])
    last, count = lowest[at], known[at[0], at[2]]
    least = np.maximum(least_apart[at[0]], _LEAST * np.maximum(1.0, np.abs(last)))
    beyond = (sides[at] - last) / np.maximum(records[at].mean(axis=-1) - last, least)
    found[at] = np.log10((count + 1) / RECORDS) + np.log1p(_SHAPE * beyond / (1 - _SHAPE)) / (_SHAPE * np.log(10))
    return found


def _learn_records(memory: Numbers, rows: Numbers, sides: Numbers, known: Numbers, n: Numbers) -> None:
    for name in ("records", "fresh"):
        records = memory[name][rows]
        at = np.nonzero((sides > records.min(axis=-1)) & (known >= 0)[:, None, :])
        least = records[at].argmin(axis=-1)
        memory[name][rows[at[0]], at[1], at[2], least] = sides[at]
    over = rows[n % SPAN == 0]
    memory["records"][over] = memory["fresh"][over]
    memory["fresh"][over] = -np.inf


def _learn_level(memory: Numbers, rows: Numbers, value: Numbers, before: Numbers) -> None:
    level = np.where(before > 0, memory["level"][rows], value)
    memory["level"][rows] = level + np.maximum(_SHARE, 1 / (before + 1)) * (value - level)
    spread = memory["spread"][rows]
    memory["spread"][rows] = spread + np.maximum(_SPREAD_SHARE, 1 / (before + 1)) * (np.abs(value - level) - spread)
    memory["n"][rows] = before + 1
