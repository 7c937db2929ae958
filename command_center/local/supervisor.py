"""Starts processes in order, keeps them running and stops them in reverse order.

Signals only set a flag and wake the loop; every wait looks at the flag. So a signal can never fall between the birth of a
child and its entry in our list, and stopping works the same at any moment. Children die with us even on SIGKILL (child.py).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

from command_center.local import child
from command_center.local.child import Program, ServerFailed

_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
_STEADY_S = 60.0
_LOOK_S = 0.5
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(Exception):
    """Somebody asked us to stop: Ctrl-C, SIGTERM or a closed terminal."""


class StepFailed(Exception):
    """A step that must succeed before the start can go on ended with an error."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class _Member:
    program: Program
    process: subprocess.Popen[bytes]
    before_restart: Callable[[], None]
    started_at: float
    failures: int = 0
    restart_at: float | None = field(default=None)


def _nothing() -> None:
    return


class Supervisor:
    """The processes of one ``up``. Use as a context manager, in the main thread: leaving the block stops all of them.

    ``say`` gets one line for everything worth a person's attention.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._members: list[_Member] = []
        self._stop_requested = False
        self._previous: dict[signal.Signals, Any] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._previous_wake = -1

    def __enter__(self) -> Supervisor:
        self._previous_wake = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (*_STOP_SIGNALS, signal.SIGCHLD):
            # nohup and shells in the background set signals to be ignored on purpose; only SIGINT we want regardless.
            if number is signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            for number, previous in self._previous.items():
                signal.signal(number, previous)
            signal.set_wakeup_fd(self._previous_wake)
            os.close(self._wake_read)
            os.close(self._wake_write)

    def start(
        self,
        program: Program,
        ready: Callable[[], bool] = lambda: True,
        timeout_s: float = 60.0,
        before_restart: Callable[[], None] = _nothing,
    ) -> None:
        """Start a process that is to run until we stop, and wait until it is ready. ServerFailed, StopRequested."""
        self._check_stop()
        member = _Member(program, child.spawn(program), before_restart, time.monotonic())
        self._members.append(member)
        try:
            child.wait_until_ready(member.process, program, lambda: self._unless_stopped(ready), timeout_s)
        except child.PortTaken:
            self._members.remove(member)
            raise

    def run_to_end(self, program: Program) -> None:
        """Run one step to its end, passing on what it says. StepFailed when it fails, StopRequested when we must stop."""
        self._check_stop()
        process = child.spawn(program)
        said = 0
        try:
            while process.poll() is None:
                self._wait(_LOOK_S)
                said = self._pass_on(program, said)
        finally:
            child.stop(process, program)
        if process.returncode:
            raise StepFailed(f"{program.name} failed: {child.log_tail(program.log)}", process.returncode)
        self._pass_on(program, said)

    def wait_for(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait for a condition of the whole; a process that ends meanwhile ends the wait with StepFailed."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            self._wait(0.1)
            for member in self._members:
                status = member.process.poll()
                if status is not None:
                    name = member.program.name
                    raise StepFailed(f"{name} ended with status {status}: {child.log_tail(member.program.log)}", status)
            if time.monotonic() > deadline:
                raise ServerFailed(f"{what} was not ready within {timeout_s:g} s")

    def watch(self) -> None:
        """Restart whatever ends, later and later the more often it does. Returns when asked to stop."""
        try:
            while True:
                self._wait(_LOOK_S)
                for member in self._members:
                    self._look_after(member, time.monotonic())
        except StopRequested:
            return

    def stop(self) -> None:
        """End all processes, the last one started first."""
        while self._members:
            member = self._members.pop()
            self._say(f"stopping {member.program.name}")
            if not child.stop(member.process, member.program):
                self._say(f"{member.program.name} did not stop in {member.program.grace_s:g} s and was killed")

    def _look_after(self, member: _Member, now: float) -> None:
        """Note an end, and start the process again when its time has come. ``now`` is monotonic seconds."""
        status = member.process.poll()
        if status is None:
            return
        if member.restart_at is None:
            child.stop(member.process, member.program)  # what it left in its group would run beside its successor
            member.failures = 0 if now - member.started_at > _STEADY_S else member.failures
            delay_s = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0**member.failures)
            member.restart_at = now + delay_s
            tail = child.log_tail(member.program.log, lines=1)
            self._say(f"{member.program.name} ended with status {status}, starting it again in {delay_s:g} s: {tail}")
        if now >= member.restart_at:
            member.before_restart()
            member.process = child.spawn(member.program)
            member.started_at, member.restart_at = now, None
            member.failures += 1

    def _wait(self, timeout_s: float) -> None:
        """Sleep until the time is up or a signal came (the end of a child is one); StopRequested if it was to stop."""
        if select.select([self._wake_read], [], [], timeout_s)[0]:
            os.read(self._wake_read, 4096)
        self._check_stop()

    def _check_stop(self) -> None:
        if self._stop_requested:
            raise StopRequested

    def _unless_stopped(self, ready: Callable[[], bool]) -> bool:
        self._check_stop()
        return ready()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._stop_requested = True

    def _pass_on(self, step: Program, said: int) -> int:
        """Say the whole lines the step has written beyond the first ``said`` ones; their new number."""
        lines = child.log_since_start(step.log).rpartition("\n")[0].splitlines()
        for line in lines[said:]:
            self._say(f"  {line}")
        return len(lines)
