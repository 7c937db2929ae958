"""Tasmota: ``tele/{device}/SENSOR``, ``stat/{device}/STATUS8`` and ``STATUS10`` with what is measured, ``tele/{device}/LWT``.

Times are the device's local ones, without a zone and in two ways of writing: they are the city's. Temperatures and pressures
are in whatever unit the device is set to, which it names for all of them at once.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import Final

from ingest.formats import tree
from ingest.formats.native import Unreadable, epoch_us
from ingest.quarantine import BAD_TIME, WRONG_TYPE
from ingest.sample import ONLINE, Sample, Telegram

_SPEAKING: Final = {"SENSOR", "STATUS8", "STATUS10"}
_STATES: Final = {b"Online": 1.0, b"Offline": 0.0}
_DEGREES: Final = {"C": "degC", "F": "degF"}
_HAS_DEGREES: Final = re.compile(r"(?:.*\.)?(?:Temperature|DewPoint)\d*")
_HAS_PRESSURE: Final = re.compile(r"(?:.*\.)?(?:Pressure|SeaPressure)\d*")


def read(topic: str, payload: bytes, _received_at: float, zone: tzinfo) -> Telegram | None:
    """What a device measures, or that it came or went; its own state and answers are of no use. Raises Unreadable."""
    levels = topic.split("/")
    device, kind = levels[-2] if len(levels) > 1 else "", levels[-1]
    if kind == "LWT":
        if payload not in _STATES:
            raise Unreadable(WRONG_TYPE, "LWT must be the word Online or Offline")
        return Telegram((Sample(device, ONLINE, _STATES[payload]),))
    said = tree.parse_object(payload)
    if kind and kind not in _SPEAKING and "StatusSNS" not in said:
        return None
    said = tree.part(said, "StatusSNS") or said
    time = tree.word(said, "Time")
    at_us = None if time is None else _instant(time, zone)
    degrees, pressure = tree.word(said, "TempUnit"), tree.word(said, "PressureUnit")
    units = ((_HAS_DEGREES, degrees and _DEGREES.get(degrees, degrees)), (_HAS_PRESSURE, pressure))
    samples = []
    for field, value in tree.leaves(said):
        if field not in {"Time", "TempUnit", "PressureUnit"}:
            unit = next((unit for has, unit in units if has.fullmatch(field)), None)
            samples.append(Sample(device, field, value, at_us, unit))
    return Telegram(tuple(samples))


def _instant(text: str, zone: tzinfo) -> int:
    try:
        moment = datetime.fromisoformat(re.sub(r"^(\d{4})\.(\d\d)\.(\d\d) ", r"\1-\2-\3T", text))
    except ValueError:
        raise Unreadable(BAD_TIME, f"Time is {text[:40]!r}: 2026-11-23T10:00:00 is wanted") from None
    try:
        return epoch_us(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except OverflowError:
        raise Unreadable(BAD_TIME, f"Time is {text[:40]!r}: a year that no device lives in") from None
