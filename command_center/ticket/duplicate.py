"""Which open tickets may be the same matter as one that is reported: near, at the same time, of the same small class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from command_center.ticket.ticket import Ticket
from rules.correlate import metres


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ticket that may be the same matter. ``apart`` is the time between the report and the other's signals, zero among them;
    ``same`` is what they share: the small class, or the category where one of them has no small class.
    """

    ticket: Ticket
    metres: float
    apart: timedelta
    same: Literal["small_class", "category"]


def candidates(
    ticket: Ticket, others: Iterable[tuple[Ticket, datetime]], near_m: float, within: timedelta
) -> list[Candidate]:
    """The likeliest first: same small class before same category, then the nearest. ``others`` come each with the time of its
    last signal.
    """
    found = []
    for other, last_signal_at in others:
        same = _same(ticket, other)
        if same is None or other.ended or other.place.id == ticket.place.id:
            continue
        away = metres(ticket.place.lng, ticket.place.lat, other.place.lng, other.place.lat)
        apart = _apart(ticket.place.opened_at, other.place.opened_at, last_signal_at)
        if away <= near_m and apart <= within:
            found.append(Candidate(other, away, apart, same))
    return sorted(found, key=lambda one: (one.same != "small_class", one.metres, one.apart, one.ticket.place.number))


def _same(ticket: Ticket, other: Ticket) -> Literal["small_class", "category"] | None:
    if ticket.small_class is not None and other.small_class is not None:
        return "small_class" if ticket.small_class == other.small_class else None
    return "category" if ticket.place.category == other.place.category else None


def _apart(at: datetime, begin: datetime, last: datetime) -> timedelta:
    return max(begin - at, at - max(begin, last), timedelta(0))
