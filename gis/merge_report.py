"""What a merge did, in figures and lists, so that every cell and every square metre can be explained.

Areas are in m2 on the ellipsoid, rounded to the hundredth; geometries are GeoJSON in lng/lat with seven decimals (a
centimetre). All figures come from the account of overlay pieces (gis.merge.Account): nothing is estimated.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from gis.merge import Merged
from gis.network import GridId, Network
from gis.overlay import NOBODY
from gis.sliver import are_slivers, width_m

Whole = npt.NDArray[np.int64]
Entry = dict[str, Any]

OVERLAP_RULE = "an overlap belongs to the smaller of its grids, to the lower id where they are equally large"
GAP_RULE = "a gap stays null where it is large enough for a cell of its own; slivers of it go to the cells beside them"
HAIRLINE_M2 = 1.0
SLIVER_RULE = (
    "a sliver dissolves into the neighbour that agrees with most of its labels, then along the longest shared edge"
)


def report(merged: Merged) -> Entry:
    """The report as plain values, ready for JSON."""
    account, raw = merged.account, merged.overlay.label
    differs = raw[account.piece] != merged.label[account.cell]
    slivers = _raw_slivers(merged)
    stuck = are_slivers(merged.metres, merged.limits)
    gone = slivers & ~np.isin(np.arange(len(slivers)), account.piece[stuck[account.cell]])
    return {
        "cells": len(merged.cells),
        "area_m2": _m2(sum(cell.area_m2 for cell in merged.cells)),
        "raw_pieces": int(merged.overlay.inside.sum()),
        "slivers_dissolved": int(gone.sum()),
        "area_moved_m2": _m2(account.area[differs.any(axis=1)].sum()),
        "min_area_m2": merged.limits.min_area_m2,
        "min_width_m": merged.limits.min_width_m,
        "base": merged.base,
        "projection": merged.overlay.ground.projection.definition,
        "datum": "CGCS2000",
        "rules": {"overlap": OVERLAP_RULE, "gap": GAP_RULE, "sliver": SLIVER_RULE},
        "exceptions": _exceptions(merged, stuck),
        "label_changes": _label_changes(merged),
        "disagreements": _disagreements(merged) if merged.base else [],
        "networks": {
            network.name: _network(merged, k, network, differs[:, k], gone) for k, network in enumerate(merged.networks)
        },
        "villages": _villages(merged),
        "codes": {
            "kept": merged.coded.kept,
            "new": len(merged.cells) - merged.coded.kept,
            "retired": list(merged.coded.retired),
        },
        "notices": list(merged.notices),
    }


def _raw_slivers(merged: Merged) -> npt.NDArray[np.bool_]:
    inside = np.flatnonzero(merged.overlay.inside)
    shapes = merged.overlay.ground.metres(merged.overlay.arrangement.faces[inside])
    found = np.zeros(len(merged.overlay.inside), dtype=bool)
    found[inside] = are_slivers(shapes, merged.limits)
    return found


def _network(
    merged: Merged, k: int, network: Network, differs: npt.NDArray[np.bool_], gone: npt.NDArray[np.bool_]
) -> Entry:
    account, raw = merged.account, merged.overlay.label[:, k]
    owned = raw[account.piece] != NOBODY
    area = float(account.area[owned].sum())
    lost = float(account.area[owned & differs].sum())
    changed = np.zeros(len(raw), dtype=bool)
    changed[account.piece[differs]] = True
    overlaps, gaps = _overlaps(merged, k, network.ids), _gaps(merged, k)
    return {
        "polygons": network.drawn,
        "grids": len(network.ids),
        "area_m2": _m2(area),
        "outside_boundary_m2": _outside(merged, raw),
        "raw_pieces": int((merged.overlay.inside & (raw != NOBODY)).sum()),
        "slivers_dissolved": int((gone & changed).sum()),
        "area_moved_m2": _m2(account.area[differs].sum()),
        "kept_area_share": round(1 - lost / area, 8) if area else None,
        "largest_displacement_m": round(merged.moved_m[k], 2),
        "repaired": [
            {"id": repair.id, "reason": repair.reason, "geometry": geojson(repair.geometry)}
            for repair in network.repaired
        ],
        "overlaps": _wide(overlaps),
        "gaps": _wide(gaps),
        "hairlines": {"under_m2": HAIRLINE_M2, "overlaps": _hairlines(overlaps), "gaps": _hairlines(gaps)},
        "lost": _lost(merged, k, network),
        "skipped": list(network.skipped),
        "notices": list(network.notices),
    }


def _wide(found: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in found if entry["area_m2"] >= HAIRLINE_M2]


def _hairlines(found: Sequence[Entry]) -> Entry:
    """Overlaps and gaps as thin as the rounding of a drawing: counted and summed, not listed one by one."""
    fine = [entry["area_m2"] for entry in found if entry["area_m2"] < HAIRLINE_M2]
    return {"count": len(fine), "area_m2": _m2(sum(fine))}


def _outside(merged: Merged, raw: Whole) -> float:
    return _m2(merged.overlay.area[(raw != NOBODY) & ~merged.overlay.inside].sum())


def _overlaps(merged: Merged, network: int, ids: Sequence[GridId]) -> list[Entry]:
    return [
        {
            "ids": [ids[grid] for grid in claim.grids],
            "area_m2": _m2(merged.overlay.area[claim.pieces].sum()),
            "given_to": ids[claim.taker],
            "geometry": geojson(merged.overlay.outline(claim.pieces)),
        }
        for claim in merged.overlay.overlaps
        if claim.network == network
    ]


def _gaps(merged: Merged, k: int) -> list[Entry]:
    """Ground of the city without a grid of the network, patch by patch, the largest first."""
    overlay, account = merged.overlay, merged.account
    patches = overlay.patches(overlay.inside & (overlay.label[:, k] == NOBODY))
    patch_of = np.full(len(overlay.inside), NOBODY, dtype=np.int64)
    for number, pieces in enumerate(patches):
        patch_of[pieces] = number
    still = (merged.label[account.cell, k] == NOBODY) & (patch_of[account.piece] != NOBODY)
    left = np.bincount(patch_of[account.piece[still]], weights=account.area[still], minlength=len(patches))
    rim = _rim(merged)
    found = [
        {
            "area_m2": _m2(overlay.area[pieces].sum()),
            "left_null_m2": _m2(left[number]),
            "where": "edge of the city" if rim[pieces].any() else "enclosed",
            "geometry": geojson(overlay.outline(pieces)),
        }
        for number, pieces in enumerate(patches)
    ]
    return sorted(found, key=lambda gap: (-gap["area_m2"], json.dumps(gap["geometry"])))


def _rim(merged: Merged) -> npt.NDArray[np.bool_]:
    """Which pieces lie on the outline of the city."""
    plane, inside = merged.overlay.arrangement, np.append(merged.overlay.inside, False)
    rim = np.zeros(len(inside), dtype=bool)
    rim[plane.left[inside[plane.left] & ~inside[plane.right]]] = True
    rim[plane.right[inside[plane.right] & ~inside[plane.left]]] = True
    return rim[:-1]


def _lost(merged: Merged, k: int, network: Network) -> list[Entry]:
    """Grids that no cell carries, with the reason."""
    overlay = merged.overlay
    area = shapely.area(overlay.ground.projection.metres(network.polygons))
    won = np.isin(np.arange(len(network.ids)), overlay.label[:, k])
    within = np.isin(np.arange(len(network.ids)), overlay.label[overlay.inside, k])
    found = []
    for grid in np.setdiff1d(np.arange(len(network.ids)), merged.label[:, k]).tolist():
        if not won[grid]:
            reason = "smaller or equal grids of the same network cover all of it"
        elif not within[grid]:
            reason = "it lies outside the boundary"
        else:
            reason = "it holds no cell: its pieces are slivers" if merged.base is None else "it holds most of no cell"
        found.append({"id": network.ids[grid], "area_m2": _m2(area[grid]), "reason": reason})
    return found


def _exceptions(merged: Merged, stuck: npt.NDArray[np.bool_]) -> list[Entry]:
    """Cells that break a limit or have no grid in any network, with the reason they are there."""
    found = []
    for row in np.flatnonzero(stuck | (merged.label == NOBODY).all(axis=1)).tolist():
        cell = merged.cells[row]
        entry = {"code": cell.code, "area_m2": cell.area_m2, "reason": _reason(merged, row, bool(stuck[row]))}
        if stuck[row]:
            entry["width_m"] = round(width_m(merged.metres[row]), 2)
        found.append(entry)
    return found


def _reason(merged: Merged, row: int, stuck: bool) -> str:
    cell = merged.cells[row]
    if not stuck:
        return "no network has a grid here"
    if merged.base is not None and cell.sources[merged.base] is not None:
        return f"a grid of the base network {merged.base} stays whole"
    if merged.villages is not None:
        return "no other cell of its village borders on it"
    return "no other cell borders on it"


def _label_changes(merged: Merged) -> list[Entry]:
    """Cells whose labels are not those of the overlay piece kind that holds most of them."""
    overlay, account = merged.overlay, merged.account
    said = overlay.label.copy()
    for number, claim in enumerate(overlay.overlaps):
        if claim.network < said.shape[1]:
            said[claim.pieces, claim.network] = NOBODY - 1 - number
    kinds, kind = np.unique(said, axis=0, return_inverse=True)
    number, place = np.unique(account.cell * len(kinds) + kind.ravel()[account.piece], return_inverse=True)
    area = np.bincount(place, weights=account.area, minlength=len(number))
    cell, of_kind = number // len(kinds), number % len(kinds)
    order = np.lexsort((of_kind, -area, cell))
    cell, of_kind, area = cell[order], of_kind[order], area[order]
    first = np.ones(len(cell), dtype=bool)
    first[1:] = cell[1:] != cell[:-1]
    changed = first & (kinds[of_kind] != merged.label[cell]).any(axis=1)
    return [
        {
            "code": merged.cells[cell[row]].code,
            "area_m2": merged.cells[cell[row]].area_m2,
            "sources": merged.cells[cell[row]].sources,
            "overlay": {
                n.name: _said(merged, n.ids, value)
                for n, value in zip(merged.networks, kinds[of_kind[row]].tolist(), strict=True)
            },
            "overlay_area_m2": _m2(area[row]),
        }
        for row in np.flatnonzero(changed).tolist()
    ]


def _said(merged: Merged, ids: Sequence[GridId], value: int) -> GridId | list[GridId] | None:
    if value == NOBODY:
        return None
    if value < NOBODY:
        return [ids[grid] for grid in merged.overlay.overlaps[NOBODY - 1 - value].grids]
    return ids[value]


def _disagreements(merged: Merged) -> list[Entry]:
    """Where a cell made from a base grid lies partly in other grids than the ones it took on."""
    account, raw = merged.account, merged.overlay.label
    found = []
    for k, network in enumerate(merged.networks):
        if network.name == merged.base:
            continue
        off = raw[account.piece, k] != merged.label[account.cell, k]
        grid = raw[account.piece[off], k]
        span = len(network.ids) + 1
        number, place = np.unique(account.cell[off] * span + grid + 1, return_inverse=True)
        area = np.bincount(place, weights=account.area[off], minlength=len(number))
        for one, size in zip(number.tolist(), area.tolist(), strict=True):
            cell, own = merged.cells[one // span], one % span - 1
            took = cell.sources[network.name]
            other = network.ids[own] if own != NOBODY else None
            found.append(
                {"code": cell.code, "network": network.name, "took": took, "other": other, "area_m2": _m2(size)}
            )
    return sorted(
        (entry for entry in found if entry["area_m2"] > 0), key=lambda e: (e["code"], e["network"], -e["area_m2"])
    )


def _villages(merged: Merged) -> Entry | None:
    villages, overlay = merged.villages, merged.overlay
    if villages is None:
        return None
    overlaps = _overlaps(merged, len(merged.networks), villages.ids)
    without = [
        {
            "given_to": villages.ids[own],
            "area_m2": _m2(overlay.area[pieces].sum()),
            "geometry": geojson(overlay.outline(pieces)),
        }
        for pieces, own in overlay.village_fill
    ]
    return {
        "polygons": villages.drawn,
        "kept_area_share": _kept_by_villages(merged, villages),
        "repaired": [{"id": r.id, "reason": r.reason, "geometry": geojson(r.geometry)} for r in villages.repaired],
        "overlaps": _wide(overlaps),
        "gaps": _wide(without),
        "hairlines": {"under_m2": HAIRLINE_M2, "overlaps": _hairlines(overlaps), "gaps": _hairlines(without)},
        "without_cells": sorted(set(map(str, villages.ids)) - {str(cell.village) for cell in merged.cells}),
        "skipped": list(villages.skipped),
        "notices": list(villages.notices),
    }


def _kept_by_villages(merged: Merged, villages: Network) -> float:
    """The share of the city that is still in the village it was drawn or put in."""
    place = {str(own): row for row, own in enumerate(villages.ids)}
    village = np.array([place.get(str(cell.village), NOBODY) for cell in merged.cells])
    account = merged.account
    kept = account.area[merged.overlay.village[account.piece] == village[account.cell]].sum()
    return round(float(kept / account.area.sum()), 8)


def geojson(geometry: BaseGeometry) -> Entry:
    """A shape as a GeoJSON geometry with seven decimals."""
    rounded = shapely.transform(geometry, lambda at: np.round(at, 7))
    plain: Entry = json.loads(shapely.to_geojson(rounded))
    return plain


def _m2(area: Any) -> float:
    return round(float(area), 2)
