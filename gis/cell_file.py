"""The file of merged cells: a GeoJSON FeatureCollection in lng/lat, one Feature a cell, in the order of codes.

Properties of a cell: ``code``, ``area_m2``, ``sources`` (network -> id of its grid there, or null) and ``village``
where villages were given. Beside the features the file holds ``datum`` and ``retired_codes``, so that a later merge
does not use a code again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.errors import GEOSException
from shapely.geometry.base import BaseGeometry

from gis.merge import Cell

Geometries = npt.NDArray[np.object_]


class NotACellFile(ValueError):
    """A file that should hold merged cells does not."""


@dataclass(frozen=True)
class CellFile:
    """What a file of cells holds; ``polygons`` in lng/lat in the order of ``codes``."""

    codes: tuple[str, ...]
    polygons: Geometries
    sources: tuple[Mapping[str, Any], ...]
    retired: tuple[str, ...] = ()


def encode(cells: Sequence[Cell], retired: Sequence[str]) -> str:
    """The text of the file; the same cells give the same bytes."""
    head = {"type": "FeatureCollection", "datum": "CGCS2000", "retired_codes": list(retired)}
    lines = ",\n".join(_compact(_feature(cell)) for cell in cells)
    return f'{_compact(head)[:-1]},"features":[\n{lines}\n]}}\n'


def decode(text: str, where: str) -> CellFile:
    """The cells of a file. Raises NotACellFile with ``where`` and the reason."""
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as problem:
        raise NotACellFile(f"{where}: no JSON: {problem}") from None
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list) or not features:
        raise NotACellFile(f"{where}: there are no cells in it: a FeatureCollection is needed")
    found = [_cell(f"{where}: feature {number}", feature) for number, feature in enumerate(features, start=1)]
    polygons = np.empty(len(found), dtype=object)
    polygons[:] = [shape for _, shape, _ in found]
    retired = document.get("retired_codes") or []
    if not isinstance(retired, list) or not all(isinstance(code, str) for code in retired):
        raise NotACellFile(f"{where}: retired_codes is no list of codes")
    return CellFile(
        tuple(code for code, _, _ in found), polygons, tuple(sources for _, _, sources in found), tuple(retired)
    )


def _feature(cell: Cell) -> dict[str, Any]:
    properties: dict[str, Any] = {"code": cell.code, "area_m2": cell.area_m2, "sources": cell.sources}
    if cell.village is not None:
        properties["village"] = cell.village
    return {"type": "Feature", "properties": properties, "geometry": _geometry(cell.geometry)}


def _geometry(geometry: BaseGeometry) -> dict[str, Any]:
    polygons = [_rings(polygon) for polygon in shapely.get_parts(geometry).tolist()]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _rings(polygon: shapely.Polygon) -> list[Any]:
    return [shapely.get_coordinates(ring).tolist() for ring in (polygon.exterior, *polygon.interiors)]


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _cell(where: str, feature: Any) -> tuple[str, BaseGeometry, Mapping[str, Any]]:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    code = properties.get("code") if isinstance(properties, dict) else None
    if not isinstance(code, str) or not code:
        raise NotACellFile(f"{where} has no code")
    try:
        shape = shapely.from_geojson(json.dumps(feature.get("geometry")))
    except (GEOSException, ValueError):
        raise NotACellFile(f"{where} ({code}): its geometry cannot be read") from None
    if shape is None or shape.geom_type not in ("Polygon", "MultiPolygon") or shape.is_empty:
        raise NotACellFile(f"{where} ({code}) is no polygon")
    sources = properties.get("sources") if isinstance(properties, dict) else None
    return code, shapely.force_2d(shape), sources if isinstance(sources, dict) else {}
