"""how long readings are kept, and what stays of them by the hour"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# Positions go with the readings they belong to: a day of both is dropped at once. Only the owner may make, index and drop.
# The owner is bound by the policies too until it says otherwise; they are put in force again after every migration.
_POSITIONS = """
ALTER TABLE readings NO FORCE ROW LEVEL SECURITY;
ALTER TABLE reading_positions NO FORCE ROW LEVEL SECURITY;
ALTER TABLE reading_positions RENAME TO whole_positions;
ALTER INDEX ix_reading_positions_received_at RENAME TO ix_whole_positions_received_at;
ALTER INDEX ix_reading_positions_key RENAME TO ix_whole_positions_key;
CREATE TABLE reading_positions (LIKE whole_positions) PARTITION BY RANGE (received_at);
CREATE INDEX ix_reading_positions_received_at ON reading_positions USING brin (received_at);
CREATE UNIQUE INDEX ix_reading_positions_key ON reading_positions (key, received_at);
CREATE TABLE reading_positions_default PARTITION OF reading_positions DEFAULT;
"""

_FUNCTIONS = """
CREATE OR REPLACE FUNCTION make_reading_partition(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE parent text;
BEGIN
  -- Worker and scheduler ask for the same day at the same time, and IF NOT EXISTS looks before it waits.
  PERFORM pg_advisory_xact_lock(hashtextextended('reading partitions', 0));
  FOREACH parent IN ARRAY ARRAY['readings', 'reading_positions'] LOOP
    EXECUTE format(
      'CREATE TABLE IF NOT EXISTS %s_%s PARTITION OF %s FOR VALUES FROM (%L) TO (%L)',
      parent, to_char(day, 'YYYYMMDD'), parent, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
  END LOOP;
END $$;
-- Both wait a moment at most: who waits here for the tables makes everybody behind wait too.
CREATE FUNCTION drop_reading_partition(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public SET lock_timeout = '2s' AS $$
DECLARE parent text;
BEGIN
  FOREACH parent IN ARRAY ARRAY['readings', 'reading_positions'] LOOP
    EXECUTE format('DROP TABLE IF EXISTS %s_%s', parent, to_char(day, 'YYYYMMDD'));
  END LOOP;
END $$;
CREATE FUNCTION index_reading_partition(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public SET lock_timeout = '2s' AS $$
BEGIN
  EXECUTE format(
    'CREATE INDEX IF NOT EXISTS ix_readings_%1$s_sensor ON readings_%1$s (sensor, quantity, at)', to_char(day, 'YYYYMMDD'));
END $$;
REVOKE ALL ON FUNCTION drop_reading_partition(date), index_reading_partition(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_reading_partition(date), index_reading_partition(date) TO cc_worker;
"""

_FILL = """
SELECT make_reading_partition(to_date(right(relname, 8), 'YYYYMMDD')) FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname ~ '^readings_[0-9]{8}$';
INSERT INTO reading_positions SELECT * FROM whole_positions;
DROP TABLE whole_positions;
INSERT INTO reading_marks
 SELECT 'hours', date_trunc('hour', coalesce(min(received_at), now()) - interval '3 hours', 'UTC') FROM readings;
INSERT INTO reading_marks VALUES ('dropped', '2000-01-01T00:00:00Z');
INSERT INTO stale_hours SELECT DISTINCT date_trunc('hour', at, 'UTC'), sensor FROM readings WHERE flags & 4 <> 0;
"""


def upgrade() -> None:
    op.create_table(
        "reading_hours",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sensor", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.SmallInteger(), nullable=False),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("left_out", sa.Integer(), nullable=False),
        sa.Column("lowest", sa.Double(), nullable=True),
        sa.Column("highest", sa.Double(), nullable=True),
        sa.Column("mean", sa.Double(), nullable=True),
        sa.Column("last", sa.Double(), nullable=True),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("sensor", "quantity", "hour", name=op.f("pk_reading_hours")),
    )
    op.create_index("ix_reading_hours_hour", "reading_hours", ["hour"], postgresql_using="brin")
    op.create_table(
        "stale_hours",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sensor", sa.Integer(), nullable=False),
    )
    op.create_table(
        "reading_marks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_reading_marks")),
    )
    op.execute(_POSITIONS)
    op.execute(_FUNCTIONS)
    op.execute(_FILL)


def downgrade() -> None:
    op.execute("DROP FUNCTION index_reading_partition(date)")
    op.execute("DROP FUNCTION drop_reading_partition(date)")
    op.drop_table("reading_marks")
    op.drop_table("stale_hours")
    op.drop_table("reading_hours")
