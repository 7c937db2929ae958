"""Risk adds up, never falls when anything grows, and stays between 0 and 100."""

from __future__ import annotations

from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.risk import (
    DOMAINS,
    FULL,
    OVERALL,
    Numbers,
    Regions,
    closeness,
    faded,
    log_of,
    points,
    ranked,
    saturated,
    scores,
    summed,
    to_note,
)
from rules.risk_line import MOST_HAZARDS, Amplifier, Hazard, lines, region_lines
from rules.risk_table import BadRiskTable, Further, read
from rules.rule import Evidence

PACK = files("config").joinpath("suqian/risk.yaml").read_text("utf-8")
FURTHER = Further(50, 0.2, 10, Evidence("t", "unverified"))

hazards = st.floats(0.0, 0.99)
excesses = st.floats(0.0, 3.0)
some_hazards = st.lists(hazards, max_size=8)


def one_score(hazard: list[float], excess: float = 0.0) -> int:
    """The score of one cell and domain in tenths."""
    logs = np.zeros((1, len(DOMAINS)))
    logs[0, 0] = float(log_of(np.array(hazard)).sum())
    return int(scores(logs, np.full_like(logs, excess))[0, 0])


@given(some_hazards, excesses)
def test_a_score_lies_between_0_and_100_and_without_hazard_it_is_0(own: list[float], excess: float) -> None:
    assert 0 <= one_score(own, excess) <= FULL
    assert one_score([0.0] * len(own), excess) == 0


@given(some_hazards, excesses, hazards, st.floats(0.0, 1.0))
def test_a_score_never_falls_when_anything_grows(own: list[float], excess: float, new: float, more: float) -> None:
    score = one_score(own, excess)
    assert one_score([*own, new], excess) >= score
    assert one_score(own, excess + more) >= score
    for n, hazard in enumerate(own):
        grown = [*own[:n], max(hazard, new), *own[n + 1 :]]
        assert one_score(grown, excess) >= score


def test_a_score_without_amplifiers_is_the_chance_that_any_of_the_hazards_holds() -> None:
    assert one_score([0.5, 0.5]) == 750
    assert one_score([0.9]) == 900
    assert one_score([0.5], 1.0) == 750, "counted twice"


@given(st.lists(st.lists(hazards, min_size=4, max_size=4), min_size=1, max_size=5), excesses)
def test_overall_is_never_less_than_any_domain(rows: list[list[float]], excess: float) -> None:
    found = scores(log_of(np.array(rows)), np.full((len(rows), 4), excess))
    assert (found[:, OVERALL] >= found[:, :OVERALL].max(axis=1)).all()


@given(st.lists(hazards, min_size=1, max_size=40), st.lists(excesses, max_size=8))
def test_the_lines_of_a_score_add_up_to_it(own: list[float], extra: list[float]) -> None:
    logs = [float(log) for log in log_of(np.array(own))]
    plain = sum(logs)
    added = [plain * part for part in extra]
    score = one_score(own, sum(extra))
    parts = points(score, logs, added)
    assert sum(parts) == score
    assert all(part >= 0 for part in parts)
    told = lines(
        score,
        [Hazard("alert", str(n), "告警", "alarm", log) for n, log in enumerate(logs)],
        [Amplifier("exposure", "devices", 3, log) for log in added],
    )
    assert round(sum(line["points"] for line in told), 1) == score / 10
    assert sum(line["of"] == "hazard" for line in told) <= MOST_HAZARDS + 1


@given(st.lists(hazards, min_size=1, max_size=8))
def test_hazards_alone_make_up_the_chance_to_a_tenth_each(own: list[float]) -> None:
    logs = log_of(np.array(own))
    chance = 1.0 - np.prod(1.0 - np.array(own))
    parts = points(one_score(own), logs.tolist(), [])
    for part, log in zip(parts, logs, strict=True):
        exact = FULL * chance * log / logs.sum() if logs.sum() else 0.0
        assert abs(part - exact) < 1


def test_a_hazard_fades_by_half_and_is_forgotten_when_small() -> None:
    left = faded(np.array([0.8, 0.8, 0.8, 0.8]), np.array([-5.0, 0.0, 1800.0, 1e6]), np.full(4, 1800.0), 0.01)
    assert left.tolist() == [0.8, 0.8, 0.4, 0.0]


@given(hazards, st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_hazard_never_grows_by_waiting(hazard: float, age_s: float, later_s: float) -> None:
    ages = np.array([age_s, age_s + later_s])
    first, second = faded(np.full(2, hazard), ages, np.full(2, 1800.0), 0.01)
    assert second <= first <= hazard


def test_closeness_runs_from_where_a_rule_clears_to_its_first_level_either_way() -> None:
    assert closeness(0.10, 0.12, 0.15) == 0
    assert closeness(0.135, 0.12, 0.15) == pytest.approx(0.5)
    assert closeness(0.9, 0.12, 0.15) == 1
    assert closeness(22.5, 25, 20) == pytest.approx(0.5)
    assert closeness(3, 2, 2) == 0


def test_amounts_are_added_up_where_they_belong() -> None:
    found = summed(3, np.array([0, 2, 2]), np.array([1, 3, 3]), np.array([0.1, 0.2, 0.3]))
    assert found[0, 1] == pytest.approx(0.1)
    assert found[2, 3] == pytest.approx(0.5)
    assert found.sum() == pytest.approx(0.6)


def test_a_count_counts_half_at_its_half() -> None:
    assert saturated(np.array([0.0, 4.0, 12.0]), 4.0).tolist() == [0.0, 0.5, 0.75]


@st.composite
def nested(draw: st.DrawFn) -> tuple[Numbers, Regions]:
    """Cells' scores, and runs of them in two tiers of which the lower lie in the upper; some are empty."""
    count = draw(st.integers(1, 25))
    cells = draw(st.lists(st.lists(st.integers(0, FULL), min_size=5, max_size=5), min_size=count, max_size=count))
    cuts = sorted(draw(st.lists(st.integers(0, count), max_size=5)))
    edges = [0, *cuts, count]
    lower = list(pairwise(edges))
    upper = [(0, count), (edges[0], edges[len(edges) // 2])]
    bounds = np.array(upper + lower)
    return np.array(cells, "i2"), Regions(bounds[:, 0], bounds[:, 1])


@given(nested())
def test_a_region_is_its_highest_cell_and_what_the_further_high_ones_add(city: tuple[Numbers, Regions]) -> None:
    cells, regions = city
    found = ranked(cells, regions, FURTHER)
    for n, (first, end) in enumerate(zip(regions.first.tolist(), regions.end.tolist(), strict=True)):
        for domain in range(cells.shape[1]):
            run = cells[first:end, domain].tolist()
            top = max(run, default=0)
            further = max(sum(score >= 500 for score in run) - 1, 0)
            added = min(round(100 * (1 - 0.8**further)), FULL - top)
            assert found.score[n, domain] == top + added <= FULL
            assert (found.further[n, domain], found.added[n, domain]) == (further, added)
            assert found.highest[n, domain] == (first + run.index(top) if top else -1)


@given(nested(), st.data())
def test_a_region_never_falls_when_a_cell_grows(city: tuple[Numbers, Regions], data: st.DataObject) -> None:
    cells, regions = city
    grown = cells.copy()
    place = data.draw(st.integers(0, len(cells) - 1))
    grown[place, 0] = data.draw(st.integers(int(cells[place, 0]), FULL))
    assert (ranked(grown, regions, FURTHER).score >= ranked(cells, regions, FURTHER).score).all()


def test_the_lines_of_a_region_say_the_highest_cell_and_how_many_more() -> None:
    highest, more = region_lines(780, "321302001001001", "第1网格", 3, 49, 50)
    assert (highest["points"], highest["source"], highest["en"]) == (78, "321302001001001", "highest cell: 第1网格")
    assert (more["points"], more["value"], more["en"]) == (4.9, 3, "3 more at 50 or above")
    assert len(region_lines(780, "c", "n", 0, 0, 50)) == 1


def test_the_history_has_an_entry_when_a_score_moved_far_fell_to_nothing_or_an_hour_passed() -> None:
    score = np.array([549, 550, 0, 30, 30, 0])
    noted = np.array([500, 500, 20, 30, 30, 0])
    age_s = np.array([10.0, 10, 10, 3599, 3600, 9999])
    assert to_note(score, noted, age_s).tolist() == [False, True, True, False, True, False]


def test_the_shipped_table_can_be_read() -> None:
    table = read(PACK)
    assert sum(table.exposure_weights.values()) == pytest.approx(0.6)
    assert sum(table.vulnerability_weights.values()) == pytest.approx(0.4)
    left = table.hazard.severity["4"] * 0.5 ** (table.hazard.remembered_s / table.hazard.half_life_s)
    assert left == pytest.approx(table.hazard.forgotten_below)


@pytest.mark.parametrize(
    ("was", "becomes", "reason"),
    [
        ("most: 0.12", "most: 0.5", "0.12"),
        ('"4": 0.9', '"4": 1.0', "0.99"),
        ('"4": 0.9', '"4": 0.6', "graver"),
        (', "4": 0.9', "", "each severity"),
        ("density: {weight: 0.25", "density: {weight: 0.3", "add up to 1"),
        ("keep_days: 90", "keep_days: 0", "keep_days"),
        ("pack: suqian-risk", "pack: [", "line"),
        ("keep_days", "kept", "kept"),
    ],
)
def test_a_bad_table_is_refused_with_its_reason(was: str, becomes: str, reason: str) -> None:
    assert was in PACK
    with pytest.raises(BadRiskTable, match=reason):
        read(PACK.replace(was, becomes))
