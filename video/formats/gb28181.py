"""Bodies of GB/T 28181 (MANSCDP), as a gateway hands them on: ``cc/v1/{county}/{gateway}/raw/gb28181/{anything}``.

SIP stays with the gateway. What real devices send differs from the standard: no CmdType or SN, the type of an alarm at the root
or inside Info, positions of (0, 0), numbers with blanks. An alarm is one moment: it is a camera event that begins and ends with
its time, and the same alarm sent again is the same event.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from ingest.formats.native import Unreadable
from ingest.quarantine import BAD_TIME, WRONG_TYPE
from video.markup import Element, local_name, parse, word
from video.sighting import Ignored, Sighting

# GB/T 28181-2016, annex A.2.5: what an alarm is about, by the way it was raised and its type.
KINDS: Final[Mapping[tuple[str, str], str]] = {
    ("2", "1"): "video_loss",
    ("2", "2"): "tamper",
    ("2", "3"): "disk_full",
    ("2", "4"): "over_temperature",
    ("2", "5"): "under_temperature",
    ("5", "1"): "manual_alarm",
    ("5", "2"): "motion",
    ("5", "3"): "left_object",
    ("5", "4"): "removed_object",
    ("5", "5"): "tripwire",
    ("5", "6"): "intrusion",
    ("5", "7"): "wrong_way",
    ("5", "8"): "loitering",
    ("5", "9"): "flow_count",
    ("5", "10"): "density",
    ("5", "11"): "abnormal_picture",
    ("5", "12"): "fast_motion",
    ("6", "1"): "disk_fault",
    ("6", "2"): "fan_fault",
}
_UNTYPED: Final = {
    "1": "telephone_alarm",
    "2": "device_alarm",
    "3": "message_alarm",
    "4": "position_alarm",
    "5": "video_alarm",
    "6": "device_fault",
    "7": "other_alarm",
}
NOT_AN_ALARM: Final = "the catalogue, keep-alives and positions of a platform do not become camera events"

_CHINA: Final = timezone(timedelta(hours=8))
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_LONGEST_ID: Final = 64


def read(_tail: str, payload: bytes, received_at: float) -> Sighting | Ignored:
    """An alarm as a camera event, whatever the topic's tail says.

    ``received_at`` (epoch seconds) stands in where it says no time. Raises Unreadable.
    """
    root = parse(payload)
    if local_name(root).lower() != "notify" or not _is_alarm(root):
        return Ignored(NOT_AN_ALARM)
    device = word(root, "DeviceID")
    if device is None or not 1 <= len(device) <= _LONGEST_ID or not device.isprintable():
        raise Unreadable(WRONG_TYPE, f"an alarm needs a DeviceID of 1 to {_LONGEST_ID} printable characters")
    # Several methods may be written together; the first one raised it.
    method = (word(root, "AlarmMethod") or "7")[0]
    kind = _kind(method, word(root, "Info", "AlarmType") or word(root, "AlarmType"))
    at = _instant(word(root, "AlarmTime"), received_at)
    key = f"{device}-{kind}-{at:.0f}"
    return Sighting(device, key, "end", kind, 1.0, (), at, at, at)


def _is_alarm(root: Element) -> bool:
    command = word(root, "CmdType")
    return command.lower() == "alarm" if command else word(root, "AlarmMethod") is not None


def _kind(method: str, kind: str | None) -> str:
    if method not in _UNTYPED:
        raise Unreadable(WRONG_TYPE, f"AlarmMethod {method!r} is not one of 1 to 7")
    number = kind.lstrip("0") if kind else ""
    if not number:
        return _UNTYPED[method]
    return KINDS.get((method, number), f"{_UNTYPED[method]}_{number}") if number.isdigit() else _UNTYPED[method]


def _instant(text: str | None, received_at: float) -> float:
    """Epoch seconds. A time without zone is Chinese time (GB/T 28181, 9.10)."""
    if text is None:
        return received_at
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable(BAD_TIME, f"AlarmTime is {text[:40]!r}: give 2026-06-05T10:30:00") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=_CHINA)
    if not _EARLIEST <= moment <= _LATEST:
        raise Unreadable(BAD_TIME, f"AlarmTime is {text[:40]!r}: give a time between the years 2000 and 2100")
    return moment.timestamp()
