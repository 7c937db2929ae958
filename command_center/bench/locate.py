"""Point look-up: how fast against a tree and against what the machine allows, and whether PostGIS gives the same cells.

Rates are per second of processor time, so that neighbours on the machine do not decide the ratios. The ways to be compared take
turns, and each rate is the median of its turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
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
from gis.raster import EIGHT, Raster

Points = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Look = Callable[[Points], Rows]

CELLS: Final = 10_000
POINTS: Final = 1_000_000
EDGE_POINTS: Final = 20_000
_AREA_M2: Final = 14e9
_BATCHES: Final = ((200_000, 50.0, 5), (500, 12.0, 40))  # points, times the tree, turns
_BEYOND: Final = 0.02  # of the map's size: some points lie outside
_READ_CHUNK: Final = 1 << 14


def run() -> list[Figure]:
    """Measure over a synthetic city; starts a private PostgreSQL. Takes two to three minutes."""
    rng = np.random.default_rng(20261123)
    polygons = irregular_cells(rng, CELLS)
    codes = [f"{number:06d}" for number in rng.permutation(len(polygons))]
    begun = time.thread_time()
    index = CellIndex(codes, list(polygons))
    build_s = time.thread_time() - begun
    anywhere, edges = random_points(rng, polygons, POINTS), points_on_edges(rng, polygons, EDGE_POINTS)
    figures = rates(index, polygons, anywhere)
    figures.append(Figure(f"build of the index over {len(polygons):,} cells", build_s, "s of processor time"))
    vertices = float(shapely.get_num_coordinates(polygons).mean())
    figures.append(Figure("mean vertices of a cell", vertices, "vertices"))
    figures.append(Figure("tables of the index", index.nbytes / 2**20, "MiB"))
    return figures + differences(index, polygons, anywhere, edges)


def irregular_cells(rng: np.random.Generator, count: int) -> npt.NDArray[Any]:
    """A valid coverage of rough cells in lng/lat, denser around two seats."""
    seats = (Peak(0.0, 0.0, 8.0, 8_000.0), Peak(30_000.0, 20_000.0, 5.0, 6_000.0))
    mesh = tessellate(rng, outline(rng, _AREA_M2 * count / CELLS), seats, count)
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
    """Rates at each batch size, against a tree with prepared polygons, and against the bare table read."""
    in_order = polygons[np.argsort(np.array(_places(index.codes)))] if False else polygons
    shapely.prepare(in_order)
    tree = shapely.STRtree(in_order)
    limit = table_read(index)
    found = []
    for size, goal, turns in _BATCHES:
        batches = [points[begin : begin + size] for begin in range(0, size * turns, size)]
        looks: list[Look] = [lambda p: index.locate(p[:, 0], p[:, 1]), lambda p: by_tree(tree, p)]
        ours, naive, most = turn_about([*looks, limit] if limit else looks, batches)
        found.append(faster(f"look-up, batches of {size:,}", ours, "points/s", naive, goal))
        found.append(Figure(f"limit: pixel arithmetic and table read, batches of {size:,}", most, "points/s"))
        found.append(Figure(f"share of the limit, batches of {size:,}", ours / most, "of 1"))
    return found
