"""Readings, as columns: one row per measured value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]

DATUMS = ("CGCS2000", "WGS84", "GCJ02", "BD09")

# Flags say what was odd about a reading that is kept all the same.
NO_TIME = 1  # the message had no time of its own; receipt time stands in
AHEAD = 2  # device time more than five minutes ahead of receipt
LATE = 4  # device time older than the lateness bound: stored, never alerted live
OUT_OF_RANGE = 8  # outside the quantity's plausible range: stored, never alerted
OUTSIDE_CITY = 16  # carried a position that no cell covers
FAULTY = 32  # the device itself calls the value none to go by: stored, never alerted


@dataclass(frozen=True, slots=True)
class ReadingBatch:
    """Columns of equal length n.

    sensor int32 (Sensor.n), quantity int16 (Quantity.n), value float64 in the quantity's unit, at and received_at
    datetime64[us] UTC, key int64 (names the message for de-duplication), flags int16, lng and lat float64 degrees as sent
    (NaN: the sensor stands where the catalogue says), datum int8 (index into DATUMS), message int32 (index of the source
    message in its batch).
    """

    sensor: Column
    quantity: Column
    value: Column
    at: Column
    received_at: Column
    key: Column
    flags: Column
    lng: Column
    lat: Column
    datum: Column
    message: Column

    def __len__(self) -> int:
        return len(self.sensor)

    def take(self, rows: Column) -> ReadingBatch:
        """The rows that ``rows`` (boolean mask or indices) selects."""
        return ReadingBatch(*(getattr(self, f.name)[rows] for f in fields(self)))

    def beside(self, other: ReadingBatch) -> ReadingBatch:
        """The rows of both, these first."""
        return ReadingBatch(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))

    @classmethod
    def of(cls, rows: Sequence[tuple[Any, ...]]) -> ReadingBatch:
        """From row tuples in field order; times are epoch microseconds."""
        columns = zip(*rows, strict=True) if rows else [()] * len(DTYPES)
        return cls(*(_column(values, dtype) for values, dtype in zip(columns, DTYPES, strict=True)))


DTYPES = ("i4", "i2", "f8", "M8[us]", "M8[us]", "i8", "i2", "f8", "f8", "i1", "i4")


def _column(values: Sequence[Any], dtype: str) -> Column:
    if dtype == "M8[us]":
        return np.array(values, dtype="i8").view(dtype)
    return np.array(values, dtype=dtype)
