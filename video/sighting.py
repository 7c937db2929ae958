"""What a camera format says, before the catalogue is asked which camera that is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sighting:
    """A camera event under the server's own camera name. Fields as in ``video.camera.CameraEvent``."""

    camera: str
    key: str
    phase: str
    kind: str
    score: float
    zones: tuple[str, ...]
    started_at: float
    at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that is understood and of no use here."""

    why: str
