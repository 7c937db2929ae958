"""Whose messages come first when more wait than a batch holds: sensors that may raise the gravest alerts, or have one open."""

from __future__ import annotations

from collections.abc import Iterable

from ingest.sensor import Catalogue, Sensor
from rules.judge import Layout, Memory


def gravest_topics(layout: Layout, catalogue: Catalogue) -> frozenset[str]:
    """Topics of the sensors that have a rule whose highest level is as grave as any rule's."""
    slots = layout.slots
    worst = [max((level.severity for level in ladder.levels), default=0) for ladder in slots.ladders]
    gravest = max(worst, default=0)
    grave = {ladder for ladder, severity in enumerate(worst) if severity == gravest}
    rows = zip(slots.ladder.tolist(), slots.sensor.tolist(), strict=True)
    return _topics({sensor for ladder, sensor in rows if ladder in grave}, catalogue)


def open_topics(layout: Layout, memory: Memory, catalogue: Catalogue) -> frozenset[str]:
    """Topics of the sensors that have an open alert."""
    return _topics({int(layout.slots.sensor[slot]) for slot in memory.slots.firing}, catalogue)


def _topics(numbers: Iterable[int], catalogue: Catalogue) -> frozenset[str]:
    found = (catalogue.by_n[n] for n in numbers if n in catalogue.by_n)
    return frozenset(topic for sensor in found for topic in _of(sensor))


def _of(sensor: Sensor) -> tuple[str, str]:
    # All of a sensor's topics, so that what it says stays in order.
    own = f"cc/v1/{sensor.county}/{sensor.id}"
    return f"{own}/reading", f"{own}/state"
