"""Links of counties in PostgreSQL: one row for each county with sensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from sqlalchemy import Column, Connection, DateTime, Integer, Table, Text, text

from config.database import Policy, metadata, within
from ingest.link import Link

links = Table(
    "links",
    metadata,
    Column("county", Text, primary_key=True),
    Column("scope", Text(collation="C"), nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("state_since", DateTime(timezone=True)),
    Column("version", Integer, nullable=False, server_default="1"),
)

policies = (Policy("links", within("scope")),)

_SAVE = text(
    "INSERT INTO links (county, scope, state, state_since) VALUES (:county, :scope, :state, :since)"
    " ON CONFLICT (county) DO UPDATE SET scope = excluded.scope, state = excluded.state,"
    " state_since = excluded.state_since, version = links.version + 1 RETURNING version"
)


def load_links(connection: Connection) -> dict[str, Link]:
    """Every link by county."""
    found = connection.execute(links.select())
    return {
        row.county: Link(row.county, row.state, row.state_since and row.state_since.timestamp(), row.version)
        for row in found
    }


def save_links(connection: Connection, changed: Iterable[Link], scopes: Mapping[str, str]) -> dict[str, int]:
    """Write links; returns the new version by county. ``scopes``: region path by county."""
    versions = {}
    for link in changed:
        since = None if link.since is None else datetime.fromtimestamp(link.since, UTC)
        row = {"county": link.county, "scope": scopes[link.county], "state": link.state, "since": since}
        versions[link.county] = int(connection.execute(_SAVE, row).scalar_one())
    return versions
