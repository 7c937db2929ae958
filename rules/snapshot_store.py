"""What the rules remember, in PostgreSQL: a worker that was killed goes on from the newest snapshot and the readings since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, Column, Connection, DateTime, LargeBinary, Table, Text, text

from config.database import metadata

rule_snapshots = Table(
    "rule_snapshots",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("taken_in_to", DateTime(timezone=True), nullable=False),
    Column("keys", ARRAY(BigInteger), nullable=False),
    Column("memory", LargeBinary, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``memory`` has taken in every reading received before ``taken_in_to``, and those received at that very instant whose
    message keys are ``keys``.
    """

    made_at: datetime
    taken_in_to: datetime
    keys: tuple[int, ...]
    memory: bytes


def save_snapshot(connection: Connection, worker: str, snapshot: Snapshot) -> None:
    """Replace the worker's snapshot."""
    connection.execute(
        text(
            "INSERT INTO rule_snapshots (worker, made_at, taken_in_to, keys, memory)"
            " VALUES (:worker, :made_at, :taken_in_to, :keys, :memory) ON CONFLICT (worker) DO UPDATE SET"
            " made_at = excluded.made_at, taken_in_to = excluded.taken_in_to, keys = excluded.keys, memory = excluded.memory"
        ),
        {
            "worker": worker,
            "made_at": snapshot.made_at,
            "taken_in_to": snapshot.taken_in_to,
            "keys": list(snapshot.keys),
            "memory": snapshot.memory,
        },
    )


def load_snapshot(connection: Connection, worker: str) -> Snapshot | None:
    """The worker's newest snapshot."""
    row = connection.execute(rule_snapshots.select().where(rule_snapshots.c.worker == worker)).one_or_none()
    return None if row is None else Snapshot(row.made_at, row.taken_in_to, tuple(row.keys), bytes(row.memory))
