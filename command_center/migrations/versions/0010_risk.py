"""how likely and how bad, by cell and region"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "risks",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("parts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("code", "domain", name=op.f("pk_risks")),
    )
    op.create_index(op.f("ix_risks_scope"), "risks", ["scope"])
    op.create_index(op.f("ix_risks_at"), "risks", ["at"])
    op.create_table(
        "risk_history",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("code", "domain", "at", name=op.f("pk_risk_history")),
    )
    op.create_index(op.f("ix_risk_history_scope"), "risk_history", ["scope"])
    op.create_index("ix_risk_history_at", "risk_history", ["at"], postgresql_using="brin")
    ended = sa.text("ended_at IS NOT NULL")
    op.create_index("ix_alerts_ended_at", "alerts", ["ended_at"], postgresql_where=ended)


def downgrade() -> None:
    op.drop_index("ix_alerts_ended_at", table_name="alerts")
    op.drop_table("risk_history")
    op.drop_table("risks")
