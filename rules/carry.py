"""What rules remember, carried over to a city that was read anew."""

from __future__ import annotations

from rules.evaluate import stand
from rules.freeze import pack, unpack
from rules.memory import Memory
from rules.slots import Slots


def carried(memory: Memory, before: Slots, after: Slots) -> Memory:
    """The same memory by the slots of ``after``: a rule on a sensor goes on where it stood, whatever its new number.

    Slots of rules or sensors that are gone are forgotten; new ones begin quiet. A rule that changed begins anew, but its open
    alerts stay open and end by the new rule.
    """
    found = unpack(pack(memory, before), after)
    found.forgotten += memory.forgotten
    placed = {alert.id for alert in found.firing.values()}
    stand(after, found, [alert for alert in memory.firing.values() if alert.id not in placed])
    return found
