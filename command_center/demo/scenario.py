"""What happens in the demo city, and to which sensors: a scenario is a name, a start, and a part for each sensor in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from command_center.demo.catalogue import KNOWN_GAUGE, PICTURE_QUANTITIES
from gis.region import SEPARATOR
from ingest.sensor import Sensor

EVERYDAY: Final = "everyday"
SCENARIOS: Final = (EVERYDAY, "storm", "gas-leak", "crowd", "pipe-burst", "hazmat", "great-storm")
DURATION_S: Final = 480.0

_METRES_NORTH = 111_195.0
_METRES_EAST = 92_300.0  # at 33.9 degrees north

# Curves as (seconds after the start, value); a later sensor runs through the same curve later. Minutes stand for hours: a real
# storm rises and drains far more slowly than anybody would watch.
Curve = tuple[tuple[float, float], ...]
_STORM: Final[Mapping[str, Curve]] = {
    "rain_1h": ((0, 0), (20, 12), (60, 34), (120, 46), (200, 30), (300, 6), (400, 0)),
    "rain_3h": ((0, 0), (20, 15), (70, 48), (100, 58), (160, 72), (280, 60), (360, 30), (440, 4)),
    "rain": ((0, 0), (20, 0.3), (60, 1.2), (120, 1.6), (200, 1.0), (300, 0.2), (400, 0)),
    "water_depth": ((0, 0.01), (40, 0.06), (80, 0.17), (130, 0.24), (160, 0.31), (230, 0.34), (320, 0.16), (400, 0.02)),
}
_STORM_RISE: Final[Mapping[str, Curve]] = {"river_level": ((0, 0), (60, 0.02), (300, 0.35), (380, 0.2), (470, 0))}
CURVES: Final[Mapping[str, Mapping[str, Curve]]] = {
    "storm": _STORM,
    "great-storm": _STORM,
    "gas-leak": {
        "gas_concentration": ((0, 2), (30, 9), (60, 22), (110, 31), (150, 39), (220, 41), (290, 18), (340, 3)),
        "crowd_density": ((0, 0.8), (20, 1.3), (320, 1.3), (360, 0.8)),
    },
    "crowd": {
        "crowd_density": ((0, 1.2), (30, 1.7), (70, 2.4), (110, 3.3), (170, 4.2), (230, 4.4), (300, 2.6), (380, 1.0)),
        "visitor_load": ((0, 55), (60, 70), (120, 86), (220, 91), (320, 72), (400, 55)),
    },
    "hazmat": {"hazmat_speed": ((0, 48), (60, 55), (80, 72), (200, 72), (230, 50), (320, 48))},
}
# Curves that come on top of everyday life, for what stands at a level of its own everywhere.
RISES: Final[Mapping[str, Mapping[str, Curve]]] = {
    "storm": _STORM_RISE,
    "great-storm": _STORM_RISE,
    "pipe-burst": {"water_pressure": ((0, 0), (60, -0.01), (90, -0.16), (300, -0.17), (400, -0.02), (440, 0))},
}
# How many sensors of each quantity take part, nearest first, and how many seconds each starts after the one before it.
_PARTS: Final[Mapping[str, Mapping[str, tuple[int, float]]]] = {
    "storm": {"water_depth": (6, 8), "rain_3h": (3, 10), "river_level": (3, 5)},
    "gas-leak": {"gas_concentration": (3, 15), "crowd_density": (1, 0)},
    "crowd": {"crowd_density": (5, 10), "visitor_load": (1, 0)},
    "pipe-burst": {"water_pressure": (3, 10)},
    "hazmat": {"hazmat_speed": (1, 0)},
    # Ten times as many, and still over within DURATION_S: a flood of alerts, more than 300 of them.
    "great-storm": {"water_depth": (60, 1), "rain_3h": (48, 0.8), "river_level": (20, 0.5)},
}
# The pipe breaks between these two: pressure is lost at the second, and kept at the first.
BEFORE_BURST: Final = "demo-main-001"
BEHIND_BURST: Final = "demo-main-002"


class UnknownScenario(ValueError):
    """No scenario has this name."""


class NothingToPlay(ValueError):
    """The catalogue has no sensor that the scenario needs."""


@dataclass(frozen=True)
class Scenario:
    """``lag_s`` holds the sensors that take part and how long after ``started_at`` (epoch seconds) each begins.

    ``cameras`` are the ids of the cameras that see something, each with its county.
    """

    name: str
    started_at: float
    lag_s: Mapping[str, float] = field(default_factory=dict)
    cameras: tuple[tuple[str, str], ...] = ()


def make_scenario(name: str, sensors: Sequence[Sensor], started_at: float) -> Scenario:
    """Choose who takes part: sensors close together, never the known gauge nor its town.

    The same catalogue and name give the same choice. Raises UnknownScenario, NothingToPlay.
    """
    if name not in SCENARIOS:
        raise UnknownScenario(f"there is no scenario {name!r}: choose one of {', '.join(SCENARIOS)}")
    if name == EVERYDAY:
        return Scenario(name, started_at)
    kept = sensors if name == "hazmat" else _away_from_known_gauge(sensors)
    anchor = _anchor(name, kept)
    lag_s = dict(_cast(name, kept, anchor))
    cameras = ((anchor.id, anchor.county),) if name == "crowd" else ()
    return Scenario(name, started_at, lag_s, cameras)


def is_running(scenario: Scenario, at: float) -> bool:
    """Whether the scenario still makes somebody read or see something at a time (epoch seconds)."""
    return scenario.name != EVERYDAY and 0 <= at - scenario.started_at < DURATION_S


def scripted(scenario: Scenario, sensor: Sensor, quantity: str, at: float) -> float | None:
    """What the scenario makes the sensor read at a time, None where it has no say."""
    lag_s = scenario.lag_s.get(sensor.id)
    curve = CURVES.get(scenario.name, {}).get(quantity)
    if lag_s is None or curve is None:
        return None
    age = at - scenario.started_at - lag_s
    return along(curve, age) if 0 <= age < curve[-1][0] else None


def added(scenario: Scenario, sensor: Sensor, quantity: str, at: float) -> float:
    """What the scenario adds to everyday life at a time."""
    lag_s = scenario.lag_s.get(sensor.id)
    curve = RISES.get(scenario.name, {}).get(quantity)
    if lag_s is None or curve is None:
        return 0.0
    age = at - scenario.started_at - lag_s
    return along(curve, age) if 0 <= age < curve[-1][0] else 0.0


def _away_from_known_gauge(sensors: Sequence[Sensor]) -> list[Sensor]:
    """Fixed sensors outside the known gauge's town, so that a newcomer's first message opens a matter of its own."""
    towns = {_town(sensor) for sensor in sensors if sensor.id == KNOWN_GAUGE}
    return [sensor for sensor in sensors if sensor.lng is not None and _town(sensor) not in towns]


def _town(sensor: Sensor) -> str:
    parts = sensor.scope.split(SEPARATOR)
    return parts[2] if len(parts) > 2 else ""


def _anchor(name: str, sensors: Sequence[Sensor]) -> Sensor:
    """The one around which the scenario plays."""
    if name == "crowd":
        return _camera(sensors)
    if name == "pipe-burst":
        return next((sensor for sensor in sensors if sensor.id == BEHIND_BURST), None) or _densest(
            sensors, "water_pressure"
        )
    return _densest(sensors, next(iter(_PARTS[name])))


def _camera(sensors: Sequence[Sensor]) -> Sensor:
    found = sorted((s for s in sensors if set(PICTURE_QUANTITIES) <= set(s.quantities)), key=lambda s: s.n)
    if not found:
        raise NothingToPlay(
            "the scenario needs a camera that is catalogued as a sensor of picture quality, there is none"
        )
    return found[0]


def _densest(sensors: Sequence[Sensor], quantity: str) -> Sensor:
    """The sensor of a quantity that has its fellows closest around it."""
    fellows = [sensor for sensor in sensors if quantity in sensor.quantities]
    if not fellows:
        raise NothingToPlay(f"the scenario needs sensors of {quantity}, the catalogue has none")

    def reach(sensor: Sensor) -> float:
        return sum(sorted(_distance_m(sensor, other) for other in fellows)[:6])

    return min(fellows, key=lambda sensor: (reach(sensor), sensor.n))


def _cast(name: str, sensors: Sequence[Sensor], anchor: Sensor) -> Iterator[tuple[str, float]]:
    for quantity, (count, step_s) in _PARTS[name].items():
        fellows = [sensor for sensor in sensors if quantity in sensor.quantities and sensor.id != BEFORE_BURST]
        fellows.sort(key=lambda sensor: (_distance_m(sensor, anchor), sensor.n))
        for place, sensor in enumerate(fellows[:count]):
            yield sensor.id, place * step_s


def _distance_m(one: Sensor, other: Sensor) -> float:
    if one.lng is None or one.lat is None or other.lng is None or other.lat is None:
        return float("inf")
    east, north = (one.lng - other.lng) * _METRES_EAST, (one.lat - other.lat) * _METRES_NORTH
    return float((east * east + north * north) ** 0.5)


def along(curve: Curve, age: float) -> float:
    for (start, low), (end, high) in pairwise(curve):
        if age < end:
            return low + (high - low) * (age - start) / (end - start)
    return curve[-1][1]
