"""A person writes or moves a version of a rule: one transaction, one step for every version it touches."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import Connection

from command_center.account.account import Account
from rules.rule import Rule
from rules.rule_text import written
from rules.rulebook import Rulebook
from rules.version import (
    IllegalRuleMove,
    InForce,
    Move,
    NoSuchRule,
    RuleMoved,
    RuleStep,
    RuleVersion,
    State,
    decide,
    in_force,
    published,
    read_draft,
    replaced_by,
    require_reason,
)
from rules.version_store import insert_version, load_versions, lock_rules, newest_version, save_standing


class NotOfTheCity(Exception):
    """Rules hold for the whole city: only its own accounts write them."""


@dataclass(frozen=True, slots=True)
class Editor:
    """Who writes rules, when, and what rules are checked against. ``day`` is the city's."""

    who: Account
    now: datetime
    day: date
    packed: Rulebook
    quantities: AbstractSet[str]


@dataclass(frozen=True, slots=True)
class RuleWish:
    """What is asked for, why, and the revision of the version that was being looked at (None: whatever it is)."""

    move: Move
    reason: str | None = None
    revision: int | None = None


def save_draft(connection: Connection, editor: Editor, text: str, note: str) -> RuleVersion:
    """Store a rule as a draft. Raises NotOfTheCity and BadRule."""
    require_city(editor.who)
    lock_rules(connection)
    standing = _in_force(connection, editor)
    rule = read_draft(text, standing, editor.quantities)
    return _insert(connection, editor, rule, text, note, standing.version(rule.id), retired=False)


def make_rule_move(connection: Connection, editor: Editor, rule: str, n: int, wish: RuleWish) -> RuleVersion:
    """Move a version; the version as it stands then, or for a retirement the draft that would switch the rule off.

    Raises NotOfTheCity, NoSuchRule, RuleMoved, BadRule and what ``version.decide`` raises.
    """
    require_city(editor.who)
    lock_rules(connection)
    standing = _in_force(connection, editor)
    if wish.move is Move.RETIRE:
        return _retire(connection, editor, rule, n, wish, standing)
    versions = load_versions(connection, rule=rule)
    version = next((v for v in versions if v.n == n), None)
    if version is None:
        raise NoSuchRule(f"there is no version {n} of rule {rule} that somebody wrote")
    if wish.revision is not None and wish.revision != version.revision:
        raise RuleMoved(f"version {n} is {version.state} and at revision {version.revision} now: look again")
    who, day = editor.who.username, editor.day
    state = decide(version, wish.move, who, day, in_force=standing.version(rule), reason=wish.reason)
    if wish.move in (Move.SHADOW, Move.PUBLISH) and not version.retired:
        read_draft(version.text, standing, editor.quantities)
    if wish.move is Move.SHADOW:
        _only_shadow(version, versions)
        version = replace(version, shadow_from=editor.now)
    elif wish.move is Move.PUBLISH:
        for other in replaced_by(version, versions, day):
            _step(connection, editor, other, Move.REPLACE, State.REPLACED, f"version {n} was published")
        version = published(version, who, editor.now, day)
    elif version.state is State.SHADOW:
        version = replace(version, shadow_to=editor.now)
    return _step(connection, editor, version, wish.move, state, wish.reason)


def require_city(who: Account) -> None:
    """Raise NotOfTheCity for an account of any other tier."""
    if who.tier != "city":
        raise NotOfTheCity(f"rules hold for the whole city: {who.username} is of the tier {who.tier}")


def _retire(
    connection: Connection, editor: Editor, name: str, n: int, wish: RuleWish, standing: InForce
) -> RuleVersion:
    rule = standing.rule(name)
    if rule is None:
        raise NoSuchRule(f"there is no rule {name} in force")
    if n != rule.version:
        raise RuleMoved(f"version {rule.version} of rule {name} is in force now, not {n}: look again")
    edited = standing.edited.get(name)
    text = written(rule) if edited is None else edited.text
    require_reason(Move.RETIRE, wish.reason)
    return _insert(connection, editor, rule, text, wish.reason or "", rule.version, retired=True)


def _in_force(connection: Connection, editor: Editor) -> InForce:
    versions = load_versions(connection, states=(State.PUBLISHED,))
    return in_force(editor.packed, versions, editor.quantities, editor.day)


def _only_shadow(version: RuleVersion, versions: list[RuleVersion]) -> None:
    running = next((v.n for v in versions if v.state is State.SHADOW and v.n != version.n), None)
    if running is not None:
        raise IllegalRuleMove(f"version {running} of the rule runs in the shadow already: withdraw or publish it first")


def _insert(
    connection: Connection, editor: Editor, rule: Rule, text: str, note: str, based_on: int | None, *, retired: bool
) -> RuleVersion:
    packed = max((found.version for found in editor.packed.rules if found.id == rule.id), default=0)
    version = RuleVersion(
        rule=rule.id,
        n=max(newest_version(connection, rule.id), packed) + 1,
        text=text,
        state=State.DRAFT,
        revision=1,
        author=editor.who.username,
        author_name=editor.who.name,
        made_at=editor.now,
        note=note,
        retired=retired,
        based_on=based_on,
        effective_from=None if retired else rule.effective_from,
        effective_to=None if retired else rule.effective_to,
    )
    insert_version(connection, version, _told(editor, version, Move.SAVE, note))
    return version


def _step(
    connection: Connection, editor: Editor, version: RuleVersion, move: Move, state: State, reason: str | None
) -> RuleVersion:
    after = replace(version, state=state, revision=version.revision + 1)
    save_standing(connection, after, _told(editor, after, move, reason))
    return after


def _told(editor: Editor, version: RuleVersion, move: Move, reason: str | None) -> RuleStep:
    who = editor.who
    return RuleStep(
        version.rule, version.n, version.revision, move, editor.now, who.username, who.name, version.state, reason
    )
