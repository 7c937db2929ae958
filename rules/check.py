"""Whether a rule makes sense: what its schema (rules.rule) cannot say, each with the path of the field and the reason."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from rules import condition
from rules.condition import BadCondition
from rules.rule import (
    AbsenceRule,
    AreaRule,
    CameraRule,
    CombinationRule,
    CountRule,
    DeviationRule,
    DifferenceRule,
    ExceedanceRule,
    LadderRule,
    Level,
    RateRule,
    Rule,
    RuleBase,
    WindowRule,
)

LARGEST: Final = 1e9
"""No number of a rule may be further from zero."""

_DAY_S: Final = 86_400
_TIMED: Final = (RateRule, WindowRule, ExceedanceRule, DeviationRule)


class Wrong(ValueError):
    """A field cannot be what it is; ``path`` leads to it from the rule, ``line`` is known where the text itself is at fault."""

    def __init__(self, path: tuple[str | int, ...], reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class Ground:
    """What a rule may speak of: the names of quantities and of areas."""

    quantities: Set[str] = field(default_factory=frozenset)
    areas: Set[str] = field(default_factory=frozenset)


def check_numbers(value: Any, path: tuple[str | int, ...] = ()) -> None:
    """Every number in plain values is finite and bounded. Raises Wrong."""
    if isinstance(value, float | int) and not abs(value) <= LARGEST:
        raise Wrong(path, f"{_shown(path)} is {value:g}: give a finite number within ±{LARGEST:g}")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            check_numbers(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            check_numbers(inner, (*path, place))


def check(rule: Rule, ground: Ground) -> None:
    """Everything about a rule that can be judged without other rules. Raises Wrong."""
    _check_dates(rule)
    _check_when(rule)
    _check_where(rule, ground)
    _check_names(rule, ground)
    _check_kind(rule, ground)
    for path, levels, clear in _ladders(rule):
        _check_ladder(rule, path, levels, clear)
    _check_warning_levels(rule)
    if isinstance(rule, LadderRule | CombinationRule):
        _check_gap(rule)
    if isinstance(rule, LadderRule):
        _check_sites(rule)
    if isinstance(rule, AbsenceRule | CountRule):
        _check_instants(rule)


def _shown(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _check_dates(rule: Rule) -> None:
    if rule.effective_from and rule.effective_to and rule.effective_to < rule.effective_from:
        raise Wrong(("effective_to",), f"effective_to {rule.effective_to} lies before {rule.effective_from}")


def _check_when(rule: Rule) -> None:
    for place, hours in enumerate(rule.when.hours):
        begin, end = hours.split("-")
        if begin == end or end > "24:00":
            raise Wrong(
                ("when", "hours", place), f"hours {hours}: give a span such as 08:00-18:00, 24:00 at the latest"
            )
    if len(set(rule.when.days)) != len(rule.when.days):
        raise Wrong(("when", "days"), "a day stands there twice")


def _check_where(rule: Rule, ground: Ground) -> None:
    where = rule.where
    for side, name in (("inside", where.inside), ("outside", where.outside)):
        if name is not None:
            _check_area(("where", side), name, ground)
    if where.inside is not None and where.inside == where.outside:
        raise Wrong(("where",), f"nothing is inside and outside {where.inside}")
    for name in where.sensors:
        if name in where.not_sensors:
            raise Wrong(("where", "not_sensors"), f"{name} is named and left out")
    for key in ("sensors", "not_sensors", "regions"):
        if "" in getattr(where, key):
            raise Wrong(("where", key), "a name is empty")


def _check_area(path: tuple[str | int, ...], name: str, ground: Ground) -> None:
    if name not in ground.areas:
        raise Wrong(path, f"no area {name!r}: areas are listed in a pack under areas")


def _check_names(rule: Rule, ground: Ground) -> None:
    quantity = getattr(rule, "quantity", None)
    if quantity is not None and quantity not in ground.quantities:
        raise Wrong(("quantity",), f"no quantity {quantity!r} in the catalogue")
    if isinstance(rule, AreaRule):
        _check_area(("inside",), rule.inside, ground)


def _ladders(rule: Rule | RuleBase) -> Iterator[tuple[tuple[str | int, ...], tuple[Level, ...], float | None]]:
    if isinstance(rule, LadderRule):
        yield (), rule.levels, rule.clear
        for place, site in enumerate(rule.sites):
            yield ("sites", place), site.levels, site.clear
    elif isinstance(rule, CountRule | AbsenceRule):
        yield (), rule.levels, None


def _check_ladder(rule: Rule, path: tuple[str | int, ...], levels: tuple[Level, ...], clear: float | None) -> None:
    if not levels:
        raise Wrong((*path, "levels"), "levels is empty")
    sign = -1 if isinstance(rule, LadderRule) and rule.direction == "below" else 1
    for place, (low, high) in enumerate(pairwise(levels), start=1):
        if low.severity >= high.severity or sign * low.at >= sign * high.at:
            raise Wrong((*path, "levels", place), "levels must rise in severity and value, each once")
    if clear is not None and sign * clear > sign * levels[0].at:
        raise Wrong((*path, "clear"), f"clear {clear} lies beyond the first level {levels[0].at}")


def _check_warning_levels(rule: Rule) -> None:
    for path, levels, _ in _ladders(rule):
        for place, level in enumerate(levels):
            if level.warning_level is not None and rule.domain != "emergency":
                reason = (
                    f"{rule.domain} has no statutory warning level (突发事件应对法 art. 63): take warning_level out"
                )
                raise Wrong((*path, "levels", place, "warning_level"), reason)
        named = [level.warning_level for level in levels if level.warning_level is not None]
        if any(low <= high for low, high in pairwise(named)):
            raise Wrong((*path, "levels"), "warning_level must fall towards 1 (red) as severity rises")


def _check_gap(rule: LadderRule | CombinationRule) -> None:
    for_s = [level.for_s or 0.0 for _, levels, _ in _ladders(rule) for level in levels]
    timed = isinstance(rule, _TIMED) or any((rule.for_s, rule.clear_for_s, *for_s))
    if timed and rule.gap is None:
        raise Wrong(
            (), "gap is missing: a rule with a duration or a window says what silence means: hold, reset or fire"
        )


def _check_sites(rule: LadderRule) -> None:
    seen: set[str] = set()
    for place, site in enumerate(rule.sites):
        if site.sensor in seen:
            raise Wrong(("sites", place, "sensor"), f"sensor {site.sensor} has a site already")
        seen.add(site.sensor)


def _check_instants(rule: AbsenceRule | CountRule) -> None:
    """Silence lasts by itself, events are counted: a duration on top would not be heeded."""
    for place, level in enumerate(rule.levels):
        if level.for_s is not None:
            raise Wrong(("levels", place, "for_s"), "for_s has no meaning here")
        if not 0 < level.at <= 366 * _DAY_S:
            raise Wrong(("levels", place, "at"), f"at is {level.at:g}: give more than 0, and a year at most")


def _check_kind(rule: Rule, ground: Ground) -> None:
    match rule:
        case WindowRule():
            if (rule.percentile is None) == (rule.statistic == "percentile"):
                raise Wrong(("percentile",), "percentile goes with statistic: percentile, and only with it")
        case ExceedanceRule():
            _check_exceedance(rule)
        case DeviationRule():
            _check_deviation(rule)
        case AreaRule():
            if len(rule.levels) != 1:
                raise Wrong(("levels",), "one is either inside or outside: give one level")
        case DifferenceRule():
            _check_pairs(rule)
        case CombinationRule():
            _check_condition(rule, ground)
        case CountRule():
            _check_events(rule)
        case CameraRule():
            if "" in rule.zones:
                raise Wrong(("zones",), "a zone's name is empty")
        case _:
            pass


def _check_exceedance(rule: ExceedanceRule) -> None:
    if rule.direction == "below":
        raise Wrong(("direction",), "direction is above here: side says on which side of the limit")
    if rule.mean_s is not None and _DAY_S % rule.mean_s:
        raise Wrong(("mean_s",), f"mean_s {rule.mean_s:g} must divide a day, so that its means begin at midnight")


def _check_deviation(rule: DeviationRule) -> None:
    """A learnt score is never below 0: with a clear value of 0 an alert would never end."""
    if rule.direction == "below":
        raise Wrong(("direction",), "direction is above here: side says on which side of the usual")
    for path, _, clear in _ladders(rule):
        if clear is not None and clear <= 0:
            raise Wrong((*path, "clear"), f"clear is {clear:g}: a learnt score is 0 at least, give more than that")


def _check_pairs(rule: DifferenceRule) -> None:
    if not rule.pairs:
        raise Wrong(("pairs",), "pairs is empty")
    seen: set[str] = set()
    for place, pair in enumerate(rule.pairs):
        if pair.a == pair.b:
            raise Wrong(("pairs", place), f"{pair.a} is compared with itself")
        if pair.a in seen:
            raise Wrong(("pairs", place, "a"), f"{pair.a} begins a pair already: the alert stands there")
        seen.add(pair.a)


def _check_condition(rule: CombinationRule, ground: Ground) -> None:
    try:
        tree = condition.read(rule.condition)
    except BadCondition as problem:
        raise Wrong(("condition",), str(problem)) from None
    for quantity in condition.quantities_of(tree):
        if quantity not in ground.quantities:
            raise Wrong(("condition",), f"condition: no quantity {quantity!r} in the catalogue")


def _check_events(rule: CountRule) -> None:
    given = [name for name in (rule.of.rule, rule.of.category, rule.of.camera_event) if name is not None]
    if len(given) != 1:
        raise Wrong(("of",), "of names exactly one of rule, category, camera_event")
    for place, level in enumerate(rule.levels):
        if not math.floor(level.at) == level.at >= 2:
            raise Wrong(("levels", place, "at"), f"at is {level.at:g}: give a whole number of events, 2 or more")


def check_counts(rules: Mapping[str, Rule]) -> dict[str, Wrong]:
    """What is wrong with count rules among their fellows, by rule: they count what others find, never each other."""
    counts = [rule for rule in rules.values() if isinstance(rule, CountRule)]
    counted = {rule.category for rule in counts}
    found: dict[str, Wrong] = {}
    for rule in counts:
        if rule.of.rule is not None and rule.of.rule not in rules:
            found[rule.id] = Wrong(("of", "rule"), f"no rule {rule.of.rule!r} is in force")
        elif isinstance(rules.get(rule.of.rule or ""), CountRule):
            found[rule.id] = Wrong(("of", "rule"), f"{rule.of.rule} is a count rule: count what it counts instead")
        elif rule.of.category in counted:
            found[rule.id] = Wrong(
                ("of", "category"), f"count rules raise {rule.of.category}: a category of its own, please"
            )
    return found
