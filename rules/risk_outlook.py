"""Risk of a cell for the next six hours: its hazards as they will count then, scored and told as those of now are.

Alerts of now fade as they do. Where a sensor's values are forecast, what its reading says by a rule is judged anew at each
hour: close to the first level as a newest reading is, and at a level or beyond like an alert of that level's severity. Where
they are not, the reading of now fades on. Of one rule and source the greatest counts, exposure and vulnerability stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rules import risk
from rules.risk import DOMAINS
from rules.risk_limit import Limit
from rules.risk_line import Amplifier, Hazard, lines
from rules.risk_table import HazardWeights
from rules.rule import Level

HOURS: Final = 6
_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Standing:
    """A hazard of now before it fades. ``age_s``: since it began to fade, None while it does not; ``key``: rule and source."""

    key: tuple[str, str]
    domain: str
    weight: float
    age_s: float | None
    half_life_s: float
    kind: str
    source: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Expected:
    """A sensor's limit with its levels, and the values forecast at +1 … +6 h; none where nothing could be forecast."""

    sensor: str
    name: str
    limit: Limit
    levels: tuple[Level, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of exposure or vulnerability (``of``): its measured ``value`` and, for each of DOMAINS, by how much more it makes
    hazards count.
    """

    of: str
    kind: str
    value: float
    extra: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Hour:
    """A score in tenths ``hours`` from now; the points of its lines add up to it."""

    hours: int
    score: int
    lines: tuple[dict[str, Any], ...]

    @property
    def cause(self) -> dict[str, Any] | None:
        """The hazard that weighs most."""
        return next((line for line in self.lines if line["of"] == "hazard"), None)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Six hours, the highest of them (the first of equals), and the sensors that count with their present reading alone."""

    hours: tuple[Hour, ...]
    highest: Hour
    not_forecast: tuple[str, ...]


def outlook(
    standing: Sequence[Standing],
    expected: Sequence[Expected],
    parts: Sequence[Part],
    weights: HazardWeights,
) -> Outlook:
    """Over all domains. Raises ValueError when a forecast is not of six hours."""
    if any(len(one.values) not in (0, HOURS) for one in expected):
        raise ValueError(f"a forecast has {HOURS} hours, or none")
    told = {(one.limit.rule, one.sensor) for one in expected if one.values}
    # The reading of now gives way to the forecast; an alert stays, and of the two the greater counts.
    kept = [one for one in standing if one.kind != "reading" or one.key not in told]
    ahead = [one for one in expected if one.values]
    hours = tuple(_hour(hour, kept, ahead, parts, weights) for hour in range(1, HOURS + 1))
    silent = dict.fromkeys(one.sensor for one in expected if not one.values)
    return Outlook(hours, max(hours, key=lambda hour: (hour.score, -hour.hours)), tuple(silent))


def _hour(
    hour: int,
    standing: Sequence[Standing],
    expected: Sequence[Expected],
    parts: Sequence[Part],
    weights: HazardWeights,
) -> Hour:
    met = [_met(one, hour, weights) for one in expected]
    greatest = dict[tuple[str, str], tuple[float, Standing]]()
    for one in (*standing, *met):
        left = _left(one, 0.0 if one.kind == "forecast" else hour * _HOUR_S, weights.forgotten_below)
        if left > 0 and (one.key not in greatest or left > greatest[one.key][0]):
            greatest[one.key] = left, one
    logs, hazards = np.zeros((1, len(DOMAINS))), list[Hazard]()
    for left, one in greatest.values():
        log = float(risk.log_of(np.array(left)))
        logs[0, DOMAINS.index(one.domain)] += log
        hazards.append(Hazard(one.kind, one.source, one.zh, one.en, log))
    extra = np.array([part.extra for part in parts]).reshape(len(parts), len(DOMAINS))
    score = int(risk.scores(logs, extra.sum(axis=0, keepdims=True))[0, risk.OVERALL])
    added = (extra @ logs[0]).tolist()
    amplifiers = [Amplifier(part.of, part.kind, part.value, log) for part, log in zip(parts, added, strict=True)]
    return Hour(hour, score, tuple(lines(score, hazards, amplifiers)))


def _left(one: Standing, later_s: float, forgotten_below: float) -> float:
    age_s = 0.0 if one.age_s is None else one.age_s + later_s
    return float(risk.faded(np.array(one.weight), np.array(age_s), np.array(one.half_life_s), forgotten_below))


def _met(one: Expected, hour: int, weights: HazardWeights) -> Standing:
    limit, value = one.limit, one.values[hour - 1]
    upwards = limit.first >= limit.clear
    reached = [level for level in one.levels if (value >= level.at if upwards else value <= level.at)]
    said = f"{value:.4g} {limit.symbol}".strip()
    if reached:
        level = max(reached, key=lambda level: level.severity)
        weight, at = weights.severity[str(level.severity)], f"{level.at:g} {limit.symbol}".strip()
        zh, en = f"达到{limit.title}的 {at}", f"reaching {at} of {limit.title_en}"
    else:
        weight = weights.closeness.most * round(risk.closeness(value, limit.clear, limit.first), 1)
        at = f"{limit.first:g} {limit.symbol}".strip()
        zh, en = f"接近{limit.title}的 {at}", f"close to {at} of {limit.title_en}"
    zh, en = f"{one.name} 预计 {said}，{zh}", f"{one.name} expected at {said}, {en}"
    key = (limit.rule, one.sensor)
    return Standing(key, limit.domain, weight, None, 1.0, "forecast", one.sensor, zh, en)
