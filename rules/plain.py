"""Plain slots and many readings: the machine's step for a whole batch at once.

Three sieves, each finer than the one before. By reading: most change nothing, which the pair's screen tells. By slot: of
what is left, most numbers meet slots that they do not move. What remains, alerts and silences, takes the machine's own step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.machine import Machine, Origin
from rules.memory import BUSY, CLEARING, Memory
from rules.slots import FIRE, HOLD, MOST_LEVELS, NEVER, Numbers, Slots

_RUNGS: Final = np.arange(1, MOST_LEVELS + 1, dtype="i1")


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Readings that meet pairs, in order of arrival; columns of equal length. Times int64 epoch microseconds.

    ``row`` of the batch, ``pair``, ``at_us`` that counts, ``value``; ``before_us``: the newest time of the stream before.
    """

    row: Numbers
    pair: Numbers
    at_us: Numbers
    value: Numbers
    before_us: Numbers

    def take(self, chosen: Numbers) -> Arrivals:
        return Arrivals(*(column[chosen] for column in (self.row, self.pair, self.at_us, self.value, self.before_us)))


def before(last_us: Numbers, pair: Numbers, at_us: Numbers) -> tuple[Numbers, Numbers]:
    """For each reading the newest time of its stream before it, and whether the reading is no older than that."""
    order = np.argsort(pair, kind="stable")
    pairs, times = pair[order], at_us[order]
    begins = np.empty(len(pairs), dtype=bool)
    begins[:1] = True
    begins[1:] = pairs[1:] != pairs[:-1]
    newest = np.empty_like(times)
    newest[1:] = times[:-1]
    newest[begins] = last_us[pairs[begins]]
    if (times < newest).any():
        # Each segment's running maximum; readings out of turn are few, batches with one are not many.
        running = newest.tolist()
        for i, (begin, at) in enumerate(zip(begins.tolist()[1:], times.tolist()[:-1], strict=True), 1):
            if not begin:
                running[i] = max(running[i - 1], at)
        newest = np.array(running, dtype="i8")
    found = np.empty_like(newest)
    found[order] = newest
    return found, at_us >= found


def meet(machine: Machine, slots: Slots, memory: Memory, arrivals: Arrivals, origin: Origin, many: int) -> None:
    """Take readings that are in turn to the plain slots of their pairs."""
    screen, pair = slots.screen, arrivals.pair
    stirs = (arrivals.value >= screen.high[pair]) | (arrivals.value <= screen.low[pair]) | memory.stirred[pair]
    if slots.table.fires:
        stirs |= arrivals.at_us - arrivals.before_us > screen.fire_after_us[pair]
    if not stirs.any():
        return
    # What stirs a pair may make the pair's later readings matter that would not by themselves.
    marked = np.zeros(len(slots.pairs), dtype=bool)
    marked[pair[stirs]] = True
    chosen = np.flatnonzero(marked[pair])
    stirring = arrivals.take(chosen)
    _meet_slots(machine, slots, memory, stirring, origin, many)
    pairs = np.unique(stirring.pair)
    pairs = pairs[slots.starts[pairs + 1] > slots.starts[pairs]]
    if len(pairs):
        count = slots.starts[pairs + 1] - slots.starts[pairs]
        busy = memory.busy[_ranges(slots.starts[pairs], count)] != 0
        memory.stirred[pairs] = np.logical_or.reduceat(busy, np.cumsum(count) - count)


def _meet_slots(machine: Machine, slots: Slots, memory: Memory, arrivals: Arrivals, origin: Origin, many: int) -> None:
    """All slots of the readings' pairs, in rounds: the first reading of each pair, then the second, …"""
    count = slots.starts[arrivals.pair + 1] - slots.starts[arrivals.pair]
    reading = np.repeat(np.arange(len(count)), count)
    slot = _ranges(slots.starts[arrivals.pair], count)
    table, ladder = slots.table, slots.ladder[slot]
    x = table.sign[ladder] * arrivals.value[reading]
    lapse_us = (arrivals.at_us - arrivals.before_us)[reading]
    moves = (x >= table.at[ladder, 0]) | (memory.busy[slot] != 0)
    if table.fires:
        moves |= lapse_us > table.fire_after_us[ladder]
    turn = _turns(arrivals.pair)
    rounds = int(turn.max()) + 1
    if rounds > 1:
        marked = np.zeros(slots.plain, dtype=bool)
        marked[slot[moves]] = True
        moves = marked[slot]
    entry = np.flatnonzero(moves)
    for number in range(rounds):
        now = entry if rounds == 1 else entry[turn[reading[entry]] == number]
        if len(now) >= many:
            now = now[_settle(slots, memory, slot[now], x[now], arrivals.at_us[reading[now]], lapse_us[now])]
        for i in now.tolist():
            r = int(reading[i])
            at_us, before_us, value = int(arrivals.at_us[r]), int(arrivals.before_us[r]), float(arrivals.value[r])
            step(machine, slots, int(slot[i]), at_us, before_us, value, int(arrivals.row[r]), origin)


def step(
    machine: Machine, slots: Slots, slot: int, at_us: int, before_us: int, value: float, row: int, origin: Origin
) -> None:
    """One reading and one slot."""
    ladder = slots.ladders[slots.ladder[slot]]
    if at_us - before_us > ladder.gap_after_us:
        machine.advance(slot, ladder, before_us, at_us, row, reading=True)
    machine.judge(slot, ladder, at_us, ladder.sign * value, value, row, origin)


def _settle(slots: Slots, memory: Memory, slot: Numbers, x: Numbers, at_us: Numbers, lapse_us: Numbers) -> Numbers:
    """Settle the (different) slots that only keep or stop their durations; the indices of the others."""
    table, ladder = slots.table, slots.ladder[slot]
    rung, busy, since = memory.rung[slot], memory.busy[slot], memory.since_us[slot]
    gap, kind = lapse_us > table.gap_after_us[ladder], table.gap[ladder]
    holds = x[:, None] >= table.at[ladder]
    runs = since != NEVER
    # A gap under ``hold`` is time that does not count.
    since += np.where(runs & (gap & (kind == HOLD))[:, None], lapse_us[:, None], 0)
    since = np.where(holds, np.where(runs, since, at_us[:, None]), NEVER)
    served = holds & (at_us[:, None] - since >= table.for_us[ladder])
    reached = (served * _RUNGS).max(axis=1)
    others = (
        (gap & (kind != HOLD) & ((busy != 0) | (kind == FIRE)))
        | ((rung > 0) & (x < table.clear[ladder]))
        | ((busy & CLEARING) != 0)
        | (reached > rung)
    )
    settled = ~others
    memory.since_us[slot[settled]] = since[settled]
    memory.busy[slot[settled]] = np.where(holds[settled, 0] | (rung[settled] > 0), BUSY, 0)
    left: Numbers = np.flatnonzero(others)
    return left


def _ranges(begin: Numbers, count: Numbers) -> Numbers:
    """begin[0], begin[0] + 1, … for ``count[0]``, then the same from begin[1], and so on."""
    found: Numbers = np.arange(count.sum()) + np.repeat(begin - (np.cumsum(count) - count), count)
    return found


def _turns(pair: Numbers) -> Numbers:
    """Which reading of its pair each is: 0 the first."""
    order = np.argsort(pair, kind="stable")
    pairs = pair[order]
    begins = np.flatnonzero(np.append(True, pairs[1:] != pairs[:-1]))
    turn = np.arange(len(pairs)) - np.repeat(begins, np.diff(np.append(begins, len(pairs))))
    found = np.empty_like(turn)
    found[order] = turn
    return found
