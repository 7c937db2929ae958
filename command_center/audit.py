"""The auditor: every ticket that has not ended has a next deadline, and somebody who must act on it.

Deadlines are rows, and rows can be lost: by a hand in the database, a restore, a mistake of ours. A timer that is not there
is silent, so somebody else has to look. What the auditor finds it keeps, says in the log and puts right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, Engine

from command_center.ticket import store
from command_center.ticket.deadline import deadlines_of
from command_center.ticket.ticket import Ticket, responsible
from gis.region import SEPARATOR, RegionTree

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with the deadlines of an open ticket: kinds with no row or with another time (``missing``), and rows of
    kinds that it does not have (``stray``). ``what`` is ``rows``, ``no_deadline`` or ``nobody``.
    """

    ticket: UUID
    number: str
    what: str
    missing: tuple[str, ...] = ()
    stray: tuple[str, ...] = ()


def judged(ticket: Ticket, rows: dict[str, datetime], tree: RegionTree) -> Finding | None:
    """What is wrong with an open ticket; None when all is well. Pure."""
    own, place = deadlines_of(ticket), ticket.place
    if not own:
        return Finding(place.id, place.number, "no_deadline")
    who = responsible(ticket)
    if who is None or (who not in tree.regions and who not in tree.former):
        return Finding(place.id, place.number, "nobody")
    missing = tuple(sorted(kind for kind, at in own.items() if rows.get(kind) != at))
    stray = tuple(sorted(rows.keys() - own.keys()))
    return Finding(place.id, place.number, "rows", missing, stray) if missing or stray else None


def audit_deadlines(engine: Engine, now: datetime, tree: Callable[[Connection], RegionTree]) -> list[Finding]:
    """Look at every open ticket, keep and return what is wrong, and give each the rows that follow from it.

    A ticket that nobody has to act on cannot be put right here: it is told once, and again when it has moved and is still so.
    """
    return _out_of_order(engine, now, tree) + _nobodys(engine, now, tree)


def _out_of_order(engine: Engine, now: datetime, tree: Callable[[Connection], RegionTree]) -> list[Finding]:
    found: list[Finding] = []
    while True:
        with engine.begin() as connection:
            doubtful = store.suspicious(connection, _AT_ONCE)
            if not doubtful:
                return found
            rows, regions = store.stored_deadlines(connection, doubtful), tree(connection)
            judgements = [judged(ticket, rows.get(ticket.place.id, {}), regions) for ticket in doubtful]
            new = [judgement for judgement in judgements if judgement is not None]
            store.replace_deadlines(connection, doubtful)
            store.count_in_order(connection, doubtful)
            _keep(connection, new, now)
        found += new
        if len(doubtful) < _AT_ONCE or any(one.what == "no_deadline" for one in new):
            # One without any deadline is found again each time: once a round is enough.
            return found


def _nobodys(engine: Engine, now: datetime, tree: Callable[[Connection], RegionTree]) -> list[Finding]:
    with engine.begin() as connection:
        regions = tree(connection)
        # As many desks as have something to do, not as many as there are tickets.
        known = regions.regions.keys() | regions.former.keys()
        lost = [desk for desk in store.open_desks(connection) if not known >= _codes(*desk)]
        untold = store.untold_of(connection, lost) if lost else []
        judgements = [judged(ticket, deadlines_of(ticket), regions) for ticket in untold]
        new = [judgement for judgement in judgements if judgement is not None]
        _keep(connection, new, now)
    return new


def _codes(scope: str, escalated_to: str | None) -> set[str]:
    return {code for code in (*scope.split(SEPARATOR), escalated_to) if code}


def _keep(connection: Connection, new: list[Finding], now: datetime) -> None:
    store.save_findings(
        connection,
        [
            {
                "ticket": one.ticket,
                "found_at": now,
                "what": one.what,
                "missing": list(one.missing),
                "stray": list(one.stray),
            }
            for one in new
        ],
    )
