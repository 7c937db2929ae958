"""A private Mosquitto on a free loopback port, with accounts, topic rights and storage that survives kill -9.

Mosquitto's own acknowledgement does not mean "stored": with its defaults a kill -9 loses whatever came in since the last
half-hourly save. So this one saves on change (``autosave_on_changes``), which also is what deploy/mosquitto.conf shows:
every SAVED_AFTER changes, because a save writes all that waits. With one at each change and 20,000 messages waiting for a
worker it takes 65 messages a second; with 1,000 it goes on taking 9,000.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote

from command_center.broker_file import (
    SALT_BYTES,
    digest,
    logins_in,
    password_text,
    people_part,
    rights,
    sensor_part,
    users,
)
from command_center.local import certificate, child
from command_center.local.child import Program, ServerFailed
from command_center.local.postgres import free_port
from command_center.local.secret import secret
from command_center.local.server_folder import elsewhere_path, give, server_folder, server_user

WORKER = "worker"
_HOST = "127.0.0.1"
READY_S = 20.0
SAVED_AFTER = 1000
"""Changes (a message taken in, handed on or acknowledged) that a sudden end of the broker may cost."""
_PORT_ATTEMPTS = 5
_MAX_PACKET_BYTES = 1024 * 1024
_SIGNED_FOR = ("127.0.0.1", "localhost")
_MAX_QUEUED_BYTES = 512 * 1024 * 1024
# No colon, although a sensor id may have one: it ends the name in Mosquitto's password file.
_USERNAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PASSWORD = re.compile(r"[!-9;-~]{1,128}")
_TOPIC_FILTER = re.compile(r"[^\x00-\x1f\x7f]{1,512}")


class UnfitAccount(Exception):
    """A broker account whose name, password or topics cannot be written into Mosquitto's files."""


@dataclass(frozen=True)
class BrokerAccount:
    """A user of the broker and the topic filters it may publish to and receive from."""

    username: str
    password: str = field(repr=False)
    write: Sequence[str] = ()
    read: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not _USERNAME.fullmatch(self.username):
            raise UnfitAccount(f"{self.username!r} is no broker user name: 1 to 64 of A-Z a-z 0-9 _ . -")
        if not _PASSWORD.fullmatch(self.password):
            raise UnfitAccount(
                f"The password of {self.username} is not 1 to 128 printable characters without blank or colon"
            )
        for topic in (*self.write, *self.read):
            if not _TOPIC_FILTER.fullmatch(topic) or topic != topic.strip():
                raise UnfitAccount(f"{topic!r} is no topic filter for {self.username}")


@dataclass(frozen=True)
class Broker:
    """A private broker: where it is and who may log in. ``folder`` holds its files, ``user`` is the system user or None.

    ``tls_port`` is the same broker behind encryption, to be trusted by ``authority`` (PEM).
    """

    folder: Path
    port: int
    tls_port: int
    authority: Path
    log: Path
    user: str | None
    passwords: Mapping[str, str] = field(repr=False)
    host: str = _HOST

    def url(self, username: str) -> str:
        """``mqtt://username:password@host:port``; generated passwords need no quoting."""
        return f"mqtt://{username}:{self.passwords[username]}@{self.host}:{self.port}"

    def tls_url(self, username: str) -> str:
        """The same, encrypted; the authority's file is named in it."""
        login = f"{username}:{self.passwords[username]}@{self.host}:{self.tls_port}"
        return f"mqtts://{login}?ca={quote(str(self.authority))}"


def _say_nothing(_: str) -> None:
    return


def worker_account(var: Path, gateways: Sequence[str] = ()) -> BrokerAccount:
    """The account of our own worker: everything below cc/v1, the broker's own figures, and the topics of ``gateways``."""
    # It also writes there: an edge node of Sparkplug is asked for its births on its own topics.
    write, read = ("cc/v1/#", *gateways), ("cc/v1/#", "$SYS/#", *gateways)
    return BrokerAccount(WORKER, secret(var, "mqtt_worker"), write=write, read=read)


def initialise(var: Path, accounts: Sequence[BrokerAccount], say: Callable[[str], None] = _say_nothing) -> Broker:
    """Write configuration, certificates, passwords and topic rights under ``var``; stop what a killed owner left running there.

    Sensors that were provisioned keep their accounts.
    """
    var.mkdir(parents=True, exist_ok=True)
    user = server_user("mosquitto")
    folder = server_folder(var, "mosquitto", user, say)
    recover(folder, say)
    passwords = {account.username: account.password for account in accounts}
    signed = certificate.ensure(var / "tls", _SIGNED_FOR)
    log = var / "log" / "mosquitto.log"
    broker = Broker(folder, free_port(), free_port(), signed.authority, log, user, passwords)
    for file, source in (("server.crt", signed.server), ("server.key", signed.server_key)):
        _write(folder / file, source.read_text("utf-8"), user)
    _write(folder / "mosquitto.conf", configuration(broker), user)
    provisioned = sensor_part(_text(folder / "topics.acl"))
    kept = logins_in(_text(folder / "passwords"))
    _write(folder / "topics.acl", topic_rights(accounts) + provisioned, user)
    digests = {name: digest(password, os.urandom(SALT_BYTES)) for name, password in passwords.items()}
    digests |= {name: kept[name] for name in users(provisioned) if name in kept and name not in digests}
    _write(folder / "passwords", password_text(digests), user)
    return broker


def folder_of(var: Path) -> Path:
    """Where the private broker of an ``up`` on this folder keeps its files, whether it ever ran or not."""
    beside = elsewhere_path(var) / "mosquitto"
    return beside if (beside / "mosquitto.conf").is_file() else var / "mosquitto"


def running_pid(folder: Path) -> int | None:
    """The process that runs with the configuration in this folder."""
    return next(iter(_running_with(folder / "mosquitto.conf")), None)


def configuration(broker: Broker) -> str:
    """The text of mosquitto.conf. A path runs to the end of its line, so blanks need no quotes."""
    return "\n".join(
        [
            "per_listener_settings false",
            f"listener {broker.port} {broker.host}",
            f"listener {broker.tls_port} {broker.host}",
            f"certfile {broker.folder / 'server.crt'}",
            f"keyfile {broker.folder / 'server.key'}",
            "tls_version tlsv1.2",
            "allow_anonymous false",
            f"password_file {broker.folder / 'passwords'}",
            f"acl_file {broker.folder / 'topics.acl'}",
            "persistence true",
            f"persistence_location {broker.folder}/",
            "autosave_on_changes true",
            f"autosave_interval {SAVED_AFTER}",
            # A worker that was away for an hour must find everything: the bound is memory, not a count. Not 0 for "no
            # bound": with it Mosquitto 2.0 hangs up on whoever publishes to a forbidden topic.
            "max_queued_messages 10000000",
            f"max_queued_bytes {_MAX_QUEUED_BYTES}",
            "max_inflight_messages 2000",
            # No message_size_limit: with it Mosquitto 2.0 says "received" to MQTT 3.1.1 and drops the message; its answer to
            # MQTT 5 makes paho hang up, connect and send the same again for ever. The worker keeps what is too large.
            f"max_packet_size {_MAX_PACKET_BYTES}",
            "max_keepalive 600",
            "set_tcp_nodelay true",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "",
        ]
    )


def topic_rights(accounts: Sequence[BrokerAccount]) -> str:
    """The part of the topic file that stands above the sensors': each account's topics."""
    return people_part("\n".join(rights(account.username, account.write, account.read) for account in accounts))


def program(broker: Broker) -> Program:
    """How to run this broker in the foreground; SIGTERM makes it save and end."""
    return Program(
        name="Mosquitto",
        argv=(_binary("mosquitto"), "-c", str(broker.folder / "mosquitto.conf")),
        log=broker.log,
        environment=child.clean_environment(),
        user=broker.user,
        death_signal=signal.SIGTERM,
        stop_signals=(signal.SIGTERM,),
    )


def accepts_connections(broker: Broker) -> bool:
    """Whether something accepts TCP connections on the broker's port."""
    try:
        socket.create_connection((broker.host, broker.port), timeout=2).close()
    except OSError:
        return False
    return True


def start(
    var: Path, accounts: Sequence[BrokerAccount], say: Callable[[str], None] = _say_nothing
) -> tuple[Broker, subprocess.Popen[bytes]]:
    """Write the broker's files, start it and wait until it accepts connections. ServerFailed names the reason."""
    for _ in range(_PORT_ATTEMPTS):
        broker = initialise(var, accounts, say)
        try:
            return broker, child.launch(program(broker), partial(accepts_connections, broker), READY_S)
        except child.PortTaken:
            continue
    raise ServerFailed("No loopback port stayed free long enough for Mosquitto")


def stop(broker: Broker, process: subprocess.Popen[bytes]) -> None:
    """End the broker; it saves what it holds."""
    child.stop(process, program(broker))


@contextmanager
def running(
    var: Path, accounts: Sequence[BrokerAccount], say: Callable[[str], None] = _say_nothing
) -> Iterator[Broker]:
    """A broker for the length of a ``with`` block."""
    broker, process = start(var, accounts, say)
    try:
        yield broker
    finally:
        stop(broker, process)


def recover(folder: Path, say: Callable[[str], None] = _say_nothing) -> None:
    """Stop a Mosquitto of a killed owner that still runs with this folder's configuration: two would share one store."""
    for number, grace_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        left = _running_with(folder / "mosquitto.conf")
        if not left:
            return
        say("a Mosquitto of an earlier run is still on this folder: stopping it")
        for pid in left:
            os.kill(pid, number)
        deadline = time.monotonic() + grace_s
        while _running_with(folder / "mosquitto.conf") and time.monotonic() < deadline:
            time.sleep(0.05)


def _running_with(settings: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile
        if words[0].endswith(b"mosquitto") and os.fsencode(settings) in words:
            found.append(int(entry.name))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str, user: str | None) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    give(path, user)


def _binary(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        raise ServerFailed(f"{name} is not installed: run deploy/setup.sh or `make setup`")
    return found
