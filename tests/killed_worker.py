"""A worker that the kernel kills at a named point of its first batch: ``python -m tests.killed_worker before_commit``."""

from __future__ import annotations

import os
import signal
import sys
import threading

from command_center.worker import Worker
from config.log import start_logging
from config.settings import from_environment


def main(fatal: str) -> None:
    def checkpoint(point: str) -> None:
        if point == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    Worker(from_environment(os.environ), start_logging("worker"), threading.Event(), checkpoint).run()


if __name__ == "__main__":
    main(sys.argv[1])
