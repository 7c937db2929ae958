"""The door through which regions come into the database, and move in it when their parent changes.

A scope is a region's path by today's parentage, and every row that lies somewhere carries one. So a changed parent is one
transaction that rewrites the beginning of the scopes in every table. What an event's audience was stays as it was: history.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np
import shapely
from sqlalchemy import Connection, delete, insert, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.expression import bindparam

from gis.nesting import Nested, Outlines, Parentage, parents_on, restated
from gis.region import TIERS
from gis.region_code import scheme_of
from gis.region_file import RegionFile
from gis.store import region_parents
from gis.tiles import mark_stale

# Their maps show names, outlines and scopes.
_SHOWN: Final = ("regions", "cells")


class TierMismatch(ValueError):
    """A code already names a region of another tier, or the city is another one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A region as it stands in the database; ``parent`` by the scopes in force."""

    code: str
    name: str
    tier: str
    parent: str | None


@dataclass(frozen=True, slots=True)
class Moved:
    """A region that now has another parent."""

    code: str
    was: str | None
    parent: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where an import comes from: file name, digest with its algorithm, and the datum its coordinates were read in."""

    file: str
    digest: str
    datum: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What an import has done; ``version`` is its number among all imports."""

    version: int
    moved: tuple[Moved, ...]


def standing_regions(connection: Connection) -> dict[str, Standing]:
    """Every region by code."""
    found = connection.execute(text("SELECT code, name, tier, parent FROM regions ORDER BY code"))
    return {row.code: Standing(*row) for row in found}


def outlines(connection: Connection, tier: str) -> Outlines:
    """The regions of a tier with their shapes, in code order."""
    found = connection.execute(
        text("SELECT code, ST_AsBinary(geom) AS shape FROM regions WHERE tier = :tier ORDER BY code"), {"tier": tier}
    ).all()
    return Outlines(tier, tuple(row.code for row in found), _shapes(row.shape for row in found))


def cells_in_force(connection: Connection) -> tuple[Outlines, dict[str, str]]:
    """The cells in force with their shapes, in code order, and the village of each."""
    found = connection.execute(
        text("SELECT code, region, ST_AsBinary(geom) AS shape FROM cells WHERE valid_to IS NULL ORDER BY code")
    ).all()
    shapes = _shapes(row.shape for row in found)
    return Outlines(TIERS[-1], tuple(row.code for row in found), shapes), {row.code: row.region for row in found}


def _shapes(binaries: Iterable[bytes]) -> np.ndarray[tuple[int, ...], np.dtype[np.object_]]:
    return np.array(shapely.from_wkb([bytes(binary) for binary in binaries]), dtype=object)


def parentage(connection: Connection) -> list[Parentage]:
    """All dated parentage."""
    table = region_parents.c
    found = connection.execute(select(table.code, table.valid_from, table.parent, table.valid_to))
    return [Parentage(*row) for row in found]


def refuse_mismatch(standing: dict[str, Standing], tier: str, codes: Sequence[str]) -> None:
    """Raise TierMismatch where the codes of a tier cannot stand beside the regions that are there."""
    for code in codes:
        if code in standing and standing[code].tier != tier:
            raise TierMismatch(f"{code} is a {standing[code].tier} already and cannot be a {tier} too")
    city = next((region.code for region in standing.values() if region.tier == TIERS[0]), None)
    if tier == TIERS[0] and (len(codes) > 1 or city not in (None, codes[0])):
        there = f"{city} stands already, the file holds " if city else "the file holds "
        raise TierMismatch(f"there is one city: {there}{', '.join(codes[:5])}")


_UPSERT = """
INSERT INTO regions (code, name, tier, kind, parent, scope, scheme, valid_from, source, version, geom, label)
SELECT :code, :name, :tier, :kind, CAST(:parent AS text),
  coalesce((SELECT scope FROM regions WHERE code = :parent), '') || :code || '/',
  :scheme, :today, :source, :version, ST_Multi(ST_GeomFromWKB(:geom, 4490)), ST_GeomFromWKB(:label, 4490)
ON CONFLICT (code) DO UPDATE SET name = excluded.name, kind = coalesce(nullif(excluded.kind, ''), regions.kind),
  scheme = excluded.scheme, valid_from = coalesce(regions.valid_from, excluded.valid_from), valid_to = NULL,
  source = excluded.source, version = excluded.version, geom = excluded.geom, label = excluded.label, synthetic = false
"""


def store_regions(
    connection: Connection, file: RegionFile, nested: Sequence[Nested], source: Source, now: datetime, today: date
) -> Stored:
    """Put the regions of a file in, or in the place of what stands under their codes. One transaction, the caller's.

    ``nested`` holds the parent of each, in the file's order; it is empty for the city. A parent that is new or another one
    holds from ``today`` on.
    """
    tier = file.outlines.tier
    # Before the first statement: nothing is computed while the transaction stands open.
    shapes = shapely.to_wkb(file.outlines.shapes)
    labels = shapely.to_wkb(shapely.point_on_surface(file.outlines.shapes))
    parents = {own.code: own.parent for own in nested}
    standing = standing_regions(connection)
    refuse_mismatch(standing, tier, file.outlines.codes)
    version = _record(connection, f"regions/{tier}", source, now, len(file.entries), [*file.notices, *file.skipped])
    connection.execute(
        text(_UPSERT),
        [
            {
                "code": entry.code,
                "name": entry.name or entry.code,
                "tier": tier,
                "kind": entry.kind,
                "parent": parents.get(entry.code),
                "scheme": scheme_of(entry.code, tier),
                "today": today,
                "source": source.file,
                "version": version,
                "geom": shape,
                "label": label,
            }
            for entry, shape, label in zip(file.entries, shapes, labels, strict=True)
        ],
    )
    held = parents_on(today, parentage(connection))
    fresh = [Parentage(code, today, parent) for code, parent in parents.items() if held.get(code) != parent]
    _state(connection, fresh)
    moved = _moved(connection, standing, parents)
    mark_stale(connection, *_SHOWN)
    return Stored(version, moved)


def store_parentage(
    connection: Connection,
    given: Sequence[Parentage],
    source: Source,
    notices: Sequence[str],
    now: datetime,
    today: date,
) -> Stored:
    """Take dated parentage in, and move what it moves today. One transaction, the caller's."""
    version = _record(connection, "parentage", source, now, len(given), list(notices))
    after = restated(parentage(connection), given)
    codes = sorted({own.code for own in given})
    connection.execute(delete(region_parents).where(region_parents.c.code.in_(codes)))
    _state(connection, after)
    return Stored(version, apply_parentage(connection, today))


def apply_parentage(connection: Connection, today: date) -> tuple[Moved, ...]:
    """Move every region whose parent of the day is not the one it stands under, with all that lies in it."""
    return _moved(connection, standing_regions(connection), parents_on(today, parentage(connection)))


def _state(connection: Connection, rows: Sequence[Parentage]) -> None:
    if rows:
        fields = ("code", "valid_from", "parent", "valid_to")
        table = region_parents.c
        keys = [(row.code, row.valid_from) for row in rows]
        connection.execute(
            delete(region_parents).where(table.code == bindparam("own"), table.valid_from == bindparam("since")),
            [{"own": code, "since": since} for code, since in keys],
        )
        connection.execute(insert(region_parents), [{name: getattr(row, name) for name in fields} for row in rows])


def _record(connection: Connection, what: str, source: Source, now: datetime, rows: int, notices: Sequence[str]) -> int:
    statement = text(
        "INSERT INTO imports (what, file, digest, datum, imported_at, rows, notices)"
        " VALUES (:what, :file, :digest, :datum, :now, :rows, :notices) RETURNING n"
    ).bindparams(bindparam("notices", type_=JSONB))
    values = {"what": what, "file": source.file, "digest": source.digest, "datum": source.datum}
    found = connection.execute(statement, values | {"now": now, "rows": rows, "notices": list(notices)})
    return int(found.scalar_one())


def _moved(connection: Connection, standing: dict[str, Standing], parents: dict[str, str]) -> tuple[Moved, ...]:
    """Move the regions that stand under another parent than ``parents`` says, those of upper tiers first."""
    due = [
        Moved(code, standing[code].parent, parent)
        for code, parent in sorted(parents.items())
        if code in standing and standing[code].parent != parent
    ]
    due.sort(key=lambda moved: TIERS.index(standing[moved.code].tier))
    tables = _tables_with(connection, "scope") if due else []
    for moved in due:
        _move(connection, tables, moved)
    if due:
        mark_stale(connection, *_SHOWN)
    return tuple(due)


def _move(connection: Connection, tables: Sequence[str], moved: Moved) -> None:
    was, becomes = connection.execute(
        text(
            "SELECT r.scope, p.scope || r.code || '/' FROM regions r, regions p WHERE r.code = :code AND p.code = :parent"
        ),
        {"code": moved.code, "parent": moved.parent},
    ).one()
    connection.execute(
        text("UPDATE regions SET parent = :parent WHERE code = :code"), {"code": moved.code, "parent": moved.parent}
    )
    if was == becomes:
        return
    for table in tables:
        connection.execute(
            text(
                f"UPDATE {table} SET scope = :becomes || substr(scope, length(:was) + 1)"
                " WHERE scope >= :was AND scope < :was || '~'"
            ),
            {"was": was, "becomes": becomes},
        )
    # Who holds a matter and who hears of it are paths too: with the old one nobody could act on it any more.
    for table in _tables_with(connection, "holder"):
        connection.execute(
            text(
                f"UPDATE {table} SET holder = jsonb_set(holder, '{{scope}}',"
                " to_jsonb(CAST(:becomes AS text) || substr(holder ->> 'scope', length(:was) + 1)))"
                " WHERE starts_with(holder ->> 'scope', :was)"
            ),
            {"was": was, "becomes": becomes},
        )
    for table in _tables_with(connection, "audience"):
        connection.execute(
            text(
                f"UPDATE {table} SET audience = ARRAY(SELECT CASE WHEN starts_with(path, :was)"
                " THEN :becomes || substr(path, length(:was) + 1) ELSE path END"
                " FROM unnest(audience) WITH ORDINALITY AS a(path, place) ORDER BY place)"
                " WHERE EXISTS (SELECT FROM unnest(audience) AS path WHERE starts_with(path, :was))"
            ),
            {"was": was, "becomes": becomes},
        )


def _tables_with(connection: Connection, column: str) -> list[str]:
    """Every table with such a column, of whichever room: the database knows them all, a process only those it has imported."""
    found = connection.execute(
        text(
            "SELECT quote_ident(c.relname) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " AND a.attname = :column AND NOT a.attisdropped ORDER BY 1"
        ),
        {"column": column},
    )
    return list(found.scalars())
