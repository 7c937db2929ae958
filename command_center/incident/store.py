"""Incidents and their signals in PostgreSQL."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
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
from sqlalchemy.dialects.postgresql import JSONB, insert

from command_center.incident.incident import LEVELS, OPEN, Incident, IncidentStep
from config.database import Policy, metadata, within
from rules.correlate import METRES_A_DEGREE, Known, Signal
from rules.correlation import Correlation
from rules.store import microseconds, moment

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
    Column("merged_into", Uuid, ForeignKey("incidents.id")),
    Index("ix_incidents_open", "category", "lng", "lat", postgresql_where=text("status = 'open'")),
    Index("ix_incidents_merged_into", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
)

# A signal as correlation sees it: ``at`` is its own time. ``came_to`` is the incident it came to by itself or by a person's
# hand, ``incident`` the one that has it since that one was merged. ``square``: see ``_square``.
incident_signals = Table(
    "incident_signals",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("signal", Uuid, primary_key=True),
    Column("incident", Uuid, ForeignKey("incidents.id"), nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("came_to", Uuid, ForeignKey("incidents.id"), nullable=False, index=True),
    Column("family", Text, nullable=False),
    Column("township", Text(collation="C"), nullable=False),
    Column("source", Text, nullable=False),
    Column("lng", Double, nullable=False),
    Column("lat", Double, nullable=False),
    Column("square", BigInteger, nullable=False),
    Column("joined_at", Instant, nullable=False),
    Index("ix_incident_signals_square", "family", "square", "at"),
    Index("ix_incident_signals_source", "family", "source", "at"),
    Index("ix_incident_signals_township", "family", "township", "at"),
)

# What became of an incident among others: appended, never edited.
incident_steps = Table(
    "incident_steps",
    metadata,
    Column("incident", Uuid, ForeignKey("incidents.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("what", Text, nullable=False),
    Column("by", Text),
    Column("by_name", Text),
    Column("reason", Text),
    Column("facts", JSONB, nullable=False),
)

# Two matters, whatever links them: ``one`` is the lesser id.
incident_apart = Table(
    "incident_apart",
    metadata,
    # Without references: these would wait for incidents that others have locked.
    Column("one", Uuid, primary_key=True),
    Column("other", Uuid, primary_key=True, index=True),
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
    Policy("incident_steps", _OF_INCIDENT),
    Policy(
        "incident_apart",
        "EXISTS (SELECT FROM incidents i WHERE i.id = one) AND EXISTS (SELECT FROM incidents i WHERE i.id = other)",
    ),
)

_NAMES = [f.name for f in fields(Incident)]


def lock_families(connection: Connection, families: Iterable[str], table: Correlation) -> None:
    """Let nobody else correlate these until the transaction ends. Sorted, so that two batches cannot embrace."""
    for family in sorted({table.group(own) for own in families}):
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 1))"), {"name": family})


_SQUARES_A_DEGREE = 1000
_ROW = 1_000_000


def _square(lng: float, lat: float) -> int:
    """The number of the square, a thousandth of a degree wide, that a place lies in: what one look-up finds a place by."""
    return math.floor(lat * _SQUARES_A_DEGREE) * _ROW + math.floor(lng * _SQUARES_A_DEGREE)


def _squares(signal: Signal, near_m: float) -> set[tuple[str, int]]:
    """The squares within reach of a signal, with its family."""
    north = near_m / METRES_A_DEGREE * 1.01
    east = north / max(math.cos(math.radians(signal.lat)), 0.01)
    rows = range(_step(signal.lat - north), _step(signal.lat + north) + 1)
    columns = range(_step(signal.lng - east), _step(signal.lng + east) + 1)
    return {(signal.family, row * _ROW + column) for row in rows for column in columns}


def _step(degrees: float) -> int:
    return math.floor(degrees * _SQUARES_A_DEGREE)


_REACHED = text(
    "SELECT s.kind, s.signal, s.incident, s.family, s.township, s.source, s.lng, s.lat, s.at, i.version FROM ("
    "SELECT s.* FROM unnest(CAST(:squared AS text[]), CAST(:squares AS bigint[])) AS n(family, square)"
    " JOIN incident_signals s USING (family, square) WHERE s.at BETWEEN :since AND :until"
    " UNION SELECT s.* FROM unnest(CAST(:sourced AS text[]), CAST(:sources AS text[])) AS n(family, source)"
    " JOIN incident_signals s USING (family, source) WHERE s.at BETWEEN :since AND :until"
    " UNION SELECT s.* FROM unnest(CAST(:towned AS text[]), CAST(:towns AS text[]), CAST(:begins AS timestamptz[]),"
    " CAST(:ends AS timestamptz[])) AS n(family, township, since, until)"
    " JOIN incident_signals s USING (family, township) WHERE s.at BETWEEN n.since AND n.until"
    " UNION SELECT s.* FROM unnest(CAST(:moving AS text[]), CAST(:sets_out AS timestamptz[]), CAST(:arrives AS timestamptz[]))"
    " AS n(family, since, until) JOIN incident_signals s USING (family) WHERE s.at BETWEEN n.since AND n.until"
    ") s JOIN incidents i ON i.id = s.incident WHERE i.status = 'open'"
)


def signals_within_reach(
    connection: Connection, signals: Sequence[Signal], table: Correlation
) -> tuple[list[Known], dict[UUID, int]]:
    """The signals of open incidents that new ones may be linked to, and the versions of these incidents; one query."""
    squares = sorted({pair for s in signals for pair in _squares(s, table.reach(s.family).near_m)})
    sources = sorted({(s.family, s.source) for s in signals if s.source})
    storm_us = 0 if table.storm is None else round(table.storm.window_s * 1_000_000)
    towns = _spans(
        ((family, s.township), s.at_us) for s in signals if storm_us for family in table.grouped(table.group(s.family))
    )
    movers = _spans(((s.family,), s.at_us) for s in signals if table.reach(s.family).moves_m_s)
    within_us = max(table.reach(s.family).within_us for s in signals)
    values = {
        "since": moment(min(s.at_us for s in signals) - within_us),
        "until": moment(max(s.at_us for s in signals) + within_us),
        "squared": [family for family, _ in squares],
        "squares": [square for _, square in squares],
        "sourced": [family for family, _ in sources],
        "sources": [source for _, source in sources],
        "towned": [key[0] for key in towns],
        "towns": [key[1] for key in towns],
        "begins": [moment(begin - storm_us) for begin, _ in towns.values()],
        "ends": [moment(end + storm_us) for _, end in towns.values()],
        "moving": [key[0] for key in movers],
        "sets_out": [moment(begin - table.reach(key[0]).moves_for_us) for key, (begin, _) in movers.items()],
        "arrives": [moment(end + table.reach(key[0]).moves_for_us) for key, (_, end) in movers.items()],
    }
    found, versions = [], {}
    for row in connection.execute(_REACHED, values):
        found.append(Known(_signal_of(row), row.incident))
        versions[row.incident] = row.version
    return found, versions


def _spans(moments: Iterable[tuple[tuple[str, ...], int]]) -> dict[tuple[str, ...], tuple[int, int]]:
    """The first and the last time of each key."""
    found: dict[tuple[str, ...], tuple[int, int]] = {}
    for key, at_us in moments:
        begin, end = found.get(key, (at_us, at_us))
        found[key] = min(begin, at_us), max(end, at_us)
    return found


def _signal_of(row: Any) -> Signal:
    return Signal(row.signal, row.kind, row.family, row.township, row.source, row.lng, row.lat, microseconds(row.at))


_RELABELLED = text(
    "WITH said AS (SELECT 'alert' AS kind, id AS signal, category FROM alerts"
    " UNION ALL SELECT 'report', r.id, t.category FROM reports r JOIN tickets t ON t.id = r.ticket)"
    " SELECT s.kind, s.signal, s.incident, s.source, s.township, s.lng, s.lat, s.at, s.family AS before,"
    " coalesce(f.family, said.category) AS family, i.status FROM incident_signals s JOIN said USING (kind, signal)"
    " JOIN incidents i ON i.id = s.incident"
    " LEFT JOIN unnest(CAST(:categories AS text[]), CAST(:families AS text[])) AS f(category, family)"
    " ON f.category = said.category WHERE s.at >= :since AND s.family <> coalesce(f.family, said.category)"
)


def relabel(connection: Connection, since: datetime, table: Correlation) -> list[Signal]:
    """Give the signals since then the families of another table than they came under; those of open incidents are returned."""
    labels = {category: family for family, own in table.families.items() for category in own}
    asked = {"since": since, "categories": list(labels), "families": list(labels.values())}
    before = connection.execute(_RELABELLED, asked).all()
    if not before:
        return []
    lock_families(connection, {family for row in before for family in (row.before, row.family)}, table)
    # More may have come while we waited for the lock.
    found = connection.execute(_RELABELLED, asked).all()
    if found:
        connection.execute(
            text("UPDATE incident_signals SET family = :family WHERE kind = :kind AND signal = :signal"),
            [{"family": row.family, "kind": row.kind, "signal": row.signal} for row in found],
        )
    return [_signal_of(row) for row in found if row.status == "open"]


def families_of(connection: Connection, owners: Iterable[UUID]) -> set[str]:
    """The families that signals of these incidents are of."""
    found = connection.execute(
        text("SELECT DISTINCT family FROM incident_signals WHERE incident = ANY (:owners)"), {"owners": list(owners)}
    )
    return set(found.scalars())


def signals_of(connection: Connection, incident: UUID) -> list[Signal]:
    """The signals that an incident has, oldest first."""
    table = incident_signals
    statement = table.select().where(table.c.incident == incident).order_by(table.c.at, table.c.signal)
    return [_signal_of(row) for row in connection.execute(statement)]


def hand_over(connection: Connection, giver: UUID, taker: UUID) -> None:
    """All signals of an incident go to the one that it was merged into."""
    connection.execute(
        text("UPDATE incident_signals SET incident = :taker WHERE incident = :giver"), {"taker": taker, "giver": giver}
    )


def part_signals(connection: Connection, incident: UUID, signals: Sequence[UUID], taker: UUID) -> int:
    """Some signals of an incident go to another one for good; how many there were of them."""
    found = connection.execute(
        text(
            "UPDATE incident_signals SET incident = :taker, came_to = :taker"
            " WHERE incident = :incident AND kind = 'alert' AND signal = ANY (:signals)"
        ),
        {"taker": taker, "incident": incident, "signals": list(signals)},
    )
    return found.rowcount


_OWN = (
    "WITH RECURSIVE own AS (SELECT CAST(:incident AS uuid) AS id"
    " UNION SELECT i.id FROM incidents i JOIN own ON i.merged_into = own.id)"
)


def keepers(connection: Connection, incident: UUID) -> dict[UUID, int]:
    """Who has the signals that came to a merged incident and to those merged into it, and how many."""
    found = connection.execute(
        text(
            f"{_OWN} SELECT incident, count(*) FROM incident_signals"
            " WHERE came_to IN (SELECT id FROM own) AND incident <> :incident GROUP BY incident"
        ),
        {"incident": incident},
    )
    return dict(found.all())


def take_back(connection: Connection, incident: UUID) -> None:
    """A merged incident gets back the signals that came to it and to those merged into it."""
    connection.execute(
        text(f"{_OWN} UPDATE incident_signals SET incident = :incident WHERE came_to IN (SELECT id FROM own)"),
        {"incident": incident},
    )


def apart(connection: Connection, ids: Iterable[UUID]) -> set[frozenset[UUID]]:
    """The pairs that were parted, of which one is among these incidents."""
    found = connection.execute(
        text("SELECT one, other FROM incident_apart WHERE one = ANY (:ids) OR other = ANY (:ids)"), {"ids": list(ids)}
    )
    return {frozenset((one, other)) for one, other in found}


def keep_apart(connection: Connection, pairs: Iterable[frozenset[UUID]], now: datetime) -> None:
    """Remember pairs as two matters each."""
    rows = [dict(zip(("one", "other"), sorted(pair), strict=True)) | {"at": now} for pair in pairs]
    if rows:
        connection.execute(insert(incident_apart).on_conflict_do_nothing(), rows)


def lift_apart(connection: Connection, pair: frozenset[UUID]) -> None:
    """A person says that they are one matter after all."""
    one, other = sorted(pair)
    connection.execute(incident_apart.delete().where(incident_apart.c.one == one, incident_apart.c.other == other))


def save_incident_steps(connection: Connection, steps: Sequence[IncidentStep]) -> None:
    """Append steps."""
    if steps:
        connection.execute(incident_steps.insert(), [asdict(step) for step in steps])


def load_incident_steps(connection: Connection, incident: UUID) -> list[IncidentStep]:
    """An incident's steps, oldest first, as far as the connection may see them."""
    table = incident_steps
    found = connection.execute(table.select().where(table.c.incident == incident).order_by(table.c.version))
    return [IncidentStep(**row._mapping) for row in found]


def load_evidence(connection: Connection, incident: UUID) -> list[Any]:
    """Rows (kind, id, at, lng, lat, title, title_en, severity, name, ended_at) of what speaks of an incident, oldest first, as
    far as the connection may see the alerts and reports themselves. Of a report the last three are not known.
    """
    found = connection.execute(
        text(
            "SELECT s.kind, s.signal AS id, s.at, s.lng, s.lat, coalesce(a.title, r.title) AS title,"
            " coalesce(a.title_en, r.title_en) AS title_en, s.came_to, a.severity, a.source_name AS name, a.ended_at"
            " FROM incident_signals s"
            " LEFT JOIN alerts a ON s.kind = 'alert' AND a.id = s.signal"
            " LEFT JOIN reports r ON s.kind = 'report' AND r.id = s.signal"
            " WHERE s.incident = :incident AND coalesce(a.id, r.id) IS NOT NULL ORDER BY s.at, s.signal"
        ),
        {"incident": incident},
    )
    return list(found)


def open_incidents_near(connection: Connection, incident: Incident, away: tuple[float, float]) -> list[Incident]:
    """Other open incidents within ``away`` (degrees of longitude and latitude), as far as the connection may see them."""
    table, (east, north) = incidents, away
    statement = table.select().where(
        table.c.status == OPEN,
        table.c.id != incident.id,
        table.c.lng.between(incident.lng - east, incident.lng + east),
        table.c.lat.between(incident.lat - north, incident.lat + north),
    )
    return [incident_of(row) for row in connection.execute(statement)]


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
    """Bring up to date where one locked incident stands, the severity that it was filed under, and how many signals it has."""
    names = ("status", "severity", "version", "merged_into", "signals", "last_signal_at")
    facts = {name: getattr(incident, name) for name in names}
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


def save_signals(connection: Connection, placed: Iterable[tuple[Signal, UUID]], now: datetime) -> None:
    """Link signals to their incidents."""
    rows = [
        {
            "kind": signal.kind,
            "signal": signal.id,
            "incident": incident,
            "came_to": incident,
            "at": moment(signal.at_us),
            "square": _square(signal.lng, signal.lat),
            "joined_at": now,
            **{name: getattr(signal, name) for name in ("family", "township", "source", "lng", "lat")},
        }
        for signal, incident in placed
    ]
    if rows:
        connection.execute(insert(incident_signals).on_conflict_do_nothing(), rows)
