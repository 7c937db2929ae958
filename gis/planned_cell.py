"""The cells of a merge as the grid will hold them: each with its village, name and kind. Raises when one cannot be placed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from gis.cell_code import LARGEST_SERIAL
from gis.cell_file import CellFile
from gis.coverage_check import check
from gis.lineage import Ground, Label
from gis.projection import EqualArea
from gis.region import SEPARATOR

BASIC: Final = "basic"
SPECIAL: Final = "special"
"""专属网格: a market, campus or factory with a grid of its own."""
_NESTED: Final = 0.95
_SERIAL: Final = re.compile(r"^(\d{12}|[^\d]*)(\d+)$")


class VersionRefused(ValueError):
    """A version of the grid cannot be made, published or withdrawn; the message says why."""


@dataclass(frozen=True)
class Villages:
    """All villages: codes, paths and outlines (lng/lat)."""

    codes: tuple[str, ...]
    scopes: tuple[str, ...]
    polygons: npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Straddling:
    """A cell of which less than 95 % lies in the village that it was given to."""

    cell: str
    village: str
    share: float


def planned(
    cells: CellFile,
    villages: Villages,
    names: Mapping[str, str],
    retired: Mapping[str, datetime],
    special: str | None,
) -> tuple[Ground, list[Straddling]]:
    """Cells with their labels, by code. ``names`` are of the cells in force, ``retired`` all codes given up and when.

    Raises VersionRefused.
    """
    _refuse_faulty(cells, villages, retired)
    networks = {name for sources in cells.sources for name in sources}
    if special is not None and special not in networks:
        known = ", ".join(sorted(networks)) or "none"
        raise VersionRefused(f"no cell has a grid of a network {special!r}: the cells know {known}")
    order = sorted(range(len(cells.codes)), key=cells.codes.__getitem__)
    codes = [cells.codes[row] for row in order]
    polygons = cells.polygons[order]
    village, straddling = _village(codes, polygons, villages)
    labels = []
    for code, row, place in zip(codes, order, village, strict=True):
        sources = cells.sources[row]
        kind = SPECIAL if special is not None and sources.get(special) is not None else BASIC
        scope = f"{villages.scopes[place]}{code}{SEPARATOR}"
        labels.append(Label(names.get(code) or _name(code), kind, villages.codes[place], scope, sources))
    crowded = [(code, n) for code, n in sorted(Counter(la.region for la in labels).items()) if n > LARGEST_SERIAL]
    if crowded:
        code, count = crowded[0]
        raise VersionRefused(f"village {code} would have {count:,} cells; {LARGEST_SERIAL} is the most: split it")
    return Ground(tuple(codes), polygons, tuple(labels)), straddling


def _refuse_faulty(cells: CellFile, villages: Villages, retired: Mapping[str, datetime]) -> None:
    faults = check(cells)
    if faults:
        more = f" (and {len(faults) - 1} more: see grid check)" if len(faults) > 1 else ""
        raise VersionRefused(f"{faults[0]}{more}")
    used = sorted(set(cells.codes) & set(retired))
    if used:
        more = f" (and {len(used) - 1} more)" if len(used) > 1 else ""
        raise VersionRefused(
            f"code {used[0]} was given up on {retired[used[0]]:%Y-%m-%d} and is never used again{more}:"
            " merge with the cells in force as --previous"
        )
    slashed = [code for code in cells.codes if SEPARATOR in code]
    if slashed:
        raise VersionRefused(f"code {slashed[0]!r} holds a {SEPARATOR!r}, which parts the codes of a path")
    if not villages.codes:
        raise VersionRefused("every cell lies in a village, and there are none: import the villages first")


def _village(
    codes: list[str], polygons: npt.NDArray[np.object_], villages: Villages
) -> tuple[list[int], list[Straddling]]:
    """The row of each cell's village: by its code where that says so, else by the largest share of its ground."""
    by_code = {code: row for row, code in enumerate(villages.codes)}
    found = np.array([by_code.get(code[:12], -1) if len(code) == 15 else -1 for code in codes], dtype=np.int64)
    west, south, east, north = shapely.total_bounds(polygons).tolist()
    projection = EqualArea((west + east) / 2, (south + north) / 2)
    metres, ground = projection.metres(polygons), projection.metres(villages.polygons)
    cell, village = shapely.STRtree(ground).query(metres, predicate="intersects")
    shared = shapely.area(shapely.intersection(metres[cell], ground[village]))
    # Largest last, of equals the lowest code last: what is written last stays.
    order = np.lexsort((-village, shared, cell))
    best = np.full(len(codes), -1)
    best[cell[order]] = village[order]
    best[~np.isin(np.arange(len(codes)), cell[shared > 0])] = -1
    lost = np.flatnonzero((found < 0) & (best < 0))
    if len(lost):
        more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
        raise VersionRefused(f"cell {codes[lost[0]]} lies in no village{more}")
    found = np.where(found >= 0, found, best)
    own = found[cell] == village
    share = np.zeros(len(codes))
    share[cell[own]] = shared[own] / shapely.area(metres[cell[own]])
    straddling = [
        Straddling(codes[row], villages.codes[found[row]], round(float(share[row]), 4))
        for row in np.flatnonzero(share < _NESTED).tolist()
    ]
    return found.tolist(), straddling


def _name(code: str) -> str:
    serial = _SERIAL.match(code)
    return f"第{int(serial[2])}网格" if serial else code
