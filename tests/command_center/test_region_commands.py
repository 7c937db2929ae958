"""Regions come in tier by tier; what is dirty is put right or refused in one line; a changed parent moves what lies below."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
import pyogrio.raw
import pytest
import shapely
from click.testing import CliRunner, Result
from shapely.geometry.base import BaseGeometry

from command_center.cli import main
from config.database import worker_engine
from gis.datum import Datum, convert
from gis.region_store import apply_parentage
from tests import small_city
from tests.conftest import Database

DATA = Path(__file__).parents[3] / "shared" / "data"
TODAY = datetime.now(ZoneInfo("Asia/Shanghai")).date()

Change = Callable[[dict[str, Any]], object]
Shapes = dict[str, BaseGeometry]


class City:
    """A database and a folder, and the commands that are run on them."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder

    def run(self, *arguments: str) -> Result:
        environment = {"CC_DATABASE_URL": self.database.worker_url}
        return CliRunner().invoke(main, ["grid", *arguments], env=environment)

    def import_(self, tier: str, file: Path | dict[str, Any], *options: str) -> Result:
        path = file if isinstance(file, Path) else self.folder / f"{tier}.geojson"
        if isinstance(file, dict):
            path.write_text(json.dumps(file), encoding="utf-8")
        return self.run("import", "--tier", tier, str(path), "--report", str(self.folder / "report.json"), *options)

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text("utf-8"))
        return found

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.superuser_url) as connection:
            return connection.execute(sql).fetchall()

    def scopes(self) -> dict[str, str]:
        return dict(self.rows("SELECT code, scope FROM regions"))


@pytest.fixture
def city(database: Database, tmp_path: Path) -> City:
    return City(database, tmp_path)


def _collection(shapes: Shapes, **more: dict[str, Any]) -> dict[str, Any]:
    """A region for each shape; ``more`` are further properties by name and code."""
    features = [
        {
            "type": "Feature",
            "properties": {"code": code, "name": f"区域{code}", **{key: told.get(code) for key, told in more.items()}},
            "geometry": json.loads(shapely.to_geojson(shape)),
        }
        for code, shape in shapes.items()
    ]
    return {"type": "FeatureCollection", "features": features}


CITY = {"321300": shapely.box(118.0, 33.8, 118.4, 34.0)}
COUNTIES = {"321302": shapely.box(118.0, 33.8, 118.2, 34.0), "321311": shapely.box(118.2, 33.8, 118.4, 34.0)}
TOWNS = {
    "321302001": shapely.box(118.0, 33.8, 118.1, 34.0),
    "321302002": shapely.box(118.1, 33.8, 118.2, 34.0),
    "321311001": shapely.box(118.2, 33.8, 118.4, 34.0),
}


def _done(result: Result) -> None:
    assert result.exit_code == 0, result.output


def _refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr


@pytest.fixture
def two_counties(city: City) -> City:
    """The city and its two counties are in."""
    _done(city.import_("city", _collection(CITY)))
    _done(city.import_("county", _collection(COUNTIES)))
    return city


def test_tiers_come_in_from_the_top_with_scheme_scope_source_and_dated_parentage(two_counties: City) -> None:
    villages = {"321302001001": shapely.box(118.0, 33.8, 118.1, 33.9), "V-7": shapely.box(118.0, 33.9, 118.1, 34.0)}
    _done(two_counties.import_("township", _collection({f"{code}000": shape for code, shape in TOWNS.items()})))
    _done(two_counties.import_("village", _collection(villages)))
    assert two_counties.report()["parents_by"] == {"code": 1, "share": 1}
    found = two_counties.rows(
        "SELECT r.code, r.scheme, r.scope, r.source, r.valid_from, i.what, p.parent, p.valid_from, ST_Covers(r.geom, r.label)"
        " FROM regions r JOIN imports i ON i.n = r.version LEFT JOIN region_parents p ON p.code = r.code"
        " WHERE r.code IN ('321300', '321302001', 'V-7') ORDER BY r.code"
    )
    town = "321300/321302/321302001/"
    assert found == [
        ("321300", "statistical", "321300/", "city.geojson", TODAY, "regions/city", None, None, True),
        ("321302001", "statistical", town, "township.geojson", TODAY, "regions/township", "321302", TODAY, True),
        ("V-7", "local", f"{town}V-7/", "village.geojson", TODAY, "regions/village", "321302001", TODAY, True),
    ]
    assert two_counties.rows("SELECT stale FROM map_layers WHERE layer = 'regions'") == [(True,)]


def test_a_second_import_replaces_by_code_and_reports_what_the_file_no_longer_holds(two_counties: City) -> None:
    _done(two_counties.import_("township", _collection(TOWNS)))
    shrunk = _collection({"321302001": shapely.box(118.0, 33.8, 118.1, 33.95), "321302009": TOWNS["321302002"]})
    _done(two_counties.import_("township", shrunk))
    told = two_counties.report()
    assert (told["added"], told["moved"], told["parents_by"]) == (["321302009"], [], {"code": 1, "parentage": 1})
    assert [own["code"] for own in told["not_in_file"]] == ["321302002", "321311001"]
    assert len(two_counties.rows("SELECT FROM regions WHERE tier = 'township'")) == 4
    assert two_counties.rows("SELECT round(ST_YMax(geom)::numeric, 2)::text FROM regions WHERE code = '321302001'") == [
        ("33.95",)
    ]
    assert len(two_counties.rows("SELECT FROM region_parents WHERE code = '321302001'")) == 1


def test_a_dry_run_reports_and_writes_nothing(two_counties: City) -> None:
    result = two_counties.import_("township", _collection(TOWNS), "--dry-run")
    _done(result)
    assert "nothing written" in result.output
    assert (two_counties.report()["version"], len(two_counties.report()["added"])) == (None, 3)
    assert two_counties.rows("SELECT FROM regions WHERE tier = 'township'") == []
    assert len(two_counties.rows("SELECT FROM imports")) == 2


def test_a_tier_waits_for_the_tier_above(city: City) -> None:
    _refused(city.import_("county", _collection(COUNTIES)), "import the city first")
    _done(city.import_("city", _collection(CITY)))
    _refused(city.import_("township", _collection(TOWNS)), "import the counties first")


@pytest.mark.parametrize("kind", ["gpkg", "shp"])
def test_geopackage_and_shapefile_are_read_too(two_counties: City, kind: str) -> None:
    path = two_counties.folder / f"towns.{kind}"
    shapes = shapely.to_wkb(np.array(list(TOWNS.values()), dtype=object))
    names = [np.array(list(TOWNS), dtype=object), np.array(["甲镇", "乙镇", "丙镇"], dtype=object)]
    pyogrio.raw.write(
        path, shapes, names, ["town", "title"], geometry_type="Polygon", crs="EPSG:4490", encoding="UTF-8"
    )
    _done(two_counties.import_("township", path, "--id-property", "town", "--name-property", "title"))
    assert two_counties.rows("SELECT name FROM regions WHERE tier = 'township' ORDER BY code") == [
        ("甲镇",),
        ("乙镇",),
        ("丙镇",),
    ]


def _every_point(document: dict[str, Any], change: Callable[[list[Any]], list[Any]]) -> None:
    for feature in document["features"]:
        rings = feature["geometry"]["coordinates"]
        feature["geometry"]["coordinates"] = [[change(point) for point in ring] for ring in rings]


def _in_datum(datum: Datum) -> Change:
    return lambda d: _every_point(d, lambda p: [float(v[0]) for v in convert([p[0]], [p[1]], Datum.CGCS2000, datum)])


@pytest.mark.parametrize(
    ("change", "notice"),
    [
        (lambda d: _every_point(d, lambda p: [str(v) for v in p]), "coordinates written as strings"),
        (lambda d: _every_point(d, lambda p: [p[1], p[0]]), "latitude stood before longitude"),
        (lambda d: _every_point(d, lambda p: [*p, 12.5]), "elevations left out"),
        (lambda d: d["features"].append(d["features"][0] | {"geometry": None}), ""),
        (
            lambda d: d["features"].append({"type": "Feature", "geometry": None, "properties": {"code": "9"}}),
            "no geometry",
        ),
        (lambda d: d["features"][0]["properties"].update(name=None), "named by their code"),
    ],
    ids=["strings", "swapped", "3d", "a part without geometry", "null geometry", "no name"],
)
def test_what_can_be_put_right_is_put_right_and_said(two_counties: City, change: Change, notice: str) -> None:
    document = _collection(TOWNS)
    change(document)
    _done(two_counties.import_("township", document))
    told = two_counties.report()
    assert notice in " ".join(told["notices"] + told["skipped"])
    found = two_counties.rows("SELECT code, ST_AsBinary(geom) FROM regions WHERE tier = 'township'")
    assert all(shapely.from_wkb(bytes(shape)).equals(TOWNS[code]) for code, shape in found)
    assert len(found) == 3


def test_a_byte_order_mark_does_no_harm(two_counties: City) -> None:
    path = two_counties.folder / "towns.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(_collection(TOWNS)).encode())
    _done(two_counties.import_("township", path))
    assert two_counties.report()["notices"] == ["the file starts with a byte-order mark"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: [f.update(geometry=None) for f in d["features"]], ("not one of 3 features is a polygon",)),
        (_in_datum(Datum.GCJ02), ("pass --datum GCJ02",)),
        (_in_datum(Datum.BD09), ("pass --datum BD09",)),
        (lambda d: (_in_datum(Datum.GCJ02)(d), d.update(features=d["features"][:1])), ("pass --datum GCJ02",)),
        (lambda d: d.update(crs={"properties": {"name": "GCJ-02"}}), ("read as GCJ02", "pass --datum CGCS2000")),
        (lambda d: _every_point(d, lambda p: [p[0] - 9, p[1]]), ("lie apart",)),
        (lambda d: d["features"][1]["properties"].update(code="321302001"), ("321302001 stands twice",)),
        (lambda d: d["features"][1]["properties"].update(code="321302"), ("321302 is a county already",)),
        (lambda d: d["features"][1]["properties"].update(code=""), ("feature 2 has no code",)),
        (lambda d: d["features"][1]["properties"].update(code="甲/乙"), ("feature 2", "cannot be used")),
        (lambda d: [f["properties"].pop("code") for f in d["features"]], ("--id-property",)),
        (lambda d: d.update(features=[]), ("no feature",)),
    ],
    ids=[
        "null",
        "GCJ-02",
        "BD-09",
        "one town in GCJ-02",
        "wrong label",
        "apart",
        "twice",
        "tier",
        "no code",
        "bad code",
        "no property",
        "none",
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line_and_changes_nothing(
    two_counties: City, change: Change, words: tuple[str, ...]
) -> None:
    document = _collection(TOWNS)
    change(document)
    _refused(two_counties.import_("township", document), *words)
    assert len(two_counties.rows("SELECT FROM regions")) == 3


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"code;name\n1;2\n", "no JSON"),
        (b"\x00\xff\xfe\xfa", "neither UTF-8 nor GB 18030"),
        (b'{"type": "Point"}', "not GeoJSON"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(two_counties: City, content: bytes, word: str) -> None:
    path = two_counties.folder / "bad.geojson"
    path.write_bytes(content)
    _refused(two_counties.import_("township", path), str(path), word)


def test_options_that_cannot_be_met_are_refused(two_counties: City) -> None:
    towns = _collection(TOWNS)
    _refused(two_counties.import_("township", two_counties.folder / "nowhere.gpkg"), "no such file")
    _refused(two_counties.import_("township", towns, "--datum", "ED50"), "--datum", "ED50")
    _refused(two_counties.import_("township", towns, "--id-property", "gone"), "'gone'")
    _refused(two_counties.import_("township", towns, "--report", "/nowhere/report.json"), "--report")
    _refused(two_counties.import_("grid", towns), "--tier")
    assert two_counties.rows("SELECT FROM regions WHERE tier = 'township'") == []


def test_the_one_city_stays_the_one_city(city: City) -> None:
    _refused(city.import_("city", _collection(COUNTIES)), "there is one city")
    _done(city.import_("city", _collection(CITY)))
    _refused(city.import_("city", _collection({"321400": CITY["321300"]})), "321300 stands already")


def test_a_city_is_held_against_a_known_outline(city: City) -> None:
    known = city.folder / "known.geojson"
    known.write_text(json.dumps(_collection(CITY)), encoding="utf-8")
    document = _collection(CITY)
    _in_datum(Datum.GCJ02)(document)
    _refused(city.import_("city", document, "--known-outline", str(known)), "pass --datum GCJ02")
    _done(city.import_("city", document, "--known-outline", str(known), "--datum", "GCJ02"))
    known.write_text(json.dumps({"type": "FeatureCollection", "features": [{"type": "Feature"}]}), encoding="utf-8")
    _refused(city.import_("city", document, "--known-outline", str(known)), "not one of 1 features is a polygon")


def test_a_parent_named_by_the_file_counts_and_must_be_there(two_counties: City) -> None:
    named = _collection(TOWNS, up={"321302002": "321311000000"})
    _done(two_counties.import_("township", named, "--parent-property", "up"))
    assert two_counties.scopes()["321302002"] == "321300/321311/321302002/"
    (exception,) = two_counties.report()["exceptions"]
    assert (exception["code"], exception["by"], exception["runner_up"], exception["disagrees"]) == (
        "321302002",
        "file",
        "321302",
        True,
    )
    lost = _collection(TOWNS, up={"321302002": "321399"})
    _refused(two_counties.import_("township", lost, "--parent-property", "up"), "321302002 names 321399")


@pytest.fixture
def living(database: Database, tmp_path: Path) -> City:
    """The small city with its sensors, cameras and accounts, and the parentage that it stands by."""
    small_city.build(database)
    found = City(database, tmp_path)
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute(
            "INSERT INTO region_parents (code, parent, valid_from) SELECT code, parent, '2020-01-01' FROM regions"
            " WHERE parent IS NOT NULL"
        )
    return found


def _csv(city: City, *lines: str) -> Result:
    path = city.folder / "parentage.csv"
    path.write_text("\n".join(("code,parent,valid_from,valid_to,source", *lines)) + "\n", encoding="utf-8")
    return city.run("parentage", str(path))


TABLES = ("regions", "cells", "sensors", "cameras", "account_grants")


def _below(city: City, scope: str) -> dict[str, int]:
    return {
        table: city.rows(f"SELECT count(*) FROM {table} WHERE starts_with(scope, '{scope}')")[0][0] for table in TABLES
    }


def test_a_town_that_a_zone_takes_over_moves_with_all_that_lies_in_it(living: City) -> None:
    was, becomes = "321300/321302/321302001/", "321300/321391/321302001/"
    before, others = _below(living, was), _below(living, "321300/")
    assert all(before.values()), before
    result = _csv(living, "321302001,321391,2026-01-01,,某府发〔2026〕1号")
    _done(result)
    assert "321302001: from 321302 to 321391" in result.output
    assert _below(living, was) == dict.fromkeys(TABLES, 0)
    assert _below(living, becomes) == before
    assert _below(living, "321300/") == others
    assert living.rows("SELECT parent FROM regions WHERE code = '321302001'") == [("321391",)]
    assert living.rows("SELECT what, notices FROM imports") == [("parentage", ["source: 某府发〔2026〕1号"])]
    shapes = {spot.region.code: spot.shape for spot in small_city.spots() if spot.region.tier == "township"}
    _done(living.import_("township", _collection(shapes)))
    assert living.scopes()["321302001"] == becomes
    (exception,) = [own for own in living.report()["exceptions"] if own["code"] == "321302001"]
    assert (exception["by"], exception["runner_up"]) == ("parentage", "321302")


def test_cells_that_no_longer_lie_in_their_village_are_told_when_villages_come_in(living: City) -> None:
    shapes: Shapes = {s.region.code: s.shape for s in small_city.spots() if s.region.tier == "village"}
    code, shape = next(iter(shapes.items()))
    west, south, east, north = shape.bounds
    shapes[code] = shapely.box(west, south, east, (south + north) / 2)
    _done(living.import_("village", _collection(shapes)))
    told = living.report()
    assert told["exceptions"] == []
    assert [(own["code"], own["parent"], own["share"]) for own in told["cells"]] == [
        (f"{code}003", code, 0.0),
        (f"{code}004", code, 0.0),
    ]


def test_parentage_of_a_later_day_moves_on_that_day_and_back_when_it_ends(living: City) -> None:
    _done(_csv(living, "321302001,321391,2090-01-01,2091-01-01,"))
    scope = "321300/{}/321302001/"
    engine = worker_engine(living.database.worker_url)
    for day, county in ((TODAY, "321302"), (date(2090, 1, 1), "321391"), (date(2091, 1, 1), "321302")):
        with engine.begin() as connection:
            apply_parentage(connection, day)
        assert living.scopes()["321302001"] == scope.format(county)
    engine.dispose()


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("321302099,321391,2026-01-01,,", "no region '321302099'"),
        ("321302001,321302011001,2026-01-01,,", "321302011001 is a village and cannot be"),
        ("321302001,321300,2026-01-01,,", "321300 is a city and cannot be the parent of the township"),
        ("321300,321302,2026-01-01,,", "cannot be the parent of the city"),
        ("321302001,321391,soon,,", "'soon' is no day"),
        ("321302001,321391,2026-01-02,2026-01-02,", "is not after"),
    ],
)
def test_a_row_of_parentage_that_cannot_be_is_refused_by_line(living: City, line: str, word: str) -> None:
    _refused(_csv(living, "321302002,321391,2026-01-01,,", line), "line 3", word)
    assert living.rows("SELECT FROM imports") == []


def test_parentage_without_its_columns_or_rows_is_refused(living: City) -> None:
    _refused(_csv(living), "no row")
    path = living.folder / "other.csv"
    path.write_text("town,zone\n1,2\n", encoding="utf-8")
    _refused(living.run("parentage", str(path)), "code, parent, valid_from")


def _dc(name: str) -> Path:
    path = DATA / "dc" / f"{name}.geojson"
    if not path.exists():
        pytest.skip(f"the real districts ../shared/data/dc/{name}.geojson are not here")
    return path


def test_washington_comes_in_and_its_two_badly_nested_commissions_are_in_the_report(city: City) -> None:
    wards = json.loads(_dc("ward-2012").read_text("utf-8"))
    whole = shapely.union_all([shapely.geometry.shape(f["geometry"]) for f in wards["features"]])
    _done(city.import_("city", _collection({"DC": whole})))
    _done(city.import_("county", _dc("ward-2012"), "--id-property", "WARD_ID"))
    assert city.report()["exceptions"] == []
    _done(city.import_("township", _dc("advisory-neighborhood-commission-2013"), "--id-property", "ANC_ID"))
    assert {own["code"]: (own["parent"], own["runner_up"]) for own in city.report()["exceptions"]} == {
        "3G": ("4", "3"),
        "6D": ("6", "2"),
    }
    _done(city.import_("village", _dc("single-member-district-2013"), "--id-property", "SMD_ID"))
    assert (city.report()["regions"], city.report()["exceptions"]) == (296, [])
    assert city.scopes()["3G05"] == "DC/4/3G/3G05/"
    _done(
        city.import_(
            "village", _dc("single-member-district-2013"), "--id-property", "SMD_ID", "--parent-property", "ANC_ID"
        )
    )
    assert (city.report()["moved"], city.report()["parents_by"]) == ([], {"file": 296})


def test_a_vendors_counties_of_suqian_are_told_to_be_in_another_datum(city: City) -> None:
    older, vendors = (DATA / "suqian" / f"{n}.geojson" for n in ("counties_wgs84like_2015", "counties_gcj02_datav2025"))
    if not older.exists() or not vendors.exists():
        pytest.skip("the outlines of Suqian are not here: they may not be copied, only read beside the checkout")
    features = json.loads(older.read_text("utf-8-sig"))["features"]
    whole = shapely.union_all([shapely.make_valid(shapely.geometry.shape(f["geometry"])) for f in features])
    _done(city.import_("city", _collection({"321300": whole})))
    _refused(city.import_("county", vendors), "pass --datum GCJ02")
    _done(city.import_("county", vendors, "--datum", "GCJ02"))
    _done(city.import_("county", older))
    assert city.report()["parents_by"] == {"parentage": 5}
