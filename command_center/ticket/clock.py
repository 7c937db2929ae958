"""The clock of deadlines: how long a limit really is, between an instant when it begins to count and the instant it is used up.

A limit is an amount in one of four units.

- ``continuous`` (紧急工作时): hours; nights, weekends and holidays count.
- ``working_hours`` (工作时): hours in which the offices are open. Filed outside them, it begins with the next opening.
- ``working_days`` (工作日): one is as much office time as a whole workday holds. Filed on a Monday at 17:30, one working day
  is used up on Tuesday at 17:30; filed on Monday at 20:00 or on Sunday, at Tuesday's or Monday's closing. So the filing hour
  costs nobody part of a day and gives nobody one, and days, half days and hours add up. A city that reckons the last day whole
  (期间最后一日, until closing) sets ``working_day_ends: closing``: the end is then moved to the closing of that day. Which of
  the two an authority means is not stated in the tables seen: editable, unverified.
- ``natural_days`` (自然日, 紧急工作日): 24 hours each, whatever day it is.

Everything is counted in whole microseconds, so what people write comes back exactly: ``spent(start, due(start, limit))`` is the
limit (with ``closing`` at least that). Instants are aware; office hours and days are those of the city's time zone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import accumulate, pairwise
from typing import Final
from zoneinfo import ZoneInfo

from command_center.work_calendar import WorkCalendar

_HOUR: Final = 3_600_000_000
_DAY: Final = 24 * _HOUR
_US: Final = timedelta(microseconds=1)
_MIDNIGHT: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Unit(StrEnum):
    """What an amount of a limit is counted in."""

    CONTINUOUS = "continuous"
    WORKING_HOURS = "working_hours"
    WORKING_DAYS = "working_days"
    NATURAL_DAYS = "natural_days"


WORKING: Final = frozenset({Unit.WORKING_HOURS, Unit.WORKING_DAYS})
"""The units that stand still while the offices are closed: a change of the calendar moves their deadlines."""


@dataclass(frozen=True, slots=True)
class Limit:
    """An amount of time that may be taken, in its unit."""

    amount: float
    unit: Unit


class BadOfficeHours(ValueError):
    """Opening and closing times that no day can have."""


@dataclass(frozen=True)
class OfficeHours:
    """When offices are open on a workday: spans of local time in order, the end excluded. Raises BadOfficeHours."""

    spans: tuple[tuple[time, time], ...]
    day_ends_at_closing: bool = False
    _opened: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _done: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        edges = [_of_day(moment) for span in self.spans for moment in span]
        if not edges or any(a >= b for a, b in pairwise(edges)):
            raise BadOfficeHours("office hours must be spans one after the other, such as 08:00-12:00 and 14:00-18:00")
        lengths = [closes - opens for opens, closes in zip(edges[::2], edges[1::2], strict=True)]
        object.__setattr__(self, "_opened", tuple(edges[::2]))
        object.__setattr__(self, "_done", tuple(accumulate(lengths)))

    @property
    def day_us(self) -> int:
        """Office time of a whole workday, microseconds."""
        return self._done[-1]

    def done_us(self, moment: time) -> int:
        """Office time of a workday that is over at a time of day, microseconds."""
        at, before = _of_day(moment), 0
        for opens, done in zip(self._opened, self._done, strict=True):
            if at <= opens:
                break
            before = min(done, before + at - opens)
        return before

    def moment(self, done_us: int) -> time:
        """The earliest time of day by which so much office time is over; more than 0, at most ``day_us``."""
        n = bisect_left(self._done, done_us)
        before = self._done[n - 1] if n else 0
        return (_MIDNIGHT + (self._opened[n] + done_us - before) * _US).time()


def _of_day(moment: time) -> int:
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000_000 + moment.microsecond


DEFAULT_ZONE: Final = ZoneInfo("Asia/Shanghai")
DEFAULT_HOURS: Final = OfficeHours(((time(8), time(12)), (time(14), time(18))))


@dataclass(frozen=True)
class Offices:
    """When the city's offices work: their hours, their calendar, their time zone."""

    zone: ZoneInfo = DEFAULT_ZONE
    hours: OfficeHours = DEFAULT_HOURS
    calendar: WorkCalendar = field(default_factory=WorkCalendar)


DEFAULT_OFFICES: Final = Offices()


def _unit_us(unit: Unit, offices: Offices) -> int:
    if unit is Unit.WORKING_DAYS:
        return offices.hours.day_us
    return _DAY if unit is Unit.NATURAL_DAYS else _HOUR


def due(start: datetime, limit: Limit, offices: Offices) -> datetime:
    """The earliest instant at which a limit that counts from ``start`` is used up, in UTC; ``start`` for nothing at all."""
    us = round(limit.amount * _unit_us(limit.unit, offices))
    if us <= 0:
        return start.astimezone(UTC)
    if limit.unit not in WORKING:
        return start.astimezone(UTC) + us * _US
    local = start.astimezone(offices.zone)
    day, hours = local.date(), offices.hours
    whole, rest = divmod(_done_on(day, local, offices) + us - 1, hours.day_us)
    last = (
        hours.spans[-1][1] if limit.unit is Unit.WORKING_DAYS and hours.day_ends_at_closing else hours.moment(rest + 1)
    )
    return datetime.combine(offices.calendar.workday(day, whole), last, offices.zone).astimezone(UTC)


def spent(start: datetime, until: datetime, unit: Unit, offices: Offices) -> float:
    """How much of a unit lies between two instants; 0 when ``until`` is not after ``start``."""
    if until <= start:
        return 0.0
    if unit not in WORKING:
        return (until - start) // _US / _unit_us(unit, offices)
    first, last = start.astimezone(offices.zone), until.astimezone(offices.zone)
    whole = offices.calendar.workdays(first.date(), last.date()) * offices.hours.day_us
    us = whole - _done_on(first.date(), first, offices) + _done_on(last.date(), last, offices)
    return us / _unit_us(unit, offices)


def _done_on(day: date, local: datetime, offices: Offices) -> int:
    return offices.hours.done_us(local.time()) if offices.calendar.is_workday(day) else 0


def extended(due_at: datetime, limit: Limit, offices: Offices) -> datetime:
    """The due time once the limit is granted again: it counts on from the old due time."""
    return due(due_at, limit, offices)


def resumed(due_at: datetime, paused_at: datetime, resumed_at: datetime, unit: Unit, offices: Offices) -> datetime:
    """The due time after a pause: what was left of the limit counts from the resumption. What was overdue stays so."""
    if paused_at >= due_at:
        return due_at
    return due(resumed_at, Limit(spent(paused_at, due_at, unit, offices), unit), offices)


def recounted(start: datetime, due_at: datetime, unit: Unit, before: Offices, after: Offices) -> datetime:
    """The due time of the same amount by another calendar. ``due_at`` is what the calendar ``before`` made of it."""
    if unit not in WORKING:
        return due_at
    return due(start, Limit(spent(start, due_at, unit, before), unit), after)


class Light(StrEnum):
    """How near a deadline is."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Shares:
    """At which share of the limit left the light turns amber, then red."""

    amber_left: float = 0.5
    red_left: float = 0.2


@dataclass(frozen=True, slots=True)
class Marks:
    """The instants at which a deadline turns amber, red and overdue."""

    amber_at: datetime
    red_at: datetime
    due_at: datetime

    def light(self, now: datetime) -> Light:
        """How near the deadline is now; overdue from the due time on."""
        passed: Sequence[tuple[datetime, Light]] = (
            (self.due_at, Light.OVERDUE),
            (self.red_at, Light.RED),
            (self.amber_at, Light.AMBER),
        )
        return next((light for at, light in passed if now >= at), Light.GREEN)


def marks(start: datetime, due_at: datetime, unit: Unit, shares: Shares, offices: Offices) -> Marks:
    """When a deadline turns amber and red, counted in its own unit: nothing turns while the offices are closed."""
    amount = spent(start, due_at, unit, offices)

    def left(share: float) -> datetime:
        # A part of a working day ends where it ends, also in a city that gives the last day whole.
        exact = replace(offices, hours=replace(offices.hours, day_ends_at_closing=False))
        return min(due_at, due(start, Limit(amount * (1 - share), unit), exact))

    return Marks(left(shares.amber_left), left(shares.red_left), due_at)
