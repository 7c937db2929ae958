"""The table of functions that people hand in: who does what in which cell, from when to when."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Final, get_args

from gis.cell_function import CellFunction
from rules.rule import Domain

COLUMNS: Final = ("cell", "domain", "organisation", "worker", "valid_from", "valid_to")
_DOMAINS: Final = get_args(Domain)


class BadFunctions(ValueError):
    """A table of functions cannot be used; the message says which line and what is wrong."""


def read_functions(path: Path, cells: Collection[str]) -> list[CellFunction]:
    """The functions of a CSV file in UTF-8; ``cells`` are the codes in force. Raises BadFunctions at the first bad row."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFunctions(f"{path}: not UTF-8 text; save the table as CSV in UTF-8") from None
    except OSError as problem:
        raise BadFunctions(f"{path}: {(problem.strerror or str(problem)).lower()}") from None
    found: dict[tuple[str, str, date], CellFunction] = {}
    try:
        for line, row in _rows(path, text):
            function = _function(f"{path} line {line}", row, cells)
            key = (function.cell, function.domain, function.valid_from)
            if key in found:
                raise BadFunctions(f"{path} line {line}: {function.domain} in {function.cell} begins twice on that day")
            found[key] = function
    except csv.Error as problem:
        raise BadFunctions(f"{path}: not a CSV table: {problem}") from None
    _refuse_overlaps(path, list(found.values()))
    return list(found.values())


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = tuple(name.strip().casefold() for name in next(reader, []))
    missing = [name for name in COLUMNS[:3] + COLUMNS[4:5] if name not in header]
    if missing:
        raise BadFunctions(f"{path}: no column {', '.join(missing)}; wanted is {','.join(COLUMNS)}")
    for row in reader:
        if not any(field.strip() for field in row):
            continue
        if len(row) != len(header):
            raise BadFunctions(f"{path} line {reader.line_num}: {len(row)} columns instead of {len(header)}")
        yield reader.line_num, {name: field.strip() for name, field in zip(header, row, strict=True)}


def _function(where: str, row: dict[str, str], cells: Collection[str]) -> CellFunction:
    cell, domain, organisation = row["cell"], row["domain"], row["organisation"]
    if cell not in cells:
        raise BadFunctions(f"{where}: there is no cell {cell!r} in force")
    if domain not in _DOMAINS:
        raise BadFunctions(f"{where}: domain {domain!r} is none of {', '.join(_DOMAINS)}")
    if not organisation:
        raise BadFunctions(f"{where}: no organisation")
    starts = _day(where, row["valid_from"])
    ends = _day(where, row["valid_to"]) if row.get("valid_to") else None
    if ends is not None and ends <= starts:
        raise BadFunctions(f"{where}: valid_to must be later than valid_from: it is the first day without the function")
    return CellFunction(cell, domain, organisation, row.get("worker") or None, starts, ends)


def _day(where: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadFunctions(f"{where}: {text!r} is no day such as 2026-11-24") from None


def _refuse_overlaps(path: Path, functions: list[CellFunction]) -> None:
    ordered = sorted(functions, key=lambda f: (f.cell, f.domain, f.valid_from))
    for one, after in pairwise(ordered):
        same = (one.cell, one.domain) == (after.cell, after.domain)
        if same and one.valid_to is not None and one.valid_to > after.valid_from:
            raise BadFunctions(
                f"{path}: {one.domain} in {one.cell} is given to {one.organisation} until {one.valid_to} and to"
                f" {after.organisation} from {after.valid_from}"
            )
