"""Versions of the grid in PostgreSQL: planned, published, in force, ended or withdrawn; and the grid as of any moment.

A version is compared with the grid in force when it is planned, so that it can be looked at before anybody publishes it. It
takes effect in one transaction that finds everything already in the database: whoever dies in it has changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import shapely
from sqlalchemy import Connection, Engine, Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from gis.cell_file import CellFile
from gis.cell_function import CellFunction, inherited
from gis.cell_index import OUTSIDE, CellIndex
from gis.lineage import ENDED, UNCHANGED, Ground, Label, Lineage, counts, nearest_kin, same_ground, trace
from gis.planned_cell import Straddling, VersionRefused, Villages, planned
from gis.projection import EqualArea
from gis.store import cell_functions
from gis.tiles import mark_stale
from ingest.catalogue_store import save_rehomed

PLANNED: Final = "planned"
PUBLISHED: Final = "published"
IN_FORCE: Final = "in_force"
WITHDRAWN: Final = "withdrawn"
# Two that plan, publish or take effect at once: one after the other.
_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('grid version', 0))")
_SOURCES: Final = ("sensors", "cameras")


class NoSuchVersion(VersionRefused):
    """There is no version of that number."""


@dataclass(frozen=True)
class _Standing:
    """The grid as it stands: ``version`` in force (None before the first), codes given up and when, functions of its cells."""

    version: int | None
    ground: Ground
    retired: Mapping[str, datetime]
    villages: Villages
    functions: Sequence[CellFunction]
    sources: Mapping[str, Sequence[Row[Any]]]


@dataclass(frozen=True)
class Effect:
    """What a version changed when it took effect: cell codes, and how many sensors and cameras have another cell now.

    ``unplaced`` of them no cell covers any longer: they keep the cell they had.
    """

    version: int
    ended: tuple[str, ...]
    fresh: tuple[str, ...]
    replaced: int
    rehomed: int
    unplaced: int
    functions: int


def plan(
    engine: Engine, cells: CellFile, *, report: Mapping[str, Any], note: str, made_by: str, special: str | None = None
) -> int:
    """Store merged cells as a planned version, with what it would change; its number.

    ``special`` names the network whose grids are special ones (专属网格). Raises VersionRefused.
    """
    with engine.connect() as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
        standing = _read_standing(connection)
    names = {code: label.name for code, label in zip(standing.ground.codes, standing.ground.labels, strict=True)}
    ground, straddling = planned(cells, standing.villages, names, standing.retired, special)
    ground = _with_known_outlines(standing.ground, ground)
    lineage = trace(standing.ground, ground)
    changes = _changes(standing, ground, lineage, straddling)
    with engine.begin() as connection:
        connection.execute(_LOCK)
        if _version_in_force(connection) != standing.version:
            raise VersionRefused("another version took effect in the meantime: plan again")
        version = _insert_version(connection, report, note, made_by, changes)
        _insert_cells(connection, version, ground)
        _insert_lineage(connection, version, standing.ground, ground, lineage)
    return version


def begin_first_version(connection: Connection, *, note: str, made_by: str) -> None:
    """Put the cells that were written without a version into force as one: the transaction's time is its beginning."""
    version = connection.execute(
        text(
            "INSERT INTO grid_versions (state, note, made_at, made_by, effective_at, in_force_from)"
            " VALUES ('in_force', :note, now(), :made_by, now(), now()) RETURNING n"
        ),
        {"note": note, "made_by": made_by},
    ).scalar_one()
    connection.execute(text("UPDATE cells SET version = :n WHERE version <> :n"), {"n": version})


def publish(engine: Engine, version: int, at: datetime | None, now: datetime) -> datetime:
    """Let a planned version take effect at a time (at once without one); that time. Raises VersionRefused."""
    effective_at = at or now
    if effective_at < now:
        raise VersionRefused(f"{effective_at.isoformat()} is over: a version takes effect now or later")
    with engine.begin() as connection:
        connection.execute(_LOCK)
        row = _locked(connection, version)
        if row.state != PLANNED:
            raise VersionRefused(f"version {version} is {row.state}: only a planned version can be published")
        waiting = _waiting(connection)
        if waiting is not None:
            raise VersionRefused(
                f"version {waiting.n} is published for {waiting.effective_at.isoformat()}: withdraw it first"
            )
        standing = _version_in_force(connection)
        if row.compared_with != standing:
            raise VersionRefused(
                f"version {version} was planned against {_named(row.compared_with)}, but {_named(standing)} is in"
                " force now: plan it again"
            )
        _set(connection, version, state=PUBLISHED, effective_at=effective_at)
    return effective_at


def withdraw(engine: Engine, version: int) -> None:
    """Give a planned or published version up. Raises VersionRefused."""
    with engine.begin() as connection:
        connection.execute(_LOCK)
        row = _locked(connection, version)
        if row.state not in (PLANNED, PUBLISHED):
            raise VersionRefused(f"version {version} is {row.state}: it cannot be withdrawn")
        _set(connection, version, state=WITHDRAWN, effective_at=None)
        connection.execute(text("DELETE FROM planned_cells WHERE version = :n"), {"n": version})
        connection.execute(text("DELETE FROM cell_lineage WHERE version = :n"), {"n": version})


def _nothing(_: str) -> None:
    return


def take_effect(
    engine: Engine, now: datetime, zone: ZoneInfo, checkpoint: Callable[[str], None] = _nothing
) -> Effect | None:
    """Bring the published version into force if its time has come; None when there is nothing to do.

    ``checkpoint`` is told after each step: where a test kills the process. Functions change hands on ``now``'s day in ``zone``.
    """
    with engine.connect() as connection:
        due = _waiting(connection)
        if due is None or due.effective_at > now:
            return None
        version = int(due.n)
        outlines = _planned_outlines(connection, version)
    # Seconds for a large city: no transaction stands open meanwhile.
    index = CellIndex([row.code for row in outlines], _polygons(row.shape for row in outlines).tolist())
    with engine.begin() as connection:
        connection.execute(_LOCK)
        due = _waiting(connection)
        if due is None or due.n != version or due.effective_at > now:
            return None
        connection.execute(
            text("UPDATE grid_versions SET state = 'ended', in_force_to = :now WHERE state = 'in_force'"), {"now": now}
        )
        checkpoint("former version ended")
        gone = _end_states(connection, version, now)
        checkpoint("old states ended")
        came = _begin_states(connection, version, now)
        checkpoint("new states begun")
        shared = _shared(connection, version)
        ended, fresh = frozenset(gone) - frozenset(came), frozenset(came) - frozenset(gone)
        kin = nearest_kin((old, new, area_m2) for old, new, area_m2 in shared if old in ended)
        ground = index, frozenset(gone), frozenset(came), kin
        placed = [_rehome(connection, table, *ground, now, version) for table in _SOURCES]
        checkpoint("sensors and cameras placed")
        functions = _hand_over(connection, ended, fresh, shared, now.astimezone(zone).date())
        checkpoint("functions handed over")
        connection.execute(text("DELETE FROM planned_cells WHERE version = :n"), {"n": version})
        _set(connection, version, state=IN_FORCE, in_force_from=now)
        mark_stale(connection, "cells")
        checkpoint("before commit")
    replaced = len(frozenset(gone) & frozenset(came))
    rehomed, unplaced = (sum(counted) for counted in zip(*placed, strict=True))
    return Effect(version, tuple(sorted(ended)), tuple(sorted(fresh)), replaced, rehomed, unplaced, functions)


def versions(connection: Connection) -> Sequence[Row[Any]]:
    """Every version, newest first, without its report; ``counts`` says how many cells met which fate in the whole city."""
    found = connection.execute(
        text(
            "SELECT n, state, note, made_at, made_by, effective_at, in_force_from, in_force_to,"
            " coalesce(changes -> 'total', '{}') AS counts FROM grid_versions ORDER BY n DESC"
        )
    )
    return found.all()


def version_of(connection: Connection, version: int) -> Row[Any]:
    """One version with its report and changes. Raises NoSuchVersion."""
    row = connection.execute(text("SELECT * FROM grid_versions WHERE n = :n"), {"n": version}).one_or_none()
    if row is None:
        raise NoSuchVersion(f"there is no version {version}: see `grid versions`")
    return row


def ground_mark(connection: Connection) -> str:
    """A text that differs whenever regions, cells or the catalogue are not what they were. Cheap: asked every second."""
    found = connection.execute(
        text(
            "SELECT concat_ws('/', (SELECT n FROM grid_versions WHERE state = 'in_force'),"
            " coalesce((SELECT max(n) FROM imports), 0),"
            " coalesce((SELECT revision FROM map_layers WHERE layer = 'regions'), 0),"
            " coalesce((SELECT max(n) FROM sensors), 0), coalesce((SELECT max(n) FROM cameras), 0),"
            " coalesce((SELECT max(n) FROM sensor_history), 0), coalesce((SELECT sum(version) FROM profiles), 0))"
        )
    )
    return str(found.scalar_one())


_STATE: Final = "code, name, region, kind, area_m2, sources, version, valid_from, valid_to"
_AS_OF: Final = "valid_from <= :moment AND (valid_to IS NULL OR valid_to > :moment)"
_POINT: Final = "ST_SetSRID(ST_MakePoint(:lng, :lat), 4490)"
# The asker's scope stands beside the policy: && is not leak-proof, so the path index is what narrows the search.
_WITHIN: Final = "scope >= :scope AND scope < :scope || '~'"


def cells_at(connection: Connection, moment: datetime) -> Sequence[Row[Any]]:
    """Every cell as it stood at a moment, by code, with its outline as ``shape`` (WKB)."""
    found = connection.execute(
        text(f'SELECT {_STATE}, ST_AsBinary(geom) AS shape FROM cells WHERE {_AS_OF} ORDER BY code COLLATE "C"'),
        {"moment": moment},
    )
    return found.all()


def cell_at(connection: Connection, lng: float, lat: float, moment: datetime, scope: str) -> Row[Any] | None:
    """The cell below ``scope`` that covered a point (CGCS2000 degrees) at a moment; the lowest code on shared edges."""
    found = connection.execute(
        text(
            f"SELECT {_STATE} FROM cells WHERE {_WITHIN} AND {_AS_OF} AND ST_Covers(geom, {_POINT})"
            ' ORDER BY code COLLATE "C" LIMIT 1'
        ),
        {"lng": lng, "lat": lat, "moment": moment, "scope": scope},
    )
    return found.one_or_none()


def nearest_at(
    connection: Connection, lng: float, lat: float, moment: datetime, scope: str
) -> tuple[str, float] | None:
    """The cell below ``scope`` nearest to a point at a moment and the distance in metres on the ellipsoid."""
    # The first by degrees is no farther than some true distance; whatever is nearer lies in the box of that distance.
    row = connection.execute(
        text(
            f"WITH own AS NOT MATERIALIZED (SELECT code, geom FROM cells WHERE {_WITHIN} AND {_AS_OF}),"
            f" first AS (SELECT ST_Distance(geom, {_POINT}) AS degrees FROM own ORDER BY geom <-> {_POINT} LIMIT 1)"
            f" SELECT code, ST_Distance(geom::geography, {_POINT}::geography) AS distance_m FROM own, first"
            f" WHERE geom && ST_Expand({_POINT}, degrees / greatest(cos(radians(:lat)), 0.01) + 1e-9, degrees + 1e-9)"
            ' ORDER BY distance_m, code COLLATE "C" LIMIT 1'
        ),
        {"lng": lng, "lat": lat, "moment": moment, "scope": scope},
    ).one_or_none()
    return None if row is None else (row.code, float(row.distance_m))


def states_of(connection: Connection, code: str) -> Sequence[Row[Any]]:
    """Every state that a cell was in force with, oldest first."""
    return connection.execute(
        text(f"SELECT {_STATE} FROM cells WHERE code = :code ORDER BY valid_from, n"), {"code": code}
    ).all()


def kin_of(connection: Connection, code: str, versions: Sequence[int]) -> Sequence[Row[Any]]:
    """What these versions made of a cell, and what they made it of: the lineage rows at either end of which it stands."""
    return connection.execute(
        text(
            "SELECT version, from_code, code, change, area_m2 FROM cell_lineage"
            " WHERE version = ANY (:versions) AND (code = :code OR from_code = :code)"
            " ORDER BY version, area_m2 DESC, from_code, code"
        ),
        {"code": code, "versions": list(versions)},
    ).all()


def taken_effect(connection: Connection) -> list[int]:
    """Numbers of the versions that are or were in force."""
    found = connection.execute(text("SELECT n FROM grid_versions WHERE in_force_from IS NOT NULL ORDER BY n"))
    return list(found.scalars())


def functions_of(connection: Connection, codes: Iterable[str], day: date) -> dict[str, list[dict[str, Any]]]:
    """The functions valid on a day by cell, ready to be shown."""
    found = connection.execute(
        text(
            "SELECT cell, domain, organisation, worker, valid_from, valid_to FROM cell_functions"
            " WHERE cell = ANY (:codes) AND valid_from <= :day AND (valid_to IS NULL OR valid_to > :day)"
            " ORDER BY cell, domain, valid_from"
        ),
        {"codes": list(codes), "day": day},
    )
    shown = dict[str, list[dict[str, Any]]]()
    for row in found:
        ends = None if row.valid_to is None else row.valid_to.isoformat()
        function = {"domain": row.domain, "organisation": row.organisation, "worker": row.worker}
        dates = {"valid_from": row.valid_from.isoformat(), "valid_to": ends}
        shown.setdefault(row.cell, []).append(function | dates)
    return shown


@dataclass(frozen=True, slots=True)
class Stored:
    """How many functions were written, and how many earlier ones end because another organisation takes over."""

    written: int
    ended: int


def scopes_in_force(connection: Connection) -> dict[str, str]:
    """The path of every cell in force by code."""
    return dict(connection.execute(text("SELECT code, scope FROM cells WHERE valid_to IS NULL")).all())


def save_functions(connection: Connection, functions: Sequence[CellFunction], scopes: Mapping[str, str]) -> Stored:
    """Write functions, in the place of those of the same cell, domain and first day.

    In a cell one organisation holds a domain at a time: what began earlier ends when the new one begins.
    """
    if not functions:
        return Stored(0, 0)
    ended = connection.execute(
        text(
            "UPDATE cell_functions f SET valid_to = g.starts FROM (SELECT f.id, min(g.starts) AS starts"
            " FROM cell_functions f JOIN unnest(CAST(:cell AS text[]), CAST(:domain AS text[]), CAST(:starts AS date[]))"
            " AS g(cell, domain, starts) ON g.cell = f.cell AND g.domain = f.domain AND f.valid_from < g.starts"
            " AND (f.valid_to IS NULL OR f.valid_to > g.starts) GROUP BY f.id) g WHERE g.id = f.id RETURNING f.id"
        ),
        {
            "cell": [f.cell for f in functions],
            "domain": [f.domain for f in functions],
            "starts": [f.valid_from for f in functions],
        },
    ).all()
    _insert_functions(connection, functions, scopes, replacing=True)
    # A new one that would run into one which begins later ends there, unless it said itself when it ends.
    connection.execute(
        text(
            "UPDATE cell_functions f SET valid_to = n.starts FROM (SELECT f.id, min(n.valid_from) AS starts"
            " FROM cell_functions f JOIN cell_functions n ON n.cell = f.cell AND n.domain = f.domain"
            " AND n.valid_from > f.valid_from AND (f.valid_to IS NULL OR f.valid_to > n.valid_from)"
            " WHERE f.cell = ANY (:codes) GROUP BY f.id) n WHERE n.id = f.id"
        ),
        {"codes": sorted({f.cell for f in functions})},
    )
    return Stored(len(functions), len(ended))


def _insert_functions(
    connection: Connection, functions: Sequence[CellFunction], scopes: Mapping[str, str], *, replacing: bool
) -> None:
    clash = (
        "DO UPDATE SET organisation = excluded.organisation, worker = excluded.worker, valid_to = excluded.valid_to,"
        " scope = excluded.scope"
        if replacing
        else "DO NOTHING"
    )
    names = ("cell", "domain", "organisation", "worker", "valid_from", "valid_to")
    rows = [{name: getattr(f, name) for name in names} | {"scope": scopes[f.cell]} for f in functions]
    if rows:
        connection.execute(
            text(
                "INSERT INTO cell_functions (cell, domain, organisation, worker, valid_from, valid_to, scope)"
                " VALUES (:cell, :domain, :organisation, :worker, :valid_from, :valid_to, :scope)"
                f" ON CONFLICT (cell, domain, valid_from) {clash}"
            ),
            rows,
        )


def _read_standing(connection: Connection) -> _Standing:
    cells = connection.execute(
        text(
            "SELECT code, name, kind, region, scope, sources, ST_AsBinary(geom) AS shape FROM cells"
            ' WHERE valid_to IS NULL ORDER BY code COLLATE "C"'
        )
    ).all()
    villages = connection.execute(
        text("SELECT code, scope, ST_AsBinary(geom) AS shape FROM regions WHERE tier = 'village' ORDER BY code")
    ).all()
    retired = connection.execute(
        text("SELECT code, max(valid_to) FROM cells GROUP BY code HAVING bool_and(valid_to IS NOT NULL)")
    )
    sources = {
        table: connection.execute(
            text(f"SELECT id, cell, ST_X(geom) AS lng, ST_Y(geom) AS lat FROM {table} ORDER BY id")
        ).all()
        for table in _SOURCES
    }
    return _Standing(
        version=_version_in_force(connection),
        ground=Ground(
            tuple(row.code for row in cells),
            _polygons(row.shape for row in cells),
            tuple(Label(row.name, row.kind, row.region, row.scope, row.sources) for row in cells),
        ),
        retired=dict(retired.all()),
        villages=Villages(
            tuple(row.code for row in villages),
            tuple(row.scope for row in villages),
            _polygons(row.shape for row in villages),
        ),
        functions=_functions(connection),
        sources=sources,
    )


def _polygons(shapes: Iterable[Any]) -> Any:
    return np.array(shapely.from_wkb([bytes(shape) for shape in shapes]), dtype=object)


def _functions(connection: Connection) -> list[CellFunction]:
    table = cell_functions
    found = connection.execute(
        table.select().with_only_columns(
            table.c.cell, table.c.domain, table.c.organisation, table.c.worker, table.c.valid_from, table.c.valid_to
        )
    )
    return [CellFunction(*row) for row in found]


def _with_known_outlines(old: Ground, new: Ground) -> Ground:
    """The new ground with outlines that did not change written exactly as they stand, so that the database can compare them."""
    if not len(old.codes):
        return new
    same = same_ground(old, new)
    polygons = new.polygons.copy()
    polygons[same >= 0] = old.polygons[same[same >= 0]]
    return Ground(new.codes, polygons, new.labels)


def _changes(standing: _Standing, new: Ground, lineage: Lineage, straddling: Sequence[Straddling]) -> dict[str, Any]:
    """The diff report: what the version would change for whom. Figures are by region code; areas in m2."""
    old = standing.ground
    fates = [(label.scope, change) for label, change in zip(new.labels, lineage.new_change, strict=True)]
    surviving = frozenset(new.codes)
    gone = [row for row, code in enumerate(old.codes) if code not in surviving]
    fates += [(old.labels[row].scope, ENDED) for row in gone]
    by_region = counts(fates)
    total: dict[str, int] = {}
    for _, change in fates:
        total[change] = total.get(change, 0) + 1
    pairs = [
        (old.codes[b], new.codes[a], float(area))
        for b, a, area in zip(lineage.before.tolist(), lineage.after.tolist(), lineage.area_m2.tolist(), strict=True)
    ]
    came, went = dict[str, list[dict[str, Any]]](), dict[str, list[dict[str, Any]]]()
    for before, after, area in pairs:
        came.setdefault(after, []).append({"code": before, "area_m2": round(area, 1)})
        went.setdefault(before, []).append({"code": after, "area_m2": round(area, 1)})
    cells = [
        {"code": code, "change": change, "region": label.region, "from": came.get(code, [])}
        for code, label, change in zip(new.codes, new.labels, lineage.new_change, strict=True)
        if change != UNCHANGED
    ]
    changing = [row for row, change in enumerate(lineage.old_change) if change != UNCHANGED]
    cells += [
        {
            "code": old.codes[row],
            "change": lineage.old_change[row],
            "region": old.labels[row].region,
            "into": went.get(old.codes[row], []),
        }
        for row in gone
    ]
    ended = frozenset(old.codes[row] for row in gone)
    fresh = surviving - frozenset(old.codes)
    affected = frozenset(old.codes[row] for row in changing)
    given = inherited(standing.functions, ended, fresh, pairs, date.min)
    index = CellIndex(new.codes, new.polygons.tolist())
    kin = nearest_kin((before, after, area) for before, after, area in pairs if before in ended)
    return {
        "compared_with": standing.version,
        "total": total,
        "regions": by_region,
        "cells": cells,
        "straddling": [{"cell": s.cell, "village": s.village, "share": s.share} for s in straddling],
        **{table: _homeless(rows, index, kin) for table, rows in standing.sources.items()},
        "functions": [
            {"cell": f.cell, "domain": f.domain, "organisation": f.organisation, "worker": f.worker}
            for f in standing.functions
            if f.cell in affected and f.valid_to is None
        ],
        "functions_inherited": [
            {"cell": f.cell, "domain": f.domain, "organisation": f.organisation, "worker": f.worker} for f in given
        ],
    }


def _homeless(rows: Sequence[Row[Any]], index: CellIndex, kin: Mapping[str, tuple[str, float]]) -> list[dict[str, Any]]:
    """Sensors or cameras that change cell: from which, and to which, None when no cell covers them any longer."""
    changed = []
    for row, place in zip(rows, _places(rows, index), strict=True):
        to = place
        if row.lng is None:
            to = kin[row.cell][0] if row.cell in kin else row.cell
        if to != row.cell:
            changed.append({"id": row.id, "from": row.cell, "to": to})
    return changed


def _insert_version(
    connection: Connection, report: Mapping[str, Any], note: str, made_by: str, changes: Mapping[str, Any]
) -> int:
    statement = text(
        "INSERT INTO grid_versions (state, note, made_at, made_by, report, changes)"
        " VALUES ('planned', :note, now(), :made_by, :report, :changes) RETURNING n"
    ).bindparams(bindparam("report", type_=JSONB), bindparam("changes", type_=JSONB))
    values = {"note": note, "made_by": made_by, "report": dict(report), "changes": dict(changes)}
    return int(connection.execute(statement, values).scalar_one())


def _insert_cells(connection: Connection, version: int, ground: Ground) -> None:
    west, south, east, north = shapely.total_bounds(ground.polygons).tolist()
    area_m2 = shapely.area(EqualArea((west + east) / 2, (south + north) / 2).metres(ground.polygons)).tolist()
    statement = text(
        "INSERT INTO planned_cells (version, code, name, kind, region, scope, area_m2, sources, geom) VALUES"
        " (:version, :code, :name, :kind, :region, :scope, :area_m2, :sources, ST_Multi(ST_GeomFromWKB(:shape, 4490)))"
    ).bindparams(bindparam("sources", type_=JSONB))
    shapes = shapely.to_wkb(ground.polygons).tolist()
    connection.execute(
        statement,
        [
            {
                "version": version,
                "code": code,
                "name": label.name,
                "kind": label.kind,
                "region": label.region,
                "scope": label.scope,
                "area_m2": area,
                "sources": dict(label.sources),
                "shape": shape,
            }
            for code, label, area, shape in zip(ground.codes, ground.labels, area_m2, shapes, strict=True)
        ],
    )


def _insert_lineage(connection: Connection, version: int, old: Ground, new: Ground, lineage: Lineage) -> None:
    pairs = zip(lineage.before.tolist(), lineage.after.tolist(), lineage.area_m2.tolist(), strict=True)
    rows = [
        {
            "version": version,
            "from_code": old.codes[before],
            "code": new.codes[after],
            "change": lineage.new_change[after],
            "area_m2": area,
            "scope": new.labels[after].scope,
        }
        for before, after, area in pairs
        if lineage.new_change[after] != UNCHANGED
    ]
    if rows:
        connection.execute(
            text(
                "INSERT INTO cell_lineage (version, from_code, code, change, area_m2, scope)"
                " VALUES (:version, :from_code, :code, :change, :area_m2, :scope)"
            ),
            rows,
        )


def _version_in_force(connection: Connection) -> int | None:
    found: int | None = connection.execute(
        text("SELECT n FROM grid_versions WHERE state = 'in_force'")
    ).scalar_one_or_none()
    return found


def _waiting(connection: Connection) -> Row[Any] | None:
    return connection.execute(text("SELECT n, effective_at FROM grid_versions WHERE state = 'published'")).one_or_none()


def _locked(connection: Connection, version: int) -> Row[Any]:
    row = connection.execute(
        text(
            "SELECT n, state, CAST(changes ->> 'compared_with' AS integer) AS compared_with FROM grid_versions"
            " WHERE n = :n FOR UPDATE"
        ),
        {"n": version},
    ).one_or_none()
    if row is None:
        raise NoSuchVersion(f"there is no version {version}: see `grid versions`")
    return row


def _named(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"


def _set(connection: Connection, version: int, **values: Any) -> None:
    told = ", ".join(f"{name} = :{name}" for name in values)
    connection.execute(text(f"UPDATE grid_versions SET {told} WHERE n = :n"), {"n": version, **values})


# Exactly the same, sources, name, kind and path included: such a row stays, and so does its number in stored readings.
_STAYS: Final = (
    "EXISTS (SELECT FROM planned_cells p WHERE p.version = :version AND p.code = c.code AND p.name = c.name"
    " AND p.kind = c.kind AND p.region = c.region AND p.scope = c.scope AND p.sources = c.sources AND p.geom = c.geom)"
)


def _end_states(connection: Connection, version: int, now: datetime) -> list[str]:
    """End the states that do not stay; their codes."""
    found = connection.execute(
        text(f"UPDATE cells c SET valid_to = :now WHERE valid_to IS NULL AND NOT {_STAYS} RETURNING code"),
        {"now": now, "version": version},
    )
    return list(found.scalars())


def _begin_states(connection: Connection, version: int, now: datetime) -> list[str]:
    """Begin the states that did not stand already; their codes."""
    found = connection.execute(
        text(
            "INSERT INTO cells (code, name, kind, region, scope, area_m2, sources, version, valid_from, geom)"
            " SELECT code, name, kind, region, scope, area_m2, sources, version, :now, geom FROM planned_cells p"
            " WHERE version = :version AND NOT EXISTS (SELECT FROM cells c WHERE c.code = p.code AND c.valid_to IS NULL)"
            ' ORDER BY code COLLATE "C" RETURNING code'
        ),
        {"now": now, "version": version},
    )
    return list(found.scalars())


def _shared(connection: Connection, version: int) -> list[tuple[str, str, float]]:
    found = connection.execute(
        text("SELECT from_code, code, area_m2 FROM cell_lineage WHERE version = :version"), {"version": version}
    )
    return [(row.from_code, row.code, row.area_m2) for row in found]


def _planned_outlines(connection: Connection, version: int) -> Sequence[Row[Any]]:
    found = connection.execute(
        text("SELECT code, ST_AsBinary(geom) AS shape FROM planned_cells WHERE version = :n"), {"n": version}
    )
    return found.all()


def _rehome(
    connection: Connection,
    table: str,
    index: CellIndex,
    gone: AbstractSet[str],
    came: AbstractSet[str],
    kin: Mapping[str, tuple[str, float]],
    now: datetime,
    version: int,
) -> tuple[int, int]:
    """Give the sensors or cameras on changed ground their cell: (how many have another one, how many no cell covers).

    Those of unchanged cells too, where a changed cell touches them: on a shared edge the lowest code wins. What stands
    nowhere goes with the cell that has most of its cell's ground.
    """
    rows = connection.execute(text(f"SELECT n, cell, ST_X(geom) AS lng, ST_Y(geom) AS lat FROM {table}")).all()
    places = _places(rows, index)
    # What stands nowhere stays with a cell that has a new state under its old code.
    heirs = {code: other for code, (other, _) in kin.items()} | {code: code for code in gone & came}
    becomes = [
        (row.n, heirs.get(row.cell) if row.lng is None else place)
        for row, place in zip(rows, places, strict=True)
        if row.cell in gone or (row.lng is not None and place in came)
    ]
    moved = connection.execute(
        text(
            f"UPDATE {table} s SET cell = c.code, region = c.region, scope = c.scope"
            " FROM unnest(CAST(:numbers AS int[]), CAST(:codes AS text[])) AS v(n, code)"
            f" JOIN cells c ON c.code = v.code AND c.valid_to IS NULL JOIN {table} o ON o.n = v.n"
            " WHERE s.n = v.n AND (s.cell, s.scope) <> (c.code, c.scope)"
            " RETURNING s.id, o.cell AS was, s.cell, s.scope" + (", s.revision" if table == "sensors" else "")
        ),
        {"numbers": [n for n, _ in becomes], "codes": [code for _, code in becomes]},
    ).all()
    if table == "sensors":
        save_rehomed(connection, moved, now, version)
    return len(moved), sum(code is None for _, code in becomes)


def _places(rows: Sequence[Row[Any]], index: CellIndex) -> list[str | None]:
    """The cell that covers each sensor or camera, None where none does or it stands nowhere."""
    lng = np.array([np.nan if row.lng is None else row.lng for row in rows], dtype=np.float64)
    lat = np.array([np.nan if row.lat is None else row.lat for row in rows], dtype=np.float64)
    return [index.codes[place] if place != OUTSIDE else None for place in index.locate(lng, lat).tolist()]


def _hand_over(
    connection: Connection,
    ended: frozenset[str],
    fresh: frozenset[str],
    shared: Sequence[tuple[str, str, float]],
    day: date,
) -> int:
    """End the functions of cells that end and let their successors have them from ``day`` on; how many were handed over."""
    given = inherited(_functions(connection), ended, fresh, shared, day)
    values = {"ended": sorted(ended), "day": day}
    connection.execute(text("DELETE FROM cell_functions WHERE cell = ANY (:ended) AND valid_from >= :day"), values)
    connection.execute(
        text(
            "UPDATE cell_functions SET valid_to = :day WHERE cell = ANY (:ended)"
            " AND (valid_to IS NULL OR valid_to > :day)"
        ),
        values,
    )
    connection.execute(
        text(
            "UPDATE cell_functions f SET scope = c.scope FROM cells c"
            " WHERE c.code = f.cell AND c.valid_to IS NULL AND c.scope <> f.scope"
        )
    )
    _insert_functions(connection, given, scopes_in_force(connection), replacing=False)
    return len(given)
