"""A county's link: the way by which what its sensors say reaches us. It speaks for itself on ``cc/v1/{county}/$link/state``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ingest.quarantine import BAD_TOPIC, WRONG_TYPE, Refusal
from ingest.silence import OFFLINE, ONLINE, SILENT, UNKNOWN

SOURCE: Final = "$link"
"""Stands where a sensor's id would: no sensor may be called so."""

# The second pair is what a Mosquitto bridge says of itself (notification_topic).
_WORDS: Final = {b"online": True, b"offline": False, b"1": True, b"0": False}


@dataclass(frozen=True, slots=True)
class Link:
    """``since`` epoch seconds, None while unknown: of ONLINE and OFFLINE when it was said, of SILENT when it was last heard."""

    county: str
    state: str = UNKNOWN
    since: float | None = None
    version: int = 0

    def heard(self, at: float) -> Link:
        """A sensor of the county spoke. What the link said of itself stands until it says otherwise."""
        return replace(self, state=ONLINE, since=at) if self.state in (UNKNOWN, SILENT) else self

    def told(self, online: bool, at: float) -> Link:
        """The link, or its will, said so itself."""
        state = ONLINE if online else OFFLINE
        return self if state == self.state else replace(self, state=state, since=at)

    def fell_silent(self, heard: float) -> Link:
        """Nobody of the county is heard any more."""
        return replace(self, state=SILENT, since=heard) if self.state in (ONLINE, UNKNOWN) else self


def word(payload: bytes) -> bool | Refusal:
    """What a link says of itself: whether it is online."""
    return _WORDS.get(payload, Refusal(WRONG_TYPE, "a link's state must be the word online or offline (or 1 or 0)"))


def county_of(topic: str) -> str | Refusal | None:
    """The county whose link speaks on this topic; None when it is no link's."""
    parts = topic.split("/")
    if len(parts) < 4 or parts[3] != SOURCE or parts[:2] != ["cc", "v1"]:
        return None
    if parts[4:] != ["state"]:
        return Refusal(BAD_TOPIC, f"topic {topic[:200]!r}: a link speaks on cc/v1/COUNTY/{SOURCE}/state only")
    return parts[2]
