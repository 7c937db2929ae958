"""Networks kept in the database: imported from dirty files, judged, and shown to whom they concern."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from click.testing import CliRunner, Result
from shapely import box
from shapely.geometry.base import BaseGeometry

from command_center.cli import main
from gis.datum import Datum, convert
from gis.network import Drawn, assemble
from gis.network_store import Imported, load_lands, replace_network
from tests.conftest import Database
from tests.running_city import RunningCity
from tests.small_city import CITY, COUNTIES, SIDE, SOUTH, WEST

Change = Callable[[dict[str, Any]], object]
FIRST, SECOND, _ = COUNTIES


def block(west: float, south: float, east: float, north: float) -> BaseGeometry:
    """A rectangle, its sides counted in cells of the small city from its corner."""
    return box(WEST + SIDE * west, SOUTH + SIDE * south, WEST + SIDE * east, SOUTH + SIDE * north)


def sound() -> dict[str, BaseGeometry]:
    """A network of the whole small city: a grid for every column of a village, in two halves, on its very lines."""
    return {f"{x}-{y}": block(x, y, x + 1, y + 2) for x in range(12) for y in (0, 2)}


def collection(shapes: dict[str, BaseGeometry]) -> dict[str, Any]:
    """As a department would send it."""
    features = [
        {
            "type": "Feature",
            "properties": {"grid": own, "label": f"网格{own}"},
            "geometry": json.loads(shapely.to_geojson(shape)),
        }
        for own, shape in shapes.items()
    ]
    return {"type": "FeatureCollection", "features": features}


def written(folder: Path, document: Any, name: str = "drawn.geojson") -> Path:
    """A file of it."""
    path = folder / name
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return path


def grid(running: RunningCity, *arguments: str) -> Result:
    """``command-center grid`` on the database of the tests."""
    environment = {"CC_DATABASE_URL": running.database.worker_url}
    return CliRunner().invoke(main, ["grid", *arguments], env=environment)


def imported(running: RunningCity, folder: Path, shapes: dict[str, BaseGeometry], name: str, *options: str) -> Result:
    """The network after an import that went well."""
    result = grid(running, "network", name, f"{written(folder, collection(shapes))}:grid", *options)
    assert result.exit_code == 0, result.output
    return result


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr


def problems(running: RunningCity, name: str, query: str = "", account: str = CITY) -> dict[str, Any]:
    answer = running.console(account).get(f"/api/v1/networks/{name}/problems{query}")
    assert answer.status == 200, answer.content
    assert answer.headers["Content-Type"] == "application/geo+json"
    found: dict[str, Any] = answer.json
    return found


def _of(running: RunningCity, name: str, account: str = CITY) -> dict[str, Any]:
    items = running.console(account).get("/api/v1/networks").json["items"]
    [found] = [item for item in items if item["name"] == name]
    return dict(found)


def test_a_network_is_stored_with_its_names_and_the_smallest_region_of_each_grid(
    running: RunningCity, tmp_path: Path
) -> None:
    said = imported(running, tmp_path, sound(), "plain", "--name-property", "label").output
    assert said.startswith("plain: 24 grids from 24 polygons; problems: none\n")
    rows = running.rows("SELECT id, name, scope FROM network_grids WHERE network = 'plain' ORDER BY place")
    assert (rows[0].id, rows[0].name, rows[0].scope) == ("0-0", "网格0-0", f"{CITY}/{FIRST}/321302001/321302001001/")
    assert problems(running, "plain")["features"] == []
    item = _of(running, "plain")
    assert (item["grids"], item["problems"], item["file"], item["datum"]) == (24, {}, "drawn.geojson", "CGCS2000")


def test_a_second_import_replaces_the_network_and_its_problems(running: RunningCity, tmp_path: Path) -> None:
    shapes = sound()
    del shapes["5-0"]
    imported(running, tmp_path, sound() | {"4-0": block(4, 0, 5.2, 2)}, "twice")
    assert _of(running, "twice")["problems"]["overlap"] == 1
    imported(running, tmp_path, shapes, "twice")
    item = _of(running, "twice")
    assert item["grids"] == 23
    assert "overlap" not in item["problems"]


def _wrong() -> dict[str, BaseGeometry]:
    """An overlap and a gap in the first county, an edge that dangles in the second, an overlap across the two."""
    shapes = sound()
    del shapes["1-2"]
    return shapes | {
        "0-0": block(0, 0, 1.1, 2),
        "1-2 north": block(1, 3, 2, 4),
        "3-0": block(3, 0, 4.1, 2),
        "5-0": block(5, 0, 6, 1.1),
        "5-1": block(5, 1.1, 6, 2),
        "bow": shapely.Polygon(shapely.get_coordinates(block(13, 0, 14, 1))[[0, 2, 1, 3, 0]]),
    }


def test_the_problems_of_a_network_are_geojson_with_sizes_and_the_grids_that_have_part(
    running: RunningCity, tmp_path: Path
) -> None:
    shapes = _wrong() | {"0-2": block(0, 2, 3, 4) - block(1.2, 2.4, 1.8, 2.6), "2-2": block(3, 2, 3, 2)}
    for own in ("1-2 north", "2-2"):
        del shapes[own]
    imported(running, tmp_path, shapes, "wrong")
    found = problems(running, "wrong")
    assert found["type"] == "FeatureCollection"
    assert found["count"] == len(found["features"])
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for feature in found["features"]:
        assert feature["type"] == "Feature"
        by_kind.setdefault(feature["properties"]["kind"], []).append(feature)
    assert {kind: len(features) for kind, features in by_kind.items() if kind != "invalid_edge"} == {
        "overlap": 2,
        "gap": 1,
        "invalid": 1,
    }
    assert [feature["properties"]["grids"] for feature in by_kind["overlap"]] == [["0-0", "1-0"], ["3-0", "4-0"]]
    [gap] = by_kind["gap"]
    assert gap["properties"]["grids"] == ["0-2"]
    assert gap["properties"]["area_m2"] == pytest.approx(0.6 * 0.2 * 1111 * 920, rel=0.02)
    assert shapely.from_geojson(json.dumps(gap["geometry"])).equals_exact(
        block(1.2, 2.4, 1.8, 2.6), 1e-6, normalize=True
    )
    assert gap["geometry"]["coordinates"]
    dangling = {tuple(feature["properties"]["grids"]): feature for feature in by_kind["invalid_edge"]}
    assert dangling["6-0",]["geometry"]["type"] in ("LineString", "MultiLineString")
    assert dangling["6-0",]["properties"]["length_m"] > 0
    assert by_kind["invalid"][0]["properties"]["detail"] == "self-intersection"


def test_an_account_of_one_county_sees_its_problems_and_none_that_others_have_part_in(
    running: RunningCity, tmp_path: Path
) -> None:
    imported(running, tmp_path, _wrong(), "shared")
    whole, first, second = (problems(running, "shared", account=code) for code in (CITY, FIRST, SECOND))
    overlaps = [f["properties"]["grids"] for f in whole["features"] if f["properties"]["kind"] == "overlap"]
    assert overlaps == [["0-0", "1-0"], ["3-0", "4-0"]]
    seen = {
        code: [f["properties"]["grids"] for f in found["features"]]
        for code, found in ((FIRST, first), (SECOND, second))
    }
    assert ["0-0", "1-0"] in seen[FIRST]
    assert ["0-0", "1-0"] not in seen[SECOND]
    assert ["3-0", "4-0"] not in seen[FIRST] + seen[SECOND], "what two counties share is the city's to settle"
    assert ["6-0"] in seen[SECOND]
    columns = {FIRST: range(4), SECOND: range(4, 8)}
    for code, grids in seen.items():
        assert {int(own.split("-")[0]) for ids in grids for own in ids} <= set(columns[code])
    assert first["count"] == len(first["features"]) < whole["count"]
    assert {f["id"] for f in problems(running, "shared", f"?region={FIRST}")["features"]} == {
        f["id"] for f in first["features"]
    }
    assert problems(running, "shared", f"?region={SECOND}", account=FIRST)["features"] == []
    item = _of(running, "shared", account=FIRST)
    assert set(item) == {"name", "grids", "problems"}
    assert item["grids"] == 8


def test_problems_come_in_pages_and_by_kind(running: RunningCity, tmp_path: Path) -> None:
    imported(running, tmp_path, _wrong(), "paged")
    whole = problems(running, "paged")
    seen, cursor = [], ""
    while cursor is not None:
        page = problems(running, "paged", f"?limit=2{cursor and f'&cursor={cursor}'}")
        assert page["count"] == whole["count"]
        seen += page["features"]
        cursor = page["next"]
    assert seen == whole["features"]
    assert {f["properties"]["kind"] for f in problems(running, "paged", "?kind=overlap")["features"]} == {"overlap"}
    assert running.console().get("/api/v1/networks/paged/problems?kind=nonsense").status == 422
    assert running.console().get("/api/v1/networks/nobody/problems").status == 404


def _as_strings(document: dict[str, Any]) -> None:
    geometry = document["features"][0]["geometry"]
    geometry["coordinates"] = [[[str(x), str(y)] for x, y in geometry["coordinates"][0]]]


def _swapped(document: dict[str, Any]) -> None:
    for feature in document["features"]:
        feature["geometry"]["coordinates"] = [[[y, x] for x, y in feature["geometry"]["coordinates"][0]]]


def _raised(document: dict[str, Any]) -> None:
    geometry = document["features"][0]["geometry"]
    geometry["coordinates"] = [[[x, y, 17.5] for x, y in geometry["coordinates"][0]]]


def _without_geometry(document: dict[str, Any]) -> None:
    document["features"].append({"type": "Feature", "properties": {"grid": "nowhere"}, "geometry": None})


@pytest.mark.parametrize(
    ("change", "notice"),
    [
        (_as_strings, "coordinates written as strings"),
        (_swapped, "latitude stood before longitude: axes exchanged"),
        (_raised, "elevations left out"),
        (_without_geometry, "feature nowhere has no geometry"),
    ],
)
def test_what_is_dirty_in_a_known_way_is_put_right_and_said(
    running: RunningCity, tmp_path: Path, change: Change, notice: str
) -> None:
    document = collection(sound())
    change(document)
    result = grid(running, "network", "dirty", f"{written(tmp_path, document)}:grid")
    assert result.exit_code == 0, result.output
    assert notice in result.output
    taken = _of(running, "dirty")["taken_in"]
    assert any(notice in line for line in taken["notices"] + taken["skipped"])
    [first] = running.rows("SELECT ST_AsBinary(geom) AS shape FROM network_grids WHERE network = 'dirty' AND place = 0")
    assert shapely.from_wkb(bytes(first.shape)).equals(sound()["0-0"])


def _in(datum: Datum, shapes: dict[str, BaseGeometry]) -> dict[str, BaseGeometry]:
    return {
        own: shapely.transform(shape, lambda at: np.column_stack(convert(at[:, 0], at[:, 1], Datum.CGCS2000, datum)))
        for own, shape in shapes.items()
    }


def test_a_network_in_another_datum_is_refused_with_what_to_do_and_taken_when_it_is_named(
    running: RunningCity, tmp_path: Path
) -> None:
    path = written(tmp_path, collection(_in(Datum.GCJ02, sound())))
    refused(grid(running, "network", "moved", f"{path}:grid"), "looks like GCJ02", "--datum GCJ02")
    part = {own: shape for own, shape in sound().items() if own < "4"}
    partly = written(tmp_path, collection(_in(Datum.BD09, part)), "part.geojson")
    refused(grid(running, "network", "moved", f"{partly}:grid"), "looks like BD09", "--datum BD09")
    refused(grid(running, "network", "moved", f"{partly}:grid", "--datum", "GCJ02"), "BD09", "check --datum GCJ02")
    right = written(tmp_path, collection(sound()), "right.geojson")
    refused(grid(running, "network", "moved", f"{right}:grid", "--datum", "GCJ02"), "CGCS2000", "check --datum GCJ02")
    assert running.rows("SELECT FROM networks WHERE name = 'moved'") == []
    assert grid(running, "network", "moved", f"{path}:grid", "--datum", "gcj02").exit_code == 0
    [row] = running.rows("SELECT datum, notices FROM networks WHERE name = 'moved'")
    assert row.datum == "GCJ02"
    assert "converted from GCJ02 to CGCS2000" in row.notices["notices"]


def test_two_imports_of_one_network_at_once_leave_one_of_them_whole(running: RunningCity, tmp_path: Path) -> None:
    network = assemble("race", [Drawn(shape, {"id": own}) for own, shape in sound().items()])
    with running.engine.begin() as connection:
        lands = load_lands(connection)
    found = Imported.of(network, (), (), lands, "race.geojson", "CGCS2000")
    start = threading.Barrier(2)
    failed: list[BaseException] = []

    def replace() -> None:
        try:
            start.wait()
            with running.engine.begin() as connection:
                replace_network(connection, found, datetime.now(UTC))
        except BaseException as problem:
            failed.append(problem)
            raise

    both = [threading.Thread(target=replace) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert not failed
    assert _of(running, "race")["grids"] == 24


def test_a_network_before_there_is_a_city_is_refused(database: Database, tmp_path: Path) -> None:
    environment = {"CC_DATABASE_URL": database.worker_url}
    path = str(written(tmp_path, collection(sound())))
    refused(CliRunner().invoke(main, ["grid", "network", "early", path], env=environment), "there is no city yet")


def test_what_cannot_be_used_is_refused_in_one_line_and_changes_nothing(running: RunningCity, tmp_path: Path) -> None:
    imported(running, tmp_path, sound(), "kept")
    away = {own: shapely.transform(shape, lambda at: at + 3) for own, shape in sound().items()}
    refused(grid(running, "network", "kept", str(written(tmp_path, collection(away)))), "lies apart from the city")
    refused(grid(running, "network", "kept", str(tmp_path / "missing.geojson")), "no such file")
    refused(grid(running, "network", "kept", f"{written(tmp_path, collection(sound()))}:nothing"), "no property")
    refused(
        grid(running, "network", "kept", str(written(tmp_path, collection(sound()))), "--name-property", "x"),
        "no property 'x'",
    )
    refused(grid(running, "network", "kept", str(written(tmp_path, collection({})))), "no feature")
    refused(grid(running, "network", "a=b", str(written(tmp_path, collection(sound())))), "network's name")
    refused(grid(running, "network", "kept", str(written(tmp_path, collection(sound()))), "--datum", "Mars"), "--datum")
    assert _of(running, "kept")["grids"] == 24
