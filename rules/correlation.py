"""What is one matter, by a city's table: which categories speak of one, how near, how long; and what a storm is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final

import msgspec
import yaml

from rules.rule import Closed, Evidence, Name
from rules.rulebook import YAML_FAULTS, fault

_Near = Annotated[float, msgspec.Meta(gt=0, le=1000)]
_Families = Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=64)]
_Hours = Annotated[float, msgspec.Meta(gt=0, le=168)]


class BadCorrelation(ValueError):
    """The correlation table cannot be used; the message says why."""


class Default(Closed, frozen=True):
    """How near in place and time signals of one matter are, where their family does not say."""

    near_m: _Near
    within_h: _Hours
    source: Evidence


class Moves(Closed, frozen=True):
    """How fast a cause that moves is, and how long it is followed from one signal to the next."""

    m_s: Annotated[float, msgspec.Meta(gt=0, le=60)]
    for_s: Annotated[float, msgspec.Meta(gt=0, le=3600)]


class Family(Closed, frozen=True):
    """Categories that speak of one matter."""

    categories: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=64)]
    source: Evidence
    near_m: _Near | None = None
    within_h: _Hours | None = None
    moves: Moves | None = None


class Storm(Closed, frozen=True):
    """``rate`` signals of one group in one township within ``window_s`` have one cause, however far apart they are.

    ``groups`` name families that one cause brings about at once; a family that is in none is its own.
    """

    rate: Annotated[int, msgspec.Meta(ge=2, le=100_000)]
    window_s: Annotated[float, msgspec.Meta(gt=0, le=3600)]
    groups: dict[Name, _Families] = msgspec.field(default_factory=dict)
    source: Evidence | None = None


class _Pack(msgspec.Struct, frozen=True):
    default: Default
    storm: Storm | None = None
    families: dict[Name, Family] = {}


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a signal reaches: ``near_m`` metres and ``within_us`` microseconds; a cause that moves also ``moves_m_s`` times
    the time between two signals that are at most ``moves_for_us`` apart.
    """

    near_m: float
    within_us: int
    moves_m_s: float = 0.0
    moves_for_us: int = 0


@dataclass(frozen=True)
class Correlation:
    """A city's table. A category that is in no family is its own."""

    default: Reach
    families: dict[str, tuple[str, ...]]
    reaches: dict[str, Reach]
    storm: Storm | None = None

    @cached_property
    def _family_of(self) -> dict[str, str]:
        return {category: name for name, own in self.families.items() for category in own}

    def family(self, category: str) -> str:
        """Which family a category belongs to."""
        return self._family_of.get(category, category)

    @cached_property
    def _group_of(self) -> dict[str, str]:
        groups = {} if self.storm is None else self.storm.groups
        return {family: name for name, own in groups.items() for family in own}

    def group(self, family: str) -> str:
        """Which group a family belongs to in a storm: what is correlated together."""
        return self._group_of.get(family, family)

    def grouped(self, group: str) -> tuple[str, ...]:
        """The families of a group."""
        groups = {} if self.storm is None else self.storm.groups
        return groups.get(group, (group,))

    def reach(self, family: str) -> Reach:
        """How far signals of a family reach."""
        return self.reaches.get(family, self.default)


PLAIN: Final = Correlation(Reach(50.0, 24 * 3_600_000_000), {}, {})
"""The defaults a city system was found to use for duplicate candidates: 50 m and 24 h within one category; no storms."""


def read(text: str) -> Correlation:
    """The table from its YAML text. Raises BadCorrelation."""
    try:
        found: Any = yaml.safe_load(text)
    except YAML_FAULTS as problem:
        line, reason = fault(problem)
        raise BadCorrelation(f"line {line}: {reason}") from None
    try:
        pack = msgspec.convert(found, _Pack)
    except (msgspec.ValidationError, RecursionError) as problem:
        raise BadCorrelation(str(problem)) from None
    names: dict[str, str] = {}
    for name, family in pack.families.items():
        for category in family.categories:
            if names.setdefault(category, name) != name:
                raise BadCorrelation(f"{category} is of {names[category]} and of {name}: a category has one family")
    for name in pack.families:
        if names.get(name, name) != name:
            raise BadCorrelation(f"{name} is a family and a category of {names[name]}: give the family another name")
    _refuse_groups(pack)
    reaches = {name: _reach(family, pack.default) for name, family in pack.families.items()}
    usual = Reach(pack.default.near_m, _us(pack.default.within_h * 3600))
    return Correlation(usual, {n: f.categories for n, f in pack.families.items()}, reaches, pack.storm)


def _refuse_groups(pack: _Pack) -> None:
    groups = {} if pack.storm is None else pack.storm.groups
    within = {category: name for name, family in pack.families.items() for category in family.categories}
    seen: dict[str, str] = {}
    for name, families in groups.items():
        for family in families:
            if seen.setdefault(family, name) != name:
                raise BadCorrelation(f"storm: {family} is of {seen[family]} and of {name}: a family has one group")
            if within.get(family, family) != family and family not in pack.families:
                raise BadCorrelation(f"storm: {family} is a category: name its family {within[family]}")
    for name in groups:
        if seen.get(name, name) != name:
            raise BadCorrelation(f"storm: {name} is a group and a family of {seen[name]}: give the group another name")


def _reach(family: Family, default: Default) -> Reach:
    near_m, within_h = family.near_m or default.near_m, family.within_h or default.within_h
    if family.moves is None:
        return Reach(near_m, _us(within_h * 3600))
    return Reach(near_m, _us(within_h * 3600), family.moves.m_s, _us(family.moves.for_s))


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
