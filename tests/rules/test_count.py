from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import area, count
from rules.alert import Alert, AlertChange, Change, Source, alert_id
from rules.count import HELD_BACK_S, Memory, Occurrence, count_events, freeze, occurrences, recall, thaw
from rules.rule import CountRule, Events, Evidence, Level, Reach, When, Where, Words
from rules.situation import Situation
from video.camera import Camera, CameraEvent

ZONE = ZoneInfo("Asia/Shanghai")
NINE_S = round(datetime(2026, 6, 1, 9, tzinfo=ZONE).timestamp())
"""A Monday, nine o'clock: when everything below begins."""
WORDS = Words(zh="字", en="word")
SCOPE = "321300/321302/321302001/321302001001/"
KM_LAT = 1000 / 111_195.0
"""A kilometre to the north in degrees."""


def rule(identity: str = "area-flood", *levels: tuple[int, float], **more: Any) -> CountRule:
    fields: dict[str, Any] = {
        "id": identity,
        "domain": "emergency",
        "category": "area-flood",
        "title": Words(zh="片区积水", en="Area flooded"),
        "source": Evidence("a test", "unverified"),
        "of": Events(category="waterlogging"),
        "over_s": 1800.0,
        "reach": Reach(2000.0),
        "levels": tuple(Level(severity, n, WORDS) for severity, n in levels or ((2, 3.0), (4, 5.0))),
    }
    return CountRule(**fields | more)


def at(seconds: float) -> int:
    return round((NINE_S + seconds) * 1_000_000)


def flood(identity: str, seconds: float, km: float = 0.0, cell: str = "cell-1", **more: Any) -> Occurrence:
    """A waterlogging alert so many kilometres north of the first."""
    fields: dict[str, Any] = {
        "id": identity,
        "at_us": at(seconds),
        "source": f"gauge-{identity}",
        "name": f"Gauge {identity}",
        "cell": cell,
        "region": "321302001001",
        "scope": SCOPE,
        "lng": 118.0,
        "lat": 33.0 + km * KM_LAT,
        "category": "waterlogging",
    }
    return Occurrence(**fields | more)


class Desk:
    """One worker's count rules; times are seconds after nine."""

    def __init__(self, *rules: CountRule) -> None:
        self.rules = rules or (rule(),)
        self.memory = Memory()
        self.situation = Situation(ZONE)
        self.counts: Counter[str] = Counter()

    def take(self, seconds: float, *events: Occurrence) -> list[AlertChange]:
        """What the worker finds at a time of its clock."""
        found = count_events(events, self.rules, self.memory, at(seconds), self.situation)
        self.counts += found.counts
        return found.changes

    def until(self, seconds: float, *events: Occurrence) -> list[AlertChange]:
        """What it finds once everything up to a time has been taken."""
        return self.take(seconds + HELD_BACK_S, *events)


def told(changes: list[AlertChange]) -> list[tuple[str, int, float, float, float | None]]:
    """(change, severity, events, raised at, ended at) in seconds after nine."""
    return [
        (
            change.change.value,
            change.alert.severity,
            change.alert.value,
            (change.alert.raised_at_us - at(0)) / 1e6,
            None if change.alert.ended_at_us is None else (change.alert.ended_at_us - at(0)) / 1e6,
        )
        for change in changes
    ]


def test_enough_events_near_each_other_raise_one_alert_that_grows_and_ends() -> None:
    desk = Desk()
    assert desk.until(600, flood("a", 0), flood("b", 600, 1.5)) == []
    assert told(desk.until(1000, flood("c", 900, 0.7))) == [("raised", 2, 3.0, 900.0, None)]
    assert desk.until(1100, flood("d", 1100, 1.0)) == []
    assert told(desk.until(1200, flood("e", 1200, 1.9))) == [("grew", 4, 5.0, 900.0, None)]
    # The third newest is of 900 s: half an hour later it leaves two.
    assert desk.until(2699) == []
    assert told(desk.until(2800)) == [("ended", 4, 5.0, 900.0, 2700.0)]


def test_the_alert_stands_at_the_event_with_most_events_around_it() -> None:
    # One and a half kilometres apart: only the middle one has both others in reach.
    changes = Desk().until(100, flood("a", 0, 0.0), flood("b", 50, 3.0), flood("c", 100, 1.5))
    source = changes[0].alert.source
    assert source == Source("place", source.id, "Gauge c", "cell-1", "321302001001", SCOPE, 118.0, 33.0 + 1.5 * KM_LAT)
    assert source.id == f"cell-1@118.000000,{33.0 + 1.5 * KM_LAT:.6f}"


def test_an_alert_says_what_was_counted() -> None:
    alert = Desk().until(100, flood("a", 0), flood("b", 50, source="gauge-a"), flood("c", 100))[0].alert
    assert (alert.quantity, alert.unit, alert.value, alert.threshold) == ("waterlogging", "1", 3.0, 3.0)
    assert (alert.title, alert.title_en) == ("片区积水 3 起，字", "Area flooded 3: word")
    assert alert.why == {
        "kind": "count",
        "events": 3,
        "sources": 2,
        "over_s": 1800.0,
        "from": "2026-06-01T01:00:00Z",
        "to": "2026-06-01T01:01:40Z",
    }
    assert alert.id == alert_id("area-flood", alert.source.id, "count\0c")


@pytest.mark.parametrize(
    "events",
    [
        [flood("a", 0), flood("b", 10), flood("b", 20)],
        [flood("a", 0), flood("b", 10), flood("c", 1800)],
        [flood("a", 0), flood("b", 10, 1.9), flood("c", 20, 3.9)],
        [flood("a", 0), flood("b", 10), flood("c", 20, category="gas")],
        [flood("a", 0), flood("b", 10), flood("c", 20, cell="")],
        [flood("a", 0), flood("b", 10), flood("c", 20, lng=0.0, lat=0.0)],
    ],
    ids=["the same twice", "too late", "too far", "of another kind", "in no cell", "nobody knows where"],
)
def test_too_few_events_raise_nothing(events: list[Occurrence]) -> None:
    assert Desk().until(1800, *events) == []


def test_events_without_a_place_are_counted_out() -> None:
    desk = Desk()
    desk.until(0, flood("a", 0, lng=0.0, lat=0.0), flood("b", 0, cell=""))
    assert desk.counts == {"count_without_place": 2}


def test_without_a_radius_events_of_one_cell_count_and_the_cell_is_the_place() -> None:
    desk = Desk(rule(reach=Reach()))
    assert desk.until(20, flood("a", 0), flood("b", 10, cell="cell-2"), flood("c", 20, lng=0.0, lat=0.0)) == []
    changes = desk.until(30, flood("d", 30, 40.0))
    assert [change.alert.source.id for change in changes] == ["cell-1"]


def test_events_of_one_alert_raise_no_second_beside_it() -> None:
    desk = Desk()
    desk.until(20, flood("a", 0, 0.0), flood("b", 10, 0.0), flood("c", 20, 1.9))
    # Near c, which belongs to the first alert: two free ones are too few. With a third they are a matter of their own.
    assert desk.until(40, flood("d", 30, 3.0), flood("e", 40, 3.1)) == []
    assert [change.change for change in desk.until(50, flood("f", 50, 3.2))] == [Change.RAISED]
    assert len(desk.memory.crowds["area-flood"].open) == 2


def test_events_left_over_when_an_alert_ends_count_again() -> None:
    desk = Desk()
    desk.until(1000, flood("a", 0), flood("b", 1000), flood("c", 1000))
    assert told(desk.until(1900)) == [("ended", 2, 3.0, 1000.0, 1800.0)]
    assert told(desk.until(2000, flood("d", 2000))) == [("raised", 2, 3.0, 2000.0, None)]


def test_an_event_that_comes_as_another_leaves_keeps_the_alert_open() -> None:
    desk = Desk()
    desk.until(1000, flood("a", 0), flood("b", 1000), flood("c", 1000))
    assert desk.until(2000, flood("d", 1800)) == []
    assert told(desk.until(2801)) == [("ended", 2, 3.0, 1000.0, 2800.0)]


def test_an_event_from_ahead_counts_as_of_its_receipt() -> None:
    desk = Desk()
    desk.take(10, flood("a", 0), flood("b", 5), flood("c", 90_000))
    assert told(desk.until(10)) == [("raised", 2, 3.0, 10.0, None)]


def test_what_comes_later_than_the_hold_back_counts_from_then_and_what_is_too_old_is_counted_out() -> None:
    desk = Desk()
    assert desk.until(1000, flood("a", 0), flood("b", 1000)) == []
    assert told(desk.until(1100, flood("c", 500))) == [("raised", 2, 3.0, 1000.0, None)]
    assert desk.counts == {"count_disordered": 1}
    desk.until(3000)
    desk.until(3000, flood("d", 1201), flood("a", 0))
    assert desk.counts == {"count_disordered": 2}
    desk.until(3000, flood("e", 1200), flood("a", 0))
    assert desk.counts == {"count_disordered": 2, "count_too_late": 2}


def test_a_rule_is_for_the_places_and_sources_it_names() -> None:
    square = area.read([[117.9, 32.9], [118.1, 32.9], [118.1, 33.01], [117.9, 33.01]])

    def raised(where: Where, *events: Occurrence) -> int:
        desk = Memory()
        found = count_events(events, [rule(where=where)], desk, at(100), Situation(ZONE), {"square": square})
        return len(found.changes)

    three = [flood("a", 0), flood("b", 1, 0.5), flood("c", 2, 1.5)]
    assert raised(Where(regions=("321302",)), *three) == 1
    assert raised(Where(regions=("321322",)), *three) == 0
    assert raised(Where(not_sensors=("gauge-c",)), *three) == 0
    # The third lies north of the square.
    assert raised(Where(inside="square"), *three) == 0
    assert raised(Where(outside="square"), *three) == 0
    assert raised(Where(inside="square"), *three[:2], flood("d", 2)) == 1


def test_events_outside_the_hours_do_not_count_and_an_alert_ends_with_them() -> None:
    desk = Desk(rule(when=When(hours=("08:00-09:10", "09:20-10:00"))))
    desk.until(500, flood("a", 100), flood("b", 200), flood("c", 300))
    ended = desk.until(700, flood("d", 601), flood("e", 601), flood("f", 601))
    assert told(ended) == [("ended", 2, 3.0, 300.0, 600.0)]
    assert ended[0].alert.why["ended"] == "hours"
    # What came before the pause is forgotten, though it is not half an hour old, and does not count when it is repeated.
    assert desk.until(1250, flood("g", 1201)) == []
    assert desk.until(1260, flood("a", 100), flood("b", 200)) == []
    assert desk.counts == {"count_too_late": 2}


def test_an_alert_ends_with_the_day_off_and_with_wartime() -> None:
    desk = Desk(rule("war", when=When(mode="wartime")), rule("holiday", when=When(calendar="day_off")))
    three = (flood("a", 0), flood("b", 1), flood("c", 2))
    assert desk.until(10, *three) == []
    desk = Desk(*desk.rules)
    desk.situation = Situation(ZONE, lambda day: day != date(2026, 6, 1), {"321300/": frozenset({"emergency"})})
    assert [change.alert.rule for change in desk.until(10, *three)] == ["war", "holiday"]
    desk.situation = Situation(ZONE, lambda day: day != date(2026, 6, 1))
    ended = desk.until(20)
    assert told(ended) == [("ended", 2, 3.0, 2.0, 20.0 + HELD_BACK_S)]
    assert (ended[0].alert.rule, ended[0].alert.why["ended"]) == ("war", "mode")


def test_alerts_that_are_raised_and_camera_events_may_be_counted() -> None:
    raised = Desk().until(100, flood("a", 0), flood("b", 50), flood("c", 100))[0].alert
    source = replace(raised.source, kind="sensor", id="gauge-1")
    alert = replace(raised, source=source, category="waterlogging", rule="road", raised_at_us=at(60))
    camera = Camera("cam-1", "Gate", "321302", "r", "cell-9", SCOPE, "public_order", 118.5, 33.5, 0.0, 60.0)
    event = CameraEvent("cam-1", "k1", "update", "intrusion", 0.9, (), NINE_S + 5.0, NINE_S + 9.0, None, 0)
    grew, ended = AlertChange(Change.GREW, alert), AlertChange(Change.ENDED, alert)
    found = occurrences([AlertChange(Change.RAISED, alert), grew, ended], [event], {"cam-1": camera})
    assert [(e.id, e.at_us, e.source, e.rule, e.category, e.camera_event) for e in found] == [
        (str(alert.id), at(60), "gauge-1", "road", "waterlogging", ""),
        ("cam-1\0k1", at(5), "cam-1", "", "", "intrusion"),
    ]
    # A count is not counted itself, though it is of the category that it counts.
    assert occurrences([AlertChange(Change.RAISED, replace(raised, category="waterlogging"))], [], {}) == []


def test_what_cameras_saw_long_ago_alerts_nobody() -> None:
    seen = [flood(str(i), i, category="", camera_event="intrusion") for i in range(3)]
    intrusions = rule("intrusions", of=Events(camera_event="intrusion"))
    desk = Desk(intrusions)
    assert desk.take(3603, *seen) == []
    assert desk.counts == {"count_too_late": 3}
    assert [change.change for change in Desk(intrusions).take(3600, *seen)] == [Change.RAISED, Change.ENDED]


@pytest.mark.parametrize(
    ("of", "counted"),
    [(Events(rule="road"), 1), (Events(category="waterlogging"), 2), (Events(camera_event="intrusion"), 3)],
)
def test_a_rule_counts_one_kind_of_event(of: Events, counted: int) -> None:
    kinds = (
        [{"rule": "road", "category": "x"}]
        + [{"rule": "other", "category": "waterlogging"}] * 2
        + [{"category": "", "camera_event": "intrusion"}] * 3
    )
    events = [flood(str(i), i, **kind) for i, kind in enumerate(kinds)]
    assert told(Desk(rule("r", (1, 1.0), (2, 2.0), (3, 3.0), of=of)).until(10, *events))[-1][1] == counted


def test_the_oldest_events_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "KEPT", 4)
    desk = Desk(rule("r", (1, 9.0)))
    desk.until(100, *(flood(str(i), i) for i in range(6)))
    assert desk.counts == {"count_overflow": 2}
    desk.until(101, flood("0", 0))
    assert desk.counts == {"count_overflow": 2, "count_too_late": 1}


def test_a_restart_without_a_snapshot_goes_on_from_the_open_alerts() -> None:
    desk = Desk()
    open_alert = desk.until(100, flood("a", 0), flood("b", 50), flood("c", 100))[0].alert
    desk.memory = recall(desk.rules, [open_alert], Memory())
    assert desk.until(200, flood("d", 200)) == []
    assert told(desk.until(2000)) == [("ended", 2, 3.0, 100.0, 1900.0)]


def test_the_database_says_which_alerts_are_open() -> None:
    desk = Desk()
    first = desk.until(100, flood("a", 0), flood("b", 50), flood("c", 100))[0].alert
    # It grew since the snapshot, and another was raised far away.
    grown = replace(first, version=2, severity=4)
    other = replace(first, id=alert_id("area-flood", "far", "x"), source=replace(first.source, id="far", lat=40.0))
    recall(desk.rules, [grown, other], desk.memory)
    assert desk.until(200, flood("d", 150), flood("e", 160)) == []
    ended = desk.until(3000)
    assert [(change.alert.source.id, change.alert.version) for change in ended] == [(first.source.id, 3), ("far", 2)]
    # One that ended meanwhile is no longer open, and its events are free again.
    desk = Desk()
    desk.until(100, flood("a", 0), flood("b", 50), flood("c", 100))
    recall(desk.rules, [], desk.memory)
    assert desk.until(120) == []
    assert [(change.change, change.alert.value) for change in desk.until(200, flood("d", 200))] == [
        (Change.RAISED, 4.0)
    ]


def test_a_rule_that_was_edited_goes_on_with_the_events_it_knows() -> None:
    desk = Desk()
    assert desk.until(100, flood("a", 0), flood("b", 50, 1.0)) == []
    desk.rules = (rule("area-flood", (3, 2.0), over_s=600.0),)
    # Two are enough now, seen once an event comes near: two kilometres north of b, three of a.
    assert told(desk.until(200, flood("c", 200, 2.9))) == [("raised", 3, 3.0, 200.0, None)]
    desk.rules = (rule("area-flood", (3, 2.0), over_s=900.0),)
    assert told(desk.until(2000)) == [("ended", 3, 3.0, 200.0, 950.0)]


def test_the_clock_may_step_back_and_events_go_on_counting() -> None:
    desk = Desk()
    desk.until(90_000, flood("x", 89_000))
    desk.memory.clock_stepped(-86_400_000_000)
    assert told(desk.until(3800, flood("a", 3700), flood("b", 3700), flood("c", 3700)))[0][:3] == ("raised", 2, 3.0)


@pytest.mark.parametrize("frozen", [b"", b"nonsense", b"\x92\x07\x80", b"\x92\x01\x81\xa1r\x91\x01"])
def test_what_cannot_be_thawed_is_refused(frozen: bytes) -> None:
    with pytest.raises(ValueError, match="memory of counts"):
        thaw(frozen, [rule()])


RULES = (
    rule("radius", (1, 2.0), (3, 4.0), over_s=60.0),
    rule("cell", (2, 3.0), over_s=100.0, reach=Reach()),
    rule("hours", (2, 2.0), over_s=60.0, when=When(hours=("08:00-09:01", "09:02-10:00"))),
)
EVENTS = st.lists(
    st.tuples(st.integers(0, 300), st.sampled_from([0.0, 1.2, 2.4, 3.6, 9.0]), st.integers(0, 4)), max_size=25
).map(lambda rows: [flood(f"{i}", t, km, f"cell-{int(km)}") for i, (t, km, _) in enumerate(rows)])


def by_arrival(events: list[Occurrence], delays: list[float]) -> list[tuple[float, Occurrence]]:
    arrivals = zip(events, delays, strict=True)
    return sorted(((event.at_us / 1e6 - NINE_S + delay, event) for event, delay in arrivals), key=lambda pair: pair[0])


@given(events=EVENTS, data=st.data())
@settings(max_examples=150, deadline=None)
def test_order_repetition_and_batches_change_nothing_within_the_hold_back(
    events: list[Occurrence], data: st.DataObject
) -> None:
    in_order, disordered = Desk(*RULES), Desk(*RULES)
    expected: list[AlertChange] = []
    for event in sorted(events, key=lambda e: e.at_us):
        expected += in_order.take(event.at_us / 1e6 - NINE_S, event)
    expected += in_order.until(1000)
    delays = [data.draw(st.floats(0, HELD_BACK_S - 0.001)) for _ in events]
    found: list[AlertChange] = []
    for seconds, event in by_arrival(events, delays):
        repeated = (event,) * data.draw(st.integers(1, 2))
        found += disordered.take(seconds, *repeated)
        if data.draw(st.booleans()):
            disordered.memory = thaw(freeze(disordered.memory), RULES)
    found += disordered.until(1000)
    assert by_rule(found) == by_rule(expected)
    at_once = Desk(*RULES)
    assert by_rule(at_once.until(1000, *events)) == by_rule(expected)


def by_rule(changes: list[AlertChange]) -> dict[str, list[AlertChange]]:
    """Rules are worked off one after the other in each batch: their changes are compared apart."""
    return {r.id: [change for change in changes if change.alert.rule == r.id] for r in RULES}


@given(EVENTS)
@settings(max_examples=100, deadline=None)
def test_whatever_happens_an_alert_has_its_events_and_a_place_one_open_alert(events: list[Occurrence]) -> None:
    lives: dict[Any, list[Alert]] = {}
    for change in Desk(*RULES).until(1000, *events):
        lives.setdefault((change.alert.rule, change.alert.source.id), []).append(change.alert)
    for alerts in lives.values():
        assert alerts[0].version == 1
        assert alerts[-1].ended_at_us is not None
        for before, after in pairwise(alerts):
            same = before.id == after.id
            assert after.version == (before.version + 1 if same else 1)
            assert same or (before.ended_at_us is not None and before.ended_at_us <= after.raised_at_us)


@given(EVENTS)
@settings(max_examples=100, deadline=None)
def test_in_one_cell_an_alert_is_open_exactly_while_there_are_enough_events(events: list[Occurrence]) -> None:
    changes = Desk(RULES[1]).until(1000, *events)
    for cell in {event.cell for event in events}:
        spans = [
            (change.alert.raised_at_us, change.alert.ended_at_us)
            for change in changes
            if change.change is Change.ENDED and change.alert.source.id == cell
        ]
        times = [event.at_us for event in events if event.cell == cell]
        for second in range(401):
            now_us = at(second)
            enough = sum(now_us - 100_000_000 < time <= now_us for time in times) >= 3
            assert any(begin <= now_us < (end or 0) for begin, end in spans) is enough
