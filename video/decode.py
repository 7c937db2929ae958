"""Raw camera messages into camera events. A bad message is rejected with its reason and spoils nothing beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ingest.decode import LARGEST_PAYLOAD, topic_parts
from ingest.formats.native import Unreadable
from ingest.message import Message
from ingest.quarantine import BAD_TOPIC, OVERSIZED, UNKNOWN_CAMERA, UNKNOWN_FORMAT, WRONG_COUNTY, Rejection
from ingest.sensor import SENSOR_ID
from video.camera import Camera, CameraEvent
from video.formats import frigate, gb28181
from video.sighting import Ignored, Sighting

_FORMATS: Final[Mapping[str, Callable[[str, bytes, float], Sighting | Ignored]]] = {
    "frigate": frigate.read,
    "gb28181": gb28181.read,
}
_BELOW: Final = tuple(f"raw/{name}/" for name in _FORMATS)


def speaks(topic: str) -> bool:
    """Whether a topic is that of a camera format. Asked for every message: the common answer comes first."""
    if "/raw/" not in topic:
        return False
    parts = topic_parts(topic)
    return parts is not None and parts[2].startswith(_BELOW)


def decode(
    messages: Sequence[Message], cameras: Mapping[str, Camera]
) -> tuple[list[CameraEvent], list[Rejection], int]:
    """Decode messages on ``cc/v1/{county}/{source}/raw/{frigate,gb28181}/{tail}``.

    ``cameras`` is keyed by the name a server knows a camera by: ``{source}/{name}`` is looked up first, so that two servers
    may both have a ``front_door``, then ``{name}``. Events come out in message order; a message gives one event or none.
    Returns the events, the rejections and how many messages were understood but of no use (the formats say why).
    """
    events: list[CameraEvent] = []
    rejections: list[Rejection] = []
    ignored = 0
    for index, message in enumerate(messages):
        try:
            event = _event(index, message, cameras)
        except Unreadable as problem:
            county, source = _sender(message.topic)
            rejections.append(Rejection(index, problem.reason, problem.detail, county, source))
            continue
        if event is None:
            ignored += 1
        else:
            events.append(event)
    return events, rejections, ignored


def _event(index: int, message: Message, cameras: Mapping[str, Camera]) -> CameraEvent | None:
    county, source, name, tail = _address(message.topic)
    if len(message.payload) > LARGEST_PAYLOAD:
        raise Unreadable(OVERSIZED, f"{len(message.payload)} bytes, the largest accepted is {LARGEST_PAYLOAD}")
    seen = _FORMATS[name](tail, message.payload, message.received_at)
    if isinstance(seen, Ignored):
        return None
    camera = cameras.get(f"{source}/{seen.camera}") or cameras.get(seen.camera)
    if camera is None:
        raise Unreadable(UNKNOWN_CAMERA, f"camera {seen.camera!r} of {source} is not in the catalogue: import it first")
    if camera.county != county:
        raise Unreadable(
            WRONG_COUNTY, f"topic says county {county}, the catalogue has camera {camera.id} in {camera.county}"
        )
    return CameraEvent(
        camera=camera.id,
        key=seen.key,
        phase=seen.phase,
        kind=seen.kind,
        score=seen.score,
        zones=seen.zones,
        started_at=seen.started_at,
        at=seen.at,
        ended_at=seen.ended_at,
        message=index,
    )


def _address(topic: str) -> tuple[str, str, str, str]:
    """(county, source, format, tail) of a camera topic. Raises Unreadable."""
    parts = topic_parts(topic)
    raw, _, below = parts[2].partition("/") if parts else ("", "", "")
    name, _, tail = below.partition("/")
    if parts is None or raw != "raw" or not tail or not SENSOR_ID.fullmatch(parts[1]):
        raise Unreadable(BAD_TOPIC, f"topic {topic[:200]!r} is not cc/v1/COUNTY/SOURCE/raw/FORMAT/…")
    if name not in _FORMATS:
        raise Unreadable(UNKNOWN_FORMAT, f"format {name[:40]!r} is unknown here: cameras speak {', '.join(_FORMATS)}")
    return parts[0], parts[1], name, tail


def _sender(topic: str) -> tuple[str | None, str | None]:
    parts = topic_parts(topic)
    return (parts[0], parts[1]) if parts else (None, None)
