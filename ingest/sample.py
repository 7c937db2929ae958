"""What one message of a format other than the native one says, in the maker's own words: before any catalogue is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo

from ingest.quarantine import Refusal

ONLINE = "online"
"""The field that says, by 1 or 0, whether a device is there."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one field of one device, all named as the device names them.

    A ``value`` is a number, or a text that only who knows the field can tell the meaning of. ``at_us`` is epoch microseconds,
    None when the message has no time of its own; ``unit`` None when it names none. ``faulty``: the device itself says that the
    value is none to go by. ``historical``: told late on purpose, never live. ``device`` is empty where only the topic names it.
    """

    device: str
    field: str
    value: float | str
    at_us: int | None = None
    unit: str | None = None
    faulty: bool = False
    historical: bool = False


@dataclass(frozen=True, slots=True)
class Telegram:
    """What a message holds. ``refusals`` are its parts that cannot be read; ``id`` names it, where its format does."""

    samples: tuple[Sample, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    id: str | None = None


Reader = Callable[[str, bytes, float, tzinfo], Telegram | None]
"""(topic, payload, receipt in epoch seconds, the city's zone) -> what it says, None
when it is understood and of no use. Raises Unreadable."""
