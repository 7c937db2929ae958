"""Models of devices, from a data pack: what each can honestly report, and the numbers by which it says that it cannot.

A probe that is broken or wet does not fall silent: it sends -999, or 327.67, which is the largest sixteen-bit number in
hundredths. Taken for a value, such a number is a flood or a frost.
"""

from __future__ import annotations

import struct
from collections.abc import Container
from typing import Annotated, Any, Final

import msgspec
import yaml

from ingest.sensor import Plausible, Profile

YAML_FAULTS: Final = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)
"""What PyYAML raises on bad text."""

_Finite = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]


class BadProfiles(ValueError):
    """The models of devices cannot be used; the message says why."""


class _Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    low: _Finite
    high: _Finite
    sentinels: Annotated[tuple[_Finite, ...], msgspec.Meta(max_length=16)] = ()


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    zh: str = msgspec.field(name="zh-CN")
    en: str


class _Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
    title: _Words
    quantities: dict[str, _Range]
    interval_s: Annotated[float, msgspec.Meta(ge=1, le=604_800)] | None = None


class _Pack(msgspec.Struct, frozen=True):
    profiles: tuple[_Model, ...]


def read(text: str, quantities: Container[str]) -> tuple[Profile, ...]:
    """The models of a pack from its YAML text; ``quantities`` are the names that the city knows. Raises BadProfiles."""
    try:
        found: Any = yaml.safe_load(text)
    except YAML_FAULTS as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise BadProfiles(f"{where}not YAML: {getattr(problem, 'problem', None) or problem}") from None
    try:
        models = msgspec.convert(found, _Pack).profiles
    except (msgspec.ValidationError, RecursionError) as problem:
        raise BadProfiles(str(problem)) from None
    seen: set[str] = set()
    for model in models:
        if model.id in seen:
            raise BadProfiles(f"profile {model.id} is there twice")
        seen.add(model.id)
        for name, own in model.quantities.items():
            if name not in quantities:
                raise BadProfiles(f"profile {model.id}: there is no quantity {name[:64]!r}")
            if own.low > own.high:
                raise BadProfiles(f"profile {model.id}: {name} is from {own.low:g} to {own.high:g}: exchange them")
    return tuple(_profile(model) for model in models)


def _profile(model: _Model) -> Profile:
    plausible = {
        name: Plausible(own.low, own.high, frozenset(n for stated in own.sentinels for n in (stated, _single(stated))))
        for name, own in model.quantities.items()
    }
    return Profile(model.id, model.title.zh, model.title.en, model.interval_s, plausible)


def _single(number: float) -> float:
    """The number as a device of single precision sends it; itself where that has no room for it."""
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except OverflowError:
        return number
