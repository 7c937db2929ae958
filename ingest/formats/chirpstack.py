"""Uplinks of a ChirpStack network server, versions 3 and 4: what its codec made of a LoRaWAN payload.

Topic ``application/{id}/device/{EUI}/event/up``. The device is its EUI in lower case. An uplink that the server did not decode
is refused: what its bytes mean only the maker's codec knows, and that belongs into the server's device profile.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, Final

from ingest.formats import tree
from ingest.formats.native import Unreadable, instant_us
from ingest.quarantine import UNDECODED, WRONG_TYPE
from ingest.sample import Sample, Telegram

_EUI: Final = re.compile(r"[0-9a-fA-F]{16}")


def read(topic: str, payload: bytes, _received_at: float, _zone: tzinfo) -> Telegram | None:
    """The decoded object of an uplink; other events (join, ack, status) say nothing that was measured. Raises Unreadable."""
    if "/event/" in f"/{topic}" and not topic.endswith("/up"):
        return None
    said = tree.parse_object(payload)
    info = tree.part(said, "deviceInfo")
    device = _eui(tree.word(info, "devEui") or tree.word(said, "devEUI"))
    values = tree.leaves(_decoded(said))
    if not values:
        raise Unreadable(
            UNDECODED, f"device {device} sent bytes that the network server did not decode: give it a codec"
        )
    at_us = instant_us(tree.word(said, "time") or tree.word(said, "publishedAt"))
    samples = (Sample(device, name, value, at_us) for name, value in values)
    return Telegram(tuple(samples), id=tree.word(said, "deduplicationId"))


def _decoded(said: Mapping[str, Any]) -> dict[str, Any]:
    # Version 3 may give the object as a text of its own.
    text = tree.word(said, "objectJSON")
    return tree.parse_object(text.encode()) if text else tree.part(said, "object")


def _eui(text: str | None) -> str:
    """Version 3 writes the eight bytes in hexadecimal or, by another setting, in base64."""
    if text and _EUI.fullmatch(text):
        return text.lower()
    try:
        raw = base64.b64decode(text or "", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 8:
        raise Unreadable(WRONG_TYPE, f"devEui {str(text)[:40]!r} is no device's")
    return raw.hex()
