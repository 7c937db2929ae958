"""Regions of one tier as a file draws them, and whether they lie where the regions above them lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from gis.datum import Datum, convert
from gis.misplaced import lies_apart, lies_swapped, looks_like, swapped
from gis.nesting import Outlines
from gis.network import Drawn, NoGrids, Repair, assemble
from gis.outline import judge
from gis.read_network import FeatureFile, Unreadable, read_features
from gis.region import TIERS
from gis.region_code import is_usable, normal

Geometries = npt.NDArray[np.object_]

_CODE: Final = ("code", "adcode", "区划代码", "代码", "编码", "id")
_NAME: Final = ("name", "名称", "区划名称", "mc")
_KIND: Final = ("kind", "类型")
_COVERED: Final = 0.5  # of a region above: then the file is about it
_METRE_DEG: Final = 1e-5  # a metre; a datum shows by hundreds
_SAME_AREA: Final = 0.1  # a file about all of them is as large as they are; a part of them has another outline


class Misplaced(ValueError):
    """The regions lie elsewhere than those above them, or fit them only in another datum."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The properties that hold code, name and parent; code and name are looked for when they are not told."""

    code: str | None = None
    name: str | None = None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file says of a region beside its shape: ``name`` and ``kind`` may be empty, ``parent`` None."""

    code: str
    name: str = ""
    kind: str = ""
    parent: str | None = None


@dataclass(frozen=True)
class RegionFile:
    """``outlines`` (lng/lat in CGCS2000, valid) with their ``entries`` in the same order.

    ``named`` are all codes in the file, those of regions left out for want of a shape included.
    """

    outlines: Outlines
    entries: tuple[Entry, ...]
    named: frozenset[str]
    datum: Datum
    repaired: tuple[Repair, ...]
    skipped: tuple[str, ...]
    notices: tuple[str, ...]


def read_regions(path: Path, tier: str, columns: Columns, datum: Datum | None = None) -> RegionFile:
    """The regions of a tier in a file. Features that agree in code and all else are parts of one region.

    ``datum`` as in gis.read_network.read_network. Raises Unreadable.
    """
    file = read_features(path, datum)
    found = [_property(path, file.features, told, usual) for told, usual in _wanted(columns)]
    entries: dict[str, Entry] = {}
    drawn = []
    for number, feature in enumerate(file.features, start=1):
        entry = _entry(f"{path}: feature {number}", feature, tier, found)
        if entries.setdefault(entry.code, entry) != entry:
            first, other = (e.name or e.parent or e.kind or "one without a name" for e in (entries[entry.code], entry))
            raise Unreadable(f"{path}: code {entry.code} stands twice, for {first[:60]} and for {other[:60]}")
        drawn.append(Drawn(feature.geometry, {"code": entry.code}))
    return _assembled(path, tier, file, entries, drawn)


def _wanted(columns: Columns) -> tuple[tuple[str | None, Sequence[str]], ...]:
    return (columns.code, _CODE), (columns.name, _NAME), (None, _KIND), (columns.parent, ())


def _property(path: Path, features: Sequence[Drawn], told: str | None, usual: Sequence[str]) -> str | None:
    """The property as the file spells it, None when none of the usual ones is there."""
    known = {key: key for feature in features for key in feature.properties}
    if told is not None:
        if told not in known:
            raise Unreadable(
                f"{path}: there is no property {told[:60]!r}: there are {', '.join(sorted(known)) or 'none'}"
            )
        return told
    plain = {key.casefold(): key for key in sorted(known, reverse=True)}
    return next((plain[name] for name in usual if name in plain), None)


def _entry(where: str, feature: Drawn, tier: str, found: Sequence[str | None]) -> Entry:
    code, name, kind, parent = (_text(feature.properties.get(key)) if key is not None else "" for key in found)
    if found[0] is None:
        code = _text(feature.own_id)
    if not code:
        tell = "" if found[0] is not None else ": name the property that holds it with --id-property"
        raise Unreadable(f"{where} has no code{tell}")
    code = normal(code, tier)
    if not is_usable(code):
        raise Unreadable(f"{where}: code {code[:60]!r} cannot be used: 1 to 40 Latin letters, digits and _ . : - can")
    above = normal(parent, TIERS[TIERS.index(tier) - 1]) if parent and tier != TIERS[0] else None
    return Entry(code, name[:200].replace("\0", "�"), kind[:60].replace("\0", "�"), above)


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _assembled(
    path: Path, tier: str, file: FeatureFile, entries: Mapping[str, Entry], drawn: Sequence[Drawn]
) -> RegionFile:
    try:
        network = assemble(path.name, drawn, "code")
    except NoGrids:
        raise Unreadable(f"{path}: not one of {len(drawn)} features is a polygon with an area") from None
    codes = tuple(str(code) for code in network.ids)
    notices = list(file.notices)
    parts = sum(feature.geometry is not None for feature in drawn) - len(codes) - len(network.skipped)
    nameless = sum(not entries[code].name for code in codes)
    if parts > 0:
        notices.append(f"{parts} features are further parts of a region whose code they share")
    if nameless:
        notices.append(f"{nameless} regions have no name and are named by their code")
    return RegionFile(
        Outlines(tier, codes, network.polygons),
        tuple(entries[code] for code in codes),
        frozenset(entries),
        file.datum,
        network.repaired,
        network.skipped,
        tuple(notices),
    )


def placed(file: RegionFile, above: Outlines) -> RegionFile:
    """The regions, swapped axes put right with a notice, once they are seen to lie where those above them lie.

    Raises Misplaced.
    """
    if lies_swapped(file.outlines.shapes, above.shapes):
        turned = Outlines(file.outlines.tier, file.outlines.codes, swapped(file.outlines.shapes))
        notices = (*file.notices, "latitude stood before longitude: axes exchanged")
        file = replace(file, outlines=turned, notices=notices)
    if lies_apart(file.outlines.shapes, above.shapes):
        raise Misplaced(f"the regions lie apart from every {above.tier}: is this the right file, the right datum?")
    seeming = _seeming(file, above)
    if seeming is not None:
        raise Misplaced(
            f"read as {file.datum}, the regions do not fit the {above.tier} outlines, read as {seeming} they do:"
            f" pass --datum {seeming}"
        )
    return file


def _seeming(file: RegionFile, above: Outlines) -> Datum | None:
    """The datum that the file's own coordinates seem to be in, None when it is the one they were read in."""
    read_as = Datum.CGCS2000 if file.datum is Datum.WGS84 else file.datum
    raw = _as_written(file.outlines.shapes, read_as)
    whole = shapely.union_all(file.outlines.shapes)
    about = above.shapes[
        shapely.area(shapely.intersection(above.shapes, whole)) > _COVERED * shapely.area(above.shapes)
    ]
    known = shapely.union_all(about)
    if known.is_empty or abs(whole.area / known.area - 1) > _SAME_AREA:
        return looks_like(raw, above.shapes) if read_as is Datum.CGCS2000 else None
    judgement = judge(*shapely.simplify([shapely.union_all(raw), known], _METRE_DEG))
    return judgement.datum if judgement.is_sure and judgement.datum is not read_as else None


def _as_written(shapes: Geometries, datum: Datum) -> Geometries:
    if datum is Datum.CGCS2000:
        return shapes
    back: Geometries = shapely.transform(
        shapes, lambda at: np.column_stack(convert(at[:, 0], at[:, 1], Datum.CGCS2000, datum))
    )
    return back
