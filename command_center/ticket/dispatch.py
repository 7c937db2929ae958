"""Who gets a new ticket first, and until when: decided from the place, the severity and the city's own table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid5

import msgspec
import yaml

from command_center.ticket.clock import (
    DEFAULT_HOURS,
    DEFAULT_OFFICES,
    WORKING,
    BadOfficeHours,
    Limit,
    OfficeHours,
    Offices,
    Shares,
    Unit,
    due,
    marks,
)
from command_center.ticket.routing import Matter, RoutingTable, Tier, route
from command_center.ticket.ticket import Holder, Move, Place, Status, Step, Why
from command_center.work_calendar import WorkCalendar
from gis.region import Region, RegionTree, code_of
from rules.alert import NAMESPACE, Alert
from rules.document import YAML_FAULTS, fault
from rules.rule import Evidence
from rules.situation import at_war


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


_Minutes = Annotated[float, msgspec.Meta(ge=0, le=525_600)]


class Rung(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that happens by itself when nobody acts: what, and how long after the one before it, by severity."""

    do: Literal["remind", "supervise", "up", "city"]
    minutes: dict[int, _Minutes]

    def after(self, severity: int) -> timedelta:
        """How long after the rung before it."""
        return timedelta(minutes=self.minutes[severity])


class Ladder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ladder of escalation. Once its last rung has acted, the last desk is reminded every ``repeat_minutes``."""

    rungs: Annotated[tuple[Rung, ...], msgspec.Meta(min_length=1)]
    repeat_minutes: Annotated[float, msgspec.Meta(gt=0, le=10_080)]
    source: Evidence | None = None


class UpwardLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How soon a grave event is reported upwards: by telephone, then in writing, minutes since it was graded."""

    first_minutes: Annotated[float, msgspec.Meta(gt=0, le=1440)]
    written_minutes: Annotated[float, msgspec.Meta(gt=0, le=1440)]


class Upwards(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The clock of reporting upwards by grade of the event, 1 gravest; a grade that is not here is not reported."""

    by_grade: dict[int, UpwardLimit]
    follow_up_hours: Annotated[float, msgspec.Meta(gt=0, le=720)]
    repeat_minutes: Annotated[float, msgspec.Meta(gt=0, le=1440)]
    source: Evidence | None = None


STAGES: Final = ("filing", "verify", "accept", "arbitrate", "check", "close", "help_accept", "help_handle")
"""What may take its own time beside handling."""


_Part = Annotated[float, msgspec.Meta(gt=0, le=1)]


class Wartime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What wartime operation leaves of a handling limit and of the time to accept. ``push``: of which tiers desks hear of
    tickets that lie beside them, when the region right above them is in it.
    """

    handling_share: _Part = 0.5
    accept_share: _Part = 0.5
    push: tuple[Tier, ...] = ()
    source: Evidence | None = None


class _Pack(msgspec.Struct, frozen=True):
    handling: _Handling
    office_hours: _OfficeHours | None = None
    warning: _Warning | None = None
    stages: dict[str, HandlingLimit] = {}
    accept_by_severity: dict[int, HandlingLimit] = {}
    escalation: Ladder | None = None
    upward: Upwards | None = None
    wartime: Wartime | None = None


def _each(*minutes: float) -> dict[int, float]:
    return dict(zip((1, 2, 3, 4), minutes, strict=True))


_DEFAULT_STAGES: Final = {
    "filing": 2,
    "verify": 24,
    "accept": 1,
    "arbitrate": 1,
    "check": 2,
    "close": 24,
    "help_accept": 1,
    "help_handle": 8,
}
_DEFAULT_LADDER: Final = Ladder(
    (
        Rung("remind", _each(0, 0, 0, 0)),
        Rung("supervise", _each(60, 30, 15, 10)),
        Rung("up", _each(60, 30, 15, 10)),
        Rung("city", _each(240, 120, 60, 20)),
    ),
    repeat_minutes=240,
)
_DEFAULT_UPWARDS: Final = Upwards(
    {1: UpwardLimit(15, 30), 2: UpwardLimit(15, 30), 3: UpwardLimit(30, 60)}, follow_up_hours=24, repeat_minutes=15
)
_DEFAULT_WARTIME: Final = Wartime()
MOST_EXTENSIONS: Final = 2
MOST_SUSPENSIONS: Final = 1
LONGEST_SUSPENSION: Final = timedelta(days=365)
ARBITRATED_AFTER: Final = 2
SKIPS_FROM: Final = 3
"""The severity from which on a ticket may be handed up over the head of the tier above."""


@dataclass(frozen=True, slots=True)
class DispatchTable:
    """Whom a matter comes to, its handling limit by category or else by severity, and the clock that limits are counted by.

    ``wartime``: domains in wartime operation by scope. There a limit is shorter when a ticket is opened, filed, graded higher
    or begun anew, and so is the time to accept at a desk that it then comes to; clocks that run already stay as they are.
    """

    routing: RoutingTable
    by_severity: dict[int, HandlingLimit]
    by_category: dict[str, HandlingLimit]
    offices: Offices
    shares: Shares
    stages: dict[str, Limit]
    accept_by_severity: dict[int, Limit]
    ladder: Ladder = _DEFAULT_LADDER
    upwards: Upwards = _DEFAULT_UPWARDS
    shortened: Wartime = _DEFAULT_WARTIME
    wartime: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def is_wartime(self, place: Place) -> bool:
        """Whether the place of a ticket is in wartime operation for its domain."""
        return at_war(self.wartime, place.scope, place.domain)

    def with_mode(self, matter: Matter, tree: RegionTree) -> Matter:
        """The matter with the operation that its cell is in. Raises KeyError for a cell that never was."""
        return replace(matter, wartime=at_war(self.wartime, tree[matter.cell].scope, matter.domain))

    def granted(self, limit: Limit, place: Place) -> Limit:
        """What there is of a limit at a place."""
        return _shortened(limit, self.shortened.handling_share) if self.is_wartime(place) else limit

    def stage_due(self, stage: str, severity: int, since: datetime, place: Place | None = None) -> datetime:
        """When a stage that begins now has taken too long; with a ``place``, as long as that allows."""
        own = self.accept_by_severity.get(severity) if stage == "accept" else None
        limit = own or self.stages[stage]
        if stage == "accept" and place is not None and self.is_wartime(place):
            limit = _shortened(limit, self.shortened.accept_share)
        return due(since, limit, self.offices)

    def upward_due(self, grade: int, report: str, since: datetime) -> datetime:
        """When a report upwards is due: ``first`` and ``written`` since the grading, a ``follow_up`` since the last report."""
        if report == "follow_up":
            return since + timedelta(hours=self.upwards.follow_up_hours)
        own = self.upwards.by_grade[grade]
        return since + timedelta(minutes=own.first_minutes if report == "first" else own.written_minutes)

    def beside(self, tree: RegionTree) -> dict[str, tuple[frozenset[str], tuple[str, ...]]]:
        """By scope in wartime operation: its domains, and the scopes right below it that hear of all tickets there."""
        found = {}
        for scope, domains in self.wartime.items():
            below = tree.children.get(code_of(scope), ())
            found[scope] = (
                domains,
                tuple(sorted(region.scope for region in below if region.tier in self.shortened.push)),
            )
        return found

    def counted(self, start: datetime, granted: Limit) -> dict[str, Any]:
        """The facts of a clock that gives so much time from ``start``."""
        due_at = due(start, granted, self.offices)
        turns = marks(start, due_at, granted.unit, self.shares, self.offices)
        last = due_at.astimezone(self.offices.zone).year
        sure = granted.unit not in WORKING or all(
            map(self.offices.calendar.is_verified, range(start.astimezone(self.offices.zone).year, last + 1))
        )
        return {
            "counted_from": start,
            "granted": granted,
            "due_at": due_at,
            "amber_at": turns.amber_at,
            "red_at": turns.red_at,
            "provisional": not sure,
        }

    def limit(self, category: str, severity: int) -> Limit:
        """How long a matter may take."""
        return (self.by_category.get(category) or self.by_severity[severity]).limit

    def due_at(self, category: str, severity: int, opened_at: datetime) -> datetime:
        """When a ticket is overdue."""
        return due(opened_at, self.limit(category, severity), self.offices)

    def on(self, calendar: WorkCalendar) -> DispatchTable:
        """The same table, counting by another calendar."""
        return replace(self, offices=replace(self.offices, calendar=calendar))

    def at_war(self, wartime: Mapping[str, frozenset[str]]) -> DispatchTable:
        """The same table with these domains in wartime operation, by scope."""
        return self if wartime == self.wartime else replace(self, wartime=wartime)


def _shortened(limit: Limit, share: float) -> Limit:
    return replace(limit, amount=limit.amount * share)


def read(text: str, routing: RoutingTable, *, offices: Offices = DEFAULT_OFFICES) -> DispatchTable:
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
        if severity not in pack.handling.by_severity:
            raise BadDispatchTable(f"dispatch table: severity {severity} needs a limit in by_severity")
    return DispatchTable(
        routing,
        pack.handling.by_severity,
        pack.handling.by_category,
        replace(offices, hours=hours),
        _shares(pack.warning),
        _stages(pack.stages),
        {severity: stated.limit for severity, stated in pack.accept_by_severity.items()},
        _laddered(pack.escalation or _DEFAULT_LADDER),
        pack.upward or _DEFAULT_UPWARDS,
        pack.wartime or _DEFAULT_WARTIME,
    )


def _stages(stated: dict[str, HandlingLimit]) -> dict[str, Limit]:
    for name in stated:
        if name not in STAGES:
            raise BadDispatchTable(f"dispatch table: stages: {name} is none of {', '.join(STAGES)}")
    usual = {name: Limit(hours, Unit.CONTINUOUS) for name, hours in _DEFAULT_STAGES.items()}
    return usual | {name: one.limit for name, one in stated.items()}


def _laddered(ladder: Ladder) -> Ladder:
    for n, rung in enumerate(ladder.rungs, 1):
        if sorted(rung.minutes) != [1, 2, 3, 4]:
            raise BadDispatchTable(f"dispatch table: escalation: rung {n} needs minutes for the severities 1 to 4")
    return ladder


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


def ticket_id(incident: UUID) -> UUID:
    """The id of an incident's ticket: derived, so that an incident can never have two."""
    return uuid5(NAMESPACE, f"ticket\0{incident}")


def routed(matter: Matter, tree: RegionTree, table: DispatchTable, now: datetime) -> tuple[Holder, Why]:
    """Whose a matter is, and why, by the rules of the day that it is in the city."""
    found = route(table.routing, table.with_mode(matter, tree), tree, now.astimezone(table.offices.zone).date())
    desk = tree[found.region]
    holder = Holder(desk.code, desk.name, desk.tier, desk.scope, org=found.org, org_name=found.org_name)
    return holder, Why("routed", found.text, found.text_en, found.rule)


def open_ticket(
    alert: Alert, incident: UUID, number: int, tree: RegionTree, table: DispatchTable, now: datetime
) -> tuple[Place, Step]:
    """The place and first step of the ticket for an incident that ``alert`` opens."""
    source = alert.source
    place = Place(
        id=ticket_id(incident),
        number=numbered(number, now),
        incident=incident,
        domain=alert.domain,
        category=alert.category,
        cell=source.cell,
        region=source.region,
        scope=source.scope,
        lng=source.lng,
        lat=source.lat,
        path=path_of(tree, source.cell),
        source_kind=source.kind,
        source=source.id,
        source_name=source.name,
        opened_at=now,
    )
    matter = Matter(alert.domain, alert.category, None, alert.severity, place.cell)
    holder, why = routed(matter, tree, table, now)
    return place, file(place, holder, alert.severity, alert.title, alert.title_en, table, why)


def numbered(number: int, now: datetime) -> str:
    """How people call the ticket of an incident; ``now`` in the city's time."""
    return f"T{now:%Y%m%d}-{number:06d}"


def path_of(tree: RegionTree, cell: str) -> tuple[tuple[str, str, str], ...]:
    """A cell's five regions as a Place keeps them."""
    return tuple((region.tier, region.code, region.name) for region in tree.path(cell))


def report(
    place: Place, desk: Region, severity: int, title: str, title_en: str, small_class: str, table: DispatchTable
) -> Step:
    """The first step of a ticket that a person's report opens: a desk has to file it or turn it down."""
    until = table.stage_due("filing", severity, place.opened_at)
    facts: dict[str, Any] = {
        "severity": severity,
        "title": title,
        "title_en": title_en,
        "small_class": small_class,
        "due_at": until,
        "stage_due_at": until,
        "why": Why("reported"),
    }
    holder = Holder(desk.code, desk.name, desk.tier, desk.scope)
    return Step(1, Move.REPORT, place.opened_at, Status.REPORTED, holder, facts=facts)


def file(
    place: Place, holder: Holder, severity: int, title: str, title_en: str, table: DispatchTable, why: Why
) -> Step:
    """The first step of a ticket that opens filed: it comes to a desk, and its clocks begin."""
    limit = table.granted(table.limit(place.category, severity), place)
    facts: dict[str, Any] = {
        "severity": severity,
        "title": title,
        "title_en": title_en,
        "limit": limit,
        **table.counted(place.opened_at, limit),
        "stage_due_at": table.stage_due("accept", severity, place.opened_at, place),
        "why": why,
    }
    return Step(1, Move.FILE, place.opened_at, Status.FILED, holder, facts=facts)
