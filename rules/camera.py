"""Camera events in, phase changes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from shapely import Polygon

from rules.alert import Alert, AlertChange, Change, Source, alert_id
from rules.evaluation import Evaluation
from rules.memory import Memory
from rules.rule import CameraRule
from rules.situation import Situation
from rules.slots import SECOND_US
from rules.statistic.moment import rfc3339
from rules.when import ALWAYS, is_met
from rules.where import is_met as stands_there
from rules.where import is_named
from video.camera import Camera, CameraEvent

_NOWHERE: Final[Mapping[str, Polygon]] = {}


def evaluate_events(
    events: Sequence[CameraEvent],
    rules: Sequence[CameraRule],
    cameras: Mapping[str, Camera],
    memory: Memory,
    situation: Situation,
    areas: Mapping[str, Polygon] = _NOWHERE,
) -> Evaluation:
    """Phase changes that camera events bring; ``memory.camera_firing`` is changed in place.

    The same event (camera, key) has one alert, whatever was repeated. It holds once the event has lasted as long as the rule
    asks, by the event's own times, and it is judged by ``when`` at the time of each report.
    """
    found = Evaluation()
    for event in events:
        camera = cameras[event.camera]
        for rule in rules:
            if not is_named(rule.where, camera.id, camera.scope):
                continue
            if not stands_there(rule.where, camera.lng, camera.lat, areas):
                continue
            key = (rule.id, camera.id, str(alert_id(rule.id, camera.id, event.key)))
            for change in _step(event, rule, camera, memory.camera_firing.get(key), memory, situation):
                found.changes.append(change)
                if change.change is Change.ENDED:
                    del memory.camera_firing[key]
                else:
                    memory.camera_firing[key] = change.alert
    return found


def _step(
    event: CameraEvent,
    rule: CameraRule,
    camera: Camera,
    alert: Alert | None,
    memory: Memory,
    situation: Situation,
) -> Iterator[AlertChange]:
    at_us = round(event.at * SECOND_US)
    counts = rule.when == ALWAYS or is_met(rule.when, at_us, camera.scope, rule.domain, situation)
    identity = alert_id(rule.id, camera.id, event.key)
    if alert is None and counts and _holds(event, rule) and identity not in memory.camera_ended:
        alert = _raised(event, rule, camera, at_us)
        yield AlertChange(Change.RAISED, alert)
    if alert is not None and (event.phase == "end" or not counts):
        ended_at_us = round((event.ended_at or event.at) * SECOND_US) if counts else at_us
        why = {**alert.why, "ended_by": "value" if counts else "when"}
        memory.remember_ended(identity, at_us)
        yield AlertChange(
            Change.ENDED, replace(alert, ended_at_us=ended_at_us, at_us=at_us, version=alert.version + 1, why=why)
        )


def _holds(event: CameraEvent, rule: CameraRule) -> bool:
    inside = not rule.zones or not set(rule.zones).isdisjoint(event.zones)
    lasted_s = event.at - event.started_at
    return event.kind == rule.event and event.score >= rule.min_score and inside and lasted_s >= rule.lasting_s


def _raised(event: CameraEvent, rule: CameraRule, camera: Camera, at_us: int) -> Alert:
    started_at_us = round(event.started_at * SECOND_US)
    why: dict[str, object] = {"kind": "camera_event", "event": event.kind, "zones": list(event.zones)}
    if rule.lasting_s:
        held_s = round(event.at - event.started_at, 3)
        why |= {"for_s": rule.lasting_s, "since": rfc3339(started_at_us), "held_s": held_s}
    return Alert(
        id=alert_id(rule.id, camera.id, event.key),
        rule=rule.id,
        rule_version=rule.version,
        source=Source(
            "camera", camera.id, camera.name, camera.cell, camera.region, camera.scope, camera.lng, camera.lat
        ),
        domain=rule.domain,
        category=rule.category,
        severity=rule.severity,
        title=f"{rule.title.zh}，{rule.action.zh}",
        title_en=f"{rule.title.en}: {rule.action.en}",
        quantity=rule.event,
        unit="1",
        value=event.score,
        threshold=rule.min_score,
        # With a duration it is raised once that is over, like every other rule.
        raised_at_us=at_us if rule.lasting_s else started_at_us,
        at_us=at_us,
        why=why,
    )
