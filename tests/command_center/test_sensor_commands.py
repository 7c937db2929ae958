"""``command-center sensors``: a department's table in, with every fault named, and the same table out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

from command_center.city import build_city, city_mark, read_city, state_measurable
from command_center.cli import main
from config.database import scoped, web_engine
from gis.datum import convert
from ingest.silence import OFFLINE
from tests.conftest import Database
from tests.running_city import StandingCity, standing_city
from tests.small_city import COUNTIES, cell_code

ZONE = ZoneInfo("Asia/Shanghai")
HEADER = "id,name,domain,quantities,lng,lat,datum,owner,profile,sharing"


@pytest.fixture(scope="module")
def city(module_database: Database) -> Iterator[StandingCity]:
    with standing_city(module_database) as found:
        yield found


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "sensors.csv"


def run(city: StandingCity | None, *arguments: object) -> Result:
    environment = {"CC_DATABASE_URL": city.database.worker_url if city else ""}
    return CliRunner().invoke(main, ["sensors", *map(str, arguments)], env=environment)


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.stderr


def mark(city: StandingCity) -> str:
    with city.engine.connect() as connection:
        return city_mark(connection, ZONE, datetime(2026, 11, 24, tzinfo=UTC))


def state(city: StandingCity) -> list[Any]:
    return city.rows("SELECT s::text, (SELECT count(*) FROM sensor_history) FROM sensors s ORDER BY id")


def row(city: StandingCity, identity: str, cell: str = "", **more: str) -> str:
    lng, lat = city.small.centre(cell or cell_code())
    fields = {"name": f"测点{identity}", "domain": "emergency", "quantities": "water_depth", "lng": lng, "lat": lat}
    fields |= {"datum": "WGS84", "owner": "水利局", "profile": "water-depth-gauge", "sharing": "unconditional"}
    fields |= more
    return ",".join([identity, *(str(fields[name]) for name in HEADER.split(",")[1:])])


def written(table: Path, *rows: str, header: str = HEADER) -> Path:
    table.write_text("\n".join((header, *rows)) + "\n", "utf-8")
    return table


def test_new_sensors_get_the_cell_they_stand_in_and_everybody_sees_that_something_changed(
    city: StandingCity, table: Path
) -> None:
    before = mark(city)
    lng, lat = city.small.centre(cell_code(1))
    shifted = [float(degrees) for degrees in convert(lng, lat, "WGS84", "GCJ02")]
    written(table, row(city, "new-1"), row(city, "new-2", lng=str(shifted[0]), lat=str(shifted[1]), datum="gcj-02"))
    assert "2 added, 0 changed, 0 unchanged" in done(run(city, "import", table, "--by", "王工"))
    one, two = city.rows("SELECT *, ST_X(geom) AS x, ST_Y(geom) AS y FROM sensors WHERE id LIKE 'new-%' ORDER BY id")
    assert (one.cell, one.county, one.region) == (cell_code(), COUNTIES[0], city.small.region(cell_code()).parent)
    assert (two.cell, two.county) == (cell_code(1), COUNTIES[1])
    assert (two.x, two.y) == pytest.approx((lng, lat), abs=1e-9)
    assert (one.interval_s, one.in_service, one.revision, one.n >= 1_000_000) == (60, True, 1, True)
    assert mark(city) != before
    with city.engine.connect() as connection:
        read = read_city(city.engine)
    assert connection.closed
    assert read.catalogue.sensors["new-1"].profile == "water-depth-gauge"
    [line] = city.rows("SELECT * FROM sensor_history WHERE sensor = 'new-1'")
    assert (line.what, line.by_name, line.source, line.revision) == ("added", "王工", table.name, 1)
    [event] = city.rows("SELECT * FROM event_log WHERE kind = 'sensor' AND id = 'new-1'")
    assert (event.after, event.data["owner"]) == ([one.scope], "水利局")


def test_the_same_file_again_touches_nothing_and_a_change_is_one_line_of_history(
    city: StandingCity, table: Path
) -> None:
    written(table, row(city, "same-1"), row(city, "same-2"))
    done(run(city, "import", table))
    before, marked = state(city), mark(city)
    assert "0 added, 0 changed, 2 unchanged" in done(run(city, "import", table))
    assert (state(city), mark(city)) == (before, marked)
    written(table, row(city, "same-1"), row(city, "same-2", cell_code(0, 1, 1, 2), owner="城管局"))
    assert "0 added, 1 changed, 1 unchanged" in done(run(city, "import", table))
    [line] = city.rows("SELECT * FROM sensor_history WHERE sensor = 'same-2' AND revision = 2")
    assert line.changes["owner"] == ["水利局", "城管局"]
    assert line.changes["cell"] == [cell_code(), cell_code(0, 1, 1, 2)]
    assert set(line.changes) == {"owner", "cell", "position"}
    assert mark(city) != marked


def test_with_one_fault_nothing_is_stored_unless_that_is_asked_for(city: StandingCity, table: Path) -> None:
    written(
        table,
        row(city, "part-1"),
        row(city, "part-2", lng="34.0", lat="118.0"),
        row(city, "part-3", lng="0", lat="0"),
        row(city, "part-4", datum="UTM"),
        row(city, "part-5", lng="118.0", lat="34.5"),
        row(city, "part-6", name=""),
    )
    before = state(city)
    said = refused(run(city, "import", table))
    assert f"{table}: line 3, column lng: position lng 34.0, lat 118.0" in said
    assert f"{table}: line 4, column lng: " in said
    assert "no fix" in said
    assert f"{table}: line 5, column datum: there is no datum 'UTM'" in said
    assert f"{table}: line 6, column lng: " in said
    assert f"{table}: line 7, column name: nothing stated" in said
    assert "5 faults in 5 rows: nothing stored" in said
    assert state(city) == before
    assert "1 added, 0 changed, 0 unchanged, 5 rows with faults left out; nothing stored" in done(
        run(city, "import", table, "--partial", "--check")
    )
    assert state(city) == before
    assert "1 added" in done(run(city, "import", table, "--partial"))
    assert [found.id for found in city.rows("SELECT id FROM sensors WHERE id LIKE 'part-%'")] == ["part-1"]


def test_what_is_exported_comes_back_unchanged(city: StandingCity, table: Path) -> None:
    done(run(city, "import", written(table, row(city, "back-1"), row(city, "back-2"))))
    done(run(city, "export", table))
    assert "vehicle-1" in table.read_text("utf-8")
    before = state(city)
    told = done(run(city, "import", table))
    assert told.startswith("0 added, 0 changed, ")
    assert state(city) == before
    assert run(city, "export").stdout_bytes == table.read_bytes()
    of_county = done(run(city, "export", "--region", COUNTIES[1]))
    assert "water-far" in of_county
    assert "back-1" not in of_county


def test_what_moves_names_the_cell_it_belongs_to(city: StandingCity, table: Path) -> None:
    header = "id,name,domain,quantities,lng,lat,cell,interval_s"
    good = f"car-1,一号车,traffic,link_speed,,,{cell_code(1)},30"
    said = refused(run(city, "import", written(table, good, "car-2,二号车,traffic,link_speed,,,,30", header=header)))
    assert "line 3, column lng: no place" in said
    done(run(city, "import", written(table, good, header=header)))
    [car] = city.rows("SELECT * FROM sensors WHERE id = 'car-1'")
    assert (car.geom, car.cell, car.county) == (None, cell_code(1), COUNTIES[1])


def test_a_cell_or_county_that_the_position_denies_is_a_fault(city: StandingCity, table: Path) -> None:
    lng, lat = city.small.centre(cell_code())
    header = "id,name,domain,quantities,lng,lat,cell,county,interval_s"
    rows = [
        f"x-1,甲,emergency,noise,{lng},{lat},{cell_code(1)},,60",
        f"x-2,乙,emergency,noise,{lng},{lat},,{COUNTIES[1]},60",
        f"x-3,丙,emergency,noise,{lng},{lat},,,",
    ]
    said = refused(run(city, "import", written(table, *rows, header=header)))
    assert f"line 2, column cell: the position lies in cell {cell_code()}, not in {cell_code(1)}" in said
    assert f"line 3, column county: the place lies in county {COUNTIES[0]}, not in {COUNTIES[1]}" in said
    assert "line 4, column interval_s: no interval" in said


def test_out_of_service_is_dated_heard_and_raises_nothing(city: StandingCity, table: Path) -> None:
    done(run(city, "import", written(table, row(city, "off-1"))))
    done(run(city, "import", written(table, "off-1,no", header="id,in_service")))
    [found] = city.rows("SELECT * FROM sensors WHERE id = 'off-1'")
    [line] = city.rows("SELECT * FROM sensor_history WHERE sensor = 'off-1' AND revision = 2")
    assert (found.in_service, found.service_since, found.state != OFFLINE) == (False, line.at, True)
    read = build_city(read_city(city.engine), "suqian", ZONE, datetime(2026, 11, 24, tzinfo=UTC))
    sensor = read.catalogue.sensors["off-1"]
    assert not sensor.in_service
    judged = {read.catalogue.by_n[n].id for n in read.layout.slots.sensor.tolist() if n in read.catalogue.by_n}
    assert "water-1" in judged
    assert "off-1" not in judged


def test_the_models_of_the_pack_come_into_the_database_once(city: StandingCity) -> None:
    with city.engine.begin() as connection:
        state_measurable(connection, "suqian")
    versions = city.rows("SELECT id, version FROM profiles ORDER BY id")
    with city.engine.begin() as connection:
        state_measurable(connection, "suqian")
    assert city.rows("SELECT id, version FROM profiles ORDER BY id") == versions


def test_history_is_seen_by_who_sees_the_place_and_cannot_be_rewritten_from_the_web(
    city: StandingCity, table: Path
) -> None:
    done(run(city, "import", written(table, row(city, "seen-1"), row(city, "seen-2", cell_code(1)))))
    engine = web_engine(city.database.web_url, pool_size=1)
    with scoped(engine, city.small.region(COUNTIES[1]).scope) as connection:
        found = set(connection.exec_driver_sql("SELECT sensor FROM sensor_history").scalars())
    engine.dispose()
    assert "seen-2" in found
    assert "seen-1" not in found


@pytest.mark.parametrize(
    "arguments",
    [("import", "nowhere.csv"), ("import",), ("export", "--region", "999999"), ("export", "nowhere/there.csv")],
)
def test_what_cannot_be_done_is_one_line_and_status_2(city: StandingCity, arguments: tuple[str, ...]) -> None:
    assert len(refused(run(city, *arguments)).strip().splitlines()) == 1
