"""From cells to standards: what is filled in, what is refused, and where it is said to stand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.standard.sheet import Cell, NotAStandardsSheet, Sheet, cell_name, read_standards
from command_center.standard.standard import Standard
from command_center.ticket.clock import Limit, Unit
from tests.command_center.standard.workbooks import BURST, ROAD, ROWS, TITLES, WATER, changed


def sheet(*rows: Sequence[str], merged: dict[tuple[int, int], int] | None = None) -> Sheet:
    return Sheet("事件", [[Cell(text) for text in row] for row in rows], merged)


def faults(*rows: Sequence[str], merged: dict[tuple[int, int], int] | None = None) -> list[str]:
    return [str(fault) for fault in read_standards(sheet(TITLES, *rows, merged=merged)).faults]


def brief(standards: Sequence[Standard]) -> list[tuple[str, str, str]]:
    return [(own.small_code, own.condition, own.limit_text) for own in standards]


WHOLE = [("0501", "漏水", "1紧急工作时"), ("0501", "路面损坏", "5工作日"), ("0506", "积水", "2紧急工作时")]


def test_every_condition_of_a_small_class_has_its_own_limit() -> None:
    found = read_standards(sheet(TITLES, *ROWS))
    assert found.faults == ()
    assert brief(found.standards) == WHOLE
    assert found.standards[0] == Standard(
        2, *BURST[:6], "漏水", "止水", limit=Limit(1, Unit.CONTINUOUS), limit_text="1紧急工作时"
    )


def test_columns_may_stand_in_any_order_below_a_title_and_among_others() -> None:
    order = (8, 0, 2, 1, 3, 5, 4, 7, 6)
    rows = [("", *(row[n] for n in order), "看看", "x") for row in (TITLES, *ROWS)]
    rows[0] = (*rows[0][:-2], "备注", "其他")
    found = read_standards(sheet(("某市立案结案标准",), (), *rows))
    assert found.faults == ()
    assert brief(found.standards) == WHOLE
    assert (found.standards[0].row, found.standards[0].note) == (4, "看看")


def test_in_a_csv_empty_cells_are_those_of_the_row_above() -> None:
    rows = (
        BURST,
        ("", "", "", "", "", "", "路面损坏", "修复", "5工作日"),
        ("", "", "", "", "", "", "阻断交通", "", ""),
        ("", "", "0506", "道路积水", "", "", "积水", "排除", "2紧急工作时"),
    )
    found = read_standards(sheet(TITLES, *rows))
    assert found.faults == ()
    assert brief(found.standards) == [*WHOLE[:2], ("0501", "阻断交通", "5工作日"), WHOLE[2]]
    assert {(own.big_name, own.handling_unit) for own in found.standards} == {("突发事件", "供水企业")}


def test_a_limit_is_never_taken_from_another_small_class_nor_a_unit_from_another_big_one() -> None:
    assert faults(BURST, changed(WATER, I="")) == ["I3: 处置时限 is empty"]
    assert faults(BURST, changed(WATER, A="06", B="其他", E="", F="")) == [
        "E3: 处置单位 is empty",
        "F3: 主管部门 is empty",
    ]
    assert faults(BURST, changed(WATER, A="06", B="")) == ["B3: 大类名称 is empty"]
    assert faults(BURST, changed(WATER, D="")) == ["D3: 小类名称 is empty"]


def test_in_a_workbook_a_limit_holds_below_only_where_its_cell_is_merged() -> None:
    below = changed(ROAD, H="", I="")
    assert faults(BURST, below, merged={}) == ["H3: 结案条件 is empty", "I3: 处置时限 is empty"]
    found = read_standards(sheet(TITLES, BURST, below, merged={(2, 7): 1, (2, 8): 1}))
    assert found.faults == ()
    assert brief(found.standards)[1] == ("0501", "路面损坏", "1紧急工作时")


def test_one_condition_may_have_several_stages_when_its_cell_is_merged() -> None:
    stages = (BURST, changed(BURST, G="", H="修复", I="5工作日"))
    found = read_standards(sheet(TITLES, *stages, merged={(2, 6): 1}))
    assert brief(found.standards) == [("0501", "漏水", "1紧急工作时"), ("0501", "漏水", "5工作日")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (changed(ROAD, I="soon"), "I3: 'soon' is no limit"),
        (changed(ROAD, I="0天"), "I3: '0天' must be more than 0"),
        (changed(ROAD, G=""), "G3: 立案条件 is empty"),
        (changed(ROAD, C="05 01"), "C3: '05 01' is no code"),
        (changed(ROAD, C="9" * 41), "C3: "),
        (changed(ROAD, A="零五", B="突发"), "A3: '零五' is no code"),
        (changed(ROAD, D="别的"), "D3: 0501 is '供水管道破裂' in row 2"),
        (changed(ROAD, B="别的"), "B3: 05 is '突发事件' in row 2"),
        (BURST, "G3: stands in row 2 already"),
        (changed(ROAD, G="x" * 2001), "G3: is longer than 2000"),
        (changed(ROAD, G="a\x00b"), "G3: holds a control character"),
    ],
)
def test_a_wrong_cell_is_named_and_stops_no_other_row(row: Sequence[str], reason: str) -> None:
    found = read_standards(sheet(TITLES, BURST, row, WATER))
    assert [str(fault).startswith(reason) for fault in found.faults] == [True], found.faults
    assert brief(found.standards) == [WHOLE[0], WHOLE[2]]


def test_a_wrong_limit_that_holds_for_several_rows_is_said_once_and_spoils_them_all() -> None:
    rows = (changed(BURST, I="soon"), ("", "", "", "", "", "", "路面损坏", "修复", ""), WATER)
    found = read_standards(sheet(TITLES, *rows))
    assert [str(fault)[:3] for fault in found.faults] == ["I2:"]
    assert brief(found.standards) == [WHOLE[2]]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ((), "no header: column 大类代码"),
        ((("a", "b"),), "no header: column 大类代码"),
        ((TITLES[:-1], BURST), "no header: column 处置时限 is missing"),
        (((*TITLES, "处理时限"), BURST), "names 处置时限 twice"),
        ((TITLES,), "no row below"),
        ((TITLES, ("", " "), ()), "no row below"),
    ],
)
def test_what_is_no_sheet_of_standards_is_refused(rows: Sequence[Sequence[str]], reason: str) -> None:
    with pytest.raises(NotAStandardsSheet, match=reason):
        read_standards(sheet(*rows))


@pytest.mark.parametrize(("row", "column", "name"), [(0, 0, "A1"), (6, 4, "E7"), (9, 25, "Z10"), (0, 26, "AA1")])
def test_a_cell_is_named_as_a_spreadsheet_names_it(row: int, column: int, name: str) -> None:
    assert cell_name(row, column) == name


@given(
    st.lists(st.lists(st.sampled_from(("", "05", "0501", "名", "2天", "x", "\x00")), max_size=12), max_size=8),
    st.dictionaries(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.integers(0, 9), max_size=5),
)
def test_whatever_stands_below_the_header_every_row_is_taken_or_named(
    rows: list[list[str]], merged: dict[tuple[int, int], int]
) -> None:
    leading = {(row, column): source for (row, column), source in merged.items() if source < row}
    for covered in (None, leading):
        try:
            found = read_standards(sheet(TITLES, *rows, merged=covered))
        except NotAStandardsSheet:
            continue
        assert found.standards or found.faults
