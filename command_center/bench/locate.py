"""Point look-up: how fast against a tree and against what the machine allows, and whether PostGIS gives the same cells.

Rates are per second of processor time, so that neighbours on the machine do not decide the ratios. The ways to be compared take
turns, and each rate is the median of its turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import psycopg
import shapely

from command_center.bench.figure import Figure, at_most, faster
from command_center.demo.plane import to_lng_lat
from command_center.demo.tessellation import Peak, outline, tessellate
from command_center.local import postgres
from gis.cell_index import OUTSIDE, CellIndex
from gis.raster import EIGHT

Points = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Look = Callable[[Points], Rows]

CELLS: Final = 10_000
POINTS: Final = 1_000_000
EDGE_POINTS: Final = 20_000
_AREA_M2: Final = 14e9
_STRAIGHT_BELOW_M = 150.0
_BATCHES: Final = ((200_000, 50.0, 1), (500, 12.0, 80))  # points, times the tree, batches in a turn
_TURNS: Final = 7
_BEYOND: Final = 0.02  # of the map's size: some points lie outside
_READ_CHUNK: Final = 1 << 14


def run() -> list[Figure]:
    """Measure over a synthetic city; starts a private PostgreSQL. Takes two to three minutes."""
    rng = np.random.default_rng(20261123)
    polygons = irregular_cells(rng, CELLS)
    begun = time.thread_time()
    index = CellIndex([f"{row:06d}" for row in range(len(polygons))], list(polygons))
    build_s = time.thread_time() - begun
    anywhere, on_edges = random_points(rng, polygons, POINTS), points_on_edges(rng, polygons, EDGE_POINTS)
    vertices = float(shapely.get_num_coordinates(polygons).mean())
    return [
        *rates(index, polygons, anywhere),
        *differences(index, polygons, {"anywhere": anywhere, "on edges and vertices": on_edges}),
        Figure("cells", len(polygons), "cells"),
        Figure("vertices of a cell", vertices, "mean"),
        Figure("build of the index", build_s, "s of processor time"),
        Figure("tables of the index", index.nbytes / 2**20, "MiB"),
    ]


def irregular_cells(rng: np.random.Generator, count: int) -> npt.NDArray[Any]:
    """A valid coverage of rough cells in lng/lat, denser around two seats."""
    seats = (Peak(0.0, 0.0, 8.0, 8_000.0), Peak(30_000.0, 20_000.0, 5.0, 6_000.0))
    mesh = tessellate(rng, outline(rng, _AREA_M2 * count / CELLS), seats, count, straight_below_m=_STRAIGHT_BELOW_M)
    return np.array([shapely.Polygon(to_lng_lat(np.array(ring))) for ring in mesh.rings], dtype=object)


def random_points(rng: np.random.Generator, polygons: npt.NDArray[Any], count: int) -> Points:
    """Points (count, 2) all over the cells' rectangle and a little beyond."""
    west, south, east, north = shapely.total_bounds(polygons).tolist()
    wide, high = (east - west) * _BEYOND, (north - south) * _BEYOND
    return rng.uniform((west - wide, south - high), (east + wide, north + high), (count, 2))


def points_on_edges(rng: np.random.Generator, polygons: npt.NDArray[Any], count: int) -> Points:
    """Points (count, 2): half vertices, the rest on edges, as exactly as doubles can say it; a quarter in their middle."""
    corners, cell = shapely.get_coordinates(polygons, return_index=True)
    starts = np.flatnonzero(cell[:-1] == cell[1:])
    chosen = rng.choice(starts, count - count // 2)
    share = np.where(np.arange(len(chosen)) % 2 == 0, 0.5, rng.uniform(0, 1, len(chosen)))[:, None]
    on_edges = corners[chosen] + share * (corners[chosen + 1] - corners[chosen])
    return np.concatenate([corners[rng.choice(len(corners), count // 2)], on_edges])


def rates(index: CellIndex, polygons: npt.NDArray[Any], points: Points) -> list[Figure]:
    """Rates at each batch size, against a tree of prepared polygons, and against the bare table read."""
    shapely.prepare(polygons)
    tree = shapely.STRtree(polygons)
    looks: list[Look] = [
        lambda batch: index.locate(batch[:, 0], batch[:, 1]),
        lambda batch: by_tree(tree, batch),
        lambda batch: read_table(index, batch),
    ]
    found = []
    for size, goal, stretch in _BATCHES:
        batches = [np.asfortranarray(points[begin : begin + size]) for begin in range(0, len(points), size)]
        turns = [[batches[(turn * stretch + n) % len(batches)] for n in range(stretch)] for turn in range(_TURNS)]
        ours, naive, limit = turn_about(looks, turns)
        found.append(faster(f"look-up against an STRtree, batches of {size:,}", ours, "points/s", naive, goal))
        what = f"look-up against pixel arithmetic and one table read, batches of {size:,}"
        found.append(Figure(what, ours, "points/s", limit, ours / limit))
    return found


def turn_about(looks: Sequence[Look], turns: Sequence[Sequence[Points]]) -> list[float]:
    """Points per second of processor time for each look: the median over the turns, in each of which every look has all
    batches of that turn in a row.
    """
    taken_s: list[list[float]] = [[] for _ in looks]
    for batches in [turns[0], *turns]:  # the first time only warms up
        for look, times_s in zip(looks, taken_s, strict=True):
            begun = time.thread_time()
            for batch in batches:
                look(batch)
            times_s.append(time.thread_time() - begun)
    count = sum(len(batch) for batch in turns[0])
    return [count / statistics.median(times_s[1:]) for times_s in taken_s]


def by_tree(tree: shapely.STRtree, points: Points) -> Rows:
    """The naive way: candidates from a tree, then the lowest of those that cover the point."""
    point, row = tree.query(shapely.points(points[:, 0], points[:, 1]), predicate="intersects")
    best = np.full(len(points), len(tree), dtype=np.int64)
    np.minimum.at(best, point, row)
    best[best == len(tree)] = OUTSIDE
    return best


def read_table(index: CellIndex, points: Points) -> Rows:
    """What no look-up by pixels can do without: place the points (all on the map) and read what their pixels hold."""
    raster = index.raster
    if raster is None:
        raise ValueError("the index has no picture to read")
    frame = raster.frame
    found = np.empty(len(points), dtype=np.int64)
    for begin in range(0, len(points), _READ_CHUNK):
        x, y = points[begin : begin + _READ_CHUNK].T
        column = ((x - frame.west) * (frame.columns_per_degree / EIGHT)).astype(np.int64)
        row = ((y - frame.south) * (frame.rows_per_degree / EIGHT)).astype(np.int64)
        found[begin : begin + _READ_CHUNK] = raster.pixels.take(row * frame.width + column, mode="clip")
    return found


def differences(index: CellIndex, polygons: npt.NDArray[Any], sets: Mapping[str, Points]) -> list[Figure]:
    """How many points of each set have another cell in PostGIS, by ST_Covers and the lowest code."""
    found = []
    # Not pytest's or the user's own folder: the server runs as a system user, who must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        Path(folder).chmod(0o755)
        with (
            postgres.running(Path(folder) / "var") as cluster,
            psycopg.connect(cluster.url(postgres.SUPERUSER)) as link,
        ):
            load_cells(link, polygons)
            for name, points in sets.items():
                begun = time.monotonic()
                theirs = by_postgis(link, points)
                rate = len(points) / (time.monotonic() - begun)
                ours = index.locate(points[:, 0], points[:, 1])
                what = f"other cells than ST_Covers and the lowest code, {len(points):,} points {name}"
                found.append(at_most(what, int((ours != theirs).sum()), "points", 0))
                found.append(Figure(f"the same by PostGIS, points {name}", rate, "points/s"))
    return found


def load_cells(link: psycopg.Connection[Any], polygons: npt.NDArray[Any]) -> None:
    """Put the cells into PostGIS; their codes are their rows."""
    link.execute("CREATE TEMPORARY TABLE cells (code int PRIMARY KEY, geom geometry(Geometry, 4490))")
    link.execute("CREATE TEMPORARY TABLE points (n int, geom geometry(Point, 4490))")
    with link.cursor() as cursor:
        rows = zip(
            range(len(polygons)), shapely.to_wkb(shapely.set_srid(polygons, 4490), include_srid=True), strict=True
        )
        cursor.executemany("INSERT INTO cells VALUES (%s, %s)", rows)
    link.execute("CREATE INDEX ON cells USING gist (geom)")
    link.execute("ANALYZE cells")


def by_postgis(link: psycopg.Connection[Any], points: Points) -> Rows:
    """Row of the cell of the lowest code that ST_Covers each point, OUTSIDE where there is none."""
    link.execute("TRUNCATE points")
    # Neighbours after each other, so that PostGIS can use again what it has prepared of a cell.
    order = np.lexsort((points[:, 1], np.floor(points[:, 0] * 100)))
    wkb = shapely.to_wkb(shapely.set_srid(shapely.points(points), 4490), include_srid=True, hex=True)
    with link.cursor() as cursor, cursor.copy("COPY points FROM STDIN") as copy:
        for n in order.tolist():
            copy.write_row((n, wkb[n]))
    found = np.full(len(points), OUTSIDE, dtype=np.int64)
    answer = link.execute(
        "SELECT p.n, (SELECT min(c.code) FROM cells c WHERE ST_Covers(c.geom, p.geom)) FROM points p", binary=True
    )
    for n, code in answer:
        if code is not None:
            found[n] = code
    return found
