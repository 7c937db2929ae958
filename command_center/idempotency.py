"""Answers to requests that carried an Idempotency-Key, kept so that a repeat gets the same answer and does nothing twice."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, DateTime, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, insert

from config.database import Policy, metadata, within

KEPT = timedelta(hours=24)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("account", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("answer", JSONB, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, index=True),
)

# A kept answer holds what its account saw.
policies = (
    Policy(
        "idempotency_keys",
        "account = ANY (ARRAY(SELECT a.username FROM accounts a JOIN account_grants g ON g.account = a.id"
        f" WHERE {within('g.scope')}))",
    ),
)


class KeyReused(Exception):
    """The same Idempotency-Key came with a different request."""


def earlier_answer(connection: Connection, account: str, key: str, request: str) -> tuple[int, dict[str, Any]] | None:
    """The answer this key got before, None when it is new. Two requests with one key wait for each other here.

    Raises KeyReused.
    """
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 2))"), {"key": f"{account}/{key}"[:300]}
    )
    row = connection.execute(
        idempotency_keys.select().where(idempotency_keys.c.account == account, idempotency_keys.c.key == key)
    ).one_or_none()
    if row is None:
        return None
    if row.request != request:
        raise KeyReused("this Idempotency-Key was used for another request: make a new one")
    return row.status, row.answer


def keep_answer(
    connection: Connection, account: str, key: str, request: str, status: int, answer: dict[str, Any], now: datetime
) -> None:
    """Keep an answer, in the transaction that did the work."""
    connection.execute(idempotency_keys.delete().where(idempotency_keys.c.at < now - KEPT))
    connection.execute(
        insert(idempotency_keys),
        {"account": account, "key": key, "request": request, "status": status, "answer": answer, "at": now},
    )
