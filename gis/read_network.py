"""The door through which boundary files come in: GeoJSON, GeoPackage and Shapefile.

Files of departments are dirty in known ways. What can be understood without guessing is converted and said so in a notice (a
byte-order mark, another encoding, coordinates as strings, elevations, open rings, projected coordinates with a known
reference system); what cannot is refused with the file, the feature and the reason.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyogrio.errors  # type: ignore[import-untyped]
import pyogrio.raw  # type: ignore[import-untyped]
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely.geometry.base import BaseGeometry

from gis.datum import Datum, UnknownDatum, convert, named
from gis.network import Drawn, Network, assemble

_BINARY: Final = (".gpkg", ".shp")
_KNOWN_DEGREES: Final = ("CRS84", "4326", "4490", "4479", "WGS84", "CGCS2000")


class Unreadable(ValueError):
    """A file cannot be taken in: where, and why."""


@dataclass
class _Notices:
    """How often each thing had to be put right."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def lines(self) -> tuple[str, ...]:
        return tuple(sorted(what if count == 1 else f"{what} ({count} times)" for what, count in self.counts.items()))


@dataclass(frozen=True)
class FeatureFile:
    """The features of a file, lng/lat in CGCS2000, and the datum that its coordinates were taken to be in."""

    features: tuple[Drawn, ...]
    datum: Datum
    notices: tuple[str, ...]


def read_network(
    name: str,
    path: Path,
    id_property: str | None = None,
    datum: Datum | None = None,
    name_property: str | None = None,
) -> Network:
    """The grids in a file as a network in CGCS2000.

    ``datum`` is what the coordinates refer to, whatever the file says of itself; without it the file's own label counts, and
    CGCS2000 where it has none. Raises Unreadable, gis.network.NoGrids, gis.network.NoSuchProperty.
    """
    file = read_features(path, datum)
    network = assemble(name, file.features, id_property, name_property)
    return Network(
        network.name,
        network.ids,
        network.polygons,
        network.drawn,
        network.repaired,
        network.skipped,
        file.notices + network.notices,
        network.names,
    )


def read_features(path: Path, datum: Datum | None = None) -> FeatureFile:
    """Every feature of a file in CGCS2000, as drawn; ``datum`` as in read_network. Raises Unreadable."""
    notices = _Notices()
    features, label = _read(path, notices)
    move = _reference(path, label, datum, notices)
    if _are_swapped(features):
        notices.add("latitude stood before longitude: axes exchanged")
        features = [_exchanged(feature) for feature in features]
    moved = [_moved(path, number, feature, move) for number, feature in enumerate(features, start=1)]
    return FeatureFile(tuple(moved), datum or _named(label or "") or Datum.CGCS2000, notices.lines())


def read_outline(path: Path, datum: Datum | None = None) -> tuple[BaseGeometry, tuple[str, ...]]:
    """Everything that a file covers as one polygon or multipolygon, and the notices. Raises as read_network."""
    network = read_network(path.stem, path, None, datum)
    return shapely.normalize(shapely.union_all(network.polygons)), network.notices


def read_text(path: Path) -> tuple[str, tuple[str, ...]]:
    """A text file in UTF-8, with or without byte-order mark, or else GB 18030; with notices. Raises Unreadable."""
    notices = _Notices()
    return _text(path, notices), notices.lines()


Features = list[Drawn]
Move = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


def _read(path: Path, notices: _Notices) -> tuple[Features, str | None]:
    if path.suffix.casefold() in _BINARY:
        return _layer(path, notices)
    document = _json(path, _text(path, notices))
    crs = document.get("crs")
    label = (
        crs.get("properties", {}).get("name")
        if isinstance(crs, dict) and isinstance(crs.get("properties"), dict)
        else None
    )
    return _features(path, document, notices), str(label) if label else None


def _text(path: Path, notices: _Notices) -> str:
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise Unreadable(f"{path}: {(problem.strerror or str(problem)).lower()}") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        notices.add("the file is in UTF-16")
        encodings = ["utf-16"]
    else:
        if content.startswith(b"\xef\xbb\xbf"):
            notices.add("the file starts with a byte-order mark")
        encodings = ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "gb18030":
            notices.add("the file is not in UTF-8 and was read as GB 18030")
        return text
    raise Unreadable(
        f"{path}: neither UTF-8 nor GB 18030 text; GeoJSON is text, GeoPackage ends in .gpkg, Shapefile in .shp"
    )


def _json(path: Path, text: str) -> dict[str, Any]:
    if not text.strip():
        raise Unreadable(f"{path}: the file is empty")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as problem:
        raise Unreadable(f"{path}: no JSON at line {problem.lineno}, column {problem.colno}: {problem.msg}") from None
    except RecursionError:
        raise Unreadable(f"{path}: nested too deeply for GeoJSON") from None
    if not isinstance(document, dict):
        raise Unreadable(f"{path}: a GeoJSON file is an object, this is a {type(document).__name__}")
    return document


def _features(path: Path, document: dict[str, Any], notices: _Notices) -> Features:
    kind = document.get("type")
    if kind == "Feature":
        found = [document]
    elif kind == "FeatureCollection":
        found = document.get("features") or []
    elif kind in ("Polygon", "MultiPolygon", "GeometryCollection"):
        found = [{"type": "Feature", "properties": {}, "geometry": document}]
    else:
        raise Unreadable(f"{path}: type {str(kind)[:40]!r} is not GeoJSON: a FeatureCollection is needed")
    if not isinstance(found, list) or not found:
        raise Unreadable(f"{path}: there is no feature in it")
    return [_feature(f"{path}: feature {number}", feature, notices) for number, feature in enumerate(found, start=1)]


def _feature(where: str, feature: Any, notices: _Notices) -> Drawn:
    if not isinstance(feature, dict):
        raise Unreadable(f"{where} is no object")
    properties = feature.get("properties") or {}
    own = feature.get("id")
    if not isinstance(properties, dict):
        raise Unreadable(f"{where}: its properties are no object")
    geometry = feature.get("geometry")
    shape = _shape(where, geometry, notices) if geometry is not None else None
    return Drawn(shape, properties, own if isinstance(own, str | int) and not isinstance(own, bool) else None)


def _shape(where: str, geometry: Any, notices: _Notices) -> BaseGeometry | None:
    if not isinstance(geometry, dict):
        raise Unreadable(f"{where}: its geometry is no object")
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "GeometryCollection":
        inside = geometry.get("geometries")
        shapes = [_shape(where, part, notices) for part in inside] if isinstance(inside, list) else []
        return shapely.GeometryCollection([shape for shape in shapes if shape is not None])
    if kind in ("Point", "MultiPoint", "LineString", "MultiLineString"):
        return shapely.from_wkt(f"{str(kind).upper()} EMPTY")  # counted as not a polygon, with its name
    if kind not in ("Polygon", "MultiPolygon"):
        raise Unreadable(f"{where}: geometry type {str(kind)[:40]!r} is unknown")
    if not coordinates:
        return None
    if not isinstance(coordinates, list):
        raise Unreadable(f"{where}: its coordinates are no list")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    drawn = [_polygon(where, rings, notices) for rings in polygons]
    return drawn[0] if len(drawn) == 1 else shapely.MultiPolygon(drawn)


def _polygon(where: str, rings: Any, notices: _Notices) -> shapely.Polygon:
    if not isinstance(rings, list) or not rings:
        raise Unreadable(f"{where}: a polygon is a list of rings")
    found = [_ring(where, ring, notices) for ring in rings]
    if found[0] is None:
        return shapely.Polygon()
    return shapely.Polygon(found[0], [ring for ring in found[1:] if ring is not None])


def _ring(where: str, ring: Any, notices: _Notices) -> npt.NDArray[np.float64] | None:
    """The vertices (n, 2) of a ring, None when there are fewer than three different ones."""
    try:
        raw = np.array(ring)
        at = raw.astype(np.float64)
    except (ValueError, TypeError):
        raise Unreadable(f"{where}: a ring holds something that is no pair of numbers") from None
    if raw.dtype.kind == "U":
        notices.add("coordinates written as strings")
    if at.ndim != 2 or at.shape[1] < 2:
        raise Unreadable(f"{where}: a ring is a list of longitude-latitude pairs")
    if at.shape[1] > 2:
        notices.add("elevations left out")
        at = at[:, :2]
    if not np.isfinite(at).all():
        raise Unreadable(f"{where}: a coordinate is not a finite number")
    if (at[0] != at[-1]).any():
        notices.add("a ring was not closed")
        at = np.vstack([at, at[:1]])
    return at if len(np.unique(at, axis=0)) >= 3 else None


def _layer(path: Path, notices: _Notices) -> tuple[Features, str | None]:
    """The first layer of a GeoPackage or Shapefile."""
    if not path.exists():
        raise Unreadable(f"{path}: no such file")
    try:
        meta, _, shapes, columns = _columns(path, notices)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as problem:
        raise Unreadable(f"{path}: not a readable {path.suffix[1:]} file: {str(problem).splitlines()[0]}") from None
    if shapes is None:
        raise Unreadable(f"{path}: the layer has no geometry")
    geometries = shapely.from_wkb(shapes, on_invalid="fix")
    if shapely.has_z(geometries).any():
        notices.add("elevations left out")
        geometries = shapely.force_2d(geometries)
    names = [str(name) for name in meta["fields"]]
    rows = [
        dict(zip(names, (_value(column[row]) for column in columns), strict=True)) for row in range(len(geometries))
    ]
    crs = meta.get("crs")
    return [Drawn(g, row) for g, row in zip(geometries, rows, strict=True)], str(crs) if crs else None


def _columns(path: Path, notices: _Notices) -> tuple[Mapping[str, Any], Any, Any, Any]:
    try:
        meta, fids, shapes, columns = pyogrio.raw.read(path)
    except UnicodeDecodeError:
        notices.add("the attributes are not in the encoding the file names and were read as GB 18030")
        meta, fids, shapes, columns = pyogrio.raw.read(path, encoding="GB18030")
    return meta, fids, shapes, columns


def _value(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def _are_swapped(features: Features) -> bool:
    """Whether the second coordinate can be no latitude while the first one can."""
    far = np.abs(shapely.get_coordinates([feature.geometry for feature in features if feature.geometry is not None]))
    return bool(len(far)) and bool(far[:, 0].max() <= 90 < far[:, 1].max() <= 180)


def _exchanged(feature: Drawn) -> Drawn:
    if feature.geometry is None:
        return feature
    return Drawn(shapely.transform(feature.geometry, lambda at: at[:, ::-1].copy()), feature.properties, feature.own_id)


def _reference(path: Path, label: str | None, datum: Datum | None, notices: _Notices) -> Move | None:
    """What turns the file's coordinates into CGCS2000 degrees, None when they are."""
    if datum is not None:
        if label and not _is_degrees(label) and _named(label) is not datum:
            notices.add(f"the file calls itself {label[:60]}; read as {datum} as told")
        return _from_datum(datum, notices)
    if label is None or _is_degrees(label):
        return None
    own = _named(label)
    return _from_datum(own, notices) if own else _from_projection(path, label, notices)


def _is_degrees(label: str) -> bool:
    return label.casefold().replace(" ", "").endswith(tuple(known.casefold() for known in _KNOWN_DEGREES))


def _named(label: str) -> Datum | None:
    try:
        return named(label.rpartition(":")[2])
    except UnknownDatum:
        return None


def _from_datum(datum: Datum, notices: _Notices) -> Move | None:
    if datum in (Datum.CGCS2000, Datum.WGS84):
        return None
    notices.add(f"converted from {datum} to CGCS2000")
    return lambda at: np.column_stack(convert(at[:, 0], at[:, 1], datum, Datum.CGCS2000))


def _from_projection(path: Path, label: str, notices: _Notices) -> Move | None:
    try:
        source = CRS.from_user_input(label)
        if source.is_geographic and source.to_epsg() in (4326, 4490, 4480):
            return None
        transformer = Transformer.from_crs(source, "EPSG:4490", always_xy=True)
    except ProjError:
        raise Unreadable(
            f"{path}: its reference system {label[:60]!r} is unknown; name the datum with --datum"
        ) from None
    notices.add(f"converted from {source.name} to CGCS2000")
    return lambda at: np.column_stack(transformer.transform(at[:, 0], at[:, 1]))


def _moved(path: Path, number: int, feature: Drawn, move: Move | None) -> Drawn:
    if feature.geometry is None or feature.geometry.is_empty:
        return feature
    geometry = shapely.transform(feature.geometry, move) if move else feature.geometry
    _refuse_no_place(f"{path}: feature {number}", geometry)
    return Drawn(geometry, feature.properties, feature.own_id)


def _refuse_no_place(where: str, geometry: BaseGeometry) -> None:
    at = shapely.get_coordinates(geometry)
    if not np.isfinite(at).all():
        raise Unreadable(f"{where}: a coordinate lies outside its reference system")
    far = np.abs(at)
    wrong = np.flatnonzero((far > (180, 90)).any(axis=1))
    if len(wrong):
        raise Unreadable(f"{where}: {at[wrong[0]].tolist()} is no longitude and latitude in degrees")
    if (far == 0).all(axis=1).any():
        raise Unreadable(f"{where}: a vertex lies at 0, 0, which stands for an unknown place")
