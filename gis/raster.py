"""The picture of a grid that makes point look-up a table read: pixels small against cells, painted once, read by arithmetic.

Most pixels lie whole in one cell (or in none) and hold its row. A pixel that an edge touches is split into EIGHT x EIGHT
small ones, and each of these holds a row, or the one segment that crosses it, whose two sides are known, or a mark that the
cells around it must be asked. So a point is answered by at most two reads and one orientation, and only points within
rounding of an edge, beside a vertex, or where cells overlap need a polygon.

Why this is exact. Floating point maps degrees to pixels monotonically, so a pixel is an interval of doubles whose borders
are off by some 1e-11 pixels; an edge marks every small pixel that it comes within SLACK of, which is far more. A small pixel
without mark is therefore met by no edge and has one answer. That answer is the sum of what the edges to its west change:
every cell adds base + 1 + row where it begins and takes it away where it ends, with base above every row, so that a sum
says nothing, one cell and which, or several. Valid polygons cover a place at most once each, hence several means overlap:
such pixels are left to the caller's tree, as are those that invalid polygons reach. A small pixel marked by one segment
alone is crossed by it from side to side, for rings are closed and have no loose ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

Integers = npt.NDArray[np.int64]
Degrees = npt.NDArray[np.float64]

OUTSIDE: Final = -1
EIGHT: Final = 8  # small pixels along a pixel's side
_SMALL: Final = EIGHT * EIGHT
SLACK: Final = 1e-6  # of a small pixel
ASK: Final = 255  # small pixel: test the candidates of the pixel
TREE: Final = 254  # small pixel: nothing is known, ask every cell
_TREE_SLOT: Final = 0
_PIXELS_PER_CELL: Final = 400
_MOST_PIXELS: Final = 1 << 22  # bounds the table of pixels to 16 MiB and that of small ones to 256 MiB
_FEWEST_PIXELS: Final = 1 << 10
_AT_ONCE: Final = 1 << 15  # segments or slots worked on together, which bounds the room needed besides the tables
_MARGIN: Final = 2  # empty pixels around the cells, so that everything beyond can be moved onto the border


@dataclass(frozen=True)
class Frame:
    """Where the pixels are: origin in degrees, small pixels per degree, numbers of (large) pixels."""

    west: float
    south: float
    columns_per_degree: float
    rows_per_degree: float
    width: int
    height: int


@dataclass(frozen=True)
class Raster:
    """The painted picture.

    ``pixels`` (height * width) int32: a row, OUTSIDE, or -2 - slot; slot 0 means TREE. ``small`` (slots * 64) uint8: ASK,
    TREE or an index into the slot's part of ``items``, which begins at ``first``: the rows of the slot's cells in rising
    order, OUTSIDE, then -2 - segment for each segment. ``cells`` (slots) counts those rows. ``segments`` (n, 4) holds one
    end and the way to the other in degrees, ``sides`` (n, 2) the rows to the left and to the right.
    """

    frame: Frame
    pixels: npt.NDArray[np.int32]
    small: npt.NDArray[np.uint8]
    first: npt.NDArray[np.int32]
    cells: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    segments: npt.NDArray[np.float64]
    sides: npt.NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        """Bytes held by the tables."""
        held = (self.pixels, self.small, self.first, self.cells, self.items, self.segments, self.sides)
        return sum(table.nbytes for table in held)

    @property
    def tree_pixels(self) -> int:
        """How many pixels are left to the tree, because cells overlap there, are invalid, or are far smaller than a pixel."""
        left = self.small.reshape(-1, _SMALL)[:, 0] == TREE
        slots = OUTSIDE - 1 - self.pixels[self.pixels < OUTSIDE]
        return int(left[slots].sum())


class _Segments(NamedTuple):
    """Each undirected edge once: ends in degrees (n,) and the cell to the left and to the right of a -> b, or OUTSIDE."""

    ax: Degrees
    ay: Degrees
    bx: Degrees
    by: Degrees
    left: Integers
    right: Integers
    plain: npt.NDArray[np.bool_]  # False where more than one cell claims a side
    change: Integers  # of the sum, for who walks east over an edge that goes south


class _Touches(NamedTuple):
    """Small pixels touched by segments, one row each: the pixel, the place of the small one in it, the segment."""

    pixel: npt.NDArray[np.int32]
    inner: npt.NDArray[np.int32]
    segment: npt.NDArray[np.int32]


class _Crossings(NamedTuple):
    """Small pixels in which the sum changes along the middle line of their row, and by how much."""

    pixel: npt.NDArray[np.int32]
    inner: npt.NDArray[np.int32]
    change: Integers


class _Slots(NamedTuple):
    """Pixels with edges in rising order, the layout of their items (as Raster has it), and the code of every touch."""

    pixel: Integers
    first: Integers
    cells: Integers
    items: Integers
    code: Integers


def paint(polygons: npt.NDArray[Any]) -> Raster | None:
    """The picture of these cells (an array of geometries, lng/lat in degrees); None if none of them has an area."""
    sound = _is_area(polygons) & shapely.is_valid(polygons)
    if not sound.any():
        return None
    base = len(polygons) + 1
    edges = _segments(polygons, np.flatnonzero(sound), base)
    bounds = shapely.total_bounds(polygons)
    frame = _frame(bounds if np.isfinite(bounds).all() else shapely.total_bounds(polygons[sound]), int(sound.sum()))
    touches, crossings = _trace(edges, frame)
    slots = _slots(touches, edges, len(polygons))
    small, middle = _fill(touches, crossings, slots, edges, base)
    pixels = _pixels(slots, middle, frame, base)
    for box in shapely.bounds(polygons[~sound]):
        _leave(pixels, box, frame)
    return Raster(
        frame,
        pixels.ravel(),
        np.concatenate([np.full(_SMALL, TREE, dtype=np.uint8), small.ravel()]),
        np.concatenate([[0], slots.first]).astype(np.int32),
        np.concatenate([[0], slots.cells]).astype(np.int32),
        # ASK and TREE are read as if they were indices before they are recognised.
        np.concatenate([slots.items, np.full(ASK + 1, OUTSIDE)]).astype(np.int32),
        np.column_stack([edges.ax, edges.ay, edges.bx - edges.ax, edges.by - edges.ay]),
        np.column_stack([edges.left, edges.right]).astype(np.int32),
    )


def _is_area(polygons: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    kinds = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    found: npt.NDArray[np.bool_] = np.isin(shapely.get_type_id(polygons), kinds) & ~shapely.is_empty(polygons)
    return found


def _frame(bounds: npt.NDArray[np.float64], count: int) -> Frame:
    """About _PIXELS_PER_CELL square pixels for each cell."""
    west, south, east, north = bounds.tolist()
    wide, high = (east - west) * np.cos(np.radians((south + north) / 2)), north - south
    pixels = min(max(count * _PIXELS_PER_CELL, _FEWEST_PIXELS), _MOST_PIXELS)
    columns = min(max(round(np.sqrt(pixels * abs(wide) / high)), 1), pixels)
    rows = max(pixels // columns, 1)
    across, up = EIGHT * columns / (east - west), EIGHT * rows / (north - south)
    margin, border = EIGHT * _MARGIN, 2 * _MARGIN + 1
    return Frame(west - margin / across, south - margin / up, across, up, columns + border, rows + border)


def _segments(polygons: npt.NDArray[Any], rows: Integers, base: int) -> _Segments:
    """The edges of these rows of ``polygons``."""
    parts, part_row = shapely.get_parts(shapely.orient_polygons(polygons[rows]), return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    corners, corner_ring = shapely.get_coordinates(rings, return_index=True)
    _, vertex = np.unique(np.ascontiguousarray(corners).view(np.complex128).ravel(), return_inverse=True)
    at = np.flatnonzero((corner_ring[:-1] == corner_ring[1:]) & (vertex[:-1] != vertex[1:]))
    start, end = vertex[at], vertex[at + 1]
    keys = np.minimum(start, end) * np.int64(len(corners)) + np.maximum(start, end)
    _, sample, number = np.unique(keys, return_index=True, return_inverse=True)
    forward = start == start[sample][number]
    cell = rows[part_row[ring_part[corner_ring[at]]]]
    sides, claims = np.full((2, len(sample)), OUTSIDE, dtype=np.int64), np.empty((2, len(sample)), dtype=np.int64)
    for side, chosen in enumerate((forward, ~forward)):
        sides[side, number[chosen]] = cell[chosen]
        claims[side] = np.bincount(number[chosen], minlength=len(sample))
    change = np.bincount(number, weights=np.where(forward, 1.0, -1.0) * (base + cell + 1), minlength=len(sample))
    a, b = corners[at[sample]], corners[at[sample] + 1]
    plain = claims.max(axis=0) < 2
    return _Segments(a[:, 0], a[:, 1], b[:, 0], b[:, 1], sides[0], sides[1], plain, change.astype(np.int64))


def _trace(edges: _Segments, frame: Frame) -> tuple[_Touches, _Crossings]:
    """Every small pixel that a segment comes within SLACK of, and every crossing of a middle line."""
    touches, crossings = [], []
    for begin in range(0, len(edges.ax), _AT_ONCE):
        touched, crossed = _trace_part(edges, frame, begin, min(begin + _AT_ONCE, len(edges.ax)))
        touches.append(touched)
        crossings.append(crossed)
    return (
        _Touches(*(np.concatenate(column) for column in zip(*touches, strict=True))),
        _Crossings(*(np.concatenate(column) for column in zip(*crossings, strict=True))),
    )


def _trace_part(edges: _Segments, frame: Frame, begin: int, end: int) -> tuple[_Touches, _Crossings]:
    part = slice(begin, end)
    ax, bx = ((x[part] - frame.west) * frame.columns_per_degree for x in (edges.ax, edges.bx))
    ay, by = ((y[part] - frame.south) * frame.rows_per_degree for y in (edges.ay, edges.by))
    low, high = np.minimum(ay, by), np.maximum(ay, by)
    segment, row = _spans(np.floor(low - SLACK), np.floor(high + SLACK))
    ax, ay, bx, by = ax[segment], ay[segment], bx[segment], by[segment]
    level = ay == by

    def along(height: Degrees) -> Degrees:
        share = np.clip((height - ay) / np.where(level, 1.0, by - ay), 0.0, 1.0)
        place: Degrees = ax + share * (bx - ax)
        return place

    bottom = np.where(level, ax, along(np.maximum(low[segment], row) - SLACK))
    top = np.where(level, bx, along(np.minimum(high[segment], row + 1) + SLACK))
    west, east = np.floor(np.minimum(bottom, top) - SLACK), np.floor(np.maximum(bottom, top) + SLACK)
    span, column = _spans(west, east)
    touches = _Touches(*_place(row[span], column, frame), (segment[span] + begin).astype(np.int32))
    middle = np.add(row, 0.5, dtype=np.float64)
    # Half open and on the very heights that the neighbouring edges see, so that a line through a corner is crossed once.
    crossed = np.flatnonzero((ay <= middle) != (by <= middle))
    column = np.clip(np.floor(along(middle)), west, east)[crossed].astype(np.int64)
    change = np.where(by[crossed] < ay[crossed], 1, -1) * edges.change[segment[crossed] + begin]
    return touches, _Crossings(*_place(row[crossed], column, frame), change)


def _spans(first: Degrees, last: Degrees) -> tuple[Integers, Integers]:
    """Number of the span and value for every whole number from ``first`` to ``last`` of each span."""
    count = (last - first).astype(np.int64) + 1
    span = np.repeat(np.arange(len(count)), count)
    value = np.arange(len(span)) + np.repeat(first.astype(np.int64) - np.cumsum(count) + count, count)
    return span, value


def _place(row: Integers, column: Integers, frame: Frame) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    pixel = (row // EIGHT) * frame.width + column // EIGHT
    return pixel.astype(np.int32), ((row % EIGHT) * EIGHT + column % EIGHT).astype(np.int32)


def _slots(touches: _Touches, edges: _Segments, count: int) -> _Slots:
    total = np.int64(len(edges.ax))
    keys = touches.pixel * total + touches.segment
    news = np.concatenate([[True], keys[1:] != keys[:-1]])  # touches come segment by segment: most repeat the last key
    pairs, place = np.unique(keys[news], return_inverse=True)
    place = place[np.cumsum(news) - 1]
    pair_pixel, pair_segment = np.divmod(pairs, total)
    pixel, slot = np.unique(pair_pixel, return_inverse=True)
    beside = np.concatenate([side[pair_segment] for side in (edges.left, edges.right)])
    owners = np.concatenate([slot, slot])[beside != OUTSIDE] * np.int64(count) + beside[beside != OUTSIDE]
    owner_slot, owner = np.divmod(_distinct(owners), np.int64(count))
    cells, segments = np.bincount(owner_slot, minlength=len(pixel)), np.bincount(slot, minlength=len(pixel))
    sizes = cells + 1 + segments
    first = np.cumsum(sizes) - sizes
    items = np.full(int(sizes.sum()), OUTSIDE, dtype=np.int64)
    items[first[owner_slot] + _rank(owner_slot, cells)] = owner
    code = cells[slot] + 1 + _rank(slot, segments)
    items[first[slot] + code] = OUTSIDE - 1 - pair_segment
    code = np.where(edges.plain[pair_segment], np.minimum(code, TREE), TREE)
    return _Slots(pixel, first, cells, items, code[place])


def _distinct(numbers: Integers) -> Integers:
    """Rising and each once; sorting does it faster than numpy's own way by hashes."""
    rising = np.sort(numbers)
    once: Integers = rising[np.concatenate([[True], rising[1:] != rising[:-1]])]
    return once


def _rank(group: Integers, sizes: Integers) -> Integers:
    """Place of each row in its group; groups stand in rising order."""
    ranks: Integers = np.arange(len(group)) - (np.cumsum(sizes) - sizes)[group]
    return ranks


def _fill(
    touches: _Touches, crossings: _Crossings, slots: _Slots, edges: _Segments, base: int
) -> tuple[npt.NDArray[np.uint8], Integers]:
    """The codes of all small pixels (slots, 64), and what each slot changes along its middle row (slots,)."""
    count = len(slots.pixel)
    small, middle = np.empty((count, _SMALL), dtype=np.uint8), np.empty(count, dtype=np.int64)
    crossing_at = np.searchsorted(slots.pixel, crossings.pixel) * _SMALL + crossings.inner
    touch_at = np.searchsorted(slots.pixel, touches.pixel) * _SMALL + touches.inner
    before = np.zeros(EIGHT, dtype=np.int64)
    for begin in range(0, count, _AT_ONCE):
        part = slice(begin, min(begin + _AT_ONCE, count))
        here = _within(crossing_at, part)
        sums, totals = _sums(crossing_at[here] - begin * _SMALL, crossings.change[here], before, part.stop - begin)
        before += totals.sum(axis=0)
        middle[part] = totals[:, EIGHT // 2]
        _name(small[part], sums, slots.first[part], slots.cells[part], slots.items, base)
        here = _within(touch_at, part)
        _mark(small[part], sums, touch_at[here] - begin * _SMALL, slots.code[here], edges, touches.segment[here], base)
    return small, middle


def _within(at: Integers, part: slice) -> Integers:
    return np.flatnonzero((at >= part.start * _SMALL) & (at < part.stop * _SMALL))


def _sums(at: Integers, change: Integers, before: Integers, count: int) -> tuple[Integers, Integers]:
    """What holds in every small pixel of ``count`` slots (count, 64), and what each slot changes along its rows (count, 8).

    ``before`` (8,) is what the slots up to here have changed. Along a whole row of the picture changes cancel out, so one
    running sum over all slots is right for each.
    """
    flat = np.zeros(count * _SMALL, dtype=np.int64)
    np.add.at(flat, at, change)
    sums = flat.reshape(count, EIGHT, EIGHT)
    totals: Integers = sums.sum(axis=2)
    sums[:, :, 0] += before + np.cumsum(totals, axis=0) - totals
    np.cumsum(sums, axis=2, out=sums)
    return sums.reshape(count, _SMALL), totals


def _mark(
    small: npt.NDArray[np.uint8],
    sums: Integers,
    at: Integers,
    code: Integers,
    edges: _Segments,
    segment: npt.NDArray[np.int32],
    base: int,
) -> None:
    """Write the codes of touched small pixels over those that sums have named, and TREE over slots that stay unknown."""
    flat = small.reshape(-1)
    # The sum in a small pixel with marks is that of a place on its eastern side. If it names no cell that has an edge in the
    # pixel, or none beside the only segment here, then another cell lies over this one.
    unknown = (small == TREE).any(axis=1)
    unknown[at[code == TREE] // _SMALL] = True
    flat[at] = code
    flat[at[flat[at] != code]] = ASK  # a second segment is there
    lone = sums.reshape(-1)[at]
    covered = (lone != _weight(edges.left[segment], base)) & (lone != _weight(edges.right[segment], base))
    unknown[at[covered & (flat[at] != ASK)] // _SMALL] = True
    small[unknown] = TREE


def _weight(row: Integers, base: int) -> Integers:
    """What a cell adds to the sum."""
    return np.where(row == OUTSIDE, 0, base + 1 + row)


def _name(
    small: npt.NDArray[np.uint8], sums: Integers, first: Integers, cells: Integers, items: Integers, base: int
) -> None:
    """Write the code of whatever the sums name: one of the slot's cells, or nothing; TREE where they name neither."""
    small[:] = TREE
    rows, places = np.nonzero(sums == 0)
    small[rows, places] = np.minimum(cells, TREE)[rows]
    for rank in range(min(int(cells.max()), TREE)):
        chosen = np.flatnonzero(cells > rank)
        rows, places = np.nonzero(sums[chosen] == (base + 1 + items[first[chosen] + rank])[:, None])
        small[chosen[rows], places] = rank


def _pixels(slots: _Slots, middle: Integers, frame: Frame, base: int) -> npt.NDArray[np.int32]:
    sums = np.zeros(frame.height * frame.width, dtype=np.int64)
    sums[slots.pixel] = middle
    np.cumsum(sums, out=sums)
    pixels = np.where((sums > base) & (sums < 2 * base), sums - base - 1, OUTSIDE - 1 - _TREE_SLOT)
    pixels[sums == 0] = OUTSIDE
    pixels[slots.pixel] = OUTSIDE - 2 - np.arange(len(slots.pixel))
    return pixels.astype(np.int32).reshape(frame.height, frame.width)


def _leave(pixels: npt.NDArray[np.int32], box: npt.NDArray[np.float64], frame: Frame) -> None:
    """Leave all that a box (west, south, east, north) comes near to the tree."""
    if not np.isfinite(box).all():
        return
    columns = (box[[0, 2]] - frame.west) * frame.columns_per_degree / EIGHT
    rows = (box[[1, 3]] - frame.south) * frame.rows_per_degree / EIGHT
    wider = np.array([-1, 2])
    west, east = np.clip(np.floor(columns) + wider, 0, frame.width).astype(np.int64).tolist()
    south, north = np.clip(np.floor(rows) + wider, 0, frame.height).astype(np.int64).tolist()
    pixels[south:north, west:east] = OUTSIDE - 1 - _TREE_SLOT
