"""Messages into one batch of readings. A bad message is rejected with its reason and spoils nothing beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile
from typing import Any, Final

import msgspec
import numpy as np

from ingest import foreign
from ingest import quarantine as why
from ingest.formats import native
from ingest.formats.sparkplug import Edge
from ingest.key import key_of, named
from ingest.lookup import Lookup
from ingest.message import Message, Reply
from ingest.ordinary import Ordinary, ordinary
from ingest.quarantine import Refusal, Rejection
from ingest.reading import AHEAD, DATUMS, LATE, NO_TIME, OUT_OF_RANGE, Column, ReadingBatch
from ingest.route import Routes
from ingest.sensor import SENSOR_ID, Catalogue, Sensor

LARGEST_PAYLOAD = 256 * 1024
"""Bytes. A larger message is quarantined unread: no honest sensor needs it and parsing it would hold up the city."""
LARGEST_OBSERVATION_COUNT = 1000
AHEAD_AFTER_S = 300
LATE_AFTER_S = 3600
REMEMBERED_S = 900
"""How long a stored message's key is kept in memory: the window in which a repeat is recognised without a query."""
MOST_KEYS = 1_000_000
"""How many keys are kept at most, about 100 MB: beyond them memory reaches back less far, and the database is asked sooner."""

MANY: Final = 16
"""Messages from which on it is faster to take the ordinary ones together."""

_NEVER: Final = 1 << 40
"""After every message of a batch."""

_TOGETHER = 256
"""Messages whose positions are judged together: enough for numpy, few enough that what they hold is gone again soon."""

NO_POSITION = (float("nan"), float("nan"), 0)

Judge = Callable[[Column, Column, Column], Mapping[int, Refusal]]
"""(lng, lat, datum) as sent, columns as in ReadingBatch -> what is wrong with the rows that cannot be right."""

_Position = tuple[float, float, int]
_Objects = list[tuple[bytes, native.Observation | Refusal]]


@dataclass
class Memory:
    """Keys of messages stored lately (key -> receipt, epoch seconds). Changed only after the commit.

    All that was received after ``reaches_to_us`` (epoch microseconds) is known, for REMEMBERED_S at most. ``edges`` is what the
    Sparkplug format remembers, by the edge nodes' topics; it is stored with the batch it follows from.
    """

    keys: dict[int, float] = field(default_factory=dict)
    edges: dict[str, Edge] = field(default_factory=dict)
    reaches_to_us: int = 0

    def remember(self, keys: Iterable[int], now: float) -> None:
        """Take in the keys of a committed batch."""
        self.keys.update(dict.fromkeys(keys, now))

    def forget(self, now: float, most: int = MOST_KEYS) -> None:
        """Drop keys that are too old, and the oldest of too many. Insertion order is receipt order, so they come first."""
        surplus = list(islice(self.keys.items(), max(0, len(self.keys) - most)))
        if surplus:
            self.reaches_to_us = round(surplus[-1][1] * 1_000_000)
        old = takewhile(lambda item: item[1] < now - REMEMBERED_S, islice(self.keys.items(), len(surplus), None))
        for key, _ in [*surplus, *old]:
            del self.keys[key]

    def reaches(self, at_us: int, late_s: float) -> bool:
        """Whether a repeat of what a device named by a time would be known."""
        return late_s <= REMEMBERED_S and at_us > self.reaches_to_us


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reading whose repeat memory cannot exclude: its device time is older than the memory reaches."""

    key: int
    at_us: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a batch of messages held. ``keys`` and ``edges`` are new and are remembered after the commit.

    ``ignored``: messages that were understood and of no use.
    """

    batch: ReadingBatch
    rejections: list[Rejection]
    replies: list[Reply]
    keys: list[int]
    doubts: list[Doubt]
    repeated: int
    ignored: int = 0
    edges: Mapping[str, Edge] = field(default_factory=dict)


def topic_parts(topic: str) -> tuple[str, str, str] | None:
    """(county, source, rest) of a topic ``cc/v1/{county}/{source}/{rest…}``, None for any other."""
    parts = topic.split("/", 4)
    if len(parts) != 5 or parts[0] != "cc" or parts[1] != "v1":
        return None
    return parts[2], parts[3], parts[4]


def decode(
    messages: Sequence[Message],
    catalogue: Catalogue,
    memory: Memory,
    judge: Judge | None = None,
    routes: Routes | None = None,
    *,
    many: int = MANY,
) -> Decoded:
    """Decode the messages that carry readings: ``…/reading``, ``…/state``, and other formats where ``routes`` knows them.

    Rows come out in message order. Repeats of what ``memory`` or this very batch holds are left out and counted. ``judge``
    is asked about many positions at once and before any of them is taken: an observation whose position it refuses is
    rejected like any other bad one, so that receipts, keys and repeats need no mending afterwards.

    ``many`` changes no result: from so many messages on the ordinary ones are taken together (ingest.ordinary).
    """
    others = [i for i, message in enumerate(messages) if routes.takes(message.topic)] if routes else []
    if routes is None or not others:
        return _native(messages, catalogue, memory, judge, many)
    natives = sorted(set(range(len(messages))).difference(others))
    decoded = _native([messages[i] for i in natives], catalogue, memory, judge, many)
    numbered = [(i, messages[i]) for i in others]
    limits = foreign.Limits(AHEAD_AFTER_S, LATE_AFTER_S, memory.reaches, LARGEST_PAYLOAD)
    return _beside(decoded, natives, foreign.read(numbered, catalogue, memory.keys, memory.edges, routes, limits))


def _beside(decoded: Decoded, natives: Sequence[int], found: foreign.Foreign) -> Decoded:
    """Native and other messages of one batch, in the order in which they came."""
    mine = replace(decoded.batch, message=np.array(natives, dtype="i4")[decoded.batch.message])
    batch = mine.beside(ReadingBatch.of(found.rows))
    rejections = [*(replace(r, message=natives[r.message]) for r in decoded.rejections), *found.rejections]
    return Decoded(
        batch.take(np.argsort(batch.message, kind="stable")),
        sorted(rejections, key=lambda rejection: rejection.message),
        decoded.replies + found.replies,
        [*decoded.keys, *found.keys],
        [*decoded.doubts, *(Doubt(key, at_us) for key, at_us in found.doubts)],
        decoded.repeated + found.repeated,
        found.ignored,
        found.edges,
    )


def _native(
    messages: Sequence[Message], catalogue: Catalogue, memory: Memory, judge: Judge | None, many: int
) -> Decoded:
    decoder = _Decoder(catalogue, memory)
    if len(messages) < many or any(message.kept for message in messages):
        decoder.take_each(range(len(messages)), messages, judge)
        return decoder.done()
    found = _plausible(_new(ordinary(messages, catalogue.lookup, LARGEST_PAYLOAD), memory), judge)
    if len(found) < len(messages):
        is_odd = np.ones(len(messages), dtype=bool)
        is_odd[found.message] = False
        decoder.together = dict(zip(found.key.tolist(), found.message.tolist(), strict=True))
        decoder.take_each(np.flatnonzero(is_odd).tolist(), messages, judge)
    return _joined(found, decoder, catalogue.lookup)


def _new(found: Ordinary, memory: Memory) -> Ordinary:
    """Without those that memory or this batch holds another of: whether they are repeats is judged one by one."""
    keys = found.key.tolist()
    if len(set(keys)) == len(keys) and memory.keys.keys().isdisjoint(keys):
        return found
    often = Counter(keys)
    return found.keep(np.array([often[key] == 1 and key not in memory.keys for key in keys], dtype=bool))


def _plausible(found: Ordinary, judge: Judge | None) -> Ordinary:
    """Without those whose position cannot be right."""
    placed = np.flatnonzero(~np.isnan(found.lng))
    refused = judge(found.lng[placed], found.lat[placed], found.datum[placed]) if judge and len(placed) else {}
    if not refused:
        return found
    good = np.ones(len(found), dtype=bool)
    good[placed[list(refused)]] = False
    return found.keep(good)


def _joined(found: Ordinary, decoder: _Decoder, lookup: Lookup) -> Decoded:
    """What was taken together and what was taken one by one, in message order."""
    odd = decoder.done()
    repeated = odd.repeated
    if decoder.keys:
        first = [decoder.keys.get(key, _NEVER) for key in found.key.tolist()]
        again = (np.array(first, dtype="i8") < found.message) & (found.named | found.duplicate)
        repeated += int(again.sum())
        found = found.keep(~again)
    late_us = found.received_us - found.at_us
    late = late_us > LATE_AFTER_S * 1_000_000
    ahead = -late_us > AHEAD_AFTER_S * 1_000_000
    row = np.repeat(np.arange(len(found)), found.values)
    profile = lookup.profile[found.sensor[row]]
    value, quantity = found.value, found.quantity
    implausible = ~((lookup.low[profile, quantity] <= value) & (value <= lookup.high[profile, quantity]))
    flags = (found.flags + late * np.int16(LATE) + ahead * np.int16(AHEAD))[row] + implausible * np.int16(OUT_OF_RANGE)
    batch = ReadingBatch(
        lookup.number[found.sensor[row]],
        lookup.quantity_number[quantity],
        value,
        found.at_us[row].view("M8[us]"),
        found.received_us[row].view("M8[us]"),
        found.key[row],
        flags,
        found.lng[row],
        found.lat[row],
        found.datum[row],
        found.message[row],
    )
    beyond = (late_us > REMEMBERED_S * 1_000_000) | (found.at_us <= decoder.memory.reaches_to_us)
    doubtful = np.flatnonzero(found.named & beyond)
    doubts = [
        Doubt(key, at_us)
        for key, at_us in zip(found.key[doubtful].tolist(), found.at_us[doubtful].tolist(), strict=True)
    ]
    keys = found.key.tolist()
    if len(odd.batch):
        batch = batch.beside(odd.batch)
        batch = batch.take(np.argsort(batch.message, kind="stable"))
        keys = list(dict(sorted([*decoder.keys.items(), *zip(keys, found.message.tolist(), strict=True)], key=_second)))
    return Decoded(batch, odd.rejections, odd.replies, keys, [*doubts, *odd.doubts], repeated)


def _second(pair: tuple[int, int]) -> int:
    return pair[1]


class _Decoder:
    """Takes messages one by one. ``keys``: the message that each came by; ``together``: those of what was taken together."""

    def __init__(self, catalogue: Catalogue, memory: Memory) -> None:
        self.catalogue = catalogue
        self.memory = memory
        self.misplaced: Mapping[_Position, Refusal] = {}
        self.rows: list[tuple[Any, ...]] = []
        self.rejections: list[Rejection] = []
        self.replies: list[Reply] = []
        self.together: Mapping[int, int] = {}
        self.keys: dict[int, int] = {}
        self.doubts: list[Doubt] = []
        self.repeated = 0
        self.county: str | None = None
        self.source: str | None = None

    def done(self) -> Decoded:
        return Decoded(
            ReadingBatch.of(self.rows), self.rejections, self.replies, list(self.keys), self.doubts, self.repeated
        )

    def take_each(self, indices: Sequence[int], messages: Sequence[Message], judge: Judge | None) -> None:
        for begin in range(0, len(indices), _TOGETHER):
            part = indices[begin : begin + _TOGETHER]
            read = [_read(messages[index]) for index in part]
            self.misplaced = _misplaced(read, judge) if judge else {}
            for index, objects in zip(part, read, strict=True):
                try:
                    self.take(index, messages[index], objects)
                except native.Unreadable as problem:
                    self.reject(index, problem.reason, problem.detail)

    def reject(self, index: int, reason: str, detail: str) -> None:
        self.rejections.append(Rejection(index, reason, detail, self.county, self.source))

    def take(self, index: int, message: Message, objects: _Objects) -> None:
        sensor, rest = self._sensor(message)
        if rest == "state":
            self._take_state(index, message, sensor)
            return
        rejected_before = len(self.rejections)
        wanted = message.response_topic is not None
        stored: list[str | int | None] = []
        for raw, observation in objects:
            if isinstance(observation, Refusal):
                self.reject(index, *observation)
                continue
            wanted |= observation.ack
            try:
                if self._take_observation(index, message, sensor, observation, raw):
                    stored.append(observation.id)
            except native.Unreadable as problem:
                self.reject(index, problem.reason, problem.detail)
        if wanted and message.kept is None:
            self._reply(message, sensor, stored, self.rejections[rejected_before:])

    def _sensor(self, message: Message) -> tuple[Sensor, str]:
        self.county = self.source = None
        parts = topic_parts(message.topic)
        sensor = self.catalogue.sensors.get(parts[1]) if parts else None
        # A catalogued id is a good one: only an unknown one need be looked at.
        if parts is None or parts[2] not in {"reading", "state"} or not (sensor or SENSOR_ID.fullmatch(parts[1])):
            raise native.Unreadable(why.BAD_TOPIC, f"topic {message.topic[:200]!r} is not cc/v1/COUNTY/SENSOR/reading")
        self.county, self.source, rest = parts
        if sensor is None:
            raise native.Unreadable(
                why.UNKNOWN_SENSOR, f"sensor {self.source} is not in the catalogue: import it first"
            )
        if sensor.county != self.county:
            raise native.Unreadable(
                why.WRONG_COUNTY, f"topic says county {self.county}, the catalogue has {sensor.id} in {sensor.county}"
            )
        return sensor, rest

    def _take_state(self, index: int, message: Message, sensor: Sensor) -> None:
        states = {b"online": 1.0, b"offline": 0.0}
        if message.payload not in states:
            raise native.Unreadable(why.WRONG_TYPE, "state must be the word online or offline")
        received_us = round(message.received_at * 1_000_000)
        key = key_of(sensor.id.encode(), message.payload, str(received_us).encode())
        flags = NO_TIME | (LATE if message.late_s(received_us) > LATE_AFTER_S else 0)
        if message.kept:
            self.doubts.append(Doubt(key, received_us))
        self._add(index, sensor, "online", states[message.payload], received_us, received_us, key, flags, NO_POSITION)

    def _take_observation(
        self, index: int, message: Message, sensor: Sensor, observation: native.Observation, raw: bytes
    ) -> bool:
        """Whether the observation is stored: now, or already as the repeat of an earlier one."""
        received_us = round(message.received_at * 1_000_000)
        at_us = native.instant_us(observation.at)
        key, named = _name(sensor, observation, raw)
        if (named or message.duplicate) and self._is_held(key, index, message):
            self.repeated += 1
            return True
        flags = 0
        if at_us is None:
            at_us, flags = received_us, NO_TIME
        late_s = message.late_s(at_us)
        if late_s > LATE_AFTER_S:
            flags |= LATE
        if (at_us - received_us) / 1_000_000 > AHEAD_AFTER_S:
            flags |= AHEAD
        position = self._position(observation)
        taken = 0
        for name, value in observation.values.items():
            taken += self._add(index, sensor, name, value, at_us, received_us, key, flags, position)
        if taken:
            self.keys.setdefault(key, index)
            if message.kept or (named and not self.memory.reaches(at_us, late_s)):
                self.doubts.append(Doubt(key, at_us))
        return taken > 0

    def _is_held(self, key: int, index: int, message: Message) -> bool:
        if message.kept:
            # Parts of it may be stored, others not: the database knows which, reading by reading.
            return key in self.keys
        return key in self.keys or key in self.memory.keys or self.together.get(key, index) < index

    def _position(self, observation: native.Observation) -> _Position:
        """Longitude, latitude and datum as sent; NaN when the message carries none. Raises Unreadable."""
        lng, lat, datum = observation.lng, observation.lat, observation.datum
        if lng is None and lat is None:
            return NO_POSITION
        if lng is None or lat is None:
            raise native.Unreadable(why.WRONG_TYPE, "a position needs both lng and lat")
        if datum not in DATUMS:
            raise native.Unreadable(why.WRONG_TYPE, f"datum {datum[:20]!r} is unknown: use {', '.join(DATUMS)}")
        position = lng, lat, DATUMS.index(datum)
        if self.misplaced and position in self.misplaced:
            raise native.Unreadable(*self.misplaced[position])
        if not (-180 <= lng <= 180 and -90 <= lat <= 90):
            raise native.Unreadable(why.OUTSIDE_CITY, f"position {lng}, {lat} is not on the earth")
        return position

    def _add(
        self,
        index: int,
        sensor: Sensor,
        name: str,
        value: float,
        at_us: int,
        received_us: int,
        key: int,
        flags: int,
        position: _Position,
    ) -> bool:
        quantity = self.catalogue.quantities.get(name)
        if quantity is None or (name not in sensor.quantities and name != "online"):
            self.reject(index, why.UNKNOWN_QUANTITY, f"the catalogue has no {name[:64]!r} for sensor {sensor.id}")
            return False
        plausible = self.catalogue.plausible(sensor, name)
        if value in plausible.sentinels:
            self.reject(index, why.SENTINEL, f"{value:g} is how a {sensor.profile} says that it has no {name}")
            return False
        if not plausible.low <= value <= plausible.high:
            flags |= OUT_OF_RANGE
        self.rows.append((sensor.n, quantity.n, value, at_us, received_us, key, flags, *position, index))
        return True

    def _reply(
        self,
        message: Message,
        sensor: Sensor,
        stored: Sequence[str | int | None],
        rejections: Sequence[Rejection],
    ) -> None:
        body: Mapping[str, Any] = {
            "stored": len(stored),
            "ids": stored,
            "rejected": [{"reason": r.reason, "detail": r.detail} for r in rejections],
        }
        own = f"cc/v1/{sensor.county}/{sensor.id}/ack"
        # A response topic outside the sensor's own would let it publish, through us, where its account may not.
        asked = message.response_topic or own
        # Nothing can be published to a wildcard: trying would stop the worker.
        inside = asked.startswith(own + "/") and not set(asked) & set("+#")
        topic = asked if inside else own
        self.replies.append(Reply(topic, msgspec.json.encode(body), message.correlation))


def _read(message: Message) -> _Objects:
    """The objects of a payload: the bytes of each, and what it says or what is wrong with it.

    A payload that is refused whole counts as one such object: even then the producer gets the receipt it asked for.
    """
    if message.topic.endswith("/state"):
        return []
    try:
        if len(message.payload) > LARGEST_PAYLOAD:
            size = len(message.payload)
            raise native.Unreadable(why.OVERSIZED, f"{size} bytes, the largest accepted is {LARGEST_PAYLOAD}")
        objects = native.split(message.payload)
        if len(objects) > LARGEST_OBSERVATION_COUNT:
            raise native.Unreadable(why.OVERSIZED, f"{len(objects)} objects, at most {LARGEST_OBSERVATION_COUNT}")
    except native.Unreadable as problem:
        return [(message.payload, Refusal(problem.reason, problem.detail))]
    found: _Objects = []
    for raw in objects:
        try:
            found.append((raw, native.read(raw)))
        except native.Unreadable as problem:
            found.append((raw, Refusal(problem.reason, problem.detail)))
    return found


def _misplaced(batch: Iterable[_Objects], judge: Judge) -> Mapping[_Position, Refusal]:
    """What is wrong with those positions in a batch that cannot be right."""
    sent = [
        (o.lng, o.lat, DATUMS.index(o.datum))
        for objects in batch
        for _, o in objects
        if isinstance(o, native.Observation) and o.lng is not None and o.lat is not None and o.datum in DATUMS
    ]
    if not sent:
        return {}
    lng, lat, datum = zip(*sent, strict=True)
    refused = judge(np.array(lng, dtype="f8"), np.array(lat, dtype="f8"), np.array(datum, dtype="i1"))
    return {sent[row]: refusal for row, refusal in refused.items()}


def _name(sensor: Sensor, observation: native.Observation, raw: bytes) -> tuple[int, bool]:
    """The key of an observation, and whether it names the observation by itself.

    With an id or a time of its own, equal means the same observation. With neither, two equal payloads may be two honest
    observations, so only the broker's DUP flag makes the second one a repeat.
    """
    key = key_of(sensor.id.encode(), *named(observation.id, raw))
    return key, observation.id is not None or observation.at is not None
