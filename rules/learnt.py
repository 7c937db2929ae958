"""What rules of the kind ``deviation`` remember, and how they score readings: many sensors at a time, one reading of each.

A slot's record is bounded: what rules.anomaly knows of its sensor, how many days it has learnt, and its last reading.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from rules import anomaly
from rules.anomaly import HIGH, LOW, SENSOR, Reason
from rules.slots import NEVER, SECOND_US, Learners

Numbers = npt.NDArray[Any]

VERSION: Final = 1
"""Of a frozen record; another one when the shape or the meaning of RECORD changes."""
RECORD: Final = np.dtype(
    [
        ("sensor", SENSOR),
        ("at_us", "i8"),  # the last reading,
        ("value", "f8"),
        ("score", "f8"),  # and what was found of it, NaN when not known
        ("day", "i8"),  # local, counted from 1970-01-01
        ("days", "i8"),  # different ones in a row that were learnt, this one included
    ]
)

_DAY_S: Final = 86_400
_QUARTER_US: Final = 900 * SECOND_US


class OtherRecord(ValueError):
    """What was frozen is not what is remembered today."""


class Scored(NamedTuple):
    """Of each reading its score, NaN while it is not known; by row, the reasons of those that reach their first level."""

    score: Numbers
    reasons: dict[int, Reason]


def fresh(rows: int) -> Numbers:
    """Records that know nothing."""
    found = np.zeros(rows, RECORD)
    found["sensor"] = anomaly.fresh(rows)
    found["at_us"] = found["day"] = NEVER
    found["score"] = np.nan
    return found


def take(records: Numbers, learners: Learners, rows: Numbers, at_us: Numbers, values: Numbers, zone: tzinfo) -> Scored:
    """Score one reading each of different rows by what came before, then learn it; ``records`` are changed in place.

    A reading given twice in a row is learnt once and gets the same score.
    """
    new = (records["at_us"][rows] != at_us) | (records["value"][rows] != values)
    row, reasons = rows[new], {}
    if len(row):
        at_s = local_s(at_us[new], zone)
        day = at_s // _DAY_S
        records["days"][row] += records["day"][row] != day
        records["day"][row] = day
        found = anomaly.judge(records["sensor"], row, at_s, values[new], learners.least_spread[row])
        asked = learners.side[row]
        side = np.where((asked == "below") | ((asked == "either") & found.lower), LOW, HIGH)
        score = found.by_side[np.arange(len(row)), side]
        score[records["days"][row] <= learners.least_days[row]] = np.nan
        for place in np.flatnonzero(score >= learners.first[row]).tolist():
            reasons[int(row[place])] = found.reason(place, int(side[place]))
        records["at_us"][row], records["value"][row], records["score"][row] = at_us[new], values[new], score
    return Scored(records["score"][rows], reasons)


def local_s(at_us: Numbers, zone: tzinfo) -> Numbers:
    """The wall clock in seconds. No zone turns its clocks but at a quarter of an hour."""
    quarters, place = np.unique(at_us // _QUARTER_US, return_inverse=True)
    starts = [datetime.fromtimestamp(quarter * 900, zone).utcoffset() for quarter in quarters.tolist()]
    offset = np.array([0.0 if start is None else start.total_seconds() for start in starts])
    return np.asarray(at_us // SECOND_US + offset[place].astype("i8"))


def known(records: Numbers) -> list[int]:
    """The rows that have learnt something."""
    found: list[int] = np.flatnonzero(records["sensor"]["n"]).tolist()
    return found


def frozen(records: Numbers, row: int) -> list[Any]:
    """A record as plain values."""
    return [VERSION, records[row].tobytes()]


def thaw(records: Numbers, row: int, found: Any) -> None:
    """Take what ``frozen`` gave. Raises OtherRecord."""
    match found:
        case [version, bytes(record)] if version == VERSION and len(record) == RECORD.itemsize:
            records[row] = np.frombuffer(record, RECORD)[0]
        case _:
            raise OtherRecord("not a record of what is usual")
