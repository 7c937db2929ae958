"""JSON trees of values, as makers of devices nest them: read without limits of theirs, but within ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from ingest.formats.native import FAULTS, Unreadable, unreadable
from ingest.quarantine import OVERSIZED, WRONG_TYPE

_DEEPEST: Final = 6
_MOST: Final = 1000

_any = msgspec.json.Decoder()


def parse(payload: bytes) -> Any:
    """The tree of a payload. Raises Unreadable."""
    try:
        return _any.decode(payload)
    except FAULTS as problem:
        raise unreadable(payload, problem) from None


def parse_object(payload: bytes) -> dict[str, Any]:
    """The tree of a payload that is an object. Raises Unreadable."""
    found = parse(payload)
    if not isinstance(found, dict):
        raise Unreadable(WRONG_TYPE, f"the payload is a {type(found).__name__}, an object is wanted")
    return found


def part(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object under ``name``, an empty one when there is none. Raises Unreadable when something else stands there."""
    found = tree.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Unreadable(WRONG_TYPE, f"{name} is a {type(found).__name__}, an object is wanted")
    return found


def word(tree: Mapping[str, Any], name: str) -> str | None:
    """The text under ``name``, if there is one. Raises Unreadable when something else stands there."""
    found = tree.get(name)
    if found is None or isinstance(found, str):
        return found
    raise Unreadable(WRONG_TYPE, f"{name} is a {type(found).__name__}, a text is wanted")


def leaves(tree: Mapping[str, Any]) -> list[tuple[str, float | str]]:
    """Every number, truth (1 or 0) and text with its path, such as ``DHT11.Temperature``; lists and null say no value.

    Raises Unreadable when there are more than a device can have.
    """
    found: list[tuple[str, float | str]] = []
    for leaf in _leaves(tree, "", 1):
        found.append(leaf)
        if len(found) > _MOST:
            raise Unreadable(OVERSIZED, f"more than {_MOST} values in one message")
    return found


def _leaves(tree: Mapping[str, Any], above: str, depth: int) -> Iterator[tuple[str, float | str]]:
    for name, value in tree.items():
        if isinstance(value, bool | int | float):
            yield f"{above}{name}", number(value)
        elif isinstance(value, str):
            yield f"{above}{name}", value
        elif isinstance(value, dict) and depth < _DEEPEST:
            yield from _leaves(value, f"{above}{name}.", depth + 1)


def number(value: float) -> float:
    """``value`` as a float. Raises Unreadable: JSON knows integers that are none."""
    try:
        return float(value)
    except OverflowError:
        raise Unreadable(WRONG_TYPE, "a number has too many digits to be one") from None
