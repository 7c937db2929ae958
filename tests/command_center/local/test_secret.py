from __future__ import annotations

from pathlib import Path

import pytest

from command_center.local.secret import SecretsUnreadable, secret, write_private


def test_a_secret_is_random_and_stays_the_same(tmp_path: Path) -> None:
    first = secret(tmp_path / "var", "cc_web")
    assert len(first) == 32
    assert secret(tmp_path / "var", "cc_web") == first
    assert secret(tmp_path / "var", "cc_worker") != first
    assert secret(tmp_path / "other", "cc_web") != first


def test_only_the_owner_may_read_the_secrets(tmp_path: Path) -> None:
    secret(tmp_path, "cc_web")
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_private_file_replaces_an_open_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["{", "[]", '{"cc_web": 1}'])
def test_a_damaged_file_of_secrets_is_named_and_not_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(text)
    with pytest.raises(SecretsUnreadable, match=r"secrets.json"):
        secret(tmp_path, "cc_web")
    assert path.read_text() == text
