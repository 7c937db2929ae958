"""The addresses of what ``up`` has started, for commands that are run beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from command_center.local.secret import write_private

_FILE_NAME = "running.json"


def running_file(var: Path) -> Path:
    """There while ``up`` runs on this folder."""
    return var / _FILE_NAME


def tell_settings(var: Path, settings: Mapping[str, str]) -> None:
    """Leave the settings of the worker's processes for others of the same user."""
    write_private(running_file(var), json.dumps(dict(settings), indent=1, sort_keys=True) + "\n")


def running_settings(var: Path) -> dict[str, str]:
    """The settings of what runs on this folder; none when nothing does, or it is somebody else's."""
    try:
        found = json.loads(running_file(var).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
