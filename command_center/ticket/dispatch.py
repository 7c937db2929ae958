"""Who gets a new ticket first, and until when: decided from the place, the severity and the city's own table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, time
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid5

import msgspec
import yaml

from command_center.ticket.clock import (
    DEFAULT_HOURS,
    DEFAULT_OFFICES,
    BadOfficeHours,
    Limit,
    OfficeHours,
    Offices,
    Shares,
    Unit,
    due,
    recounted,
)
from command_center.ticket.ticket import Holder, Place, Step, file
from command_center.work_calendar import WorkCalendar
from gis.region import TIERS, RegionTree
from rules.alert import NAMESPACE, Alert
from rules.document import YAML_FAULTS, fault
from rules.rule import Evidence


class BadDispatchTable(ValueError):
    """The dispatch table cannot be used; the message says why."""


_IN_HOURS: Final = frozenset({Unit.CONTINUOUS, Unit.WORKING_HOURS})
_Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
_Span = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")]


class HandlingLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long handling may take, a leap year at most: ``hours`` or ``days``, whichever the clock counts in."""

    clock: Unit
    source: Evidence
    hours: Annotated[float, msgspec.Meta(gt=0, le=8784)] | None = None
    days: Annotated[float, msgspec.Meta(gt=0, le=366)] | None = None

    def __post_init__(self) -> None:
        wanted, other = ("hours", "days") if self.clock in _IN_HOURS else ("days", "hours")
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            raise ValueError(f"clock {self.clock} counts in {wanted}: it needs `{wanted}` and no `{other}`")

    @property
    def limit(self) -> Limit:
        """As the clock takes it."""
        return Limit(self.hours or self.days or 0.0, self.clock)


class _Handling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    by_severity: dict[int, HandlingLimit]
    by_category: dict[str, HandlingLimit]


class _OfficeHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    spans: tuple[_Span, ...]
    working_day_ends: Literal["same_time", "closing"]
    source: Evidence


class _Warning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    amber_left: _Share
    red_left: _Share
    source: Evidence


class _Pack(msgspec.Struct, frozen=True):
    first_tier: dict[int, str]
    handling: _Handling
    office_hours: _OfficeHours | None = None
    warning: _Warning | None = None


@dataclass(frozen=True, slots=True)
class DispatchTable:
    """First tier by severity, handling limit by category or else by severity, and the clock that limits are counted by."""

    first_tier: dict[int, str]
    by_severity: dict[int, HandlingLimit]
    by_category: dict[str, HandlingLimit]
    offices: Offices
    shares: Shares

    def limit(self, category: str, severity: int) -> Limit:
        """How long a matter may take."""
        return (self.by_category.get(category) or self.by_severity[severity]).limit

    def due_at(self, category: str, severity: int, opened_at: datetime) -> datetime:
        """When a ticket is overdue."""
        return due(opened_at, self.limit(category, severity), self.offices)

    def on(self, calendar: WorkCalendar) -> DispatchTable:
        """The same table, counting by another calendar."""
        return replace(self, offices=replace(self.offices, calendar=calendar))


def read(text: str, *, offices: Offices = DEFAULT_OFFICES) -> DispatchTable:
    """The table from its YAML text, with its office hours in ``offices``. Raises BadDispatchTable."""
    try:
        found: Any = yaml.safe_load(text)
    except YAML_FAULTS as problem:
        line, reason = fault(problem)
        raise BadDispatchTable(f"dispatch table: line {line}: {reason}") from None
    try:
        pack = msgspec.convert(found, _Pack, strict=False)
        hours = _office_hours(pack.office_hours)
    except (msgspec.ValidationError, BadOfficeHours) as problem:
        raise BadDispatchTable(f"dispatch table: {problem}") from None
    for severity in (1, 2, 3, 4):
        if pack.first_tier.get(severity) not in TIERS or severity not in pack.handling.by_severity:
            raise BadDispatchTable(f"dispatch table: severity {severity} needs a first_tier and a limit in by_severity")
    return DispatchTable(
        pack.first_tier,
        pack.handling.by_severity,
        pack.handling.by_category,
        replace(offices, hours=hours),
        _shares(pack.warning),
    )


def _office_hours(stated: _OfficeHours | None) -> OfficeHours:
    if stated is None:
        return DEFAULT_HOURS
    spans = (tuple(map(time.fromisoformat, span.split("-"))) for span in stated.spans)
    return OfficeHours(tuple((opens, closes) for opens, closes in spans), stated.working_day_ends == "closing")


def _shares(stated: _Warning | None) -> Shares:
    if stated is None:
        return Shares()
    if stated.red_left >= stated.amber_left:
        raise BadDispatchTable("dispatch table: warning: red_left must be less than amber_left, red comes after amber")
    return Shares(stated.amber_left, stated.red_left)


@dataclass(frozen=True, slots=True)
class OpenDeadline:
    """A deadline that has not come yet, and what it was counted from."""

    ticket: UUID
    number: str
    category: str
    severity: int
    opened_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Shift:
    """A deadline that another calendar would move, and where to."""

    deadline: OpenDeadline
    due_at: datetime


def shifts(deadlines: Iterable[OpenDeadline], table: DispatchTable, calendar: WorkCalendar) -> list[Shift]:
    """Which deadlines counted by the table's calendar would lie elsewhere by ``calendar``.

    What each was given is kept as an amount in the unit of its limit, so a ticket that was raised or given more time keeps
    what it had.
    """
    other = table.on(calendar)
    found = []
    for deadline in deadlines:
        unit = table.limit(deadline.category, deadline.severity).unit
        becomes = recounted(deadline.opened_at, deadline.due_at, unit, table.offices, other.offices)
        if becomes != deadline.due_at:
            found.append(Shift(deadline, becomes))
    return found


def ticket_id(incident: UUID) -> UUID:
    """The id of an incident's ticket: derived, so that an incident can never have two."""
    return uuid5(NAMESPACE, f"ticket\0{incident}")


def first_holder(tree: RegionTree, cell: str, severity: int, table: DispatchTable) -> Holder:
    """The desk that a matter of this severity in this cell comes to."""
    desk = tree.path(cell)[TIERS.index(table.first_tier[severity])]
    return Holder(desk.code, desk.name, desk.tier, desk.scope)


def open_ticket(
    alert: Alert, incident: UUID, number: int, tree: RegionTree, table: DispatchTable, now: datetime
) -> tuple[Place, Step]:
    """The place and first step of the ticket for an incident that ``alert`` opens."""
    path = tree.path(alert.source.cell)
    place = Place(
        id=ticket_id(incident),
        number=f"T{now:%Y%m%d}-{number:06d}",
        incident=incident,
        domain=alert.domain,
        category=alert.category,
        cell=alert.source.cell,
        region=alert.source.region,
        scope=alert.source.scope,
        lng=alert.source.lng,
        lat=alert.source.lat,
        path=tuple((region.tier, region.code, region.name) for region in path),
        source_kind=alert.source.kind,
        source=alert.source.id,
        source_name=alert.source.name,
        opened_at=now,
    )
    holder = first_holder(tree, place.cell, alert.severity, table)
    due_at = table.due_at(alert.category, alert.severity, now)
    step = file(place, holder, severity=alert.severity, title=alert.title, title_en=alert.title_en, due_at=due_at)
    return place, step
