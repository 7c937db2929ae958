"""Sensors, the quantities they measure, and the catalogue that decoding looks them up in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from ingest.lookup import Lookup

SENSOR_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

DOMAINS: Final = ("emergency", "public_order", "urban_management", "traffic")

UNCONDITIONAL: Final = "unconditional"
CONDITIONAL: Final = "conditional"
WITHHELD: Final = "withheld"
SHARINGS: Final = (UNCONDITIONAL, CONDITIONAL, WITHHELD)
"""How other departments may use what a sensor says (无条件、有条件、不予共享)."""

_NONE: Final[frozenset[float]] = frozenset()


@dataclass(frozen=True, slots=True)
class Plausible:
    """What a device's values of a quantity may be. ``sentinels`` are numbers by which it says that it has no value."""

    low: float
    high: float
    sentinels: frozenset[float] = _NONE


@dataclass(frozen=True, slots=True)
class Profile:
    """A model of device: what it can honestly report, and how often it reports (seconds; None where each site decides)."""

    id: str
    title: str
    title_en: str
    interval_s: float | None
    plausible: Mapping[str, Plausible]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A measured quantity. ``n`` is its small integer in stored readings; the unit is fixed for the whole city."""

    n: int
    name: str
    unit: str
    title: str
    title_en: str
    low: float = float("-inf")
    high: float = float("inf")

    @property
    def symbol(self) -> str:
        """The unit as people write it: ``ug/m3`` is µg/m³, the dimensionless ``1`` is nothing."""
        return "" if self.unit == "1" else self.unit.replace("ug", "µg").replace("m2", "m²").replace("m3", "m³")

    @property
    def plausible(self) -> Plausible:
        """What its values may be where no model of device says more."""
        return Plausible(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Sensor:
    """A catalogued source of readings. ``n`` is its integer in stored readings, ``scope`` its region path (gis.region).

    A sensor without a position (``lng is None``) moves: its messages carry one. ``interval_s`` is the expected time between
    two messages; silence is judged by it. ``profile`` names its model of device, "" when that is not known. One that is not
    in service is heard and stored, and nothing follows from what it says or does not say.
    """

    n: int
    id: str
    name: str
    county: str
    region: str
    cell: str
    scope: str
    domain: str
    quantities: tuple[str, ...]
    lng: float | None
    lat: float | None
    interval_s: float
    owner: str = ""
    profile: str = ""
    sharing: str = CONDITIONAL
    in_service: bool = True


@dataclass(frozen=True)
class Catalogue:
    """Every sensor and quantity of the city, with the look-ups that decoding and evaluation need."""

    sensors: Mapping[str, Sensor]
    quantities: Mapping[str, Quantity]
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    @classmethod
    def of(
        cls, sensors: Iterable[Sensor], quantities: Iterable[Quantity], profiles: Iterable[Profile] = ()
    ) -> Catalogue:
        return cls({s.id: s for s in sensors}, {q.name: q for q in quantities}, {p.id: p for p in profiles})

    def plausible(self, sensor: Sensor, quantity: str) -> Plausible:
        """What a sensor's values of a quantity may be: as its model of device says, else as the quantity does."""
        return self.plausible_of(sensor.profile, quantity)

    def plausible_of(self, profile_id: str | None, quantity: str) -> Plausible:
        """What values of a quantity may be for a model of device, known or not."""
        profile = self.profiles.get(profile_id or "")
        found = None if profile is None else profile.plausible.get(quantity)
        return self._everywhere[quantity] if found is None else found

    @cached_property
    def lookup(self) -> Lookup:
        """The same as arrays."""
        return Lookup.of(self)

    @cached_property
    def _everywhere(self) -> Mapping[str, Plausible]:
        return {q.name: q.plausible for q in self.quantities.values()}

    @cached_property
    def by_n(self) -> Mapping[int, Sensor]:
        return {s.n: s for s in self.sensors.values()}

    @cached_property
    def quantity_by_n(self) -> Mapping[int, Quantity]:
        return {q.n: q for q in self.quantities.values()}
