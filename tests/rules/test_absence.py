from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from time import process_time
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sensor import Catalogue, Sensor
from rules import area
from rules.absence import Memory, Slots, freeze, heard_by_number, judge, lay_out, recall, thaw
from rules.alert import Alert, AlertChange, Change, alert_id
from rules.rule import AbsenceRule, Evidence, Level, When, Where, Words
from rules.situation import Situation
from tests.ingest.wire import COUNTY, sensor

ZONE = ZoneInfo("Asia/Shanghai")
SITUATION = Situation(ZONE)
NINE_S = round(datetime(2026, 6, 1, 9, tzinfo=ZONE).timestamp())
"""A Monday, nine o'clock: when everything below begins."""
WORDS = Words(zh="字", en="word")


def rule(identity: str = "gas-silent", *levels: tuple[int, float], **more: Any) -> AbsenceRule:
    fields: dict[str, Any] = {
        "id": identity,
        "domain": "emergency",
        "category": "gas",
        "title": Words(zh="无数据", en="Silent"),
        "source": Evidence("a test", "unverified"),
        "levels": tuple(Level(severity, after_s, WORDS) for severity, after_s in levels or ((1, 600.0), (3, 3600.0))),
    }
    return AbsenceRule(**fields | more)


def city(*sensors: Sensor) -> Catalogue:
    return Catalogue.of(sensors or [sensor(1, "gauge-1"), sensor(2, "gauge-2")], [])


def at(seconds: float) -> int:
    return round((NINE_S + seconds) * 1_000_000)


class Watch:
    """One worker's absence rules; times are seconds after nine."""

    def __init__(self, *rules: AbsenceRule, catalogue: Catalogue | None = None, since: float = 0.0) -> None:
        self.slots = lay_out(rules, catalogue or city())
        self.memory = Memory.quiet(self.slots, at(since))
        self.heard: dict[int, float] = {}
        self.situation = SITUATION

    def hear(self, n: int, seconds: float) -> None:
        self.heard[n] = NINE_S + seconds

    def judge(self, seconds: float) -> list[AlertChange]:
        heard = heard_by_number(self.heard, self.slots.catalogue)
        return judge(self.slots, heard, self.memory, at(seconds), self.situation).changes


def told(changes: list[AlertChange]) -> list[tuple[str, str, int, float, float | None]]:
    """(change, sensor, severity, raised at, ended at) in seconds after nine."""
    return [
        (
            change.change.value,
            change.alert.source.id,
            change.alert.severity,
            (change.alert.raised_at_us - at(0)) / 1e6,
            None if change.alert.ended_at_us is None else (change.alert.ended_at_us - at(0)) / 1e6,
        )
        for change in changes
    ]


def test_a_silence_is_raised_grows_and_ends_when_the_sensor_is_heard_again() -> None:
    watch = Watch(rule())
    watch.hear(1, 100)
    watch.hear(2, 100.5)
    assert watch.judge(699.9) == []
    assert told(watch.judge(700)) == [("raised", "gauge-1", 1, 700.0, None)]
    watch.hear(2, 700.2)
    assert watch.judge(701) == []
    assert told(watch.judge(1301)) == [("raised", "gauge-2", 1, 1300.2, None)]
    assert told(watch.judge(3700)) == [("grew", "gauge-1", 3, 700.0, None)]
    watch.hear(1, 3800)
    assert told(watch.judge(3801)) == [("ended", "gauge-1", 3, 700.0, 3800.0)]
    assert [alert.source.id for alert in watch.memory.firing.values()] == ["gauge-2"]


def test_an_alert_says_how_long_and_since_when() -> None:
    watch = Watch(rule())
    watch.hear(1, 100)
    watch.hear(2, 700)
    raised = watch.judge(700)[0].alert
    assert (raised.quantity, raised.unit, raised.value, raised.threshold) == ("silence", "s", 600.0, 600.0)
    assert (raised.title, raised.title_en) == ("无数据 10 分钟，字", "Silent 10 min: word")
    assert raised.why == {"kind": "absence", "since": "2026-06-01T01:01:40Z", "heard": True}
    watch.hear(2, 2500)
    watch.hear(1, 2600)
    ended = watch.judge(2600)[0].alert
    assert (ended.value, ended.why["silent_s"], ended.version) == (2500.0, 2500.0, 2)


def test_a_sensor_that_was_never_heard_is_silent_since_we_listen() -> None:
    watch = Watch(rule(), catalogue=city(sensor(1, "gauge-1")), since=50)
    assert watch.judge(649) == []
    raised = watch.judge(650)
    assert told(raised) == [("raised", "gauge-1", 1, 650.0, None)]
    assert raised[0].alert.why["heard"] is False
    assert raised[0].alert.id == alert_id("gas-silent", "gauge-1", f"absence\0{at(50)}")


def test_while_we_were_deaf_nobody_was_silent() -> None:
    watch = Watch(rule(), catalogue=city(sensor(1, "gauge-1")))
    watch.hear(1, 0)
    watch.memory.listening_since_us = at(500)
    assert watch.judge(1099) == []
    assert told(watch.judge(1100)) == [("raised", "gauge-1", 1, 1100.0, None)]


def test_asked_late_the_times_are_the_same() -> None:
    early, late = Watch(rule()), Watch(rule())
    for watch in (early, late):
        watch.hear(1, 100)
        watch.hear(2, 9000)
    often = [change for seconds in (700, 701, 3699, 3700, 3701) for change in early.judge(seconds)]
    assert told(often) == [("raised", "gauge-1", 1, 700.0, None), ("grew", "gauge-1", 3, 700.0, None)]
    seldom = late.judge(8000)
    assert told(seldom) == [("raised", "gauge-1", 3, 700.0, None)]
    assert (seldom[0].alert.id, seldom[0].alert.at_us) == (often[1].alert.id, often[1].alert.at_us)


def test_a_sensor_that_came_and_went_again_ends_one_alert_and_raises_another() -> None:
    watch = Watch(rule())
    watch.hear(1, 100)
    watch.hear(2, 9000)
    first = watch.judge(1000)
    watch.hear(1, 1500)
    both = watch.judge(2200)
    assert told(both) == [("ended", "gauge-1", 1, 700.0, 1500.0), ("raised", "gauge-1", 1, 2100.0, None)]
    assert both[1].alert.id != first[0].alert.id


def test_an_alert_does_not_end_before_it_was_raised() -> None:
    # What was received at 699 s was still on its way through the path at 700 s.
    watch = Watch(rule(), catalogue=city(sensor(1, "gauge-1")))
    watch.hear(1, 100)
    watch.judge(700)
    watch.hear(1, 699)
    assert told(watch.judge(701)) == [("ended", "gauge-1", 1, 700.0, 700.0)]


def test_a_rule_is_for_the_sensors_of_its_domain_or_those_it_names() -> None:
    square = area.read([[118.5, 33.0], [119.0, 33.0], [119.0, 34.0], [118.5, 34.0]])
    catalogue = city(
        sensor(1, "gauge-1"),
        sensor(2, "gauge-2", lng=118.6, lat=33.5),
        sensor(3, "bus-1", domain="traffic", lng=None, lat=None),
        sensor(4, "gauge-4", scope="321300/321322/321322001/", lng=118.7, lat=33.5),
    )

    def of(where: Where) -> list[int]:
        return lay_out([rule(where=where)], catalogue, {"square": square}).sensor.tolist()

    assert of(Where()) == [1, 2, 4]
    assert of(Where(sensors=("bus-1", "gauge-2"))) == [2, 3]
    assert of(Where(not_sensors=("gauge-2",))) == [1, 4]
    assert of(Where(regions=(COUNTY,))) == [1, 2]
    assert of(Where(inside="square")) == [2, 4]
    assert of(Where(outside="square", regions=(COUNTY,))) == [1]
    assert of(Where(sensors=("bus-1",), outside="square")) == []


def test_a_rule_with_a_quantity_is_for_the_sensors_that_measure_it_whatever_their_domain() -> None:
    catalogue = city(
        sensor(1, "gas-1", quantities=("gas_concentration",)),
        sensor(2, "gauge-2"),
        sensor(3, "gas-3", quantities=("gas_concentration",), domain="urban_management"),
    )
    assert lay_out([rule(quantity="gas_concentration")], catalogue).sensor.tolist() == [1, 3]
    named = rule(quantity="gas_concentration", where=Where(sensors=("gas-3", "gauge-2")))
    assert lay_out([named], catalogue).sensor.tolist() == [3]


def test_outside_its_hours_a_rule_is_suppressed_and_raises_a_new_alert_when_they_come_back() -> None:
    watch = Watch(rule(when=When(hours=("08:00-10:00", "11:00-12:00"))), catalogue=city(sensor(1, "gauge-1")))
    watch.hear(1, 0)
    first = watch.judge(700)
    assert told(first) == [("raised", "gauge-1", 1, 600.0, None)]
    ended = watch.judge(3605)
    assert told(ended) == [("ended", "gauge-1", 1, 600.0, 3600.0)]
    assert ended[0].alert.why["ended"] == "hours"
    assert watch.judge(7199) == []
    watch.memory = thaw(freeze(watch.memory, watch.slots), watch.slots)
    again = watch.judge(7201)
    assert told(again) == [("raised", "gauge-1", 3, 7200.0, None)]
    assert again[0].alert.id != first[0].alert.id


def test_a_rule_for_the_day_off_or_for_wartime_counts_then_only() -> None:
    both = rule("holiday", when=When(calendar="day_off")), rule("war", when=When(mode="wartime"))
    watch = Watch(*both, catalogue=city(sensor(1, "gauge-1")))
    watch.hear(1, 0)
    assert watch.judge(700) == []
    watch.situation = Situation(ZONE, is_workday=lambda day: day != date(2026, 6, 1))
    assert [change.alert.rule for change in watch.judge(701)] == ["holiday"]
    watch.situation = Situation(ZONE, wartime={"321300/": frozenset({"emergency"})})
    assert [(change.change, change.alert.rule) for change in watch.judge(800)] == [
        (Change.ENDED, "holiday"),
        (Change.RAISED, "war"),
    ]
    watch.situation = SITUATION
    ended = watch.judge(900)
    assert told(ended) == [("ended", "gauge-1", 1, 600.0, 900.0)]
    assert ended[0].alert.why["ended"] == "mode"


def test_no_timer_fires_early_or_late_when_the_servers_clock_steps() -> None:
    watch = Watch(rule())
    watch.hear(1, 0)
    watch.hear(2, 500)
    watch.judge(600)
    # An hour forward: the caller moves what it heard, the memory what it remembers.
    watch.memory.clock_stepped(3_600_000_000)
    watch.heard = {n: seconds + 3600 for n, seconds in watch.heard.items()}
    assert watch.judge(3600 + 1099) == []
    assert told(watch.judge(3600 + 1100)) == [("raised", "gauge-2", 1, 4700.0, None)]


def test_a_restart_without_a_snapshot_goes_on_from_the_open_alerts() -> None:
    watch = Watch(rule())
    watch.hear(1, 100)
    watch.hear(2, 9000)
    open_alerts = [change.alert for change in watch.judge(700)]
    watch.memory = recall(watch.slots, open_alerts, Memory.quiet(watch.slots, at(800)))
    assert watch.judge(1000) == []
    assert told(watch.judge(4400)) == [("grew", "gauge-1", 3, 700.0, None)]
    watch.hear(1, 4500)
    assert told(watch.judge(4501)) == [("ended", "gauge-1", 3, 700.0, 4500.0)]


def test_the_database_says_which_alerts_are_open() -> None:
    watch = Watch(rule())
    watch.hear(1, 100)
    first, _ = (change.alert for change in watch.judge(700))
    # Since the snapshot the first grew, and the second ended.
    recall(watch.slots, [replace(first, version=2, severity=3)], watch.memory)
    watch.hear(2, 710)
    assert watch.judge(1300) == []
    watch.hear(1, 1305)
    ended = [change.alert for change in watch.judge(1305)]
    assert [(alert.id, alert.version, alert.severity) for alert in ended] == [(first.id, 3, 3)]


def test_what_is_frozen_of_rules_or_sensors_that_are_gone_is_left_out() -> None:
    watch = Watch(rule(), rule("other", (2, 600.0)))
    watch.judge(1000)
    frozen = freeze(watch.memory, watch.slots)
    after = lay_out([rule("other", (2, 900.0))], city(sensor(7, "gauge-2")))
    thawed = thaw(frozen, after)
    assert {slot: alert.rule for slot, alert in thawed.firing.items()} == {0: "other"}
    assert thawed.rung.tolist() == [1]


@pytest.mark.parametrize("frozen", [b"", b"nonsense", b"\x93\x07\x00\x90", b"\x93\x01\x00\x91\x91\x01"])
def test_what_cannot_be_thawed_is_refused(frozen: bytes) -> None:
    with pytest.raises(ValueError, match="memory of absences"):
        thaw(frozen, lay_out([rule()], city()))


STEPS = st.lists(st.tuples(st.integers(1, 4000), st.sampled_from([None, 1, 2])), max_size=25)


@given(steps=STEPS, cut=st.integers(0, 25))
@settings(max_examples=100, deadline=None)
def test_a_restart_in_the_middle_changes_nothing(steps: list[tuple[int, int | None]], cut: int) -> None:
    rules = (rule(), rule("hours", (2, 1800.0), when=When(hours=("09:30-11:00", "11:30-12:00"))))
    through, stopped = Watch(*rules), Watch(*rules)
    seconds = 0
    for i, (step, speaks) in enumerate(steps):
        seconds += step
        if i == cut:
            stopped.memory = thaw(freeze(stopped.memory, stopped.slots), stopped.slots)
        for watch in (through, stopped):
            if speaks is not None:
                watch.hear(speaks, seconds - 0.5)
        assert stopped.judge(seconds) == through.judge(seconds)


def final(watch: Watch, seconds: list[int], speaks: dict[int, int]) -> dict[Any, Alert]:
    found: dict[Any, Alert] = {}
    for second in seconds:
        for n, heard in speaks.items():
            if heard <= second:
                watch.hear(n, heard)
        for change in watch.judge(second):
            found[change.alert.id] = change.alert
    return found


@given(st.sets(st.integers(1, 9000), max_size=20), st.dictionaries(st.sampled_from([1, 2]), st.integers(9001, 9500)))
@settings(max_examples=60, deadline=None)
def test_however_often_the_clock_ticks_the_alerts_are_the_same(ticks: set[int], speaks: dict[int, int]) -> None:
    often = final(Watch(rule()), [*sorted(ticks), 9000, 9600], speaks)
    seldom = final(Watch(rule()), [9000, 9600], speaks)
    assert told([AlertChange(Change.ENDED, a) for a in often.values()]) == told(
        [AlertChange(Change.ENDED, a) for a in seldom.values()]
    )
    assert often.keys() == seldom.keys()


@pytest.mark.alone
def test_a_hundred_thousand_sensors_are_judged_in_less_than_fifty_milliseconds() -> None:
    sensors = [sensor(n, f"gauge-{n}") for n in range(1, 100_001)]
    slots: Slots = lay_out([rule()], Catalogue.of(sensors, []))
    memory = Memory.quiet(slots, at(0))
    heard = np.full(100_001, at(0), dtype="i8")
    heard[::1000] = at(-10_000)
    memory.listening_since_us = at(-10_000)
    assert len(judge(slots, heard, memory, at(1), SITUATION).changes) == 100
    began = process_time()
    for second in range(2, 12):
        assert judge(slots, heard, memory, at(second), SITUATION).changes == []
    assert (process_time() - began) / 10 < 0.05
