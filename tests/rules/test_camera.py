"""Camera events: one tracked object is one alert, wherever its reports are cut."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import msgspec
import pytest
from shapely import box

from rules.alert import AlertChange, Change
from rules.camera import evaluate_events
from rules.evaluate import recall
from rules.freeze import freeze, thaw
from rules.memory import Memory
from rules.rule import CameraRule, When, Where, Words
from rules.situation import Situation
from rules.slots import lay_out
from tests.rules.located import ANY_TIME, CITY, FOUND, RULES
from video.camera import Camera, CameraEvent

SLOTS = lay_out(RULES, CITY, zone=UTC)
CAMERA = Camera("c1", "门", "321302", "r", "cell", "1/2/", "public_order", 118.0, 34.0, 0.0, 60.0)
AREAS = {"square": box(117, 33, 119, 35), "elsewhere": box(100, 20, 101, 21)}
INTRUSION = CameraRule(
    id="intrusion",
    domain="public_order",
    category="intrusion",
    title=Words(zh="闯入", en="Intrusion"),
    event="person",
    zones=("restricted",),
    min_score=0.7,
    severity=2,
    action=Words(zh="核实", en="check"),
    source=FOUND,
)


def rule(**more: Any) -> CameraRule:
    return msgspec.structs.replace(INTRUSION, **more)


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


def run(
    *batches: Sequence[CameraEvent],
    rules: Sequence[CameraRule] = (INTRUSION,),
    memory: Memory | None = None,
    situation: Situation = ANY_TIME,
) -> list[AlertChange]:
    memory = memory or Memory.quiet(SLOTS)
    changes: list[AlertChange] = []
    for events in batches:
        changes += evaluate_events(events, rules, {"c1": CAMERA}, memory, situation, AREAS).changes
    return changes


REPORTS = [seen(), seen("update"), seen("update", score=0.1), seen("end"), seen("end"), seen("update")]


@pytest.mark.parametrize("together", [True, False])
def test_one_tracked_object_is_one_alert_from_its_first_report_to_its_last_whatever_is_repeated(together: bool) -> None:
    changes = run(REPORTS) if together else run(*([one] for one in REPORTS))
    assert [c.change for c in changes] == [Change.RAISED, Change.ENDED]
    assert (changes[0].alert.raised_at_us, changes[1].alert.ended_at_us) == (10_000_000, 20_000_000)
    assert changes[0].alert.id == changes[1].alert.id


def test_a_restart_in_the_middle_changes_nothing() -> None:
    for cut in range(len(REPORTS)):
        memory = Memory.quiet(SLOTS)
        before = run(REPORTS[:cut], memory=memory)
        after = run(REPORTS[cut:], memory=thaw(freeze(memory, SLOTS), SLOTS))
        assert [*before, *after] == run(REPORTS)


@pytest.mark.parametrize(
    "event", [seen(kind="car"), seen(score=0.69), seen(zones=()), seen(zones=("yard",)), seen("end", score=0.1)]
)
def test_another_object_place_or_a_doubtful_sight_raises_nothing(event: CameraEvent) -> None:
    assert run([event]) == []


def test_a_rule_without_zones_looks_everywhere() -> None:
    assert len(run([seen(zones=())], rules=[rule(zones=())])) == 1


@pytest.mark.parametrize(
    ("where", "raised"),
    [
        (Where(sensors=("c1",)), 1),
        (Where(sensors=("c2",)), 0),
        (Where(not_sensors=("c1",)), 0),
        (Where(regions=("2",)), 1),
        (Where(regions=("3",)), 0),
        (Where(inside="square"), 1),
        (Where(inside="elsewhere"), 0),
        (Where(outside="square"), 0),
    ],
)
def test_a_rule_is_for_the_cameras_that_it_says(where: Where, raised: int) -> None:
    assert len(run([seen()], rules=[rule(where=where)])) == raised


def test_what_must_last_is_raised_by_the_first_report_after_that_time() -> None:
    loitering = rule(lasting_s=30.0)
    assert run([seen(at=39.9)], rules=[loitering]) == []
    [raised] = run([seen(at=12.0), seen("update", at=41.0)], rules=[loitering])
    assert raised.alert.raised_at_us == 41_000_000
    assert (raised.alert.why["for_s"], raised.alert.why["held_s"]) == (30.0, 31.0)
    assert raised.alert.why["since"] == "1970-01-01T00:00:10Z"


def test_outside_its_hours_it_is_suppressed_and_an_open_alert_ends() -> None:
    early = rule(when=When(hours=("00:00-01:00",)))
    hour = 3600.0
    assert run([seen(at=2 * hour)], rules=[early]) == []
    raised, ended = run([seen()], [seen("update", at=2 * hour), seen("update", at=25 * hour)], rules=[early])
    assert (raised.change, ended.change, ended.alert.ended_at_us) == (Change.RAISED, Change.ENDED, 7200_000_000)
    assert ended.alert.why["ended_by"] == "when"


def test_an_open_camera_alert_is_recalled_and_ends() -> None:
    [raised] = run([seen()])
    ended = run([seen("update"), seen("end")], memory=recall(SLOTS, [raised.alert]))
    assert [c.change for c in ended] == [Change.ENDED]


def test_of_those_that_ended_only_so_many_are_remembered() -> None:
    memory = Memory.quiet(SLOTS)
    run([one for n in range(10_050) for one in (seen(key=str(n)), seen("end", key=str(n)))], memory=memory)
    assert len(memory.camera_ended) == 10_000
