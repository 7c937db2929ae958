"""What risk is weighed by: a data pack's numbers, each with where it comes from.

A hazard is a number from 0 to below 1. What stands in a place (exposure) and how it has fared (vulnerability) make its
hazards count up to ``1 + most + most`` times, by parts whose weights add up to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final, TypeAlias

import msgspec
import yaml

from rules.rule import Closed, Evidence
from rules.rulebook import YAML_FAULTS, fault

Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]
Certainty: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=0.99)]
Half: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=1, le=30 * 86_400)]
Times: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=3)]

_SEVERITIES: Final = ("1", "2", "3", "4")


class BadRiskTable(ValueError):
    """The risk table cannot be used; the message says why."""


class Closeness(Closed, frozen=True):
    """What a reading adds between the value at which its rule clears and the rule's first level."""

    most: Annotated[float, msgspec.Meta(ge=0, le=0.12)]
    half_life_s: Seconds


class HazardWeights(Closed, frozen=True):
    """Hazard of an alert by severity; how it fades after its end and while its sensor is silent; ``quiet``: how much of one
    counts that is kept quiet (by kind of muting).
    """

    severity: dict[str, Certainty]
    half_life_s: Seconds
    silent_half_life_s: Seconds
    forgotten_below: Annotated[float, msgspec.Meta(gt=0, le=0.2)]
    quiet: dict[str, Share]
    closeness: Closeness
    source: Evidence

    @property
    def remembered_s(self) -> float:
        """How long after its end the gravest alert still counts."""
        gravest = max(self.severity.values())
        return self.half_life_s * max(math.log2(max(gravest, 1e-9) / self.forgotten_below), 0.0)


class Part(Closed, frozen=True):
    """A part by its weight. ``half``: the value at which it counts half."""

    weight: Share
    half: Half = 1.0


class People(Closed, frozen=True):
    """How full a place is: by quantity, the reading that counts whole."""

    weight: Share
    full: dict[str, Half]
    fresh_s: Seconds


class Exposure(Closed, frozen=True):
    """What stands in a cell. ``density``: m2 of a cell that is half as dense as can be; ``special``: a cell of its own kind;
    ``duties``: functions of organisations; ``devices``: sensors and cameras.
    """

    most: Times
    density: Part
    special: Part
    duties: Part
    devices: Part
    people: People
    source: Evidence


class Vulnerability(Closed, frozen=True):
    """How a cell has fared. ``past``: tickets of the domain in ``past_days``; ``overdue``: open ones past their time;
    ``silent``: the share of sensors and cameras that say nothing.
    """

    most: Times
    past_days: Annotated[int, msgspec.Meta(ge=1, le=366)]
    past: Part
    overdue: Part
    silent: Part
    source: Evidence


class Further(Closed, frozen=True):
    """What further cells at ``at_least`` or above add to a region's highest: each ``share`` of what is left of ``most``."""

    at_least: Annotated[float, msgspec.Meta(gt=0, le=100)]
    share: Share
    most: Annotated[float, msgspec.Meta(ge=0, le=30)]
    source: Evidence


class RiskTable(Closed, frozen=True):
    """All of it. ``keep_days``: how long the history is kept."""

    pack: str
    version: int
    effective_from: date
    hazard: HazardWeights
    exposure: Exposure
    vulnerability: Vulnerability
    further: Further
    keep_days: Annotated[int, msgspec.Meta(ge=1, le=3660)]

    @property
    def exposure_weights(self) -> dict[str, float]:
        """By part, up to how much more a hazard counts."""
        return _weights(self.exposure, ("density", "special", "duties", "devices", "people"))

    @property
    def vulnerability_weights(self) -> dict[str, float]:
        """By part, up to how much more a hazard counts."""
        return _weights(self.vulnerability, ("past", "overdue", "silent"))


def _weights(group: Exposure | Vulnerability, names: tuple[str, ...]) -> dict[str, float]:
    return {name: group.most * getattr(group, name).weight for name in names}


def read(text: str) -> RiskTable:
    """The table from its YAML text. Raises BadRiskTable."""
    try:
        found: Any = yaml.safe_load(text)
    except YAML_FAULTS as problem:
        line, reason = fault(problem)
        raise BadRiskTable(f"line {line}: {reason}") from None
    try:
        table = msgspec.convert(found, RiskTable, str_keys=True)
    except (msgspec.ValidationError, RecursionError) as problem:
        raise BadRiskTable(str(problem)) from None
    _check(table)
    return table


def _check(table: RiskTable) -> None:
    severity = table.hazard.severity
    if tuple(sorted(severity)) != _SEVERITIES:
        raise BadRiskTable("hazard.severity: give one weight for each severity from 1 to 4")
    ordered = [severity[name] for name in _SEVERITIES]
    if ordered != sorted(ordered):
        raise BadRiskTable("hazard.severity: a graver severity must not weigh less")
    parts: Mapping[str, tuple[float, dict[str, float]]] = {
        "exposure": (table.exposure.most, table.exposure_weights),
        "vulnerability": (table.vulnerability.most, table.vulnerability_weights),
    }
    for name, (most, weights) in parts.items():
        if not math.isclose(sum(weights.values()), most, abs_tol=1e-6):
            raise BadRiskTable(f"{name}: the weights of its parts must add up to 1")
