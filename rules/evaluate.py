"""Readings and the clock in, phase changes out.

Event time rules: a reading counts at its device's time, or at that of its receipt when its clock runs ahead. One that is
older than the newest of its stream is left out and counted, and a historical one (LATE) never alerts. How readings are cut
into batches changes nothing; a few are taken one at a time, many at once (rules.plain), with the same results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from math import inf, isnan
from typing import Final, NamedTuple

import numpy as np
from shapely import Polygon

from gis.locate import CellPlace, LocatedBatch
from ingest.reading import AHEAD, FAULTY, LATE, NO_TIME, OUT_OF_RANGE, OUTSIDE_CITY
from rules import learnt, plain
from rules.alert import Alert
from rules.evaluation import Evaluation
from rules.machine import Machine, Origin
from rules.memory import BUSY, Memory
from rules.order import Held, HoldBack
from rules.situation import Situation
from rules.slots import MOST_LEVELS, NEVER, QUANTITIES, RESET, Lane, Numbers, Slots, Walk, covers, lay_out
from rules.statistic import Statistic
from rules.statistic.make import make

__all__ = ["Evaluation", "Memory", "Slots", "evaluate", "lay_out", "recall", "stand", "tick"]

MANY: Final = 96
"""Readings or slots from which on it is faster to take them at once."""

_NEVER_COUNT: Final = LATE | OUT_OF_RANGE | OUTSIDE_CITY | FAULTY
_BY_RECEIPT: Final = AHEAD | NO_TIME


def evaluate(
    batch: LocatedBatch, slots: Slots, memory: Memory, situation: Situation, *, many: int = MANY
) -> Evaluation:
    """Phase changes of a batch. ``memory`` is changed in place; ``many`` changes no result."""
    run = _Run(slots, memory, situation, batch)
    if len(batch.readings.sensor) < many:
        run.one_at_a_time()
    elif len(slots.pairs):
        run.at_once(many)
    run.judge_learners()
    return run.evaluation()


def tick(now_us: int, slots: Slots, memory: Memory, situation: Situation) -> Evaluation:
    """What the clock of receipt brings by itself: readings held back long enough, silences, rules whose hours end.

    It comes to what a later reading would come to as well, only sooner.
    """
    run = _Run(slots, memory, situation, None)
    heard = memory.heard_us
    heard[(memory.last_us != NEVER) & (heard == NEVER)] = now_us
    for stream, held in memory.held.items():
        if held.waiting:
            run.release(slots.of_stream[stream], held.pop(_until(run, stream, now_us)), 0)
    run.judge_learners()
    machine = run.machine
    for slot in sorted({*_silent(slots, memory, now_us), *_watched(slots, memory)}):
        stream, ladder = int(slots.stream[slot]), slots.ladders[slots.ladder[slot]]
        last_us = int(memory.last_us[stream])
        machine.advance(slot, ladder, last_us, max(last_us, _until(run, stream, now_us)), 1, reading=False)
        if slot < slots.plain:
            memory.stirred[stream] = True
    return run.evaluation()


def _until(run: _Run, stream: int, now_us: int) -> int:
    """How far a stream's own time has come by the clock of receipt."""
    memory, held = run.memory, run.memory.held.get(stream)
    newest = int(memory.last_us[stream]) if held is None else held.newest_us
    return newest + now_us - int(memory.heard_us[stream]) - int(run.slots.stream_disorder_us[stream])


def _silent(slots: Slots, memory: Memory, now_us: int) -> list[int]:
    """Slots that silence may raise by now."""
    if not len(slots.fire):
        return []
    stream, table = slots.stream[slots.fire], slots.table
    last, lapse = memory.last_us[stream], now_us - memory.heard_us[stream]
    due = np.flatnonzero((last != NEVER) & (lapse > table.gap_after_us[slots.ladder[slots.fire]]))
    slot, last, lapse = slots.fire[due], last[due], lapse[due]
    ladder, since = slots.ladder[slot], memory.since_us[slot]
    start = last + table.gap_after_us[ladder]
    since[:, 0] = np.where(since[:, 0] == NEVER, start, since[:, 0])
    moment = np.maximum(since + table.for_us[ladder], start[:, None])
    rungs = np.arange(1, MOST_LEVELS + 1)
    # The last reading of a stream that holds back came before its newest: until is asked exactly where it matters.
    raises = (since != NEVER) & (moment <= (last + lapse)[:, None]) & (rungs > memory.rung[slot][:, None])
    raises |= (slots.stream_disorder_us[slots.stream[slot]] > 0)[:, None]
    found: list[int] = slot[raises.any(axis=1)].tolist()
    return found


def _watched(slots: Slots, memory: Memory) -> list[int]:
    """Slots with an open alert that time alone may end."""
    ladders = slots.ladders
    return [
        slot
        for slot in memory.firing
        if (ladder := ladders[slots.ladder[slot]]).gap == RESET or ladder.when is not None
    ]


def recall(slots: Slots, open_alerts: Iterable[Alert], memory: Memory | None = None) -> Memory:
    """``memory`` (none: a quiet one) brought in line with the alerts that the database says are open.

    Ask it last: after what was received since the memory was frozen has been evaluated again.
    """
    memory = Memory.quiet(slots) if memory is None else memory
    alerts = {alert.id: alert for alert in open_alerts}
    for slot, firing in list(memory.firing.items()):
        known = alerts.pop(firing.id, None)
        if known is None:
            _forget(memory, slot)
        elif known.version > firing.version:
            memory.firing[slot] = known
    memory.camera_firing = {}
    stand(slots, memory, alerts.values())
    return memory


def stand(slots: Slots, memory: Memory, alerts: Iterable[Alert]) -> None:
    """Let open alerts stand where their rules and sensors are now."""
    for alert in alerts:
        if alert.source.kind == "camera":
            memory.camera_firing[alert.rule, alert.source.id, str(alert.id)] = alert
            continue
        against = alert.why.get("against")
        for slot in slots.find(alert.rule, alert.source.id):
            if against is not None and slots.against(slot) != against:
                continue
            # The ladder may have been edited since: the alert stands on the highest rung no graver than it. One that stands
            # below the whole ladder is left out, so that the new rule can raise its own.
            rung = sum(level.severity <= alert.severity for level in slots.ladders[slots.ladder[slot]].levels)
            if rung and slot not in memory.firing:
                stream = slots.stream[slot]
                memory.firing[slot] = alert
                memory.rung[slot] = rung
                memory.busy[slot] |= BUSY
                memory.last_us[stream] = max(memory.last_us[stream], alert.at_us)
                if slot < slots.plain:
                    memory.stirred[stream] = True


def _forget(memory: Memory, slot: int) -> None:
    del memory.firing[slot]
    memory.clearing.pop(slot, None)
    memory.rung[slot] = 0
    memory.busy[slot] = BUSY if memory.since_us[slot, 0] != NEVER else 0


class _Batch:
    """Where the readings of a batch come from (rules.machine.Origin)."""

    __slots__ = ("_at", "_batch", "_inside", "_slots")

    def __init__(self, batch: LocatedBatch, slots: Slots) -> None:
        self._batch = batch
        self._slots = slots
        self._inside: dict[int, list[bool]] = {}
        self._at: tuple[Numbers, Numbers] | None = None

    def cause(self, row: int) -> str:
        # The key alone may come again: a device without ids or times sends the same bytes for the next flood too.
        readings = self._batch.readings
        return f"{int(readings.key[row])}\0{int(readings.at[row : row + 1].view('i8')[0])}"

    def place(self, row: int) -> CellPlace | None:
        return self._batch.place(row)

    def position(self, row: int) -> tuple[float, float]:
        lng, lat = self._positions()
        return float(lng[row]), float(lat[row])

    def inside(self, area: Polygon, row: int) -> bool | None:
        found = self._inside.get(id(area))
        lng, lat = self._positions()
        if found is None:
            found = self._inside[id(area)] = covers(area, lng, lat).tolist()
        return None if np.isnan(lng[row]) else found[row]

    def _positions(self) -> tuple[Numbers, Numbers]:
        """(lng, lat) by row: the catalogue's for what stands still, NaN where it is not known."""
        if self._at is None:
            sensor, (lng, lat) = self._batch.readings.sensor, self._slots.home
            moves = np.isnan(lng[sensor])
            self._at = (
                np.where(moves, self._batch.lng, lng[sensor]),
                np.where(moves, self._batch.lat, lat[sensor]),
            )
        return self._at


class _Turn(NamedTuple):
    """A reading as a learner meets it."""

    slot: int
    walk: Walk
    last_us: int
    now_us: int
    value: float
    row: int
    origin: Origin


class _Run:
    """One call of ``evaluate`` or ``tick``. Most small batches bring nothing: machine and origin are made when needed."""

    def __init__(self, slots: Slots, memory: Memory, situation: Situation, batch: LocatedBatch | None) -> None:
        self.slots = slots
        self.memory = memory
        self.situation = situation
        self.disordered = 0
        self.turns: list[_Turn] = []
        self.last_us, self.heard_us, self.by_receipt, self.stirred, *_ = memory.views
        if batch is not None:
            self.batch = batch
            self.received_us: Numbers = batch.readings.received_at.view("i8")
            self.sent_at_us: Numbers = batch.readings.at.view("i8")

    @cached_property
    def machine(self) -> Machine:
        return Machine(self.slots, self.memory, self.situation)

    @cached_property
    def origin(self) -> _Batch:
        return _Batch(self.batch, self.slots)

    def evaluation(self) -> Evaluation:
        counts: Counter[str] = Counter()
        if self.disordered:
            counts["disordered"] = self.disordered
        return Evaluation(self.machine.changes() if "machine" in self.__dict__ else [], counts)

    def one_at_a_time(self) -> None:
        """Every reading by itself."""
        readings, by_key = self.batch.readings, self.slots.by_key
        last, heard, is_by_receipt, stirred = self.last_us, self.heard_us, self.by_receipt, self.stirred
        rows = zip(
            readings.sensor.tolist(),
            readings.quantity.tolist(),
            readings.value.tolist(),
            self.sent_at_us.tolist(),
            self.received_us.tolist(),
            readings.flags.tolist(),
            strict=True,
        )
        for row, (sensor, quantity, value, at_us, received_us, flags) in enumerate(rows):
            met = by_key.get(sensor * QUANTITIES + quantity)
            if met is None or flags & _NEVER_COUNT:
                continue
            pair, low, high, fire_after_us, hears, lanes = met
            # A clock far ahead must not silence its own later readings: such a reading counts as of its receipt.
            if flags & AHEAD:
                at_us = received_us
            before_us = last[pair]
            in_turn = at_us >= before_us
            by_receipt = flags & _BY_RECEIPT != 0
            if hears:
                if in_turn:
                    last[pair] = at_us
                    heard[pair] = received_us
                    is_by_receipt[pair] = by_receipt
                    if value >= high or value <= low or stirred[pair] or at_us - before_us > fire_after_us:
                        self._meet_plain(pair, at_us, before_us, value, row)
                else:
                    self.disordered += 1
            if lanes:
                self._walk_lanes(pair, row, at_us, received_us, by_receipt, value, before_us, in_turn)

    def _meet_plain(self, pair: int, at_us: int, before_us: int, value: float, row: int) -> None:
        slots, busy = self.slots, self.machine.busy
        stirred = False
        for slot in range(slots.begins[pair], slots.begins[pair + 1]):
            sign, first, fire_after_us = slots.quick[slots.ladder[slot]]
            if sign * value >= first or busy[slot] or at_us - before_us > fire_after_us:
                plain.step(self.machine, slots, slot, at_us, before_us, value, row, self.origin)
                stirred = stirred or busy[slot] != 0
        self.stirred[pair] = stirred

    def at_once(self, many: int) -> None:
        """The plain slots of all readings together, then the walked ones."""
        slots, memory, readings = self.slots, self.memory, self.batch.readings
        rows = np.flatnonzero((readings.flags & _NEVER_COUNT) == 0)
        key = readings.sensor[rows].astype("i8") * QUANTITIES + readings.quantity[rows]
        pair = np.minimum(np.searchsorted(slots.pairs, key), len(slots.pairs) - 1)
        met = slots.pairs[pair] == key
        row, pair = rows[met], pair[met]
        if not len(row):
            return
        flags, received_us = readings.flags[row], self.received_us[row]
        at_us, by_receipt = np.where(flags & AHEAD, received_us, self.sent_at_us[row]), (flags & _BY_RECEIPT) != 0
        before_us, in_turn = plain.before(memory.last_us, pair, at_us)
        hears = slots.hears[pair]
        self.disordered += int((hears & ~in_turn).sum())
        counts = in_turn & hears
        arrivals = plain.Arrivals(row, pair, at_us, readings.value[row], before_us)
        arrived = arrivals if counts.all() else arrivals.take(counts)
        # Of several readings of a stream the last one stays.
        memory.last_us[arrived.pair] = arrived.at_us
        memory.heard_us[arrived.pair] = self.received_us[arrived.row]
        memory.by_receipt[arrived.pair] = by_receipt[counts]
        plain.meet(self.machine, slots, memory, arrived, self.origin, many)
        walked = np.flatnonzero(slots.has_lanes[pair])
        columns = (pair, row, at_us, received_us, by_receipt, arrivals.value, before_us, in_turn)
        for found in zip(*(column[walked].tolist() for column in columns), strict=True):
            self._walk_lanes(*found)

    def _walk_lanes(
        self,
        pair: int,
        row: int,
        at_us: int,
        received_us: int,
        by_receipt: bool,
        value: float,
        before_us: int,
        in_turn: bool,
    ) -> None:
        for lane in self.slots.lanes[pair]:
            if not lane.disorder_us:
                if in_turn:
                    self._walk(lane, at_us, received_us, by_receipt, value, before_us, row, self.origin)
            elif at_us < self.last_us[lane.stream]:
                self.disordered += 1
            else:
                self._hold_back(lane, row, at_us, received_us, by_receipt, value)

    def _hold_back(self, lane: Lane, row: int, at_us: int, received_us: int, by_receipt: bool, value: float) -> None:
        key, sent_at_us = int(self.batch.readings.key[row]), int(self.sent_at_us[row])
        lng, lat, spot = lane.lng, lane.lat, None
        if isnan(lng):
            lng, lat, spot = *self.origin.position(row), self.origin.place(row)
        held = Held(at_us, value, key, sent_at_us, 0, received_us, by_receipt, lng, lat, spot)
        waiting = self.memory.held.get(lane.stream)
        if waiting is None:
            waiting = self.memory.held[lane.stream] = HoldBack()
        self.heard_us[lane.stream] = received_us
        self.release(lane, waiting.push(held, lane.disorder_us), row)

    def release(self, lane: Lane, readings: Iterable[Held], row: int) -> None:
        """Readings that were held back go on."""
        for held in readings:
            before_us = self.last_us[lane.stream]
            self.last_us[lane.stream] = held.at_us
            self.by_receipt[lane.stream] = held.by_receipt
            self._walk(lane, held.at_us, held.received_us, held.by_receipt, held.value, before_us, row, held)

    def _walk(
        self,
        lane: Lane,
        at_us: int,
        received_us: int,
        by_receipt: bool,
        value: float,
        before_us: int,
        row: int,
        origin: Origin,
    ) -> None:
        """One reading and the walked slots of its lane."""
        walks, first_walked, statistics = self.slots.walks, self.slots.plain, self.memory.statistics
        for slot, place in lane.entries:
            walk = walks[slot - first_walked]
            if walk.own:
                # Inputs cross in time; the slot's own time is that of its newest.
                stream = walk.stream
                last_us = self.last_us[stream]
                now_us = self.last_us[stream] = at_us if at_us > last_us else last_us
                self.heard_us[stream] = received_us
                self.by_receipt[stream] = by_receipt
            else:
                last_us, now_us = before_us, at_us
            if walk.learner >= 0:
                self.turns.append(_Turn(slot, walk, last_us, now_us, value, row, origin))
                continue
            silent, is_there, y = self._approach(slot, walk, last_us, now_us, value, row, origin)
            if walk.computes and is_there:
                statistic = statistics.get(slot) or self._statistic(slot)
                if silent and walk.ladder.gap == RESET:
                    statistic.forget()
                y = statistic.take(self._told_us(slot, at_us) if self.memory.floor_us else at_us, value, place)
            self._judge(slot, walk, last_us, now_us, silent, is_there, y, row, origin)

    def _approach(
        self, slot: int, walk: Walk, last_us: int, now_us: int, value: float, row: int, origin: Origin
    ) -> tuple[bool, bool, float | None]:
        """What the time before a reading brings; whether it was silent, whether the reading counts there, and its value."""
        ladder = walk.ladder
        silent = now_us - last_us > ladder.gap_after_us and last_us != NEVER
        if silent or ladder.when is not None:
            self.machine.advance(slot, ladder, last_us, now_us, row, reading=True)
        return silent, *(self._where(slot, walk, value, origin, row) if walk.asks_place else (True, value))

    def _judge(
        self,
        slot: int,
        walk: Walk,
        last_us: int,
        now_us: int,
        silent: bool,
        is_there: bool,
        y: float | None,
        row: int,
        origin: Origin,
    ) -> None:
        """One more number of a walked slot."""
        machine, ladder = self.machine, walk.ladder
        if ladder.when is not None and not machine.counts(slot, ladder, now_us):
            return
        if not is_there:
            machine.judge(slot, ladder, now_us, -inf, None, row, origin)
        elif y is not None:
            x = ladder.sign * y
            if x >= ladder.at[0] or machine.busy[slot]:
                machine.judge(slot, ladder, now_us, x, y, row, origin)
        elif machine.busy[slot] and not silent:
            # Not known: nothing moves, and durations do not count the time.
            machine.shift(slot, now_us - last_us)

    def judge_learners(self) -> None:
        """What waited for judgement by what is usual for its sensor, in rounds of one reading of each slot.

        Slots do not look at each other, so that a reading may be judged after later ones of other slots.
        """
        rounds: list[list[_Turn]] = []
        met: Counter[int] = Counter()
        for turn in self.turns:
            if met[turn.slot] == len(rounds):
                rounds.append([])
            rounds[met[turn.slot]].append(turn)
            met[turn.slot] += 1
        self.turns = []
        for turns in rounds:
            self._judge_round(turns)

    def _judge_round(self, turns: list[_Turn]) -> None:
        """One reading each of different learners."""
        slots, found = self.slots, [self._approach(*turn) for turn in turns]
        there = [turn for turn, (_, is_there, _) in zip(turns, found, strict=True) if is_there]
        rows = np.array([turn.walk.learner for turn in there], dtype="i8")
        at_us = np.array([turn.now_us for turn in there], dtype="i8")
        value = np.array([turn.value for turn in there], dtype="f8")
        scored = learnt.take(self.memory.learnt, slots.learners, rows, at_us, value, slots.zone)
        self.machine.reasons = {int(slots.learners.slot[row]): why for row, why in scored.reasons.items()}
        scores = iter(scored.score.tolist())
        for turn, (silent, is_there, _) in zip(turns, found, strict=True):
            score = next(scores) if is_there else None
            y = None if score is None or isnan(score) else score
            self._judge(turn.slot, turn.walk, turn.last_us, turn.now_us, silent, is_there, y, turn.row, turn.origin)

    def _where(self, slot: int, walk: Walk, value: float, origin: Origin, row: int) -> tuple[bool, float | None]:
        """Whether a reading was taken where its rule asks for, and the value as far as that is its place."""
        if walk.tells_place:
            found = origin.place(row)
            if found is not None:
                self.memory.places[slot] = found
        if walk.inside is not None and not origin.inside(walk.inside, row):
            return False, value
        if walk.outside is not None and origin.inside(walk.outside, row) is not False:
            return False, value
        if walk.area is None:
            return True, value
        inside = origin.inside(walk.area, row)
        return True, None if inside is None else float(inside)

    def _told_us(self, slot: int, at_us: int) -> int:
        return max(at_us, self.memory.floor_us.get(slot, NEVER))

    def _statistic(self, slot: int) -> Statistic:
        """A statistic that was frozen, or one that knows nothing."""
        slots, memory = self.slots, self.memory
        rule, sensor, inputs = slots.rule_of(slot), slots.sensor_of(slot), slots.inputs.get(slot)
        quantities = () if inputs is None else inputs.quantities
        found = make(rule, sensor, slots.zone, sensor.interval_s, quantities)
        assert found is not None, "only kinds that compute come here"
        frozen = memory.sleeping.pop(slot, None)
        if frozen is not None:
            try:
                found.thaw(frozen)
            except ValueError:
                memory.forgotten += 1
                found.forget()
        memory.statistics[slot] = found
        return found
