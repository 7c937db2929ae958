"""What a rule may ask beside readings: the hour, the work calendar, and whether a place is at peace or in wartime operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, tzinfo
from typing import Final, get_args

from rules.rule import Domain


def _weekday(day: date) -> bool:
    return day.isoweekday() <= 5


def at_war(wartime: Mapping[str, frozenset[str]], scope: str, domain: str) -> bool:
    """Whether a place is in wartime operation for a domain: itself or a region above it is (``wartime``: domains by scope)."""
    return any(scope.startswith(path) and domain in domains for path, domains in wartime.items())


EVERYWHERE: Final[Mapping[str, frozenset[str]]] = {"": frozenset(get_args(Domain))}
"""Wartime operation of every place and domain."""


@dataclass(frozen=True)
class Situation:
    """``zone`` is the city's. ``is_workday`` knows statutory holidays and make-up days. ``wartime``: domains by region path
    (scope) that are in wartime operation (平战结合); everything else is at peace.
    """

    zone: tzinfo
    is_workday: Callable[[date], bool] = _weekday
    wartime: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def is_wartime(self, scope: str, domain: str) -> bool:
        """Whether a place is in wartime operation for a domain."""
        return at_war(self.wartime, scope, domain)
