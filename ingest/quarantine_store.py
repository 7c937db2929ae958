"""Rejected messages in PostgreSQL: kept, counted, dropped when there are too many, and taken up again when people ask for it.

A message that is taken up again goes the way of any other. What became of it is written to its rows in the transaction that
stores its readings, and a row that says so is not taken up a second time: replaying is done once, whoever is killed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    and_,
    func,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from config.database import Policy, metadata, within
from ingest.message import Kept, Message
from ingest.quarantine import KEPT_BYTES, NOT_STORED, PARTLY, REJECTED, RETAINED, Rejection

Instant = DateTime(timezone=True)
Path = Text(collation="C")

_LEASE: Final = timedelta(seconds=60)
_AT_ONCE: Final = 500
_BYTES_AT_ONCE: Final = 4 * 1024 * 1024

# ``replay`` is the wish that a row was last taken up for; it waits for that as long as ``replayed_at`` is empty.
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("received_at", Instant, nullable=False, index=True),
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    Column("cut", Boolean, nullable=False, server_default="false"),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("county", Text),
    Column("source", Text),
    Column("scope", Path, nullable=False, index=True),
    Column("replay", BigInteger),
    Column("replayed_at", Instant),
    Column("outcome", Text),
    Column("outcome_detail", Text),
    Index("ix_quarantine_unknown", "source", postgresql_where=text("reason = 'unknown_sensor'")),
    Index("ix_quarantine_replay", "replay", postgresql_where=text("replay IS NOT NULL")),
)

replays = Table(
    "replays",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("scope", Path, nullable=False, index=True),
    Column("wish", JSONB, nullable=False),
    Column("messages", Integer, nullable=False),
    Column("impossible", Integer, nullable=False),
    Column("worker", Text),
    Column("lease_until", Instant),
    Column("ended_at", Instant),
    Column("outcomes", JSONB),
    Index("ix_replays_open", "id", postgresql_where=text("ended_at IS NULL")),
)

# What was there and is no more, so that the counts never lie.
quarantine_dropped = Table(
    "quarantine_dropped",
    metadata,
    Column("scope", Path, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("messages", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("since", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
)

policies = tuple(Policy(name, within("scope")) for name in ("quarantine", "replays", "quarantine_dropped"))

STANDING: Final = ("replay", "replayed_at", "outcome", "outcome_detail")
"""What people change of a message that is kept."""

QUEUED: Final = quarantine.c.replay.is_not(None) & quarantine.c.replayed_at.is_(None)
REPLAYED: Final = quarantine.c.replayed_at.is_not(None)
_IMPOSSIBLE: Final = or_(quarantine.c.cut, quarantine.c.reason == RETAINED)
_POSSIBLE: Final = and_(
    ~_IMPOSSIBLE,
    or_(
        quarantine.c.replay.is_(None),
        and_(REPLAYED, quarantine.c.outcome.in_((REJECTED, PARTLY, NOT_STORED))),
    ),
)


class Overtaken(RuntimeError):
    """Another worker has taken the same messages up; nothing of this one's work is stored."""


class Verdict(NamedTuple):
    """What became of a message that was taken up again: ``rows`` are its rows in quarantine."""

    rows: tuple[int, ...]
    outcome: str
    detail: str


def save_quarantine(
    connection: Connection,
    messages: Sequence[Message],
    rejections: Iterable[Rejection],
    scopes: Mapping[str, str],
    root: str,
    kept: Callable[[bytes], bytes],
) -> None:
    """Keep what was rejected, as much of each payload as ``kept`` leaves.

    ``scopes``: region path by county code; what names no known county is the city's to see.
    """
    rows = []
    for r in rejections:
        message = messages[r.message]
        payload = kept(message.payload)
        rows.append(
            {
                "received_at": datetime.fromtimestamp(message.received_at, UTC),
                "topic": message.topic[:1000].replace("\0", "�"),
                "payload": payload[:KEPT_BYTES],
                "size": len(message.payload),
                "cut": len(payload) > KEPT_BYTES or len(message.topic) > 1000,
                "reason": r.reason,
                "detail": r.detail[:1000].replace("\0", "�"),
                "county": r.county and r.county[:64].replace("\0", "�"),
                "source": r.source and r.source[:64].replace("\0", "�"),
                "scope": scopes.get(r.county or "", root),
            }
        )
    if rows:
        connection.execute(quarantine.insert(), rows)


def chosen(
    reason: str | None = None,
    county: str | None = None,
    source: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    ids: Sequence[int] | None = None,
) -> ColumnElement[bool]:
    """SQL: the messages that are meant; what is not given narrows nothing. ``since`` and ``until`` are of the receipt."""
    table = quarantine.c
    equal = {table.reason: reason, table.county: county, table.source: source}
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    if since is not None:
        conditions.append(table.received_at >= since)
    if until is not None:
        conditions.append(table.received_at < until)
    if ids is not None:
        conditions.append(table.id.in_(ids))
    return and_(true(), *conditions)


def ask_replay(
    connection: Connection,
    which: ColumnElement[bool],
    wish: Mapping[str, Any],
    asked_by: str,
    scope: str,
    now: datetime,
) -> int:
    """Have the messages that ``which`` chooses taken up again by the worker; the number of the wish.

    What was cut short cannot be decoded, and what the broker had kept was never news: both stay and are counted.
    """
    impossible = connection.execute(select(func.count()).select_from(quarantine).where(which, _IMPOSSIBLE)).scalar_one()
    asked = {"asked_by": asked_by, "asked_at": now, "scope": scope, "wish": dict(wish)}
    number: int = connection.execute(
        replays.insert().returning(replays.c.id), {**asked, "messages": 0, "impossible": impossible}
    ).scalar_one()
    fresh = {"replay": number, "replayed_at": None, "outcome": None, "outcome_detail": None}
    found = connection.execute(update(quarantine).where(which, _POSSIBLE).values(**fresh))
    connection.execute(update(replays).where(replays.c.id == number).values(messages=found.rowcount))
    return number


def replay_as_it_stands(connection: Connection, number: int) -> dict[str, Any]:
    """How far a replay is and what came of it, as HTTP and the command line show it."""
    row = connection.execute(replays.select().where(replays.c.id == number)).one()
    outcomes = _outcomes(connection, number) if row.outcomes is None else row.outcomes
    return {
        "id": row.id,
        "asked_by": row.asked_by,
        "asked_at": row.asked_at.isoformat(),
        "wish": row.wish,
        "state": "done" if row.ended_at else "running" if row.worker else "waiting",
        "messages": row.messages,
        "impossible": row.impossible,
        "done": sum(outcomes.values()),
        "outcomes": outcomes,
        "ended_at": None if row.ended_at is None else row.ended_at.isoformat(),
    }


def _outcomes(connection: Connection, number: int) -> dict[str, int]:
    table = quarantine.c
    done = select(table.outcome, func.count()).where(table.replay == number, REPLAYED).group_by(table.outcome)
    return {outcome: count for outcome, count in connection.execute(done).all()}  # noqa: C416  rows are no pairs to mypy


_CLAIM: Final = text(
    "UPDATE replays SET worker = :worker, lease_until = :until WHERE id = (SELECT id FROM replays"
    " WHERE ended_at IS NULL AND (worker IS NULL OR worker = :worker OR lease_until < :now)"
    " ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id"
)


def take_up(connection: Connection, worker: str, now: datetime) -> list[Message]:
    """The next messages to go the way again, oldest receipt first; an empty list when there are none.

    One worker at a time holds a wish, for as long as its lease lasts. The rows of one message, rejected for several of its
    parts, are one message again.
    """
    rows: Sequence[Any] = ()
    while not rows:
        number = connection.execute(_CLAIM, {"worker": worker, "now": now, "until": now + _LEASE}).scalar()
        if number is None:
            return []
        rows = connection.execute(
            select(quarantine.c.id, quarantine.c.topic, quarantine.c.payload, quarantine.c.received_at)
            .where(quarantine.c.replay == number, quarantine.c.replayed_at.is_(None))
            .order_by(quarantine.c.received_at, quarantine.c.id)
            .limit(_AT_ONCE)
        ).all()
        if not rows:
            _end(connection, number, now)
    found: dict[tuple[str, bytes, datetime], list[int]] = {}
    size = 0
    for row in rows:
        size += len(row.payload)
        if found and size > _BYTES_AT_ONCE:
            break
        found.setdefault((row.topic, bytes(row.payload), row.received_at), []).append(row.id)
    return [
        Message(topic, payload, received_at.timestamp(), kept=Kept(tuple(ids), now.timestamp()))
        for (topic, payload, received_at), ids in found.items()
    ]


def _end(connection: Connection, number: int, now: datetime) -> None:
    connection.execute(
        update(replays)
        .where(replays.c.id == number)
        .values(ended_at=now, lease_until=None, outcomes=_outcomes(connection, number))
    )


def settle(connection: Connection, verdicts: Sequence[Verdict], now: datetime) -> None:
    """Write what became of messages that were taken up again. Raises Overtaken when somebody else has written it already."""
    values: dict[str, Any] = {"ids": [], "outcomes": [], "details": [], "now": now}
    for verdict in verdicts:
        for row in verdict.rows:
            values["ids"].append(row)
            values["outcomes"].append(verdict.outcome)
            values["details"].append(verdict.detail[:1000].replace("\0", "�"))
    written = connection.execute(
        text(
            "UPDATE quarantine q SET replayed_at = :now, outcome = v.outcome, outcome_detail = v.detail"
            " FROM unnest(CAST(:ids AS bigint[]), CAST(:outcomes AS text[]), CAST(:details AS text[]))"
            " AS v (id, outcome, detail) WHERE q.id = v.id AND q.replayed_at IS NULL RETURNING q.id"
        ),
        values,
    ).scalars()
    # A row that is gone was dropped meanwhile, as too much or too old: its message is none the worse for it.
    rest = set(values["ids"]) - set(written)
    there = select(func.count()).select_from(quarantine).where(quarantine.c.id.in_(rest))
    if rest and connection.execute(there).scalar_one():
        raise Overtaken("another worker has taken these messages up")


def drop_surplus(connection: Connection, rows: int, size: int, before: datetime, now: datetime) -> int:
    """Drop what is more than ``rows`` or ``size`` bytes of one county, oldest first, and what was received ``before``.

    Returns how many counts of dropped messages changed. County means region path: what names no known county counts
    together, as the city's.
    """
    return connection.execute(
        text(
            "WITH ranked AS (SELECT id, received_at, row_number() OVER w AS n, sum(octet_length(payload)) OVER w AS total"
            " FROM quarantine WINDOW w AS (PARTITION BY scope ORDER BY id DESC)),"
            " gone AS (DELETE FROM quarantine q USING ranked r WHERE q.id = r.id"
            " AND (r.n > :rows OR r.total > :size OR r.received_at < :before)"
            " RETURNING q.scope, q.reason, octet_length(q.payload) AS bytes)"
            " INSERT INTO quarantine_dropped AS d SELECT scope, reason, count(*), sum(bytes), :now, :now FROM gone"
            " GROUP BY 1, 2 ON CONFLICT (scope, reason) DO UPDATE SET messages = d.messages + excluded.messages,"
            " bytes = d.bytes + excluded.bytes, last_at = excluded.last_at RETURNING messages"
        ),
        {"rows": rows, "size": size, "before": before, "now": now},
    ).rowcount
