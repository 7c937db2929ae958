from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.rule import (
    AreaRule,
    CombinationRule,
    DifferenceRule,
    Evidence,
    ExceedanceRule,
    Level,
    RateRule,
    SensorRule,
    Site,
    ThresholdRule,
    WindowRule,
    Words,
)
from rules.statistic import Statistic
from rules.statistic.make import make
from tests.ingest.wire import sensor
from tests.rules.statistic.fed import ZONE, at, fed

WORDS = Words(zh="字", en="word")


def ladder(*levels: float) -> tuple[Level, ...]:
    return tuple(Level(severity, level, WORDS) for severity, level in enumerate(levels, 1))


def rule(kind: type[SensorRule], **more: Any) -> Any:
    fields: dict[str, Any] = {
        "id": "rule",
        "domain": "emergency",
        "category": "waterlogging",
        "title": WORDS,
        "source": Evidence("a test", "unverified"),
        "quantity": "water_depth",
    }
    if kind is not CombinationRule:
        fields |= {"levels": ladder(1.0), "clear": 0.5}
    return kind(**fields | more)


WINDOWS = [
    rule(WindowRule, over_s=600.0, statistic=statistic, percentile=75.0 if statistic == "percentile" else None)
    for statistic in ("mean", "max", "min", "sum", "percentile")
]
RULES = [
    *WINDOWS,
    rule(RateRule, over_s=600.0),
    rule(ExceedanceRule, limit=0.5),
    rule(ExceedanceRule, limit=0.5, mean_s=600.0),
    rule(DifferenceRule, pairs=(), apart_s=3600.0),
    rule(
        CombinationRule,
        condition={"any": [{"quantity": "water_depth", "above": 0.5}, {"not": {"quantity": "rain", "above": 0.5}}]},
        severity=2,
        action=WORDS,
    ),
]


def made(found: SensorRule) -> Statistic:
    statistic = make(found, sensor(), ZONE, 60.0, ("water_depth", "rain"))
    assert statistic is not None
    return statistic


@pytest.mark.parametrize("kind", [ThresholdRule, AreaRule])
def test_what_judges_the_reading_itself_needs_no_statistic(kind: Callable[..., SensorRule]) -> None:
    more = {"inside": "area"} if kind is AreaRule else {}
    assert make(rule(kind, **more), sensor(), ZONE, 60.0) is None  # type: ignore[arg-type]


def test_a_window_needs_its_share_of_the_readings_that_the_sensor_promises() -> None:
    # Half of the ten readings of ten minutes.
    mean = made(WINDOWS[0])
    assert fed(mean, [(60.0 * i, 2.0) for i in range(6)]) == [None, None, None, None, 2.0, 2.0]
    assert mean.why()["needed"] == 5


def test_a_sensor_that_states_no_interval_promises_a_reading_an_hour() -> None:
    mean = make(WINDOWS[0], sensor(interval_s=0.0), ZONE, 0.0)
    assert mean is not None
    assert fed(mean, [(0.0, 2.0)]) == [2.0]


def test_a_window_counts_early_by_the_levels_of_its_own_site() -> None:
    site = Site("gauge-1", ladder(3.0), 2.0, Evidence("a test", "unverified"))
    sums = rule(WindowRule, over_s=600.0, statistic="sum", sites=(site,))
    assert fed(made(sums), [(0.0, 2.0), (60.0, 1.0)]) == [None, 3.0]
    elsewhere = make(sums, sensor(2, "gauge-2"), ZONE, 60.0)
    assert elsewhere is not None
    assert fed(elsewhere, [(0.0, 2.0)]) == [2.0]


STEPS = st.lists(
    st.tuples(st.sampled_from([0, 1, 60, 400, 40_000]), st.integers(0, 20).map(lambda i: i / 10), st.integers(0, 1)),
    max_size=40,
)


@pytest.mark.parametrize("found", RULES, ids=lambda found: f"{type(found).__name__}-{RULES.index(found)}")
@given(steps=STEPS, cut=st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_frozen_and_thawed_in_the_middle_nothing_changes(
    found: SensorRule, steps: list[tuple[int, float, int]], cut: int
) -> None:
    several = isinstance(found, DifferenceRule | CombinationRule)
    through, stopped = made(found), made(found)
    seconds = 0
    for i, (step, value, place) in enumerate(steps):
        seconds += step
        if i == cut:
            frozen = msgspec.msgpack.decode(msgspec.msgpack.encode(stopped.frozen()))
            stopped = made(found)
            stopped.thaw(frozen)
        spot = place if several else 0
        assert stopped.take(at(seconds), value, spot) == through.take(at(seconds), value, spot)
        assert stopped.why() == through.why()
    msgspec.json.encode(stopped.why())
