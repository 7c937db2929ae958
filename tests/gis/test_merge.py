"""The merge on small networks drawn for one purpose each, on Seattle, and on Washington where its data is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from gis.cell_code import Previous, TooManyCells
from gis.cell_file import decode, encode
from gis.coverage_check import check
from gis.merge import Merged, NothingToMerge, merge
from gis.merge_report import report
from gis.network import Drawn, Network, assemble
from gis.overlay import NoVillage
from gis.projection import EqualArea
from gis.read_network import read_network
from gis.sliver import Limits
from tests.gis.drawn import Blocks, area_m2, network, place

_SEATTLE = Path(__file__).parent / "data" / "seattle"
_WASHINGTON = Path(__file__).parents[3] / "shared" / "data" / "dc"


def _halves(west: float = 500.0, jitter: float = 0.0) -> dict[str, BaseGeometry]:
    return {"w": shapely.box(0, 0, west, 1000), "e": shapely.box(west + jitter, 0, 1000, 1000)}


def _thirds() -> dict[str, BaseGeometry]:
    return {"n": shapely.box(0, 600, 1000, 1000), "s": shapely.box(0, 0, 1000, 600)}


def _sources(merged: Merged) -> list[tuple[object, ...]]:
    return sorted((tuple(cell.sources.values()) for cell in merged.cells), key=str)


def _judged(merged: Merged) -> None:
    """The checks that every merge has to pass, made on the cells alone."""
    shapes = np.array([cell.geometry for cell in merged.cells])
    west, south, east, north = shapely.total_bounds(shapes).tolist()
    metres = EqualArea((west + east) / 2, (south + north) / 2).metres(shapes)
    excused = {entry["code"] for entry in report(merged)["exceptions"]}
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    assert len({cell.code for cell in merged.cells}) == len(merged.cells)
    small = shapely.area(metres) < merged.limits.min_area_m2
    thin = shapely.is_empty(shapely.buffer(metres, -merged.limits.min_width_m / 2))
    assert {cell.code for cell, bad in zip(merged.cells, small | thin, strict=True) if bad} <= excused
    assert all(
        cell.area_m2 == pytest.approx(shape.area, rel=1e-6, abs=0.02)
        for cell, shape in zip(merged.cells, metres, strict=True)
    )


def test_two_networks_make_a_cell_of_every_real_difference() -> None:
    merged = merge([network("a", _halves()), network("b", _thirds())])
    assert _sources(merged) == [("e", "n"), ("e", "s"), ("w", "n"), ("w", "s")]
    _judged(merged)


def test_a_boundary_drawn_twice_becomes_one_line() -> None:
    merged = merge([network("a", _halves(500.0)), network("b", _halves(501.7))])
    assert _sources(merged) == [("e", "e"), ("w", "w")]
    told = report(merged)
    assert told["area_moved_m2"] == pytest.approx(1_700, rel=0.01)
    moved, stayed = sorted(told["networks"].values(), key=lambda found: -found["area_moved_m2"])
    assert moved["largest_displacement_m"] == pytest.approx(1.7, abs=0.02)
    assert moved["kept_area_share"] == pytest.approx(0.9983, abs=1e-5)
    assert (stayed["largest_displacement_m"], stayed["kept_area_share"]) == (0.0, 1.0)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_of_two_lines_drawn_apart_the_network_with_most_line_keeps_its_own(names: tuple[str, str]) -> None:
    coarse, fine = names
    quarters = {f"{key}{n}": shape for key, half in _halves(501.7).items() for n, shape in enumerate(_cut(half))}
    told = report(merge([network(coarse, _halves(500.0)), network(fine, quarters)]))["networks"]
    assert (told[fine]["kept_area_share"], told[fine]["largest_displacement_m"]) == (1.0, 0.0)
    assert told[coarse]["kept_area_share"] == pytest.approx(0.9983, abs=1e-5)


def _cut(shape: BaseGeometry) -> list[BaseGeometry]:
    """Its part south and its part north of the middle."""
    return [shape.intersection(shapely.box(0, 0, 1000, 400)), shape.intersection(shapely.box(0, 400, 1000, 1000))]


def test_a_long_tail_between_lines_that_part_slowly_is_cut_off() -> None:
    bent = shapely.LineString([(500, 0), (501, 700), (700, 1000)])
    sides = shapely.get_parts(shapely.polygonize([shapely.unary_union([bent, shapely.box(0, 0, 1000, 1000).exterior])]))
    west, east = sorted(sides, key=lambda side: side.centroid.x)
    merged = merge([network("a", _halves()), network("b", {"w": west, "e": east})])
    assert _sources(merged) == [("e", "e"), ("e", "w"), ("w", "w")]
    wedge = next(cell for cell in merged.cells if tuple(cell.sources.values()) == ("e", "w"))
    assert wedge.geometry.bounds[1] > place(shapely.Point(0, 690)).y


def test_a_sliver_goes_where_most_labels_agree_and_not_where_its_edge_is_longest() -> None:
    # The strip is a's third grid, 4 m wide; b and c agree with its western neighbour, its eastern edge is as long.
    strip = {
        "w": shapely.box(0, 0, 498, 1000),
        "x": shapely.box(498, 0, 502, 1000),
        "e": shapely.box(502, 0, 1000, 1000),
    }
    others = {"w": shapely.box(0, 0, 502, 1000), "e": shapely.box(502, 0, 1000, 1000)}
    merged = merge([network("a", strip), network("b", others), network("c", others)])
    assert _sources(merged) == [("e", "e", "e"), ("w", "w", "w")]
    told = report(merged)
    assert told["networks"]["a"]["lost"] == [
        {"id": "x", "area_m2": pytest.approx(4_000, rel=0.01), "reason": "it holds no cell: its pieces are slivers"}
    ]


def test_ground_without_a_grid_stays_null() -> None:
    merged = merge([network("a", _halves()), network("b", {"w": shapely.box(0, 0, 500, 1000)})])
    assert _sources(merged) == [("e", None), ("w", "w")]
    gap = report(merged)["networks"]["b"]["gaps"][0]
    assert gap["left_null_m2"] == pytest.approx(gap["area_m2"]) == pytest.approx(500_000, rel=0.01)
    assert gap["where"] == "edge of the city"


def test_a_narrow_gap_inside_a_network_closes_and_is_listed() -> None:
    drawn = {
        "w": shapely.box(0, 0, 499, 1000),
        "e": shapely.box(502, 0, 1000, 1000),
        "n": shapely.box(0, 1000, 1000, 1200),
    }
    merged = merge([network("a", drawn), network("b", {"all": shapely.box(0, 0, 1000, 1200)})])
    assert _sources(merged) == [("e", "all"), ("n", "all"), ("w", "all")]
    gap = report(merged)["networks"]["a"]["gaps"][0]
    assert gap["area_m2"] == pytest.approx(3_000, rel=0.01)
    assert gap["left_null_m2"] == 0
    assert shapely.geometry.shape(gap["geometry"]).is_valid


def test_an_overlap_goes_to_the_smaller_grid_and_is_listed() -> None:
    drawn = {"large": shapely.box(0, 0, 800, 1000), "small": shapely.box(700, 0, 1000, 1000)}
    merged = merge([network("a", drawn), network("b", _thirds())])
    told = report(merged)
    overlap = told["networks"]["a"]["overlaps"][0]
    assert (overlap["ids"], overlap["given_to"]) == (["large", "small"], "small")
    assert overlap["area_m2"] == pytest.approx(100_000, rel=0.01)
    small = sum(cell.area_m2 for cell in merged.cells if cell.sources["a"] == "small")
    assert small == pytest.approx(300_000, rel=0.01)


def test_an_enclave_drawn_on_top_is_not_swallowed() -> None:
    drawn = {"around": shapely.box(0, 0, 1000, 1000), "market": shapely.box(400, 400, 500, 500)}
    merged = merge([network("a", drawn), network("b", {"all": shapely.box(0, 0, 1000, 1000)})])
    assert _sources(merged) == [("around", "all"), ("market", "all")]


def test_a_grid_drawn_twice_under_two_names_loses_one_of_them_with_a_reason() -> None:
    drawn = {"1": shapely.box(0, 0, 500, 1000), "2": shapely.box(0, 0, 500, 1000), "3": shapely.box(500, 0, 1000, 1000)}
    told = report(merge([network("a", drawn), network("b", _thirds())]))
    lost = told["networks"]["a"]["lost"]
    assert [(entry["id"], entry["reason"]) for entry in lost] == [
        ("2", "smaller or equal grids of the same network cover all of it")
    ]


def test_a_small_island_stays_and_is_listed_with_its_reason() -> None:
    drawn = _halves() | {"island": shapely.box(2000, 0, 2020, 20)}
    merged = merge([network("a", drawn), network("b", _thirds())])
    exceptions = report(merged)["exceptions"]
    assert [entry["reason"] for entry in exceptions] == ["no other cell borders on it"]
    assert exceptions[0]["area_m2"] == pytest.approx(400, rel=0.01)
    assert exceptions[0]["width_m"] == pytest.approx(20, rel=0.01)
    _judged(merged)


def test_an_invalid_ring_is_repaired_and_listed() -> None:
    bow = shapely.Polygon([(0, 0), (1000, 600), (1000, 0), (0, 600)])
    merged = merge([network("a", {"bow": bow, "n": shapely.box(0, 600, 1000, 1000)}), network("b", _halves())])
    repaired = report(merged)["networks"]["a"]["repaired"]
    assert [(entry["id"], entry["reason"]) for entry in repaired] == [("bow", "self-intersection")]
    assert any(cell.sources["a"] == "bow" for cell in merged.cells)
    _judged(merged)


def test_base_grids_stay_whole_and_take_the_largest_share_of_the_others() -> None:
    merged = merge([network("a", _halves(600.0)), network("b", _thirds())], base="b")
    assert _sources(merged) == [("w", "n"), ("w", "s")]
    told = report(merged)
    assert told["networks"]["b"]["kept_area_share"] == 1.0
    found = [(entry["network"], entry["took"], entry["other"]) for entry in told["disagreements"]]
    assert found == [("a", "w", "e"), ("a", "w", "e")]
    assert sum(entry["area_m2"] for entry in told["disagreements"]) == pytest.approx(400_000, rel=0.01)


def test_a_base_grid_of_two_parts_is_one_cell() -> None:
    two = shapely.MultiPolygon([shapely.box(0, 0, 200, 1000), shapely.box(800, 0, 1000, 1000)])
    merged = merge(
        [network("a", {"two": two, "mid": shapely.box(200, 0, 800, 1000)}), network("b", _thirds())], base="a"
    )
    assert _sources(merged) == [("mid", "s"), ("two", "s")]
    assert {cell.geometry.geom_type for cell in merged.cells} == {"Polygon", "MultiPolygon"}


def test_ground_outside_the_base_is_merged_from_the_others() -> None:
    merged = merge([network("a", {"w": shapely.box(0, 0, 500, 1000)}), network("b", _thirds())], base="a")
    assert set(_sources(merged)) == {(None, "n"), (None, "s"), ("w", "s")}


def test_a_small_base_grid_stays_and_is_listed() -> None:
    drawn = {"post": shapely.box(0, 0, 20, 20), "rest": shapely.box(0, 0, 1000, 1000)}
    told = report(merge([network("a", drawn), network("b", _thirds())], base="a"))
    assert [entry["reason"] for entry in told["exceptions"]] == ["a grid of the base network a stays whole"]


def test_cells_end_at_the_boundary_and_leave_no_gap_inside_it() -> None:
    boundary = place(shapely.box(100, 100, 1100, 900))
    merged = merge([network("a", _halves()), network("b", _thirds())], boundary=boundary)
    shapes = [cell.geometry for cell in merged.cells]
    assert area_m2(shapes) == pytest.approx(area_m2([boundary]), rel=1e-6)
    assert ("w", "s") in _sources(merged)
    assert (None, None) in _sources(merged)
    assert [entry["reason"] for entry in report(merged)["exceptions"]] == ["no network has a grid here"]


def _villages() -> Network:
    return network(
        "villages", {"321302001001": shapely.box(0, 0, 300, 1000), "321302001201": shapely.box(300, 0, 1000, 1000)}
    )


def test_no_cell_crosses_a_village_and_codes_are_the_villages_with_three_digits() -> None:
    merged = merge([network("a", _halves()), network("b", _thirds())], villages=_villages())
    assert [(cell.code, cell.village) for cell in merged.cells] == [
        ("321302001001001", "321302001001"),
        ("321302001001002", "321302001001"),
        ("321302001201001", "321302001201"),
        ("321302001201002", "321302001201"),
        ("321302001201003", "321302001201"),
        ("321302001201004", "321302001201"),
    ]
    first, second = merged.cells[2], merged.cells[3]
    assert first.sources == {"a": "w", "b": "n"}, "serials start in the north-west"
    assert second.sources == {"a": "e", "b": "n"}, "and run east before they run south"


def test_a_village_line_beside_a_grid_line_leaves_no_sliver_and_no_cell_across() -> None:
    merged = merge([network("a", _halves(304.0)), network("b", _thirds())], villages=_villages())
    assert len(merged.cells) == 4
    villages = dict(zip(_villages().ids, _villages().polygons, strict=True))
    for cell in merged.cells:
        assert area_m2([cell.geometry.difference(villages[cell.village])]) < 1.0


def test_ground_outside_every_village_goes_to_the_one_beside_it() -> None:
    villages = network("villages", {"321302001001": shapely.box(0, 0, 700, 1000)})
    merged = merge([network("a", _halves()), network("b", _thirds())], villages=villages)
    assert {cell.village for cell in merged.cells} == {"321302001001"}
    assert report(merged)["villages"]["gaps"][0]["area_m2"] == pytest.approx(300_000, rel=0.01)


def test_an_island_goes_to_the_nearest_village_and_villages_elsewhere_are_refused() -> None:
    drawn = _halves() | {"island": shapely.box(-900, 0, -600, 300)}
    networks = [network("a", drawn), network("b", _thirds())]
    island = next(cell for cell in merge(networks, villages=_villages()).cells if cell.sources["a"] == "island")
    assert island.village == "321302001001"
    with pytest.raises(NoVillage):
        merge(networks, villages=network("villages", {"321302001001": shapely.box(1100, 0, 1200, 1000)}))


def test_more_than_999_cells_in_a_village_are_refused() -> None:
    blocks = Blocks(32, 60.0)
    fine = network("a", blocks.drawn(np.random.default_rng(1), list(range(33)), list(range(33)), 0.0))
    whole = {"321302001001": shapely.box(0, 0, 1920, 1920)}
    with pytest.raises(TooManyCells, match="village 321302001001 has 1024 cells"):
        merge([fine, network("b", {"all": whole["321302001001"]})], villages=network("villages", whole))


def _previous(merged: Merged) -> Previous:
    cells = decode(encode(merged.cells, merged.coded.retired), "earlier")
    return Previous(cells.codes, cells.polygons, cells.retired)


def test_the_same_networks_again_keep_every_code() -> None:
    networks = [network("a", _halves()), network("b", _thirds())]
    first = merge(networks)
    again = merge(networks, previous=_previous(first))
    assert encode(again.cells, again.coded.retired) == encode(first.cells, first.coded.retired)
    assert again.coded.kept == 4


def test_a_split_cell_leaves_its_code_to_the_larger_part_and_no_code_comes_back() -> None:
    first = merge([network("a", _halves()), network("b", {"all": shapely.box(0, 0, 1000, 1000)})])
    west = next(cell.code for cell in first.cells if cell.sources["a"] == "w")
    split = merge([network("a", _halves()), network("b", _thirds())], previous=_previous(first))
    code = {tuple(cell.sources.values()): cell.code for cell in split.cells}
    assert code[("w", "s")] == west
    assert code[("w", "n")] not in {cell.code for cell in first.cells}
    joined = merge(
        [network("a", _halves()), network("b", {"all": shapely.box(0, 0, 1000, 1000)})], previous=_previous(split)
    )
    assert {cell.code for cell in joined.cells} == {cell.code for cell in first.cells}
    assert set(joined.coded.retired) == {code[("w", "n")], code[("e", "n")]}
    again = merge([network("a", _halves()), network("b", _thirds())], previous=_previous(joined))
    assert not {cell.code for cell in again.cells} & set(joined.coded.retired)


def test_tolerances_decide_what_a_sliver_is() -> None:
    strip = [network("a", _halves(500.0)), network("b", _halves(520.0))]
    assert len(merge(strip).cells) == 3
    assert len(merge(strip, limits=Limits(min_width_m=30.0)).cells) == 2
    assert len(merge(strip, limits=Limits(min_area_m2=30_000.0)).cells) == 2


def test_one_network_or_an_unknown_base_is_refused() -> None:
    one = network("a", _halves())
    with pytest.raises(NothingToMerge):
        merge([one])
    with pytest.raises(NothingToMerge):
        merge([one, network("b", _thirds())], base="c")


def test_features_without_ids_are_numbered_by_their_place() -> None:
    shapes = [place(shape) for shape in (shapely.box(500, 0, 1000, 1000), shapely.box(0, 0, 500, 1000))]
    nameless = assemble("a", [Drawn(shape, {}) for shape in shapes])
    assert nameless.ids == ("#1", "#2")
    assert nameless.polygons[0].equals(shapes[1])


def _kept(merged: Merged) -> None:
    for name, found in report(merged)["networks"].items():
        assert found["kept_area_share"] >= 0.999, name
        assert not found["lost"], name


def test_seattle_merges_into_a_valid_coverage() -> None:
    names = {"beats": "spd-beats", "council": "city-council-districts", "schools": "sps_attendance_area_ES"}
    merged = merge([read_network(name, _SEATTLE / f"{file}.geojson") for name, file in names.items()])
    _judged(merged)
    _kept(merged)
    assert len(merged.cells) == 326
    assert check(decode(encode(merged.cells, ()), "seattle")) == []
    ground = shapely.union_all(np.concatenate([n.polygons for n in merged.networks]))
    west, south, east, north = ground.bounds
    true = EqualArea((west + east) / 2, (south + north) / 2).metres(np.array([ground]))[0].area
    assert sum(cell.area_m2 for cell in merged.cells) == pytest.approx(true, rel=1e-6)


@pytest.mark.skipif(
    not _WASHINGTON.is_dir(), reason="the data of Washington DC lies beside the project and is not here"
)
def test_washington_merges_into_a_valid_coverage_with_the_ground_that_has_no_fire_district() -> None:
    names = {"police": "police-service-areas-psa", "fire": "fire-alarm-districts", "works": "dpw-parking-beats"}
    merged = merge([read_network(name, _WASHINGTON / f"{file}.geojson") for name, file in names.items()])
    _judged(merged)
    _kept(merged)
    told = report(merged)
    assert told["exceptions"] == []
    without = sum(cell.area_m2 for cell in merged.cells if cell.sources["fire"] is None)
    assert without == pytest.approx(5.44e6, rel=0.002)
    assert told["area_m2"] == pytest.approx(177.5e6, rel=0.002)
