"""The life of a rule's version: drafted, run in the shadow, published by a second person, replaced or withdrawn.

Rules come from packs, which nobody edits at run time. What people write is a *version* of a rule, numbered upwards from the
pack's own. The published version stands in the pack rule's place, a published retirement switches the rule off. A version
that takes effect on a later day waits, and what stood before it holds until then. Nothing that was written is ever changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby

import msgspec

from rules.alert import Alert, AlertChange, Change
from rules.check import check_counts
from rules.rule import Rule
from rules.rulebook import BadRule, Refusal, Rulebook, read_one


class State(StrEnum):
    """Where a version stands."""

    DRAFT = "draft"
    SHADOW = "shadow"
    PUBLISHED = "published"
    REPLACED = "replaced"
    WITHDRAWN = "withdrawn"


class Move(StrEnum):
    """What is done with a version. RETIRE drafts the end of the rule in force; SAVE and REPLACE follow from what people do."""

    SHADOW = "shadow"
    PUBLISH = "publish"
    WITHDRAW = "withdraw"
    RETIRE = "retire"
    SAVE = "save"
    REPLACE = "replace"


AFTER: Mapping[tuple[State, Move], State] = {
    (State.DRAFT, Move.SHADOW): State.SHADOW,
    (State.DRAFT, Move.PUBLISH): State.PUBLISHED,
    (State.DRAFT, Move.WITHDRAW): State.WITHDRAWN,
    (State.SHADOW, Move.PUBLISH): State.PUBLISHED,
    (State.SHADOW, Move.WITHDRAW): State.WITHDRAWN,
    # Only while it waits for its day: what is in force is replaced or retired, by two people like everything else.
    (State.PUBLISHED, Move.WITHDRAW): State.WITHDRAWN,
    (State.PUBLISHED, Move.REPLACE): State.REPLACED,
}
"""Every step there is; anything else is no way to go."""

_NEEDS_REASON = frozenset({Move.WITHDRAW, Move.RETIRE})


class NoSuchRule(LookupError):
    """There is no rule or no version of that name."""


class IllegalRuleMove(Exception):
    """The version cannot go there from where it stands."""


class RuleMoved(Exception):
    """Somebody else changed the version, or the rule in force, in the meantime."""


class SecondPersonNeeded(Exception):
    """Who wrote a version may not publish it."""


class RuleReasonMissing(ValueError):
    """This step needs a reason."""


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """Version ``n`` of a rule, as written. ``revision`` counts its steps.

    ``based_on`` is the version that was in force when it was written, ``starts_on`` the day on which the published one
    takes effect. ``retired``: it switches the rule off; its text then only says what is switched off.
    """

    rule: str
    n: int
    text: str
    state: State
    revision: int
    author: str
    author_name: str
    made_at: datetime
    note: str
    retired: bool = False
    based_on: int | None = None
    effective_from: date | None = None
    effective_to: date | None = None
    shadow_from: datetime | None = None
    shadow_to: datetime | None = None
    published_by: str | None = None
    published_at: datetime | None = None
    starts_on: date | None = None

    @property
    def place(self) -> str:
        """How a refusal names it."""
        return f"{self.rule}@{self.n}"

    def waits(self, day: date) -> bool:
        """Whether it is published for a later day."""
        return self.state is State.PUBLISHED and self.starts_on is not None and self.starts_on > day


@dataclass(frozen=True, slots=True)
class RuleStep:
    """One step of a version's history. ``by`` is a user name."""

    rule: str
    version: int
    revision: int
    move: Move
    at: datetime
    by: str
    by_name: str
    state: State
    reason: str | None = None


def decide(version: RuleVersion, move: Move, by: str, day: date, *, in_force: int | None, reason: str | None) -> State:
    """Where ``move`` takes a version on ``day``. ``in_force`` is the number of the version in force, None without any.

    Raises IllegalRuleMove, SecondPersonNeeded, RuleMoved and RuleReasonMissing.
    """
    after = AFTER.get((version.state, move))
    if after is None:
        raise IllegalRuleMove(f"version {version.n} is {version.state}: it cannot {move} from there")
    if move is Move.WITHDRAW and version.state is State.PUBLISHED and not version.waits(day):
        raise IllegalRuleMove(f"version {version.n} took effect: publish another one in its place, or retire the rule")
    if move is Move.SHADOW and version.retired:
        raise IllegalRuleMove("a retirement evaluates nothing: there is no shadow run of it")
    if move is Move.PUBLISH:
        _may_publish(version, by, day, in_force)
    require_reason(move, reason)
    return after


def require_reason(move: Move, reason: str | None) -> None:
    """Raise RuleReasonMissing when a move that needs a reason comes without."""
    if move in _NEEDS_REASON and not (reason or "").strip():
        raise RuleReasonMissing(f"say why: to {move} a rule needs a reason")


def _may_publish(version: RuleVersion, by: str, day: date, in_force: int | None) -> None:
    if version.author == by:
        raise SecondPersonNeeded(f"{by} wrote version {version.n}: another account of the city has to publish it")
    if version.based_on != in_force:
        raise RuleMoved(
            f"version {version.n} was written when {_named(version.based_on)} was in force, now {_named(in_force)} is:"
            " look at the difference and save it anew"
        )
    if version.effective_to is not None and version.effective_to < day:
        raise IllegalRuleMove(f"version {version.n} ended on {version.effective_to.isoformat()}: write another one")


def _named(n: int | None) -> str:
    return "none" if n is None else f"version {n}"


def offers(version: RuleVersion, by: str, day: date, in_force: int | None) -> dict[Move, str | None]:
    """The moves that lead somewhere from here, each with the reason why ``by`` may not make it (None: may)."""
    found: dict[Move, str | None] = {}
    for move in (Move.SHADOW, Move.PUBLISH, Move.WITHDRAW):
        try:
            decide(version, move, by, day, in_force=in_force, reason="asked")
        except IllegalRuleMove:
            continue
        except (SecondPersonNeeded, RuleMoved) as problem:
            found[move] = str(problem)
        else:
            found[move] = None
    if version.n == in_force and not version.retired:
        found[Move.RETIRE] = None
    return found


def replaced_by(version: RuleVersion, others: Iterable[RuleVersion], day: date) -> list[RuleVersion]:
    """Which published versions end when ``version`` is published on ``day``.

    One that takes effect at once ends what has begun and leaves what waits; one that waits ends what waited before it.
    """
    waits = _starts_on(version, day) > day
    return [v for v in others if v.n != version.n and v.state is State.PUBLISHED and v.waits(day) == waits]


def published(version: RuleVersion, by: str, now: datetime, day: date) -> RuleVersion:
    """A version once it is published. ``decide`` has said that it may be."""
    shadow_to = now if version.state is State.SHADOW else version.shadow_to
    return replace(version, shadow_to=shadow_to, published_by=by, published_at=now, starts_on=_starts_on(version, day))


def _starts_on(version: RuleVersion, day: date) -> date:
    return max(version.effective_from or day, day)


def standing(versions: Iterable[RuleVersion], day: date) -> RuleVersion | None:
    """The published version that stands in the pack rule's place on ``day``: the one that took effect last."""
    begun = [v for v in versions if v.state is State.PUBLISHED and not v.waits(day)]
    return max(begun, key=lambda v: (v.starts_on or date.min, v.n), default=None)


@dataclass(frozen=True)
class InForce:
    """The rules in force and where they come from. ``edited`` are the published versions that stand in a pack rule's place,
    retirements included; ``packed`` is what the packs alone say.
    """

    book: Rulebook
    packed: Rulebook
    edited: Mapping[str, RuleVersion]

    def rule(self, rule: str) -> Rule | None:
        """The rule in force of that id."""
        return next((found for found in self.book.rules if found.id == rule), None)

    def version(self, rule: str) -> int | None:
        """The number of the version in force, a retirement included."""
        if rule in self.edited:
            return self.edited[rule].n
        found = self.rule(rule)
        return None if found is None else found.version


def in_force(packed: Rulebook, versions: Sequence[RuleVersion], quantities: AbstractSet[str], day: date) -> InForce:
    """The packs' rules with the published versions in their places.

    A published version that can no longer be read (its quantity is gone) is refused, and the pack's rule holds instead: a
    rule too old watches more than none. A version whose last day is over ends its rule.
    """
    rules = {rule.id: rule for rule in packed.rules}
    refusals = list(packed.refusals)
    edited: dict[str, RuleVersion] = {}
    for name, written in groupby(sorted(versions, key=lambda v: v.rule), key=lambda v: v.rule):
        version = standing(written, day)
        if version is None:
            continue
        over = version.effective_to is not None and version.effective_to < day
        rule = None
        if not version.retired and not over:
            try:
                rule = read_version(version, packed, quantities)
            except BadRule as problem:
                refusals.append(Refusal(version.place, problem.line, problem.reason))
                continue
        edited[name] = version
        rules.pop(name, None)
        if rule is not None:
            rules[name] = rule
    for name, wrong in check_counts(rules).items():
        refusals.append(Refusal(f"{name}@{rules.pop(name).version}", 1, f"rule {name}: {wrong.reason}"))
    book = replace(packed, rules=tuple(rules[name] for name in sorted(rules)), refusals=tuple(refusals))
    return InForce(book, packed, edited)


def left_over(
    open_alerts: Iterable[Alert], book: Rulebook, now_us: int, out_of_service: AbstractSet[str] = frozenset()
) -> list[AlertChange]:
    """The end of every open alert that nothing would end any more: its rule is no longer in force, or its sensor is one of
    ``out_of_service`` (ids).
    """
    rules = {rule.id for rule in book.rules}

    def cause(alert: Alert) -> str | None:
        if alert.rule not in rules:
            return "rule_not_in_force"
        return "out_of_service" if alert.source.kind == "sensor" and alert.source.id in out_of_service else None

    return [
        AlertChange(
            Change.ENDED,
            replace(alert, ended_at_us=now_us, version=alert.version + 1, why={**alert.why, "ended": why}),
        )
        for alert in open_alerts
        if (why := cause(alert)) is not None
    ]


def in_shadow(packed: Rulebook, versions: Iterable[RuleVersion], quantities: AbstractSet[str]) -> Rulebook:
    """The versions in their shadow run, as a rulebook of their own. Their effective dates do not count yet."""
    rules: list[Rule] = []
    refusals: list[Refusal] = []
    for version in sorted((v for v in versions if v.state is State.SHADOW), key=lambda v: v.rule):
        try:
            rules.append(read_version(version, packed, quantities))
        except BadRule as problem:
            refusals.append(Refusal(version.place, problem.line, problem.reason))
    return replace(packed, rules=tuple(rules), refusals=tuple(refusals))


def read_version(version: RuleVersion, packed: Rulebook, quantities: AbstractSet[str]) -> Rule:
    """The rule that a version is. Raises BadRule."""
    rule = read_one(version.text, quantities, packed.areas)
    if rule.id != version.rule:
        raise BadRule(1, f"this is rule {rule.id}, not {version.rule}")
    numbered: Rule = msgspec.structs.replace(rule, version=version.n)
    return numbered


def read_draft(text: str, standing: InForce, quantities: AbstractSet[str]) -> Rule:
    """The rule in a text, checked by itself and beside the rules in force. Raises BadRule."""
    rule = read_one(text, quantities, standing.packed.areas)
    wrong = check_counts({found.id: found for found in standing.book.rules} | {rule.id: rule}).get(rule.id)
    if wrong is not None:
        raise BadRule(1, f"rule {rule.id}: {wrong.reason}")
    return rule
