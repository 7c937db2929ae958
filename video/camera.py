"""Cameras and what their analytics report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Camera:
    """A catalogued camera. ``direction`` and ``field_of_view`` in degrees (direction clockwise from north).

    ``alias`` is the name its analytics server knows it by, ``{source}/{name}`` or ``{name}``; ``stream`` is where pictures are.
    """

    id: str
    name: str
    county: str
    region: str
    cell: str
    scope: str
    domain: str
    lng: float
    lat: float
    direction: float
    field_of_view: float
    stream: str | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """One tracked object or alarm of a camera. ``key`` is the platform's own id: the same matter always has the same key.

    ``phase`` is new, update or end. Times are epoch seconds (UTC). ``score`` is 0 to 1. ``zones`` are the camera's own names.
    """

    camera: str
    key: str
    phase: str
    kind: str
    score: float
    zones: tuple[str, ...]
    started_at: float
    at: float
    ended_at: float | None
    message: int
