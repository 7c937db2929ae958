"""Evaluation against a reference that looks at one reading and one rule at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.reading import AHEAD, LATE, NO_TIME, OUT_OF_RANGE
from ingest.sensor import Catalogue
from rules.alert import Alert, AlertChange, Change, alert_id
from rules.evaluate import Memory, evaluate, evaluate_events, lay_out, recall
from rules.rulebook import CameraRule, Evidence, ThresholdRule, Words
from tests.rules.located import BURST, CITY, FLOOD, NOISE, PRESSURE, RULES, WATER, Row, located, rule
from video.camera import Camera, CameraEvent

SLOTS = lay_out(RULES, CITY)


def run(
    *batches: Sequence[Row], memory: Memory | None = None, rules: Sequence[ThresholdRule] = RULES
) -> list[AlertChange]:
    """All changes of the batches, each taken into memory before the next."""
    slots = lay_out(rules, CITY)
    memory = memory or Memory.quiet(slots)
    changes: list[AlertChange] = []
    for rows in batches:
        evaluation = evaluate(located(rows), slots, memory)
        changes += evaluation.changes
        evaluation.after(memory)
    return changes


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

    seen_us: int = -(10**18)
    rung: int = 0
    version: int = 0
    identity: Any = None


def reference(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """The same by the letter of the contract: reading by reading, rule by rule, no arrays."""
    standing: dict[tuple[str, int], _Standing] = {}
    found: list[tuple[Any, ...]] = []
    for row in rows:
        for one in RULES:
            sensor = CITY.by_n[row.sensor]
            if CITY.quantities[one.quantity].n == row.quantity and one.quantity in sensor.quantities:
                found += _meet(standing.setdefault((one.id, row.sensor), _Standing()), one, row, sensor.id)
    return found


def _meet(stand: _Standing, one: ThresholdRule, row: Row, sensor: str) -> Iterator[tuple[Any, ...]]:
    if row.flags & LATE or row.flags & OUT_OF_RANGE:
        return
    at_us = row.received_us if row.flags & AHEAD else row.at_us
    if at_us < stand.seen_us:
        return
    stand.seen_us = at_us
    above = one.direction == "above"
    reached = [level for level in one.levels if (row.value >= level.at if above else row.value <= level.at)]
    severity = reached[-1].severity if reached else 0
    held = one.levels[stand.rung - 1].severity if stand.rung else 0
    if stand.rung and (row.value < one.clear if above else row.value > one.clear):
        stand.version += 1
        yield Change.ENDED, one.id, sensor, held, row.value, at_us, stand.version, at_us, stand.identity
        stand.rung = 0
    elif len(reached) > stand.rung:
        raised = stand.rung == 0
        stand.rung = len(reached)
        stand.version = 1 if raised else stand.version + 1
        if raised:
            stand.identity = alert_id(one.id, sensor, f"{row.key}\0{row.at_us}")
        change = Change.RAISED if raised else Change.GREW
        yield change, one.id, sensor, severity, row.value, at_us, stand.version, None, stand.identity


rows = st.builds(
    Row,
    sensor=st.sampled_from([1, 1, 2, 3]),
    quantity=st.sampled_from([WATER, WATER, PRESSURE, NOISE]),
    value=st.sampled_from([-1.0, 0.0, 0.25, 0.49, 0.5, 0.75, 0.99, 1.0, 1.5, 2.0, 2.5, 2.51, 2.99, 3.0, 9.0]),
    at_us=st.integers(900, 940),
    received_us=st.integers(900, 940),
    key=st.integers(0, 3),
    flags=st.sampled_from([0, 0, 0, 0, 0, NO_TIME, AHEAD, LATE, OUT_OF_RANGE, LATE | AHEAD]),
)
batches = st.lists(st.lists(rows, max_size=25), max_size=6)


def in_order(cut: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """The same batches with device times that never go back and no strange flags."""
    clock = iter(range(1000, 1_000_000))
    return [[replace_time(row, next(clock)) for row in batch] for batch in cut]


def replace_time(row: Row, at_us: int) -> Row:
    return row._replace(at_us=at_us, received_us=at_us, flags=0)


@settings(max_examples=300, deadline=None)
@given(batches)
def test_however_readings_are_batched_the_changes_are_those_of_looking_at_one_at_a_time(cut: list[list[Row]]) -> None:
    wanted = reference([row for batch in cut for row in batch])
    assert told(run(*cut)) == wanted


@settings(max_examples=100, deadline=None)
@given(batches)
def test_in_order_and_busy_the_changes_are_those_of_looking_at_one_at_a_time(cut: list[list[Row]]) -> None:
    ordered = in_order(cut)
    everything = [row for batch in ordered for row in batch]
    wanted = reference(everything)
    assert told(run(*ordered)) == told(run(everything)) == told(run(*([row] for row in everything))) == wanted


@settings(max_examples=100, deadline=None)
@given(batches, st.lists(rows, max_size=20))
def test_evaluating_changes_neither_memory_nor_batch_and_gives_the_same_again(
    before: list[list[Row]], now: list[Row]
) -> None:
    memory = Memory.quiet(SLOTS)
    run(*before, memory=memory)
    kept, batch = copy.deepcopy(memory), located(now)
    kept_batch = copy.deepcopy(batch)
    first, second = evaluate(batch, SLOTS, memory), evaluate(batch, SLOTS, memory)
    assert first.changes == second.changes
    assert memory.seen_us.tolist() == kept.seen_us.tolist()
    assert (memory.rung.tolist(), memory.firing) == (kept.rung.tolist(), kept.firing)
    assert all(
        np.array_equal(
            getattr(batch.readings, name), getattr(kept_batch.readings, name), equal_nan=name in {"lng", "lat"}
        )
        for name in ("value", "at", "flags", "lng", "lat", "key")
    )


@settings(max_examples=100, deadline=None)
@given(batches, batches)
def test_a_restarted_worker_stands_where_the_one_before_it_stood(
    before: list[list[Row]], later: list[list[Row]]
) -> None:
    ordered = in_order([*before, *later])
    memory = Memory.quiet(SLOTS)
    changes = run(*ordered[: len(before)], memory=memory)
    stored = {change.alert.id: change.alert for change in changes}
    recalled = recall(SLOTS, [alert for alert in stored.values() if alert.ended_at_us is None])
    assert recalled.rung.tolist() == memory.rung.tolist()
    assert recalled.firing == memory.firing
    assert (recalled.seen_us <= memory.seen_us).all()
    after = ordered[len(before) :]
    assert run(*after, memory=recalled) == run(*after, memory=memory)


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


def test_a_reading_older_than_what_was_seen_changes_nothing() -> None:
    assert run([Row(1, WATER, 0.6, 10)], [Row(1, WATER, 9.0, 9)], rules=[FLOOD]) == []
    assert run([Row(1, WATER, 0.6, 10), Row(1, WATER, 9.0, 9)], rules=[FLOOD]) == []
    assert len(run([Row(1, WATER, 0.6, 10), Row(1, WATER, 9.0, 10)], rules=[FLOOD])) == 1


def test_one_sensor_s_clock_does_not_age_another_s_readings() -> None:
    assert len(run([Row(1, WATER, 0.6, 10)], [Row(2, WATER, 9.0, 9)], rules=[FLOOD])) == 1


@pytest.mark.parametrize("flag", [LATE, OUT_OF_RANGE])
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
    slots = lay_out([FLOOD], Catalogue.of([], CITY.quantities.values()))
    assert evaluate(located([Row(1, WATER, 9.0, 5)]), slots, Memory.quiet(slots)).changes == []
    assert run([], rules=[FLOOD]) == []


def open_alert(severity: int) -> Alert:
    [change] = run([Row(1, WATER, 2.0, 5)], rules=[FLOOD])
    return replace(change.alert, severity=severity)


@pytest.mark.parametrize(("severity", "rung"), [(1, 1), (2, 2), (3, 2), (4, 3)])
def test_an_open_alert_is_recalled_though_its_severity_left_the_ladder(severity: int, rung: int) -> None:
    slots = lay_out([FLOOD], CITY)
    memory = recall(slots, [open_alert(severity)])
    assert sorted(memory.rung.tolist()) == [0, rung]
    ended = evaluate(located([Row(1, WATER, 0.1, 6)]), slots, memory).changes
    assert [c.change for c in ended] == [Change.ENDED]


def test_an_open_alert_below_its_edited_ladder_does_not_keep_the_new_rule_quiet() -> None:
    slots = lay_out([rule("flood", "water_depth", [(4, 3.0)], 0.5)], CITY)
    memory = recall(slots, [open_alert(1)])
    [change] = evaluate(located([Row(1, WATER, 3.0, 6)]), slots, memory).changes
    assert (change.change, change.alert.severity) == (Change.RAISED, 4)


def test_an_open_alert_of_a_rule_or_sensor_that_is_gone_is_no_trouble() -> None:
    gone = replace(open_alert(1), rule="withdrawn")
    memory = recall(lay_out([FLOOD], CITY), [gone])
    assert memory.firing == {}


CAMERA = Camera("c1", "门", "321302", "r", "cell", "1/2/", "public_order", 118.0, 34.0, 0.0, 60.0)
INTRUSION = CameraRule(
    "intrusion",
    "public_order",
    "intrusion",
    Words(zh="闯入", en="Intrusion"),
    "person",
    ("restricted",),
    0.7,
    2,
    Words(zh="核实", en="check"),
    Evidence("a test", "unverified"),
)


def seen(phase: str = "new", **more: Any) -> CameraEvent:
    fields: dict[str, Any] = {
        "camera": "c1",
        "key": "k",
        "phase": phase,
        "kind": "person",
        "score": 0.9,
        "zones": ("restricted", "yard"),
        "started_at": 10.0,
        "at": 12.0,
        "ended_at": 20.0 if phase == "end" else None,
        "message": 0,
    }
    return CameraEvent(**fields | more)


def run_camera(*batches: Sequence[CameraEvent], rules: Sequence[CameraRule] = (INTRUSION,)) -> list[AlertChange]:
    memory = Memory.quiet(SLOTS)
    changes: list[AlertChange] = []
    for events in batches:
        evaluation = evaluate_events(events, rules, {"c1": CAMERA}, memory)
        evaluation.after(memory)
        changes += evaluation.changes
    return changes


@pytest.mark.parametrize("together", [True, False])
def test_one_tracked_object_is_one_alert_from_its_first_report_to_its_last(together: bool) -> None:
    reports = [seen(), seen("update"), seen("update", score=0.1), seen("end")]
    changes = run_camera(reports) if together else run_camera(*([one] for one in reports))
    assert [c.change for c in changes] == [Change.RAISED, Change.ENDED]
    assert (changes[0].alert.raised_at_us, changes[1].alert.ended_at_us) == (10_000_000, 20_000_000)
    assert changes[0].alert.id == changes[1].alert.id


def test_what_is_repeated_after_its_end_in_the_same_batch_is_left_out() -> None:
    changes = run_camera([seen(), seen("end"), seen("end"), seen("update")])
    assert [c.change for c in changes] == [Change.RAISED, Change.ENDED]


@pytest.mark.parametrize(
    "event", [seen(kind="car"), seen(score=0.69), seen(zones=()), seen(zones=("yard",)), seen("end", score=0.1)]
)
def test_another_object_place_or_a_doubtful_sight_raises_nothing(event: CameraEvent) -> None:
    assert run_camera([event]) == []


def test_a_rule_without_zones_looks_everywhere() -> None:
    everywhere = CameraRule(**{n: getattr(INTRUSION, n) for n in INTRUSION.__struct_fields__} | {"zones": ()})
    assert len(run_camera([seen(zones=())], rules=[everywhere])) == 1


def test_an_open_camera_alert_is_recalled_and_ends() -> None:
    [raised] = run_camera([seen()])
    memory = recall(SLOTS, [raised.alert])
    ended = evaluate_events([seen("update"), seen("end")], [INTRUSION], {"c1": CAMERA}, memory).changes
    assert [c.change for c in ended] == [Change.ENDED]
