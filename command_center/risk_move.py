"""Risk brought up to date: what changed is read, everything is computed, and what came out differently is written and told.

Alerts and newest readings make hazards, what stands in a cell and how it has fared makes them count more. Computing all cells
takes milliseconds; reading and writing go by what changed. A score that only fades is written at most every FLUSH_S seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection, Engine, text

from command_center.city import rule_packs
from command_center.event import log
from command_center.event.event import Event
from command_center.risk_ground import BY_DOMAIN, Ground, Spot, part_of, read_ground
from command_center.risk_hazard import ALERTS, SENSORS, Found, of_alert, of_reading, silent_since
from gis.version_store import ground_mark
from ingest.store import load_catalogue
from rules import risk, risk_store, rulebook
from rules.risk import DOMAINS, OVERALL, SCORED, Numbers, Ranked
from rules.risk_limit import Limit, Near, limits, near
from rules.risk_line import Amplifier, Hazard, lines, region_lines
from rules.risk_store import Noted, RiskRow
from rules.risk_table import RiskTable
from rules.version import State, in_force
from rules.version_store import load_versions, rule_mark

FLUSH_S: Final = 30.0
"""How long a score may lag that only faded, or whose surroundings changed."""
_GROUND_S: Final = 60.0
_HOUR_S: Final = 3600.0
_OVERLAP_S: Final = 10.0
"""How far back newest readings are asked for again: several workers store theirs in any order."""
_TOLD: Final = 10
"""Tenths of a point by which a region moves before consoles hear of it again."""
_MOST_TOLD: Final = 200
_TOP: Final = 5


@dataclass(frozen=True, slots=True)
class Update:
    """What one turn did: how many hazards count, rows written, entries of the history and events; ``unplaced`` alerts are
    of cells that are no more.
    """

    hazards: int = 0
    written: int = 0
    noted: int = 0
    told: int = 0
    unplaced: int = 0


@dataclass
class RiskMemory:
    """What the process knows from turn to turn. All of it can be read again: the tables decide.

    ``written``, ``noted`` are tenths [place, scored], cells first; ``told`` of regions. ``signature`` says by cell and domain
    which hazards there are, ``made_of`` what a region's score is made of. Times in epoch seconds.
    """

    pack: str
    zone: ZoneInfo
    table: RiskTable
    ground: Ground | None = None
    ground_at: float = 0.0
    rules_mark: str = ""
    limits: Mapping[int, tuple[Limit, ...]] = field(default_factory=dict)
    sensors: Mapping[int, tuple[str, str, str]] = field(default_factory=dict)  # id, name, cell
    near: dict[int, tuple[Near, ...]] = field(default_factory=dict)
    silent_since: dict[str, float] = field(default_factory=dict)  # by sensor id
    heard_at: float = 0.0
    newest: datetime | None = None
    known: bool = False
    written: Numbers = field(default_factory=lambda: np.zeros((0, len(SCORED)), "i2"))
    noted: Numbers = field(default_factory=lambda: np.zeros((0, len(SCORED)), "i2"))
    noted_at: Numbers = field(default_factory=lambda: np.zeros((0, len(SCORED))))
    told: Numbers = field(default_factory=lambda: np.zeros((0, len(SCORED)), "i2"))
    version: Numbers = field(default_factory=lambda: np.zeros(0, "i8"))  # of regions' overall rows
    signature: Numbers = field(default_factory=lambda: np.zeros((0, len(DOMAINS))))
    made_of: Numbers = field(default_factory=lambda: np.zeros((0, len(SCORED)), "i8"))
    flushed_at: float = 0.0
    pruned_at: float = 0.0


@dataclass(frozen=True)
class _Scene:
    """Everything of one turn: hazards that count with their logarithms, in columns, and the scores [place, scored]."""

    found: Sequence[Found]
    log: Numbers
    logs: Numbers
    signature: Numbers
    scores: Numbers


def update_risks(engine: Engine, now: datetime, memory: RiskMemory) -> Update | None:
    """Bring all scores up to ``now``; None when another process is at it. One transaction: rows, history and events."""
    with engine.begin() as connection:
        if not risk_store.claim_writing(connection):
            return None
        moment = now.timestamp()
        ground = _read_ground(connection, memory, now, moment)
        _read_rules(connection, memory, now)
        _read_sensors(connection, memory)
        if not memory.known or risk_store.newest(connection) != memory.newest:
            _recall(connection, memory, ground, moment)
        found, unplaced = _hazards(connection, memory, ground, now, moment)
        scene = _scene(found, ground, memory.table, moment)
        flush = not 0 <= moment - memory.flushed_at < FLUSH_S
        after, due = _cells(scene, memory, ground, flush)
        ranked = risk.ranked(after[: len(ground.cells)], ground.runs, memory.table.further)
        made_of = ranked.highest * (len(ground.cells) + 1) + ranked.further
        after[len(ground.cells) :] = ranked.score
        due[len(ground.cells) :] = (ranked.score != memory.written[len(ground.cells) :]) | (
            (made_of != memory.made_of) & (ranked.score > 0)
        )
        # The version of a place's overall row counts the changes of them all.
        due[:, OVERALL] |= due.any(axis=1) & ((after[:, OVERALL] > 0) | (memory.written[:, OVERALL] > 0))
        rows = _cell_rows(scene, after, due, ground) + _region_rows(ranked, due, ground, memory.table)
        versions = risk_store.save(connection, rows, now)
        noted = risk.to_note(after, memory.noted, moment - memory.noted_at)
        entries = [_entry(ground.spots[n], d, after[n, d]) for n, d in np.argwhere(noted).tolist()]
        risk_store.note(connection, entries, now)
        pruned = not 0 <= moment - memory.pruned_at < _HOUR_S
        if pruned:
            risk_store.forget(connection, now - timedelta(days=memory.table.keep_days))
        version = np.array(
            [versions.get(r.code, v) for r, v in zip(ground.regions, memory.version.tolist(), strict=True)]
        )
        told = _to_tell(after[len(ground.cells) :], memory.told)
        log.append(connection, [_event(n, after, int(version[n]), ground, now) for n in told])
    memory.written, memory.signature, memory.made_of = after, scene.signature, made_of
    memory.noted[noted], memory.noted_at[noted] = after[noted], moment
    memory.told[told] = after[len(ground.cells) :][told]
    memory.version = version
    if rows:
        memory.newest = max(now, memory.newest or now)
    if flush:
        memory.flushed_at = moment
    if pruned:
        memory.pruned_at = moment
    return Update(len(scene.found), len(rows), len(entries), len(told), unplaced)


def _read_ground(connection: Connection, memory: RiskMemory, now: datetime, moment: float) -> Ground:
    """The ground as it is, or as it was less than a minute ago when nothing says that it changed."""
    known = memory.ground
    if known is not None and 0 <= moment - memory.ground_at < _GROUND_S and ground_mark(connection) == known.mark:
        return known
    ground = read_ground(connection, memory.table, now.astimezone(memory.zone).date(), now)
    if known is None or known.spots != ground.spots:
        risk_store.settle(connection, [spot.code for spot in ground.spots], [spot.scope for spot in ground.spots])
        memory.known = False
    if known is None or known.mark != ground.mark:
        memory.rules_mark = ""
    memory.ground, memory.ground_at = ground, moment
    return ground


def _read_rules(connection: Connection, memory: RiskMemory, now: datetime) -> None:
    """The limits that newest readings are held against."""
    day = now.astimezone(memory.zone).date()
    mark = f"{rule_mark(connection)}/{day}"
    if mark == memory.rules_mark:
        return
    catalogue = load_catalogue(connection)
    quantities = catalogue.quantities.keys()
    packed = rulebook.read(rule_packs(memory.pack), quantities, day)
    book = in_force(packed, load_versions(connection, states=(State.PUBLISHED,)), quantities, day).book
    memory.limits = limits(book.thresholds, catalogue, book.areas)
    memory.sensors = {sensor.n: (sensor.id, sensor.name, sensor.cell) for sensor in catalogue.sensors.values()}
    memory.rules_mark, memory.heard_at = mark, 0.0
    memory.near.clear()


def _read_sensors(connection: Connection, memory: RiskMemory) -> None:
    """Newest values and silences that may have changed since the last turn."""
    rows = connection.execute(
        text(f"{SENSORS} WHERE last_received_at > to_timestamp(:since) OR state_since > to_timestamp(:since)"),
        {"since": memory.heard_at - _OVERLAP_S},
    )
    for row in rows:
        memory.heard_at = max(memory.heard_at, row.heard or 0.0, row.since or 0.0)
        since = silent_since(row)
        if since is not None:
            memory.silent_since[row.id] = since
        else:
            memory.silent_since.pop(row.id, None)
        close = near(memory.limits.get(row.n, ()), row.latest)
        if close:
            memory.near[row.n] = close
        else:
            memory.near.pop(row.n, None)


def _recall(connection: Connection, memory: RiskMemory, ground: Ground, moment: float) -> None:
    """What is written, as another process or an earlier one left it."""
    shape = (len(ground.spots), len(SCORED))
    scored = {name: place for place, name in enumerate(SCORED)}
    memory.written, memory.noted = np.zeros(shape, "i2"), np.zeros(shape, "i2")
    memory.noted_at = np.full(shape, moment)
    version = np.zeros(len(ground.spots), "i8")
    for code, domain, score, n in risk_store.load_scores(connection):
        if code in ground.row:
            memory.written[ground.row[code], scored[domain]] = round(score * 10)
            if domain == SCORED[OVERALL]:
                version[ground.row[code]] = n
    memory.version = version[len(ground.cells) :]
    for code, domain, score, at in risk_store.load_noted(connection):
        if code in ground.row:
            place = ground.row[code], scored[domain]
            memory.noted[place], memory.noted_at[place] = round(score * 10), at.timestamp()
    memory.told = memory.written[len(ground.cells) :].copy()
    memory.signature = np.zeros((len(ground.cells), len(DOMAINS)))
    memory.made_of = np.full((len(ground.regions), len(SCORED)), -2, "i8")
    memory.newest, memory.known, memory.flushed_at = risk_store.newest(connection), True, 0.0


def _hazards(
    connection: Connection, memory: RiskMemory, ground: Ground, now: datetime, moment: float
) -> tuple[list[Found], int]:
    """All that may count, and how many alerts are of cells that are no more."""
    since = now - timedelta(seconds=memory.table.hazard.remembered_s)
    found, unplaced = list[Found](), 0
    for row in connection.execute(text(ALERTS), {"since": since}).all():
        cell = ground.place.get(row.cell)
        if cell is None or row.domain not in DOMAINS:
            unplaced += 1
        else:
            found.append(of_alert(row, cell, memory.table.hazard, memory.silent_since))
    rule = memory.table.hazard.closeness
    for n, close in memory.near.items():
        identity, name, code = memory.sensors[n]
        cell = ground.place.get(code)
        if cell is not None:
            found += [of_reading(one, identity, name, cell, rule) for one in close]
    return found, unplaced


def _scene(found: Sequence[Found], ground: Ground, table: RiskTable, moment: float) -> _Scene:
    """Fade, keep the greatest of each rule and source, add up."""
    weight = np.array([one.weight for one in found], dtype="f8")
    age_s = np.array([0.0 if one.since is None else moment - one.since for one in found], dtype="f8")
    half_life_s = np.array([one.half_life_s for one in found], dtype="f8")
    left = risk.faded(weight, age_s, half_life_s, table.hazard.forgotten_below)
    greatest: dict[tuple[str, str], int] = {}
    for n, hazard in enumerate(left.tolist()):
        if hazard > 0 and ((known := greatest.get(found[n].key)) is None or hazard > left[known]):
            greatest[found[n].key] = n
    chosen = sorted(greatest.values())
    kept = [found[n] for n in chosen]
    logs_of = risk.log_of(left[chosen])
    cell = np.array([one.cell for one in kept], dtype="i8")
    domain = np.array([one.domain for one in kept], dtype="i8")
    count = len(ground.cells)
    logs = risk.summed(count, cell, domain, logs_of)
    signature = risk.summed(count, cell, domain, np.array([one.mark for one in kept], dtype="f8"))
    return _Scene(kept, logs_of, logs, signature, risk.scores(logs, ground.excess))


def _cells(scene: _Scene, memory: RiskMemory, ground: Ground, flush: bool) -> tuple[Numbers, Numbers]:
    """The cells' scores as they stand after this turn, with room for the regions, and which rows are written."""
    count = len(ground.cells)
    after, due = memory.written.copy(), np.zeros(memory.written.shape, dtype=bool)
    moved = scene.signature != memory.signature
    cells = moved.any(axis=1, keepdims=True)
    differs = scene.scores != after[:count]
    own = (np.hstack([moved, cells]) & ((scene.scores > 0) | (after[:count] > 0))) | (differs & (cells | flush))
    after[:count][own] = scene.scores[own]
    due[:count] = own
    # What is not written yet is still another than what is known of it.
    scene.signature[~own[:, :OVERALL]] = memory.signature[~own[:, :OVERALL]]
    return after, due


def _cell_rows(scene: _Scene, after: Numbers, due: Numbers, ground: Ground) -> list[RiskRow]:
    count = len(ground.cells)
    wanted = np.argwhere(due[:count]).tolist()
    if not wanted:
        return []
    at = set(np.flatnonzero(due[:count].any(axis=1)).tolist())
    here = defaultdict[tuple[int, int], list[Hazard]](list)
    for one, log_of in zip(scene.found, scene.log.tolist(), strict=True):
        if one.cell in at:
            hazard = Hazard(one.kind, one.source, one.zh, one.en, log_of)
            here[one.cell, one.domain].append(hazard)
            here[one.cell, OVERALL].append(hazard)
    rows, said = [], dict[int, list[dict[str, Any]]]()
    single = (np.count_nonzero(scene.logs > 0, axis=1) == 1).tolist()
    for n, d in wanted:
        spot, tenths = ground.cells[n], int(after[n, d])
        if d == OVERALL and n in said:
            # All that is wrong there is of one domain: overall it is the same, told by the same lines.
            why = said[n]
        else:
            why = lines(tenths, here[n, d], _amplifiers(scene.logs, n, d, ground)) if tenths else []
            if single[n] and tenths == after[n, OVERALL]:
                said[n] = why
        rows.append(RiskRow(spot.code, SCORED[d], spot.tier, spot.scope, tenths / 10, why))
    return rows


def _amplifiers(logs: Numbers, n: int, d: int, ground: Ground) -> list[Amplifier]:
    """What stands in a cell and how it has fared, as far as it adds something in one domain or in all of them."""
    if d == OVERALL:
        own, measured, extra = logs[n], ground.measured_by_cell[n], ground.extra_by_cell[n]
        together = (measured * (own > 0)).sum(axis=1).tolist()
    else:
        domain = slice(d, d + 1)
        own, measured, extra = (
            logs[n, domain],
            ground.measured_by_cell[n, :, domain],
            ground.extra_by_cell[n, :, domain],
        )
        together = measured[:, 0].tolist()
    columns = zip(ground.extra, measured[:, 0].tolist(), together, (extra @ own).tolist(), strict=True)
    return [
        Amplifier(part_of(name), name, summed if name in BY_DOMAIN else single, log_of)
        for name, single, summed, log_of in columns
        if log_of > 0
    ]


def _region_rows(ranked: Ranked, due: Numbers, ground: Ground, table: RiskTable) -> list[RiskRow]:
    rows, count = [], len(ground.cells)
    for n, d in np.argwhere(due[count:]).tolist():
        spot, highest, added = ground.regions[n], int(ranked.highest[n, d]), int(ranked.added[n, d])
        score, why = int(ranked.score[n, d]), list[dict[str, Any]]()
        if score:
            cell = ground.cells[highest]
            further = int(ranked.further[n, d])
            why = region_lines(score - added, cell.code, cell.name, further, added, table.further.at_least)
        rows.append(RiskRow(spot.code, SCORED[d], spot.tier, spot.scope, score / 10, why))
    return rows


def _entry(spot: Spot, d: int, tenths: int) -> Noted:
    return Noted(spot.code, SCORED[d], spot.scope, int(tenths) / 10)


def _to_tell(scores: Numbers, told: Numbers) -> list[int]:
    """Regions that moved far enough since consoles last heard of them, those that moved most first; bounded, so that the
    rest is told in the next turns.
    """
    moved = np.abs(scores.astype("i4") - told)
    far = ((moved >= _TOLD) | ((scores == 0) != (told == 0))).any(axis=1)
    order = np.argsort(-moved.max(axis=1), kind="stable")
    found: list[int] = order[far[order]].tolist()
    return found[:_MOST_TOLD]


def _event(n: int, after: Numbers, version: int, ground: Ground, now: datetime) -> Event:
    """One for a region, with its worst cells: not one for each cell."""
    spot, first, end = ground.regions[n], int(ground.runs.first[n]), int(ground.runs.end[n])
    cells = after[first:end, OVERALL]
    worst = np.argsort(-cells, kind="stable")[:_TOP]
    data = {
        "code": spot.code,
        "name": spot.name,
        "tier": spot.tier,
        "at": now.isoformat(),
        "scores": {name: int(after[len(ground.cells) + n, d]) / 10 for d, name in enumerate(SCORED)},
        "top": [
            {"cell": ground.cells[first + p].code, "name": ground.cells[first + p].name, "score": int(cells[p]) / 10}
            for p in worst.tolist()
            if cells[p] > 0
        ],
    }
    scope = (spot.scope,)
    return Event("risk", spot.code, version, spot.code, data, scope, scope)
