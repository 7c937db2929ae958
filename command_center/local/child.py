"""A child process that never outlives its parent.

The kernel is asked to signal the child when its parent dies (``setpriv --pdeathsig``). Between fork and that request the
parent may already be gone, so a two-line shell checks the parent's process id once more and then becomes the program.
The kernel watches the *thread* that spawned the child: spawn from a thread that lives as long as the children should.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

_CHECK_PARENT = '[ "$PPID" = "$1" ] || exit 125; shift; exec "$@"'
_POLL_S = 0.05
_LOG_LIMIT_BYTES = 16 * 1024 * 1024
_HEADLINE = "=== started "


class ServerFailed(Exception):
    """A private server or one of our processes did not start; the message says which, why and where its log is."""


class PortTaken(ServerFailed):
    """Somebody else took the port between our choosing it and the server's listening on it."""


@dataclass(frozen=True)
class Program:
    """What to run and how to end it.

    ``user`` is the system user to become (only root can), ``log`` gets both output streams. ``stop_signals`` are sent one
    after another, each followed by up to ``grace_s`` seconds of waiting; SIGKILL always comes last. ``port_taken`` is what
    the program logs when its port is in use.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: str | None = None
    death_signal: signal.Signals = signal.SIGKILL
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    grace_s: float = 8.0
    port_taken: str = "Address already in use"


def user_switch(user: str | None) -> list[str]:
    """The options of setpriv that make the program run as this system user; none when there is nobody to become."""
    if user is None:
        return []
    group = pwd.getpwnam(user).pw_gid
    return [f"--reuid={user}", f"--regid={group}", "--init-groups"]


def clean_environment() -> dict[str, str]:
    """What a server needs and nothing of the caller's: no PG* variable, no locale, no proxy."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", "HOME": "/"}


def spawn(program: Program) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own, so that a Ctrl-C at the terminal reaches its parent only."""
    watched = ["setpriv", *user_switch(program.user), f"--pdeathsig={program.death_signal.name.removeprefix('SIG')}"]
    guarded = ["/bin/sh", "-c", _CHECK_PARENT, "sh", str(os.getpid()), *program.argv]
    # Servers that run as another user may not be allowed to enter our working folder.
    folder = "/" if program.user else None
    _turn_over(program.log)
    with program.log.open("ab") as log:
        log.write(f"{_HEADLINE}{datetime.now(UTC).isoformat(timespec='seconds')} {program.name}\n".encode())
        log.flush()
        return subprocess.Popen(
            [*watched, *guarded],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=dict(program.environment),
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes], program: Program) -> bool:
    """End the process and whatever else runs in its session's group. True when it went without SIGKILL."""
    gone = process.poll() is not None
    for number in program.stop_signals:
        if gone:
            break
        process.send_signal(number)
        gone = _wait(process, program.grace_s)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()
    return gone


def launch(program: Program, ready: Callable[[], bool], timeout_s: float) -> subprocess.Popen[bytes]:
    """Start the program and wait until it is ready; whatever goes wrong meanwhile, it is stopped before the error goes on."""
    process = spawn(program)
    try:
        wait_until_ready(process, program, ready, timeout_s)
    except BaseException:
        stop(process, program)
        raise
    return process


def wait_until_ready(
    process: subprocess.Popen[bytes], program: Program, ready: Callable[[], bool], timeout_s: float
) -> None:
    """Return once ``ready`` says so; ServerFailed with the last lines of the log when the process ends or time is up."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        status = process.poll()
        if status is not None:
            tail = log_tail(program.log)
            event = PortTaken if program.port_taken in tail else ServerFailed
            raise event(f"{program.name} ended at once with status {status}: {tail}")
        if time.monotonic() > deadline:
            raise ServerFailed(f"{program.name} was not ready within {timeout_s:g} s: {log_tail(program.log)}")
        time.sleep(_POLL_S)


def log_tail(log: Path, lines: int = 3) -> str:
    """The last lines of the log since the last start, in one line with the name of the file, for an error message."""
    last = [line.strip() for line in log_since_start(log).splitlines() if line.strip()][-lines:]
    return f"{' | '.join(last) or 'it said nothing'} (log: {log})"


def log_since_start(log: Path) -> str:
    """What the program has said since it was last started."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(_HEADLINE)[2].partition("\n")[2] if _HEADLINE in text else text


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _signal_group(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return


def _turn_over(log: Path) -> None:
    """Keep one older log beside a full one, so that a year of running does not fill the disk."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
