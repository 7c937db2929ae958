"""A ticket is the fold of its append-only steps.

Everything about it that can change is changed by a step and by nothing else, so replaying the steps gives the row. Which
moves exist, from where, by whom and where to stands in one table; a move that is not in it does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from command_center.event.event import Event
from gis.region import RegionTree, covers


class Status(StrEnum):
    """Where a ticket stands."""

    FILED = "filed"
    DISPATCHED = "dispatched"
    ACCEPTED = "accepted"
    RETURNED = "returned"
    HANDLED = "handled"
    CLOSED = "closed"


class Move(StrEnum):
    """What people do to a ticket, and the three things the system does by itself."""

    DISPATCH = "dispatch"
    ACCEPT = "accept"
    RETURN = "return"
    FINISH = "finish"
    REWORK = "rework"
    CLOSE = "close"
    FILE = "file"
    RAISE = "raise"
    OVERDUE = "overdue"


class Who(StrEnum):
    """Who may make a move: whoever holds the ticket, or whoever stands above the holder."""

    HOLDER = "holder"
    ABOVE = "above"
    SYSTEM = "system"


class Where(StrEnum):
    """Where a move takes the ticket."""

    STAYS = "stays"
    DOWN = "down"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the transition table. ``status`` None leaves it as it is."""

    status: Status | None
    who: Who
    where: Where = Where.STAYS
    needs_reason: bool = False


_DISPATCH = Transition(Status.DISPATCHED, Who.HOLDER, Where.DOWN)
_ACCEPT = Transition(Status.ACCEPTED, Who.HOLDER)
_RETURN = Transition(Status.RETURNED, Who.HOLDER, Where.UP, needs_reason=True)
_OPEN: Final = (Status.FILED, Status.DISPATCHED, Status.ACCEPTED, Status.RETURNED, Status.HANDLED)

TRANSITIONS: Final[dict[tuple[Status, Move], Transition]] = {
    (Status.FILED, Move.DISPATCH): _DISPATCH,
    (Status.FILED, Move.ACCEPT): _ACCEPT,
    (Status.DISPATCHED, Move.DISPATCH): _DISPATCH,
    (Status.DISPATCHED, Move.ACCEPT): _ACCEPT,
    (Status.DISPATCHED, Move.RETURN): _RETURN,
    (Status.ACCEPTED, Move.DISPATCH): _DISPATCH,
    (Status.ACCEPTED, Move.RETURN): _RETURN,
    (Status.ACCEPTED, Move.FINISH): Transition(Status.HANDLED, Who.HOLDER),
    (Status.RETURNED, Move.DISPATCH): _DISPATCH,
    (Status.RETURNED, Move.ACCEPT): _ACCEPT,
    (Status.RETURNED, Move.RETURN): _RETURN,
    (Status.HANDLED, Move.REWORK): Transition(Status.DISPATCHED, Who.ABOVE, needs_reason=True),
    (Status.HANDLED, Move.CLOSE): Transition(Status.CLOSED, Who.ABOVE),
    **{(status, Move.RAISE): Transition(None, Who.SYSTEM) for status in _OPEN},
    **{(status, Move.OVERDUE): Transition(None, Who.SYSTEM) for status in _OPEN},
}


class IllegalMove(Exception):
    """The ticket does not allow this move from where it stands."""


class NotYours(Exception):
    """The account may see the ticket but not make this move."""


class ReasonMissing(Exception):
    """The move needs a reason and came without one."""


class NoSuchTarget(Exception):
    """The region a ticket was sent to is not one the move can reach."""


class Stale(Exception):
    """Somebody else moved the ticket first."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The account that moves a ticket, and the region it acts for."""

    account: str
    name: str
    tier: str
    scope: str


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a ticket: a region's desk, and the account that accepted it there."""

    region: str
    name: str
    tier: str
    scope: str
    account: str | None = None
    account_name: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a ticket's trail. ``facts`` are the values the step sets, by Ticket field."""

    version: int
    move: Move
    at: datetime
    status: Status
    holder: Holder
    by: Actor | None = None
    reason: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """What never changes about a ticket. ``path`` is the place's five regions as (tier, code, name), city first."""

    id: UUID
    number: str
    incident: UUID
    domain: str
    category: str
    cell: str
    region: str
    scope: str
    lng: float
    lat: float
    path: tuple[tuple[str, str, str], ...]
    source_kind: str
    source: str
    source_name: str
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as its steps left it."""

    place: Place
    status: Status
    holder: Holder
    version: int
    severity: int
    title: str
    title_en: str
    due_at: datetime
    accepted_at: datetime | None = None
    handled_at: datetime | None = None
    closed_at: datetime | None = None
    overdue_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A move the asking account may make now, with the regions it may send the ticket to."""

    move: Move
    needs_reason: bool
    to: tuple[tuple[str, str], ...] = ()


def fold(place: Place, steps: Iterable[Step]) -> Ticket:
    """The ticket that a trail adds up to. The first step is ``file``."""
    trail = iter(steps)
    first = next(trail)
    ticket = Ticket(place, first.status, first.holder, first.version, **first.facts)
    for step in trail:
        ticket = after(ticket, step)
    return ticket


_STAMPS: Final = {
    Move.ACCEPT: "accepted_at",
    Move.FINISH: "handled_at",
    Move.CLOSE: "closed_at",
    Move.OVERDUE: "overdue_at",
}


def after(ticket: Ticket, step: Step) -> Ticket:
    """The ticket after one more step."""
    changed: dict[str, Any] = dict(step.facts)
    if (stamp := _STAMPS.get(step.move)) is not None:
        changed[stamp] = step.at
    if step.move is Move.REWORK:
        changed["handled_at"] = None
    if step.move in {Move.DISPATCH, Move.RETURN, Move.REWORK}:
        changed["accepted_at"] = None
    return replace(ticket, status=step.status, holder=step.holder, version=step.version, **changed)


def file(place: Place, holder: Holder, *, severity: int, title: str, title_en: str, due_at: datetime) -> Step:
    """The first step: the ticket comes to a desk."""
    facts = {"severity": severity, "title": title, "title_en": title_en, "due_at": due_at}
    return Step(1, Move.FILE, place.opened_at, Status.FILED, holder, facts=facts)


def machine_step(ticket: Ticket, move: Move, now: datetime, *, holder: Holder | None = None, **facts: Any) -> Step:
    """A step the system takes by itself; ``holder`` when it also moves the ticket. Raises IllegalMove."""
    transition = TRANSITIONS.get((ticket.status, move))
    if transition is None or transition.who is not Who.SYSTEM:
        raise IllegalMove(f"ticket {ticket.place.number} is {ticket.status}: {move} does not apply")
    return Step(ticket.version + 1, move, now, ticket.status, holder or ticket.holder, facts=facts)


def decide(
    ticket: Ticket, move: Move, actor: Actor, tree: RegionTree, now: datetime, *, to: str | None, reason: str | None
) -> Step:
    """The step that a person's move is. Raises IllegalMove, NotYours, ReasonMissing or NoSuchTarget."""
    transition = TRANSITIONS.get((ticket.status, move))
    if transition is None or transition.who is Who.SYSTEM:
        raise IllegalMove(f"ticket {ticket.place.number} is {ticket.status}: {move} is not possible from there")
    if not _may(ticket, transition, actor):
        raise NotYours(f"ticket {ticket.place.number} is held by {ticket.holder.name}: {move} is for {transition.who}")
    reason = (reason or "").strip() or None
    if transition.needs_reason and reason is None:
        raise ReasonMissing(f"{move} needs a reason")
    holder = _holder_after(ticket, move, transition, actor, tree, to)
    return Step(ticket.version + 1, move, now, transition.status or ticket.status, holder, actor, reason)


def offers(ticket: Ticket, actor: Actor, tree: RegionTree) -> list[Offer]:
    """What an account may do with a ticket now."""
    found = []
    for (status, move), transition in TRANSITIONS.items():
        if status is not ticket.status or transition.who is Who.SYSTEM or not _may(ticket, transition, actor):
            continue
        targets = _targets(ticket, transition, tree)
        if targets is not None:
            found.append(Offer(move, transition.needs_reason, targets))
    return found


def _may(ticket: Ticket, transition: Transition, actor: Actor) -> bool:
    if transition.who is Who.HOLDER:
        return actor.scope == ticket.holder.scope
    # Nobody stands above the city: it checks its own work.
    above = covers(actor.scope, ticket.holder.scope) and actor.scope != ticket.holder.scope
    return above or (ticket.holder.tier == "city" and actor.scope == ticket.holder.scope)


def _targets(ticket: Ticket, transition: Transition, tree: RegionTree) -> tuple[tuple[str, str], ...] | None:
    """The regions a move may go to, the one on the path to the place first; empty when it goes nowhere, None when it cannot."""
    if transition.where is Where.STAYS:
        return ()
    if transition.where is Where.UP:
        parent = tree[ticket.holder.region].parent
        return None if parent is None else ((parent, tree[parent].name),)
    below = tree.children.get(ticket.holder.region, ())
    ordered = sorted(below, key=lambda region: not covers(region.scope, ticket.place.scope))
    return tuple((region.code, region.name) for region in ordered) or None


def _holder_after(
    ticket: Ticket, move: Move, transition: Transition, actor: Actor, tree: RegionTree, to: str | None
) -> Holder:
    if transition.where is Where.STAYS:
        if move is Move.ACCEPT:
            return replace(ticket.holder, account=actor.account, account_name=actor.name)
        if move is Move.REWORK:
            return replace(ticket.holder, account=None, account_name=None)
        return ticket.holder
    targets = _targets(ticket, transition, tree)
    if not targets:
        raise NoSuchTarget(f"{ticket.holder.name} is at the {ticket.holder.tier} tier: {move} leads nowhere from there")
    chosen = to or targets[0][0]
    if chosen not in {code for code, _ in targets}:
        raise NoSuchTarget(f"region {chosen} is not one that {ticket.holder.name} can {move} to")
    region = tree[chosen]
    return Holder(region.code, region.name, region.tier, region.scope)


def audience(ticket: Ticket) -> tuple[str, ...]:
    """The paths that see a ticket: its place, and the holder when it was sent to somebody beside the place."""
    if covers(ticket.holder.scope, ticket.place.scope):
        return (ticket.place.scope,)
    return (ticket.place.scope, ticket.holder.scope)


def may_see(ticket: Ticket, scope: str) -> bool:
    """Whether accounts with this scope see the ticket."""
    return any(covers(scope, path) for path in audience(ticket))


def shown(ticket: Ticket) -> dict[str, Any]:
    """As HTTP and the event log show it."""
    place, holder = ticket.place, ticket.holder

    def moment(at: datetime | None) -> str | None:
        return None if at is None else at.isoformat()

    return {
        "id": str(place.id),
        "number": place.number,
        "title": ticket.title,
        "title_en": ticket.title_en,
        "status": str(ticket.status),
        "tier": holder.tier,
        "region": place.region,
        "cell": place.cell,
        "lng": place.lng,
        "lat": place.lat,
        "domain": place.domain,
        "category": place.category,
        "severity": ticket.severity,
        "path": [{"tier": tier, "region": code, "name": name} for tier, code, name in place.path],
        "holder": {
            "region": holder.region,
            "name": holder.name,
            "tier": holder.tier,
            "account": holder.account,
            "account_name": holder.account_name,
        },
        "opened_at": moment(place.opened_at),
        "due_at": moment(ticket.due_at),
        "accepted_at": moment(ticket.accepted_at),
        "handled_at": moment(ticket.handled_at),
        "closed_at": moment(ticket.closed_at),
        "overdue_at": moment(ticket.overdue_at),
        "version": ticket.version,
        "incident": str(place.incident),
        "source": {"kind": place.source_kind, "id": place.source, "name": place.source_name},
    }


def event_of(ticket: Ticket, before: Ticket | None = None) -> Event:
    """What the log says when the ticket changed from ``before`` (None: it is new)."""
    was = () if before is None else audience(before)
    place = ticket.place
    return Event("ticket", str(place.id), ticket.version, place.region, shown(ticket), audience(ticket), was)
