"""Versions of the grid: planned, looked at, published; they take effect at their time, wholly, and nothing is renumbered."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from shapely import box

from command_center.cli import main
from gis.planned_cell import VersionRefused
from gis.version_store import Effect, cell_at, cells_at, plan, publish, take_effect, withdraw
from tests import processes
from tests.conftest import Database
from tests.redrawn import (
    ABOVE,
    CUT,
    EAST_PART,
    FIRST,
    WEST_PART,
    Cells,
    cell_file,
    first_cell_split,
    planned,
    standing_cells,
    written,
)
from tests.running_city import StandingCity, read_city, standing_city
from tests.small_city import CITY, SIDE, SOUTH, WEST, add_sensor

ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def standing(database: Database) -> Iterator[StandingCity]:
    with standing_city(database) as found:
        yield found


@pytest.fixture
def cells(standing: StandingCity) -> Cells:
    return standing_cells(standing)


def soon(seconds: float = 60) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def in_force(standing: StandingCity, cells: Cells, *, at: datetime | None = None, **more: Any) -> Effect:
    """Plan, publish and bring into force."""
    moment = at or soon()
    version = planned(standing, cells, **more)
    publish(standing.engine, version, moment, datetime.now(UTC))
    effect = take_effect(standing.engine, moment, ZONE)
    assert effect is not None
    assert effect.version == version
    return effect


def states(standing: StandingCity) -> list[tuple[Any, ...]]:
    return [
        tuple(row)
        for row in standing.rows("SELECT n, code, scope, version, valid_from, valid_to FROM cells ORDER BY n")
    ]


def everything(standing: StandingCity) -> list[Any]:
    """All that a version may change."""
    return [
        states(standing),
        standing.rows("SELECT n, state, in_force_from FROM grid_versions ORDER BY n"),
        standing.rows(
            "SELECT id, cell, region, scope FROM sensors UNION ALL SELECT id, cell, region, scope FROM cameras"
        ),
        standing.rows("SELECT cell, domain, valid_from, valid_to FROM cell_functions ORDER BY id"),
        standing.rows("SELECT count(*) FROM planned_cells"),
        standing.rows("SELECT layer, stale FROM map_layers ORDER BY layer"),
    ]


def function(standing: StandingCity, cell: str, organisation: str, domain: str = "emergency") -> None:
    standing.rows(
        "INSERT INTO cell_functions (cell, domain, organisation, worker, valid_from, scope) SELECT :cell, :domain,"
        " :organisation, 'w', '2026-01-01', scope FROM cells WHERE code = :cell AND valid_to IS NULL",
        cell=cell,
        domain=domain,
        organisation=organisation,
    )


def run(standing: StandingCity, *arguments: str) -> Result:
    environment = {"CC_DATABASE_URL": standing.database.worker_url, "USER": "somebody"}
    return CliRunner().invoke(main, ["grid", *arguments], env=environment)


def test_a_first_version_of_the_same_cells_changes_no_row_and_no_number(standing: StandingCity, cells: Cells) -> None:
    before = states(standing)
    effect = in_force(standing, cells)
    assert (effect.ended, effect.fresh, effect.replaced, effect.rehomed, effect.unplaced) == ((), (), 0, 0, 0)
    assert states(standing) == before
    assert [row.state for row in standing.rows("SELECT state FROM grid_versions")] == ["in_force"]


def test_a_first_version_can_be_made_where_there_are_no_cells_at_all(standing: StandingCity, cells: Cells) -> None:
    standing.rows("DELETE FROM cells")
    effect = in_force(standing, cells)
    assert effect.fresh == tuple(sorted(cells))
    names = standing.rows("SELECT code, name, region, scope, kind FROM cells WHERE code = :code", code=ABOVE)
    assert [tuple(row) for row in names] == [
        (ABOVE, "第2网格", ABOVE[:12], standing.small.region(ABOVE).scope, "basic")
    ]


def test_a_split_ends_one_code_begins_two_and_leaves_the_rest_alone(standing: StandingCity, cells: Cells) -> None:
    numbers = {row.code: row.n for row in standing.rows("SELECT code, n FROM cells")}
    function(standing, FIRST, "street office")
    with standing.engine.begin() as connection:
        add_sensor(connection, standing.small, "on-the-edge", FIRST, ("water_depth",), n=70)
        add_sensor(connection, standing.small, "bus", FIRST, ("water_depth",), n=71)
    standing.rows("UPDATE sensors SET geom = NULL WHERE id = 'bus'")
    standing.rows(
        "UPDATE sensors SET geom = ST_SetSRID(ST_MakePoint(:lng, :lat), 4490) WHERE id = 'on-the-edge'",
        lng=CUT,
        lat=SOUTH + SIDE / 2,
    )
    ticket = standing.open_ticket(severity=1)
    born = datetime.now(UTC)
    effect = in_force(standing, first_cell_split(cells))
    assert (effect.ended, effect.fresh, effect.replaced) == ((FIRST,), (WEST_PART, EAST_PART), 1)
    after = {row.code: row.n for row in standing.rows("SELECT code, n FROM cells WHERE valid_to IS NULL")}
    untouched = set(cells) - {FIRST, ABOVE}
    assert {code: after[code] for code in untouched} == {code: numbers[code] for code in untouched}
    assert after[ABOVE] != numbers[ABOVE], "another outline is another state with its own number"

    lineage = standing.rows("SELECT from_code, code, change FROM cell_lineage WHERE from_code = :first", first=FIRST)
    assert {(row.code, row.change) for row in lineage} == {(WEST_PART, "split"), (EAST_PART, "split")}

    homes = {
        row.id: row.cell for row in standing.rows("SELECT id, cell FROM sensors UNION ALL SELECT id, cell FROM cameras")
    }
    assert {homes["water-1"], homes["water-2"], homes["32130200081326000001"]} == {EAST_PART}
    assert homes["on-the-edge"] == WEST_PART, "on a shared edge the lowest code wins"
    assert homes["bus"] == EAST_PART, "what stands nowhere goes with most of the ground"
    [scope] = standing.rows("SELECT scope FROM sensors WHERE id = 'water-1'")
    assert scope.scope == standing.small.region(FIRST).scope.replace(FIRST, EAST_PART)

    day = soon().astimezone(ZONE).date()
    functions = standing.rows("SELECT cell, organisation, valid_from, valid_to FROM cell_functions ORDER BY cell")
    assert [(f.cell, f.organisation, f.valid_to) for f in functions] == [
        (FIRST, "street office", day),
        (WEST_PART, "street office", None),
        (EAST_PART, "street office", None),
    ]
    assert [row.stale for row in standing.rows("SELECT stale FROM map_layers WHERE layer = 'cells'")] == [True]

    [kept] = standing.rows("SELECT cell, path FROM tickets WHERE id = :id", id=ticket)
    assert kept.cell == FIRST
    assert kept.path[-1][1] == FIRST
    lng, lat = standing.small.centre(FIRST)
    with standing.engine.connect() as connection:
        old = cell_at(connection, lng, lat, born, f"{CITY}/")
        new = cell_at(connection, lng, lat, soon(120), f"{CITY}/")
        assert old is not None
        assert new is not None
        assert (old.code, new.code) == (FIRST, EAST_PART)
        assert {row.code for row in cells_at(connection, born)} == set(cells)
        assert {row.code for row in cells_at(connection, soon(120))} == set(first_cell_split(cells))


def test_an_old_matter_in_an_ended_cell_can_grow_and_its_ticket_be_moved(standing: StandingCity, cells: Cells) -> None:
    standing.open_ticket(severity=1, matter="flood")
    in_force(standing, first_cell_split(cells))
    city = read_city(standing.engine)
    assert [region.code for region in city.tree.path(FIRST)][-2:] == [FIRST[:12], FIRST]
    below = [region.code for region in city.tree.children[FIRST[:12]]]
    assert EAST_PART in below
    assert FIRST not in below, "nothing is sent to a cell that has ended"


def test_a_code_that_was_given_up_is_never_used_again(standing: StandingCity, cells: Cells, tmp_path: Path) -> None:
    in_force(standing, first_cell_split(cells))
    answer = run(standing, "import", "--tier", "grid", str(written(tmp_path / "cells.geojson", cells)))
    assert answer.exit_code == 2
    assert len(answer.stderr.splitlines()) == 1
    assert f"code {FIRST} was given up on" in answer.stderr
    assert "never used again" in answer.stderr


def test_a_version_takes_effect_at_its_time_and_not_before(standing: StandingCity, cells: Cells) -> None:
    version, moment = planned(standing, first_cell_split(cells)), soon(3600)
    publish(standing.engine, version, moment, datetime.now(UTC))
    before = everything(standing)
    assert take_effect(standing.engine, moment - timedelta(microseconds=1), ZONE) is None
    assert everything(standing) == before
    assert take_effect(standing.engine, moment, ZONE) is not None
    assert take_effect(standing.engine, moment, ZONE) is None, "once"
    assert everything(standing) != before
    began = standing.rows("SELECT valid_from FROM cells WHERE code = :code", code=WEST_PART)
    assert [row.valid_from for row in began] == [moment]


def test_of_two_versions_published_at_once_one_is_refused_clearly(standing: StandingCity, cells: Cells) -> None:
    made = [planned(standing, first_cell_split(cells)), planned(standing, cells)]
    start, said = threading.Barrier(2), list[str]()

    def go(version: int) -> None:
        start.wait()
        try:
            publish(standing.engine, version, soon(), datetime.now(UTC))
            said.append("published")
        except VersionRefused as problem:
            said.append(str(problem))

    publishers = [threading.Thread(target=go, args=(version,)) for version in made]
    for publisher in publishers:
        publisher.start()
    for publisher in publishers:
        publisher.join()
    assert "published" in said
    assert len(said) == 2
    [refusal] = [line for line in said if line != "published"]
    assert "is published for" in refusal
    assert "withdraw it first" in refusal


def test_a_version_planned_against_another_grid_must_be_planned_again(standing: StandingCity, cells: Cells) -> None:
    late = planned(standing, cells)
    in_force(standing, first_cell_split(cells))
    with pytest.raises(VersionRefused, match="planned against no version, but version 2 is in force now"):
        publish(standing.engine, late, None, datetime.now(UTC))


def test_what_was_withdrawn_never_takes_effect(standing: StandingCity, cells: Cells) -> None:
    version = planned(standing, first_cell_split(cells))
    publish(standing.engine, version, soon(), datetime.now(UTC))
    withdraw(standing.engine, version)
    assert take_effect(standing.engine, soon(600), ZONE) is None
    assert standing.rows("SELECT 1 FROM planned_cells UNION ALL SELECT 1 FROM cell_lineage") == []
    with pytest.raises(VersionRefused, match="is withdrawn"):
        publish(standing.engine, version, None, datetime.now(UTC))


CHECKPOINTS = (
    "former version ended",
    "old states ended",
    "new states begun",
    "sensors and cameras placed",
    "functions handed over",
    "before commit",
)
_KILLED = """
import os, signal, sys
from datetime import datetime
from zoneinfo import ZoneInfo
from config.database import worker_engine
from gis.version_store import take_effect

def checkpoint(point):
    if point == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

take_effect(worker_engine(sys.argv[1]), datetime.fromisoformat(sys.argv[3]), ZoneInfo("Asia/Shanghai"), checkpoint)
"""


@pytest.mark.parametrize("fatal", CHECKPOINTS)
def test_a_scheduler_killed_while_a_version_takes_effect_leaves_nothing_half_done(
    fatal: str, standing: StandingCity, cells: Cells
) -> None:
    function(standing, FIRST, "street office")
    version, moment = planned(standing, first_cell_split(cells)), soon()
    publish(standing.engine, version, moment, datetime.now(UTC))
    before = everything(standing)
    arguments = ["-c", _KILLED, standing.database.worker_url, fatal, moment.isoformat()]
    with processes.running(arguments, {}) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert everything(standing) == before
    passed = list[str]()
    assert take_effect(standing.engine, moment, ZONE, passed.append) is not None
    assert passed == list(CHECKPOINTS)


def test_two_schedulers_bring_a_version_into_force_once(standing: StandingCity, cells: Cells) -> None:
    version, moment = planned(standing, first_cell_split(cells)), soon()
    publish(standing.engine, version, moment, datetime.now(UTC))
    start, done = threading.Barrier(4), list[Effect | None]()

    def go() -> None:
        start.wait()
        done.append(take_effect(standing.engine, moment, ZONE))

    schedulers = [threading.Thread(target=go) for _ in range(4)]
    for scheduler in schedulers:
        scheduler.start()
    for scheduler in schedulers:
        scheduler.join()
    assert len(done) == 4
    assert sum(effect is not None for effect in done) == 1


def test_a_sensor_that_no_cell_covers_any_longer_keeps_its_cell_and_is_counted(
    standing: StandingCity, cells: Cells
) -> None:
    without = {code: shape for code, shape in cells.items() if code != FIRST}
    effect = in_force(standing, without)
    assert (effect.ended, effect.unplaced) == ((FIRST,), 4)
    assert [row.cell for row in standing.rows("SELECT cell FROM sensors WHERE id = 'water-1'")] == [FIRST]


def test_the_diff_says_what_changes_for_whom_before_anything_does(
    standing: StandingCity, cells: Cells, tmp_path: Path
) -> None:
    function(standing, FIRST, "street office")
    standing.open_ticket(severity=1)
    [number] = [row.number for row in standing.rows("SELECT number FROM tickets")]
    file = written(tmp_path / "cells.geojson", first_cell_split(cells))
    made = run(standing, "import", "--tier", "grid", str(file), "--note", "cut")
    assert made.exit_code == 0, made.output
    answer = run(standing, "diff", "1", "--json", str(tmp_path / "diff.json"))
    assert answer.exit_code == 0, answer.output
    assert answer.output == made.output
    assert "46 unchanged" in answer.output
    assert f"open in cells that end or move: {number}" in answer.output
    told = json.loads((tmp_path / "diff.json").read_text("utf-8"))
    assert told["total"] == {"unchanged": 46, "reshaped": 1, "split": 2, "ended": 1}
    assert told["regions"][FIRST[:12]] == {"unchanged": 2, "reshaped": 1, "split": 2, "ended": 1}
    assert {(s["id"], s["from"], s["to"]) for s in told["sensors"]} == {
        ("water-1", FIRST, EAST_PART),
        ("water-2", FIRST, EAST_PART),
        ("vehicle-1", FIRST, EAST_PART),
    }
    assert [c["to"] for c in told["cameras"]] == [EAST_PART]
    assert [f["organisation"] for f in told["functions"]] == ["street office"]
    assert {f["cell"] for f in told["functions_inherited"]} == {WEST_PART, EAST_PART}
    assert [a["username"] for a in told["accounts"]] == [standing.small.username(FIRST)]
    listed = run(standing, "versions")
    assert "planned" in listed.output
    assert "somebody  cut" in listed.output


def test_a_version_is_published_and_withdrawn_from_the_command_line(
    standing: StandingCity, cells: Cells, tmp_path: Path
) -> None:
    assert run(standing, "import", "--tier", "grid", str(written(tmp_path / "cells.geojson", cells))).exit_code == 0
    assert "2031-12-01T00:00:00+08:00" in run(standing, "publish", "1", "--at", "2031-12-01T00:00").output
    assert run(standing, "withdraw", "1").exit_code == 0
    for arguments, reason in (
        (("publish", "1"), "version 1 is withdrawn"),
        (("publish", "7"), "there is no version 7"),
        (("publish", "1", "--at", "tomorrow"), "is no time such as"),
        (("publish", "1", "--at", "2020-01-01T00:00"), "is over"),
        (("diff", "9"), "there is no version 9"),
        (("withdraw", "1"), "it cannot be withdrawn"),
        (("import", "--tier", "grid", str(tmp_path / "nothing.geojson")), "nothing.geojson"),
        (("import", "--tier", "grid", "cells.geojson", "--datum", "GCJ02"), "--datum does not go with --tier grid"),
        (
            ("import", "--tier", "county", "counties.geojson", "--special", "x"),
            "--special does not go with --tier county",
        ),
    ):
        answer = run(standing, *arguments)
        assert (answer.exit_code, len(answer.stderr.splitlines())) == (2, 1), answer.output
        assert reason in answer.stderr


def test_cells_that_cannot_be_a_grid_are_refused_in_one_line(
    standing: StandingCity, cells: Cells, tmp_path: Path
) -> None:
    far = box(100, 20, 100.01, 20.01)
    overlapping = box(WEST, SOUTH, WEST + SIDE, SOUTH + 2 * SIDE)
    for redrawn, more, reason in (
        (cells | {"C00001": far}, (), "cell C00001 lies in no village"),
        (cells | {FIRST: overlapping}, (), "overlap by"),
        (cells | {"a/b": far}, (), "holds a '/'"),
        (cells, ("--special", "market"), "no cell has a grid of a network 'market'"),
    ):
        answer = run(standing, "import", "--tier", "grid", str(written(tmp_path / "cells.geojson", redrawn)), *more)
        assert (answer.exit_code, len(answer.stderr.splitlines())) == (2, 1), answer.output
        assert reason in answer.stderr
    assert standing.rows("SELECT 1 FROM grid_versions") == []


def test_cells_with_a_grid_of_the_special_network_are_special_and_others_go_where_most_of_them_lies(
    standing: StandingCity, cells: Cells
) -> None:
    plain = {code: shape for code, shape in cells.items() if code != FIRST} | {"C00001": cells[FIRST]}
    sources = {"C00001": {"market": "m-1"}, ABOVE: {"market": None}}
    plan(standing.engine, cell_file(plain, sources), report={}, note="", made_by="t", special="market")
    found = standing.rows(
        "SELECT code, kind, region, name FROM planned_cells WHERE code = ANY (:codes) ORDER BY code DESC",
        codes=["C00001", ABOVE],
    )
    assert [tuple(row) for row in found] == [
        ("C00001", "special", FIRST[:12], "第1网格"),
        (ABOVE, "basic", FIRST[:12], "第2网格"),
    ]


def test_functions_are_imported_from_a_table_and_one_worker_may_hold_all(
    standing: StandingCity, tmp_path: Path
) -> None:
    table = tmp_path / "functions.csv"
    head = "cell,domain,organisation,worker,valid_from,valid_to\n"
    table.write_text(
        f"\ufeff{head}{FIRST},emergency,应急局,张三,2026-01-01,\n{FIRST},traffic,交警,张三,2026-01-01,2026-07-01\n",
        "utf-8",
    )
    assert run(standing, "functions", str(table)).exit_code == 0
    table.write_text(f"{head}{FIRST},emergency,消防,李四,2026-06-01,\n{ABOVE},emergency,应急局,,2026-01-01,\n", "utf-8")
    answer = run(standing, "functions", str(table))
    assert "2 functions written, 1 earlier ones end" in answer.output
    run(standing, "functions", str(table))
    found = standing.rows(
        "SELECT cell, domain, organisation, worker, valid_from::text, valid_to::text FROM cell_functions ORDER BY 1, 2, 5"
    )
    assert [tuple(row) for row in found] == [
        (FIRST, "emergency", "应急局", "张三", "2026-01-01", "2026-06-01"),
        (FIRST, "emergency", "消防", "李四", "2026-06-01", None),
        (FIRST, "traffic", "交警", "张三", "2026-01-01", "2026-07-01"),
        (ABOVE, "emergency", "应急局", None, "2026-01-01", None),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("nowhere,emergency,o,w,2026-01-01,", "line 2: there is no cell 'nowhere' in force"),
        (f"{FIRST},police,o,w,2026-01-01,", "line 2: domain 'police' is none of"),
        (f"{FIRST},emergency,,w,2026-01-01,", "line 2: no organisation"),
        (f"{FIRST},emergency,o,w,1.1.2026,", "line 2: '1.1.2026' is no day"),
        (f"{FIRST},emergency,o,w,2026-01-02,2026-01-02", "line 2: valid_to must be later"),
        (f"{FIRST},emergency,o", "line 2: 3 columns instead of 6"),
        (f"{FIRST},emergency,o,w,2026-01-01,\n{FIRST},emergency,p,w,2026-01-01,", "line 3: emergency in"),
        (f"{FIRST},emergency,o,w,2026-01-01,2026-09-01\n{FIRST},emergency,p,w,2026-06-01,", "is given to o until"),
    ],
)
def test_a_table_of_functions_that_cannot_be_meant_is_refused_whole(
    row: str, reason: str, standing: StandingCity, tmp_path: Path
) -> None:
    table = tmp_path / "functions.csv"
    table.write_text(f"cell,domain,organisation,worker,valid_from,valid_to\n{row}\n", "utf-8")
    answer = run(standing, "functions", str(table))
    assert (answer.exit_code, len(answer.stderr.splitlines())) == (2, 1), answer.output
    assert reason in answer.stderr
    assert standing.rows("SELECT 1 FROM cell_functions") == []
