"""Cameras and their events in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from geoalchemy2 import Geometry
from sqlalchemy import ARRAY, Column, Connection, DateTime, Double, Identity, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import insert

from config.database import Policy, metadata, within
from video.camera import Camera, CameraEvent

Instant = DateTime(timezone=True)
Path = Text(collation="C")

cameras = Table(
    "cameras",
    metadata,
    Column("n", Integer, Identity(), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("county", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("cell", Text, nullable=False),
    Column("scope", Path, nullable=False, index=True),
    Column("domain", Text, nullable=False),
    Column("geom", Geometry("POINT", srid=4490, spatial_index=True), nullable=False),
    Column("direction", Double, nullable=False),
    Column("field_of_view", Double, nullable=False),
    Column("stream", Text),
    Column("alias", Text, unique=True),
    Column("state", Text, nullable=False, server_default="unknown"),
    Column("state_since", Instant),
    Column("version", Integer, nullable=False, server_default="1"),
)

camera_events = Table(
    "camera_events",
    metadata,
    Column("camera", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("phase", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("zones", ARRAY(Text), nullable=False),
    Column("started_at", Instant, nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("cell", Text, nullable=False),
    Column("scope", Path, nullable=False, index=True),
)

policies = (Policy("cameras", within("scope")), Policy("camera_events", within("scope")))


def load_cameras(connection: Connection) -> dict[str, Camera]:
    """Every camera by id."""
    found = connection.execute(
        text(
            "SELECT id, name, county, region, cell, scope, domain, ST_X(geom), ST_Y(geom), direction, field_of_view, stream,"
            " alias FROM cameras ORDER BY id"
        )
    )
    return {row.id: Camera(*row) for row in found}


def save_camera_events(connection: Connection, events: Sequence[CameraEvent], cameras: dict[str, Camera]) -> None:
    """Store events. A later message about the same (camera, key) replaces an earlier one, never the other way round."""
    newest: dict[tuple[str, str], CameraEvent] = {}
    for event in events:
        known = newest.get((event.camera, event.key))
        if known is None or event.at >= known.at:
            newest[event.camera, event.key] = event
    rows = [
        {
            "camera": e.camera,
            "key": e.key,
            "phase": e.phase,
            "kind": e.kind,
            "score": e.score,
            "zones": list(e.zones),
            "started_at": datetime.fromtimestamp(e.started_at, UTC),
            "at": datetime.fromtimestamp(e.at, UTC),
            "ended_at": None if e.ended_at is None else datetime.fromtimestamp(e.ended_at, UTC),
            "cell": cameras[e.camera].cell,
            "scope": cameras[e.camera].scope,
        }
        for e in newest.values()
    ]
    if not rows:
        return
    statement = insert(camera_events)
    replaced = {name: statement.excluded[name] for name in ("phase", "kind", "score", "zones", "at", "ended_at")}
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["camera", "key"], set_=replaced, where=camera_events.c.at <= statement.excluded.at
        ),
        rows,
    )


def stored_camera_events(connection: Connection, since: datetime) -> list[CameraEvent]:
    """Events that were last heard of at or after a time, as that message left them, in its order."""
    found = connection.execute(
        camera_events.select().where(camera_events.c.at >= since).order_by(camera_events.c.at, camera_events.c.key)
    )
    return [
        CameraEvent(
            camera=row.camera,
            key=row.key,
            phase=row.phase,
            kind=row.kind,
            score=row.score,
            zones=tuple(row.zones),
            started_at=row.started_at.timestamp(),
            at=row.at.timestamp(),
            ended_at=None if row.ended_at is None else row.ended_at.timestamp(),
            message=0,
        )
        for row in found
    ]
