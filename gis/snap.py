"""Pull lines that were drawn twice, metres apart, onto one of the two.

Layers of lines are taken in rank. The first stays as it is; of every later one, what runs within reach of the lines
already placed is moved onto them: its corners go to the nearest point there, and where it passes a placed corner it
takes that corner in. A stretch drawn twice then consists of the very same pieces. Nothing moves farther than the reach,
so nothing twice as wide as the reach can close up.

Only what runs alongside is pulled. Where two lines cross at an angle they are left to cross: pulling the corners beside
a crossing would tilt the long pieces that end there.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from gis.arrangement import distinct
from gis.lattice import dots, keys, points, segments

Whole = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_ALONGSIDE: Final = (
    0.35  # sine of the angle under which one line may leave the other and still run alongside (20 degrees)
)
_SAME_CORNER: Final = 0.25  # of the reach: how far along a line a corner may be taken instead of a new point beside it


def snap(ends: Whole, rank: Whole, scale: Floats, reach_m: float) -> Whole:
    """The pieces of line (n, 2 keys) after pulling, distinct; ``rank`` is each one's layer, 0 for those that stay."""
    placed = distinct(ends[rank == 0])
    for layer in np.unique(rank[rank > 0]).tolist():
        own = ends[rank == layer]
        placed = distinct(np.vstack([placed, _pulled(own, placed, scale, reach_m) if len(placed) else own]))
    return placed


def _pulled(own: Whole, placed: Whole, scale: Floats, reach_m: float) -> Whole:
    corners, anchors = np.unique(own), np.unique(placed)
    free = ~np.isin(corners, anchors)
    target = corners.copy()
    target[free] = _targets(corners[free], placed, scale, reach_m)
    _shrink_stubs(own, corners, free, target, scale, reach_m)
    moved = distinct(target[np.searchsorted(corners, own)])
    return _through_corners(moved, anchors, scale, reach_m)


def _targets(corners: Whole, placed: Whole, scale: Floats, reach_m: float) -> Whole:
    """The nearest point on the placed lines for corners within reach, the corners themselves elsewhere."""
    target = corners.copy()
    if not len(corners):
        return target
    at = points(corners) * scale
    start, end = points(placed[:, 0]) * scale, points(placed[:, 1]) * scale
    tree = shapely.STRtree(segments(np.stack([start, end], axis=1)))
    corner, line = tree.query_nearest(shapely.points(at), max_distance=reach_m, all_matches=False)
    along = end[line] - start[line]
    length = np.hypot(*along.T)
    share = np.clip(((at[corner] - start[line]) * along).sum(axis=1) / length**2, 0, 1)
    near = _SAME_CORNER * reach_m
    foot = keys((start[line] + along * share[:, None]) / scale)
    foot = np.where(share * length <= near, placed[line, 0], foot)
    target[corner] = np.where((1 - share) * length <= near, placed[line, 1], foot)
    return target


def _shrink_stubs(
    own: Whole, corners: Whole, free: npt.NDArray[np.bool_], target: Whole, scale: Floats, reach_m: float
) -> None:
    """A corner that is joined by a short piece to one that stays goes there, straight along its own line."""
    place = np.searchsorted(corners, own)
    lengths = np.hypot(*((points(own[:, 1]) - points(own[:, 0])) * scale).T)
    for here, there in ((0, 1), (1, 0)):
        stub = (lengths <= reach_m) & free[place[:, here]] & ~free[place[:, there]]
        target[place[stub, here]] = own[stub, there]


def _through_corners(own: Whole, anchors: Whole, scale: Floats, reach_m: float) -> Whole:
    """Let each piece pass through the anchors that it runs by."""
    start, end = points(own[:, 0]) * scale, points(own[:, 1]) * scale
    at = points(anchors) * scale
    tree = shapely.STRtree(dots(at))
    lines = segments(np.stack([start, end], axis=1))
    line, anchor = tree.query(lines, predicate="dwithin", distance=reach_m)
    along, away = end[line] - start[line], at[anchor] - start[line]
    length = np.hypot(*along.T)
    travelled = (along * away).sum(axis=1) / length
    aside = np.abs(along[:, 0] * away[:, 1] - along[:, 1] * away[:, 0]) / length
    beside = (travelled > 0) & (travelled < length)
    beside &= aside <= _ALONGSIDE * np.hypot(np.minimum(travelled, length - travelled), aside)
    line, anchor, travelled = line[beside], anchor[beside], travelled[beside]
    order = np.lexsort((anchor, travelled, line))
    chain_line = np.concatenate([np.arange(len(own)), line[order], np.arange(len(own))])
    chain_key = np.concatenate([own[:, 0], anchors[anchor[order]], own[:, 1]])
    # A stable sort keeps start, anchors by distance, end together for each piece.
    order = np.argsort(chain_line, kind="stable")
    chain_line, chain_key = chain_line[order], chain_key[order]
    joined = chain_line[1:] == chain_line[:-1]
    return distinct(np.column_stack([chain_key[:-1][joined], chain_key[1:][joined]]))
