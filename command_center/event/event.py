"""One entry of the event log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gis.region import ancestors


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
