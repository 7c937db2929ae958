"""The producers' own book: what each of them sent, and which answers it holds. The product never writes in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class Name(NamedTuple):
    """What tells a reading from every other one: the producers never send a value twice."""

    sensor: str
    quantity: str
    value: float


@dataclass
class Sent:
    """One reading or one poison: how often it went out, and what was answered. ``at_us`` None: it carries no time."""

    at_us: int | None = None
    times: int = 0
    pubacks: int = 0
    receipts: int = 0


@dataclass
class Asked:
    """One HTTP request with its Idempotency-Key: how often it went out, and the last answer (0: none, ever)."""

    times: int = 0
    status: int = 0


class Step(NamedTuple):
    """A move of a ticket that a desk asked for; ``version`` is the version it leads to."""

    ticket: UUID
    version: int
    move: str


@dataclass
class Ledger:
    """Everything that was sent. Written by several threads, read when they are done.

    ``alarms`` are the readings that must open a ticket for their sensor. ``timers`` is when the deadline of a ticket comes;
    ``scheduler_away`` the spans in which no scheduler ran.
    """

    readings: dict[Name, Sent] = field(default_factory=dict)
    alarms: set[Name] = field(default_factory=set)
    poisons: dict[str, Sent] = field(default_factory=dict)
    moves: dict[Step, Asked] = field(default_factory=dict)
    reports: dict[str, Asked] = field(default_factory=dict)
    timers: dict[UUID, datetime] = field(default_factory=dict)
    scheduler_away: list[tuple[datetime, datetime]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        """To write in it."""
        with self._lock:
            yield self

    def messages(self) -> int:
        """How many went out, repeats included; a message of several readings counts once for each."""
        return sum(sent.times for sent in (*self.readings.values(), *self.poisons.values()))
