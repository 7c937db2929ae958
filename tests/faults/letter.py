"""What the producers send: an endless, seeded mail of honest readings, alarms and poison, repeated and shuffled. Pure."""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.ledger import Name

UNSTORABLE = 66.6
"""A noise that the database of the tests refuses: honest for the worker until it wants to store it."""
_COPIES = 5
_SHUFFLED = 40
"""A copy comes up to so many letters later than it should."""
_LATEST_S = 20 * 3600


@dataclass(frozen=True)
class Mouth:
    """A sensor that speaks."""

    name: str
    county: str
    alarms: bool


@dataclass(frozen=True)
class Letter:
    """One message. ``names`` are its readings with their device times (None: it carries none), ``poison`` its tag, ``receipt``
    the id that a receipt for it names. ``once``: no repeat could be told from it.
    """

    topic: str
    payload: bytes
    names: tuple[tuple[Name, int | None], ...] = ()
    alarm: bool = False
    poison: str | None = None
    receipt: str | None = None
    once: bool = False


@dataclass
class Mail:
    """The letters of one producer. ``now_ms`` tells the time for device times, ``unstorable`` is how many messages the
    database will refuse. ``named``: every reading has an id or a time of its own.
    """

    producer: int
    seed: int
    mouths: Sequence[Mouth]
    now_ms: Callable[[], int]
    poison_share: float = 0.01
    receipt_share: float = 0.3
    unstorable: int = 0
    named: bool = False

    def __post_init__(self) -> None:
        self._chance = random.Random(f"{self.seed}/{self.producer}")
        self._written = 0
        self._silent = [mouth for mouth in self.mouths if mouth.alarms]
        self._chance.shuffle(self._silent)
        self._alarming: set[str] = set()

    def letters(self) -> Iterator[Letter]:
        """Each letter once to five times, the copies out of order. Those that no repeat can be told from come once."""
        waiting: list[tuple[float, int, Letter]] = []
        for place in range(10**9):
            letter = self._written_next()
            copies = 1 if letter.once else self._chance.randint(1, _COPIES)
            for _ in range(copies):
                self._written += 1
                heapq.heappush(waiting, (place + self._chance.random() * _SHUFFLED, self._written, letter))
            while waiting and waiting[0][0] <= place:
                yield heapq.heappop(waiting)[2]

    def last_words(self) -> list[Letter]:
        """One letter of each sensor with a receipt. What one sensor says is kept in order, so it stands for all before it."""
        return [self._reading(mouth, receipt=True) for mouth in self.mouths]

    def _written_next(self) -> Letter:
        kind = self._chance.random()
        mouth = self._chance.choice(self.mouths)
        if kind < self.poison_share:
            return self._poison(mouth)
        if self.unstorable and kind < self.poison_share + 0.02:
            self.unstorable -= 1
            return self._unstorable(mouth)
        if self._silent and kind > 0.98:
            return self._reading(self._silent.pop(), alarm=True, receipt=True)
        if kind > 0.95 and not self.named:
            return self._anonymous_reading(mouth)
        return self._reading(mouth, receipt=self._chance.random() < self.receipt_share)

    def _number(self) -> int:
        self._written += 1
        return self._written

    def _value(self, low: float) -> float:
        return round(low + self._number() * 1e-6 + self.producer, 6)

    def _observation(self, mouth: Mouth, *, alarm: bool, named: bool) -> tuple[dict[str, Any], list[tuple[Name, int]]]:
        # An alarm goes on: what is said again must open nothing again.
        alarm |= mouth.name in self._alarming and self._chance.random() < 0.3
        late_ms = self._chance.randint(0, 2000)
        if not alarm and self._chance.random() < 0.1:
            late_ms = self._chance.randint(3600, _LATEST_S) * 1000
        at_ms = self.now_ms() - late_ms
        values = {"noise": self._value(50)}
        if alarm:
            values["elevator_trapped_s"] = self._value(100)
        observation: dict[str, Any] = {"at": at_ms, "values": values}
        if named:
            observation["id"] = f"m-{self.producer}-{self._number()}"
        return observation, [(Name(mouth.name, quantity, value), at_ms * 1000) for quantity, value in values.items()]

    def _reading(self, mouth: Mouth, *, alarm: bool = False, receipt: bool = False) -> Letter:
        if alarm:
            self._alarming.add(mouth.name)
        count = self._chance.randint(2, 5) if self._chance.random() < 0.1 and not alarm else 1
        parts = [
            self._observation(mouth, alarm=alarm, named=receipt or self._chance.random() < 0.6) for _ in range(count)
        ]
        names = tuple(name for _, own in parts for name in own)
        objects = [observation for observation, _ in parts]
        if receipt:
            objects[0]["ack"] = True
        payload = json.dumps(objects if count > 1 else objects[0]).encode()
        asked = str(objects[0]["id"]) if receipt else None
        return Letter(self._topic(mouth), payload, names, alarm, receipt=asked)

    def _anonymous_reading(self, mouth: Mouth) -> Letter:
        value = self._value(50)
        payload = json.dumps({"values": {"noise": value}}).encode()
        return Letter(self._topic(mouth), payload, ((Name(mouth.name, "noise", value), None),), once=True)

    def _unstorable(self, mouth: Mouth) -> Letter:
        tag = self._tag()
        payload = json.dumps({"id": tag, "at": self.now_ms(), "values": {"noise": UNSTORABLE}}).encode()
        # Its whole batch is taken apart for it, so a few are enough.
        return Letter(self._topic(mouth), payload, poison=tag, once=True)

    def _poison(self, mouth: Mouth) -> Letter:
        tag = self._tag()
        good = b'{"id":"%s","values":{"noise":55}}' % tag.encode()
        topic = self._topic(mouth)
        payloads: list[tuple[str, bytes]] = [
            (topic, b'["%s",' % tag.encode() + b"1," * 1000 + b"1]"),
            (topic, good.replace(b":55", b":NaN")),
            (topic, good.replace(b":55", b":-Infinity")),
            (topic, good.replace(b":55", b":1e999")),
            (topic, good.replace(b":55", b':"55"')),
            (topic, good.replace(b'","', b'\xff\xfe","')),
            (topic, good[:-1]),
            (topic, good.replace(b":55", b":" + b"[" * 5_000)),
            (topic, b'["%s",' % tag.encode() + b'{"a":[' * 2_000),
            (topic, b"\0%s\0\x01\x02" % tag.encode()),
            (topic, good.replace(b"noise", b"no such quantity")),
            (topic, good.replace(b'"values"', b'"at":-1,"values"')),
            (f"cc/v1/{mouth.county}/nobody-{self._number()}/reading", good),
            (f"cc/v1/999999/{mouth.name}/reading", good),
        ]
        # One of every ten is so large that nobody reads it. No more: the broker saves all that waits, at every change.
        if self._chance.random() < 0.1:
            payloads = [(topic, b'{"id":"%s","pad":"%s"}' % (tag.encode(), b"x" * 262_144))]
        return Letter(*self._chance.choice(payloads), poison=tag)

    def _tag(self) -> str:
        return f"poison-{self.producer}-{self._number()}"

    @staticmethod
    def _topic(mouth: Mouth) -> str:
        return f"cc/v1/{mouth.county}/{mouth.name}/reading"
