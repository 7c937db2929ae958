"""Random passwords of one ``var`` folder, made when first asked for and kept in a file only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from pathlib import Path

_FILE_NAME = "secrets.json"


class SecretsUnreadable(Exception):
    """The file of generated passwords is there but is not what we wrote."""


def secret(var: Path, name: str) -> str:
    """The secret of this name, 32 characters safe in a URL; made and kept when there is none yet."""
    path = var / _FILE_NAME
    known = _read(path)
    if name not in known:
        var.mkdir(parents=True, exist_ok=True)
        known[name] = secrets.token_urlsafe(24)
        write_private(path, json.dumps(known, indent=2, sort_keys=True) + "\n")
    return known[name]


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only, whole or not at all."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(number, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    Path(name).replace(path)


def _read(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as problem:
        raise SecretsUnreadable(
            f"{path} is not valid JSON ({problem}); restore it or remove the whole folder"
        ) from problem
    if not isinstance(known, dict) or not all(isinstance(value, str) for value in known.values()):
        raise SecretsUnreadable(f"{path} must hold an object of strings; restore it or remove the whole folder")
    return known
