"""Risk: a score from 0 to 100 by cell and domain, over all domains, and by region, with what it is made of.

Hazards h of one place combine as independent chances, H = 1 - prod(1 - h). In logarithms, l = -log(1 - h), that is a sum, and
so is all the rest: exposure and vulnerability of the place let every hazard count k = 1 + e + v times, and the domains of a
cell add up. score = 100 * (1 - exp(-sum(l * k))): 0 without hazard, never above 100, and never less when anything grows.

What is shown adds up exactly. A hazard's part of 100 * H is its part of the logarithms, what is above 100 * H goes to the
parts of exposure and vulnerability in the same way, and all are rounded to tenths of a point by largest remainders.

Scores are in tenths of a point here, as integers. Arrays are [cell, domain], domains in the order of DOMAINS; scores have one
column more, OVERALL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from rules.risk_table import Further
from rules.rule import Domain

Numbers: TypeAlias = npt.NDArray[Any]

DOMAINS: Final[tuple[str, ...]] = get_args(Domain)
OVERALL: Final = len(DOMAINS)
SCORED: Final = (*DOMAINS, "overall")
FULL: Final = 1000
"""100 points in tenths."""
HISTORY_STEP: Final = 50
HISTORY_S: Final = 3600.0


class NoSuchPlace(LookupError):
    """There is no such cell or region, or the account may not know of it."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Ranges of cells, which are in the order of their paths, so that a region is a run of them: from ``first`` up to
    ``end``, excluded.
    """

    first: Numbers
    end: Numbers

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Regions' scores [region, scored] with what they are made of: the highest cell's place (lowest of equals; -1 where
    nothing is), how many more are high, and what these add.
    """

    score: Numbers
    highest: Numbers
    further: Numbers
    added: Numbers


def faded(hazard: Numbers, age_s: Numbers, half_life_s: Numbers, forgotten_below: float) -> Numbers:
    """Hazards as they still count: half after each half-life, nothing once small. An age below 0 is none."""
    left = hazard * np.exp2(-np.maximum(age_s, 0.0) / half_life_s)
    return np.where(left < forgotten_below, 0.0, left)


def log_of(hazard: Numbers) -> Numbers:
    """-log(1 - h): what of independent chances adds up."""
    found: Numbers = -np.log1p(-hazard)
    return found


def summed(cells: int, cell: Numbers, domain: Numbers, amount: Numbers) -> Numbers:
    """Amounts added up by cell and domain."""
    keys = cell * len(DOMAINS) + domain
    return np.bincount(keys, weights=amount, minlength=cells * len(DOMAINS)).reshape(cells, len(DOMAINS))


def saturated(value: Numbers, half: float) -> Numbers:
    """A count as a share: 0 at 0, half at ``half``, below 1 always."""
    return value / (value + half)


def closeness(value: float, clear: float, first: float) -> float:
    """How far a value has come from where its rule clears (0) to the rule's first level (1), whichever way that lies."""
    if first == clear:
        return 0.0
    return min(max((value - clear) / (first - clear), 0.0), 1.0)


def scores(logs: Numbers, excess: Numbers) -> Numbers:
    """Tenths of a point [cell, scored]. ``logs``: sums of log_of by cell and domain; ``excess``: by how much more they count
    there, at least 0.
    """
    strength = logs * (1.0 + excess)
    strength = np.column_stack([strength, strength.sum(axis=1)])
    found: Numbers = np.rint(-np.expm1(-strength) * FULL).astype("i2")
    return found


def points(tenths: int, logs: Sequence[float], extra: Sequence[float]) -> list[int]:
    """A score of ``scores`` as its parts, in tenths: one for each hazard, then one for each part of exposure and
    vulnerability (``extra``: what they add to the logarithms). They add up to the score.
    """
    plain, more = sum(logs), sum(extra)
    hazards = -np.expm1(-plain) * FULL
    rest = max(-np.expm1(-(plain + more)) * FULL - hazards, 0.0)
    exact = [hazards * own / plain if plain else 0.0 for own in logs]
    exact += [rest * own / more if more else 0.0 for own in extra]
    return rounded(exact, tenths)


def rounded(exact: Sequence[float], total: int) -> list[int]:
    """Whole numbers that add up to ``total``, each next to its own: what is missing goes to the largest remainders."""
    whole = [int(part // 1) for part in exact]
    order = sorted(range(len(exact)), key=lambda n: whole[n] - exact[n])
    for n in order[: max(total - sum(whole), 0)]:
        whole[n] += 1
    return whole


def ranked(cells: Numbers, regions: Regions, rule: Further) -> Ranked:
    """The regions over cells' scores [cell, scored] in tenths."""
    count, width = cells.shape
    at_least = rule.at_least * 10
    # Place and score in one number: the greatest of a run has the highest score, and of equals the lowest place.
    keys = cells.astype("i8") * (count + 1) + (count - np.arange(count))[:, None]
    # A run of its own for what lies between regions, and an end for the last: reduceat knows beginnings only.
    keys = np.vstack([keys, np.zeros((1, width), "i8")])
    high = np.vstack([np.zeros((1, width), "i8"), np.cumsum(cells >= at_least, axis=0)])
    filled = regions.end > regions.first
    greatest = np.zeros((len(regions), width), "i8")
    if filled.any():
        bounds = np.column_stack([regions.first[filled], regions.end[filled]])
        greatest[filled] = _greatest(keys, bounds)
    top = greatest // (count + 1)
    highest = np.where(top > 0, count - greatest % (count + 1), -1)
    further = np.maximum(high[regions.end] - high[regions.first] - (top >= at_least), 0)
    added = np.rint(rule.most * 10 * (1.0 - (1.0 - rule.share) ** further)).astype("i8")
    added = np.minimum(added, FULL - top)
    return Ranked((top + added).astype("i2"), highest, further, added)


def _greatest(keys: Numbers, bounds: Numbers) -> Numbers:
    """Column maxima of runs (first, end) that may overlap: regions of several tiers lie in each other."""
    order = np.lexsort((-bounds[:, 1], bounds[:, 0]))
    found = np.empty((len(bounds), keys.shape[1]), keys.dtype)
    waiting = order
    while len(waiting):
        # The runs that begin at or after the end of the one before: a tier, or what is left of one.
        taken, end = [], -1
        for place in waiting.tolist():
            if bounds[place, 0] >= end:
                taken.append(place)
                end = int(bounds[place, 1])
        chosen = np.array(taken)
        found[chosen] = np.maximum.reduceat(keys, bounds[chosen].ravel(), axis=0)[::2]
        waiting = waiting[~np.isin(waiting, chosen)]
    return found


def to_note(score: Numbers, noted: Numbers, age_s: Numbers) -> Numbers:
    """Where the history needs a new entry: the score moved far since the last (``age_s`` ago) or fell to nothing, or there is
    one and the last is an hour old.
    """
    moved = np.abs(score.astype("i4") - noted) >= HISTORY_STEP
    due: Numbers = moved | ((score == 0) & (noted > 0)) | ((score > 0) & (age_s >= HISTORY_S))
    return due
