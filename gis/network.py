"""A source network: the grids one department drew, with ids, and what had to be mended before they could be used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

Geometries = npt.NDArray[np.object_]
GridId = str | int

_EXACT: Final = (
    "id",
    "code",
    "grid_id",
    "gridid",
    "grid_code",
    "gridcode",
    "编码",
    "编号",
    "代码",
    "网格编码",
    "网格编号",
)
_ROW_NUMBER: Final = re.compile(r"^(objectid|fid|gid|ogc_fid|oid)(_\d+)?$")


class NoGrids(ValueError):
    """Nothing drawn can be used as a grid."""


class NoSuchProperty(ValueError):
    """The property that should hold the ids is in no feature."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One feature as a file holds it: lng/lat in CGCS2000, two dimensions; ``geometry`` is None where it has none."""

    geometry: BaseGeometry | None
    properties: Mapping[str, Any]
    own_id: GridId | None = None


@dataclass(frozen=True, slots=True)
class Repair:
    """A polygon that was not valid, why, and the outline it has now."""

    id: GridId
    reason: str
    geometry: BaseGeometry


@dataclass(frozen=True)
class Network:
    """``polygons`` (lng/lat, valid, a MultiPolygon where a grid has several parts) stand in the order of ``ids``.

    ``drawn`` counts the features that had a polygon; ``skipped`` says what was left out and why; ``names`` stand in the
    order of ``ids`` where a property was said to hold them, "" for a grid without one.
    """

    name: str
    ids: tuple[GridId, ...]
    polygons: Geometries
    drawn: int
    repaired: tuple[Repair, ...] = ()
    skipped: tuple[str, ...] = ()
    notices: tuple[str, ...] = field(default=())
    names: tuple[str, ...] = ()


def assemble(
    name: str, features: Sequence[Drawn], id_property: str | None = None, name_property: str | None = None
) -> Network:
    """A network from features in any order.

    Ids come from ``id_property``; without it from the features' own ids, else from the property that looks most like an
    identifier and differs everywhere, else grids are numbered by their place. Features with the same id are parts of
    one grid. Raises NoGrids, NoSuchProperty.
    """
    used, skipped = _with_polygons(features)
    if not used:
        raise NoGrids(f"network {name}: not one of {len(features)} features is a polygon")
    ids, notices = _ids(name, used, id_property)
    names = _names(name, used, ids, name_property)
    by_key: dict[str, list[tuple[GridId, BaseGeometry]]] = {}
    repaired: list[Repair] = []
    for own, feature in zip(ids, used, strict=True):
        assert feature.geometry is not None
        polygon, reason = _valid(feature.geometry)
        if reason:
            repaired.append(Repair(own, reason, polygon))
        if polygon.is_empty:
            skipped.append(f"grid {own} has no area: {reason or 'its ring closes on itself'}")
            continue
        by_key.setdefault(str(own), []).append((own, polygon))
    if not by_key:
        raise NoGrids(f"network {name}: no polygon has an area")
    parts_of_one = sorted(key for key, parts in by_key.items() if len(parts) > 1)
    if parts_of_one:
        notices.append(f"ids that several features share, taken as parts of one grid: {', '.join(parts_of_one[:20])}")
    grids = [(_one_id(parts), _one_shape([shape for _, shape in parts])) for _, parts in sorted(by_key.items())]
    repaired.sort(key=lambda repair: (str(repair.id), repair.reason, shapely.to_wkb(repair.geometry)))
    return Network(
        name,
        tuple(own for own, _ in grids),
        _array([shape for _, shape in grids]),
        len(used),
        tuple(repaired),
        tuple(sorted(skipped)),
        tuple(notices),
        tuple(names.get(str(own), "") for own, _ in grids) if name_property else (),
    )


def _with_polygons(features: Sequence[Drawn]) -> tuple[list[Drawn], list[str]]:
    used, skipped = [], []
    for feature in features:
        label = _label(feature)
        if feature.geometry is None:
            skipped.append(f"feature {label} has no geometry")
        elif not any(part.geom_type == "Polygon" for part in _parts(feature.geometry)):
            skipped.append(f"feature {label} is a {feature.geometry.geom_type}, not a polygon")
        else:
            used.append(feature)
    return used, skipped


def _label(feature: Drawn) -> str:
    values = (
        [feature.own_id] if feature.own_id is not None else [v for v in feature.properties.values() if v is not None]
    )
    return str(values[0])[:60] if values else "without properties"


def _ids(name: str, features: Sequence[Drawn], id_property: str | None) -> tuple[list[GridId], list[str]]:
    if id_property is not None:
        _refuse_unknown(name, features, id_property)
        found = [_plain(feature.properties.get(id_property)) for feature in features]
        return _filled(found, features, f"ids from property {id_property}")
    own = [_plain(feature.own_id) for feature in features]
    if _differ(own):
        return [value for value in own if value is not None], ["ids from the features' own ids"]
    for key in _likely(features):
        found = [_plain(feature.properties.get(key)) for feature in features]
        if _differ(found):
            return [value for value in found if value is not None], [f"ids from property {key}"]
    return _filled([None] * len(features), features, "no property is an id")


def _names(network: str, features: Sequence[Drawn], ids: Sequence[GridId], name_property: str | None) -> dict[str, str]:
    """The name of each grid by its id as text; of several parts the first name in order."""
    if name_property is None:
        return {}
    _refuse_unknown(network, features, name_property)
    told = {
        (str(own), str(value).strip())
        for own, feature in zip(ids, features, strict=True)
        if (value := feature.properties.get(name_property)) is not None and str(value).strip()
    }
    return dict(sorted(told, reverse=True))


def _refuse_unknown(name: str, features: Sequence[Drawn], wanted: str) -> None:
    if not any(wanted in feature.properties for feature in features):
        known = sorted({key for feature in features for key in feature.properties})
        raise NoSuchProperty(f"network {name} has no property {wanted!r}: there are {', '.join(known) or 'none'}")


def _filled(found: Sequence[GridId | None], features: Sequence[Drawn], notice: str) -> tuple[list[GridId], list[str]]:
    """Ids for the nameless too, numbered by their place from west to east, so that they do not depend on the order of
    the file."""
    nameless = sorted((i for i, own in enumerate(found) if own is None), key=lambda i: _place(features[i].geometry))
    numbers = {row: f"#{number}" for number, row in enumerate(nameless, start=1)}
    notices = [notice] + (
        [f"{len(nameless)} grids without an id are numbered #1 to #{len(nameless)}"] if nameless else []
    )
    return [numbers[row] if own is None else own for row, own in enumerate(found)], notices


def _place(geometry: BaseGeometry | None) -> tuple[float, ...]:
    assert geometry is not None
    return (*geometry.bounds, geometry.area)


def _likely(features: Sequence[Drawn]) -> list[str]:
    """Names of properties, those that look most like an identifier first."""
    kinds: dict[str, type] = {}
    for feature in features:
        for key, value in feature.properties.items():
            if value is not None:
                kinds[key] = str if kinds.get(key) is str else type(value)
    return sorted(
        (key for key, kind in kinds.items() if kind in (str, int)), key=lambda key: (_rank(key, kinds[key]), key)
    )


def _rank(key: str, kind: type) -> int:
    plain = key.casefold()
    if plain in _EXACT:
        return _EXACT.index(plain)
    if _ROW_NUMBER.match(plain):
        return 103
    if plain.endswith(("id", "code", "no", "编码", "编号", "代码")):
        return 100
    if "name" in plain or "名" in plain:
        return 101
    return 102 if kind is str else 104


def _plain(value: Any) -> GridId | None:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool):
        return None
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return int(value)
    return None


def _differ(found: Sequence[GridId | None]) -> bool:
    return all(value is not None for value in found) and len({str(value) for value in found}) == len(found)


def _one_id(parts: Iterable[tuple[GridId, BaseGeometry]]) -> GridId:
    found = {own for own, _ in parts}
    return found.pop() if len(found) == 1 else str(found.pop())


def _one_shape(shapes: Sequence[BaseGeometry]) -> BaseGeometry:
    if len(shapes) == 1:
        return shapely.normalize(shapes[0])
    return shapely.normalize(shapely.union_all(sorted((shapely.normalize(s) for s in shapes), key=shapely.to_wkb)))


def _valid(geometry: BaseGeometry) -> tuple[BaseGeometry, str | None]:
    """The polygons of a geometry, made valid; with the reason where that was needed."""
    polygons = _polygons(geometry)
    whole = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
    if whole.is_valid:
        return whole, None
    reason = re.sub(r"\[.*", "", shapely.is_valid_reason(whole)).strip().lower()
    # "structure" keeps the area of overlapping parts and drops what has none; "linework" would turn an overlap into a hole.
    mended = shapely.make_valid(whole, method="structure", keep_collapsed=False)
    kept = _polygons(mended)
    return (kept[0] if len(kept) == 1 else shapely.MultiPolygon(kept)), reason


def _polygons(geometry: BaseGeometry) -> list[shapely.Polygon]:
    return [part for part in _parts(geometry) if isinstance(part, shapely.Polygon) and not part.is_empty]


def _parts(geometry: BaseGeometry) -> list[BaseGeometry]:
    parts = list(shapely.get_parts(geometry))
    return [deep for part in parts for deep in (_parts(part) if hasattr(part, "geoms") else [part])]


def _array(shapes: Sequence[BaseGeometry]) -> Geometries:
    found = np.empty(len(shapes), dtype=object)
    found[:] = shapes
    return found
