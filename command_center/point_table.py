"""Tables of points as people hand them over: CSV in UTF-8 with the columns ``id,lng,lat``, read and written in pieces.

Files of any length pass through in little room. The first row that cannot be meant ends the reading with its line and what
is wrong, and a table being written appears under its name only when it is complete.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
import numpy.typing as npt

COLUMNS: Final = ("id", "lng", "lat")
_ROWS_AT_ONCE: Final = 100_000
_LIMITS: Final = {"lng": 180.0, "lat": 90.0}
_NAMES: Final = {"lng": "longitude", "lat": "latitude"}


class BadTable(ValueError):
    """A table of points cannot be read or written; the message says which file, which line, and what to do."""


@dataclass(frozen=True, slots=True)
class PointRows:
    """A piece of a table: all fields of its rows as text, their line numbers, and the positions in degrees."""

    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    lng: npt.NDArray[np.float64]
    lat: npt.NDArray[np.float64]

    @property
    def ids(self) -> list[str]:
        """The column ``id``."""
        column = self.header.index("id")
        return [row[column] for row in self.rows]


def read_points(path: Path) -> Iterator[PointRows]:
    """The table piece by piece, at least one even if it has no rows. Raises BadTable at the first bad row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield from _pieces(path, csv.reader(stream))
    except UnicodeDecodeError:
        raise BadTable(f"{path}: not UTF-8 text; save the table as CSV in UTF-8") from None
    except csv.Error as problem:
        raise BadTable(f"{path}: not a CSV table: {problem}") from None
    except OSError as problem:
        raise BadTable(f"{path}: {_reason(problem)}") from None


@contextmanager
def written(path: Path, header: Sequence[str]) -> Iterator[Any]:
    """A CSV writer for a table that takes its name when the block ends well. Raises BadTable."""
    with replaced(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        yield writer


@contextmanager
def replaced(path: Path) -> Iterator[TextIO]:
    """A text file in UTF-8 that takes its name when the block ends well. Raises BadTable."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise BadTable(f"{path}: cannot be written: not an ordinary file")
    try:
        number, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as problem:
        raise BadTable(f"{path}: cannot be written: {_reason(problem)}") from None
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="") as stream:
            yield stream
        Path(unfinished).chmod(0o666 & ~_umask())
        Path(unfinished).replace(path)
    except OSError as problem:
        raise BadTable(f"{path}: cannot be written: {_reason(problem)}") from None
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _reason(problem: OSError) -> str:
    return (problem.strerror or str(problem)).lower()


def _pieces(path: Path, reader: Any) -> Iterator[PointRows]:
    header = _header(path, next(reader, None))
    rows: list[list[str]] = []
    lines: list[int] = []
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise BadTable(f"{path} line {reader.line_num}: {len(row)} columns instead of {len(header)}")
        rows.append(row)
        lines.append(reader.line_num)
        if len(rows) == _ROWS_AT_ONCE:
            yield _piece(path, header, rows, lines)
            rows, lines = [], []
    yield _piece(path, header, rows, lines)


def _header(path: Path, row: list[str] | None) -> tuple[str, ...]:
    if row is None:
        raise BadTable(f"{path}: the table is empty; its first line must be {','.join(COLUMNS)}")
    header = tuple(name.strip().casefold() for name in row)
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        shown = ",".join(row)[:100]
        raise BadTable(
            f"{path}: no column {', '.join(missing)}; the first line is {shown!r}, wanted is {','.join(COLUMNS)}"
        )
    twice = [name for name in COLUMNS if header.count(name) > 1]
    if twice:
        raise BadTable(f"{path}: column {', '.join(twice)} is there twice")
    return header


def _piece(path: Path, header: tuple[str, ...], rows: list[list[str]], lines: list[int]) -> PointRows:
    lng, lat = (_degrees(path, name, [row[header.index(name)] for row in rows], lines) for name in ("lng", "lat"))
    nowhere = np.flatnonzero((lng == 0) & (lat == 0))
    if len(nowhere):
        where = f"{path} line {lines[nowhere[0]]}"
        raise BadTable(f"{where}: (0, 0) is how devices say that they do not know their position; leave such rows out")
    return PointRows(header, rows, lines, lng, lat)


def _degrees(path: Path, name: str, fields: list[str], lines: list[int]) -> npt.NDArray[np.float64]:
    try:
        found = np.array([float(field) for field in fields], dtype=np.float64)
    except ValueError:
        row = next(n for n, field in enumerate(fields) if not _is_number(field))
        raise BadTable(f"{path} line {lines[row]}: {name} {fields[row][:40]!r} is not a number") from None
    wrong = np.flatnonzero(~(np.abs(found) <= _LIMITS[name]))
    if len(wrong):
        _refuse(path, name, fields[wrong[0]], lines[wrong[0]], float(found[wrong[0]]))
    return found


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _refuse(path: Path, name: str, field: str, line: int, value: float) -> None:
    where = f"{path} line {line}: {name} {field[:40]!r}"
    if not np.isfinite(value):
        raise BadTable(f"{where} is not a number")
    hint = "; are lng and lat swapped?" if name == "lat" and abs(value) <= _LIMITS["lng"] else "; degrees are wanted"
    raise BadTable(
        f"{where} is no {_NAMES[name]}: it must lie between -{_LIMITS[name]:.0f} and {_LIMITS[name]:.0f}{hint}"
    )
