"""Rules played over recorded readings: the same as live, whatever the batches; groups, days and differences by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sensor import Catalogue
from rules.alert import Alert, AlertChange, Change
from rules.backtest import Replay, in_order, turning_points
from rules.episode import Episodes, days, differ, groups, loads
from rules.evaluate import evaluate, tick
from rules.memory import Memory
from rules.rule import AbsenceRule, CountRule, Events, Level, Rule, When, Where, WindowRule
from rules.rulebook import Rulebook
from rules.situation import Situation
from rules.slots import lay_out
from tests.ingest.wire import sensor
from tests.rules.located import CITY, NOISE, WATER, Row, located, rule
from tests.rules.test_label import alert

ZONE = ZoneInfo("Asia/Shanghai")
SITUATION = Situation(ZONE)
TOWN = Catalogue.of((CITY.sensors[name] for name in ("gauge-1", "gauge-2", "pipe-1")), CITY.quantities.values())
MINUTE_US = 60_000_000
NOON_US = round(datetime(2026, 7, 1, 12, tzinfo=ZONE).timestamp()) * 1_000_000


def book(*rules: Rule) -> Rulebook:
    return Rulebook(tuple(sorted(rules, key=lambda each: each.id)))


def minute(n: float) -> int:
    return NOON_US + round(n * MINUTE_US)


def readings(values: Iterable[tuple[float, float]], number: int = 1, quantity: int = WATER) -> list[Row]:
    """(minutes after noon, value) of a sensor, received at once."""
    return [Row(number, quantity, value, minute(at), minute(at)) for at, value in values]


def replayed(
    rules: Rulebook, rows: list[Row], *, until: float, size: int = 1000, catalogue: Catalogue = TOWN
) -> Replay:
    replay = Replay(rules, catalogue, SITUATION, NOON_US)
    rows = sorted(rows, key=lambda row: row.received_us)
    for begin in range(0, len(rows), size):
        replay.take(located(rows[begin : begin + size]))
    replay.finish(minute(until))
    return replay


def told(replay: Replay) -> list[tuple[str, str, int, float, float | None]]:
    """(rule, source, severity, raised, ended), times in minutes after noon."""
    return [
        (
            a.rule,
            a.source.id,
            a.severity,
            _minutes(a.raised_at_us),
            None if a.ended_at_us is None else _minutes(a.ended_at_us),
        )
        for a in replay.episodes.in_order()
    ]


def _minutes(us: int) -> float:
    return (us - NOON_US) / MINUTE_US


FLOOD = rule("flood", "water_depth", [(1, 1.0), (3, 2.0)], 0.5, gap="fire", for_s=120.0, gap_after_s=300.0)
QUIET_NIGHTS = rule(
    "noise-by-day", "noise", [(2, 80.0)], 70.0, when=When(hours=("08:00-12:30",)), gap="reset", gap_after_s=300.0
)
_ACTION = FLOOD.title
SILENT = AbsenceRule(
    id="silent", domain="emergency", category="silence", title=_ACTION, source=FLOOD.source,
    levels=(Level(1, 600.0, _ACTION), Level(3, 1800.0, _ACTION)),
)  # fmt: skip
TOGETHER = CountRule(
    id="together", domain="emergency", category="flooding", title=_ACTION, source=FLOOD.source,
    of=Events(rule="flood"), over_s=1800.0, levels=(Level(4, 2.0, _ACTION),),
)  # fmt: skip

STORM = [
    *readings([(0, 0.1), (1, 1.2), (2, 1.3), (3, 1.4), (4, 2.5), (5, 2.6), (6, 2.4), (7, 0.2)]),
    *readings([(2, 1.5), (3, 1.5), (4, 1.5)], 2),  # then it says nothing more: silence fires, and goes on to hold
    *readings([(at, 85.0) for at in range(40)], 1, NOISE),
]


def test_each_kind_gives_the_alerts_worked_out_by_hand() -> None:
    found = told(replayed(book(FLOOD, QUIET_NIGHTS, SILENT, TOGETHER), STORM, until=40))
    place = sensor().cell
    assert found == [
        ("noise-by-day", "gauge-1", 2, 0.0, 30.0),  # until its hours are over
        ("flood", "gauge-1", 3, 3.0, 7.0),
        ("flood", "gauge-2", 1, 4.0, None),  # silence goes on with what was last known
        ("together", place, 4, 4.0, 34.0),  # the second flood of half an hour; its first two are too old at 33 and 34
        ("silent", "pipe-1", 3, 10.0, None),  # never heard, from the beginning on
        ("flood", "gauge-1", 1, 14.0, None),  # silent since 7: a gap from 12 on, which has held for two minutes
        ("silent", "gauge-2", 3, 14.0, None),
    ]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_how_the_readings_are_cut_changes_nothing(size: int) -> None:
    rules = book(FLOOD, QUIET_NIGHTS, SILENT, TOGETHER)
    assert told(replayed(rules, STORM, until=40, size=size)) == told(replayed(rules, STORM, until=40))


def test_it_is_the_same_as_live_with_a_tick_each_second() -> None:
    slots = lay_out((FLOOD, QUIET_NIGHTS), TOWN, zone=ZONE)
    memory, live = Memory.quiet(slots), Episodes()
    rows = sorted(STORM, key=lambda row: row.received_us)
    for second in range(40 * 60 + 1):
        now_us = NOON_US + second * 1_000_000
        due = [row for row in rows if row.received_us == now_us]
        if due:
            live.take(evaluate(located(due), slots, memory, SITUATION).changes)
        live.take(tick(now_us, slots, memory, SITUATION).changes)
    replay = replayed(book(FLOOD, QUIET_NIGHTS), STORM, until=40)
    assert [_facts(a) for a in replay.episodes.in_order()] == [_facts(a) for a in live.in_order()]


EVERY_GAP = tuple(
    rule(
        f"{gap}-{for_s:g}-{clear_for_s:g}{'-by-day' if hours else ''}", "water_depth", [(1, 1.0), (3, 2.0)], 0.5,
        gap=gap, gap_after_s=300.0, for_s=for_s, clear_for_s=clear_for_s, when=When(hours=hours),
    )
    for gap in ("hold", "reset", "fire")
    for for_s, clear_for_s in ((0.0, 0.0), (240.0, 120.0))
    for hours in ((), ("08:00-12:25", "12:40-18:00"))
)  # fmt: skip
MEANS = tuple(
    WindowRule(
        id=f"mean-{gap}", domain="emergency", category="flood", title=_ACTION, source=FLOOD.source, quantity="water_depth",
        statistic="mean", over_s=600.0, levels=(Level(1, 1.0, _ACTION),), clear=0.8, gap=gap, for_s=120.0,
    )
    for gap in ("hold", "reset", "fire")
)  # fmt: skip


@given(
    st.lists(
        st.tuples(st.sampled_from([0.5, 1, 1, 2, 4, 7, 13]), st.sampled_from([0.1, 0.6, 1.2, 1.2, 2.5])), max_size=25
    ),
    st.sampled_from([15, 35, 300]),
)
@settings(max_examples=60, deadline=None)
def test_ticks_never_change_what_comes_out(steps: list[tuple[float, float]], tick_s: int) -> None:
    """However often the clock ticks live: the back-test, which ticks once, finds the same alerts with the same times."""
    times = accumulate((gap for gap, _ in steps), initial=0.0)
    rows = readings([(at, value) for at, (_, value) in zip(times, steps, strict=False)])
    until = 70
    slots = lay_out((*EVERY_GAP, *MEANS), TOWN, zone=ZONE)
    memory, live = Memory.quiet(slots), Episodes()
    ticks = range(NOON_US, minute(until) + 1, tick_s * 1_000_000)
    for now_us in sorted({*ticks, minute(until), *(row.received_us for row in rows if row.at_us <= minute(until))}):
        for row in rows:
            if row.received_us == now_us:
                live.take(evaluate(located([row]), slots, memory, SITUATION).changes)
        if now_us in ticks or now_us == minute(until):
            live.take(tick(now_us, slots, memory, SITUATION).changes)
    replay = replayed(book(*EVERY_GAP, *MEANS), [r for r in rows if r.at_us <= minute(until)], until=until)
    assert [_facts(a) for a in replay.episodes.in_order()] == [_facts(a) for a in live.in_order()]


def _facts(found: Alert) -> tuple[Any, ...]:
    return found.id, found.severity, found.raised_at_us, found.ended_at_us


def test_an_absence_that_comes_and_goes_between_two_readings_is_found() -> None:
    quiet = Catalogue.of([sensor(1, "gauge-1", quantities=("water_depth",))], CITY.quantities.values())
    rows = readings([(0, 0.1), (9.9, 0.1), (25, 0.1), (26, 0.1), (60, 0.1)])
    found = told(replayed(book(SILENT), rows, until=65, catalogue=quiet))
    assert found == [("silent", "gauge-1", 1, 19.9, 25.0), ("silent", "gauge-1", 3, 36.0, 60.0)]


def test_an_absence_counts_within_its_hours_only() -> None:
    quiet = Catalogue.of([sensor(1, "gauge-1", quantities=("water_depth",))], CITY.quantities.values())
    by_day = AbsenceRule(
        id="silent", domain="emergency", category="silence", title=_ACTION, source=FLOOD.source,
        levels=(Level(1, 600.0, _ACTION),), when=When(hours=("08:00-12:15", "12:45-18:00")),
    )  # fmt: skip
    found = told(replayed(book(by_day), readings([(0, 0.1), (58, 0.1)]), until=60, catalogue=quiet))
    assert found == [("silent", "gauge-1", 1, 10.0, 15.0), ("silent", "gauge-1", 1, 45.0, 58.0)]
    found = told(replayed(book(by_day), readings([(0, 0.1)]), until=60, catalogue=quiet))
    assert found == [("silent", "gauge-1", 1, 10.0, 15.0), ("silent", "gauge-1", 1, 45.0, None)]


def test_readings_in_order_need_no_holding_back() -> None:
    held_back = rule("flood", "water_depth", [(1, 1.0)], 0.5, disorder_s=600.0)
    rows = readings([(0, 0.1), (1, 1.2), (2, 0.2)])
    assert told(replayed(book(held_back), rows, until=2)) == [], "the last ten minutes would still be waiting"
    assert told(replayed(in_order(book(held_back)), rows, until=2)) == [("flood", "gauge-1", 1, 1.0, 2.0)]


def test_rules_that_no_reading_can_reach_say_so() -> None:
    elsewhere = rule("elsewhere", "water_depth", [(1, 1.0)], 0.5, where=Where(sensors=("nowhere",)))
    reach = replayed(book(FLOOD, elsewhere), STORM, until=40).silent()
    assert list(reach) == ["elsewhere"]


def changed(*alerts: Alert) -> Episodes:
    found = Episodes()
    found.take([AlertChange(Change.RAISED, each) for each in alerts])
    return found


def test_alerts_near_each_other_are_one_group_and_those_without_a_place_their_own() -> None:
    def at(n: int, name: str, lng: float, from_s: float) -> Alert:
        found = alert(n, name, from_s, None)
        return replace(found, source=replace(found.source, lng=lng, lat=33.9 if lng else 0.0))

    near, beside, far = at(1, "a", 118.0, 10), at(2, "b", 118.0001, 20), at(3, "c", 118.1, 30)
    placeless, other, again = at(4, "d", 0, 40), at(5, "e", 0, 50), at(6, "d", 0, 60)
    found = groups(changed(near, beside, far, placeless, other, again))
    members = sorted(tuple(each.id.int for each in group.members) for group in found)
    assert members == [(1, 2), (3,), (4, 6), (5,)]


def test_a_group_lasts_from_its_first_alert_to_the_end_of_its_last() -> None:
    [group] = groups(changed(alert(1, "a", 10, 20), alert(2, "a", 30, 50)))
    assert (group.from_us, group.to_us) == (10_000_000, 50_000_000)
    [open_group] = groups(changed(alert(1, "a", 10, 20), alert(2, "a", 30, None)))
    assert open_group.to_us is None


def test_minutes_go_to_the_local_days_on_which_the_alert_stood() -> None:
    raised_us = round(datetime(2026, 7, 1, 23, 50, tzinfo=ZONE).timestamp() * 1e6)
    two_days_us = raised_us + round(timedelta(days=1, minutes=30) / timedelta(microseconds=1))
    long = replace(alert(1, "a", 0, None), raised_at_us=raised_us, ended_at_us=two_days_us)
    found = days([long], two_days_us, ZONE)
    assert {day: (load.alerts, load.minutes) for day, load in found.items()} == {
        date(2026, 7, 1): (1, 10.0),
        date(2026, 7, 2): (0, 1440.0),
        date(2026, 7, 3): (0, 20.0),
    }


def test_an_open_alert_counts_its_minutes_to_the_end_of_the_readings() -> None:
    found = loads([alert(1, "a", 0, 60), alert(2, "b", 60, None)], 240 * 1_000_000, lambda each: each.rule)
    assert (found["flood"].alerts, found["flood"].minutes) == (2, 4.0)


def test_alerts_of_two_rulebooks_are_the_same_by_rule_source_and_time() -> None:
    here = [alert(1, "a", 10, 20), alert(2, "a", 50, None), alert(3, "b", 10, 20)]
    there = [alert(11, "a", 20, 30), alert(12, "b", 21, 30), alert(13, "a", 10, 90, rule="other")]
    found = differ(here, there, 100 * 1_000_000)
    assert found.both == 1
    assert [each.id for each in found.only_here] == [UUID(int=2), UUID(int=3)]
    assert [each.id for each in found.only_there] == [UUID(int=12), UUID(int=13)]


def test_turning_points_are_the_minutes_at_which_hours_and_days_turn() -> None:
    timed = [QUIET_NIGHTS, rule("weekend", "noise", [(1, 1.0)], 0.0, when=When(days=(6, 7)))]
    begin = datetime(2026, 7, 1, 9, tzinfo=ZONE)
    end = begin + timedelta(days=1)
    points = turning_points(timed, ZONE, round(begin.timestamp() * 1e6), round(end.timestamp() * 1e6))
    assert [datetime.fromtimestamp(us / 1e6, UTC).astimezone(ZONE).strftime("%d %H:%M") for us in points] == [
        "01 12:30",
        "02 00:00",
        "02 08:00",
    ]
