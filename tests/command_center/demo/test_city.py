from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import shapely

from command_center.demo.city import DemoCity, Place, make_city
from command_center.demo.plane import area_m2, to_lng_lat, to_metres
from gis.region import TIERS, RegionTree, covers

CELL_COUNT = 6015


def _of_tier(city: DemoCity, tier: str) -> list[Place]:
    return [place for place in city.places if place.region.tier == tier]


def test_the_city_has_nine_centres_109_towns_about_650_villages_and_6015_merged_cells(city: DemoCity) -> None:
    counts = Counter(place.region.tier for place in city.places)
    assert (counts["city"], counts["county"], counts["township"], counts["grid"]) == (1, 9, 109, CELL_COUNT)
    assert 600 <= counts["village"] <= 700
    assert len(city.cells) == CELL_COUNT
    assert len({place.region.code for place in city.places}) == len(city.places)


@pytest.mark.parametrize("tier", TIERS[1:])
def test_the_polygons_of_a_tier_are_a_valid_coverage(city: DemoCity, tier: str) -> None:
    polygons = np.array([place.geometry for place in _of_tier(city, tier)])
    assert shapely.is_valid(polygons).all()
    assert {polygon.geom_type for polygon in polygons} == {"Polygon"}
    assert shapely.coverage_is_valid(polygons)


@pytest.mark.parametrize(("upper", "lower"), list(pairwise(TIERS)))
def test_every_region_is_exactly_the_union_of_the_regions_below(city: DemoCity, upper: str, lower: str) -> None:
    below: dict[str | None, list[shapely.Polygon]] = {}
    for place in _of_tier(city, lower):
        below.setdefault(place.region.parent, []).append(place.geometry)
    for place in _of_tier(city, upper):
        whole = shapely.coverage_union_all(np.array(below[place.region.code]))
        assert shapely.equals(whole, place.geometry), place.region.code


def test_scopes_follow_todays_parents_and_not_the_code(city: DemoCity) -> None:
    tree = RegionTree.of(place.region for place in city.places)
    for region in tree.regions.values():
        assert region.scope == "".join(f"{step.code}/" for step in tree.path(region.code))
    assert tree["321311004"].scope == "321300/321392/321311004/"
    assert covers(tree["321392"].scope, tree["321311004"].scope)
    assert not covers(tree["321311"].scope, tree["321311004"].scope)


def test_codes_have_the_length_of_their_tier_and_begin_with_their_towns_code(city: DemoCity) -> None:
    lengths = {"city": 6, "county": 6, "township": 9, "village": 12, "grid": 15}
    for place in city.places:
        region = place.region
        assert len(region.code) == lengths[region.tier]
        if region.tier in {"village", "grid"}:
            assert region.parent is not None
            assert region.code.startswith(region.parent)


def test_what_no_table_states_is_marked_inferred(city: DemoCity) -> None:
    inferred = Counter(place.region.tier for place in city.places if place.region.inferred)
    assert inferred == {"county": 3, "village": len(_of_tier(city, "village")), "grid": CELL_COUNT}


def test_the_city_says_that_its_geometry_is_synthetic(city: DemoCity) -> None:
    assert "示意" in city.notice["zh-CN"]
    assert "Synthetic" in city.notice["en"]
    assert all(feature.name.startswith("示意") for feature in city.water)


def test_the_city_lies_where_it_should_and_is_as_large_as_it_should_be(city: DemoCity) -> None:
    whole = city.regions[0].geometry
    assert area_m2(whole) == pytest.approx(8.5e9, rel=0.01)
    assert shapely.distance(whole.centroid, shapely.Point(118.3, 33.9)) < 0.1


def test_a_labels_place_is_inside_its_region(city: DemoCity) -> None:
    for place in city.places:
        assert shapely.contains_xy(place.geometry, place.region.lng, place.region.lat), place.region.code


def test_there_is_a_lake_two_rivers_and_a_road_to_every_centre(city: DemoCity) -> None:
    kinds = Counter(feature.kind for feature in city.water)
    assert (kinds["lake"], kinds["river"]) == (1, 2)
    assert kinds["road"] >= 8 + 109
    whole = city.regions[0].geometry.buffer(0.001)
    for feature in city.water:
        assert feature.geometry.geom_type == ("Polygon" if feature.kind == "lake" else "LineString")
        assert shapely.covers(whole, feature.geometry), feature.name


def test_the_same_seed_draws_the_same_city_and_another_seed_another(city: DemoCity) -> None:
    again, other = make_city(city.seed), make_city(city.seed + 1)
    assert [place.region for place in again.places] == [place.region for place in city.places]
    assert all(a.geometry.equals_exact(b.geometry, 0) for a, b in zip(again.places, city.places, strict=True))
    assert other.cells[0].geometry != city.cells[0].geometry
    assert shapely.coverage_is_valid(np.array([place.geometry for place in other.cells]))


def test_metres_and_degrees_go_there_and_back() -> None:
    metres = np.array([[0.0, 0.0], [51_234.5, -48_321.9], [-12.3, 45.6]])
    assert to_metres(to_lng_lat(metres)) == pytest.approx(metres, abs=0.01)
