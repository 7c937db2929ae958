"""Rules: live against a straightforward loop with the same results, small batches, memory and restart, the back-test's speed,
and thousands of rules over real messages.

Rates and shares are of processor time, so that neighbours on the machine do not decide them. The ways to be compared take
turns, and each rate is the median of its turns.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from command_center.backtest_report import Read, told
from command_center.backtest_source import Ground, batches, catalogue_of, read_series
from command_center.bench.figure import Figure, at_most, faster
from command_center.bench.loop import Loop, Row, Said
from gis.cell_index import CellIndex
from gis.locate import Cells, LocatedBatch, homes, locate
from ingest.decode import Memory as DecodeMemory
from ingest.decode import decode
from ingest.message import Message
from ingest.reading import ReadingBatch
from ingest.sensor import Catalogue, Quantity, Sensor
from rules import rulebook
from rules.alert import AlertChange
from rules.backtest import Replay, in_order, rows_at_once
from rules.evaluate import evaluate, tick
from rules.freeze import freeze, thaw
from rules.memory import Memory
from rules.rule import (
    DeviationRule,
    DifferenceRule,
    Evidence,
    ExceedanceRule,
    Level,
    Pair,
    RateRule,
    SensorRule,
    ThresholdRule,
    WindowRule,
    Words,
)
from rules.situation import Situation
from rules.slots import Slots, lay_out

Numbers = npt.NDArray[Any]
ZONE: Final = ZoneInfo("Asia/Shanghai")
BEGIN_US: Final = 1_795_400_000_000_000
SECOND_US: Final = 1_000_000
_INTERVAL_S: Final = 60
_BATCH: Final = 5000
_SMALL: Final = (1, 10, 50)
_SMALL_READINGS: Final = 5000
_TURNS: Final = 5
_READING: Final = np.dtype([("sensor", "i4"), ("value", "f8"), ("at_us", "i8")])
_KINDS: Final = 20
_REPLAYS: Final = 3
_LINGER_MS: Final = 5
_WORDS: Final = Words(zh="字", en="word")
_SOURCE: Final = Evidence("a benchmark", "unverified")


def run() -> list[Figure]:
    """Measure; takes about a minute and a half."""
    rng = np.random.default_rng(20261124)
    town = live_town(sensors=100_000, rules_each=10)
    return [
        *live(rng, town, rounds=6),
        *small_batches(rng, town),
        *memory(rng, town),
        *backtest(rng, readings=500_000),
        *many_rules(rng, rules=8000, rate_per_s=800),
    ]


@dataclass(frozen=True)
class Town:
    """Sensors of one quantity each, and rules laid out over them."""

    rules: tuple[ThresholdRule, ...]
    slots: Slots

    @property
    def sensors(self) -> int:
        return len(self.slots.catalogue.sensors)

    @property
    def quantities(self) -> int:
        return len(self.slots.catalogue.quantities)


def live_town(sensors: int, rules_each: int, quantities: int = 5) -> Town:
    """Every sensor measures one of ``quantities`` and meets ``rules_each`` threshold rules: both directions, one to three
    levels, half of them with a duration, a third with a calm before the end.
    """
    catalogue = Catalogue.of(
        [sensor(n, f"q{n % quantities + 1}") for n in range(1, sensors + 1)],
        [Quantity(q + 1, f"q{q + 1}", "1", "量", "quantity") for q in range(quantities)],
    )
    rules = tuple(threshold(q, k) for q in range(quantities) for k in range(rules_each))
    return Town(rules, lay_out(rules, catalogue, zone=ZONE))


def sensor(n: int, *measured: str, **more: Any) -> Sensor:
    """A sensor that stands somewhere."""
    place = ("321302", "321302001001", "321302001001001", "321300/321302/321302001/321302001001/321302001001001/")
    found = {"lng": 118.0 + n % 1000 / 5000, "lat": 33.9 + n // 1000 / 5000} | more
    return Sensor(n, f"s{n}", f"s{n}", *place, "emergency", measured, found["lng"], found["lat"], _INTERVAL_S)


def threshold(quantity: int, k: int) -> ThresholdRule:
    """The k-th rule on a quantity whose everyday values lie around 50, seldom outside 20 to 80."""
    sign = 1 if k % 2 == 0 else -1
    first = 85.0 + k / 2
    ladder = [first + 4 * step for step in range(1 + k % 3)]
    return ThresholdRule(
        id=f"q{quantity + 1}-{k}",
        domain="emergency",
        category="bench",
        title=_WORDS,
        source=_SOURCE,
        quantity=f"q{quantity + 1}",
        direction="above" if sign > 0 else "below",
        levels=tuple(Level(step + 1, at if sign > 0 else 100 - at, _WORDS) for step, at in enumerate(ladder)),
        clear=80.0 if sign > 0 else 20.0,
        for_s=0.0 if k % 4 < 2 else 120.0,
        clear_for_s=60.0 if k % 3 == 2 else 0.0,
        gap="hold",
        damping=None,
    )


def day(rng: np.random.Generator, town: Town, rounds: int) -> Iterator[Numbers]:
    """Readings (sensor, value, at_us) in order of time: each sensor once a minute, in another order each time.

    One in a hundred sensors has a spell beyond its levels, and half of these say nothing for five minutes in the middle of it.
    """
    numbers = np.arange(1, town.sensors + 1)
    odd = rng.random(town.sensors)
    begun = rng.integers(0, rounds, town.sensors)
    for minute in range(rounds):
        spell = (odd < 0.01) & (minute >= begun) & (minute < begun + 10)
        side = np.where(numbers % 3 == 0, -1.0, 1.0)
        value = rng.normal(50, 8, town.sensors) + spell * side * 42
        speaks = ~((odd < 0.005) & (minute > begun) & (minute <= begun + 5))
        order = rng.permutation(town.sensors)
        order = order[speaks[order]]
        at_us = BEGIN_US + minute * _INTERVAL_S * SECOND_US + np.arange(len(order)) * (50 * SECOND_US // town.sensors)
        readings = np.empty(len(order), dtype=_READING)
        readings["sensor"], readings["value"], readings["at_us"] = numbers[order], value[order], at_us
        yield readings


def located(town: Town, readings: Numbers, size: int) -> list[LocatedBatch]:
    """The readings in batches of ``size``, as the path hands them to the rules."""
    return [_batch(town, readings[begin : begin + size]) for begin in range(0, len(readings), size)]


def _batch(town: Town, readings: Numbers) -> LocatedBatch:
    count = len(readings)
    sensor_n = readings["sensor"].astype("i4")
    at = readings["at_us"].astype("i8").view("M8[us]")
    nowhere = np.full(count, np.nan)
    batch = ReadingBatch(
        sensor_n,
        (sensor_n % town.quantities + 1).astype("i2"),
        readings["value"].astype("f8"),
        at,
        at,
        np.arange(count, dtype="i8"),
        np.zeros(count, dtype="i2"),
        nowhere,
        nowhere,
        np.zeros(count, dtype="i1"),
        np.arange(count, dtype="i4"),
    )
    return LocatedBatch(batch, np.zeros(count, dtype="i4"), nowhere, nowhere, {})


def rows_of(batch: LocatedBatch) -> list[Row]:
    """The same readings as the loop takes them."""
    r = batch.readings
    columns = (r.sensor, r.quantity, r.value, r.at.view("i8"))
    return list(zip(*(column.tolist() for column in columns), strict=True))


def as_said(changes: Sequence[AlertChange]) -> list[Said]:
    """Our changes in the loop's words."""
    return [(c.change.value, c.alert.rule, c.alert.source.id, c.alert.severity, c.alert.at_us) for c in changes]


class OtherResults(RuntimeError):
    """The two ways do not say the same: there is nothing to measure."""


def turns_of(town: Town, parts: Sequence[Sequence[LocatedBatch]]) -> tuple[list[float], list[float], int]:
    """Seconds of processor time that each part takes us and the loop, and how many changes both said alike.

    Both begin with the batch as the path hands it on, in columns.
    """
    memory_of, loop, situation = (
        Memory.quiet(town.slots),
        Loop(town.rules, town.slots.catalogue.quantities, _INTERVAL_S),
        Situation(ZONE),
    )
    ours_s, theirs_s, changes = [], [], 0
    for part in parts:
        begun = time.process_time()
        found = [evaluate(batch, town.slots, memory_of, situation) for batch in part]
        ours_s.append(time.process_time() - begun)
        begun = time.process_time()
        naive = [loop.take(rows_of(batch)) for batch in part]
        theirs_s.append(time.process_time() - begun)
        ours = sorted(said for one in found for said in as_said(one.changes))
        theirs = sorted(said for one in naive for said in one)
        if ours != theirs:
            raise OtherResults(f"{len(ours)} changes here, {len(theirs)} by the loop")
        changes += len(ours)
    return ours_s, theirs_s, changes


def live(rng: np.random.Generator, town: Town, rounds: int) -> list[Figure]:
    """Large batches against the loop; the first round warms up and fills the loop's dict."""
    parts = [located(town, readings, _BATCH) for readings in day(rng, town, rounds)]
    ours_s, theirs_s, changes = turns_of(town, parts)
    meets = len(town.slots) / town.sensors
    count = statistics.median(sum(len(batch.readings) for batch in part) for part in parts[1:]) * meets
    ours, theirs = count / statistics.median(ours_s[1:]), count / statistics.median(theirs_s[1:])
    what = f"live, {len(town.slots):,} slots, batches of {_BATCH:,}, against a loop"
    return [
        faster(what, ours, "slots evaluated/s", theirs, 5),
        Figure("the same: changes said, each the same in both ways", changes, "changes"),
    ]


def small_batches(rng: np.random.Generator, town: Town) -> list[Figure]:
    """Small batches against the loop, once every sensor has been heard."""
    first, second = day(rng, town, rounds=2)
    pieces = np.array_split(second, len(_SMALL) * _TURNS)
    sizes = [size for size in _SMALL for _ in range(_TURNS)]
    parts = [located(town, piece[:_SMALL_READINGS], size) for piece, size in zip(pieces, sizes, strict=True)]
    ours_s, theirs_s, _ = turns_of(town, [located(town, first, _BATCH), *parts])
    found = []
    for place, size in enumerate(_SMALL):
        turns = slice(1 + place * _TURNS, 1 + (place + 1) * _TURNS)
        count = min(len(pieces[0]), _SMALL_READINGS)
        ours, theirs = (count / statistics.median(taken_s[turns]) for taken_s in (ours_s, theirs_s))
        found.append(faster(f"live, batches of {size}, against a loop", ours, "readings/s", theirs, 1))
    return found


def memory(rng: np.random.Generator, town: Town) -> list[Figure]:
    """Bytes of state, and how long a restart's freeze and thaw take."""
    held, situation = Memory.quiet(town.slots), Situation(ZONE)
    for readings in day(rng, town, 2):
        for batch in located(town, readings, _BATCH):
            evaluate(batch, town.slots, held, situation)
    begun = time.process_time()
    frozen = freeze(held, town.slots)
    freeze_s = time.process_time() - begun
    begun = time.process_time()
    thaw(frozen, town.slots)
    thaw_s = time.process_time() - begun
    count = len(town.slots)
    return [
        Figure("state in memory", _nbytes(held) / count, "bytes/slot"),
        Figure("layout in memory", _nbytes(town.slots) / count, "bytes/slot"),
        Figure("snapshot", len(frozen) / count, "bytes/slot"),
        Figure(f"snapshot of {count:,} slots written", freeze_s, "s of processor time"),
        Figure(f"snapshot of {count:,} slots read at a restart", thaw_s, "s of processor time"),
    ]


def _nbytes(found: Any) -> int:
    """Bytes of its arrays."""
    values = [getattr(found, field.name) for field in fields(found)]
    return sum(value.nbytes for value in values if isinstance(value, np.ndarray))


def backtest(rng: np.random.Generator, readings: int, sensors: int = 2000) -> list[Figure]:
    """A table of readings through 100 rules, from the file to the report, by the functions of the command."""
    book = in_order(rulebook.Rulebook(tuple(sorted(mixed_rules(sensors), key=lambda rule: rule.id))))
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        table = Path(folder) / "readings.csv"
        write_table(rng, table, readings, sensors)
        turns = [_backtest(table, book) for _ in range(_REPLAYS)]
    replay = turns[0][2]
    read_s = statistics.median(turn[0] for turn in turns)
    taken_s = statistics.median(turn[1] for turn in turns)
    rate = replay.rows / taken_s * 60
    return [
        Figure("back-test, table to report, 100 rules", rate, "readings/min", goal=5e6, met=rate >= 5e6),
        Figure("the same: of it reading the table", read_s / taken_s, "share"),
        Figure("the same: rules that a reading meets", len(replay.slots) / sensors, "rules"),
        Figure("the same: alerts", len(replay.episodes.alerts), "alerts"),
    ]


def _backtest(table: Path, book: rulebook.Rulebook) -> tuple[float, float, Replay]:
    """Seconds until the table is read, and until all is told."""
    known = [Quantity(n + 1, f"q{n + 1}", "1", "量", "quantity") for n in range(_KINDS)]
    ground, begun = Ground.of(None), time.process_time()
    series = read_series(table)
    catalogue, _ = catalogue_of(series, known, ground)
    first_us, last_us, sensors = int(series.at_us[0]), int(series.at_us[-1]), len(series.sensors)
    read_s = time.process_time() - begun
    replay = Replay(book, catalogue, Situation(ZONE), first_us)
    for batch in batches(series, catalogue, ground, rows_at_once(sensors)):
        replay.take(batch)
    replay.finish(last_us)
    read = Read(len(series), sensors, first_us, last_us, evaluation=replay.counts)
    told(read, book, replay.silent(), replay.episodes, ZONE)
    return read_s, time.process_time() - begun, replay


_HOURS: Final[tuple[tuple[Literal["mean", "max", "sum", "percentile"], float], ...]] = (
    ("mean", 60.0),
    ("max", 95.0),
    ("sum", 3600.0),
    ("percentile", 90.0),
)
"""Statistics over an hour, and the value that is high for each."""


def mixed_rules(sensors: int) -> Iterator[SensorRule]:
    """100 rules, five on each of 20 quantities: two thresholds, one with a duration, a window of an hour (mean, max, sum or
    percentile in turn), and in turn a rate, a count of exceedances, a deviation from the usual, or a comparison of two.
    """
    for q in range(_KINDS):
        own: dict[str, Any] = {
            "domain": "emergency", "category": "bench", "title": _WORDS, "source": _SOURCE, "quantity": f"q{q + 1}",
            "gap": "hold",
        }  # fmt: skip
        yield ThresholdRule(id=f"q{q + 1}-high", levels=_ladder(85, 90, 95), clear=80.0, **own)
        yield ThresholdRule(id=f"q{q + 1}-low", levels=_ladder(15), clear=20.0, direction="below", **own)
        yield ThresholdRule(id=f"q{q + 1}-held", levels=_ladder(75, 85), clear=70.0, for_s=300.0, **own)
        statistic, high = _HOURS[q % len(_HOURS)]
        share = 90.0 if statistic == "percentile" else None
        yield WindowRule(
            id=f"q{q + 1}-hour", statistic=statistic, over_s=3600.0, percentile=share, levels=_ladder(high),
            clear=high - 1, **own,
        )  # fmt: skip
        other = f"q{q + 1}-other"
        match q % 4:
            case 0:
                yield RateRule(id=other, over_s=600.0, levels=_ladder(300, 360), clear=200.0, **own)
            case 1:
                yield ExceedanceRule(id=other, limit=85.0, levels=_ladder(5), clear=1.0, **own)
            case 2:
                yield DeviationRule(id=other, least_spread=1.0, least_days=1, levels=_ladder(6), clear=3.0, **own)
            case _:
                mine = [n for n in range(1, sensors + 1) if (n - 1) % _KINDS == q]
                pairs = tuple(Pair(f"s{a}", f"s{b}") for a, b in zip(mine[::2], mine[1::2], strict=False))
                yield DifferenceRule(id=other, pairs=pairs, levels=_ladder(60), clear=50.0, **own)


def _ladder(*levels: float) -> tuple[Level, ...]:
    return tuple(Level(step, at, _WORDS) for step, at in enumerate(levels, start=1))


def write_table(rng: np.random.Generator, table: Path, readings: int, sensors: int) -> None:
    """Each sensor reads once a minute, all day long around 50, with a spell beyond the levels now and then."""
    minutes = -(-readings // sensors)
    spells = rng.integers(0, minutes * 20, sensors)
    names = [(f"s{n + 1}", f"q{n % _KINDS + 1}") for n in range(sensors)]
    with table.open("w", encoding="utf-8") as stream:
        stream.write("sensor,at,quantity,value\n")
        for minute in range(minutes):
            at_ms = BEGIN_US // 1000 + minute * _INTERVAL_S * 1000
            values = rng.normal(50, 8, sensors) + 42 * ((minute >= spells) & (minute < spells + 30))
            stream.writelines(
                f"{name},{at_ms},{quantity},{value:.3f}\n"
                for (name, quantity), value in zip(names, values.tolist(), strict=True)
            )


def many_rules(rng: np.random.Generator, rules: int, rate_per_s: int, seconds: int = 20) -> list[Figure]:
    """Messages decoded and evaluated as they would come at this rate, in the batches that the worker would take; each of
    them meets every rule on its quantity, one in ten of which keeps a window.
    """
    sensors, each = 2000, rules // _KINDS
    known = [Quantity(n + 1, f"q{n + 1}", "1", "量", "quantity") for n in range(_KINDS)]
    catalogue = Catalogue.of([sensor(n, f"q{n % _KINDS + 1}") for n in range(1, sensors + 1)], known)
    found = [rule for q in range(_KINDS) for rule in _many(q, each)]
    slots = lay_out(found, catalogue, zone=ZONE)
    cells = Cells(CellIndex([], []), {}, {})
    home, held, keys, situation = homes(catalogue, cells), Memory.quiet(slots), DecodeMemory(), Situation(ZONE)
    size = max(rate_per_s * _LINGER_MS // 1000, 1)
    taken_s = []
    for second in range(seconds + 1):  # the first warms up
        messages = _messages(rng, second, rate_per_s, sensors)
        begun = time.process_time()
        for start in range(0, rate_per_s, size):
            decoded = decode(messages[start : start + size], catalogue, keys)
            evaluate(locate(decoded.batch, home, cells), slots, held, situation)
            keys.remember(decoded.keys, messages[start].received_at)
        tick(BEGIN_US + (second + 1) * SECOND_US, slots, held, situation)
        taken_s.append(time.process_time() - begun)
    share = statistics.median(taken_s[1:])
    return [
        at_most(
            f"{len(found):,} rules, {rate_per_s} messages/s, {each} rules a message: processor", share, "cores", 0.5
        ),
        Figure("the same: slots", len(slots), "slots"),
    ]


def _many(q: int, each: int) -> Iterator[SensorRule]:
    for k in range(each):
        own: dict[str, Any] = {
            "id": f"q{q + 1}-{k}", "domain": "emergency", "category": "bench", "title": _WORDS, "source": _SOURCE,
            "quantity": f"q{q + 1}", "gap": "hold", "levels": _ladder(80 + k / 20, 110 + k / 20), "clear": 75.0,
        }  # fmt: skip
        if k % 10 == 9:
            yield WindowRule(statistic="mean", over_s=900.0, **own)
        else:
            yield ThresholdRule(for_s=0.0 if k % 2 else 120.0, **own)


def _messages(rng: np.random.Generator, second: int, rate_per_s: int, sensors: int) -> list[Message]:
    found = []
    for place, value in enumerate(rng.normal(50, 8, rate_per_s).tolist()):
        n = (second * rate_per_s + place) % sensors + 1
        at_ms = BEGIN_US // 1000 + second * 1000 + place * 1000 // rate_per_s
        body = {"id": f"{second}-{place}", "at": at_ms, "values": {f"q{n % _KINDS + 1}": round(value, 3)}}
        topic = f"cc/v1/321302/s{n}/reading"
        found.append(Message(topic, json.dumps(body).encode(), received_at=at_ms / 1000))
    return found
