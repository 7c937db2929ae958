"""A worker that the kernel kills at a named point, here the third time it comes there:
``python -m tests.killed_worker before_commit 3``.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter

from command_center.worker import Worker
from config.log import start_logging
from config.settings import from_environment


def live(fatal: str, nth: int = 1, kind: type[Worker] = Worker) -> None:
    """Work until the point comes for the ``nth`` time."""
    passed: Counter[str] = Counter()

    def checkpoint(point: str) -> None:
        passed[point] += 1
        if point == fatal and passed[point] == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    kind(from_environment(os.environ), start_logging("worker"), threading.Event(), checkpoint).run()


if __name__ == "__main__":
    live(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)
