"""Put readings on merged cells: by the catalogue for what stands still, by the index for what moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gis.cell_index import OUTSIDE, CellIndex
from gis.datum import Datum, convert
from ingest.reading import DATUMS, OUTSIDE_CITY, ReadingBatch
from ingest.sensor import Catalogue


@dataclass(frozen=True, slots=True)
class Cells:
    """The merged grid as the path uses it. ``number`` is a cell's integer in stored readings; 0 is no cell."""

    index: CellIndex
    number: Mapping[str, int]
    code: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class LocatedBatch:
    """Readings with the cell of each: ``cell`` int32, the cell's number, 0 where none covers the position."""

    readings: ReadingBatch
    cell: npt.NDArray[Any]


def homes(catalogue: Catalogue, cells: Cells) -> npt.NDArray[Any]:
    """The catalogue's cell number for every sensor, int32, indexed by Sensor.n."""
    home = np.zeros(max(catalogue.by_n, default=0) + 1, dtype="i4")
    for n, sensor in catalogue.by_n.items():
        home[n] = cells.number.get(sensor.cell, 0)
    return home


def locate(batch: ReadingBatch, home: npt.NDArray[Any], cells: Cells) -> LocatedBatch:
    """Find each reading's cell; ``home`` is what ``homes`` made.

    A position that no cell covers is flagged and keeps cell 0: it is stored, not dropped.
    """
    cell = home[batch.sensor]
    moving = np.flatnonzero(~np.isnan(batch.lng))
    if not len(moving):
        return LocatedBatch(batch, cell)
    lng, lat = _in_city_datum(batch, moving)
    rows = cells.index.locate(lng, lat)
    cell[moving] = [cells.number[cells.index.codes[row]] if row != OUTSIDE else 0 for row in rows.tolist()]
    flags = batch.flags.copy()
    flags[moving[rows == OUTSIDE]] |= OUTSIDE_CITY
    columns = {name: getattr(batch, name) for name in ReadingBatch.__slots__}
    return LocatedBatch(ReadingBatch(**(columns | {"flags": flags})), cell)


def _in_city_datum(batch: ReadingBatch, rows: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    lng, lat, datum = batch.lng[rows].copy(), batch.lat[rows].copy(), batch.datum[rows]
    for code in np.unique(datum).tolist():
        chosen = datum == code
        lng[chosen], lat[chosen] = convert(lng[chosen], lat[chosen], Datum[DATUMS[code]], Datum.CGCS2000)
    return lng, lat
