"""Which desk, which organisation and which skill a matter is for: the city's ordered rules, of which the first that fits wins.

A rule that states no tier leaves it to the severity: the lowest tier that can handle a matter gets it first, and naming the
organisation that knows it must not lift it over the heads of those below.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec

from gis.region import TIERS, Region, RegionTree
from rules.document import NotADocument
from rules.document import read as read_document
from rules.rule import Closed, Domain, Evidence, Name, Severity, Text


class BadRoutingTable(ValueError):
    """The routing table cannot be used; the message says why in one line."""


Tier: TypeAlias = Literal["city", "county", "township", "village", "grid"]
Word: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]

_Struct = TypeVar("_Struct")


class Organisation(Closed, frozen=True):
    """Who does the work, and at which tiers it has a desk."""

    code: Name
    name: Text
    name_en: Text
    tiers: Annotated[tuple[Tier, ...], msgspec.Meta(min_length=1)]


class When(Closed, frozen=True):
    """What a rule is for: everything stated must fit. ``severity`` from and to, ``region`` those regions and all below,
    ``mode`` whether the place is at peace or in wartime operation.
    """

    domain: Annotated[tuple[Domain, ...], msgspec.Meta(min_length=1)] | None = None
    category: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1)] | None = None
    small_class: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1)] | None = None
    severity: tuple[Severity, Severity] | None = None
    region: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1)] | None = None
    mode: Literal["peacetime", "wartime"] | None = None

    def __post_init__(self) -> None:
        if self.severity is not None and self.severity[0] > self.severity[1]:
            raise ValueError(f"severity {list(self.severity)} is empty: state the lower end first")


class To(Closed, frozen=True):
    """Where a rule sends. Without a tier to that of the severity; ``org`` counts at the tiers where it has a desk."""

    tier: Tier | None = None
    org: Name | None = None
    skill: Name | None = None


class RoutingRule(Closed, frozen=True):
    """One line of the table, in force from and to whole days, both included."""

    id: Name
    when: When
    to: To
    effective_from: date
    text: Text
    text_en: Text
    source: Evidence
    effective_to: date | None = None

    def __post_init__(self) -> None:
        if self.effective_to is not None and self.effective_to < self.effective_from:
            raise ValueError(f"effective_to {self.effective_to} lies before {self.effective_from}")


class _Pack(Closed, frozen=True):
    pack: Text
    version: Annotated[int, msgspec.Meta(ge=1)]
    tier_by_severity: dict[int, Tier]
    organisations: tuple[Any, ...]
    rules: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """The rules in their order, the organisations by code, and the tier that a severity comes to by itself."""

    tier_by_severity: dict[int, Tier]
    organisations: dict[str, Organisation]
    rules: tuple[RoutingRule, ...]


@dataclass(frozen=True, slots=True)
class Matter:
    """What is to be routed: ``severity`` from 1 to 4, ``cell`` the code of the cell that it lies in, ``wartime`` whether that
    is in wartime operation for the domain.
    """

    domain: str
    category: str
    small_class: str | None
    severity: int
    cell: str
    wartime: bool = False


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a matter goes and why. ``rule`` is None when no rule fitted, ``org`` when the desk as a whole has it."""

    tier: str
    region: str
    org: str | None
    org_name: str | None
    org_name_en: str | None
    skill: str | None
    rule: str | None
    text: str
    text_en: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one rule: ``chosen``, ``later`` (fits, but not first) or ``unfit`` with what does not fit."""

    rule: str
    state: Literal["chosen", "later", "unfit"]
    unfit: tuple[str, ...]
    text: str
    text_en: str


_NO_RULE: Final = ("没有规则适用，由所在乡镇街道值班席受理", "no rule fits: the desk of the township takes it")
_NO_DESK: Final = "（{}在本级没有席位，由值班席受理）", " ({} has no desk at this tier: the desk itself takes it)"
_UNFIT: Final = {
    "effective_from": ("尚未生效", "not in force yet"),
    "effective_to": ("已失效", "no longer in force"),
    "domain": ("领域不符", "another domain"),
    "category": ("类别不符", "another category"),
    "small_class": ("小类不符", "another small class"),
    "severity": ("级别不符", "another severity"),
    "region": ("区域不符", "another region"),
    "mode": ("平战状态不符", "another mode"),
}


def read(text: str) -> RoutingTable:
    """The table from its YAML text. Raises BadRoutingTable."""
    try:
        document = read_document(text)
    except NotADocument as problem:
        raise BadRoutingTable(f"routing table: {problem}") from None
    if document.faults:
        first = document.faults[0]
        raise BadRoutingTable(f"routing table: line {first.line}: {first.reason}")
    pack = _converted(document.value, _Pack, "routing table")
    for severity in (1, 2, 3, 4):
        if severity not in pack.tier_by_severity:
            raise BadRoutingTable(f"routing table: tier_by_severity: severity {severity} needs a tier")
    organisations = [
        _converted(stated, Organisation, f"routing table: organisation {_named(stated, 'code', n)}")
        for n, stated in enumerate(pack.organisations, 1)
    ]
    found = [
        _converted(stated, RoutingRule, f"routing table: rule {_named(stated, 'id', n)}")
        for n, stated in enumerate(pack.rules, 1)
    ]
    _once("organisation", [one.code for one in organisations])
    _once("rule", [rule.id for rule in found])
    table = RoutingTable(pack.tier_by_severity, {one.code: one for one in organisations}, tuple(found))
    for rule in table.rules:
        _check(rule, table)
    return table


def _converted(value: Any, kind: type[_Struct], where: str) -> _Struct:
    try:
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, RecursionError) as problem:
        raise BadRoutingTable(f"{where}: {problem}") from None


def _named(stated: Any, key: str, n: int) -> str:
    name = stated.get(key) if isinstance(stated, dict) else None
    return name[:64] if isinstance(name, str) else str(n)


def _once(what: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadRoutingTable(f"routing table: {what} {name}: stands there twice")
        seen.add(name)


def _check(rule: RoutingRule, table: RoutingTable) -> None:
    if rule.to.org is None:
        return
    own = table.organisations.get(rule.to.org)
    if own is None:
        raise BadRoutingTable(f"routing table: rule {rule.id}: there is no organisation {rule.to.org}")
    if rule.to.tier is not None and rule.to.tier not in own.tiers:
        raise BadRoutingTable(f"routing table: rule {rule.id}: {own.code} has no desk at the tier {rule.to.tier}")


def route(table: RoutingTable, matter: Matter, tree: RegionTree, day: date) -> Routed:
    """Where a matter goes on a day. Never to nobody: without a rule the township of its cell has it.

    Raises KeyError for a cell that never was.
    """
    path = tree.path(matter.cell)
    rule = next((rule for rule in table.rules if not unfit(rule, matter, path, day)), None)
    if rule is None:
        desk = _desk(path, "township", tree)
        return Routed(desk.tier, desk.code, None, None, None, None, None, *_NO_RULE)
    desk = _desk(path, rule.to.tier or table.tier_by_severity[matter.severity], tree)
    own = None if rule.to.org is None else table.organisations[rule.to.org]
    if own is None:
        return Routed(desk.tier, desk.code, None, None, None, rule.to.skill, rule.id, rule.text, rule.text_en)
    if desk.tier not in own.tiers:
        text, text_en = rule.text + _NO_DESK[0].format(own.name), rule.text_en + _NO_DESK[1].format(own.name_en)
        return Routed(desk.tier, desk.code, None, None, None, rule.to.skill, rule.id, text, text_en)
    names = own.code, own.name, own.name_en
    return Routed(desk.tier, desk.code, *names, rule.to.skill, rule.id, rule.text, rule.text_en)


def _desk(path: tuple[Region, ...], tier: str, tree: RegionTree) -> Region:
    """The region of a tier in a path; the one above it when it has ended, since nothing is sent there any more."""
    upper = path[: TIERS.index(tier) + 1]
    return next((region for region in reversed(upper) if region.code in tree.regions), upper[0])


def skills_of(table: RoutingTable) -> tuple[str, ...]:
    """The skills that some rule asks for, by name."""
    return tuple(sorted({rule.to.skill for rule in table.rules if rule.to.skill is not None}))


def unfit(rule: RoutingRule, matter: Matter, path: tuple[Region, ...], day: date) -> tuple[str, ...]:
    """What of a rule does not fit a matter whose cell's path is ``path``; empty when all does."""
    when, low_high = rule.when, rule.when.severity
    fits = {
        "effective_from": rule.effective_from <= day,
        "effective_to": rule.effective_to is None or day <= rule.effective_to,
        "domain": when.domain is None or matter.domain in when.domain,
        "category": when.category is None or matter.category in when.category,
        "small_class": when.small_class is None or matter.small_class in when.small_class,
        "severity": low_high is None or low_high[0] <= matter.severity <= low_high[1],
        "region": when.region is None or any(region.code in when.region for region in path),
        "mode": when.mode is None or matter.wartime is (when.mode == "wartime"),
    }
    return tuple(name for name, right in fits.items() if not right)


def trace(table: RoutingTable, matter: Matter, tree: RegionTree, day: date) -> tuple[Trial, ...]:
    """Every rule in order, and why it was chosen or not. Raises KeyError for a cell that never was."""
    path, found, chosen = tree.path(matter.cell), [], None
    for rule in table.rules:
        wrong = unfit(rule, matter, path, day)
        if wrong:
            texts = "；".join(_UNFIT[name][0] for name in wrong), "; ".join(_UNFIT[name][1] for name in wrong)
            found.append(Trial(rule.id, "unfit", wrong, *texts))
        elif chosen is None:
            chosen = rule.id
            found.append(Trial(rule.id, "chosen", (), "适用", "fits"))
        else:
            texts = f"也适用，但排在 {chosen} 之后", f"fits too, but stands after {chosen}"
            found.append(Trial(rule.id, "later", (), *texts))
    return tuple(found)
