"""What a rule of a pack does, by example: readings or events in, the alerts that must come of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from rules.rule import Closed, Name, Severity, Text

MOST_READINGS: Final = 1_000

Second: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=400 * 86_400)]


class Run(Closed, frozen=True):
    """The same value every ``every_s`` seconds from ``from_s`` to ``to_s``, both included."""

    from_s: Second
    to_s: Second
    every_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)]
    value: float

    def __len__(self) -> int:
        return max(0, int((self.to_s - self.from_s) // self.every_s) + 1)


Told: TypeAlias = Annotated[tuple[float, ...], msgspec.Meta(min_length=2, max_length=4)]
"""One reading, written ``[second, value]``, or ``[second, value, lng, lat]`` from something that moves."""


class Part(Closed, frozen=True):
    """One of several sensors. ``east_m``: how far east of the first it stands (in the same cell when not given)."""

    sensor: Text
    quantity: Name
    readings: tuple[Told | Run, ...]
    east_m: Annotated[float, msgspec.Meta(ge=-100_000, le=100_000)] | None = None


class Happening(Closed, frozen=True):
    """One event: what a camera saw until now (``kind``, ``score``, ``zones``), or for count rules what they count, ``east_m``
    metres east of the first. Events of one ``key`` are the same matter.
    """

    at_s: Second
    key: Text
    kind: Name | None = None
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.9
    zones: tuple[str, ...] = ()
    phase: Literal["new", "update", "end"] = "new"
    since_s: Second | None = None
    east_m: Annotated[float, msgspec.Meta(ge=-100_000, le=100_000)] = 0.0


class Expected(Closed, frozen=True):
    """An alert that must come: when raised, its highest severity, and when it ended (not given: it is still open)."""

    at_s: Second
    severity: Severity
    ended_s: Second | None = None


class Example(Closed, frozen=True, kw_only=True):
    """Seconds count from ``start``. Without ``alerts`` the rule must stay quiet. ``until_s``: how long the clock goes on after
    the last reading (not given: not at all).
    """

    rule: Name
    name: Text
    start: datetime = datetime.fromisoformat("2026-07-01T10:00:00+08:00")
    interval_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 60.0
    readings: tuple[Told | Run, ...] = ()
    parts: tuple[Part, ...] = ()
    events: tuple[Happening, ...] = ()
    until_s: Second | None = None
    alerts: tuple[Expected, ...] = ()

    def size(self) -> int:
        """How many readings it has."""
        told = [told for readings in (self.readings, *(part.readings for part in self.parts)) for told in readings]
        return sum(len(each) if isinstance(each, Run) else 1 for each in told)
