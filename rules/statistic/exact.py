"""Values as whole millionths of their unit: sums of them are exact, so neither drift nor order can change a result."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

MILLION: Final = 1_000_000
FURTHEST: Final = 9e12
"""Larger values count as this: far beyond any level that a rule may have (1e9), and its millionths fit 64 bits."""


def millionths(value: float) -> int:
    """The value in millionths of its unit. Raises ValueError when it is not a number."""
    if -FURTHEST < value < FURTHEST:
        return round(value * MILLION)
    if value != value:
        raise ValueError("the value is not a number")
    return round(FURTHEST) * (MILLION if value > 0 else -MILLION)


def flat(readings: Iterable[tuple[int, int]]) -> list[int]:
    """Time and value of each reading, one after the other."""
    return [number for reading in readings for number in reading]


def unflat(frozen: Any) -> list[tuple[int, int]]:
    """The readings that ``flat`` wrote. Raises ValueError."""
    if not isinstance(frozen, list) or len(frozen) % 2 or not all(type(number) is int for number in frozen):
        raise ValueError("readings are not a list of times and millionths")
    if any(later < earlier for earlier, later in pairwise(frozen[::2])):
        raise ValueError("readings are not in order of time")
    return list(zip(frozen[::2], frozen[1::2], strict=True))
