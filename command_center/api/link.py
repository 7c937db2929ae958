"""``/api/v1/links``: whether anything is heard of each county, and since when not."""

from __future__ import annotations

from typing import Any

from flask_openapi3 import APIBlueprint, Tag
from sqlalchemy import text

from command_center.api.asking import server, sight
from command_center.shown import shown_link
from ingest.link import Link

blueprint = APIBlueprint("links", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="sources")])

_LINKS = """
SELECT l.county, l.state, extract(epoch FROM l.state_since)::float8 AS since, l.version,
  max(s.last_received_at) AS heard_at, count(s.id) AS sensors, count(s.id) FILTER (WHERE s.state = 'silent') AS silent
FROM links l LEFT JOIN sensors s ON s.county = l.county GROUP BY l.county ORDER BY l.county"""


@blueprint.get("/links", summary="Links of counties, by county")
def list_links() -> dict[str, Any]:
    """The links the account may see: state, since when, when anything was last heard, and how many sensors are silent."""
    with sight() as connection:
        rows = connection.execute(text(_LINKS)).all()
    regions = server().tree.regions
    items = [
        shown_link(Link(row.county, row.state, row.since, row.version), regions[row.county].name)
        | {
            "heard_at": None if row.heard_at is None else row.heard_at.isoformat(),
            "sensors": row.sensors,
            "silent": row.silent,
        }
        for row in rows
        if row.county in regions
    ]
    return {"items": items, "next": None}
