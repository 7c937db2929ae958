"""What a demo sensor reads at a time: pure, and the same for the same sensor, time and scenario.

An everyday value is ``low + (high - low) * shape`` with a shape held to 0..1, so that it cannot leave its band, and
every band keeps clear of every shipped rule. Where a recorded series lends its shape (config/suqian/series), it is
scaled to the band: the numbers are not those recorded. A scenario speaks instead of everyday life for the sensors that
take part in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final
from zlib import crc32

import numpy as np

from command_center.demo.division import rows
from command_center.demo.scenario import Scenario, added, scripted
from ingest.sensor import Sensor

CITY_OFFSET_S: Final = 8 * 3600  # Suqian keeps UTC+8 all year
_DAY_S: Final = 86_400
_WEEK_S: Final = 7 * _DAY_S
_SLOT_S: Final = 1800
_MONDAY_S: Final = 4 * _DAY_S  # the epoch was a Thursday


@dataclass(frozen=True, slots=True)
class Band:
    """The everyday range of a quantity, the shape that fills it, decimals to report, and the share of noise in the shape."""

    low: float
    high: float
    shape: Callable[[float, float], float]
    decimals: int = 2
    noise: float = 0.08


def values(sensor: Sensor, at: float, scenario: Scenario) -> dict[str, float]:
    """Readings of a sensor at epoch seconds ``at``, by quantity; empty for quantities that nobody simulates (pictures)."""
    found = {}
    for quantity in sensor.quantities:
        if quantity in BANDS:
            value = scripted(scenario, sensor, quantity, at)
            if value is None:
                value = _everyday(sensor.id, quantity, at) + added(scenario, sensor, quantity, at)
            found[quantity] = round(value, BANDS[quantity].decimals)
    return found


def phase(sensor: Sensor) -> float:
    """Where in its interval a sensor sends, 0 to 1: spreads the sensors out, and stays the same from run to run."""
    return _fraction(sensor.id)


def _everyday(sensor: str, quantity: str, at: float) -> float:
    band = BANDS[quantity]
    site = _fraction(sensor)
    share = band.shape(at, site) * (1 - band.noise) + band.noise * _fraction(f"{sensor} {quantity} {int(at)}")
    return band.low + (band.high - band.low) * min(max(share, 0.0), 1.0)


def _fraction(text: str) -> float:
    return crc32(text.encode()) / 2**32


def _hour(at: float) -> float:
    return (at + CITY_OFFSET_S) % _DAY_S / 3600


def _wave(at: float, peak_hour: float) -> float:
    return 0.5 + 0.5 * math.cos((_hour(at) - peak_hour) / 24 * 2 * math.pi)


def _steady(at: float, site: float) -> float:
    """A level of the site's own with a slow daily breath."""
    return 0.15 + 0.45 * site + 0.25 * _wave(at, 15)


def _slow(at: float, site: float) -> float:
    """What is averaged over a day moves over several days."""
    return 0.1 + 0.4 * site + 0.4 * (0.5 + 0.5 * math.cos((at / _DAY_S / 5 + site / 10) * 2 * math.pi))


def _quiet(_at: float, _site: float) -> float:
    return 0.0


def _drizzle(at: float, site: float) -> float:
    """Rain within one hour: on one day in four an afternoon shower that starts and ends smoothly, dry otherwise."""
    day = int((at + CITY_OFFSET_S) // _DAY_S)
    if _fraction(f"rain {day}") > 0.25:
        return 0.0
    begins = 11 + 6 * _fraction(f"hour {day}")
    inside = (_hour(at) - begins) / 4
    return (0.4 + 0.6 * site) * math.sin(math.pi * inside) ** 2 if 0 < inside < 1 else 0.0


def _drizzle_3h(at: float, site: float) -> float:
    return sum(_drizzle(at - hour * 3600, site) for hour in range(3)) / 3


def _demand(at: float, site: float) -> float:
    """Pressure is high at night and dips when people get up and when they come home."""
    dips = sum(math.exp(-(((_hour(at) - peak) / 1.6) ** 2)) for peak in (7.2, 12.0, 19.0))
    return 0.95 - 0.45 * min(dips, 1.0) - 0.35 * site


def _people(at: float, site: float) -> float:
    return (0.55 + 0.45 * site) * _recorded("nyc_taxi", at)


def _work(at: float, site: float) -> float:
    """Dust and noise follow the working day."""
    day = 1 / (1 + math.exp(-(_hour(at) - 6.5) * 1.5)) - 1 / (1 + math.exp(-(_hour(at) - 20) * 1.2))
    return 0.2 + 0.25 * site + 0.5 * day


def _loaded(at: float, site: float) -> float:
    return 0.15 + 0.3 * site + 0.5 * _recorded("occupancy_6005", at)


def _parked(at: float, site: float) -> float:
    return 0.1 + 0.3 * site + 0.6 * _recorded("nyc_taxi", at - 5400)


def _flowing(at: float, site: float) -> float:
    return 0.15 + 0.15 * site + 0.7 * _recorded("speed_6005", at)


def _delayed(at: float, site: float) -> float:
    return 0.3 * site + 0.7 * _recorded("occupancy_6005", at)


def _stage(at: float, site: float) -> float:
    """The recorded hour of falling stage, played down and back up over two days, on a level of the site's own."""
    falling = _recorded_stage()
    place = 1 - abs((at / _DAY_S + site) % 2 - 1)
    return 0.55 * site + 0.4 * float(np.interp(place, np.linspace(0, 1, len(falling)), falling))


BANDS: Final[Mapping[str, Band]] = {
    "water_depth": Band(0.0, 0.02, _steady, decimals=3, noise=0.3),
    "rain_1h": Band(0.0, 2.5, _drizzle, decimals=1, noise=0.0),
    "rain_3h": Band(0.0, 7.5, _drizzle_3h, decimals=1, noise=0.0),
    "rain": Band(0.0, 0.2, _drizzle, decimals=2, noise=0.0),  # what falls within the five minutes between two readings
    "river_level": Band(1.6, 3.4, _stage, noise=0.01),
    "gas_concentration": Band(0.0, 4.0, _steady, decimals=1, noise=0.3),
    "pm10": Band(18.0, 130.0, _work, decimals=0, noise=0.15),
    "pm25": Band(8.0, 62.0, _work, decimals=0, noise=0.15),
    "pm10_24h": Band(40.0, 105.0, _slow, decimals=0, noise=0.02),
    "pm25_24h": Band(18.0, 52.0, _slow, decimals=0, noise=0.02),
    "noise": Band(38.0, 68.0, _work, decimals=1, noise=0.25),
    "water_pressure": Band(0.21, 0.38, _demand, decimals=3, noise=0.05),
    "bridge_strain": Band(8.0, 46.0, _loaded, decimals=1, noise=0.2),
    "elevator_trapped_s": Band(0.0, 0.0, _quiet, decimals=0),
    "crowd_density": Band(0.0, 1.6, _people),
    "visitor_load": Band(2.0, 68.0, _people, decimals=1),
    "traffic_index": Band(0.6, 5.2, _delayed, decimals=1),
    "link_speed": Band(28.0, 66.0, _flowing, decimals=1, noise=0.12),
    "parking_occupancy": Band(8.0, 78.0, _parked, decimals=1, noise=0.03),
    "manhole_tilt": Band(0.0, 2.0, _steady, decimals=1, noise=0.1),
    "tsp": Band(60.0, 260.0, _work, decimals=0, noise=0.15),
    "oxygen": Band(20.5, 20.9, _steady, decimals=1, noise=0.2),
    "hydrogen_sulfide": Band(0.0, 2.0, _steady, decimals=1, noise=0.3),
    "carbon_monoxide": Band(0.0, 6.0, _work, decimals=1, noise=0.3),
    "ride_stuck_s": Band(0.0, 0.0, _quiet, decimals=0),
    "hazmat_speed": Band(36.0, 54.0, _flowing, decimals=1, noise=0.2),
}


@cache
def _week(name: str) -> tuple[float, ...]:
    """A recorded week of half hours from Monday 00:00, scaled to 0..1 between its 2nd and 98th percentile."""
    series = [
        (datetime.fromisoformat(row["timestamp"]), float(row["value"]))
        for row in rows("suqian", "series", f"{name}.csv")
    ]
    series.sort(key=lambda pair: (pair[0].weekday(), pair[0].time()))
    recorded = np.array([value for _, value in series])
    low, high = np.percentile(recorded, [2, 98])
    return tuple(np.clip((recorded - low) / (high - low), 0, 1).tolist())


def _recorded(name: str, at: float) -> float:
    """The recorded week at this hour of the city's week, between its half hours by straight lines."""
    week = _week(name)
    slot, rest = divmod((at + CITY_OFFSET_S - _MONDAY_S) % _WEEK_S / _SLOT_S, 1)
    here, after = week[int(slot) % len(week)], week[(int(slot) + 1) % len(week)]
    return here + (after - here) * rest


@cache
def _recorded_stage() -> tuple[float, ...]:
    recorded = np.array([float(row["value"]) for row in rows("suqian", "series", "usgs_01491000_stage.csv")])
    return tuple(((recorded - recorded.min()) / np.ptp(recorded)).tolist())
