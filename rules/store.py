"""Alerts in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, DateTime, Double, Index, Integer, SmallInteger, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import insert

from config.database import Policy, metadata, within
from rules.alert import Alert, AlertChange, Source

Instant = DateTime(timezone=True)
Path = Text(collation="C")

alerts = Table(
    "alerts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("rule_version", Integer, nullable=False),
    Column("source_kind", Text, nullable=False),
    Column("source", Text, nullable=False, index=True),
    Column("source_name", Text, nullable=False),
    Column("cell", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("scope", Path, nullable=False, index=True),
    Column("lng", Double, nullable=False),
    Column("lat", Double, nullable=False),
    Column("domain", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("quantity", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("value", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("raised_at", Instant, nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("version", Integer, nullable=False),
    Index("ix_alerts_open", "rule", "source", postgresql_where=text("ended_at IS NULL")),
)

policies = (Policy("alerts", within("scope")),)


def moment(us: int) -> datetime:
    """Epoch microseconds as an aware time."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)


def microseconds(at: datetime) -> int:
    """An aware time as epoch microseconds."""
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def save_alerts(connection: Connection, changes: Sequence[AlertChange]) -> None:
    """Write each alert as its last change left it."""
    final = {change.alert.id: change.alert for change in changes}
    if not final:
        return
    statement = insert(alerts)
    kept = {"id", "raised_at"}
    replaced = {column.name: statement.excluded[column.name] for column in alerts.columns if column.name not in kept}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["id"], set_=replaced), [_row(alert) for alert in final.values()]
    )


def known_alerts(connection: Connection, ids: Iterable[UUID]) -> set[UUID]:
    """Which of the ids are stored, open or ended."""
    return set(connection.execute(text("SELECT id FROM alerts WHERE id = ANY (:ids)"), {"ids": list(ids)}).scalars())


def load_open_alerts(connection: Connection) -> list[Alert]:
    """Every alert that has not ended."""
    return [alert_of(row) for row in connection.execute(alerts.select().where(alerts.c.ended_at.is_(None)))]


def _row(alert: Alert) -> dict[str, Any]:
    source = alert.source
    return {
        "id": alert.id,
        "rule": alert.rule,
        "rule_version": alert.rule_version,
        "source_kind": source.kind,
        "source": source.id,
        "source_name": source.name,
        "cell": source.cell,
        "region": source.region,
        "scope": source.scope,
        "lng": source.lng,
        "lat": source.lat,
        "domain": alert.domain,
        "category": alert.category,
        "severity": alert.severity,
        "title": alert.title,
        "title_en": alert.title_en,
        "quantity": alert.quantity,
        "unit": alert.unit,
        "value": alert.value,
        "threshold": alert.threshold,
        "raised_at": moment(alert.raised_at_us),
        "at": moment(alert.at_us),
        "ended_at": None if alert.ended_at_us is None else moment(alert.ended_at_us),
        "version": alert.version,
    }


def alert_of(row: Any) -> Alert:
    """An alert from its row."""
    source = Source(row.source_kind, row.source, row.source_name, row.cell, row.region, row.scope, row.lng, row.lat)
    return Alert(
        id=row.id,
        rule=row.rule,
        rule_version=row.rule_version,
        source=source,
        domain=row.domain,
        category=row.category,
        severity=row.severity,
        title=row.title,
        title_en=row.title_en,
        quantity=row.quantity,
        unit=row.unit,
        value=row.value,
        threshold=row.threshold,
        raised_at_us=microseconds(row.raised_at),
        at_us=microseconds(row.at),
        ended_at_us=None if row.ended_at is None else microseconds(row.ended_at),
        version=row.version,
    )
