"""The path: one batch, one function, one transaction.

Messages in, a commit out, and only then the acknowledgement. Whatever breaks between two lines of it, the broker still has
the messages, and doing them again changes nothing that is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine

from command_center import regroup
from command_center.city import City
from command_center.event import log
from command_center.heartbeat import last_beat
from command_center.presence import StateChange, link_changes, save_links, save_sensors, sensor_changes, spoken
from command_center.respond import respond
from gis.locate import LocatedBatch, locate, nothing_located
from gis.position import implausible
from ingest import link_store
from ingest import store as ingest_store
from ingest.admit import admit
from ingest.decode import AHEAD_AFTER_S, MOST_KEYS, REMEMBERED_S, Decoded, decode
from ingest.decode import Memory as DecodeMemory
from ingest.edge_store import load_edges, save_edges
from ingest.link import Link
from ingest.message import Message, Reply
from ingest.quarantine import NOTHING_NEW, PARTLY, REJECTED, STORED, Rejection
from ingest.quarantine_store import Verdict, save_quarantine, settle
from ingest.reading import AHEAD, LATE, ReadingBatch
from ingest.silence import SILENT, fallen_silent
from rules import judge
from rules.absence import heard_by_number
from rules.evaluation import Evaluation
from rules.judge import Memory as RuleMemory
from rules.shadow_store import load_open_shadow, save_shadow
from rules.snapshot_store import Snapshot, load_snapshot, save_snapshot
from rules.store import load_open_alerts, microseconds, moment
from rules.version import left_over
from video import decode as video_decode
from video.camera import CameraEvent
from video.formats.frigate import without_persons
from video.store import save_camera_events, stored_camera_events

REBUILT_S = 900
"""How far back readings are judged again where no snapshot can be read."""

_MOST_FRESH = 100_000
"""Readings."""

_ENDLESS = datetime(9000, 1, 1, tzinfo=UTC)


def _nothing(_: str) -> None:
    return


@dataclass
class Memory:
    """What the worker knows between batches; all of it can be made again from the database.

    ``latest``, ``heard_at`` and ``state`` are by sensor number; ``fresh`` was not looked at for ``latest`` yet; ``unsaved`` are
    sensors whose newest values are not stored; ``links`` by county.
    ``rules`` and ``shadow`` have taken in every reading received before ``taken_in_to`` (epoch microseconds), and of those
    received at that very instant the ones whose keys are ``keys_then``. ``spoilt``: they hold what was not committed.
    """

    decode: DecodeMemory
    rules: RuleMemory
    shadow: RuleMemory
    taken_in_to: int
    keys_then: set[int] = field(default_factory=set)
    spoilt: bool = False
    unread: str = ""
    """Why the snapshot could not be used, where it could not."""
    latest: dict[int, dict[str, Any]] = field(default_factory=dict)
    heard_at: dict[int, float] = field(default_factory=dict)
    state: dict[int, str] = field(default_factory=dict)
    unsaved: set[int] = field(default_factory=set)
    fresh: list[ReadingBatch] = field(default_factory=list)
    links: dict[str, Link] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a batch. ``replies`` go out after the commit; ``counts`` feed the metrics."""

    replies: list[Reply]
    counts: Counter[str]


def remember(connection: Connection, city: City, now: float, worker: str = "worker") -> Memory:
    """The memory a worker begins with: its newest snapshot, the readings stored since, and the alerts that are open."""
    # What the broker sends again after a long stop was stored just before it, and counts as new from now on.
    worked_at = last_beat(connection, "worker").data_at or datetime.fromtimestamp(now, UTC)
    since = worked_at - timedelta(seconds=REMEMBERED_S)
    keys, oldest = ingest_store.load_keys(connection, since, MOST_KEYS)
    reaches_to_us = 0 if oldest is None else microseconds(oldest)
    now_us = round(now * 1e6)
    memory = Memory(
        DecodeMemory(dict.fromkeys(keys, now), load_edges(connection), reaches_to_us),
        RuleMemory.quiet(city.layout, now_us),
        RuleMemory.quiet(city.shadow_layout, now_us),
        now_us,
    )
    for n, state, heard, latest in ingest_store.load_latest(connection):
        memory.state[n], memory.latest[n] = state, latest
        if heard is not None:
            memory.heard_at[n] = heard.timestamp()
    _recover(connection, city, memory, worker)
    memory.rules = judge.recall(city.layout, load_open_alerts(connection), memory.rules)
    memory.shadow = judge.recall(city.shadow_layout, load_open_shadow(connection), memory.shadow)
    memory.links = link_store.load_links(connection)
    for rules in (memory.rules, memory.shadow):
        rules.listening(now_us)
    return memory


def keep(memory: Memory, city: City, engine: Engine, now: float, worker: str) -> None:
    """Store a snapshot of what the rules remember."""
    taken_in_to, made_at = moment(memory.taken_in_to), datetime.fromtimestamp(now, UTC)
    keys = tuple(sorted(memory.keys_then))
    frozen = judge.frozen(memory.rules, city.layout), judge.frozen(memory.shadow, city.shadow_layout)
    with engine.begin() as connection:
        for name, text in zip(_names(worker), frozen, strict=True):
            save_snapshot(connection, name, Snapshot(made_at, taken_in_to, keys, text))


def _names(worker: str) -> tuple[str, str]:
    return worker, f"{worker}/shadow"


def _recover(connection: Connection, city: City, memory: Memory, worker: str) -> None:
    """Bring the rules' memory up to the newest stored reading. What that says again is stored already, and left out.

    Without a snapshot that can be read, the readings of the last REBUILT_S have to do.
    """
    mine, shadow = (load_snapshot(connection, name) for name in _names(worker))
    try:
        if mine is not None:
            memory.rules = judge.thawed(mine.memory, city.layout)
            if shadow is not None and shadow.taken_in_to == mine.taken_in_to:
                memory.shadow = judge.thawed(shadow.memory, city.shadow_layout)
            memory.taken_in_to, memory.keys_then = microseconds(mine.taken_in_to), set(mine.keys)
    except ValueError as problem:
        memory.unread, mine = str(problem), None
    if mine is None:
        memory.taken_in_to -= REBUILT_S * 1_000_000
    since = moment(memory.taken_in_to)
    events = stored_camera_events(connection, since)
    # Few at a time: the server ends a transaction that thinks for seconds between two of its statements.
    for part in ingest_store.stored_readings(connection, since, _ENDLESS, rows=2_000):
        known = part.readings.received_at.view("i8") == memory.taken_in_to
        known &= np.isin(part.readings.key, sorted(memory.keys_then))
        located = LocatedBatch(part.readings, part.cell, part.lng, part.lat, city.cells.places).take(~known)
        if len(located.readings):
            _judge_both(located, [], city, memory, int(located.readings.received_at.view("i8")[-1]))
            _took_in(memory, located.readings)
        # Newest values are stored once a second: those of the last one may be missing.
        _learn_heard(memory, part.readings, city)
        _learn_latest(memory, part.readings, city)
    _judge_both(nothing_located(city.cells.places), events, city, memory, memory.taken_in_to)
    memory.spoilt = False


def _judge_both(
    located: LocatedBatch, events: Sequence[CameraEvent], city: City, memory: Memory, now_us: int
) -> tuple[Evaluation, Evaluation]:
    """What the rules in force find, and those that run in the shadow. Spoils the memory until the commit."""
    memory.spoilt = True
    found = judge.judge(located, events, city.layout, memory.rules, now_us, city.situation)
    shadow = judge.judge(located, events, city.shadow_layout, memory.shadow, now_us, city.situation)
    return found, shadow


def _took_in(memory: Memory, readings: ReadingBatch) -> None:
    if len(readings):
        received_us = readings.received_at.view("i8")
        newest = int(received_us.max())
        # What was received long ago and comes only now takes nothing back of what is known to be taken in.
        if newest >= memory.taken_in_to:
            then = set(readings.key[received_us == newest].tolist())
            memory.keys_then = then | memory.keys_then if newest == memory.taken_in_to else then
            memory.taken_in_to = newest
    memory.spoilt = False


def advance(
    messages: Sequence[Message],
    city: City,
    memory: Memory,
    engine: Engine,
    now: float,
    checkpoint: Callable[[str], None] = _nothing,
) -> Outcome:
    """Take a batch through the whole path and commit it. A memory that is ``spoilt`` afterwards has to be made again.

    ``checkpoint`` is told ``before_insert``, ``after_insert``, ``before_commit`` and ``after_commit``: where a test kills the
    process.
    """
    kept = [message for message in messages if message.kept is not None]
    admitted = admit(messages, city.counties_with_sensors)
    pictures = [m for m in admitted.messages if video_decode.speaks(m.topic)]
    plain = [m for m in admitted.messages if not video_decode.speaks(m.topic)] if pictures else admitted.messages
    decoded = decode(plain, city.catalogue, memory.decode, partial(implausible, index=city.cells.index), city.routes)
    camera_events, camera_rejections, ignored = video_decode.decode(pictures, city.cameras_by_name)
    batch = _without_stored(engine, decoded)
    # What takes long is done before the transaction: one that waits for it is ended by the server, and on a busy machine
    # would be ended again each time it is tried.
    located = locate(batch, city.home, city.cells)
    found, shadow = _judge_both(located, camera_events, city, memory, round(now * 1e6))
    with engine.begin() as connection:
        checkpoint("before_insert")
        ingest_store.save_readings(connection, located.readings, located.cell)
        ingest_store.save_positions(connection, located.readings, located.lng, located.lat)
        save_camera_events(connection, camera_events, dict(city.cameras))
        save_edges(connection, decoded.edges, memory.decode.edges)
        _save_rejections(connection, messages, admitted.rejections, city, without_persons)
        _save_rejections(connection, plain, decoded.rejections, city)
        _save_rejections(connection, pictures, camera_rejections, city, without_persons)
        if kept:
            rejected = [(messages[r.message], r) for r in admitted.rejections]
            rejected += [(plain[r.message], r) for r in decoded.rejections]
            rejected += [(pictures[r.message], r) for r in camera_rejections]
            taken = [plain[row] for row in batch.message.tolist()] + [pictures[e.message] for e in camera_events]
            settle(connection, _verdicts(kept, taken, rejected), datetime.fromtimestamp(now, UTC))
        checkpoint("after_insert")
        # What comes from quarantine says nothing of now.
        fresh = batch if not kept else batch.take(np.zeros(0, dtype="i8"))
        states = sensor_changes(fresh, city, memory.state)
        links = link_changes(fresh, admitted.words, city, memory.links)
        events = save_sensors(connection, states, city, _latest_of(memory, city)) + save_links(connection, links, city)
        moment = datetime.fromtimestamp(now, UTC)
        events += respond(connection, found.changes, city, moment)
        save_shadow(connection, shadow.changes)
        log.append(connection, events)
        checkpoint("before_commit")
    checkpoint("after_commit")
    _learn(memory, decoded, located, states, city, now)
    memory.links.update((link.county, link) for link in links)
    counts = Counter[str]()
    counts.update(f"rejected_{r.reason}" for r in [*admitted.rejections, *decoded.rejections, *camera_rejections])
    counts.update(
        messages=len(messages),
        readings=len(batch),
        repeated=decoded.repeated + len(decoded.batch) - len(batch),
        camera_events=len(camera_events),
        ignored=ignored + admitted.stale + decoded.ignored,
        alerts=len(found.changes),
        events=len(events),
    )
    counts.update(found.counts)
    return Outcome(decoded.replies, counts)


def advance_clock(city: City, memory: Memory, engine: Engine, now: float) -> Counter[str]:
    """What the clock brings by itself: silences, absences, rules whose hours end. Committed like a batch."""
    now_us = round(now * 1e6)
    heard_us = heard_by_number(memory.heard_at, city.catalogue)
    memory.spoilt = True
    found = judge.judge_clock(now_us, heard_us, city.layout, memory.rules, city.situation)
    shadow = judge.judge_clock(now_us, heard_us, city.shadow_layout, memory.shadow, city.situation)
    if found.changes or shadow.changes:
        with engine.begin() as connection:
            events = respond(connection, found.changes, city, datetime.fromtimestamp(now, UTC))
            save_shadow(connection, shadow.changes)
            log.append(connection, events)
    memory.spoilt = False
    return found.counts + Counter(alerts=len(found.changes))


def end_left_over(city: City, engine: Engine, now: float) -> int:
    """End the open alerts whose rules are no longer in force, or whose sensors are not in service; how many there were."""
    out = {sensor.id for sensor in city.catalogue.sensors.values() if not sensor.in_service}
    with engine.begin() as connection:
        changes = left_over(load_open_alerts(connection), city.rulebook, round(now * 1e6), out)
        log.append(connection, respond(connection, changes, city, datetime.fromtimestamp(now, UTC)))
    return len(changes)


def relabel(city: City, engine: Engine, now: float) -> int:
    """Bring open incidents under the correlation table in force; how many events that made: none when it did not change."""
    with engine.begin() as connection:
        events = regroup.relabel(connection, city, datetime.fromtimestamp(now, UTC))
        log.append(connection, events)
    return len(events)


def clock_stepped(memory: Memory, step_s: float, now: float) -> None:
    """The server's clock stepped: what was told by it moves along, so that nobody falls silent and no timer runs out by it."""
    delta_us = round(step_s * 1e6)
    memory.rules.clock_stepped(delta_us)
    memory.shadow.clock_stepped(delta_us)
    memory.heard_at = {n: at + step_s for n, at in memory.heard_at.items()}
    memory.taken_in_to, memory.keys_then = round(now * 1e6), set()


def put_aside(messages: Sequence[Message], reason: str, detail: str, city: City, engine: Engine, now: float) -> None:
    """Quarantine messages that no transaction could store, so that they are acknowledged without being lost."""
    with engine.begin() as connection:
        verdicts = [Verdict(message.kept.rows, reason, detail) for message in messages if message.kept]
        if verdicts:
            settle(connection, verdicts, datetime.fromtimestamp(now, UTC))
        for of_camera, kept in ((False, _all), (True, without_persons)):
            part = [m for m in messages if video_decode.speaks(m.topic) is of_camera]
            _save_rejections(connection, part, [Rejection(i, reason, detail) for i in range(len(part))], city, kept)


def declare_silence(city: City, memory: Memory, engine: Engine, listening_since: float, heard_to: float) -> None:
    """Store and tell who fell silent. ``heard_to``: everything that came before it has been taken in."""
    state = {county: link.state for county, link in memory.links.items()}
    sensors = city.catalogue.sensors.values()
    fallen = fallen_silent(sensors, memory.heard_at, memory.state, state, listening_since, heard_to)
    if not fallen.sensors and not fallen.links:
        return
    changes = [StateChange(sensor, SILENT, heard, told) for sensor, heard, told in fallen.sensors]
    known = [(memory.links.get(county) or Link(county), heard) for county, heard in fallen.links]
    links = [link.fell_silent(heard) for link, heard in known if link.county in city.counties_with_sensors]
    with engine.begin() as connection:
        events = save_links(connection, links, city) + save_sensors(connection, changes, city, _latest_of(memory, city))
        log.append(connection, events)
    memory.links.update((link.county, link) for link in links)
    memory.state.update((change.sensor.n, change.state) for change in changes)


def save_latest(memory: Memory, city: City, engine: Engine) -> None:
    """Store the newest values that changed since the last time: once a second for all, not once a reading."""
    _fold_latest(memory, city)
    waiting = sorted(memory.unsaved)
    rows = [
        ingest_store.Latest(n, memory.latest.get(n, {}), datetime.fromtimestamp(memory.heard_at[n], UTC))
        for n in waiting
        if n in memory.heard_at
    ]
    if rows:
        with engine.begin() as connection:
            ingest_store.save_latest(connection, rows)
    memory.unsaved.difference_update(waiting)


def _without_stored(engine: Engine, decoded: Decoded) -> ReadingBatch:
    """The batch without what an earlier transaction stored longer ago than memory reaches."""
    if not decoded.doubts:
        return decoded.batch
    with engine.connect() as connection:
        stored = ingest_store.stored_keys(connection, decoded.doubts)
    if not stored:
        return decoded.batch
    batch = decoded.batch
    repeats = np.zeros(len(batch), dtype=bool)
    for row in np.flatnonzero(np.isin(batch.key, np.array([key for key, _, _ in stored], dtype="i8"))):
        key, quantity, at_us = int(batch.key[row]), int(batch.quantity[row]), int(batch.at[row].astype("i8"))
        # A time that went through the database as seconds may come back a microsecond beside itself.
        repeats[row] = any((key, quantity, at_us + beside) in stored for beside in (-1, 0, 1))
    return batch.take(~repeats)


def _all(payload: bytes) -> bytes:
    return payload


def _save_rejections(
    connection: Connection,
    messages: Sequence[Message],
    rejections: Sequence[Rejection],
    city: City,
    kept: Callable[[bytes], bytes] = _all,
) -> None:
    fresh = [r for r in rejections if messages[r.message].kept is None]
    if fresh:
        save_quarantine(connection, messages, fresh, city.scope_of_county(), city.root, kept)


def _verdicts(
    kept: Sequence[Message], taken: Sequence[Message], rejected: Sequence[tuple[Message, Rejection]]
) -> list[Verdict]:
    """What became of messages from quarantine. ``taken``: the message of every reading and camera event that is new."""
    new = {id(message) for message in taken}
    why: dict[int, Rejection] = {}
    for message, rejection in rejected:
        why.setdefault(id(message), rejection)
    outcomes = {(True, False): STORED, (True, True): PARTLY, (False, True): REJECTED, (False, False): NOTHING_NEW}
    verdicts = []
    for message in kept:
        refusal = why.get(id(message))
        outcome = outcomes[id(message) in new, refusal is not None]
        rows = message.kept.rows if message.kept else ()
        verdicts.append(Verdict(rows, outcome, "" if refusal is None else f"{refusal.reason}: {refusal.detail}"))
    return verdicts


def _latest_of(memory: Memory, city: City) -> Callable[[int], Mapping[str, Any]]:
    def latest_of(n: int) -> Mapping[str, Any]:
        _fold_latest(memory, city)
        return memory.latest.get(n, {})

    return latest_of


def _learn(
    memory: Memory,
    decoded: Decoded,
    located: LocatedBatch,
    states: Sequence[StateChange],
    city: City,
    now: float,
) -> None:
    """Bring memory up to what is now committed."""
    memory.decode.remember(decoded.keys, now)
    memory.decode.edges.update(decoded.edges)
    memory.decode.forget(now)
    _took_in(memory, located.readings)
    for change in states:
        memory.state[change.sensor.n] = change.state
    _learn_heard(memory, located.readings, city)
    _learn_latest(memory, located.readings, city)


def _learn_heard(memory: Memory, readings: ReadingBatch, city: City) -> None:
    """When sensors spoke: also one that delivers what it kept while it was cut off, which says nothing of now."""
    rows = spoken(readings, city)
    received_s = readings.received_at[rows].view("i8") / 1e6
    newest = dict(zip(readings.sensor[rows].tolist(), received_s.tolist(), strict=True))
    for n, at in newest.items():
        memory.heard_at[n] = max(at, memory.heard_at.get(n, 0.0))
    memory.unsaved.update(newest)


def _learn_latest(memory: Memory, readings: ReadingBatch, city: City) -> None:
    memory.fresh.append(readings.take((readings.flags & LATE) == 0))
    if sum(map(len, memory.fresh)) > _MOST_FRESH:
        _fold_latest(memory, city)


def _fold_latest(memory: Memory, city: City) -> None:
    """Bring ``latest`` up to date: of all that came since the last time only the newest of a sensor and quantity matters.

    A clock that is ahead counts as of its receipt, here as in the rules: else the values of one mad moment would stand until
    the calendar reaches them.
    """
    if not memory.fresh:
        return
    readings = reduce(ReadingBatch.beside, memory.fresh)
    memory.fresh = []
    pair = readings.sensor.astype("i8") << 16 | readings.quantity
    counted = np.where((readings.flags & AHEAD) == 0, readings.at, readings.received_at)
    order = np.lexsort((counted, pair))  # stable: of equal times the later comes last
    last = np.append(pair[order][1:] != pair[order][:-1], True)[: len(order)]
    chosen = np.sort(order[last])
    newest = readings.take(chosen)
    names = city.catalogue.quantity_by_n
    at = np.datetime_as_string(newest.at, unit="ms", timezone="UTC")
    received = np.datetime_as_string(newest.received_at, unit="ms", timezone="UTC")
    counted_at = np.datetime_as_string(counted[chosen], unit="ms", timezone="UTC")
    columns = (newest.sensor, newest.quantity, newest.value, at, received, counted_at)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for sensor, quantity, value, at_text, received_text, counted_text in rows:
        values = memory.latest.setdefault(sensor, {})
        name = names[quantity].name
        known = values.get(name)
        if known is None or _counted_at(known) <= counted_text:
            values[name] = {"value": value, "at": at_text, "received_at": received_text}
    memory.unsaved.update(newest.sensor.tolist())


def _counted_at(known: Mapping[str, Any]) -> str:
    """The time that a newest value counts as taken at: see ``AHEAD``."""
    at, received = str(known["at"]), str(known["received_at"])
    if at <= received:
        return at
    ahead_s = (datetime.fromisoformat(at) - datetime.fromisoformat(received)).total_seconds()
    return received if ahead_s > AHEAD_AFTER_S else at
