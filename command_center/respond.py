"""Alerts to incidents to tickets, inside the batch's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Connection

from command_center.assignment import assigned
from command_center.event.event import Event
from command_center.incident import incident as incidents
from command_center.incident import store as incident_store
from command_center.incident.incident import Incident
from command_center.shown import alert_event, notice_event
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.decide import machine_step
from command_center.ticket.dispatch import DispatchTable, open_ticket, routed, ticket_id
from command_center.ticket.routing import Matter
from command_center.ticket.ticket import UNFILED, Move, Status, Step, Ticket
from gis.region import TIERS, RegionTree, code_of
from rules import group_store, mute_store
from rules.alert import Alert, AlertChange, Change
from rules.correlate import Placed, correlate, signal_of
from rules.group import Group, Grouping, joined, judged, left, opened, township
from rules.inhibit import Inhibition, causes, source_categories, suppressed
from rules.life import Muted, Standing
from rules.mute import Mute, covering, mark
from rules.store import known_alerts, load_seen, save_alerts, save_muted, save_placed, standing_under


@dataclass(frozen=True, slots=True)
class _Call:
    """An alert that comes before people: for the first time, or graver than before."""

    alert: Alert
    new: bool


@dataclass
class _Response:
    """What a batch's alerts make of incidents and tickets."""

    incidents: dict[UUID, Incident]
    tickets: dict[UUID, Ticket]
    opened: list[tuple[Ticket, Step]] = field(default_factory=list)
    raised: list[tuple[Ticket, Ticket, Step]] = field(default_factory=list)
    changed: dict[UUID, Incident] = field(default_factory=dict)


class Practice(Protocol):
    """What of a city it takes to respond: a whole City has it, and a Desk."""

    @property
    def tree(self) -> RegionTree: ...

    @property
    def dispatch(self) -> DispatchTable: ...

    @property
    def zone(self) -> tzinfo: ...

    @property
    def inhibitions(self) -> tuple[Inhibition, ...]: ...

    @property
    def grouping(self) -> Grouping | None: ...


def respond(connection: Connection, changes: Sequence[AlertChange], city: Practice, now: datetime) -> list[Event]:
    """Store alerts and what follows from them; returns the events to append, oldest first.

    What is kept quiet is stored and shown, but opens nothing. Doing it again for alerts that are stored already does nothing:
    a raised alert that is known is left out.
    """
    changes = _unknown(connection, changes)
    if not changes:
        return []
    final = {change.alert.id: change.alert for change in changes}
    raised = {change.alert.id for change in changes if change.change is Change.RAISED}
    quiet = _quiet(connection, [alert for alert in final.values() if alert.id in raised], final, city, now)
    saved = {standing.alert.id: standing for standing in save_alerts(connection, changes, quiet, now)}
    events = [alert_event(standing) for standing in saved.values()]
    heard = {identity for identity, standing in saved.items() if standing.muted is None}
    calls = [
        _Call(change.alert, change.change is Change.RAISED)
        for change in changes
        if change.change is not Change.ENDED and change.alert.id in heard
    ]
    if calls:
        events += _call(connection, calls, city, now)
    _join_groups(connection, [call.alert for call in calls], city, now)
    ended = [standing.alert for standing in saved.values() if standing.alert.ended_at_us is not None]
    _leave_groups(connection, ended, city.grouping, now)
    return events


def release(connection: Connection, freed: Sequence[Standing], city: Practice, now: datetime) -> list[Event]:
    """What was kept quiet and still stands comes before people, unless something else keeps it quiet now.

    ``freed`` are locked; returns the events to append. An alert that had come before people keeps its incident, which takes
    notice when it grew meanwhile.
    """
    alerts = {standing.alert.id: standing.alert for standing in freed}
    quiet = _quiet(connection, list(alerts.values()), {}, city, now)
    events = [alert_event(save_muted(connection, one, quiet[one.alert.id])) for one in freed if one.alert.id in quiet]
    free = [standing for standing in freed if standing.alert.id not in quiet]
    new = [standing.alert.id for standing in free if standing.placed_at is None]
    graver = incident_store.outgrown(connection, alerts.keys() - set(new))
    events += [alert_event(standing) for standing in save_placed(connection, [one.alert.id for one in free], now)]
    calls = [_Call(one.alert, one.alert.id in new) for one in free if one.alert.id in {*new, *graver}]
    if calls:
        events += _call(connection, calls, city, now)
    _join_groups(connection, [call.alert for call in calls], city, now)
    return events


def begin_mute(connection: Connection, mute: Mute, grouping: Grouping | None, now: datetime) -> list[Event]:
    """Mark the alerts that stand under a mute which begins; returns the events to append. Their tickets stay."""
    mutes = mute_store.in_force(connection, now)
    events: list[Event] = []
    fallen: list[Alert] = []
    for standing in standing_under(connection, mute):
        strongest = covering(mutes, standing.alert, now)
        muted = None if strongest is None else mark(strongest)
        if muted is None:
            continue
        # One that was shelved by hand is marked already, but its group has not heard of it.
        fallen.append(standing.alert)
        if muted != standing.muted:
            events.append(alert_event(save_muted(connection, standing, muted)))
    _leave_groups(connection, fallen, grouping, now)
    return events


def tell_group(connection: Connection, group: Group, grouping: Grouping, now: datetime) -> list[Event]:
    """What there is to say of a claimed group whose deadline has come."""
    after = judged(group, group_store.count_members(connection, group), grouping.pace(group.category), now)
    group_store.save_groups(connection, [after])
    return [notice_event(after)] if after.notices > group.notices else []


def _quiet(
    connection: Connection, alerts: Sequence[Alert], changed: Mapping[UUID, Alert], city: Practice, now: datetime
) -> dict[UUID, Muted]:
    """Which of the alerts are kept quiet, and by what. ``changed`` are alerts as this very transaction leaves them."""
    mutes = mute_store.in_force(connection, now) if alerts else []
    found = {alert.id: covering(mutes, alert, now) for alert in alerts}
    quiet = {identity: mark(mute) for identity, mute in found.items() if mute is not None}
    if not any(causes(city.inhibitions, alert) for alert in alerts):
        return quiet
    seen = [changed.get(a.id, a) for a in load_seen(connection, source_categories(city.inhibitions))]
    return quiet | suppressed(city.inhibitions, alerts, [a for a in seen if a.ended_at_us is None], quiet)


def _call(connection: Connection, calls: Sequence[_Call], city: Practice, now: datetime) -> list[Event]:
    """Bring alerts before people: each joins its incident or opens one, with its ticket."""
    incident_store.lock_categories(connection, (call.alert.category for call in calls))
    # Somebody else may have brought a new one before people while we waited for the lock.
    grown = incident_store.incidents_of_signals(connection, [call.alert.id for call in calls])
    calls = [_Call(call.alert, call.new and call.alert.id not in grown) for call in calls]
    placed = _place(connection, [call.alert for call in calls if call.new])
    joins = {p.signal.id: p.incident for p in placed} | grown
    known = incident_store.load_incidents(connection, set(joins.values()))
    response = _Response(known, ticket_store.load_tickets(connection, [ticket_id(i) for i in known]))
    for call in calls:
        incident = joins.get(call.alert.id)
        if incident is not None:
            _take(connection, response, call, incident, city, now)
    return _save(connection, response, {p.signal.id: p.incident for p in placed}, now)


def _join_groups(connection: Connection, alerts: Sequence[Alert], city: Practice, now: datetime) -> None:
    """Note in their groups which alerts came before people or grew: a deadline will tell it."""
    if city.grouping is None or not alerts:
        return
    groups = group_store.open_groups(connection, map(_group_key, alerts))
    for alert in alerts:
        key, pace = _group_key(alert), city.grouping.pace(alert.category)
        if key in groups:
            groups[key] = joined(groups[key], alert, pace, now)
        else:
            town = city.tree.regions.get(key[1])
            groups[key] = opened(alert, key[1], key[1] if town is None else town.name, pace, now)
    group_store.save_groups(connection, list(groups.values()))


def _leave_groups(connection: Connection, alerts: Sequence[Alert], grouping: Grouping | None, now: datetime) -> None:
    """Note in their groups which alerts ended or fell quiet: it may be over."""
    if grouping is None or not alerts:
        return
    groups = group_store.open_groups(connection, map(_group_key, alerts))
    after = [left(group, grouping.pace(group.category), now) for group in groups.values()]
    group_store.save_groups(connection, after)


def _group_key(alert: Alert) -> tuple[str, str]:
    return alert.category, code_of(township(alert.source.scope))


def _unknown(connection: Connection, changes: Sequence[AlertChange]) -> list[AlertChange]:
    raised = {change.alert.id for change in changes if change.change is Change.RAISED}
    known = known_alerts(connection, raised) if raised else set()
    return [change for change in changes if change.alert.id not in known]


def _place(connection: Connection, alerts: Sequence[Alert]) -> list[Placed]:
    """The incident of each alert. Repeated once without those that a person closed while we looked."""
    if not alerts:
        return []
    signals = [signal_of(alert) for alert in alerts]
    matters = incident_store.open_matters(connection, (s.category for s in signals))
    placed = correlate(signals, matters)
    locked = incident_store.load_incidents(connection, {p.incident for p in placed if not p.opens})
    closed = {identity for identity, incident in locked.items() if incident.status != "open"}
    if not closed:
        return placed
    return correlate(signals, [matter for matter in matters if matter.id not in closed])


def _take(
    connection: Connection, response: _Response, call: _Call, identity: UUID, city: Practice, now: datetime
) -> None:
    alert = call.alert
    known = response.incidents.get(identity)
    if known is None:
        number = incident_store.next_number(connection)
        place, step = open_ticket(alert, identity, number, city.tree, city.dispatch, now.astimezone(city.zone))
        step = assigned(connection, place, None, step, city.dispatch, city.tree)
        incident = incidents.opened(alert, identity, place.id, number, now)
        ticket = tickets.fold(place, [step])
        response.opened.append((ticket, step))
        response.tickets[place.id] = ticket
    elif known.status != "open":
        return
    else:
        incident = incidents.joined(known, alert, new_signal=call.new, now=now)
        if incident.severity > known.severity:
            _raise_ticket(response, incident, city, now)
    response.incidents[identity] = response.changed[identity] = incident


def _raise_ticket(response: _Response, incident: Incident, city: Practice, now: datetime) -> None:
    """A graver matter makes its ticket graver, and never gives it more time than it had.

    While nobody has accepted it, it also goes up to the desk that a matter so grave would have come to.
    """
    before = response.tickets[incident.ticket]
    matter = Matter(incident.domain, incident.category, before.small_class, incident.severity, incident.cell)
    desk, why = routed(matter, city.tree, city.dispatch, now)
    goes_up = before.status is Status.FILED and TIERS.index(desk.tier) < TIERS.index(before.holder.tier)
    limit = city.dispatch.limit(incident.category, incident.severity)
    clock = city.dispatch.counted(now, limit)
    facts: dict[str, Any] = {"severity": incident.severity, "title": incident.title, "title_en": incident.title_en}
    if clock["due_at"] < before.due_at and before.status not in UNFILED | {Status.SUSPENDED}:
        facts |= clock | {"limit": limit}
    if goes_up:
        facts["why"] = why
    step = machine_step(before, Move.RAISE, city.dispatch, now, holder=desk if goes_up else None, **facts)
    response.tickets[incident.ticket] = after = tickets.after(before, step)
    response.raised.append((before, after, step))


def _save(connection: Connection, response: _Response, placed: dict[UUID, UUID], now: datetime) -> list[Event]:
    incident_store.save_incidents(connection, list(response.changed.values()))
    incident_store.save_signals(connection, placed, "alert", now)
    ticket_store.insert_tickets(connection, response.opened)
    for before, after, step in response.raised:
        ticket_store.move_ticket(connection, before, after, step)
    return [
        *(incidents.event_of(incident) for incident in response.changed.values()),
        *(tickets.event_of(ticket) for ticket, _ in response.opened),
        *(tickets.event_of(after, before) for before, after, _ in response.raised),
    ]
