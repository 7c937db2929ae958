"""Files as they come: dirty ones are read, hostile ones are refused before they cost anything."""

from __future__ import annotations

import time
import zipfile
from contextlib import suppress
from datetime import date
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command_center.standard.sheet import NotAStandardsSheet, read_standards
from command_center.standard.workbook import read_sheets
from tests.command_center.standard.workbooks import BURST, ROAD, ROWS, TITLES, WATER, changed, table, workbook

SHEET = "xl/worksheets/sheet1.xml"


def limits(path: Path) -> list[tuple[str, str]]:
    [sheet] = read_sheets(path)
    found = read_standards(sheet)
    assert found.faults == ()
    return [(own.small_code, own.limit_text) for own in found.standards]


WHOLE = [("0501", "1紧急工作时"), ("0501", "5工作日"), ("0506", "2紧急工作时")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_csv_is_read_in_the_encodings_that_people_save(tmp_path: Path, encoding: str) -> None:
    assert limits(table(tmp_path / "a.csv", (TITLES, *ROWS), encoding)) == WHOLE


def test_a_row_of_a_csv_is_a_row_of_the_spreadsheet_however_many_lines_it_has(tmp_path: Path) -> None:
    two_lines = changed(BURST, G='"漏水\n或冒水"')
    [sheet] = read_sheets(table(tmp_path / "a.csv", (TITLES, two_lines, changed(ROAD, I="soon"))))
    assert [str(fault)[:3] for fault in read_standards(sheet).faults] == ["I3:"]


def test_merged_cells_of_a_workbook_hold_for_the_rows_they_span(tmp_path: Path) -> None:
    empty = changed(ROAD, A=None, B=None, C=None, D=None, E=None, F=None, I=None)
    merged = [f"{letter}2:{letter}3" for letter in "ABCDEFI"]
    found = limits(workbook(tmp_path / "a.xlsx", (TITLES, BURST, empty, WATER), merged))
    assert found == [WHOLE[0], ("0501", "1紧急工作时"), WHOLE[2]]


def test_a_code_kept_as_a_number_has_the_zeros_that_its_format_shows(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", (TITLES, changed(BURST, A=5, C=501)))
    book = openpyxl.load_workbook(path)
    book.active["A2"].number_format = "00"
    book.active["C2"].number_format = "0000"
    book.save(path)
    assert limits(path) == [WHOLE[0]]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("=1+1", "holds a formula"),
        (date(2026, 1, 2), "holds a datetime"),
        (True, "holds a bool"),
        (2, "'2' is no limit"),
    ],
)
def test_a_cell_that_is_no_text_is_named(tmp_path: Path, value: object, reason: str) -> None:
    [sheet] = read_sheets(workbook(tmp_path / "a.xlsx", (TITLES, changed(BURST, I=value))))
    [fault] = read_standards(sheet).faults
    assert str(fault).startswith(f"I2: {reason}")


def _with_part(path: Path, name: str, content: bytes) -> Path:
    """The workbook with one of its parts replaced."""
    with zipfile.ZipFile(path) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()} | {name: content}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, held in parts.items():
            archive.writestr(part, held)
    return path


def _read(path: Path) -> None:
    for sheet in read_sheets(path):
        read_standards(sheet)


def _refused(path: Path) -> str:
    begun = time.process_time()
    with pytest.raises(NotAStandardsSheet) as refused:
        _read(path)
    assert time.process_time() - begun < 10
    return str(refused.value)


HEAD = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (HEAD + b" " * (40 << 20) + b"</sheetData></worksheet>", "unpacks to more than 32 MiB"),
        (HEAD + b"<row>" + b"<c/>" * 1_500_000 + b"</row></sheetData></worksheet>", "far more cells"),
        (
            HEAD
            + b"<row/>" * 25_000
            + b'<row r="25001"><c r="A25001" t="str"><v>x</v></c></row></sheetData></worksheet>',
            "",
        ),
        (HEAD + b'<row r="1048576"><c r="XFD1048576" t="str"><v>x</v></c></row></sheetData></worksheet>', ""),
        (HEAD + b'</sheetData><mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells></worksheet>', "no header"),
        (HEAD + b'</sheetData><mergeCells><mergeCell ref="nonsense"/></mergeCells></worksheet>', "not a readable"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + HEAD + b"</sheetData></worksheet>", "declares entities"),
        (b"not xml", "not a readable .xlsx"),
        (b"", "not a readable .xlsx"),
    ],
    ids=["bomb", "cells", "rows", "far-away", "merged", "reference", "entities", "no-xml", "empty"],
)
def test_a_hostile_workbook_is_refused_quickly(tmp_path: Path, part: bytes, reason: str) -> None:
    assert reason in _refused(_with_part(workbook(tmp_path / "a.xlsx", (TITLES, *ROWS)), SHEET, part))


def test_merged_cells_that_lie_over_each_other_are_refused(tmp_path: Path) -> None:
    rows = b"".join(b'<row r="%d"><c r="A%d" t="str"><v>x</v></c></row>' % (n, n) for n in range(1, 15_000))
    merged = b"<mergeCells>" + b'<mergeCell ref="A1:A20000"/>' * 1000 + b"</mergeCells>"
    path = workbook(tmp_path / "a.xlsx", (TITLES, *ROWS))
    assert "lie over each other" in _refused(
        _with_part(path, SHEET, HEAD + rows + b"</sheetData>" + merged + b"</worksheet>")
    )


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.xlsx", b"\xd0\xcf\x11\xe0rest", "old .xls"),
        ("a.xlsx", b"PK\x03\x04rubbish", "not a readable .xlsx"),
        ("a.xlsx", b"", "not a readable .xlsx"),
        ("a.csv", b"", "no header"),
        ("a.csv", b"\xff\xfe\x00\xd8", "neither UTF-8 nor GB 18030"),
        ("a.csv", b'"open', "not a CSV table"),
        ("a.csv", b"a" * (9 << 20), "larger than 8 MiB"),
    ],
)
def test_what_is_no_spreadsheet_is_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert reason in _refused(path)


def test_a_folder_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    assert "directory" in _refused(tmp_path)
    assert "no such file" in _refused(tmp_path / "nowhere.xlsx")


def test_a_workbook_without_a_sheet_is_refused(tmp_path: Path) -> None:
    main = b'<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheets/></workbook>'
    path = _with_part(workbook(tmp_path / "a.xlsx", (TITLES, *ROWS)), "xl/workbook.xml", main)
    assert "there is no sheet" in _refused(path)


_PLACE = st.floats(0, 1, exclude_max=True)


@given(
    st.booleans(),
    st.lists(st.tuples(_PLACE, st.integers(0, 255) | st.sampled_from(b'<>/"=x0 9')), min_size=1, max_size=4),
    _PLACE,
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_workbook_is_read_or_refused_and_nothing_else(
    tmp_path: Path, packed: bool, damage: list[tuple[float, int]], where: float
) -> None:
    path = workbook(tmp_path / "a.xlsx", (TITLES, *ROWS), ["A2:A3"])
    with zipfile.ZipFile(path) as archive:
        name = archive.namelist()[int(where * len(archive.namelist()))]
        content = bytearray(path.read_bytes() if packed else archive.read(name))
    for place, value in damage:
        content[int(place * len(content))] = value
    if packed:
        path.write_bytes(content)
    else:
        _with_part(path, name, bytes(content))
    with suppress(NotAStandardsSheet):
        _read(path)
