"""A message as it came off the wire, before anybody has looked inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Origin(NamedTuple):
    """What the door needs to acknowledge a message.

    ``connection`` counts our connections to the broker: a message id means nothing once the connection it came by is gone.
    """

    message_id: int
    qos: int
    connection: int


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT publish.

    ``received_at`` is epoch seconds (UTC) at our door. ``duplicate`` is the DUP flag: the broker may have sent it before.
    ``response_topic`` and ``correlation`` are the MQTT 5 request properties of a producer that wants our receipt. ``retained``:
    it was kept by the broker for who comes later, so it says nothing of now.
    """

    topic: str
    payload: bytes
    received_at: float
    duplicate: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    origin: Origin | None = None
    retained: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """Something to publish after the commit, such as a receipt."""

    topic: str
    payload: bytes
    correlation: bytes | None = None
