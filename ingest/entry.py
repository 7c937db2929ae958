"""An entry of the catalogue as people state it, and what a change changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

ADDED: Final = "added"
CHANGED: Final = "changed"
ADOPTED: Final = "adopted"
REHOMED: Final = "rehomed"

_SAME_PLACE_DEG: Final = 1e-8
"""A millimetre: a position that went through a spreadsheet comes back rounded, and has not moved."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue says of a sensor. Positions in degrees, CGCS2000; without one it moves, and ``cell`` is its home.

    ``in_service`` holds since ``service_since``. ``revision`` counts the changes; it is 0 before the entry is stored.
    """

    id: str
    name: str
    domain: str
    quantities: tuple[str, ...]
    lng: float | None
    lat: float | None
    county: str
    region: str
    cell: str
    scope: str
    owner: str
    profile: str
    interval_s: float
    sharing: str
    in_service: bool = True
    service_since: datetime | None = None
    revision: int = 0

    @property
    def position(self) -> tuple[float, float] | None:
        """(lng, lat), None for what moves."""
        return None if self.lng is None or self.lat is None else (self.lng, self.lat)


@dataclass(frozen=True, slots=True)
class Change:
    """An entry before (None: there was none) and after."""

    before: Entry | None
    after: Entry
    what: str

    def difference(self) -> dict[str, tuple[Any, Any]]:
        """What differs, as plain values, by field; for a new entry everything that it says."""
        before, after = _plain(self.before), _plain(self.after)
        fields = [name for name in after if name not in before or not _same(name, before[name], after[name])]
        return {name: (before.get(name), after[name]) for name in fields}


def _plain(entry: Entry | None) -> dict[str, Any]:
    if entry is None:
        return {}
    since = None if entry.service_since is None else entry.service_since.astimezone(UTC).isoformat()
    return {
        "name": entry.name,
        "domain": entry.domain,
        "quantities": list(entry.quantities),
        "position": None if entry.position is None else list(entry.position),
        "county": entry.county,
        "cell": entry.cell,
        "owner": entry.owner,
        "profile": entry.profile,
        "interval_s": entry.interval_s,
        "sharing": entry.sharing,
        "in_service": entry.in_service,
        "service_since": since,
    }


def _same(name: str, before: Any, after: Any) -> bool:
    if name == "position" and before is not None and after is not None:
        return all(abs(was - is_) <= _SAME_PLACE_DEG for was, is_ in zip(before, after, strict=True))
    return bool(before == after)
