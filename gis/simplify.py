"""Polygons as far as a screen can tell them apart, simplified together, so that neighbours keep their common edge.

A polygon simplified by itself lets go of other points than its neighbour: gaps and overlaps open along their border. So what
lies side by side is simplified as one coverage (Visvalingam and Whyatt, GEOS), once for each band of zooms. Its points then go
to the grid that the tiles of the band's closest zoom count in, and polygons to the direction that tiles want, so that at that
zoom a tile only has to count.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

Shapes = npt.NDArray[Any]

EXTENT: Final = 4096
"""Units along a tile's edge."""
LAST_ZOOM: Final = 18
_EARTH_M: Final = 6_378_137.0  # the sphere of web Mercator
_TOLERANCE: Final = 4  # units: half a pixel of a tile shown at 512 pixels
_MOST_MOVED: Final = 0.02  # of a shape's area, by cleaning


def unit_m(zoom: int) -> float:
    """The unit of a zoom's tiles in metres of web Mercator."""
    return 2 * math.pi * _EARTH_M / (EXTENT << zoom)


@dataclass(frozen=True, slots=True)
class Level:
    """A band of zooms that are drawn from the same shapes, up to ``last_zoom``. ``is_exact``: from the shapes as they are."""

    n: int
    last_zoom: int
    is_exact: bool = False

    def is_counted(self, zoom: int) -> bool:
        """Whether the shapes' points lie on the grid of this zoom's tiles."""
        return zoom == self.last_zoom and not self.is_exact


# Each of the zooms at which a tile holds much of a city has its own, and does not carry what only the next one shows.
LEVELS: Final = (Level(1, 7), Level(2, 8), Level(3, 9), Level(4, 11), Level(5, 13), Level(6, LAST_ZOOM, is_exact=True))


def level_at(zoom: int) -> Level:
    """The level that a zoom from 0 to LAST_ZOOM is drawn from."""
    return next(level for level in LEVELS if zoom <= level.last_zoom)


def mercator(shapes: Shapes) -> Shapes:
    """Shapes in lng/lat as shapes in metres of web Mercator (EPSG:3857), vertex by vertex."""
    moved: Shapes = shapely.transform(shapes, _move)
    return moved


def _move(at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return _EARTH_M * np.column_stack([np.radians(at[:, 0]), np.arcsinh(np.tan(np.radians(at[:, 1])))])


def by_level(shapes: Shapes) -> Iterator[tuple[Level, Shapes]]:
    """The polygons of one coverage, in web Mercator, as each level draws them, in their order; empty where too small to see.

    Rings that cross themselves are mended, and polygons that are no coverage cleaned first. Where that would move more than a
    sliver (a zone drawn over its county, say), they are not simplified at any level: slow to draw, but true.
    """
    sound = shapely.make_valid(shapes, method="structure")
    coverage = as_coverage(sound)
    simple = sound if coverage is None else coverage
    # From the closest level outward, each from the one before: what a closer level has let go of, a farther one need not weigh.
    for level in reversed(LEVELS):
        if level.is_exact:
            yield level, shapes
            continue
        unit = unit_m(level.last_zoom)
        if coverage is not None:
            simple = shapely.coverage_simplify(simple, unit * _TOLERANCE)
        yield level, shapely.orient_polygons(shapely.set_precision(simple, unit), exterior_cw=True)


def as_coverage(shapes: Shapes) -> Shapes | None:
    """The same polygons with neighbours edge to edge; None where that would change more than slivers."""
    if is_coverage(shapes):
        return shapes
    cleaned: Shapes = shapely.coverage_clean(shapes)  # type: ignore[attr-defined]  # not in the stubs yet
    before = shapely.area(shapes)
    is_same = np.abs(shapely.area(cleaned) - before) <= before * _MOST_MOVED
    return cleaned if is_same.all() and is_coverage(cleaned) else None


def is_coverage(shapes: Shapes) -> bool:
    """Whether valid polygons lie side by side without overlap, equal vertices along their common edges."""
    return bool(shapely.is_valid(shapes).all() and shapely.coverage_is_valid(shapes))
