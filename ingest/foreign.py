"""Messages in the formats of others into rows of readings: whose they are, what they measure, in which unit, and whether they
were there before.

What a format says in the maker's words (``Telegram``) is named by the route of its topic and checked against the catalogue. A
reading is known by sensor, time, quantity and value, or by the id of its message where there is one; with neither time nor id
two equal ones may be honest, so only what the broker may have sent before counts as a repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Final

from ingest import quarantine as why
from ingest.formats import chirpstack, hj212, senml, sensor_things, sparkplug, tasmota, things_stack, zigbee2mqtt
from ingest.formats.native import Unreadable
from ingest.formats.sparkplug import UNBORN, Edge
from ingest.message import Message, Reply
from ingest.quarantine import Rejection
from ingest.reading import AHEAD, FAULTY, LATE, NO_TIME, OUT_OF_RANGE
from ingest.route import FORMATS, Field, Found, Route, Routes
from ingest.sample import ONLINE, Reader, Sample, Telegram
from ingest.sensor import Catalogue, Quantity, Sensor
from ingest.unit import BadUnit, conversion

MOST_EDGES: Final = 10_000
"""Edge nodes that are remembered: more than a city has, few enough that nobody fills the memory by inventing them."""

_READERS: Final[Mapping[str, Reader]] = {
    "senml": senml.read,
    "chirpstack": chirpstack.read,
    "things_stack": things_stack.read,
    "zigbee2mqtt": zigbee2mqtt.read,
    "tasmota": tasmota.read,
    "sensor_things": sensor_things.read,
    "hj212": lambda _topic, payload, _received_at, zone: hj212.telegram(hj212.read(payload), zone),
}
_WORDS: Final = {
    "on": 1.0,
    "off": 0.0,
    "true": 1.0,
    "false": 0.0,
    "online": 1.0,
    "offline": 0.0,
    "open": 1.0,
    "closed": 0.0,
}
_MOST_SOURCES: Final = 20
_SHOWN: Final = 10
_NO_POSITION: Final = (float("nan"), float("nan"), 0)


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on a time is odd, in seconds; ``reaches``: whether memory goes back to a device time (epoch microseconds) that
    came so late (seconds).
    """

    ahead_s: float
    late_s: float
    reaches: Callable[[int, float], bool]
    largest_payload: int


@dataclass
class Foreign:
    """What became of the messages. ``rows`` are as in ReadingBatch, ``edges`` those that changed, by their topic.

    ``doubts`` are (key, device time) of readings that memory does not reach back to.
    """

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    keys: dict[int, None] = field(default_factory=dict)
    doubts: list[tuple[int, int]] = field(default_factory=list)
    edges: dict[str, Edge] = field(default_factory=dict)
    repeated: int = 0
    ignored: int = 0


def read(
    numbered: Iterable[tuple[int, Message]],
    catalogue: Catalogue,
    stored: Container[int],
    edges: Mapping[str, Edge],
    routes: Routes,
    limits: Limits,
) -> Foreign:
    """Read messages, each with its index in the batch, in their order.

    ``stored``: keys known to be stored; ``edges``: Sparkplug's memory as of the last commit, which is not changed here.
    """
    reader = _Reader(catalogue, stored, edges, routes, limits)
    for index, message in numbered:
        reader.take(index, message)
    return reader.done


class _Reader:
    def __init__(
        self, catalogue: Catalogue, stored: Container[int], edges: Mapping[str, Edge], routes: Routes, limits: Limits
    ) -> None:
        self.catalogue = catalogue
        self.stored = stored
        self.edges = edges
        self.routes = routes
        self.limits = limits
        self.done = Foreign()

    def take(self, index: int, message: Message) -> None:
        found = self.routes.find(message.topic)
        county = found.route.county if found else None
        source = found.route.source if found else None
        try:
            if found is None:
                raise Unreadable(
                    why.BAD_TOPIC, f"topic {message.topic[:200]!r} is not cc/v1/COUNTY/SOURCE/raw/FORMAT/…"
                )
            if found.route.format not in FORMATS:
                detail = f"sensors speak {', '.join(FORMATS)}; cameras have formats of their own"
                raise Unreadable(why.UNKNOWN_FORMAT, f"format {found.route.format[:40]!r} is unknown: {detail}")
            if len(message.payload) > self.limits.largest_payload:
                size = len(message.payload)
                raise Unreadable(why.OVERSIZED, f"{size} bytes, the largest accepted is {self.limits.largest_payload}")
            telegram = self._telegram(found, message)
        except Unreadable as problem:
            self.done.rejections.append(Rejection(index, problem.reason, problem.detail, county, source))
            return
        if telegram is None:
            self.done.ignored += 1
            return
        _Taking(self, index, message, found.route).take(telegram)

    def _telegram(self, found: Found, message: Message) -> Telegram | None:
        if found.route.format != "sparkplug":
            return _READERS[found.route.format](found.topic, message.payload, message.received_at, self.routes.zone)
        told = sparkplug.address(message.topic)
        if told is None:
            return None
        # With what stands before the group, so that the same names below two gateways are two edges.
        name = f"{told.group}/{told.edge}"
        known = self.done.edges.get(name) or self.edges.get(name)
        if known is None and len(self.edges.keys() | self.done.edges.keys()) >= MOST_EDGES:
            raise Unreadable(why.OVERSIZED, f"more than {MOST_EDGES} edge nodes are not remembered")
        heard = sparkplug.hear(told, message.payload, known or UNBORN, message.received_at, again=message.duplicate)
        # What comes from quarantine is no part of the edge's present sequence.
        if heard.edge != known and message.kept is None:
            self.done.edges[name] = heard.edge
        if heard.wants_rebirth and message.kept is None:
            request = sparkplug.rebirth_request(round(message.received_at * 1000))
            self.done.replies.append(Reply(f"{told.group}/NCMD/{told.edge}", request))
        if heard.repeated:
            self.done.repeated += 1
            return None
        return heard.telegram


@dataclass
class _Taking:
    """One telegram being taken. ``refused``: details by reason, county and source: a message is kept once for each."""

    reader: _Reader
    index: int
    message: Message
    route: Route
    refused: dict[tuple[str, str | None, str | None], list[str]] = field(default_factory=dict)

    def take(self, telegram: Telegram) -> None:
        for refusal in telegram.refusals:
            self._refuse(refusal.reason, refusal.detail, self.route.county, self.route.source)
        for sample in telegram.samples:
            known = self.route.field(sample.field)
            if known is None and self._is_of_no_use(sample):
                continue
            try:
                self._take(sample, known or Field(sample.field), telegram.id)
            except Unreadable as problem:
                self._refuse(problem.reason, problem.detail, self.route.county, sample.device or self.route.source)
        self._say_refused()

    def _is_of_no_use(self, sample: Sample) -> bool:
        no_measure = isinstance(sample.value, str) and sample.field not in self.reader.catalogue.quantities
        return no_measure or self.route.ignores(sample.field)

    def _take(self, sample: Sample, known: Field, identity: str | None) -> None:
        sensor = self._sensor(sample, known)
        if sensor is None:
            return
        quantity = self._quantity(sensor, known)
        value = self._value(sample, known, quantity)
        plausible = self.reader.catalogue.plausible(sensor, quantity.name)
        if sample.value in plausible.sentinels or value in plausible.sentinels:
            detail = f"{sample.value} is how a {sensor.profile} says that it has no {quantity.name}"
            raise Unreadable(why.SENTINEL, detail)
        done, limits = self.reader.done, self.reader.limits
        received_us = round(self.message.received_at * 1_000_000)
        at_us, flags = (received_us, NO_TIME) if sample.at_us is None else (sample.at_us, 0)
        named = identity is not None or sample.at_us is not None
        if identity is not None:
            key = _key(sensor.id, "id", identity, sample.field)
        elif named:
            key = _key(sensor.id, "at", at_us, quantity.name, value)
        else:
            key = _key(sensor.id, "raw", self.message.payload.hex(), quantity.name, value)
        # Of what comes from quarantine parts may be stored, others not: the database knows which, reading by reading.
        known_key = key in done.keys or (self.message.kept is None and key in self.reader.stored)
        if (named or self.message.duplicate) and known_key:
            done.repeated += 1
            return
        late_s = self.message.late_s(at_us)
        flags |= LATE if sample.historical or late_s > limits.late_s else 0
        flags |= AHEAD if (at_us - received_us) / 1_000_000 > limits.ahead_s else 0
        flags |= FAULTY if sample.faulty else 0
        flags |= 0 if plausible.low <= value <= plausible.high else OUT_OF_RANGE
        done.rows.append((sensor.n, quantity.n, value, at_us, received_us, key, flags, *_NO_POSITION, self.index))
        done.keys[key] = None
        if self.message.kept or (named and not limits.reaches(at_us, late_s)):
            done.doubts.append((key, at_us))

    def _sensor(self, sample: Sample, known: Field) -> Sensor | None:
        """Whose the sample is; None for the coming and going of what is none of ours."""
        sensors, source = self.reader.catalogue.sensors, self.route.source
        named = known.sensor or self.route.sensors.get(sample.device, sample.device or source or "")
        own = sensors.get(source) if source else None
        if own is not None:
            # Who has an account of its own may call itself what it likes, but not like another.
            if named in sensors and named != own.id:
                raise Unreadable(why.WRONG_SOURCE, f"{own.id} speaks for itself only, not for {named[:64]!r}")
            named = own.id
        sensor = sensors.get(named)
        if sensor is None:
            if sample.field == ONLINE:
                return None
            raise Unreadable(why.UNKNOWN_SENSOR, f"sensor {named[:64]!r} is not in the catalogue: import it first")
        if self.route.county not in {None, sensor.county}:
            detail = f"the topic is of county {self.route.county}, the catalogue has {sensor.id} in {sensor.county}"
            raise Unreadable(why.WRONG_COUNTY, detail)
        return sensor

    def _quantity(self, sensor: Sensor, known: Field) -> Quantity:
        quantity = self.reader.catalogue.quantities.get(known.quantity)
        if quantity is None or (known.quantity not in sensor.quantities and known.quantity != ONLINE):
            raise Unreadable(
                why.UNKNOWN_QUANTITY, f"the catalogue has no {known.quantity[:64]!r} for sensor {sensor.id}"
            )
        return quantity

    def _value(self, sample: Sample, known: Field, quantity: Quantity) -> float:
        """The value in the catalogue's unit. Raises Unreadable."""
        value = sample.value
        if isinstance(value, str):
            word = _WORDS.get(value.lower())
            if word is None:
                raise Unreadable(why.WRONG_TYPE, f"{sample.field[:64]!r} is {value[:40]!r}, no number")
            return word
        unit = sample.unit or known.unit
        if unit is not None:
            try:
                factor, offset = conversion(unit, quantity.unit)
            except BadUnit as problem:
                raise Unreadable(why.BAD_UNIT, f"{sample.field[:64]!r} for {quantity.name}: {problem}") from None
            value = value * factor + offset
        if not abs(value) < float("inf"):
            raise Unreadable(why.NOT_A_NUMBER, f"{sample.field[:64]!r} is no finite number")
        return value

    def _refuse(self, reason: str, detail: str, county: str | None, source: str | None) -> None:
        self.refused.setdefault((reason, county, source), []).append(detail)

    def _say_refused(self) -> None:
        rejections = [
            Rejection(self.index, reason, _listed(details), county, source)
            for (reason, county, source), details in self.refused.items()
        ]
        if len(rejections) > _MOST_SOURCES:
            more = len(rejections) - _MOST_SOURCES
            rejections = rejections[:_MOST_SOURCES]
            rejections[-1] = replace(rejections[-1], detail=f"{rejections[-1].detail}; and {more} more sources")
        self.reader.done.rejections += rejections


def _listed(details: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(details))
    more = f"; and {len(distinct) - _SHOWN} more" if len(distinct) > _SHOWN else ""
    return "; ".join(distinct[:_SHOWN]) + more


def _key(sensor: str, kind: str, *name: object) -> int:
    digest = blake2b(repr((sensor, kind, *name)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
