"""Rule packs: YAML in, checked rules out. A bad rule is refused with its line and reason and never stops the others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import msgspec
from shapely.geometry import Polygon

from rules import area, document
from rules.area import BadArea
from rules.check import Ground, Wrong, check, check_counts, check_numbers
from rules.document import YAML_FAULTS as YAML_FAULTS
from rules.document import Document, NotADocument, Path, in_one_line
from rules.document import fault as fault
from rules.example import MOST_READINGS, Example
from rules.rule import (
    AbsenceRule,
    CameraRule,
    Closed,
    CombinationRule,
    CountRule,
    LadderRule,
    Rule,
    SensorRule,
    ThresholdRule,
)

SCHEMA: Final = 1

_LISTS: Final = ("rules", "areas", "examples")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]")


class BadRule(ValueError):
    """A single rule's text cannot be taken; ``line`` from 1 within the text, ``reason`` in one line."""

    def __init__(self, line: int, reason: str) -> None:
        self.line = line
        self.reason = in_one_line(reason)
        super().__init__(f"line {line}: {self.reason}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rule was not taken: file, line (from 1) and reason."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


def _refusal(file: str, line: int, reason: str) -> Refusal:
    return Refusal(file, line, in_one_line(reason))


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules in force, in id order, and what was refused. ``areas`` are those of all packs, by name; ``examples`` say what
    rules in force do.
    """

    rules: tuple[Rule, ...]
    refusals: tuple[Refusal, ...] = ()
    areas: Mapping[str, Polygon] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()

    @property
    def sensor_rules(self) -> tuple[SensorRule, ...]:
        """Those that meet readings."""
        return tuple(rule for rule in self.rules if isinstance(rule, LadderRule | CombinationRule))

    @property
    def thresholds(self) -> tuple[ThresholdRule, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, ThresholdRule))

    @property
    def counts(self) -> tuple[CountRule, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, CountRule))

    @property
    def absences(self) -> tuple[AbsenceRule, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, AbsenceRule))

    @property
    def camera_rules(self) -> tuple[CameraRule, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, CameraRule))


class _Head(Closed, frozen=True):
    """What a pack says beside its lists."""

    pack: str = ""
    schema: int = SCHEMA
    version: int = 1
    effective_from: date | None = None
    effective_to: date | None = None
    notes: str = ""


@dataclass(frozen=True, slots=True)
class _Pack:
    file: str
    found: Document
    head: _Head

    def refusal(self, path: Path, reason: str, line: int | None = None) -> Refusal:
        return _refusal(self.file, self.found.line(path) if line is None else line, reason)


def read(packs: Mapping[str, str | bytes], quantities: Iterable[str], today: date) -> Rulebook:
    """The rules of every pack (file name -> YAML text) that are in force on ``today``.

    Rules that are not yet or no longer in force are checked too. Of two rules in force with one id the first file's counts.
    """
    refusals: list[Refusal] = []
    readable = [pack for file, text in sorted(packs.items()) if (pack := _pack(file, text, refusals)) is not None]
    areas = _areas(readable, refusals)
    ground = Ground(frozenset(quantities), areas.keys())
    rules: dict[str, Rule] = {}
    origin: dict[str, tuple[_Pack, Path]] = {}
    for pack in readable:
        for path, found in _listed(pack, "rules", refusals):
            rule = _taken(pack, path, found, ground, refusals)
            if rule is None or not _in_force(pack.head, today) or not _in_force(rule, today):
                continue
            if rule.id in rules:
                refusals.append(pack.refusal(path, f"rule {rule.id} is there already: ids must differ"))
                continue
            rules[rule.id] = rule
            origin[rule.id] = pack, path
    for name, wrong in check_counts(rules).items():
        pack, path = origin[name]
        refusals.append(pack.refusal((*path, *wrong.path), f"rule {name}: {wrong.reason}"))
        del rules[name]
    examples = [found for pack in readable for found in _examples(pack, rules, ground, refusals)]
    return Rulebook(tuple(rules[name] for name in sorted(rules)), tuple(refusals), areas, tuple(examples))


def read_one(text: str | Mapping[str, Any], quantities: Iterable[str], areas: Iterable[str] = ()) -> Rule:
    """A single rule: YAML text of one mapping, or the mapping itself. Raises BadRule."""
    try:
        found = document.read(text) if isinstance(text, str) else Document(dict(text))
    except NotADocument as problem:
        raise BadRule(problem.line, problem.reason) from None
    try:
        return _converted(found, (), found.value, Ground(frozenset(quantities), frozenset(areas)))
    except Wrong as wrong:
        raise BadRule(found.line(wrong.path) if wrong.line is None else wrong.line, wrong.reason) from None


def _pack(file: str, text: str | bytes, refusals: list[Refusal]) -> _Pack | None:
    """A pack whose head makes sense; what is no pack at all becomes one refusal."""
    try:
        found = document.read(text)
    except NotADocument as problem:
        refusals.append(_refusal(file, problem.line, problem.reason))
        return None
    value = found.value
    for bad in found.faults:
        # Inside a list or among the areas it spoils one item; anywhere else the pack.
        if len(bad.path) < 2 or bad.path[0] not in _LISTS:
            refusals.append(_refusal(file, bad.line, bad.reason))
            return None
    if not isinstance(value, dict) or not isinstance(value.get("rules"), list):
        refusals.append(_refusal(file, 1, "a pack is a mapping with one list named rules"))
        return None
    try:
        head = _head(value)
    except Wrong as wrong:
        refusals.append(_refusal(file, found.line(wrong.path), wrong.reason))
        return None
    return _Pack(file, found, head)


def _head(value: Mapping[str, Any]) -> _Head:
    told = {key: value[key] for key in value if key not in _LISTS}
    for key in ("effective_from", "effective_to"):
        if key in told and not isinstance(told[key], date):
            raise Wrong((key,), f"{key} is {told[key]!r}: give a date such as 2026-01-01")
    try:
        head = msgspec.convert(told, _Head)
    except msgspec.ValidationError as problem:
        raise _at(problem) from None
    if head.schema != SCHEMA:
        raise Wrong(("schema",), f"schema {head.schema} is unknown: this program reads schema {SCHEMA}")
    return head


def _in_force(dated: _Head | Rule, today: date) -> bool:
    """Both days are included."""
    return (dated.effective_from or today) <= today <= (dated.effective_to or today)


def _listed(pack: _Pack, name: str, refusals: list[Refusal]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Path and mapping of everything in one of the pack's lists; what is no mapping is refused."""
    found = pack.found.value.get(name, [])
    if not isinstance(found, list):
        refusals.append(pack.refusal((name,), f"{name} is a list"))
        return
    for place, item in enumerate(found):
        path = (name, place)
        if (bad := pack.found.fault(path)) is not None:
            refusals.append(_refusal(pack.file, bad.line, bad.reason))
        elif isinstance(item, dict):
            yield path, item
        else:
            refusals.append(pack.refusal(path, f"{'a rule' if name == 'rules' else 'an example'} is a mapping"))


def _areas(packs: Iterable[_Pack], refusals: list[Refusal]) -> dict[str, Polygon]:
    """Areas are known to the rules of every pack, whatever the days of their own."""
    areas: dict[str, Polygon] = {}
    for pack in packs:
        found = pack.found.value.get("areas", {})
        if not isinstance(found, dict):
            refusals.append(pack.refusal(("areas",), "areas is a mapping from names to lists of [lng, lat]"))
            continue
        for name, points in found.items():
            try:
                areas[_new_name(name, areas)] = area.read(_sound(pack.found, ("areas", name), points))
            except (BadArea, Wrong) as problem:
                line = problem.line if isinstance(problem, Wrong) else None
                refusals.append(pack.refusal(("areas", name), f"area {name}: {problem}", line))
    return areas


def _new_name(name: str, areas: Mapping[str, Polygon]) -> str:
    if not _NAME.fullmatch(name):
        raise Wrong((), "a name is made of a-z, 0-9, - and _, 64 at most")
    if name in areas:
        raise Wrong((), "there is an area of that name already")
    return name


def _sound(source: Document, path: Path, value: Any) -> Any:
    """The value at a path, if nothing at or below it is at fault. Raises Wrong."""
    if (bad := source.fault(path)) is not None:
        raise Wrong(bad.path[len(path) :], bad.reason, bad.line)
    return value


def _examples(pack: _Pack, rules: Mapping[str, Rule], ground: Ground, refusals: list[Refusal]) -> Iterator[Example]:
    """Those of rules in force; one that speaks of no rule of its pack is refused."""
    own = [item.get("id") for item in pack.found.value["rules"] if isinstance(item, dict)]
    for path, found in _listed(pack, "examples", refusals):
        try:
            check_numbers(found)
            example = msgspec.convert(found, Example)
            if example.rule not in own:
                raise Wrong(("rule",), f"no rule {example.rule!r} in this pack")
            if example.size() > MOST_READINGS:
                raise Wrong((), f"{example.size()} readings are too many: at most {MOST_READINGS}")
            for part in example.parts:
                if part.quantity not in ground.quantities:
                    raise Wrong(("parts",), f"no quantity {part.quantity!r} in the catalogue")
        except msgspec.ValidationError as problem:
            wrong = _at(problem)
            refusals.append(pack.refusal((*path, *wrong.path), f"example: {wrong.reason}"))
        except Wrong as wrong:
            refusals.append(pack.refusal((*path, *wrong.path), f"example: {wrong.reason}"))
        else:
            if example.rule in rules:
                yield example


def _taken(pack: _Pack, path: Path, found: dict[str, Any], ground: Ground, refusals: list[Refusal]) -> Rule | None:
    try:
        return _converted(pack.found, path, found, ground)
    except Wrong as wrong:
        refusals.append(pack.refusal((*path, *wrong.path), wrong.reason, wrong.line))
        return None


def _converted(source: Document, path: Path, value: Any, ground: Ground) -> Rule:
    """The rule at a path of a document. Raises Wrong with a path from the rule on."""
    if not isinstance(_sound(source, path, value), dict):
        raise Wrong((), "a rule is a mapping")
    name = value["id"][:64] if isinstance(value.get("id"), str) else None
    try:
        check_numbers(value)
        rule = msgspec.convert(value, Rule)
        check(rule, ground)
    except msgspec.ValidationError as problem:
        raise _at(problem, name) from None
    except Wrong as wrong:
        raise Wrong(wrong.path, f"rule {name}: {wrong.reason}" if name else wrong.reason, wrong.line) from None
    return rule  # type: ignore[no-any-return]


def _at(problem: msgspec.ValidationError, rule: str | None = None) -> Wrong:
    """What msgspec found, with the path that it tells in words (``… - at `$.levels[1].at` ``)."""
    text = str(problem).partition("\n")[0]
    told = text.rpartition(" - at `$")[2].removesuffix("`") if " - at `$" in text else ""
    path = tuple(int(place) if place else key for key, place in _STEP.findall(told))
    if (unknown := _UNKNOWN.search(text)) is not None:
        path = (*path, unknown[1])
    return Wrong(path, f"rule {rule}: {text}" if rule else text)
