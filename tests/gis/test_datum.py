from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gis.datum import Datum, UnknownDatum, convert, named

SHIFTED = [Datum.GCJ02, Datum.BD09]
LNG = st.floats(117.5, 119.6)
LAT = st.floats(32.8, 34.7)


@pytest.mark.parametrize(
    ("wgs", "target", "expected"),
    [
        ((118.2755, 33.9630), Datum.GCJ02, (118.281006, 33.961653)),
        ((118.2755, 33.9630), Datum.BD09, (118.287554, 33.967492)),
        ((118.768, 34.113), Datum.GCJ02, (118.773418, 34.111680)),
        ((118.217, 33.476), Datum.GCJ02, (118.222492, 33.474508)),
    ],
)
def test_known_places_come_out_where_published_converters_put_them(
    wgs: tuple[float, float], target: Datum, expected: tuple[float, float]
) -> None:
    lng, lat = convert([wgs[0]], [wgs[1]], Datum.WGS84, target)
    assert (lng[0], lat[0]) == pytest.approx(expected, abs=6e-7)


@given(LNG, LAT, st.sampled_from(Datum), st.sampled_from(Datum))
def test_there_and_back_is_the_same_place_around_suqian(lng: float, lat: float, here: Datum, there: Datum) -> None:
    away = convert([lng], [lat], here, there)
    back = convert(*away, there, here)
    assert np.abs(back[0] - lng).max() < 1e-9
    assert np.abs(back[1] - lat).max() < 1e-9


@given(st.floats(73, 137), st.floats(2, 55), st.sampled_from(SHIFTED))
def test_there_and_back_is_the_same_place_all_over_china(lng: float, lat: float, there: Datum) -> None:
    back = convert(*convert([lng], [lat], Datum.WGS84, there), there, Datum.WGS84)
    assert np.abs(back[0] - lng).max() < 1e-9
    assert np.abs(back[1] - lat).max() < 1e-9


@given(st.lists(st.tuples(LNG, LAT), min_size=1, max_size=20), st.sampled_from(SHIFTED))
def test_many_places_at_once_come_out_like_each_alone(places: list[tuple[float, float]], datum: Datum) -> None:
    lng, lat = np.array(places).T
    together = convert(lng, lat, datum, Datum.WGS84)
    for index, place in enumerate(places):
        alone = convert([place[0]], [place[1]], datum, Datum.WGS84)
        assert (together[0][index], together[1][index]) == pytest.approx((alone[0][0], alone[1][0]), abs=1e-10)


@pytest.mark.parametrize(("target", "least_m", "most_m"), [(Datum.GCJ02, 515, 540), (Datum.BD09, 1215, 1226)])
def test_the_shift_around_suqian_is_as_long_as_measured(target: Datum, least_m: float, most_m: float) -> None:
    lng, lat = np.array([118.2755, 118.768, 118.217]), np.array([33.9630, 34.113, 33.476])
    moved_lng, moved_lat = convert(lng, lat, Datum.WGS84, target)
    length_m = np.hypot((moved_lng - lng) * np.cos(np.radians(lat)), moved_lat - lat) * 111_195
    assert (length_m > least_m).all()
    assert (length_m < most_m).all()


@pytest.mark.parametrize("datum", SHIFTED)
def test_a_place_outside_china_is_left_alone_whichever_way(datum: Datum) -> None:
    lng, lat = np.array([-77.03, 2.35, 151.2]), np.array([38.9, 48.85, -33.87])
    for pair in (convert(lng, lat, Datum.WGS84, datum), convert(lng, lat, datum, Datum.WGS84)):
        assert (pair[0] == lng).all()
        assert (pair[1] == lat).all()


def test_cgcs2000_counts_as_wgs84() -> None:
    lng, lat = convert(118.2755, 33.963, Datum.CGCS2000, Datum.WGS84)
    assert (float(lng), float(lat)) == (118.2755, 33.963)


def test_an_unknown_position_stays_unknown_and_spoils_nothing_beside_it() -> None:
    lng, lat = convert([np.nan, 118.281006], [np.nan, 33.961653], "GCJ02", "WGS84")
    assert np.isnan(lng[0])
    assert np.isnan(lat[0])
    assert (lng[1], lat[1]) == pytest.approx((118.2755, 33.9630), abs=1e-6)


def test_no_positions_give_no_positions() -> None:
    lng, lat = convert([], [], "BD09", "WGS84")
    assert lng.shape == lat.shape == (0,)


def test_the_input_is_never_changed_nor_handed_back() -> None:
    lng, lat = np.array([118.2]), np.array([33.9])
    for target in Datum:
        moved = convert(lng, lat, Datum.WGS84, target)
        moved[0][0] = 0
        assert (lng[0], lat[0]) == (118.2, 33.9)


@pytest.mark.parametrize("name", ["GCJ02", "gcj02", "GCJ-02", "gcj_02"])
def test_a_datum_is_known_by_the_ways_people_write_it(name: str) -> None:
    assert named(name) is Datum.GCJ02


@pytest.mark.parametrize("name", ["", "WGS72", "EPSG:4326", "火星坐标"])
def test_an_unknown_datum_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnknownDatum, match="use one of CGCS2000, WGS84, GCJ02, BD09"):
        convert([118.0], [33.0], name, Datum.WGS84)
