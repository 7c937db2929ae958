"""What the database holds, read past every store of the product."""

from __future__ import annotations

import re
from collections import Counter
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from tests.faults.check import Held, HeldStep, HeldTicket, Told
from tests.faults.ledger import Name

TAG = re.compile(rb"poison-\d+-\d+")
"""How every poison begins, so that it is known again however much of it is kept."""

# The state of a sensor comes as a reading too, but nobody sent it as one.
_READINGS = """
SELECT s.id, q.name, r.value, array_agg((extract(epoch FROM r.at) * 1000000)::bigint) AS at_us
FROM readings r JOIN sensors s ON s.n = r.sensor JOIN quantities q ON q.n = r.quantity
WHERE q.name <> 'online' GROUP BY s.id, q.name, r.value
"""
_TICKETS = """
SELECT t.id, t.source, r.words, t.version FROM tickets t LEFT JOIN reports r ON r.ticket = t.id
"""
_AUDIBLE = """
SELECT n FROM event_log WHERE EXISTS (SELECT FROM unnest(before || after) AS path WHERE starts_with(path, :scope))
"""


def held(engine: Engine) -> Held:
    """Everything the checker asks for, from one state of the database."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        return Held(
            {Name(row.id, row.name, row.value): tuple(row.at_us) for row in connection.execute(text(_READINGS))},
            frozenset(_tags(connection)),
            [(row.rule, row.source) for row in connection.execute(text("SELECT rule, source FROM alerts"))],
            [HeldTicket(row.id, row.source, row.words, row.version) for row in connection.execute(text(_TICKETS))],
            [
                HeldStep(UUID(str(row.ticket)), row.version, row.move, row.at, row.by is not None)
                for row in connection.execute(text("SELECT ticket, version, move, at, by FROM ticket_steps"))
            ],
            Counter(connection.execute(text("SELECT words FROM reports")).scalars()),
            [Told(*row) for row in connection.execute(text("SELECT n, kind, id, version FROM event_log ORDER BY n"))],
        )


def _tags(connection: Connection) -> set[str]:
    found = connection.execute(text("SELECT substring(payload FOR 100) FROM quarantine")).scalars()
    return {hit.group().decode() for start in found if (hit := TAG.search(bytes(start)))}


def audible(engine: Engine, scope: str) -> frozenset[int]:
    """Numbers of the log that the accounts of a region path may see."""
    with engine.connect() as connection:
        return frozenset(connection.execute(text(_AUDIBLE), {"scope": scope}).scalars())
