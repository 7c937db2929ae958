"""what is in quarantine can be taken up again, and is bounded"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_COLUMNS = ("replay", "replayed_at", "outcome", "outcome_detail")


def upgrade() -> None:
    op.add_column("quarantine", sa.Column("cut", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("quarantine", sa.Column("replay", sa.BigInteger(), nullable=True))
    op.add_column("quarantine", sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("quarantine", sa.Column("outcome", sa.Text(), nullable=True))
    op.add_column("quarantine", sa.Column("outcome_detail", sa.Text(), nullable=True))
    op.execute("ALTER TABLE quarantine NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE quarantine SET cut = true WHERE size > 65536 OR length(topic) >= 1000")
    there = sa.text("replay IS NOT NULL")
    op.create_index("ix_quarantine_replay", "quarantine", ["replay"], postgresql_where=there)
    op.create_table(
        "replays",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("wish", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("impossible", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcomes", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replays")),
    )
    op.create_index(op.f("ix_replays_scope"), "replays", ["scope"])
    op.create_index("ix_replays_open", "replays", ["id"], postgresql_where=sa.text("ended_at IS NULL"))
    op.create_table(
        "quarantine_dropped",
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", "reason", name=op.f("pk_quarantine_dropped")),
    )


def downgrade() -> None:
    op.drop_table("quarantine_dropped")
    op.drop_table("replays")
    op.drop_index("ix_quarantine_replay", table_name="quarantine")
    for column in (*_COLUMNS, "cut"):
        op.drop_column("quarantine", column)
