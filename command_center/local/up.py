"""``command-center up``: everything on one machine, from an empty folder to a running centre."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy.exc import OperationalError

from command_center.broker_file import topics
from command_center.city import format_routes
from command_center.local import broker as private_broker
from command_center.local import child, postgres
from command_center.local.broker import BrokerAccount
from command_center.local.child import Program, ServerFailed
from command_center.local.lock import AlreadyRunning, held
from command_center.local.running import running_file, tell_settings
from command_center.local.secret import SecretsUnreadable, secret, write_private
from command_center.local.supervisor import StepFailed, StopRequested, Supervisor
from config.database import UnsafeServer, assert_durable, worker_engine
from config.settings import BadSetting
from ingest.link import SOURCE as LINK

DEFAULT_PORT = 8321
GATEWAY = "gateway"
# Two simulators tell each other here which of them plays what; nothing else may be published outside the sensors' own topics.
SIMULATOR = "cc/v1/demo/simulator/#"
_HOST = "127.0.0.1"
_READY_S = 120.0
_PORT_ATTEMPTS = 5
_DATABASE_SETTINGS = ("CC_DATABASE_URL", "CC_WORKER_DATABASE_URL", "CC_WEB_DATABASE_URL")


class UnfitSetting(Exception):
    """An option or environment variable with which ``up`` cannot start; the message says what to change."""


@dataclass
class _Start:
    """What one start knows; filled in step by step."""

    var: Path
    demo: bool
    port: int
    supervisor: Supervisor
    say: Callable[[str], None]
    leftovers: ExitStack
    urls: dict[str, str] = field(default_factory=dict)
    tls: dict[str, Any] = field(default_factory=dict)
    stations: str | None = None

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"


def up(var: Path, demo: bool, port: int | None = None) -> int:
    """Start everything, keep it running, stop it on SIGINT or SIGTERM; the exit status.

    ``port`` None takes the default port, or a free one when that is in use; 0 takes a free one. Status 2 means that an
    option or setting has to change, 1 that something failed; both come with one line on standard error.
    """
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    try:
        var = _usable_folder(var)
        with held(var), ExitStack() as leftovers, Supervisor(say) as supervisor:
            _start_all(_Start(var, demo, _choose_port(port, say), supervisor, say, leftovers))
            supervisor.watch()
    except StopRequested:
        pass
    except (UnfitSetting, BadSetting, AlreadyRunning, SecretsUnreadable) as problem:
        return _fail(str(problem), 2)
    except StepFailed as problem:
        return _fail(str(problem), 2 if problem.status == 2 else 1)
    except (ServerFailed, private_broker.UnfitAccount) as problem:
        return _fail(str(problem), 1)
    say("stopped")
    return 0


def _fail(text: str, status: int) -> int:
    print(f"command-center up: {text}", file=sys.stderr, flush=True)
    return status


def _start_all(start: _Start) -> None:
    """The steps in order; each says what it does before it begins."""
    # Whoever waits for this file must not read that of an earlier start, and it means nothing once we have stopped.
    (start.var / "demo.json").unlink(missing_ok=True)
    start.leftovers.callback((start.var / "demo.json").unlink, missing_ok=True)
    _provide_database(start)
    start.say("migrating the database")
    _run_step(start, "migrate", {"CC_DATABASE_URL": start.urls["owner"]})
    if start.demo:
        start.say("seeding the demo city")
        password = secret(start.var, "demo_password")
        _run_step(start, "seed", {"CC_DATABASE_URL": start.urls["worker"], "CC_DEMO_PASSWORD": password}, "--demo")
    _provide_broker(start)
    start.say("starting worker, scheduler and web server" + (" and simulator" if start.demo else ""))
    for program in _programs(start):
        start.supervisor.start(program)
    start.supervisor.wait_for(partial(_is_ready, start.port), _READY_S, f"{start.url}/readyz")
    tell_settings(start.var, {"CC_DATABASE_URL": start.urls["worker"], "CC_MQTT_URL": start.urls["mqtt_worker"]})
    start.leftovers.callback(running_file(start.var).unlink, missing_ok=True)
    if start.demo:
        _write_demo_file(start)
    start.say(f"ready: {start.url}")
    if start.demo:
        _print_accounts(start)
    print("Ctrl-C stops everything.", flush=True)


def _provide_database(start: _Start) -> None:
    """A private cluster, or the city's own server when its three addresses are set."""
    given = {name: os.environ[name] for name in _DATABASE_SETTINGS if os.environ.get(name)}
    if given:
        missing = [name for name in _DATABASE_SETTINGS if name not in given]
        if missing:
            raise UnfitSetting(f"{', '.join(given)} set but not {', '.join(missing)}: set all three or none")
        start.say("using the database server of CC_DATABASE_URL")
        start.urls.update(zip(("owner", "worker", "web"), (given[name] for name in _DATABASE_SETTINGS), strict=True))
        _check_database(start.urls["owner"])
        return
    start.say("starting the private PostgreSQL")
    for _ in range(_PORT_ATTEMPTS):
        cluster = postgres.initialise(start.var, start.say)
        program = postgres.program(cluster)
        start.leftovers.callback(shutil.rmtree, cluster.socket_folder, ignore_errors=True)
        try:
            ready = partial(postgres.is_ready, cluster)
            recover = partial(postgres.recover, cluster.data, start.say)
            start.supervisor.start(program, ready, postgres.READY_S, recover)
            break
        except child.PortTaken:
            continue
    else:
        raise ServerFailed("No loopback port stayed free long enough for PostgreSQL")
    postgres.prepare(cluster)
    start.urls.update(owner=cluster.url("cc_owner"), worker=cluster.url("cc_worker"), web=cluster.url("cc_web"))
    start.say(f"PostgreSQL listens on {cluster.host}:{cluster.port}")


def _check_database(url: str) -> None:
    engine = worker_engine(url, pool_size=1)
    try:
        assert_durable(engine)
    except (OperationalError, UnsafeServer) as problem:
        cause = problem.orig if isinstance(problem, OperationalError) else problem
        raise UnfitSetting(f"CC_DATABASE_URL: {str(cause).strip().splitlines()[0]}") from problem
    finally:
        engine.dispose()


def _provide_broker(start: _Start) -> None:
    """A private broker, or the city's own when its address is set."""
    given = os.environ.get("CC_MQTT_URL")
    if given:
        start.say("using the broker of CC_MQTT_URL")
        start.urls.update(mqtt_worker=given, mqtt_gateway=given)
        return
    start.say("starting the private Mosquitto")
    gateways = format_routes(os.environ.get("CC_CITY") or "suqian", UTC).subscriptions
    accounts = [private_broker.worker_account(start.var, gateways)]
    if start.demo:
        accounts.append(gateway_account(start.var, gateways))
    for _ in range(_PORT_ATTEMPTS):
        broker = private_broker.initialise(start.var, accounts, start.say)
        try:
            ready = partial(private_broker.accepts_connections, broker)
            recover = partial(private_broker.recover, broker.folder, start.say)
            start.supervisor.start(private_broker.program(broker), ready, private_broker.READY_S, recover)
            break
        except child.PortTaken:
            continue
    else:
        raise ServerFailed("No loopback port stayed free long enough for Mosquitto")
    start.urls["mqtt_worker"] = broker.url(private_broker.WORKER)
    start.tls = {"tls_port": broker.tls_port, "ca": str(broker.authority)}
    if start.demo:
        start.urls["mqtt_gateway"] = broker.url(GATEWAY)
    start.say(f"Mosquitto listens on {broker.host}:{broker.port}, encrypted on {broker.tls_port}")


def gateway_account(var: Path, gateways: Sequence[str] = ()) -> BrokerAccount:
    """The account of demo.json: it may publish under the demo's own sensors and cameras and receive their receipts, and speak
    for the ``gateways`` of other formats.
    """
    sources = _read_list(var / "demo-sensors.json", ("county", "id"))
    rights = [topics(source["county"], source["id"]) for source in sources]
    links = [f"cc/v1/{county}/{LINK}/state" for county in sorted({source["county"] for source in sources})]
    return BrokerAccount(
        GATEWAY,
        secret(var, "mqtt_gateway"),
        write=[*(topic for write, _ in rights for topic in write), *links, *gateways, SIMULATOR],
        read=[*(topic for _, read in rights for topic in read), *gateways, SIMULATOR],
    )


def _programs(start: _Start) -> list[Program]:
    """The product's own processes, in the order in which they start."""
    worker = {"CC_DATABASE_URL": start.urls["worker"], "CC_MQTT_URL": start.urls["mqtt_worker"]}
    if start.demo:
        start.stations = os.environ.get("CC_HJ212") or f"{_HOST}:{postgres.free_port()}"
        worker["CC_HJ212"] = start.stations
    web = {"CC_DATABASE_URL": start.urls["web"], "CC_HTTP_HOST": _HOST, "CC_HTTP_PORT": str(start.port)}
    programs = [
        _program(start.var, "worker", worker),
        _program(start.var, "scheduler", {"CC_DATABASE_URL": start.urls["worker"]}),
        _program(start.var, "web", web),
    ]
    if start.demo:
        simulator = {"CC_MQTT_URL": start.urls["mqtt_gateway"]}
        programs.append(_program(start.var, "simulate", simulator, "everyday"))
    return programs


def _run_step(start: _Start, command: str, settings: Mapping[str, str], *arguments: str) -> None:
    start.supervisor.run_to_end(_program(start.var, command, settings, *arguments))


def _program(var: Path, command: str, settings: Mapping[str, str], *arguments: str) -> Program:
    """One of our own commands as a process of its own, with exactly the addresses it may use."""
    ours = {*_DATABASE_SETTINGS, "CC_MQTT_URL", "CC_HTTP_HOST", "CC_HTTP_PORT", "CC_DEMO_PASSWORD"}
    # PG* variables of the caller (PGOPTIONS, PGSSLMODE, ...) would reach into every connection.
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("PG")}
    fixed = {"CC_VAR": str(var), "PYTHONUNBUFFERED": "1"}
    return Program(
        name=command,
        argv=(sys.executable, "-P", "-m", "command_center.cli", command, *arguments),
        log=var / "log" / f"{command}.log",
        environment={"CC_CITY": "suqian", **kept, **fixed, **settings},
    )


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _write_demo_file(start: _Start) -> None:
    """What a newcomer's client needs: where to look, where to publish, who to be."""
    mqtt = urlsplit(start.urls["mqtt_gateway"])
    password = secret(start.var, "demo_password")
    document = {
        "url": start.url,
        "mqtt": {
            "host": mqtt.hostname,
            "port": mqtt.port or 1883,
            "username": unquote(mqtt.username) if mqtt.username else None,
            "password": unquote(mqtt.password) if mqtt.password else None,
            **start.tls,
        },
        "hj212": start.stations,
        "accounts": [{**account, "password": password} for account in _accounts(start.var)],
    }
    write_private(start.var / "demo.json", json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def _accounts(var: Path) -> list[dict[str, Any]]:
    return _read_list(var / "demo-accounts.json", ("username", "tier", "region"))


def _print_accounts(start: _Start) -> None:
    """One account of each tier; the file has the rest."""
    accounts = _accounts(start.var)
    first_of_tier: dict[str, dict[str, Any]] = {}
    for account in accounts:
        first_of_tier.setdefault(account["tier"], account)
    print(f"\n  {'tier':<10} {'region':<16} {'username':<26} password")
    password = secret(start.var, "demo_password")
    for tier, account in first_of_tier.items():
        print(f"  {tier:<10} {account['region']:<16} {account['username']:<26} {password}")
    print(f"  all {len(accounts)} accounts and the MQTT gateway: {start.var / 'demo.json'}\n", flush=True)


def _read_list(path: Path, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """A list of objects that ``seed --demo`` left for us; ServerFailed says when it is missing or not what it should be."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ServerFailed(f"{path} was not written by `seed --demo`: {problem}") from problem
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() >= set(keys) for row in rows):
        raise ServerFailed(f"{path} is not a list of objects with {', '.join(keys)}")
    return rows


def _usable_folder(var: Path) -> Path:
    """The folder, made if need be. System users must be able to pass through it, so it is not closed to them."""
    try:
        if not var.exists():
            var.mkdir(parents=True)
            var.chmod(0o755)
        folder = var.resolve(strict=True)
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UnfitSetting(f"--var {var} is not a folder we may write to")
    except OSError as problem:
        raise UnfitSetting(f"--var {var}: {problem.strerror}") from problem
    return folder


def _choose_port(port: int | None, say: Callable[[str], None]) -> int:
    if port == 0:
        return postgres.free_port()
    if _is_free(DEFAULT_PORT if port is None else port):
        return DEFAULT_PORT if port is None else port
    if port is not None:
        raise UnfitSetting(
            f"port {port} is in use or not ours to take: pass another --port, or --port 0 for a free one"
        )
    chosen = postgres.free_port()
    say(f"port {DEFAULT_PORT} is in use, taking {chosen}; --port chooses another")
    return chosen


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except (OSError, OverflowError):
            return False
    return True
