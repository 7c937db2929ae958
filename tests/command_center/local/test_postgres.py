from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from command_center.local import child, postgres
from command_center.local.child import ServerFailed
from command_center.local.postgres import Cluster
from config.database import UnsafeServer, assert_durable, worker_engine
from tests.command_center.local.process import is_alive, run_script
from tests.waiting import wait_until

START_AND_LINGER = """
import sys, time
from pathlib import Path
from command_center.local import postgres
var = Path(sys.argv[1])
cluster, process = postgres.start(var)
postgres.prepare(cluster)
(var / "pid.new").write_text(str(process.pid))
(var / "pid.new").rename(var / "pid")
time.sleep(600)
"""


@pytest.fixture
def var() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cc test "))
    folder.chmod(0o755)
    yield folder / "var"
    shutil.rmtree(folder)


def ask(url: str, query: str) -> list[object]:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return list(row)


def test_the_three_roles_log_in_and_have_the_rights_they_should(cluster: Cluster) -> None:
    rights = "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user"
    assert ask(cluster.url("cc_owner"), rights) == ["cc_owner", False, False, False]
    assert ask(cluster.url("cc_worker"), rights) == ["cc_worker", False, True, False]
    assert ask(cluster.url("cc_web"), rights) == ["cc_web", False, False, False]


def test_the_owner_owns_the_database_and_the_others_make_no_tables_in_it(cluster: Cluster) -> None:
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'command_center'"
    assert ask(cluster.url("cc_owner"), owner) == ["cc_owner"]
    for role in ("cc_worker", "cc_web"):
        with psycopg.connect(cluster.url(role)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE public.mine (id int)")


def test_the_worker_cannot_hold_a_lock_for_ever(cluster: Cluster) -> None:
    settings = "SELECT current_setting('idle_in_transaction_session_timeout'), current_setting('lock_timeout')"
    assert ask(cluster.url("cc_worker"), settings) == ["5s", "10s"]
    assert ask(cluster.url("cc_web"), settings) == ["0", "0"]


def test_the_database_is_utf8_with_postgis(cluster: Cluster) -> None:
    query = "SELECT getdatabaseencoding(), left(postgis_lib_version(), 2), current_setting('data_checksums')"
    assert ask(cluster.url("cc_web"), query) == ["UTF8", "3.", "on"]


def test_a_wrong_password_does_not_get_in(cluster: Cluster) -> None:
    stranger = replace(cluster, passwords={**cluster.passwords, "cc_web": "guessed"})
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(stranger.url("cc_web"))


def test_passwords_do_not_show_when_a_cluster_is_printed(cluster: Cluster) -> None:
    assert not any(password in repr(cluster) for password in cluster.passwords.values())


def test_preparing_twice_changes_nothing(cluster: Cluster) -> None:
    postgres.prepare(cluster)
    assert ask(cluster.url("cc_worker"), "SELECT current_user") == ["cc_worker"]


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_server_that_may_forget_is_refused(var: Path, setting: str) -> None:
    with running_with(var, f"{setting}=off") as cluster:
        engine = worker_engine(cluster.url(postgres.SUPERUSER, "postgres"))
        with pytest.raises(UnsafeServer, match=f"{setting} = off"):
            assert_durable(engine)
        engine.dispose()


@contextmanager
def running_with(var: Path, option: str) -> Iterator[Cluster]:
    """A cluster with one more setting on its command line."""
    cluster = postgres.initialise(var)
    usual = postgres.program(cluster)
    program = replace(usual, argv=(*usual.argv, "-c", option))
    process = child.launch(program, lambda: postgres.is_ready(cluster), postgres.READY_S)
    try:
        yield cluster
    finally:
        postgres.stop(cluster, process)


def test_committed_rows_are_there_after_kill_9_of_the_server(var: Path) -> None:
    cluster, process = postgres.start(var)
    postgres.prepare(cluster)
    with psycopg.connect(cluster.url("cc_owner")) as connection:
        connection.execute("CREATE TABLE kept (id int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    process.kill()
    process.wait()
    shutil.rmtree(cluster.socket_folder)
    with postgres.running(var) as again:
        assert ask(again.url("cc_owner"), "SELECT id FROM kept") == [7]


def test_the_server_goes_with_an_owner_that_is_killed_and_the_next_owner_takes_over(var: Path) -> None:
    var.mkdir()
    owner = run_script(START_AND_LINGER, str(var), log=var.parent / "owner.log")
    try:
        wait_until((var / "pid").exists, 60, "the first owner")
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    first = int((var / "pid").read_text())
    with postgres.running(var) as cluster:
        assert not is_alive(first)
        assert ask(cluster.url("cc_web"), "SELECT 1") == [1]


def test_a_server_still_running_on_the_folder_is_stopped_first(var: Path) -> None:
    _, first = postgres.start(var)
    said: list[str] = []
    with postgres.running(var, said.append) as cluster:
        assert first.poll() is not None
        assert ask(cluster.url("cc_web"), "SELECT 1") == [1]
    assert any("earlier run" in line for line in said)


def test_a_lock_file_with_a_process_id_that_now_is_something_else_is_no_obstacle(var: Path) -> None:
    with postgres.running(var) as cluster:
        lock = (cluster.data / "postmaster.pid").read_text().splitlines()
    lock[0] = str(os.getpid())
    (cluster.data / "postmaster.pid").write_text("\n".join(lock) + "\n")
    with postgres.running(var) as again:
        assert ask(again.url("cc_web"), "SELECT 1") == [1]


def test_an_initdb_that_was_interrupted_is_begun_anew(var: Path) -> None:
    with postgres.running(var) as cluster:
        data = cluster.data
    # Half of a cluster in the place where initdb works.
    shutil.copytree(data / "base", data.with_name("unfinished") / "base")
    shutil.rmtree(data)
    with postgres.running(var) as again:
        assert ask(again.url("cc_web"), "SELECT 1") == [1]


def test_two_clusters_run_beside_each_other(var: Path, cluster: Cluster) -> None:
    with postgres.running(var) as other:
        assert other.port != cluster.port
        assert ask(other.url("cc_web"), "SELECT 1") == ask(cluster.url("cc_web"), "SELECT 1")


def test_passwords_that_do_not_fit_the_cluster_are_said_so_at_once(var: Path) -> None:
    with postgres.running(var):
        pass
    (var / "secrets.json").unlink()
    with pytest.raises(ServerFailed, match="do not fit"):
        postgres.start(var)


def test_stopping_leaves_no_process_and_no_socket_folder(var: Path) -> None:
    cluster, process = postgres.start(var)
    postgres.stop(cluster, process)
    assert process.poll() is not None
    assert postgres._on_folder(cluster.data) == []
    assert not cluster.socket_folder.exists()


def test_a_socket_folder_left_by_a_killed_owner_is_removed(var: Path) -> None:
    cluster, process = postgres.start(var)
    process.kill()
    process.wait()
    with postgres.running(var):
        assert not cluster.socket_folder.exists()
