"""A worker that dies as often as it is told to and is there again at once: ``python -m tests.faults.mortal_worker FILE LIFE…``.

Each LIFE is a process of its own that ends by SIGKILL: ``before_commit`` or ``before_commit:3`` at a named point, the third
time it comes, ``0.7`` after so many seconds, wherever that is. After the last one the worker lives on. FILE holds how many have
ended. All of them are forked from one process that has loaded the product already, so that a life costs a moment.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from command_center.worker import Worker
from tests.killed_worker import live

IMMORTAL = "nowhere"


def main(told: Path, lives: Sequence[str], kind: type[Worker] = Worker) -> None:
    """One life after the other."""
    for ended, end in enumerate((*lives, IMMORTAL)):
        told.write_text(str(ended), encoding="ascii")
        child = os.fork()
        if child == 0:
            _live(end, kind)
            os._exit(0)
        print(f"a worker lives until {end}: {child}", flush=True)
        _die_with(child)
        if _is_span(end):
            time.sleep(float(end))
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _live(end: str, kind: type[Worker]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    point, _, nth = end.partition(":")
    live(IMMORTAL if _is_span(end) else point, int(nth or 1), kind)


def _is_span(end: str) -> bool:
    return end[0].isdigit()


def _die_with(child: int) -> None:
    """When we are told to stop, the worker of now goes too."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
