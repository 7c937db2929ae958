"""A standard of filing and closing (立案、结案标准): one filing condition of a small class, with its own limit.

A small class (小类) has several of them: the same burst pipe must be stopped within an hour and repaired within five working
days. Codes are texts: they differ in length and scheme from city to city, and their leading zeros count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from command_center.ticket.clock import Limit, Unit


@dataclass(frozen=True, slots=True)
class Standard:
    """One filing condition. ``row`` is where it stood in the sheet, ``limit_text`` the limit as it was written there."""

    row: int
    big_code: str
    big_name: str
    small_code: str
    small_name: str
    handling_unit: str
    department: str
    condition: str
    close_condition: str
    limit: Limit
    limit_text: str
    note: str = ""


class BadLimit(ValueError):
    """A limit that cannot be understood; the message says what one looks like."""


# The sheets write 小时 and 天 where they mean office time; 紧急 makes either of them run day and night.
_UNITS: Final = {
    "紧急工作时": Unit.CONTINUOUS,
    "紧急工作小时": Unit.CONTINUOUS,
    "工作时": Unit.WORKING_HOURS,
    "工作小时": Unit.WORKING_HOURS,
    "小时": Unit.WORKING_HOURS,
    "时": Unit.WORKING_HOURS,
    "工作日": Unit.WORKING_DAYS,
    "工作天": Unit.WORKING_DAYS,
    "天": Unit.WORKING_DAYS,
    "日": Unit.WORKING_DAYS,
    "自然日": Unit.NATURAL_DAYS,
    "自然天": Unit.NATURAL_DAYS,
    "日历天": Unit.NATURAL_DAYS,
    "紧急工作日": Unit.NATURAL_DAYS,
}
_WRITTEN: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*个?\s*([^0-9]+)")
_NARROW: Final = {ord("０") + n: str(n) for n in range(10)} | {ord("．"): ".", ord("\u3000"): " "}
_MOST: Final = {Unit.CONTINUOUS: 8784, Unit.WORKING_HOURS: 8784, Unit.WORKING_DAYS: 366, Unit.NATURAL_DAYS: 366}


def read_limit(written: str) -> Limit:
    """A limit such as 2紧急工作时, 4小时, 5天, 1工作日 or 7自然日. Raises BadLimit."""
    plain = written.translate(_NARROW).strip()
    found = _WRITTEN.fullmatch(plain)
    unit = _UNITS.get(found[2].strip()) if found else None
    if found is None or unit is None:
        several = len(re.findall(r"[0-9]+\s*个?\s*[^0-9.\s]", plain)) > 1
        also = ": give every filing condition a row of its own" if several else ""
        raise BadLimit(f"{written[:30]!r} is no limit such as 2紧急工作时, 4工作时, 5工作日 or 7自然日{also}")
    amount = float(found[1])
    if not 0 < amount <= _MOST[unit]:
        raise BadLimit(f"{written[:30]!r} must be more than 0 and at most {_MOST[unit]}")
    return Limit(amount, unit)
