"""A person states the levels of an incident: the published warning's, the event's grade, the response's. One transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from command_center.account.account import Account
from command_center.incident import incident as incidents
from command_center.incident import store as incident_store
from command_center.incident.incident import Incident
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
) -> Incident:
    """Write levels; returns the incident after it. What ``levels`` does not name stays.

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
    return after
