"""Wartime operation of a region and some domains, for a time: declared, prolonged, ended early, or run out by itself.

Everything that nobody has declared is at peace. What counts is always the end that is written down, never the work that
notes that it has come: a scheduler that is late, or dead, keeps nobody at war.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from command_center.event.event import Event
from command_center.ticket.ticket import Actor
from gis.region import TIERS, Region, covers

LONGEST: Final = timedelta(hours=72)
"""How far ahead an end may lie. Whoever needs longer prolongs it, and says why again."""
DECLARING_TIERS: Final = ("city", "county")


class BadMode(ValueError):
    """The declaration is of no region or domain of the account's, too long, already over, or does not say why."""


class NotYoursToDeclare(Exception):
    """Wartime operation is declared and ended by the city and its counties, and ended by nobody below who declared it."""


class NoSuchMode(LookupError):
    """There is no such declaration, or the account may not know of it."""


class ModeOver(Exception):
    """The declaration has ended already."""


class ModeMove(StrEnum):
    """What became of a declaration."""

    DECLARED = "declared"
    PROLONGED = "prolonged"
    ENDED = "ended"
    RAN_OUT = "ran_out"


@dataclass(frozen=True, slots=True)
class Declaration:
    """``domains`` of everything below ``scope`` are in wartime operation from ``starts_at`` until ``ends_at`` (excluded), or
    until ``ended_at`` if that comes sooner. ``ended_by`` is None where it ran out. ``tier`` is that of who declared it.
    """

    id: UUID
    region: str
    region_name: str
    scope: str
    domains: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    by: str
    by_name: str
    tier: str
    reason: str
    version: int = 1
    ended_at: datetime | None = None
    ended_by: str | None = None
    ended_name: str | None = None
    ended_reason: str | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it is in force."""
        return self.starts_at <= now < self.ends_at and (self.ended_at is None or now < self.ended_at)


@dataclass(frozen=True, slots=True)
class ModeStep:
    """One line of a declaration's trail. ``by`` is None where nobody did it; ``ends_at`` is the end from then on."""

    version: int
    move: ModeMove
    at: datetime
    ends_at: datetime
    by: str | None = None
    by_name: str | None = None
    reason: str | None = None


def in_force(declarations: Iterable[Declaration], now: datetime) -> Mapping[str, frozenset[str]]:
    """The domains in wartime operation by the scope that they were declared for."""
    found: dict[str, frozenset[str]] = {}
    for declaration in declarations:
        if declaration.holds(now):
            found[declaration.scope] = found.get(declaration.scope, frozenset()) | frozenset(declaration.domains)
    return found


def declared(
    identity: UUID,
    region: Region,
    domains: Iterable[str],
    ends_at: datetime,
    reason: str,
    actor: Actor,
    now: datetime,
) -> tuple[Declaration, ModeStep]:
    """Wartime operation from now on. Raises NotYoursToDeclare or BadMode."""
    _may_declare(actor)
    if not covers(actor.scope, region.scope):
        raise BadMode(f"region {region.code} is not one of yours")
    wanted = tuple(sorted(set(domains)))
    if not wanted:
        raise BadMode("name at least one domain")
    why = _reason(reason)
    _check_end(ends_at, now, now)
    whose = actor.account, actor.name
    found = Declaration(identity, region.code, region.name, region.scope, wanted, now, ends_at, *whose, actor.tier, why)
    return found, ModeStep(1, ModeMove.DECLARED, now, ends_at, *whose, why)


def prolonged(
    mode: Declaration, ends_at: datetime, reason: str, actor: Actor, now: datetime
) -> tuple[Declaration, ModeStep]:
    """It ends later. Raises NotYoursToDeclare, ModeOver or BadMode."""
    _may_change(mode, actor, now)
    why = _reason(reason)
    _check_end(ends_at, mode.ends_at, now)
    after = replace(mode, ends_at=ends_at, version=mode.version + 1)
    return after, ModeStep(after.version, ModeMove.PROLONGED, now, ends_at, actor.account, actor.name, why)


def ended(mode: Declaration, reason: str, actor: Actor, now: datetime) -> tuple[Declaration, ModeStep]:
    """It ends now. Raises NotYoursToDeclare, ModeOver or BadMode."""
    _may_change(mode, actor, now)
    why, whose = _reason(reason), (actor.account, actor.name)
    after = replace(
        mode,
        version=mode.version + 1,
        ended_at=now,
        ended_by=actor.account,
        ended_name=actor.name,
        ended_reason=why,
    )
    return after, ModeStep(after.version, ModeMove.ENDED, now, mode.ends_at, *whose, why)


def ran_out(mode: Declaration, now: datetime) -> tuple[Declaration, ModeStep]:
    """What is written when nobody ended it: it was over at its end, noted ``now``."""
    after = replace(mode, version=mode.version + 1, ended_at=mode.ends_at)
    return after, ModeStep(after.version, ModeMove.RAN_OUT, now, mode.ends_at)


def shown(mode: Declaration, now: datetime) -> dict[str, Any]:
    """A declaration as HTTP and the event log show it. ``state``: in_force or over."""
    return {
        "id": str(mode.id),
        "mode": "wartime",
        "state": "in_force" if mode.holds(now) else "over",
        "region": mode.region,
        "region_name": mode.region_name,
        "domains": list(mode.domains),
        "starts_at": mode.starts_at.isoformat(),
        "ends_at": mode.ends_at.isoformat(),
        "by": mode.by,
        "by_name": mode.by_name,
        "tier": mode.tier,
        "reason": mode.reason,
        "ended_at": None if mode.ended_at is None else mode.ended_at.isoformat(),
        "ended_by": mode.ended_by,
        "ended_name": mode.ended_name,
        "ended_reason": mode.ended_reason,
        "version": mode.version,
    }


def event_of(mode: Declaration, now: datetime) -> Event:
    """What the log says when a declaration changed."""
    scope = (mode.scope,)
    return Event("mode", str(mode.id), mode.version, mode.region, shown(mode, now), scope, scope)


def _may_declare(actor: Actor) -> None:
    if actor.tier not in DECLARING_TIERS:
        raise NotYoursToDeclare(
            f"wartime operation is declared by accounts of city and county: yours is of tier {actor.tier}"
        )


def _may_change(mode: Declaration, actor: Actor, now: datetime) -> None:
    _may_declare(actor)
    if not covers(actor.scope, mode.scope) or TIERS.index(actor.tier) > TIERS.index(mode.tier):
        raise NotYoursToDeclare(
            f"{mode.by_name} ({mode.tier}) declared it for {mode.region_name}: it is not yours to end"
        )
    if not mode.holds(now):
        raise ModeOver(f"wartime operation of {mode.region_name} is over: declare it anew")


def _reason(reason: str) -> str:
    if not reason.strip():
        raise BadMode("say why")
    return reason.strip()


def _check_end(ends_at: datetime, after: datetime, now: datetime) -> None:
    if ends_at <= after:
        raise BadMode(f"it would end at {ends_at.isoformat()}, which is not after {after.isoformat()}")
    if ends_at - now > LONGEST:
        raise BadMode(f"its end may lie {LONGEST.total_seconds() / 3600:.0f} hours ahead at most: prolong it later")
