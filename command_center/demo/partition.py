"""Share cells out to groups of given sizes, each group in one piece.

A power diagram: every point goes to the site with the least squared distance minus the site's weight; the weights rise
where a group is too small and fall where it is too large, while the sites follow their groups. Its parts are convex, so
a group is nearly always in one piece. Where sites must stay (the seats of counties), distances are divided by weights
instead. What is cut off from its group goes to the neighbour it touches most.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from command_center.demo.plane import Points

Labels = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.int64]

_ROUNDS = 100
_FOLLOW_ROUNDS = 40


class NotEnoughCells(ValueError):
    """A group ended up without a cell."""


def partition(points: Points, sizes: Sequence[int], sites: Points, pairs: Pairs, *, sites_move: bool = True) -> Labels:
    """The group (0..k-1) of each point.

    ``sizes`` (k) are the wanted sizes, met closely but not exactly; ``sites`` (k, 2) where groups start; ``pairs``
    (m, 2) the points whose cells share an edge. Sites that move follow the middle of their group, which makes groups
    round; those that stay keep each group about where it was asked for. Raises NotEnoughCells.
    """
    if len(sizes) == 1:
        return np.zeros(len(points), dtype=np.int64)
    wanted = np.asarray(sizes, dtype=np.float64)
    wanted *= len(points) / wanted.sum()
    labels = _power_labels(points, wanted, sites) if sites_move else _anchored_labels(points, wanted, sites)
    _mend(labels, pairs)
    if len(np.unique(labels)) < len(sizes):
        raise NotEnoughCells(f"{len(points)} cells are too few for {len(sizes)} groups")
    return labels


def spread(rng: np.random.Generator, points: Points, count: int) -> Points:
    """Starting sites far from each other: the farthest-point choice among the points, smoothed by a few k-means steps."""
    chosen = [int(rng.integers(len(points)))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(nearest.argmax()))
    sites: Points = points[chosen].copy()
    for _ in range(12):
        sites = _middles(points, _squared(points, sites).argmin(axis=1), sites)
    return sites


def clusters(rng: np.random.Generator, points: Points, count: int, pairs: Pairs) -> Labels:
    """The group of each point where groups are as large as it happens, each in one piece; at most ``count`` of them."""
    labels = _squared(points, spread(rng, points, count)).argmin(axis=1)
    _mend(labels, pairs)
    found: Labels = np.unique(labels, return_inverse=True)[1].ravel()
    return found


def _power_labels(points: Points, wanted: npt.NDArray[np.float64], sites: Points) -> Labels:
    weights = np.zeros(len(wanted))
    best, best_error = np.zeros(len(points), dtype=np.int64), np.inf
    for turn in range(_ROUNDS):
        squared = _squared(points, sites)
        labels = (squared - weights).argmin(axis=1)
        counts = np.bincount(labels, minlength=len(wanted))
        error = float((np.abs(counts - wanted) / wanted).max())
        if turn >= _FOLLOW_ROUNDS and counts.min() > 0 and error < best_error:
            best, best_error = labels, error
        scale = np.median(squared.min(axis=1)) * 0.5 * (1 - turn / _ROUNDS) + 1.0
        weights += scale * np.clip((wanted - counts) / wanted, -1, 1)
        if turn < _FOLLOW_ROUNDS:
            sites = _middles(points, labels, sites)
    return best


def _anchored_labels(points: Points, wanted: npt.NDArray[np.float64], sites: Points) -> Labels:
    """Sites stay and the distance is divided by a weight, so that a small group lies around its own site."""
    weights = np.zeros(len(wanted))
    far = np.log(_squared(points, sites) + 1.0)
    best, best_error = np.zeros(len(points), dtype=np.int64), np.inf
    for turn in range(_ROUNDS):
        labels = (far - weights).argmin(axis=1)
        counts = np.bincount(labels, minlength=len(wanted))
        error = float((np.abs(counts - wanted) / wanted).max())
        if counts.min() > 0 and error < best_error:
            best, best_error = labels, error
        weights += 0.4 * (1 - turn / _ROUNDS) * np.log(wanted / np.maximum(counts, 1))
    return best


def _squared(points: Points, sites: Points) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = ((points[:, None, :] - sites[None, :, :]) ** 2).sum(axis=2)
    return found


def _middles(points: Points, labels: Labels, sites: Points) -> Points:
    """The mean of each group, or the old site where a group is empty."""
    counts = np.bincount(labels, minlength=len(sites))
    sums = np.column_stack([np.bincount(labels, points[:, axis], len(sites)) for axis in (0, 1)])
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], sites)


def _mend(labels: Labels, pairs: Pairs) -> None:
    """Give every piece that is cut off from its group to the group it touches most."""
    touching: dict[int, list[int]] = defaultdict(list)
    for a, b in pairs.tolist():
        touching[a].append(b)
        touching[b].append(a)
    for _ in range(len(labels)):
        stray = _stray_piece(labels, touching)
        if stray is None:
            return
        around = Counter(int(labels[n]) for cell in stray for n in touching[cell] if labels[n] != labels[stray[0]])
        labels[stray] = min(around, key=lambda group: (-around[group], group))


def _stray_piece(labels: Labels, touching: dict[int, list[int]]) -> list[int] | None:
    """One piece that is not the largest of its group, None when every group is in one piece."""
    pieces: dict[int, list[list[int]]] = defaultdict(list)
    seen: set[int] = set()
    for start in range(len(labels)):
        if start not in seen:
            piece = _piece(start, labels, touching)
            seen.update(piece)
            pieces[int(labels[start])].append(piece)
    strays = (piece for found in pieces.values() for piece in sorted(found, key=len)[:-1])
    return next(strays, None)


def _piece(start: int, labels: Labels, touching: dict[int, list[int]]) -> list[int]:
    found, queue = {start}, [start]
    while queue:
        for cell in touching[queue.pop()]:
            if cell not in found and labels[cell] == labels[start]:
                found.add(cell)
                queue.append(cell)
    return sorted(found)
