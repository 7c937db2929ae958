"""A PostgreSQL of one's own, on a small disk, that can be stopped, killed and filled up."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from command_center.local import child, postgres
from command_center.local.postgres import Cluster
from command_center.migrations import upgrade
from tests.conftest import Database, databases

_DISK_MB = 400
_TEMPLATE = "migrated"


class Server:
    """A cluster and its processes. ``disk`` is what its data lies on, None when that is not ours to fill."""

    def __init__(self, cluster: Cluster, process: subprocess.Popen[bytes], disk: Path | None) -> None:
        self.cluster, self.disk = cluster, disk
        self.process = process

    def stop(self) -> None:
        """Stand still in the middle of everything: connections stay open and nobody answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Go on where it stood still."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to all of it at once, as if the machine had gone."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def kill_one(self) -> None:
        """SIGKILL to one backend: the server throws everybody out and recovers by itself."""
        backends = [pid for pid in self._children() if b"cc_worker" in _command(pid)]
        if backends:
            os.kill(backends[0], signal.SIGKILL)

    def back(self) -> None:
        """Start it again, unless it runs."""
        if self.process.poll() is None:
            return
        postgres.recover(self.cluster.data)
        ready = partial(postgres.is_ready, self.cluster)
        self.process = child.launch(postgres.program(self.cluster), ready, postgres.READY_S)

    def fill(self) -> None:
        """Leave not one block on its disk."""
        assert self.disk is not None
        part, at = _DISK_MB * 1024 * 1024, 0
        with (self.disk / "ballast").open("wb") as ballast:
            # The server writes meanwhile, so how much is free is known by trying.
            while part >= 4096:
                try:
                    os.posix_fallocate(ballast.fileno(), at, part)
                    at += part
                except OSError:
                    part //= 2

    def empty(self) -> None:
        """Give the blocks back."""
        assert self.disk is not None
        (self.disk / "ballast").unlink()

    def _signal(self, number: signal.Signals) -> None:
        # The first is the one that starts the others.
        for pid in (self.process.pid, *self._children()):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue  # it ended by itself meanwhile

    def _children(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and _parent(entry) == self.process.pid:
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended meanwhile
        return found


def _parent(entry: Path) -> int:
    return int((entry / "stat").read_text().rpartition(")")[2].split()[1])


def _command(pid: int) -> bytes:
    return Path("/proc", str(pid), "cmdline").read_bytes()


@contextmanager
def server(folder: Path) -> Iterator[tuple[Server, Database]]:
    """A server with one migrated, empty database. Its disk is small when we may mount one."""
    folder.mkdir(parents=True)
    disk = folder if _mount(folder) else None
    try:
        cluster, process = postgres.start(folder / "var")
        made = Server(cluster, process, disk)
        try:
            postgres.prepare(cluster, _TEMPLATE)
            upgrade(cluster.url("cc_owner", _TEMPLATE))
            with databases(cluster, _TEMPLATE) as make:
                yield made, make()
        finally:
            made.go_on()
            postgres.stop(cluster, made.process)
    finally:
        if disk is not None:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(folder: Path) -> bool:
    options = f"size={_DISK_MB}m,mode=755"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False, capture_output=True
    )
    return done.returncode == 0
