"""Incidents that turn out to be one matter become one, with their tickets; those that people part stay apart.

All of it happens to incidents that are locked, in the transaction of whoever finds it out, and leaves steps: nothing that was
told before changes silently.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Connection

from command_center.event.event import Event
from command_center.incident import incident as incidents
from command_center.incident import store as incident_store
from command_center.incident.incident import Incident, IncidentStep
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.decide import machine_step
from command_center.ticket.dispatch import DispatchTable, routed, ticket_id
from command_center.ticket.routing import Matter
from command_center.ticket.table import TRANSITIONS, Who
from command_center.ticket.ticket import UNFILED, Actor, Move, Status, Step, Ticket
from gis.region import TIERS, RegionTree
from rules.correlate import Cluster, Signal, correlate
from rules.correlation import Correlation


class Practice(Protocol):
    """What of a city it takes to make two matters one."""

    @property
    def tree(self) -> RegionTree: ...

    @property
    def dispatch(self) -> DispatchTable: ...


class Correlating(Practice, Protocol):
    """What it takes besides to say which matters are one."""

    @property
    def correlation(self) -> Correlation: ...


@dataclass
class Matters:
    """Locked incidents with their tickets, and what becomes of them before it is written."""

    incidents: dict[UUID, Incident] = field(default_factory=dict)
    tickets: dict[UUID, Ticket] = field(default_factory=dict)
    changed: dict[UUID, Incident] = field(default_factory=dict)
    steps: list[IncidentStep] = field(default_factory=list)
    opened: list[tuple[Ticket, Step]] = field(default_factory=list)
    moved: list[tuple[Ticket, Ticket, Step]] = field(default_factory=list)
    placed: list[tuple[Signal, UUID]] = field(default_factory=list)
    given: list[tuple[UUID, UUID]] = field(default_factory=list)
    apart: set[frozenset[UUID]] = field(default_factory=set)
    parted: set[frozenset[UUID]] = field(default_factory=set)

    def standing(self, incident: UUID) -> UUID:
        """The incident itself, or the one that it was merged into."""
        while (found := self.incidents.get(incident)) is not None and found.merged_into is not None:
            incident = found.merged_into
        return incident

    def change(self, incident: Incident) -> None:
        """An incident is not what it was."""
        self.incidents[incident.id] = self.changed[incident.id] = incident

    def open(self, incident: Incident, ticket: Ticket, first: Step, step: IncidentStep) -> None:
        """A new incident with its new ticket."""
        self.change(incident)
        self.tickets[ticket.place.id] = ticket
        self.opened.append((ticket, first))
        self.steps.append(step)

    def move(self, ticket: Ticket, step: Step) -> None:
        """One more step of a ticket."""
        after = tickets.after(ticket, step)
        self.tickets[ticket.place.id] = after
        self.moved.append((ticket, after, step))


def lock_linked(
    connection: Connection, signals: Sequence[Signal], others: Collection[UUID], table: Correlation
) -> tuple[list[Cluster], Matters]:
    """How new signals belong to open incidents, which are locked then, and ``others`` with them. Families are locked before.

    People move incidents without waiting for that: when one of them was faster, it is looked up again.
    """
    clusters: list[Cluster] = []
    while True:
        versions: dict[UUID, int] = {}
        parted: set[frozenset[UUID]] = set()
        if signals:
            known, versions = incident_store.signals_within_reach(connection, signals, table)
            parted = incident_store.apart(connection, versions)
            clusters = correlate(signals, known, parted, table)
        linked = {incident for cluster in clusters for incident in cluster.incidents}
        attempt = connection.begin_nested()
        locked = incident_store.load_incidents(connection, linked | set(others))
        if all(i in locked and locked[i].version == versions[i] for i in linked):
            attempt.commit()
            break
        # Holding some while waiting for others is how two of us embrace.
        attempt.rollback()
    own = ticket_store.load_tickets(connection, [ticket_id(identity) for identity in locked])
    return clusters, Matters(locked, own, parted=parted)


def unite(
    matters: Matters,
    together: Sequence[UUID],
    city: Practice,
    now: datetime,
    by: Actor | None = None,
    reason: str | None = None,
) -> UUID:
    """Make open incidents one: the oldest goes on, with all signals, and its ticket with it. Returns it.

    One whose ticket owes a report upwards cannot end that way: it goes on instead, and two of them stay two.
    """
    found = [matters.incidents[identity] for identity in together]
    order = sorted(found, key=lambda i: (_can_end(matters.tickets[i.ticket]), i.opened_at, i.number))
    survivor = order[0].id
    for other in order[1:]:
        if _can_end(matters.tickets[other.ticket]):
            _absorb(matters, survivor, other.id, city, now, by, reason)
        else:
            _leave_apart(matters, survivor, other.id, now)
    return survivor


def relabel(connection: Connection, city: Correlating, now: datetime) -> list[Event]:
    """Bring what is open under the correlation table in force, another one than it came under: signals get its families, and
    incidents that are one matter by now become one. Returns the events to append.
    """
    table = city.correlation
    longest_us = max(reach.within_us for reach in (table.default, *table.reaches.values()))
    signals = incident_store.relabel(connection, now - timedelta(microseconds=longest_us), table)
    if not signals:
        return []
    clusters, matters = lock_linked(connection, signals, (), table)
    for cluster in clusters:
        if len(cluster.incidents) > 1:
            unite(matters, cluster.incidents, city, now)
    return write(connection, matters, now)


def _can_end(ticket: Ticket) -> bool:
    """Whether a ticket may be merged into another one."""
    transition = TRANSITIONS.get((ticket.status, Move.MERGE))
    owes = ticket.upward is not None and ticket.upward.next is not None
    return transition is not None and Who.SYSTEM in transition.who and not owes


def _absorb(
    matters: Matters, survivor: UUID, other: UUID, city: Practice, now: datetime, by: Actor | None, reason: str | None
) -> None:
    before, gone = matters.incidents[survivor], matters.incidents[other]
    follower, master = matters.tickets[gone.ticket], matters.tickets[before.ticket]
    end = machine_step(
        follower,
        Move.MERGE,
        city.dispatch,
        now,
        status=Status.MERGED,
        # Whoever only looks at it does not keep it.
        holder=follower.desk,
        told={"ticket": master.place.number},
        closed_at=now,
        merged_into=master.place.id,
        desk=None,
    )
    matters.move(follower, replace(end, by=by, reason=reason))
    merged = (*(one for one in master.merged if one != follower.place.id), follower.place.id)
    told = {"ticket": follower.place.number}
    matters.move(master, machine_step(master, Move.ABSORB, city.dispatch, now, told=told, merged=merged))
    after, ended = incidents.absorbed(before, gone), incidents.merged(gone, survivor)
    matters.change(after)
    matters.change(ended)
    matters.given.append((other, survivor))
    matters.steps += _merging(after, ended, gone.signals, now, by, reason)
    # What was another matter than the one that ended is another one than the one that goes on.
    inherited = {frozenset(pair - {other} | {survivor}) for pair in matters.parted if other in pair}
    matters.apart |= {pair for pair in inherited if len(pair) == 2}
    if after.severity > before.severity:
        raise_ticket(matters, after, city, now)


def _merging(
    survivor: Incident, gone: Incident, signals: int, now: datetime, by: Actor | None, reason: str | None
) -> list[IncidentStep]:
    facts = {"signals": signals}
    return [
        _step(gone, "merged", now, by, reason, facts | _named("into", survivor)),
        _step(survivor, "absorbed", now, by, reason, facts | _named("from", gone)),
    ]


def _named(role: str, incident: Incident) -> dict[str, Any]:
    return {role: str(incident.id), "number": f"I{incident.number:06d}"}


def _step(
    incident: Incident, what: str, now: datetime, by: Actor | None, reason: str | None, facts: Mapping[str, Any]
) -> IncidentStep:
    account, name = (None, None) if by is None else (by.account, by.name)
    return IncidentStep(incident.id, incident.version, now, what, account, name, reason, facts)


def _leave_apart(matters: Matters, survivor: UUID, other: UUID, now: datetime) -> None:
    for own, beside in ((survivor, other), (other, survivor)):
        incident = replace(matters.incidents[own], version=matters.incidents[own].version + 1)
        matters.change(incident)
        facts = {"from": [str(beside)]}
        matters.steps.append(_step(incident, "kept_apart", now, None, "both owe a report upwards", facts))
    matters.apart.add(frozenset((survivor, other)))


def raise_ticket(matters: Matters, incident: Incident, city: Practice, now: datetime) -> None:
    """A graver matter makes its ticket graver, and never gives it more time than it had.

    While nobody has accepted it, it also goes up to the desk that a matter so grave would have come to.
    """
    before = matters.tickets[incident.ticket]
    matter = Matter(incident.domain, incident.category, before.small_class, incident.severity, incident.cell)
    desk, why = routed(matter, city.tree, city.dispatch, now)
    goes_up = before.status is Status.FILED and TIERS.index(desk.tier) < TIERS.index(before.holder.tier)
    limit = city.dispatch.granted(city.dispatch.limit(incident.category, incident.severity), before.place)
    clock = city.dispatch.counted(now, limit)
    facts: dict[str, Any] = {"severity": incident.severity, "title": incident.title, "title_en": incident.title_en}
    if clock["due_at"] < before.due_at and before.status not in UNFILED | {Status.SUSPENDED}:
        facts |= clock | {"limit": limit}
    if goes_up:
        facts["why"] = why
    holder = desk if goes_up else None
    matters.move(before, machine_step(before, Move.RAISE, city.dispatch, now, holder=holder, **facts))


def opening(incident: Incident, signal: Signal, now: datetime) -> IncidentStep:
    """The first step of an incident that a signal opens."""
    return _step(incident, "opened", now, None, None, {"kind": signal.kind, "signal": str(signal.id)})


def write(connection: Connection, matters: Matters, now: datetime) -> list[Event]:
    """Store what became of them; returns the events to append."""
    incident_store.save_incidents(connection, list(matters.changed.values()))
    incident_store.save_signals(connection, matters.placed, now)
    for giver, taker in matters.given:
        incident_store.hand_over(connection, giver, taker)
    incident_store.save_incident_steps(connection, matters.steps)
    incident_store.keep_apart(connection, matters.apart, now)
    ticket_store.insert_tickets(connection, matters.opened)
    for before, after, step in matters.moved:
        ticket_store.move_ticket(connection, before, after, step)
    return [
        *(incidents.event_of(incident) for incident in matters.changed.values()),
        *(tickets.event_of(ticket) for ticket, _ in matters.opened),
        *(tickets.event_of(after, before) for before, after, _ in matters.moved),
    ]


def merge_by_person(
    connection: Connection, incident: Incident, master: Incident, step: Step, now: datetime
) -> tuple[list[Incident], list[IncidentStep]]:
    """Somebody merged a ticket into another one: its incident goes the same way. Its severity is the master's desk's to say."""
    after = incidents.absorbed(master, incident, raises=False)
    ended = incidents.merged(incident, master.id)
    incident_store.hand_over(connection, incident.id, master.id)
    pairs = incident_store.apart(connection, [incident.id])
    inherited = {frozenset(pair - {incident.id} | {master.id}) for pair in pairs}
    incident_store.lift_apart(connection, frozenset((incident.id, master.id)))
    incident_store.keep_apart(connection, {pair for pair in inherited if len(pair) == 2}, now)
    return [ended, after], _merging(after, ended, incident.signals, now, step.by, step.reason)


def split_by_person(
    connection: Connection, incident: Incident, matters: Mapping[UUID, Incident], step: Step, now: datetime
) -> tuple[list[Incident], list[IncidentStep]]:
    """Somebody split a merged ticket off again: its incident gets back what came to it, and the two stay apart."""
    counts = incident_store.keepers(connection, incident.id)
    incident_store.take_back(connection, incident.id)
    own = replace(
        incident,
        status=incidents.OPEN,
        merged_into=None,
        signals=incident.signals + sum(counts.values()),
        version=incident.version + 1,
    )
    changed = [own]
    for keeper, count in counts.items():
        changed.append(
            replace(matters[keeper], signals=matters[keeper].signals - count, version=matters[keeper].version + 1)
        )
    incident_store.keep_apart(connection, {frozenset((own.id, keeper)) for keeper in counts}, now)
    facts: dict[str, Any] = {"from": [str(keeper) for keeper in counts], "signals": own.signals}
    steps = [_step(own, "split", now, step.by, step.reason, facts)]
    for other in changed[1:]:
        facts = _named("to", own) | {"signals": counts[other.id]}
        steps.append(_step(other, "parted", now, step.by, step.reason, facts))
    return changed, steps


def beside(connection: Connection, own: UUID, signals: Sequence[Signal], table: Correlation) -> set[UUID]:
    """The other open incidents that signals of ``own`` are linked to, but for storms. Their families are locked."""
    if not signals:
        return set()
    near = replace(table, storm=None)
    known, _ = incident_store.signals_within_reach(connection, signals, near)
    others = [one for one in known if one.incident != own]
    return {other for cluster in correlate(signals, others, (), near) for other in cluster.incidents}


def stand_alone(
    connection: Connection, incident: Incident, others: Collection[Incident], now: datetime, step: Step | None = None
) -> tuple[list[Incident], list[IncidentStep]]:
    """What a person reported becomes a matter of its own, apart from those locked open ones that it is linked to: both say so.

    Whoever filed it saw them and gave a reason: ``step``, which counted the incident's version already.
    """
    if not others:
        return [incident], []
    incident_store.keep_apart(connection, {frozenset((incident.id, other.id)) for other in others}, now)
    after = incident if step is not None else replace(incident, version=incident.version + 1)
    by, reason = (None, None) if step is None else (step.by, step.reason)
    names = sorted(str(other.id) for other in others)
    changed, steps = [after], [_step(after, "kept_apart", now, by, reason, {"from": names})]
    for other in others:
        beside_it = replace(other, version=other.version + 1)
        changed.append(beside_it)
        steps.append(_step(beside_it, "kept_apart", now, by, reason, {"from": [str(incident.id)]}))
    return changed, steps


def part(matters: Matters, incident: UUID, taken: int, to: Incident, by: Actor, reason: str, now: datetime) -> None:
    """Note that signals of an incident went to a new one, from which it stays apart."""
    before = matters.incidents[incident]
    after = replace(before, signals=before.signals - taken, version=before.version + 1)
    matters.change(after)
    matters.steps.append(_step(after, "parted", now, by, reason, _named("to", to) | {"signals": taken}))
    matters.apart.add(frozenset((incident, to.id)))


def splitting(incident: Incident, origin: Incident, by: Actor, reason: str, now: datetime) -> IncidentStep:
    """The first step of an incident that a person split off another one."""
    return _step(incident, "split", now, by, reason, _named("from", origin) | {"signals": incident.signals})
