"""With what sensors log in at the broker: digests only, and since when. The secret is given out once and kept nowhere.

The web process cannot read them; whether a sensor has one, and since when, stands in ``sensors.credential_at``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, DateTime, Table, Text, text

from config.database import metadata

sensor_credentials = Table(
    "sensor_credentials",
    metadata,
    Column("sensor", Text, primary_key=True),
    Column("algorithm", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Credential:
    """What is kept of a sensor's password."""

    sensor: str
    algorithm: str
    digest: str
    issued_at: datetime


def load_credentials(connection: Connection) -> list[tuple[str, str, str]]:
    """(sensor id, county, digest) of every sensor that is in the catalogue and may log in, by id."""
    found = connection.execute(
        text(
            "SELECT c.sensor, s.county, c.digest FROM sensor_credentials c JOIN sensors s ON s.id = c.sensor ORDER BY c.sensor"
        )
    )
    return [(row.sensor, row.county, row.digest) for row in found]


def save_credentials(connection: Connection, credentials: Iterable[Credential]) -> None:
    """Keep them, in place of older ones of the same sensors."""
    rows = [{name: getattr(one, name) for name in Credential.__slots__} for one in credentials]
    if rows:
        connection.execute(
            text(
                "INSERT INTO sensor_credentials (sensor, algorithm, digest, issued_at)"
                " VALUES (:sensor, :algorithm, :digest, :issued_at) ON CONFLICT (sensor) DO UPDATE"
                " SET algorithm = excluded.algorithm, digest = excluded.digest,"
                " issued_at = excluded.issued_at"
            ),
            rows,
        )
        connection.execute(
            text("UPDATE sensors SET credential_at = :issued_at WHERE id = :sensor"),
            [{"sensor": row["sensor"], "issued_at": row["issued_at"]} for row in rows],
        )


def drop_credentials(connection: Connection, sensors: Iterable[str]) -> int:
    """Forget them; how many there were."""
    ids = list(sensors)
    done = connection.execute(text("DELETE FROM sensor_credentials WHERE sensor = ANY (:ids)"), {"ids": ids})
    connection.execute(text("UPDATE sensors SET credential_at = NULL WHERE id = ANY (:ids)"), {"ids": ids})
    return done.rowcount
