"""A person reports: one transaction, one report, one incident and its reported ticket. And what became of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from itertools import pairwise
from typing import Final, Protocol
from uuid import UUID, uuid5

from sqlalchemy import Connection

from command_center import regroup
from command_center.account.account import Account
from command_center.assignment import assigned
from command_center.event.event import Event
from command_center.incident import incident as incidents
from command_center.incident import store as incident_store
from command_center.report import report as reports
from command_center.report import store as report_store
from command_center.report.report import BadReport, Channel, Kind, NoSuchReceipt, Report, ReportPack
from command_center.ticket import dispatch as dispatches
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.decide import ReasonMissing, Wish, decide
from command_center.ticket.dispatch import DispatchTable
from command_center.ticket.duplicate import Candidate, candidates
from command_center.ticket.ticket import Move, Place, Status, Step, Ticket
from gis.region import Region, RegionTree, covers
from gis.version_store import cell_at
from rules.alert import NAMESPACE
from rules.correlate import Signal
from rules.correlation import Correlation
from rules.group import township
from rules.store import microseconds

_METRES_A_DEGREE: Final = 111_195.0


class Practice(Protocol):
    """What of a city it takes to take a report."""

    @property
    def tree(self) -> RegionTree: ...

    @property
    def dispatch(self) -> DispatchTable: ...

    @property
    def reports(self) -> ReportPack: ...

    @property
    def zone(self) -> tzinfo: ...

    @property
    def correlation(self) -> Correlation: ...


@dataclass(frozen=True, slots=True)
class Said:
    """What a person reports; position in degrees, CGCS2000. ``handled`` says what was done on the spot."""

    kind: str
    words: str
    lng: float
    lat: float
    contact: str | None = None
    channel: Channel | None = None
    handled: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A report that is stored, and the events that tell of it: none when it was a repeat."""

    report: Report
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a matter stood from a time on, as its reporter is told."""

    at: datetime
    status: Status
    desk: str


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of a report: the ticket that deals with the matter now, how it got there, and what the desk answered."""

    report: Report
    ticket: Ticket
    merged: bool
    trail: tuple[Stage, ...]
    answer: str | None


def take_report(
    connection: Connection, said: Said, who: Account | None, receipt: str, city: Practice, now: datetime
) -> Taken:
    """Store a report, its incident and its ticket; a receipt that is known is a repeat. The connection sees the whole city.

    Raises BadReport and what ``decide`` raises.
    """
    kind = city.reports.by_code.get(said.kind)
    if kind is None:
        raise BadReport(f"there is no kind {said.kind}: one of {', '.join(city.reports.by_code)}")
    channel = reports.channel_of(said.channel, None if who is None else who.tier)
    known = reports.digest(receipt)
    report_store.lock_receipt(connection, known)
    if said.handled is not None:
        incident_store.lock_families(connection, [city.correlation.family(kind.category)], city.correlation)
    earlier = report_store.report_by_receipt(connection, known)
    if earlier is not None:
        return Taken(earlier)
    found = cell_at(connection, said.lng, said.lat, now, city.tree.root.scope)
    cell = None if found is None else city.tree.regions.get(found.code)
    if cell is None:
        raise BadReport(f"{said.lng:.5f}, {said.lat:.5f} does not lie in {city.tree.root.name}: choose the place again")
    if said.handled is not None and (who is None or not covers(who.scope, cell.scope)):
        raise BadReport("only whoever is at home there can say that it was handled on the spot: leave `handled` out")
    report_uuid = reports.report_id(receipt)
    incident_id = uuid5(NAMESPACE, f"incident\0{report_uuid}")
    number = incident_store.next_number(connection)
    place = _place(report_uuid, kind, channel, said, cell, incident_id, number, city, now.astimezone(city.zone))
    report = Report(
        report_uuid,
        known,
        channel,
        kind.code,
        kind.title.zh,
        kind.title.en,
        said.words,
        said.contact,
        None if who is None else who.username,
        None if who is None else who.name,
        said.lng,
        said.lat,
        place.region,
        place.scope,
        now,
        place.id,
    )
    moved = _steps(connection, place, kind, said, who, city, now)
    ticket = moved[-1][0]
    incident = _incident(place, kind, number, ticket, now)
    changed = [incident]
    signal = _signal(report, place.category, city.correlation)
    incident_store.save_incidents(connection, [incident])
    incident_store.save_signals(connection, [(signal, incident.id)], now)
    incident_store.save_incident_steps(connection, [regroup.opening(incident, signal, now)])
    if incident.status == incidents.OPEN:
        # Whoever handled it on the spot has told what it was.
        linked = regroup.beside(connection, incident.id, [signal], city.correlation)
        others = [o for o in incident_store.load_incidents(connection, linked).values() if o.status == incidents.OPEN]
        changed, apart = regroup.stand_alone(connection, incident, others, now)
        for one in changed:
            incident_store.save_incident_status(connection, one)
        incident_store.save_incident_steps(connection, apart)
    ticket_store.insert_tickets(connection, moved[:1])
    for (before, _), (after, step) in pairwise(moved):
        ticket_store.move_ticket(connection, before, after, step)
    report_store.insert_report(connection, report)
    scope = (report.scope,)
    events = [
        Event("report", str(report.id), 1, report.region, reports.told_of(report), scope),
        tickets.event_of(ticket),
    ]
    if incident.status != incidents.REPORTED:
        events += [incidents.event_of(one) for one in changed]
    return Taken(report, tuple(events))


def _place(
    report: UUID,
    kind: Kind,
    channel: Channel,
    said: Said,
    cell: Region,
    incident: UUID,
    number: int,
    city: Practice,
    now: datetime,
) -> Place:
    return Place(
        id=dispatches.ticket_id(incident),
        number=dispatches.numbered(number, now),
        incident=incident,
        domain=kind.domain,
        category=kind.category,
        cell=cell.code,
        region=cell.parent or cell.code,
        scope=cell.scope,
        lng=said.lng,
        lat=said.lat,
        path=dispatches.path_of(city.tree, cell.code),
        source_kind="report",
        source=str(report),
        source_name=str(channel),
        opened_at=now,
    )


def _steps(
    connection: Connection, place: Place, kind: Kind, said: Said, who: Account | None, city: Practice, now: datetime
) -> list[tuple[Ticket, Step]]:
    """The ticket after each of its first steps: reported, and where that is said handled on the spot at the reporter's desk."""
    handled = said.handled is not None and who is not None
    desk = who.region if handled and who is not None else next(c for tier, c, _ in place.path if tier == "township")
    title = kind.title
    first = dispatches.report(
        place, city.tree[desk], kind.severity, title.zh, title.en, kind.small_class, city.dispatch
    )
    if not handled:
        first = assigned(connection, place, None, first, city.dispatch, city.tree)
    ticket = tickets.fold(place, [first])
    if not handled or who is None:
        return [(ticket, first)]
    wish = Wish(Move.SELF_HANDLE, ticket.version, reason=said.handled)
    second = decide(ticket, wish, who.actor, city.tree, city.dispatch, now)
    return [(ticket, first), (tickets.after(ticket, second), second)]


def _signal(report: Report, category: str, table: Correlation) -> Signal:
    return Signal(
        id=report.id,
        kind="report",
        family=table.family(category),
        township=township(report.scope),
        source="",
        lng=report.lng,
        lat=report.lat,
        at_us=microseconds(report.at),
    )


def _incident(place: Place, kind: Kind, number: int, ticket: Ticket, now: datetime) -> incidents.Incident:
    return incidents.Incident(
        id=place.incident,
        number=number,
        status=incidents.REPORTED if ticket.status in tickets.UNFILED else incidents.OPEN,
        title=kind.title.zh,
        title_en=kind.title.en,
        domain=place.domain,
        category=place.category,
        severity=ticket.severity,
        cell=place.cell,
        region=place.region,
        scope=place.scope,
        lng=place.lng,
        lat=place.lat,
        opened_at=now,
        last_signal_at=now,
        signals=1,
        version=1,
        ticket=place.id,
    )


def duplicates(connection: Connection, ticket: Ticket, pack: ReportPack) -> list[Candidate]:
    """Open tickets that may be the same matter, as far as the connection sees them."""
    place = ticket.place
    lat = pack.near_m / _METRES_A_DEGREE
    away = lat / max(math.cos(math.radians(place.lat)), 0.01), lat
    near = ticket_store.open_tickets_near(connection, place.lng, place.lat, away, place.opened_at - pack.within)
    return candidates(ticket, near, pack.near_m, pack.within)


def require_look(connection: Connection, ticket: Ticket | None, wish: Wish, pack: ReportPack) -> None:
    """A second ticket for what may be one matter needs somebody to say why it is another one. Raises ReasonMissing."""
    if ticket is None or wish.move is not Move.FILE or (wish.reason or "").strip():
        return
    found = duplicates(connection, ticket, pack)
    if found:
        names = ", ".join(one.ticket.place.number for one in found[:3])
        raise ReasonMissing(
            f"{len(found)} open within {pack.near_m:g} m may be the same matter ({names}): merge, or say why it is another"
        )


def follow(connection: Connection, receipt: str) -> Followed:
    """What became of a report. The connection sees the whole city: the receipt is what allows it. Raises NoSuchReceipt."""
    report = report_store.report_by_receipt(connection, reports.digest(receipt))
    if report is None:
        raise NoSuchReceipt("there is no report with this receipt: look at the letters again")
    chain: list[Ticket] = []
    following: UUID | None = report.ticket
    while following is not None:
        ticket = ticket_store.read_ticket(connection, following)
        if ticket is None:
            raise NoSuchReceipt("there is no report with this receipt: look at the letters again")
        chain.append(ticket)
        following = ticket.merged_into
    trails = [ticket_store.load_steps(connection, ticket.place.id) for ticket in chain]
    return Followed(report, chain[-1], len(chain) > 1, trail_of(trails), answer_of(trails[-1]))


def trail_of(trails: Sequence[Sequence[Step]]) -> tuple[Stage, ...]:
    """Where the matter stood when: each ticket's own statuses until it was merged, then those of the one that it joined."""
    found: list[Stage] = []
    joined: datetime | None = None
    for steps in trails:
        before = [step for step in steps if joined is not None and step.at <= joined]
        own = [*(replace(step, at=joined) for step in before[-1:] if joined is not None), *steps[len(before) :]]
        standing = next((stage for stage in reversed(found) if stage.status is not Status.MERGED), None)
        for step in own:
            stage = Stage(step.at, step.status, step.holder.org_name or step.holder.name)
            if standing is None or (stage.status, stage.desk) != (standing.status, standing.desk):
                found.append(stage)
                standing = stage
        joined = steps[-1].at
    return tuple(found)


_ANSWERS: Final = frozenset({Move.VOID, Move.CLOSE})


def answer_of(steps: Sequence[Step]) -> str | None:
    """What the desk told the reporter: why it was not filed, or what it said when it closed; nothing while it is dealt with."""
    last = next((step for step in reversed(steps) if step.move in _ANSWERS), None)
    return None if last is None or steps[-1].status not in tickets.ENDED else last.reason
