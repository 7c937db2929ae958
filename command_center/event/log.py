"""The event log's only door: nobody else inserts into it.

Number order is commit order, so a reader that takes everything above its cursor misses nothing: ``append`` is the last
statement before the commit, takes a lock that the commit releases, and draws its numbers only then. A sequence without the
lock hands numbers out in one order and shows rows in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Connection,
    DateTime,
    Integer,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy import Sequence as Numbers
from sqlalchemy.dialects.postgresql import JSONB

from command_center.event.event import HEARD_BELOW, Event
from config.database import SCOPE, Policy, metadata, within

CHANNEL = "cc_events"
_LOCK = 0x6363_6576  # "ccev"

numbers = Numbers("event_log_n", metadata=metadata, cache=1)

event_log = Table(
    "event_log",
    metadata,
    Column("n", BigInteger, numbers, server_default=numbers.next_value(), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("region", Text, nullable=False),
    Column("before", ARRAY(Text(collation="C")), nullable=False),
    Column("after", ARRAY(Text(collation="C")), nullable=False),
    Column("data", JSONB, nullable=False),
)

_OWN = f"EXISTS (SELECT FROM unnest({{column}}) AS path WHERE {within('path')})"
_BELOW = " OR ".join(f"kind = '{kind}'" for kind in sorted(HEARD_BELOW))
_HEARD = f"({_BELOW}) AND EXISTS (SELECT FROM unnest({{column}}) AS path WHERE starts_with({SCOPE}, path))"
_SEEN = f"({_OWN} OR {_HEARD})"


def _either(condition: str) -> str:
    return f"{condition.format(column='before')} OR {condition.format(column='after')}"


# Whoever hears of what was done above does not write of it.
policies = (Policy("event_log", _either(_SEEN), writing=_either(_OWN)),)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event with its number. ``data`` is None for a reader that the object has left."""

    n: int
    kind: str
    id: str
    version: int
    region: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    data: dict[str, Any] | None


def append(connection: Connection, events: Sequence[Event]) -> None:
    """Add events. Must be the transaction's last statement; does nothing when there are none."""
    if not events:
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    connection.execute(
        event_log.insert(),
        [
            {
                "kind": e.kind,
                "id": e.id,
                "version": e.version,
                "region": e.region,
                "before": list(e.before),
                "after": list(e.after),
                "data": e.data,
            }
            for e in events
        ],
    )
    connection.execute(text(f"NOTIFY {CHANNEL}"))


def newest(connection: Connection) -> int:
    """The newest committed number that the connection's scope may see; 0 when there is none."""
    found: int | None = connection.execute(text("SELECT max(n) FROM event_log")).scalar_one()
    return found or 0


def read(connection: Connection, above: int, limit: int) -> list[Entry]:
    """Events above a cursor that the connection's scope may see, oldest first."""
    found = connection.execute(
        text(
            f"SELECT n, kind, id, version, region, before, after,"
            f" CASE WHEN {_SEEN.format(column='after')} THEN data END AS data"
            " FROM event_log WHERE n > :above ORDER BY n LIMIT :limit"
        ),
        {"above": above, "limit": limit},
    )
    return [Entry(r.n, r.kind, r.id, r.version, r.region, tuple(r.before), tuple(r.after), r.data) for r in found]


def wire(entry: Entry) -> dict[str, Any]:
    """An entry as Socket.IO carries it: ``put`` with data, or ``gone`` without."""
    shared = {"cursor": entry.n, "kind": entry.kind, "id": entry.id, "version": entry.version, "region": entry.region}
    if entry.data is None:
        return shared | {"op": "gone"}
    return shared | {"op": "put", "data": entry.data}
