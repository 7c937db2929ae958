"""Tickets, their steps, their deadlines and who may see them beside their place, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Connection,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from command_center.ticket.ticket import (
    Actor,
    Holder,
    Move,
    Place,
    Stale,
    Status,
    Step,
    Ticket,
    audience,
)
from config.database import Policy, metadata, within

Instant = DateTime(timezone=True)
Path = Text(collation="C")

tickets = Table(
    "tickets",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", Text, nullable=False, unique=True),
    Column("incident", Uuid, ForeignKey("incidents.id"), nullable=False, unique=True),
    Column("domain", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("cell", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("scope", Path, nullable=False, index=True),
    Column("lng", Double, nullable=False),
    Column("lat", Double, nullable=False),
    Column("path", JSONB, nullable=False),
    Column("source_kind", Text, nullable=False),
    Column("source", Text, nullable=False, index=True),
    Column("source_name", Text, nullable=False),
    Column("opened_at", Instant, nullable=False, index=True),
    Column("status", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("holder", JSONB, nullable=False),
    Column("audience", ARRAY(Path), nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("accepted_at", Instant),
    Column("handled_at", Instant),
    Column("closed_at", Instant),
    Column("overdue_at", Instant),
    Column("version", Integer, nullable=False),
    Index("ix_tickets_open", "scope", postgresql_where=text("status <> 'closed'")),
)

ticket_steps = Table(
    "ticket_steps",
    metadata,
    Column("ticket", Uuid, ForeignKey("tickets.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("move", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("status", Text, nullable=False),
    Column("holder", JSONB, nullable=False),
    Column("by", JSONB),
    Column("reason", Text),
    Column("facts", JSONB, nullable=False),
)

# Who sees an object although it lies outside the account's own subtree: it was dispatched there.
object_grants = Table(
    "object_grants",
    metadata,
    Column("object", Uuid, primary_key=True),
    Column("scope", Path, primary_key=True, index=True),
)

deadlines = Table(
    "deadlines",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("ticket", Uuid, ForeignKey("tickets.id"), nullable=False, unique=True),
    Column("due_at", Instant, nullable=False),
    Column("leased_until", Instant),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("done_at", Instant),
    Index("ix_deadlines_pending", "due_at", postgresql_where=text("done_at IS NULL")),
)

_GRANTED = f"ANY (ARRAY(SELECT g.object FROM object_grants g WHERE {within('g.scope')}))"
_OF_TICKET = "EXISTS (SELECT FROM tickets t WHERE t.id = ticket)"
policies = (
    Policy("object_grants", within("scope")),
    Policy("tickets", f"{within('scope')} OR id = {_GRANTED}"),
    Policy("ticket_steps", _OF_TICKET),
    Policy("deadlines", _OF_TICKET),
)

_PLACE = ("id", "number", "incident", "domain", "category", "cell", "region", "scope", "lng", "lat")
_SOURCE = ("source_kind", "source", "source_name", "opened_at")
_STATE = ("severity", "title", "title_en", "due_at", "accepted_at", "handled_at", "closed_at", "overdue_at", "version")


def ticket_of(row: Any) -> Ticket:
    """A ticket from its row."""
    place = Place(
        **{name: getattr(row, name) for name in _PLACE + _SOURCE},
        path=tuple((tier, code, name) for tier, code, name in row.path),
    )
    return Ticket(place, Status(row.status), Holder(**row.holder), **{name: getattr(row, name) for name in _STATE})


def _row(ticket: Ticket) -> dict[str, Any]:
    return {
        **{name: getattr(ticket.place, name) for name in _PLACE + _SOURCE},
        **{name: getattr(ticket, name) for name in _STATE},
        "path": [list(node) for node in ticket.place.path],
        "status": str(ticket.status),
        "tier": ticket.holder.tier,
        "holder": msgspec.to_builtins(ticket.holder),
        "audience": list(audience(ticket)),
    }


def load_tickets(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Ticket]:
    """Tickets by id, locked until the transaction ends."""
    found = connection.execute(
        tickets.select().where(tickets.c.id.in_(list(ids))).order_by(tickets.c.id).with_for_update()
    )
    return {row.id: ticket_of(row) for row in found}


def read_ticket(connection: Connection, ticket: UUID) -> Ticket | None:
    """A ticket as far as the connection may see it, not locked."""
    row = connection.execute(tickets.select().where(tickets.c.id == ticket)).one_or_none()
    return None if row is None else ticket_of(row)


def load_steps(connection: Connection, ticket: UUID) -> list[Step]:
    """A ticket's trail, oldest first."""
    found = connection.execute(
        ticket_steps.select().where(ticket_steps.c.ticket == ticket).order_by(ticket_steps.c.version)
    )
    return [
        Step(
            row.version,
            Move(row.move),
            row.at,
            Status(row.status),
            Holder(**row.holder),
            None if row.by is None else Actor(**row.by),
            row.reason,
            _facts(row.facts),
        )
        for row in found
    ]


def _facts(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {k: datetime.fromisoformat(v) if k.endswith("_at") and v else v for k, v in stored.items()}


def insert_tickets(connection: Connection, new: Sequence[tuple[Ticket, Step]]) -> None:
    """New tickets with their first steps and deadlines."""
    if not new:
        return
    connection.execute(tickets.insert(), [_row(ticket) for ticket, _ in new])
    save_steps(connection, [(ticket.place.id, step) for ticket, step in new])
    connection.execute(deadlines.insert(), [{"ticket": t.place.id, "due_at": t.due_at} for t, _ in new])


def move_ticket(connection: Connection, before: Ticket, after: Ticket, step: Step) -> None:
    """Write one step and what it made of the ticket. Raises Stale when somebody was first."""
    row = _row(after)
    changed = connection.execute(
        tickets.update()
        .where(tickets.c.id == after.place.id, tickets.c.version == before.version)
        .values({name: value for name, value in row.items() if name not in _PLACE + _SOURCE + ("path",)})
    )
    if changed.rowcount != 1:
        raise Stale(f"ticket {after.place.number} was moved by somebody else")
    save_steps(connection, [(after.place.id, step)])
    if after.due_at != before.due_at or after.status is Status.CLOSED:
        connection.execute(
            text("UPDATE deadlines SET due_at = :due, done_at = :done WHERE ticket = :ticket AND done_at IS NULL"),
            {"due": after.due_at, "done": after.closed_at, "ticket": after.place.id},
        )
    _grant(connection, before, after)


def _grant(connection: Connection, before: Ticket, after: Ticket) -> None:
    """Last of a move's writes: once its grant is gone, the mover itself may no longer see the ticket."""
    was, now = set(audience(before)[1:]), set(audience(after)[1:])
    for scope in sorted(now - was):
        connection.execute(insert(object_grants).on_conflict_do_nothing(), {"object": after.place.id, "scope": scope})
    for scope in sorted(was - now):
        connection.execute(
            object_grants.delete().where(object_grants.c.object == after.place.id, object_grants.c.scope == scope)
        )


def save_steps(connection: Connection, steps: Sequence[tuple[UUID, Step]]) -> None:
    """Append steps to trails."""
    if steps:
        connection.execute(
            ticket_steps.insert(),
            [
                {
                    "ticket": ticket,
                    "version": step.version,
                    "move": str(step.move),
                    "at": step.at,
                    "status": str(step.status),
                    "holder": msgspec.to_builtins(step.holder),
                    "by": None if step.by is None else msgspec.to_builtins(step.by),
                    "reason": step.reason,
                    "facts": msgspec.to_builtins(step.facts),
                }
                for ticket, step in steps
            ],
        )


def claim_deadlines(connection: Connection, now: datetime, lease_until: datetime, limit: int) -> list[UUID]:
    """Tickets whose time is up, each given to one claimant until its lease ends."""
    found = connection.execute(
        text(
            "UPDATE deadlines SET leased_until = :lease, attempts = attempts + 1 WHERE id IN ("
            " SELECT id FROM deadlines WHERE done_at IS NULL AND due_at <= :now"
            " AND (leased_until IS NULL OR leased_until < :now)"
            " ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED) RETURNING ticket"
        ),
        {"now": now, "lease": lease_until, "limit": limit},
    )
    return list(found.scalars())


def end_deadline(connection: Connection, ticket: UUID, now: datetime) -> None:
    """The deadline has done what it was for."""
    connection.execute(
        text("UPDATE deadlines SET done_at = :now WHERE ticket = :ticket"), {"now": now, "ticket": ticket}
    )
