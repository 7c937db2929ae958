"""peacetime and wartime operation, by region and domain"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "modes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("region_name", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("domains", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("by_name", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("ended_by", sa.Text()),
        sa.Column("ended_name", sa.Text()),
        sa.Column("ended_reason", sa.Text()),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_modes_ends_after_start")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_modes")),
    )
    op.create_index("ix_modes_scope", "modes", ["scope"])
    op.create_index("ix_modes_unended", "modes", ["ends_at"], postgresql_where=sa.text("ended_at IS NULL"))
    op.create_table(
        "mode_steps",
        sa.Column("mode", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("move", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text()),
        sa.Column("by_name", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.ForeignKeyConstraint(["mode"], ["modes.id"], name=op.f("fk_mode_steps_mode")),
        sa.PrimaryKeyConstraint("mode", "version", name=op.f("pk_mode_steps")),
    )


def downgrade() -> None:
    op.drop_table("mode_steps")
    op.drop_table("modes")
