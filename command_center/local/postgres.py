"""A private PostgreSQL cluster: made, started on a free loopback port, recovered, prepared and stopped.

The data folder may have had another owner that was killed: whatever still runs on it is stopped before we start, because two
postmasters on one folder destroy it and PostgreSQL's own guard can be fooled by a process id that was given out again.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from command_center.local import child
from command_center.local.child import Program, ServerFailed
from command_center.local.secret import secret
from command_center.local.server_folder import give, server_folder, server_user

SUPERUSER = "postgres"
DATABASE = "command_center"
ROLES = ("cc_owner", "cc_worker", "cc_web")
_OLDEST_VERSION = 15
_HOST = "127.0.0.1"
READY_S = 60.0
_STOP_S = 20.0
_SOCKET_PREFIX = "ccpg-"
_PORT_ATTEMPTS = 5

# Nobody but the superuser and cc_owner may make objects; cc_worker passes row-level security because COPY FROM refuses
# tables under it; a worker that hangs inside a transaction must not hold the event log's lock for longer than 5 s.
_ROLE_ATTRIBUTES = {
    "cc_owner": "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS",
    "cc_worker": "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE BYPASSRLS",
    "cc_web": "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS",
}
_WORKER_SETTINGS = {"idle_in_transaction_session_timeout": "5s", "lock_timeout": "10s"}


@dataclass(frozen=True)
class Cluster:
    """A private cluster: where it is and how to reach it. ``data`` is its data folder, ``user`` the system user or None."""

    data: Path
    port: int
    socket_folder: Path
    log: Path
    binaries: Path
    user: str | None
    passwords: Mapping[str, str] = field(repr=False)
    host: str = _HOST

    def url(self, role: str, database: str = DATABASE) -> str:
        """``postgresql://role:password@host:port/database``; the passwords need no quoting."""
        return f"postgresql://{role}:{self.passwords[role]}@{self.host}:{self.port}/{database}"


def _say_nothing(_: str) -> None:
    return


def initialise(var: Path, say: Callable[[str], None] = _say_nothing) -> Cluster:
    """Make the cluster under ``var`` unless it is there, clear away a dead owner's traces, and choose its port."""
    var.mkdir(parents=True, exist_ok=True)
    user = server_user("postgres")
    data = server_folder(var, "postgres", user, say) / "data"
    passwords = {role: secret(var, role) for role in (SUPERUSER, *ROLES)}
    binaries = _binaries(data)
    log = var / "log" / "postgres.log"
    if not data.exists():
        say("making the private PostgreSQL cluster")
        _initdb(binaries, data, user, passwords[SUPERUSER], log)
    recover(data, say)
    return Cluster(data, free_port(), _socket_folder(var, user), log, binaries, user, passwords)


def program(cluster: Cluster) -> Program:
    """How to run this cluster in the foreground. SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one."""
    settings = {
        "port": str(cluster.port),
        "listen_addresses": cluster.host,
        "unix_socket_directories": str(cluster.socket_folder),
        "unix_socket_permissions": "0700",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "max_connections": "100",
        "shared_buffers": "128MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "off",
        "log_destination": "stderr",
        "cluster_name": "command-center",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Program(
        name="PostgreSQL",
        argv=(str(cluster.binaries / "postgres"), "-D", str(cluster.data), *options),
        log=cluster.log,
        environment=child.clean_environment(),
        user=cluster.user,
        death_signal=signal.SIGINT,
        stop_signals=(signal.SIGINT, signal.SIGQUIT),
        grace_s=_STOP_S,
        port_taken="could not create any TCP/IP sockets",
    )


def is_ready(cluster: Cluster) -> bool:
    """Whether the server has finished starting and the superuser can log in; a wrong password is an error."""
    # The server writes "ready" into its lock file; before that a log-in would only fill the log with refusals.
    lines = _lines(cluster.data / "postmaster.pid")
    if len(lines) < 8 or lines[7].strip() != "ready":
        return False
    try:
        psycopg.connect(cluster.url(SUPERUSER, "postgres"), connect_timeout=5).close()
    except psycopg.OperationalError as problem:
        if "password authentication failed" in str(problem):
            text = f"The passwords kept beside {cluster.data} do not fit it: restore them or remove the var folder"
            raise ServerFailed(text) from problem
        return False
    return True


def start(var: Path, say: Callable[[str], None] = _say_nothing) -> tuple[Cluster, subprocess.Popen[bytes]]:
    """Make the cluster if need be, start it and wait until it answers. ServerFailed names the reason."""
    cluster = initialise(var, say)
    try:
        for _ in range(_PORT_ATTEMPTS):
            try:
                return cluster, child.launch(program(cluster), partial(is_ready, cluster), READY_S)
            except child.PortTaken:
                cluster = replace(cluster, port=free_port())
        raise ServerFailed("No loopback port stayed free long enough for PostgreSQL")
    except BaseException:
        shutil.rmtree(cluster.socket_folder, ignore_errors=True)
        raise


def stop(cluster: Cluster, process: subprocess.Popen[bytes]) -> None:
    """Fast shutdown, then an immediate one if that takes too long; the socket folder goes too."""
    child.stop(process, program(cluster))
    shutil.rmtree(cluster.socket_folder, ignore_errors=True)


@contextmanager
def running(var: Path, say: Callable[[str], None] = _say_nothing) -> Iterator[Cluster]:
    """A prepared cluster for the length of a ``with`` block."""
    cluster, process = start(var, say)
    try:
        prepare(cluster)
        yield cluster
    finally:
        stop(cluster, process)


def prepare(cluster: Cluster, database: str = DATABASE) -> None:
    """Make the three roles, the database and its PostGIS extension, or bring them up to date. Safe to repeat."""
    with psycopg.connect(cluster.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        for role in ROLES:
            _prepare_role(connection, role, cluster.passwords[role])
        make_database(connection, database)
    with psycopg.connect(cluster.url(SUPERUSER, database), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")


def make_database(connection: psycopg.Connection[Any], name: str, template: str = "template0") -> None:
    """CREATE DATABASE owned by cc_owner and closed to everybody but our three roles, unless it is there."""
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
        return
    names = {"name": sql.Identifier(name), "template": sql.Identifier(template)}
    connection.execute(sql.SQL("CREATE DATABASE {name} TEMPLATE {template} OWNER cc_owner").format(**names))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {name} FROM PUBLIC").format(**names))
    connection.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {name} TO cc_worker, cc_web").format(**names))


def recover(data: Path, say: Callable[[str], None] = _say_nothing) -> None:
    """Stop what a killed owner left running on this data folder and remove a lock file that nobody holds."""
    lock = data / "postmaster.pid"
    lines = _lines(lock)
    if _on_folder(data):
        say("a PostgreSQL of an earlier run is still on this folder: stopping it")
        _stop_all_on(data, int(lines[0]) if lines else None)
    # No process has the folder open any more, so the lock is stale, even if its process id lives on as something else.
    lock.unlink(missing_ok=True)


def free_port() -> int:
    """A loopback TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _binaries(data: Path) -> Path:
    """The programs of the version this data was made with, else of the newest version that has PostGIS."""
    version = data / "PG_VERSION"
    if version.exists():
        folder = Path("/usr/lib/postgresql", version.read_text(encoding="ascii").strip(), "bin")
        if (folder / "postgres").exists():
            return folder
        raise ServerFailed(f"{data} needs PostgreSQL {folder.parent.name}, which is not installed")
    versions = [int(path.name) for path in Path("/usr/lib/postgresql").glob("*") if path.name.isdigit()]
    for number in sorted(versions, reverse=True):
        postgis = Path(f"/usr/share/postgresql/{number}/extension/postgis.control")
        folder = Path(f"/usr/lib/postgresql/{number}/bin")
        if number >= _OLDEST_VERSION and postgis.exists() and (folder / "initdb").exists():
            return folder
    raise ServerFailed("PostgreSQL 15 or newer with PostGIS 3 is not installed: run deploy/setup.sh or `make setup`")


def _initdb(binaries: Path, data: Path, user: str | None, password: str, log: Path) -> None:
    """Run initdb into a folder beside the final one, so that an interrupted run leaves nothing half made."""
    unfinished = data.with_name("unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    password_file = data.with_name("password")
    password_file.write_text(password + "\n", encoding="ascii")
    give(password_file, user)
    options = ["-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "--data-checksums"]
    try:
        _run([str(binaries / "initdb"), "-D", str(unfinished), f"--pwfile={password_file}", *options], user, log)
    finally:
        password_file.unlink()
    unfinished.rename(data)


def _run(argv: list[str], user: str | None, log: Path) -> None:
    command = ["setpriv", *child.user_switch(user), "--pdeathsig=KILL", *argv]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd="/",
            env=child.clean_environment(),
            start_new_session=True,
            check=False,
        )
    if done.returncode:
        raise ServerFailed(f"{Path(argv[0]).name} failed: {child.log_tail(log)}")


def _socket_folder(var: Path, user: str | None) -> Path:
    """A new, short folder for the Unix socket, whose whole path must stay under 108 bytes; that of the last run goes."""
    note = var / "postgres-socket-folder"
    for last in _lines(note):
        if Path(last).name.startswith(_SOCKET_PREFIX):
            shutil.rmtree(last, ignore_errors=True)
    root = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir=root if len(root) < 60 else "/tmp"))
    if user is not None:
        shutil.chown(folder, user)
    note.write_text(f"{folder}\n", encoding="utf-8")
    return folder


def _prepare_role(connection: psycopg.Connection[Any], role: str, password: str) -> None:
    name = sql.Identifier(role)
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
        connection.execute(sql.SQL("CREATE ROLE {}").format(name))
    attributes = sql.SQL(_ROLE_ATTRIBUTES[role])
    connection.execute(sql.SQL("ALTER ROLE {} {} PASSWORD {}").format(name, attributes, sql.Literal(password)))
    if role == "cc_worker":
        for setting, value in _WORKER_SETTINGS.items():
            change = sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
            connection.execute(change)


def _on_folder(data: Path) -> list[int]:
    """Process ids of PostgreSQL processes whose working folder is this data folder (all of a cluster's processes)."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "cwd").samefile(data) and (entry / "comm").read_text().startswith("postgres"):
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile, or belongs to a user whose processes are not ours to look at
    return found


def _stop_all_on(data: Path, postmaster: int | None) -> None:
    """Fast shutdown of the postmaster, then an immediate one, then SIGKILL to all that is left on the folder."""
    for number, grace_s in ((signal.SIGINT, _STOP_S), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        left = _on_folder(data)
        # Backends whose postmaster is gone end by themselves; only the last two rounds address them.
        targets = [pid for pid in left if number is not signal.SIGINT or pid == postmaster]
        for pid in targets:
            _send(pid, number)
        deadline = time.monotonic() + (grace_s if targets or not left else 2.0)
        while _on_folder(data):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            return
    raise ServerFailed(f"A PostgreSQL of an earlier run on {data} does not end, not even by SIGKILL")


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
