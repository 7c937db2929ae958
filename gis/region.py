"""Regions: the five tiers a ticket travels through, and the scope path that decides who may see what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Final

TIERS: Final = ("city", "county", "township", "village", "grid")
SEPARATOR: Final = "/"


@dataclass(frozen=True, slots=True)
class Region:
    """A node of the region tree. A merged cell is the region of tier ``grid``.

    ``scope`` is the path of codes from the city down, each followed by a separator, by today's parentage (never cut out of
    the code: functional zones take towns from counties). ``inferred`` marks what no published table states.
    """

    code: str
    name: str
    tier: str
    parent: str | None
    scope: str
    kind: str = ""
    inferred: bool = False
    lng: float = 0.0
    lat: float = 0.0


def covers(scope: str, other: str) -> bool:
    """Whether ``other`` lies in the subtree of ``scope``."""
    return other.startswith(scope)


def ancestors(scope: str) -> list[str]:
    """The scope itself and every scope above it, city first: the rooms that may hear of it."""
    return list(accumulate(f"{code}{SEPARATOR}" for code in scope.split(SEPARATOR) if code))


def code_of(scope: str) -> str:
    """The code of the region that a scope names."""
    return scope.rstrip(SEPARATOR).rpartition(SEPARATOR)[2]


def tier_below(tier: str) -> str | None:
    """The next tier down, None under the grid."""
    index = TIERS.index(tier) + 1
    return TIERS[index] if index < len(TIERS) else None


@dataclass(frozen=True)
class RegionTree:
    """All regions by code. ``former`` are cells that ended: a ticket may be of one, but nothing is sent there any more."""

    regions: Mapping[str, Region]
    former: Mapping[str, Region] = field(default_factory=dict)

    @classmethod
    def of(cls, regions: Iterable[Region], former: Iterable[Region] = ()) -> RegionTree:
        return cls({r.code: r for r in regions}, {r.code: r for r in former})

    def __getitem__(self, code: str) -> Region:
        return self.regions[code] if code in self.regions else self.former[code]

    @cached_property
    def children(self) -> Mapping[str, tuple[Region, ...]]:
        """Child regions by parent code, in code order."""
        grouped: dict[str, list[Region]] = {}
        for region in sorted(self.regions.values(), key=lambda r: r.code):
            if region.parent is not None:
                grouped.setdefault(region.parent, []).append(region)
        return {code: tuple(found) for code, found in grouped.items()}

    @cached_property
    def root(self) -> Region:
        return next(r for r in self.regions.values() if r.tier == "city")

    def path(self, code: str) -> tuple[Region, ...]:
        """City first, the region itself last."""
        found = [self[code]]
        while (parent := found[-1].parent) is not None:
            found.append(self.regions[parent])
        return tuple(reversed(found))
