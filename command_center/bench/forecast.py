"""Forecasts of recorded series held against persistence and against the climatology by hour of the week.

Every forecast is made as it would be live: from the 28 days before it, cut out of the series. The constants of
rules.forecast were compared on the first half of each series, what is printed is the second half; which ways are blended was
decided with the whole series in sight. The climatology knows all earlier weeks, not only 28 days. Where a ratio is below 1
the forecast does not help; those cases are listed once more. Parking was recorded for one day, so there is no hour of the
week to know; no recorded level has a rain gauge beside it.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from command_center.bench.figure import Figure, at_most
from rules import forecast
from rules.forecast import HISTORY, HORIZONS, LEAST

Numbers = npt.NDArray[Any]

_SHARED: Final = Path(__file__).parents[3] / "shared" / "data"
_INSTALLED: Final = ("nyc_taxi", "occupancy_6005", "speed_6005", "usgs_01491000_stage")
_TRAFFIC: Final = (
    ("traffic: occupancy_6005", "realTraffic/occupancy_6005.csv", "%"),
    ("traffic: speed_6005", "realTraffic/speed_6005.csv", "mph"),
    ("traffic: speed_7578", "realTraffic/speed_7578.csv", "mph"),
    ("traffic: TravelTime_387", "realTraffic/TravelTime_387.csv", "s"),
    ("traffic: nyc_taxi", "realKnownCause/nyc_taxi.csv", "rides"),
)
_PARKING: Final = "parking_de_2020-05-22.csv"
_PARKING_LEAST: Final = 12  # hours; less than the product asks for, as there is but one day
_FEW: Final = 1500  # hours: shorter series are forecast from every third hour, longer ones from every seventh
_AT_ONCE: Final = 64
_MOST_MS: Final = 50.0


@dataclass(frozen=True, slots=True)
class Hours:
    """Hourly means of one series, NaN where nothing was recorded."""

    name: str
    unit: str
    value: Numbers
    rain: Numbers | None = None


@dataclass(frozen=True, slots=True)
class Errors:
    """Mean absolute errors by horizon over the same ``n`` hours, and how often the truth lay in the interval."""

    n: int
    ours: Numbers
    persistence: Numbers
    climatology: Numbers
    covered: Numbers


def run() -> list[Figure]:
    """Measure; without the recorded files beside the project only the installed series. Takes a minute or two."""
    found: list[Figure] = []
    for series in (*installed(), *recorded(_SHARED)):
        found += measured(series)
    if (_SHARED / "series" / _PARKING).is_file():
        found += parking(_SHARED / "series" / _PARKING)
    found += rained(np.random.default_rng(20261124))
    return [*found, *unhelpful(found), *cost()]


def measured(series: Hours) -> list[Figure]:
    """Both comparisons by horizon, and the coverage; one figure where there are too few hours to forecast at all."""
    places = asked(series.value)
    if not len(places):
        known = int((~np.isnan(series.value)).sum())
        return [Figure(f"{series.name}: no forecast, hours recorded (least {LEAST} and 7 after them)", known, "hours")]
    errors = judged(series, places)
    found = []
    for place in range(HORIZONS):
        what = f"{series.name} +{place + 1} h"
        ours = float(errors.ours[place])
        for name, baseline in (("persistence", errors.persistence), ("climatology", errors.climatology)):
            theirs = float(baseline[place])
            if math.isfinite(ours) and math.isfinite(theirs):
                ratio = theirs / ours if ours else None
                found.append(Figure(f"{what}: mean error, against {name}", ours, series.unit, theirs, ratio))
    share = float(np.mean(errors.covered)) * 100
    return [*found, Figure(f"{series.name}: truth within the 90 % interval, {errors.n} forecasts", share, "%")]


def asked(value: Numbers) -> Numbers:
    """The hours of the second half from which forecasts are made: those from which the product makes one."""
    step = 3 if len(value) < _FEW else 7
    known = np.cumsum(~np.isnan(value))
    begin = max(len(value) // 2, LEAST)
    places = np.arange(begin, len(value) - HORIZONS, step)
    return np.array([t for t in places if known[t] >= LEAST and not forecast.is_silent(value[: t + 1])], "i8")


def judged(series: Hours, places: Numbers) -> Errors:
    """The errors of the forecasts from these hours and of the two baselines, where all three and the truth are known."""
    usual = forecast.climatology(series.value[None])[0]
    held = forecast.carried(series.value[None])[0]
    parts = []
    for at in np.split(places, range(_AT_ONCE, len(places), _AT_ONCE)):
        rain = None if series.rain is None else windows(series.rain, at)
        found = forecast.ahead(windows(series.value, at), rain)
        later = at[:, None] + np.arange(1, HORIZONS + 1)
        truth, baseline = series.value[later], np.broadcast_to(held[at][:, None], later.shape)
        inside = np.where(np.isnan(truth), np.nan, (truth >= found.low) & (truth <= found.high))
        distances = [np.abs(other - truth) for other in (found.value, baseline, usual[later])]
        parts.append(np.stack([*distances, inside]))
    every = np.concatenate(parts, axis=1)
    known = ~np.isnan(every).any(axis=0)
    n = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, every, 0.0).sum(axis=1) / n
    return Errors(int(known[:, 0].sum()), *means)


def windows(value: Numbers, at: Numbers) -> Numbers:
    """The history that ends with each of these hours [forecast, hour]."""
    padded = np.append(np.full(HISTORY - 1, np.nan), value)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, HISTORY)[at])


def unhelpful(figures: Sequence[Figure]) -> list[Figure]:
    """Where the forecast is no better than a baseline, by how much worse."""
    worse = [one for one in figures if one.ratio is not None and one.ratio < 1 and one.baseline is not None]
    return [
        Figure(f"does not help: {one.what.replace(': mean error', '')}", (1 / (one.ratio or 1) - 1) * 100, "% worse")
        for one in worse
    ]


def cost(sensors: int = 20) -> list[Figure]:
    """Processor time of one sensor's forecast, and its memory while it is made; none is kept after it."""
    rng = np.random.default_rng(1)
    history = rng.normal(50, 8, (1, HISTORY))
    forecast.ahead(history)
    begun = time.process_time()
    for _ in range(sensors):
        forecast.ahead(history)
    each_ms = (time.process_time() - begun) / sensors * 1e3
    return [
        at_most("forecast of one sensor, six hours", each_ms, "ms of processor time", _MOST_MS),
        Figure("history of one sensor, read anew for each forecast", history.nbytes, "bytes"),
        Figure("memory kept of a sensor between forecasts", 0, "bytes"),
    ]


def rained(rng: np.random.Generator, hours: int = 2 * HISTORY) -> list[Figure]:
    """What a rain gauge beside a level adds. Made up, as no recorded level has one: showers into a linear reservoir."""
    showers = (rng.random(hours) < 0.02) * rng.gamma(2.0, 6.0, hours)
    rain = showers + np.append(0, 0.6 * showers[:-1])
    water, level = 0.0, np.empty(hours)
    soil = 0.0
    for hour in range(hours):
        soil = 0.7 * soil + 0.3 * rain[hour]
        water = 0.96 * water + 0.04 * soil
        level[hour] = 20 + water
    level += rng.normal(0, 0.005, hours)
    places = asked(level)
    dry, wet = (judged(Hours("made up", "m", level, beside), places) for beside in (None, rain))
    return [
        Figure(
            f"made-up reservoir +{place + 1} h: mean error with its rain gauge, against without",
            float(wet.ours[place]),
            "m",
            float(dry.ours[place]),
            float(dry.ours[place] / wet.ours[place]),
        )
        for place in range(HORIZONS)
    ]


def parking(file: Path) -> list[Figure]:
    """Free places of one day. The product says nothing of so short a history; this is what it would have said."""
    ours: list[Numbers] = []
    for free in car_parks(file):
        at = np.arange(_PARKING_LEAST, len(free) - HORIZONS)
        later = at[:, None] + np.arange(1, HORIZONS + 1)
        truth = free[later]
        said = forecast.ahead(windows(free, at)).value
        stays = np.broadcast_to(forecast.carried(free[None])[0][at][:, None], truth.shape)
        ours.append(np.stack([np.abs(said - truth), np.abs(stays - truth)]).reshape(2, -1, HORIZONS))
    every = np.concatenate(ours, axis=1)
    mean, stay = np.nanmean(every, axis=1)
    what = f"parking: {len(ours)} car parks, one day, not told (least {LEAST} hours)"
    return [
        Figure(f"{what} +{place + 1} h: mean error, against persistence", float(a), "places", float(b), float(b / a))
        for place, (a, b) in enumerate(zip(mean, stay, strict=True))
    ]


def car_parks(file: Path, least: int = 20) -> Iterator[Numbers]:
    """Free places by hour; what is blank has not changed. Car parks that changed fewer times than ``least`` are left out."""
    with file.open(encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    at_s = np.array([_epoch_s(row[0]) for row in rows])
    for column in range(1, len(header)):
        cells = [row[column] for row in rows]
        found = np.array([float(cell) if cell else np.nan for cell in cells])
        if (~np.isnan(found)).sum() >= least:
            last = np.maximum.accumulate(np.where(np.isnan(found), -1, np.arange(len(found))))
            yield hourly(at_s[last >= 0], found[last[last >= 0]])


def hourly(at_s: Sequence[float] | Numbers, value: Sequence[float] | Numbers) -> Numbers:
    """Means of whole hours, from the first one on."""
    hour = np.asarray(at_s, "f8") // 3600
    place = (hour - hour.min()).astype("i8")
    n = np.bincount(place)
    return np.where(n > 0, np.bincount(place, np.asarray(value, "f8")) / np.maximum(n, 1), np.nan)


def installed() -> list[Hours]:
    """The series of the data pack: a week each, or an hour."""
    folder = files("config") / "suqian" / "series"
    found = []
    for name in _INSTALLED:
        with (folder / f"{name}.csv").open(encoding="utf-8") as lines:
            found.append(_series(f"installed week: {name}", "of its unit", csv.DictReader(lines), "timestamp"))
    return found


def recorded(folder: Path) -> list[Hours]:
    """The longer series that lie beside the project, those that are there."""
    found = []
    river, air = folder / "series" / "uk_river_wear_levels.csv", folder / "series" / "beijing_pm25_2013.csv"
    if river.is_file():
        with river.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        for station in sorted({row["station"] for row in rows}):
            own = [row for row in rows if row["station"] == station]
            found.append(_series(f"river: {station}", "m", own, "dateTime"))
    if air.is_file():
        with air.open(encoding="utf-8", newline="") as lines:
            means = np.array([_number(row["pm2.5"]) for row in csv.DictReader(lines)])
        found.append(Hours("air: Beijing PM2.5", "ug/m3", means))
    for name, place, unit in _TRAFFIC:
        if (folder / "nab" / place).is_file():
            with (folder / "nab" / place).open(encoding="utf-8", newline="") as lines:
                found.append(_series(name, unit, csv.DictReader(lines), "timestamp"))
    return found


def _series(name: str, unit: str, rows: Any, at: str) -> Hours:
    read: list[Mapping[str, str]] = [row for row in rows if not math.isnan(_number(row["value"]))]
    return Hours(name, unit, hourly([_epoch_s(row[at]) for row in read], [_number(row["value"]) for row in read]))


def _number(written: str) -> float:
    return float(written) if written.strip() not in ("", "NA") else math.nan


def _epoch_s(written: str) -> float:
    at = datetime.fromisoformat(written)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
