"""A message as it came off the wire, before anybody has looked inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import msgspec

Origin: TypeAlias = "Callable[[Sequence[Message]], None]"
"""Told after their commit which of its messages are stored for good, in the order of the batch."""


class Kept(NamedTuple):
    """A message that is taken up again: its rows in quarantine, and when that was (epoch seconds)."""

    rows: tuple[int, ...]
    taken_up_at: float


class Message(msgspec.Struct, frozen=True, gc=False):
    """What one sender sent at once: an MQTT publish, a station's frame.

    ``received_at`` is epoch seconds (UTC) at our door. ``duplicate``: it may have been sent before (MQTT's DUP flag).
    ``response_topic`` and ``correlation`` are the MQTT 5 request properties of a producer that wants our receipt. ``origin``
    is told once the message is stored, None when nobody waits for that; ``number`` is the origin's own name for it.
    ``retained``: it was kept by the broker for who comes later, so it says nothing of now. ``kept``: it comes
    from quarantine, and ``received_at`` is when it first came.
    """

    topic: str
    payload: bytes
    received_at: float
    duplicate: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    origin: Origin | None = None
    number: Any = None
    retained: bool = False
    kept: Kept | None = None

    def late_s(self, at_us: int) -> float:
        """How late it is for what was measured at a time (epoch microseconds); of what comes from quarantine, by now."""
        judged_at = self.received_at if self.kept is None else self.kept.taken_up_at
        return (round(judged_at * 1_000_000) - at_us) / 1_000_000


@dataclass(frozen=True, slots=True)
class Reply:
    """Something to publish after the commit, such as a receipt."""

    topic: str
    payload: bytes
    correlation: bytes | None = None


def acknowledge(messages: Iterable[Message]) -> None:
    """Tell each origin which of its messages are stored for good."""
    by_origin: dict[Origin, list[Message]] = {}
    for message in messages:
        if message.origin is not None:
            by_origin.setdefault(message.origin, []).append(message)
    for origin, own in by_origin.items():
        origin(own)


def sent_again(message: Message) -> Message:
    """The same message as one that may have been stored before."""
    return msgspec.structs.replace(message, duplicate=True)
