"""What rules remember, carried over to a city that was read anew."""

from __future__ import annotations

import numpy as np

from rules.evaluate import Memory, Slots


def carried(memory: Memory, before: Slots, after: Slots) -> Memory:
    """The same memory by the slots of ``after``: a rule on a sensor goes on where it stood, whatever its new number.

    Slots of rules or sensors that are gone are forgotten; new ones begin quiet.
    """
    place = {key: index for index, key in enumerate(_keys(before))}
    found = np.array([place.get(key, -1) for key in _keys(after)], dtype="i8")
    kept = np.flatnonzero(found >= 0)
    memory_after = Memory.quiet(after)
    memory_after.seen_us[kept] = memory.seen_us[found[kept]]
    memory_after.rung[kept] = memory.rung[found[kept]]
    new_place = dict(zip(found[kept].tolist(), kept.tolist(), strict=True))
    memory_after.firing = {new_place[slot]: alert for slot, alert in memory.firing.items() if slot in new_place}
    memory_after.camera_firing = dict(memory.camera_firing)
    return memory_after


def _keys(slots: Slots) -> list[tuple[str, int]]:
    return [(slots.rules[rule].id, n) for rule, n in zip(slots.rule.tolist(), slots.sensor.tolist(), strict=True)]
