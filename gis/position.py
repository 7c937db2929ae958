"""Positions as sensors send them: into the city's datum, and which of them cannot be right.

A receiver without a fix reports zero and zero, a gateway exchanges the axes, a test set reports from another province. Such a
position is refused with the reading that it came with. One that only lies a little outside the city is none of these: a
bus crosses the boundary, and its readings are kept.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gis.cell_index import OUTSIDE, CellIndex
from gis.datum import Datum, Pair, convert
from ingest.quarantine import FAR_OUTSIDE, NULL_ISLAND, SWAPPED_AXES, Refusal
from ingest.reading import DATUMS

FAR_M: Final = 50_000.0
"""Farther than this from the nearest cell a sensor of this city cannot be."""

_NULL_ISLAND_DEG: Final = 0.1  # also holds zero and zero after a device has "converted" it to BD-09
_MEASURED_M: Final = 1_000_000.0  # beyond this, distances reckoned on a plane are no longer worth telling

Degrees = npt.NDArray[np.float64]


def in_city_datum(lng: npt.NDArray[Any], lat: npt.NDArray[Any], datum: npt.NDArray[Any]) -> Pair:
    """Positions as sent (degrees; ``datum`` indexes DATUMS) in CGCS2000, as new arrays."""
    lng, lat = lng.copy(), lat.copy()
    for code in np.unique(datum).tolist():
        chosen = datum == code
        lng[chosen], lat[chosen] = convert(lng[chosen], lat[chosen], Datum[DATUMS[code]], Datum.CGCS2000)
    return lng, lat


def implausible(
    lng: npt.NDArray[Any], lat: npt.NDArray[Any], datum: npt.NDArray[Any], index: CellIndex
) -> dict[int, Refusal]:
    """What is wrong with the positions as sent that cannot be right, by row.

    Exchanged axes are told apart from other far places by where the exchanged position lies. Without cells nothing is far.
    A number that is no degree at all is judged only as an exchanged one.
    """
    # No datum shifts by more than 1.3 km: what reads as inside a cell is plausible in any, so nearly all are done here.
    doubtful = np.flatnonzero(index.locate(np.clip(lng, -180, 180), np.clip(lat, -90, 90)) == OUTSIDE)
    if not len(doubtful):
        return {}
    x, y, datum = lng[doubtful], lat[doubtful], datum[doubtful]
    away_m = _away_m(x, y, datum, index)
    null = np.maximum(np.abs(x), np.abs(y)) < _NULL_ISLAND_DEG
    far = (away_m > FAR_M) & ~null
    swapped = far.copy()
    swapped[far] = _away_m(y[far], x[far], datum[far], index) <= FAR_M
    far &= ~swapped & np.isfinite(away_m)
    told = [(null, _null_island), (swapped, _swapped_axes), (far, _far_outside)]
    return {
        int(doubtful[row]): tell(float(x[row]), float(y[row]), float(away_m[row]))
        for which, tell in told
        for row in np.flatnonzero(which).tolist()
    }


def _away_m(lng: Degrees, lat: Degrees, datum: npt.NDArray[Any], index: CellIndex) -> Degrees:
    """Metres from the nearest cell, 0 inside one; infinite off the earth, NaN when there are no cells."""
    away_m = np.full(len(lng), np.inf)
    real = np.flatnonzero((np.abs(lng) <= 180) & (np.abs(lat) <= 90))
    away_m[real] = index.nearest(*in_city_datum(lng[real], lat[real], datum[real]))[1]
    return away_m


def _null_island(lng: float, lat: float, _: float) -> Refusal:
    return Refusal(NULL_ISLAND, f"position {lng}, {lat} is where both degrees are zero: the receiver had no fix")


def _swapped_axes(lng: float, lat: float, _: float) -> Refusal:
    return Refusal(
        SWAPPED_AXES,
        f"position lng {lng}, lat {lat} lies in or near the city once exchanged: send the longitude as lng",
    )


def _far_outside(lng: float, lat: float, away_m: float) -> Refusal:
    away = f"{away_m / 1000:.0f} km" if away_m <= _MEASURED_M else f"more than {_MEASURED_M / 1000:.0f} km"
    return Refusal(
        FAR_OUTSIDE,
        f"position {lng}, {lat} is {away} from the nearest cell, at most {FAR_M / 1000:.0f} km are accepted",
    )
