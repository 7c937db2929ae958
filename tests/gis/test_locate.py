"""Readings on cells: the catalogue's for what stands still, the position's for what moves."""

from __future__ import annotations

import math

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gis.cell_index import CellIndex
from gis.datum import Datum, convert
from gis.locate import CellPlace, Cells, homes, locate
from ingest.reading import DATUMS, LATE, OUTSIDE_CITY, ReadingBatch
from ingest.sensor import Catalogue
from tests.ingest.wire import sensor

NAN = math.nan
CELLS = Cells(
    CellIndex(["east", "west"], [shapely.box(118.1, 34, 118.2, 34.1), shapely.box(118, 34, 118.1, 34.1)]),
    {"east": 7, "west": 8},
    {7: CellPlace("east", "v", "c/v/east/", 118.15, 34.05), 8: CellPlace("west", "v", "c/v/west/", 118.05, 34.05)},
)
CITY = Catalogue.of(
    [sensor(1, "a", cell="west"), sensor(2, "b", cell="east"), sensor(5, "lost", cell="a cell that was merged away")],
    [],
)
HOME = homes(CITY, CELLS)


def batch(*rows: tuple[int, float, float, str]) -> ReadingBatch:
    """(sensor, lng, lat, datum) each."""
    return ReadingBatch.of(
        [(n, 1, 0.5, 0, 0, 0, LATE, lng, lat, DATUMS.index(datum), i) for i, (n, lng, lat, datum) in enumerate(rows)]
    )


def test_what_stands_still_is_where_the_catalogue_says() -> None:
    readings = batch((2, NAN, NAN, "CGCS2000"), (1, NAN, NAN, "CGCS2000"), (5, NAN, NAN, "CGCS2000"))
    located = locate(readings, HOME, CELLS)
    assert located.cell.tolist() == [7, 8, 0]
    assert located.readings is readings


def test_what_sends_a_position_is_where_it_says_and_nowhere_when_no_cell_covers_it() -> None:
    readings = batch((1, 118.15, 34.05, "WGS84"), (1, NAN, NAN, "CGCS2000"), (2, 10.0, 50.0, "CGCS2000"))
    located = locate(readings, HOME, CELLS)
    assert located.cell.tolist() == [7, 8, 0]
    assert located.readings.flags.tolist() == [LATE, LATE, LATE | OUTSIDE_CITY]
    assert readings.flags.tolist() == [LATE] * 3


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(DATUMS), st.floats(118.001, 118.199), st.floats(34.001, 34.099))
def test_a_position_is_on_the_same_cell_in_whatever_datum_it_was_sent(datum: str, lng: float, lat: float) -> None:
    sent_lng, sent_lat = convert(np.array([lng]), np.array([lat]), Datum.CGCS2000, Datum(datum))
    here = batch((1, lng, lat, "CGCS2000"))
    sent = batch((1, float(sent_lng[0]), float(sent_lat[0]), datum))
    if abs(lng - 118.1) > 1e-8:
        assert locate(sent, HOME, CELLS).cell.tolist() == locate(here, HOME, CELLS).cell.tolist()


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(DATUMS), st.floats(117.5, 119.6), st.floats(32.8, 34.7))
def test_a_position_is_used_as_converted_and_kept_as_sent(datum: str, lng: float, lat: float) -> None:
    sent_lng, sent_lat = (float(degrees) for degrees in convert(lng, lat, Datum.CGCS2000, Datum(datum)))
    found = locate(batch((1, sent_lng, sent_lat, datum), (2, NAN, NAN, "CGCS2000")), HOME, CELLS)
    assert abs(found.lng[0] - lng) < 1e-6
    assert abs(found.lat[0] - lat) < 1e-6
    readings = found.readings
    assert (readings.lng[0], readings.lat[0], DATUMS[readings.datum[0]]) == (sent_lng, sent_lat, datum)
    assert np.isnan(found.lng[1])


def test_an_empty_batch_and_an_empty_catalogue_are_no_trouble() -> None:
    assert len(locate(batch(), HOME, CELLS).cell) == 0
    assert len(locate(batch(), homes(Catalogue.of([], []), CELLS), CELLS).cell) == 0


def test_a_moving_reading_is_placed_where_it_was_taken_and_a_standing_one_in_its_cell() -> None:
    moving = (1, 1, 0.0, 0, 0, 0, 0, 118.11, 34.01, 0, 0)
    standing = (2, 1, 0.0, 0, 0, 0, 0, NAN, NAN, 0, 1)
    outside = (2, 1, 0.0, 0, 0, 0, 0, 10.0, 50.0, 0, 2)
    found = locate(ReadingBatch.of([moving, standing, outside]), HOME, CELLS)
    assert found.place(0) == CellPlace("east", "v", "c/v/east/", 118.11, 34.01)
    assert found.place(1) == CELLS.places[7]
    assert found.place(2) is None
