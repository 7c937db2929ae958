from __future__ import annotations

import os
from pathlib import Path

import pytest

from command_center.local.lock import AlreadyRunning, held
from tests.command_center.local.process import run_script
from tests.waiting import wait_until

HOLD_AND_LINGER = """
import sys, time
from pathlib import Path
from command_center.local.lock import held
with held(Path(sys.argv[1])):
    (Path(sys.argv[1]) / "holding").touch()
    time.sleep(600)
"""


def test_a_folder_in_use_is_refused_with_the_process_that_has_it(tmp_path: Path) -> None:
    with (
        held(tmp_path),
        pytest.raises(AlreadyRunning, match=rf"process {os.getpid()}\): stop it, or pass"),
        held(tmp_path),
    ):
        pass


def test_a_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with held(tmp_path):
            pass


def test_the_lock_of_a_holder_that_was_killed_is_free(tmp_path: Path) -> None:
    holder = run_script(HOLD_AND_LINGER, str(tmp_path), log=tmp_path / "holder.log")
    try:
        wait_until((tmp_path / "holding").exists, what="the holder")
        with pytest.raises(AlreadyRunning, match=f"process {holder.pid}"), held(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
    with held(tmp_path):
        pass
