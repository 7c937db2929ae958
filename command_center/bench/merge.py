"""The merge: against the plain overlay that it improves on, on real cities where their data is at hand, and as a city grows.

Seconds are of processor time. The plain overlay cuts all boundaries by each other and cleans the pieces as a coverage:
it says nothing of labels, keeps slivers and accounts for nothing, but it is the least that any merge has to do.
"""

from __future__ import annotations

import gc
import math
import resource
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import shapely

from command_center.bench.figure import Figure, at_most
from gis.merge import Merged, merge
from gis.merge_report import report
from gis.network import Drawn, Network, assemble
from gis.overlay import Ground
from gis.read_network import read_network

Made = TypeVar("Made")

_ROOT: Final = Path(__file__).parents[2]
_CITIES: Final[Mapping[str, tuple[Path, Mapping[str, str]]]] = {
    "Washington DC": (
        _ROOT.parent / "shared" / "data" / "dc",
        {"police": "police-service-areas-psa", "fire": "fire-alarm-districts", "works": "dpw-parking-beats"},
    ),
    "Seattle": (
        _ROOT / "tests" / "gis" / "data" / "seattle",
        {"beats": "spd-beats", "council": "city-council-districts", "schools": "sps_attendance_area_ES"},
    ),
}
_WITHIN: Final[Mapping[str, float]] = {"Washington DC": 5.0}  # times the plain overlay, where that was promised
_SIZES: Final = (1_000, 2_000, 4_000, 8_000)
_GROWTH: Final = 1.6  # how much more than n log n the largest city may take, seen from the smallest
_BLOCK_M: Final = 140.0
_POINTS_A_BLOCK: Final = 4
_JITTER_M: Final = 1.0
_OFFSETS: Final = {"emergency": (0, 0), "public_order": (1, 0), "urban_management": (1, 1)}


def run() -> list[Figure]:
    """Measure; cities whose files are not there are left out. Takes three minutes."""
    found: list[Figure] = []
    for city, (folder, files) in _CITIES.items():
        if all((folder / f"{file}.geojson").is_file() for file in files.values()):
            found += _city(city, [read_network(name, folder / f"{file}.geojson") for name, file in files.items()])
    return found + _growth()


def _city(city: str, networks: list[Network]) -> list[Figure]:
    plain_s = min(_seconds(lambda: plain_overlay(networks))[0] for _ in range(3))
    ours_s, merged = min((_seconds(lambda: _explained(networks)) for _ in range(3)), key=lambda found: found[0])
    told = report(merged)
    shares = [network["kept_area_share"] for network in told["networks"].values()]
    kept, moved = min(shares), told["area_moved_m2"]
    goal = 1 / _WITHIN[city] if city in _WITHIN else None
    ratio = plain_s / ours_s
    return [
        Figure(f"{city}: merge with report", ours_s, "s", plain_s, ratio, goal, ratio >= goal if goal else None),
        Figure(f"{city}: cells", len(merged.cells), "cells"),
        Figure(f"{city}: pieces of the overlay", told["raw_pieces"], "pieces"),
        Figure(f"{city}: ground that changed a grid", moved, "m2"),
        Figure(f"{city}: least share of a network that kept its grid", kept, "share", goal=0.999, met=kept >= 0.999),
        at_most(f"{city}: cells that are no valid coverage", int(not _is_coverage(merged)), "faults", 0),
        at_most(f"{city}: cells too small or narrow, without a reason", len(told["exceptions"]), "cells", 0),
    ]


def _growth() -> list[Figure]:
    found, unit_s = [], []
    for size in _SIZES:
        networks = synthetic(size)
        grids = sum(len(network.ids) for network in networks)
        taken_s, merged = _seconds(lambda networks=networks: _explained(networks))  # type: ignore[misc]
        plain_s = _seconds(lambda networks=networks: plain_overlay(networks))[0]  # type: ignore[misc]
        unit_s.append(taken_s / (grids * math.log(grids)))
        what = f"synthetic, 3 x {size:,} grids, {len(merged.cells):,} cells: merge with report"
        found.append(Figure(what, taken_s, "s", plain_s, plain_s / taken_s))
        if size == _SIZES[-1]:
            found.append(
                at_most("synthetic: cells that are no valid coverage", int(not _is_coverage(merged)), "faults", 0)
            )
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    growth = unit_s[-1] / unit_s[0]
    what = f"growth beyond n log n from {_SIZES[0]:,} to {_SIZES[-1]:,} grids"
    return [*found, at_most(what, growth, "times", _GROWTH), Figure("peak memory of the process", peak_mib, "MiB")]


def _explained(networks: list[Network]) -> Merged:
    merged = merge(networks)
    report(merged)
    return merged


def _is_coverage(merged: Merged) -> bool:
    shapes = np.array([cell.geometry for cell in merged.cells])
    return bool(shapely.is_valid(shapes).all() and shapely.coverage_is_valid(shapes))


def _seconds(work: Callable[[], Made]) -> tuple[float, Made]:
    gc.collect()
    begun = time.process_time()
    made = work()
    return time.process_time() - begun, made


def plain_overlay(networks: list[Network]) -> npt.NDArray[Any]:
    """All boundaries cut by each other, in metres, and the pieces cleaned."""
    polygons = np.concatenate([network.polygons for network in networks])
    lines = shapely.boundary(Ground.under(polygons).projection.metres(polygons))
    pieces = shapely.get_parts(shapely.polygonize(shapely.get_parts(shapely.unary_union(lines))))
    cleaned: npt.NDArray[Any] = shapely.coverage_clean(pieces)  # type: ignore[attr-defined]  # not in the stubs yet
    return cleaned


def synthetic(grids: int) -> list[Network]:
    """Three networks of about so many grids over the same crooked streets.

    Each takes two by two blocks, from another corner, and draws every point of a street up to a metre off.
    """
    blocks = 2 * round(math.sqrt(grids))
    across = blocks * _POINTS_A_BLOCK + 1
    rng = np.random.default_rng(grids)
    step = _BLOCK_M / _POINTS_A_BLOCK
    east, north = np.meshgrid(np.arange(across) * step, np.arange(across) * step, indexing="ij")
    streets = np.stack([east + 30 * np.sin(north / 400), north + 30 * np.sin(east / 500)], axis=-1)
    per_degree = np.array([111_195.0 * math.cos(math.radians(33.9)), 111_195.0])
    found = []
    for name, (first_column, first_row) in _OFFSETS.items():
        drawn = (streets + rng.uniform(-_JITTER_M, _JITTER_M, streets.shape)) / per_degree + (118.0, 33.5)
        columns, rows = (_stops(first, blocks) for first in (first_column, first_row))
        rims = [
            _rim(drawn, west, east_, south, north_)
            for west, east_ in pairwise(columns)
            for south, north_ in pairwise(rows)
        ]
        features = [Drawn(shapely.Polygon(rim), {"id": f"{number:05d}"}) for number, rim in enumerate(rims)]
        found.append(assemble(name, features, "id"))
    return found


def _stops(first: int, blocks: int) -> list[int]:
    """Where a network's grids begin and end along one direction, in points of a street."""
    inner = range(first if first else 2, blocks, 2)
    return [stop * _POINTS_A_BLOCK for stop in (0, *inner, blocks)]


def _rim(at: npt.NDArray[np.float64], west: int, east: int, south: int, north: int) -> npt.NDArray[np.float64]:
    return np.vstack(
        [
            at[west:east, south],
            at[east, south:north],
            at[west + 1 : east + 1, north][::-1],
            at[west, south + 1 : north + 1][::-1],
        ]
    )
