"""OGC SensorThings 1.1: observations that are created over MQTT.

Topic ``…/Datastreams(5)/Observations``, or ``…/Observations`` with the datastream in the payload. A datastream is one quantity
of one sensor: device and field are both its id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, Final

from ingest.formats import tree
from ingest.formats.native import Unreadable, instant_us
from ingest.quarantine import BAD_TOPIC, WRONG_TYPE
from ingest.sample import Sample, Telegram

_OF_A_STREAM: Final = re.compile(r"(?:.*/)?Datastreams\((?:'([^']{1,64})'|([0-9]{1,18}))\)/Observations")


def read(topic: str, payload: bytes, _received_at: float, _zone: tzinfo) -> Telegram:
    """One observation. Of an interval of time the end counts: then it was known. Raises Unreadable."""
    said = tree.parse_object(payload)
    named = _OF_A_STREAM.fullmatch(topic)
    if named:
        stream = named[1] or named[2]
    elif topic in {"", "Observations"} or topic.endswith("/Observations"):
        stream = _stream(tree.part(said, "Datastream").get("@iot.id"))
    else:
        raise Unreadable(BAD_TOPIC, f"{topic[:100]!r} creates no observation: use Datastreams(ID)/Observations")
    result = said.get("result")
    if not isinstance(result, bool | int | float | str):
        raise Unreadable(WRONG_TYPE, f"result is a {type(result).__name__}, a number is wanted")
    value = result if isinstance(result, str) else tree.number(result)
    return Telegram((Sample(stream, stream, value, _time(said)),))


def _stream(identity: Any) -> str:
    if isinstance(identity, bool) or not isinstance(identity, str | int) or not 0 < len(str(identity)) <= 64:
        raise Unreadable(WRONG_TYPE, "Datastream.@iot.id is missing: say which datastream observed this")
    return str(identity)


def _time(said: Mapping[str, Any]) -> int | None:
    told = tree.word(said, "phenomenonTime") or tree.word(said, "resultTime")
    return instant_us(told.rpartition("/")[2]) if told else None
