"""Taking messages in: the whole path against a program that takes one at a time, and against itself on paho's own callbacks.

All ways run in turn over the same database and the same messages, each acknowledged after its commit. A loop-back feeder stands
in for the broker, so that the broker's own limit is out of the way.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, text

from command_center.bench.feeder import COUNTY, QUANTITY
from command_center.bench.figure import Figure, at_most, faster
from command_center.demo.seed import seed_demo
from command_center.local import child, postgres
from command_center.migrations import upgrade
from config.database import worker_engine

SENSORS: Final = 10_000
_PACK: Final = "suqian"
_BATCH: Final = 5000
_PATIENCE_S: Final = 300.0


def run() -> list[Figure]:
    """Measure; starts a private PostgreSQL. Takes two minutes."""
    with _prepared() as (url, folder):
        return pipeline(url, folder)


@contextmanager
def _prepared() -> Iterator[tuple[str, Path]]:
    """A database with a city and SENSORS sensors; yields the worker's address and a folder."""
    # Not pytest's or the user's own folder: the server runs as a system user, who must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        Path(folder).chmod(0o755)
        with postgres.running(Path(folder) / "var") as cluster:
            postgres.prepare(cluster)
            upgrade(cluster.url("cc_owner"))
            worker = worker_engine(cluster.url("cc_worker"))
            seed_demo(worker, _PACK, secrets.token_urlsafe(), None)
            _add_sensors(worker)
            worker.dispose()
            yield cluster.url("cc_worker"), Path(folder)


def _add_sensors(worker: Engine) -> None:
    """Sensors s1, s2, … of one quantity, all over the city's cells."""
    with worker.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sensors (id, name, county, region, cell, scope, domain, quantities, geom, interval_s)"
                " SELECT 's' || k, 's' || k, :county, c.region, c.code, c.scope, 'urban_management', ARRAY[:quantity],"
                " ST_PointOnSurface(c.geom), 60 FROM generate_series(1, :count) AS g(k) JOIN (SELECT *, row_number() OVER"
                " (ORDER BY code) - 1 AS place, count(*) OVER () AS all_of_them FROM cells WHERE valid_to IS NULL) c"
                " ON c.place = k % c.all_of_them"
            ),
            {"county": COUNTY, "quantity": QUANTITY, "count": SENSORS},
        )
    with worker.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def pipeline(url: str, folder: Path) -> list[Figure]:
    """The whole path, ten rules for each sensor, against the two other ways."""
    ours = _measured("bulk", url, folder, warm=100_000, count=300_000)
    stock = _measured("stock", url, folder, warm=10_000, count=30_000)
    naive = _measured("one-by-one", url, folder, warm=200, count=2000)
    rate, theirs = ours["messages"] / ours["s"], naive["messages"] / naive["s"]
    cpu_us, stock_us = (found["cpu_s"] / found["messages"] * 1e6 for found in (ours, stock))
    what = "whole path, QoS 1, ten rules a sensor"
    return [
        faster(f"{what}: against one message at a time", rate, "messages/s", theirs, 100),
        Figure(
            f"{what}: processor time, against paho's callbacks",
            cpu_us, "us/message", stock_us, stock_us / cpu_us, 8, stock_us / cpu_us >= 8,
        ),
        at_most(f"{what}: processor time", cpu_us, "us/message", 4),
        Figure("the same on paho's callbacks", stock["messages"] / stock["s"], "messages/s"),
    ]  # fmt: skip


def _measured(way: str, url: str, folder: Path, *, warm: int, count: int) -> dict[str, Any]:
    """What the messages after the warm-up took one of the programs."""
    log = (folder / f"{way}.log").open("wb")
    sent = [sys.executable, "-m", "command_center.bench.feeder", str(warm + count), str(SENSORS)]
    with log, subprocess.Popen(sent, stdout=subprocess.PIPE, stderr=log) as feeder:
        assert feeder.stdout is not None
        port = int(feeder.stdout.readline())
        environment = os.environ | {
            "CC_DATABASE_URL": url,
            "CC_MQTT_URL": f"mqtt://127.0.0.1:{port}",
            "CC_BATCH_MESSAGES": str(_BATCH),
            "CC_WORKER_NAME": f"bench-{way}",
        }
        # The last batch may hold the last message before the count is full.
        asked = [way, str(warm), str(count - 2 * _BATCH if way != "one-by-one" else count - 10)]
        program = [sys.executable, "-m", "command_center.bench.ingest_worker", *asked]
        try:
            with (folder / f"{way}-worker.log").open("wb") as told:
                done = subprocess.run(
                    program, env=environment, stdout=told, stderr=log, timeout=_PATIENCE_S, check=False
                )
        finally:
            feeder.kill()
    lines = (folder / f"{way}-worker.log").read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines if line.startswith('{"messages"')]
    if done.returncode or not found:
        raise child.ServerFailed(
            f"the program {way} did not finish: {(folder / f'{way}.log').read_text('utf-8')[-500:]}"
        )
    return dict(found[0])
