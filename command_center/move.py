"""A person moves a ticket: one transaction, one step, one event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection

from command_center.account.account import Account
from command_center.assignment import assigned
from command_center.event import log
from command_center.incident import incident as incidents
from command_center.incident import store as incident_store
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.decide import BadWish, NoSuchTarget, Wish, decide, machine_step
from command_center.ticket.dispatch import DispatchTable
from command_center.ticket.ticket import Move, Stale, Status, Ticket
from config.database import widen
from gis.region import RegionTree


class Practice(Protocol):
    """What of a city it takes to move a ticket."""

    @property
    def tree(self) -> RegionTree: ...

    @property
    def dispatch(self) -> DispatchTable: ...


class NoSuchTicket(LookupError):
    """There is no such ticket, or the account may not know of it."""


class OutOfDate(Stale):
    """The request was made looking at an older version of the ticket; ``current`` is how it stands."""

    def __init__(self, current: Ticket) -> None:
        super().__init__(f"ticket {current.place.number} is at version {current.version} now: look again")
        self.current = current


@dataclass(frozen=True, slots=True)
class Done:
    """A move that was made and still has to be told: each ticket it changed as it is and as it was, the asked one first."""

    changed: tuple[tuple[Ticket, Ticket], ...]
    incident: incidents.Incident | None

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
    # Incident before ticket, as the worker locks them.
    incident = incident_store.load_incidents(connection, [found.place.incident])[found.place.incident]
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
    changed = incidents.following(incident, _standing(after), after.severity)
    if changed is not None:
        incident_store.save_incident_status(connection, changed)
    ticket_store.move_ticket(connection, before, after, step)
    done = [(after, before)]
    if other is not None:
        done.append(_tie(connection, locked[other], after, city, now))
    return Done(tuple(done), changed)


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
    if done.incident is not None:
        events.append(incidents.event_of(done.incident))
    log.append(connection, events)
