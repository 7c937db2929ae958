"""Rules that learn what is usual for their sensor, through the evaluation that runs live."""

from __future__ import annotations

import json
import math
import zlib
from datetime import UTC
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sensor import Catalogue
from rules import learnt
from rules.backtest import Replay
from rules.freeze import freeze, thaw
from rules.rule import DeviationRule, When
from rules.rulebook import Rulebook
from rules.situation import Situation
from tests.ingest.wire import sensor
from tests.rules.located import CITY, NOISE, SECOND, Row, Station, fields_of, located, water

STEP_S = 900
DAY = 96  # readings
SEVERAL = Catalogue.of(
    [sensor(n, f"gauge-{n}", quantities=("water_depth", "noise")) for n in range(1, 6)], CITY.quantities.values()
)


def odd(side: Literal["above", "below", "either"] = "either", **more: Any) -> DeviationRule:
    """A rule on noise: 1 dB of spread does not matter, levels at 2 and 3, an hour of calm before the end."""
    fields = fields_of("odd", "noise", [(1, 2.0), (3, 3.0)], 1.0)
    fields |= {"side": side, "least_days": 2, "least_spread": 1.0, "clear_for_s": 3600.0}
    return DeviationRule(**fields | {"gap": "hold", "gap_after_s": 3 * STEP_S, "damping": None} | more)


def days(count: float, seed: int = 1) -> list[float]:
    """Noise of 1 dB around a daily course of 10 either way about 50."""
    at = np.arange(round(count * DAY)) * math.tau / DAY
    found: list[float] = (50 + 10 * np.sin(at) + np.random.default_rng(seed).normal(0, 1, len(at))).tolist()
    return found


def heard(values: list[float], first: int = 0, n: int = 1) -> list[Row]:
    """Readings of a sensor from the ``first`` on."""
    moments = [(first + place) * STEP_S * SECOND for place in range(len(values))]
    return [Row(n, NOISE, value, at, at, key=at) for value, at in zip(values, moments, strict=True)]


def test_a_night_as_loud_as_the_day_is_told_once_with_what_was_expected_what_came_and_how_rare_that_is() -> None:
    values = days(10)
    loud = 9 * DAY + 3 * DAY // 4
    values[loud : loud + 3] = [58.0, 58.5, 58.0]
    station = Station([odd()]).take(heard(values))
    assert station.said[0][::2] == ("raised", loud * STEP_S)
    assert sum(c.change == "raised" for c in station.changes) == 1
    alert = station.changes[0].alert
    why = alert.why
    assert (why["kind"], why["statistic"]) == ("deviation", "rarity")
    assert why["aspect"] != "level", "58 dB are heard every day"
    assert why["seen"] == 58.0
    assert why["expected"] == pytest.approx(40, abs=4)
    assert why["low"] < why["high"] < 58.0
    assert why["one_in"] > 1000
    assert (alert.unit, alert.value >= 2) == ("", True)
    assert alert.title_en.startswith("Flood 58 dB (")
    assert alert.title.startswith("积水 58 dB（预期 ")
    json.dumps(why, allow_nan=False)


def test_an_alert_ends_when_the_usual_has_held_for_its_time() -> None:
    values = days(10)
    values[9 * DAY] = 200.0
    said = Station([odd()]).take(heard(values)).said
    raised = 9 * DAY * STEP_S
    assert said[0][::2] == ("raised", raised)
    assert said[-1][0] == "ended"
    assert raised + 3600 <= said[-1][2] <= raised + 12 * 3600


@pytest.mark.parametrize(("side", "told"), [("above", [200.0]), ("below", [-100.0]), ("either", [200.0, -100.0])])
def test_only_the_side_that_the_rule_names_is_told(side: Any, told: list[float]) -> None:
    values = days(12)
    values[9 * DAY], values[11 * DAY] = 200.0, -100.0
    station = Station([odd(side)]).take(heard(values))
    assert [c.alert.why["seen"] for c in station.changes if c.change == "raised"] == told


def test_nothing_is_said_before_so_many_days_have_been_learnt() -> None:
    values = days(8)
    values[4 * DAY] = 200.0
    assert Station([odd(least_days=4)]).take(heard(values)).said[0][2] == 4 * DAY * STEP_S
    assert Station([odd(least_days=5)]).take(heard(values)).said == []


def test_days_are_the_city_s_own() -> None:
    values = days(4)
    values[2 * DAY + 3 * DAY // 8] = (
        200.0  # the third day in Greenwich; in New York, where it began in an evening, the fourth
    )
    near, far = (
        Station([odd(least_days=3)], situation=Situation(zone)) for zone in (UTC, ZoneInfo("America/New_York"))
    )
    assert near.take(heard(values)).said == []
    assert far.take(heard(values)).said[0][0] == "raised"


def test_a_reading_that_comes_twice_is_learnt_once() -> None:
    rows = heard(days(9))
    once, twice = Station([odd()]).take(rows), Station([odd()]).take([row for row in rows for _ in range(2)])
    assert once.memory.learnt.tobytes() == twice.memory.learnt.tobytes()
    assert once.changes == twice.changes


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 5 * 5 * DAY), max_size=6), st.sampled_from([1, 96, 10_000]), st.integers(0, 5))
def test_one_batch_or_many_and_a_restart_between_any_two_come_to_the_same(
    cuts: list[int], many: int, which: int
) -> None:
    rows = [row for n in range(1, 6) for row in heard(disturbed(n), n=n)]
    rows.sort(key=lambda row: row.at_us)
    whole = Station([odd(), odd("below", id="low", disorder_s=1800.0)], SEVERAL).take(rows)
    parted = Station([], slots=whole.slots)
    bounds = [0, *sorted(cuts), len(rows)]
    for place, (begin, end) in enumerate(pairwise(bounds)):
        parted.take(rows[begin:end], many=many)
        if place == which:
            parted.memory = thaw(freeze(parted.memory, parted.slots), parted.slots)
    assert whole.changes
    assert parted.changes == whole.changes
    assert freeze(parted.memory, parted.slots) == freeze(whole.memory, whole.slots)


def disturbed(n: int) -> list[float]:
    """Five days with something odd on the last, another thing for every sensor."""
    values = days(5, seed=n)
    values[4 * DAY + 7 * n] = 80.0 + 10 * n if n % 2 else -10.0 * n
    return values


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_readings_shuffled_within_the_bound_come_to_the_same_as_in_order(seed: int) -> None:
    rows = heard(disturbed(3))
    rule = odd(disorder_s=4.0 * STEP_S)
    order = np.argsort(np.arange(len(rows)) + np.random.default_rng(seed).uniform(0, 3.9, len(rows))).tolist()
    ordered, shuffled = (
        Station([rule]).take([rows[place] for place in places]) for places in (range(len(rows)), order)
    )
    assert shuffled.disordered == 0
    for station in (ordered, shuffled):
        station.tick(rows[-1].at_us / SECOND + 2 * 86_400)
    assert ordered.memory.learnt["sensor"]["n"].tolist() == [len(rows)]
    assert any(c.change == "raised" for c in ordered.changes)
    assert [known(c.alert) for c in shuffled.changes] == [known(c.alert) for c in ordered.changes]
    assert shuffled.memory.learnt.tobytes() == ordered.memory.learnt.tobytes()


def known(alert: Any) -> Any:
    return alert.id, alert.severity, alert.at_us, alert.value, alert.why


def test_a_back_test_gives_the_alerts_that_came_live() -> None:
    rows = heard(disturbed(3))
    live = Station([odd()]).take(rows).tick(rows[-1].at_us / SECOND)
    replay = Replay(Rulebook((odd(),), (), {}, ()), CITY, Situation(UTC), rows[0].at_us)
    for begin in range(0, len(rows), 50):
        replay.take(located(rows[begin : begin + 50]))
    replay.finish(rows[-1].at_us)
    assert live.changes
    assert replay.episodes.changes == live.changes


def test_outside_its_hours_a_rule_learns_and_keeps_quiet() -> None:
    values = days(9)
    values[8 * DAY] = 200.0  # at midnight
    station = Station([odd(when=When(hours=("06:00-22:00",)))]).take(heard(values))
    assert [c for c in station.changes if c.alert.at_us == 8 * DAY * STEP_S * SECOND] == []
    assert station.memory.learnt["sensor"]["n"].tolist() == [len(values)]


def test_silence_raises_an_alert_that_gives_no_reading_s_reason() -> None:
    rows = heard([*days(4), 200.0]) + heard([50.0], first=4 * DAY + 9)  # too short a peak, then silence
    by_reading = Station([odd(gap="fire", for_s=2.0 * STEP_S)]).take(rows)
    by_clock = Station([odd(gap="fire", for_s=2.0 * STEP_S)]).take(rows[:-1]).tick(rows[-2].at_us / SECOND + 4 * STEP_S)
    for station in (by_reading, by_clock):
        why = station.changes[0].alert.why
        assert (why["gap"], "seen" in why) == ("fire", False)


@pytest.mark.parametrize("found", [None, [], [learnt.VERSION + 1, b""], [learnt.VERSION, b"short"], ["x", bytes(4160)]])
def test_a_record_of_another_version_begins_anew_and_is_counted(found: Any) -> None:
    station = Station([odd()]).take(heard(days(5)))
    frozen = msgspec.msgpack.decode(zlib.decompress(freeze(station.memory, station.slots)))
    [place] = [
        place for place, each in enumerate(frozen) if isinstance(each, dict) and learnt.RECORD.itemsize in sizes(each)
    ]
    frozen[place] = dict.fromkeys(frozen[place], found)
    memory = thaw(zlib.compress(msgspec.msgpack.encode(frozen)), station.slots)
    assert memory.forgotten == 1
    assert memory.learnt["sensor"]["n"].tolist() == [0]


def sizes(statistics: dict[Any, Any]) -> list[int]:
    return [len(each[1]) for each in statistics.values() if isinstance(each, list) and isinstance(each[-1], bytes)]


def test_what_other_rules_hear_of_the_same_sensor_is_none_of_its_business() -> None:
    values = days(5)
    alone = Station([odd()]).take(heard(values))
    mixed = Station([odd()]).take(sorted([*heard(values), *water(values, STEP_S, 1)], key=lambda row: row.at_us))
    assert alone.memory.learnt.tobytes() == mixed.memory.learnt.tobytes()
