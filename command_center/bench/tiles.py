"""Vector tiles: drawn ahead and kept, against the query that simplifies nothing.

The ground is the demo city's with rough cells in the place of its own, because departments draw along streets and rivers. A
request is measured from the session of an account of the whole city to the application's answer; only the network is left out.
Cold means that the process has not kept the tile, cached that it has. Drawing alone, of the tile that holds most, is held
against the bare query on the ground as it lies. All ways take turns, so that neighbours on the machine do not decide.
"""

from __future__ import annotations

import math
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog
from sqlalchemy import Engine, TextClause, text

from command_center.api.region import KEPT_TILES
from command_center.app import make_app
from command_center.bench.figure import Figure, at_most
from command_center.bench.locate import irregular_cells
from command_center.demo.seed import seed_demo
from command_center.local import postgres
from command_center.local.postgres import Cluster
from command_center.migrations import upgrade
from config.database import scoped, worker_engine
from config.settings import from_environment
from gis.store import cells
from gis.tiles import mark_stale, redraw_stale, tile

Place = tuple[int, int, int]

CELLS: Final = 6_000
_ZOOMS: Final = range(5, 19)
_PLACES: Final = 60  # tiles of a zoom
_FEWEST_TURNS: Final = 20  # requests of a zoom that has fewer tiles
_COMPARED: Final = range(6, 10)  # zooms at which a tile holds a large part of the city
_TIMES_LIVE: Final = {("cells", 8): 1.5}
_MOST_KB: Final = 150.0

_ENVELOPE = "ST_TileEnvelope(:z, :x, :y)"
_REGIONS = "code, name, tier, parent, inferred"
_TIERS = """tier = ANY (CASE WHEN :z < 8 THEN ARRAY['city', 'county'] WHEN :z < 11 THEN ARRAY['city', 'county', 'township']
            ELSE ARRAY['city', 'county', 'township', 'village'] END)"""
_LABELS = """tier = ANY (CASE WHEN :z < 8 THEN ARRAY['county'] WHEN :z < 11 THEN ARRAY['county', 'township']
             ELSE ARRAY['township', 'village'] END)"""


def _live(name: str, properties: str, source: str, table: str, condition: str) -> TextClause:
    return text(f"""
SELECT ST_AsMVT(t, '{name}', 4096, 'geom') FROM (
  SELECT {properties},
    ST_AsMVTGeom(ST_Transform(ST_SetSRID({source}, 4326), 3857), {_ENVELOPE}, 4096, 64, true) AS geom FROM {table}
  WHERE {source} && ST_SetSRID(ST_Transform({_ENVELOPE}, 4326), 4490)
    AND (scope >= :scope AND scope < :scope || '~' OR starts_with(:scope, scope)) AND {condition}
) t""")


LIVE: Final = {
    "cells": (_live("cells", "code, region", "geom", "cells", "valid_to IS NULL"),),
    "regions": (
        _live("regions", _REGIONS, "geom", "regions", _TIERS),
        _live("region_labels", _REGIONS, "label", "regions", _LABELS),
    ),
}
"""The same tiles by queries that simplify nothing, layer by layer."""


def run() -> list[Figure]:
    """Measure over the demo city; starts a private PostgreSQL. Takes a minute or two."""
    # Not pytest's or the user's own folder: the server runs as a system user, who must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        Path(folder).chmod(0o755)
        with postgres.running(Path(folder) / "var") as cluster:
            password = secrets.token_urlsafe()
            fill(cluster, password)
            return measure(cluster.url("cc_web"), password, _ZOOMS)


def fill(cluster: Cluster, password: str) -> None:
    """The demo city in a new database."""
    postgres.prepare(cluster)
    upgrade(cluster.url("cc_owner"))
    engine = worker_engine(cluster.url("cc_worker"))
    seed_demo(engine, "suqian", password, None)
    roughen(engine, CELLS)
    engine.dispose()


def roughen(engine: Engine, count: int) -> None:
    """Irregular cells in the place of those in force."""
    shapes = irregular_cells(np.random.default_rng(20261123), count)
    with engine.begin() as connection:
        village, scope = connection.execute(
            text("SELECT code, scope FROM regions WHERE tier = 'village' ORDER BY code LIMIT 1")
        ).one()
        connection.execute(text("UPDATE cells SET valid_to = now() WHERE valid_to IS NULL"))
        codes = [f"{village}{n:04d}" for n in range(len(shapes))]
        rows = [
            {"code": code, "name": code, "region": village, "scope": f"{scope}{code}/", "area_m2": 0.0, "geom": shape}
            for code, shape in zip(codes, (f"SRID=4490;MULTIPOLYGON({s.wkt[8:]})" for s in shapes), strict=True)
        ]
        connection.execute(cells.insert(), rows)
        mark_stale(connection, "cells")
    redraw_stale(engine, datetime.now(UTC))


def measure(web_url: str, password: str, zooms: Sequence[int]) -> list[Figure]:
    """Figures of a city that is drawn: what an account of all of it waits for, zoom by zoom."""
    app, _, push = make_app(from_environment({"CC_DATABASE_URL": web_url}), structlog.stdlib.get_logger())
    engine = push.server.engine
    try:
        return _measure(engine, app.test_client(), password, zooms)
    finally:
        engine.dispose()


def _measure(engine: Engine, client: Any, password: str, zooms: Sequence[int]) -> list[Figure]:
    scope, points = _log_in(engine, client, password)
    versions = client.get("/api/v1/map").get_json()["layers"]
    rng = np.random.default_rng(20261123)
    found: list[Figure] = []
    for layer in LIVE:
        for zoom in zooms:
            places = tiles_at(zoom, points)
            some = [places[n] for n in rng.permutation(len(places))[:_PLACES].tolist()]
            # The first only warms up.
            turns = [some[n % len(some)] for n in range(-1, max(_FEWEST_TURNS, len(some)))]
            turned = [_turn(engine, client, scope, layer, versions[layer]["version"], place) for place in turns][1:]
            found += _figures(f"{layer}, zoom {zoom}", layer, zoom, turned)
    return found


@dataclass(frozen=True, slots=True)
class Turn:
    """One tile, asked for in each way."""

    cold_ms: float
    cached_ms: float
    drawn_ms: float
    live_ms: float
    packed_kb: float


def _turn(engine: Engine, client: Any, scope: str, layer: str, version: str, place: Place) -> Turn:
    z, x, y = place

    def request() -> int:
        answer = client.get(f"/tiles/{layer}/{version}/{z}/{x}/{y}.mvt", headers={"Accept-Encoding": "gzip"})
        if answer.status_code != 200:
            raise RuntimeError(f"tile {layer}/{z}/{x}/{y}: status {answer.status_code}")
        return len(answer.data)

    def draw() -> int:
        with scoped(engine, scope) as connection:
            return len(tile(connection, layer, z, x, y, scope))

    def query() -> int:
        with scoped(engine, scope) as connection:
            return sum(len(bytes(connection.execute(sql, values).scalar_one())) for sql in LIVE[layer])

    values = {"z": z, "x": x, "y": y, "scope": scope}
    KEPT_TILES.clear()
    cold_ms, packed = _timed(request)
    cached_ms, _ = _timed(request)
    drawn_ms, _ = _timed(draw)
    live_ms, _ = _timed(query)
    return Turn(cold_ms, cached_ms, drawn_ms, live_ms, packed / 1000)


def _timed(ask: Callable[[], int]) -> tuple[float, int]:
    begun = time.perf_counter()
    found = ask()
    return (time.perf_counter() - begun) * 1000, found


def _figures(what: str, layer: str, zoom: int, turns: Sequence[Turn]) -> list[Figure]:
    def share(name: str, percent: float) -> float:
        return float(np.percentile([getattr(turn, name) for turn in turns], percent))

    found = []
    for percent, called in ((50, "median"), (99, "99th percentile")):
        found.append(Figure(f"{what}: cold, {called}", share("cold_ms", percent), "ms"))
        found.append(Figure(f"{what}: cached, {called}", share("cached_ms", percent), "ms"))
    largest_kb = max(turn.packed_kb for turn in turns)
    fullest = [turn for turn in turns if turn.packed_kb == largest_kb]
    drawn_ms = statistics.median(turn.drawn_ms for turn in fullest)
    live_ms = statistics.median(turn.live_ms for turn in fullest)
    ratio = live_ms / drawn_ms if zoom in _COMPARED else None
    goal = _TIMES_LIVE.get((layer, zoom))
    met = None if ratio is None or goal is None else ratio >= goal
    found.append(Figure(f"{what}: drawing the fullest tile", drawn_ms, "ms", live_ms, ratio, goal, met))
    return [*found, at_most(f"{what}: largest tile, packed", largest_kb, "kB", _MOST_KB)]


def tiles_at(zoom: int, points: Sequence[tuple[float, float]]) -> list[Place]:
    """(z, x, y) of the tiles that hold a point, lng and lat, each once."""
    side = 1 << zoom
    return sorted(
        {
            (
                zoom,
                int((lng + 180) / 360 * side),
                int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * side),
            )
            for lng, lat in points
        }
    )


def _log_in(engine: Engine, client: Any, password: str) -> tuple[str, list[tuple[float, float]]]:
    """Open a session for the whole city: its scope, and a point in every cell."""
    with engine.connect() as connection:
        username, scope = connection.execute(
            text(
                "SELECT a.username, g.scope FROM accounts a JOIN account_grants g ON g.account = a.id WHERE g.tier = 'city'"
                " ORDER BY a.username LIMIT 1"
            )
        ).one()
    answer = client.post("/api/v1/session", json={"username": username, "password": password})
    if answer.status_code != 201:
        raise RuntimeError(f"cannot log in: status {answer.status_code}")
    inside = "SELECT ST_X(p), ST_Y(p) FROM (SELECT ST_PointOnSurface(geom) AS p FROM cells WHERE valid_to IS NULL) c"
    with scoped(engine, scope) as connection:
        return scope, [(lng, lat) for lng, lat in connection.execute(text(inside))]
