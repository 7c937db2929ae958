"""Risk of a large city: how long after a change it is written and told, and what a turn of it costs.

8,000 cells, 2,000 sensors and 500 alerts that stand. Changes are alerts that come one by one, each committed by the worker's
own function while the scheduler process runs; what is measured is the time from that commit until risk is committed, rows,
history and event. Computing alone is held against a loop over cells and domains that gives the same scores.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Engine, text

from command_center.bench.figure import Figure, at_most, faster
from command_center.city import risk_weights
from command_center.demo.seed import seed_demo
from command_center.heartbeat import last_beat
from command_center.local import child, postgres
from command_center.local.child import Program
from command_center.migrations import upgrade
from command_center.risk_move import RiskMemory, update_risks
from config.database import worker_engine
from rules import risk
from rules.alert import Alert, AlertChange, Change, Source
from rules.risk import DOMAINS, Numbers
from rules.store import save_alerts

CELLS: Final = 8_000
SENSORS: Final = 2_000
ALERTS: Final = 500
_CHANGES: Final = 100
_TURNS: Final = 15
_PACK: Final = "suqian"
_ZONE: Final = ZoneInfo("Asia/Shanghai")
_LATER_S: Final = 8.0  # the scheduler leaves what is not urgent for later when it starts
_PATIENCE_S: Final = 30.0


def run() -> list[Figure]:
    """Measure over the demo city made larger; starts a private PostgreSQL. Takes two minutes."""
    # Not pytest's or the user's own folder: the server runs as a system user, who must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        Path(folder).chmod(0o755)
        with postgres.running(Path(folder) / "var") as cluster:
            postgres.prepare(cluster)
            upgrade(cluster.url("cc_owner"))
            worker = worker_engine(cluster.url("cc_worker"))
            seed_demo(worker, _PACK, secrets.token_urlsafe(), None)
            fill(worker, CELLS, SENSORS, ALERTS)
            found = computing(CELLS, ALERTS, _TURNS)
            found += turns(worker, _TURNS)
            with _scheduler(worker, cluster.url("cc_worker"), Path(folder) / "scheduler.log"):
                found += changes(worker, _CHANGES)
            found += [everything(worker)]
            worker.dispose()
            return found


def fill(worker: Engine, cells: int, sensors: int, alerts: int) -> None:
    """So many cells, sensors and alerts that stand. What is missing is copied: risk asks nobody for outlines."""
    with worker.begin() as connection:
        for statement, count in (
            (
                "INSERT INTO cells (code, name, kind, region, scope, area_m2, geom)"
                " SELECT code || '-' || k, name, kind, region, left(scope, -1) || '-' || k || '/', area_m2, geom"
                " FROM cells, generate_series(1, 1000) AS g(k) WHERE valid_to IS NULL ORDER BY k, code"
                " LIMIT greatest(:count - (SELECT count(*) FROM cells WHERE valid_to IS NULL), 0)",
                cells,
            ),
            (
                "INSERT INTO sensors (id, name, county, region, cell, scope, domain, quantities, geom, interval_s)"
                " SELECT s.id || '-' || k, s.name, s.county, s.region, s.cell, s.scope, s.domain, s.quantities, s.geom,"
                " s.interval_s FROM sensors s, generate_series(1, 1000) AS g(k) WHERE s.geom IS NOT NULL ORDER BY k, s.n"
                " LIMIT greatest(:count - (SELECT count(*) FROM sensors), 0)",
                sensors,
            ),
        ):
            connection.execute(text(statement), {"count": count})
        # Copies of sensors stand all over the city.
        connection.execute(
            text(
                "UPDATE sensors s SET cell = c.code, region = c.region, scope = c.scope FROM"
                " (SELECT code, region, scope, row_number() OVER (ORDER BY md5(code)) AS place FROM cells"
                "  WHERE valid_to IS NULL) c"
                " WHERE s.id LIKE '%-%' AND c.place = 1 + s.n % (SELECT count(*) FROM cells WHERE valid_to IS NULL)"
            )
        )
    raise_alerts(worker, alerts)
    with worker.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def raise_alerts(worker: Engine, count: int | None, *, first: int = 0) -> list[Alert]:
    """So many alerts in cells chosen by lot, one in each cell when None is said."""
    now_us = time.time_ns() // 1000
    with worker.begin() as connection:
        rows = connection.execute(
            text(
                "SELECT code, region, scope FROM cells WHERE valid_to IS NULL ORDER BY md5(code) OFFSET :first LIMIT :count"
            ),
            {"first": first, "count": count},
        ).all()
        made = [_alert(first + n, row, now_us) for n, row in enumerate(rows)]
        save_alerts(connection, [AlertChange(Change.RAISED, alert) for alert in made], {}, datetime.now(UTC))
    return made


def _alert(n: int, home: Any, at_us: int) -> Alert:
    return Alert(
        id=UUID(int=(at_us << 32) + n), rule=f"bench-{at_us}", rule_version=1,
        source=Source("sensor", f"bench-{n}", f"测点 {n}", home.code, home.region, home.scope, 118.3, 33.9),
        domain=DOMAINS[n % len(DOMAINS)], category="bench", severity=n % 4 + 1, title="积水告警",
        title_en="Water on the road", quantity="water_depth", unit="m", value=0.31, threshold=0.27,
        raised_at_us=at_us, at_us=at_us,
    )  # fmt: skip


@dataclass(frozen=True)
class Made:
    """Hazards in columns and how much more they count [cell, domain]."""

    cell: Numbers
    domain: Numbers
    hazard: Numbers
    excess: Numbers

    def vectorised(self) -> Numbers:
        """The product's way."""
        logs = risk.summed(len(self.excess), self.cell, self.domain, risk.log_of(self.hazard))
        return risk.scores(logs, self.excess)

    def looped(self) -> Numbers:
        """The naive way: one cell after the other, one domain after the other."""
        hazards = dict[tuple[int, int], list[float]]()
        for cell, domain, hazard in zip(self.cell.tolist(), self.domain.tolist(), self.hazard.tolist(), strict=True):
            hazards.setdefault((cell, domain), []).append(hazard)
        excess = self.excess.tolist()
        found = []
        for cell in range(len(excess)):
            row, calm = [], 1.0
            for domain in range(len(DOMAINS)):
                left = 1.0
                for hazard in hazards.get((cell, domain), ()):
                    left *= 1.0 - hazard
                left **= 1.0 + excess[cell][domain]
                calm *= left
                row.append(round(1000 * (1.0 - left)))
            found.append([*row, round(1000 * (1.0 - calm))])
        return np.array(found, dtype="i2")


def computing(cells: int, alerts: int, turns: int) -> list[Figure]:
    """All scores from hazards that are at hand."""
    rng = np.random.default_rng(20261124)
    made = Made(
        rng.integers(0, cells, alerts),
        rng.integers(0, len(DOMAINS), alerts),
        rng.choice([0.25, 0.45, 0.7, 0.9], alerts),
        rng.uniform(0, 1, (cells, len(DOMAINS))),
    )
    if np.abs(made.vectorised() - made.looped()).max() > 1:
        raise RuntimeError("the loop gives other scores")
    ours, naive = [], []
    for _ in range(turns):
        ours.append(_ms(made.vectorised))
        naive.append(_ms(made.looped))
    rate, slow = (cells * 1000 / median(taken) for taken in (ours, naive))
    return [
        Figure(f"computing {cells:,} cells in all domains, median", median(ours), "ms", median(naive)),
        faster("cells computed, against a loop over cells", rate, "cells/s", slow, 5.0),
    ]


def turns(worker: Engine, count: int) -> list[Figure]:
    """Turns of the scheduler's own function: the first, one with a change, one without, one after readings."""
    known = _memory()
    first = _ms(lambda: _update(worker, known))
    idle = [_ms(lambda: _update(worker, known)) for _ in range(count)]
    changed = []
    for n in range(count):
        raise_alerts(worker, 1, first=n)
        changed.append(_ms(lambda: _update(worker, known)))
    read = []
    for n in range(count):
        sensors = _read_all(worker, n)
        read.append(_ms(lambda: _update(worker, known)))
    cost_us = (median(read) - median(idle)) * 1000 / sensors
    return [
        Figure("the first turn of a process: all is read, computed and written", first, "ms"),
        Figure("a turn without change, median", median(idle), "ms"),
        at_most("a turn with one change, whole recomputation, median", median(changed), "ms", 500),
        Figure(f"a turn after {sensors:,} readings near their limits, median", median(read), "ms"),
        at_most("cost of a reading", cost_us, "us", 1000),
    ]


def _read_all(worker: Engine, n: int) -> int:
    """Every sensor has just said something; one in ten is near the first level of a rule."""
    with worker.begin() as connection:
        done = connection.execute(
            text(
                "UPDATE sensors SET last_received_at = now(), state = 'online', latest = (SELECT jsonb_object_agg(q,"
                " jsonb_build_object('value', CASE WHEN sensors.n % 10 = 0 THEN 0.12 + 0.003 * (:n % 10) ELSE 0 END,"
                " 'at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))) FROM unnest(quantities) q)"
            ),
            {"n": n},
        )
        return done.rowcount


def changes(worker: Engine, count: int) -> list[Figure]:
    """Alerts that come at any time while the scheduler runs, from their commit to that of the risk."""
    rng = np.random.default_rng(20261124)
    waited = []
    for n in range(count):
        time.sleep(float(rng.uniform(0, 0.6)))
        [alert] = raise_alerts(worker, 1, first=n)
        waited.append(_ms(partial(_wait, partial(_is_told, worker, alert))))
    return [
        Figure("from an alert's commit to its risk's, rows and event, median", median(waited), "ms"),
        at_most("the same, 99th percentile", float(np.percentile(waited, 99)), "ms", 1000),
    ]


def _is_told(worker: Engine, alert: Alert) -> bool:
    """Whether the alert is among the lines of its cell's risk."""
    with worker.connect() as connection:
        found = connection.execute(
            text(
                "SELECT EXISTS (SELECT FROM risks WHERE code = :cell AND domain = 'overall'"
                " AND EXISTS (SELECT FROM jsonb_array_elements(parts) p WHERE p ->> 'source' = :alert))"
            ),
            {"cell": alert.source.cell, "alert": str(alert.id)},
        )
        return bool(found.scalar_one())


def everything(worker: Engine) -> Figure:
    """The most there can be: an alert in every cell at once."""
    known = _memory()
    _update(worker, known)
    raised = raise_alerts(worker, None)
    what = f"the worst turn: an alert in each of {len(raised):,} cells at once"
    return Figure(what, _ms(lambda: _update(worker, known)), "ms")


def _memory() -> RiskMemory:
    table = risk_weights(_PACK)
    if table is None:
        raise RuntimeError(f"config/{_PACK}/risk.yaml is missing")
    return RiskMemory(_PACK, _ZONE, table)


def _update(worker: Engine, known: RiskMemory) -> None:
    update_risks(worker, datetime.now(UTC), known)


@contextmanager
def _scheduler(worker: Engine, worker_url: str, log: Path) -> Iterator[None]:
    """The process, once it does all that it does."""
    environment = {**child.clean_environment(), "CC_DATABASE_URL": worker_url}
    program = Program("scheduler", (sys.executable, "-m", "command_center.cli", "scheduler"), log, environment)
    begun, process = datetime.now(UTC), child.spawn(program)
    try:
        _wait(lambda: _beats_since(worker, begun))
        time.sleep(_LATER_S)
        yield
    finally:
        child.stop(process, program)


def _beats_since(worker: Engine, begun: datetime) -> bool:
    with worker.connect() as connection:
        heard_at = last_beat(connection, "scheduler").at
    return heard_at is not None and heard_at > begun


def _ms(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def _wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not done():
        if time.monotonic() > until:
            raise RuntimeError("the scheduler did nothing")
        time.sleep(0.005)
