"""Promise 2 for merges: a job that was asked for ends once, whatever dies on the way, and says why when it cannot be done."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from shapely.geometry.base import BaseGeometry

from command_center.cli import main
from command_center.merge_job import ATTEMPTS, LEASE, Wish, ask, read_job, run_due_merges
from tests import processes
from tests.command_center.test_network import block, collection, imported, sound, written
from tests.conftest import Database
from tests.running_city import RunningCity, running_city
from tests.small_city import CITY, COUNTIES, cell_code
from tests.waiting import wait_until

BOTH = Wish(("fire", "police"), note="三网融合")


@pytest.fixture(scope="module")
def running(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCity]:
    """The small city with two networks: two rows of grids in each village, and the halves of the counties."""
    with running_city(module_database) as found:
        folder = tmp_path_factory.mktemp("networks")
        imported(found, folder, sound(), "police")
        imported(found, folder, _halves(), "fire")
        yield found


def _halves() -> dict[str, BaseGeometry]:
    return {f"f{x}-{y}": block(x, y, x + 2, y + 1) for x in range(0, 12, 2) for y in range(4)}


@pytest.fixture(autouse=True)
def _no_job_left(running: RunningCity) -> Iterator[None]:
    yield
    running.rows("DELETE FROM merge_jobs")
    running.rows("DELETE FROM grid_versions")


def _asked(running: RunningCity, wish: Wish = BOTH) -> int:
    with running.engine.begin() as connection:
        return ask(connection, wish, "somebody", datetime.now(UTC))


def _job(running: RunningCity, job: int) -> dict[str, Any]:
    with running.engine.begin() as connection:
        return read_job(connection, job)


def _ended(running: RunningCity, job: int) -> dict[str, Any]:
    def end() -> dict[str, Any] | None:
        found = _job(running, job)
        return found if found["state"] in ("done", "failed") else None

    found = wait_until(end, timeout_s=60, what="the end of the merge")
    assert found is not None
    return found


def _versions(running: RunningCity) -> list[int]:
    return [row.n for row in running.rows("SELECT n FROM grid_versions")]


def _processes(job: int) -> list[int]:
    """Those that this process has started for a job and that still run."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0") if folder.name.isdigit() else []
            is_its = [b"run-merge", b"%d" % job] == command[-4:-2] and f"PPid:\t{os.getpid()}\n" in (
                folder / "status"
            ).read_text()
        except OSError:
            continue
        if is_its:
            found.append(int(folder.name))
    return found


def _process(job: int) -> int:
    """The only one."""
    [found] = wait_until(lambda: _processes(job), what="a merge to run")
    return found


def test_two_stored_networks_become_a_planned_version(running: RunningCity) -> None:
    job = _asked(running)
    assert (_job(running, job)["state"], _job(running, job)["progress"]) == ("waiting", 0.0)
    run_due_merges(running.engine, datetime.now(UTC))
    assert _job(running, job)["state"] == "running"
    ended = _ended(running, job)
    assert (ended["problem"], ended["progress"], ended["attempts"]) == (None, 1.0, 1)
    [version] = running.rows("SELECT n, state, note, made_by, report FROM grid_versions")
    assert (version.n, version.state, version.note, version.made_by) == (
        ended["version"],
        "planned",
        "三网融合",
        "somebody",
    )
    assert version.report["networks"]["police"]["grids"] == 24
    cells = running.rows("SELECT code, region, sources FROM planned_cells WHERE version = :n", n=version.n)
    assert len(cells) == 48
    first = next(cell for cell in cells if cell.code == cell_code())
    assert (first.region, first.sources) == ("321302001001", {"police": "0-0", "fire": "f0-0"})
    in_force = {row.code for row in running.rows("SELECT code FROM cells WHERE valid_to IS NULL")}
    assert {cell.code for cell in cells} == in_force, "codes live on where the ground is the same"


def test_codes_that_were_given_up_are_not_given_out_again(running: RunningCity) -> None:
    retired = f"{cell_code()[:12]}077"
    running.rows(
        "INSERT INTO cells (code, name, region, scope, area_m2, geom, valid_from, valid_to)"
        " SELECT :retired, name, region, scope, 1, geom, now() - interval '2 days', now() - interval '1 day'"
        " FROM cells WHERE code = :code",
        retired=retired,
        code=cell_code(),
    )
    try:
        job = _asked(running)
        run_due_merges(running.engine, datetime.now(UTC))
        version = _ended(running, job)["version"]
        [row] = running.rows("SELECT report FROM grid_versions WHERE n = :n", n=version)
        assert row.report["codes"]["retired"] == [retired]
    finally:
        running.rows("DELETE FROM cells WHERE code = :code", code=retired)


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (Wish(("police",)), "two networks or more are needed"),
        (Wish(()), "two networks or more are needed"),
        (Wish(("police", "nobody's")), 'there is no stored network "nobody\'s": there are fire, police'),
        (Wish(("police", "fire"), base="x"), "the base 'x' is none of the networks fire, police"),
        (Wish(("police", "fire"), special="x"), "the special network 'x' is none of police, fire"),
    ],
)
def test_a_merge_that_cannot_be_done_says_why_and_is_not_tried_again(
    running: RunningCity, wish: Wish, why: str
) -> None:
    job = _asked(running, wish)
    run_due_merges(running.engine, datetime.now(UTC))
    ended = _ended(running, job)
    assert (ended["state"], ended["problem"], ended["attempts"], ended["version"]) == ("failed", why, 1, None)
    run_due_merges(running.engine, datetime.now(UTC) + 2 * LEASE)
    assert _job(running, job)["attempts"] == 1
    assert _versions(running) == []


def test_one_merge_runs_at_a_time_whoever_pokes(running: RunningCity) -> None:
    jobs = [_asked(running), _asked(running)]
    start = threading.Barrier(3)

    def poke() -> None:
        start.wait()
        run_due_merges(running.engine, datetime.now(UTC))

    schedulers = [threading.Thread(target=poke) for _ in range(3)]
    for scheduler in schedulers:
        scheduler.start()
    for scheduler in schedulers:
        scheduler.join()
    assert [_job(running, job)["state"] for job in jobs] == ["running", "waiting"]
    assert _ended(running, jobs[0])["state"] == "done"
    run_due_merges(running.engine, datetime.now(UTC))
    assert _ended(running, jobs[1])["state"] == "done"
    assert len(_versions(running)) == 2


def test_a_merge_that_was_killed_is_taken_up_again_when_its_lease_has_ended(running: RunningCity) -> None:
    job = _asked(running)
    run_due_merges(running.engine, datetime.now(UTC))
    os.kill(_process(job), signal.SIGKILL)
    run_due_merges(running.engine, datetime.now(UTC))
    assert _job(running, job)["attempts"] == 1, "not before its lease has ended"
    run_due_merges(running.engine, datetime.now(UTC) + 2 * LEASE)
    ended = _ended(running, job)
    assert (ended["state"], ended["attempts"]) == ("done", 2)
    assert _versions(running) == [ended["version"]]


@pytest.mark.parametrize("point", ["claimed", "merged", "planned"])
def test_a_merge_that_dies_between_any_two_lines_ends_once(running: RunningCity, point: str) -> None:
    job = _asked(running)
    running.rows(
        "UPDATE merge_jobs SET state = 'running', attempts = 1, lease_until = :until WHERE id = :job",
        job=job,
        until=datetime.now(UTC) + LEASE,
    )
    program = ["-m", "tests.killed_merge", str(job), "1", point]
    with processes.running(program, {"CC_DATABASE_URL": running.database.worker_url}) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert len(_versions(running)) == (1 if point == "planned" else 0)
    assert _job(running, job)["state"] == "running"
    run_due_merges(running.engine, datetime.now(UTC) + 2 * LEASE)
    assert _ended(running, job)["state"] == "done"
    assert _versions(running) == [_job(running, job)["version"]]


_POKE = """
import os, signal
from datetime import UTC, datetime
from command_center.merge_job import run_due_merges
from config.database import worker_engine
run_due_merges(worker_engine(os.environ["CC_DATABASE_URL"]), datetime.now(UTC))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_merge_ends_once_although_the_scheduler_that_started_it_was_killed(running: RunningCity) -> None:
    job = _asked(running)
    with processes.running(["-c", _POKE], {"CC_DATABASE_URL": running.database.worker_url}) as process:
        assert process.wait(30) == -signal.SIGKILL
        run_due_merges(running.engine, datetime.now(UTC))
        ended = _ended(running, job)
    assert (ended["state"], ended["attempts"]) == ("done", 1)
    assert _versions(running) == [ended["version"]]


def test_a_merge_that_hung_stops_when_another_has_taken_it_up(running: RunningCity) -> None:
    job = _asked(running)
    run_due_merges(running.engine, datetime.now(UTC))
    hung = _process(job)
    os.kill(hung, signal.SIGSTOP)
    try:
        run_due_merges(running.engine, datetime.now(UTC) + 2 * LEASE)
        assert _ended(running, job)["attempts"] == 2
    finally:
        os.kill(hung, signal.SIGCONT)
    wait_until(lambda: hung not in _processes(job), timeout_s=30, what="the hung merge to stop")
    assert _versions(running) == [_job(running, job)["version"]]


def test_a_merge_whose_process_dies_each_time_is_given_up(running: RunningCity) -> None:
    job = _asked(running)
    moment = datetime.now(UTC)
    for _ in range(ATTEMPTS):
        run_due_merges(running.engine, moment)
        os.kill(child := _process(job), signal.SIGKILL)
        wait_until(lambda child=child: child not in _processes(job), what="its end")
        moment += 2 * LEASE
    run_due_merges(running.engine, moment)
    found = _job(running, job)
    assert (found["state"], found["attempts"]) == ("failed", ATTEMPTS)
    assert "given up after 3 attempts" in found["problem"]


def _stored(running: RunningCity, *options: str) -> Result:
    return CliRunner().invoke(
        main, ["grid", "merge-stored", *options], env={"CC_DATABASE_URL": running.database.worker_url}
    )


@pytest.fixture
def _poked(running: RunningCity) -> Iterator[None]:
    """As the scheduler does."""
    stop = threading.Event()

    def poke() -> None:
        while not stop.wait(0.2):
            run_due_merges(running.engine, datetime.now(UTC))

    scheduler = threading.Thread(target=poke)
    scheduler.start()
    yield
    stop.set()
    scheduler.join()


@pytest.mark.usefixtures("_poked")
def test_the_command_line_waits_and_tells_the_version_or_the_reason(running: RunningCity) -> None:
    result = _stored(running)
    assert result.exit_code == 0, result.output
    assert "fire, police" in result.stdout
    assert f"done; planned version {_versions(running)[0]}" in result.stdout
    assert "no scheduler is running" in result.stderr
    refused = _stored(running, "--networks", "police")
    assert refused.exit_code == 2
    assert "two networks or more are needed" in refused.stderr.splitlines()[-1]
    assert _stored(running, "--min-area-m2", "-1").exit_code == 2


def test_the_command_line_may_ask_without_waiting(running: RunningCity) -> None:
    assert _stored(running, "--no-wait", "--networks", "police,fire").exit_code == 0
    [row] = running.rows("SELECT state, wish FROM merge_jobs")
    assert (row.state, row.wish["networks"]) == ("waiting", ["police", "fire"])


def test_an_account_of_the_city_asks_once_and_follows_the_merge(running: RunningCity) -> None:
    console = running.console()
    wish = {"networks": ["police", "fire"], "base": "police", "note": "重划"}
    answers = [console.post("/api/v1/grid/merges", wish, {"Idempotency-Key": "one merge"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [202, 202]
    assert answers[0].json == answers[1].json
    address = answers[0].headers["Location"]
    assert console.get(address).json == answers[0].json
    assert (answers[0].json["state"], answers[0].json["asked_by"]) == ("waiting", running.small.username(CITY))
    reused = console.post("/api/v1/grid/merges", wish | {"note": ""}, {"Idempotency-Key": "one merge"})
    assert reused.status == 422
    run_due_merges(running.engine, datetime.now(UTC))
    version = _ended(running, answers[0].json["id"])["version"]
    found = console.get(address).json
    assert (found["state"], found["version"], found["problem"]) == ("done", version, None)
    assert [item["id"] for item in console.get("/api/v1/grid/merges").json["items"]] == [found["id"]]
    [row] = running.rows("SELECT report FROM grid_versions")
    assert row.report["base"] == "police"


def test_who_is_not_of_the_city_may_neither_ask_for_a_merge_nor_see_one(running: RunningCity) -> None:
    job = _asked(running)
    console = running.console(COUNTIES[0])
    answer = console.post("/api/v1/grid/merges", {"networks": ["police", "fire"]})
    assert answer.status == 403
    assert answer.json["title"] == "Not yours to merge"
    assert console.get("/api/v1/grid/merges").json["items"] == []
    assert console.get(f"/api/v1/grid/merges/{job}").status == 404
    assert running.console().get("/api/v1/grid/merges/999999").status == 404


@pytest.mark.parametrize(
    "body", [{}, {"networks": []}, {"networks": ["a", "b"], "min_area_m2": -1}, {"networks": ["a"], "villagse": True}]
)
def test_a_wish_that_cannot_be_understood_is_a_problem(running: RunningCity, body: dict[str, Any]) -> None:
    answer = running.console().post("/api/v1/grid/merges", body)
    assert answer.status == 422
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_merge_that_runs_renews_its_lease(running: RunningCity) -> None:
    job = _asked(running)
    run_due_merges(running.engine, datetime.now(UTC) - LEASE + timedelta(seconds=1))
    [before] = running.rows("SELECT lease_until FROM merge_jobs WHERE id = :job", job=job)

    def renewed() -> bool:
        [row] = running.rows("SELECT state, lease_until FROM merge_jobs WHERE id = :job", job=job)
        return row.state == "done" or row.lease_until > before.lease_until + timedelta(seconds=20)

    wait_until(renewed, timeout_s=30, what="the lease to be renewed")
    assert _ended(running, job)["state"] == "done"


def test_a_network_that_was_imported_again_is_merged_as_it_is_now(running: RunningCity, tmp_path: Path) -> None:
    shapes = sound() | {"0-0": block(0, 0, 1, 1), "new": block(0, 1, 1, 2)}
    imported(running, tmp_path, shapes, "police")
    try:
        job = _asked(running)
        run_due_merges(running.engine, datetime.now(UTC))
        assert _ended(running, job)["problem"] is None
        sources = [row.sources["police"] for row in running.rows("SELECT sources FROM planned_cells")]
        assert "new" in sources
    finally:
        written(tmp_path, collection(sound()))
        imported(running, tmp_path, sound(), "police")
