"""Who is on duty where, what they can do, and where they were last, in PostgreSQL.

Where grid workers go is sensitive personal information (PIPL, art. 28): of each account only the last position is kept, no
trail, and only those above the account may see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Connection, DateTime, Double, ForeignKey, Index, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import insert

from command_center.account.store import accounts
from command_center.ticket.staff import Person
from config.database import Policy, metadata, within
from gis.region import SEPARATOR, TIERS

Instant = DateTime(timezone=True)
Path = Text(collation="C")

rosters = Table(
    "rosters",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account", Uuid, ForeignKey(accounts.c.id), nullable=False, index=True),
    Column("region", Text, nullable=False),
    Column("scope", Path, nullable=False),
    Column("org", Text),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("made_by", Text, nullable=False),
    CheckConstraint("ends_at > starts_at", name="ends_after_start"),
    Index("ix_rosters_scope", "scope", "ends_at"),
)

skills = Table(
    "skills",
    metadata,
    Column("account", Uuid, ForeignKey(accounts.c.id), primary_key=True),
    Column("skill", Text, primary_key=True),
)

positions = Table(
    "positions",
    metadata,
    Column("account", Uuid, ForeignKey(accounts.c.id), primary_key=True),
    Column("lng", Double, nullable=False),
    Column("lat", Double, nullable=False),
    Column("at", Instant, nullable=False),
    Column("scope", Path, nullable=False, index=True),
)

policies = (
    Policy("rosters", within("scope")),
    Policy("skills", f"EXISTS (SELECT FROM account_grants g WHERE g.account = skills.account AND {within('g.scope')})"),
    Policy("positions", within("scope")),
)


@dataclass(frozen=True, slots=True)
class Roster:
    """One shift of one account at the desk of a region, for an organisation there or for the whole desk."""

    id: UUID
    account: UUID
    region: str
    scope: str
    org: str | None
    starts_at: datetime
    ends_at: datetime
    made_by: str


@dataclass(frozen=True, slots=True)
class Granted:
    """An account by its user name, with the scope that it was given."""

    account: UUID
    username: str
    name: str
    scope: str


_FIELDS: Final = tuple(f.name for f in fields(Roster))
_VILLAGE_DEPTH: Final = TIERS.index("village") + 1

_WHAT: Final = (
    " ARRAY(SELECT s.skill FROM skills s WHERE s.account = a.id) AS skills,"
    " (SELECT count(*) FROM tickets t WHERE t.assignee = a.username AND t.closed_at IS NULL) AS open_tickets,"
    " p.lng, p.lat, p.at AS position_at FROM unnest(CAST(:lows AS text[]), CAST(:highs AS text[])) AS desk (low, high)"
)
# Asked whenever a ticket changes hands: it begins at the desk, whose shifts an index finds.
_ON_DUTY: Final = text(
    f"SELECT DISTINCT ON (a.id) a.username, a.name, r.region, r.scope, r.org, true AS on_duty,{_WHAT}"
    ' JOIN rosters r ON r.scope >= desk.low COLLATE "C" AND r.scope <= desk.high COLLATE "C"'
    " JOIN accounts a ON a.id = r.account LEFT JOIN positions p ON p.account = a.id"
    " WHERE r.starts_at <= :now AND r.ends_at > :now AND a.disabled_at IS NULL ORDER BY a.id, r.starts_at, r.id"
)
_OFF_DUTY: Final = text(
    f"SELECT DISTINCT ON (a.id) a.username, a.name, g.region, g.scope, NULL AS org, false AS on_duty,{_WHAT}"
    ' JOIN account_grants g ON g.scope >= desk.low COLLATE "C" AND g.scope <= desk.high COLLATE "C"'
    " JOIN accounts a ON a.id = g.account LEFT JOIN positions p ON p.account = a.id"
    " WHERE a.disabled_at IS NULL AND NOT EXISTS"
    " (SELECT FROM rosters r WHERE r.account = a.id AND r.starts_at <= :now AND r.ends_at > :now)"
    " ORDER BY a.id, g.scope"
)


def people_of(connection: Connection, scopes: Iterable[str], now: datetime) -> list[Person]:
    """Everybody at the desks ``scopes``, and the grid workers of those that are villages; by user name. Somebody on duty
    counts where the roster says, everybody else where their grant is.

    Shifts, open tickets and positions as far as the connection may see them.
    """
    desks = _ranges(scopes) | {"now": now}
    found = [*connection.execute(_ON_DUTY, desks), *connection.execute(_OFF_DUTY, desks)]
    return sorted(map(_person, found), key=lambda person: person.account)


def on_duty(connection: Connection, scope: str, now: datetime) -> list[Person]:
    """Who is on duty at a desk."""
    found = connection.execute(_ON_DUTY, _ranges([scope]) | {"now": now})
    return sorted(map(_person, found), key=lambda person: person.account)


def _ranges(scopes: Iterable[str]) -> dict[str, Any]:
    """The first and last paths that belong to each desk: its own, and of a village all below it."""
    lows = sorted(set(scopes))
    highs = [f"{low}~" if low.count(SEPARATOR) == _VILLAGE_DEPTH else low for low in lows]
    return {"lows": lows, "highs": highs}


def _person(row: Any) -> Person:
    same = ("name", "region", "scope", "org", "on_duty", "open_tickets", "lng", "lat", "position_at")
    return Person(account=row.username, skills=frozenset(row.skills), **{name: getattr(row, name) for name in same})


def save_position(connection: Connection, account: UUID, lng: float, lat: float, at: datetime, scope: str) -> bool:
    """Keep where an account is instead of where it was; False when a later position is known already.

    ``lng`` and ``lat`` in degrees (CGCS2000), ``scope`` is the account's own.
    """
    upsert = insert(positions)
    changed = {name: upsert.excluded[name] for name in ("lng", "lat", "at", "scope")}
    kept = connection.execute(
        upsert.on_conflict_do_update(
            index_elements=["account"], set_=changed, where=positions.c.at <= upsert.excluded["at"]
        ).returning(positions.c.account),
        {"account": account, "lng": lng, "lat": lat, "at": at, "scope": scope},
    )
    return kept.one_or_none() is not None


def add_roster(connection: Connection, roster: Roster) -> None:
    """Store a shift."""
    connection.execute(rosters.insert(), {name: getattr(roster, name) for name in _FIELDS})


def roster_of(row: Any) -> Roster:
    """A shift from its row."""
    return Roster(**{name: getattr(row, name) for name in _FIELDS})


def set_skills(connection: Connection, account: UUID, names: Sequence[str]) -> None:
    """State what an account can do; what was stated before is forgotten."""
    connection.execute(skills.delete().where(skills.c.account == account))
    if names:
        connection.execute(skills.insert(), [{"account": account, "skill": name} for name in sorted(set(names))])


def granted(connection: Connection, username: str) -> Granted | None:
    """The account of a user name that may log in, with its grant. Grants have no scope of their own: the caller compares."""
    row = connection.execute(
        text(
            "SELECT a.id, a.username, a.name, g.scope FROM accounts a JOIN account_grants g ON g.account = a.id"
            " WHERE a.username = :username AND a.disabled_at IS NULL ORDER BY g.scope LIMIT 1"
        ),
        {"username": username},
    ).one_or_none()
    return None if row is None else Granted(*row)
