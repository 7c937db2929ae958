"""What rules in their shadow run would have alerted, in PostgreSQL. It alerts nobody: no event, no incident, no ticket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    and_,
    cast,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from config.database import Policy, metadata, within
from rules.alert import Alert, AlertChange
from rules.store import moment

Instant = DateTime(timezone=True)

# The same cause has the same alert id in every version of a rule: only with the version it names one row.
shadow_alerts = Table(
    "shadow_alerts",
    metadata,
    Column("rule", Text, primary_key=True),
    Column("rule_version", Integer, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("source", Text, nullable=False),
    Column("cell", Text, nullable=False),
    Column("scope", Text(collation="C"), nullable=False, index=True),
    Column("severity", SmallInteger, nullable=False),
    Column("raised_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("alert", JSONB, nullable=False),
)

policies = (Policy("shadow_alerts", within("scope")),)


def save_shadow(connection: Connection, changes: Sequence[AlertChange]) -> None:
    """Write each alert of a shadow run as its last change left it."""
    final = {(change.alert.rule, change.alert.rule_version, change.alert.id): change.alert for change in changes}
    if not final:
        return
    statement = insert(shadow_alerts)
    replaced = {name: statement.excluded[name] for name in ("severity", "ended_at", "alert")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["rule", "rule_version", "id"], set_=replaced),
        [_row(alert) for alert in final.values()],
    )


def load_open_shadow(connection: Connection) -> list[Alert]:
    """The alerts of the shadow runs under way that have not ended: what a worker begins with."""
    rows = connection.execute(
        text(
            "SELECT s.alert, s.scope FROM shadow_alerts s JOIN rule_versions v ON v.rule = s.rule AND v.n = s.rule_version"
            " WHERE s.ended_at IS NULL AND v.state = 'shadow'"
        )
    )
    return [_alert(row) for row in rows]


def load_shadow(connection: Connection, rule: str, version: int, limit: int) -> list[Alert]:
    """The alerts of a shadow run, newest first."""
    table = shadow_alerts
    statement = (
        select(table.c.alert, table.c.scope)
        .where(table.c.rule == rule, table.c.rule_version == version)
        .order_by(table.c.raised_at.desc(), table.c.id)
        .limit(limit)
    )
    return [_alert(row) for row in connection.execute(statement)]


def shadow_of(rule: str, version: int) -> ColumnElement[bool]:
    """SQL: which rows of ``shadow_alerts`` are of a version."""
    return and_(shadow_alerts.c.rule == rule, shadow_alerts.c.rule_version == version)


def meanwhile(table: Table, rule: str, since: datetime, until: datetime) -> ColumnElement[bool]:
    """SQL: which rows of ``alerts`` are of a rule and held at some time between two moments."""
    held = or_(table.c.ended_at.is_(None), table.c.ended_at >= since)
    return and_(table.c.rule == rule, table.c.raised_at < until, held)


def tally(connection: Connection, table: Table, which: ColumnElement[bool], zone: str) -> dict[str, Any]:
    """How many of a table's alerts there are: in all, by cell (most first) and by the city's day they were raised on."""
    day = cast(func.timezone(zone, table.c.raised_at), Date)

    def counted(key: ColumnElement[Any], order: ColumnElement[Any]) -> list[tuple[Any, int]]:
        statement = select(key, func.count()).select_from(table).where(which).group_by(key).order_by(order, key)
        return [(value, int(count)) for value, count in connection.execute(statement.limit(1000))]

    cells, days = counted(table.c.cell, func.count().desc()), counted(day, day.asc())
    total = connection.execute(select(func.count()).select_from(table).where(which)).scalar_one()
    return {
        "count": int(total),
        "per_cell": [{"cell": cell, "count": count} for cell, count in cells],
        "per_day": [{"day": found.isoformat(), "count": count} for found, count in days],
    }


def _row(alert: Alert) -> dict[str, Any]:
    return {
        "rule": alert.rule,
        "rule_version": alert.rule_version,
        "id": alert.id,
        "source": alert.source.id,
        "cell": alert.source.cell,
        "scope": alert.source.scope,
        "severity": alert.severity,
        "raised_at": moment(alert.raised_at_us),
        "ended_at": None if alert.ended_at_us is None else moment(alert.ended_at_us),
        "alert": msgspec.to_builtins(alert),
    }


def _alert(row: Any) -> Alert:
    # The column follows the parentage of regions, the stored alert does not.
    alert = msgspec.convert(row.alert, Alert)
    return replace(alert, source=replace(alert.source, scope=row.scope))
