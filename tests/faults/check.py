"""The one checker: the producers' ledger against the database and against what consoles saw. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

from tests.faults.ledger import Ledger, Name, Sent, Step

LATE_AFTER = timedelta(seconds=10)
"""A deadline may be done this much after its time, or after a scheduler is back. The scheduler looks each second; the rest is
what a busy machine of two processors takes."""


class Told(NamedTuple):
    """An entry of the event log, as it is stored and as it is heard."""

    n: int
    kind: str
    id: str
    version: int


@dataclass(frozen=True)
class Caught:
    """The answer to a sync: from ``cursor`` on it goes live. ``whole``: a snapshot, which stands for all that was before."""

    cursor: int
    whole: bool
    events: tuple[Told, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What one console got, in order, over all its connections. ``audible``: numbers of the log that its account may see."""

    who: str
    record: Sequence[Caught | Told]
    audible: frozenset[int]


@dataclass(frozen=True)
class HeldTicket:
    """A ticket. ``source`` is the sensor whose signal opened it, ``report`` the words of the report that did."""

    id: UUID
    source: str
    report: str | None
    version: int


@dataclass(frozen=True)
class HeldStep:
    """A step of a ticket, by a person or by the system."""

    ticket: UUID
    version: int
    move: str
    at: datetime
    by_person: bool


@dataclass(frozen=True)
class Held:
    """What the database holds, read from outside. ``at_us`` are the device times of a reading's rows."""

    readings: Mapping[Name, Sequence[int]]
    quarantined: frozenset[str]
    alerts: Sequence[tuple[str, str]]
    tickets: Sequence[HeldTicket]
    steps: Sequence[HeldStep]
    reports: Counter[str]
    log: Sequence[Told]


@dataclass(frozen=True)
class Verdict:
    """What is wrong, one line each. ``forgotten`` is no fault of ours: a broker that was killed had acknowledged it and no
    receipt of ours exists.
    """

    lost: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    duplicate_tickets: list[str] = field(default_factory=list)
    late_timers: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether every promise was kept."""
        return not any(getattr(self, one.name) for one in fields(self) if one.name != "forgotten")

    def table(self, title: str) -> str:
        """As people read it: the counts, and the first few lines of each."""
        counts = "  ".join(f"{one.name} {len(getattr(self, one.name))}" for one in fields(self))
        lines = [f"{one.name}: {line}" for one in fields(self) for line in getattr(self, one.name)[:5]]
        return "\n".join([f"{title}: {counts}", *lines])


def judge(ledger: Ledger, held: Held, consoles: Iterable[Seen], now: datetime, *, broker_kept: bool = True) -> Verdict:
    """``broker_kept``: no broker was killed, so that what it acknowledged is owed too; else only what has our receipt."""
    verdict = Verdict()
    _judge_readings(verdict, ledger, held, broker_kept)
    _judge_tickets(verdict, ledger, held, broker_kept)
    _judge_asked(verdict, ledger, held)
    _judge_log(verdict, held)
    verdict.late_timers.extend(_late_timers(ledger, held, now))
    for seen in consoles:
        _judge_console(verdict, seen, held.log)
    return verdict


def _owed(sent: Sent, broker_kept: bool) -> bool:
    return sent.receipts > 0 or (broker_kept and sent.pubacks > 0)


def _judge_readings(verdict: Verdict, ledger: Ledger, held: Held, broker_kept: bool) -> None:
    for name, sent in ledger.readings.items():
        rows = held.readings.get(name, ())
        if not rows and sent.receipts + sent.pubacks:
            (verdict.lost if _owed(sent, broker_kept) else verdict.forgotten).append(f"reading {name}: {sent}")
        verdict.extra.extend([f"reading {name} again"] * (len(rows) - 1))
        if sent.at_us is not None:
            verdict.extra.extend(f"reading {name} of another time: {at}" for at in rows if at != sent.at_us)
    verdict.extra.extend(f"reading {name} that nobody sent" for name in held.readings if name not in ledger.readings)
    for tag, sent in ledger.poisons.items():
        if tag not in held.quarantined and sent.pubacks:
            (verdict.lost if broker_kept else verdict.forgotten).append(f"{tag} is not in quarantine: {sent}")
    verdict.extra.extend(f"{tag} that nobody sent" for tag in held.quarantined if tag not in ledger.poisons)


def _judge_tickets(verdict: Verdict, ledger: Ledger, held: Held, broker_kept: bool) -> None:
    opened = Counter(ticket.source for ticket in held.tickets if ticket.report is None)
    for sensor in {alarm.sensor for alarm in ledger.alarms}:
        alarms = [alarm for alarm in ledger.alarms if alarm.sensor == sensor]
        if not opened[sensor] and any(_owed(ledger.readings[alarm], broker_kept) for alarm in alarms):
            verdict.lost.append(f"no ticket for {sensor}")
    known = {alarm.sensor for alarm in ledger.alarms}
    verdict.extra.extend(f"a ticket for {source} without a cause" for source in opened if source not in known)
    verdict.duplicate_tickets.extend(_more_than_one(opened, "tickets for"))
    verdict.duplicate_tickets.extend(_more_than_one(Counter(t.report for t in held.tickets if t.report), "tickets for"))
    verdict.extra.extend(_more_than_one(Counter(held.alerts), "alerts of"))


def _more_than_one(found: Counter[str] | Counter[tuple[str, str]], what: str) -> Iterator[str]:
    for name, count in found.items():
        if count > 1:
            yield f"{count} {what} {name}"


def _judge_asked(verdict: Verdict, ledger: Ledger, held: Held) -> None:
    """Moves and reports: what HTTP answered with success is there, once; nothing is there that nobody asked for."""
    moved = Counter(Step(step.ticket, step.version, step.move) for step in held.steps if step.by_person)
    _judge_answers(verdict, "move", {move: asked.status for move, asked in ledger.moves.items()}, moved)
    _judge_answers(verdict, "report", {words: asked.status for words, asked in ledger.reports.items()}, held.reports)


def _judge_answers(verdict: Verdict, what: str, answers: Mapping[Any, int], found: Counter[Any]) -> None:
    for key, status in answers.items():
        if status in range(200, 300) and not found[key]:
            verdict.lost.append(f"{what} {key}, answered with {status}")
    for key, count in found.items():
        if key not in answers or answers[key] in range(400, 500):
            verdict.extra.append(f"{what} {key}, which nobody was told is done")
        verdict.extra.extend([f"{what} {key} again"] * (count - 1))


def _judge_log(verdict: Verdict, held: Held) -> None:
    """A ticket is its steps, without a gap, and the log tells its newest version."""
    versions: dict[UUID, list[int]] = {}
    for step in held.steps:
        versions.setdefault(step.ticket, []).append(step.version)
    told: dict[str, int] = {}
    for entry in held.log:
        if entry.kind == "ticket":
            told[entry.id] = max(entry.version, told.get(entry.id, 0))
    for ticket in held.tickets:
        steps = sorted(versions.get(ticket.id, []))
        if steps != list(range(1, ticket.version + 1)):
            verdict.lost.append(f"steps of ticket {ticket.id}: {steps}, its version is {ticket.version}")
        if told.get(str(ticket.id)) != ticket.version:
            verdict.lost.append(f"ticket {ticket.id} is at {ticket.version}, the log says {told.get(str(ticket.id))}")


def _late_timers(ledger: Ledger, held: Held, now: datetime) -> Iterator[str]:
    """Deadlines that were missed, done early, done late or done twice."""
    done: dict[UUID, list[datetime]] = {}
    for step in held.steps:
        if step.move == "overdue":
            done.setdefault(step.ticket, []).append(step.at)
    for ticket, due in ledger.timers.items():
        # A scheduler that was away may do it when it is back.
        back = max([due, *(until for since, until in ledger.scheduler_away if since <= due + LATE_AFTER)])
        times = done.pop(ticket, [])
        if not times and now > back + LATE_AFTER:
            yield f"{ticket}, due at {due}, was never done"
        if len(times) > 1:
            yield f"{ticket}, due at {due}, was done {len(times)} times"
        for at in times:
            if not due <= at <= back + LATE_AFTER:
                yield f"{ticket}, due at {due}, was done at {at}"
    for ticket, times in done.items():
        yield f"{ticket} has no deadline that came, and was overdue at {times[0]}"


def _judge_console(verdict: Verdict, seen: Seen, log: Sequence[Told]) -> None:
    stored = {entry.n: entry for entry in log}
    first: int | None = None
    cursor = whole_to = -1
    heard: list[Told] = []
    for item in seen.record:
        if isinstance(item, Told):
            heard.append(item)
            continue
        heard.extend(item.events)
        if first is None:
            first = item.cursor
        if item.whole:
            whole_to = max(whole_to, item.cursor)
        cursor = max(cursor, item.cursor)
    if first is None:
        verdict.lost.append(f"{seen.who} never got an answer to its sync")
        return
    numbers = [entry.n for entry in heard]
    for before, after in pairwise(numbers):
        if after <= before:
            verdict.out_of_order.append(f"{seen.who} heard {after} after {before}")
    verdict.extra.extend(
        f"{seen.who} heard {entry}, the log has {stored.get(entry.n)}"
        for entry in heard
        if stored.get(entry.n) != entry
    )
    verdict.extra.extend(f"{seen.who} heard {n} of others" for n in numbers if n in stored and n not in seen.audible)
    missed = [n for n in sorted(seen.audible - set(numbers)) if n > max(first, whole_to)]
    verdict.lost.extend(f"{seen.who} never heard {stored[n]}" for n in missed if n in stored)
    newest: dict[tuple[str, str], int] = {}
    for entry in heard:
        of = entry.kind, entry.id
        if entry.version < newest.get(of, 0):
            verdict.out_of_order.append(f"{seen.who} heard {entry} after version {newest[of]}")
        newest[of] = max(entry.version, newest.get(of, 0))
