"""A merge that the kernel kills at a named point: ``python -m tests.killed_merge JOB ATTEMPT merged``."""

from __future__ import annotations

import os
import signal
import sys

from command_center.merge_job import Claim, run
from config.database import worker_engine
from config.settings import from_environment


def main(job: int, attempt: int, fatal: str) -> None:
    def checkpoint(point: str) -> None:
        if point == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    run(worker_engine(from_environment(os.environ).database_url), Claim(job, attempt), checkpoint)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
