"""Evaluation against a reference that looks at one reading and one rule at a time."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.reading import AHEAD, LATE, NO_TIME, OUT_OF_RANGE, OUTSIDE_CITY
from ingest.sensor import Catalogue
from rules.alert import Alert, AlertChange, Change, alert_id
from rules.evaluate import evaluate, recall
from rules.memory import Memory
from rules.rule import Damping, SensorRule, ThresholdRule, WindowRule
from rules.slots import Slots, lay_out
from tests.rules.located import (
    ANY_TIME,
    BURST,
    CITY,
    FLOOD,
    NOISE,
    PRESSURE,
    RULES,
    SECOND,
    WATER,
    Row,
    Station,
    fields_of,
    located,
    rule,
    water,
)

AT_ONCE, BY_ONE = 1, 10**9
SLOTS = lay_out(RULES, CITY, zone=ANY_TIME.zone)

TIMED = (
    rule("calm", "water_depth", [(1, 1.0), (3, 2.0)], 0.5, clear_for_s=3, gap="hold", damping=None),
    rule("fires", "water_depth", [(1, 1.0, 2), (2, 2.5, 4), (4, 3.0, 0)], 0.5, for_s=2, gap="fire", gap_after_s=4),
    rule("patient", "water_depth", [(1, 1.0)], 0.5, for_s=9, gap="hold", gap_after_s=4),
    rule("holds", "water_depth", [(2, 1.0), (3, 2.0, 1)], 0.75, for_s=3, clear_for_s=2, gap="hold", gap_after_s=4),
    rule(
        "low",
        "water_pressure",
        [(2, 2.0), (3, 1.0, 3)],
        2.5,
        direction="below",
        for_s=1,
        clear_for_s=1,
        gap="reset",
        gap_after_s=5,
        damping=Damping(raises=2, within_s=20, settle_s=4),
    ),
    rule("quiet", "water_depth", [(1, 0.0)], 0.5, direction="below", gap="fire", gap_after_s=3),
    rule("resets", "water_depth", [(2, 1.0), (4, 3.0)], 0.99, for_s=2, gap="reset", gap_after_s=4),
    *RULES,
)


def run(*batches: Sequence[Row], rules: Sequence[SensorRule] = RULES, many: int = AT_ONCE) -> list[AlertChange]:
    """All changes that the batches bring."""
    station = Station(rules, slots=laid(tuple(rules)))
    for rows in batches:
        station.take(rows, many)
    return station.changes


@cache
def laid(rules: tuple[SensorRule, ...]) -> Slots:
    return lay_out(rules, CITY, zone=ANY_TIME.zone)


def told(changes: Sequence[AlertChange]) -> list[tuple[Any, ...]]:
    """What matters about each change."""
    found = []
    for change in changes:
        a = change.alert
        found.append((change.change, a.rule, a.source.id, a.severity, a.value, a.at_us, a.version, a.ended_at_us, a.id))
    return found


@dataclass
class _Standing:
    """What the reference knows of one rule on one sensor."""

    last_us: int | None = None
    rung: int = 0
    since: dict[int, int] = field(default_factory=dict)
    good_since: int | None = None
    raises: list[int] = field(default_factory=list)
    version: int = 0
    value: float = 0.0
    identity: Any = None


def reference(rows: Sequence[Row], rules: Sequence[ThresholdRule] = RULES) -> list[tuple[Any, ...]]:
    """The same by the letter of the contract: reading by reading, rule by rule, no arrays."""
    standing: dict[tuple[str, int], _Standing] = {}
    found: list[tuple[Any, ...]] = []
    for row in rows:
        for one in rules:
            sensor = CITY.by_n[row.sensor]
            if CITY.quantities[one.quantity].n == row.quantity and one.quantity in sensor.quantities:
                found += _Meeting(standing.setdefault((one.id, row.sensor), _Standing()), one, row).changes()
    return found


class _Meeting:
    """One reading and one rule."""

    def __init__(self, stand: _Standing, one: ThresholdRule, row: Row) -> None:
        self.stand, self.rule, self.row = stand, one, row
        sensor = CITY.by_n[row.sensor]
        self.sensor = sensor.id
        self.gap_after_us = round((one.gap_after_s or 3 * sensor.interval_s) * SECOND)
        self.at_us = row.received_us if row.flags & AHEAD else row.at_us

    def changes(self) -> Iterator[tuple[Any, ...]]:
        stand, last = self.stand, self.stand.last_us
        if self.row.flags & (LATE | OUT_OF_RANGE | OUTSIDE_CITY) or (last is not None and self.at_us < last):
            return
        stand.last_us = self.at_us
        if last is not None and self.at_us - last > self.gap_after_us:
            yield from self.silence(last)
        yield from self.clear()
        yield from self.climb()

    def silence(self, last: int) -> Iterator[tuple[Any, ...]]:
        stand, from_us = self.stand, last + self.gap_after_us
        if self.rule.gap == "reset":
            if stand.rung:
                yield self.end(from_us, stand.value)
            stand.since, stand.good_since = {}, None
        elif self.rule.gap == "fire":
            stand.good_since = None
            if not stand.since:
                stand.since = {1: from_us}
            due = {}
            for rung, since in sorted(stand.since.items()):
                moment = max(since + self.for_us(rung), from_us)
                if moment <= self.at_us:
                    due[moment] = max(rung, due.get(moment, 0))
            for moment, rung in sorted(due.items()):
                if rung > stand.rung:
                    yield self.rise(rung, moment, self.rule.levels[rung - 1].at, f"gap\0{last}")
        else:
            lapse = self.at_us - last
            stand.since = {rung: since + lapse for rung, since in stand.since.items()}
            stand.good_since = None if stand.good_since is None else stand.good_since + lapse

    def clear(self) -> Iterator[tuple[Any, ...]]:
        stand, row = self.stand, self.row
        good = row.value < self.rule.clear if self.rule.direction == "above" else row.value > self.rule.clear
        if not good:
            stand.good_since = None
        elif stand.rung:
            stand.good_since = self.at_us if stand.good_since is None else stand.good_since
            if self.at_us - stand.good_since >= self.calm_us():
                yield self.end(self.at_us, row.value)

    def calm_us(self) -> int:
        damping, needed = self.rule.damping, round(self.rule.clear_for_s * SECOND)
        if damping is None:
            return needed
        lately = [at for at in self.stand.raises if at > self.at_us - damping.within_s * SECOND]
        return max(needed, round(damping.settle_s * SECOND)) if len(lately) >= damping.raises else needed

    def climb(self) -> Iterator[tuple[Any, ...]]:
        stand, reached = self.stand, 0
        for rung, level in enumerate(self.rule.levels, 1):
            if self.row.value >= level.at if self.rule.direction == "above" else self.row.value <= level.at:
                since = stand.since.setdefault(rung, self.at_us)
                if self.at_us - since >= self.for_us(rung):
                    reached = rung
            else:
                stand.since.pop(rung, None)
        if reached > stand.rung:
            yield self.rise(reached, self.at_us, self.row.value, f"{self.row.key}\0{self.row.at_us}")

    def for_us(self, rung: int) -> int:
        own = self.rule.levels[rung - 1].for_s
        return round((self.rule.for_s if own is None else own) * SECOND)

    def rise(self, rung: int, at_us: int, value: float, cause: str) -> tuple[Any, ...]:
        stand = self.stand
        change = Change.GREW if stand.rung else Change.RAISED
        if not stand.rung:
            stand.version, stand.identity = 0, alert_id(self.rule.id, self.sensor, cause)
            stand.raises.append(at_us)
        stand.rung, stand.value, stand.version = rung, value, stand.version + 1
        return self.says(change, value, at_us, None)

    def end(self, at_us: int, value: float) -> tuple[Any, ...]:
        self.stand.version += 1
        said = self.says(Change.ENDED, value, at_us, at_us)
        self.stand.rung, self.stand.good_since = 0, None
        return said

    def says(self, change: Change, value: float, at_us: int, ended_us: int | None) -> tuple[Any, ...]:
        stand = self.stand
        severity = self.rule.levels[stand.rung - 1].severity
        return change, self.rule.id, self.sensor, severity, value, at_us, stand.version, ended_us, stand.identity


VALUES = [-1.0, 0.0, 0.25, 0.49, 0.5, 0.75, 0.99, 1.0, 1.5, 2.0, 2.5, 2.51, 2.99, 3.0, 9.0]
rows = st.builds(
    Row,
    sensor=st.sampled_from([1, 1, 2, 3]),
    quantity=st.sampled_from([WATER, WATER, PRESSURE, NOISE]),
    value=st.sampled_from(VALUES),
    at_us=st.integers(900, 940),
    received_us=st.integers(900, 940),
    key=st.integers(0, 3),
    flags=st.sampled_from([0, 0, 0, 0, 0, NO_TIME, AHEAD, LATE, OUT_OF_RANGE, LATE | AHEAD]),
    lng=st.just(math.nan),
    lat=st.just(math.nan),
)
batches = st.lists(st.lists(rows, max_size=25), max_size=6)


def in_order(cut: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """The same batches with device times that never go back and no strange flags."""
    clock = iter(range(1000, 1_000_000))
    return [[replace_time(row, next(clock)) for row in batch] for batch in cut]


def replace_time(row: Row, at_us: int) -> Row:
    return row._replace(at_us=at_us, received_us=at_us, flags=0)


@st.composite
def walks(draw: st.DrawFn) -> list[list[Row]]:
    """Batches over minutes, with silences, some of them out of turn."""
    at_us, found = 10**15, []
    for size in draw(st.lists(st.integers(0, 12), max_size=6)):
        batch = []
        for _ in range(size):
            at_us += draw(st.sampled_from([0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 9, -1])) * SECOND
            sensor, quantity = draw(st.sampled_from([(1, WATER), (1, WATER), (3, PRESSURE), (3, PRESSURE), (2, WATER)]))
            value = draw(st.sampled_from(VALUES))
            batch.append(Row(sensor, quantity, value, at_us, at_us, draw(st.integers(0, 3))))
        found.append(batch)
    return found


@settings(max_examples=80, deadline=None)
@given(batches, st.sampled_from([AT_ONCE, BY_ONE]))
def test_however_readings_are_batched_the_changes_are_those_of_looking_at_one_at_a_time(
    cut: list[list[Row]], many: int
) -> None:
    wanted = reference([row for batch in cut for row in batch])
    assert told(run(*cut, many=many)) == wanted


@settings(max_examples=120, deadline=None)
@given(walks())
def test_durations_gaps_and_damping_come_out_alike_at_once_by_one_and_by_the_reference(cut: list[list[Row]]) -> None:
    everything = [row for batch in cut for row in batch]
    wanted = reference(everything, TIMED)
    assert told(run(*cut, rules=TIMED)) == wanted
    assert told(run(*cut, rules=TIMED, many=BY_ONE)) == wanted
    assert told(run(everything, rules=TIMED)) == wanted
    assert told(run(*([row] for row in everything), rules=TIMED, many=BY_ONE)) == wanted
    assert told(run(*cut, rules=TIMED, many=4)) == wanted


MEAN = WindowRule(
    **fields_of("mean", "water_depth", [(1, 1.0), (2, 2.0, 2)], 0.75),
    statistic="mean",
    over_s=5,
    gap="reset",
    gap_after_s=4,
)
UNDAMPED = tuple(msgspec.structs.replace(one, damping=None) for one in RULES)
"""Open alerts alone do not say how often others were raised before them: that is in the snapshot."""
WALKED = (
    MEAN,
    rule("held", "water_depth", [(1, 1.0, 2), (2, 2.0)], 0.5, gap="fire", gap_after_s=4, disorder_s=3),
    *TIMED,
)


@settings(max_examples=60, deadline=None)
@given(walks())
def test_one_batch_is_many_batches_for_slots_that_are_walked_as_well(cut: list[list[Row]]) -> None:
    everything = [row for batch in cut for row in batch]
    wanted = run(everything, rules=WALKED)
    assert run(*cut, rules=WALKED) == wanted
    assert run(*([row] for row in everything), rules=WALKED, many=BY_ONE) == wanted


@settings(max_examples=80, deadline=None)
@given(walks(), st.lists(st.booleans(), min_size=200, max_size=200))
def test_a_clock_that_ticks_between_finds_nothing_that_readings_and_one_last_tick_do_not(
    cut: list[list[Row]], ticks: list[bool]
) -> None:
    everything = sorted((row for batch in cut for row in batch), key=lambda row: row.at_us)
    ticking, still = (Station(WALKED, slots=laid(WALKED)) for _ in range(2))
    now_s = 10**9
    for i, row in enumerate(everything):
        while now_s * SECOND < row.received_us:
            if ticks[(i + now_s) % 200]:
                ticking.tick(now_s)
            now_s += 1
        ticking.take([row])
    still.take(everything)
    end_s = max([now_s, *(row.at_us // SECOND for row in everything)]) + 60
    assert _by_slot(ticking.tick(end_s).changes) == _by_slot(still.tick(end_s).changes)


def _by_slot(changes: Sequence[AlertChange]) -> dict[tuple[str, str], list[AlertChange]]:
    found: dict[tuple[str, str], list[AlertChange]] = {}
    for change in changes:
        found.setdefault((change.alert.rule, change.alert.source.id), []).append(change)
    return found


@settings(max_examples=50, deadline=None)
@given(walks())
def test_a_reading_given_again_changes_nothing(cut: list[list[Row]]) -> None:
    twice = [[row for row in batch for _ in range(2)] for batch in cut]
    again = [
        [*batch, *(row for row in batch if row.at_us < max(r.at_us for r in batch if r[:2] == row[:2]))]
        for batch in cut
    ]
    rules = [
        one for one in WALKED if one.id != "held"
    ]  # it takes up to three seconds of disorder: what is older may count
    assert run(*twice, rules=WALKED) == run(*cut, rules=WALKED)
    assert run(*again, rules=rules) == run(*cut, rules=rules)


@settings(max_examples=50, deadline=None)
@given(batches)
def test_in_order_and_busy_the_changes_are_those_of_looking_at_one_at_a_time(cut: list[list[Row]]) -> None:
    ordered = in_order(cut)
    everything = [row for batch in ordered for row in batch]
    wanted = reference(everything)
    assert told(run(*ordered)) == told(run(everything)) == told(run(*([row] for row in everything))) == wanted


@settings(max_examples=50, deadline=None)
@given(st.lists(rows, max_size=20))
def test_evaluating_does_not_change_the_batch(now: list[Row]) -> None:
    batch = located(now)
    kept = copy.deepcopy(batch)
    evaluate(batch, SLOTS, Memory.quiet(SLOTS), ANY_TIME, many=AT_ONCE)
    assert all(
        np.array_equal(getattr(batch.readings, name), getattr(kept.readings, name), equal_nan=name in {"lng", "lat"})
        for name in ("value", "at", "flags", "lng", "lat", "key")
    )


@settings(max_examples=50, deadline=None)
@given(batches, batches)
def test_a_restarted_worker_stands_where_the_one_before_it_stood(
    before: list[list[Row]], later: list[list[Row]]
) -> None:
    ordered = in_order([*before, *later])
    station, restarted = (Station(UNDAMPED, slots=laid(UNDAMPED)) for _ in range(2))
    for batch in ordered[: len(before)]:
        station.take(batch)
    stored = {change.alert.id: change.alert for change in station.changes}
    restarted.memory = recall(station.slots, [alert for alert in stored.values() if alert.ended_at_us is None])
    assert restarted.memory.rung.tolist() == station.memory.rung.tolist()
    assert restarted.memory.firing == station.memory.firing
    station.changes = []
    for batch in ordered[len(before) :]:
        station.take(batch)
        restarted.take(batch)
    assert restarted.changes == station.changes


def test_an_alert_is_raised_grows_stays_and_ends_only_beyond_its_clear_value() -> None:
    values = [0.99, 1.0, 1.5, 2.0, 1.0, 3.5, 2.5, 0.5, 0.49, 0.6, 0.99, 1.0]
    changes = run(*([Row(1, WATER, value, at)] for at, value in enumerate(values)), rules=[FLOOD])
    assert [(c.change, c.alert.severity, c.alert.at_us) for c in changes] == [
        (Change.RAISED, 1, 1),
        (Change.GREW, 2, 3),
        (Change.GREW, 4, 5),
        (Change.ENDED, 4, 8),
        (Change.RAISED, 1, 11),
    ]
    assert len({c.alert.id for c in changes[:4]}) == 1
    assert changes[4].alert.id != changes[0].alert.id
    assert [c.alert.version for c in changes] == [1, 2, 3, 4, 1]


def test_a_rule_that_looks_down_climbs_as_the_value_falls() -> None:
    values = [2.1, 2.0, 0.5, 1.5, 2.5, 2.51]
    changes = run([Row(3, PRESSURE, value, at) for at, value in enumerate(values)], rules=[BURST])
    assert [(c.change, c.alert.severity, c.alert.threshold) for c in changes] == [
        (Change.RAISED, 2, 2.0),
        (Change.GREW, 3, 1.0),
        (Change.ENDED, 3, 1.0),
    ]


def test_a_jump_over_rungs_raises_on_the_highest() -> None:
    [change] = run([Row(1, WATER, 9.0, 5)], rules=[FLOOD])
    alert = change.alert
    assert (alert.severity, alert.threshold, alert.value, alert.unit) == (4, 3.0, 9.0, "m")
    assert (alert.title, alert.title_en) == ("积水 9 m，字", "Flood 9 m: word")
    assert (alert.source.id, alert.source.cell, alert.raised_at_us) == ("gauge-1", "321302001001001", 5)
    assert alert.why == {"kind": "threshold"}


def test_what_moves_alerts_where_its_reading_was_taken() -> None:
    [change] = run([Row(3, PRESSURE, 1.5, 5, lng=118.2, lat=34.1)], rules=[BURST])
    source = change.alert.source
    assert (source.cell, source.lng, source.lat) == ("cell-1", 118.2, 34.1)


def test_a_statutory_signal_s_level_is_told_beside_our_severity() -> None:
    level = replace_level(FLOOD, warning_level=4)
    [change] = run([Row(1, WATER, 1.0, 5)], rules=[level])
    assert (change.alert.severity, change.alert.warning_level) == (1, 4)


def replace_level(one: ThresholdRule, **more: Any) -> ThresholdRule:
    level = one.levels[0]
    changed = type(level)(**{name: getattr(level, name) for name in level.__struct_fields__} | more)
    return ThresholdRule(**{name: getattr(one, name) for name in one.__struct_fields__} | {"levels": (changed,)})


@pytest.mark.parametrize("many", [AT_ONCE, BY_ONE])
def test_a_reading_older_than_what_was_seen_changes_nothing_and_is_counted(many: int) -> None:
    assert run([Row(1, WATER, 0.6, 10)], [Row(1, WATER, 9.0, 9)], rules=[FLOOD], many=many) == []
    station = Station([FLOOD]).take([Row(1, WATER, 0.6, 10), Row(1, WATER, 9.0, 9)], many)
    assert (station.changes, station.disordered) == ([], 1)
    assert len(run([Row(1, WATER, 0.6, 10), Row(1, WATER, 9.0, 10)], rules=[FLOOD], many=many)) == 1


def test_one_sensor_s_clock_does_not_age_another_s_readings() -> None:
    assert len(run([Row(1, WATER, 0.6, 10)], [Row(2, WATER, 9.0, 9)], rules=[FLOOD])) == 1


@pytest.mark.parametrize("flag", [LATE, OUT_OF_RANGE, OUTSIDE_CITY])
def test_a_late_or_implausible_reading_neither_raises_nor_ends_nor_counts_as_seen(flag: int) -> None:
    changes = run(
        [Row(1, WATER, 9.0, 5, flags=flag)],
        [Row(1, WATER, 1.0, 6)],
        [Row(1, WATER, 0.0, 50, flags=flag)],
        [Row(1, WATER, 2.0, 7)],
        rules=[FLOOD],
    )
    assert [(c.change, c.alert.at_us) for c in changes] == [(Change.RAISED, 6), (Change.GREW, 7)]


def test_a_clock_far_ahead_does_not_silence_the_readings_that_follow() -> None:
    far = 10**12
    changes = run(
        [Row(1, WATER, 1.0, far, received_us=100, flags=AHEAD)],
        [Row(1, WATER, 2.0, 200, received_us=201)],
        [Row(1, WATER, 0.1, far, received_us=300, flags=AHEAD)],
        rules=[FLOOD],
    )
    assert [(c.change, c.alert.at_us) for c in changes] == [
        (Change.RAISED, 100),
        (Change.GREW, 200),
        (Change.ENDED, 300),
    ]


def test_the_same_bytes_sent_for_the_next_flood_raise_another_alert() -> None:
    def nameless(at: int, value: float) -> list[Row]:
        return [Row(1, WATER, value, at, received_us=at, key=7, flags=NO_TIME)]

    changes = run(nameless(1, 2.0), nameless(2, 0.0), nameless(3, 2.0), rules=[FLOOD])
    assert [c.change for c in changes] == [Change.RAISED, Change.ENDED, Change.RAISED]
    assert changes[0].alert.id != changes[2].alert.id


def test_ids_follow_from_rule_sensor_and_cause_alone() -> None:
    ids = {
        run([row], rules=[one])[0].alert.id
        for row in (Row(1, WATER, 2.0, 5, key=1), Row(1, WATER, 2.0, 5, key=2), Row(2, WATER, 2.0, 5, key=1))
        for one in (FLOOD, rule("other", "water_depth", [(1, 1.0)], 0.5))
    }
    assert len(ids) == 6
    again = run([Row(2, WATER, 0.0, 1), Row(1, WATER, 2.0, 5, received_us=9, key=1)], rules=[FLOOD])
    assert again[0].alert.id in ids


def test_a_city_without_rules_or_without_sensors_is_quiet() -> None:
    assert run([Row(1, WATER, 9.0, 5)], rules=[]) == []
    empty = Station([FLOOD], Catalogue.of([], CITY.quantities.values()))
    assert empty.take([Row(1, WATER, 9.0, 5)]).tick(100).changes == []
    assert run([], rules=[FLOOD]) == []


def test_a_number_that_is_none_moves_nothing() -> None:
    assert run(water([math.nan, 1.0, math.nan, 0.4]), rules=[FLOOD]) == run(water([0.6, 1.0, 0.6, 0.4]), rules=[FLOOD])


def open_alert(severity: int) -> Alert:
    [change] = run([Row(1, WATER, 2.0, 5)], rules=[FLOOD])
    return replace(change.alert, severity=severity)


@pytest.mark.parametrize(("severity", "rung"), [(1, 1), (2, 2), (3, 2), (4, 3)])
def test_an_open_alert_is_recalled_though_its_severity_left_the_ladder(severity: int, rung: int) -> None:
    station = Station([FLOOD])
    recall(station.slots, [open_alert(severity)], station.memory)
    assert sorted(station.memory.rung.tolist()) == [0, rung]
    assert [c.change for c in station.take([Row(1, WATER, 0.1, 6)]).changes] == [Change.ENDED]


def test_an_open_alert_below_its_edited_ladder_does_not_keep_the_new_rule_quiet() -> None:
    station = Station([rule("flood", "water_depth", [(4, 3.0)], 0.5)])
    recall(station.slots, [open_alert(1)], station.memory)
    [change] = station.take([Row(1, WATER, 3.0, 6)]).changes
    assert (change.change, change.alert.severity) == (Change.RAISED, 4)


def test_an_open_alert_of_a_rule_or_sensor_that_is_gone_is_no_trouble() -> None:
    gone = replace(open_alert(1), rule="withdrawn")
    memory = recall(lay_out([FLOOD], CITY, zone=ANY_TIME.zone), [gone])
    assert memory.firing == {}


def test_what_the_database_says_of_an_alert_decides() -> None:
    station = Station([FLOOD]).take(water([2.0]))
    newer = replace(station.changes[0].alert, version=7)
    recall(station.slots, [newer], station.memory)
    assert list(station.memory.firing.values()) == [newer]
    recall(station.slots, [], station.memory)
    assert station.memory.firing == {}
    assert not station.memory.rung.any()
