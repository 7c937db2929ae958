from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from command_center.local import up as whole
from command_center.local.child import ServerFailed
from command_center.local.lock import held
from command_center.local.up import UnfitSetting, gateway_account, up


def test_a_second_up_on_the_same_folder_is_refused_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with held(tmp_path):
        assert up(tmp_path, demo=True, port=0) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "already runs on" in error


def test_a_port_in_use_is_refused_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert up(tmp_path, demo=True, port=port) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"port {port} is in use" in error
    assert "--port" in error


def test_the_default_port_gives_way_to_another_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(whole, "DEFAULT_PORT", taken.getsockname()[1])
        chosen = whole._choose_port(None, said.append)
        assert chosen != taken.getsockname()[1]
    assert "--port" in said[0]


def test_half_of_the_database_addresses_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CC_DATABASE_URL", "postgresql://cc_owner@db/cc")
    assert up(tmp_path, demo=False, port=0) == 2
    assert "not CC_WORKER_DATABASE_URL, CC_WEB_DATABASE_URL: set all three or none" in capsys.readouterr().err


def test_a_database_that_does_not_answer_is_refused_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("CC_DATABASE_URL", "CC_WORKER_DATABASE_URL", "CC_WEB_DATABASE_URL"):
        monkeypatch.setenv(name, "postgresql://cc_owner@127.0.0.1:1/cc")
    assert up(tmp_path, demo=False, port=0) == 2
    error = capsys.readouterr().err
    assert error.startswith("command-center up: CC_DATABASE_URL: ")
    assert error.count("\n") == 1


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    with pytest.raises(UnfitSetting, match="not a folder"):
        whole._usable_folder(tmp_path / "var")


def test_the_gateway_may_publish_for_the_demo_sensors_and_its_simulators_only(tmp_path: Path) -> None:
    (tmp_path / "demo-sensors.json").write_text(json.dumps([{"county": "321302", "id": "demo-water-001"}]))
    account = gateway_account(tmp_path)
    own = "cc/v1/321302/demo-water-001"
    link = "cc/v1/321302/$link/state"
    assert account.write == [f"{own}/reading", f"{own}/state", f"{own}/raw/#", link, whole.SIMULATOR]
    assert account.read == [f"{own}/ack", f"{own}/ack/#", whole.SIMULATOR]


@pytest.mark.parametrize("text", [None, "{", "{}", '[{"id": "demo-water-001"}]'])
def test_a_seed_that_left_no_list_of_sensors_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "demo-sensors.json").write_text(text)
    with pytest.raises(ServerFailed, match=r"demo-sensors.json"):
        gateway_account(tmp_path)


def test_our_processes_get_the_addresses_they_may_use_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC_WORKER_DATABASE_URL", "postgresql://elsewhere")
    monkeypatch.setenv("PGOPTIONS", "-c synchronous_commit=off")
    monkeypatch.setenv("CC_CITY", "elsewhere")
    program = whole._program(tmp_path, "web", {"CC_DATABASE_URL": "postgresql://cc_web"})
    assert program.environment["CC_DATABASE_URL"] == "postgresql://cc_web"
    assert program.environment["CC_CITY"] == "elsewhere"
    assert not {"CC_WORKER_DATABASE_URL", "PGOPTIONS", "CC_MQTT_URL"} & program.environment.keys()
