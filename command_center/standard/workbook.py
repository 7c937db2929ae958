"""The door through which spreadsheets come in: xlsx and CSV, bounded before anything in them is believed."""

from __future__ import annotations

import csv
import io
import re
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import iterparse
from zipfile import BadZipFile, ZipFile

import openpyxl
from openpyxl.utils.cell import range_boundaries
from openpyxl.utils.exceptions import InvalidFileException

from command_center.standard.sheet import Cell, NotAStandardsSheet, Sheet

_LARGEST_FILE: Final = 8 << 20
_LARGEST_UNPACKED: Final = 32 << 20
_MOST_PARTS: Final = 1000
_MOST_TAGS: Final = 1_000_000
_MOST_ROWS: Final = 20_001
_MOST_COLUMNS: Final = 50
_MOST_MERGED: Final = 1_000_000
_OLD_FORMAT: Final = b"\xd0\xcf\x11\xe0"
_CODE_FORMAT: Final = re.compile("0{1,40}")
# What openpyxl and the parsers below it raise on files that only look like xlsx.
_BROKEN: Final = (
    BadZipFile,
    InvalidFileException,
    SyntaxError,  # of XML: each parser has its own kind
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    zlib.error,
)


def read_sheets(path: Path) -> list[Sheet]:
    """The sheets of an xlsx file, or the one of a CSV in UTF-8 (with or without byte-order mark) or GB 18030.

    Raises NotAStandardsSheet, with the reason but not the file's name.
    """
    content = _content(path)
    if content.startswith(_OLD_FORMAT):
        raise NotAStandardsSheet("an old .xls or a protected workbook: save it as .xlsx without a password")
    if content.startswith(b"PK") or path.suffix.casefold() in {".xlsx", ".xlsm"}:
        return _workbook(content)
    return [Sheet(path.name, list(_csv_rows(_text(content))))]


def read_table(path: Path) -> list[list[str]]:
    """The rows of a CSV as texts. Raises NotAStandardsSheet."""
    return [[cell.text for cell in row] for row in _csv_rows(_text(_content(path)))]


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as problem:
        raise NotAStandardsSheet((problem.strerror or str(problem)).lower()) from None
    if len(content) > _LARGEST_FILE:
        raise NotAStandardsSheet(f"larger than {_LARGEST_FILE >> 20} MiB")
    return content


def _text(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise NotAStandardsSheet("neither UTF-8 nor GB 18030 text")


def _csv_rows(text: str) -> Iterator[list[Cell]]:
    try:
        # One record is one row of the spreadsheet, however many lines its cells have.
        for row in csv.reader(io.StringIO(text, newline=""), strict=True):
            yield [Cell(value.strip()) for value in row]
    except csv.Error as problem:
        raise NotAStandardsSheet(f"not a CSV table: {problem}") from None


def _workbook(content: bytes) -> list[Sheet]:
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            _refuse_bomb(archive)
            with warnings.catch_warnings():
                # Of features that openpyxl leaves out: none of them is read here.
                warnings.simplefilter("ignore")
                book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
            sheets = [_sheet(archive, found) for found in book.worksheets]
    except _BROKEN as problem:
        if isinstance(problem, NotAStandardsSheet):
            raise
        raise NotAStandardsSheet(f"not a readable .xlsx workbook ({type(problem).__name__})") from None
    if not sheets:
        raise NotAStandardsSheet("there is no sheet in it")
    return sheets


def _refuse_bomb(archive: ZipFile) -> None:
    """Raise NotAStandardsSheet on what would unpack or parse into far more than a sheet of standards can be."""
    parts = archive.infolist()
    unpacked = sum(part.file_size for part in parts)
    if len(parts) > _MOST_PARTS or unpacked > _LARGEST_UNPACKED:
        raise NotAStandardsSheet(f"it unpacks to more than {_LARGEST_UNPACKED >> 20} MiB or {_MOST_PARTS} parts")
    xml = [part for part in parts if part.filename.casefold().endswith((".xml", ".rels"))]
    # No part is read beyond the size it states, so these sums hold whatever the compression.
    contents = [archive.read(part) for part in xml]
    if sum(content.count(b"<") for content in contents) > _MOST_TAGS:
        raise NotAStandardsSheet("it holds far more cells than a sheet of standards")
    if any(b"<!DOCTYPE" in content or b"<!ENTITY" in content for content in contents):
        raise NotAStandardsSheet("its XML declares entities")


def _sheet(archive: ZipFile, found: Any) -> Sheet:
    rows = found.iter_rows(max_row=_MOST_ROWS, max_col=_MOST_COLUMNS)
    cells = [[_cell(cell) for cell in row] for row in rows]
    while cells and not any(cell.text or cell.fault for cell in cells[-1]):
        cells.pop()
    return Sheet(str(found.title), cells, _merged(archive, found._worksheet_path, len(cells)))


def _merged(archive: ZipFile, part: str, rows: int) -> dict[tuple[int, int], int]:
    """For each cell below the first of a merged column the row of that first. Read here: the streaming reader skips them."""
    above: dict[tuple[int, int], int] = {}
    budget = _MOST_MERGED
    with archive.open(part) as file:
        for _, element in iterparse(file):
            if element.tag.rpartition("}")[2] == "mergeCell":
                left, top, right, bottom = range_boundaries(element.attrib["ref"])
                if left is None or right is None or top is None or bottom is None:
                    raise ValueError(element.attrib["ref"])
                if left == right:
                    covered = range(top, min(bottom, rows))
                    budget -= len(covered)
                    if budget < 0:
                        raise NotAStandardsSheet("its merged cells lie over each other")
                    above |= {(row, left - 1): top - 1 for row in covered}
            element.clear()
    return above


def _cell(cell: Any) -> Cell:
    value = cell.value
    if value is None:
        return Cell()
    if cell.data_type == "f":
        return Cell(fault="holds a formula: paste it as a value")
    if cell.data_type == "e":
        return Cell(fault=f"holds the error {str(value)[:20]}")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return Cell(fault=f"holds a {type(value).__name__}, not a text")
    if isinstance(value, str):
        return Cell(value.strip())
    return _number(value, str(cell.number_format))


def _number(value: float, shape: str) -> Cell:
    if value != value or value in (float("inf"), float("-inf")) or value != int(value):
        return Cell(f"{value:g}")
    digits = str(int(value))
    # A code kept as a number with the format 0000 is shown with its leading zeros: that is what people mean.
    return Cell(digits.zfill(len(shape)) if _CODE_FORMAT.fullmatch(shape) else digits)


def titled(rows: Iterable[list[str]], columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and columns by title of each row that says something. Raises NotAStandardsSheet for a missing title."""
    remaining = iter(rows)
    header = next(remaining, [])
    missing = [name for name in columns if name not in header]
    if missing:
        raise NotAStandardsSheet(f"column {', '.join(missing)} is missing: the first line names {','.join(columns)}")
    for n, row in enumerate(remaining, 2):
        if any(row):
            padded = row + [""] * (len(header) - len(row))
            yield n, {name: padded[header.index(name)] for name in columns}
