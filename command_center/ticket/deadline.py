"""The deadlines of a ticket, and what happens by itself when one comes. Pure: what a ticket's deadlines are follows from the
ticket alone, so rows that say otherwise are wrong and can be told.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from command_center.ticket.decide import machine_step
from command_center.ticket.dispatch import DispatchTable
from command_center.ticket.ticket import DONE, UNFILED, Holder, Move, Status, Step, Ticket, Upward, Why, after
from gis.region import Region, RegionTree

HANDLING: Final = "handling"
STAGE: Final = "stage"
ESCALATION: Final = "escalation"
RESUME: Final = "resume"
UPWARD: Final = "upward"
_HELP: Final = "help:"
_STAYS: Final = DONE | {Status.ARBITRATING}
"""Statuses whose holder stays when it is escalated: the work is done, or somebody has to judge it."""


def deadlines_of(ticket: Ticket) -> dict[str, datetime]:
    """When something happens by itself, by kind. Every ticket that has not ended has at least one."""
    if ticket.ended:
        return {}
    found: dict[str, datetime | None] = {}
    if ticket.status is Status.SUSPENDED:
        found[RESUME] = ticket.resumes_at
    else:
        if ticket.overdue_at is None and ticket.status not in DONE | UNFILED:
            found[HANDLING] = ticket.due_at
        if ticket.lapsed_at is None:
            found[STAGE] = ticket.stage_due_at
        found[ESCALATION] = ticket.rung_at
        found |= {f"{_HELP}{own.region}": own.due_at for own in ticket.helpers if own.open}
    if ticket.upward is not None:
        found[UPWARD] = ticket.upward.due_at
    return {kind: at for kind, at in found.items() if at is not None}


def act(ticket: Ticket, kind: str, tree: RegionTree, table: DispatchTable, now: datetime) -> Step:
    """The step that the system takes when a deadline of the ticket has come."""
    if kind == HANDLING:
        facts = _started(ticket, table, now) | {"overdue_at": now, "overdues": ticket.overdues + 1}
        return machine_step(ticket, Move.OVERDUE, table, now, **facts)
    if kind == STAGE:
        stage = str(ticket.status)
        told = {"stage": stage}
        return machine_step(ticket, Move.LAPSE, table, now, told=told, lapsed_at=now, **_started(ticket, table, now))
    if kind == ESCALATION:
        return _climb(ticket, tree, table, now)
    if kind == RESUME:
        return machine_step(ticket, Move.RESUME, table, now)
    if kind == UPWARD:
        return _unreported(ticket, table, now)
    return _unhelped(ticket, kind.removeprefix(_HELP), table, now)


def acted(ticket: Ticket, tree: RegionTree, table: DispatchTable, now: datetime) -> tuple[Ticket, list[Step]]:
    """The ticket after all that its deadlines make it do by ``now``, and the steps: the earliest first, and what one step makes
    due at once after it.
    """
    steps: list[Step] = []
    while True:
        come = sorted((at, kind) for kind, at in deadlines_of(ticket).items() if at <= now)
        if not come:
            return ticket, steps
        steps.append(act(ticket, come[0][1], tree, table, now))
        ticket = after(ticket, steps[-1])


def _started(ticket: Ticket, table: DispatchTable, now: datetime) -> dict[str, Any]:
    """The ladder begins, unless it has begun."""
    if ticket.rung_at is not None:
        return {}
    return {"rung": 0, "rung_at": now + table.ladder.rungs[0].after(ticket.severity)}


def _climb(ticket: Ticket, tree: RegionTree, table: DispatchTable, now: datetime) -> Step:
    """The next rung of the ladder; past the last one, a reminder now and again."""
    rungs, n = table.ladder.rungs, ticket.rung
    do = rungs[n].do if n < len(rungs) else "remind"
    wait = rungs[n + 1].after(ticket.severity) if n + 1 < len(rungs) else _often(table)
    facts: dict[str, Any] = {"rung": n + 1, "rung_at": now + wait}
    if do == "remind":
        return machine_step(ticket, Move.REMIND, table, now, told={"rung": do}, **facts)
    if do == "supervise":
        return machine_step(ticket, Move.SUPERVISE, table, now, told={"rung": do}, supervised_at=now, **facts)
    to = tree.root if do == "city" else _above(ticket, tree)
    facts |= {"escalated_to": to.code}
    holder, status = None, None
    if ticket.status not in _STAYS and to.code != ticket.holder.region:
        holder = Holder(to.code, to.name, to.tier, to.scope)
        # Nobody there has accepted it yet.
        status = Status.DISPATCHED if ticket.status is Status.ACCEPTED else None
        facts |= {"sender": None, "request": None, "accepted_at": None}
        facts |= {"why": Why("escalated", from_name=ticket.holder.name)}
        facts |= {"lapsed_at": None, "stage_due_at": None}
    return machine_step(
        ticket, Move.ESCALATE, table, now, holder=holder, status=status, told={"rung": do, "to": to.name}, **facts
    )


def _often(table: DispatchTable) -> timedelta:
    return timedelta(minutes=table.ladder.repeat_minutes)


def _above(ticket: Ticket, tree: RegionTree) -> Region:
    from_here = ticket.escalated_to or ticket.holder.region
    own = tree.regions.get(from_here)
    return tree.root if own is None or own.parent is None else tree[own.parent]


def _unreported(ticket: Ticket, table: DispatchTable, now: datetime) -> Step:
    up = ticket.upward
    assert up is not None
    again = now + timedelta(minutes=table.upwards.repeat_minutes)
    late = msgspec.structs.replace(up, due_at=again, lapses=up.lapses + 1)
    return machine_step(ticket, Move.REPORT_LAPSE, table, now, told={"report": up.next or ""}, upward=late)


def _unhelped(ticket: Ticket, region: str, table: DispatchTable, now: datetime) -> Step:
    own = next(helper for helper in ticket.helpers if helper.open and helper.region == region)
    late = msgspec.structs.replace(own, due_at=now + _often(table))
    helpers = tuple(late if helper is own else helper for helper in ticket.helpers)
    return machine_step(ticket, Move.HELP_LAPSE, table, now, told={"helper": own.name}, helpers=helpers)


def graded(ticket: Ticket, grade: int | None, table: DispatchTable, now: datetime) -> Step | None:
    """The step that begins, tightens or ends the reporting upwards of an event that people have graded; None: nothing new."""
    up = ticket.upward
    if ticket.ended or grade == (None if up is None else up.grade):
        return None
    if grade is None or grade not in table.upwards.by_grade:
        if up is None or up.next is None:
            return None
        return machine_step(ticket, Move.GRAVE, table, now, upward=None, told={"grade": str(grade or "")})
    if up is None or up.next is None:
        own = Upward(grade, now, "first", table.upward_due(grade, "first", now))
    else:
        due_at = table.upward_due(grade, up.next, up.since if up.next != "follow_up" else now)
        own = msgspec.structs.replace(up, grade=grade, due_at=min(due_at, up.due_at or due_at))
    return machine_step(ticket, Move.GRAVE, table, now, upward=own, told={"grade": str(grade)})


def recounted(ticket: Ticket, table: DispatchTable, now: datetime) -> Step | None:
    """The step that counts a ticket's time by the calendar as it is now; None when that changes nothing, when its time is up
    or when it stands.
    """
    if ticket.ended or ticket.counted_from is None or ticket.overdue_at is not None:
        return None
    if ticket.status in DONE | UNFILED | {Status.SUSPENDED}:
        return None
    clock = table.counted(ticket.counted_from, ticket.granted)
    if all(getattr(ticket, name) == value for name, value in clock.items()):
        return None
    return machine_step(ticket, Move.RECOUNT, table, now, **clock)
