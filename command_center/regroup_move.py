"""A person says which signals are one matter: splits some off an incident, or joins two incidents. One transaction each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Final, Protocol
from uuid import UUID, uuid5

from sqlalchemy import Connection

from command_center import regroup
from command_center.account.account import Account
from command_center.assignment import assigned
from command_center.event.event import Event
from command_center.incident import incident as incidents
from command_center.incident import store as incident_store
from command_center.incident.incident import Incident
from command_center.level_move import NoSuchIncident
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.decide import ReasonMissing
from command_center.ticket.dispatch import DispatchTable, open_ticket
from config.database import widen
from gis.region import RegionTree
from rules.alert import NAMESPACE
from rules.life import TierTooLow
from rules.store import alerts_by_id

TIERS: Final = ("city", "county", "township")
"""Whose desks say what is one matter: below the township nobody sees what lies around."""


class Practice(Protocol):
    """What of a city it takes to split and to join."""

    @property
    def tree(self) -> RegionTree: ...

    @property
    def dispatch(self) -> DispatchTable: ...

    @property
    def zone(self) -> tzinfo: ...


class IncidentMoved(Exception):
    """The request was made looking at an older version of the incident; ``current`` is how it stands."""

    def __init__(self, current: Incident) -> None:
        super().__init__(f"incident I{current.number:06d} is at version {current.version} now: look again")
        self.current = current


class NotOpen(Exception):
    """Only open incidents are split and joined."""


class BadRegrouping(ValueError):
    """What is asked for does not make two matters of one, or one of two; the message says why."""


def split(
    connection: Connection,
    account: Account,
    identity: UUID,
    chosen: Collection[UUID],
    reason: str,
    version: int,
    city: Practice,
    now: datetime,
) -> tuple[Incident, list[Event]]:
    """Make alerts of an incident a matter of their own, with a ticket of its own; the two stay apart for ever.

    Raises NoSuchIncident, TierTooLow, ReasonMissing, IncidentMoved, NotOpen or BadRegrouping.
    """
    origin = _locked(connection, account, [identity], version)[identity]
    said = _reason(reason)
    has = {signal.id for signal in incident_store.signals_of(connection, identity) if signal.kind == "alert"}
    if not chosen or not set(chosen) <= has:
        raise BadRegrouping(
            "`signals` are alerts of this incident: what a person reported is split off by its own ticket"
        )
    if len(set(chosen)) >= origin.signals:
        raise BadRegrouping("one signal at least has to stay: what has all of them is the same incident")
    widen(connection, city.tree.root.scope)
    own = ticket_store.load_tickets(connection, [origin.ticket])
    # The gravest speaks for it, the earliest of them.
    alerts = sorted(alerts_by_id(connection, chosen), key=lambda a: (-a.severity, a.raised_at_us, a.id))
    number = incident_store.next_number(connection)
    fresh = uuid5(NAMESPACE, f"split\0{identity}\0{origin.version}")
    place, step = open_ticket(alerts[0], fresh, number, city.tree, city.dispatch, now.astimezone(city.zone))
    step = assigned(connection, place, None, step, city.dispatch, city.tree)
    incident = replace(incidents.opened(alerts[0], fresh, place.id, number, now), signals=len(alerts))
    matters = regroup.Matters({identity: origin}, own)
    matters.open(
        incident,
        tickets.fold(place, [step]),
        step,
        regroup.splitting(incident, origin, account.actor, said, now),
    )
    regroup.part(matters, identity, len(alerts), incident, account.actor, said, now)
    # It inherits what its origin was kept apart from.
    pairs = incident_store.apart(connection, [identity])
    matters.apart |= {frozenset(pair - {identity} | {fresh}) for pair in pairs}
    events = regroup.write(connection, matters, now)
    incident_store.part_signals(connection, identity, [alert.id for alert in alerts], fresh)
    return incident, events


def join(
    connection: Connection,
    account: Account,
    identity: UUID,
    other: UUID,
    reason: str,
    version: int,
    city: Practice,
    now: datetime,
) -> tuple[Incident, list[Event]]:
    """Make two incidents one: the younger is merged into the older, as the system does by itself. Returns the one that goes on.

    Raises NoSuchIncident, TierTooLow, ReasonMissing, IncidentMoved, NotOpen or BadRegrouping.
    """
    if identity == other:
        raise BadRegrouping("`other` is the same incident: name another one")
    found = _locked(connection, account, [identity, other], version)
    said = _reason(reason)
    widen(connection, city.tree.root.scope)
    own = ticket_store.load_tickets(connection, [incident.ticket for incident in found.values()])
    pair = frozenset((identity, other))
    matters = regroup.Matters(dict(found), own, parted=incident_store.apart(connection, [identity, other]) - {pair})
    survivor = regroup.unite(matters, [identity, other], city, now, account.actor, said)
    if matters.apart & {pair}:
        raise BadRegrouping("both tickets owe a report upwards: give the final one of them first")
    incident_store.lift_apart(connection, pair)
    events = regroup.write(connection, matters, now)
    return matters.incidents[survivor], events


def _locked(connection: Connection, account: Account, ids: list[UUID], version: int) -> dict[UUID, Incident]:
    """The incidents, open, as the account may see them. ``version`` is that of the first."""
    if account.tier not in TIERS:
        raise TierTooLow(
            f"splitting and joining is for accounts of township and above: yours is of tier {account.tier}"
        )
    found = incident_store.load_incidents(connection, ids)
    for identity in ids:
        if identity not in found:
            raise NoSuchIncident(f"there is no incident {identity}")
    if found[ids[0]].version != version:
        raise IncidentMoved(found[ids[0]])
    for incident in found.values():
        if incident.status != incidents.OPEN:
            raise NotOpen(f"incident I{incident.number:06d} is {incident.status}: only open ones are split and joined")
    return found


def _reason(reason: str) -> str:
    if not reason.strip():
        raise ReasonMissing("say why: whoever deals with it will ask")
    return reason.strip()
