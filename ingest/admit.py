"""What comes off the wire, before anybody decodes it: links speak for themselves, and what the broker kept is not news."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

from ingest.link import county_of, word
from ingest.message import Message
from ingest.quarantine import RETAINED, WRONG_COUNTY, Refusal, Rejection


class Word(NamedTuple):
    """What a county's link said of itself; ``at`` is when we received it, epoch seconds."""

    county: str
    online: bool
    at: float


class Admitted(NamedTuple):
    """``messages`` go on to be decoded; ``rejections`` count in the messages that were given. ``stale``: kept, and no news."""

    messages: list[Message]
    words: list[Word]
    rejections: list[Rejection]
    stale: int


def admit(messages: Sequence[Message], counties: Container[str]) -> Admitted:
    """Sort a batch, in its order; ``counties`` are those of the city.

    A kept ``offline`` counts, for a will is kept for who was away. A kept ``online`` does not.
    """
    found = Admitted([], [], [], 0)
    stale = 0
    for index, message in enumerate(messages):
        topic = message.topic
        if message.retained and topic.startswith("cc/v1/"):
            if not topic.endswith("/state"):
                detail = "only a state may be published with the retain flag: a kept reading would come again as if it were new"
                found.rejections.append(_rejection(index, topic, Refusal(RETAINED, detail)))
                continue
            if message.payload not in (b"offline", b"0"):
                stale += 1
                continue
        if "/$link/" not in topic:
            found.messages.append(message)
            continue
        county = county_of(topic)
        if isinstance(county, str) and county not in counties:
            county = Refusal(WRONG_COUNTY, f"the city has no county {county[:64]!r}")
        said = word(message.payload)
        if isinstance(county, str) and isinstance(said, bool):
            found.words.append(Word(county, said, message.received_at))
        else:
            refusal = county if isinstance(county, Refusal) else said
            assert isinstance(refusal, Refusal)
            found.rejections.append(_rejection(index, topic, refusal))
    return found._replace(stale=stale)


def _rejection(index: int, topic: str, refusal: Refusal) -> Rejection:
    parts = topic.split("/")
    county = parts[2] if len(parts) > 2 else None
    source = parts[3] if len(parts) > 3 else None
    return Rejection(index, *refusal, county, source)
