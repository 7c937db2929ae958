"""In which datum an imported outline seems to be: compare it with a boundary whose datum is known.

Labels lie, shapes hardly do. The outline is taken to be in each datum in turn, converted, and measured against the known
boundary; in the right datum the two lie closest. Outlines are generalised by as much as the half kilometre that GCJ-02
shifts them, so one place says little: all around, the generalisation errs to both sides and the shift to one. Stretches of
the outline are compared one by one, and their spread says how sure the answer is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from gis.datum import Datum, convert

Metres = npt.NDArray[np.float64]

CANDIDATES: Final = (Datum.CGCS2000, Datum.GCJ02, Datum.BD09)  # WGS 84 cannot be told from CGCS2000
_SAMPLES: Final = 2400
_STRETCHES: Final = 24
_NEARER_SHARE: Final = 0.75  # of a stretch: what was redrawn since then must not drown the rest
_SURE: Final = 4.0  # standard errors between the best and the next
_LIKELY: Final = 2.0
_FARTHEST_M: Final = 5_000.0  # beyond this the two are not outlines of the same place
_DEGREE_M: Final = 111_320.0


class NoOutline(ValueError):
    """A shape has no boundary that could be compared."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How far the outline is from the known boundary on average, taken to be in this datum."""

    datum: Datum
    distance_m: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """``fits`` from the closest to the farthest; ``margin`` in standard errors between the first two."""

    fits: tuple[Fit, ...]
    margin: float

    @property
    def datum(self) -> Datum | None:
        """The datum that the outline is in, None when it cannot be told."""
        return self.fits[0].datum if self.margin >= _LIKELY and self.is_same_place else None

    @property
    def is_same_place(self) -> bool:
        """Whether the closest fit is close enough for the two to be outlines of the same place."""
        return self.fits[0].distance_m <= _FARTHEST_M

    @property
    def is_sure(self) -> bool:
        """Whether chance is as good as excluded."""
        return self.datum is not None and self.margin >= _SURE

    def __str__(self) -> str:
        shown = ", ".join(f"as {fit.datum} {fit.distance_m:,.0f} m" for fit in self.fits)
        if not self.is_same_place:
            return f"this is not the outline of the same place: it lies {shown} from the known boundary"
        if self.datum is None:
            return f"the datum cannot be told: {shown} from the known boundary"
        sureness = "looks like" if self.is_sure else "could be"
        return f"this {sureness} {self.datum}: {shown} from the known boundary"


def judge(outline: BaseGeometry, known: BaseGeometry) -> Judgement:
    """Compare an outline (lng/lat in an unknown datum) with a known one (lng/lat in CGCS2000). Raises NoOutline."""
    around, border = _boundary(outline), _boundary(known)
    _, south, _, north = border.bounds
    scale = np.array([_DEGREE_M * np.cos(np.radians((south + north) / 2)), _DEGREE_M])
    border_m = shapely.transform(border, lambda at: at * scale)
    shapely.prepare(border_m)
    lng, lat = shapely.get_coordinates(
        shapely.line_interpolate_point(around, np.linspace(0, 1, _SAMPLES, endpoint=False), normalized=True)
    ).T
    means = np.array([_stretch_means(lng, lat, datum, border_m, scale) for datum in CANDIDATES])
    order = np.argsort(means.mean(axis=1), kind="stable")
    fits = tuple(Fit(CANDIDATES[n], float(means[n].mean())) for n in order)
    return Judgement(fits, _margin(means[order[1]] - means[order[0]]))


def _boundary(shape: BaseGeometry) -> shapely.MultiLineString:
    """The outer rings as one line."""
    rings = [part.exterior for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and not part.is_empty]
    if not rings:
        raise NoOutline(f"a {shape.geom_type} has no outline: polygons are wanted")
    return shapely.MultiLineString([ring.coords for ring in rings])


def _stretch_means(lng: Metres, lat: Metres, datum: Datum, border_m: BaseGeometry, scale: Metres) -> Metres:
    """Mean distance in metres of the nearer points of each stretch (_STRETCHES,)."""
    moved = np.column_stack(convert(lng, lat, datum, Datum.CGCS2000)) * scale
    far = np.sort(shapely.distance(shapely.points(moved), border_m).reshape(_STRETCHES, -1), axis=1)
    means: Metres = far[:, : int(far.shape[1] * _NEARER_SHARE)].mean(axis=1)
    return means


def _margin(gains: Metres) -> float:
    """The mean gain in standard errors of itself; infinite when all gain the same."""
    error = float(gains.std(ddof=1) / np.sqrt(len(gains)))
    mean = float(gains.mean())
    return mean / error if error > 0 else (np.inf if mean > 0 else 0.0)
