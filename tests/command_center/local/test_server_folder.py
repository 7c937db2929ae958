from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_center.local.child import ServerFailed
from command_center.local.server_folder import elsewhere_path, server_folder, server_user

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as another user")
as_ordinary_user = pytest.mark.skipif(os.geteuid() == 0, reason="root starts servers as another user")


@pytest.fixture
def open_var() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cc test "))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def closed_var() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cc test "))
    var = folder / "var"
    var.mkdir()
    yield var
    shutil.rmtree(folder)
    shutil.rmtree(elsewhere_path(var), ignore_errors=True)


@as_ordinary_user
def test_an_ordinary_user_runs_the_servers_himself(tmp_path: Path) -> None:
    assert server_user("postgres") is None
    assert server_folder(tmp_path, "postgres", None, print) == tmp_path / "postgres"


@as_root
def test_a_server_user_that_does_not_exist_is_named() -> None:
    with pytest.raises(ServerFailed, match="no system user no-such-user"):
        server_user("no-such-user")


@as_root
def test_the_data_stays_under_var_where_the_system_user_can_enter(open_var: Path) -> None:
    folder = server_folder(open_var, "postgres", "postgres", print)
    assert folder == open_var / "postgres"
    assert folder.stat().st_uid == pwd.getpwnam("postgres").pw_uid
    assert folder.stat().st_mode & 0o777 == 0o700


@as_root
def test_the_data_moves_to_a_folder_of_this_var_where_the_system_user_cannot_enter(closed_var: Path) -> None:
    said: list[str] = []
    folder = server_folder(closed_var, "postgres", "postgres", said.append)
    assert folder.parent == elsewhere_path(closed_var)
    assert str(folder.parent) in said[-1]
    (folder / "kept").touch()
    assert server_folder(closed_var, "postgres", "postgres", said.append) == folder
    assert (folder / "kept").exists()


@as_root
def test_the_data_of_a_var_that_was_removed_is_not_taken_over_by_its_successor(closed_var: Path) -> None:
    (server_folder(closed_var, "postgres", "postgres", print) / "old").touch()
    shutil.rmtree(closed_var)
    closed_var.mkdir()
    said: list[str] = []
    assert not (server_folder(closed_var, "postgres", "postgres", said.append) / "old").exists()
    assert "beginning anew" in said[0]


@as_root
def test_a_folder_that_somebody_else_put_there_first_is_refused(closed_var: Path) -> None:
    elsewhere_path(closed_var).mkdir()
    os.chown(elsewhere_path(closed_var), pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(ServerFailed, match="belongs to somebody else"):
        server_folder(closed_var, "postgres", "postgres", print)
