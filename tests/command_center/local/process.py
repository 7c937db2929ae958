"""Looking at processes from outside, for tests that kill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not yet collected by its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def children(pid: int) -> list[int]:
    """The process ids of the living children of a process."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [int(child) for child in found if is_alive(int(child))]


def run_script(text: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
    """A Python process of its own that can import what this one can."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with log.open("ab") as stream:
        argv = [sys.executable, "-c", text, *arguments]
        return subprocess.Popen(argv, env=environment, stdout=stream, stderr=stream, start_new_session=True)
