"""Vector tiles straight out of PostGIS, as far as the connection's scope lets them be seen."""

from __future__ import annotations

from hashlib import md5
from typing import Final

from sqlalchemy import Connection, text

EXTENT: Final = 4096
LAST_ZOOM: Final = 14


class NoSuchTile(LookupError):
    """The layer does not exist or the tile lies outside the pyramid."""


# The tile's own scope condition stands beside the row-level policy: && is not leak-proof, so without it the planner would
# check the policy on every row before it may ask the spatial index.
_WITHIN = "(scope >= :scope AND scope < :scope || '~' OR starts_with(:scope, scope))"
_TILE = "ST_TileEnvelope(:z, :x, :y)"
_BOUNDS = f"ST_Transform({_TILE}, 4326)"

_GEOMETRY = "ST_AsMVTGeom(ST_Transform(ST_SetSRID({source}, 4326), 3857), " + _TILE + f", {EXTENT}, 64, true)"

_POLYGONS = """
SELECT ST_AsMVT(t, 'regions', 4096, 'geom') FROM (
  SELECT code, name, tier, parent, inferred, {geometry} AS geom FROM regions
  WHERE geom && ST_SetSRID({bounds}, 4490) AND {within}
    AND tier = ANY (CASE WHEN :z < 8 THEN ARRAY['city', 'county']
                         WHEN :z < 11 THEN ARRAY['city', 'county', 'township']
                         ELSE ARRAY['city', 'county', 'township', 'village'] END)
) t"""

_LABELS = """
SELECT ST_AsMVT(t, 'region_labels', 4096, 'geom') FROM (
  SELECT code, name, tier, parent, inferred, {geometry} AS geom FROM regions
  WHERE label && ST_SetSRID({bounds}, 4490) AND {within}
    AND tier = ANY (CASE WHEN :z < 8 THEN ARRAY['county']
                         WHEN :z < 11 THEN ARRAY['county', 'township']
                         ELSE ARRAY['township', 'village'] END)
) t"""

_CELLS = """
SELECT ST_AsMVT(t, 'cells', 4096, 'geom') FROM (
  SELECT code, region, {geometry} AS geom FROM cells
  WHERE geom && ST_SetSRID({bounds}, 4490) AND {within} AND valid_to IS NULL
) t"""

_WATER = """
SELECT ST_AsMVT(t, 'water', 4096, 'geom') FROM (
  SELECT kind, name, rank, {geometry} AS geom FROM water WHERE geom && ST_SetSRID({bounds}, 4490)
) t"""


def _sql(template: str, source: str) -> str:
    return template.format(geometry=_GEOMETRY.format(source=source), bounds=_BOUNDS, within=_WITHIN)


LAYERS: Final = {
    "regions": (_sql(_POLYGONS, "geom"), _sql(_LABELS, "label")),
    "cells": (_sql(_CELLS, "geom"),),
    "water": (_sql(_WATER, "geom"),),
}


def tile(connection: Connection, layer: str, z: int, x: int, y: int, scope: str) -> bytes:
    """One Mapbox vector tile (specification 2.1), empty bytes when nothing lies in it. Raises NoSuchTile."""
    side = 1 << z if 0 <= z <= LAST_ZOOM else 0
    if layer not in LAYERS or not (0 <= x < side and 0 <= y < side):
        raise NoSuchTile(f"there is no tile {layer}/{z}/{x}/{y}")
    where = {"z": z, "x": x, "y": y, "scope": scope}
    return b"".join(bytes(connection.execute(text(sql), where).scalar_one()) for sql in LAYERS[layer])


def versions(connection: Connection, scope: str) -> dict[str, str]:
    """A version per layer that changes when its rows do, and differs from scope to scope.

    A browser may keep a tile for ever under its own address, and two accounts may share a browser.
    """
    found = connection.execute(
        text(
            "SELECT 'regions', md5(string_agg(code || name || scope || ST_Area(geom), ',' ORDER BY code)) FROM regions"
            " UNION ALL SELECT 'cells', md5(string_agg(code || scope || area_m2, ',' ORDER BY code)) FROM cells"
            " WHERE valid_to IS NULL"
            " UNION ALL SELECT 'water', md5(string_agg(kind || name || ST_Length(geom), ',' ORDER BY id)) FROM water"
        )
    )
    return {layer: md5(f"{scope}{digest}".encode(), usedforsecurity=False).hexdigest()[:12] for layer, digest in found}
