"""A process of the product that can be killed and started again."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from subprocess import Popen

from tests import processes
from tests.waiting import wait_until

STARTS_S = 60.0


class Part:
    """One process at a time of one program."""

    def __init__(self, *arguments: str, settings: Mapping[str, str]) -> None:
        self._arguments, self._settings = arguments, settings
        self._stack = ExitStack()
        self.process: Popen[bytes] | None = None

    def start(self, *more: str) -> Popen[bytes]:
        """Start it, with ``more`` arguments."""
        arguments = [*self._arguments, *more]
        self.process = self._stack.enter_context(processes.running(arguments, self._settings))
        return self.process

    def kill(self) -> None:
        """SIGKILL; nothing of it goes on."""
        if self.process is not None:
            # The whole group: it may have forked.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.stop()

    def stop(self) -> None:
        """End it as a service manager would; safe to repeat."""
        self.process = None
        self._stack.close()


def answers(url: str) -> bool:
    """Whether the web process there is alive."""
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_for_web(url: str) -> None:
    """Return once the web process answers."""
    wait_until(lambda: answers(url), STARTS_S, "the web process answers")
