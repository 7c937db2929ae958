from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from command_center.local import child
from command_center.local.child import PortTaken, Program, ServerFailed
from tests.command_center.local.process import is_alive, run_script
from tests.waiting import wait_until

SPAWN_AND_LINGER = """
import sys, time
from pathlib import Path
from command_center.local.child import Program, spawn
folder = Path(sys.argv[1])
process = spawn(Program("sleeper", ("sleep", "600"), folder / "sleeper.log", {"PATH": "/usr/bin:/bin"}))
(folder / "pid.new").write_text(str(process.pid))
(folder / "pid.new").rename(folder / "pid")
time.sleep(600)
"""

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
)


def a_program(tmp_path: Path, *argv: str, grace_s: float = 8.0) -> Program:
    return Program("the program", argv, tmp_path / "log" / "program.log", {"PATH": "/usr/bin:/bin"}, grace_s=grace_s)


def logged(program: Program, text: str) -> bool:
    return text in child.log_since_start(program.log)


def test_a_child_dies_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = run_script(SPAWN_AND_LINGER, str(tmp_path), log=tmp_path / "parent.log")
    try:
        wait_until((tmp_path / "pid").exists, what="the child")
        pid = int((tmp_path / "pid").read_text())
        assert is_alive(pid)
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not is_alive(pid), what="the death of the child")


def test_a_child_whose_parent_died_before_it_could_ask_for_the_signal_does_not_start(tmp_path: Path) -> None:
    program = a_program(tmp_path, "/bin/sh", "-c", child._CHECK_PARENT, "sh", "1", "sleep", "600")
    process = child.spawn(program)
    assert process.wait(10) == 125


def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    program = a_program(tmp_path, sys.executable, "-c", STUBBORN, grace_s=0.2)
    process = child.spawn(program)
    wait_until(lambda: logged(program, "ready"), what="the stubborn child")
    assert child.stop(process, program) is False
    assert process.returncode == -signal.SIGKILL


def test_stopping_a_child_takes_its_own_children_along(tmp_path: Path) -> None:
    program = a_program(tmp_path, "/bin/sh", "-c", "sleep 600 & echo $!; wait")
    process = child.spawn(program)
    wait_until(lambda: logged(program, "\n"), what="the grandchild")
    grandchild = int(child.log_since_start(program.log))
    assert is_alive(grandchild)
    assert child.stop(process, program) is True
    wait_until(lambda: not is_alive(grandchild), what="the death of the grandchild")


def test_a_program_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    program = a_program(tmp_path, "/bin/sh", "-c", "echo the disk is full; exit 3")
    with pytest.raises(
        ServerFailed, match=r"the program ended at once with status 3: the disk is full \(log: .*program.log"
    ):
        child.launch(program, lambda: False, 10)


def test_a_program_that_is_never_ready_is_stopped_and_reported(tmp_path: Path) -> None:
    program = a_program(tmp_path, "/bin/sh", "-c", "echo $$; exec sleep 600")
    with pytest.raises(ServerFailed, match=r"not ready within 0.5 s"):
        child.launch(program, lambda: False, 0.5)
    assert not is_alive(int(child.log_since_start(program.log)))


def test_a_port_in_use_has_an_event_of_its_own(tmp_path: Path) -> None:
    program = a_program(tmp_path, "/bin/sh", "-c", "echo Error: Address already in use; exit 1")
    with pytest.raises(PortTaken):
        child.launch(program, lambda: False, 10)


def test_a_full_log_is_kept_once_beside_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_LOG_LIMIT_BYTES", 10)
    program = a_program(tmp_path, "/bin/echo", "a line longer than ten bytes")
    for _ in range(2):
        child.spawn(program).wait(10)
    older = program.log.with_suffix(".log.1")
    assert child.log_since_start(older) == child.log_since_start(program.log) == "a line longer than ten bytes\n"


def test_the_last_words_are_those_of_this_start_and_not_of_an_earlier_one(tmp_path: Path) -> None:
    with pytest.raises(PortTaken):
        child.launch(a_program(tmp_path, "/bin/echo", "Address already in use"), lambda: False, 10)
    with pytest.raises(ServerFailed, match="it said nothing") as second:
        child.launch(a_program(tmp_path, "/bin/true"), lambda: False, 10)
    assert not isinstance(second.value, PortTaken)
