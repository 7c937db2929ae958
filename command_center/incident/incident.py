"""Incidents: a matter that signals speak of, with the one ticket it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from command_center.event.event import Event
from rules.alert import Alert
from rules.correlate import metres


@dataclass(frozen=True, slots=True)
class Incident:
    """``scope`` is the path of the place; ``number`` counts for people; ``ticket`` is the one open ticket.

    ``severity`` is our own. The three levels of the law are people's to set, 1 gravest to 4, never derived from it nor from
    each other: the published warning's (art. 63), the grade of the event (art. 3), the level of the response (art. 71).
    """

    id: UUID
    number: int
    status: str
    title: str
    title_en: str
    domain: str
    category: str
    severity: int
    cell: str
    region: str
    scope: str
    lng: float
    lat: float
    opened_at: datetime
    last_signal_at: datetime
    signals: int
    version: int
    ticket: UUID
    warning_level: int | None = None
    event_grade: int | None = None
    response_level: int | None = None
    merged_into: UUID | None = None


LEVELS: Final = ("warning_level", "event_grade", "response_level")


OPEN: Final = "open"
CLOSED: Final = "closed"
MERGED: Final = "merged"
"""It is one matter with another one, ``merged_into``, which has its signals."""
REPORTED: Final = "reported"
"""A person has told of it and no desk has filed it: machine signals do not join what may be nothing."""


@dataclass(frozen=True, slots=True)
class IncidentStep:
    """What became of an incident among others: appended, never edited. ``version`` is the incident's after it.

    ``what``: opened, merged (into another), absorbed (another), parted (signals of it went to another), split (off another),
    kept_apart (stays another matter than one it is linked to). ``by`` None: the system.
    """

    incident: UUID
    version: int
    at: datetime
    what: str
    by: str | None = None
    by_name: str | None = None
    reason: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class NoStatutoryColour(ValueError):
    """The law has no warning level for incidents of this domain."""


def opened(alert: Alert, identity: UUID, ticket: UUID, number: int, now: datetime) -> Incident:
    """The incident that an alert opens."""
    return Incident(
        id=identity,
        number=number,
        status=OPEN,
        title=alert.title,
        title_en=alert.title_en,
        domain=alert.domain,
        category=alert.category,
        severity=alert.severity,
        cell=alert.source.cell,
        region=alert.source.region,
        scope=alert.source.scope,
        lng=alert.source.lng,
        lat=alert.source.lat,
        opened_at=now,
        last_signal_at=now,
        signals=1,
        version=1,
        ticket=ticket,
    )


def joined(incident: Incident, alert: Alert, *, new_signal: bool, now: datetime) -> Incident:
    """The incident after one more signal, or after a signal it has grew graver. The gravest signal gives the title."""
    graver = alert.severity > incident.severity
    return replace(
        incident,
        title=alert.title if graver else incident.title,
        title_en=alert.title_en if graver else incident.title_en,
        severity=max(alert.severity, incident.severity),
        signals=incident.signals + new_signal,
        last_signal_at=max(now, incident.last_signal_at),
        version=incident.version + 1,
    )


def absorbed(survivor: Incident, other: Incident, *, raises: bool = True) -> Incident:
    """The incident after all signals of another one came to it. The gravest gives severity and title, if it ``raises``."""
    graver = raises and other.severity > survivor.severity
    return replace(
        survivor,
        title=other.title if graver else survivor.title,
        title_en=other.title_en if graver else survivor.title_en,
        severity=other.severity if graver else survivor.severity,
        signals=survivor.signals + other.signals,
        last_signal_at=max(survivor.last_signal_at, other.last_signal_at),
        version=survivor.version + 1,
    )


def merged(incident: Incident, survivor: UUID) -> Incident:
    """The incident after its signals went to another one."""
    return replace(incident, status=MERGED, merged_into=survivor, signals=0, version=incident.version + 1)


def following(incident: Incident, status: str, severity: int) -> Incident | None:
    """The incident as its ticket left it, with the severity it is filed under; None when it stands so already."""
    filed = incident.status == REPORTED and status == OPEN
    after = replace(incident, status=status, severity=severity if filed else incident.severity)
    return None if after == incident else replace(after, version=incident.version + 1)


def levelled(incident: Incident, levels: Mapping[str, int | None]) -> Incident:
    """The incident with levels as people set them; what ``levels`` does not name stays. Raises NoStatutoryColour."""
    if levels.get("warning_level") is not None and incident.domain == "public_order":
        raise NoStatutoryColour("the law has no warning level for public order (突发事件应对法 art. 63): leave it out")
    given = {name: levels.get(name, getattr(incident, name)) for name in LEVELS}
    return replace(incident, **given, version=incident.version + 1)


def nearest(incident: Incident, others: Iterable[Incident], within_m: float, most: int) -> list[tuple[float, Incident]]:
    """Those of the others that may be the same matter, with their distance in metres, nearest first."""
    away = ((metres(incident.lng, incident.lat, one.lng, one.lat), one) for one in others)
    return sorted((pair for pair in away if pair[0] <= within_m), key=lambda pair: (pair[0], pair[1].number))[:most]


def shown(incident: Incident) -> dict[str, Any]:
    """As HTTP and the event log show it."""
    return {
        "id": str(incident.id),
        "number": f"I{incident.number:06d}",
        "title": incident.title,
        "title_en": incident.title_en,
        "domain": incident.domain,
        "category": incident.category,
        "severity": incident.severity,
        **{name: getattr(incident, name) for name in LEVELS},
        "status": incident.status,
        "cell": incident.cell,
        "region": incident.region,
        "lng": incident.lng,
        "lat": incident.lat,
        "opened_at": incident.opened_at.isoformat(),
        "last_signal_at": incident.last_signal_at.isoformat(),
        "signals": incident.signals,
        "merged_into": None if incident.merged_into is None else str(incident.merged_into),
        "version": incident.version,
        "ticket": str(incident.ticket),
    }


def event_of(incident: Incident) -> Event:
    """What the log says when the incident changed."""
    scope = (incident.scope,)
    return Event("incident", str(incident.id), incident.version, incident.region, shown(incident), scope, scope)
