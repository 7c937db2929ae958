"""Mutes: what people keep quiet, where, until when and why. Silences, maintenance windows, shelving, out of service.

A mute hides nothing that is stored: a muted alert is shown as such, but calls nobody. Every mute has an end and an author.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from rules.alert import Alert
from rules.life import Muted, Muting

LONGEST: Final = timedelta(days=30)
LONGEST_SHELVE: Final = timedelta(hours=24)


class MuteKind(StrEnum):
    """What sort of quiet. The strongest first: one alert under several mutes shows the first of these."""

    OUT_OF_SERVICE = "out_of_service"
    SHELVE = "shelve"
    MAINTENANCE = "maintenance"
    SILENCE = "silence"


_RANK: Final = {kind: rank for rank, kind in enumerate(MuteKind)}
_MUTING: Final = {
    MuteKind.OUT_OF_SERVICE: Muting.OUT_OF_SERVICE,
    MuteKind.SHELVE: Muting.SHELVED,
    MuteKind.MAINTENANCE: Muting.MAINTENANCE,
    MuteKind.SILENCE: Muting.SILENCE,
}
_OF_ONE_SOURCE: Final = (MuteKind.SHELVE, MuteKind.OUT_OF_SERVICE)


class BadMute(ValueError):
    """The mute is too wide, too long, in the past, or does not say why."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Who ended a mute before its time, and why."""

    at: datetime
    by: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Mute:
    """Every alert below ``scope`` to which all that is given applies, from ``starts_at`` until ``ends_at`` (excluded)."""

    id: UUID
    kind: MuteKind
    region: str
    scope: str
    starts_at: datetime
    ends_at: datetime
    author: str
    author_name: str
    reason: str
    made_at: datetime
    domain: str | None = None
    category: str | None = None
    rule: str | None = None
    source: str | None = None
    ended: Ended | None = None


def check(mute: Mute) -> None:
    """Raise BadMute unless the mute may be made."""
    longest = LONGEST_SHELVE if mute.kind is MuteKind.SHELVE else LONGEST
    if not mute.reason.strip():
        raise BadMute(f"{mute.kind} needs a reason")
    if mute.starts_at < mute.made_at:
        raise BadMute(f"it would start in the past, at {mute.starts_at.isoformat()}: leave the start out to begin now")
    if mute.ends_at <= mute.starts_at:
        raise BadMute(f"it would end at {mute.ends_at.isoformat()}, which is not after its start")
    if mute.ends_at - mute.starts_at > longest:
        raise BadMute(f"{mute.kind} may last {longest.total_seconds() / 3600:.0f} hours at most")
    if mute.kind in _OF_ONE_SOURCE and mute.source is None:
        raise BadMute(f"{mute.kind} is of one sensor or camera: name it as source")
    everywhere = mute.scope.count("/") <= 1
    if everywhere and not any((mute.domain, mute.category, mute.rule, mute.source)):
        raise BadMute("the whole city cannot be kept quiet: name a region below it, a domain, category, rule or source")


def covers(mute: Mute, alert: Alert, at: datetime) -> bool:
    """Whether the mute keeps the alert quiet at a moment."""
    if mute.ended is not None or not mute.starts_at <= at < mute.ends_at:
        return False
    wanted = (mute.domain, mute.category, mute.rule, mute.source)
    found = (alert.domain, alert.category, alert.rule, alert.source.id)
    return alert.source.scope.startswith(mute.scope) and all(
        one is None or one == other for one, other in zip(wanted, found, strict=True)
    )


def covering(mutes: Iterable[Mute], alert: Alert, at: datetime) -> Mute | None:
    """The mute that an alert shows at a moment: the strongest kind, of those the one that lasts longest."""
    found = [mute for mute in mutes if covers(mute, alert, at)]
    return min(found, key=lambda mute: (_RANK[mute.kind], -mute.ends_at.timestamp(), mute.id), default=None)


def mark(mute: Mute) -> Muted:
    """What an alert under this mute carries."""
    return Muted(_MUTING[mute.kind], mute.id, mute.ends_at, mute.author_name, mute.reason)
