"""What became of each cell: every square metre of the old grid is found in the new one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Polygon, box
from shapely.geometry.base import BaseGeometry

from gis.cell_function import CellFunction, inherited
from gis.lineage import Ground, Label, Lineage, trace
from tests.gis.drawn import Blocks, area_m2, place

SIDE_M = 100.0


def ground(cells: Mapping[str, BaseGeometry], village: Mapping[str, str] | None = None, **sources: Any) -> Ground:
    """Cells drawn in metres."""
    codes = sorted(cells)
    polygons = np.array([place(cells[code]) for code in codes], dtype=object)
    regions = [(village or {}).get(code, "v") for code in codes]
    labels = tuple(
        Label(f"第{code}", "basic", region, f"c/{region}/{code}/", sources)
        for code, region in zip(codes, regions, strict=True)
    )
    return Ground(tuple(codes), polygons, labels)


def square(column: int, row: int = 0, wide: float = 1.0) -> Polygon:
    return box(column * SIDE_M, row * SIDE_M, (column + wide) * SIDE_M, (row + 1) * SIDE_M)


def fates(old: Ground, new: Ground) -> tuple[dict[str, str], dict[str, str]]:
    """(what became of the old cells, where the new ones come from) by code."""
    found = trace(old, new)
    return dict(zip(old.codes, found.old_change, strict=True)), dict(zip(new.codes, found.new_change, strict=True))


def pairs(old: Ground, new: Ground, found: Lineage) -> dict[tuple[str, str], float]:
    rows = zip(found.before.tolist(), found.after.tolist(), found.area_m2.tolist(), strict=True)
    return {(old.codes[before], new.codes[after]): area for before, after, area in rows}


def test_a_cell_that_stays_is_unchanged_wherever_its_ring_begins() -> None:
    turned = Polygon([(100, 100), (0, 100), (0, 0), (100, 0)])
    old, new = ground({"A": square(0), "B": square(1)}), ground({"A": turned, "B": square(1)})
    assert fates(old, new) == ({"A": "unchanged", "B": "unchanged"},) * 2


def test_the_same_outline_with_other_sources_is_relabelled() -> None:
    assert fates(ground({"A": square(0)}, a=1), ground({"A": square(0)}, a=2))[1] == {"A": "relabelled"}


def test_a_boundary_that_wanders_reshapes_both_neighbours_and_splits_nobody() -> None:
    old = ground({"A": square(0), "B": square(1)})
    new = ground({"A": square(0, wide=1.1), "B": box(110, 0, 200, 100)})
    assert fates(old, new) == ({"A": "reshaped", "B": "reshaped"},) * 2
    shared = pairs(old, new, trace(old, new))
    assert shared == pytest.approx({("A", "A"): 10_000, ("B", "A"): 1_000, ("B", "B"): 9_000}, rel=0.01)


def test_a_cell_cut_in_two_is_split_and_both_parts_say_so() -> None:
    old = ground({"A": square(0, wide=2)})
    assert fates(old, ground({"A": square(0), "B": square(1)})) == ({"A": "split"}, {"A": "split", "B": "split"})
    assert fates(old, ground({"B": square(0), "C": square(1)})) == ({"A": "split"}, {"B": "split", "C": "split"})


def test_cells_joined_into_one_are_merged() -> None:
    old = ground({"A": square(0), "B": square(1)})
    assert fates(old, ground({"A": square(0, wide=2)})) == ({"A": "merged", "B": "merged"}, {"A": "merged"})


def test_a_cell_given_to_another_village_is_moved_with_or_without_its_code() -> None:
    old = ground({"A": square(0)}, {"A": "v"})
    assert fates(old, ground({"A": square(0)}, {"A": "w"})) == ({"A": "moved"},) * 2
    assert fates(old, ground({"B": square(0)}, {"B": "w"})) == ({"A": "moved"}, {"B": "moved"})
    assert fates(old, ground({"B": square(0)}, {"B": "v"})) == ({"A": "renumbered"}, {"B": "renumbered"})


def test_ground_that_comes_and_goes_is_new_and_ended() -> None:
    assert fates(ground({"A": square(0)}), ground({"B": square(5)})) == ({"A": "ended"}, {"B": "new"})
    nothing = Ground((), np.empty(0, dtype=object), ())
    assert fates(nothing, ground({"B": square(5)})) == ({}, {"B": "new"})
    assert fates(ground({"A": square(0)}), nothing) == ({"A": "ended"}, {})


def test_shared_ground_below_a_square_metre_is_the_rounding_of_a_line() -> None:
    old = ground({"A": square(0), "B": square(1)})
    new = ground({"A": box(0, 0, 100.009, 100), "B": box(100.009, 0, 200, 100)})
    assert set(pairs(old, new, trace(old, new))) == {("A", "A"), ("B", "B")}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.floats(0, 40), st.booleans())
def test_all_ground_of_the_old_cells_is_accounted_for(seed: int, across: int, jitter_m: float, smaller: bool) -> None:
    rng = np.random.default_rng(seed)
    streets = Blocks(across)

    def drawn(few: bool) -> dict[str, BaseGeometry]:
        columns = [0, *sorted(set(rng.integers(1, across, 3).tolist())), across]
        rows = [0, *sorted(set(rng.integers(1, across, 2).tolist())), across]
        return streets.drawn(rng, columns[: -1 if few and len(columns) > 2 else None], rows, jitter_m)

    old, new = ground(drawn(few=False)), ground(drawn(few=smaller))
    found = trace(old, new)
    kept = area_m2(shapely.intersection(old.polygons, shapely.union_all(new.polygons)))
    told = found.area_m2.sum()
    # Edges that are straight in degrees bend in metres by 0.3 mm in 150 m.
    assert told <= kept + 0.1 * len(found.area_m2)
    # What is left out is less than a square metre for each pair of cells.
    assert told >= kept - len(old.codes) * len(new.codes)
    per_cell = np.bincount(found.before, found.area_m2, minlength=len(old.codes))
    assert (per_cell <= np.array([area_m2([shape]) for shape in old.polygons]) + 0.1).all()
    fate = dict(zip(new.codes, found.new_change, strict=True))
    assert all(fate[code] not in ("new", "renumbered") for code in set(old.codes) & set(new.codes))


DAY = date(2026, 11, 24)


def duty(cell: str, domain: str = "emergency", who: str = "o", ends: date | None = None) -> CellFunction:
    return CellFunction(cell, domain, who, "w", date(2026, 1, 1), ends)


def test_both_parts_of_a_split_cell_inherit_its_functions() -> None:
    found = inherited([duty("A")], {"A"}, {"B", "C"}, [("A", "B", 60.0), ("A", "C", 40.0)], DAY)
    assert [(f.cell, f.organisation, f.valid_from) for f in found] == [("B", "o", DAY), ("C", "o", DAY)]


def test_an_ended_cells_functions_go_to_the_largest_heir_where_nobody_has_the_domain() -> None:
    functions = [duty("A"), duty("A", "traffic", "t"), duty("B", "traffic", "other"), duty("A", ends=DAY)]
    found = inherited(functions, {"A"}, frozenset(), [("A", "B", 60.0), ("A", "C", 40.0)], DAY)
    assert [(f.cell, f.domain, f.organisation) for f in found] == [("B", "emergency", "o")]


def test_of_two_ended_cells_the_one_that_gives_more_ground_gives_its_function() -> None:
    functions = [duty("A", who="small"), duty("B", who="large")]
    found = inherited(functions, {"A", "B"}, frozenset(), [("A", "C", 1.0), ("B", "C", 9.0)], DAY)
    assert [(f.cell, f.organisation) for f in found] == [("C", "large")]
