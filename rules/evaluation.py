"""What an evaluation found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from rules.alert import AlertChange


@dataclass(frozen=True)
class Evaluation:
    """Phase changes in the order in which they came about, and what was counted (readings left out, by reason)."""

    changes: list[AlertChange] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
