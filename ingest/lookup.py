"""The catalogue as arrays, for messages by the thousand: what ``decode`` asks of one sensor, asked of many at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ingest.reading import Column

if TYPE_CHECKING:
    from ingest.sensor import Catalogue


@dataclass(frozen=True)
class Lookup:
    """Sensors, quantities and models of device by place (their order in the catalogue; model 0 is that of sensors without one).

    ``by_topic``: place of the sensor whose readings come on a topic; ``names`` its id as it stands in keys. ``number`` and
    ``profile`` by sensor, ``quantity_number`` by quantity; ``measures`` by sensor and quantity. By model and quantity ``low``
    and ``high``, and ``sentinels`` (NaN where there are fewer).
    """

    by_topic: dict[str, int]
    names: list[bytes]
    number: Column
    profile: Column
    by_quantity: dict[str, int]
    quantity_number: Column
    measures: Column
    low: Column
    high: Column
    sentinels: Column

    @classmethod
    def of(cls, catalogue: Catalogue) -> Lookup:
        sensors, quantities = list(catalogue.sensors.values()), list(catalogue.quantities.values())
        by_quantity = {quantity.name: place for place, quantity in enumerate(quantities)}
        profiles = [None, *catalogue.profiles.values()]
        by_profile = {profile.id: place for place, profile in enumerate(profiles) if profile is not None}
        measures = np.zeros((len(sensors), len(quantities)), dtype=bool)
        for place, sensor in enumerate(sensors):
            measures[place, [by_quantity[name] for name in sensor.quantities if name in by_quantity]] = True
        if "online" in by_quantity:
            measures[:, by_quantity["online"]] = True
        plausible = [
            [catalogue.plausible_of(None if profile is None else profile.id, quantity.name) for quantity in quantities]
            for profile in profiles
        ]
        most = max((len(found.sentinels) for row in plausible for found in row), default=0)
        sentinels = np.full((len(profiles), len(quantities), most), np.nan)
        for profile, row in enumerate(plausible):
            for quantity, found in enumerate(row):
                sentinels[profile, quantity, : len(found.sentinels)] = sorted(found.sentinels)
        return cls(
            {f"cc/v1/{sensor.county}/{sensor.id}/reading": place for place, sensor in enumerate(sensors)},
            [sensor.id.encode() for sensor in sensors],
            np.array([sensor.n for sensor in sensors], dtype="i4"),
            np.array([by_profile.get(sensor.profile, 0) for sensor in sensors], dtype="i4"),
            by_quantity,
            np.array([quantity.n for quantity in quantities], dtype="i2"),
            measures,
            np.array([[found.low for found in row] for row in plausible], dtype="f8"),
            np.array([[found.high for found in row] for row in plausible], dtype="f8"),
            sentinels,
        )
