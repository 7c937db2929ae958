"""Where a private server keeps its data.

PostgreSQL refuses to run as root and Mosquitto gives root up, so under root both run as system users, who must be able to
enter every folder above their data. A checkout in root's home is closed to them: their data then goes to a folder under
/var/tmp (which survives a restart of the machine), one for each ``var``, marked with a name that only this ``var`` knows.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from command_center.local.child import ServerFailed, user_switch
from command_center.local.secret import secret

_MARK = "belongs-to"


def server_user(name: str) -> str | None:
    """The system user a server runs as: ``name`` when we are root, else ourselves (None)."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(name)
    except KeyError:
        raise ServerFailed(f"There is no system user {name}: install the package of that server first") from None
    return name


def server_folder(var: Path, name: str, user: str | None, say: Callable[[str], None]) -> Path:
    """The folder ``name`` of this server, made if need be, owned by its user and closed to others."""
    parent = var if user is None or _may_enter(var, user) else _elsewhere(var, say)
    folder = parent / name
    folder.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


def give(path: Path, user: str | None) -> None:
    """Hand a file that we wrote to the server's user, readable by nobody else."""
    path.chmod(0o600)
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)


def elsewhere_path(var: Path) -> Path:
    """The folder outside of ``var`` that belongs to it; the same on every call."""
    root = Path("/var/tmp")
    if not os.access(root, os.W_OK):
        root = Path(tempfile.gettempdir())
    return root / f"command-center-{hashlib.sha256(os.fsencode(var.resolve())).hexdigest()[:12]}"


def _may_enter(folder: Path, user: str) -> bool:
    argv = ["setpriv", *user_switch(user), "test", "-x", str(folder)]
    return subprocess.run(argv, cwd="/", check=False).returncode == 0


def _elsewhere(var: Path, say: Callable[[str], None]) -> Path:
    folder = elsewhere_path(var)
    owner_name = secret(var, "server_folder")
    if folder.is_symlink() or (folder.exists() and folder.stat().st_uid != os.geteuid()):
        raise ServerFailed(f"{folder} belongs to somebody else: remove it, or pass another --var")
    mark = folder / _MARK
    if folder.exists() and not (mark.exists() and mark.read_text(encoding="utf-8") == owner_name):
        say(f"{folder} is left from a var folder that was removed: beginning anew")
        shutil.rmtree(folder)
    folder.mkdir(mode=0o711, exist_ok=True)
    folder.chmod(0o711)
    mark.write_text(owner_name, encoding="utf-8")
    mark.chmod(0o600)
    say(f"System users cannot enter {var}: the servers' data is in {folder}")
    return folder
