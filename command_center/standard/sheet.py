"""Reads the usual nine-column sheet of filing and closing: from cells to standards, with a fault for every cell that is wrong.

Class, unit and department are written once and hold for the rows below. A merged cell holds for all the rows it spans. A CSV
knows no merged cells: there an empty closing condition or limit is that of the row above, within the same small class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from command_center.standard.standard import BadLimit, Standard, read_limit
from command_center.ticket.clock import Limit

COLUMNS: Final = {
    "大类代码": "big_code",
    "大类名称": "big_name",
    "小类代码": "small_code",
    "小类名称": "small_name",
    "处置单位": "handling_unit",
    "主管部门": "department",
    "立案条件": "condition",
    "结案条件": "close_condition",
    "处置时限": "limit",
}
_TITLES: Final = {field: title for title, field in COLUMNS.items()}
_NOTE: Final = {"备注": "note"}
_OTHER_TITLES: Final = {"立案标准": "condition", "结案标准": "close_condition", "处理时限": "limit"}
_BIG: Final = frozenset({"big_code", "big_name"})
_SMALL: Final = frozenset({"small_code", "small_name"})
_WHO: Final = frozenset({"handling_unit", "department"})
_END: Final = frozenset({"close_condition", "limit"})
_CODES: Final = frozenset({"big_code", "small_code"})
_HEADER_WITHIN: Final = 20
_MOST_ROWS: Final = 20_000
_LONGEST: Final = dict.fromkeys(("condition", "close_condition", "note"), 2000)
_LONGEST_NAME: Final = 200
_LONGEST_CODE: Final = 40


class NotAStandardsSheet(ValueError):
    """A file or sheet that cannot be read as filing standards at all; the message says why."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a cell, or why that cannot be used."""

    text: str = ""
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows of cells. ``merged`` leads from a covered cell (row, column; from 0) to the row that holds its text; None: the
    format knows no merged cells.
    """

    name: str
    rows: Sequence[Sequence[Cell]]
    merged: Mapping[tuple[int, int], int] | None = None


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """A cell that is wrong: row and column from 0, and why."""

    row: int
    column: int
    reason: str

    def __str__(self) -> str:
        return f"{cell_name(self.row, self.column)}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a sheet says: the standards of its good rows, and what is wrong with the others."""

    standards: tuple[Standard, ...]
    faults: tuple[Fault, ...]


def cell_name(row: int, column: int) -> str:
    """How a spreadsheet names a cell: 6, 4 is E7."""
    letters, n = "", column + 1
    while n:
        n, letter = divmod(n - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{letters}{row + 1}"


@dataclass(frozen=True, slots=True)
class _Value:
    """A cell's content and the row it was written in."""

    row: int
    text: str = ""
    fault: str | None = None


_Row = dict[str, _Value]


def read_standards(sheet: Sheet) -> Reading:
    """The standards of a sheet. Raises NotAStandardsSheet when it has no header, nothing below it, or too many rows."""
    header, columns = _header(sheet)
    found: list[Standard] = []
    faults: set[Fault] = set()
    seen = _Seen()
    for row in _filled(sheet, header, columns):
        told = dict(_faults(row, columns))
        if not told:
            told = dict(_contradictions(row, seen))
        faults |= {Fault(row[name].row, columns[name], reason) for name, reason in told.items()}
        if not told:
            found.append(_standard(row))
    if not found and not faults:
        raise NotAStandardsSheet(f"sheet {sheet.name}: there is no row below its header")
    return Reading(tuple(found), tuple(sorted(faults)))


def has_header(sheet: Sheet) -> bool:
    """Whether a sheet names all nine columns."""
    return any(_missing(_titles(row)) == [] for row in sheet.rows[:_HEADER_WITHIN])


def _header(sheet: Sheet) -> tuple[int, dict[str, int]]:
    if len(sheet.rows) > _MOST_ROWS:
        raise NotAStandardsSheet(f"sheet {sheet.name}: more than {_MOST_ROWS} rows")
    tried = [_titles(row) for row in sheet.rows[:_HEADER_WITHIN]]
    for n, titles in enumerate(tried):
        if not _missing(titles):
            fields = [field for field, _ in titles]
            twice = next((field for field in fields if fields.count(field) > 1), None)
            if twice is not None:
                raise NotAStandardsSheet(f"sheet {sheet.name}: row {n + 1} names {_TITLES.get(twice, '备注')} twice")
            return n, dict(titles)
    missing = min((_missing(titles) for titles in tried), key=len, default=list(COLUMNS))
    raise NotAStandardsSheet(f"sheet {sheet.name}: no header: column {', '.join(missing)} is missing")


def _titles(row: Sequence[Cell]) -> list[tuple[str, int]]:
    known = COLUMNS | _OTHER_TITLES | _NOTE
    plain = ("".join(cell.text.split()) for cell in row)
    return [(known[title], n) for n, title in enumerate(plain) if title in known]


def _missing(titles: Sequence[tuple[str, int]]) -> list[str]:
    named = {field for field, _ in titles}
    return [title for title, field in COLUMNS.items() if field not in named]


def _filled(sheet: Sheet, header: int, columns: Mapping[str, int]) -> Iterator[_Row]:
    """Each row that says something, with what it leaves to the rows above filled in."""
    above: _Row | None = None
    for n in range(header + 1, len(sheet.rows)):
        row = {name: _value(sheet, header, n, column) for name, column in columns.items()}
        if any(value.text or value.fault for value in row.values() if value.row == n):
            if above is not None:
                row |= {name: above[name] for name in _carried(row, above, by_blank=sheet.merged is None)}
            yield row
            above = row


def _value(sheet: Sheet, header: int, row: int, column: int) -> _Value:
    source = row if sheet.merged is None else sheet.merged.get((row, column), row)
    if source <= header:
        return _Value(row)
    cells = sheet.rows[source]
    cell = cells[column] if column < len(cells) else Cell()
    return _Value(source, cell.text.strip(), cell.fault)


def _carried(row: _Row, above: _Row, *, by_blank: bool) -> Iterator[str]:
    """The fields that a row takes from the row above: those it leaves empty and that still hold there."""

    def same(names: frozenset[str]) -> bool:
        return all(not row[name].text or row[name].text == above[name].text for name in names)

    holds: set[str] = set()
    if same(_BIG):
        holds |= _BIG | _WHO
        if same(_SMALL):
            holds |= _SMALL | (_END if by_blank else frozenset())
    return (name for name in sorted(holds) if not row[name].text and not row[name].fault)


def _faults(row: _Row, columns: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for name in columns:
        value = row[name]
        reason = value.fault or _wrong(name, value.text)
        if reason:
            yield name, reason


def _wrong(name: str, text: str) -> str | None:
    if not text:
        return None if name == "note" else f"{_TITLES[name]} is empty"
    if any(ord(letter) < 32 and letter not in "\t\n\r" for letter in text):
        return "holds a control character"
    if name in _CODES:
        plain = len(text) <= _LONGEST_CODE and text.isascii() and all(c.isalnum() or c in "_.:-" for c in text)
        return None if plain else f"{text[:30]!r} is no code: 1 to {_LONGEST_CODE} Latin letters, digits and _ . : -"
    if len(text) > (longest := _LONGEST.get(name, _LONGEST_NAME)):
        return f"is longer than {longest} characters"
    return _limit_fault(text) if name == "limit" else None


def _limit_fault(text: str) -> str | None:
    try:
        read_limit(text)
    except BadLimit as problem:
        return str(problem)
    return None


@dataclass(slots=True)
class _Seen:
    """What earlier rows have said, and in which row (from 0)."""

    names: dict[tuple[str, ...], tuple[str, int]] = field(default_factory=dict)
    conditions: dict[tuple[str, ...], int] = field(default_factory=dict)


def _contradictions(row: _Row, seen: _Seen) -> Iterator[tuple[str, str]]:
    """What a row says otherwise than an earlier one, or again."""
    big, small = row["big_code"].text, row["small_code"].text
    for code, name in (((big,), "big_name"), ((big, small), "small_name")):
        said, where = seen.names.setdefault(code, (row[name].text, row[name].row))
        if said != row[name].text:
            yield name, f"{code[-1]} is {said[:30]!r} in row {where + 1}"
    case = (big, small, row["condition"].text, row["close_condition"].text)
    if case in seen.conditions:
        yield "condition", f"stands in row {seen.conditions[case] + 1} already, with the same closing condition"
    seen.conditions.setdefault(case, row["condition"].row)


def _standard(row: _Row) -> Standard:
    texts = {name: value.text for name, value in row.items() if name != "limit"}
    limit: Limit = read_limit(row["limit"].text)
    return Standard(row=row["condition"].row + 1, limit=limit, limit_text=row["limit"].text, **texts)
