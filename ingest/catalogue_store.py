"""The sensors' catalogue as people keep it, in PostgreSQL: entries, who changed what when, and sensors that nobody knows yet.

Whoever writes holds one lock until the commit, so that the newest line of the history names a state of the whole catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from geoalchemy2 import Geometry
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Identity,
    Index,
    Integer,
    Row,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from config.database import Policy, metadata, within
from ingest.entry import REHOMED, Change, Entry
from ingest.quarantine import UNKNOWN_SENSOR
from ingest.store import sensors

_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('sensor catalogue', 0))")
# A grid version gives sensors other cells: it waits until what was placed by the cells of today is stored.
_GROUND_STAYS: Final = text("SELECT pg_advisory_xact_lock_shared(hashtextextended('grid version', 0))")
# What is decided between the lock and the commit takes longer than the worker's role may usually think.
_TIME_TO_THINK: Final = text("SET LOCAL idle_in_transaction_session_timeout = '120s'")

sensor_history = Table(
    "sensor_history",
    metadata,
    Column("n", BigInteger, Identity(), primary_key=True),
    Column("sensor", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("by", Text, nullable=False),
    Column("by_name", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("source", Text, nullable=False),
    # field -> [before, after]
    Column("changes", JSONB, nullable=False),
    Column("scope", Text(collation="C"), nullable=False, index=True),
    Index("ix_sensor_history_sensor", "sensor", "n"),
)

policies = (Policy("sensor_history", within("scope")),)

WRITTEN: Final = (
    "name",
    "county",
    "region",
    "cell",
    "scope",
    "domain",
    "quantities",
    "geom",
    "interval_s",
    "owner",
    "profile",
    "sharing",
    "in_service",
    "service_since",
    "revision",
    "version",
)
"""The columns of a sensor that people change; the others are the worker's."""

MOST_SENT: Final = 20
"""Messages of an unknown sensor that are looked into for what it sends."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes the catalogue, when, and from what file."""

    account: str
    name: str
    at: datetime
    source: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A sensor that reported and is in no catalogue. ``sent``: its newest messages as (received, payload), newest first."""

    id: str
    county: str
    scope: str
    count: int
    first_at: datetime
    last_at: datetime
    sent: tuple[tuple[datetime, bytes], ...]


def begin_writing(connection: Connection) -> None:
    """Wait for whoever writes the catalogue, or brings a grid version into force; they wait for us until the commit."""
    connection.execute(_TIME_TO_THINK)
    connection.execute(_GROUND_STAYS)
    connection.execute(_LOCK)


def entry_columns() -> list[ColumnElement[Any]]:
    """The columns that ``entry_of`` reads."""
    names = tuple(name for name in Entry.__slots__ if name not in ("lng", "lat"))
    place = (func.ST_X(sensors.c.geom).label("lng"), func.ST_Y(sensors.c.geom).label("lat"))
    return [*(sensors.c[name] for name in names), *place]


def entry_of(row: Row[Any]) -> Entry:
    """An entry from its row."""
    found = {name: getattr(row, name) for name in Entry.__slots__}
    return Entry(**found | {"quantities": tuple(row.quantities)})


def standing(connection: Connection, ids: Sequence[str] | None = None) -> dict[str, Entry]:
    """The entries of these sensors (None: of all) that the connection may see, by id."""
    statement = select(*entry_columns())
    if ids is not None:
        statement = statement.where(sensors.c.id == func.any(bindparam("ids", list(ids), unique=True)))
    return {row.id: entry_of(row) for row in connection.execute(statement)}


def each_entry(connection: Connection, low: str) -> Iterator[Entry]:
    """The entries at or below the region of path ``low`` ("": all) by id, as they are read: one snapshot, in little room."""
    statement = select(*entry_columns()).order_by(sensors.c.id)
    if low:
        statement = statement.where(sensors.c.scope >= low, sensors.c.scope < f"{low}~")
    with connection.execute(statement, execution_options={"stream_results": True, "max_row_buffer": 1000}) as found:
        yield from map(entry_of, found)


def taken(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these ids a sensor has that the connection may see."""
    found = connection.execute(text("SELECT id FROM sensors WHERE id = ANY (:ids)"), {"ids": list(ids)})
    return set(found.scalars())


def save(connection: Connection, changes: Sequence[Change], author: Author) -> list[Row[Any]]:
    """Store added and changed entries with a line of history each; their rows as they stand then, in the same order.

    Call ``begin_writing`` first.
    """
    after = [_dated(change, author.at) for change in changes]
    added = [
        _row(entry) | {"id": entry.id} for change, entry in zip(changes, after, strict=True) if change.before is None
    ]
    changed = [_row(entry) | {"of": entry.id} for change, entry in zip(changes, after, strict=True) if change.before]
    if added:
        connection.execute(insert(sensors), added)
    if changed:
        stated: dict[str, Any] = {name: bindparam(name) for name in changed[0] if name not in ("of", "geom")}
        place = func.ST_GeomFromEWKT(bindparam("geom"), type_=Geometry("POINT", srid=4490))
        connection.execute(
            update(sensors)
            .where(sensors.c.id == bindparam("of"))
            .values(**stated, geom=place, version=sensors.c.version + 1),
            changed,
        )
    lines = [
        {
            "sensor": entry.id,
            "revision": entry.revision,
            "at": author.at,
            "by": author.account,
            "by_name": author.name,
            "what": change.what,
            "source": author.source,
            "changes": {name: list(pair) for name, pair in replace(change, after=entry).difference().items()},
            "scope": entry.scope,
        }
        for change, entry in zip(changes, after, strict=True)
    ]
    if lines:
        connection.execute(insert(sensor_history), lines)
    statement = select(*sensors.c, *entry_columns()[-2:]).where(
        sensors.c.id == func.any(bindparam("ids", [entry.id for entry in after]))
    )
    rows = {row.id: row for row in connection.execute(statement)}
    return [rows[entry.id] for entry in after]


def _dated(change: Change, at: datetime) -> Entry:
    before, after = change.before, change.after
    revision = 1 if before is None else before.revision + 1
    came = before is None or before.in_service != after.in_service
    same = before is not None and before.service_since == after.service_since
    if came and (after.service_since is None or same):
        after = replace(after, service_since=at)
    return replace(after, revision=revision)


def _row(entry: Entry) -> dict[str, Any]:
    place = None if entry.lng is None else f"SRID=4490;POINT({entry.lng!r} {entry.lat!r})"
    stated = {name: getattr(entry, name) for name in Entry.__slots__ if name not in ("id", "lng", "lat")}
    return stated | {"quantities": list(entry.quantities), "geom": place}


def history(sensor: str) -> Any:
    """The statement for a sensor's history."""
    return sensor_history.select().where(sensor_history.c.sensor == sensor)


_UNKNOWN: Final = text(
    "WITH found AS (SELECT source, county, min(scope) AS scope, count(*) AS n, min(received_at) AS first_at,"
    " max(received_at) AS last_at FROM quarantine q WHERE reason = :reason AND source IS NOT NULL"
    " AND (CAST(:id AS text) IS NULL OR source = :id)"
    " AND NOT EXISTS (SELECT FROM sensors s WHERE s.id = q.source)"
    " GROUP BY source, county ORDER BY max(received_at) DESC, source LIMIT :most)"
    " SELECT f.*, sent.at, sent.payload FROM found f LEFT JOIN LATERAL ("
    "SELECT array_agg(received_at ORDER BY id DESC) AS at, array_agg(payload ORDER BY id DESC) AS payload FROM ("
    "SELECT id, received_at, payload FROM quarantine q WHERE q.reason = :reason AND q.source = f.source"
    " AND q.county IS NOT DISTINCT FROM f.county AND length(q.payload) <= :largest ORDER BY id DESC LIMIT :sent) newest"
    ") sent ON true ORDER BY f.last_at DESC, f.source"
)


def unknown_sensors(
    connection: Connection, *, most: int, sensor: str | None = None, largest: int = 16_384
) -> list[Unknown]:
    """Sensors whose messages are in quarantine because no catalogue has them, the last heard first, ``most`` at most."""
    values = {"reason": UNKNOWN_SENSOR, "id": sensor, "most": most, "sent": MOST_SENT, "largest": largest}
    return [
        Unknown(
            id=row.source,
            county=row.county or "",
            scope=row.scope,
            count=row.n,
            first_at=row.first_at,
            last_at=row.last_at,
            sent=tuple(zip(row.at or (), map(bytes, row.payload or ()), strict=True)),
        )
        for row in connection.execute(_UNKNOWN, values)
    ]


def save_rehomed(connection: Connection, moved: Iterable[Row[Any]], at: datetime, version: int) -> None:
    """A line of history for each sensor that a grid version put into another cell: rows of id, revision, was, cell, scope."""
    lines = [
        {
            "sensor": row.id,
            "revision": row.revision,
            "at": at,
            "by": "",
            "by_name": "",
            "what": REHOMED,
            "source": f"grid version {version}",
            "changes": {"cell": [row.was, row.cell]},
            "scope": row.scope,
        }
        for row in moved
    ]
    if lines:
        connection.execute(insert(sensor_history), lines)
