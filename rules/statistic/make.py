"""The statistic of a rule on a subject."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import tzinfo

from ingest.sensor import Sensor
from rules import condition
from rules.rule import CombinationRule, DifferenceRule, ExceedanceRule, RateRule, SensorRule, WindowRule
from rules.statistic import Statistic
from rules.statistic.combination import Combination
from rules.statistic.difference import Difference
from rules.statistic.exceedance import Exceedance
from rules.statistic.rate import Rate
from rules.statistic.window import Extreme, Mean, Percentile, Sum, Window

_NO_PROMISE_S = 3600.0
"""The interval of a sensor that states none."""
_SIDES = {"above": 1, "below": -1, "either": 0}


def make(
    rule: SensorRule,
    sensor: Sensor,
    zone: tzinfo,
    expected_interval_s: float,
    inputs: Sequence[str] = (),
) -> Statistic | None:
    """A new statistic; None where the value itself is judged (threshold), its position (area), or what is usual
    for its sensor (rules.learnt).

    ``inputs``: for combinations what each input measures, in the order of their places. Raises condition.BadCondition.
    """
    interval_s = expected_interval_s if expected_interval_s > 0 else _NO_PROMISE_S
    match rule:
        case RateRule():
            return Rate(rule.over_s, rule.per_s)
        case WindowRule():
            return _window(rule, sensor, interval_s)
        case ExceedanceRule():
            return Exceedance(rule.limit, _SIDES[rule.side], rule.mean_s, zone)
        case DifferenceRule():
            return Difference(rule.apart_s)
        case CombinationRule():
            return Combination(condition.read(rule.condition), inputs)
        case _:
            return None


def _window(rule: WindowRule, sensor: Sensor, interval_s: float) -> Window:
    least = max(1, math.ceil(round(rule.least_share * rule.over_s / interval_s, 6)))
    sign = _SIDES[rule.direction]
    levels = next((site.levels for site in rule.sites if site.sensor == sensor.id), rule.levels)
    enough = sign * levels[0].at
    match rule.statistic:
        case "mean":
            return Mean(rule.over_s, least)
        case "sum":
            return Sum(rule.over_s, least, sign, enough)
        case "max":
            return Extreme(1, rule.over_s, least, sign, enough)
        case "min":
            return Extreme(-1, rule.over_s, least, sign, enough)
        case "percentile":
            return Percentile(100.0 if rule.percentile is None else rule.percentile, rule.over_s, least)
