"""The product's own processes, as a service manager would start them, on a test's database and broker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_until


def free_port() -> int:
    """A loopback port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process of the product; what it said is shown when the test fails."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**_plain_environment(), **environment},
            stdout=said,
            stderr=said,
            cwd=Path(__file__).parent.parent,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            said.seek(0)
            print(f"--- {' '.join(arguments)}\n{said.read().decode(errors='replace')[-4000:]}")


def _plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CC_")}


@contextmanager
def web(database_url: str) -> Iterator[str]:
    """The web process, answering; yields its address."""
    port = free_port()
    settings = {"CC_DATABASE_URL": database_url, "CC_HTTP_PORT": str(port)}
    with running(["-m", "command_center.web"], settings) as process:
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert process.poll() is None, "the web process ended"
            try:
                with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        wait_until(answers, timeout_s=30, what="the web process answers")
        yield url


@contextmanager
def worker(
    database_url: str, mqtt_url: str, name: str, *, program: Sequence[str] = ("-m", "command_center.cli", "worker")
) -> Iterator[subprocess.Popen[bytes]]:
    """The worker process. ``name`` is its own at the broker, which keeps for it what it did not acknowledge."""
    settings = {"CC_DATABASE_URL": database_url, "CC_MQTT_URL": mqtt_url, "CC_WORKER_NAME": name}
    with running(program, settings) as process:
        yield process


@contextmanager
def scheduler(database_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """The scheduler process."""
    with running(["-m", "command_center.cli", "scheduler"], {"CC_DATABASE_URL": database_url}) as process:
        yield process
