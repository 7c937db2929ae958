"""What a Frigate server says over MQTT, read down to what a camera event needs.

Topics (below the server's own prefix): ``events`` tells of one tracked object, ``reviews`` of a stretch of video worth a look,
which may span several objects. Both carry ``{"type", "before", "after"}``; ``after`` is the state that counts. The same
``id`` means the same matter from ``new`` over ``update`` to ``end``. Times are float epoch seconds.

Names of recognised faces, licence plates, sub labels and descriptions are personal data. They are not fields here, so the
decoder skips them and nothing of them goes on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from ingest.formats.native import Unreadable
from ingest.quarantine import BAD_TIME, MALFORMED, WRONG_TYPE
from video.sighting import Ignored, Sighting

IGNORED_TAILS: Final = {
    "available": "the server's own state, not a camera's",
    "stats": "load figures of the server",
    "tracked_object_update": "descriptions, faces and plates are personal data",
    "triggers": "a search match on a picture, which the event itself reports already",
    "camera_activity": "a summary of what events report",
}
OBJECT_COUNT: Final = "a running count or state of one camera or zone, which events report already"
FALSE_POSITIVE: Final = "the server itself holds it for a false positive"
DESCRIPTION: Final = "a generated description may speak of persons"

_PERSONAL: Final = frozenset(
    {
        *("sub_label", "sub_labels", "attributes", "current_attributes", "name", "description"),
        *("plate", "recognized_license_plate", "recognized_license_plate_score"),
        *("snapshot", "thumbnail", "path_data"),
    }
)

_ID: Final = re.compile(r"[!-~]{1,128}")
_PHASES: Final = ("new", "update", "end")
_LONGEST_NAME: Final = 64
_MOST_ZONES: Final = 64
_EARLIEST_S: Final = 946_684_800.0  # 2000-01-01
_LATEST_S: Final = 4_102_444_800.0  # 2100-01-01


class _Matter(msgspec.Struct, frozen=True):
    id: str
    camera: str
    start_time: float
    end_time: float | None = None


class _Tracked(_Matter, frozen=True):
    label: str = "object"
    frame_time: float | None = None
    score: float | None = None
    top_score: float | None = None
    false_positive: bool | None = None
    entered_zones: list[str] | None = None
    current_zones: list[str] | None = None


class _ReviewData(msgspec.Struct, frozen=True):
    zones: list[str] | None = None


class _Review(_Matter, frozen=True):
    severity: str = "detection"
    data: _ReviewData | None = None


class _Event(msgspec.Struct, frozen=True):
    type: str
    after: _Tracked


class _ReviewChange(msgspec.Struct, frozen=True):
    type: str
    after: _Review | None = None


_Shape = TypeVar("_Shape", _Event, _ReviewChange)

_event = msgspec.json.Decoder(_Event)
_review = msgspec.json.Decoder(_ReviewChange)


def read(tail: str, payload: bytes, received_at: float) -> Sighting | Ignored:
    """The message below topic ``tail`` (``events``, ``reviews``, ``front_door/person`` ...).

    ``received_at`` (epoch seconds) stands in for the time of a review's update, which carries none. Raises Unreadable.
    """
    if tail == "events":
        return _read_event(payload)
    if tail == "reviews":
        return _read_review(payload, received_at)
    return Ignored(IGNORED_TAILS.get(tail, OBJECT_COUNT))


def _read_event(payload: bytes) -> Sighting | Ignored:
    event = _decode(_event, payload)
    after = event.after
    phase = _phase(event.type)
    if after.false_positive:
        return Ignored(FALSE_POSITIVE)
    at = next(t for t in (after.frame_time, after.end_time, after.start_time) if t is not None)
    # The best score so far is what the server judged the object by; a single frame's may dip while the object is there.
    score = next((s for s in (after.top_score, after.score) if s is not None), 0.0)
    zones = _zones(after.entered_zones or after.current_zones or ())
    return _sighting(after, phase, _name("label", after.label), score, zones, at)


def _read_review(payload: bytes, received_at: float) -> Sighting | Ignored:
    change = _decode(_review, payload)
    if change.type == "genai":
        return Ignored(DESCRIPTION)
    after = change.after
    if after is None:
        raise Unreadable(WRONG_TYPE, "a review needs the object after")
    phase = _phase(change.type)
    if after.severity not in ("alert", "detection"):
        raise Unreadable(WRONG_TYPE, f"severity {after.severity[:20]!r} is not alert or detection")
    at = after.end_time if after.end_time is not None else after.start_time if phase == "new" else received_at
    zones = _zones((after.data.zones if after.data else None) or ())
    # A review has no score: the server reports it only when its own thresholds are passed.
    return _sighting(after, phase, f"review_{after.severity}", 1.0, zones, at)


def _decode(decoder: msgspec.json.Decoder[_Shape], payload: bytes) -> _Shape:
    if not payload.strip():
        raise Unreadable(MALFORMED, "the payload is empty")
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as problem:
        raise Unreadable(WRONG_TYPE, str(problem)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise Unreadable(MALFORMED, f"the payload is not JSON: {problem}") from None
    except RecursionError:
        raise Unreadable(MALFORMED, "the payload is nested too deeply") from None


def _sighting(matter: _Matter, phase: str, kind: str, score: float, zones: tuple[str, ...], at: float) -> Sighting:
    if not _ID.fullmatch(matter.id):
        raise Unreadable(WRONG_TYPE, "id must be 1 to 128 printable ASCII characters")
    if not 0.0 <= score <= 1.0:
        raise Unreadable(WRONG_TYPE, f"score {score} is not between 0 and 1")
    for field, time in (("start_time", matter.start_time), ("frame_time", at), ("end_time", matter.end_time)):
        if time is not None and not _EARLIEST_S <= time <= _LATEST_S:
            raise Unreadable(BAD_TIME, f"{field} is {time}: give epoch seconds between the years 2000 and 2100")
    # Only the last message closes a matter: servers that set end_time in an update may still take it back.
    ended_at = (matter.end_time if matter.end_time is not None else at) if phase == "end" else None
    camera = _name("camera", matter.camera)
    return Sighting(camera, matter.id, phase, kind, score, zones, matter.start_time, at, ended_at)


def _phase(word: str) -> str:
    if word not in _PHASES:
        raise Unreadable(WRONG_TYPE, f"type {word[:20]!r} is not one of {', '.join(_PHASES)}")
    return word


def _zones(zones: Sequence[str]) -> tuple[str, ...]:
    if len(zones) > _MOST_ZONES:
        raise Unreadable(WRONG_TYPE, f"{len(zones)} zones, at most {_MOST_ZONES}")
    return tuple(_name("zone", zone) for zone in zones)


def _name(field: str, name: str) -> str:
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        raise Unreadable(WRONG_TYPE, f"{field} must be 1 to {_LONGEST_NAME} printable characters")
    return name


def without_persons(payload: bytes) -> bytes:
    """A payload that was rejected, as quarantine may keep it: fields that name or show persons are left out.

    What is not JSON may hold anything, so nothing of it is kept; its reason and size still tell what happened.
    """
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b""
    return msgspec.json.encode(_kept(found))


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _kept(item) for name, item in value.items() if name not in _PERSONAL}
    if isinstance(value, list):
        return [_kept(item) for item in value]
    return value
