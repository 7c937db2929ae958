"""Alerts: what a rule says of one source, from the moment it holds until it no longer does.

These are our own alarms (告警), never statutory warnings (预警): those are published by an authority.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

NAMESPACE = UUID("6b1f2f0c-3f0e-4d0a-9a53-9d3f0b7f6a11")
"""Ids below it are derived, so that the same cause has the same id however often it is computed."""


class Change(StrEnum):
    """What happened to an alert."""

    RAISED = "raised"
    GREW = "grew"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Source:
    """Where an alert comes from: ``kind`` is sensor, camera or place (where several events came together)."""

    kind: str
    id: str
    name: str
    cell: str
    region: str
    scope: str
    lng: float
    lat: float


@dataclass(frozen=True, slots=True)
class Alert:
    """Times are epoch microseconds (UTC). ``value`` and ``threshold`` in ``unit``; severity 1 提示 to 4 紧急.

    ``warning_level`` is that of the statutory signal whose published number was met (1 red to 4 blue), for people to
    compare with. ``why`` explains the alert: what was computed, over which time, and what it needed; plain JSON values.
    """

    id: UUID
    rule: str
    rule_version: int
    source: Source
    domain: str
    category: str
    severity: int
    title: str
    title_en: str
    quantity: str
    unit: str
    value: float
    threshold: float
    raised_at_us: int
    at_us: int
    ended_at_us: int | None = None
    version: int = 1
    warning_level: int | None = None
    why: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> UUID:
        """The same for every alert of one rule on one source."""
        return uuid5(NAMESPACE, f"fingerprint\0{self.rule}\0{self.source.id}")


@dataclass(frozen=True, slots=True)
class AlertChange:
    """One phase change, with the alert as it is after it."""

    change: Change
    alert: Alert


def alert_id(rule: str, source: str, cause: str) -> UUID:
    """The id of the alert that ``cause`` (key and time of a reading, the id of a camera event) raises."""
    return uuid5(NAMESPACE, f"alert\0{rule}\0{source}\0{cause}")
