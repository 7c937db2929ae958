"""How many tickets of the past were closed on time: 按期结案率, per service or per agency."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Finished:
    """A ticket of the past. ``due_at`` is missing where no time was set, ``closed_at`` while it is open."""

    number: str
    service: str
    agency: str
    opened_at: datetime
    due_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class OnTime:
    """Counts of tickets of one key, as they stood at an instant ``now``.

    - ``total``: all tickets (立案数), whatever became of them: void ones and duplicates are what the record says of them.
    - ``closed``: those closed by ``now`` (结案数).
    - ``on_time``, ``late``: closed at or before the due time, and after it. Without a due time a ticket is neither.
    - ``open_overdue``: still open, the due time over.
    - ``due``: should be closed (应结案数): the due time is over or they are closed: on time + late + open overdue.
      Open ones with time left are in ``total`` only: nothing can be said of them yet.
    """

    key: str
    total: int
    due: int
    closed: int
    on_time: int
    late: int
    open_overdue: int

    @property
    def rate(self) -> float | None:
        """按期结案率 = 按期结案数 ÷ 应结案数, 0 to 1; None when nothing should be closed."""
        return self.on_time / self.due if self.due else None

    @property
    def rate_of_closed(self) -> float | None:
        """On time among the closed ones that had a due time, 0 to 1: higher, because what nobody closes does not count."""
        judged = self.on_time + self.late
        return self.on_time / judged if judged else None


def on_time(tickets: Iterable[Finished], by: Callable[[Finished], str], now: datetime) -> list[OnTime]:
    """The counts per key, most tickets first. What is recorded as closed after ``now`` was open then."""
    found: dict[str, list[Finished]] = defaultdict(list)
    for ticket in tickets:
        found[by(ticket)].append(ticket)
    counts = (_counted(key, own, now) for key, own in found.items())
    return sorted(counts, key=lambda row: (-row.total, row.key))


def _counted(key: str, tickets: Sequence[Finished], now: datetime) -> OnTime:
    closed = punctual = late = overdue = 0
    for ticket in tickets:
        is_closed = ticket.closed_at is not None and ticket.closed_at <= now
        closed += is_closed
        if ticket.due_at is None:
            continue
        if is_closed and ticket.closed_at is not None:
            is_punctual = ticket.closed_at <= ticket.due_at
            punctual += is_punctual
            late += not is_punctual
        else:
            overdue += ticket.due_at < now
    return OnTime(key, len(tickets), punctual + late + overdue, closed, punctual, late, overdue)
