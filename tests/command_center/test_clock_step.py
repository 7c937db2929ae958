"""Steps of the wall clock are told from drift."""

from __future__ import annotations

import pytest

from command_center.clock_step import StepWatch


@pytest.mark.parametrize(("step_s", "seen_s"), [(3600.0, 3600.0), (-3600.0, -3600.0), (0.4, 0.0), (0.0, 0.0)])
def test_a_step_is_seen_once(step_s: float, seen_s: float) -> None:
    watch = StepWatch(1_000.0)
    assert watch.look(1_010.0 + step_s, 10.0) == pytest.approx(seen_s)
    assert watch.look(1_011.0 + step_s, 11.0) == 0.0


def test_slow_drift_never_adds_up_to_a_step() -> None:
    watch = StepWatch(0.0)
    assert all(watch.look(second * 1.01, float(second)) == 0.0 for second in range(10_000))
