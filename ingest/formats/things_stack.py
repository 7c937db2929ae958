"""Uplinks of The Things Stack: what its payload formatter made of a LoRaWAN payload.

Topic ``v3/{application}@{tenant}/devices/{device}/up``; the device is its ``device_id``.
"""

from __future__ import annotations

from datetime import tzinfo

from ingest.formats import tree
from ingest.formats.native import Unreadable, instant_us
from ingest.quarantine import UNDECODED, WRONG_TYPE
from ingest.sample import Sample, Telegram


def read(topic: str, payload: bytes, _received_at: float, _zone: tzinfo) -> Telegram | None:
    """The decoded payload of an uplink; joins, downlinks and the like say nothing that was measured. Raises Unreadable."""
    if "/devices/" in f"/{topic}" and not topic.endswith("/up"):
        return None
    said = tree.parse_object(payload)
    device = tree.word(tree.part(said, "end_device_ids"), "device_id")
    if not device:
        raise Unreadable(WRONG_TYPE, "end_device_ids.device_id is missing: this is no uplink")
    uplink = tree.part(said, "uplink_message")
    values = tree.leaves(tree.part(uplink, "decoded_payload"))
    if not values:
        raise Unreadable(
            UNDECODED, f"device {device[:64]} sent bytes that were not decoded: give it a payload formatter"
        )
    at_us = instant_us(tree.word(uplink, "received_at") or tree.word(said, "received_at"))
    session, count = tree.word(uplink, "session_key_id"), uplink.get("f_cnt", 0)
    # The counter names an uplink within a session; a device that joins anew begins at 0 under another key.
    name = f"{session}/{count}" if session and isinstance(count, int) else None
    return Telegram(tuple(Sample(device, field, value, at_us) for field, value in values), id=name)
