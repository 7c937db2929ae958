"""What one message of a format other than the native one says, in the maker's own words: before any catalogue is asked."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.quarantine import Refusal


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one field of one device, all named as the device names them.

    ``at_us`` is epoch microseconds, None when the message has no time of its own; ``unit`` None when it names none.
    ``faulty``: the device itself says that the value is none to go by. ``historical``: told late on purpose, never live.
    """

    device: str
    field: str
    value: float
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
