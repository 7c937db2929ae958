"""How well alerts meet what people say truly happened: windows with a label, and the figures that follow.

Definitions. A window is *detected* when an alert that it speaks of overlaps it, and *missed* when none does. An alert is a
*true* one when it overlaps a window that speaks of it, and a *false* one when it overlaps none. Alerts of rules and categories
that no window speaks of are not judged at all; a sensor without a window is held to be quiet throughout.
Precision = true alerts / judged alerts, recall = detected windows / windows. The delay of a detection is the time from the
window's beginning to its first alert, 0 for one that stood before.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from rules.alert import Alert


@dataclass(frozen=True, slots=True)
class Window:
    """Something true from ``from_us`` to ``to_us`` (both included, epoch microseconds, UTC).

    ``sensor`` is where; None: wherever. ``about`` names the rule or the category of the alerts that it speaks of; None: of all.
    """

    sensor: str | None
    from_us: int
    to_us: int
    about: str | None = None

    def speaks_of(self, alert: Alert) -> bool:
        return self.about is None or self.about in (alert.rule, alert.category)


@dataclass(frozen=True, slots=True)
class Score:
    """What became of alerts and windows. A share of nothing is None. ``outside``: windows that no reading lies in or around."""

    true_alerts: int
    false_alerts: int
    detected: int
    missed: tuple[Window, ...]
    outside: int
    delays_s: tuple[float, ...]

    @property
    def precision(self) -> float | None:
        return _share(self.true_alerts, self.true_alerts + self.false_alerts)

    @property
    def recall(self) -> float | None:
        return _share(self.detected, self.detected + len(self.missed))

    @property
    def f1(self) -> float | None:
        precision, recall = self.precision, self.recall
        if precision is None or recall is None:
            return None
        return _share(2 * precision * recall, precision + recall) or 0.0

    @property
    def median_delay_s(self) -> float | None:
        return statistics.median(self.delays_s) if self.delays_s else None


def judge(alerts: Sequence[Alert], windows: Iterable[Window], from_us: int, to_us: int) -> Score:
    """Alerts against windows; readings reached from ``from_us`` to ``to_us``, and an open alert lasts to their end."""
    inside: list[Window] = []
    outside = 0
    for window in windows:
        if window.to_us < from_us or window.from_us > to_us:
            outside += 1
        else:
            inside.append(window)
    about = {window.about for window in inside}
    judged = [alert for alert in alerts if not about.isdisjoint((None, alert.rule, alert.category))]
    by_sensor: dict[str | None, list[Alert]] = defaultdict(list)
    for alert in judged:
        by_sensor[alert.source.id].append(alert)
        by_sensor[None].append(alert)
    true: set[UUID] = set()
    missed: list[Window] = []
    delays_s: list[float] = []
    for window in inside:
        met = [a for a in by_sensor[window.sensor] if window.speaks_of(a) and _overlaps(a, window, to_us)]
        true.update(alert.id for alert in met)
        if met:
            first_us = min(alert.raised_at_us for alert in met)
            delays_s.append(max(first_us - window.from_us, 0) / 1e6)
        else:
            missed.append(window)
    return Score(len(true), len(judged) - len(true), len(delays_s), tuple(missed), outside, tuple(delays_s))


def _overlaps(alert: Alert, window: Window, to_us: int) -> bool:
    ended_us = to_us if alert.ended_at_us is None else alert.ended_at_us
    return alert.raised_at_us <= window.to_us and ended_us >= window.from_us


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
