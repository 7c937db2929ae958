"""The small city's grid redrawn: files of merged cells, as a merge would make them, with some cells cut, joined or given up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import shapely
from shapely import Polygon, box
from shapely.geometry.base import BaseGeometry
from sqlalchemy import text

from gis.cell_file import CellFile, decode
from gis.version_store import plan
from tests.running_city import StandingCity
from tests.small_city import WEST, cell_code

FIRST, ABOVE = cell_code(0), cell_code(0, 1, 1, 2)
"""The cell where two sensors and a camera stand, and the one north of it."""
WEST_PART, EAST_PART = f"{FIRST[:12]}005", f"{FIRST[:12]}006"
CUT = round(WEST + 0.004, 6)
Cells = dict[str, BaseGeometry]


def standing_cells(standing: StandingCity) -> Cells:
    """The cells as they stand, put on a lattice so that neighbours share their corners exactly."""
    with standing.engine.begin() as connection:
        for table in ("cells", "regions"):
            connection.execute(text(f"UPDATE {table} SET geom = ST_Multi(ST_SnapToGrid(geom, 1e-6))"))
        found = connection.execute(text("SELECT code, ST_AsBinary(geom) AS shape FROM cells WHERE valid_to IS NULL"))
        return {row.code: shapely.from_wkb(bytes(row.shape)) for row in found}


def first_cell_split(cells: Cells) -> Cells:
    """The first cell cut in a smaller west part and a larger east part, both with new codes; its neighbour gets a corner."""
    west, south, east, north = cells[FIRST].bounds
    top = cells[ABOVE].bounds[3]
    corners = [(west, north), (CUT, north), (east, north), (east, top), (west, top)]
    parts: Cells = {
        WEST_PART: box(west, south, CUT, north),
        EAST_PART: box(CUT, south, east, north),
        ABOVE: Polygon(corners),
    }
    return {code: shape for code, shape in cells.items() if code != FIRST} | parts


def text_of(cells: Cells, sources: dict[str, dict[str, Any]] | None = None) -> str:
    """The cells as a file."""
    features = [
        {
            "type": "Feature",
            "properties": {"code": code, "sources": (sources or {}).get(code, {})},
            "geometry": json.loads(shapely.to_geojson(shape)),
        }
        for code, shape in sorted(cells.items())
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def written(path: Path, cells: Cells, sources: dict[str, dict[str, Any]] | None = None) -> Path:
    """The cells in a file on disk."""
    path.write_text(text_of(cells, sources), "utf-8")
    return path


def cell_file(cells: Cells, sources: dict[str, dict[str, Any]] | None = None) -> CellFile:
    """The cells as read from a file."""
    return decode(text_of(cells, sources), "cells.geojson")


def planned(standing: StandingCity, cells: Cells, **more: Any) -> int:
    """The number of a version planned from these cells."""
    return plan(standing.engine, cell_file(cells), report={}, note="", made_by="tests", **more)
