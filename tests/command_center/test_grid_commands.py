"""``command-center grid``: files in, files out; what cannot be used is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import shapely
from click.testing import CliRunner, Result
from shapely.geometry.base import BaseGeometry

from command_center.cli import main
from gis.datum import Datum, convert
from tests.gis.drawn import Blocks, place

Change = Callable[[dict[str, Any]], object]


def _blocks(columns: list[int], rows: list[int], seed: int) -> dict[str, Any]:
    drawn = Blocks(6).drawn(np.random.default_rng(seed), columns, rows, 0.5)
    return _collection({own: place(shape) for own, shape in drawn.items()})


def _collection(shapes: dict[str, BaseGeometry]) -> dict[str, Any]:
    features = [
        {"type": "Feature", "properties": {"grid": own}, "geometry": json.loads(shapely.to_geojson(shape))}
        for own, shape in shapes.items()
    ]
    return {"type": "FeatureCollection", "features": features}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the networks a and b."""
    (tmp_path / "a.geojson").write_text(json.dumps(_blocks([0, 3, 6], [0, 2, 4, 6], 1)), encoding="utf-8")
    (tmp_path / "b.geojson").write_text(json.dumps(_blocks([0, 2, 4, 6], [0, 3, 6], 2)), encoding="utf-8")
    return tmp_path


def _merge(folder: Path, *options: str, a: str = "a=a.geojson:grid", b: str = "b=b.geojson:grid") -> Result:
    named = [f"{name}={folder / file}" for name, _, file in (text.partition("=") for text in (a, b))]
    out = ["--out", str(folder / "cells.geojson"), "--report", str(folder / "report.json")]
    networks = [part for network in named for part in ("--network", network)]
    return CliRunner().invoke(main, ["grid", "merge", *networks, *options, *out])


def _cells(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "cells.geojson").read_text("utf-8"))["features"]
    return found


def _report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    return found


def _refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr


def test_merge_writes_cells_and_a_report_and_check_agrees(folder: Path) -> None:
    result = _merge(folder)
    assert result.exit_code == 0, result.output
    cells = _cells(folder)
    assert [cell["properties"]["code"] for cell in cells] == [f"C{serial:05d}" for serial in range(1, 17)]
    assert set(cells[0]["properties"]) == {"code", "area_m2", "sources"}
    assert cells[0]["properties"]["sources"] == {"a": "0-4", "b": "0-3"}
    told = _report(folder)
    assert {"cells", "raw_pieces", "slivers_dissolved", "area_moved_m2", "exceptions"} <= set(told)
    assert {"polygons", "repaired", "gaps", "overlaps", "kept_area_share"} <= set(told["networks"]["a"])
    checked = CliRunner().invoke(main, ["grid", "check", str(folder / "cells.geojson")])
    assert (checked.exit_code, checked.output) == (0, "16 cells, 0 faults\n")


def test_the_order_of_networks_and_features_changes_no_byte(folder: Path) -> None:
    _merge(folder)
    first = [(folder / name).read_bytes() for name in ("cells.geojson", "report.json")]
    document = json.loads((folder / "a.geojson").read_text("utf-8"))
    document["features"].reverse()
    (folder / "a.geojson").write_text(json.dumps(document), encoding="utf-8")
    _merge(folder, a="b=b.geojson:grid", b="a=a.geojson:grid")
    assert [(folder / name).read_bytes() for name in ("cells.geojson", "report.json")] == first


def test_base_villages_boundary_and_an_earlier_result_are_taken(folder: Path) -> None:
    villages = {"321302001001": shapely.box(-9, -9, 450, 909), "321302001002": shapely.box(450, -9, 909, 909)}
    (folder / "v.geojson").write_text(
        json.dumps(_collection({k: place(v) for k, v in villages.items()})), encoding="utf-8"
    )
    (folder / "city.geojson").write_text(
        json.dumps(_collection({"c": place(shapely.box(0, 0, 900, 900))})), encoding="utf-8"
    )
    options = ["--base", "a", "--villages", str(folder / "v.geojson"), "--boundary", str(folder / "city.geojson")]
    assert _merge(folder, *options).exit_code == 0
    first = (folder / "cells.geojson").read_bytes()
    assert {cell["properties"]["village"] for cell in _cells(folder)} == set(villages)
    (folder / "earlier.geojson").write_bytes(first)
    assert _merge(folder, *options, "--previous", str(folder / "earlier.geojson")).exit_code == 0
    assert (folder / "cells.geojson").read_bytes() == first
    assert _report(folder)["codes"] == {"kept": 6, "new": 0, "retired": []}


def _rewrite(folder: Path, change: Change) -> None:
    document = json.loads((folder / "b.geojson").read_text("utf-8"))
    change(document)
    (folder / "b.geojson").write_text(json.dumps(document), encoding="utf-8")


def _every_point(document: dict[str, Any], change: Callable[[list[Any]], list[Any]]) -> None:
    for feature in document["features"]:
        rings = feature["geometry"]["coordinates"]
        feature["geometry"]["coordinates"] = [[change(point) for point in ring] for ring in rings]


def _shifted(datum: Datum) -> Callable[[list[Any]], list[Any]]:
    return lambda point: [float(value[0]) for value in convert([point[0]], [point[1]], Datum.CGCS2000, datum)]


@pytest.mark.parametrize(
    ("change", "notice"),
    [
        (lambda d: _every_point(d, lambda p: [str(v) for v in p]), "coordinates written as strings"),
        (lambda d: _every_point(d, lambda p: [p[1], p[0]]), "latitude stood before longitude: axes exchanged"),
        (lambda d: _every_point(d, lambda p: [*p, 12.5]), "elevations left out"),
        (lambda d: [f["geometry"]["coordinates"][0].pop() for f in d["features"]], "a ring was not closed"),
        (
            lambda d: (_every_point(d, _shifted(Datum.GCJ02)), d.update(crs={"properties": {"name": "GCJ-02"}})),
            "converted from GCJ02 to CGCS2000",
        ),
    ],
    ids=["strings", "swapped", "3d", "open rings", "labelled GCJ-02"],
)
def test_what_can_be_put_right_is_put_right_with_a_notice(folder: Path, change: Change, notice: str) -> None:
    _merge(folder)
    clean = [(cell["properties"]["sources"], round(cell["properties"]["area_m2"])) for cell in _cells(folder)]
    _rewrite(folder, change)
    result = _merge(folder)
    assert result.exit_code == 0, result.output
    assert any(line.startswith(notice) for line in _report(folder)["networks"]["b"]["notices"])
    assert [(cell["properties"]["sources"], round(cell["properties"]["area_m2"])) for cell in _cells(folder)] == clean


def test_a_byte_order_mark_and_chinese_encodings_are_read(folder: Path) -> None:
    document = json.loads((folder / "b.geojson").read_text("utf-8"))
    document["features"][0]["properties"]["grid"] = "镕一"
    text = json.dumps(document, ensure_ascii=False)
    for content, notice in (
        (text.encode("utf-8-sig"), "the file starts with a byte-order mark"),
        (text.encode("gb18030"), "the file is not in UTF-8 and was read as GB 18030"),
    ):
        (folder / "b.geojson").write_bytes(content)
        assert _merge(folder).exit_code == 0
        assert notice in _report(folder)["networks"]["b"]["notices"]
        assert "镕一" in {cell["properties"]["sources"]["b"] for cell in _cells(folder)}


def test_a_null_geometry_and_what_is_no_polygon_are_listed(folder: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["features"][0]["geometry"] = None
        document["features"].append(
            {"type": "Feature", "properties": {"grid": "p"}, "geometry": {"type": "Point", "coordinates": [118, 33]}}
        )

    _rewrite(folder, change)
    assert _merge(folder).exit_code == 0
    told = _report(folder)["networks"]["b"]
    assert told["skipped"] == ["feature 0-0 has no geometry", "feature p is a Point, not a polygon"]
    assert told["gaps"][0]["left_null_m2"] > 100_000


def _set(value: Any, *path: Any) -> Change:
    def change(document: dict[str, Any]) -> None:
        inside: Any = document
        for step in path[:-1]:
            inside = inside[step]
        inside[path[-1]] = value

    return change


_FIRST_RING = ("features", 0, "geometry", "coordinates", 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: _every_point(d, _shifted(Datum.GCJ02)), ("network b", "read as GCJ02", "--datum b=GCJ02")),
        (lambda d: _every_point(d, _shifted(Datum.BD09)), ("network b", "read as BD09")),
        (lambda d: _every_point(d, lambda p: [p[0] - 100, p[1] - 5]), ("lies apart from",)),
        (lambda d: _every_point(d, lambda p: [v * 111_000 for v in p]), ("feature 1", "no longitude and latitude")),
        (_set([0, 0], *_FIRST_RING, 1), ("feature 1", "0, 0")),
        (_set("here", *_FIRST_RING, 1), ("feature 1", "no pair of numbers")),
        (_set([None, None], *_FIRST_RING, 1), ("feature 1",)),
        (_set([1e999, 5], *_FIRST_RING, 1), ("feature 1", "finite")),
        (_set([1], *_FIRST_RING), ("feature 1",)),
        (_set("Polygone", "features", 0, "geometry", "type"), ("feature 1", "'Polygone' is unknown")),
        (_set([], "features"), ("no feature",)),
        (_set("Topology", "type"), ("is not GeoJSON",)),
        (_set({"properties": {"name": "Mars 2000"}}, "crs"), ("'Mars 2000' is unknown",)),
        (lambda d: [f.update(geometry=None) for f in d["features"]], ("network b", "not one of 6 features")),
    ],
    ids=[
        *("gcj02", "bd09", "elsewhere", "metres", "zero", "word", "nulls", "infinite", "short"),
        *("type", "empty", "topojson", "crs", "all null"),
    ],
)
def test_what_cannot_be_understood_is_refused_in_one_line(folder: Path, change: Change, words: tuple[str, ...]) -> None:
    _rewrite(folder, change)
    _refused(_merge(folder), *words)
    assert not (folder / "cells.geojson").exists()


def test_the_datum_can_be_told(folder: Path) -> None:
    _rewrite(folder, lambda d: _every_point(d, _shifted(Datum.GCJ02)))
    assert _merge(folder, "--datum", "b=gcj-02").exit_code == 0
    assert len(_cells(folder)) == 16
    _refused(_merge(folder, "--datum", "GCJ02"), "network")
    _refused(_merge(folder, "--datum", "b=ED50"), "'ED50' is unknown")
    _refused(_merge(folder, "--datum", "c=GCJ02"), "no network 'c'")


@pytest.mark.parametrize("content", [b"", b"   ", b"{", b"[1, 2]", b"\x00\xff\xfe\x80", b"PK\x03\x04"])
def test_a_file_that_is_no_geojson_is_refused(folder: Path, content: bytes) -> None:
    (folder / "b.geojson").write_bytes(content)
    _refused(_merge(folder), "b.geojson")


def test_missing_files_folders_properties_and_names_are_refused(folder: Path) -> None:
    _refused(_merge(folder, b="b=nowhere.geojson"), "no such file")
    _refused(_merge(folder, b="b=b.geojson:nothing"), "no property 'nothing'", "grid")
    _refused(_merge(folder, a="b=a.geojson"), "given twice")
    _refused(_merge(folder, "--base", "c"), "'c'")
    _refused(_merge(folder, "--previous", str(folder / "a.geojson")), "feature 1 has no code")
    _refused(_merge(folder, "--min-area-m2", "-1"), "zero or more")
    out = ["--out", str(folder / "none" / "c.geojson"), "--report", str(folder / "r.json")]
    networks = ["--network", f"a={folder / 'a.geojson'}", "--network", f"b={folder / 'b.geojson'}"]
    _refused(CliRunner().invoke(main, ["grid", "merge", *networks, *out]), "cannot be written")
    _refused(CliRunner().invoke(main, ["grid", "merge", *networks[:2], *out]), "at least twice")
    _refused(CliRunner().invoke(main, ["grid", "merge", "--network", "a", *networks, *out]), "NAME=FILE")


@pytest.mark.parametrize(("suffix", "driver"), [(".gpkg", "GPKG"), (".shp", "ESRI Shapefile")])
def test_geopackage_and_shapefile_are_read_in_their_projection(folder: Path, suffix: str, driver: str) -> None:
    _merge(folder)
    clean = [(cell["properties"]["sources"], round(cell["properties"]["area_m2"])) for cell in _cells(folder)]
    from pyproj import Transformer

    to_zone = Transformer.from_crs("EPSG:4490", "EPSG:4549", always_xy=True)
    document = json.loads((folder / "b.geojson").read_text("utf-8"))
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in document["features"]]
    moved = shapely.transform(np.array(shapes), lambda at: np.column_stack(to_zone.transform(at[:, 0], at[:, 1])))
    names = np.array([feature["properties"]["grid"] for feature in document["features"]], dtype=object)
    path = folder / f"b{suffix}"
    pyogrio.raw.write(
        path, shapely.to_wkb(moved), [names], ["grid"], driver=driver, geometry_type="Polygon", crs="EPSG:4549"
    )
    result = _merge(folder, b=f"b=b{suffix}:grid")
    assert result.exit_code == 0, result.output
    assert any("converted from CGCS2000" in line for line in _report(folder)["networks"]["b"]["notices"])
    assert [(cell["properties"]["sources"], round(cell["properties"]["area_m2"])) for cell in _cells(folder)] == clean


def test_a_broken_geopackage_is_refused(folder: Path) -> None:
    (folder / "b.gpkg").write_bytes(b"SQLite format 3\x00 nothing else")
    _refused(_merge(folder, b="b=b.gpkg"), "b.gpkg", "not a readable gpkg file")
    _refused(_merge(folder, b="b=c.shp"), "no such file")


def test_check_names_overlaps_repeated_codes_and_invalid_polygons(folder: Path) -> None:
    def cell(code: str, shape: BaseGeometry) -> dict[str, Any]:
        return {
            "type": "Feature",
            "properties": {"code": code},
            "geometry": json.loads(shapely.to_geojson(place(shape))),
        }

    def checked(*cells: dict[str, Any]) -> Result:
        (folder / "c.geojson").write_text(
            json.dumps({"type": "FeatureCollection", "features": cells}), encoding="utf-8"
        )
        return CliRunner().invoke(main, ["grid", "check", str(folder / "c.geojson")])

    overlapping = checked(cell("1", shapely.box(0, 0, 100, 100)), cell("2", shapely.box(90, 0, 200, 100)))
    assert overlapping.exit_code == 1
    assert "cells 1 and 2 overlap by 99" in overlapping.stderr or "cells 1 and 2 overlap by 100" in overlapping.stderr
    twice = checked(cell("1", shapely.box(0, 0, 100, 100)), cell("1", shapely.box(100, 0, 200, 100)))
    assert (twice.exit_code, "code 1 is used 2 times" in twice.stderr) == (1, True)
    bow = checked(cell("1", shapely.Polygon([(0, 0), (100, 100), (100, 0), (0, 100)])))
    assert (bow.exit_code, "no valid polygon" in bow.stderr) == (1, True)
    _refused(checked(), "no cells")
    _refused(CliRunner().invoke(main, ["grid", "check", str(folder / "none.geojson")]), "no such file")
