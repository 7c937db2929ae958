from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from command_center.local import child
from command_center.local.child import Program, ServerFailed
from command_center.local.supervisor import StepFailed, StopRequested, Supervisor
from tests.command_center.local.process import children, is_alive, run_script
from tests.waiting import wait_until

# Two children: one with a child of its own; each notes the order in which it ends.
SUPERVISE = """
import sys
from pathlib import Path
from command_center.local.child import Program
from command_center.local.supervisor import StopRequested, Supervisor

folder = Path(sys.argv[1])
script = 'trap "echo $1 >> ended; exit 0" TERM; sleep 600 & while :; do wait; done'
environment = {"PATH": "/usr/bin:/bin"}
with Supervisor(lambda text: print(text, flush=True)) as supervisor:
    try:
        for name in ("first", "second"):
            argv = ("/bin/sh", "-c", f"cd '{folder}'; {script}", "sh", name)
            supervisor.start(Program(name, argv, folder / f"{name}.log", environment))
        if len(sys.argv) > 2:
            supervisor.start(Program("slow", ("sleep", "600"), folder / "slow.log", environment), lambda: False, 600)
        print("all started", flush=True)
        supervisor.watch()
    except StopRequested:
        print("stopped while starting", flush=True)
"""


@contextmanager
def supervising(folder: Path, *arguments: str, expect: str = "all started") -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor in a process of its own that has said what is expected."""
    log = folder / "supervisor.log"
    process = run_script(SUPERVISE, str(folder), *arguments, log=log)
    try:
        wait_until(lambda: expect in log.read_text(), what=f"{expect!r}: {log.read_text()}")
        yield process
    finally:
        process.send_signal(signal.SIGSTOP)  # or it would start again what is killed next
        kill_groups(children(process.pid))
        if process.poll() is None:
            process.kill()
        process.wait()


def kill_groups(leaders: list[int]) -> None:
    """Nothing may stay behind, whatever a test has found out."""
    for pid in leaders:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def family(pid: int) -> list[int]:
    """The children and grandchildren of a process."""
    found = children(pid)
    return [*found, *(grandchild for child in found for grandchild in children(child))]


def a_program(folder: Path, script: str) -> Program:
    return Program("step", ("/bin/sh", "-c", script), folder / "step.log", {"PATH": "/usr/bin:/bin"})


def test_a_dead_child_is_started_again_and_the_supervisor_says_so(tmp_path: Path) -> None:
    with supervising(tmp_path) as supervisor:
        before = children(supervisor.pid)
        os.kill(before[1], signal.SIGKILL)
        wait_until(lambda: len(set(children(supervisor.pid)) - set(before)) == 1, what="the second start")
        assert before[0] in children(supervisor.pid)
        log = (tmp_path / "supervisor.log").read_text()
    assert "second ended with status -9, starting it again in 0.5 s" in log


def test_what_a_dead_child_left_running_is_gone_before_its_successor_starts(tmp_path: Path) -> None:
    with supervising(tmp_path) as supervisor:
        first = children(supervisor.pid)[0]
        [grandchild] = wait_until(lambda: children(first), what="the grandchild")
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: len(set(children(supervisor.pid)) - {first}) == 2, what="the restart")
        assert not is_alive(grandchild)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_children_in_reverse_order(tmp_path: Path, number: signal.Signals) -> None:
    with supervising(tmp_path) as supervisor:
        relatives = wait_until(
            lambda: pids if len(pids := family(supervisor.pid)) == 4 else [], what="the whole family"
        )
        supervisor.send_signal(number)
        assert supervisor.wait(20) == 0
    assert (tmp_path / "ended").read_text().split() == ["second", "first"]
    assert not any(is_alive(pid) for pid in relatives)


def test_a_signal_while_starting_leaves_no_process(tmp_path: Path) -> None:
    with supervising(tmp_path, "with a slow one", expect="") as supervisor:
        wait_until(lambda: len(children(supervisor.pid)) == 3, what="the slow child")
        relatives = family(supervisor.pid)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(20) == 0
    assert "stopped while starting" in (tmp_path / "supervisor.log").read_text()
    assert not any(is_alive(pid) for pid in relatives)


def test_killing_the_supervisor_leaves_no_child(tmp_path: Path) -> None:
    with supervising(tmp_path) as supervisor:
        started = children(supervisor.pid)
        supervisor.kill()
        supervisor.wait()
    try:
        wait_until(lambda: not any(is_alive(pid) for pid in started), what="the death of the children")
    finally:
        kill_groups(started)  # their own children have nobody to tell them


def test_a_child_that_keeps_dying_is_started_less_and_less_often(tmp_path: Path) -> None:
    said: list[str] = []
    now = time.monotonic()
    with Supervisor(said.append) as supervisor:
        supervisor.start(a_program(tmp_path, "exit 1"))
        [member] = supervisor._members
        for _ in range(8):
            member.process.wait(10)
            now += 1000.0  # the clock is an argument: nobody waits here
            supervisor._look_after(member, now)
            member.started_at = now  # it died young
            supervisor._look_after(member, now + 30.0)
            member.started_at = now + 1000.0
    delays = [float(line.split("again in ")[1].split(" s")[0]) for line in said if "again in" in line]
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_step_passes_on_what_it_says(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(said.append) as supervisor:
        supervisor.run_to_end(a_program(tmp_path, "echo one; echo 二"))
    assert said == ["  one", "  二"]


def test_a_step_that_fails_gives_its_status_and_last_words(tmp_path: Path) -> None:
    with (
        Supervisor(lambda _: None) as supervisor,
        pytest.raises(StepFailed, match="CC_CITY names no folder") as failure,
    ):
        supervisor.run_to_end(a_program(tmp_path, "echo CC_CITY names no folder; exit 2"))
    assert failure.value.status == 2


def test_a_step_is_stopped_by_a_signal(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(said.append) as supervisor, pytest.raises(StopRequested):
        supervisor.run_to_end(a_program(tmp_path, f"echo $$; kill -TERM {os.getpid()}; exec sleep 600"))
    assert not is_alive(int(child.log_since_start(tmp_path / "step.log")))


def test_waiting_for_the_whole_ends_when_a_part_dies(tmp_path: Path) -> None:
    with Supervisor(lambda _: None) as supervisor:
        supervisor.start(a_program(tmp_path, "echo no such column; exit 5"))
        with pytest.raises(StepFailed, match="step ended with status 5: no such column"):
            supervisor.wait_for(lambda: False, 30, "the web server")


def test_waiting_for_the_whole_has_a_deadline(tmp_path: Path) -> None:
    with Supervisor(lambda _: None) as supervisor:
        supervisor.start(a_program(tmp_path, "exec sleep 600"))
        with pytest.raises(ServerFailed, match=r"the web server was not ready within 0.2 s"):
            supervisor.wait_for(lambda: False, 0.2, "the web server")


def test_signals_mean_what_they_meant_before_once_the_supervisor_is_done() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
    with Supervisor(lambda _: None):
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)] == before
