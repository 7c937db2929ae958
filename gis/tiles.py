"""Vector tiles straight out of PostGIS, as far as the connection's scope lets them be seen.

Regions and cells are drawn ahead of time: simplified level by level (``gis.simplify``) into ``tile_shapes``. Whoever changes
the ground marks its layer stale in the same transaction; ``redraw_stale`` draws it anew and gives it the next revision. The
revision names what a tile shows, so a tile may be kept under its address for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import groupby
from typing import Any, Final

import numpy as np
import shapely
from sqlalchemy import Connection, Engine, Row, text

from gis.simplify import EXTENT, LAST_ZOOM, by_level, level_at, mercator, unit_m

_BUFFER: Final = 64  # units beyond a tile's edge, in which lines go on
_REDRAW: Final = 0x63635F74696C6573  # "cc_tiles", the lock of those who draw


class NoSuchTile(LookupError):
    """The layer does not exist, the tile lies outside the pyramid, or its version has ended."""


# -- drawing ahead ---------------------------------------------------------------------------------------------------------

# What one coverage is made of: regions of one tier, the cells in force. Water is drawn as it lies and only has revisions.
_SOURCES: Final[Mapping[str, str | None]] = {
    "regions": (
        "SELECT code, name, tier, parent, inferred, scope, ST_AsBinary(geom) AS shape FROM regions ORDER BY tier, code"
    ),
    "cells": (
        "SELECT code, name, 'grid' AS tier, region AS parent, false AS inferred, scope, ST_AsBinary(geom) AS shape FROM cells"
        " WHERE valid_to IS NULL ORDER BY code"
    ),
    "water": None,
}

_NAMED: Final = ("code", "name", "tier", "parent", "inferred", "scope")
_ADD_SHAPES: Final = text("""
INSERT INTO tile_shapes (layer, level, code, name, tier, parent, inferred, scope, geom)
SELECT :layer, :level, code, name, tier, parent, inferred, scope, ST_Multi(ST_GeomFromWKB(shape, 3857))
FROM unnest(CAST(:code AS text[]), CAST(:name AS text[]), CAST(:tier AS text[]), CAST(:parent AS text[]),
            CAST(:inferred AS boolean[]), CAST(:scope AS text[]), CAST(:shape AS bytea[]))
  AS s(code, name, tier, parent, inferred, scope, shape)""")


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a layer shows, and the state of the layer's row when it was read."""

    layer: str
    state: str
    rows: Sequence[Row[Any]]


def mark_stale(connection: Connection, *layers: str) -> None:
    """What ``regions``, ``cells`` or ``water`` show has changed: said at the end of the transaction that changes it."""
    for layer in layers:
        connection.execute(
            text(
                "INSERT INTO map_layers (layer, revision, drawn_at, stale) VALUES (:layer, 0, now(), true)"
                " ON CONFLICT (layer) DO UPDATE SET stale = true"
            ),
            {"layer": layer},
        )


def redraw_stale(engine: Engine, now: datetime) -> list[str]:
    """Draw the layers that are stale or were never drawn; which ones got a new revision.

    The drawing takes seconds, in which no transaction stands open. What became stale again meanwhile is not written: it stays
    stale, and the next call draws it.
    """
    with engine.begin() as connection:
        known = set(connection.execute(text("SELECT layer FROM map_layers WHERE NOT stale")).scalars())
    return [layer for layer in _SOURCES if layer not in known and _redraw(engine, layer, now)]


def _redraw(engine: Engine, layer: str, now: datetime) -> bool:
    ground = _read(engine, layer, now)
    drawn = _draw(ground)
    with engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _REDRAW})
        connection.execute(text("DELETE FROM tile_shapes WHERE layer = :layer"), {"layer": layer})
        for rows in drawn:
            connection.execute(_ADD_SHAPES, rows)
        # Last, as those who move regions do it: whoever holds rows of tile_shapes waits for this row, never the reverse.
        done = connection.execute(
            text(
                "UPDATE map_layers SET revision = revision + 1, drawn_at = :now, stale = false"
                " WHERE layer = :layer AND xmin::text = :state"
            ),
            {"layer": layer, "now": now, "state": ground.state},
        )
        if done.rowcount == 0:
            transaction.rollback()
        return done.rowcount == 1


def _read(engine: Engine, layer: str, now: datetime) -> _Ground:
    sql = _SOURCES[layer]
    with engine.begin() as connection:
        connection.execute(
            # Asked for before it is inserted: an insert would wait for an import that has marked the row.
            text(
                "INSERT INTO map_layers (layer, revision, drawn_at, stale) SELECT :layer, 0, :now, true"
                " WHERE NOT EXISTS (SELECT FROM map_layers WHERE layer = :layer) ON CONFLICT DO NOTHING"
            ),
            {"layer": layer, "now": now},
        )
        # Every mark writes the row and so gives it another xmin. Read before the ground: what changes after it is noticed.
        state = connection.execute(text("SELECT xmin::text FROM map_layers WHERE layer = :layer"), {"layer": layer})
        return _Ground(layer, state.scalar_one(), connection.execute(text(sql)).all() if sql else ())


def _draw(ground: _Ground) -> list[dict[str, Any]]:
    """Rows of tile_shapes as columns, one set for each coverage and level."""
    drawn = []
    for _, grouped in groupby(ground.rows, key=lambda row: row.tier):
        rows = list(grouped)
        shapes = mercator(np.array(shapely.from_wkb([bytes(row.shape) for row in rows]), dtype=object))
        for level, simple in by_level(shapes):
            seen = np.flatnonzero(~shapely.is_empty(simple)).tolist()
            columns: dict[str, Any] = {name: [getattr(rows[n], name) for n in seen] for name in _NAMED}
            columns["shape"] = shapely.to_wkb(simple[seen]).tolist()
            drawn.append({"layer": ground.layer, "level": level.n, **columns})
    return drawn


# -- tiles -----------------------------------------------------------------------------------------------------------------

# The tile's own scope condition stands beside the row-level policy: && is not leak-proof, so without it the planner would
# check the policy on every row before it may ask the spatial index.
_WITHIN = "(scope >= :scope AND scope < :scope || '~' OR starts_with(:scope, scope))"
_TILE = "ST_TileEnvelope(:z, :x, :y)"
_WIDE_TILE = f"ST_TileEnvelope(:z, :x, :y, margin => {_BUFFER / EXTENT})"
_BOUNDS = f"ST_SetSRID(ST_Transform({_TILE}, 4326), 4490)"
# Cutting and mending a shape is most of a tile's time. What lies wholly in the tile and on its grid has no need of either.
_DRAWN = f"""CASE WHEN :is_counted AND geom @ {_WIDE_TILE}
    THEN ST_SnapToGrid(ST_Affine(geom, 1 / :unit_m, 0, 0, -1 / :unit_m, :west, :north), 1)
    ELSE ST_AsMVTGeom(geom, {_TILE}, {EXTENT}, {_BUFFER}, true) END AS geom"""
_LIVE = "ST_AsMVTGeom(ST_Transform(ST_SetSRID({source}, 4326), 3857), " + f"{_TILE}, {EXTENT}, {_BUFFER}, true) AS geom"


def _shapes(name: str, drawn_as: str, properties: str, condition: str) -> str:
    # In the order of their codes: the same rows are always the same bytes.
    return f"""
SELECT ST_AsMVT(t, '{name}', {EXTENT}, 'geom') FROM (
  SELECT {properties}, {_DRAWN} FROM tile_shapes
  WHERE layer = '{drawn_as}' AND level = :level AND {condition} AND geom && {_WIDE_TILE} AND {_WITHIN} ORDER BY code COLLATE "C"
) t"""


_REGION = "code, name, tier, parent, inferred"
_TIERS = """tier = ANY (CASE WHEN :z < 8 THEN ARRAY['city', 'county']
                        WHEN :z < 11 THEN ARRAY['city', 'county', 'township']
                        ELSE ARRAY['city', 'county', 'township', 'village'] END)"""

_LABELS = f"""
SELECT ST_AsMVT(t, 'region_labels', {EXTENT}, 'geom') FROM (
  SELECT {_REGION}, {_LIVE.format(source="label")} FROM regions
  WHERE label && {_BOUNDS} AND {_WITHIN}
    AND tier = ANY (CASE WHEN :z < 8 THEN ARRAY['county']
                         WHEN :z < 11 THEN ARRAY['county', 'township']
                         ELSE ARRAY['township', 'village'] END)
  ORDER BY code COLLATE "C"
) t"""

_WATER = f"""
SELECT ST_AsMVT(t, 'water', {EXTENT}, 'geom') FROM (
  SELECT kind, name, rank, {_LIVE.format(source="geom")} FROM water WHERE geom && {_BOUNDS} ORDER BY id
) t"""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as its address names it: whose revision is its own, and the queries whose answers make its tile."""

    drawn_as: str
    queries: tuple[str, ...]


LAYERS: Final[Mapping[str, Layer]] = {
    "regions": Layer("regions", (_shapes("regions", "regions", _REGION, _TIERS), _LABELS)),
    "cells": Layer("cells", (_shapes("cells", "cells", "code, parent AS region", "tier = 'grid'"),)),
    "water": Layer("water", (_WATER,)),
    **{
        tier: Layer("regions", (_shapes(tier, "regions", _REGION, f"tier = '{tier}'"),))
        for tier in ("county", "township", "village")
    },
}


def tile(connection: Connection, layer: str, z: int, x: int, y: int, scope: str) -> bytes:
    """One Mapbox vector tile (specification 2.1), empty bytes when nothing lies in it. Raises NoSuchTile."""
    side = 1 << z if 0 <= z <= LAST_ZOOM else 0
    if layer not in LAYERS or not (0 <= x < side and 0 <= y < side):
        raise NoSuchTile(f"there is no tile {layer}/{z}/{x}/{y}")
    level = level_at(z)
    where = {
        "z": z,
        "x": x,
        "y": y,
        "scope": scope,
        "level": level.n,
        "is_counted": level.is_counted(z),
        "unit_m": unit_m(z),
        "west": (side / 2 - x) * EXTENT,
        "north": (side / 2 - y) * EXTENT,
    }
    # Starting a parallel worker takes longer than drawing a tile.
    connection.execute(text("SET LOCAL max_parallel_workers_per_gather = 0"))
    return b"".join(bytes(connection.execute(text(sql), where).scalar_one()) for sql in LAYERS[layer].queries)


def versions(connection: Connection, scope: str) -> dict[str, str]:
    """A version per layer that changes with its revision, and differs from scope to scope.

    A browser may keep a tile for ever under its own address, and two accounts may share a browser. The time of drawing is part
    of it because another database, seen at the same address later, counts its revisions anew.
    """
    found = connection.execute(text("SELECT layer, revision, drawn_at FROM map_layers")).all()
    states = {row.layer: (row.revision, row.drawn_at.timestamp()) for row in found}
    return {name: _version(scope, *states.get(layer.drawn_as, (0, 0.0))) for name, layer in LAYERS.items()}


def _version(scope: str, revision: int, drawn_at: float) -> str:
    return f"{revision}-{sha256(f'{scope} {revision} {drawn_at}'.encode()).hexdigest()[:12]}"
