"""What the rules remember between two batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple
from uuid import UUID

import numpy as np

from gis.locate import CellPlace
from rules import learnt
from rules.alert import Alert
from rules.order import HoldBack
from rules.slots import MOST_LEVELS, NEVER, Numbers, Slots
from rules.statistic import Statistic

BUSY: Final = 1
"""An alert is open, or a duration is running."""
CLEARING: Final = 2
"""An open alert's value is on the good side, and has to stay there."""

_SMALL_STEP_US: Final = 60_000_000
_ENDED_KEPT: Final = 10_000


class Views(NamedTuple):
    """See Memory; ``since_us`` is flat."""

    last_us: memoryview
    heard_us: memoryview
    by_receipt: memoryview
    stirred: memoryview
    rung: memoryview
    busy: memoryview
    since_us: memoryview


@dataclass
class Memory:
    """Changed in place by evaluation; thrown away and made again when what it found could not be stored.

    ``stream`` is the layout's, by slot. By stream, int64 epoch microseconds: ``last_us`` the newest reading that counted,
    ``heard_us`` when it was received; ``by_receipt`` bool: its time is that of receipt. By slot: ``rung`` int8 of its ladder
    (0 quiet), ``busy`` uint8 of BUSY and CLEARING, ``since_us`` int64 x MOST_LEVELS (NEVER where the level does not hold). By
    pair: ``stirred`` bool, some plain slot of it may be busy. By learner: ``learnt``, the records of rules.learnt.

    The rest is sparse. By slot: open alerts, since when the good side holds, when alerts were raised (for damping), the
    ``last_us`` at which silence was told, where a moving sensor was last, statistics, those that are frozen and not needed yet
    (``sleeping``), and the time before which a statistic may not be told one (``floor_us``: the clock stepped back). By stream:
    readings ``held`` back. By rule, camera and alert: ``camera_firing``; ``camera_ended`` are alerts whose event is over, for
    what is repeated.
    """

    stream: Numbers
    last_us: Numbers
    heard_us: Numbers
    by_receipt: Numbers
    rung: Numbers
    busy: Numbers
    since_us: Numbers
    stirred: Numbers
    learnt: Numbers
    firing: dict[int, Alert] = field(default_factory=dict)
    clearing: dict[int, int] = field(default_factory=dict)
    raises: dict[int, list[int]] = field(default_factory=dict)
    told_us: dict[int, int] = field(default_factory=dict)
    places: dict[int, CellPlace] = field(default_factory=dict)
    statistics: dict[int, Statistic] = field(default_factory=dict)
    floor_us: dict[int, int] = field(default_factory=dict)
    held: dict[int, HoldBack] = field(default_factory=dict)
    camera_firing: dict[tuple[str, str, str], Alert] = field(default_factory=dict)
    camera_ended: dict[UUID, int] = field(default_factory=dict)
    sleeping: dict[int, Any] = field(default_factory=dict)
    forgotten: int = 0
    """Statistics and records that began anew: they could not be read, or their rule computes something else by now."""

    @classmethod
    def quiet(cls, slots: Slots) -> Memory:
        """Nothing was ever heard."""
        streams, count = len(slots.stream_pair), len(slots)
        return cls(
            slots.stream,
            np.full(streams, NEVER, dtype="i8"),
            np.full(streams, NEVER, dtype="i8"),
            np.zeros(streams, dtype=bool),
            np.zeros(count, dtype="i1"),
            np.zeros(count, dtype="u1"),
            np.full((count, MOST_LEVELS), NEVER, dtype="i8"),
            np.zeros(len(slots.pairs), dtype=bool),
            learnt.fresh(len(slots.learners)),
        )

    @cached_property
    def views(self) -> Views:
        """The arrays for one element at a time, which a memory view reads several times faster."""
        arrays = (
            self.last_us,
            self.heard_us,
            self.by_receipt,
            self.stirred,
            self.rung,
            self.busy,
            self.since_us.reshape(-1),
        )
        return Views(*(array.data for array in arrays))

    def listening(self, now_us: int) -> None:
        """Nobody could be heard before now (a start, a lost connection): silence is counted from now on."""
        known = self.last_us != NEVER
        self.heard_us[known] = np.maximum(self.heard_us[known], now_us)

    def remember_ended(self, alert: UUID, at_us: int) -> None:
        """A camera's event is over; the oldest of many are forgotten."""
        self.camera_ended[alert] = at_us
        while len(self.camera_ended) > _ENDED_KEPT:
            del self.camera_ended[next(iter(self.camera_ended))]

    def clock_stepped(self, delta_us: int) -> None:
        """The server's clock stepped by ``delta_us``: every anchor that stems from it moves along, so no timer runs early."""
        self.heard_us[self.heard_us != NEVER] += delta_us
        moved = self.by_receipt & (self.last_us != NEVER)
        self._keep_statistics_in_order(moved, delta_us)
        self.last_us[moved] += delta_us
        slots = np.flatnonzero(moved[self.stream] & (self.busy != 0))
        since_us = self.since_us[slots]
        self.since_us[slots] = np.where(since_us == NEVER, NEVER, since_us + delta_us)
        for times in (self.clearing, self.told_us):
            times.update({slot: us + delta_us for slot, us in times.items() if moved[self.stream[slot]]})
        for slot, raised in self.raises.items():
            if moved[self.stream[slot]]:
                raised[:] = [us + delta_us for us in raised]
        for held in self.held.values():
            held.stepped(delta_us)

    def _keep_statistics_in_order(self, moved: Numbers, delta_us: int) -> None:
        """A statistic's own times cannot move, and never go back. It waits for a small step back, and forgets for a large one:
        what it remembers would lie in the future, and count for too long.
        """
        if delta_us >= 0:
            return
        for slot, statistic in self.statistics.items():
            stream = self.stream[slot]
            if not moved[stream]:
                continue
            if delta_us < -_SMALL_STEP_US:
                statistic.forget()
                self.floor_us.pop(slot, None)
            else:
                self.floor_us[slot] = max(self.floor_us.get(slot, NEVER), int(self.last_us[stream]))
