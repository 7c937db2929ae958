"""The files under deploy/: read, checked and, where a real part is at hand, run."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from command_center.local import broker as private_broker
from command_center.local import child, postgres
from command_center.local.postgres import Cluster
from command_center.local.server_folder import give

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMMANDS = {"web", "worker", "scheduler", "migrate"}
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "CapabilityBoundingSet": "",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "SystemCallFilter": "@system-service",
}


@pytest.fixture
def var() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cc test "))
    folder.chmod(0o755)
    yield folder / "var"
    shutil.rmtree(folder)


def compose() -> dict[str, Any]:
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def read_unit(path: Path) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names are case-sensitive
    unit.read(path, encoding="utf-8")
    return unit


def test_there_is_a_unit_for_every_process() -> None:
    assert {path.stem.removeprefix("command-center-") for path in UNITS} == COMMANDS


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_runs_its_command_without_privileges(path: Path) -> None:
    service = read_unit(path)["Service"]
    command = path.stem.removeprefix("command-center-")
    assert service["ExecStart"].split()[-1] == command
    assert service["User"] == "command-center"
    assert {name: service.get(name) for name in HARDENED} == HARDENED


@pytest.mark.parametrize(
    ("command", "settings"), [("web", "web"), ("worker", "worker"), ("scheduler", "worker"), ("migrate", "owner")]
)
def test_a_unit_reads_the_settings_of_its_own_database_role_only(command: str, settings: str) -> None:
    text = (DEPLOY / "systemd" / f"command-center-{command}.service").read_text()
    files = re.findall(r"^EnvironmentFile=(.*)$", text, re.MULTILINE)
    assert files == ["/etc/command-center/env", f"/etc/command-center/{settings}.env"]
    assert (DEPLOY / "env" / f"{settings}.env.example").exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    for path in (DEPLOY / "systemd").iterdir():
        # It looks for the program, which this machine has elsewhere.
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", path.read_text(), flags=re.MULTILINE)
        (tmp_path / path.name).write_text(
            text.replace("User=command-center", "User=root").replace("Group=command-center", "")
        )
    names = [str(path) for path in sorted(tmp_path.iterdir())]
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    argv = ["systemd-analyze", "verify", "--man=no", *names]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    complaints = [line for line in done.stderr.splitlines() if "command-center" in line]
    assert complaints == []


def test_the_containers_are_the_processes_and_their_servers() -> None:
    assert set(compose()["services"]) == COMMANDS | {"database", "broker"}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_container_runs_its_command_without_privileges(command: str) -> None:
    service = compose()["services"][command]
    assert service["command"] == [command]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_secrets_come_from_files_that_are_not_shipped_and_have_no_defaults() -> None:
    for service in compose()["services"].values():
        for name in service.get("env_file", []):
            assert not re.search(r"=\S", re.sub(r"(?m)^(#.*|POSTGRES_USER=.*)$", "", example(name)))
        assert not [key for key in service.get("environment", {}) if re.search(r"PASSWORD|SECRET|URL|TOKEN", key)]


def example(name: str) -> str:
    return (DEPLOY / f"{name}.example").read_text(encoding="utf-8")


def test_the_web_container_does_not_get_the_role_that_sees_everything() -> None:
    services = compose()["services"]
    assert services["web"]["env_file"] == ["env/city.env", "env/web.env"]
    assert "cc_web" in example("env/web.env")
    assert "cc_worker" not in example("env/web.env")


def test_what_the_containers_wait_for_and_mount_is_there() -> None:
    document = compose()
    for service in document["services"].values():
        assert set(service.get("depends_on", {})) <= set(document["services"])
        for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
            # The broker's passwords and certificates are the city's own.
            assert source in document["volumes"] or source == "./broker" or (DEPLOY / source).exists()


def test_docker_finds_no_fault_in_the_containers(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    for path in (tmp_path / "deploy" / "env").glob("*.example"):
        path.rename(path.with_suffix(""))
    argv = [docker, "compose", "-f", str(tmp_path / "deploy" / "compose.yaml"), "config", "--quiet"]
    assert subprocess.run(argv, capture_output=True, text=True, check=False).stderr == ""


def test_the_image_leaves_out_only_packages_that_the_lock_has() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    left_out = re.search(r"uv pip uninstall --python \S+((?:[\s\\]+[a-z0-9-]+)+)", text)
    assert left_out is not None
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(left_out[1].replace("\\", " ").split()) <= set(locked)


def test_the_sql_for_a_citys_own_server_makes_what_the_private_cluster_has(var: Path, cluster: Cluster) -> None:
    own, process = postgres.start(var)
    try:
        for _ in range(2):
            run_sql(own, DEPLOY / "roles.sql")
        assert roles(own) == roles(cluster)
        assert database(own) == database(cluster)
    finally:
        postgres.stop(own, process)


def run_sql(cluster: Cluster, path: Path) -> None:
    argv = [str(cluster.binaries / "psql"), "-v", "ON_ERROR_STOP=1", "-q", "-f", str(path)]
    address = cluster.url(postgres.SUPERUSER, "postgres")
    done = subprocess.run([*argv, "-d", address], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def roles(cluster: Cluster) -> list[tuple[Any, ...]]:
    query = """
        SELECT rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolconfig
        FROM pg_roles WHERE rolname LIKE 'cc\\_%' ORDER BY 1"""
    with psycopg.connect(cluster.url(postgres.SUPERUSER, "postgres")) as connection:
        return connection.execute(query).fetchall()


def database(cluster: Cluster) -> list[tuple[Any, ...]]:
    query = """
        SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datacl::text,
               (SELECT extname FROM pg_extension WHERE extname = 'postgis')
        FROM pg_database WHERE datname = current_database()"""
    with psycopg.connect(cluster.url(postgres.SUPERUSER)) as connection:
        return connection.execute(query).fetchall()


def test_the_example_broker_stores_as_safely_as_the_private_one(var: Path) -> None:
    broker = private_broker.initialise(var, [private_broker.worker_account(var)])
    ours = dict(line.split(" ", 1) for line in private_broker.configuration(broker).splitlines() if line)
    text = (DEPLOY / "mosquitto.conf").read_text(encoding="utf-8")
    shipped = dict(line.split(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    same = (
        "allow_anonymous",
        "persistence",
        "autosave_on_changes",
        "autosave_interval",
        "max_queued_messages",
        "max_queued_bytes",
    )
    assert {name: shipped[name] for name in (*same, "max_packet_size")} == {
        name: ours[name] for name in (*same, "max_packet_size")
    }


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_example_broker_starts_with_encryption(var: Path) -> None:
    broker = private_broker.initialise(var, [private_broker.worker_account(var)])
    (broker.folder / "tls").mkdir()
    make_certificate(broker.folder / "tls")
    text = (DEPLOY / "mosquitto.conf").read_text(encoding="utf-8")
    for old, new in (("/mosquitto/config/broker", str(broker.folder)), ("/mosquitto/data", str(broker.folder))):
        text = text.replace(old, new)
    text = text.replace("listener 1883", f"listener {broker.port} 127.0.0.1")
    text = text.replace("listener 8883", f"listener {postgres.free_port()} 127.0.0.1")
    (broker.folder / "mosquitto.conf").write_text(text)
    shutil.copy(DEPLOY / "topics.acl", broker.folder / "topics.acl")
    for path in (broker.folder / "topics.acl", *(broker.folder / "tls").iterdir()):
        give(path, broker.user)
    (broker.folder / "tls").chmod(0o755)
    program = replace(private_broker.program(broker), port_taken="never")
    process = child.launch(program, lambda: private_broker.accepts_connections(broker), 20)
    child.stop(process, program)
    assert "rror" not in broker.log.read_text()


def make_certificate(folder: Path) -> None:
    files = ["-keyout", str(folder / "server.key"), "-out", str(folder / "server.crt")]
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run(["openssl", "req", *options, *files], capture_output=True, check=True)
    shutil.copy(folder / "server.crt", folder / "ca.crt")


@pytest.mark.parametrize(
    "script", [DEPLOY / "setup.sh", DEPLOY / "roles.sh", ROOT / ".ci" / "run"], ids=lambda path: path.name
)
def test_a_script_is_executable_and_bash_can_read_it(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def test_setup_names_the_modes_it_knows() -> None:
    done = subprocess.run([str(DEPLOY / "setup.sh"), "everything"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "setup: unknown mode 'everything': run, test, npm or lock\n"
