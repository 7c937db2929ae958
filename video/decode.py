"""Raw camera messages into camera events. A bad message is rejected with its reason and spoils nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ingest.decode import LARGEST_PAYLOAD, topic_parts
from ingest.formats.native import Unreadable
from ingest.message import Message
from ingest.quarantine import BAD_TOPIC, OVERSIZED, UNKNOWN_CAMERA, UNKNOWN_FORMAT, WRONG_COUNTY, Rejection
from ingest.sensor import SENSOR_ID
from video.camera import Camera, CameraEvent
from video.formats import frigate


def decode(
    messages: Sequence[Message], cameras: Mapping[str, Camera]
) -> tuple[list[CameraEvent], list[Rejection], int]:
    """Decode messages on ``cc/v1/{county}/{source}/raw/frigate/{tail}``.

    ``cameras`` is keyed by the name a server knows a camera by: ``{source}/{name}`` is looked up first, so that two servers
    may both have a ``front_door``, then ``{name}``. Events come out in message order; a message gives one event or none.
    Returns the events, the rejections and how many messages were understood but of no use (see ``formats.frigate``).
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
    county, source, tail = _address(message.topic)
    if len(message.payload) > LARGEST_PAYLOAD:
        raise Unreadable(OVERSIZED, f"{len(message.payload)} bytes, the largest accepted is {LARGEST_PAYLOAD}")
    seen = frigate.read(tail, message.payload, message.received_at)
    if isinstance(seen, frigate.Ignored):
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


def _address(topic: str) -> tuple[str, str, str]:
    """(county, source, tail) of a Frigate topic. Raises Unreadable."""
    parts = topic_parts(topic)
    raw, _, below = parts[2].partition("/") if parts else ("", "", "")
    name, _, tail = below.partition("/")
    if parts is None or raw != "raw" or not tail or not SENSOR_ID.fullmatch(parts[1]):
        raise Unreadable(BAD_TOPIC, f"topic {topic[:200]!r} is not cc/v1/COUNTY/SOURCE/raw/FORMAT/…")
    if name != "frigate":
        raise Unreadable(UNKNOWN_FORMAT, f"format {name[:40]!r} is unknown here: cameras speak frigate")
    return parts[0], parts[1], tail


def _sender(topic: str) -> tuple[str | None, str | None]:
    parts = topic_parts(topic)
    return (parts[0], parts[1]) if parts else (None, None)
