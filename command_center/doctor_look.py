"""Looks at an installation for ``doctor``: the database, the broker, the disks. Changes nothing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError

import command_center.migrations
from command_center.doctor import (
    DatabaseFacts,
    Finding,
    Level,
    Space,
    judge_broker,
    judge_database,
    judge_saving,
    judge_space,
    judge_unreachable,
)
from command_center.local.running import running_settings
from config.database import worker_engine
from ingest.broker_probe import BrokerAway, probe

_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums")
_PROCESSES = ("worker", "scheduler")


def look(database_url: str, mqtt_url: str | None, var: Path, configuration: Path | None) -> Iterator[Finding]:
    """Findings as they are made. ``configuration``: the broker's own file, where it is at hand."""
    yield from _database(database_url, var)
    yield from _broker(mqtt_url, configuration)
    yield from _disk(var)


def _database(url: str, var: Path) -> Iterator[Finding]:
    engine = worker_engine(url, pool_size=1)
    try:
        with engine.connect() as connection:
            yield from judge_database(_facts(connection))
            # The private cluster's disk is that of ``var``.
            if running_settings(var).get("CC_DATABASE_URL") != url:
                yield from _data_disk(connection)
    except OperationalError as problem:
        cause = str(problem.orig).strip().splitlines()[0]
        todo = ("检查 CC_DATABASE_URL，并启动数据库", "check CC_DATABASE_URL, and start the database")
        yield judge_unreachable("数据库", "the database", cause, *todo)
    finally:
        engine.dispose()


def _facts(connection: Connection) -> DatabaseFacts:
    def one(sql: str) -> object:
        return connection.execute(text(sql)).scalar()

    began = time.time()
    theirs = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())::float8")).scalar_one()
    ahead_s = float(theirs) - (began + time.time()) / 2
    revision = one("SELECT version_num FROM alembic_version") if one("SELECT to_regclass('alembic_version')") else None
    beats: dict[str, float | None] = dict.fromkeys(_PROCESSES)
    if one("SELECT to_regclass('heartbeats')"):
        ages = text("SELECT process, extract(epoch FROM clock_timestamp() - at)::float8 FROM heartbeats")
        beats |= {process: age_s for process, age_s in connection.execute(ages) if process in beats}
    parts = "SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass('readings')"
    today = f"{parts} AND inhrelid::regclass::text LIKE '%' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')"
    postgis = one("SELECT extversion FROM pg_extension WHERE extname = 'postgis'")
    return DatabaseFacts(
        version=int(str(one("SHOW server_version_num"))),
        postgis=None if postgis is None else str(postgis),
        settings={name: str(one(f"SHOW {name}")) for name in _SETTINGS},
        revision=None if revision is None else str(revision),
        head=_head(),
        clock_ahead_s=ahead_s,
        partition_today=bool(one(today)),
        beats=beats,
    )


def _head() -> str:
    settings = Config()
    settings.set_main_option("script_location", str(Path(command_center.migrations.__file__).parent))
    return ScriptDirectory.from_config(settings).get_current_head() or ""


def _data_disk(connection: Connection) -> Iterator[Finding]:
    """The disk under the database, where its role may know the folder and it is on this machine."""
    try:
        folder = connection.execute(text("SELECT current_setting('data_directory')")).scalar_one()
        found = shutil.disk_usage(folder)
    except (DBAPIError, OSError):
        yield Finding(
            Level.ATTENTION,
            "数据库所在磁盘的余量从这里看不到",
            "how full the database's disk is cannot be seen from here",
            "在数据库服务器上用 df 查看并设告警",
            "look by df on its server, and have it watched",
        )
        return
    yield judge_space(Space(str(folder), found.free, found.total))


def _broker(url: str | None, configuration: Path | None) -> Iterator[Finding]:
    version = None
    if url is None:
        yield Finding(
            Level.ATTENTION,
            "CC_MQTT_URL 未设置，没有检查消息代理",
            "CC_MQTT_URL is not set: the broker was not looked at",
            "worker 需要它",
            "the worker needs it",
        )
    else:
        try:
            found = probe(url, time.time())
            version = found.version
            yield from judge_broker(found, url)
        except BrokerAway as problem:
            todo = (
                "检查 CC_MQTT_URL、口令、证书，并启动代理",
                "check CC_MQTT_URL, password and certificate, and start it",
            )
            yield judge_unreachable("消息代理", "the broker", str(problem), *todo)
    yield from judge_saving(None if configuration is None else configuration.read_text("utf-8"), version)


def _disk(var: Path) -> Iterator[Finding]:
    folder = next(place for place in (var.resolve(), *var.resolve().parents) if place.exists())
    found = shutil.disk_usage(folder)
    yield judge_space(Space(str(folder), found.free, found.total))
