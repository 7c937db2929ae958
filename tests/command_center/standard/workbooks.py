"""Sheets of standards for tests, as workbooks and as texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import openpyxl

TITLES = ("大类代码", "大类名称", "小类代码", "小类名称", "处置单位", "主管部门", "立案条件", "结案条件", "处置时限")
BURST = ("05", "突发事件", "0501", "供水管道破裂", "供水企业", "水利局", "漏水", "止水", "1紧急工作时")
ROAD = ("05", "突发事件", "0501", "供水管道破裂", "供水企业", "水利局", "路面损坏", "修复", "5工作日")
WATER = ("05", "突发事件", "0506", "道路积水", "排水单位", "水利局", "积水", "排除", "2紧急工作时")
ROWS = (BURST, ROAD, WATER)


def changed(row: Sequence[Any], **cells: Any) -> tuple[Any, ...]:
    """A row with some cells changed, named by their column letter."""
    made = list(row)
    for letter, value in cells.items():
        made[ord(letter) - ord("A")] = value
    return tuple(made)


def workbook(path: Path, rows: Iterable[Sequence[Any]], merged: Iterable[str] = (), title: str = "事件") -> Path:
    """An xlsx file of one sheet."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = title
    for row in rows:
        sheet.append(list(row))
    for reference in merged:
        sheet.merge_cells(reference)
    book.save(path)
    return path


def table(path: Path, rows: Iterable[Sequence[str]], encoding: str = "utf-8") -> Path:
    """A CSV file; cells hold neither comma nor quote."""
    path.write_bytes("\r\n".join(",".join(row) for row in rows).encode(encoding))
    return path
