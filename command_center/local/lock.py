"""One ``up`` for one ``var`` folder: a lock that the kernel releases when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunning(Exception):
    """Another process has this ``var`` folder in use."""


@contextmanager
def held(var: Path) -> Iterator[None]:
    """Hold the folder's lock for the length of a ``with`` block; AlreadyRunning names the process that has it."""
    path = var / "up.lock"
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "r+", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = stream.read().strip() or "unknown"
            text = f"command-center up already runs on {var} (process {holder}): stop it, or pass another folder with --var"
            raise AlreadyRunning(text) from None
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        yield
