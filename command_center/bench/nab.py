"""The score of the Numenta Anomaly Benchmark, standard profile (Lavin and Ahmad, Evaluating real-time anomaly detection
algorithms, ICMLA 2015).

Anomalies are windows. The earliest reading told inside one earns up to 1, by a sigmoid that falls to nothing at its right
edge; a window with none costs 1. A reading told outside costs up to ``FALSE``, less when it comes soon after a window. The
first part of a series is not counted. One threshold is chosen for all series. 0 is a detector that never tells anything, 100
one that tells each window's first reading alone.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]

FALSE: Final = 0.11
_MISSED: Final = 1.0
_PROBATION: Final = 0.15
_LONGEST: Final = 5000  # readings of which the probation is a share
_FAR: Final = 3.0


@dataclass(frozen=True)
class Series:
    """Readings in order, and the windows as places of their first and last readings."""

    name: str
    at_s: Numbers
    value: Numbers
    windows: tuple[tuple[int, int], ...]

    @property
    def category(self) -> str:
        return self.name.split("/")[0]

    @property
    def probation(self) -> int:
        """Readings at the beginning that are not counted."""
        return math.floor(_PROBATION * min(len(self.value), _LONGEST))

    @cached_property
    def weight(self) -> Numbers:
        """What telling each reading earns, or costs."""
        found = np.full(len(self.value), -FALSE)
        for place, (first, last) in enumerate(self.windows):
            width = last - first + 1
            inside = np.arange(first, last + 1)
            found[inside] = sigmoid(-(last + 1 - inside) / width) / sigmoid(np.array(-1.0))
            until = self.windows[place + 1][0] if place + 1 < len(self.windows) else len(self.value)
            after = np.arange(last + 1, until)
            found[after] = FALSE * sigmoid((after - last) / max(width - 1, 1))
        return found

    @cached_property
    def window(self) -> Numbers:
        """The number of the window that each reading is in, else -1."""
        found = np.full(len(self.value), -1)
        for place, (first, last) in enumerate(self.windows):
            found[first : last + 1] = place
        return found


@dataclass(frozen=True, slots=True)
class Sweep:
    """``totals`` of telling all readings that reach each of ``thresholds`` (falling, the first above all scores), over so many
    ``windows``.
    """

    thresholds: Numbers
    totals: Numbers
    windows: int

    @property
    def best(self) -> tuple[float, float]:
        """The highest total in points, and its threshold."""
        place = int(self.totals.argmax())
        return points(float(self.totals[place]), self.windows), float(self.thresholds[place])


def sigmoid(position: Numbers) -> Numbers:
    """2 / (1 + exp(5 position)) - 1, and -1 from 3 on; -1 is a window's left edge, 0 its right."""
    position = np.asarray(position, "f8")
    return np.where(position >= _FAR, -1.0, 2 / (1 + np.exp(5 * np.minimum(position, _FAR))) - 1)


def points(total: float, windows: int) -> float:
    """A total on the scale from nothing told (0) to all perfect (100)."""
    return 100 * (total + _MISSED * windows) / ((1 + _MISSED) * windows) if windows else 0.0


def sweep(series: Sequence[Series], scores: Sequence[Numbers]) -> Sweep:
    """All thresholds at once: what each reading adds when the threshold falls to its score."""
    steps, gains, windows = [np.empty(0)], [np.empty(0)], 0
    for one, score in zip(series, scores, strict=True):
        counted = slice(one.probation, None)
        score, weight, window = score[counted], one.weight[counted], one.window[counted]
        steps.append(score[window < 0])
        gains.append(weight[window < 0])
        for number in np.unique(window[window >= 0]):
            inside = window == number
            falling = np.argsort(-score[inside], kind="stable")
            best = np.maximum.accumulate(weight[inside][falling])
            steps.append(score[inside][falling])
            gains.append(np.diff(best, prepend=-_MISSED))
            windows += 1
    step, gain = np.concatenate(steps), np.concatenate(gains)
    falling = np.argsort(-step, kind="stable")
    step, total = step[falling], np.cumsum(gain[falling]) - _MISSED * windows
    last = np.append(step[1:] != step[:-1], True)[: len(step)]
    return Sweep(np.append(np.inf, step[last]), np.append(-_MISSED * windows, total[last]), windows)


def total_at(series: Sequence[Series], scores: Sequence[Numbers], threshold: float) -> tuple[float, int]:
    """The total of telling all that reach a threshold, and the windows that count."""
    found = sweep(series, scores)
    place = int(np.searchsorted(-found.thresholds, -threshold, side="right")) - 1
    return float(found.totals[place]), found.windows


def read(folder: Path) -> list[Series]:
    """The labelled series whose files are in the folder."""
    labels = json.loads((folder / "label_windows.json").read_text("utf-8"))
    return [_series(folder, name, windows) for name, windows in sorted(labels.items()) if (folder / name).is_file()]


def _series(folder: Path, name: str, windows: Sequence[Sequence[str]]) -> Series:
    with (folder / name).open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    at_s = np.array([_epoch_s(row["timestamp"]) for row in rows])
    places = tuple(
        (
            int(np.searchsorted(at_s, _epoch_s(begin))),
            int(np.searchsorted(at_s, _epoch_s(end), side="right")) - 1,
        )
        for begin, end in windows
    )
    return Series(name, at_s, np.array([float(row["value"]) for row in rows]), places)


def _epoch_s(written: str) -> int:
    """Seconds of the wall clock that the series were written by."""
    return int(datetime.fromisoformat(written).replace(tzinfo=UTC).timestamp())
