"""Alerts to incidents to tickets, inside the batch's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection

from command_center.assignment import assigned
from command_center.event.event import Event
from command_center.incident import incident as incidents
from command_center.incident import store as incident_store
from command_center.regroup import Matters, lock_linked, opening, raise_ticket, unite, write
from command_center.shown import alert_event, notice_event
from command_center.ticket import ticket as tickets
from command_center.ticket.dispatch import DispatchTable, open_ticket
from gis.region import RegionTree, code_of
from rules import group_store, mute_store
from rules.alert import Alert, AlertChange, Change
from rules.correlate import Signal, incident_id, signal_of
from rules.correlation import Correlation
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

    @property
    def correlation(self) -> Correlation: ...


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
    """Bring alerts before people: each joins its incident or opens one, with its ticket; a bridge makes incidents one."""
    table = city.correlation
    incident_store.lock_families(connection, (table.family(call.alert.category) for call in calls), table)
    # Somebody else may have brought a new one before people while we waited for the lock.
    grown = incident_store.incidents_of_signals(connection, [call.alert.id for call in calls])
    calls = [_Call(call.alert, call.new and call.alert.id not in grown) for call in calls]
    signals = {call.alert.id: signal_of(call.alert, table) for call in calls if call.new}
    clusters, matters = lock_linked(connection, list(signals.values()), set(grown.values()), table)
    joins = dict(grown)
    for cluster in clusters:
        survivor = unite(matters, cluster.incidents, city, now) if cluster.incidents else None
        joins |= {signal.id: survivor or incident_id(cluster.signals[0]) for signal in cluster.signals}
    for call in calls:
        # Its incident may have been merged just now.
        incident = matters.standing(joins[call.alert.id]) if call.alert.id in joins else None
        if incident is not None:
            _take(connection, matters, call, signals.get(call.alert.id), incident, city, now)
    return write(connection, matters, now)


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


def _take(
    connection: Connection,
    matters: Matters,
    call: _Call,
    signal: Signal | None,
    identity: UUID,
    city: Practice,
    now: datetime,
) -> None:
    alert = call.alert
    known = matters.incidents.get(identity)
    if known is not None and known.status != incidents.OPEN:
        return
    if signal is not None:
        matters.placed.append((signal, identity))
    if known is None:
        assert signal is not None
        number = incident_store.next_number(connection)
        place, step = open_ticket(alert, identity, number, city.tree, city.dispatch, now.astimezone(city.zone))
        step = assigned(connection, place, None, step, city.dispatch, city.tree)
        incident = incidents.opened(alert, identity, place.id, number, now)
        matters.open(incident, tickets.fold(place, [step]), step, opening(incident, signal, now))
        return
    incident = incidents.joined(known, alert, new_signal=call.new, now=now)
    matters.change(incident)
    if incident.severity > known.severity:
        raise_ticket(matters, incident, city, now)
