"""HJ 212: how stations for dust, air and water speak over TCP. Pure: bytes in, samples and answers out.

A frame is ``##``, four digits for the length of the data, the data, its checksum as four hexadecimal digits, CR LF. The data
are ``QN=…;ST=…;CN=…;PW=…;MN=…;Flag=…;CP=&&DataTime=…;a34002-Rtd=35.2,a34002-Flag=N&&``. Samples of frames and the checksum:
domain.md 7.6 and 9. The numbers of answers follow what implementations of HJ 212-2017 do; the standard itself was not at hand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import Enum
from typing import Final

from ingest.formats.native import Unreadable, epoch_us
from ingest.quarantine import BAD_CHECKSUM, BAD_TIME, MALFORMED, NOT_A_NUMBER, WRONG_TYPE, Refusal
from ingest.sample import Sample, Telegram

LARGEST_FRAME: Final = 2 + 4 + 9999 + 4 + 2
"""Bytes: four digits say no greater length of the data. What ``frames`` leaves over is never longer."""

UNNAMED: Final = "-"

_HEAD: Final = re.compile(rb"##\d{4}")
_STATION: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_WITHOUT_VALUE: Final = frozenset({"Flag", "EFlag", "SampleTime"})
_UNITLESS: Final = frozenset({"DataTime", "BeginTime", "EndTime", "SystemTime", "PolId"})
_ASKS_FOR_ANSWER: Final = 1
_ANSWER_FLAG: Final = 4  # version 2017, no packet numbers, no answer to the answer
_NOTICES: Final = ("10", "30")


class Result(Enum):
    """What became of a frame; the value is the code (QnRtn) by which a refusal is told."""

    STORED = 1
    REFUSED = 2
    WRONG_PASSWORD = 3
    UNKNOWN_STATION = 4
    BAD_CHECKSUM = 9


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose checksum is right. ``cp`` are its data in groups: what belongs to one factor stands in one group."""

    number: str
    kind: str
    command: str
    password: str
    station: str
    flag: int
    cp: tuple[dict[str, str], ...]

    @property
    def asks_for_answer(self) -> bool:
        return bool(self.flag & _ASKS_FOR_ANSWER)


def checksum(data: bytes) -> int:
    """The 16 bits over ``data`` (the high byte is shifted before each octet comes in, unlike Modbus)."""
    register = 0xFFFF
    for octet in data:
        register = _SHIFTED[(register >> 8) ^ octet]
    return register


def _shifted(register: int) -> int:
    for _ in range(8):
        register = (register >> 1) ^ (0xA001 if register & 1 else 0)
    return register


_SHIFTED: Final = tuple(_shifted(low) for low in range(256))


def frames(buffer: bytes) -> tuple[list[bytes], bytes]:
    """The frames in ``buffer`` and the rest to put before what comes next. Together they are all of the buffer.

    Noise comes out as pieces too, which ``read`` refuses, so that it can be kept with a reason. A frame whose length lies ends
    where the next one begins. The end of line of a frame may come with it or before the next.
    """
    found: list[bytes] = []
    begin = 0
    while begin < len(buffer):
        head = _HEAD.search(buffer, begin)
        if head is None:
            break
        before = buffer[begin : head.start()]
        if before.strip(b"\r\n") or len(before) > len(b"\r\n"):
            found.append(before)
            begin = head.start()
        end = head.end() + int(buffer[head.start() + 2 : head.end()]) + 4
        other = _HEAD.search(buffer, head.start() + 2, end)
        if other is not None and not (end <= len(buffer) and _is_right(buffer[head.start() : end])):
            end = other.start()
        elif end > len(buffer):
            break
        if buffer.startswith(b"\r\n", end):
            end += 2
        found.append(buffer[begin:end])
        begin = end
    if len(buffer) - begin > LARGEST_FRAME:
        # No frame is that long: noise without an end, but for what may be the beginning of a head.
        keep = len(buffer) - len(b"##000")
        found.append(buffer[begin:keep])
        begin = keep
    return found, buffer[begin:]


def read(frame: bytes) -> Frame:
    """One frame as ``frames`` cuts them. Raises Unreadable."""
    bare = frame.strip(b"\r\n")
    if not _HEAD.match(bare):
        raise Unreadable(MALFORMED, "this is no HJ 212 frame: it begins with ## and four digits for the length")
    length = int(bare[2:6])
    if len(bare) != 6 + length + 4:
        raise Unreadable(MALFORMED, f"the frame says {length} bytes of data and holds {len(bare) - 10}")
    if not _is_right(bare):
        sent = bare[-4:].decode("latin-1")
        raise Unreadable(BAD_CHECKSUM, f"the checksum is {sent!r} and should be {checksum(bare[6:-4]):04X}")
    try:
        data = bare[6:-4].decode("gb18030")
    except UnicodeDecodeError:
        raise Unreadable(MALFORMED, "the data are no text") from None
    header, _, rest = data.partition("CP=&&")
    said = _pairs(header, ";")
    station, flag = said.get("MN", ""), said.get("Flag", "0")
    if not _STATION.fullmatch(station):
        raise Unreadable(MALFORMED, f"MN={station[:64]!r} names no station: letters, digits and _.:- only, at most 64")
    if not (flag.isascii() and flag.isdigit() and len(flag) <= 3):
        raise Unreadable(WRONG_TYPE, f"Flag={flag[:20]!r} is no number from 0 to 255")
    groups = tuple(_pairs(group, ",") for group in rest.removesuffix("&&").split(";") if group)
    number, kind, command, password = (said.get(name, "") for name in ("QN", "ST", "CN", "PW"))
    return Frame(number, kind, command, password, station, int(flag), groups)


def telegram(frame: Frame, zone: tzinfo) -> Telegram:
    """The values of a frame, its fields named ``COMMAND/FACTOR-STATISTIC``: ``2011/a34002-Rtd`` is PM10 at this moment,
    ``2061/a34002-Avg`` the mean of an hour. Times are local to ``zone``.

    A frame without DataTime has the time in its request number. A value whose Flag is not N is faulty: the station says that it
    is being calibrated, mended or out of order. A frame that carries no data (heartbeat, request for the time) has no samples.
    """
    at_us = _time(frame, zone)
    samples: list[Sample] = []
    refusals: list[Refusal] = []
    for group in frame.cp:
        for name, text in group.items():
            factor, _, statistic = name.partition("-")
            if name in _UNITLESS or statistic in _WITHOUT_VALUE:
                continue
            value = float(text) if len(text) <= 64 and _NUMBER.fullmatch(text) else None
            if value is None or not math.isfinite(value):
                reason = WRONG_TYPE if value is None else NOT_A_NUMBER
                refusals.append(Refusal(reason, f"{name[:40]}={text[:40]!r} is no number"))
                continue
            faulty = group.get(f"{factor}-Flag", "N") != "N"
            samples.append(Sample(frame.station, f"{frame.command}/{name}", value, at_us, faulty=faulty))
    return Telegram(tuple(samples), tuple(refusals))


def topic(frame: bytes) -> str:
    """Under which topic a frame that came over TCP enters the path: ``hj212/STATION``. Nothing of the broker comes by it."""
    return f"hj212/{dict(_told(frame)).get('MN', UNNAMED)}"


def answer(frame: bytes, result: Result) -> bytes | None:
    """What to send back, None when the station asked for nothing or does not say who it is.

    9014 says that data were taken, 9013 the same of a notice; 9011 refuses with the reason, by which a station sends again.
    """
    said = dict(_told(frame))
    if not said.get("MN") or not said.get("QN"):
        return None
    flag = said.get("Flag", "0")
    if not flag.isdigit() or not int(flag) & _ASKS_FOR_ANSWER:
        return None
    if result is not Result.STORED:
        return _frame(said, "9011", f"QnRtn={result.value}")
    return _frame(said, "9013" if said.get("CN", "").startswith(_NOTICES) else "9014", "")


def _frame(said: dict[str, str], command: str, cp: str) -> bytes:
    # ST=91: not about what is measured, but between the two ends of the line.
    who = f"QN={said['QN']};ST=91;CN={command};PW={said.get('PW', '')};MN={said['MN']};Flag={_ANSWER_FLAG}"
    return build(f"{who};CP=&&{cp}&&")


def build(data: str) -> bytes:
    """A frame around its data."""
    body = data.encode("gb18030")
    return b"##%04d%s%04X\r\n" % (len(body), body, checksum(body))


def _told(frame: bytes) -> Iterator[tuple[str, str]]:
    """The short plain fields of a header, also of a frame whose checksum is wrong: who it seems to be from."""
    for name, value in re.findall(rb"(?:^|;|\d)(QN|CN|PW|MN|Flag)=([A-Za-z0-9_.:-]{1,64})(?=;)", frame[:1024]):
        yield name.decode(), value.decode()


def _is_right(bare: bytes) -> bool:
    return bare[-4:].upper() == b"%04X" % checksum(bare[6:-4])


def _pairs(text: str, separator: str) -> dict[str, str]:
    return {
        name.strip(): value.strip()
        for name, _, value in (item.partition("=") for item in text.split(separator))
        if name
    }


def _time(frame: Frame, zone: tzinfo) -> int | None:
    told = next((group["DataTime"] for group in frame.cp if "DataTime" in group), frame.number)
    if not told:
        return None
    if not re.fullmatch(r"\d{14}(\d{3})?", told, re.ASCII):
        raise Unreadable(BAD_TIME, f"time {told[:40]!r}: 14 digits yyyyMMddHHmmss are wanted")
    try:
        moment = datetime.strptime(told[:14], "%Y%m%d%H%M%S").replace(tzinfo=zone)
    except ValueError:
        raise Unreadable(BAD_TIME, f"time {told[:40]!r} is none that there is") from None
    return epoch_us(moment.astimezone(UTC))
