"""with what sensors log in at the broker: digests, and since when"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sensor_credentials",
        sa.Column("sensor", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sensor", name=op.f("pk_sensor_credentials")),
    )
    op.add_column("sensors", sa.Column("credential_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("sensors", "credential_at")
    op.drop_table("sensor_credentials")
