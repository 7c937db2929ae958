"""Tables of points through the command line: right answers, and one clear line for whatever cannot be meant."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from click.testing import CliRunner, Result

from command_center.cli import main
from command_center.locate_commands import locate
from gis.datum import convert

# The group that gives errors their form, whatever else it holds.
door = type(main)("command-center", commands={"locate": locate, "datum": main.commands["datum"]})

SIDE = 0.01
SQUARES = {
    "A1": shapely.box(118.0, 34.0, 118.01, 34.01),
    "A2": shapely.box(118.01, 34.0, 118.02, 34.01),
    "B1": shapely.box(118.0, 34.01, 118.01, 34.02),
}


def cells_file(folder: Path, shapes: dict[str, Any] | None = None) -> Path:
    features = [
        {"type": "Feature", "properties": {"code": code}, "geometry": shapely.geometry.mapping(shape)}
        for code, shape in (shapes or SQUARES).items()
    ]
    path = folder / "cells.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def table(folder: Path, text: str | bytes, name: str = "points.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(door, [str(argument) for argument in arguments])


def located(folder: Path, points: Path) -> Result:
    return run("locate", "--cells", cells_file(folder), "--points", points, "--out", folder / "out.csv")


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def assert_refused(result: Result, *parts: str) -> None:
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    for part in parts:
        assert part in result.stderr


def test_each_point_gets_its_cell_and_none_outside(tmp_path: Path) -> None:
    points = table(
        tmp_path, "id,lng,lat\nin,118.005,34.005\nshared edge,118.01,34.005\nfar,119,34\n街,118.005,34.015\n"
    )
    result = located(tmp_path, points)
    assert result.exit_code == 0, result.output
    expected = [["id", "cell"], ["in", "A1"], ["shared edge", "A1"], ["far", ""], ["街", "B1"]]
    assert rows(tmp_path / "out.csv") == expected
    assert "3 of 4 points" in result.stdout


def test_columns_may_stand_in_any_order_beside_others_after_a_byte_order_mark(tmp_path: Path) -> None:
    points = table(tmp_path, b'\xef\xbb\xbfLat,name,LNG,id\r\n34.005,"a, b",118.015,7\r\n\r\n')
    assert located(tmp_path, points).exit_code == 0
    assert rows(tmp_path / "out.csv") == [["id", "cell"], ["7", "A2"]]


def test_a_table_without_points_gives_one_without_cells(tmp_path: Path) -> None:
    assert located(tmp_path, table(tmp_path, "id,lng,lat\n")).exit_code == 0
    assert rows(tmp_path / "out.csv") == [["id", "cell"]]


def test_a_table_longer_than_a_piece_comes_out_whole_and_in_order(tmp_path: Path) -> None:
    lng = np.random.default_rng(1).uniform(117.99, 118.03, 230_000).round(6)
    points = table(tmp_path, "id,lng,lat\n" + "".join(f"{n},{x!r},34.005\n" for n, x in enumerate(lng.tolist())))
    assert located(tmp_path, points).exit_code == 0
    found = rows(tmp_path / "out.csv")[1:]
    assert [row[0] for row in found] == [str(n) for n in range(len(lng))]
    expected = np.where((lng < 118.0) | (lng > 118.02), "", np.where(lng <= 118.01, "A1", "A2"))
    assert [row[1] for row in found] == expected.tolist()


def test_cells_that_overlap_are_said_to_be_slow_and_still_right(tmp_path: Path) -> None:
    cells = cells_file(tmp_path, SQUARES | {"A0": shapely.box(118.005, 34.0, 118.008, 34.01)})
    points = table(tmp_path, "id,lng,lat\n1,118.006,34.005\n2,118.002,34.005\n")
    result = run("locate", "--cells", cells, "--points", points, "--out", tmp_path / "out.csv")
    assert result.exit_code == 0
    assert "overlap" in result.stderr
    assert rows(tmp_path / "out.csv")[1:] == [["1", "A0"], ["2", "A1"]]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (b"", ["empty", "id,lng,lat"]),
        (b"id,x,lat\n1,118,34\n", ["no column lng", "id,x,lat"]),
        (b"id,lng,lat,lng\n1,118,34,118\n", ["lng is there twice"]),
        (b"id,lng,lat\n1,118,34\n2,118.o,34\n", ["line 3", "lng '118.o'", "not a number"]),
        (b"id,lng,lat\n1,118,\n", ["line 2", "lat ''", "not a number"]),
        (b"id,lng,lat\n1,nan,34\n", ["line 2", "not a number"]),
        (b"id,lng,lat\n1,118,inf\n", ["line 2", "not a number"]),
        (b"id,lng,lat\n1,118\n", ["line 2", "2 columns instead of 3"]),
        (b"id,lng,lat\n1,118,34\n2,0,0.0\n", ["line 3", "(0, 0)"]),
        (b"id,lng,lat\n1,34.0,118.0\n", ["line 2", "swapped"]),
        (b"id,lng,lat\n1,13130000,4032000\n", ["line 2", "longitude", "degrees are wanted"]),
        ("id,lng,lat\n宿迁,118,34\n".encode("gb18030"), ["not UTF-8"]),
        (b'id,lng,lat\n"1,118,34\n' + b"x" * 200_000, ["not a CSV table"]),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, text: bytes, parts: list[str]) -> None:
    points = table(tmp_path, text)
    assert_refused(located(tmp_path, points), "points.csv", *parts)
    assert_refused(run("datum", "convert", "--from", "gcj02", "--to", "wgs84", points, tmp_path / "out.csv"), *parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.geojson", "points.csv"]


def test_axes_swapped_where_both_could_be_a_latitude_are_noticed_by_the_cells(tmp_path: Path) -> None:
    cells = cells_file(tmp_path, {"1": shapely.box(10, 50, 11, 51)})
    points = table(tmp_path, "id,lng,lat\n1,50.5,10.5\n2,50.6,10.6\n")
    result = run("locate", "--cells", cells, "--points", points, "--out", tmp_path / "out.csv")
    assert_refused(result, "2 of 2", "swapped")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "text", ["", "no json", "[1]", '{"type": "Topology"}', '{"type": "FeatureCollection", "features": []}']
)
def test_a_file_that_is_no_geojson_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    cells = table(tmp_path, text, "cells.geojson")
    points = table(tmp_path, "id,lng,lat\n1,118,34\n")
    assert_refused(run("locate", "--cells", cells, "--points", points, "--out", tmp_path / "out.csv"), "cells.geojson")


def test_cells_without_codes_are_refused(tmp_path: Path) -> None:
    cells = cells_file(tmp_path)
    document = json.loads(cells.read_text())
    del document["features"][1]["properties"]["code"]
    cells.write_text(json.dumps(document))
    points = table(tmp_path, "id,lng,lat\n1,118,34\n")
    assert_refused(
        run("locate", "--cells", cells, "--points", points, "--out", tmp_path / "out.csv"), "1 of 3", "no code"
    )


def test_files_that_are_not_there_or_cannot_be_written_are_named(tmp_path: Path) -> None:
    points = table(tmp_path, "id,lng,lat\n1,118,34\n")
    assert_refused(
        run("locate", "--cells", tmp_path / "none", "--points", points, "--out", tmp_path / "o"), "none", "no such"
    )
    assert_refused(located(tmp_path, tmp_path / "nowhere.csv"), "nowhere.csv", "no such file")
    away = tmp_path / "away" / "out.csv"
    assert_refused(run("datum", "convert", "--from", "GCJ02", "--to", "WGS84", points, away), "cannot be written")
    assert_refused(
        run("datum", "convert", "--from", "GCJ02", "--to", "WGS84", points, tmp_path), "not an ordinary file"
    )


def test_a_table_is_converted_to_the_last_digit_and_keeps_its_other_columns(tmp_path: Path) -> None:
    points = table(tmp_path, "id,kind,lng,lat\n1,井盖,118.281006,33.961653\n2,,-77.03,38.9\n")
    out = tmp_path / "out.csv"
    result = run("datum", "convert", "--from", "gcj-02", "--to", "CGCS2000", points, out)
    assert result.exit_code == 0, result.output
    head, first, second = rows(out)
    assert head == ["id", "kind", "lng", "lat"]
    lng, lat = convert(118.281006, 33.961653, "GCJ02", "CGCS2000")
    assert first == ["1", "井盖", repr(float(lng)), repr(float(lat))]
    assert second == ["2", "", "-77.03", "38.9"]


def test_a_table_may_be_converted_onto_itself_and_back(tmp_path: Path) -> None:
    points = table(tmp_path, "id,lng,lat\n1,118.281006,33.961653\n")
    assert run("datum", "convert", "--from", "WGS84", "--to", "BD09", points, points).exit_code == 0
    assert rows(points)[1][1] != "118.281006"
    assert run("datum", "convert", "--from", "BD09", "--to", "WGS84", points, points).exit_code == 0
    assert [float(field) for field in rows(points)[1][1:]] == pytest.approx([118.281006, 33.961653], abs=1e-9)


def test_an_unknown_datum_is_refused_with_those_there_are(tmp_path: Path) -> None:
    points = table(tmp_path, "id,lng,lat\n1,118,34\n")
    result = run("datum", "convert", "--from", "EPSG:4326", "--to", "WGS84", points, tmp_path / "out.csv")
    assert_refused(result, "'EPSG:4326'", "CGCS2000, WGS84, GCJ02, BD09")


def test_an_outline_says_which_datum_it_looks_like(tmp_path: Path) -> None:
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    city = np.column_stack([118.3 + 0.4 * np.cos(angle), 33.9 + 0.3 * np.sin(angle)])
    shifted = np.column_stack(convert(city[:, 0], city[:, 1], "CGCS2000", "GCJ02"))
    for name, ring in (("known", city), ("vendor", shifted)):
        path = cells_file(tmp_path, {"city": shapely.Polygon(ring)})
        path.rename(tmp_path / f"{name}.geojson")
    result = run("datum", "check", tmp_path / "vendor.geojson", "--known", tmp_path / "known.geojson")
    assert result.exit_code == 0, result.output
    assert "looks like GCJ02" in result.stdout
    assert_refused(run("datum", "check", tmp_path / "vendor.geojson", "--known", tmp_path / "none"), "no such file")
