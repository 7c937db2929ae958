"""Incidents and their signals in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy import Sequence as Numbers
from sqlalchemy.dialects.postgresql import insert

from command_center.incident.incident import LEVELS, Incident
from config.database import Policy, metadata, within
from rules.correlate import Matter
from rules.store import microseconds

Instant = DateTime(timezone=True)

numbers = Numbers("incident_number", metadata=metadata)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("cell", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("scope", Text(collation="C"), nullable=False, index=True),
    Column("lng", Double, nullable=False),
    Column("lat", Double, nullable=False),
    Column("opened_at", Instant, nullable=False, index=True),
    Column("last_signal_at", Instant, nullable=False),
    Column("signals", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("ticket", Uuid, nullable=False, unique=True),
    Column("warning_level", SmallInteger),
    Column("event_grade", SmallInteger),
    Column("response_level", SmallInteger),
    Index("ix_incidents_open", "category", "lng", "lat", postgresql_where=text("status = 'open'")),
)

incident_signals = Table(
    "incident_signals",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("signal", Uuid, primary_key=True),
    Column("incident", Uuid, ForeignKey("incidents.id"), nullable=False, index=True),
    Column("at", Instant, nullable=False),
)

# Who set which levels and why: appended, never edited. ``version`` is the incident's after it.
incident_levels = Table(
    "incident_levels",
    metadata,
    Column("incident", Uuid, ForeignKey("incidents.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("by", Text, nullable=False),
    Column("by_name", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("warning_level", SmallInteger),
    Column("event_grade", SmallInteger),
    Column("response_level", SmallInteger),
)

_OF_INCIDENT = "EXISTS (SELECT FROM incidents i WHERE i.id = incident)"
policies = (
    Policy("incidents", within("scope")),
    Policy("incident_signals", _OF_INCIDENT),
    Policy("incident_levels", _OF_INCIDENT),
)

_NAMES = [f.name for f in fields(Incident)]


def lock_categories(connection: Connection, categories: Iterable[str]) -> None:
    """Let nobody else correlate these categories until the transaction ends. Sorted, so that two batches cannot embrace."""
    for category in sorted(set(categories)):
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 1))"), {"name": category})


def open_matters(connection: Connection, categories: Iterable[str]) -> list[Matter]:
    """The open incidents of these categories, oldest first."""
    found = connection.execute(
        text(
            "SELECT id, category, lng, lat, last_signal_at FROM incidents"
            " WHERE status = 'open' AND category = ANY (:categories) ORDER BY number"
        ),
        {"categories": sorted(set(categories))},
    )
    return [Matter(r.id, r.category, r.lng, r.lat, microseconds(r.last_signal_at)) for r in found]


def incidents_of_signals(connection: Connection, signals: Iterable[UUID]) -> dict[UUID, UUID]:
    """Incident by signal, for signals that have one."""
    found = connection.execute(
        text("SELECT signal, incident FROM incident_signals WHERE signal = ANY (:signals)"), {"signals": list(signals)}
    )
    return dict(found.all())


def incident_of(row: Any) -> Incident:
    """An incident from its row."""
    return Incident(**{name: getattr(row, name) for name in _NAMES})


def load_incidents(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Incident]:
    """Incidents by id, locked until the transaction ends."""
    found = connection.execute(
        incidents.select().where(incidents.c.id.in_(list(ids))).order_by(incidents.c.id).with_for_update()
    )
    return {row.id: incident_of(row) for row in found}


def next_number(connection: Connection) -> int:
    """A number for a new incident. A rolled-back transaction leaves a gap, never a double."""
    return int(connection.execute(numbers.next_value().select()).scalar_one())


def save_incidents(connection: Connection, changed: Sequence[Incident]) -> None:
    """Insert or bring up to date."""
    if not changed:
        return
    statement = insert(incidents)
    replaced = {
        name: statement.excluded[name] for name in _NAMES if name not in {"id", "number", "opened_at", "ticket"}
    }
    connection.execute(
        statement.on_conflict_do_update(index_elements=["id"], set_=replaced),
        [{name: getattr(incident, name) for name in _NAMES} for incident in changed],
    )


def save_incident_status(connection: Connection, incident: Incident) -> None:
    """Bring the status of one locked incident up to date, and the severity that it was filed under."""
    facts = {name: getattr(incident, name) for name in ("status", "severity", "version")}
    connection.execute(incidents.update().where(incidents.c.id == incident.id).values(facts))


def save_levels(connection: Connection, incident: Incident, by: str, by_name: str, reason: str, now: datetime) -> None:
    """Write the levels of one locked incident, and who set them why."""
    levels = {name: getattr(incident, name) for name in LEVELS}
    connection.execute(
        incidents.update().where(incidents.c.id == incident.id).values(**levels, version=incident.version)
    )
    facts = {"incident": incident.id, "version": incident.version, "at": now, "by": by, "by_name": by_name}
    connection.execute(insert(incident_levels), facts | levels | {"reason": reason})


def load_levels(connection: Connection, incident: UUID) -> list[Any]:
    """Rows of incident_levels, oldest first, as far as the connection may see them."""
    table = incident_levels
    return list(connection.execute(table.select().where(table.c.incident == incident).order_by(table.c.version)))


def outgrown(connection: Connection, alerts: Iterable[UUID]) -> set[UUID]:
    """Those of the alerts that are graver than their open incident."""
    found = connection.execute(
        text(
            "SELECT a.id FROM alerts a JOIN incident_signals s ON s.signal = a.id AND s.kind = 'alert'"
            " JOIN incidents i ON i.id = s.incident"
            " WHERE a.id = ANY (:alerts) AND i.status = 'open' AND a.severity > i.severity"
        ),
        {"alerts": list(alerts)},
    )
    return set(found.scalars())


def save_signals(connection: Connection, placed: Mapping[UUID, UUID], kind: str, now: datetime) -> None:
    """Link signals to their incidents."""
    if placed:
        connection.execute(
            insert(incident_signals).on_conflict_do_nothing(),
            [{"kind": kind, "signal": s, "incident": i, "at": now} for s, i in placed.items()],
        )
