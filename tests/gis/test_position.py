"""Which positions of sensors cannot be right, and what is told about them."""

from __future__ import annotations

import re

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from gis.cell_index import CellIndex
from gis.datum import Datum, convert
from gis.position import FAR_M, implausible, in_city_datum
from ingest.quarantine import FAR_OUTSIDE, NULL_ISLAND, SWAPPED_AXES, Refusal
from ingest.reading import DATUMS

WEST, SOUTH, EAST, NORTH = 118.0, 34.0, 118.2, 34.1
INDEX = CellIndex(["east", "west"], [shapely.box(118.1, SOUTH, EAST, NORTH), shapely.box(WEST, SOUTH, 118.1, NORTH)])
GEOD = Geod(ellps="GRS80")
A_DATUM = st.sampled_from(DATUMS)


def judged(*positions: tuple[float, float], datum: str = "CGCS2000", index: CellIndex = INDEX) -> dict[int, Refusal]:
    """What is said of the positions as sent, by their place in the call."""
    lng, lat = np.array(positions, dtype="f8").reshape(-1, 2).T
    return implausible(lng, lat, np.full(len(lng), DATUMS.index(datum), dtype="i1"), index)


def beside(way_m: float, azimuth: float) -> tuple[float, float]:
    """The place so many metres from the city's north-east corner."""
    lng, lat, _ = GEOD.fwd(EAST, NORTH, azimuth, way_m)
    return lng, lat


@pytest.mark.parametrize("datum", DATUMS)
@pytest.mark.parametrize("position", [(0.0, 0.0), (-0.0, 0.0), (0.05, -0.09), (0.0065, 0.006)])
def test_a_receiver_without_a_fix_is_told_by_its_zeros(position: tuple[float, float], datum: str) -> None:
    [refusal] = judged(position, datum=datum).values()
    assert refusal.reason == NULL_ISLAND
    assert "no fix" in refusal.detail


@pytest.mark.parametrize("position", [(0.0, 34.05), (118.15, 0.0), (0.2, 0.0)])
def test_one_zero_alone_is_merely_far(position: tuple[float, float]) -> None:
    assert judged(position)[0].reason == FAR_OUTSIDE


@settings(max_examples=50, deadline=None)
@given(st.floats(WEST - 0.2, EAST + 0.2), st.floats(SOUTH - 0.2, NORTH + 0.2), A_DATUM)
def test_exchanged_axes_are_told_in_and_near_the_city_and_in_whatever_datum(lng: float, lat: float, datum: str) -> None:
    refusal = judged((lat, lng), datum=datum)[0]
    assert refusal.reason == SWAPPED_AXES
    assert str(lng) in refusal.detail


def test_axes_are_exchanged_too_where_both_numbers_are_degrees_of_either_kind() -> None:
    ankara = CellIndex(["one"], [shapely.box(32.8, 39.9, 32.9, 40.0)])
    assert judged((39.95, 32.85), index=ankara)[0].reason == SWAPPED_AXES
    assert judged((32.85, 39.95), index=ankara) == {}


@settings(max_examples=50, deadline=None)
@given(st.floats(0, FAR_M * 0.998), st.floats(0, 90), A_DATUM)
def test_what_is_near_the_city_is_never_refused(way_m: float, azimuth: float, datum: str) -> None:
    lng, lat = beside(way_m, azimuth)
    sent_lng, sent_lat = convert([lng], [lat], Datum.CGCS2000, datum)
    assert judged((float(sent_lng[0]), float(sent_lat[0])), datum=datum) == {}


@settings(max_examples=50, deadline=None)
@given(st.floats(FAR_M * 1.002, 900_000), st.floats(0, 90), A_DATUM)
def test_what_is_far_is_refused_with_its_distance_from_the_nearest_cell(
    way_m: float, azimuth: float, datum: str
) -> None:
    lng, lat = beside(way_m, azimuth)
    sent_lng, sent_lat = convert([lng], [lat], Datum.CGCS2000, datum)
    refusal = judged((float(sent_lng[0]), float(sent_lat[0])), datum=datum)[0]
    assert refusal.reason == FAR_OUTSIDE
    told = re.search(r" is (\d+) km from the nearest cell, at most 50 km", refusal.detail)
    assert told
    # The corner is the nearest point for a bearing between north and east, but for the earth's curve.
    assert float(told[1]) == pytest.approx(way_m / 1000, rel=0.01, abs=0.6)


@pytest.mark.parametrize("position", [(10.0, 50.0), (-74.0, 40.7), (118.1, -34.0), (180.0, 90.0)])
def test_another_part_of_the_world_is_only_told_to_be_more_than_a_thousand_kilometres_away(
    position: tuple[float, float],
) -> None:
    refusal = judged(position)[0]
    assert refusal.reason == FAR_OUTSIDE
    assert "more than 1000 km" in refusal.detail


@pytest.mark.parametrize("position", [(218.0, 34.0), (118.0, -91.0), (1e308, -1e308), (1e308, 34.0)])
def test_what_is_no_degree_at_all_is_left_to_the_format(position: tuple[float, float]) -> None:
    assert judged(position) == {}


def test_a_bad_position_says_nothing_about_those_beside_it() -> None:
    found = judged((118.15, 34.05), (0.0, 0.0), (118.21, 34.05), (34.05, 118.15), (118.05, 34.05), (121.5, 31.2))
    assert {row: refusal.reason for row, refusal in found.items()} == {1: NULL_ISLAND, 3: SWAPPED_AXES, 5: FAR_OUTSIDE}


def test_no_positions_are_no_trouble_and_without_cells_nothing_is_far() -> None:
    assert judged() == {}
    nowhere = CellIndex([], [])
    assert judged((10.0, 50.0), (34.05, 118.15), index=nowhere) == {}
    assert judged((0.0, 0.0), index=nowhere)[0].reason == NULL_ISLAND


@given(st.lists(st.tuples(st.floats(117.5, 119.6), st.floats(32.8, 34.7), A_DATUM), max_size=20))
def test_positions_in_mixed_datums_come_out_where_they_were_and_the_sent_ones_stay(
    places: list[tuple[float, float, str]],
) -> None:
    sent = [convert(lng, lat, Datum.CGCS2000, datum) for lng, lat, datum in places]
    sent_lng, sent_lat = np.array([(float(lng), float(lat)) for lng, lat in sent]).reshape(-1, 2).T.copy()
    before = sent_lng.copy(), sent_lat.copy()
    lng, lat = in_city_datum(sent_lng, sent_lat, np.array([DATUMS.index(datum) for *_, datum in places], dtype="i1"))
    assert np.abs(lng - [place[0] for place in places]).max(initial=0) < 1e-6
    assert np.abs(lat - [place[1] for place in places]).max(initial=0) < 1e-6
    assert (sent_lng == before[0]).all()
    assert (sent_lat == before[1]).all()
