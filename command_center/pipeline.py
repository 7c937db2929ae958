"""The path: one batch, one function, one transaction.

Messages in, a commit out, and only then the acknowledgement. Whatever breaks between two lines of it, the broker still has
the messages, and doing them again changes nothing that is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine

from command_center.city import City
from command_center.event import log
from command_center.event.event import Event
from command_center.heartbeat import last_beat
from command_center.respond import respond
from command_center.shown import shown_sensor
from gis.locate import LocatedBatch, locate
from gis.position import implausible
from ingest import store as ingest_store
from ingest.decode import REMEMBERED_S, Decoded, decode, topic_parts
from ingest.decode import Memory as DecodeMemory
from ingest.message import Message, Reply
from ingest.quarantine import Rejection
from ingest.reading import LATE, ReadingBatch
from ingest.sensor import Sensor
from ingest.silence import OFFLINE, ONLINE
from rules.evaluate import Evaluation, evaluate, evaluate_events, recall
from rules.evaluate import Memory as RuleMemory
from rules.store import load_open_alerts
from video import decode as video_decode
from video.formats.frigate import without_persons
from video.store import save_camera_events


def _nothing(_: str) -> None:
    return


@dataclass
class Memory:
    """What the worker knows between batches; all of it can be made again from the database.

    ``latest``, ``heard_at`` and ``state`` are by sensor number; ``unsaved`` are sensors whose newest values are not stored.
    """

    decode: DecodeMemory
    rules: RuleMemory
    latest: dict[int, dict[str, Any]] = field(default_factory=dict)
    heard_at: dict[int, float] = field(default_factory=dict)
    state: dict[int, str] = field(default_factory=dict)
    unsaved: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Outcome:
    """What became of a batch. ``replies`` go out after the commit; ``counts`` feed the metrics."""

    replies: list[Reply]
    counts: Counter[str]


@dataclass(frozen=True)
class StateChange:
    """A sensor came or went. ``since`` epoch seconds."""

    sensor: Sensor
    state: str
    since: float


def remember(connection: Connection, city: City, now: float) -> Memory:
    """The memory a worker begins with."""
    # What the broker sends again after a long stop was stored just before it, and counts as new from now on.
    worked_at = last_beat(connection, "worker").data_at or datetime.fromtimestamp(now, UTC)
    keys = ingest_store.load_keys(connection, worked_at - timedelta(seconds=REMEMBERED_S))
    memory = Memory(DecodeMemory(dict.fromkeys(keys, now)), recall(city.slots, load_open_alerts(connection)))
    for n, (state, seen) in ingest_store.load_silence(connection).items():
        memory.state[n] = state
        if seen is not None:
            memory.heard_at[n] = seen.timestamp()
    return memory


def advance(
    messages: Sequence[Message],
    city: City,
    memory: Memory,
    engine: Engine,
    now: float,
    checkpoint: Callable[[str], None] = _nothing,
) -> Outcome:
    """Take a batch through the whole path and commit it. ``memory`` changes only after the commit.

    ``checkpoint`` is told ``before_commit`` and ``after_commit``: where a test kills the process.
    """
    pictures = [m for m in messages if _is_raw(m)]
    plain = [m for m in messages if not _is_raw(m)]
    decoded = decode(plain, city.catalogue, memory.decode, partial(implausible, index=city.cells.index))
    camera_events, camera_rejections, ignored = video_decode.decode(pictures, city.cameras_by_name)
    with engine.begin() as connection:
        batch = _without_stored(connection, decoded)
        located = locate(batch, city.home, city.cells)
        alarms = evaluate(located, city.slots, memory.rules)
        seen = evaluate_events(camera_events, city.rulebook.camera_rules, dict(city.cameras), memory.rules)
        ingest_store.save_readings(connection, located.readings, located.cell)
        ingest_store.save_positions(connection, located.readings, located.lng, located.lat)
        save_camera_events(connection, camera_events, dict(city.cameras))
        _save_rejections(connection, plain, decoded.rejections, city)
        _save_rejections(connection, pictures, camera_rejections, city, without_persons)
        states = _states(batch, city, memory)
        events = _save_states(connection, states, city, memory)
        moment = datetime.fromtimestamp(now, UTC)
        events += respond(connection, alarms.changes + seen.changes, city, moment)
        log.append(connection, events)
        checkpoint("before_commit")
    checkpoint("after_commit")
    _learn(memory, decoded, located, alarms, seen, states, city, now)
    counts = Counter[str]()
    counts.update(f"rejected_{r.reason}" for r in [*decoded.rejections, *camera_rejections])
    counts.update(
        messages=len(messages),
        readings=len(batch),
        repeated=decoded.repeated + len(decoded.batch) - len(batch),
        camera_events=len(camera_events),
        ignored=ignored,
        alerts=len(alarms.changes) + len(seen.changes),
        events=len(events),
    )
    return Outcome(decoded.replies, counts)


def put_aside(messages: Sequence[Message], reason: str, detail: str, city: City, engine: Engine) -> None:
    """Quarantine messages that no transaction could store, so that they are acknowledged without being lost."""
    with engine.begin() as connection:
        for raw, kept in ((False, _all), (True, without_persons)):
            part = [m for m in messages if _is_raw(m) is raw]
            _save_rejections(connection, part, [Rejection(i, reason, detail) for i in range(len(part))], city, kept)


def declare(changes: Sequence[StateChange], city: City, memory: Memory, engine: Engine) -> None:
    """Store and tell that sensors came or went, when no message says so."""
    if not changes:
        return
    with engine.begin() as connection:
        log.append(connection, _save_states(connection, changes, city, memory))
    for change in changes:
        memory.state[change.sensor.n] = change.state


def save_latest(memory: Memory, engine: Engine) -> None:
    """Store the newest values that changed since the last time: once a second for all, not once a reading."""
    waiting = sorted(memory.unsaved)
    rows = [
        ingest_store.Latest(n, memory.latest[n], datetime.fromtimestamp(memory.heard_at[n], UTC))
        for n in waiting
        if n in memory.latest
    ]
    if rows:
        with engine.begin() as connection:
            ingest_store.save_latest(connection, rows)
    memory.unsaved.difference_update(waiting)


def _is_raw(message: Message) -> bool:
    parts = topic_parts(message.topic)
    return parts is not None and parts[2].startswith("raw/")


def _without_stored(connection: Connection, decoded: Decoded) -> ReadingBatch:
    """The batch without what an earlier transaction stored longer ago than memory reaches."""
    stored = ingest_store.stored_keys(connection, decoded.doubts)
    if not stored:
        return decoded.batch
    return decoded.batch.take(~np.isin(decoded.batch.key, np.array(sorted(stored), dtype="i8")))


def _all(payload: bytes) -> bytes:
    return payload


def _save_rejections(
    connection: Connection,
    messages: Sequence[Message],
    rejections: Sequence[Rejection],
    city: City,
    kept: Callable[[bytes], bytes] = _all,
) -> None:
    if rejections:
        ingest_store.save_quarantine(connection, messages, rejections, city.scope_of_county(), city.root, kept)


def _states(batch: ReadingBatch, city: City, memory: Memory) -> list[StateChange]:
    """Sensors whose state this batch changes: one that speaks is online, one that says offline is offline."""
    online = city.catalogue.quantities.get("online")
    told: dict[int, tuple[str, float]] = {}
    received = batch.received_at.view("i8") / 1e6
    rows = zip(batch.sensor.tolist(), batch.quantity.tolist(), batch.value.tolist(), received.tolist(), strict=True)
    for sensor, quantity, value, at in rows:
        says_offline = online is not None and quantity == online.n and value == 0
        told[sensor] = (OFFLINE if says_offline else ONLINE, at)
    return [
        StateChange(city.catalogue.by_n[n], state, at)
        for n, (state, at) in told.items()
        if memory.state.get(n) != state
    ]


def _save_states(connection: Connection, changes: Sequence[StateChange], city: City, memory: Memory) -> list[Event]:
    rows = [(c.sensor.n, c.state, datetime.fromtimestamp(c.since, UTC)) for c in changes]
    versions = ingest_store.save_states(connection, rows)
    events = []
    for change, (_, _, since) in zip(changes, rows, strict=True):
        sensor = change.sensor
        data = shown_sensor(sensor, city.catalogue, change.state, since, memory.latest.get(sensor.n, {}))
        scope = (sensor.scope,)
        events.append(Event("sensor", sensor.id, versions.get(sensor.n, 1), sensor.region, data, scope, scope))
    return events


def _learn(
    memory: Memory,
    decoded: Decoded,
    located: LocatedBatch,
    alarms: Evaluation,
    seen: Evaluation,
    states: Sequence[StateChange],
    city: City,
    now: float,
) -> None:
    """Bring memory up to what is now committed."""
    memory.decode.remember(decoded.keys, now)
    memory.decode.forget_before(now - REMEMBERED_S)
    alarms.after(memory.rules)
    seen.after(memory.rules)
    for change in states:
        memory.state[change.sensor.n] = change.state
    _learn_latest(memory, located.readings, city)


def _learn_latest(memory: Memory, readings: ReadingBatch, city: City) -> None:
    names = {n: quantity.name for n, quantity in city.catalogue.quantity_by_n.items()}
    current = readings.take((readings.flags & LATE) == 0)
    received_s = current.received_at.view("i8") / 1e6
    at = np.datetime_as_string(current.at, unit="ms", timezone="UTC")
    received = np.datetime_as_string(current.received_at, unit="ms", timezone="UTC")
    columns = (current.sensor, current.quantity, current.value, at, received, received_s)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for sensor, quantity, value, at_text, received_text, heard in rows:
        values = memory.latest.setdefault(sensor, {})
        known = values.get(names[quantity])
        memory.heard_at[sensor] = max(heard, memory.heard_at.get(sensor, 0.0))
        memory.unsaved.add(sensor)
        if known is None or known["at"] <= at_text:
            values[names[quantity]] = {"value": value, "at": at_text, "received_at": received_text}
