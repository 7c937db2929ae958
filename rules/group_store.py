"""Groups of alerts and their deadlines in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, DateTime, Index, Integer, SmallInteger, Table, Text, Uuid, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from config.database import Policy, metadata, within
from rules.group import Group, Members, Told

Instant = DateTime(timezone=True)

alert_groups = Table(
    "alert_groups",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("domain", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("region_name", Text, nullable=False),
    Column("scope", Text(collation="C"), nullable=False, index=True),
    Column("opened_at", Instant, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("fresh", Integer, nullable=False),
    Column("next_due_at", Instant, nullable=False),
    Column("notices", Integer, nullable=False),
    Column("told", Text),
    Column("members", Integer, nullable=False),
    Column("new", Integer, nullable=False),
    Column("told_at", Instant),
    Column("ended_at", Instant),
    Index("uq_alert_groups_open", "category", "region", unique=True, postgresql_where=text("ended_at IS NULL")),
    Index("ix_alert_groups_due", "next_due_at", postgresql_where=text("ended_at IS NULL")),
)

policies = (Policy("alert_groups", within("scope")),)

_NAMES = [f.name for f in fields(Group)]


def group_of(row: Any) -> Group:
    """A group from its row."""
    told = None if row.told is None else Told(row.told)
    return Group(**{name: getattr(row, name) for name in _NAMES} | {"told": told})


def open_groups(connection: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Group]:
    """Open groups by (category, township code), locked until the transaction ends."""
    table = alert_groups
    found = connection.execute(
        table.select()
        .where(table.c.ended_at.is_(None), tuple_(table.c.category, table.c.region).in_(sorted(set(keys))))
        .order_by(table.c.category, table.c.region)
        .with_for_update()
    )
    return {(row.category, row.region): group_of(row) for row in found}


def save_groups(connection: Connection, groups: Sequence[Group]) -> None:
    """Insert or bring up to date. Whoever inserts holds the lock of the group's category."""
    if groups:
        statement = insert(alert_groups)
        replaced = {name: statement.excluded[name] for name in _NAMES if name not in {"id", "scope", "opened_at"}}
        connection.execute(
            statement.on_conflict_do_update(index_elements=["id"], set_=replaced),
            [
                {name: getattr(group, name) for name in _NAMES} | {"told": group.told and str(group.told)}
                for group in groups
            ],
        )


def claim_group(connection: Connection, now: datetime) -> Group | None:
    """A group whose deadline has come; no other claimant gets it before the transaction ends, and nobody waits for it."""
    table = alert_groups
    row = connection.execute(
        table.select()
        .where(table.c.ended_at.is_(None), table.c.next_due_at <= now)
        .order_by(table.c.next_due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    return None if row is None else group_of(row)


def told_groups(connection: Connection, limit: int) -> list[Group]:
    """The open groups that people were told of, in the order of their newest notices, as far as the connection sees them."""
    table = alert_groups
    found = connection.execute(
        table.select()
        .where(table.c.ended_at.is_(None), table.c.told_at.is_not(None))
        .order_by(table.c.told_at.desc())
        .limit(limit)
    )
    return [group_of(row) for row in found][::-1]


def count_members(connection: Connection, group: Group) -> Members:
    """The group's alerts that stand, were placed and are not quiet."""
    row = connection.execute(
        text(
            "SELECT count(*) AS total, count(*) FILTER (WHERE acknowledged_at IS NULL) AS unacknowledged,"
            " max(severity) AS severity, (array_agg(title ORDER BY severity DESC, raised_at, id))[1] AS title,"
            " (array_agg(title_en ORDER BY severity DESC, raised_at, id))[1] AS title_en FROM alerts"
            " WHERE ended_at IS NULL AND muted_by IS NULL AND placed_at IS NOT NULL AND category = :category"
            " AND scope >= :scope AND scope < :scope || '~'"
        ),
        {"category": group.category, "scope": group.scope},
    ).one()
    return Members(row.total, row.unacknowledged, row.severity or 0, row.title or "", row.title_en or "")
