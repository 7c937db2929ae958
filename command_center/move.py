"""A person moves a ticket: one transaction, one step, one event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from sqlalchemy import Connection

from command_center import regroup
from command_center.account.account import Account
from command_center.assignment import assigned
from command_center.event import log
from command_center.incident import incident as incidents
from command_center.incident import store as incident_store
from command_center.incident.incident import IncidentStep
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.decide import BadWish, NoSuchTarget, Wish, decide, machine_step
from command_center.ticket.dispatch import DispatchTable
from command_center.ticket.ticket import Move, Stale, Status, Step, Ticket
from config.database import widen
from gis.region import RegionTree
from rules.correlation import Correlation

_FILING: Final = frozenset({Move.FILE, Move.SELF_HANDLE})
"""What makes a matter of what a person reported."""


class Practice(Protocol):
    """What of a city it takes to move a ticket."""

    @property
    def tree(self) -> RegionTree: ...

    @property
    def dispatch(self) -> DispatchTable: ...

    @property
    def correlation(self) -> Correlation: ...


class NoSuchTicket(LookupError):
    """There is no such ticket, or the account may not know of it."""


class OutOfDate(Stale):
    """The request was made looking at an older version of the ticket; ``current`` is how it stands."""

    def __init__(self, current: Ticket) -> None:
        super().__init__(f"ticket {current.place.number} is at version {current.version} now: look again")
        self.current = current


@dataclass(frozen=True, slots=True)
class Done:
    """A move that was made and still has to be told: each ticket it changed as it is and as it was, the asked one first; and
    the incidents it changed.
    """

    changed: tuple[tuple[Ticket, Ticket], ...]
    incidents: tuple[incidents.Incident, ...] = ()

    @property
    def ticket(self) -> Ticket:
        """The ticket that was moved, after it."""
        return self.changed[0][0]


def make_move(
    connection: Connection, account: Account, city: Practice, ticket: UUID, wish: Wish, now: datetime
) -> Done:
    """Write a move. Call ``tell`` last, before the commit.

    Raises NoSuchTicket, OutOfDate and what ``decide`` raises.
    """
    found = ticket_store.read_ticket(connection, ticket)
    if found is None:
        raise NoSuchTicket(f"there is no ticket {ticket}")
    other = _other(connection, found, wish)
    # From here on what the account may do is decided below. A ticket that was sent beside its place has its incident, and
    # on its way back its next holder, outside the subtree of the account that moves it.
    widen(connection, city.tree.root.scope)
    own = found.place.incident
    if found.status in tickets.UNFILED:
        families = incident_store.families_of(connection, [own])
        incident_store.lock_families(connection, families, city.correlation)
    # Incident before ticket, as the worker locks them.
    matters = _lock_matters(connection, found, wish.move, other, city.correlation)
    locked = ticket_store.load_tickets(connection, [ticket, *([other] if other else ())])
    before = locked[ticket]
    if not tickets.may_see(before, account.scope):
        # It was called back while we waited for the lock.
        raise NoSuchTicket(f"there is no ticket {ticket}")
    if before.version != wish.version:
        raise OutOfDate(before)
    step = decide(before, wish, account.actor, city.tree, city.dispatch, now)
    step = assigned(connection, before.place, before, step, city.dispatch, city.tree)
    after = tickets.after(before, step)
    changed, steps = _regrouped(connection, matters, own, after, step, now)
    for incident in changed:
        incident_store.save_incident_status(connection, incident)
    incident_store.save_incident_steps(connection, steps)
    ticket_store.move_ticket(connection, before, after, step)
    done = [(after, before)]
    if other is not None:
        done.append(_tie(connection, locked[other], after, city, now))
    return Done(tuple(done), tuple(changed))


def _lock_matters(
    connection: Connection, ticket: Ticket, move: Move, other: UUID | None, table: Correlation
) -> dict[UUID, incidents.Incident]:
    """The ticket's incident, locked, and with it those that it joins, leaves or stands beside from now on."""
    own = ticket.place.incident
    if move is Move.MERGE and other is not None:
        master = ticket_store.read_ticket(connection, other)
        return incident_store.load_incidents(connection, {own} if master is None else {own, master.place.incident})
    while True:
        others = _touched(connection, ticket, move, table)
        attempt = connection.begin_nested()
        locked = incident_store.load_incidents(connection, {own, *others})
        if not others or _touched(connection, ticket, move, table) == others:
            attempt.commit()
            return locked
        # Holding some while waiting for others is how two people embrace.
        attempt.rollback()


def _touched(connection: Connection, ticket: Ticket, move: Move, table: Correlation) -> set[UUID]:
    """The other incidents that a move changes: what has the signals of one that is split off, or lies beside what is filed."""
    own = ticket.place.incident
    if move is Move.SPLIT:
        return set(incident_store.keepers(connection, own))
    if move in _FILING and ticket.status in tickets.UNFILED:
        return regroup.beside(connection, own, incident_store.signals_of(connection, own), table)
    return set()


def _regrouped(
    connection: Connection,
    matters: Mapping[UUID, incidents.Incident],
    own: UUID,
    after: Ticket,
    step: Step,
    now: datetime,
) -> tuple[list[incidents.Incident], list[IncidentStep]]:
    """What a step of a ticket makes of its incident and of those beside it; signals go along."""
    incident = matters[own]
    if step.move is Move.MERGE:
        [master] = [one for one in matters.values() if one.id != own]
        return regroup.merge_by_person(connection, incident, master, step, now)
    if step.move is Move.SPLIT:
        return regroup.split_by_person(connection, incident, matters, step, now)
    changed = incidents.following(incident, _standing(after), after.severity)
    if changed is None:
        return [], []
    if incident.status == incidents.REPORTED and changed.status == incidents.OPEN:
        # The desk has seen what lies near and files it all the same.
        others = [one for one in matters.values() if one.id != own]
        return regroup.stand_alone(connection, changed, others, now, step)
    return [changed], []


def _standing(ticket: Ticket) -> str:
    """Where the incident of a ticket stands."""
    if ticket.ended:
        return incidents.CLOSED
    return incidents.REPORTED if ticket.status in tickets.UNFILED else incidents.OPEN


def _other(connection: Connection, ticket: Ticket, wish: Wish) -> UUID | None:
    """The ticket that this one joins or leaves, as far as the asking account sees it. Raises NoSuchTarget."""
    if wish.move is Move.SPLIT:
        return ticket.merged_into
    if wish.move is not Move.MERGE:
        return None
    try:
        master = ticket_store.read_ticket(connection, UUID(wish.to or ""))
    except ValueError:
        raise BadWish("merge needs `to`: the id of the ticket that it joins") from None
    if master is None:
        raise NoSuchTarget(f"there is no ticket {wish.to}")
    return master.place.id


def _tie(
    connection: Connection, master: Ticket, follower: Ticket, city: Practice, now: datetime
) -> tuple[Ticket, Ticket]:
    """The master of a merged ticket takes it up, or lets it go again. Raises IllegalMove when the master has ended."""
    own = follower.place.id
    others = tuple(one for one in master.merged if one != own)
    joins = follower.status is Status.MERGED
    told = {"ticket": follower.place.number}
    if master.ended and not joins:
        # It lets go of a ticket after its own end: the follower's step says so, and nothing about the master changes.
        return master, master
    move, merged = (Move.ABSORB, (*others, own)) if joins else (Move.RELEASE, others)
    step = machine_step(master, move, city.dispatch, now, told=told, merged=merged)
    after = tickets.after(master, step)
    ticket_store.move_ticket(connection, master, after, step)
    return after, master


def tell(connection: Connection, done: Done) -> None:
    """Append the move to the event log: the transaction's last statement."""
    events = [tickets.event_of(after, before) for after, before in done.changed if after != before]
    events += [incidents.event_of(incident) for incident in done.incidents]
    log.append(connection, events)
