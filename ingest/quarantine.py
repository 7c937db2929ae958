"""Messages that could not be used, kept with the reason, so that nothing is dropped in silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

MALFORMED: Final = "malformed"
OVERSIZED: Final = "oversized"
BAD_CHECKSUM: Final = "bad_checksum"
WRONG_TYPE: Final = "wrong_type"
NOT_A_NUMBER: Final = "not_a_number"
BAD_TIME: Final = "bad_time"
BAD_TOPIC: Final = "bad_topic"
UNKNOWN_FORMAT: Final = "unknown_format"
UNKNOWN_SENSOR: Final = "unknown_sensor"
BAD_UNIT: Final = "bad_unit"
UNDECODED: Final = "undecoded"
NO_BIRTH: Final = "no_birth"
WRONG_SOURCE: Final = "wrong_source"
UNKNOWN_CAMERA: Final = "unknown_camera"
UNKNOWN_QUANTITY: Final = "unknown_quantity"
WRONG_COUNTY: Final = "wrong_county"
OUTSIDE_CITY: Final = "outside_city"
NULL_ISLAND: Final = "null_island"
SWAPPED_AXES: Final = "swapped_axes"
FAR_OUTSIDE: Final = "far_outside"
RETAINED: Final = "retained"
SENTINEL: Final = "sentinel"
NOT_STORED: Final = "not_stored"

# What became of a message that was taken up again.
STORED: Final = "stored"
PARTLY: Final = "partly"
NOTHING_NEW: Final = "nothing_new"
REJECTED: Final = "rejected"

KEPT_BYTES: Final = 65_536
"""How much of a payload quarantine keeps: enough to see what it was, bounded so that a flood cannot fill the disk."""


class Refusal(NamedTuple):
    """What is wrong with something, wherever it came in."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message, or one object in it, was not used. ``message`` is its index in the batch."""

    message: int
    reason: str
    detail: str
    county: str | None = None
    source: str | None = None
