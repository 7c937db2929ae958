"""A worker that takes its time between the event log and the commit: ``python -m tests.faults.slow_commit [lockless]``.

``lockless``: it appends to the log without the lock that all processes share, as the obvious program does. Everything else is
ours in both.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from command_center.event import log
from command_center.worker import Worker
from config.log import start_logging
from config.settings import from_environment

_COMMITS_AFTER_S = 0.3


def main(lockless: bool) -> None:
    if lockless:
        # A lock of its own, which nobody else waits for.
        log._LOCK = os.getpid()

    def checkpoint(point: str) -> None:
        if point == "before_commit":
            time.sleep(_COMMITS_AFTER_S)

    Worker(from_environment(os.environ), start_logging("worker"), threading.Event(), checkpoint).run()


if __name__ == "__main__":
    main(sys.argv[1:] == ["lockless"])
