"""``/api/v1/incidents``."""

from __future__ import annotations

from typing import Any

from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, Field

from command_center.api.asking import sight
from command_center.api.paging import Page, listed, narrowed
from command_center.api.region import below
from command_center.incident import store as incident_store
from command_center.incident.incident import shown

blueprint = APIBlueprint("incidents", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="incidents")])


class IncidentQuery(Page):
    """Which incidents."""

    region: str | None = Field(None, description="region code: it and all below it")
    status: str | None = None
    domain: str | None = None
    since: AwareDatetime | None = Field(None, description="opened at or after, RFC 3339")


@blueprint.get("/incidents", summary="Incidents, newest first")
def list_incidents(query: IncidentQuery) -> dict[str, Any]:
    """The incidents the account may see."""
    table = incident_store.incidents
    statement = narrowed(table.select(), table, {"status": query.status, "domain": query.domain})
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    if query.since is not None:
        statement = statement.where(table.c.opened_at >= query.since)
    with sight() as connection:
        return listed(
            connection,
            statement,
            (table.c.opened_at, table.c.id),
            query,
            lambda row: shown(incident_store.incident_of(row)),
            newest_first=True,
        )
