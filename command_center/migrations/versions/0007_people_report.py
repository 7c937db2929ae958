"""what people report, and finding what lies near"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_en", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text()),
        sa.Column("account", sa.Text()),
        sa.Column("reporter", sa.Text()),
        sa.Column("lng", sa.Double(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ticket", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["ticket"], ["tickets.id"], name=op.f("fk_reports_ticket")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
        sa.UniqueConstraint("receipt", name=op.f("uq_reports_receipt")),
        sa.UniqueConstraint("ticket", name=op.f("uq_reports_ticket")),
    )
    op.create_index("ix_reports_scope", "reports", ["scope", "at"])
    op.create_index("ix_reports_newest", "reports", ["at", "id"])
    op.create_index("ix_reports_account", "reports", ["account", "at"])
    unended = sa.text("closed_at IS NULL")
    op.create_index("ix_tickets_near", "tickets", ["lng", "lat"], postgresql_where=unended)


def downgrade() -> None:
    op.drop_index("ix_tickets_near", table_name="tickets")
    op.drop_table("reports")
