"""``/api/v1/cameras`` and ``/readings``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, Field
from sqlalchemy import Select, Table, func

from command_center.api.asking import now, server, sight
from command_center.api.paging import Page, listed, narrowed
from command_center.api.region import below
from ingest import store as ingest_store
from video import store as video_store

blueprint = APIBlueprint("sources", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="sources")])


class CameraQuery(Page):
    """Which cameras."""

    id: str | None = None
    region: str | None = Field(None, description="region code: it and all below it")
    domain: str | None = None
    state: str | None = Field(None, description="online, silent, offline or unknown")


class ReadingQuery(Page):
    """Which readings."""

    sensor: str
    quantity: str | None = None
    since: AwareDatetime | None = Field(
        None, description="received at or after, RFC 3339; the last day when it is missing"
    )


@blueprint.get("/cameras", summary="Cameras, by id")
def list_cameras(query: CameraQuery) -> dict[str, Any]:
    """The cameras the account may see. Stream addresses stay inside."""
    table = video_store.cameras
    columns = ("id", "name", "county", "region", "cell", "domain", "direction", "field_of_view", "state", "state_since")
    statement = table.select().with_only_columns(
        *(table.c[name] for name in columns),
        func.ST_X(table.c.geom).label("lng"),
        func.ST_Y(table.c.geom).label("lat"),
    )
    with sight() as connection:
        return listed(connection, _chosen(statement, table, query), (table.c.id,), query, _camera, newest_first=False)


@blueprint.get("/readings", summary="Readings of a sensor, newest first")
def list_readings(query: ReadingQuery) -> dict[str, Any]:
    """Readings of one sensor that the account may see."""
    table, sensors = ingest_store.readings, ingest_store.sensors
    catalogue = server().catalogue
    since = query.since or now() - timedelta(days=1)
    statement = (
        table.select()
        .join(sensors, sensors.c.n == table.c.sensor)
        .where(sensors.c.id == query.sensor, table.c.received_at >= since)
    )
    if query.quantity is not None:
        known = catalogue.quantities.get(query.quantity)
        statement = statement.where(table.c.quantity == (-1 if known is None else known.n))
    keys = (table.c.received_at, table.c.key, table.c.quantity)

    def shape(row: Any) -> dict[str, Any]:
        quantity = catalogue.quantity_by_n[row.quantity]
        return {
            "sensor": query.sensor,
            "quantity": quantity.name,
            "unit": quantity.unit,
            "value": row.value,
            "at": row.at.isoformat(),
            "received_at": row.received_at.isoformat(),
            "flags": row.flags,
        }

    with sight() as connection:
        return listed(connection, statement, keys, query, shape, newest_first=True)


def _chosen(statement: Select[Any], table: Table, query: CameraQuery) -> Select[Any]:
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    return narrowed(statement, table, {"id": query.id, "domain": query.domain, "state": query.state})


def _camera(row: Any) -> dict[str, Any]:
    found = dict(row._mapping)
    return found | {"state_since": None if row.state_since is None else row.state_since.isoformat()}
