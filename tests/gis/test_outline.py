"""An outline is in the datum in which it lies closest to the boundary that is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from gis.datum import Datum, convert
from gis.outline import NoOutline, judge

SUQIAN = Path(__file__).parents[3] / "shared" / "data" / "suqian"
VENDOR_FILES = ("city_gcj02_datav.geojson", "counties_gcj02_datav2025.geojson")
OLDER_FILE = "counties_wgs84like_2015.geojson"
TELLABLE = (Datum.CGCS2000, Datum.GCJ02, Datum.BD09)


def moved(shape: BaseGeometry, source: Datum, target: Datum) -> BaseGeometry:
    return shapely.transform(shape, lambda at: np.column_stack(convert(at[:, 0], at[:, 1], source, target)))


def city(seed: int = 1, error_m: float = 0.0) -> BaseGeometry:
    """A round city of 40 km whose border wanders by the error from one vertex to the next."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    radius = 0.36 * (1 + 0.2 * np.cos(3 * angle)) + rng.normal(0, error_m / 111_000, len(angle))
    return shapely.Polygon(np.column_stack([118.3 + radius * np.cos(angle), 33.9 + 0.83 * radius * np.sin(angle)]))


def suqian(name: str) -> BaseGeometry:
    path = SUQIAN / name
    if not path.exists():
        pytest.skip(f"{name} is not here: the outlines of Suqian may not be copied, only read beside the checkout")
    features = json.loads(path.read_text(encoding="utf-8-sig"))["features"]
    shapes = [shapely.make_valid(shapely.geometry.shape(feature["geometry"])) for feature in features]
    return shapely.union_all(shapes)


@pytest.mark.parametrize("datum", TELLABLE)
def test_an_outline_drawn_anew_with_errors_is_told_in_every_datum(datum: Datum) -> None:
    judgement = judge(moved(city(seed=2, error_m=150), Datum.CGCS2000, datum), city())
    assert judgement.datum is datum
    assert judgement.is_sure
    assert judgement.fits[0].datum is datum
    assert "looks like" in str(judgement)
    assert str(datum) in str(judgement)


@pytest.mark.parametrize("name", VENDOR_FILES)
def test_a_vendors_outline_of_suqian_looks_like_gcj02_beside_the_older_one(name: str) -> None:
    judgement = judge(suqian(name), suqian(OLDER_FILE))
    assert judgement.datum is Datum.GCJ02
    assert judgement.is_sure
    assert judgement.fits[0].distance_m < 200


@pytest.mark.parametrize("name", VENDOR_FILES)
def test_the_older_outline_of_suqian_needs_no_conversion(name: str) -> None:
    known = moved(suqian(name), Datum.GCJ02, Datum.CGCS2000)
    judgement = judge(suqian(OLDER_FILE), known)
    assert judgement.datum is Datum.CGCS2000
    assert judgement.is_sure


def test_outlines_drawn_too_coarsely_leave_the_datum_open() -> None:
    square = shapely.box(*city().bounds)
    judgement = judge(square, shapely.affinity.rotate(square, 8))
    assert judgement.datum is None
    assert "cannot be told" in str(judgement)


def test_the_outline_of_another_city_is_no_outline_of_this_one() -> None:
    judgement = judge(shapely.affinity.translate(city(), 2.0, 0.0), city())
    assert judgement.datum is None
    assert not judgement.is_same_place
    assert "not the outline of the same place" in str(judgement)


@pytest.mark.parametrize(
    "shape", [shapely.Point(118, 34), shapely.Polygon(), shapely.LineString([(118, 34), (119, 34)])]
)
def test_a_shape_without_outline_is_refused(shape: BaseGeometry) -> None:
    with pytest.raises(NoOutline, match="polygons are wanted"):
        judge(shape, city())
    with pytest.raises(NoOutline):
        judge(city(), shape)


def test_an_outline_of_many_parts_with_lakes_is_compared_by_its_outer_rings() -> None:
    lake = shapely.Point(118.3, 33.9).buffer(0.05)
    island = shapely.Point(118.9, 33.9).buffer(0.03)
    whole = shapely.union_all([city().difference(lake), island])
    assert judge(moved(whole, Datum.CGCS2000, Datum.GCJ02), whole).datum is Datum.GCJ02
