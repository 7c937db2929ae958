"""What the cameras of a scenario report, in the shape of Frigate's ``events`` topic: people in a closed-off zone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from command_center.demo.scenario import Scenario

ZONE: Final = "restricted"
PEOPLE: Final = 4

_FIRST_S = 45.0
_APART_S = 30.0
_UPDATES_S = (0.0, 6.0, 12.0, 24.0, 36.0)
_GONE_S = 48.0


def events(scenario: Scenario, since: float, until: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """County and payload of every event with ``since < time <= until`` (epoch seconds), in time order for each person."""
    for camera, county in scenario.cameras:
        for person in range(PEOPLE):
            seen_at = scenario.started_at + _FIRST_S + _APART_S * person
            for step, offset in enumerate((*_UPDATES_S, _GONE_S)):
                if since < seen_at + offset <= until:
                    yield county, _payload(camera, person, seen_at, step, offset)


def _payload(camera: str, person: int, seen_at: float, step: int, offset: float) -> dict[str, Any]:
    last = len(_UPDATES_S)
    kind = "new" if step == 0 else "end" if step == last else "update"
    before = _object(camera, person, seen_at, max(step - 1, 0), (*_UPDATES_S, _GONE_S)[max(step - 1, 0)])
    after = _object(camera, person, seen_at, step, offset)
    if kind == "end":
        after["end_time"] = seen_at + offset
    return {"type": kind, "before": before, "after": after}


def _object(camera: str, person: int, seen_at: float, step: int, offset: float) -> dict[str, Any]:
    """A tracked person: unsure and outside the zone at first, then surer and inside."""
    score = round(min(0.58 + 0.11 * step, 0.91) - 0.01 * person, 3)
    left = 300 + 60 * step + 20 * person
    inside = 1 <= step < len(_UPDATES_S)
    return {
        "id": f"{seen_at:.6f}-demo{person}",
        "camera": camera,
        "frame_time": seen_at + offset,
        "label": "person",
        "sub_label": None,
        "score": score,
        "top_score": score,
        "false_positive": False,
        "start_time": seen_at,
        "end_time": None,
        "box": [left, 320, left + 110, 620],
        "area": 110 * 300,
        "current_zones": [ZONE] if inside else [],
        "entered_zones": [ZONE] if step >= 1 else [],
        "has_snapshot": False,
        "has_clip": False,
        "active": True,
        "stationary": False,
    }
