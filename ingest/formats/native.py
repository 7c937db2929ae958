"""The product's own JSON format: an object, or a list of objects, of values by quantity.

``{"id": "…", "at": "2026-11-23T10:00:00+08:00" | epoch ms, "values": {"water_depth": 0.18}, "lng"?, "lat"?, "datum"?, "ack"?}``
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import numpy as np

from ingest.quarantine import BAD_TIME, MALFORMED, NOT_A_NUMBER, WRONG_TYPE
from ingest.reading import Column

_NOT_JSON_NUMBER = re.compile(rb"[:\[,]\s*-?(NaN|Infinity|nan|inf)\b")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST_MS = 946_684_800_000  # 2000-01-01: a device that reports less has lost its clock
_LATEST_MS = 4_102_444_800_000  # 2100-01-01
NO_INSTANT: Final = -1
BAD_INSTANT: Final = -2
"""In columns of epoch microseconds, where every real one is far above zero."""


class Observation(msgspec.Struct, frozen=True, gc=False):
    """One object of a native payload, as sent. ``raw`` holds its bytes, which name it when it has no id."""

    values: dict[str, float]
    id: str | int | None = None
    at: str | int | float | None = None
    lng: float | None = None
    lat: float | None = None
    datum: str = "CGCS2000"
    ack: bool = False


class Unreadable(ValueError):
    """A payload, or an object in it, is not what the format says."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


# Invalid UTF-8 inside a string and nesting deeper than the parser's stack are not DecodeErrors.
FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_objects = msgspec.json.Decoder(list[msgspec.Raw])
_observation = msgspec.json.Decoder(Observation)


def split(payload: bytes) -> list[bytes]:
    """The objects of a payload as bytes, one each. Raises Unreadable when it is no JSON at all."""
    if not payload.lstrip().startswith(b"["):
        return [payload]
    try:
        return [bytes(raw) for raw in _objects.decode(payload)]
    except FAULTS as problem:
        raise unreadable(payload, problem) from None


def read(raw: bytes) -> Observation:
    """One object. Raises Unreadable."""
    try:
        observation = _observation.decode(raw)
    except FAULTS as problem:
        raise unreadable(raw, problem) from None
    if not observation.values:
        raise Unreadable(WRONG_TYPE, "values is empty: give at least one quantity")
    return observation


def read_each(payloads: Sequence[bytes], largest: int) -> list[Observation | None]:
    """Each payload's one object, None where it is not just that or is larger than ``largest`` (bytes)."""
    decode = _observation.decode
    try:
        if max(map(len, payloads), default=0) <= largest:
            return [decode(payload) for payload in payloads]
    except FAULTS:
        pass
    return [_read_one(payload) if len(payload) <= largest else None for payload in payloads]


def _read_one(payload: bytes) -> Observation | None:
    try:
        found: Observation = _observation.decode(payload)
    except FAULTS:
        return None
    return found


def instants_us(times: Sequence[str | int | float | None]) -> tuple[Column, Column]:
    """``instant_us`` for each, NO_INSTANT for None and BAD_INSTANT where it would raise; and which are not None."""
    if set(map(type, times)) <= {int}:
        try:
            sent = np.array(times, dtype="i8")
        except OverflowError:
            pass
        else:
            fits = (sent >= _EARLIEST_MS) & (sent <= _LATEST_MS)
            return np.where(fits, sent, 0) * 1000 + np.where(fits, 0, BAD_INSTANT), np.ones(len(times), dtype=bool)
    found = np.array([_instant_or_mark(at) for at in times], dtype="i8")
    return found, found != NO_INSTANT


def _instant_or_mark(at: str | int | float | None) -> int:
    try:
        instant = instant_us(at)
    except Unreadable:
        return BAD_INSTANT
    return NO_INSTANT if instant is None else instant


def instant_us(at: str | int | float | None) -> int | None:
    """Epoch microseconds of a device time, None when the message had none. Raises Unreadable(BAD_TIME)."""
    if at is None:
        return None
    if isinstance(at, str):
        return _text_instant_us(at)
    if not _EARLIEST_MS <= at <= _LATEST_MS:
        raise Unreadable(BAD_TIME, f"at is {at}: give epoch milliseconds between the years 2000 and 2100")
    return round(at * 1000)


def _text_instant_us(at: str) -> int:
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise Unreadable(BAD_TIME, f"at is {at[:40]!r}: give an RFC 3339 time or epoch milliseconds") from None
    if moment.tzinfo is None:
        raise Unreadable(BAD_TIME, f"at is {at[:40]!r}: a local time needs its offset, such as +08:00")
    return epoch_us(moment)


def epoch_us(moment: datetime) -> int:
    """Epoch microseconds of a time with its zone. Raises Unreadable(BAD_TIME) for one that no device can mean."""
    # In integers: a float of seconds loses the last microsecond.
    instant_us = (moment - _EPOCH) // timedelta(microseconds=1)
    if not _EARLIEST_MS * 1000 <= instant_us <= _LATEST_MS * 1000:
        raise Unreadable(BAD_TIME, f"the time is {moment.isoformat()}: give one between the years 2000 and 2100")
    return instant_us


def unreadable(raw: bytes, problem: Exception) -> Unreadable:
    """What is wrong with bytes that the JSON parser gave up on."""
    if _NOT_JSON_NUMBER.search(raw):
        return Unreadable(NOT_A_NUMBER, "the payload holds NaN or Infinity, which JSON does not have")
    if "out of range" in str(problem):
        return Unreadable(NOT_A_NUMBER, f"a number is too large to be one: {problem}")
    if isinstance(problem, msgspec.ValidationError):
        return Unreadable(WRONG_TYPE, str(problem))
    return Unreadable(MALFORMED, f"the payload is not JSON: {problem}")
