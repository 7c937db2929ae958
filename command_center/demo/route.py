"""Where the demo city's vehicles are: round and round on a loop of synthetic roads, unless a scenario leads them away."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final
from zlib import crc32

from command_center.demo.scenario import Scenario, along
from ingest.sensor import Sensor

LOOP: Final = (
    (118.205, 33.975),
    (118.380, 33.975),
    (118.425, 33.900),
    (118.380, 33.835),
    (118.258, 33.835),
    (118.205, 33.900),
)
"""Corners (lng, lat) in the order in which they are passed."""
FORBIDDEN: Final = (118.305, 33.900)
"""Where the scenario leads its vehicle: inside the forbidden area of config/suqian/rules/traffic.yaml."""

_AROUND_S: Final = 5_400.0
# How much of the way from the loop to the forbidden area the vehicle is, by seconds after the start.
_ASTRAY: Final = ((0.0, 0.0), (80.0, 1.0), (220.0, 1.0), (320.0, 0.0))


def position(sensor: Sensor, at: float, scenario: Scenario) -> tuple[float, float] | None:
    """Longitude and latitude of a vehicle at epoch seconds ``at``; None for what stands still."""
    if sensor.lng is not None:
        return None
    lng, lat = _on_loop((at / _AROUND_S + crc32(sensor.id.encode()) / 2**32) % 1)
    share = _astray(sensor, at, scenario)
    return round(lng + share * (FORBIDDEN[0] - lng), 6), round(lat + share * (FORBIDDEN[1] - lat), 6)


def _astray(sensor: Sensor, at: float, scenario: Scenario) -> float:
    lag_s = scenario.lag_s.get(sensor.id)
    age = -1.0 if lag_s is None else at - scenario.started_at - lag_s
    return along(_ASTRAY, age) if 0 <= age < _ASTRAY[-1][0] else 0.0


def _on_loop(share: float) -> tuple[float, float]:
    corners = [*LOOP, LOOP[0]]
    lengths = [math.dist(one, other) for one, other in pairwise(corners)]
    left = share * sum(lengths)
    for (one, other), length in zip(pairwise(corners), lengths, strict=True):
        if left <= length:
            return one[0] + (other[0] - one[0]) * left / length, one[1] + (other[1] - one[1]) * left / length
        left -= length
    return LOOP[0]
