"""Two sensors compared: a drop between two pressure points, a level upstream and downstream."""

from __future__ import annotations

from typing import Any

from rules.statistic.exact import MILLION, millionths
from rules.statistic.moment import rfc3339


class Difference:
    """The newest value of the first input (``a``) minus that of the second (``b``); not known before both have spoken and
    while their times lie more than ``apart_s`` apart.
    """

    __slots__ = ("_apart_us", "_newest")

    def __init__(self, apart_s: float) -> None:
        self._apart_us = round(apart_s * MILLION)
        self.forget()

    def take(self, at_us: int, value: float, place: int = 0) -> float | None:
        self._newest[place] = (at_us, millionths(value))
        a, b = self._newest
        if a is None or b is None or abs(a[0] - b[0]) > self._apart_us:
            return None
        return (a[1] - b[1]) / MILLION

    def forget(self) -> None:
        self._newest: list[tuple[int, int] | None] = [None, None]

    def frozen(self) -> Any:
        return [None if reading is None else list(reading) for reading in self._newest]

    def thaw(self, frozen: Any) -> None:
        if not isinstance(frozen, list) or len(frozen) != 2:
            raise ValueError("not the readings of a pair")
        self._newest = [_reading(found) for found in frozen]

    def why(self) -> dict[str, Any]:
        named = zip("ab", self._newest, strict=True)
        return {name: {"at": rfc3339(r[0]), "value": r[1] / MILLION} for name, r in named if r is not None}


def _reading(frozen: Any) -> tuple[int, int] | None:
    match frozen:
        case None:
            return None
        case [int(at_us), int(value)]:
            return at_us, value
        case _:
            raise ValueError("not a reading")
