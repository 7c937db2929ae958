"""The three departments' networks of the demo city, and the cells that the merge made of them."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from command_center.demo.city import CellPlace, DemoCity
from command_center.demo.networks import EMERGENCY, PUBLIC_ORDER, REDRAWN_COUNTY, URBAN_MANAGEMENT
from command_center.demo.plane import area_m2, to_metres
from gis.network import GridId, Network
from gis.region import SEPARATOR
from gis.sliver import Limits, are_slivers

_LIMITS = Limits()


def _network(city: DemoCity, name: str) -> Network:
    return next(network for network in city.networks if network.name == name)


def _outlines(city: DemoCity) -> dict[tuple[str, GridId], shapely.Geometry]:
    return {
        (network.name, own): shape
        for network in city.networks
        for own, shape in zip(network.ids, network.polygons, strict=True)
    }


def _county(place: CellPlace) -> str:
    return place.region.scope.split(SEPARATOR)[1]


def _redrawn(city: DemoCity) -> list[CellPlace]:
    return [place for place in city.cells if _county(place) == REDRAWN_COUNTY]


def test_each_network_covers_the_city_without_overlap_or_gap(city: DemoCity) -> None:
    assert [network.name for network in city.networks] == [EMERGENCY, PUBLIC_ORDER, URBAN_MANAGEMENT]
    for network in city.networks:
        assert shapely.coverage_is_valid(network.polygons), network.name
        whole = shapely.coverage_union_all(network.polygons)
        assert area_m2(whole.symmetric_difference(city.regions[0].geometry)) < 1.0, network.name


def test_emergency_grids_are_villages_in_ones_and_twos_and_unit_grids_are_small(city: DemoCity) -> None:
    villages = sum(place.region.tier == "village" for place in city.regions)
    emergency, public_order, urban = (len(network.ids) for network in city.networks)
    assert villages / 2 <= emergency < villages
    assert 3 * villages < public_order * 1.1
    assert 2 * public_order < urban <= len(city.cells)


def test_every_cell_names_the_grid_of_each_network_that_it_lies_in(city: DemoCity) -> None:
    outlines = _outlines(city)
    for place in city.cells:
        shares = [
            place.geometry.intersection(outlines[name, own]).area / place.geometry.area
            for name, own in place.sources.items()
            if own is not None
        ]
        assert len(shares) == 3, place.region.code
        least = 0.98 if _county(place) == REDRAWN_COUNTY else 1 - 1e-6
        assert min(shares) >= least, place.region.code


def test_two_departments_drew_one_county_again_one_to_three_metres_off(city: DemoCity) -> None:
    outlines = np.array([place.geometry.exterior for place in city.cells])
    lines = shapely.STRtree(shapely.transform(outlines, to_metres))
    redrawn = {own for place in _redrawn(city) for own in place.sources.values()}
    for name in (EMERGENCY, PUBLIC_ORDER):
        network = _network(city, name)
        again = np.array([own in redrawn for own in network.ids])
        for chosen, most in ((again, 3.0), (~again, 0.0)):
            corners = np.unique(shapely.get_coordinates(network.polygons[chosen]), axis=0)
            asked = shapely.points(to_metres(corners))
            far = lines.query_nearest(asked, all_matches=False, return_distance=True)[1]
            assert far.max() == pytest.approx(most, abs=0.5), name


def test_a_line_drawn_twice_makes_no_cell(city: DemoCity) -> None:
    cells = _redrawn(city)
    assert len(cells) > 500
    assert len({(*place.sources.values(), place.region.parent) for place in cells}) == len(cells)
    metres = shapely.transform(np.array([place.geometry for place in city.cells]), to_metres)
    assert not are_slivers(metres, _LIMITS).any()


def test_public_order_grids_reach_across_villages_and_are_cut_there(city: DemoCity) -> None:
    villages: dict[GridId | None, set[str | None]] = {}
    for place in city.cells:
        villages.setdefault(place.sources[PUBLIC_ORDER], set()).add(place.region.parent)
    assert sum(len(found) > 1 for found in villages.values()) > len(villages) / 4
