"""Whether cells are what they should be: valid polygons, one code each, sharing edges and nothing else."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
import shapely

from gis.cell_file import CellFile
from gis.projection import EqualArea

_SHOWN: Final = 20


def check(cells: CellFile) -> list[str]:
    """One sentence for each fault, none for a valid coverage with unique codes."""
    faults = [f"code {code} is used {count} times" for code, count in sorted(Counter(cells.codes).items()) if count > 1]
    faults += [f"code {code} was given up earlier" for code in sorted(set(cells.codes) & set(cells.retired))]
    invalid = np.flatnonzero(~shapely.is_valid(cells.polygons))
    for row in invalid.tolist():
        reason = shapely.is_valid_reason(cells.polygons[row]).lower()
        faults.append(f"cell {cells.codes[row]} is no valid polygon: {reason}")
    if not len(invalid):
        faults += _edges(cells)
    return faults


def _edges(cells: CellFile) -> list[str]:
    """Cells with edges that are not exactly their neighbours', and which of these overlap by how much."""
    if shapely.coverage_is_valid(cells.polygons):
        return []
    bad = np.flatnonzero(~shapely.is_empty(shapely.coverage_invalid_edges(cells.polygons)))
    west, south, east, north = shapely.total_bounds(cells.polygons).tolist()
    metres = EqualArea((west + east) / 2, (south + north) / 2).metres(cells.polygons[bad])
    one, other = shapely.STRtree(metres).query(metres, predicate="intersects")
    one, other = one[one < other], other[one < other]
    area = shapely.area(shapely.intersection(metres[one], metres[other]))
    order = np.argsort(-area, kind="stable")
    faults = [
        f"cells {cells.codes[bad[one[pair]]]} and {cells.codes[bad[other[pair]]]} overlap by {area[pair]:.2f} m2"
        for pair in order.tolist()
        if area[pair] > 0.005
    ]
    faults += [f"cell {cells.codes[row]} has an edge that is not its neighbour's" for row in bad.tolist()]
    return faults if len(faults) <= _SHOWN else [*faults[:_SHOWN], f"and {len(faults) - _SHOWN} more faults"]
