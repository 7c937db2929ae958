"""SenML (RFC 8428) in JSON and in CBOR: a list of records whose base fields hold for the records after them.

A record's name is base name and name together; here the base name says the device and the name its field. Without a base name
the last ``:``, ``/`` or ``.`` of the name parts the two. Data (vd) are no readings; a sum is the field ``NAME/sum``.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from datetime import tzinfo
from decimal import Decimal
from typing import Any, Final

import cbor2

from ingest.formats import tree
from ingest.formats.native import Unreadable, instant_us
from ingest.quarantine import MALFORMED, NOT_A_NUMBER, OVERSIZED, WRONG_TYPE, Refusal
from ingest.sample import Sample, Telegram

_LABELS: Final = {
    **dict(enumerate(("n", "u", "v", "vs", "vb", "s", "t", "ut", "vd"))),
    **dict(zip(range(-1, -7, -1), ("bver", "bn", "bt", "bu", "bv", "bs"), strict=True)),
}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./_-]*")
_RELATIVE_BELOW_S: Final = 2**28
_KNOWN_FEATURES: Final = 0b11111  # versions are sets of features; 10 is RFC 8428, 16 the secondary units of RFC 9100
_MOST_RECORDS: Final = 1000
_DEEPEST: Final = 4


def read(_topic: str, payload: bytes, received_at: float, _zone: tzinfo) -> Telegram:
    """The records of a pack: JSON when it begins like a list of JSON, else CBOR. Raises Unreadable."""
    start = payload.lstrip()[:1]
    if start == b"<":
        raise Unreadable(MALFORMED, "this is XML: send SenML as JSON or as CBOR")
    pack = tree.parse(payload) if start in b"[{" and start else _parse_cbor(payload)
    if not isinstance(pack, list):
        raise Unreadable(WRONG_TYPE, f"a pack is a list of records, not a {type(pack).__name__}")
    if len(pack) > _MOST_RECORDS:
        raise Unreadable(OVERSIZED, f"{len(pack)} records, at most {_MOST_RECORDS}")
    base: dict[str, Any] = {}
    samples: list[Sample] = []
    refusals: list[Refusal] = []
    for record in pack:
        if not isinstance(record, dict):
            raise Unreadable(WRONG_TYPE, f"a record is an object, not a {type(record).__name__}")
        said = {
            _LABELS.get(label, label) if isinstance(label, int) else label: value for label, value in record.items()
        }
        _understand(said)
        base |= {name: value for name, value in said.items() if name in {"bn", "bt", "bu", "bv", "bs"}}
        try:
            samples += _samples(said, base, received_at)
        except Unreadable as problem:
            refusals.append(Refusal(problem.reason, problem.detail))
    return Telegram(tuple(samples), tuple(refusals))


def _understand(said: Mapping[Any, Any]) -> None:
    version = said.get("bver", 10)
    if not isinstance(version, int) or version < 0 or version & ~_KNOWN_FEATURES:
        raise Unreadable(WRONG_TYPE, f"bver is {str(version)[:20]}: a version that is not known here")
    for label in said:
        # So the standard: whose name ends like this must be understood or the pack be refused.
        if isinstance(label, str) and label.endswith("_"):
            raise Unreadable(WRONG_TYPE, f"the field {label[:40]!r} has to be understood and is not known here")


def _samples(said: Mapping[Any, Any], base: Mapping[str, Any], received_at: float) -> list[Sample]:
    base_name, name = _text(base, "bn"), _text(said, "n")
    whole = base_name + name
    if not _NAME.fullmatch(whole):
        raise Unreadable(WRONG_TYPE, f"{whole[:64]!r} is no SenML name")
    kinds = [kind for kind in ("v", "vs", "vb", "vd") if kind in said]
    if len(kinds) > 1:
        raise Unreadable(WRONG_TYPE, f"{whole[:64]!r} has more than one value")
    if base_name and name:
        device, field = base_name.rstrip(":/._-"), name
    else:
        parted = re.fullmatch(r"(?:(.*)[:/.])?(.*)", whole.rstrip(":/."))
        device, field = (parted[1] or "", parted[2]) if parted else ("", whole)
    at_us = _time(_number(base, "bt", 0.0) + _number(said, "t", 0.0), "bt" in base or "t" in said, received_at)
    unit = _text(said, "u") or _text(base, "bu") or None
    found: list[Sample] = []
    if kinds == ["vb"]:
        if not isinstance(said["vb"], bool):
            raise Unreadable(WRONG_TYPE, f"vb of {whole[:64]!r} is neither true nor false")
        found.append(Sample(device, field, float(said["vb"]), at_us))
    elif kinds == ["vs"]:
        found.append(Sample(device, field, _text(said, "vs"), at_us))
    elif kinds == ["v"] or ("bv" in base and not kinds and "s" not in said):
        value = _number(base, "bv", 0.0) + _number(said, "v", 0.0)
        found.append(Sample(device, field, value, at_us, unit))
    if "s" in said:
        found.append(Sample(device, f"{field}/sum", _number(base, "bs", 0.0) + _number(said, "s", 0.0), at_us))
    if not found and not kinds and not said.keys() <= {"bn", "bt", "bu", "bv", "bs", "bver"}:
        raise Unreadable(WRONG_TYPE, f"{whole[:64]!r} has no value")
    return found


def _time(at_s: float, told: bool, received_at: float) -> int | None:
    if not told or at_s == 0:
        return None
    return instant_us((at_s if at_s >= _RELATIVE_BELOW_S else received_at + at_s) * 1000)


def _text(said: Mapping[Any, Any], name: str) -> str:
    found = said.get(name, "")
    if not isinstance(found, str):
        raise Unreadable(WRONG_TYPE, f"{name} is a {type(found).__name__}, a text is wanted")
    return found


def _number(said: Mapping[Any, Any], name: str, default: float) -> float:
    found = said.get(name, default)
    if isinstance(found, bool) or not isinstance(found, int | float | Decimal):
        raise Unreadable(WRONG_TYPE, f"{name} is a {type(found).__name__}, a number is wanted")
    try:
        value = float(found)
    except (OverflowError, ValueError):
        value = float("inf")
    if not abs(value) < float("inf"):
        raise Unreadable(NOT_A_NUMBER, f"{name} is no finite number")
    return value


def _refuse_tag(_decoder: object, *_: object) -> Any:
    raise ValueError("a tag that SenML does not use")


# Tags make sets, patterns, addresses, references and huge numbers: everything a bomb is made of. SenML has decimals only.
_TAGS: Final = dict.fromkeys(
    (0, 1, 2, 3, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799), _refuse_tag
)


def _parse_cbor(payload: bytes) -> Any:
    stream = io.BytesIO(payload)
    decoder = cbor2.CBORDecoder(stream, max_depth=_DEEPEST, semantic_decoders=_TAGS, tag_hook=_refuse_tag)
    try:
        found = decoder.decode()
    except (cbor2.CBORDecodeError, ValueError, TypeError) as problem:
        raise Unreadable(MALFORMED, f"the payload is neither JSON nor CBOR: {str(problem)[:100]}") from None
    if stream.tell() != len(payload):
        raise Unreadable(MALFORMED, "bytes follow the pack")
    return found
