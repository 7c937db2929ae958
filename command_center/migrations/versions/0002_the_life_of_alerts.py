"""the life of alerts"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


# Of several alerts that stand for one rule and source only the newest goes on: until now nothing forbade them.
_ONE_STANDS = """
UPDATE alerts a SET ended_at = now(), version = version + 1
WHERE ended_at IS NULL AND source_kind <> 'camera' AND EXISTS (
  SELECT FROM alerts b WHERE b.fingerprint = a.fingerprint AND b.ended_at IS NULL AND b.source_kind <> 'camera'
  AND (b.raised_at, b.id) > (a.raised_at, a.id))
"""


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.add_column("alerts", sa.Column("fingerprint", sa.Uuid(), nullable=True))
    op.add_column("alerts", sa.Column("warning_level", sa.SmallInteger(), nullable=True))
    op.add_column(
        "alerts",
        sa.Column("why", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
    )
    for name in ("acknowledged_at", "muted_until", "placed_at"):
        op.add_column("alerts", sa.Column(name, instant, nullable=True))
    for name in ("acknowledged_by", "acknowledged_name", "muted_kind", "muted_name", "muted_reason"):
        op.add_column("alerts", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("alerts", sa.Column("muted_by", sa.Uuid(), nullable=True))
    # What stands already came before people when it was raised.
    op.execute("UPDATE alerts SET placed_at = raised_at")
    _fingerprint()
    op.alter_column("alerts", "fingerprint", nullable=False)
    op.execute(_ONE_STANDS)
    op.drop_index("ix_alerts_open", table_name="alerts")
    op.create_index(
        "uq_alerts_open",
        "alerts",
        ["fingerprint"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL AND source_kind <> 'camera'"),
    )
    op.create_index(
        "ix_alerts_open", "alerts", ["category", "scope"], unique=False, postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_index(
        "ix_alerts_held",
        "alerts",
        ["muted_by"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL AND (placed_at IS NULL OR muted_by IS NOT NULL)"),
    )
    op.create_table(
        "mutes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("domain", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("starts_at", instant, nullable=False),
        sa.Column("ends_at", instant, nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("author_name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_at", instant, nullable=False),
        sa.Column("begun_at", instant, nullable=True),
        sa.Column("ended_at", instant, nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("ended_name", sa.Text(), nullable=True),
        sa.Column("ended_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mutes")),
    )
    op.create_index(
        "ix_mutes_in_force", "mutes", ["ends_at"], unique=False, postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_index(
        "ix_mutes_waiting",
        "mutes",
        ["starts_at"],
        unique=False,
        postgresql_where=sa.text("begun_at IS NULL AND ended_at IS NULL"),
    )
    op.create_index(op.f("ix_mutes_scope"), "mutes", ["scope"], unique=False)
    op.create_table(
        "alert_groups",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("region_name", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("opened_at", instant, nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_en", sa.Text(), nullable=False),
        sa.Column("fresh", sa.Integer(), nullable=False),
        sa.Column("next_due_at", instant, nullable=False),
        sa.Column("notices", sa.Integer(), nullable=False),
        sa.Column("told", sa.Text(), nullable=True),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("new", sa.Integer(), nullable=False),
        sa.Column("told_at", instant, nullable=True),
        sa.Column("ended_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_groups")),
    )
    op.create_index(
        "uq_alert_groups_open",
        "alert_groups",
        ["category", "region"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_alert_groups_due",
        "alert_groups",
        ["next_due_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(op.f("ix_alert_groups_scope"), "alert_groups", ["scope"], unique=False)
    for name in ("warning_level", "event_grade", "response_level"):
        op.add_column("incidents", sa.Column(name, sa.SmallInteger(), nullable=True))
    op.create_table(
        "incident_levels",
        sa.Column("incident", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("by_name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("warning_level", sa.SmallInteger(), nullable=True),
        sa.Column("event_grade", sa.SmallInteger(), nullable=True),
        sa.Column("response_level", sa.SmallInteger(), nullable=True),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"], name=op.f("fk_incident_levels_incident")),
        sa.PrimaryKeyConstraint("incident", "version", name=op.f("pk_incident_levels")),
    )


def _fingerprint() -> None:
    """Give stored alerts theirs, by today's namespace: a migration does not change when the code does."""
    from uuid import UUID, uuid5

    space = UUID("6b1f2f0c-3f0e-4d0a-9a53-9d3f0b7f6a11")
    connection = op.get_bind()
    found = connection.execute(sa.text("SELECT DISTINCT rule, source FROM alerts")).all()
    rows = [{"r": r, "s": s, "f": uuid5(space, f"fingerprint\0{r}\0{s}")} for r, s in found]
    if rows:
        connection.execute(sa.text("UPDATE alerts SET fingerprint = :f WHERE rule = :r AND source = :s"), rows)
