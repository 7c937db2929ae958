"""what edge nodes of Sparkplug announced, and how far their messages are counted"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sparkplug_edges",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("births", sa.LargeBinary(), nullable=False),
        sa.Column("seq", sa.SmallInteger(), nullable=True),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sparkplug_edges")),
    )


def downgrade() -> None:
    op.drop_table("sparkplug_edges")
