"""Proof of life of the processes that work behind the pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, DateTime, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from config.database import metadata

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("process", Text, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("data_at", DateTime(timezone=True)),
    Column("figures", JSONB, nullable=False, server_default="{}"),
)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """When a process last said it lives, and when it last stored a reading."""

    at: datetime | None
    data_at: datetime | None


def beat(connection: Connection, process: str, now: datetime, data_at: datetime | None, figures: str) -> None:
    """Say that a process lives. ``figures`` is a JSON object of its counters."""
    connection.execute(
        text(
            "INSERT INTO heartbeats (process, at, data_at, figures) VALUES (:process, :at, :data_at, CAST(:figures AS jsonb))"
            " ON CONFLICT (process) DO UPDATE SET at = excluded.at, figures = excluded.figures,"
            " data_at = coalesce(excluded.data_at, heartbeats.data_at)"
        ),
        {"process": process, "at": now, "data_at": data_at, "figures": figures},
    )


def last_beat(connection: Connection, process: str) -> Heartbeat:
    """The newest heartbeat of a process; both times None when it never beat."""
    row = connection.execute(
        text("SELECT at, data_at FROM heartbeats WHERE process = :process"), {"process": process}
    ).one_or_none()
    return Heartbeat(None, None) if row is None else Heartbeat(row.at, row.data_at)


def figures_of(connection: Connection, process: str) -> dict[str, Any]:
    """The figures of a process's newest heartbeat, empty when it never beat."""
    found: dict[str, Any] | None = connection.execute(
        text("SELECT figures FROM heartbeats WHERE process = :process"), {"process": process}
    ).scalar_one_or_none()
    return found or {}
