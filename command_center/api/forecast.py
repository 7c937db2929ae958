"""``/api/v1/sensors/{id}/forecast``: what a sensor's next six hours are expected to be, and when a threshold is reached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field
from sqlalchemy import Connection, text

from command_center.api.asking import account, now, server, sight
from command_center.api.standing import rules_in_force
from gis.region import covers
from ingest.reading import AHEAD, FAULTY, OUT_OF_RANGE
from ingest.sensor import Quantity, Sensor
from rules import forecast
from rules.forecast import Forecast
from rules.rung import Rung, rungs
from rules.store import microseconds

Numbers = npt.NDArray[Any]

blueprint = APIBlueprint("forecasts", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="sources")])

RAIN = "rain_1h"
_LEVELS = frozenset({"water_depth", "river_level"})
_NEAR_DEGREES = 0.1  # about 10 km: a rain gauge further away says little about a level
_DOUBTFUL = OUT_OF_RANGE | AHEAD | FAULTY
_PAST_HOURS = 12

# Hours are counted back from now. Late readings count: they are what was.
_HOURLY = text(
    "SELECT sensor, quantity, floor(extract(epoch FROM :now - at) / 3600)::int AS back, avg(value) AS mean,"
    " max(at) AS newest_at, (array_agg(value ORDER BY at DESC))[1] AS newest FROM readings"
    " WHERE sensor = ANY (:sensors) AND quantity = ANY (:quantities)"
    " AND received_at > :since AND at > :since AND at <= :now AND flags & :doubtful = 0 GROUP BY 1, 2, 3"
)


class NoSuchSensor(LookupError):
    """There is no such sensor, or it is not the asker's to see."""


class NotMeasured(ValueError):
    """The sensor does not measure this quantity."""


class SensorPath(BaseModel):
    """One sensor."""

    id: str


class ForecastQuery(BaseModel):
    """Of what, and which threshold to look out for."""

    quantity: str | None = Field(None, description="the sensor's first when it is missing")
    threshold: float | None = Field(None, allow_inf_nan=False, description="in the quantity's unit")
    direction: Literal["above", "below"] = Field("above", description="from which side the threshold counts")


@blueprint.get("/sensors/<id>/forecast", summary="The next six hours of a sensor")
def get_forecast(path: SensorPath, query: ForecastQuery) -> dict[str, Any]:
    """From its readings of the last 28 days. ``items`` is empty where they do not suffice, and ``reason`` says why.

    ``past``: means of the hours before. ``levels``: those of threshold rules that count for it now, with when each is reached.
    """
    sensor, moment = _sensor(path.id), now()
    quantity = _quantity(sensor, query.quantity)
    gauge = gauge_of(sensor, quantity)
    with sight() as connection:
        hours = hourly(connection, [(sensor, quantity, gauge)], moment)
        book = rules_in_force(connection).book
    levels = rungs(book.thresholds, sensor, quantity.name, microseconds(moment), server().situation, book.areas)
    own = hours.get((sensor.n, quantity.n), [])
    history, rain = history_of(own), rain_of(hours, gauge)
    latest = min(own, key=lambda row: row.back, default=None)
    body: dict[str, Any] = {
        "sensor": sensor.id,
        "quantity": quantity.name,
        "unit": quantity.unit,
        "now": moment.isoformat(),
        "rain_gauge": None if gauge is None or np.isnan(rain).all() else gauge.id,
        "latest": None if latest is None else {"value": latest.newest, "at": latest.newest_at.isoformat()},
        "age_s": None if latest is None else round((moment - latest.newest_at).total_seconds(), 3),
        "known_hours": forecast.known_hours(history),
        "coverage": forecast.COVERAGE,
        "past": [_mean(row, moment) for row in sorted(own, key=lambda row: -row.back) if row.back < _PAST_HOURS],
    }
    reason = reason_of(history)
    if reason is not None or latest is None:
        shown = [_shown_rung(rung) | {"reached": None} for rung in levels]
        return body | {"items": [], "reason": reason, "exceedance": None, "levels": shown}
    ahead = forecast.ahead(history[None], rain[None])
    said = forecast.forecasts(ahead, 0, moment, quantity.low, quantity.high)

    def reached(threshold: float, direction: str) -> dict[str, Any]:
        found = forecast.exceedance(said, latest.newest, threshold, quantity.symbol, above=direction == "above")
        return {name: getattr(found, name) for name in found.__slots__}

    return body | {
        "items": [_shown(one) for one in said],
        "reason": None,
        "exceedance": None if query.threshold is None else reached(query.threshold, query.direction),
        "levels": [_shown_rung(rung) | {"reached": reached(rung.level.at, rung.direction)} for rung in levels],
    }


def _sensor(name: str) -> Sensor:
    """A sensor of the account's subtree. Raises NoSuchSensor."""
    sensor = server().catalogue.sensors.get(name)
    if sensor is None or not covers(account().scope, sensor.scope):
        raise NoSuchSensor(f"there is no sensor {name[:64]!r}")
    return sensor


def _quantity(sensor: Sensor, name: str | None) -> Quantity:
    """Raises NotMeasured."""
    chosen = name if name is not None else next(iter(sensor.quantities), "")
    quantity = server().catalogue.quantities.get(chosen) if chosen in sensor.quantities else None
    if quantity is None:
        measured = ", ".join(sensor.quantities) or "nothing"
        raise NotMeasured(f"sensor {sensor.id} does not measure {chosen[:64]!r} but {measured}")
    return quantity


def gauge_of(sensor: Sensor, quantity: Quantity) -> Sensor | None:
    """For a level of water: the nearest rain gauge that the account may see."""
    if quantity.name not in _LEVELS or sensor.lng is None or sensor.lat is None:
        return None
    scope, near = account().scope, []
    for other in server().catalogue.sensors.values():
        if RAIN in other.quantities and other.lng is not None and other.lat is not None and covers(scope, other.scope):
            away = float(np.hypot((other.lng - sensor.lng) * np.cos(np.radians(sensor.lat)), other.lat - sensor.lat))
            near.append((away, other.id, other))
    nearest = min(near, default=None, key=lambda one: one[:2])
    return None if nearest is None or nearest[0] > _NEAR_DEGREES else nearest[2]


Wanted = tuple[Sensor, Quantity, Sensor | None]
"""What is to be forecast, and the rain gauge beside it."""
Hours = dict[tuple[int, int], list[Any]]
"""Hours with readings by the numbers of sensor and quantity."""


def hourly(connection: Connection, wanted: Sequence[Wanted], moment: datetime) -> Hours:
    """The hours of all that is wanted and of the gauges beside, in one query."""
    sensors, quantities = {sensor.n for sensor, _, _ in wanted}, {quantity.n for _, quantity, _ in wanted}
    rain = server().catalogue.quantities.get(RAIN)
    gauges = {gauge.n for _, _, gauge in wanted if gauge is not None}
    if rain is not None and gauges:
        sensors, quantities = sensors | gauges, quantities | {rain.n}
    values = {
        "sensors": sorted(sensors),
        "quantities": sorted(quantities),
        "since": moment - timedelta(hours=forecast.HISTORY),
        "now": moment,
        "doubtful": _DOUBTFUL,
    }
    found = Hours()
    for row in connection.execute(_HOURLY, values):
        found.setdefault((row.sensor, row.quantity), []).append(row)
    return found


def rain_of(hours: Hours, gauge: Sensor | None) -> Numbers:
    """Hourly rain of a gauge, NaN where there is none."""
    rain = server().catalogue.quantities.get(RAIN)
    return history_of([] if gauge is None or rain is None else hours.get((gauge.n, rain.n), []))


def history_of(hours: Sequence[Any]) -> Numbers:
    """Hourly means of one source, the last hour last."""
    found = np.full(forecast.HISTORY, np.nan)
    for row in hours:
        if row.back < forecast.HISTORY:
            found[forecast.HISTORY - 1 - row.back] = row.mean
    return found


def reason_of(history: Numbers) -> dict[str, str] | None:
    """Why nothing can be said."""
    known = forecast.known_hours(history)
    if known < forecast.LEAST:
        zh = f"历史数据不足：近 28 天只有 {known} 小时有读数，至少需要 {forecast.LEAST} 小时"
        en = (
            f"not enough history: {known} hours with readings in the last 28 days, at least {forecast.LEAST} are needed"
        )
        return {"kind": "not_enough_history", "zh": zh, "en": en}
    if forecast.is_silent(history):
        hours = forecast.CARRIED + 1
        return {
            "kind": "silent",
            "zh": f"近 {hours} 小时没有读数，无法预测",
            "en": f"no readings in the last {hours} hours to go by",
        }
    return None


def _mean(row: Any, moment: datetime) -> dict[str, Any]:
    """The mean of the hour that ended at ``at``."""
    return {"at": (moment - timedelta(hours=row.back)).isoformat(), "value": row.mean}


def _shown_rung(rung: Rung) -> dict[str, Any]:
    return {
        "rule": rung.rule,
        "title": rung.title.zh,
        "title_en": rung.title.en,
        "severity": rung.level.severity,
        "at": rung.level.at,
        "direction": rung.direction,
    }


def _shown(one: Forecast) -> dict[str, Any]:
    return {
        "at": one.at.isoformat(),
        "horizon_h": one.horizon_h,
        "value": one.value,
        "low": one.low,
        "high": one.high,
        "leading": one.leading,
        "share": round(one.share, 3),
        "zh": one.zh,
        "en": one.en,
    }
