"""Limits as people write them."""

from __future__ import annotations

import pytest

from command_center.standard.standard import BadLimit, read_limit
from command_center.ticket.clock import Limit, Unit


@pytest.mark.parametrize(
    ("written", "amount", "unit"),
    [
        ("2紧急工作时", 2, Unit.CONTINUOUS),
        ("4小时", 4, Unit.WORKING_HOURS),
        ("4工作时", 4, Unit.WORKING_HOURS),
        ("0.5 小时", 0.5, Unit.WORKING_HOURS),
        ("5天", 5, Unit.WORKING_DAYS),
        ("1工作日", 1, Unit.WORKING_DAYS),
        ("15个工作日", 15, Unit.WORKING_DAYS),
        ("7自然日", 7, Unit.NATURAL_DAYS),
        ("3紧急工作日", 3, Unit.NATURAL_DAYS),
        ("\u3000２ 紧急工作时 ", 2, Unit.CONTINUOUS),
    ],
)
def test_a_limit_is_understood_as_the_sheets_write_it(written: str, amount: float, unit: Unit) -> None:
    assert read_limit(written) == Limit(amount, unit)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "2",
        "天",
        "0天",
        "-1天",
        "两天",
        "2周",
        "2天以内",
        "367天",
        "9000小时",
        "1e3天",
        "nan天",
        "٣天",
        "9999999天",
        "天2",
    ],
)
def test_anything_else_is_refused(written: str) -> None:
    with pytest.raises(BadLimit):
        read_limit(written)


def test_two_limits_in_one_cell_are_asked_for_in_two_rows() -> None:
    with pytest.raises(BadLimit, match="a row of its own"):
        read_limit("1紧急工作时；5工作日")
