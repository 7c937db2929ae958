"""Which limit explains the due times that another system set: its whole days or hours, found again by the project's clock.

Each service is taken to have one limit and one calendar: those that explain most of its tickets. What a ticket shows else is
named. Systems that keep only minutes begin to count at the whole minute; that is told apart from the exact instant.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from command_center.ticket.clock import Limit, Offices, Unit, due, spent
from command_center.ticket.history import Finished

# Of two limits that say the same, the first: working days before hours that happen to fill them.
_UNITS: Final = (Unit.WORKING_DAYS, Unit.NATURAL_DAYS, Unit.WORKING_HOURS, Unit.CONTINUOUS)


class Match(StrEnum):
    """How a due time stands to the limit of its service."""

    EXACT = "exact"
    MINUTE = "minute"
    """The limit counts from the whole minute of filing."""
    SAME_DAY = "same_day"
    """The right day, another time of day."""
    OTHER_LIMIT = "other_limit"
    """Another whole limit explains it: the ticket was given one of its own, or that of its service was changed."""
    BEFORE_OPENED = "before_opened"
    """Due at or before the filing."""
    DAY_OFF = "day_off"
    """Due on a day on which the offices are closed."""
    NO_DUE = "no_due"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Terms:
    """The limit of a service, and by which of the calendars it counts."""

    limit: Limit
    calendar: str


@dataclass(frozen=True, slots=True)
class Explained:
    """A ticket's due time explained by ``terms``: its service's, or with OTHER_LIMIT its own."""

    match: Match
    terms: Terms | None


def terms(tickets: Iterable[Finished], calendars: Mapping[str, Offices]) -> dict[str, Terms]:
    """The terms that explain most tickets of each service; of equals the calendar named first, then the order of units."""
    votes: dict[str, Counter[Terms]] = defaultdict(Counter)
    for ticket in tickets:
        if ticket.due_at is not None:
            votes[ticket.service].update(_candidates(ticket.opened_at, ticket.due_at, calendars))
    return {
        service: max(found, key=lambda own: (found[own], -_place(own, calendars)))
        for service, found in votes.items()
        if found
    }


def explain(ticket: Finished, found: Mapping[str, Terms], calendars: Mapping[str, Offices]) -> Explained:
    """How the due time of a ticket stands to the terms of its service, as ``terms`` found them."""
    if ticket.due_at is None:
        return Explained(Match.NO_DUE, None)
    if ticket.due_at <= ticket.opened_at:
        return Explained(Match.BEFORE_OPENED, None)
    own = found.get(ticket.service)
    match = None if own is None else _match(ticket.opened_at, ticket.due_at, own, calendars)
    if match in (Match.EXACT, Match.MINUTE):
        return Explained(match, own)
    other = next(_candidates(ticket.opened_at, ticket.due_at, calendars), None)
    if other is not None:
        return Explained(Match.OTHER_LIMIT, other)
    if match is not None:
        return Explained(match, own)
    offices = next(iter(calendars.values())) if own is None else calendars[own.calendar]
    is_off = not offices.calendar.is_workday(ticket.due_at.astimezone(offices.zone).date())
    return Explained(Match.DAY_OFF if is_off else Match.UNEXPLAINED, None)


def _candidates(opened_at: datetime, due_at: datetime, calendars: Mapping[str, Offices]) -> Iterator[Terms]:
    """Whole limits that end at the due time, to the minute; each once, days before hours."""
    for unit in _UNITS:
        for name, offices in calendars.items():
            amount = round(spent(_minute(opened_at), due_at, unit, offices))
            own = Terms(Limit(amount, unit), name)
            if amount > 0 and _match(opened_at, due_at, own, calendars) in (Match.EXACT, Match.MINUTE):
                yield own


def _match(opened_at: datetime, due_at: datetime, own: Terms, calendars: Mapping[str, Offices]) -> Match | None:
    offices = calendars[own.calendar]
    ends = due(opened_at, own.limit, offices)
    if ends == due_at:
        return Match.EXACT
    if _minute(due_at) == due(_minute(opened_at), own.limit, offices):
        return Match.MINUTE
    is_same_day = ends.astimezone(offices.zone).date() == due_at.astimezone(offices.zone).date()
    return Match.SAME_DAY if is_same_day else None


def _minute(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _place(own: Terms, calendars: Mapping[str, Offices]) -> int:
    return list(calendars).index(own.calendar) * len(_UNITS) + _UNITS.index(own.limit.unit)
