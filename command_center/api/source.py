"""``/api/v1/cameras``."""

from __future__ import annotations

from typing import Any

from flask_openapi3 import APIBlueprint, Tag
from pydantic import Field
from sqlalchemy import Select, Table, func

from command_center.api.asking import sight
from command_center.api.paging import Page, listed, narrowed
from command_center.api.region import below
from video import store as video_store

blueprint = APIBlueprint("sources", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="sources")])


class CameraQuery(Page):
    """Which cameras."""

    id: str | None = None
    region: str | None = Field(None, description="region code: it and all below it")
    domain: str | None = None
    state: str | None = Field(None, description="online, silent, offline or unknown")


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


def _chosen(statement: Select[Any], table: Table, query: CameraQuery) -> Select[Any]:
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    return narrowed(statement, table, {"id": query.id, "domain": query.domain, "state": query.state})


def _camera(row: Any) -> dict[str, Any]:
    found = dict(row._mapping)
    return found | {"state_since": None if row.state_since is None else row.state_since.isoformat()}
