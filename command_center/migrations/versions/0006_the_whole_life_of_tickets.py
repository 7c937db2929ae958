"""the whole life of tickets: what stands beside the row, several deadlines of one ticket, what is told of a step"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_JSON = postgresql.JSONB(astext_type=sa.Text())

_STAMPED = {
    "accept": "jsonb_build_object('accepted_at', at)",
    "finish": "jsonb_build_object('handled_at', at)",
    "close": "jsonb_build_object('closed_at', at)",
    "overdue": "jsonb_build_object('overdue_at', at, 'overdues', 1)",
    "dispatch": "jsonb_build_object('accepted_at', null)",
    "return": "jsonb_build_object('accepted_at', null)",
    "rework": "jsonb_build_object('accepted_at', null, 'handled_at', null)",
}


def upgrade() -> None:
    op.add_column("tickets", sa.Column("standing", _JSON, server_default="{}", nullable=False))
    op.add_column("tickets", sa.Column("org", sa.Text()))
    op.add_column("tickets", sa.Column("assignee", sa.Text()))
    op.add_column("tickets", sa.Column("small_class", sa.Text()))
    op.add_column("tickets", sa.Column("merged_into", sa.Uuid()))
    op.add_column("tickets", sa.Column("deadlines", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("tickets", sa.Column("next_at", sa.DateTime(timezone=True)))
    op.add_column("ticket_steps", sa.Column("told", _JSON, server_default="{}", nullable=False))
    op.drop_index("ix_tickets_open", table_name="tickets")
    op.drop_index("ix_tickets_opened_at", table_name="tickets")
    unended = sa.text("closed_at IS NULL")
    op.create_index("ix_tickets_open", "tickets", ["scope", "opened_at"], postgresql_where=unended)
    op.create_index("ix_tickets_open_newest", "tickets", ["opened_at", "id"], postgresql_where=unended)
    op.create_index("ix_tickets_newest", "tickets", ["opened_at", "id"])
    op.create_index("ix_tickets_assignee", "tickets", ["assignee"])
    merged = sa.text("merged_into IS NOT NULL")
    op.create_index("ix_tickets_merged_into", "tickets", ["merged_into"], postgresql_where=merged)
    # The limit that a ticket of before was given is what lay between its beginning and its end.
    op.execute(
        "UPDATE tickets SET standing = jsonb_build_object('counted_from', opened_at, 'limit', own.span, 'granted', own.span)"
        " || CASE WHEN overdue_at IS NULL THEN '{}' ELSE '{\"overdues\": 1}'::jsonb END"
        " FROM (SELECT id, jsonb_build_object('amount', extract(epoch FROM due_at - opened_at) / 3600.0,"
        " 'unit', 'continuous') AS span FROM tickets) own WHERE own.id = tickets.id"
    )
    op.execute(
        "UPDATE ticket_steps SET facts = facts || standing FROM tickets WHERE tickets.id = ticket AND ticket_steps.version = 1"
    )
    # What a move set by its name alone is said by its step now.
    for move, sets in _STAMPED.items():
        op.execute(f"UPDATE ticket_steps SET facts = facts || {sets} WHERE move = '{move}'")
    op.drop_table("deadlines")
    op.create_table(
        "deadlines",
        sa.Column("ticket", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["ticket"], ["tickets.id"], name=op.f("fk_deadlines_ticket")),
        sa.PrimaryKeyConstraint("ticket", "kind", name=op.f("pk_deadlines")),
    )
    op.create_index(op.f("ix_deadlines_due_at"), "deadlines", ["due_at"])
    op.create_table(
        "deadline_findings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("ticket", sa.Uuid(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("missing", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("stray", sa.ARRAY(sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["ticket"], ["tickets.id"], name=op.f("fk_deadline_findings_ticket")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deadline_findings")),
    )
    op.create_index(op.f("ix_deadline_findings_ticket"), "deadline_findings", ["ticket"])
    op.create_index(op.f("ix_deadline_findings_found_at"), "deadline_findings", ["found_at"])
    path, instant = sa.Text(collation="C"), sa.DateTime(timezone=True)
    op.create_table(
        "rosters",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("scope", path, nullable=False),
        sa.Column("org", sa.Text()),
        sa.Column("starts_at", instant, nullable=False),
        sa.Column("ends_at", instant, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_rosters_ends_after_start")),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_rosters_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rosters")),
    )
    op.create_index(op.f("ix_rosters_account"), "rosters", ["account"])
    op.create_index("ix_rosters_scope", "rosters", ["scope", "ends_at"])
    op.create_table(
        "skills",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("skill", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_skills_account")),
        sa.PrimaryKeyConstraint("account", "skill", name=op.f("pk_skills")),
    )
    op.create_table(
        "positions",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("lng", sa.Double(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("scope", path, nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_positions_account")),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_positions")),
    )
    op.create_index(op.f("ix_positions_scope"), "positions", ["scope"])
    # The auditor's next round gives every open ticket the deadlines that follow from it.


def downgrade() -> None:
    raise NotImplementedError(
        "tickets that were suspended, merged or helped with cannot go back: restore a backup instead"
    )
