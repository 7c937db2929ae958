"""Statistics: what a rule judges, made from what its subject reports. One file for each kind.

A statistic belongs to one slot (a rule on a subject), takes readings in event-time order, and remembers no more than its
kind needs. The value itself needs none: thresholds meet readings directly.
"""

from __future__ import annotations

from typing import Any, Protocol


class Statistic(Protocol):
    """One slot's statistic. Times are epoch microseconds (UTC), never going back."""

    def take(self, at_us: int, value: float, place: int = 0) -> float | None:
        """The statistic after one more reading; None while it is not known.

        ``place`` says which of the slot's inputs the reading is of: 0, 1, … in the order in which the layout lists them.
        The same reading given twice in a row changes nothing.
        """

    def forget(self) -> None:
        """Begin anew: a gap came that resets."""

    def frozen(self) -> Any:
        """All it remembers, as plain values that msgspec can write."""

    def thaw(self, frozen: Any) -> None:
        """Take what ``frozen`` gave. Raises ValueError when it does not fit."""

    def why(self) -> dict[str, Any]:
        """What it computed from, for people: plain JSON values."""
