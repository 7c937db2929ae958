"""which signals belong together, where they were, and what people said of it"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_PATH = sa.Text(collation="C")


def upgrade() -> None:
    op.add_column("incidents", sa.Column("merged_into", sa.Uuid()))
    op.create_foreign_key("fk_incidents_merged_into", "incidents", "incidents", ["merged_into"], ["id"])
    op.create_index(
        "ix_incidents_merged_into", "incidents", ["merged_into"], postgresql_where=sa.text("merged_into IS NOT NULL")
    )
    _say_where_signals_were()
    _follow_merged_tickets()
    op.create_index(op.f("ix_incident_signals_came_to"), "incident_signals", ["came_to"])
    for name in ("square", "source", "township"):
        op.create_index(f"ix_incident_signals_{name}", "incident_signals", ["family", name, "at"])
    op.create_table(
        "incident_steps",
        sa.Column("incident", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("by", sa.Text()),
        sa.Column("by_name", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"], name=op.f("fk_incident_steps_incident")),
        sa.PrimaryKeyConstraint("incident", "version", name=op.f("pk_incident_steps")),
    )
    op.create_table(
        "incident_apart",
        sa.Column("one", sa.Uuid(), nullable=False),
        sa.Column("other", sa.Uuid(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("one", "other", name=op.f("pk_incident_apart")),
    )
    op.create_index(op.f("ix_incident_apart_other"), "incident_apart", ["other"])


_NEW = (
    ("came_to", sa.Uuid()),
    ("family", sa.Text()),
    ("township", _PATH),
    ("source", sa.Text()),
    ("lng", sa.Double()),
    ("lat", sa.Double()),
    ("square", sa.BigInteger()),
    ("joined_at", _INSTANT),
)


def _say_where_signals_were() -> None:
    """Old rows get what their alert, report or else their incident says; until now a category was its own family."""
    for name, kind in _NEW:
        op.add_column("incident_signals", sa.Column(name, kind))
    op.execute(
        "UPDATE incident_signals s SET came_to = s.incident, joined_at = s.at, family = i.category,"
        " source = coalesce(a.source, ''), lng = coalesce(a.lng, r.lng, i.lng), lat = coalesce(a.lat, r.lat, i.lat),"
        " at = coalesce(a.raised_at, r.at, s.at),"
        " township = (SELECT string_agg(part || '/', '' ORDER BY n) FROM"
        " unnest(string_to_array(coalesce(a.scope, r.scope, i.scope), '/')) WITH ORDINALITY AS p(part, n)"
        " WHERE n <= 3 AND part <> '')"
        " FROM incidents i, incident_signals o LEFT JOIN alerts a ON o.kind = 'alert' AND a.id = o.signal"
        " LEFT JOIN reports r ON o.kind = 'report' AND r.id = o.signal"
        " WHERE i.id = s.incident AND o.kind = s.kind AND o.signal = s.signal"
    )
    op.execute("UPDATE incident_signals SET square = floor(lat * 1000)::bigint * 1000000 + floor(lng * 1000)::bigint")
    for name, _ in _NEW:
        op.alter_column("incident_signals", name, nullable=False)
    op.create_foreign_key("fk_incident_signals_came_to", "incident_signals", "incidents", ["came_to"], ["id"])


def _follow_merged_tickets() -> None:
    """Incidents of tickets that people merged were closed until now: they are merged too, and their signals go along."""
    op.execute(
        "UPDATE incidents i SET status = 'merged', merged_into = m.incident, version = i.version + 1"
        " FROM tickets t JOIN tickets m ON m.id = t.merged_into WHERE t.incident = i.id AND t.status = 'merged'"
    )
    op.execute(
        "WITH RECURSIVE last AS (SELECT id, merged_into AS at FROM incidents WHERE merged_into IS NOT NULL"
        " UNION SELECT l.id, i.merged_into FROM last l JOIN incidents i ON i.id = l.at WHERE i.merged_into IS NOT NULL)"
        " UPDATE incident_signals s SET incident = l.at FROM last l JOIN incidents i ON i.id = l.at"
        " WHERE s.incident = l.id AND i.merged_into IS NULL"
    )
    op.execute(
        "UPDATE incidents i SET signals = (SELECT count(*) FROM incident_signals s WHERE s.incident = i.id)"
        " WHERE merged_into IS NOT NULL OR id IN (SELECT merged_into FROM incidents)"
    )


def downgrade() -> None:
    op.drop_table("incident_apart")
    op.drop_table("incident_steps")
    for name in ("square", "source", "township", "came_to"):
        op.drop_index(f"ix_incident_signals_{name}", table_name="incident_signals")
    op.execute("UPDATE incident_signals SET incident = came_to, at = joined_at")
    for name, _ in _NEW:
        op.drop_column("incident_signals", name)
    op.execute("UPDATE incidents SET status = 'closed' WHERE status = 'merged'")
    op.drop_index("ix_incidents_merged_into", table_name="incidents")
    op.drop_column("incidents", "merged_into")
