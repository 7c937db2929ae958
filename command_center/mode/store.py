"""Declarations of wartime operation in PostgreSQL, and their trail, to which is only ever added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)

from command_center.mode.mode import Declaration, ModeMove, ModeStep
from config.database import SCOPE, Policy, metadata, within

Instant = DateTime(timezone=True)

modes = Table(
    "modes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("region", Text, nullable=False),
    Column("region_name", Text, nullable=False),
    Column("scope", Text(collation="C"), nullable=False, index=True),
    Column("domains", ARRAY(Text), nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("by", Text, nullable=False),
    Column("by_name", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", Text),
    Column("ended_name", Text),
    Column("ended_reason", Text),
    CheckConstraint("ends_at > starts_at", name="ends_after_start"),
    Index("ix_modes_unended", "ends_at", postgresql_where=text("ended_at IS NULL")),
)

mode_steps = Table(
    "mode_steps",
    metadata,
    Column("mode", Uuid, ForeignKey(modes.c.id), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("move", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("by", Text),
    Column("by_name", Text),
    Column("reason", Text),
)

# Whoever lives below a region at war has to know of it. Only what is one's own may be written.
_KNOWN = f"{within('scope')} OR starts_with({SCOPE}, scope)"
policies = (
    Policy("modes", _KNOWN, writing=within("scope")),
    Policy(
        "mode_steps",
        "EXISTS (SELECT FROM modes m WHERE m.id = mode_steps.mode)",
        writing=f"EXISTS (SELECT FROM modes m WHERE m.id = mode_steps.mode AND {within('m.scope')})",
    ),
)

_NAMES = [f.name for f in fields(Declaration) if f.name != "domains"]
_STEP = [f.name for f in fields(ModeStep) if f.name != "move"]
WRITTEN_LATER = ("ends_at", "ended_at", "ended_by", "ended_name", "ended_reason", "version")
"""What a step may change of a declaration; everything else stays as it was declared."""


def mode_of(row: Any) -> Declaration:
    """A declaration from its row."""
    return Declaration(domains=tuple(row.domains), **{name: getattr(row, name) for name in _NAMES})


def unended(connection: Connection) -> list[Declaration]:
    """What nobody has ended, as far as the connection sees it, oldest first; its end may have come. Cheap: asked every
    second.
    """
    wanted = modes.select().where(modes.c.ended_at.is_(None)).order_by(modes.c.starts_at, modes.c.id)
    return [mode_of(row) for row in connection.execute(wanted)]


def lock_mode(connection: Connection, identity: UUID) -> Declaration | None:
    """A declaration as far as the connection sees it, locked until the transaction ends."""
    row = connection.execute(modes.select().where(modes.c.id == identity).with_for_update()).one_or_none()
    return None if row is None else mode_of(row)


def insert_mode(connection: Connection, mode: Declaration, step: ModeStep) -> None:
    """Store a new declaration."""
    row = {name: getattr(mode, name) for name in _NAMES} | {"domains": list(mode.domains)}
    connection.execute(modes.insert(), row)
    _append(connection, mode, step)


def change_mode(connection: Connection, after: Declaration, step: ModeStep) -> None:
    """Store what a step made of a locked declaration."""
    values = {name: getattr(after, name) for name in WRITTEN_LATER}
    connection.execute(modes.update().where(modes.c.id == after.id).values(**values))
    _append(connection, after, step)


def claim_over(connection: Connection, now: datetime) -> Declaration | None:
    """A declaration whose end has come and that nobody has noted yet, locked; others are passed over while locked."""
    wanted = modes.select().where(modes.c.ended_at.is_(None), modes.c.ends_at <= now).order_by(modes.c.ends_at)
    row = connection.execute(wanted.limit(1).with_for_update(skip_locked=True)).one_or_none()
    return None if row is None else mode_of(row)


def load_steps(connection: Connection, identity: UUID) -> Sequence[ModeStep]:
    """The trail of a declaration, oldest first; empty for one that the connection may not know of."""
    found = connection.execute(mode_steps.select().where(mode_steps.c.mode == identity).order_by(mode_steps.c.version))
    return [ModeStep(move=ModeMove(row.move), **{name: getattr(row, name) for name in _STEP}) for row in found]


def _append(connection: Connection, mode: Declaration, step: ModeStep) -> None:
    row = {name: getattr(step, name) for name in _STEP} | {"mode": mode.id, "move": str(step.move)}
    connection.execute(mode_steps.insert(), row)
