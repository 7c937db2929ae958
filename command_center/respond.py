"""Alerts to incidents to tickets, inside the batch's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from command_center.city import City
from command_center.event.event import Event
from command_center.incident import incident as incidents
from command_center.incident import store as incident_store
from command_center.incident.incident import Incident
from command_center.shown import alert_event
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.dispatch import first_holder, open_ticket, ticket_id
from command_center.ticket.ticket import Move, Status, Step, Ticket
from gis.region import TIERS
from rules.alert import Alert, AlertChange, Change
from rules.correlate import Placed, correlate, signal_of
from rules.store import known_alerts, save_alerts


@dataclass
class _Response:
    """What a batch's alerts make of incidents and tickets."""

    incidents: dict[UUID, Incident]
    tickets: dict[UUID, Ticket]
    opened: list[tuple[Ticket, Step]] = field(default_factory=list)
    raised: list[tuple[Ticket, Ticket, Step]] = field(default_factory=list)
    changed: dict[UUID, Incident] = field(default_factory=dict)


def respond(connection: Connection, changes: Sequence[AlertChange], city: City, now: datetime) -> list[Event]:
    """Store alerts and what follows from them; returns the events to append, oldest first.

    Doing it again for alerts that are stored already does nothing: a raised alert that is known is left out.
    """
    changes = _unknown(connection, changes)
    if not changes:
        return []
    save_alerts(connection, changes)
    events = [alert_event(change.alert) for change in changes]
    calling = [change for change in changes if change.change is not Change.ENDED]
    if not calling:
        return events
    incident_store.lock_categories(connection, (change.alert.category for change in calling))
    placed = _place(connection, [c.alert for c in calling if c.change is Change.RAISED])
    grown = incident_store.incidents_of_signals(connection, (c.alert.id for c in calling if c.change is Change.GREW))
    joins = {p.signal.id: p.incident for p in placed} | grown
    known = incident_store.load_incidents(connection, set(joins.values()))
    response = _Response(known, ticket_store.load_tickets(connection, [ticket_id(i) for i in known]))
    for change in calling:
        alert = change.alert
        incident = joins.get(alert.id)
        if incident is not None:
            _take(connection, response, alert, incident, city, now)
    return events + _save(connection, response, {p.signal.id: p.incident for p in placed}, now)


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


def _take(connection: Connection, response: _Response, alert: Alert, identity: UUID, city: City, now: datetime) -> None:
    known = response.incidents.get(identity)
    if known is None:
        number = incident_store.next_number(connection)
        place, step = open_ticket(alert, identity, number, city.tree, city.dispatch, now.astimezone(city.zone))
        incident = incidents.opened(alert, identity, place.id, number, now)
        ticket = tickets.fold(place, [step])
        response.opened.append((ticket, step))
        response.tickets[place.id] = ticket
    elif known.status != "open":
        return
    else:
        incident = incidents.joined(known, alert, new_signal=_is_new(alert), now=now)
        if incident.severity > known.severity:
            _raise_ticket(response, incident, city, now)
    response.incidents[identity] = response.changed[identity] = incident


def _is_new(alert: Alert) -> bool:
    return alert.version == 1


def _raise_ticket(response: _Response, incident: Incident, city: City, now: datetime) -> None:
    """A graver matter makes its ticket graver, and never gives it more time than it had.

    While nobody has accepted it, it also goes up to the desk that a matter so grave would have come to.
    """
    before = response.tickets[incident.ticket]
    desk = first_holder(city.tree, incident.cell, incident.severity, city.dispatch)
    goes_up = before.status is Status.FILED and TIERS.index(desk.tier) < TIERS.index(before.holder.tier)
    due_at = min(before.due_at, city.dispatch.due_at(incident.category, incident.severity, now))
    facts = {"severity": incident.severity, "title": incident.title, "title_en": incident.title_en, "due_at": due_at}
    step = tickets.machine_step(before, Move.RAISE, now, holder=desk if goes_up else None, **facts)
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
