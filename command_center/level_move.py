"""A person states the levels of an incident: the published warning's, the event's grade, the response's. One transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from command_center.account.account import Account
from command_center.event.event import Event
from command_center.incident import incident as incidents
from command_center.incident import store as incident_store
from command_center.incident.incident import Incident
from command_center.move import Practice
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.deadline import graded
from config.database import widen
from rules.life import TierTooLow

LEVEL_TIERS = ("city", "county")
"""Whose desks state levels: the law gives them to governments of county level and above."""


class NoSuchIncident(LookupError):
    """There is no such incident, or the account may not know of it."""


class VersionMissing(Exception):
    """The request does not say which version of the incident was being looked at."""


class BadLevels(ValueError):
    """The request sets nothing, or gives no reason."""


class StaleIncident(Exception):
    """The request was made looking at an older version of the incident; ``current`` is how it stands."""

    def __init__(self, current: Incident) -> None:
        super().__init__(f"incident I{current.number:06d} is at version {current.version} now: look again")
        self.current = current


def state_levels(
    connection: Connection,
    account: Account,
    identity: UUID,
    levels: Mapping[str, int | None],
    reason: str,
    version: int,
    now: datetime,
    city: Practice,
) -> list[Event]:
    """Write levels; returns the events to append, the incident's first. What ``levels`` does not name stays.

    Raises NoSuchIncident, TierTooLow, BadLevels, StaleIncident or NoStatutoryColour.
    """
    before = incident_store.load_incidents(connection, [identity]).get(identity)
    if before is None:
        raise NoSuchIncident(f"there is no incident {identity}")
    if account.tier not in LEVEL_TIERS:
        raise TierTooLow(f"levels are for accounts of county and city: yours is of tier {account.tier}")
    if before.version != version:
        raise StaleIncident(before)
    if not levels:
        raise BadLevels(f"no level is given: name one of {', '.join(incidents.LEVELS)}")
    if not reason.strip():
        raise BadLevels("a level needs a reason")
    after = incidents.levelled(before, levels)
    incident_store.save_levels(connection, after, account.username, account.name, reason.strip(), now)
    told = [incidents.event_of(after)]
    if after.event_grade != before.event_grade:
        told += _reported(connection, after, city, now)
    return told


def _reported(connection: Connection, incident: Incident, city: Practice, now: datetime) -> list[Event]:
    """The grade of an event starts the clock of reporting it upwards, on the incident's ticket."""
    widen(connection, city.tree.root.scope)
    ticket = ticket_store.load_tickets(connection, [incident.ticket])[incident.ticket]
    step = graded(ticket, incident.event_grade, city.dispatch, now)
    if step is None:
        return []
    after = tickets.after(ticket, step)
    ticket_store.move_ticket(connection, ticket, after, step)
    return [tickets.event_of(after, ticket)]
