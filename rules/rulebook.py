"""Rule packs: YAML in, checked rules out. A bad rule is refused with its line and reason and never stops the others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import yaml

Domain: TypeAlias = Literal["emergency", "public_order", "urban_management", "traffic"]
Severity: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=4)]


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same words in both languages."""

    zh: str = msgspec.field(name="zh-CN")
    en: str


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a number comes from, and whether anybody found it or it is an editable default."""

    text: str
    confidence: Literal["found", "unverified"]


class Level(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rung of a severity ladder: reached when the value is at ``at`` or beyond."""

    severity: Severity
    at: float
    action: Words


class ThresholdRule(msgspec.Struct, frozen=True, tag="threshold", tag_field="kind", forbid_unknown_fields=True):
    """Holds while a quantity stays beyond a level. ``clear`` is the separate value on whose good side it ends."""

    id: str
    domain: Domain
    category: str
    title: Words
    quantity: str
    direction: Literal["above", "below"]
    levels: tuple[Level, ...]
    clear: float
    source: Evidence
    version: int = 1


class CameraRule(msgspec.Struct, frozen=True, tag="camera_event", tag_field="kind", forbid_unknown_fields=True):
    """Holds while a camera reports an object of class ``event`` in one of ``zones`` (none named: anywhere)."""

    id: str
    domain: Domain
    category: str
    title: Words
    event: str
    zones: tuple[str, ...]
    min_score: Annotated[float, msgspec.Meta(ge=0, le=1)]
    severity: Severity
    action: Words
    source: Evidence
    version: int = 1


Rule: TypeAlias = ThresholdRule | CameraRule

YAML_FAULTS = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)
"""What PyYAML raises on bad text. A date such as 2026-13-01 or a tag that does not fit lets its constructor's own error out."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rule was not taken: file, line (from 1) and reason."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules in force, in id order, and what was refused."""

    rules: tuple[Rule, ...]
    refusals: tuple[Refusal, ...] = ()

    @property
    def thresholds(self) -> tuple[ThresholdRule, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, ThresholdRule))

    @property
    def camera_rules(self) -> tuple[CameraRule, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, CameraRule))


def read(packs: Mapping[str, str], quantities: Iterable[str], today: date) -> Rulebook:
    """Rules of every pack (file name -> YAML text) that is effective on ``today``."""
    known = set(quantities)
    rules: dict[str, Rule] = {}
    refusals: list[Refusal] = []
    for file, text in sorted(packs.items()):
        for line, found in _entries(file, text, today, refusals):
            try:
                rule = _checked(found, known, rules)
            except (msgspec.ValidationError, ValueError) as problem:
                refusals.append(Refusal(file, line, str(problem)))
            else:
                rules[rule.id] = rule
    return Rulebook(tuple(rules[name] for name in sorted(rules)), tuple(refusals))


def fault(problem: Exception) -> tuple[int, str]:
    """(line from 1, reason in one line) of one of YAML_FAULTS."""
    mark = getattr(problem, "problem_mark", None)
    reason = getattr(problem, "problem", None) or str(problem).partition("\n")[0]
    return mark.line + 1 if mark else 1, f"not YAML: {reason}"


def _entries(file: str, text: str, today: date, refusals: list[Refusal]) -> Iterable[tuple[int, dict[str, Any]]]:
    """(line, mapping) of each rule in a pack; what is no pack at all becomes one refusal."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        pack = yaml.safe_load(text)
    except YAML_FAULTS as problem:
        refusals.append(Refusal(file, *fault(problem)))
        return
    listed = [value for key, value in node.value if key.value == "rules"] if isinstance(node, yaml.MappingNode) else []
    if not isinstance(pack, dict) or len(listed) != 1 or not isinstance(pack["rules"], list):
        refusals.append(Refusal(file, 1, "a pack is a mapping with one list named rules"))
        return
    starts = pack.get("effective_from", date.min)
    if not isinstance(starts, date) or isinstance(starts, datetime):
        refusals.append(Refusal(file, 1, f"effective_from is {starts!r}: give a date such as 2026-01-01"))
        return
    if starts > today:
        return
    for item, mark in zip(pack["rules"], listed[0].value, strict=True):
        line = mark.start_mark.line + 1
        if isinstance(item, dict):
            yield line, item
        else:
            refusals.append(Refusal(file, line, "a rule is a mapping"))


def _checked(found: dict[str, Any], quantities: set[str], rules: Mapping[str, Rule]) -> Rule:
    rule = msgspec.convert(found, ThresholdRule | CameraRule)
    if rule.id in rules:
        raise ValueError(f"rule {rule.id} is there already: ids must differ")
    if isinstance(rule, ThresholdRule):
        _check_threshold(rule, quantities)
    return rule


def _check_threshold(rule: ThresholdRule, quantities: set[str]) -> None:
    if rule.quantity not in quantities:
        raise ValueError(f"rule {rule.id}: no quantity {rule.quantity!r} in the catalogue")
    if not rule.levels:
        raise ValueError(f"rule {rule.id}: levels is empty")
    if not all(math.isfinite(value) for value in (rule.clear, *(level.at for level in rule.levels))):
        raise ValueError(f"rule {rule.id}: clear and every level's at must be finite numbers")
    sign = 1 if rule.direction == "above" else -1
    steps = [(level.severity, sign * level.at) for level in rule.levels]
    if any(one[0] >= next_one[0] or one[1] >= next_one[1] for one, next_one in pairwise(steps)):
        raise ValueError(f"rule {rule.id}: levels must rise in severity and value, each once")
    if sign * rule.clear > steps[0][1]:
        raise ValueError(f"rule {rule.id}: clear {rule.clear} lies beyond the first level {rule.levels[0].at}")
