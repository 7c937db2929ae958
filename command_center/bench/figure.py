"""One measured figure, what it is held against, and how a list of them is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """``baseline`` is the naive way's value in the same unit and ``ratio`` how many times better than that we are.

    ``goal`` is what ``ratio`` (or ``value``, where there is no baseline) must reach, and ``met`` whether it does; None where
    nothing was promised.
    """

    what: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    goal: float | None = None
    met: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """The figure without what it does not have."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def faster(what: str, value: float, unit: str, baseline: float, goal: float) -> Figure:
    """A rate that must be ``goal`` times the baseline's."""
    ratio = value / baseline
    return Figure(what, value, unit, baseline, ratio, goal, ratio >= goal)


def at_most(what: str, value: float, unit: str, goal: float) -> Figure:
    """A value that must not exceed the goal."""
    return Figure(what, value, unit, goal=goal, met=value <= goal)


def table(figures: Sequence[Figure]) -> str:
    """Figures as lines of text, columns aligned."""
    rows = [("what", "value", "unit", "baseline", "ratio", "goal", "met")]
    rows += [
        (f.what, _number(f.value), f.unit, _number(f.baseline), _number(f.ratio), _number(f.goal), _answer(f.met))
        for f in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = (0, 2)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _answer(met: bool | None) -> str:
    return "" if met is None else "yes" if met else "NO"
