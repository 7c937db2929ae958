"""Who gets in, by what, and what the broker lets through: with a real Mosquitto and real certificates."""

from __future__ import annotations

import csv
import queue
import shutil
import socket
import ssl
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from sqlalchemy import text

from command_center.broker_file import topics
from command_center.cli import main
from command_center.local import broker as private_broker
from command_center.local import certificate
from command_center.local.broker import Broker, BrokerAccount
from config.database import worker_engine
from ingest.buffer import Buffer
from ingest.decode import LARGEST_PAYLOAD
from ingest.mqtt import Inbox
from tests.conftest import Database
from tests.small_city import build
from tests.waiting import wait_until

COUNTY = "321302"
OWN = f"cc/v1/{COUNTY}/gauge-7"
PASSWORD = "s" * 20


@pytest.fixture(scope="module")
def var() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cc test "))
    folder.chmod(0o755)
    yield folder / "var"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def guarded(var: Path) -> Iterator[Broker]:
    """A broker with one sensor and the worker."""
    sensor = BrokerAccount("gauge-7", PASSWORD, *topics(COUNTY, "gauge-7"))
    with private_broker.running(var, [private_broker.worker_account(var), sensor]) as found:
        yield found


@dataclass
class Device:
    """A stock client; ``answer`` waits for what became of its log-in."""

    port: int
    username: str
    password: str
    authority: Path | None = None
    will: str | None = None
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5
    heard: queue.SimpleQueue[MQTTMessage] = field(default_factory=queue.SimpleQueue)
    answers: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)

    def __enter__(self) -> Device:
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=self.protocol)
        self.client.username_pw_set(self.username, self.password)
        if self.authority is not None:
            self.client.tls_set(ca_certs=str(self.authority))
        if self.will is not None:
            self.client.will_set(self.will, b"offline", qos=1)
        self.client.on_connect = lambda _c, _d, _f, reason, _p: self.answers.put(str(reason))
        self.client.on_disconnect = lambda _c, _d, _f, reason, _p: self.answers.put(f"gone: {reason}")
        self.client.on_message = lambda _c, _d, message: self.heard.put(message)
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def answer(self) -> str:
        return self.answers.get(timeout=30)

    def listen(self, topic: str) -> None:
        granted: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.client.on_subscribe = lambda *_: granted.put(None)
        self.client.subscribe(topic, qos=1)
        granted.get(timeout=30)

    def say(self, topic: str, payload: bytes = b"{}", qos: int = 1) -> None:
        self.client.publish(topic, payload, qos=qos)


def worker(broker: Broker) -> Device:
    return Device(broker.port, "worker", broker.passwords["worker"])


def until_mark(listener: Device) -> list[str]:
    found = []
    while (topic := listener.heard.get(timeout=30).topic) != "cc/v1/mark":
        found.append(topic)
    return found


def test_a_sensor_gets_in_by_encryption_when_it_trusts_the_authority(guarded: Broker) -> None:
    with Device(guarded.tls_port, "gauge-7", PASSWORD, guarded.authority) as sensor:
        assert sensor.answer() == "Success"
    inbox = Inbox(guarded.tls_url("worker"), "cc-encrypted", Buffer(100, 1_000_000))
    inbox.open()
    try:
        wait_until(lambda: inbox.connected, what="the worker too")
    finally:
        inbox.close()


def test_a_client_that_trusts_another_authority_or_speaks_plainly_does_not_get_through(
    guarded: Broker, tmp_path: Path
) -> None:
    stranger = certificate.ensure(tmp_path, ["127.0.0.1"]).authority
    trusting = ssl.create_default_context(cafile=str(stranger))
    with socket.create_connection(("127.0.0.1", guarded.tls_port)) as line, pytest.raises(ssl.SSLCertVerificationError):
        trusting.wrap_socket(line, server_hostname="127.0.0.1")
    with Device(guarded.tls_port, "gauge-7", PASSWORD) as plain:
        assert plain.answer().startswith("gone")


@pytest.mark.parametrize(("name", "password"), [("gauge-7", "wrong"), ("gauge-8", PASSWORD), ("worker", PASSWORD)])
def test_a_wrong_password_does_not_open_the_encrypted_door_either(guarded: Broker, name: str, password: str) -> None:
    with Device(guarded.tls_port, name, password, guarded.authority) as sensor:
        assert sensor.answer() == "Not authorized"


def test_what_a_sensor_may_not_publish_never_arrives_and_it_may_go_on(guarded: Broker) -> None:
    with worker(guarded) as listener, Device(guarded.port, "gauge-7", PASSWORD) as sensor:
        listener.listen("cc/v1/#")
        sensor.answer()
        for topic in (
            "cc/v1/321302/gauge-8/reading",
            "cc/v1/321311/gauge-7/reading",
            f"{OWN}/ack",
            "$SYS/broker/uptime",
        ):
            sensor.say(topic)
        sensor.say(f"{OWN}/reading")
        sensor.say(f"{OWN}/state", b"online")
        assert [listener.heard.get(timeout=30).topic for _ in range(2)] == [f"{OWN}/reading", f"{OWN}/state"]


@pytest.mark.parametrize("protocol", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
def test_what_is_too_large_comes_to_the_worker_once_and_its_sender_goes_on(
    guarded: Broker, protocol: MQTTProtocolVersion
) -> None:
    """The worker keeps it with the reason; a broker that refuses it would lose it or have it sent for ever."""
    with worker(guarded) as listener, Device(guarded.port, "gauge-7", PASSWORD, protocol=protocol) as sensor:
        listener.listen("cc/v1/#")
        assert sensor.answer() == "Success"
        sensor.say(f"{OWN}/reading", b"x" * (LARGEST_PAYLOAD + 1))
        sensor.say(f"{OWN}/state", b"online")
        assert [listener.heard.get(timeout=30).topic for _ in range(2)] == [f"{OWN}/reading", f"{OWN}/state"]
        assert sensor.answers.empty(), "it was not thrown out"


def test_a_sensor_hears_neither_others_nor_the_broker_whatever_it_subscribes_to(guarded: Broker) -> None:
    with worker(guarded) as speaker, Device(guarded.port, "gauge-7", PASSWORD) as sensor:
        for topic in ("#", "$SYS/#", "+/+/+/+/+", f"{OWN}/ack"):
            sensor.listen(topic)
        for topic in ("cc/v1/321302/gauge-8/ack", f"{OWN}/reading", "cc/v1/321311/gauge-7/ack", f"{OWN}/ack"):
            speaker.say(topic)
        assert sensor.heard.get(timeout=30).topic == f"{OWN}/ack"
        assert all(sensor.heard.get().topic == f"{OWN}/ack" for _ in range(sensor.heard.qsize()))


@pytest.mark.parametrize("will", ["cc/v1/321302/gauge-8/state", "cc/v1/321302/$link/state", "$SYS/broker/uptime"])
def test_a_will_in_anothers_name_is_not_carried_out(guarded: Broker, will: str) -> None:
    with worker(guarded) as listener:
        listener.listen("#")
        with Device(guarded.port, "gauge-7", PASSWORD, will=will) as sensor:
            if sensor.answer() == "Success":
                sensor.client.loop_stop()
                found = sensor.client.socket()
                assert found is not None
                found.close()
        with worker(guarded) as last:
            last.say("cc/v1/mark")
            assert until_mark(listener) == []


def test_a_publish_to_a_wildcard_costs_the_connection_and_reaches_nobody(guarded: Broker) -> None:
    with worker(guarded) as listener, Device(guarded.port, "gauge-7", PASSWORD) as sensor:
        listener.listen("cc/v1/#")
        assert sensor.answer() == "Success"
        found = sensor.client.socket()
        assert found is not None
        topic = b"cc/v1/321302/+/reading"
        found.sendall(b"\x30" + bytes([len(topic) + 4]) + len(topic).to_bytes(2, "big") + topic + b"\x00{")
        assert sensor.answer().startswith("gone")
        with worker(guarded) as last:
            last.say("cc/v1/mark")
            assert until_mark(listener) == []


def provision(database: Database, *arguments: str | Path) -> Result:
    environment = {"CC_DATABASE_URL": database.worker_url}
    return CliRunner().invoke(main, ["sensors", "provision", *map(str, arguments)], env=environment)


def secrets_of(file: Path) -> dict[str, str]:
    with file.open(encoding="utf-8", newline="") as stream:
        return {row["username"]: row["password"] for row in csv.DictReader(stream)}


def test_provisioned_sensors_get_in_at_once_keep_their_accounts_and_lose_them_when_revoked(
    database: Database, var: Path, guarded: Broker, tmp_path: Path
) -> None:
    build(database)
    before = guarded.folder / "passwords"
    owner = before.stat().st_uid
    made = provision(database, "water-1", "gas-1", "--out", tmp_path / "a.csv", "--broker", guarded.folder)
    assert made.exit_code == 0, made.output
    assert "2 accounts made" in made.output
    handed = secrets_of(tmp_path / "a.csv")
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o600
    assert set(handed) == {"water-1", "gas-1"}
    assert not any(secret in made.output for secret in handed.values())
    assert (before.stat().st_uid, stat.S_IMODE(before.stat().st_mode)) == (owner, 0o600)

    def gets_in(name: str, secret: str) -> bool:
        with Device(guarded.tls_port, name, secret, guarded.authority) as sensor:
            return sensor.answer() == "Success"

    assert gets_in("water-1", handed["water-1"])
    assert gets_in("gauge-7", PASSWORD), "the others stay"
    with worker(guarded) as listener, Device(guarded.port, "gas-1", handed["gas-1"]) as gas:
        listener.listen("cc/v1/#")
        gas.answer()
        gas.say("cc/v1/321302/gas-1/reading")
        gas.say("cc/v1/321322/gas-1/reading")
        assert listener.heard.get(timeout=30).topic == "cc/v1/321322/gas-1/reading"

    rotated = provision(database, "water-1", "--rotate", "--out", tmp_path / "b.csv", "--broker", guarded.folder)
    assert rotated.exit_code == 0, rotated.output
    assert not gets_in("water-1", handed["water-1"])
    assert gets_in("water-1", secrets_of(tmp_path / "b.csv")["water-1"])
    everybody = provision(database, "--all", "--out", tmp_path / "c.csv", "--broker", guarded.folder)
    assert set(secrets_of(tmp_path / "c.csv")) == {"water-2", "water-far", "vehicle-1"}, everybody.output
    assert "secrets" not in provision(database, "--all", "--broker", guarded.folder).output

    assert provision(database, "gas-1", "--revoke", "--broker", guarded.folder).exit_code == 0
    assert not gets_in("gas-1", handed["gas-1"])
    engine = worker_engine(database.worker_url, pool_size=1)
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT sensor, algorithm, digest, issued_at FROM sensor_credentials")).all()
        having = connection.execute(text("SELECT id FROM sensors WHERE credential_at IS NOT NULL")).scalars()
        assert set(having) == {row.sensor for row in stored} == {"water-1", "water-2", "water-far", "vehicle-1"}
    engine.dispose()
    assert {row.algorithm for row in stored} == {"pbkdf2-sha512"}
    assert not any(secret in row.digest for row in stored for secret in handed.values())
    again = private_broker.initialise(var.parent / "other", [private_broker.worker_account(var)])
    assert "water-1" not in (again.folder / "passwords").read_text()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nobody"], "'nobody' is not in the catalogue"),
        (["water-1"], "--out FILE"),
        (["--rotate"], "name sensors, or --all"),
        (["--revoke", "--all"], "names of sensors only"),
        (["water-1", "--out", "{there}"], "never written over"),
        (["water-1", "--out", "{nowhere}/x.csv"], "No such file"),
    ],
)
def test_a_wish_that_cannot_be_met_is_one_line_and_changes_nothing(
    module_database: Database, guarded: Broker, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    engine = worker_engine(module_database.worker_url, pool_size=1)
    with engine.connect() as connection:
        empty = connection.execute(text("SELECT count(*) FROM regions")).scalar_one() == 0
    engine.dispose()
    if empty:
        build(module_database)
    (tmp_path / "there").touch()
    places = {"there": str(tmp_path / "there"), "nowhere": str(tmp_path / "nowhere")}
    before = (guarded.folder / "passwords").read_text()
    found = provision(module_database, *(one.format(**places) for one in arguments), "--broker", guarded.folder)
    assert found.exit_code == 2
    assert problem in found.output
    assert found.output.count("\n") == 1
    assert (guarded.folder / "passwords").read_text() == before


def test_sensors_keep_their_accounts_when_the_private_broker_starts_anew(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="cc test "))
    folder.chmod(0o755)
    try:
        broker = private_broker.initialise(folder / "var", [private_broker.worker_account(folder / "var")])
        with (broker.folder / "topics.acl").open("a") as acl, (broker.folder / "passwords").open("a") as passwords:
            acl.write("user gauge-9\ntopic write cc/v1/321302/gauge-9/reading\n")
            passwords.write("gauge-9:$7$kept\nleft-over:$7$gone\n")
        again = private_broker.initialise(folder / "var", [private_broker.worker_account(folder / "var")])
        kept = (again.folder / "passwords").read_text()
        assert "gauge-9:$7$kept" in kept
        assert "left-over" not in kept
        assert (again.folder / "topics.acl").read_text().count("user gauge-9") == 1
        assert again.authority.read_text() == broker.authority.read_text()
    finally:
        shutil.rmtree(folder)


def test_certificates_are_made_for_the_hosts_that_are_named(tmp_path: Path) -> None:
    made = CliRunner().invoke(
        main, ["broker-certificates", str(tmp_path), "--host", "broker.example", "--host", "10.0.0.7"]
    )
    assert made.exit_code == 0, made.output
    first = (tmp_path / "server.crt").read_text()
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600
    CliRunner().invoke(main, ["broker-certificates", str(tmp_path), "--host", "broker.example", "--host", "10.0.0.7"])
    assert (tmp_path / "server.crt").read_text() == first
    refused = CliRunner().invoke(main, ["broker-certificates", str(tmp_path), "--host", "a,DNS:b"])
    assert refused.exit_code == 2
    assert "no host name" in refused.output
