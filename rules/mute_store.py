"""Mutes in PostgreSQL."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, DateTime, Index, Table, Text, Uuid, text

from config.database import Policy, metadata, within
from rules.mute import Ended, Mute, MuteKind

Instant = DateTime(timezone=True)

mutes = Table(
    "mutes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("scope", Text(collation="C"), nullable=False, index=True),
    Column("domain", Text),
    Column("category", Text),
    Column("rule", Text),
    Column("source", Text),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("author", Text, nullable=False),
    Column("author_name", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("begun_at", Instant),
    Column("ended_at", Instant),
    Column("ended_by", Text),
    Column("ended_name", Text),
    Column("ended_reason", Text),
    Index("ix_mutes_in_force", "ends_at", postgresql_where=text("ended_at IS NULL")),
    Index("ix_mutes_waiting", "starts_at", postgresql_where=text("begun_at IS NULL AND ended_at IS NULL")),
)

policies = (Policy("mutes", within("scope")),)

_NAMES = [f.name for f in fields(Mute) if f.name not in {"kind", "ended"}]


def mute_of(row: Any) -> Mute:
    """A mute from its row."""
    ended = None if row.ended_at is None else Ended(row.ended_at, row.ended_by, row.ended_name, row.ended_reason)
    return Mute(kind=MuteKind(row.kind), ended=ended, **{name: getattr(row, name) for name in _NAMES})


def insert_mute(connection: Connection, mute: Mute) -> None:
    """Store a new mute."""
    connection.execute(mutes.insert(), {name: getattr(mute, name) for name in _NAMES} | {"kind": str(mute.kind)})


def in_force(connection: Connection, now: datetime) -> list[Mute]:
    """The mutes that keep something quiet at a moment."""
    table = mutes.c
    found = connection.execute(
        mutes.select().where(table.ended_at.is_(None), table.starts_at <= now, table.ends_at > now)
    )
    return [mute_of(row) for row in found]


def lock_mute(connection: Connection, identity: UUID) -> Mute | None:
    """A mute as far as the connection may see it, locked until the transaction ends."""
    row = connection.execute(mutes.select().where(mutes.c.id == identity).with_for_update()).one_or_none()
    return None if row is None else mute_of(row)


def end_mute(connection: Connection, identity: UUID, ended: Ended) -> None:
    """End a locked mute before its time."""
    connection.execute(
        mutes.update()
        .where(mutes.c.id == identity)
        .values(ended_at=ended.at, ended_by=ended.by, ended_name=ended.name, ended_reason=ended.reason)
    )


def claim_beginning(connection: Connection, now: datetime) -> Mute | None:
    """A mute that begins and has not marked its alerts yet; marked as begun, which a rollback takes back."""
    row = connection.execute(
        text(
            "UPDATE mutes SET begun_at = :now WHERE id = (SELECT id FROM mutes"
            " WHERE begun_at IS NULL AND ended_at IS NULL AND starts_at <= :now AND ends_at > :now"
            " ORDER BY starts_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING *"
        ),
        {"now": now},
    ).one_or_none()
    return None if row is None else mute_of(row)
