"""The rules benchmark measures what it says, over a city small enough for a test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from command_center import bench
from command_center.bench.rules import (
    OtherResults,
    Town,
    backtest,
    day,
    live,
    live_town,
    located,
    many_rules,
    memory,
    mixed_rules,
    small_batches,
    turns_of,
    write_table,
)
from rules.rule import ThresholdRule


@pytest.fixture(scope="module")
def town() -> Town:
    return live_town(sensors=3000, rules_each=10)


def test_it_is_a_benchmark_and_the_loop_is_none() -> None:
    assert "rules" in bench.names()
    assert "loop" not in bench.names()


@pytest.mark.parametrize("size", [1, 10, 200, 1000])
def test_the_loop_and_the_engine_say_the_same_of_every_slot(town: Town, size: int) -> None:
    rounds = list(day(np.random.default_rng(3), town, rounds=14))
    assert len({len(readings) for readings in rounds}) > 1, "some sensors fall silent and come back: gaps are in it"
    _, _, changes = turns_of(town, [located(town, readings, size) for readings in rounds])
    assert changes > 50


def test_other_results_are_not_measured(town: Town) -> None:
    rules = tuple(
        structs.replace(rule, for_s=rule.for_s + 60) if rule.for_s else rule
        for rule in town.rules
        if isinstance(rule, ThresholdRule)
    )
    parts = [located(town, readings, 500) for readings in day(np.random.default_rng(3), town, rounds=14)]
    with pytest.raises(OtherResults):
        turns_of(replace(town, rules=rules), parts)


def test_every_promise_has_its_figure(town: Town) -> None:
    rng = np.random.default_rng(4)
    figures = [
        *live(rng, town, rounds=4),
        *small_batches(rng, town),
        *memory(rng, town),
        *backtest(rng, readings=8000, sensors=400),
        *many_rules(rng, rules=200, rate_per_s=100, seconds=2),
    ]
    assert all(figure.value > 0 for figure in figures)
    promised = [figure.what for figure in figures if figure.goal is not None]
    assert [what.split(",")[0] for what in promised] == ["live", "live", "live", "live", "back-test", "200 rules"]


def test_the_back_test_s_rules_are_a_hundred_of_six_kinds() -> None:
    rules = list(mixed_rules(sensors=400))
    assert len(rules) == len({rule.id for rule in rules}) == 100
    kinds = {type(rule).__name__ for rule in rules}
    assert kinds == {
        "ThresholdRule", "WindowRule", "RateRule", "ExceedanceRule", "DeviationRule", "DifferenceRule",
    }  # fmt: skip


def test_the_table_has_as_many_readings_as_asked_for(tmp_path: Path) -> None:
    write_table(np.random.default_rng(5), tmp_path / "readings.csv", readings=2000, sensors=500)
    assert (tmp_path / "readings.csv").read_text("utf-8").count("\n") == 2001
