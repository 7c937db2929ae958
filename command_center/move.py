"""A person moves a ticket: one transaction, one step, one event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from command_center.account.account import Account
from command_center.event import log
from command_center.incident import incident as incidents
from command_center.incident import store as incident_store
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.ticket import Move, Stale, Ticket
from config.database import widen
from gis.region import RegionTree


class NoSuchTicket(LookupError):
    """There is no such ticket, or the account may not know of it."""


class OutOfDate(Stale):
    """The request was made looking at an older version of the ticket; ``current`` is how it stands."""

    def __init__(self, current: Ticket) -> None:
        super().__init__(f"ticket {current.place.number} is at version {current.version} now: look again")
        self.current = current


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: the move, where to, why, and the version of the ticket that was being looked at."""

    move: Move
    version: int
    to: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A move that was made and still has to be told."""

    ticket: Ticket
    before: Ticket
    incident: incidents.Incident | None


def make_move(
    connection: Connection, account: Account, tree: RegionTree, ticket: UUID, wish: Wish, now: datetime
) -> Done:
    """Write a move. Call ``tell`` last, before the commit.

    Raises NoSuchTicket, OutOfDate and what ``ticket.decide`` raises.
    """
    found = ticket_store.read_ticket(connection, ticket)
    if found is None:
        raise NoSuchTicket(f"there is no ticket {ticket}")
    # From here on what the account may do is decided below. A ticket that was sent beside its place has its incident, and
    # on its way back its next holder, outside the subtree of the account that moves it.
    widen(connection, tree.root.scope)
    incident = None
    if wish.move is Move.CLOSE:
        # Incident before ticket, as the worker locks them.
        incident = incident_store.load_incidents(connection, [found.place.incident])[found.place.incident]
    before = ticket_store.load_tickets(connection, [ticket])[ticket]
    if not tickets.may_see(before, account.scope):
        # It was called back while we waited for the lock.
        raise NoSuchTicket(f"there is no ticket {ticket}")
    if before.version != wish.version:
        raise OutOfDate(before)
    step = tickets.decide(before, wish.move, account.actor, tree, now, to=wish.to, reason=wish.reason)
    after = tickets.after(before, step)
    if incident is not None:
        incident = incidents.closed(incident)
        incident_store.save_incident_status(connection, incident)
    ticket_store.move_ticket(connection, before, after, step)
    return Done(after, before, incident)


def tell(connection: Connection, done: Done) -> None:
    """Append the move to the event log: the transaction's last statement."""
    events = [tickets.event_of(done.ticket, done.before)]
    if done.incident is not None:
        events.append(incidents.event_of(done.incident))
    log.append(connection, events)
