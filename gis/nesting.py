"""Whose part a region is: by what is stated, else by what its code says, else by the largest share of its area.

Whatever decides, the shares are measured, and every region that lies with less than 95 % in its parent is an exception to
be looked at. Parentage is dated: of all statements about a day, the one that began last holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from gis.projection import EqualArea
from gis.region_code import parent_code

Geometries = npt.NDArray[np.object_]
Floats = npt.NDArray[np.float64]

ENOUGH: Final = 0.95
_SHOWN: Final = 5


class NoParent(ValueError):
    """Regions lie in no region of the tier above, and neither code nor statement names one."""


class By(StrEnum):
    """What decided on a parent."""

    FILE = "file"
    PARENTAGE = "parentage"
    CODE = "code"
    SHARE = "share"


@dataclass(frozen=True)
class Outlines:
    """Regions of one tier: ``shapes`` (lng/lat) stand in the order of ``codes``."""

    tier: str
    codes: tuple[str, ...]
    shapes: Geometries


@dataclass(frozen=True, slots=True)
class Nested:
    """A region's parent, its share of the region's area, and the other region that holds most of the rest."""

    code: str
    parent: str
    by: By
    share: float
    runner_up: str | None
    runner_up_share: float

    @property
    def is_exception(self) -> bool:
        """Whether too little of the region lies in its parent, or more of it in another."""
        return self.share < ENOUGH or self.disagrees

    @property
    def disagrees(self) -> bool:
        """Whether the shares alone would have chosen another parent."""
        return self.runner_up_share > self.share


def nest(
    regions: Outlines,
    above: Outlines,
    stated: Mapping[str, str] | None = None,
    known: Mapping[str, str] | None = None,
) -> tuple[Nested, ...]:
    """The parent of every region, in their order.

    ``stated`` are parents that the source names, ``known`` those by the parentage of the day; both are of ``above``.
    Raises NoParent.
    """
    shares = _shares(regions.shapes, above)
    there = frozenset(above.codes)
    found = []
    outside = []
    for place, code in enumerate(regions.codes):
        largest = sorted(shares[place].items(), key=lambda held: (-held[1], held[0]))
        decided = _decided(code, regions.tier, there, stated or {}, known or {}, [own for own, _ in largest])
        if decided is None:
            outside.append(code)
            continue
        parent, by = decided
        runner_up, rest = next((held for held in largest if held[0] != parent), (None, 0.0))
        found.append(Nested(code, parent, by, shares[place].get(parent, 0.0), runner_up, rest))
    if outside:
        raise NoParent(f"{_listed(outside)} in no {above.tier}, and no code or statement names one")
    return tuple(found)


def _decided(
    code: str,
    tier: str,
    above: frozenset[str],
    stated: Mapping[str, str],
    known: Mapping[str, str],
    largest: Sequence[str],
) -> tuple[str, By] | None:
    if code in stated:
        return stated[code], By.FILE
    if code in known:
        return known[code], By.PARENTAGE
    own = parent_code(code, tier)
    if own is not None and own in above:
        return own, By.CODE
    return (largest[0], By.SHARE) if largest else None


def _shares(shapes: Geometries, above: Outlines) -> list[dict[str, float]]:
    """For each region the share of its area in each region above that holds any, rounded so that rounding decides nothing."""
    west, south, east, north = shapely.total_bounds(np.concatenate([shapes, above.shapes])).tolist()
    projection = EqualArea((west + east) / 2, (south + north) / 2)
    low, high = projection.metres(shapes), projection.metres(above.shapes)
    region, holder = shapely.STRtree(high).query(low, predicate="intersects")
    held = shapely.area(shapely.intersection(low[region], high[holder])) / shapely.area(low[region])
    shares: list[dict[str, float]] = [{} for _ in shapes]
    for own, other, share in zip(region.tolist(), holder.tolist(), held.round(9).tolist(), strict=True):
        if share > 0:
            shares[own][above.codes[other]] = min(share, 1.0)
    return shares


def _listed(codes: Sequence[str]) -> str:
    shown = ", ".join(codes[:_SHOWN]) + (" and others" if len(codes) > _SHOWN else "")
    return f"{shown} {'lies' if len(codes) == 1 else 'lie'}"


@dataclass(frozen=True, slots=True)
class Parentage:
    """``parent`` has ``code`` from a day on, until the day before ``valid_to``; without it for good."""

    code: str
    valid_from: date
    parent: str
    valid_to: date | None = None

    def holds(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


def parents_on(day: date, parentage: Iterable[Parentage]) -> dict[str, str]:
    """Who is whose parent on a day: of what holds then, what began last."""
    return {p.code: p.parent for p in sorted(parentage, key=lambda p: (p.code, p.valid_from)) if p.holds(day)}


def restated(standing: Iterable[Parentage], given: Sequence[Parentage]) -> list[Parentage]:
    """The parentage of the regions in ``given`` once it is taken in: it has the last word on the days it speaks of.

    What began before them holds again after them; what began on one of them begins after them, if it lasts so long.
    """
    codes = {p.code for p in given}
    found = list(given)
    for old in sorted((p for p in standing if p.code in codes), key=lambda p: p.valid_from, reverse=True):
        rest = _after(old, found)
        if rest is not None:
            found.append(rest)
    return sorted(found, key=lambda p: (p.code, p.valid_from))


def _after(old: Parentage, stronger: Sequence[Parentage]) -> Parentage | None:
    """What is left of a statement once it begins on no day of a stronger one about the same region."""
    while hit := next((p for p in stronger if p.code == old.code and p.holds(old.valid_from)), None):
        if hit.valid_to is None or (old.valid_to is not None and old.valid_to <= hit.valid_to):
            return None
        old = replace(old, valid_from=hit.valid_to)
    return old
