from __future__ import annotations

import queue
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from command_center.broker_file import topics
from command_center.local import broker as private_broker
from command_center.local.broker import Broker, BrokerAccount, UnfitAccount
from command_center.local.child import Program, spawn, stop
from tests.waiting import wait_until

LAST = "cc/v1/321302/last/reading"


@pytest.fixture
def var() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cc test "))
    folder.chmod(0o755)
    yield folder / "var"
    shutil.rmtree(folder)


def accounts(var: Path) -> list[BrokerAccount]:
    gateway = BrokerAccount("gateway", "g" * 20, write=["cc/v1/321302/demo-1/#"], read=["cc/v1/321302/demo-1/ack"])
    sensor = BrokerAccount("gauge-7", "s" * 20, *topics("321302", "gauge-7"))
    return [private_broker.worker_account(var), gateway, sensor]


@contextmanager
def connected(broker: Broker, username: str, client_id: str = "") -> Iterator[mqtt.Client]:
    """A stock client that is through its log-in; ``client_id`` makes a session that outlives the connection."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=not client_id)
    address = urlsplit(broker.url(username))
    client.username_pw_set(address.username, address.password)
    client.user_data_set(queue.Queue())
    client.on_message = lambda _client, arrived, message: arrived.put(message.topic)
    through = threading.Event()
    client.on_connect = lambda *_: through.set()
    assert address.hostname is not None
    assert address.port is not None
    client.connect(address.hostname, address.port)
    client.loop_start()
    try:
        assert through.wait(10)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def arrivals(client: mqtt.Client) -> queue.Queue[str]:
    """The topics of what has come in since the log-in."""
    arrived = client.user_data_get()
    assert isinstance(arrived, queue.Queue)
    return arrived


def subscribe(client: mqtt.Client, topic: str) -> queue.Queue[str]:
    """The topics of what arrives, once the broker has granted the subscription."""
    granted = threading.Event()
    client.on_subscribe = lambda *_: granted.set()
    client.subscribe(topic, qos=1)
    assert granted.wait(10)
    return arrivals(client)


def publish(client: mqtt.Client, topic: str) -> None:
    client.publish(topic, b"{}", qos=1).wait_for_publish(10)


def delivered(broker: Broker, username: str, topics: list[str]) -> list[str]:
    """Which of these publishes reach the worker. A permitted one at the end shows that none is still under way."""
    with connected(broker, "worker") as worker, connected(broker, username) as client:
        arrived = subscribe(worker, "cc/v1/#")
        for topic in topics:
            publish(client, topic)
        publish(worker, LAST)
        return list(iter(lambda: arrived.get(timeout=10), LAST))


def test_a_gateway_reaches_the_worker_under_its_own_sensors_only(var: Path) -> None:
    mine = ["cc/v1/321302/demo-1/reading", "cc/v1/321302/demo-1/state", "cc/v1/321302/demo-1/raw/frigate/events"]
    others = ["cc/v1/321302/demo-2/reading", "cc/v1/321311/demo-1/reading", "cc/v2/321302/demo-1/reading"]
    with private_broker.running(var, accounts(var)) as broker:
        assert delivered(broker, "gateway", [*others, *mine]) == mine


def test_a_sensor_reaches_the_worker_under_its_own_name_only(var: Path) -> None:
    mine = ["cc/v1/321302/gauge-7/reading", "cc/v1/321302/gauge-7/raw/vendor/x"]
    others = ["cc/v1/321302/gauge-8/reading", "cc/v1/321302/gauge-7/x", "cc/v1/321302/demo-1/reading"]
    others += [
        "cc/v1/321311/gauge-7/reading",
        "cc/v1/321302/gauge-7/ack",
        "cc/v1/321302/$link/state",
        "$SYS/broker/version",
    ]
    with private_broker.running(var, accounts(var)) as broker:
        assert delivered(broker, "gauge-7", [*others, *mine]) == mine


def test_a_sensor_hears_its_own_receipts_and_nothing_else(var: Path) -> None:
    mine = "cc/v1/321302/gauge-7/ack"
    with (
        private_broker.running(var, accounts(var)) as broker,
        connected(broker, "gauge-7") as sensor,
        connected(broker, "worker") as worker,
    ):
        arrived = subscribe(sensor, "cc/v1/#")
        for topic in ("cc/v1/321302/gauge-8/ack", "cc/v1/321302/gauge-7/reading", mine):
            publish(worker, topic)
        assert arrived.get(timeout=10) == mine
        assert arrived.empty()


@pytest.mark.parametrize(("username", "password"), [("", ""), ("worker", "wrong"), ("nobody", "x")])
def test_nobody_gets_in_without_name_and_password(broker: Broker, username: str, password: str) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(username or None, password or None)
    answers: queue.Queue[bool] = queue.Queue()
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.put(reason.is_failure)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        assert answers.get(timeout=10) is True
    finally:
        client.loop_stop()


def test_a_broker_killed_with_kill_9_forgets_at_most_the_changes_since_its_last_save(var: Path) -> None:
    count = 2 * private_broker.SAVED_AFTER + 500
    broker, process = private_broker.start(var, accounts(var))
    with connected(broker, "worker", "the-worker") as worker:
        subscribe(worker, "cc/v1/#")
    with connected(broker, "gateway") as gateway:
        sent = [gateway.publish(f"cc/v1/321302/demo-1/{number}", b"{}", qos=1) for number in range(count)]
        for message in sent:
            message.wait_for_publish(30)
    process.kill()
    process.wait()
    with (
        private_broker.running(var, accounts(var)) as again,
        connected(again, "worker", "the-worker") as worker,
    ):
        kept = count - private_broker.SAVED_AFTER
        topics = [arrivals(worker).get(timeout=30) for _ in range(kept)]
    assert topics == [f"cc/v1/321302/demo-1/{number}" for number in range(kept)]


def test_a_broker_still_running_on_the_folder_is_stopped_first(var: Path) -> None:
    _, first = private_broker.start(var, accounts(var))
    said: list[str] = []
    with private_broker.running(var, accounts(var), said.append) as broker:
        assert first.poll() is not None
        assert private_broker.accepts_connections(broker)
    assert any("earlier run" in line for line in said)


def test_a_broker_with_the_folder_of_another_copy_is_left_alone(var: Path, broker: Broker) -> None:
    with private_broker.running(var, accounts(var)) as other:
        assert other.port != broker.port
    assert private_broker.accepts_connections(broker)


def test_a_program_that_only_mentions_the_configuration_is_left_alone(var: Path) -> None:
    settings = var / "mosquitto" / "mosquitto.conf"
    reader = Program("reader", ("/bin/sh", "-c", "sleep 600", str(settings)), var.parent / "reader.log")
    process = spawn(reader)
    try:
        with private_broker.running(var, accounts(var)):
            assert process.poll() is None
    finally:
        stop(process, reader)


def test_passwords_are_stored_hashed_and_for_the_broker_alone(var: Path) -> None:
    with private_broker.running(var, accounts(var)) as broker:
        stored = broker.folder / "passwords"
        assert "g" * 20 not in stored.read_text()
        assert stored.stat().st_mode & 0o777 == 0o600
        assert "g" * 20 not in repr(broker)


@pytest.mark.parametrize(
    ("username", "password", "topic"),
    [
        ("a:b", "password", "cc/v1/#"),
        ("a b", "password", "cc/v1/#"),
        ("a\nuser worker", "password", "cc/v1/#"),
        ("+", "password", "cc/v1/#"),
        ("", "password", "cc/v1/#"),
        ("gateway", "", "cc/v1/#"),
        ("gateway", "pass:word", "cc/v1/#"),
        ("gateway", "pass\nword", "cc/v1/#"),
        ("gateway", "password", "cc/v1/#\ntopic readwrite #"),
        ("gateway", "password", ""),
    ],
)
def test_an_account_that_would_write_other_lines_into_the_files_is_refused(
    username: str, password: str, topic: str
) -> None:
    with pytest.raises(UnfitAccount):
        BrokerAccount(username, password, write=[topic])


def test_a_message_above_the_limit_is_not_delivered_and_the_broker_goes_on(var: Path) -> None:
    with private_broker.running(var, accounts(var)) as broker:
        with connected(broker, "gateway") as gateway:
            gone = threading.Event()
            gateway.on_disconnect = lambda *_: gone.set()
            gateway.publish("cc/v1/321302/demo-1/reading", b"x" * 2_000_000, qos=0)
            assert gone.wait(10)
        assert delivered(broker, "gateway", ["cc/v1/321302/demo-1/state"]) == ["cc/v1/321302/demo-1/state"]


def test_the_worker_reads_the_figures_of_the_broker(broker: Broker) -> None:
    with connected(broker, "worker") as worker:
        arrived = subscribe(worker, "$SYS/broker/version")
        wait_until(lambda: not arrived.empty(), what="a figure of the broker")
