"""Networks that lie elsewhere than the others, and what that looks like: swapped axes, or a datum other than the one named.

Departments share most of their boundaries (streets, rivers, villages). So a sample of one network's corners is held
against the others' lines: read rightly, most corners lie on or beside one; shifted by the 500 m between GCJ-02 and
CGCS2000, hardly any do. The same comparison works for an outline and a boundary that is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from gis.datum import Datum, convert
from gis.lattice import TooWide, dots
from gis.overlay import Ground

Floats = npt.NDArray[np.float64]
Geometries = npt.NDArray[np.object_]

_SAMPLE: Final = 400
_NEAR_M: Final = 15.0
_ENOUGH: Final = 0.5  # of the corners must fit when the coordinates are read the other way
_BETTER: Final = 2.0  # times as many as fit as they are


def swapped(polygons: Geometries) -> Geometries:
    """The same polygons with the two coordinates of every point exchanged."""
    turned: Geometries = shapely.transform(polygons, lambda at: at[:, ::-1].copy())
    return turned


def lies_swapped(polygons: Geometries, others: Geometries) -> bool:
    """Whether polygons lie apart from all others, and among them once their axes are exchanged."""
    return not _meet(polygons, others) and _meet(swapped(polygons), others)


def lies_apart(polygons: Geometries, others: Geometries) -> bool:
    """Whether the bounds of polygons and of others have nothing in common."""
    return not _meet(polygons, others)


def looks_like(polygons: Geometries, others: Geometries, told: Datum = Datum.CGCS2000) -> Datum | None:
    """The datum polygons (lng/lat as drawn, said to be in ``told``) seem to be in, judged by the others' lines; None when they
    fit as they are told."""
    corners = np.unique(shapely.get_coordinates(polygons), axis=0)
    corners = corners[:: max(1, len(corners) // _SAMPLE)]
    try:
        ground = Ground.under(np.concatenate([polygons, others]))
    except TooWide:
        return None
    lines = ground.projection.metres(shapely.boundary(others))
    tree = shapely.STRtree(shapely.get_parts(lines))
    plain = _fit(_read_as(told)(corners), tree, ground)
    told = Datum.CGCS2000 if told is Datum.WGS84 else told  # the two cannot be told apart
    other = [datum for datum in (Datum.CGCS2000, Datum.GCJ02, Datum.BD09) if datum is not told]
    found = {datum: _fit(_read_as(datum)(corners), tree, ground) for datum in other}
    best = max(found, key=lambda datum: found[datum])
    return best if found[best] >= _ENOUGH and found[best] >= _BETTER * plain else None


def _read_as(datum: Datum) -> Callable[[Floats], Floats]:
    return lambda at: np.column_stack(convert(at[:, 0], at[:, 1], datum, Datum.CGCS2000))


def _fit(corners: Floats, tree: shapely.STRtree, ground: Ground) -> float:
    """The share of corners that have a line close by."""
    at = ground.projection.metres(dots(corners))
    near = tree.query(at, predicate="dwithin", distance=_NEAR_M)[0]
    return len(np.unique(near)) / len(corners)


def _meet(one: Geometries, other: Geometries) -> bool:
    a, b = shapely.total_bounds(one), shapely.total_bounds(other)
    return bool((a[:2] <= b[2:]).all() and (b[:2] <= a[2:]).all())
