"""Readings held back until they can be put in order.

A reading waits until one is there that is more than the bound younger: by then every older one that is within the bound has
come. What comes still later than the last that went on cannot be put in order any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

from shapely import Polygon

from gis.locate import CellPlace
from rules.slots import ENDLESS, NEVER, covers


class Held(NamedTuple):
    """A reading that waits; ordered by time, then by what it says, so that the order of arrival is forgotten.

    ``at_us`` is the time that counts, ``sent_at_us`` the one that it came with; ``n`` tells apart what is else the same.
    """

    at_us: int
    value: float
    key: int
    sent_at_us: int
    n: int
    received_us: int
    by_receipt: bool
    lng: float
    lat: float
    spot: CellPlace | None

    def cause(self, row: int) -> str:
        return f"{self.key}\0{self.sent_at_us}"

    def place(self, row: int) -> CellPlace | None:
        return self.spot

    def inside(self, area: Polygon, row: int) -> bool | None:
        return None if self.lng != self.lng else bool(covers(area, self.lng, self.lat))


@dataclass
class HoldBack:
    """The waiting readings of one stream. ``newest_us``: the youngest time that came, ``by_receipt``: it is a time of
    receipt; ``count``: how many came.
    """

    newest_us: int = NEVER
    by_receipt: bool = False
    count: int = 0
    waiting: list[Held] = field(default_factory=list)

    def push(self, held: Held, disorder_us: int) -> Iterator[Held]:
        """Take one more; the readings that nothing older within the bound can precede any more, in order."""
        self.count += 1
        heappush(self.waiting, held._replace(n=self.count))
        if held.at_us >= self.newest_us:
            self.newest_us, self.by_receipt = held.at_us, held.by_receipt
        return self.pop(self.newest_us - disorder_us)

    def pop(self, before_us: int = ENDLESS) -> Iterator[Held]:
        """The readings older than ``before_us``, in order."""
        while self.waiting and self.waiting[0].at_us < before_us:
            yield heappop(self.waiting)

    def stepped(self, delta_us: int) -> None:
        """The clock of receipt stepped: what counts by it moves along."""
        if self.by_receipt:
            self.newest_us += delta_us
        moved = [held._replace(at_us=held.at_us + delta_us) if held.by_receipt else held for held in self.waiting]
        self.waiting = sorted(moved)
