"""Who is on duty where, what they can do, and where they were last, in PostgreSQL.

Where grid workers go is sensitive personal information (PIPL, art. 28): of each account only the last position is kept, no
trail, and only those above the account may see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Select,
    Table,
    Text,
    Uuid,
    exists,
    func,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import insert

from command_center.account.store import account_grants, accounts
from command_center.ticket.staff import Person
from command_center.ticket.store import tickets
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


class ShiftsOverlap(ValueError):
    """The account is on duty at that time already, by the shift ``other``."""

    def __init__(self, other: Roster) -> None:
        times = f"{other.starts_at.isoformat()} to {other.ends_at.isoformat()}"
        super().__init__(f"already on duty from {times} at {other.region} (shift {other.id}): end that one first")
        self.other = other


class NoSuchShift(LookupError):
    """There is no such shift in sight."""


class ShiftOver(ValueError):
    """The shift has ended before."""


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
_GRANTED: Final = "SELECT a.id, a.username, a.name, g.scope FROM accounts a JOIN account_grants g ON g.account = a.id"
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


def staff(low: str, now: datetime) -> Select[Any]:
    """Whose grant lies at or below the desk of path ``low``, or who is on duty there: a row for each, with the shift that
    runs, if any (``shift_*``). Shifts, skills, open tickets and positions as far as the connection may see them.
    """
    home = (
        select(account_grants)
        .where(account_grants.c.account == accounts.c.id)
        .order_by(account_grants.c.scope)
        .limit(1)
        .lateral("home")
    )
    running = (rosters.c.account == accounts.c.id) & (rosters.c.starts_at <= now) & (rosters.c.ends_at > now)
    shift = select(rosters).where(running).order_by(rosters.c.starts_at, rosters.c.id).limit(1).lateral("shift")
    able = select(func.array_agg(skills.c.skill)).where(skills.c.account == accounts.c.id)
    load = select(func.count()).where(tickets.c.assignee == accounts.c.username, tickets.c.closed_at.is_(None))
    lent = exists().where(running, (rosters.c.scope >= low) & (rosters.c.scope < f"{low}~"))
    return (
        select(
            accounts.c.username,
            accounts.c.name,
            home.c.region,
            home.c.region_name,
            home.c.tier,
            home.c.scope,
            *(shift.c[name].label(f"shift_{name}") for name in ("id", "region", "org", "starts_at", "ends_at")),
            able.scalar_subquery().label("skills"),
            load.scalar_subquery().label("open_tickets"),
            positions.c.at.label("position_at"),
        )
        .select_from(accounts)
        .join(home, true())
        .outerjoin(shift, true())
        .outerjoin(positions, positions.c.account == accounts.c.id)
        .where(accounts.c.disabled_at.is_(None), ((home.c.scope >= low) & (home.c.scope < f"{low}~")) | lent)
    )


def add_roster(connection: Connection, roster: Roster) -> None:
    """Store a shift. Raises ShiftsOverlap: nobody is at two desks at once."""
    # Two who put somebody on duty at the same moment do not see each other's row.
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"roster {roster.account}"}
    )
    other = connection.execute(
        rosters.select()
        .where(
            rosters.c.account == roster.account,
            rosters.c.starts_at < roster.ends_at,
            rosters.c.ends_at > roster.starts_at,
        )
        .order_by(rosters.c.starts_at)
        .limit(1)
    ).one_or_none()
    if other is not None:
        raise ShiftsOverlap(roster_of(other))
    connection.execute(rosters.insert(), {name: getattr(roster, name) for name in _FIELDS})


def find_roster(connection: Connection, identity: UUID) -> tuple[Roster, Granted]:
    """A shift, locked, with the account that it is of. Raises NoSuchShift."""
    row = connection.execute(rosters.select().where(rosters.c.id == identity).with_for_update()).one_or_none()
    if row is None:
        raise NoSuchShift(f"there is no shift {identity}")
    whose = connection.execute(text(f"{_GRANTED} WHERE a.id = :id ORDER BY g.scope LIMIT 1"), {"id": row.account}).one()
    return roster_of(row), Granted(*whose)


def end_roster(connection: Connection, roster: Roster, now: datetime) -> Roster | None:
    """End a locked shift that runs; one that has not begun is withdrawn, then None. Raises ShiftOver."""
    if roster.ends_at <= now:
        raise ShiftOver(f"the shift ended at {roster.ends_at.isoformat()}")
    own = rosters.c.id == roster.id
    if roster.starts_at >= now:
        connection.execute(rosters.delete().where(own))
        return None
    connection.execute(rosters.update().where(own).values(ends_at=now))
    return replace(roster, ends_at=now)


def skills_of(connection: Connection, account: UUID) -> frozenset[str]:
    """What an account can do."""
    return frozenset(connection.execute(select(skills.c.skill).where(skills.c.account == account)).scalars())


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
        text(f"{_GRANTED} WHERE a.username = :username AND a.disabled_at IS NULL ORDER BY g.scope LIMIT 1"),
        {"username": username},
    ).one_or_none()
    return None if row is None else Granted(*row)
