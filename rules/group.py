"""Groups: alerts of one category in one township are told together, not one by one.

A group waits a little before its first notice, gathers what comes later for an interval, repeats itself while nobody has
acknowledged it, and says when it is over. Deadlines are in the group; who claims one asks ``judged`` what to say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID, uuid5

import msgspec
import yaml

from gis.region import SEPARATOR
from rules.alert import NAMESPACE, Alert
from rules.rule import Closed, Evidence
from rules.rulebook import YAML_FAULTS, fault

URGENT: Final = 4
"""The severity that waits for nothing."""
_TOWNSHIP_DEPTH: Final = 3


class BadGrouping(ValueError):
    """The grouping table cannot be used; the message says why."""


class Pace(Closed, frozen=True):
    """How a group is told, in seconds: before the first notice, between notices of news, between repeats."""

    wait_s: Annotated[float, msgspec.Meta(ge=0, le=3600)]
    interval_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)]
    repeat_s: Annotated[float, msgspec.Meta(ge=60, le=7 * 86_400)]
    source: Evidence


class Grouping(msgspec.Struct, frozen=True):
    """The pace by category, or else the default."""

    default: Pace
    by_category: dict[str, Pace] = {}

    def pace(self, category: str) -> Pace:
        """How groups of a category are told."""
        return self.by_category.get(category, self.default)


class Told(StrEnum):
    """What a notice says of its group."""

    FIRST = "first"
    MORE = "more"
    REPEAT = "repeat"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Members:
    """The group's alerts that stand and are not quiet, counted; title and severity are the gravest one's."""

    total: int
    unacknowledged: int
    severity: int = 0
    title: str = ""
    title_en: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A group with what was last told of it: ``notices`` counts that, ``members`` and ``new`` are the numbers told.

    ``fresh``: how many members came or grew graver since. ``severity`` and titles are the gravest member's.
    """

    id: UUID
    domain: str
    category: str
    region: str
    region_name: str
    scope: str
    opened_at: datetime
    severity: int
    title: str
    title_en: str
    fresh: int
    next_due_at: datetime
    notices: int = 0
    told: Told | None = None
    members: int = 0
    new: int = 0
    told_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def words(self) -> tuple[str, str]:
        """What its notice says, in Chinese and in English."""
        zh, en = f"{self.region_name} {self.title}", f"{self.region_name}: {self.title_en}"
        if self.told is Told.OVER:
            return f"{zh}（已解除）", f"{en} (over)"
        return (f"{zh}（共 {self.members} 条）", f"{en} ({self.members} alerts)") if self.members > 1 else (zh, en)


def read(text: str) -> Grouping:
    """The table from its YAML text. Raises BadGrouping."""
    try:
        found: Any = yaml.safe_load(text)
    except YAML_FAULTS as problem:
        line, reason = fault(problem)
        raise BadGrouping(f"line {line}: {reason}") from None
    try:
        return msgspec.convert(found, Grouping)
    except (msgspec.ValidationError, RecursionError) as problem:
        raise BadGrouping(str(problem)) from None


def township(scope: str) -> str:
    """The path of the township a path lies in; the path itself when it ends above."""
    return "".join(f"{code}{SEPARATOR}" for code in scope.split(SEPARATOR)[:_TOWNSHIP_DEPTH] if code)


def opened(alert: Alert, region: str, region_name: str, pace: Pace, now: datetime) -> Group:
    """The group that an alert opens: ``region`` and ``region_name`` are its township's."""
    scope = township(alert.source.scope)
    return Group(
        id=uuid5(NAMESPACE, f"group\0{alert.category}\0{region}\0{alert.id}\0{now.isoformat()}"),
        domain=alert.domain,
        category=alert.category,
        region=region,
        region_name=region_name,
        scope=scope,
        opened_at=now,
        severity=alert.severity,
        title=alert.title,
        title_en=alert.title_en,
        fresh=1,
        next_due_at=now + _wait(alert, pace),
    )


def joined(group: Group, alert: Alert, pace: Pace, now: datetime) -> Group:
    """The group after one more alert, or after one it has grew."""
    if group.told_at is None:
        due_at = now + _wait(alert, pace)
    elif alert.severity >= URGENT:
        due_at = now
    else:
        due_at = _settled(group, pace, now)
    graver = alert.severity > group.severity
    return replace(
        group,
        fresh=group.fresh + 1,
        severity=max(group.severity, alert.severity),
        title=alert.title if graver else group.title,
        title_en=alert.title_en if graver else group.title_en,
        next_due_at=min(group.next_due_at, due_at),
    )


def left(group: Group, pace: Pace, now: datetime) -> Group:
    """The group after an alert of it ended or fell quiet: it may be over, which is told no sooner than other news."""
    due_at = group.next_due_at if group.told_at is None else _settled(group, pace, now)
    return replace(group, next_due_at=min(group.next_due_at, due_at))


def judged(group: Group, members: Members, pace: Pace, now: datetime) -> Group:
    """The group once its deadline has come; when there is something to say, it has one notice more."""
    if members.total == 0:
        ended = replace(group, ended_at=now, fresh=0)
        # What came and went before anybody was told of it is not told as over.
        return _told(ended, Told.OVER, members, now) if group.told_at else ended
    kind = _kind(group, members, pace, now)
    if kind is None:
        repeat = timedelta(seconds=pace.repeat_s)
        due_at = (group.told_at or now) + repeat
        return replace(group, next_due_at=due_at if due_at > now else now + repeat)
    grown = replace(
        group,
        severity=members.severity,
        title=members.title,
        title_en=members.title_en,
        next_due_at=now + timedelta(seconds=pace.repeat_s),
    )
    return _told(grown, kind, members, now)


def _kind(group: Group, members: Members, pace: Pace, now: datetime) -> Told | None:
    if group.told_at is None:
        return Told.FIRST
    if group.fresh:
        return Told.MORE
    repeats = now >= group.told_at + timedelta(seconds=pace.repeat_s)
    return Told.REPEAT if repeats and members.unacknowledged else None


def _told(group: Group, kind: Told, members: Members, now: datetime) -> Group:
    new = members.total if kind is Told.FIRST else min(group.fresh, members.total)
    notices = group.notices + 1
    return replace(group, fresh=0, told_at=now, told=kind, members=members.total, new=new, notices=notices)


def _wait(alert: Alert, pace: Pace) -> timedelta:
    return timedelta(seconds=0 if alert.severity >= URGENT else pace.wait_s)


def _settled(group: Group, pace: Pace, now: datetime) -> datetime:
    told_at = group.told_at or now
    return max(now, told_at + timedelta(seconds=pace.interval_s))
