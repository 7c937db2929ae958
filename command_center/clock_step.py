"""Steps of the wall clock, found by holding it against a clock that never steps."""

from __future__ import annotations

from dataclasses import dataclass

NOTICED_S = 1.0
"""A smaller difference is the two clocks' ordinary drift between two looks."""


@dataclass
class StepWatch:
    """``offset_s`` is wall minus steady time when they were last compared."""

    offset_s: float

    def look(self, wall_s: float, steady_s: float) -> float:
        """By how many seconds the wall clock stepped since the last look; 0.0 when it did not. Drift is followed."""
        before, self.offset_s = self.offset_s, wall_s - steady_s
        step_s = self.offset_s - before
        return step_s if abs(step_s) > NOTICED_S else 0.0
