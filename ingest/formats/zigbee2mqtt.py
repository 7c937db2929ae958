"""Zigbee2MQTT: ``{base}/{device}`` with an object of values, ``{base}/{device}/availability`` with online or offline.

Values carry no unit, and no time unless the bridge is set to add ``last_seen``.
"""

from __future__ import annotations

from datetime import tzinfo

from ingest.formats import tree
from ingest.formats.native import Unreadable, instant_us
from ingest.quarantine import WRONG_TYPE
from ingest.sample import ONLINE, Sample, Telegram

_STATES = {"online": 1.0, "offline": 0.0}


def read(topic: str, payload: bytes, _received_at: float, _zone: tzinfo) -> Telegram | None:
    """The values of a device. What the bridge says of itself and what is said to devices is of no use. Raises Unreadable."""
    levels = topic.split("/")
    if levels[0] == "bridge" or levels[-1] in {"set", "get"}:
        return None
    if levels[-1] == "availability" and len(levels) > 1:
        return Telegram((Sample("/".join(levels[:-1]), ONLINE, _state(payload)),))
    said = tree.parse_object(payload)
    seen = said.pop("last_seen", None)
    if not isinstance(seen, str | int | float | None) or isinstance(seen, bool):
        raise Unreadable(WRONG_TYPE, f"last_seen is a {type(seen).__name__}, a time is wanted")
    at_us = instant_us(seen)
    return Telegram(tuple(Sample(topic, field, value, at_us) for field, value in tree.leaves(said)))


def _state(payload: bytes) -> float:
    word = (
        payload.decode("latin-1")
        if payload in (b"online", b"offline")
        else tree.word(tree.parse_object(payload), "state")
    )
    if word not in _STATES:
        raise Unreadable(WRONG_TYPE, f"availability is {str(word)[:40]!r}: online or offline is wanted")
    return _STATES[word]
