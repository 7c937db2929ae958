"""the sensors' catalogue: models of devices, who owns a sensor, and every change of an entry"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_JSONB = postgresql.JSONB(astext_type=sa.Text())


def upgrade() -> None:
    op.create_table(
        "profiles",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_en", sa.Text(), nullable=False),
        sa.Column("interval_s", sa.Double()),
        sa.Column("plausible", _JSONB, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profiles")),
    )
    for column in (
        sa.Column("owner", sa.Text(), nullable=False, server_default=""),
        sa.Column("profile", sa.Text(), nullable=False, server_default=""),
        sa.Column("sharing", sa.Text(), nullable=False, server_default="conditional"),
        sa.Column("in_service", sa.Boolean(), nullable=False, server_default="true"),
        sa.Column("service_since", sa.DateTime(timezone=True)),
        sa.Column("revision", sa.Integer(), nullable=False, server_default="1"),
    ):
        op.add_column("sensors", column)
    op.create_table(
        "sensor_history",
        sa.Column("n", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("sensor", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("by_name", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("changes", _JSONB, nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_sensor_history")),
    )
    op.create_index("ix_sensor_history_sensor", "sensor_history", ["sensor", "n"])
    op.create_index(op.f("ix_sensor_history_scope"), "sensor_history", ["scope"])
    op.create_index(
        "ix_quarantine_unknown", "quarantine", ["source"], postgresql_where=sa.text("reason = 'unknown_sensor'")
    )


def downgrade() -> None:
    op.drop_index("ix_quarantine_unknown", table_name="quarantine")
    op.drop_table("sensor_history")
    for column in ("revision", "service_since", "in_service", "sharing", "profile", "owner"):
        op.drop_column("sensors", column)
    op.drop_table("profiles")
