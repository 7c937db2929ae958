"""Put readings on merged cells: by the catalogue for what stands still, by the index for what moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gis.cell_index import OUTSIDE, CellIndex
from gis.position import in_city_datum
from ingest.reading import OUTSIDE_CITY, ReadingBatch
from ingest.sensor import Catalogue


@dataclass(frozen=True, slots=True)
class CellPlace:
    """A cell with its village and region path, and a point inside it (degrees)."""

    code: str
    region: str
    scope: str
    lng: float
    lat: float


@dataclass(frozen=True, slots=True)
class Cells:
    """The merged grid as the path uses it. ``number`` is a cell's integer in stored readings, ``places`` goes the other way;
    0 is no cell.
    """

    index: CellIndex
    number: Mapping[str, int]
    places: Mapping[int, CellPlace]


@dataclass(frozen=True, slots=True)
class LocatedBatch:
    """Readings with the cell of each: ``cell`` int32, the cell's number, 0 where none covers the position.

    ``lng`` and ``lat`` are float64 CGCS2000 degrees, NaN for what stands where the catalogue says. ``readings`` holds the
    same positions as they were sent.
    """

    readings: ReadingBatch
    cell: npt.NDArray[Any]
    lng: npt.NDArray[Any]
    lat: npt.NDArray[Any]
    places: Mapping[int, CellPlace]

    def take(self, rows: npt.NDArray[Any]) -> LocatedBatch:
        """The rows that ``rows`` (boolean mask or indices) selects."""
        return LocatedBatch(self.readings.take(rows), self.cell[rows], self.lng[rows], self.lat[rows], self.places)

    def place(self, row: int) -> CellPlace | None:
        """Where a reading was taken, as exactly as it is known; None outside the city."""
        found = self.places.get(int(self.cell[row]))
        if found is None or np.isnan(self.lng[row]):
            return found
        return replace(found, lng=float(self.lng[row]), lat=float(self.lat[row]))


def nothing_located(places: Mapping[int, CellPlace]) -> LocatedBatch:
    """A batch without readings."""
    none = np.empty(0)
    return LocatedBatch(ReadingBatch.of([]), none.astype("i4"), none, none, places)


def homes(catalogue: Catalogue, cells: Cells) -> npt.NDArray[Any]:
    """The catalogue's cell number for every sensor, int32, indexed by Sensor.n."""
    home = np.zeros(max(catalogue.by_n, default=0) + 1, dtype="i4")
    for n, sensor in catalogue.by_n.items():
        home[n] = cells.number.get(sensor.cell, 0)
    return home


def locate(batch: ReadingBatch, home: npt.NDArray[Any], cells: Cells) -> LocatedBatch:
    """Find each reading's cell; ``home`` is what ``homes`` made.

    A position that no cell covers is flagged and keeps cell 0: it is stored, not dropped. Those that cannot be right at all
    (gis.position) never come here.
    """
    cell = home[batch.sensor]
    moving = np.flatnonzero(~np.isnan(batch.lng))
    if not len(moving):
        return LocatedBatch(batch, cell, batch.lng, batch.lat, cells.places)
    lng, lat = batch.lng.copy(), batch.lat.copy()
    lng[moving], lat[moving] = in_city_datum(lng[moving], lat[moving], batch.datum[moving])
    rows = cells.index.locate(lng[moving], lat[moving])
    cell[moving] = [cells.number[cells.index.codes[row]] if row != OUTSIDE else 0 for row in rows.tolist()]
    flags = batch.flags.copy()
    flags[moving[rows == OUTSIDE]] |= OUTSIDE_CITY
    columns = {name: getattr(batch, name) for name in ReadingBatch.__slots__}
    return LocatedBatch(ReadingBatch(**(columns | {"flags": flags})), cell, lng, lat, cells.places)
