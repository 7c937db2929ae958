"""What a person's wish makes of a ticket: the step, or the reason why not. Pure: row, wish, who and when in, step out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from command_center.ticket.clock import Limit, spent
from command_center.ticket.dispatch import (
    ARBITRATED_AFTER,
    LONGEST_SUSPENSION,
    MOST_EXTENSIONS,
    MOST_SUSPENSIONS,
    SKIPS_FROM,
    DispatchTable,
    routed,
)
from command_center.ticket.routing import Matter
from command_center.ticket.table import TRANSITIONS, Transition, Where, Who
from command_center.ticket.ticket import (
    DONE,
    ENDED,
    NO_LIMIT,
    UNFILED,
    Actor,
    Cause,
    Filing,
    Helper,
    Holder,
    Move,
    Request,
    Status,
    Step,
    Ticket,
    Why,
)
from gis.region import Region, RegionTree, ancestors, code_of, covers


class IllegalMove(Exception):
    """The ticket does not allow this move from where it stands."""


class NotYours(Exception):
    """The account may see the ticket but not make this move."""


class ReasonMissing(Exception):
    """The move needs a reason and came without one."""


class NoSuchTarget(Exception):
    """The region a ticket was sent to is not one the move can reach."""


class BadWish(ValueError):
    """Something that the move needs beside a reason is missing or cannot be; the message says what."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: the move, where to, why, and the version of the ticket that was being looked at.

    ``cause`` of a return, ``until`` of a suspension, ``ok`` as the answer of a check, ``score`` of an evaluation, 1 to 5;
    ``filing``, ``limit`` and ``severity`` that it is filed under.
    """

    move: Move
    version: int
    to: str | None = None
    reason: str | None = None
    cause: Cause | None = None
    until: datetime | None = None
    ok: bool | None = None
    score: int | None = None
    filing: Filing | None = None
    limit: Limit | None = None
    severity: int | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A move the asking account may make now, the regions it may send the ticket to, and what else it asks for."""

    move: Move
    needs_reason: bool
    to: tuple[tuple[str, str], ...] = ()
    asks: tuple[str, ...] = ()


_ASKS: Final[Mapping[Move, tuple[str, ...]]] = {
    Move.RETURN: ("cause",),
    Move.ASK_SUSPENSION: ("until",),
    Move.VERIFIED: ("ok",),
    Move.CHECKED: ("ok",),
    Move.EVALUATE: ("score",),
    Move.MERGE: ("ticket",),
    Move.FILE: ("filing", "severity"),
}


@dataclass(frozen=True, slots=True)
class _Case:
    ticket: Ticket
    wish: Wish
    actor: Actor
    tree: RegionTree
    table: DispatchTable
    now: datetime
    reason: str

    def refuse(self, why: str) -> IllegalMove:
        return IllegalMove(f"ticket {self.ticket.place.number}: {self.wish.move} is not possible: {why}")


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a move makes of a ticket; ``status`` and ``holder`` None leave them."""

    facts: dict[str, Any]
    holder: Holder | None = None
    status: Status | None = None
    told: dict[str, str] | None = None


def decide(ticket: Ticket, wish: Wish, actor: Actor, tree: RegionTree, table: DispatchTable, now: datetime) -> Step:
    """The step that a person's move is. Raises IllegalMove, NotYours, ReasonMissing, NoSuchTarget or BadWish."""
    transition = TRANSITIONS.get((ticket.status, wish.move))
    if transition is None or transition.who == {Who.SYSTEM}:
        raise IllegalMove(f"ticket {ticket.place.number} is {ticket.status}: {wish.move} is not possible from there")
    if not _may(ticket, transition, actor):
        whose = " or ".join(sorted(who for who in transition.who if who is not Who.SYSTEM))
        raise NotYours(f"ticket {ticket.place.number} is held by {ticket.holder.name}: {wish.move} is for {whose}")
    reason = (wish.reason or "").strip()
    if transition.needs_reason and not reason:
        raise ReasonMissing(f"{wish.move} needs a reason")
    case = _Case(ticket, wish, actor, tree, table, now, reason)
    _guard(case)
    effect = _EFFECTS[wish.move](case)
    status = effect.status or transition.status or ticket.status
    holder = effect.holder or ticket.holder
    facts = _settled(ticket, status, holder, effect.facts, table, now)
    return Step(ticket.version + 1, wish.move, now, status, holder, actor, reason or None, facts, effect.told or {})


def machine_step(
    ticket: Ticket,
    move: Move,
    table: DispatchTable,
    now: datetime,
    *,
    holder: Holder | None = None,
    status: Status | None = None,
    told: dict[str, str] | None = None,
    **facts: Any,
) -> Step:
    """A step the system takes by itself; ``holder`` and ``status`` when it also moves the ticket. Raises IllegalMove."""
    transition = TRANSITIONS.get((ticket.status, move))
    if transition is None or Who.SYSTEM not in transition.who:
        raise IllegalMove(f"ticket {ticket.place.number} is {ticket.status}: {move} does not apply")
    status = status or ticket.status
    if move is Move.RESUME:
        status = ticket.suspended_from or Status.RETURNED
        facts = _resumed(ticket, table, now)
    after = holder or ticket.holder
    facts = _settled(ticket, status, after, facts, table, now)
    return Step(ticket.version + 1, move, now, status, after, facts=facts, told=told or {})


def offers(ticket: Ticket, actor: Actor, tree: RegionTree, table: DispatchTable, now: datetime) -> list[Offer]:
    """What an account may do with a ticket now."""
    found, roles = [], _roles(ticket, actor)
    for wish, transition in _FOR_PEOPLE[ticket.status]:
        if transition.who.isdisjoint(roles):
            continue
        move, case = wish.move, _Case(ticket, wish, actor, tree, table, now, "")
        try:
            _guard(case)
        except (IllegalMove, NotYours):
            continue
        targets = _targets(case, transition.where)
        if targets is not None:
            to = tuple((region.code, region.name) for region in targets)
            found.append(Offer(move, transition.needs_reason, to, _ASKS.get(move, ())))
    return found


# A list asks this of every row. No version matters to what may be wished for.
_FOR_PEOPLE: Final[Mapping[Status, tuple[tuple[Wish, Transition], ...]]] = {
    status: tuple(
        (Wish(move, 0), own)
        for move in Move
        if (own := TRANSITIONS.get((status, move))) is not None and own.who != {Who.SYSTEM}
    )
    for status in Status
}


def _may(ticket: Ticket, transition: Transition, actor: Actor) -> bool:
    return not transition.who.isdisjoint(_roles(ticket, actor))


def _roles(ticket: Ticket, actor: Actor) -> set[Who]:
    """What an account is to a ticket."""
    holder, found = ticket.holder, set()
    at_home = actor.scope == holder.scope
    if at_home and actor.org in (None, holder.org):
        found.add(Who.HOLDER)
    if any(own.open and own.scope == actor.scope for own in ticket.helpers):
        found.add(Who.HELPER)
    # Nobody stands above the city: it checks its own work.
    above = holder.tier == "city" if at_home else covers(actor.scope, holder.scope)
    if above and actor.org is None:
        found.add(Who.ABOVE)
    return found


_STAGES: Final = {
    Status.REPORTED: "filing",
    Status.VERIFYING: "verify",
    Status.FILED: "accept",
    Status.DISPATCHED: "accept",
    Status.RETURNED: "accept",
    Status.ARBITRATING: "arbitrate",
    Status.HANDLED: "close",
    Status.CHECKING: "check",
}


def _settled(
    ticket: Ticket, status: Status, holder: Holder, facts: dict[str, Any], table: DispatchTable, now: datetime
) -> dict[str, Any]:
    """The facts with those of the clocks that follow from where the ticket comes to; what stays as it was is left out."""
    moved = holder.region != ticket.holder.region or holder.org != ticket.holder.org
    if moved or status is not ticket.status:
        severity = facts.get("severity", ticket.severity)
        stage = _STAGES.get(status)
        clocks: dict[str, Any] = {
            "stage_due_at": None if stage is None else table.stage_due(stage, severity, now, ticket.place),
            "lapsed_at": None,
            "escalated_to": None,
        }
        overdue = facts.get("overdue_at", ticket.overdue_at) is not None
        waits = status in ENDED or status in DONE or status is Status.SUSPENDED
        if waits or not overdue:
            clocks |= {"rung": 0, "rung_at": None}
        elif moved or ticket.rung_at is None:
            clocks |= {"rung": 0, "rung_at": now + table.ladder.rungs[0].after(severity)}
        if status in ENDED and not ticket.ended:
            clocks |= {"request": None, "suspended_from": None, "suspended_at": None, "resumes_at": None}
        facts = clocks | facts
    return {name: value for name, value in facts.items() if getattr(ticket, name) != value}


def _desk(region: Region) -> Holder:
    return Holder(region.code, region.name, region.tier, region.scope)


def _plain(holder: Holder) -> Holder:
    return replace(holder, account=None, account_name=None)


def _guard(case: _Case) -> None:
    """What stands in the way of a move beside its status and who makes it."""
    ticket, move = case.ticket, case.wish.move
    if ticket.binding == ticket.holder.region and move in {Move.RETURN, Move.HAND_UP}:
        raise case.refuse("an arbitration gave it to this desk, and that binds")
    if move in {Move.FINISH, Move.CLOSE} and (waiting := [own.name for own in ticket.helpers if own.open]):
        raise case.refuse(f"{', '.join(waiting)} has not answered yet")
    asked = any(own.state == "asked" and own.scope == case.actor.scope for own in ticket.helpers)
    if move is Move.HELP_ACCEPT and not asked:
        raise case.refuse("it was accepted already")
    if (
        move in {Move.CLOSE, Move.FORCE_CLOSE, Move.MERGE}
        and ticket.upward is not None
        and ticket.upward.next is not None
    ):
        raise case.refuse("its final report upwards has not been given")
    if move in {Move.REPORT_UP, Move.REPORT_FINAL} and (ticket.upward is None or ticket.upward.next is None):
        raise case.refuse("no report upwards is due")
    if move is Move.REPORT_FINAL and ticket.upward is not None and not ticket.upward.given:
        raise case.refuse("the first report comes before the final one")
    _guard_request(case)


def _guard_request(case: _Case) -> None:
    ticket, move = case.ticket, case.wish.move
    if move in {Move.ASK_EXTENSION, Move.ASK_SUSPENSION, Move.APPEAL} and ticket.request is not None:
        raise case.refuse("a request waits for its answer")
    if move is Move.ASK_EXTENSION:
        _may_extend(case)
    if move is Move.ASK_SUSPENSION and ticket.suspensions >= MOST_SUSPENSIONS:
        raise case.refuse("it was suspended once, and that is all")
    if move is Move.APPEAL and (ticket.appealed or not ticket.overdues):
        raise case.refuse("an appeal is made once, and only against an overdue")
    if move in {Move.GRANT, Move.REFUSE}:
        if ticket.request is None:
            raise case.refuse("nothing was asked for")
        if ticket.request.what == "appeal_review" and case.actor.tier != "city":
            raise NotYours(f"ticket {ticket.place.number}: the review of an appeal is the city's")
        if move is Move.GRANT and ticket.request.what == "extension":
            _may_extend(case)


def _may_extend(case: _Case) -> None:
    if case.ticket.extensions >= MOST_EXTENSIONS:
        raise case.refuse(f"it was extended {MOST_EXTENSIONS} times, and that is all")
    if case.ticket.overdue_at is not None or case.now >= case.ticket.due_at:
        raise case.refuse("it is overdue: time is given before")


def _targets(case: _Case, where: Where) -> list[Region] | None:
    """The regions that a move is offered to go to, the likeliest first; empty when it goes nowhere, None when it cannot."""
    ticket, tree = case.ticket, case.tree
    if where in {Where.STAYS, Where.TICKET, Where.ROUTED}:
        return []
    here, place = tree[ticket.holder.region], ticket.place
    if where in {Where.DOWN, Where.BELOW_OR_HERE}:
        # A cell that has ended is a place still, and nobody's desk any more.
        stands = [region for region in tree.path(place.cell) if region.code in tree.regions]
        if case.wish.move is Move.CHECK:
            own = tree[code_of(case.actor.scope)]
            inside = [r for r in reversed(stands) if covers(own.scope, r.scope) and r.code != own.code]
            found = {region.code: region for region in (*inside, *tree.children.get(own.code, ()))}
            return [region for region in found.values() if not covers(here.scope, region.scope)] or None
        path = [region for region in stands if covers(here.scope, region.scope) and region.code != here.code]
        reached = list({region.code: region for region in (*path, *tree.children.get(here.code, ()))}.values())
        return ([*reached, here] if where is Where.BELOW_OR_HERE else reached) or None
    if where is Where.UP:
        above = [tree[code_of(scope)] for scope in reversed(ancestors(here.scope)[:-1])]
        return above[: None if ticket.severity >= SKIPS_FROM else 1] or None
    if where is Where.BACK and case.wish.move is Move.RETURN:
        back = _returned_to(case)
        return None if back is None else [back]
    if where is Where.ANYWHERE:
        busy = {here.code, *(own.region for own in ticket.helpers if own.open)}
        beside = tree.children.get(here.parent or "", ())
        counties = tree.children.get(tree.root.code, ())
        return [region for region in dict.fromkeys((*beside, *counties)) if region.code not in busy] or None
    return []


def _sent(case: _Case, where: Where) -> Region:
    """The region that a wish names, or the likeliest one. Raises NoSuchTarget."""
    ticket, wish, tree = case.ticket, case.wish, case.tree
    likely = _targets(case, where)
    if not likely:
        tier = ticket.holder.tier
        raise NoSuchTarget(f"{ticket.holder.name} is at the {tier} tier: {wish.move} leads nowhere from there")
    if wish.to is None:
        return likely[0]
    found = tree.regions.get(wish.to)
    if found is not None and (found in likely or _reaches(case, where, found)):
        return found
    raise NoSuchTarget(f"region {wish.to} is not one that {ticket.holder.name} can {wish.move} to")


def _reaches(case: _Case, where: Where, region: Region) -> bool:
    """Whether a move reaches a region that is not among the likely ones."""
    holder = case.ticket.holder
    if where is Where.ANYWHERE:
        return region.code != holder.region
    if where not in {Where.DOWN, Where.BELOW_OR_HERE}:
        return False
    if case.wish.move is Move.CHECK:
        inside = covers(case.actor.scope, region.scope) and region.scope != case.actor.scope
        return inside and not covers(holder.scope, region.scope)
    return covers(holder.scope, region.scope) and region.scope != holder.scope


def _returned_to(case: _Case) -> Region | None:
    """Who gets a returned ticket: whoever sent it, if it stands above the holder, else the tier above. None at the city."""
    holder, sender, tree = case.ticket.holder, case.ticket.sender, case.tree
    if sender is not None and sender.region in tree.regions:
        own = tree[sender.region]
        if covers(own.scope, holder.scope) and own.scope != holder.scope:
            return own
    parent = tree[holder.region].parent
    return None if parent is None else tree[parent]


def _arbiter(case: _Case, returners: tuple[str, ...]) -> Region:
    """The lowest region that stands above all who gave the ticket back."""
    paths = [ancestors(case.tree[code].scope)[:-1] for code in returners]
    common = [scope for scope in paths[0] if all(scope in path for path in paths[1:])]
    return case.tree[code_of(common[-1])] if common else case.tree.root


def _why(case: _Case, how: str) -> Why:
    return Why(how, case.reason, case.reason, None, case.actor.name, case.ticket.holder.name)


_ANEW: Final[dict[str, Any]] = {"accepted_at": None, "request": None, "desk": None}


def _verify(case: _Case) -> _Effect:
    return _Effect({"desk": _plain(case.ticket.holder), "why": _why(case, "verify")}, _desk(_sent(case, Where.DOWN)))


def _verified(case: _Case) -> _Effect:
    facts = {"verified": _answer(case), "desk": None, "why": _why(case, "verified")}
    return _Effect(facts, case.ticket.desk, told={"ok": str(case.wish.ok).lower()})


def _answer(case: _Case) -> bool:
    if case.wish.ok is None:
        raise BadWish(f"{case.wish.move} needs `ok`: whether it is so")
    return case.wish.ok


def _file(case: _Case) -> _Effect:
    ticket, wish, place = case.ticket, case.wish, case.ticket.place
    severity = wish.severity or ticket.severity
    small_class = ticket.small_class if wish.filing is None else wish.filing.small_code
    matter = Matter(place.domain, place.category, small_class, severity, place.cell)
    holder, why = routed(matter, case.tree, case.table, case.now)
    limit = case.table.granted(wish.limit or case.table.limit(place.category, severity), place)
    facts: dict[str, Any] = {"limit": limit, **case.table.counted(case.now, limit), "why": why, "severity": severity}
    facts |= {"filing": wish.filing, "small_class": small_class}
    if holder.region != ticket.holder.region:
        facts["sender"] = _plain(ticket.holder)
    return _Effect(facts, holder)


def _end(case: _Case) -> _Effect:
    # Whoever only looks at it does not keep it: a ticket that ends under a check is that of the desk that is checked.
    return _Effect({"closed_at": case.now, "desk": None}, case.ticket.desk)


def _merge(case: _Case) -> _Effect:
    try:
        master = UUID(case.wish.to or "")
    except ValueError:
        raise BadWish("merge needs `to`: the id of the ticket that it joins") from None
    if master == case.ticket.place.id:
        raise NoSuchTarget("a ticket cannot be merged into itself")
    return _Effect({"closed_at": case.now, "merged_into": master})


def _split(case: _Case) -> _Effect:
    ticket = case.ticket
    facts = (
        _ANEW
        | _whole(case)
        | {"overdue_at": None}
        | {"merged_into": None, "closed_at": None, "why": _why(case, "split")}
    )
    return _Effect(facts, _plain(ticket.holder))


def _whole(case: _Case) -> dict[str, Any]:
    """The clock with the whole limit from now on; what ended before it was filed gets the limit that it never had."""
    ticket, table = case.ticket, case.table
    limit = ticket.limit
    if limit == NO_LIMIT:
        limit = table.granted(table.limit(ticket.place.category, ticket.severity), ticket.place)
    return {"limit": limit, **case.table.counted(case.now, limit)}


def _dispatch(case: _Case) -> _Effect:
    to = _desk(_sent(case, Where.DOWN))
    return _Effect(_ANEW | {"sender": _plain(case.ticket.holder), "why": _why(case, "dispatched")}, to)


def _arbitrate(case: _Case) -> _Effect:
    to = _desk(_sent(case, Where.BELOW_OR_HERE))
    facts = _ANEW | {"binding": to.region, "sender": _plain(case.ticket.holder), "why": _why(case, "arbitrated")}
    return _Effect(facts, to)


def _accept(case: _Case) -> _Effect:
    who = replace(case.ticket.holder, account=case.actor.account, account_name=case.actor.name)
    return _Effect({"accepted_at": case.now}, who)


def _return(case: _Case) -> _Effect:
    back = _returned_to(case)
    if back is None:
        tier = case.ticket.holder.tier
        raise NoSuchTarget(f"{case.ticket.holder.name} is at the {tier} tier: return leads nowhere from there")
    return _given_back(case, back, case.wish.cause or Cause.OTHER)


def _given_back(case: _Case, back: Region, cause: Cause) -> _Effect:
    """Back to whoever sent it, or before the lowest desk above all who gave it back once that is too often."""
    ticket = case.ticket
    returns, returners = ticket.returns + 1, (*ticket.disowned, ticket.holder.region)
    disputed = returns >= ARBITRATED_AFTER
    to = _arbiter(case, returners) if disputed else back
    how = "disputed" if disputed else "returned"
    facts = _ANEW | {"returns": returns, "disowned": returners, "sender": None, "why": _why(case, how)}
    status = Status.ARBITRATING if disputed else Status.RETURNED
    return _Effect(facts, _desk(to), status, {"cause": str(cause)})


def _hand_up(case: _Case) -> _Effect:
    to, sender = _sent(case, Where.UP), case.ticket.sender
    if sender is not None and sender.region == to.code:
        # Up to the desk that sent it down is a return by another name, and counts as one.
        return _given_back(case, to, Cause.NO_CAPACITY)
    return _Effect(_ANEW | {"sender": None, "why": _why(case, "handed_up")}, _desk(to))


def _finish(case: _Case) -> _Effect:
    return _Effect({"handled_at": case.now, "request": None} | _late(case))


def _late(case: _Case) -> dict[str, Any]:
    """That the work is late, where the system has not come to say so before it was done."""
    ticket = case.ticket
    if ticket.overdue_at is not None or case.now <= ticket.due_at:
        return {}
    return {"overdue_at": case.now, "overdues": ticket.overdues + 1}


def _self_handle(case: _Case) -> _Effect:
    who = replace(case.ticket.holder, account=case.actor.account, account_name=case.actor.name)
    facts = {"accepted_at": case.now, "handled_at": case.now, "request": None} | _late(case)
    if case.ticket.status in UNFILED:
        facts |= _whole(case)
    return _Effect(facts, who)


def _check(case: _Case) -> _Effect:
    facts = {"desk": case.ticket.holder, "checked": None}
    return _Effect(facts, _desk(_sent(case, Where.DOWN)))


def _checked(case: _Case) -> _Effect:
    facts = {"checked": _answer(case), "desk": None}
    return _Effect(facts, case.ticket.desk, told={"ok": str(case.wish.ok).lower()})


def _rework(case: _Case) -> _Effect:
    ticket = case.ticket
    facts: dict[str, Any] = {"handled_at": None, "accepted_at": None, "checked": None, "why": _why(case, "rework")}
    if ticket.overdue_at is None and ticket.handled_at is not None:
        # The clock stood while others looked at the work.
        facts |= case.table.counted(case.now, _left(ticket, ticket.handled_at, case.table))
    return _Effect(facts, _plain(ticket.holder))


def _left(ticket: Ticket, since: datetime, table: DispatchTable) -> Limit:
    unit = ticket.granted.unit
    return Limit(spent(since, ticket.due_at, unit, table.offices), unit)


def _evaluate(case: _Case) -> _Effect:
    if case.wish.score not in {1, 2, 3, 4, 5}:
        raise BadWish("evaluate needs `score`, 1 to 5")
    return _Effect({"score": case.wish.score})


def _reopen(case: _Case) -> _Effect:
    ticket, now = case.ticket, case.now
    facts: dict[str, Any] = {"closed_at": None, "reopened": ticket.reopened + 1, "why": _why(case, "reopened")}
    if ticket.status is Status.VOID:
        until = case.table.stage_due("filing", ticket.severity, now)
        return _Effect(facts | {"due_at": until})
    facts |= {"handled_at": None, "accepted_at": None, "overdue_at": None, "score": None, "checked": None}
    # What was appealed was the overdue of before; who had not answered by the end is not asked any more.
    facts |= {"request": None, "appealed": False, "exempt": False}
    facts["helpers"] = tuple(own for own in ticket.helpers if not own.open)
    return _Effect(facts | _whole(case), _plain(ticket.holder))


def _ask(case: _Case) -> _Effect:
    what = {Move.ASK_EXTENSION: "extension", Move.ASK_SUSPENSION: "suspension", Move.APPEAL: "appeal"}[case.wish.move]
    until = None
    if what == "suspension":
        until = case.wish.until
        if until is None or not case.now < until <= case.now + LONGEST_SUSPENSION:
            raise BadWish("ask_suspension needs `until`, at most a year ahead")
    request = Request(what, case.actor.account, case.actor.name, case.reason, case.now, until)
    return _Effect({"request": request} | ({"appealed": True} if what == "appeal" else {}))


def _grant(case: _Case) -> _Effect:
    ticket, table, now = case.ticket, case.table, case.now
    assert ticket.request is not None
    what, told = ticket.request.what, {"what": ticket.request.what}
    if what == "extension":
        granted = replace(ticket.granted, amount=ticket.granted.amount + ticket.limit.amount)
        clock = table.counted(ticket.counted_from or ticket.place.opened_at, granted)
        return _Effect({"request": None, "extensions": ticket.extensions + 1, **clock}, told=told)
    if what == "suspension":
        if ticket.request.until is None or ticket.request.until <= now:
            raise case.refuse("the time that it was to be suspended for is over")
        facts: dict[str, Any] = {"suspensions": ticket.suspensions + 1, "suspended_from": ticket.status}
        facts |= {"request": None, "suspended_at": now, "resumes_at": ticket.request.until}
        return _Effect(facts, status=Status.SUSPENDED, told=told)
    if what == "appeal":
        return _Effect({"request": msgspec.structs.replace(ticket.request, what="appeal_review")}, told=told)
    return _Effect({"request": None, "exempt": True}, told=told)


def _refuse(case: _Case) -> _Effect:
    assert case.ticket.request is not None
    return _Effect({"request": None}, told={"what": case.ticket.request.what})


def _resume(case: _Case) -> _Effect:
    return _Effect(_resumed(case.ticket, case.table, case.now), status=case.ticket.suspended_from)


def _resumed(ticket: Ticket, table: DispatchTable, now: datetime) -> dict[str, Any]:
    facts: dict[str, Any] = {"suspended_from": None, "suspended_at": None, "resumes_at": None}
    if ticket.overdue_at is None and ticket.suspended_at is not None:
        facts |= table.counted(now, _left(ticket, ticket.suspended_at, table))
    return facts


def _supervise(case: _Case) -> _Effect:
    return _Effect({"supervised_at": case.now})


def _nothing(_: _Case) -> _Effect:
    return _Effect({})


def _assist(case: _Case) -> _Effect:
    to, ticket = _sent(case, Where.ANYWHERE), case.ticket
    if any(own.open and own.region == to.code for own in ticket.helpers):
        raise NoSuchTarget(f"{to.name} helps already")
    until = case.table.stage_due("help_accept", ticket.severity, case.now)
    helper = Helper(to.code, to.name, to.tier, to.scope, case.reason, case.now, due_at=until)
    return _Effect({"helpers": (*ticket.helpers, helper)}, told={"helper": to.name})


def _help(case: _Case) -> _Effect:
    ticket, move = case.ticket, case.wish.move
    own = next(h for h in ticket.helpers if h.open and h.scope == case.actor.scope)
    if move is Move.HELP_ACCEPT:
        until = case.table.stage_due("help_handle", ticket.severity, case.now)
        after = msgspec.structs.replace(own, state="accepted", due_at=until)
    else:
        state = "done" if move is Move.HELP_DONE else "declined"
        after = msgspec.structs.replace(own, state=state, due_at=None, answered_at=case.now, answer=case.reason)
    return _Effect({"helpers": tuple(after if h is own else h for h in ticket.helpers)}, told={"helper": own.name})


def _report_up(case: _Case) -> _Effect:
    up, now = case.ticket.upward, case.now
    assert up is not None
    told = {"report": up.next or ""}
    if up.next == "first":
        following, until = "written", case.table.upward_due(up.grade, "written", up.since)
    else:
        following, until = "follow_up", case.table.upward_due(up.grade, "follow_up", now)
    return _Effect({"upward": msgspec.structs.replace(up, next=following, due_at=until, given=up.given + 1)}, told=told)


def _report_final(case: _Case) -> _Effect:
    up = case.ticket.upward
    assert up is not None
    after = msgspec.structs.replace(up, next=None, due_at=None, given=up.given + 1)
    return _Effect({"upward": after}, told={"report": "final"})


_EFFECTS: Final[Mapping[Move, Callable[[_Case], _Effect]]] = {
    Move.VERIFY: _verify,
    Move.VERIFIED: _verified,
    Move.FILE: _file,
    Move.VOID: _end,
    Move.MERGE: _merge,
    Move.SPLIT: _split,
    Move.DISPATCH: _dispatch,
    Move.ARBITRATE: _arbitrate,
    Move.ACCEPT: _accept,
    Move.RETURN: _return,
    Move.HAND_UP: _hand_up,
    Move.FINISH: _finish,
    Move.SELF_HANDLE: _self_handle,
    Move.CHECK: _check,
    Move.CHECKED: _checked,
    Move.REWORK: _rework,
    Move.CLOSE: _end,
    Move.FORCE_CLOSE: _end,
    Move.EVALUATE: _evaluate,
    Move.REOPEN: _reopen,
    Move.ASK_EXTENSION: _ask,
    Move.ASK_SUSPENSION: _ask,
    Move.APPEAL: _ask,
    Move.GRANT: _grant,
    Move.REFUSE: _refuse,
    Move.RESUME: _resume,
    Move.SUPERVISE: _supervise,
    Move.REMIND: _nothing,
    Move.ASSIST: _assist,
    Move.HELP_ACCEPT: _help,
    Move.HELP_DONE: _help,
    Move.HELP_DECLINE: _help,
    Move.REPORT_UP: _report_up,
    Move.REPORT_FINAL: _report_final,
}
