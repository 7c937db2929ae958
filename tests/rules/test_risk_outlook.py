"""The next six hours of a cell's risk follow its forecasts, fade where there is none, and add up."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.risk import DOMAINS
from rules.risk_limit import Limit
from rules.risk_outlook import HOURS, Expected, Part, Standing, outlook
from rules.risk_table import read
from rules.rule import Level, Words

WEIGHTS = read(files("config").joinpath("suqian/risk.yaml").read_text("utf-8")).hazard
LIMIT = Limit("river", "emergency", "river_level", "m", "河道水位", "River level", 17.0, 18.0)
ACTION = Words("看", "look")
LEVELS = (Level(2, 18.0, ACTION), Level(3, 19.0, ACTION), Level(4, 20.0, ACTION))
PARTS = (
    Part("exposure", "duties", 3, (0.3,) * len(DOMAINS)),
    Part("vulnerability", "overdue", 2, (0.2,) * len(DOMAINS)),
)
ALERT = Standing(("smoke", "s1"), "emergency", 0.4, 0.0, 3600.0, "alert", "a1", "烟", "smoke")
READING = Standing(("river", "r1"), "emergency", 0.1, 0.0, 3600.0, "reading", "r1", "近", "near")

levels = st.lists(st.floats(15.0, 22.0), min_size=HOURS, max_size=HOURS)


def river(*values: float) -> Expected:
    return Expected("r1", "河口", LIMIT, LEVELS, values)


def test_a_river_that_is_to_rise_past_a_level_raises_the_score_at_that_hour() -> None:
    found = outlook([], [river(16.0, 16.5, 17.5, 18.5, 19.5, 19.0)], PARTS, WEIGHTS)
    scores = [hour.score for hour in found.hours]
    assert scores[:2] == [0, 0]
    assert 0 < scores[2] < scores[3] < scores[4]
    assert found.highest.hours == 5
    assert found.highest.cause is not None
    assert "19 m" in found.highest.cause["en"]


def test_where_nothing_is_forecast_the_present_fades_and_the_sensor_is_named() -> None:
    found = outlook([READING, ALERT], [river()], PARTS, WEIGHTS)
    scores = [hour.score for hour in found.hours]
    assert scores[0] > scores[1] > scores[2]
    assert found.not_forecast == ("r1",)
    assert [hour.score for hour in outlook([READING, ALERT], [], PARTS, WEIGHTS).hours] == scores


def test_a_forecast_takes_the_place_of_the_reading_but_not_of_an_alert() -> None:
    calm = river(*[16.0] * HOURS)
    assert outlook([READING], [calm], PARTS, WEIGHTS).highest.score == 0
    open_alert = replace(ALERT, key=READING.key, age_s=None)
    assert len({hour.score for hour in outlook([open_alert], [calm], PARTS, WEIGHTS).hours}) == 1
    assert outlook([open_alert], [calm], PARTS, WEIGHTS).highest.score > 0


@given(levels, st.floats(0.0, 5.0))
def test_lines_add_up_and_a_higher_river_never_lowers_a_score(values: list[float], more: float) -> None:
    low = outlook([ALERT], [river(*values)], PARTS, WEIGHTS)
    high = outlook([ALERT], [river(*(value + more for value in values))], PARTS, WEIGHTS)
    for one, other in zip(low.hours, high.hours, strict=True):
        assert one.score <= other.score
        assert sum(round(line["points"] * 10) for line in one.lines) == one.score


def test_a_forecast_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="6 hours"):
        outlook([], [river(1.0)], PARTS, WEIGHTS)
