"""A ticket is the fold of its append-only steps.

Everything about it that can change is changed by a step and by nothing else, so replaying the steps gives the row. Which
moves exist, from where, by whom and where to stands in one table (``table``); a move that is not in it does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec

from command_center.event.event import Event
from command_center.ticket.clock import Limit, Unit
from gis.region import covers


class Status(StrEnum):
    """Where a ticket stands. ``verifying`` is the check before filing, ``checking`` the one after handling: neutral codes,
    as cities use 核实 and 核查 for either.
    """

    REPORTED = "reported"
    VERIFYING = "verifying"
    VOID = "void"
    FILED = "filed"
    DISPATCHED = "dispatched"
    ACCEPTED = "accepted"
    RETURNED = "returned"
    ARBITRATING = "arbitrating"
    SUSPENDED = "suspended"
    HANDLED = "handled"
    CHECKING = "checking"
    CLOSED = "closed"
    EVALUATED = "evaluated"
    MERGED = "merged"


ENDED: Final = frozenset({Status.VOID, Status.CLOSED, Status.EVALUATED, Status.MERGED})
"""Nothing more is to be done; every other status needs a deadline and somebody responsible."""

NO_LIMIT: Final = Limit(0, Unit.CONTINUOUS)

UNFILED: Final = frozenset({Status.REPORTED, Status.VERIFYING})
"""A person's report that nobody has taken on yet: its only limit is that of filing."""

DONE: Final = frozenset({Status.HANDLED, Status.CHECKING})
"""The work is said to be done: the time for handling stands, that for checking and closing runs."""


class Move(StrEnum):
    """What people do to a ticket, and what the system does by itself."""

    VERIFY = "verify"
    VERIFIED = "verified"
    FILE = "file"
    VOID = "void"
    MERGE = "merge"
    SPLIT = "split"
    DISPATCH = "dispatch"
    ARBITRATE = "arbitrate"
    ACCEPT = "accept"
    RETURN = "return"
    HAND_UP = "hand_up"
    FINISH = "finish"
    SELF_HANDLE = "self_handle"
    CHECK = "check"
    CHECKED = "checked"
    REWORK = "rework"
    CLOSE = "close"
    FORCE_CLOSE = "force_close"
    EVALUATE = "evaluate"
    REOPEN = "reopen"
    ASK_EXTENSION = "ask_extension"
    ASK_SUSPENSION = "ask_suspension"
    APPEAL = "appeal"
    GRANT = "grant"
    REFUSE = "refuse"
    RESUME = "resume"
    SUPERVISE = "supervise"
    REMIND = "remind"
    ASSIST = "assist"
    HELP_ACCEPT = "help_accept"
    HELP_DONE = "help_done"
    HELP_DECLINE = "help_decline"
    REPORT_UP = "report_up"
    REPORT_FINAL = "report_final"
    # From here on the system alone.
    REPORT = "report"
    RAISE = "raise"
    OVERDUE = "overdue"
    LAPSE = "lapse"
    ESCALATE = "escalate"
    HELP_LAPSE = "help_lapse"
    GRAVE = "grave"
    REPORT_LAPSE = "report_lapse"
    RECOUNT = "recount"
    ABSORB = "absorb"
    RELEASE = "release"
    TELL = "tell"


class Cause(StrEnum):
    """Why a ticket is returned: what the statistics of bounces name."""

    NOT_OURS = "not_ours"
    WRONG_PLACE = "wrong_place"
    WRONG_CATEGORY = "wrong_category"
    NO_CAPACITY = "no_capacity"
    UNCLEAR = "unclear"
    OTHER = "other"


class Stale(Exception):
    """Somebody else moved the ticket first."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The account that moves a ticket, the region it acts for, and its organisation there if it is not the whole desk."""

    account: str
    name: str
    tier: str
    scope: str
    org: str | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a ticket: a region's desk, the organisation there that it was routed to, and the person: ``assignee`` for whom
    it is meant, ``account`` who accepted it.
    """

    region: str
    name: str
    tier: str
    scope: str
    account: str | None = None
    account_name: str | None = None
    org: str | None = None
    org_name: str | None = None
    assignee: str | None = None
    assignee_name: str | None = None


class Why(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a ticket came to its holder: ``how`` it came, and the routing rule or the words that sent it."""

    how: str
    text: str = ""
    text_en: str = ""
    rule: str | None = None
    by: str | None = None
    from_name: str | None = None


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the holder has asked for and nobody has answered: ``extension``, ``suspension``, ``appeal`` or its second stage
    ``appeal_review``. ``until`` is the end of the wished suspension.
    """

    what: str
    by: str
    by_name: str
    reason: str
    at: datetime
    until: datetime | None = None


class Helper(msgspec.Struct, frozen=True, omit_defaults=True):
    """A desk that was asked to help (协办): it has its own accept and handle clock, and the lead waits for its answer."""

    region: str
    name: str
    tier: str
    scope: str
    asked: str
    asked_at: datetime
    state: str = "asked"
    due_at: datetime | None = None
    answered_at: datetime | None = None
    answer: str | None = None

    @property
    def open(self) -> bool:
        """Whether its answer is still waited for."""
        return self.state in {"asked", "accepted"}


class Upward(msgspec.Struct, frozen=True, omit_defaults=True):
    """The clock of reporting a grave event upwards, apart from that of handling. ``next`` is what is due: ``first`` (初报, by
    telephone), ``written``, ``follow_up`` (续报) or nothing once the ``final`` report (终报) was given.
    """

    grade: int
    since: datetime
    next: str | None
    due_at: datetime | None
    given: int = 0
    lapses: int = 0


class Filing(msgspec.Struct, frozen=True, omit_defaults=True):
    """The filing condition (立案标准) that a ticket was filed under, as it read that day."""

    n: int
    small_code: str
    condition: str
    close_condition: str
    limit_text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a ticket's trail. ``facts`` are the values the step sets, by Ticket field; ``told`` is said of it."""

    version: int
    move: Move
    at: datetime
    status: Status
    holder: Holder
    by: Actor | None = None
    reason: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """What never changes about a ticket. ``path`` is the place's five regions as (tier, code, name), city first."""

    id: UUID
    number: str
    incident: UUID
    domain: str
    category: str
    cell: str
    region: str
    scope: str
    lng: float
    lat: float
    path: tuple[tuple[str, str, str], ...]
    source_kind: str
    source: str
    source_name: str
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as its steps left it.

    Its clock: ``granted`` time counts from ``counted_from`` and ends at ``due_at``; ``limit`` is what it was given first.
    ``stage_due_at`` ends the time that its present status may take; ``rung_at`` is when the ladder of escalation acts next and
    ``rung`` how many of its rungs have acted. ``beside`` are scopes that hear of it too, as it lies in wartime operation.
    """

    place: Place
    status: Status
    holder: Holder
    version: int
    severity: int
    title: str
    title_en: str
    due_at: datetime
    limit: Limit = NO_LIMIT
    granted: Limit = NO_LIMIT
    counted_from: datetime | None = None
    amber_at: datetime | None = None
    red_at: datetime | None = None
    provisional: bool = False
    accepted_at: datetime | None = None
    handled_at: datetime | None = None
    closed_at: datetime | None = None
    overdue_at: datetime | None = None
    overdues: int = 0
    stage_due_at: datetime | None = None
    lapsed_at: datetime | None = None
    rung: int = 0
    rung_at: datetime | None = None
    escalated_to: str | None = None
    supervised_at: datetime | None = None
    sender: Holder | None = None
    desk: Holder | None = None
    why: Why | None = None
    small_class: str | None = None
    filing: Filing | None = None
    verified: bool | None = None
    checked: bool | None = None
    returns: int = 0
    disowned: tuple[str, ...] = ()
    binding: str | None = None
    request: Request | None = None
    extensions: int = 0
    suspensions: int = 0
    suspended_from: Status | None = None
    suspended_at: datetime | None = None
    resumes_at: datetime | None = None
    helpers: tuple[Helper, ...] = ()
    upward: Upward | None = None
    appealed: bool = False
    exempt: bool = False
    score: int | None = None
    reopened: int = 0
    merged_into: UUID | None = None
    merged: tuple[UUID, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be done about it."""
        return self.status in ENDED


def fold(place: Place, steps: Iterable[Step]) -> Ticket:
    """The ticket that a trail adds up to. The first step files or reports it."""
    trail = iter(steps)
    first = next(trail)
    ticket = Ticket(place, first.status, first.holder, first.version, **first.facts)
    for step in trail:
        ticket = after(ticket, step)
    return ticket


def after(ticket: Ticket, step: Step) -> Ticket:
    """The ticket after one more step."""
    return replace(ticket, status=step.status, holder=step.holder, version=step.version, **step.facts)


def audience(ticket: Ticket) -> tuple[str, ...]:
    """The paths that see a ticket: its place, whoever holds it, gave it to be checked or helps with it from beside, and while
    it is open whoever is told of it in wartime.
    """
    inside = [ticket.holder.scope, *([ticket.desk.scope] if ticket.desk else ()), *(h.scope for h in ticket.helpers)]
    told = () if ticket.ended else ticket.beside
    beside = sorted({scope for scope in (*inside, *told) if not covers(scope, ticket.place.scope)})
    return (ticket.place.scope, *beside)


def may_see(ticket: Ticket, scope: str) -> bool:
    """Whether accounts with this scope see the ticket."""
    return any(covers(scope, path) for path in audience(ticket))


def responsible(ticket: Ticket) -> str | None:
    """Code of the region whose desk has to act next; None once it has ended. Finished work and open requests wait for the desk
    above the holder's, or for the one it was escalated to.
    """
    if ticket.ended:
        return None
    if ticket.status is Status.HANDLED or ticket.request is not None:
        return ticket.escalated_to or _above(ticket)
    return ticket.holder.region


def _above(ticket: Ticket) -> str:
    codes = [code for code in ticket.holder.scope.split("/") if code]
    return codes[-2] if len(codes) > 1 else codes[-1]


def _said(value: Any) -> Any:
    """As JSON has it."""
    return msgspec.to_builtins(value)


_TOLD: Final = (
    "limit", "granted", "amber_at", "red_at", "provisional", "stage_due_at", "lapsed_at", "rung", "rung_at",
    "overdues",
    "supervised_at", "escalated_to", "why", "small_class", "filing", "verified", "checked", "returns", "disowned", "binding",
    "request", "extensions", "suspensions", "suspended_at", "resumes_at", "helpers", "upward", "appealed", "exempt", "score",
    "reopened", "merged_into", "merged",
)  # fmt: skip


def shown(ticket: Ticket) -> dict[str, Any]:
    """As HTTP and the event log show it."""
    place, holder = ticket.place, ticket.holder

    def moment(at: datetime | None) -> str | None:
        return None if at is None else at.isoformat()

    return {
        "id": str(place.id),
        "number": place.number,
        "title": ticket.title,
        "title_en": ticket.title_en,
        "status": str(ticket.status),
        "tier": holder.tier,
        "region": place.region,
        "cell": place.cell,
        "lng": place.lng,
        "lat": place.lat,
        "domain": place.domain,
        "category": place.category,
        "severity": ticket.severity,
        "path": [{"tier": tier, "region": code, "name": name} for tier, code, name in place.path],
        "holder": {
            "region": holder.region,
            "name": holder.name,
            "tier": holder.tier,
            "account": holder.account,
            "account_name": holder.account_name,
            "org": holder.org,
            "org_name": holder.org_name,
            "assignee": holder.assignee,
            "assignee_name": holder.assignee_name,
        },
        "responsible": responsible(ticket),
        "opened_at": moment(place.opened_at),
        "due_at": moment(ticket.due_at),
        "accepted_at": moment(ticket.accepted_at),
        "handled_at": moment(ticket.handled_at),
        "closed_at": moment(ticket.closed_at),
        "overdue_at": moment(ticket.overdue_at),
        "version": ticket.version,
        "incident": str(place.incident),
        "source": {"kind": place.source_kind, "id": place.source, "name": place.source_name},
        **{name: _said(getattr(ticket, name)) for name in _TOLD},
    }


def event_of(ticket: Ticket, before: Ticket | None = None) -> Event:
    """What the log says when the ticket changed from ``before`` (None: it is new)."""
    was = () if before is None else audience(before)
    place = ticket.place
    return Event("ticket", str(place.id), ticket.version, place.region, shown(ticket), audience(ticket), was)
