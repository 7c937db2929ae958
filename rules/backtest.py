"""Rules played over recorded readings by the very functions that run live: which alerts and incidents would have been.

Live, readings come in order of receipt and the clock ticks each second. Here they come in the same order, in large batches, and
the clock ticks at the end only: how batches are cut never changes a result, and what a tick finds out early the next reading
finds out with the same times. Absences, which no reading can tell, are judged at the moments at which their answer may change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta, tzinfo
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import structs

from gis.locate import LocatedBatch
from ingest.reading import FAULTY, LATE, OUT_OF_RANGE, OUTSIDE_CITY
from ingest.sensor import Catalogue
from rules import absence
from rules.count import HELD_BACK_S, count_events, occurrences
from rules.count import Memory as CountMemory
from rules.episode import Episodes
from rules.evaluate import evaluate, tick
from rules.evaluation import Evaluation
from rules.memory import Memory
from rules.rule import CombinationRule, LadderRule, Rule, When
from rules.rulebook import Rulebook
from rules.situation import Situation
from rules.slots import lay_out
from rules.when import ALWAYS

Numbers: TypeAlias = npt.NDArray[Any]

_SECOND_US: Final = 1_000_000
_DAY: Final = timedelta(days=1)
_ENDLESS: Final = 1 << 62
_ROWS_EACH: Final = 100
_FEWEST_ROWS: Final = 1_000
_MOST_ROWS: Final = 50_000
_LEFT_OUT: Final = {"late": LATE, "out_of_range": OUT_OF_RANGE, "outside_city": OUTSIDE_CITY, "faulty": FAULTY}


def turning_points(rules: Iterable[Rule], zone: tzinfo, from_us: int, to_us: int) -> list[int]:
    """When, after ``from_us`` and up to ``to_us``, the ``when`` of one of the rules may begin or end (epoch microseconds).

    The work calendar, days of the week and the ends of hours turn at whole minutes only.
    """
    minutes = {minute for rule in rules for minute in _turns(rule.when)}
    if not minutes:
        return []
    day, last = (datetime.fromtimestamp(us / _SECOND_US, zone).date() for us in (from_us, to_us))
    found = set()
    while day <= last:
        found |= {round(datetime.combine(day, time(m // 60, m % 60), zone).timestamp() * _SECOND_US) for m in minutes}
        day += _DAY
    return sorted(us for us in found if from_us < us <= to_us)


def _turns(when: When) -> Iterator[int]:
    """Minutes of the day at which it may begin or end."""
    if when.days or when.calendar is not None:
        yield 0
    for hours in when.hours:
        for clock in hours.split("-"):
            yield (int(clock[:2]) * 60 + int(clock[3:])) % (24 * 60)


def rows_at_once(sensors: int) -> int:
    """How many readings make a good batch: many readings of one sensor must be taken one after the other."""
    return min(max(_ROWS_EACH * sensors, _FEWEST_ROWS), _MOST_ROWS)


def in_order(book: Rulebook) -> Rulebook:
    """The rulebook for readings that come in order of their time: nothing is held back, and the results are the same."""
    rules = (
        structs.replace(rule, disorder_s=0.0) if isinstance(rule, LadderRule | CombinationRule) else rule
        for rule in book.rules
    )
    return replace(book, rules=tuple(rules))


class Replay:
    """A rulebook over readings in order of receipt, by the functions that the worker calls.

    ``listening_since_us`` is when somebody began to listen (epoch microseconds): absences count from then on.
    """

    def __init__(self, book: Rulebook, catalogue: Catalogue, situation: Situation, listening_since_us: int) -> None:
        self._book = book
        self.slots = lay_out(book.sensor_rules, catalogue, zone=situation.zone, areas=book.areas)
        self.memory = Memory.quiet(self.slots)
        self.situation = situation
        self.episodes = Episodes()
        self.counts: Counter[str] = Counter()
        self.rows = 0
        self._absences = _Absences(book, catalogue, situation, listening_since_us)

    def take(self, batch: LocatedBatch) -> None:
        """The next readings; none was received before the last one taken."""
        if not len(batch.readings):
            return
        self.rows += len(batch.readings)
        for what, flag in _LEFT_OUT.items():
            self.counts[what] += int(np.count_nonzero(batch.readings.flags & flag))
        self._take(evaluate(batch, self.slots, self.memory, self.situation))
        for found in self._absences.take(batch):
            self._take(found)

    def finish(self, now_us: int) -> None:
        """The clock comes to ``now_us`` and nothing more is received."""
        self._take(tick(now_us, self.slots, self.memory, self.situation))
        for found in self._absences.until(now_us):
            self._take(found)
        # Counts look at the events' own times, so they may be asked once about all of them.
        events = occurrences(self.episodes.changes, (), {})
        counted_us = now_us + round(HELD_BACK_S * _SECOND_US)
        self._take(count_events(events, self._book.counts, CountMemory(), counted_us, self.situation, self._book.areas))

    def silent(self) -> dict[str, str]:
        """Rules that no reading could reach, by id, with the reason."""
        met = {self.slots.ladders[ladder].rule for ladder in np.unique(self.slots.ladder).tolist()}
        return {
            rule.id: f"no sensor in the readings measures {rule.quantity} where the rule asks for it"
            for index, rule in enumerate(self.slots.rules)
            if index not in met
        } | self._absences.silent()

    def _take(self, found: Evaluation) -> None:
        self.episodes.take(found.changes)
        self.counts.update(found.counts)


class _Absences:
    """Who said nothing, judged where the answer may change: just before a sensor speaks again after a silence that matters,
    then, and where a rule's hours begin or end. A judgement asked late finds the same alerts with the same times, except for
    one that came and went in between, and none can between these.
    """

    def __init__(self, book: Rulebook, catalogue: Catalogue, situation: Situation, since_us: int) -> None:
        self.slots = absence.lay_out(book.absences, catalogue, book.areas)
        self.memory = absence.Memory.quiet(self.slots, since_us)
        self.situation = situation
        self.now_us = since_us
        self.heard_us = np.full(max(catalogue.by_n, default=0) + 1, absence.NEVER, dtype="i8")
        self.patience_us = np.full(len(self.heard_us), _ENDLESS, dtype="i8")
        np.minimum.at(self.patience_us, self.slots.sensor, self.slots.ladder[:, 0])
        self.timed = [rule for rule in book.absences if rule.when != ALWAYS]

    def silent(self) -> dict[str, str]:
        met = set(self.slots.rule.tolist())
        return {
            rule.id: "no sensor in the readings is one that the rule is for"
            for index, rule in enumerate(self.slots.rules)
            if index not in met
        }

    def take(self, batch: LocatedBatch) -> Iterator[Evaluation]:
        """Up to the last of these readings."""
        if not len(self.slots):
            return
        received_us, sensor = batch.readings.received_at.view("i8"), batch.readings.sensor
        taken = 0
        for moment_us in self._moments(received_us, sensor):
            # What is heard in this very moment is heard after the silence was judged for the last time.
            before = int(np.searchsorted(received_us, moment_us))
            self._hear(received_us[taken:before], sensor[taken:before])
            taken = before
            yield self._judge(moment_us - 1)
            after = int(np.searchsorted(received_us, moment_us, side="right"))
            self._hear(received_us[taken:after], sensor[taken:after])
            taken = after
            yield self._judge(moment_us)
        self._hear(received_us[taken:], sensor[taken:])
        self.now_us = int(received_us[-1])

    def until(self, now_us: int) -> Iterator[Evaluation]:
        """Up to then, with nothing heard."""
        if not len(self.slots):
            return
        for moment_us in turning_points(self.timed, self.situation.zone, self.now_us, now_us):
            yield self._judge(moment_us - 1)
            yield self._judge(moment_us)
        yield self._judge(now_us)

    def _moments(self, received_us: Numbers, sensor: Numbers) -> list[int]:
        order = np.argsort(sensor, kind="stable")
        own, at_us = sensor[order], received_us[order]
        first = np.append(True, own[1:] != own[:-1])
        before = np.where(first, np.maximum(self.heard_us[own], self.memory.listening_since_us), np.roll(at_us, 1))
        back = at_us[at_us - before >= self.patience_us[own]].tolist()
        return sorted({*back, *turning_points(self.timed, self.situation.zone, self.now_us, int(received_us[-1]))})

    def _hear(self, received_us: Numbers, sensor: Numbers) -> None:
        np.maximum.at(self.heard_us, sensor, received_us)

    def _judge(self, now_us: int) -> Evaluation:
        self.now_us = max(self.now_us, now_us)
        return absence.judge(self.slots, self.heard_us, self.memory, now_us, self.situation)
