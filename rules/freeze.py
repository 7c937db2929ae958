"""What the rules remember as bytes, by names that outlive a layout: rules, sensors and quantities by their ids.

Only what is known is written: streams that were heard, slots that stand somewhere or compute. A slot whose rule computes
something else by now, or whose inputs are others, begins anew; so does one whose statistic cannot be read any more.
"""

from __future__ import annotations

import zlib
from typing import Any, Final
from uuid import UUID

import msgspec
import numpy as np

from gis.locate import CellPlace
from rules import learnt
from rules.alert import Alert
from rules.memory import Memory
from rules.order import Held, HoldBack
from rules.slots import MOST_LEVELS, NEVER, QUANTITIES, Numbers, Slots

_VERSION: Final = 1
_OWN: Final = -1


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """What every version begins with."""

    version: int


class _Frozen(msgspec.Struct, frozen=True, array_like=True):
    """Columns as bytes. Slots and streams are named by their places in the lists here; ``slot_stream`` is only of slots whose
    stream is their own, and such a stream's ``stream_sensor`` is _OWN.
    """

    version: int
    rules: list[tuple[str, str]]
    sensors: list[str]
    quantities: list[str]
    slot_rule: bytes
    slot_sensor: bytes
    signatures: dict[int, str]
    slot_stream: dict[int, int]
    rung: bytes
    busy: bytes
    since_us: bytes
    stream_sensor: bytes
    stream_quantity: bytes
    stream_disorder_us: bytes
    last_us: bytes
    heard_us: bytes
    by_receipt: bytes
    firing: dict[int, Alert]
    clearing: dict[int, int]
    raises: dict[int, list[int]]
    told_us: dict[int, int]
    places: dict[int, CellPlace]
    floor_us: dict[int, int]
    statistics: dict[int, Any]
    held: dict[int, tuple[int, bool, int, list[Held]]]
    camera_firing: list[Alert]
    camera_ended: dict[str, int]


def freeze(memory: Memory, slots: Slots) -> bytes:
    """All that is remembered."""
    return zlib.compress(pack(memory, slots), level=1)


def thaw(frozen: bytes, slots: Slots) -> Memory:
    """What ``freeze`` wrote, laid over ``slots``. Raises ValueError when it cannot be read."""
    try:
        return unpack(zlib.decompress(frozen), slots)
    except zlib.error as problem:
        raise ValueError(f"not a frozen memory: {problem}") from None


def pack(memory: Memory, slots: Slots) -> bytes:
    """All that is remembered, as it is before it is compressed."""
    statistics = memory.sleeping | {slot: found.frozen() for slot, found in memory.statistics.items()}
    for row in learnt.known(memory.learnt):
        statistics[int(slots.learners.slot[row])] = learnt.frozen(memory.learnt, row)
    sparse = (memory.firing, memory.raises, memory.told_us, memory.places, statistics)
    kept = np.union1d(np.flatnonzero(memory.busy), [slot for found in sparse for slot in found]).astype("i8")
    streams = np.flatnonzero(memory.last_us != NEVER)
    streams = np.union1d(streams, list(memory.held)).astype("i8")
    slot_at = {slot: i for i, slot in enumerate(kept.tolist())}
    stream_at = {stream: i for i, stream in enumerate(streams.tolist())}
    rule = np.array([ladder.rule for ladder in slots.ladders], dtype="i4")
    pair = slots.stream_pair[streams]
    key = slots.pairs[pair] if len(slots.pairs) else pair
    heard = np.where(pair == _OWN, _OWN, key // QUANTITIES)
    quantity = np.where(pair == _OWN, _OWN, key % QUANTITIES)
    numbers = np.union1d(slots.sensor[kept], heard[heard != _OWN]).astype("i8")
    names = slots.catalogue.by_n
    measured = np.unique(quantity[quantity != _OWN])
    own = [slot for slot in slots.inputs if slot in slot_at]
    frozen = _Frozen(
        version=_VERSION,
        rules=[(found.id, mark) for found, mark in zip(slots.rules, slots.marks, strict=True)],
        sensors=[names[n].id for n in numbers.tolist()],
        quantities=[slots.catalogue.quantity_by_n[n].name for n in measured.tolist()],
        slot_rule=_written(rule[slots.ladder[kept]], "i4"),
        slot_sensor=_written(np.searchsorted(numbers, slots.sensor[kept]), "i4"),
        signatures={slot_at[slot]: slots.signature(slot) for slot in own},
        slot_stream={
            slot_at[slot]: stream_at[int(slots.stream[slot])] for slot in own if int(slots.stream[slot]) in stream_at
        },
        rung=_written(memory.rung[kept], "i1"),
        busy=_written(memory.busy[kept], "u1"),
        since_us=_written(memory.since_us[kept], "i8"),
        stream_sensor=_written(np.where(heard == _OWN, _OWN, np.searchsorted(numbers, heard)), "i4"),
        stream_quantity=_written(np.searchsorted(measured, quantity), "i4"),
        stream_disorder_us=_written(slots.stream_disorder_us[streams], "i8"),
        last_us=_written(memory.last_us[streams], "i8"),
        heard_us=_written(memory.heard_us[streams], "i8"),
        by_receipt=_written(memory.by_receipt[streams], "u1"),
        firing=_renamed(memory.firing, slot_at),
        clearing=_renamed(memory.clearing, slot_at),
        raises=_renamed(memory.raises, slot_at),
        told_us=_renamed(memory.told_us, slot_at),
        places=_renamed(memory.places, slot_at),
        floor_us=_renamed(memory.floor_us, slot_at),
        statistics=_renamed(statistics, slot_at),
        held={
            stream_at[stream]: (found.newest_us, found.by_receipt, found.count, found.waiting)
            for stream, found in memory.held.items()
        },
        camera_firing=list(memory.camera_firing.values()),
        camera_ended={str(identity): at_us for identity, at_us in memory.camera_ended.items()},
    )
    return msgspec.msgpack.encode(frozen)


def unpack(packed: bytes, slots: Slots) -> Memory:
    """What ``pack`` wrote, laid over ``slots``. Raises ValueError when it cannot be read."""
    try:
        version = msgspec.msgpack.decode(packed, type=_Head).version
        if version != _VERSION:
            raise ValueError(f"a frozen memory of version {version}, not {_VERSION}")
        frozen = msgspec.msgpack.decode(packed, type=_Frozen)
    except msgspec.MsgspecError as problem:
        raise ValueError(f"not a frozen memory: {problem}") from None
    return _laid(frozen, slots)


def _laid(frozen: _Frozen, slots: Slots) -> Memory:
    memory = Memory.quiet(slots)
    numbers = np.array([_number(slots, name) for name in frozen.sensors] or [_OWN], dtype="i8")
    slot = _slots_now(frozen, slots, numbers)
    stream = _streams_now(frozen, slots, numbers, slot)
    here = slot >= 0
    memory.rung[slot[here]] = _read(frozen.rung, "i1")[here]
    memory.busy[slot[here]] = _read(frozen.busy, "u1")[here]
    memory.since_us[slot[here]] = _read(frozen.since_us, "i8").reshape(-1, MOST_LEVELS)[here]
    memory.stirred[slots.stream[np.flatnonzero(memory.busy[: slots.plain])]] = True
    heard = stream >= 0
    memory.last_us[stream[heard]] = _read(frozen.last_us, "i8")[heard]
    memory.heard_us[stream[heard]] = _read(frozen.heard_us, "i8")[heard]
    memory.by_receipt[stream[heard]] = _read(frozen.by_receipt, "u1")[heard]
    slot_now = dict(enumerate(slot.tolist()))
    memory.firing = _moved(frozen.firing, slot_now)
    memory.clearing = _moved(frozen.clearing, slot_now)
    memory.raises = _moved(frozen.raises, slot_now)
    memory.told_us = _moved(frozen.told_us, slot_now)
    memory.places = _moved(frozen.places, slot_now)
    memory.floor_us = _moved(frozen.floor_us, slot_now)
    memory.sleeping = _moved(frozen.statistics, slot_now)
    memory.forgotten = _outgrown(frozen, slots, slot_now)
    _wake_learners(memory, slots)
    memory.held = {
        now: HoldBack(newest_us, by_receipt, count, [Held(*held) for held in waiting])
        for at, (newest_us, by_receipt, count, waiting) in frozen.held.items()
        if (now := int(stream[at])) >= 0
    }
    memory.camera_firing = {(a.rule, a.source.id, str(a.id)): a for a in frozen.camera_firing}
    memory.camera_ended = {UUID(identity): at_us for identity, at_us in frozen.camera_ended.items()}
    return memory


def _outgrown(frozen: _Frozen, slots: Slots, slot_now: dict[int, int]) -> int:
    """How many statistics there are of rules that still look at the sensor, and compute something else by now."""
    rule, sensor = _read(frozen.slot_rule, "i4"), _read(frozen.slot_sensor, "i4")
    gone = [at for at in frozen.statistics if slot_now[at] < 0]
    return sum(bool(slots.find(frozen.rules[rule[at]][0], frozen.sensors[sensor[at]])) for at in gone)


def _wake_learners(memory: Memory, slots: Slots) -> None:
    """What learners know is needed at once: they are judged together."""
    for slot in memory.sleeping.keys() & slots.learners.row.keys():
        try:
            learnt.thaw(memory.learnt, slots.learners.row[slot], memory.sleeping.pop(slot))
        except learnt.OtherRecord:
            memory.forgotten += 1


def _number(slots: Slots, sensor: str) -> int:
    found = slots.catalogue.sensors.get(sensor)
    return _OWN if found is None else found.n


def _slots_now(frozen: _Frozen, slots: Slots, numbers: Numbers) -> Numbers:
    """Where each frozen slot is now, -1 where it is gone or computes something else."""
    index = {(rule.id, mark): i for i, (rule, mark) in enumerate(zip(slots.rules, slots.marks, strict=True))}
    rules = np.array([index.get(rule, _OWN) for rule in frozen.rules] or [_OWN], dtype="i8")
    rule, sensor = rules[_read(frozen.slot_rule, "i4")], numbers[_read(frozen.slot_sensor, "i4")]
    # Slots with several inputs are told apart by these; of all others there is one for each rule and sensor.
    ladder_rule = np.array([ladder.rule for ladder in slots.ladders] or [_OWN], dtype="i8")
    single = np.setdiff1d(np.arange(len(slots)), list(slots.inputs)).astype("i8")
    known = (ladder_rule[slots.ladder[single]] << 32) + slots.sensor[single]
    order = np.argsort(known)
    found = np.full(len(rule), -1, dtype="i8")
    if len(order):
        wanted = (rule << 32) + sensor
        place = np.minimum(np.searchsorted(known[order], wanted), len(order) - 1)
        same = (known[order][place] == wanted) & (rule >= 0) & (sensor >= 0)
        found[same] = single[order][place[same]]
    several = {
        (slots.ladders[slots.ladder[slot]].rule, int(slots.sensor[slot]), slots.signature(slot)): slot
        for slot in slots.inputs
    }
    for at, signature in frozen.signatures.items():
        found[at] = several.get((int(rule[at]), int(sensor[at]), signature), -1)
    return found


def _streams_now(frozen: _Frozen, slots: Slots, numbers: Numbers, slot: Numbers) -> Numbers:
    """Where each frozen stream is now, -1 where it is gone."""
    sensor_at, quantity_at = _read(frozen.stream_sensor, "i4"), _read(frozen.stream_quantity, "i4")
    disorder = _read(frozen.stream_disorder_us, "i8")
    known = slots.catalogue.quantities
    quantities = [known[name].n if name in known else _OWN for name in frozen.quantities] or [_OWN]
    own = sensor_at == _OWN
    sensor = np.where(own, _OWN, numbers[np.where(own, 0, sensor_at)])
    quantity = np.where(own, _OWN, np.array(quantities, dtype="i8")[np.where(own, 0, quantity_at)])
    key = np.where((sensor >= 0) & (quantity >= 0), sensor * QUANTITIES + quantity, _OWN)
    found = np.full(len(key), -1, dtype="i8")
    if len(slots.pairs):
        place = np.minimum(np.searchsorted(slots.pairs, key), len(slots.pairs) - 1)
        same = (slots.pairs[place] == key) & (disorder == 0)
        found[same] = place[same]
    held = {(int(slots.pairs[slots.stream_pair[s]]), lane.disorder_us): s for s, lane in slots.of_stream.items()}
    for at in np.flatnonzero(disorder != 0).tolist():
        found[at] = held.get((int(key[at]), int(disorder[at])), -1)
    for at, stream in frozen.slot_stream.items():
        found[stream] = slots.stream[slot[at]] if slot[at] >= 0 else -1
    return found


def _written(column: Numbers, dtype: str) -> bytes:
    return column.astype(f"<{dtype}").tobytes()


def _read(column: bytes, dtype: str) -> Numbers:
    return np.frombuffer(column, dtype=f"<{dtype}")


def _renamed(found: dict[int, Any], places: dict[int, int]) -> dict[int, Any]:
    return {places[slot]: value for slot, value in sorted(found.items()) if slot in places}


def _moved(found: dict[int, Any], now: dict[int, int]) -> dict[int, Any]:
    return {now[at]: value for at, value in found.items() if now[at] >= 0}
