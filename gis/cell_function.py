"""What organisations and workers do in a cell, by domain and with dates: one physical grid, functions attached (一专多能)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date

from gis.lineage import nearest_kin


@dataclass(frozen=True, slots=True)
class CellFunction:
    """An organisation's, and maybe a worker's, duty in a cell, from ``valid_from`` to the day before ``valid_to``."""

    cell: str
    domain: str
    organisation: str
    worker: str | None
    valid_from: date
    valid_to: date | None

    def holds_after(self, day: date) -> bool:
        """Whether it is valid on that day or will be later."""
        return self.valid_to is None or self.valid_to > day


def inherited(
    functions: Iterable[CellFunction],
    ended: AbstractSet[str],
    fresh: AbstractSet[str],
    shared: Sequence[tuple[str, str, float]],
    day: date,
) -> list[CellFunction]:
    """The functions that new cells take over on ``day`` when the ``ended`` ones go; ``shared`` (old code, new code, m2).

    A fresh cell has those of the cell that most of its ground comes from, so that nobody's ground is without a worker. What
    an ended cell leaves goes to the cell that has most of its ground, where nobody has that domain yet.
    """
    living = dict[str, list[CellFunction]]()
    for function in functions:
        if function.holds_after(day):
            living.setdefault(function.cell, []).append(function)
    mothers = nearest_kin((new, old, area_m2) for old, new, area_m2 in shared if new in fresh)
    successors = nearest_kin((old, new, area_m2) for old, new, area_m2 in shared if old in ended)
    given = [_given(f, code, day) for code, (old, _) in sorted(mothers.items()) for f in living.get(old, ())]
    taken = {(f.cell, f.domain) for cell, own in living.items() if cell not in ended for f in own}
    taken |= {(f.cell, f.domain) for f in given}
    for old, (code, _) in sorted(successors.items(), key=lambda item: (-item[1][1], item[0])):
        left = [_given(f, code, day) for f in living.get(old, ()) if (code, f.domain) not in taken]
        given += left
        taken |= {(f.cell, f.domain) for f in left}
    return given


def _given(function: CellFunction, cell: str, day: date) -> CellFunction:
    return replace(function, cell=cell, valid_from=max(function.valid_from, day))
