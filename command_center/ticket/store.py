"""Tickets, their steps, their deadlines and who may see them beside their place, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final, get_type_hints
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
    bindparam,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from command_center.ticket.clock import WORKING
from command_center.ticket.deadline import deadlines_of
from command_center.ticket.ticket import (
    ENDED,
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
    Column("opened_at", Instant, nullable=False),
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
    # What no query asks for by itself: the rest of the ticket's facts, those that are not as they begin.
    Column("standing", JSONB, nullable=False, server_default="{}"),
    Column("org", Text),
    Column("assignee", Text, index=True),
    Column("small_class", Text),
    Column("merged_into", Uuid),
    # What the rows of deadlines must add up to: how many, and which comes first. The auditor compares.
    Column("deadlines", SmallInteger, nullable=False, server_default="0"),
    Column("next_at", Instant),
    Index("ix_tickets_open", "scope", "opened_at", postgresql_where=text("closed_at IS NULL")),
    Index("ix_tickets_open_newest", "opened_at", "id", postgresql_where=text("closed_at IS NULL")),
    Index("ix_tickets_newest", "opened_at", "id"),
    Index("ix_tickets_near", "lng", "lat", postgresql_where=text("closed_at IS NULL")),
    Index("ix_tickets_merged_into", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
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
    Column("told", JSONB, nullable=False, server_default="{}"),
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
    Column("ticket", Uuid, ForeignKey("tickets.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("due_at", Instant, nullable=False, index=True),
)

# What the auditor found wrong with the deadlines of an open ticket, and put right.
deadline_findings = Table(
    "deadline_findings",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("ticket", Uuid, ForeignKey("tickets.id"), nullable=False, index=True),
    Column("found_at", Instant, nullable=False, index=True),
    Column("what", Text, nullable=False),
    Column("missing", ARRAY(Text), nullable=False),
    Column("stray", ARRAY(Text), nullable=False),
)

_GRANTED = f"ANY (ARRAY(SELECT g.object FROM object_grants g WHERE {within('g.scope')}))"
_OF_TICKET = "EXISTS (SELECT FROM tickets t WHERE t.id = ticket)"
policies = (
    Policy("object_grants", within("scope")),
    Policy("tickets", f"{within('scope')} OR id = {_GRANTED}"),
    Policy("ticket_steps", _OF_TICKET),
    Policy("deadlines", _OF_TICKET),
    Policy("deadline_findings", _OF_TICKET),
)

_PLACE = ("id", "number", "incident", "domain", "category", "cell", "region", "scope", "lng", "lat")
_SOURCE = ("source_kind", "source", "source_name", "opened_at")
_STATE = ("severity", "title", "title_en", "due_at", "accepted_at", "handled_at", "closed_at", "overdue_at", "version")
_OWN = ("small_class", "merged_into")
_TYPES: Final = get_type_hints(Ticket)
_HELD: Final = ("status", "tier", "holder", "org", "assignee", "audience", "standing", "deadlines", "next_at")
_STANDING: Final = tuple(f for f in fields(Ticket) if f.name not in {"place", "status", "holder", *_STATE, *_OWN})


def ticket_of(row: Any) -> Ticket:
    """A ticket from its row."""
    place = Place(
        **{name: getattr(row, name) for name in _PLACE + _SOURCE},
        path=tuple((tier, code, name) for tier, code, name in row.path),
    )
    columns = {name: getattr(row, name) for name in _STATE + _OWN}
    return Ticket(place, Status(row.status), Holder(**row.holder), **columns, **_facts(row.standing))


def _row(ticket: Ticket) -> dict[str, Any]:
    own = deadlines_of(ticket)
    return {
        "deadlines": len(own),
        "next_at": min(own.values(), default=None),
        **{name: getattr(ticket.place, name) for name in _PLACE + _SOURCE},
        **{name: getattr(ticket, name) for name in _STATE + _OWN},
        "path": [list(node) for node in ticket.place.path],
        "status": str(ticket.status),
        "tier": ticket.holder.tier,
        "holder": _plain(ticket.holder),
        "org": ticket.holder.org,
        "assignee": ticket.holder.assignee,
        "audience": list(audience(ticket)),
        "standing": {
            f.name: msgspec.to_builtins(getattr(ticket, f.name))
            for f in _STANDING
            if getattr(ticket, f.name) != f.default
        },
    }


def _plain(value: Any) -> dict[str, Any]:
    return {name: own for name, own in msgspec.to_builtins(value).items() if own is not None}


def _facts(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {name: msgspec.convert(value, _TYPES[name]) for name, value in stored.items()}


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


def open_tickets_near(
    connection: Connection, lng: float, lat: float, away: tuple[float, float], since: datetime
) -> list[tuple[Ticket, datetime]]:
    """Open tickets within ``away`` (degrees of longitude and latitude) of a point whose incident had a signal since then, with
    the time of that signal; not locked.
    """
    found = connection.execute(
        text(
            "SELECT t.*, coalesce(i.last_signal_at, t.opened_at) AS signal_at FROM tickets t"
            " LEFT JOIN incidents i ON i.id = t.incident WHERE t.closed_at IS NULL"
            " AND t.lng BETWEEN :west AND :east AND t.lat BETWEEN :south AND :north"
            " AND coalesce(i.last_signal_at, t.opened_at) >= :since"
        ),
        {
            "west": lng - away[0],
            "east": lng + away[0],
            "south": lat - away[1],
            "north": lat + away[1],
            "since": since,
        },
    )
    return [(ticket_of(row), row.signal_at) for row in found]


def with_followers(connection: Connection, ticket: UUID) -> list[UUID]:
    """A ticket and those merged into it, and into these, as far as the connection sees them."""
    found = connection.execute(
        text(
            "WITH RECURSIVE own AS (SELECT CAST(:ticket AS uuid) AS id"
            " UNION SELECT t.id FROM tickets t JOIN own ON t.merged_into = own.id) SELECT id FROM own"
        ),
        {"ticket": ticket},
    )
    return list(found.scalars())


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
            row.told,
        )
        for row in found
    ]


def insert_tickets(connection: Connection, new: Sequence[tuple[Ticket, Step]]) -> None:
    """New tickets with their first steps and deadlines."""
    if not new:
        return
    connection.execute(tickets.insert(), [_row(ticket) for ticket, _ in new])
    save_steps(connection, [(ticket.place.id, step) for ticket, step in new])
    _save_deadlines(connection, [(None, ticket) for ticket, _ in new])


def move_ticket(connection: Connection, before: Ticket, after: Ticket, step: Step) -> None:
    """Write one step and what it made of the ticket. Raises Stale when somebody was first."""
    changed = connection.execute(_MOVE, _changed(after) | {"looked_at": before.version})
    if changed.rowcount != 1:
        raise Stale(f"ticket {after.place.number} was moved by somebody else")
    save_steps(connection, [(after.place.id, step)])
    _save_deadlines(connection, [(before, after)])
    _grant(connection, before, after)


# Built once, not once a move.
_ADVANCE: Final = (
    tickets.update()
    .where(tickets.c.id == bindparam("own"))
    .values({name: bindparam(f"new_{name}", type_=tickets.c[name].type) for name in (*_STATE, *_OWN, *_HELD)})
)
_MOVE: Final = _ADVANCE.where(tickets.c.version == bindparam("looked_at"))


def _changed(ticket: Ticket) -> dict[str, Any]:
    row = _row(ticket)
    return {"own": ticket.place.id} | {f"new_{name}": row[name] for name in (*_STATE, *_OWN, *_HELD)}


_KEEP_DEADLINES: Final = text(
    "WITH gone AS (DELETE FROM deadlines d USING unnest(CAST(:gone AS uuid[]), CAST(:gone_kinds AS text[])) g(ticket, kind)"
    " WHERE d.ticket = g.ticket AND d.kind = g.kind)"
    " INSERT INTO deadlines (ticket, kind, due_at)"
    " SELECT * FROM unnest(CAST(:fresh AS uuid[]), CAST(:kinds AS text[]), CAST(:times AS timestamptz[]))"
    " ON CONFLICT (ticket, kind) DO UPDATE SET due_at = excluded.due_at"
)


def _save_deadlines(connection: Connection, changed: Sequence[tuple[Ticket | None, Ticket]]) -> None:
    """Bring the rows of deadlines to what the tickets say. Each ticket once."""
    gone, fresh = [], []
    for before, after in changed:
        was, now = {} if before is None else deadlines_of(before), deadlines_of(after)
        gone += [(after.place.id, kind) for kind in was.keys() - now.keys()]
        fresh += [(after.place.id, kind, at) for kind, at in now.items() if was.get(kind) != at]
    if gone or fresh:
        rows = {"gone": [own for own, _ in gone], "gone_kinds": [kind for _, kind in gone]}
        rows |= {"fresh": [own for own, _, _ in fresh], "kinds": [kind for _, kind, _ in fresh]}
        connection.execute(_KEEP_DEADLINES, {**rows, "times": [at for _, _, at in fresh]})


def advance_tickets(connection: Connection, moved: Sequence[tuple[Ticket, Ticket, Sequence[Step]]]) -> None:
    """Write what steps made of locked tickets, many at once, each once."""
    if not moved:
        return
    connection.execute(_ADVANCE, [_changed(after) for _, after, _ in moved])
    save_steps(connection, [(after.place.id, step) for _, after, steps in moved for step in steps])
    replace_deadlines(connection, [after for _, after, _ in moved])
    for before, after, _ in moved:
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
                    "holder": _plain(step.holder),
                    "by": None if step.by is None else _plain(step.by),
                    "reason": step.reason,
                    "facts": msgspec.to_builtins(step.facts),
                    "told": step.told,
                }
                for ticket, step in steps
            ],
        )


def claim_due(connection: Connection, now: datetime, limit: int) -> list[Ticket]:
    """Tickets with deadlines that have come, locked until the transaction ends. What somebody else has locked is passed over: a
    person moves it, or another scheduler has it; the next poke sees what became of it.
    """
    found = connection.execute(
        text(
            "SELECT t.* FROM tickets t JOIN (SELECT ticket, min(due_at) AS due_at FROM"
            " (SELECT ticket, due_at FROM deadlines WHERE due_at <= :now ORDER BY due_at LIMIT :limit) o GROUP BY ticket) d"
            " ON d.ticket = t.id ORDER BY d.due_at FOR UPDATE OF t SKIP LOCKED"
        ),
        {"now": now, "limit": limit},
    )
    return [ticket_of(row) for row in found]


_WRONGLY_TOLD: Final = text(
    "SELECT t.*, w.wanted FROM tickets t CROSS JOIN LATERAL (SELECT coalesce(jsonb_agg(DISTINCT w.told), '[]') AS wanted"
    " FROM unnest(CAST(:paths AS text[]), CAST(:domains AS text[]), CAST(:told AS text[])) AS w(path, domain, told)"
    " WHERE w.domain = t.domain AND starts_with(t.scope, w.path)) w"
    # At peace only the key is looked for: this is asked each second.
    " WHERE t.closed_at IS NULL AND (t.standing ? 'beside' OR t.scope ^@ ANY (CAST(:paths AS text[])))"
    " AND t.source_kind <> 'report' AND t.status <> ALL (:ended)"
    " AND coalesce(t.standing -> 'beside', '[]') <> w.wanted ORDER BY t.id LIMIT :limit FOR UPDATE OF t SKIP LOCKED"
)


def wrongly_told(
    connection: Connection, beside: Mapping[str, tuple[frozenset[str], tuple[str, ...]]], limit: int
) -> list[tuple[Ticket, tuple[str, ...]]]:
    """Open tickets of which others hear than ``beside`` says (DispatchTable.beside), with those that should; locked. What a
    person reported stays with its own desks, for the reporter's sake.
    """
    rows = [(path, domain, scope) for path, (own, told) in beside.items() for domain in sorted(own) for scope in told]
    asked = {name: [row[n] for row in rows] for n, name in enumerate(("paths", "domains", "told"))}
    found = connection.execute(_WRONGLY_TOLD, asked | {"ended": sorted(map(str, ENDED)), "limit": limit})
    return [(ticket_of(row), tuple(row.wanted)) for row in found]


def suspicious(connection: Connection, limit: int) -> list[Ticket]:
    """Open tickets whose rows of deadlines do not add up, or that have nobody's deadline at all, locked."""
    found = connection.execute(
        text(
            "SELECT t.* FROM tickets t LEFT JOIN (SELECT ticket, count(*) AS n, min(due_at) AS first FROM deadlines"
            " GROUP BY ticket) d ON d.ticket = t.id WHERE t.closed_at IS NULL AND (t.deadlines = 0"
            " OR coalesce(d.n, 0) <> t.deadlines OR d.first IS DISTINCT FROM t.next_at)"
            " ORDER BY t.id LIMIT :limit FOR UPDATE OF t SKIP LOCKED"
        ),
        {"limit": limit},
    )
    return [ticket_of(row) for row in found]


def open_desks(connection: Connection) -> list[tuple[str, str | None]]:
    """Who has open tickets: the holder's scope, and the region a ticket was escalated to."""
    found = connection.execute(
        text("SELECT DISTINCT holder ->> 'scope', standing ->> 'escalated_to' FROM tickets WHERE closed_at IS NULL")
    )
    return [(scope, escalated_to) for scope, escalated_to in found]


def untold_of(connection: Connection, desks: Sequence[tuple[str, str | None]]) -> list[Ticket]:
    """Their open tickets that no audit has called nobody's since they last moved, not locked."""
    found = connection.execute(
        text(
            "SELECT t.* FROM tickets t JOIN unnest(CAST(:scopes AS text[]), CAST(:escalated AS text[])) d(scope, escalated)"
            " ON d.scope = t.holder ->> 'scope' AND d.escalated IS NOT DISTINCT FROM t.standing ->> 'escalated_to'"
            " WHERE t.closed_at IS NULL AND NOT EXISTS (SELECT FROM deadline_findings f WHERE f.ticket = t.id"
            " AND f.what = 'nobody' AND f.found_at >= (SELECT max(s.at) FROM ticket_steps s WHERE s.ticket = t.id))"
            " ORDER BY t.id"
        ),
        {"scopes": [scope for scope, _ in desks], "escalated": [to for _, to in desks]},
    )
    return [ticket_of(row) for row in found]


def count_in_order(connection: Connection, own: Sequence[Ticket]) -> None:
    """Write what the deadlines of locked tickets add up to."""
    for ticket in own:
        row = _row(ticket)
        facts = {name: row[name] for name in ("deadlines", "next_at")}
        connection.execute(tickets.update().where(tickets.c.id == ticket.place.id).values(facts))


def save_findings(connection: Connection, found: Sequence[Mapping[str, Any]]) -> None:
    """Append what an audit found."""
    if found:
        connection.execute(deadline_findings.insert(), list(found))


def replace_deadlines(connection: Connection, own: Sequence[Ticket]) -> None:
    """Write the deadlines of locked tickets anew, whatever rows there were."""
    if own:
        connection.execute(text("DELETE FROM deadlines WHERE ticket = ANY (:own)"), {"own": [t.place.id for t in own]})
        _save_deadlines(connection, [(None, ticket) for ticket in own])


def stored_deadlines(connection: Connection, own: Sequence[Ticket]) -> dict[UUID, dict[str, datetime]]:
    """The rows of deadlines, by ticket and kind."""
    rows = connection.execute(
        text("SELECT ticket, kind, due_at FROM deadlines WHERE ticket = ANY (:own)"), {"own": [t.place.id for t in own]}
    )
    found: dict[UUID, dict[str, datetime]] = {}
    for ticket, kind, due_at in rows:
        found.setdefault(ticket, {})[kind] = due_at
    return found


def open_tickets(connection: Connection) -> list[Ticket]:
    """Every ticket that has not ended, the next due one first, not locked."""
    statement = tickets.select().where(tickets.c.closed_at.is_(None)).order_by(tickets.c.due_at, tickets.c.id)
    return [ticket_of(row) for row in connection.execute(statement)]


def counted_in_working_time(connection: Connection, last: UUID | None, limit: int) -> list[Ticket]:
    """The next open tickets whose time stands still while the offices are closed, by id, locked until the transaction ends."""
    unit = tickets.c.standing["granted"]["unit"].astext
    counts = tickets.c.closed_at.is_(None) & unit.in_([str(own) for own in WORKING])
    statement = tickets.select().where(counts).order_by(tickets.c.id).limit(limit)
    if last is not None:
        statement = statement.where(tickets.c.id > last)
    return [ticket_of(row) for row in connection.execute(statement.with_for_update())]


def drop_deadlines(connection: Connection, gone: Sequence[tuple[UUID, str]]) -> None:
    """Remove deadlines that their ticket does not have."""
    if gone:
        connection.execute(
            text("DELETE FROM deadlines WHERE ticket = :of AND kind = :what"),
            [{"of": ticket, "what": kind} for ticket, kind in gone],
        )
