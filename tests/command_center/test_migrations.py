"""The schema: made once, the same as the stores say, and never served by a role that its policies do not bind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

import command_center.migrations
from command_center.local import postgres
from command_center.local.postgres import Cluster
from command_center.migrations import upgrade
from config.database import metadata, worker_engine
from tests.conftest import Database
from tests.small_city import build

_HELD = ("sensors", "readings", "reading_positions", "quarantine")
_EARLIER = (
    "INSERT INTO quantities VALUES (1, 'water_depth', 'm', '水深', 'depth', 0, 9)",
    "INSERT INTO sensors (id, name, county, region, cell, scope, domain, quantities, interval_s) VALUES"
    " ('w-1', 'w', '321302', 'r', 'c', '321300/321302/', 'emergency', '{water_depth}', 60)",
    "SELECT make_reading_partition(current_date), make_reading_partition(current_date - 1)",
    "INSERT INTO readings SELECT now() - d * interval '1 day', now() - d * interval '1 day', n, 1, 0.5, d, 4 * d, 1"
    " FROM sensors, generate_series(0, 1) AS d",
    "INSERT INTO reading_positions SELECT now() - d * interval '1 day', d, n, 118.2, 33.9, 'WGS84', 118.2, 33.9"
    " FROM sensors, generate_series(0, 1) AS d",
    "INSERT INTO quarantine (received_at, topic, payload, size, reason, detail, scope) VALUES"
    " (now(), 'short', 'x', 1, 'malformed', 'd', '321300/'), (now(), 'long', 'x', 70000, 'oversized', 'd', '321300/')",
)

_FOLDER = Path(command_center.migrations.__file__).parent
_ROOT = Path(__file__).parents[2]


def _settings() -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(_FOLDER))
    return settings


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = worker_engine(url, pool_size=1)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _protection(database: Database) -> list[tuple[str, ...]]:
    with _connected(database.worker_url) as connection:
        found = connection.execute(
            text(
                "SELECT 'table', relname, relrowsecurity::text, relforcerowsecurity::text, relacl::text FROM pg_class"
                " WHERE relnamespace = 'public'::regnamespace AND NOT relispartition"
                " UNION ALL SELECT 'policy', tablename, policyname, qual, with_check FROM pg_policies ORDER BY 1, 2, 3"
            )
        )
        return [tuple(map(str, row)) for row in found]


def test_migrating_again_changes_nothing_and_keeps_every_row(database: Database) -> None:
    build(database)
    before = _protection(database)
    upgrade(database.owner_url)
    upgrade(database.owner_url)
    assert _protection(database) == before
    with _connected(database.worker_url) as connection:
        assert connection.execute(text("SELECT count(*) FROM regions")).scalar_one() == 22


def test_a_database_of_an_earlier_release_keeps_what_it_holds(cluster: Cluster) -> None:
    name = "earlier"
    postgres.prepare(cluster, name)
    owner = cluster.url("cc_owner", name)
    settings = _settings()
    with _connected(owner) as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0010")
        for table in _HELD:
            connection.execute(text(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"))
        for statement in _EARLIER:
            connection.execute(text(statement))
        for table in _HELD:
            connection.execute(text(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"))
    upgrade(owner)
    with _connected(cluster.url("cc_worker", name)) as connection:
        counts = [connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in _HELD]
        assert counts == [1, 2, 2, 2]
        [cut] = connection.execute(text("SELECT topic FROM quarantine WHERE cut")).scalars()
        assert cut == "long"
        # A late reading's hour is computed again.
        assert len(connection.execute(text("SELECT FROM stale_hours")).all()) == 1


def test_the_tables_of_the_stores_are_the_tables_of_the_migrations(database: Database) -> None:
    settings = _settings()
    with _connected(database.owner_url) as connection:
        settings.attributes["connection"] = connection
        command.check(settings)


def test_the_comparison_would_notice_a_column_that_is_missing(database: Database) -> None:
    with _connected(database.owner_url) as connection:
        connection.execute(text("ALTER TABLE heartbeats DROP COLUMN figures"))
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    assert "heartbeats" in str([difference for difference in found if difference[0] == "add_column"])


def test_there_is_one_line_of_migrations() -> None:
    scripts = ScriptDirectory.from_config(_settings())
    assert len(scripts.get_heads()) == 1
    assert len(scripts.get_bases()) == 1


@pytest.mark.parametrize("role", ["worker", "owner", "superuser"])
def test_the_web_process_refuses_a_role_that_row_level_security_does_not_bind(database: Database, role: str) -> None:
    build(database)
    ended = _web(getattr(database, f"{role}_url"))
    assert ended.returncode == 2
    [line] = ended.stderr.strip().splitlines()
    assert "run the web process as cc_web" in line


def test_the_web_process_says_that_there_is_no_city_yet(make_database: Callable[[], Database]) -> None:
    ended = _web(make_database().web_url)
    assert ended.returncode == 2
    [line] = ended.stderr.strip().splitlines()
    assert "has no city" in line


def _web(url: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CC_")}
    settings = {**plain, "CC_DATABASE_URL": url, "CC_HTTP_PORT": "0"}
    program = [sys.executable, "-m", "command_center.web"]
    return subprocess.run(program, env=settings, cwd=_ROOT, capture_output=True, text=True, timeout=60, check=False)
