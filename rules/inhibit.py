"""Inhibition: while a grave alert stands, what follows from it near by calls nobody.

A flooded town drowns its pumps and stops its traffic: one cause, one alert that people see. Only an alert that people do see
keeps others quiet, so every alert that is inhibited has a visible cause: inhibition is not transitive, and no alert inhibits
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
import yaml

from rules.alert import Alert
from rules.correlate import metres
from rules.life import Muted, Muting
from rules.rule import Closed, Evidence, Name, Severity
from rules.rulebook import YAML_FAULTS, fault

_DEPTH: Final = {"county": 2, "township": 3, "village": 4, "cell": 5}


class BadInhibition(ValueError):
    """The inhibition table cannot be used; the message says why."""


class Cause(Closed, frozen=True):
    """Which alerts keep others quiet."""

    category: Name
    min_severity: Severity


class Effects(Closed, frozen=True):
    """Which alerts are kept quiet."""

    categories: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=64)]


class Within(Closed, frozen=True):
    """How far it reaches: the same region of a tier, or a radius. Exactly one is given."""

    same: Literal["cell", "village", "township", "county"] | None = None
    radius_m: Annotated[float, msgspec.Meta(gt=0, le=50_000)] | None = None


class Inhibition(Closed, frozen=True):
    """While an alert of ``source`` stands, alerts of ``mutes`` within reach of it are suppressed."""

    id: Name
    source: Cause
    mutes: Effects
    within: Within
    evidence: Evidence


class _Pack(msgspec.Struct, frozen=True):
    inhibitions: tuple[Inhibition, ...]


def read(text: str) -> tuple[Inhibition, ...]:
    """The table from its YAML text. Raises BadInhibition."""
    try:
        found: Any = yaml.safe_load(text)
    except YAML_FAULTS as problem:
        line, reason = fault(problem)
        raise BadInhibition(f"line {line}: {reason}") from None
    try:
        table = msgspec.convert(found, _Pack).inhibitions
    except (msgspec.ValidationError, RecursionError) as problem:
        raise BadInhibition(str(problem)) from None
    for number, rule in enumerate(table):
        if rule.id in {other.id for other in table[:number]}:
            raise BadInhibition(f"{rule.id} is there already: ids must differ")
        if (rule.within.same is None) == (rule.within.radius_m is None):
            raise BadInhibition(f"{rule.id}: within needs exactly one of same and radius_m")
    _refuse_cycles(table)
    return table


def _refuse_cycles(table: Sequence[Inhibition]) -> None:
    effects: dict[str, set[str]] = {}
    for rule in table:
        effects.setdefault(rule.source.category, set()).update(rule.mutes.categories)
    # What has no effect on anything left is peeled off until nothing moves; what stays keeps itself quiet in a circle.
    while True:
        harmless = [category for category, targets in effects.items() if not targets & effects.keys()]
        if not harmless:
            break
        for category in harmless:
            del effects[category]
    if effects:
        raise BadInhibition(f"categories keep each other quiet in a circle: {', '.join(sorted(effects))}")


def causes(table: Iterable[Inhibition], alert: Alert) -> list[Inhibition]:
    """The inhibitions that would keep the alert quiet."""
    return [rule for rule in table if alert.category in rule.mutes.categories]


def source_categories(table: Iterable[Inhibition]) -> set[str]:
    """Categories whose alerts may keep others quiet."""
    return {rule.source.category for rule in table}


def inhibits(rule: Inhibition, source: Alert, target: Alert) -> bool:
    """Whether ``source``, while it stands and is seen, keeps ``target`` quiet."""
    return (
        source.id != target.id
        and source.category == rule.source.category
        and source.severity >= rule.source.min_severity
        and target.category in rule.mutes.categories
        and _reaches(rule.within, source, target)
    )


def _reaches(within: Within, source: Alert, target: Alert) -> bool:
    one, other = source.source, target.source
    if within.radius_m is not None:
        return metres(one.lng, one.lat, other.lng, other.lat) <= within.radius_m
    depth = _DEPTH[within.same or "cell"]
    path = one.scope.split("/")[:depth]
    return len(path) == depth and all(path) and path == other.scope.split("/")[:depth]


def suppressed(
    table: Sequence[Inhibition], fresh: Sequence[Alert], seen: Iterable[Alert], quiet: Mapping[UUID, Muted]
) -> dict[UUID, Muted]:
    """Which of ``fresh`` alerts are inhibited: by the ``seen`` ones that stand already, or by each other.

    ``quiet`` are those of ``fresh`` that a mute keeps quiet: they inhibit nobody. Their order does not matter.
    """
    standing = {alert.id: alert for alert in seen} | {
        alert.id: alert for alert in fresh if alert.ended_at_us is None and alert.id not in quiet
    }
    by_category: dict[str, list[Alert]] = {}
    for alert in standing.values():
        by_category.setdefault(alert.category, []).append(alert)
    new = {alert.id for alert in fresh}
    judged: dict[UUID, Alert | None] = {}

    def inhibitor(target: Alert) -> Alert | None:
        # It ends: a category never comes to inhibit itself, the table has no circles.
        if target.id not in judged:
            found = [
                source
                for rule in causes(table, target)
                for source in by_category.get(rule.source.category, ())
                if inhibits(rule, source, target) and (source.id not in new or inhibitor(source) is None)
            ]
            judged[target.id] = min(found, key=lambda source: (source.raised_at_us, source.id), default=None)
        return judged[target.id]

    return {
        target.id: Muted(Muting.INHIBITED, source.id)
        for target in fresh
        if target.id not in quiet and (source := inhibitor(target)) is not None
    }
