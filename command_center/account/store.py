"""Accounts, grants and sessions in PostgreSQL."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Column, Connection, DateTime, ForeignKey, LargeBinary, Table, Text, Uuid, text

from command_center.account.account import Account
from config.database import metadata

Instant = DateTime(timezone=True)
SESSION_LIFE = timedelta(hours=12)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("username", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("disabled_at", Instant),
)

account_grants = Table(
    "account_grants",
    metadata,
    Column("account", Uuid, ForeignKey("accounts.id"), primary_key=True),
    Column("region", Text, primary_key=True),
    Column("tier", Text, nullable=False),
    Column("region_name", Text, nullable=False),
    Column("scope", Text(collation="C"), nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("account", Uuid, ForeignKey("accounts.id"), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
)

_FOUND = (
    "SELECT a.id, a.username, a.name, g.tier, g.region, g.region_name, g.scope FROM accounts a"
    " JOIN account_grants g ON g.account = a.id"
)


def stored_password(connection: Connection, username: str) -> tuple[UUID, str] | None:
    """(account, stored password) of a user name that may log in."""
    row = connection.execute(
        text("SELECT id, password FROM accounts WHERE username = :username AND disabled_at IS NULL"),
        {"username": username},
    ).one_or_none()
    return None if row is None else (row.id, row.password)


def open_session(connection: Connection, account: UUID, now: datetime) -> str:
    """A new session's secret. Only its digest is stored: who reads the table cannot use it."""
    token = secrets.token_urlsafe(32)
    connection.execute(text("DELETE FROM sessions WHERE ends_at < :now"), {"now": now})
    connection.execute(
        sessions.insert(), {"digest": _digest(token), "account": account, "made_at": now, "ends_at": now + SESSION_LIFE}
    )
    return token


def account_of(connection: Connection, token: str, now: datetime) -> Account | None:
    """The account whose session this is, None when it has ended or never was."""
    row = connection.execute(
        text(
            f"{_FOUND} JOIN sessions s ON s.account = a.id"
            " WHERE s.digest = :digest AND s.ends_at > :now AND a.disabled_at IS NULL ORDER BY g.scope LIMIT 1"
        ),
        {"digest": _digest(token), "now": now},
    ).one_or_none()
    return None if row is None else Account(*row)


def live_sessions(connection: Connection, now: datetime) -> set[tuple[bytes, str]]:
    """(digest, scope) of every session that may still be used."""
    found = connection.execute(
        text(
            "SELECT s.digest, g.scope FROM sessions s JOIN accounts a ON a.id = s.account"
            " JOIN account_grants g ON g.account = a.id WHERE s.ends_at > :now AND a.disabled_at IS NULL"
        ),
        {"now": now},
    )
    return {(bytes(row.digest), row.scope) for row in found}


def end_session(connection: Connection, token: str) -> None:
    """Log out."""
    connection.execute(sessions.delete().where(sessions.c.digest == _digest(token)))


def save_account(
    connection: Connection, username: str, name: str, password: str, grant: tuple[str, str, str, str]
) -> None:
    """Make or bring up to date an account. ``password`` is its stored form, ``grant`` (region, tier, region name, scope)."""
    found: UUID = connection.execute(
        text(
            "INSERT INTO accounts (id, username, name, password) VALUES (:id, :username, :name, :password)"
            " ON CONFLICT (username) DO UPDATE SET name = excluded.name, password = excluded.password RETURNING id"
        ),
        {"id": uuid4(), "username": username, "name": name, "password": password},
    ).scalar_one()
    connection.execute(account_grants.delete().where(account_grants.c.account == found))
    region, tier, region_name, scope = grant
    connection.execute(
        account_grants.insert(),
        {"account": found, "region": region, "tier": tier, "region_name": region_name, "scope": scope},
    )


def _digest(token: str) -> bytes:
    return b"sha256:" + hashlib.sha256(token.encode()).digest()
