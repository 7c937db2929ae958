"""Risk by place and domain, and its history, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Connection, DateTime, Double, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from config.database import Policy, metadata, within

Instant = DateTime(timezone=True)
Path = Text(collation="C")

# A place that never had any risk has no row. ``version`` of a place's overall row counts the changes of them all.
risks = Table(
    "risks",
    metadata,
    Column("code", Text, primary_key=True),
    Column("domain", Text, primary_key=True),
    Column("tier", Text, nullable=False),
    Column("scope", Path, nullable=False, index=True),
    Column("score", Double, nullable=False),
    Column("parts", JSONB, nullable=False),
    Column("at", Instant, nullable=False, index=True),
    Column("version", Integer, nullable=False),
)

risk_history = Table(
    "risk_history",
    metadata,
    Column("code", Text, primary_key=True),
    Column("domain", Text, primary_key=True),
    Column("at", Instant, primary_key=True),
    Column("scope", Path, nullable=False, index=True),
    Column("score", Double, nullable=False),
    Index("ix_risk_history_at", "at", postgresql_using="brin"),
)

policies = (Policy("risks", within("scope")), Policy("risk_history", within("scope")))

_LOCK: Final = 0x6363_726B  # "ccrk"


@dataclass(frozen=True, slots=True)
class RiskRow:
    """The risk of a place in one domain, or overall."""

    code: str
    domain: str
    tier: str
    scope: str
    score: float
    parts: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Noted:
    """An entry of the history."""

    code: str
    domain: str
    scope: str
    score: float


def claim_writing(connection: Connection) -> bool:
    """Whether this transaction is the one that writes risk; nobody waits for another."""
    found: bool = connection.execute(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}).scalar_one()
    return found


def newest(connection: Connection) -> datetime | None:
    """When risk was last written."""
    found: datetime | None = connection.execute(text("SELECT max(at) FROM risks")).scalar_one()
    return found


def load_scores(connection: Connection) -> Iterator[tuple[str, str, float, int]]:
    """Code, domain, score and version of every row."""
    return (tuple(row) for row in connection.execute(text("SELECT code, domain, score, version FROM risks")))


def load_noted(connection: Connection) -> Iterator[tuple[str, str, float, datetime]]:
    """Code, domain, score and time of the last entry of each history."""
    found = connection.execute(
        text(
            "SELECT r.code, r.domain, h.score, h.at FROM risks r CROSS JOIN LATERAL (SELECT score, at FROM risk_history h"
            " WHERE h.code = r.code AND h.domain = r.domain ORDER BY at DESC LIMIT 1) h"
        )
    )
    return (tuple(row) for row in found)


def save(connection: Connection, rows: Sequence[RiskRow], now: datetime) -> dict[str, int]:
    """Write rows in the place of what was; returns the versions of the overall rows of regions, by code."""
    if not rows:
        return {}
    # One document: escaping each row's own within an array takes longer than all the rest.
    found = connection.execute(
        text(
            "WITH written AS (INSERT INTO risks AS r (code, domain, tier, scope, score, parts, at, version)"
            " SELECT code, domain, tier, scope, score, parts, :now, 1 FROM jsonb_to_recordset(CAST(:rows AS jsonb))"
            " AS v(code text, domain text, tier text, scope text, score float8, parts jsonb)"
            " ON CONFLICT (code, domain) DO UPDATE SET tier = excluded.tier, scope = excluded.scope,"
            " score = excluded.score, parts = excluded.parts, at = excluded.at, version = r.version + 1"
            " RETURNING code, domain, tier, version)"
            " SELECT code, version FROM written WHERE domain = 'overall' AND tier <> 'grid'"
        ),
        {"now": now, "rows": msgspec.json.encode(rows).decode()},
    )
    return dict(found.all())


def note(connection: Connection, entries: Sequence[Noted], now: datetime) -> None:
    """Add entries to the history."""
    if entries:
        connection.execute(
            text(
                "INSERT INTO risk_history (code, domain, at, scope, score)"
                " SELECT code, domain, :now, scope, score FROM jsonb_to_recordset(CAST(:entries AS jsonb))"
                " AS v(code text, domain text, scope text, score float8) ON CONFLICT DO NOTHING"
            ),
            {"now": now, "entries": msgspec.json.encode(entries).decode()},
        )


def forget(connection: Connection, before: datetime) -> None:
    """Delete the history of before a moment."""
    connection.execute(text("DELETE FROM risk_history WHERE at < :before"), {"before": before})


def settle(connection: Connection, codes: Sequence[str], scopes: Sequence[str]) -> None:
    """Have rows stand where their places do now, and delete the risk of places that are no more; their history stays."""
    values = {"codes": list(codes), "scopes": list(scopes)}
    connection.execute(text("DELETE FROM risks WHERE code <> ALL (CAST(:codes AS text[]))"), {"codes": list(codes)})
    for table in ("risks", "risk_history"):
        connection.execute(
            text(
                f"UPDATE {table} r SET scope = v.scope FROM unnest(CAST(:codes AS text[]), CAST(:scopes AS text[]))"
                " AS v(code, scope) WHERE r.code = v.code AND r.scope <> v.scope"
            ),
            values,
        )
