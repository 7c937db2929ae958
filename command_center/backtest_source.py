"""Recorded readings and labels from tables: CSV in UTF-8, one row each, put in order of their own time.

A row that cannot be meant is listed with its line and reason and spoils nothing beside it.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gis.cell_index import OUTSIDE, CellIndex
from gis.locate import CellPlace, LocatedBatch
from ingest.formats.native import Unreadable, instant_us
from ingest.reading import OUT_OF_RANGE, OUTSIDE_CITY, ReadingBatch
from ingest.sensor import Catalogue, Quantity, Sensor
from rules.label import Window

Numbers = npt.NDArray[Any]

LISTED: Final = 100
"""Refused rows that are named; all are counted."""
_READINGS: Final = ("sensor", "at", "quantity", "value")
_LABELS: Final = ("sensor", "from", "to")
_LONGEST_NAME: Final = 64
_ALONE_S: Final = 60.0
_FIRST_OWN_N: Final = 10_000  # quantities that the catalogue does not know are numbered from here
_TIMES_KEPT: Final = 100_000
_TELL_EVERY: Final = 1_000_000


class BadTable(ValueError):
    """A table cannot be read at all; the message says which file and what is wanted."""


@dataclass(slots=True)
class Refused:
    """Rows that were not taken: ``rows`` are the first, as (line, reason); ``reasons`` counts them all by kind."""

    rows: list[tuple[int, str]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, line: int, kind: str, reason: str) -> None:
        self.reasons[kind] += 1
        if len(self.rows) < LISTED:
            self.rows.append((line, reason))


@dataclass(frozen=True)
class Series:
    """A table of readings as columns of equal length, in order of time; ``sensor`` and ``quantity`` index the names.

    ``at_us`` int64 epoch microseconds; ``lng`` and ``lat`` degrees (CGCS2000), NaN where the table gives none.
    """

    sensors: tuple[str, ...]
    quantities: tuple[str, ...]
    sensor: Numbers
    quantity: Numbers
    value: Numbers
    at_us: Numbers
    lng: Numbers
    lat: Numbers
    refused: Refused

    def __len__(self) -> int:
        return len(self.at_us)


def read_series(path: Path, tell: Callable[[int], None] = lambda _: None) -> Series:
    """A table ``sensor,at,quantity,value`` with or without ``lng,lat``; ``tell`` hears how many rows were read.

    ``at`` is an RFC 3339 time or epoch milliseconds. Rows may come in any order. Raises BadTable.
    """
    columns = _Columns()
    with _opened(path, _READINGS) as (header, reader):
        own = [header.index(name) for name in _READINGS]
        spot = [header.index(name) for name in ("lng", "lat")] if {"lng", "lat"} <= set(header) else None
        for count, row in enumerate(reader, start=1):
            if row:
                columns.take(row, own, spot, len(header), reader.line_num)
            if count % _TELL_EVERY == 0:
                tell(count)
    return columns.done()


def read_labels(path: Path) -> list[Window]:
    """A table ``sensor,from,to`` with or without ``rule`` and ``category``. Raises BadTable at the first bad row."""
    found = []
    with _opened(path, _LABELS) as (header, reader):
        for row in reader:
            if row:
                found.append(_window(path, reader.line_num, header, row))
    return found


def _window(path: Path, line: int, header: Sequence[str], row: list[str]) -> Window:
    if len(row) != len(header):
        raise BadTable(f"{path} line {line}: {len(row)} columns instead of {len(header)}")
    named = dict(zip(header, (cell.strip() for cell in row), strict=True))
    if named.get("rule") and named.get("category"):
        raise BadTable(f"{path} line {line}: a window speaks of a rule or of a category, not of both")
    try:
        begun, ended = _instant(named["from"]), _instant(named["to"])
    except Unreadable as problem:
        raise BadTable(f"{path} line {line}: {problem}") from None
    if ended < begun:
        raise BadTable(f"{path} line {line}: the window ends before it begins")
    return Window(named["sensor"] or None, begun, ended, named.get("rule") or named.get("category") or None)


@contextmanager
def _opened(path: Path, needed: Sequence[str]) -> Iterator[tuple[list[str], Any]]:
    """(column names, reader of the rows after them)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            header = [name.strip().casefold() for name in next(reader, [])]
            wanted = ",".join(needed)
            if not header:
                raise BadTable(f"{path}: the table is empty; its first line must be {wanted}")
            missing = [name for name in needed if header.count(name) != 1]
            if missing:
                shown = ",".join(header)[:100]
                raise BadTable(
                    f"{path}: column {missing[0]} is needed once; the first line is {shown!r}, wanted is {wanted}"
                )
            yield header, reader
    except UnicodeDecodeError:
        raise BadTable(f"{path}: not UTF-8 text; save the table as CSV in UTF-8") from None
    except csv.Error as problem:
        raise BadTable(f"{path}: not a CSV table: {problem}") from None
    except OSError as problem:
        raise BadTable(f"{path}: {(problem.strerror or str(problem)).lower()}") from None


class _Columns:
    """Rows on their way to columns: compact arrays, since there may be millions."""

    def __init__(self) -> None:
        self.sensors: dict[str, int] = {}
        self.quantities: dict[str, int] = {}
        self.times: dict[str, int] = {}
        self.sensor, self.quantity, self.at_us = array("i"), array("i"), array("q")
        self.value, self.lng, self.lat = array("d"), array("d"), array("d")
        self.refused = Refused()

    def take(self, row: list[str], own: list[int], spot: list[int] | None, width: int, line: int) -> None:
        if len(row) != width:
            self.refused.add(line, "columns", f"{len(row)} columns instead of {width}")
            return
        sensor, at, quantity, value = [row[column] for column in own]
        try:
            at_us = self.times.get(at) or self._time(at)
            number = _number(value)
            lng, lat = (math.nan, math.nan) if spot is None else _spot(row[spot[0]], row[spot[1]])
            # A name is known from its first good row on: one that only a bad row has is none.
            if sensor not in self.sensors or quantity not in self.quantities:
                _check_name(sensor, "sensor")
                _check_name(quantity, "quantity")
        except (_Bad, Unreadable) as problem:
            kind = problem.kind if isinstance(problem, _Bad) else "at"
            self.refused.add(line, kind, str(problem))
            return
        self.sensor.append(self.sensors.setdefault(sensor, len(self.sensors)))
        self.quantity.append(self.quantities.setdefault(quantity, len(self.quantities)))
        self.at_us.append(at_us)
        self.value.append(number)
        self.lng.append(lng)
        self.lat.append(lat)

    def _time(self, text: str) -> int:
        at_us = _instant(text)
        if len(self.times) < _TIMES_KEPT:
            self.times[text] = at_us
        return at_us

    def done(self) -> Series:
        sensors, sensor = _by_name(self.sensors, self.sensor)
        quantities, quantity = _by_name(self.quantities, self.quantity)
        value, at_us = np.frombuffer(self.value, "f8"), np.frombuffer(self.at_us, "i8")
        lng, lat = np.frombuffer(self.lng, "f8"), np.frombuffer(self.lat, "f8")
        # By name, not by place in the file: the same rows in another order give the same report.
        order = np.lexsort((quantity, sensor, at_us))
        return Series(
            sensors,
            quantities,
            sensor[order],
            quantity[order],
            value[order],
            at_us[order],
            lng[order],
            lat[order],
            self.refused,
        )


class _Bad(ValueError):
    """A field that cannot be meant."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def _instant(text: str) -> int:
    text = text.strip()
    if not text:
        raise Unreadable("at", "the time is empty: give an RFC 3339 time or epoch milliseconds")
    found = instant_us(int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else text)
    assert found is not None
    return found


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise _Bad("value", f"value {text[:40]!r} is not a number") from None
    if not math.isfinite(number) or "_" in text:
        raise _Bad("value", f"value {text[:40]!r} is not a number")
    return number


def _spot(lng: str, lat: str) -> tuple[float, float]:
    if not lng.strip() and not lat.strip():
        return math.nan, math.nan
    try:
        x, y = float(lng), float(lat)
    except ValueError:
        raise _Bad("position", f"position {lng[:20]!r}, {lat[:20]!r} is not two numbers") from None
    if not (abs(x) <= 180 and abs(y) <= 90) or (x == 0 and y == 0):
        raise _Bad("position", f"position {lng[:20]}, {lat[:20]} cannot be right: degrees are wanted, longitude in lng")
    return x, y


def _check_name(name: str, what: str) -> None:
    if not 0 < len(name) <= _LONGEST_NAME or name != name.strip() or not name.isprintable():
        raise _Bad(
            what, f"{what} {name[:40]!r}: give 1 to {_LONGEST_NAME} printable characters without spaces around them"
        )


def _by_name(found: Mapping[str, int], column: array[int]) -> tuple[tuple[str, ...], Numbers]:
    """Names in order, and the column renumbered to it."""
    names = tuple(sorted(found))
    place = np.zeros(len(found), dtype="i4")
    for rank, name in enumerate(names):
        place[found[name]] = rank
    return names, place[np.frombuffer(column, "i4")]


@dataclass(frozen=True)
class Ground:
    """The cells that a back-test was given, and where its sensors stand on them."""

    index: CellIndex | None
    places: Mapping[int, CellPlace]

    @classmethod
    def of(cls, index: CellIndex | None) -> Ground:
        """A cell's number is its row in the index and one."""
        if index is None:
            return cls(None, {})
        # What moves brings its own position and what stands has the catalogue's: a cell's own is never asked for.
        return cls(index, {n: CellPlace(code, "", "", math.nan, math.nan) for n, code in enumerate(index.codes, 1)})

    def cells(self, lng: Numbers, lat: Numbers) -> Numbers:
        """Cell numbers, 0 where there is none; every position is given."""
        if self.index is None:
            return np.zeros(len(lng), dtype="i4")
        rows = self.index.locate(lng, lat)
        return np.where(rows == OUTSIDE, 0, rows + 1).astype("i4")


def catalogue_of(series: Series, known: Sequence[Quantity], ground: Ground) -> tuple[Catalogue, tuple[str, ...]]:
    """The sensors that the table speaks of, and the names of its quantities that are not ``known``.

    A sensor's interval is the median time between its readings. It stands where its rows say when they all say the same,
    else it moves. A quantity nobody knows is taken as it comes: unit 1, any value plausible.
    """
    names = {quantity.name for quantity in known}
    unknown = tuple(name for name in series.quantities if name not in names)
    own = [Quantity(_FIRST_OWN_N + n, name, "1", name, name) for n, name in enumerate(unknown)]
    order = np.argsort(series.sensor, kind="stable")
    bounds = np.searchsorted(series.sensor[order], np.arange(len(series.sensors) + 1))
    sensors = []
    for index, name in enumerate(series.sensors):
        rows = order[bounds[index] : bounds[index + 1]]
        lng, lat = _stands(series.lng[rows], series.lat[rows])
        code = ""
        if lng is not None and lat is not None:
            found = ground.places.get(int(ground.cells(np.array([lng]), np.array([lat]))[0]))
            code = found.code if found else ""
        measured = tuple(series.quantities[q] for q in np.unique(series.quantity[rows]))
        interval_s = _interval_s(series.at_us[rows])
        sensors.append(Sensor(index + 1, name, name, "", "", code, "", "", measured, lng, lat, interval_s))
    return Catalogue.of(sensors, [*known, *own]), unknown


def _stands(lng: Numbers, lat: Numbers) -> tuple[float | None, float | None]:
    given = ~np.isnan(lng)
    places = set(zip(lng[given].tolist(), lat[given].tolist(), strict=True))
    return places.pop() if len(places) == 1 else (None, None)


def _interval_s(at_us: Numbers) -> float:
    gaps = np.diff(np.unique(at_us))
    return float(np.median(gaps)) / 1e6 if len(gaps) else _ALONE_S


def batches(series: Series, catalogue: Catalogue, ground: Ground, rows: int) -> Iterator[LocatedBatch]:
    """The table as the path would see it, had every reading been received at its own time."""
    quantity_n = np.array([catalogue.quantities[name].n for name in series.quantities], dtype="i2")
    low = np.array([catalogue.quantities[name].low for name in series.quantities])
    high = np.array([catalogue.quantities[name].high for name in series.quantities])
    moves = np.array([catalogue.sensors[name].lng is None for name in series.sensors], dtype=bool)
    home = np.zeros(len(series.sensors), dtype="i4")
    number = {place.code: n for n, place in ground.places.items()}
    for index, name in enumerate(series.sensors):
        home[index] = number.get(catalogue.sensors[name].cell, 0)
    for begin in range(0, len(series), rows):
        part = slice(begin, begin + rows)
        sensor, quantity, value = series.sensor[part], series.quantity[part], series.value[part]
        lng, lat = np.where(moves[sensor], series.lng[part], np.nan), np.where(moves[sensor], series.lat[part], np.nan)
        cell = home[sensor]
        moving = np.flatnonzero(~np.isnan(lng))
        cell[moving] = ground.cells(lng[moving], lat[moving])
        flags = np.where((value < low[quantity]) | (value > high[quantity]), OUT_OF_RANGE, 0).astype("i2")
        if ground.index is not None:
            flags[moving[cell[moving] == 0]] |= OUTSIDE_CITY
        count = len(sensor)
        at = series.at_us[part].view("M8[us]")
        readings = ReadingBatch(
            sensor=(sensor + 1).astype("i4"),
            quantity=quantity_n[quantity],
            value=value,
            at=at,
            received_at=at,
            key=np.zeros(count, dtype="i8"),
            flags=flags,
            lng=lng,
            lat=lat,
            datum=np.zeros(count, dtype="i1"),
            message=np.arange(count, dtype="i4"),
        )
        yield LocatedBatch(readings, cell, lng, lat, ground.places)
