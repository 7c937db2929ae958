"""Alerts turned into incidents: a steady thousand a minute, and a storm of three thousand alarms in one township in 10 s.

Steady: alerts all over the demo city go through the path's own ``respond`` batch by batch, a second's worth each, every batch
in a transaction with its events, until the commit. Beside it, in the same turns, the naive way decides the same alerts one by
one: read the open incidents of the category, try each. The storm comes as messages of gauges and goes the whole way of the
worker, decoding and rules included, to a console's reader that hears of the commit and reads the event log; only the broker
and the network are left out.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection, Engine, text

from command_center.bench.figure import Figure, at_most
from command_center.city import City, build_city, read_city
from command_center.demo.seed import seed_demo
from command_center.event import log
from command_center.local import postgres
from command_center.migrations import upgrade
from command_center.pipeline import advance, remember
from command_center.respond import respond
from config.database import worker_engine
from gis.region import Region
from ingest import store as ingest_store
from ingest.message import Message
from rules.alert import NAMESPACE, Alert, AlertChange, Change, Source
from rules.correlate import METRES_A_DEGREE, metres

_PACK: Final = "suqian"
_ZONE: Final = ZoneInfo("Asia/Shanghai")
_MINUTES: Final = 5
_A_MINUTE: Final = 1000
_STORM: Final = 3000
_STORM_S: Final = 10.0
_FIRES: Final = 3
# Of a hundred gauges of a township ninety stand in its streets, nine at its ditches, and one measures rain.
_KINDS: Final = (*(("water_depth", 0.31),) * 90, *(("river_level", 4.6),) * 9, ("rain_1h", 60.0))
_CATEGORIES: Final = ("waterlogging", "gas_leak", "congestion", "manhole", "elevator", "dust", "litter", "fallen_tree")


def run() -> list[Figure]:
    """Measure over the demo city; starts a private PostgreSQL. Takes about two minutes."""
    # Not pytest's or the user's own folder: the server runs as a system user, who must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        Path(folder).chmod(0o755)
        with postgres.running(Path(folder) / "var") as cluster:
            upgrade(cluster.url("cc_owner"))
            worker = worker_engine(cluster.url("cc_worker"))
            seed_demo(worker, _PACK, secrets.token_urlsafe(), None)
            found = steady(worker, _city(worker), _MINUTES, _A_MINUTE) + storm(worker, _STORM, _STORM_S)
            worker.dispose()
            return found


def _city(engine: Engine) -> City:
    return build_city(read_city(engine), _PACK, _ZONE, datetime.now(UTC))


def steady(engine: Engine, city: City, minutes: int, a_minute: int) -> list[Figure]:
    """Alerts at random places, every second one near an earlier one, a second's worth a batch."""
    rng = np.random.default_rng(20261124)
    cells = [region for _, region in sorted(city.tree.regions.items()) if region.tier == "grid"]
    sizes = np.diff(np.linspace(0, minutes * a_minute, minutes * 60 + 1).astype(int))
    earlier: list[Alert] = []
    ours_ms, naive_ms = [], []
    for size in sizes.tolist():
        alerts = [_alert(rng, len(earlier) + n, cells, earlier) for n in range(size)]
        begun = time.perf_counter()
        with engine.connect() as connection:
            _scan(connection, alerts)
        naive_ms.append((time.perf_counter() - begun) * 1000)
        begun = time.perf_counter()
        with engine.begin() as connection:
            changes = [AlertChange(Change.RAISED, alert) for alert in alerts]
            log.append(connection, respond(connection, changes, city, datetime.now(UTC)))
        ours_ms.append((time.perf_counter() - begun) * 1000)
        earlier += alerts
    with engine.connect() as connection:
        linked, opened = connection.execute(
            text(
                "SELECT (SELECT count(*) FROM incident_signals), (SELECT count(*) FROM incidents WHERE status = 'open')"
            )
        ).one()
    what = f"{a_minute:,} alerts a minute, a second's worth to its commit"
    rate = len(earlier) / sum(ours_ms) * 60_000
    return [
        Figure(f"{what}, median", float(np.percentile(ours_ms, 50)), "ms"),
        at_most(f"{what}, 99th percentile", float(np.percentile(ours_ms, 99)), "ms", 1000),
        Figure("the naive scan alone, which stores nothing, 99th percentile", float(np.percentile(naive_ms, 99)), "ms"),
        Figure("as fast as it goes", rate, "alerts/min", goal=a_minute, met=rate >= a_minute),
        Figure(
            "alerts that have their incident",
            linked,
            f"of {len(earlier)}",
            goal=len(earlier),
            met=linked == len(earlier),
        ),
        Figure("open incidents at the end", opened, "incidents"),
    ]


def _alert(rng: np.random.Generator, n: int, cells: Sequence[Region], earlier: Sequence[Alert]) -> Alert:
    at_us = time.time_ns() // 1000
    if earlier and rng.random() < 0.5:
        seen = earlier[int(rng.integers(len(earlier)))]
        home, category = seen.source, seen.category
        lng, lat = (home.lng + rng.normal(0, 15) / METRES_A_DEGREE, home.lat + rng.normal(0, 15) / METRES_A_DEGREE)
        source = Source("sensor", f"bench-{n}", f"测点 {n}", home.cell, home.region, home.scope, float(lng), float(lat))
    else:
        cell, category = cells[int(rng.integers(len(cells)))], _CATEGORIES[int(rng.integers(len(_CATEGORIES)))]
        lng, lat = rng.uniform(117.95, 119.1), rng.uniform(33.2, 34.4)
        source = Source(
            "sensor", f"bench-{n}", f"测点 {n}", cell.code, cell.parent or "", cell.scope, float(lng), float(lat)
        )
    return Alert(
        id=uuid5(NAMESPACE, f"bench\0{n}"), rule=f"bench-{n}", rule_version=1, source=source, domain="emergency",
        category=category, severity=int(rng.integers(1, 4)), title="告警", title_en="Alarm", quantity="water_depth", unit="m",
        value=0.31, threshold=0.27, raised_at_us=at_us, at_us=at_us,
    )  # fmt: skip


def _scan(connection: Connection, alerts: Sequence[Alert]) -> None:
    """The naive way: for each alert all open incidents of its category, each tried in turn."""
    near = text("SELECT id, lng, lat FROM incidents WHERE status = 'open' AND category = :category")
    for alert in alerts:
        place = alert.source
        found = connection.execute(near, {"category": alert.category})
        min((metres(place.lng, place.lat, row.lng, row.lat) for row in found), default=None)


def storm(engine: Engine, alarms: int, within_s: float) -> list[Figure]:
    """Gauges of one township all at once, and a fire among them."""
    with engine.begin() as connection:
        town, gauges = _add_gauges(connection, alarms)
        # By now nobody deals with what was there before.
        connection.execute(text("UPDATE incidents SET status = 'closed'"))
    city = _city(engine)
    began = time.time()
    with engine.connect() as connection:
        memory = remember(connection, city, began)
    batches = np.array_split(np.random.default_rng(1).permutation(alarms), max(1, round(within_s)))
    taken_s, heard = [], Counter[str]()
    cursor = _read(engine, 0, Counter())
    for second, batch in enumerate(batches):
        messages = [_message(gauges[int(n)], began - within_s + second) for n in batch]
        begun = time.perf_counter()
        advance(messages, city, memory, engine, time.time())
        if second == len(batches) // 2:
            _burn(engine, city, town)
        cursor = _read(engine, cursor, heard)
        taken_s.append(time.perf_counter() - begun)
    return _told(engine, alarms, taken_s, heard)


def _read(engine: Engine, cursor: int, heard: Counter[str]) -> int:
    """What a console hears: the events above its cursor. Returns the newest."""
    with engine.connect() as connection:
        for row in connection.execute(
            text("SELECT n, kind, data FROM event_log WHERE n > :cursor ORDER BY n"), {"cursor": cursor}
        ):
            cursor = row.n
            heard[row.kind] += 1
    return cursor


def _told(engine: Engine, alarms: int, taken_s: Sequence[float], heard: Counter[str]) -> list[Figure]:
    with engine.connect() as connection:
        opened, fires, linked, raised = connection.execute(
            text(
                "SELECT count(*) FILTER (WHERE category <> 'fire'), count(*) FILTER (WHERE category = 'fire'),"
                " (SELECT count(*) FROM alerts a JOIN incident_signals s ON s.signal = a.id JOIN incidents i ON"
                " i.id = s.incident WHERE i.status = 'open' AND a.source LIKE 'storm-%'),"
                " (SELECT count(*) FROM alerts WHERE source LIKE 'storm-%') FROM incidents WHERE status = 'open'"
            )
        ).one()
    return [
        at_most(
            f"a storm of {alarms:,} alarms, from the first message to the reader of the last event",
            sum(taken_s),
            "s",
            10,
        ),
        Figure("its slowest second", max(taken_s), "s"),
        Figure("alarms that it raised", raised, "alerts", goal=alarms, met=raised >= alarms),
        Figure("alarms of it that have their incident", linked, "alerts", goal=raised, met=linked == raised),
        at_most("open incidents that it became", opened, "incidents", 5),
        Figure("incidents of the fire in its middle", fires, "incidents", goal=1, met=fires == 1),
        Figure("events that consoles heard of it", sum(heard.values()), "events"),
    ]


def _add_gauges(connection: Connection, count: int) -> tuple[Region, list[tuple[str, str, str, float]]]:
    """Gauges in the cells of the township that has most of them; each as county, id, quantity and what it will say."""
    cells = connection.execute(
        text(
            "SELECT code, region, scope, ST_X(ST_PointOnSurface(geom)) AS lng, ST_Y(ST_PointOnSurface(geom)) AS lat FROM cells"
            " WHERE split_part(scope, '/', 3) = (SELECT split_part(scope, '/', 3) FROM cells GROUP BY 1"
            " ORDER BY count(*) DESC, 1 LIMIT 1) ORDER BY code"
        )
    ).all()
    first = int(connection.execute(text("SELECT coalesce(max(n), 0) + 1 FROM sensors")).scalar_one())
    gauges, rows = [], []
    for n in range(count):
        cell, (quantity, value) = cells[n % len(cells)], _KINDS[n % len(_KINDS)]
        county = cell.scope.split("/")[1]
        gauges.append((county, f"storm-{n:04d}", quantity, value))
        rows.append(_gauge_row(first + n, gauges[-1], cell))
    connection.execute(ingest_store.sensors.insert(), rows)
    home = cells[0]
    return Region(home.code, home.code, "grid", home.region, home.scope), gauges


def _gauge_row(n: int, gauge: tuple[str, str, str, float], cell: Any) -> dict[str, Any]:
    county, identity, quantity, _ = gauge
    return {
        "n": n,
        "id": identity,
        "name": f"测点 {identity}",
        "county": county,
        "region": cell.region,
        "cell": cell.code,
        "scope": cell.scope,
        "domain": "emergency",
        "quantities": [quantity],
        "geom": f"SRID=4490;POINT({cell.lng} {cell.lat})",
        "interval_s": 60,
    }


def _message(gauge: tuple[str, str, str, float], at: float) -> Message:
    county, identity, quantity, value = gauge
    body = {"id": f"{identity}-{at}", "at": round(at * 1000), "values": {quantity: value}}
    return Message(f"cc/v1/{county}/{identity}/reading", json.dumps(body).encode(), time.time())


def _burn(engine: Engine, city: City, home: Region) -> None:
    """Three detectors of one building, in the middle of the storm."""
    lng, lat = 118.3, 33.96
    now_us = time.time_ns() // 1000
    changes = []
    for n in range(_FIRES):
        source = Source("sensor", f"fire-{n}", f"烟感 {n}", home.code, home.parent or "", home.scope, lng, lat)
        alert = Alert(
            id=UUID(int=n + 1), rule=f"fire-{n}", rule_version=1, source=source, domain="emergency", category="fire",
            severity=4, title="火情", title_en="Fire", quantity="smoke", unit="1", value=1.0, threshold=0.5,
            raised_at_us=now_us, at_us=now_us,
        )  # fmt: skip
        changes.append(AlertChange(Change.RAISED, alert))
    with engine.begin() as connection:
        log.append(connection, respond(connection, changes, city, datetime.now(UTC)))
