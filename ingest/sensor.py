"""Sensors, the quantities they measure, and the catalogue that decoding looks them up in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

SENSOR_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


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


@dataclass(frozen=True, slots=True)
class Sensor:
    """A catalogued source of readings. ``n`` is its integer in stored readings, ``scope`` its region path (gis.region).

    A sensor without a position (``lng is None``) moves: its messages carry one. ``interval_s`` is the expected time between
    two messages; silence is judged by it.
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


@dataclass(frozen=True)
class Catalogue:
    """Every sensor and quantity of the city, with the look-ups that decoding and evaluation need."""

    sensors: Mapping[str, Sensor]
    quantities: Mapping[str, Quantity]
    version: int = 0

    @classmethod
    def of(cls, sensors: Iterable[Sensor], quantities: Iterable[Quantity], version: int = 0) -> Catalogue:
        return cls({s.id: s for s in sensors}, {q.name: q for q in quantities}, version)

    @cached_property
    def by_n(self) -> Mapping[int, Sensor]:
        return {s.n: s for s in self.sensors.values()}

    @cached_property
    def quantity_by_n(self) -> Mapping[int, Quantity]:
        return {q.n: q for q in self.quantities.values()}
