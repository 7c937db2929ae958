"""A worker that acknowledges before it commits, as the obvious program does; otherwise ours. Lives as ``mortal_worker``."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from command_center.worker import Worker
from ingest.message import Message, acknowledge
from tests.faults.mortal_worker import main

_UNTIL_IT_IS_SENT_S = 0.3


class Hasty(Worker):
    """What is handled is acknowledged first."""

    def _handle(self, work: list[Sequence[Message]]) -> None:
        for part in work:
            acknowledge(part)
        time.sleep(_UNTIL_IT_IS_SENT_S)
        super()._handle(work)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:], Hasty)
