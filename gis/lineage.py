"""What became of each cell from one version of the grid to the next, and where each new cell's ground comes from.

Decided from codes and shared ground. A cell whose row need not change is *unchanged*. A cell *descends* from another when
more than half of one lies in the other; an old cell from which two or more descend that are mostly its ground is *split*, a
new cell into which two or more went for the most part is *merged*. What else keeps its code was *moved* (to another
village), *reshaped* (another outline) or *relabelled* (other sources, kind or name); ground that changes hands as one
piece under another code is *renumbered*, or *moved* when the village is another one. What remains is *new* or *ended*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from gis.projection import EqualArea

Geometries = npt.NDArray[np.object_]
Whole = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

UNCHANGED: Final = "unchanged"
RELABELLED: Final = "relabelled"
RESHAPED: Final = "reshaped"
RENUMBERED: Final = "renumbered"
MOVED: Final = "moved"
SPLIT: Final = "split"
MERGED: Final = "merged"
NEW: Final = "new"
ENDED: Final = "ended"
CHANGES: Final = (UNCHANGED, RELABELLED, RESHAPED, RENUMBERED, MOVED, SPLIT, MERGED, NEW, ENDED)

LEAST_M2: Final = 1.0
"""Shared ground below this is the rounding of two drawings of one line."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a cell is beside its outline. ``region`` is its village, ``scope`` its path."""

    name: str
    kind: str
    region: str
    scope: str
    sources: Mapping[str, Any]


@dataclass(frozen=True)
class Ground:
    """The cells of one version: codes, outlines (lng/lat) and labels, row by row."""

    codes: tuple[str, ...]
    polygons: Geometries
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Lineage:
    """Row i: ``area_m2[i]`` of old cell ``before[i]`` lie in new cell ``after[i]`` (rows into the two grounds).

    ``old_change`` and ``new_change`` tell each cell's fate. Cells that did not change share with none but themselves.
    """

    before: Whole
    after: Whole
    area_m2: Floats
    old_change: tuple[str, ...]
    new_change: tuple[str, ...]


def trace(old: Ground, new: Ground) -> Lineage:
    """Compare two versions of the grid; either may be empty."""
    if not len(old.codes) or not len(new.codes):
        nothing = np.empty(0, dtype=np.int64)
        return Lineage(nothing, nothing, np.empty(0), (ENDED,) * len(old.codes), (NEW,) * len(new.codes))
    before, after, area_m2, old_m2, new_m2 = _shared(old, new)
    return _judged(old, new, before, after, area_m2, old_m2, new_m2)


def same_ground(old: Ground, new: Ground) -> Whole:
    """For each new cell the row of the old one with the same code and outline, -1 for none."""
    row_of = {code: row for row, code in enumerate(old.codes)}
    found = np.array([row_of.get(code, -1) for code in new.codes], dtype=np.int64)
    kept = np.flatnonzero(found >= 0)
    # Where a ring begins and how parts are ordered says nothing; a corner more or less does, for the neighbours share it.
    equal = shapely.equals_exact(_ordered(old.polygons[found[kept]]), _ordered(new.polygons[kept]), tolerance=0.0)
    found[kept[~equal]] = -1
    return found


def _ordered(polygons: Geometries) -> Geometries:
    multi = [shapely.multipolygons(shapely.get_parts(polygon)) for polygon in polygons.tolist()]
    return np.array(shapely.normalize(np.array(multi, dtype=object)), dtype=object)


def _shared(old: Ground, new: Ground) -> tuple[Whole, Whole, Floats, Floats, Floats]:
    """Pairs of cells with the ground they share, and the area of every cell."""
    west, south, east, north = shapely.total_bounds(np.concatenate([old.polygons, new.polygons])).tolist()
    projection = EqualArea((west + east) / 2, (south + north) / 2)
    old_m2, new_m2 = shapely.area(projection.metres(old.polygons)), shapely.area(projection.metres(new.polygons))
    same = same_ground(old, new)
    stays = np.flatnonzero(same >= 0)
    gone = np.setdiff1d(np.arange(len(old.codes)), same[stays])
    fresh = np.flatnonzero(same < 0)
    row, place = shapely.STRtree(old.polygons[gone]).query(new.polygons[fresh], predicate="intersects")
    before, after = gone[place], fresh[row]
    # Cut in degrees, where edges are straight: a projected edge bends, and a corner more on it would part neighbours.
    area = shapely.area(projection.metres(shapely.intersection(old.polygons[before], new.polygons[after])))
    enough = area >= LEAST_M2
    before = np.concatenate([same[stays], before[enough]])
    after = np.concatenate([stays, after[enough]])
    area = np.concatenate([old_m2[same[stays]], area[enough]])
    order = np.lexsort((after, before))
    return before[order], after[order], area[order], old_m2, new_m2


def _judged(
    old: Ground, new: Ground, before: Whole, after: Whole, area: Floats, old_m2: Floats, new_m2: Floats
) -> Lineage:
    from_it = 2 * area > new_m2[after]  # the new cell is mostly ground of the old one
    into_it = 2 * area > old_m2[before]  # the old cell went mostly into the new one
    is_split = np.bincount(before[from_it], minlength=len(old_m2)) > 1
    is_merged = np.bincount(after[into_it], minlength=len(new_m2)) > 1
    mother = np.full(len(new_m2), -1)
    mother[after[from_it]] = before[from_it]
    heir = np.full(len(old_m2), -1)
    heir[before[into_it]] = after[into_it]
    same = same_ground(old, new)
    row_of = {code: row for row, code in enumerate(old.codes)}
    new_change = list[str]()
    kept = dict[int, str]()
    for row, code in enumerate(new.codes):
        own = row_of.get(code, -1)
        whole = int(mother[row]) if mother[row] >= 0 and heir[mother[row]] == row else -1
        by_itself = change = _new_change(old, new, row, own, bool(same[row] >= 0), whole)
        if same[row] < 0 and is_merged[row]:
            change = MERGED
        elif same[row] < 0 and mother[row] >= 0 and is_split[mother[row]]:
            change = SPLIT
        new_change.append(change)
        if own >= 0:
            kept[own] = by_itself
        elif by_itself in (MOVED, RENUMBERED):
            kept.setdefault(whole, by_itself)
    old_change = []
    for row in range(len(old.codes)):
        if is_split[row]:
            old_change.append(SPLIT)
        elif heir[row] >= 0 and is_merged[heir[row]]:
            old_change.append(MERGED)
        else:
            old_change.append(kept.get(row, ENDED))
    return Lineage(before, after, area, tuple(old_change), tuple(new_change))


def _new_change(old: Ground, new: Ground, row: int, own: int, same: bool, whole: int) -> str:
    """The fate of a new cell taken by itself: ``own`` is the old cell of its code, ``whole`` the one it is one to one."""
    label = new.labels[row]
    if own < 0:
        if whole < 0:
            return NEW
        return RENUMBERED if old.labels[whole].region == label.region else MOVED
    was = old.labels[own]
    if was.region != label.region:
        return MOVED
    if not same:
        return RESHAPED
    return UNCHANGED if was == label else RELABELLED


def nearest_kin(pairs: Iterable[tuple[str, str, float]]) -> dict[str, tuple[str, float]]:
    """For each code the one it shares most ground with, the lowest of equals, and how much; ``pairs`` (code, other, m2)."""
    found = dict[str, tuple[str, float]]()
    for code, other, area_m2 in pairs:
        known = found.get(code)
        if known is None or (-area_m2, other) < (-known[1], known[0]):
            found[code] = (other, area_m2)
    return found


def counts(changes: Sequence[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """How many cells met which fate in every region; ``changes`` (scope of the cell, change)."""
    found: dict[str, Counter[str]] = {}
    for scope, change in changes:
        for code in scope.strip("/").split("/")[:-1]:
            found.setdefault(code, Counter())[change] += 1
    return {code: {c: told[c] for c in CHANGES if told[c]} for code, told in sorted(found.items())}
