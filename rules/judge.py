"""A whole rulebook over a city, as the worker runs it: readings, camera events and the clock in, phase changes out.

Each kind of rule has its own file; this one only calls them in turn and keeps their memories together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

import msgspec

from gis.locate import LocatedBatch
from ingest.sensor import Catalogue
from rules import absence, count, evaluate, freeze
from rules.alert import Alert
from rules.camera import evaluate_events
from rules.carry import carried as carried_slots
from rules.evaluation import Evaluation
from rules.memory import Memory as SlotMemory
from rules.rulebook import Rulebook
from rules.situation import Situation
from rules.slots import Numbers, Slots, lay_out
from video.camera import Camera, CameraEvent

_VERSION = 1


@dataclass(frozen=True)
class Layout:
    """A rulebook laid over a catalogue."""

    book: Rulebook
    cameras: Mapping[str, Camera]
    slots: Slots
    absences: absence.Slots


@dataclass
class Memory:
    """What all kinds remember. Changed in place; when what followed from it was not committed, it is thrown away."""

    slots: SlotMemory
    absences: absence.Memory
    counts: count.Memory

    @classmethod
    def quiet(cls, layout: Layout, now_us: int) -> Memory:
        """Nothing was ever heard; listening begins at ``now_us`` (epoch microseconds)."""
        absences = absence.Memory.quiet(layout.absences, now_us)
        return cls(SlotMemory.quiet(layout.slots), absences, count.Memory())

    def listening(self, now_us: int) -> None:
        """Nobody could be heard before now: silence is counted from now on."""
        self.slots.listening(now_us)
        self.absences.listening_since_us = now_us

    def take_forgotten(self) -> int:
        """How much of what was remembered began anew since this was asked last."""
        found, self.slots.forgotten = self.slots.forgotten, 0
        return found

    def clock_stepped(self, delta_us: int) -> None:
        """The server's clock stepped by ``delta_us``: no timer runs early or late for it."""
        self.slots.clock_stepped(delta_us)
        self.absences.clock_stepped(delta_us)
        self.counts.clock_stepped(delta_us)


class _Frozen(msgspec.Struct, frozen=True, array_like=True):
    version: int
    slots: bytes
    absences: bytes
    counts: bytes


def lay(book: Rulebook, catalogue: Catalogue, cameras: Mapping[str, Camera], zone: tzinfo) -> Layout:
    """The rulebook over every sensor and camera that it is for."""
    slots = lay_out(book.sensor_rules, catalogue, zone=zone, areas=book.areas)
    return Layout(book, cameras, slots, absence.lay_out(book.absences, catalogue, book.areas))


def judge(
    batch: LocatedBatch,
    events: Sequence[CameraEvent],
    layout: Layout,
    memory: Memory,
    now_us: int,
    situation: Situation,
) -> Evaluation:
    """Phase changes that readings and camera events bring."""
    read = evaluate.evaluate(batch, layout.slots, memory.slots, situation)
    book = layout.book
    seen = evaluate_events(events, book.camera_rules, layout.cameras, memory.slots, situation, book.areas)
    return _with_counts([read, seen], events, layout, memory, now_us, situation)


def judge_clock(now_us: int, heard_us: Numbers, layout: Layout, memory: Memory, situation: Situation) -> Evaluation:
    """Phase changes that the clock of receipt brings by itself. ``heard_us``: when each sensor was last heard, by its number
    (absence.heard_by_number).
    """
    told = evaluate.tick(now_us, layout.slots, memory.slots, situation)
    gone = absence.judge(layout.absences, heard_us, memory.absences, now_us, situation)
    return _with_counts([told, gone], (), layout, memory, now_us, situation)


def _with_counts(
    found: Sequence[Evaluation],
    events: Sequence[CameraEvent],
    layout: Layout,
    memory: Memory,
    now_us: int,
    situation: Situation,
) -> Evaluation:
    changes = [change for part in found for change in part.changes]
    counts = sum((part.counts for part in found), Counter[str]())
    if layout.book.counts:
        happened = count.occurrences(changes, events, layout.cameras)
        together = count.count_events(happened, layout.book.counts, memory.counts, now_us, situation, layout.book.areas)
        changes += together.changes
        counts += together.counts
    return Evaluation(changes, counts)


def recall(layout: Layout, open_alerts: Iterable[Alert], memory: Memory) -> Memory:
    """The memory once the database has said which alerts are open: it decides."""
    known = list(open_alerts)
    return Memory(
        evaluate.recall(layout.slots, known, memory.slots),
        absence.recall(layout.absences, known, memory.absences),
        count.recall(layout.book.counts, known, memory.counts),
    )


def carried(memory: Memory, before: Layout, after: Layout) -> Memory:
    """The same memory over a city or a rulebook that was read anew."""
    return Memory(
        carried_slots(memory.slots, before.slots, after.slots),
        absence.thaw(absence.freeze(memory.absences, before.absences), after.absences),
        count.thaw(count.freeze(memory.counts), after.book.counts),
    )


def frozen(memory: Memory, layout: Layout) -> bytes:
    """All that is remembered."""
    return msgspec.msgpack.encode(
        _Frozen(
            _VERSION,
            freeze.freeze(memory.slots, layout.slots),
            absence.freeze(memory.absences, layout.absences),
            count.freeze(memory.counts),
        )
    )


def thawed(text: bytes, layout: Layout) -> Memory:
    """What ``frozen`` wrote, as far as its rules and subjects are still there. Raises ValueError."""
    try:
        found = msgspec.msgpack.decode(text, type=_Frozen)
    except msgspec.MsgspecError as problem:
        raise ValueError(f"not the memory of rules: {problem}") from None
    if found.version != _VERSION:
        raise ValueError(f"the memory of rules is of version {found.version}, not {_VERSION}")
    return Memory(
        freeze.thaw(found.slots, layout.slots),
        absence.thaw(found.absences, layout.absences),
        count.thaw(found.counts, layout.book.counts),
    )
