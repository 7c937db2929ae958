"""Rules laid out over the catalogue: which readings meet which slots.

A *slot* is one rule on one subject. A *stream* is what gives a slot its time: the readings of one (sensor, quantity) that
come in one order, as they arrive or put in order by a hold-back; a slot with several inputs has a stream of its own.

*Plain* slots (a threshold on readings as they arrive, at any hour) lie in compressed rows by stream, so that a whole batch
meets them in a few array operations. All others are *walked*, one reading at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property
from hashlib import blake2b
from math import nan
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import shapely
from shapely import Polygon

from ingest.sensor import Catalogue, Sensor
from rules.condition import quantities_of
from rules.condition import read as read_condition
from rules.rule import (
    AreaRule,
    CombinationRule,
    Damping,
    DeviationRule,
    DifferenceRule,
    Level,
    SensorRule,
    Site,
    ThresholdRule,
    When,
    Words,
)
from rules.when import ALWAYS
from rules.where import is_met, is_named

Numbers: TypeAlias = npt.NDArray[Any]

MOST_LEVELS: Final = 4
SECOND_US: Final = 1_000_000
QUANTITIES: Final = 1 << 16
"""A pair's key is sensor number x QUANTITIES + quantity number."""
NEVER: Final = -(1 << 62)
"""Before any time, with room to subtract it from one."""
ENDLESS: Final = 1 << 62

HOLD, RESET, FIRE = range(3)
_GAPS: Final = {None: HOLD, "hold": HOLD, "reset": RESET, "fire": FIRE}
_GAP_INTERVALS: Final = 3
_EARTH_M: Final = 6_371_008.8


@dataclass(frozen=True, slots=True)
class Ladder:
    """A rule as a slot meets it: its own numbers or a site's, durations in microseconds.

    ``at`` and ``clear`` are signed: multiplied by ``sign``, +1 above and -1 below, so that beyond is always >=. ``when`` is
    None for a rule that always counts. ``fire_after_us`` is ``gap_after_us`` where silence fires, else ENDLESS.
    """

    rule: int
    sign: float
    levels: tuple[Level, ...]
    at: tuple[float, ...]
    for_us: tuple[int, ...]
    clear: float
    clear_for_us: int
    gap: int
    gap_after_us: int
    damping: Damping | None
    when: When | None

    @property
    def fire_after_us(self) -> int:
        return self.gap_after_us if self.gap == FIRE else ENDLESS


@dataclass(frozen=True, slots=True)
class Input:
    """What a slot with several inputs hears: sensors and quantities by place."""

    sensors: tuple[str, ...]
    quantities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lane:
    """Walked slots of one (sensor, quantity) that take its readings in the same order: (slot, place) each.

    ``disorder_us`` 0 takes them as they arrive. ``lng`` and ``lat``: where the sensor stands, NaN when it moves.
    """

    stream: int
    disorder_us: int
    entries: tuple[tuple[int, int], ...]
    lng: float
    lat: float


@dataclass(frozen=True, slots=True)
class Walk:
    """A walked slot as one reading meets it. ``own``: its stream is its own. ``learner``: its row among the learners, -1 when
    it is none. ``area``: its value is whether the reading was taken there. ``inside`` and ``outside``: areas that a moving
    sensor's readings must be taken in or outside of. ``tells_place``: silence raises it, and it moves. ``asks_place``: any of
    these.
    """

    ladder: Ladder
    stream: int
    own: bool
    computes: bool
    learner: int
    area: Polygon | None
    inside: Polygon | None
    outside: Polygon | None
    tells_place: bool
    asks_place: bool


@dataclass(frozen=True)
class Learners:
    """The slots that learn what is usual for their sensor (rules of the kind ``deviation``), by row. ``row``: by slot, its row.

    By row: ``slot``; ``side``, the one that counts (above, below, either); ``least_days``; ``least_spread`` in the quantity's
    unit; ``first``, the score from which on a reason is wanted.
    """

    row: Mapping[int, int]
    slot: Numbers
    side: Numbers
    least_days: Numbers
    least_spread: Numbers
    first: Numbers

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True)
class Screen:
    """By pair, what tells a reading that changes nothing while no slot of the pair is busy: a value between ``low`` and
    ``high`` (both excluded), ``fire_after_us`` at most after the one before.
    """

    low: Numbers
    high: Numbers
    fire_after_us: Numbers


Pair: TypeAlias = tuple[int, float, float, int, bool, tuple[Lane, ...]]
"""A pair as one reading meets it: its place, its screen (low, high, fire_after_us), whether it has slots that take readings
as they arrive, and its lanes."""


@dataclass(frozen=True)
class Slots:
    """Streams 0 to len(pairs) - 1 are those of ``pairs`` (int64 sorted keys) as readings arrive, then come those held back,
    then those of slots with several inputs; ``stream_pair`` and ``stream_disorder_us`` say which (pair -1: a slot's own).

    Slots 0 to ``plain`` - 1 are plain: those of pair i are ``starts[i]:starts[i + 1]``. Then the walked ones, which ``lanes``
    (by pair) lead to. By slot: ``ladder`` int32, ``stream`` int32, ``sensor`` int32 (where its alerts stand).
    """

    rules: tuple[SensorRule, ...]
    catalogue: Catalogue
    zone: tzinfo
    areas: Mapping[str, Polygon]
    ladders: tuple[Ladder, ...]
    pairs: Numbers
    starts: Numbers
    plain: int
    ladder: Numbers
    stream: Numbers
    sensor: Numbers
    lanes: tuple[tuple[Lane, ...], ...]
    stream_pair: Numbers
    stream_disorder_us: Numbers
    inputs: Mapping[int, Input]

    def __len__(self) -> int:
        return len(self.ladder)

    @cached_property
    def by_key(self) -> Mapping[int, Pair]:
        """The pairs for one reading at a time."""
        screen = self.screen
        columns = (self.pairs, screen.low, screen.high, screen.fire_after_us, self.hears)
        rows = zip(*(column.tolist() for column in columns), self.lanes, strict=True)
        return {key: (i, *rest) for i, (key, *rest) in enumerate(rows)}

    @cached_property
    def begins(self) -> list[int]:
        """``starts`` for one reading at a time."""
        found: list[int] = self.starts.tolist()
        return found

    @cached_property
    def quick(self) -> tuple[tuple[float, float, int], ...]:
        """By ladder, what tells a reading that changes nothing: (sign, first level, fire_after_us)."""
        return tuple((found.sign, found.at[0], found.fire_after_us) for found in self.ladders)

    @cached_property
    def screen(self) -> Screen:
        """What a whole pair's plain slots need to see at all."""
        table, ladder = self.table, self.ladder[: self.plain]
        sign, first = table.sign[ladder], table.at[ladder, 0]
        return Screen(
            -_least(np.where(sign < 0, first, np.inf), self.starts, np.inf),
            _least(np.where(sign > 0, first, np.inf), self.starts, np.inf),
            _least(table.fire_after_us[ladder], self.starts, ENDLESS),
        )

    @cached_property
    def walks(self) -> tuple[Walk, ...]:
        """The walked slots, from slot ``plain`` on."""
        return tuple(self._walk(slot) for slot in range(self.plain, len(self)))

    def _walk(self, slot: int) -> Walk:
        rule, moves = self.rule_of(slot), self.sensor_of(slot).lng is None
        ladder, stream = self.ladders[self.ladder[slot]], int(self.stream[slot])
        asked = [self.areas[name] if name and moves else None for name in (rule.where.inside, rule.where.outside)]
        area = self.areas[rule.inside] if isinstance(rule, AreaRule) else None
        tells_place = moves and ladder.gap == FIRE
        return Walk(
            ladder,
            stream,
            slot in self.inputs,
            not isinstance(rule, ThresholdRule | AreaRule),
            self.learners.row.get(slot, -1),
            area,
            asked[0],
            asked[1],
            tells_place,
            tells_place or any(found is not None for found in (area, *asked)),
        )

    @cached_property
    def learners(self) -> Learners:
        """The slots that learn what is usual for their sensor."""
        learns = np.array([isinstance(rule, DeviationRule) for rule in self.rules], dtype=bool)
        rule_of = np.array([ladder.rule for ladder in self.ladders], dtype="i8")[self.ladder[self.plain :]]
        slot = self.plain + np.flatnonzero(learns[rule_of]) if len(rule_of) else np.empty(0, dtype="i8")
        rules = [rule for found in slot.tolist() if isinstance(rule := self.rule_of(found), DeviationRule)]
        return Learners(
            {found: row for row, found in enumerate(slot.tolist())},
            slot,
            np.array([rule.side for rule in rules], dtype="U6"),
            np.array([rule.least_days for rule in rules], dtype="i8"),
            np.array([rule.least_spread for rule in rules], dtype="f8"),
            self.table.at[self.ladder[slot], 0],
        )

    @cached_property
    def fire(self) -> Numbers:
        """The slots that silence raises."""
        return np.flatnonzero(self.table.gap[self.ladder] == FIRE)

    def find(self, rule: str, sensor: str) -> list[int]:
        """The slots of a rule on a sensor, by their ids."""
        index, found = self._rules.get(rule), self.catalogue.sensors.get(sensor)
        if index is None or found is None:
            return []
        slots = list(self._walked.get((index, found.n), ()))
        quantity = self.catalogue.quantities.get(self.rules[index].quantity)
        pair = None if quantity is None else self.by_key.get(found.n * QUANTITIES + quantity.n)
        if pair is not None:
            plain = range(self.begins[pair[0]], self.begins[pair[0] + 1])
            slots += [slot for slot in plain if self.ladders[self.ladder[slot]].rule == index]
        return slots

    @cached_property
    def _rules(self) -> Mapping[str, int]:
        return {rule.id: index for index, rule in enumerate(self.rules)}

    @cached_property
    def _walked(self) -> Mapping[tuple[int, int], list[int]]:
        found: dict[tuple[int, int], list[int]] = defaultdict(list)
        for slot, walk in enumerate(self.walks, self.plain):
            found[walk.ladder.rule, int(self.sensor[slot])].append(slot)
        return found

    @cached_property
    def table(self) -> Table:
        """The ladders as columns."""
        return Table.of(self.ladders)

    @cached_property
    def has_lanes(self) -> Numbers:
        """By pair, whether it leads to walked slots."""
        return np.array([bool(lanes) for lanes in self.lanes], dtype=bool)

    @cached_property
    def hears(self) -> Numbers:
        """By pair, whether it has slots that take its readings as they arrive."""
        at_once = np.array([any(lane.disorder_us == 0 for lane in lanes) for lanes in self.lanes], dtype=bool)
        return at_once | (np.diff(self.starts) > 0)

    @cached_property
    def home(self) -> tuple[Numbers, Numbers]:
        """(lng, lat) by sensor number, NaN for one that moves."""
        lng, lat = (np.full(max(self.catalogue.by_n, default=0) + 1, np.nan) for _ in range(2))
        for n, sensor in self.catalogue.by_n.items():
            if sensor.lng is not None and sensor.lat is not None:
                lng[n], lat[n] = sensor.lng, sensor.lat
        return lng, lat

    @cached_property
    def of_stream(self) -> Mapping[int, Lane]:
        """The lane of each held-back stream."""
        return {lane.stream: lane for lanes in self.lanes for lane in lanes if lane.disorder_us}

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """By rule, what it computes as a short text: it stays the same when only words, source or version changed."""
        return tuple(_mark(rule, self.areas) for rule in self.rules)

    def rule_of(self, slot: int) -> SensorRule:
        index: int = self.ladders[self.ladder[slot]].rule
        return self.rules[index]

    def sensor_of(self, slot: int) -> Sensor:
        return self.catalogue.by_n[int(self.sensor[slot])]

    def against(self, slot: int) -> str | None:
        """The sensor that a difference's slot is compared with."""
        found = self.inputs.get(slot)
        return found.sensors[1] if found is not None and isinstance(self.rule_of(slot), DifferenceRule) else None

    def signature(self, slot: int) -> str:
        """What tells slots of one rule on one sensor apart: the inputs, where there are several."""
        found = self.inputs.get(slot)
        return "" if found is None else _digest(msgspec.json.encode([found.sensors, found.quantities]))


@dataclass(frozen=True)
class Table:
    """Ladders as columns: ``at`` (x MOST_LEVELS, +inf where the ladder ends) and ``for_us`` likewise."""

    sign: Numbers
    at: Numbers
    for_us: Numbers
    clear: Numbers
    gap: Numbers
    gap_after_us: Numbers
    fire_after_us: Numbers
    fires: bool

    @classmethod
    def of(cls, ladders: Sequence[Ladder]) -> Table:
        at = np.full((len(ladders), MOST_LEVELS), np.inf)
        for_us = np.zeros((len(ladders), MOST_LEVELS), dtype="i8")
        for i, ladder in enumerate(ladders):
            at[i, : len(ladder.at)] = ladder.at
            for_us[i, : len(ladder.at)] = ladder.for_us
        return cls(
            np.array([ladder.sign for ladder in ladders], dtype="f8"),
            at,
            for_us,
            np.array([ladder.clear for ladder in ladders], dtype="f8"),
            np.array([ladder.gap for ladder in ladders], dtype="i1"),
            np.array([ladder.gap_after_us for ladder in ladders], dtype="i8"),
            np.array([ladder.fire_after_us for ladder in ladders], dtype="i8"),
            any(ladder.gap == FIRE for ladder in ladders),
        )


def lay_out(
    rules: Sequence[SensorRule], catalogue: Catalogue, *, zone: tzinfo, areas: Mapping[str, Polygon] | None = None
) -> Slots:
    """Slots for every rule on every sensor that it is for. ``areas`` are the packs' by name, in the city's datum."""
    plan = _Plan(catalogue, areas or {})
    for index, rule in enumerate(rules):
        plan.add(index, rule)
    return plan.slots(tuple(rules), zone)


def covers(area: Polygon, lng: Any, lat: Any) -> Any:
    """Whether positions lie in an area; its edge belongs to it, a position that is not known does not."""
    return shapely.intersects_xy(area, lng, lat)


class _Plan:
    """Slots as they are collected."""

    def __init__(self, catalogue: Catalogue, areas: Mapping[str, Polygon]) -> None:
        self.catalogue = catalogue
        self.areas = areas
        for area in areas.values():
            shapely.prepare(area)
        self.measuring: dict[str, list[Sensor]] = defaultdict(list)
        for sensor in catalogue.sensors.values():
            for quantity in dict.fromkeys(sensor.quantities if sensor.in_service else ()):
                self.measuring[quantity].append(sensor)
        self.ladders: dict[tuple[int, str | None, int], int] = {}
        self.ladder_list: list[Ladder] = []
        self.plain: list[tuple[Numbers, Numbers, Numbers]] = []  # keys, sensor numbers, ladders
        self.walked: list[tuple[int, int, int, tuple[int, ...]]] = []  # ladder, sensor, disorder_us, keys of its inputs
        self.inputs: dict[int, Input] = {}  # by place in walked

    def add(self, index: int, rule: SensorRule) -> None:
        """The slots of one rule."""
        match rule:
            case DifferenceRule():
                self._add_pairs(index, rule)
            case CombinationRule():
                self._add_combination(index, rule)
            case _:
                chosen = [s for s in self.measuring[rule.quantity] if self._is_for(rule, s)]
                at_once = isinstance(rule, ThresholdRule) and rule.when == ALWAYS and rule.disorder_s == 0
                bound = rule.where.inside is not None or rule.where.outside is not None or rule.gap == "fire"
                plain = [s for s in chosen if at_once and not (bound and s.lng is None)]
                self._add_plain(index, rule, plain)
                quantity = (
                    self.catalogue.quantities[rule.quantity].n if rule.quantity in self.catalogue.quantities else 0
                )
                for sensor in chosen if not at_once else (s for s in chosen if bound and s.lng is None):
                    self._walk(index, rule, sensor, (sensor.n * QUANTITIES + quantity,))

    def _is_for(self, rule: SensorRule, sensor: Sensor) -> bool:
        if not is_named(rule.where, sensor.id, sensor.scope):
            return False
        # Of what moves each reading's own position is asked.
        return sensor.lng is None or sensor.lat is None or is_met(rule.where, sensor.lng, sensor.lat, self.areas)

    def _add_plain(self, index: int, rule: SensorRule, sensors: Sequence[Sensor]) -> None:
        if not sensors:
            return
        count = len(sensors)
        n = np.fromiter((s.n for s in sensors), dtype="i8", count=count)
        sites = _sites(rule)
        ladder = np.fromiter((self._ladder(index, rule, s, sites) for s in sensors), dtype="i8", count=count)
        self.plain.append((n * QUANTITIES + self.catalogue.quantities[rule.quantity].n, n, ladder))

    def _walk(self, index: int, rule: SensorRule, sensor: Sensor, keys: tuple[int, ...]) -> None:
        ladder = self._ladder(index, rule, sensor, _sites(rule))
        self.walked.append((ladder, sensor.n, round(rule.disorder_s * SECOND_US), keys))

    def _add_pairs(self, index: int, rule: DifferenceRule) -> None:
        quantity = self.catalogue.quantities.get(rule.quantity)
        for pair in rule.pairs:
            both = [self.catalogue.sensors.get(name) for name in (pair.a, pair.b)]
            found = [s for s in both if s is not None and s.in_service and rule.quantity in s.quantities]
            if quantity is None or len(found) < 2 or not self._is_for(rule, found[0]):
                continue
            self.inputs[len(self.walked)] = Input((pair.a, pair.b), (rule.quantity, rule.quantity))
            self._walk(index, rule, found[0], tuple(s.n * QUANTITIES + quantity.n for s in found))

    def _add_combination(self, index: int, rule: CombinationRule) -> None:
        quantities = list(dict.fromkeys(quantities_of(read_condition(rule.condition))))
        near = {q: _Neighbours(self.measuring[q], rule.reach.radius_m) for q in quantities}
        for anchor in self.measuring[rule.quantity]:
            if not self._is_for(rule, anchor):
                continue
            found = [(sensor, q) for q in quantities for sensor in near[q].of(anchor)]
            if not found:
                continue
            self.inputs[len(self.walked)] = Input(tuple(s.id for s, _ in found), tuple(q for _, q in found))
            keys = tuple(s.n * QUANTITIES + self.catalogue.quantities[q].n for s, q in found)
            self._walk(index, rule, anchor, keys)

    def _ladder(self, index: int, rule: SensorRule, sensor: Sensor, sites: Mapping[str, Site]) -> int:
        after_s = rule.gap_after_s or _GAP_INTERVALS * sensor.interval_s
        site = sites.get(sensor.id)
        key = (index, None if site is None else site.sensor, round(after_s * SECOND_US))
        place = self.ladders.get(key)
        if place is None:
            place = self.ladders[key] = len(self.ladder_list)
            self.ladder_list.append(_made(index, rule, site, key[2]))
        return place

    def slots(self, rules: tuple[SensorRule, ...], zone: tzinfo) -> Slots:
        """All that was added, laid out."""
        plain_key, plain_sensor, plain_ladder = (_joined([part[i] for part in self.plain]) for i in range(3))
        walked_keys = np.array(sorted({key for *_, keys in self.walked for key in keys}), dtype="i8")
        pairs = np.union1d(plain_key, walked_keys)
        order = np.argsort(plain_key, kind="stable")
        starts = np.append(np.searchsorted(plain_key[order], pairs), len(order))
        place = {key: i for i, key in enumerate(pairs.tolist())} if self.walked else {}
        lanes, slot_stream, stream_pair, disorder = self._lanes(place, len(pairs), len(order))
        plain_stream = np.searchsorted(pairs, plain_key[order])
        walked = np.array([w[:2] for w in self.walked], dtype="i8").reshape(-1, 2)
        return Slots(
            rules=rules,
            catalogue=self.catalogue,
            zone=zone,
            areas=self.areas,
            ladders=tuple(self.ladder_list),
            pairs=pairs,
            starts=starts,
            plain=len(order),
            ladder=np.concatenate([plain_ladder[order], walked[:, 0]]).astype("i4"),
            stream=np.concatenate([plain_stream, slot_stream]).astype("i4"),
            sensor=np.concatenate([plain_sensor[order], walked[:, 1]]).astype("i4"),
            lanes=lanes,
            stream_pair=np.concatenate([np.arange(len(pairs)), stream_pair]).astype("i8"),
            stream_disorder_us=np.concatenate([np.zeros(len(pairs)), disorder]).astype("i8"),
            inputs={len(order) + i: found for i, found in self.inputs.items()},
        )

    def _lanes(
        self, place: Mapping[int, int], count: int, plain: int
    ) -> tuple[tuple[tuple[Lane, ...], ...], list[int], list[int], list[int]]:
        """Lanes by pair; streams of the walked slots; pair and disorder of the streams after those of the pairs."""
        stream_pair: list[int] = []
        stream_disorder: list[int] = []
        held: dict[tuple[int, int], int] = {}
        entries: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for i, (_, _, disorder_us, keys) in enumerate(self.walked):
            for spot, key in enumerate(keys):
                pair = place[key]
                entries[pair, disorder_us].append((plain + i, spot))
                if disorder_us and (pair, disorder_us) not in held:
                    held[pair, disorder_us] = count + len(stream_pair)
                    stream_pair.append(pair)
                    stream_disorder.append(disorder_us)
        slot_stream: list[int] = []
        for i, (_, _, disorder_us, keys) in enumerate(self.walked):
            pair = place[keys[0]]
            if i in self.inputs:
                slot_stream.append(count + len(stream_pair))
                stream_pair.append(-1)
                stream_disorder.append(0)
            else:
                slot_stream.append(held[pair, disorder_us] if disorder_us else pair)
        keys_of = {pair: key for key, pair in place.items()}
        by_pair: list[list[Lane]] = [[] for _ in range(count)]
        for (pair, disorder_us), found in sorted(entries.items()):
            stream = held[pair, disorder_us] if disorder_us else pair
            sensor = self.catalogue.by_n[keys_of[pair] // QUANTITIES]
            stands = (nan, nan) if sensor.lng is None or sensor.lat is None else (sensor.lng, sensor.lat)
            by_pair[pair].append(Lane(stream, disorder_us, tuple(found), *stands))
        return tuple(tuple(found) for found in by_pair), slot_stream, stream_pair, stream_disorder


class _Neighbours:
    """Sensors by where they stand. Without a radius those of the same cell are near; what moves is near itself alone."""

    def __init__(self, sensors: Iterable[Sensor], radius_m: float | None) -> None:
        self._radius_m = radius_m
        self._by_cell: dict[str, list[Sensor]] = defaultdict(list)
        self._ordered = sorted(sensors, key=lambda s: s.id)
        for sensor in self._ordered:
            self._by_cell[sensor.cell].append(sensor)
        still = sorted((s for s in self._ordered if s.lat is not None), key=lambda s: (s.lat or 0.0, s.id))
        self._still = still
        self._lat = np.radians(np.array([s.lat for s in still], dtype="f8"))
        self._lng = np.radians(np.array([s.lng for s in still], dtype="f8"))

    def of(self, anchor: Sensor) -> Iterator[Sensor]:
        """The sensors near ``anchor``, itself among them when it is one, by id."""
        if anchor.lng is None or anchor.lat is None:
            return (s for s in self._ordered if s.id == anchor.id)
        if self._radius_m is None:
            return (s for s in self._by_cell[anchor.cell] if (anchor.cell and s.lng is not None) or s.id == anchor.id)
        lng, lat, angle = np.radians(anchor.lng), np.radians(anchor.lat), self._radius_m / _EARTH_M
        low, high = np.searchsorted(self._lat, [lat - angle * 1.0001, lat + angle * 1.0001])
        haversine = (
            np.sin((self._lat[low:high] - lat) / 2) ** 2
            + np.cos(lat) * np.cos(self._lat[low:high]) * np.sin((self._lng[low:high] - lng) / 2) ** 2
        )
        near = np.flatnonzero(haversine <= np.sin(angle / 2) ** 2) + low
        return iter(sorted((self._still[i] for i in near.tolist()), key=lambda s: s.id))


_HOLDS: Final = 1.0
"""The value of a combination that holds."""


def _made(index: int, rule: SensorRule, site: Site | None, gap_after_us: int) -> Ladder:
    if isinstance(rule, CombinationRule):
        direction, clear = "above", _HOLDS
        levels: tuple[Level, ...] = (Level(rule.severity, _HOLDS, rule.action),)
    else:
        direction = rule.direction
        levels, clear = (rule.levels, rule.clear) if site is None else (site.levels, site.clear)
    sign = 1.0 if direction == "above" else -1.0
    return Ladder(
        rule=index,
        sign=sign,
        levels=levels,
        at=tuple(sign * level.at for level in levels),
        for_us=tuple(round((rule.for_s if level.for_s is None else level.for_s) * SECOND_US) for level in levels),
        clear=sign * clear,
        clear_for_us=round(rule.clear_for_s * SECOND_US),
        gap=_GAPS[rule.gap],
        gap_after_us=gap_after_us,
        damping=rule.damping,
        when=None if rule.when == ALWAYS else rule.when,
    )


def _sites(rule: SensorRule) -> Mapping[str, Site]:
    return {} if isinstance(rule, CombinationRule) else {site.sensor: site for site in rule.sites}


def _least(values: Numbers, starts: Numbers, otherwise: float) -> Numbers:
    """The least value of each row, ``otherwise`` where it is empty."""
    found = np.full(len(starts) - 1, otherwise, dtype=values.dtype)
    filled = np.flatnonzero(np.diff(starts) > 0)
    if len(filled):
        found[filled] = np.minimum.reduceat(values, starts[filled])
    return found


def _joined(parts: Sequence[Numbers]) -> Numbers:
    return np.concatenate(parts) if parts else np.empty(0, dtype="i8")


_NO_WORDS: Final = Words(zh="-", en="-")


def _mark(rule: SensorRule, areas: Mapping[str, Polygon]) -> str:
    same: dict[str, Any] = {"title": _NO_WORDS, "notes": "", "version": 1, "effective_from": None, "effective_to": None}
    plain = msgspec.structs.replace(rule, source=msgspec.structs.replace(rule.source, text="-"), **same)
    named = [rule.where.inside, rule.where.outside, rule.inside if isinstance(rule, AreaRule) else None]
    shapes = b"".join(shapely.to_wkb(areas[name]) for name in named if name is not None)
    return _digest(msgspec.json.encode(plain) + shapes)


def _digest(text: bytes) -> str:
    return blake2b(text, digest_size=12).hexdigest()
