"""standards of filing, and the days that the city has stated in its work calendar"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calendar_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("is_workday", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_calendar_days")),
    )
    op.create_table(
        "filing_standards",
        sa.Column("n", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sheet", sa.Text(), nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("big_code", sa.Text(), nullable=False),
        sa.Column("big_name", sa.Text(), nullable=False),
        sa.Column("small_code", sa.Text(), nullable=False),
        sa.Column("small_name", sa.Text(), nullable=False),
        sa.Column("handling_unit", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("close_condition", sa.Text(), nullable=False),
        sa.Column("amount", sa.Double(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("limit_text", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["imports.n"], name=op.f("fk_filing_standards_version")),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_filing_standards")),
    )
    op.create_index(
        "ix_filing_standards_in_force", "filing_standards", ["sheet", "effective_from", "version"], unique=False
    )
    op.create_index("ix_filing_standards_small_code", "filing_standards", ["small_code"], unique=False)


def downgrade() -> None:
    op.drop_table("filing_standards")
    op.drop_table("calendar_days")
