"""The schema: numbered steps by Alembic, then the policies and privileges that the rooms' stores state."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

import command_center.account.store
import command_center.calendar_store
import command_center.event.log
import command_center.heartbeat
import command_center.idempotency
import command_center.incident.store
import command_center.mode.store
import command_center.report.store
import command_center.staff_store
import command_center.standard.store
import command_center.ticket.store
import gis.store
import ingest.catalogue_store
import ingest.credential_store
import ingest.edge_store
import ingest.hour_store
import ingest.link_store
import ingest.quarantine_store
import ingest.store
import rules.group_store
import rules.mute_store
import rules.risk_store
import rules.shadow_store
import rules.snapshot_store
import rules.store
import rules.version_store
import video.store
from config.database import Policy, worker_engine

POLICIES: tuple[Policy, ...] = (
    *gis.store.policies,
    *ingest.store.policies,
    *ingest.link_store.policies,
    *ingest.catalogue_store.policies,
    *ingest.quarantine_store.policies,
    *ingest.hour_store.policies,
    *video.store.policies,
    *rules.store.policies,
    *rules.mute_store.policies,
    *rules.group_store.policies,
    *rules.risk_store.policies,
    *rules.shadow_store.policies,
    *command_center.event.log.policies,
    *command_center.mode.store.policies,
    *command_center.report.store.policies,
    *command_center.incident.store.policies,
    *command_center.ticket.store.policies,
    *command_center.idempotency.policies,
    *command_center.staff_store.policies,
)

# What the web process may do beside reading: people move tickets and log in; nothing else is theirs to write.
_WEB_WRITES = {
    "tickets": "INSERT, UPDATE",
    "reports": "INSERT",
    "incident_signals": "INSERT, UPDATE (incident, came_to)",
    "incident_steps": "INSERT",
    "incident_apart": "INSERT, DELETE",
    "ticket_steps": "INSERT",
    "object_grants": "INSERT, DELETE",
    "deadlines": "INSERT, UPDATE, DELETE",
    "incidents": "INSERT, UPDATE",
    "incident_levels": "INSERT",
    # What rules say of an alert is not theirs to change.
    "alerts": "UPDATE (acknowledged_at, acknowledged_by, acknowledged_name, muted_kind, muted_by, muted_until, muted_name,"
    " muted_reason, version)",
    "mutes": "INSERT, UPDATE (ended_at, ended_by, ended_name, ended_reason)",
    # What was declared stays as it was declared.
    "modes": f"INSERT, UPDATE ({', '.join(command_center.mode.store.WRITTEN_LATER)})",
    "mode_steps": "INSERT",
    "event_log": "INSERT",
    "sessions": "INSERT, DELETE",
    "idempotency_keys": "INSERT, DELETE",
    "merge_jobs": "INSERT",
    # What the worker heard of a sensor is not theirs to change.
    "sensors": f"INSERT, UPDATE ({', '.join(ingest.catalogue_store.WRITTEN)})",
    "sensor_history": "INSERT",
    "positions": "INSERT, UPDATE",
    # What a shift was stays as it was; it may only end sooner, or not begin.
    "rosters": "INSERT, UPDATE (ends_at), DELETE",
    "skills": "INSERT, DELETE",
    # What was written stays as it was written.
    "rule_versions": f"INSERT, UPDATE ({', '.join(rules.version_store.STANDING)})",
    "rule_steps": "INSERT",
    "replays": "INSERT, UPDATE (messages)",
    "quarantine": f"UPDATE ({', '.join(ingest.quarantine_store.STANDING)})",
}


# What the worker remembers is of all places at once, and digests of passwords are the broker's: neither has a scope, and the
# web process has no business with them.
_WEB_READS_NOT = frozenset({"rule_snapshots", "stale_hours", "sensor_credentials", "sparkplug_edges"})


def upgrade(owner_url: str) -> None:
    """Bring the database of ``owner_url`` (role cc_owner) to the newest schema. Safe to run again."""
    engine = worker_engine(owner_url, pool_size=1)
    try:
        with engine.begin() as connection:
            # Two starts at once must not migrate at once.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('migrate', 0))"))
            settings = Config()
            settings.set_main_option("script_location", str(Path(__file__).parent))
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")
            _protect(connection)
    finally:
        engine.dispose()


def _protect(connection: Connection) -> None:
    connection.execute(text("GRANT USAGE ON SCHEMA public TO cc_worker, cc_web"))
    connection.execute(text("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO cc_worker"))
    connection.execute(text("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO cc_worker"))
    connection.execute(text("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM cc_web"))
    parents = connection.execute(
        text(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " AND pg_get_userbyid(c.relowner) = current_user"
        )
    ).scalars()
    # Not the partitions: read directly, they would not ask their parent's policy.
    for table in set(parents) - _WEB_READS_NOT:
        connection.execute(text(f'GRANT SELECT ON "{table}" TO cc_web'))
    for table, verbs in _WEB_WRITES.items():
        connection.execute(text(f"GRANT {verbs} ON {table} TO cc_web"))
    connection.execute(text("GRANT USAGE ON SEQUENCE event_log_n, incident_number TO cc_web"))
    for policy in POLICIES:
        for statement in policy.statements():
            connection.execute(text(statement))
