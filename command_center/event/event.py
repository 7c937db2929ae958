"""One entry of the event log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from gis.region import ancestors, covers

HEARD_BELOW: Final = frozenset({"mode"})
"""Kinds of objects that hold for all that lies below their paths: whoever lives there hears of them too."""


@dataclass(frozen=True, slots=True)
class Event:
    """An object changed. ``before`` and ``after`` are the region paths whose accounts (and those above) could and can see it.

    ``data`` is the object as HTTP shows it; it never reaches an audience that is only in ``before``.
    """

    kind: str
    id: str
    version: int
    region: str
    data: dict[str, Any]
    after: tuple[str, ...]
    before: tuple[str, ...] = ()


def rooms(scopes: Iterable[str]) -> set[str]:
    """Every scope whose accounts see an object with these paths: the paths and all above them."""
    return {above for scope in scopes for above in ancestors(scope)}


def rooms_below(kind: str, scopes: Iterable[str], present: Iterable[str]) -> set[str]:
    """Those of the scopes ``present`` whose accounts hear of it because it holds for all below its paths."""
    if kind not in HEARD_BELOW:
        return set()
    paths = tuple(scopes)
    return {scope for scope in present if any(covers(path, scope) for path in paths)}
