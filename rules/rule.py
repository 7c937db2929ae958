"""Rules as data: one struct for each kind, with the bounds that keep a hostile file harmless.

Every kind makes a *statistic* of what its subject reports (the value itself, its change, a window's mean …), and every
statistic meets the same machine: a ladder of levels, a separate clear value, a duration, and a stated answer to silence.
Durations are seconds, positions degrees (CGCS2000), values in the quantity's unit of the catalogue.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

Domain: TypeAlias = Literal["emergency", "public_order", "urban_management", "traffic"]
Severity: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=4)]
Duration: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=366 * 86_400)]
Span: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=366 * 86_400)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9_-]*\Z")]
Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Direction: TypeAlias = Literal["above", "below"]
Gap: TypeAlias = Literal["hold", "reset", "fire"]
"""What silence means. hold: what stands stays, a running duration stops counting. reset: the rule knows nothing any more,
a running duration is dropped and an alert ends. fire: no news is bad news, the condition counts as holding."""
Point: TypeAlias = tuple[float, float]


class Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A struct that refuses fields it does not know."""


class Words(Closed, frozen=True):
    """The same words in both languages."""

    zh: Text = msgspec.field(name="zh-CN")
    en: Text


class Evidence(Closed, frozen=True):
    """Where a number comes from, and whether anybody found it or it is an editable default."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    confidence: Literal["found", "unverified"]


class Level(Closed, frozen=True):
    """One rung of a severity ladder: reached when the statistic is at ``at`` or beyond, for ``for_s`` when that is given.

    ``warning_level`` (1 red to 4 blue) names the statutory signal whose published number this is, for people to compare
    with; an alert is never such a warning. Public order has none (突发事件应对法 2024, art. 63).
    """

    severity: Severity
    at: float
    action: Words
    for_s: Duration | None = None
    warning_level: Severity | None = None


class Site(Closed, frozen=True):
    """One sensor's own numbers instead of the rule's, with their own source."""

    sensor: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    levels: tuple[Level, ...]
    clear: float
    source: Evidence


class Where(Closed, frozen=True):
    """Which sensors or cameras a rule is for; everything given must hold. ``inside`` and ``outside`` name areas of the pack
    and are asked of each reading's own position (the sensor's, when it stands still).
    """

    sensors: tuple[str, ...] = ()
    not_sensors: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    inside: Name | None = None
    outside: Name | None = None


class When(Closed, frozen=True):
    """When a rule counts, by the city's clock; everything given must hold. Outside it the rule is suppressed by design.

    ``hours``: ``"08:00-18:00"`` (end excluded; ``"22:00-06:00"`` runs over midnight). ``days``: 1 Monday to 7 Sunday.
    ``calendar``: by statutory holidays and make-up days.
    """

    hours: tuple[Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d\Z")], ...] = ()
    days: tuple[Annotated[int, msgspec.Meta(ge=1, le=7)], ...] = ()
    calendar: Literal["workday", "day_off"] | None = None
    mode: Literal["peacetime", "wartime"] | None = None


class Damping(Closed, frozen=True):
    """Flap damping: raised ``raises`` times within ``within_s``, an alert then ends only after ``settle_s`` of calm."""

    raises: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 4
    within_s: Span = 3600.0
    settle_s: Span = 900.0


class RuleBase(Closed, frozen=True, kw_only=True):
    """What every kind has."""

    id: Name
    domain: Domain
    category: Name
    title: Words
    source: Evidence
    version: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    effective_from: date | None = None
    effective_to: date | None = None
    where: Where = Where()
    when: When = When()
    notes: Annotated[str, msgspec.Meta(max_length=2000)] = ""


class LadderRule(RuleBase, frozen=True, kw_only=True):
    """What every kind with a ladder over a statistic has. Time is event time: the device's own, within the city's bounds.

    ``clear``: the value on whose good side an alert ends. ``for_s``: how long a level must hold before it counts (a level's
    own wins). ``clear_for_s``: how long the good side must hold. ``gap_after_s``: silence longer than this is a gap (not
    given: three of the sensor's expected intervals). ``gap`` must be stated by every rule that has a duration or a window; for
    the others it is hold. ``disorder_s``: how long readings are held back to be put in order;
    what comes later than that is counted and left out.
    """

    direction: Direction = "above"
    levels: tuple[Level, ...]
    clear: float
    for_s: Duration = 0.0
    clear_for_s: Duration = 0.0
    gap: Gap | None = None
    gap_after_s: Span | None = None
    disorder_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    damping: Damping | None = Damping()
    sites: tuple[Site, ...] = ()


class ThresholdRule(LadderRule, frozen=True, kw_only=True, tag="threshold", tag_field="kind"):
    """Statistic: the value itself."""

    quantity: Name


class RateRule(LadderRule, frozen=True, kw_only=True, tag="rate", tag_field="kind"):
    """Statistic: change of the value over ``over_s``, told per ``per_s``."""

    quantity: Name
    over_s: Span
    per_s: Span = 3600.0


class WindowRule(LadderRule, frozen=True, kw_only=True, tag="window", tag_field="kind"):
    """Statistic: mean, max, min, sum or percentile of the readings of the last ``over_s`` seconds, (at - over_s, at].

    Not known while fewer than ``least_share`` of the readings expected by the sensor's interval are there; a sum or a
    maximum that is high with half its readings is high all the same, and counts.
    """

    quantity: Name
    statistic: Literal["mean", "max", "min", "sum", "percentile"]
    over_s: Annotated[float, msgspec.Meta(gt=0, le=32 * 86_400)]
    percentile: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    least_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


class ExceedanceRule(LadderRule, frozen=True, kw_only=True, tag="exceedance", tag_field="kind"):
    """Statistic: how often ``limit`` was exceeded since local midnight: by readings or by clock-aligned means of ``mean_s``."""

    quantity: Name
    limit: float
    side: Direction = "above"
    mean_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None = None


class DeviationRule(LadderRule, frozen=True, kw_only=True, tag="deviation", tag_field="kind"):
    """Statistic: how unusual a reading is for its own sensor; either side counts unless ``side`` names one.

    That is how rare it is by all that the sensor has reported (rules.anomaly), a score from 0 up, not known before
    ``least_days`` of experience. ``least_spread``: what lies closer together (in the quantity's unit) counts as that far apart,
    so that a flat line is not thrown by a crumb.
    """

    quantity: Name
    side: Literal["above", "below", "either"] = "either"
    least_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 7
    least_spread: Annotated[float, msgspec.Meta(gt=0)]


class Pair(Closed, frozen=True):
    """Two sensors to compare: the statistic is ``a`` minus ``b``; the alert stands at ``a``."""

    a: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    b: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class DifferenceRule(LadderRule, frozen=True, kw_only=True, tag="difference", tag_field="kind"):
    """Statistic: newest value of ``a`` minus newest value of ``b``, not known while they are more than ``apart_s`` apart."""

    quantity: Name
    pairs: tuple[Pair, ...]
    apart_s: Span = 300.0


class AreaRule(LadderRule, frozen=True, kw_only=True, tag="area", tag_field="kind"):
    """Statistic: 1 while a moving sensor is inside the pack's area ``inside``, else 0. ``quantity``: what it reports there."""

    quantity: Name
    inside: Name
    levels: tuple[Level, ...]
    clear: float = 0.5


class Reach(Closed, frozen=True):
    """How far around: the same merged cell, or ``radius_m`` metres when that is given."""

    radius_m: Annotated[float, msgspec.Meta(gt=0, le=50_000)] | None = None


class Leaf(Closed, frozen=True):
    """A condition: some sensor in reach reports ``quantity`` above or below a value, not longer ago than ``fresh_s``."""

    quantity: Name
    above: float | None = None
    below: float | None = None
    fresh_s: Span = 900.0


class CombinationRule(RuleBase, frozen=True, kw_only=True, tag="combination", tag_field="kind"):
    """Holds at an anchor sensor (one that measures ``quantity``) while ``condition`` holds among the sensors in ``reach``.

    ``condition`` is a mapping with one of ``all``, ``any`` (lists of conditions), ``not`` (one) or a Leaf's fields;
    rules.condition reads it, at most 5 deep and 32 leaves wide.
    """

    quantity: Name
    condition: dict[str, Any]
    reach: Reach = Reach()
    severity: Severity
    action: Words
    for_s: Duration = 0.0
    clear_for_s: Duration = 0.0
    gap: Gap | None = None
    gap_after_s: Span | None = None
    disorder_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    damping: Damping | None = Damping()


class Events(Closed, frozen=True):
    """Which events count: alerts of a rule or of a category, or camera events of a kind. Exactly one is given."""

    rule: Name | None = None
    category: Name | None = None
    camera_event: Name | None = None


class CountRule(RuleBase, frozen=True, kw_only=True, tag="count", tag_field="kind"):
    """Holds at a place while at least ``levels[].at`` different events lie within ``reach`` and ``over_s`` of each other."""

    of: Events
    over_s: Annotated[float, msgspec.Meta(gt=0, le=7 * 86_400)]
    reach: Reach = Reach()
    levels: tuple[Level, ...]


class AbsenceRule(RuleBase, frozen=True, kw_only=True, tag="absence", tag_field="kind"):
    """Holds while nothing has come from a sensor for ``levels[].at`` seconds of receipt time. ``quantity``: only sensors that
    measure it.
    """

    quantity: Name | None = None
    levels: tuple[Level, ...]


class CameraRule(RuleBase, frozen=True, kw_only=True, tag="camera_event", tag_field="kind"):
    """Holds while a camera reports an ``event`` in one of ``zones`` (none: anywhere), once it has lasted ``lasting_s``."""

    event: Name
    zones: tuple[str, ...] = ()
    min_score: Annotated[float, msgspec.Meta(ge=0, le=1)]
    lasting_s: Duration = 0.0
    severity: Severity
    action: Words


SensorRule: TypeAlias = (
    ThresholdRule | RateRule | WindowRule | ExceedanceRule | DeviationRule | DifferenceRule | AreaRule | CombinationRule
)
"""Kinds whose slots meet readings; the others look at events, at the clock, or at cameras."""
Rule: TypeAlias = SensorRule | CountRule | AbsenceRule | CameraRule
