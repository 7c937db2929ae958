"""Sensors, readings and quarantine in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from geoalchemy2 import Geometry
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    or_,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from config.database import Policy, metadata, within
from ingest.decode import Doubt
from ingest.hour_store import mark_stale
from ingest.reading import DATUMS, ReadingBatch
from ingest.reading import Column as Numbers
from ingest.sensor import CONDITIONAL, Catalogue, Plausible, Profile, Quantity, Sensor

Instant = DateTime(timezone=True)
Path = Text(collation="C")

quantities = Table(
    "quantities",
    metadata,
    Column("n", SmallInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False, unique=True),
    Column("unit", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("low", Double, nullable=False),
    Column("high", Double, nullable=False),
)

# Models of devices, as the data pack states them; plausible: quantity -> [low, high, [sentinels]].
profiles = Table(
    "profiles",
    metadata,
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("interval_s", Double),
    Column("plausible", JSONB, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
)

sensors = Table(
    "sensors",
    metadata,
    Column("n", Integer, Identity(start=1_000_000), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("county", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("cell", Text, nullable=False),
    Column("scope", Path, nullable=False, index=True),
    Column("domain", Text, nullable=False),
    Column("quantities", ARRAY(Text), nullable=False),
    Column("geom", Geometry("POINT", srid=4490, spatial_index=True)),
    Column("interval_s", Double, nullable=False),
    Column("owner", Text, nullable=False, server_default=""),
    Column("profile", Text, nullable=False, server_default=""),
    Column("sharing", Text, nullable=False, server_default=CONDITIONAL),
    Column("in_service", Boolean, nullable=False, server_default="true"),
    Column("service_since", Instant),
    # How often the entry was changed by people; version also counts its comings and goings.
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("state", Text, nullable=False, server_default="unknown"),
    Column("state_since", Instant),
    Column("last_received_at", Instant),
    Column("latest", JSONB, nullable=False, server_default="{}"),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("credential_at", Instant),
)

readings = Table(
    "readings",
    metadata,
    Column("received_at", Instant, nullable=False),
    Column("at", Instant, nullable=False),
    Column("sensor", Integer, nullable=False),
    Column("quantity", SmallInteger, nullable=False),
    Column("value", Double, nullable=False),
    Column("key", BigInteger, nullable=False),
    Column("flags", SmallInteger, nullable=False),
    Column("cell", Integer, nullable=False),
    Index("ix_readings_received_at", "received_at", postgresql_using="brin"),
    Index("ix_readings_at", "at", postgresql_using="brin"),
    postgresql_partition_by="RANGE (received_at)",
)

# Where a moving sensor said it was, for readings that came with a position: as sent, and as used.
reading_positions = Table(
    "reading_positions",
    metadata,
    Column("received_at", Instant, nullable=False),
    Column("key", BigInteger, nullable=False),
    Column("sensor", Integer, nullable=False),
    Column("raw_lng", Double, nullable=False),
    Column("raw_lat", Double, nullable=False),
    Column("datum", Text, nullable=False),
    Column("lng", Double, nullable=False),
    Column("lat", Double, nullable=False),
    Index("ix_reading_positions_received_at", "received_at", postgresql_using="brin"),
    Index("ix_reading_positions_key", "key", "received_at", unique=True),
    postgresql_partition_by="RANGE (received_at)",
)

policies = (
    Policy("sensors", within("scope")),
    Policy("readings", "sensor = ANY (ARRAY(SELECT n FROM sensors))"),
    Policy("reading_positions", "sensor = ANY (ARRAY(SELECT n FROM sensors))"),
)

_PG_EPOCH = np.datetime64("2000-01-01", "us")
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
# One row of binary COPY: a field count, then each field as length and big-endian value. All widths are fixed, so a whole
# batch is one structured array and one memory copy (PostgreSQL documentation, COPY, "Binary Format").
_ROW = np.dtype(
    [("fields", ">i2")]
    + [
        item
        for name, kind, size in (
            ("received_at", ">i8", 8),
            ("at", ">i8", 8),
            ("sensor", ">i4", 4),
            ("quantity", ">i2", 2),
            ("value", ">f8", 8),
            ("key", ">i8", 8),
            ("flags", ">i2", 2),
            ("cell", ">i4", 4),
        )
        for item in ((f"{name}_size", ">i4"), (name, kind))
        if size
    ]
)
_SIZES = {"received_at": 8, "at": 8, "sensor": 4, "quantity": 2, "value": 8, "key": 8, "flags": 2, "cell": 4}

# As numbers: thousands of rows become columns without an object for every time.
_STORED = text(
    "SELECT r.sensor, r.quantity, r.value, (extract(epoch FROM r.at) * 1000000)::bigint,"
    " (extract(epoch FROM r.received_at) * 1000000)::bigint, r.key, r.flags, coalesce(p.raw_lng, 'NaN'),"
    " coalesce(p.raw_lat, 'NaN'), coalesce(array_position(CAST(:datums AS text[]), p.datum) - 1, 0), 0, r.cell,"
    " coalesce(p.lng, 'NaN'), coalesce(p.lat, 'NaN')"
    " FROM readings r LEFT JOIN reading_positions p ON p.key = r.key AND p.received_at = r.received_at"
    " WHERE r.received_at >= :since AND r.received_at < :until ORDER BY r.received_at, r.ctid"
)

_SAVE_POSITIONS = text(
    "INSERT INTO reading_positions (received_at, key, sensor, raw_lng, raw_lat, datum, lng, lat) SELECT * FROM unnest("
    "CAST(:received_at AS timestamptz[]), CAST(:key AS bigint[]), CAST(:sensor AS int[]), CAST(:raw_lng AS float8[]),"
    " CAST(:raw_lat AS float8[]), CAST(:datum AS text[]), CAST(:lng AS float8[]), CAST(:lat AS float8[]))"
    " ON CONFLICT (key, received_at) DO NOTHING"
)


def binary_rows(batch: ReadingBatch, cell: Numbers) -> bytes:
    """The batch as the body of a binary COPY into ``readings``. ``cell`` int32: number of the merged cell, 0 for none."""
    rows = np.empty(len(batch), dtype=_ROW)
    rows["fields"] = len(_SIZES)
    for name, size in _SIZES.items():
        rows[f"{name}_size"] = size
        rows[name] = cell if name == "cell" else _wire(getattr(batch, name))
    return rows.tobytes()


def _wire(column: Numbers) -> Numbers:
    if column.dtype.kind == "M":
        return (column - _PG_EPOCH).astype("i8")
    return column


def _now() -> datetime:
    return datetime.now(UTC)


def save_readings(
    connection: Connection, batch: ReadingBatch, cell: Numbers, clock: Callable[[], datetime] = _now
) -> None:
    """COPY a batch into its day's partition, and mark the closed hours that it changes.

    The clock is asked inside the transaction: whatever stopped us before it, what the hours are computed from is complete.
    """
    if not len(batch):
        return
    driver = connection.connection.driver_connection
    assert driver is not None
    names = ", ".join(_SIZES)
    with driver.cursor() as cursor, cursor.copy(f"COPY readings ({names}) FROM STDIN (FORMAT binary)") as copy:
        copy.write(_COPY_HEADER + binary_rows(batch, cell) + _COPY_TRAILER)
    mark_stale(connection, batch, clock())


def save_positions(connection: Connection, batch: ReadingBatch, lng: Numbers, lat: Numbers) -> None:
    """Keep where the batch's moving sensors were: as sent, and ``lng`` and ``lat`` as used (CGCS2000), once per observation.

    It is found by key and time of receipt: a device may use an id again after a while.
    """
    rows = np.flatnonzero(~np.isnan(batch.lng))
    if not len(rows):
        return
    columns = {
        "received_at": np.datetime_as_string(batch.received_at[rows], timezone="UTC"),
        "key": batch.key[rows],
        "sensor": batch.sensor[rows],
        "raw_lng": batch.lng[rows],
        "raw_lat": batch.lat[rows],
        "datum": np.array(DATUMS)[batch.datum[rows]],
        "lng": lng[rows],
        "lat": lat[rows],
    }
    # As array literals: handing over the lists, element by element, takes the driver longer than the insert itself.
    literals = {name: "{" + ",".join(map(str, column.tolist())) + "}" for name, column in columns.items()}
    connection.execute(_SAVE_POSITIONS, literals)


@dataclass(frozen=True, slots=True)
class StoredReadings:
    """A batch as it was stored: ``cell`` int32, ``lng`` and ``lat`` float64 as used (NaN: where the catalogue says)."""

    readings: ReadingBatch
    cell: Numbers
    lng: Numbers
    lat: Numbers


def stored_readings(
    connection: Connection, since: datetime, until: datetime, rows: int = 20_000
) -> Iterator[StoredReadings]:
    """Readings received from ``since`` on and before ``until``, in the order of receipt, ``rows`` at a time."""
    window = {"since": since, "until": until, "datums": list(DATUMS)}
    found = connection.execute(_STORED, window, execution_options={"stream_results": True, "max_row_buffer": rows})
    for part in found.partitions(rows):
        cell, lng, lat = (np.array(column) for column in list(zip(*part, strict=True))[-3:])
        batch = ReadingBatch.of([tuple(row)[:-3] for row in part])
        yield StoredReadings(batch, cell.astype("i4"), lng.astype("f8"), lat.astype("f8"))


@dataclass(frozen=True, slots=True)
class Latest:
    """What is newest of one sensor: values by quantity name, as ``{"value", "at", "received_at"}``."""

    n: int
    values: Mapping[str, Mapping[str, Any]]
    received_at: datetime


def save_latest(connection: Connection, latest: Sequence[Latest]) -> None:
    """Bring the sensors' newest values up to date."""
    if latest:
        # As one text: for arrays of texts the driver quotes each of thousands by itself.
        rows = [(item.n, item.values, item.received_at.timestamp()) for item in latest]
        connection.execute(
            text(
                "UPDATE sensors s SET latest = s.latest || (v -> 1), last_received_at = to_timestamp((v ->> 2)::float8)"
                " FROM jsonb_array_elements(CAST(:rows AS jsonb)) AS v WHERE s.n = (v ->> 0)::int"
            ),
            {"rows": msgspec.json.encode(rows).decode()},
        )


def save_states(connection: Connection, changes: Sequence[tuple[int, str, datetime]]) -> dict[int, int]:
    """Write (sensor number, new state, since when); returns the new version by sensor number."""
    if not changes:
        return {}
    found = connection.execute(
        text(
            "UPDATE sensors s SET state = v.state, state_since = v.since, version = s.version + 1"
            " FROM unnest(CAST(:n AS int[]), CAST(:state AS text[]), CAST(:since AS timestamptz[]))"
            " AS v(n, state, since) WHERE s.n = v.n RETURNING s.n, s.version"
        ),
        {
            "n": [n for n, _, _ in changes],
            "state": [state for _, state, _ in changes],
            "since": [since for _, _, since in changes],
        },
    )
    return dict(found.all())


def add_quantities(connection: Connection, known: Iterable[Quantity]) -> None:
    """Add the quantities that are not there yet. Those that are stay as they are: their readings were taken in these units."""
    rows = [{name: getattr(quantity, name) for name in Quantity.__slots__} for quantity in known]
    if rows:
        connection.execute(insert(quantities).on_conflict_do_nothing(), rows)


def load_catalogue(connection: Connection) -> Catalogue:
    """Every sensor and quantity."""
    found = connection.execute(
        text(
            "SELECT n, id, name, county, region, cell, scope, domain, quantities,"
            " ST_X(geom) AS lng, ST_Y(geom) AS lat, interval_s, owner, profile, sharing, in_service"
            " FROM sensors ORDER BY n"
        )
    )
    return Catalogue.of(
        (Sensor(**{**row._mapping, "quantities": tuple(row.quantities)}) for row in found),
        (Quantity(*row) for row in connection.execute(quantities.select().order_by(quantities.c.n))),
        load_profiles(connection),
    )


def load_profiles(connection: Connection) -> list[Profile]:
    """The models of devices, by id."""
    found = connection.execute(text("SELECT id, title, title_en, interval_s, plausible FROM profiles ORDER BY id"))
    return [
        Profile(
            row.id,
            row.title,
            row.title_en,
            row.interval_s,
            {name: Plausible(low, high, frozenset(none)) for name, (low, high, none) in row.plausible.items()},
        )
        for row in found
    ]


def save_profiles(connection: Connection, stated: Iterable[Profile]) -> None:
    """State the models of devices as a data pack has them. One that the pack has no longer stays: sensors may name it."""
    rows = [
        {
            "id": profile.id,
            "title": profile.title,
            "title_en": profile.title_en,
            "interval_s": profile.interval_s,
            "plausible": {
                name: [own.low, own.high, sorted(own.sentinels)] for name, own in sorted(profile.plausible.items())
            },
        }
        for profile in stated
    ]
    if not rows:
        return
    upsert = insert(profiles)
    columns = ("title", "title_en", "interval_s", "plausible")
    differs = or_(*(profiles.c[name].is_distinct_from(upsert.excluded[name]) for name in columns))
    connection.execute(
        upsert.on_conflict_do_update(
            index_elements=["id"],
            set_={name: upsert.excluded[name] for name in columns} | {"version": profiles.c.version + 1},
            where=differs,
        ),
        rows,
    )


def load_latest(connection: Connection) -> list[tuple[int, str, datetime | None, dict[str, Any]]]:
    """(sensor number, state, last receipt, newest values as in ``Latest``) of every sensor."""
    found = connection.execute(text("SELECT n, state, last_received_at, latest FROM sensors"))
    return [(n, state, heard, latest) for n, state, heard, latest in found]


def load_keys(connection: Connection, since: datetime, most: int) -> tuple[list[int], datetime | None]:
    """Message keys stored since ``since``, oldest first: the memory a restarted worker begins with.

    Of more than ``most`` the newest, and then also when the oldest of them was received.
    """
    found = connection.execute(
        text("SELECT key, received_at FROM readings WHERE received_at >= :since ORDER BY received_at DESC LIMIT :most"),
        {"since": since, "most": most},
    ).all()
    keys = [row.key for row in reversed(found)]
    return keys, found[-1].received_at if len(found) == most else None


def stored_keys(connection: Connection, doubts: Sequence[Doubt]) -> set[tuple[int, int, int]]:
    """(key, quantity, at in epoch microseconds) of the stored readings that doubtful ones may repeat, searched around their
    device times.
    """
    if not doubts:
        return set()
    times = [doubt.at_us for doubt in doubts]
    found = connection.execute(
        text(
            "SELECT key, quantity, (extract(epoch FROM at) * 1000000)::bigint FROM readings"
            " WHERE at BETWEEN :first AND :last AND key = ANY (:keys)"
        ),
        {
            "first": datetime.fromtimestamp(min(times) / 1e6 - 1, UTC),
            "last": datetime.fromtimestamp(max(times) / 1e6 + 1, UTC),
            "keys": [doubt.key for doubt in doubts],
        },
    )
    return {(key, quantity, at_us) for key, quantity, at_us in found}
