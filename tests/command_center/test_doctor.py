"""The doctor: what it says of facts, and of real servers that are well, not well, or not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from command_center.cli import main
from command_center.doctor import (
    DatabaseFacts,
    Finding,
    Level,
    Space,
    judge_broker,
    judge_database,
    judge_saving,
    judge_space,
)
from command_center.local import broker as private_broker
from command_center.local.broker import Broker
from command_center.local.running import tell_settings
from ingest.broker_probe import Probe
from tests.conftest import Database

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "deploy" / "mosquitto.conf").read_text(encoding="utf-8")
ON = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_checksums": "on"}
WELL = DatabaseFacts(150_004, "3.3.2", ON, "0013", "0013", 0.01, True, {"worker": 1.0, "scheduler": 2.0})
BROKER = Probe(0.002, True, "mosquitto version 2.0.11", True, None, None)


def worst(findings: list[Finding]) -> Level:
    order = [Level.GOOD, Level.ATTENTION, Level.BAD]
    return max((finding.level for finding in findings), key=order.index)


def test_what_is_well_is_good_in_every_line() -> None:
    assert worst(judge_database(WELL)) is Level.GOOD
    assert worst(judge_broker(BROKER, "mqtt://u:p@127.0.0.1:1883")) is Level.GOOD
    assert worst(judge_saving(SHIPPED, None)) is Level.GOOD
    assert judge_space(Space("/", 50, 100)).level is Level.GOOD


@pytest.mark.parametrize(
    ("facts", "level", "word"),
    [
        (replace(WELL, version=140_010), Level.BAD, "15"),
        (replace(WELL, postgis=None), Level.BAD, "PostGIS"),
        (replace(WELL, postgis="2.5.1"), Level.BAD, "PostGIS"),
        (replace(WELL, settings=ON | {"fsync": "off"}), Level.BAD, "fsync"),
        (replace(WELL, settings=ON | {"full_page_writes": "off"}), Level.BAD, "full_page_writes"),
        (replace(WELL, settings=ON | {"data_checksums": "off"}), Level.ATTENTION, "pg_checksums"),
        (replace(WELL, revision=None), Level.BAD, "migrate"),
        (replace(WELL, revision="0012"), Level.BAD, "0012"),
        (replace(WELL, clock_ahead_s=-2.0), Level.ATTENTION, "2.0 s behind"),
        (replace(WELL, clock_ahead_s=7.0), Level.BAD, "7.0 s ahead"),
        (replace(WELL, partition_today=False), Level.ATTENTION, "partition"),
        (replace(WELL, beats={"worker": None, "scheduler": 2.0}), Level.ATTENTION, "worker has never run"),
        (replace(WELL, beats={"worker": 300.0, "scheduler": 2.0}), Level.ATTENTION, "300 s"),
    ],
)
def test_a_database_that_is_not_well_is_told_with_what_to_do(facts: DatabaseFacts, level: Level, word: str) -> None:
    found = judge_database(facts)
    assert worst(found) is level
    [told] = [finding for finding in found if finding.level is not Level.GOOD]
    assert word in told.line("en")
    assert told.todo_zh
    assert told.todo_en


@pytest.mark.parametrize(
    ("old", "new", "level", "word"),
    [
        ("persistence true", "persistence false", Level.BAD, "restart loses all"),
        ("autosave_on_changes true", "autosave_on_changes false", Level.BAD, "every 1000 s only"),
        ("autosave_interval 1000", "autosave_interval 100000", Level.BAD, "after 100000 changes"),
        ("autosave_interval 1000", "autosave_interval 0", Level.BAD, "at its end only"),
        ("allow_anonymous false", "allow_anonymous true", Level.BAD, "lets anybody in"),
        ("acl_file", "# acl_file", Level.BAD, "no topic rights"),
        ("max_packet_size 1048576", "", Level.ATTENTION, "does not limit the size"),
        ("max_packet_size", "message_size_limit 262144\nmax_packet_size", Level.ATTENTION, "drops it"),
        ("max_inflight_messages 2000", "", Level.ATTENTION, "20 messages under way"),
        ("max_queued_messages 10000000", "", Level.ATTENTION, "1000 queued"),
    ],
)
def test_a_broker_configuration_that_is_not_well_is_told(old: str, new: str, level: Level, word: str) -> None:
    assert old in SHIPPED
    found = judge_saving(SHIPPED.replace(old, new), None)
    assert worst(found) is level
    assert any(word in finding.line("en") for finding in found if finding.level is level)


def test_what_a_connection_cannot_show_is_said_to_be_unknown_and_not_good() -> None:
    [mosquitto] = judge_saving(None, "mosquitto version 2.0.11")
    [other] = judge_saving(None, None)
    assert mosquitto.level is other.level is Level.ATTENTION
    assert "--broker-config" in mosquitto.line("zh")
    assert "RabbitMQ" in other.line("en")


@pytest.mark.parametrize(
    ("probe", "url", "level"),
    [
        (BROKER, "mqtt://u:p@broker.example", Level.ATTENTION),
        (replace(BROKER, certificate_days=300.0), "mqtts://u:p@broker.example", Level.GOOD),
        (replace(BROKER, certificate_days=3.0), "mqtts://u:p@broker.example", Level.ATTENTION),
        (replace(BROKER, session_kept=False), "mqtt://u:p@localhost", Level.BAD),
        (replace(BROKER, retain=False), "mqtt://u:p@localhost", Level.ATTENTION),
    ],
)
def test_a_broker_is_judged_by_what_it_shows(probe: Probe, url: str, level: Level) -> None:
    assert worst(judge_broker(probe, url)) is level


def test_a_full_disk_is_bad() -> None:
    assert [judge_space(Space("/", free, 100)).level for free in (20, 5, 1)] == [Level.GOOD, Level.ATTENTION, Level.BAD]


def doctor(var: Path, *arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments], env={"CC_VAR": str(var), **environment})


def test_real_servers_are_looked_at_also_by_encryption_and_the_password_is_not_shown(
    database: Database, broker: Broker, tmp_path: Path
) -> None:
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(private_broker.configuration(broker), encoding="utf-8")
    found = doctor(
        tmp_path,
        "--broker-config",
        str(conf),
        CC_DATABASE_URL=database.worker_url,
        CC_MQTT_URL=broker.tls_url("worker"),
    )
    lines = found.output.splitlines()
    assert {line.split()[0] for line in lines} <= {"好", "注意"}, found.output
    assert found.exit_code == 0
    for word in (
        "PostgreSQL 15",
        "PostGIS 3",
        "fsync",
        "时钟一致",
        "mosquitto version",
        "已加密",
        "会话得到保留",
        "按变化落盘",
    ):
        assert any(word in line and line.startswith("好") for line in lines), (word, found.output)
    assert broker.passwords["worker"] not in found.output
    english = doctor(tmp_path, "--lang", "en", CC_DATABASE_URL=database.worker_url).output.splitlines()
    assert any(line.startswith("attention  CC_MQTT_URL is not set") for line in english)
    assert all(line.isascii() or "→" in line for line in english)


def test_servers_that_are_away_or_refuse_are_bad_and_the_rest_is_looked_at_all_the_same(
    database: Database, broker: Broker, tmp_path: Path
) -> None:
    away = doctor(
        tmp_path, "--lang", "en", CC_DATABASE_URL="postgresql://u:p@127.0.0.1:1/x", CC_MQTT_URL="mqtt://u:p@127.0.0.1:1"
    )
    assert away.exit_code == 1
    bad = [line for line in away.output.splitlines() if line.startswith("bad")]
    assert len(bad) == 2
    assert any(line.startswith("good  disk") for line in away.output.splitlines())
    url = f"mqtt://worker:wrong@{broker.host}:{broker.port}"
    refused = doctor(tmp_path, "--lang", "en", CC_DATABASE_URL=database.worker_url, CC_MQTT_URL=url)
    assert refused.exit_code == 1
    assert "it refused us: Not authorized" in refused.output


def test_what_runs_on_the_folder_is_found_without_settings(database: Database, broker: Broker, tmp_path: Path) -> None:
    assert doctor(tmp_path).exit_code == 2
    tell_settings(tmp_path, {"CC_DATABASE_URL": database.worker_url, "CC_MQTT_URL": broker.url("worker")})
    assert doctor(tmp_path).exit_code == 0
    nowhere = doctor(tmp_path, "--broker-config", str(tmp_path / "none"))
    assert nowhere.exit_code == 2
    assert nowhere.output.count("\n") == 1
