"""Codes of merged cells: given once, kept while the cell lives on, never used again.

Two schemes. Where villages with the 12-digit statistical code are given a cell's code is the village's and a serial of
three digits (15 digits in all, at most 999 in a village). Elsewhere it is ``C`` and a serial of at least five digits.

Serials run from west to east in rows from north to south: as many rows as the height and width of the area and the
number of its cells suggest, so that a regular grid is numbered the way one reads. A later merge hands an earlier code
to the cell that has most of the earlier cell's ground; new cells get serials above every one that was ever given out in
that village.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from gis.projection import EqualArea

Geometries = npt.NDArray[np.object_]
Whole = npt.NDArray[np.int64]

VILLAGE_CODE: Final = re.compile(r"^\d{12}$")
LARGEST_SERIAL: Final = 999
_PLAIN: Final = "C"
_PLAIN_DIGITS: Final = 5
_CODE: Final = re.compile(r"^(\d{12}|C)(\d+)$")


class TooManyCells(ValueError):
    """A village needs more serials than three digits hold."""


@dataclass(frozen=True)
class Previous:
    """An earlier result: codes and outlines (lng/lat) of its cells, and the codes that were given up before it."""

    codes: tuple[str, ...]
    polygons: Geometries
    retired: tuple[str, ...] = ()


@dataclass(frozen=True)
class Coded:
    """``codes`` in the order of the cells; ``kept`` of them are from an earlier result; ``retired`` are all that were
    given up."""

    codes: tuple[str, ...]
    kept: int
    retired: tuple[str, ...]


def assign(
    polygons: Geometries, villages: Sequence[str] | None, previous: Previous | None, projection: EqualArea
) -> Coded:
    """Codes for cells (lng/lat). ``villages`` are their 12-digit codes, None for plain serials. Raises TooManyCells."""
    spaces = list(villages) if villages else [_PLAIN] * len(polygons)
    inherited = _inherited(polygons, spaces, previous, projection) if previous else {}
    given = set(previous.codes) | set(previous.retired) if previous else set()
    highest = _highest(given)
    codes = dict(inherited)
    by_space: dict[str, list[int]] = {}
    for cell, space in enumerate(spaces):
        by_space.setdefault(space, []).append(cell)
    for space, cells in sorted(by_space.items()):
        fresh = [cell for cell in _reading_order(polygons, cells) if cell not in inherited]
        for serial, cell in enumerate(fresh, start=highest.get(space, 0) + 1):
            codes[cell] = _code(space, serial, len(cells))
    retired = sorted(given - set(codes.values()))
    return Coded(tuple(codes[cell] for cell in range(len(polygons))), len(inherited), tuple(retired))


def _code(space: str, serial: int, cells: int) -> str:
    if space == _PLAIN:
        return f"{_PLAIN}{serial:0{_PLAIN_DIGITS}d}"
    if serial > LARGEST_SERIAL:
        raise TooManyCells(
            f"village {space} has {cells} cells and needs serial {serial}; split it: the highest is {LARGEST_SERIAL}"
        )
    return f"{space}{serial:03d}"


def _highest(given: set[str]) -> Mapping[str, int]:
    """The highest serial ever given out in each village (or among plain ones)."""
    highest: dict[str, int] = {}
    for code in given:
        parts = _CODE.match(code)
        if parts:
            highest[parts[1]] = max(highest.get(parts[1], 0), int(parts[2]))
    return highest


def _fits(code: str, space: str) -> bool:
    """Whether a cell in that village may carry the code; where no villages are given any code may live on."""
    parts = _CODE.match(code)
    return space == _PLAIN or (parts is not None and parts[1] == space)


def _reading_order(polygons: Geometries, cells: Sequence[int]) -> list[int]:
    """Rows from north to south, in each from west to east; the place of a cell is the middle of its bounds."""
    bounds = shapely.bounds(polygons[list(cells)])
    west, south, east, north = bounds[:, 0].min(), bounds[:, 1].min(), bounds[:, 2].max(), bounds[:, 3].max()
    height, width = north - south, (east - west) * np.cos(np.radians((north + south) / 2))
    rows = max(1, round(float(np.sqrt(len(cells) * height / width))))
    middle = (bounds[:, :2] + bounds[:, 2:]) / 2
    row = np.minimum(np.floor((north - middle[:, 1]) / height * rows), rows - 1)
    order = np.lexsort((-middle[:, 1], middle[:, 0], row))
    return [cells[place] for place in order.tolist()]


def _inherited(
    polygons: Geometries, spaces: Sequence[str], previous: Previous, projection: EqualArea
) -> dict[int, str]:
    """The earlier code of each cell that takes one over: largest overlap first, each code and each cell once.

    A cell takes no code from another village, and none from a cell of which it has less than half, unless the half and
    more of itself comes from there.
    """
    new, old = projection.metres(polygons), projection.metres(previous.polygons)
    cell, earlier = shapely.STRtree(old).query(new, predicate="intersects")
    same = shapely.equals_exact(new[cell], old[earlier], tolerance=0.0)
    shared = np.where(same, shapely.area(new[cell]), 0.0)
    shared[~same] = shapely.area(shapely.intersection(new[cell[~same]], old[earlier[~same]]))
    enough = 2 * shared > np.minimum(shapely.area(new)[cell], shapely.area(old)[earlier])
    cell, earlier, shared = cell[enough], earlier[enough], shared[enough]
    codes = np.array(previous.codes, dtype=object)
    found: dict[int, str] = {}
    taken: set[str] = set()
    for pair in sorted(range(len(cell)), key=lambda p: (-round(shared[p], 2), codes[earlier[p]], cell[p])):
        code = str(codes[earlier[pair]])
        if cell[pair] not in found and code not in taken and _fits(code, spaces[cell[pair]]):
            found[int(cell[pair])] = code
            taken.add(code)
    return found
