"""What a cell's next six hours of risk are made of, read for that cell alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from command_center.api.asking import server
from command_center.api.forecast import Wanted, gauge_of, history_of, hourly, rain_of, reason_of
from command_center.api.standing import rules_in_force
from command_center.city import risk_weights
from command_center.risk_ground import BY_DOMAIN, Ground, part_of, read_ground
from command_center.risk_hazard import ALERTS, SENSORS, Found, of_alert, of_reading, silent_since
from ingest.sensor import Sensor
from rules import forecast
from rules.risk import DOMAINS
from rules.risk_limit import Limit, limits, near
from rules.risk_outlook import Expected, Outlook, Part, outlook
from rules.risk_table import RiskTable
from rules.rule import Level
from rules.rung import rungs
from rules.store import microseconds


@dataclass(frozen=True, slots=True)
class CellOutlook:
    """The hours ahead; ``untold``: by sensor, why a quantity of it is not forecast; ``age_s`` None where none is."""

    outlook: Outlook
    untold: dict[str, dict[str, Any]]
    age_s: float | None


@dataclass(frozen=True, slots=True)
class _Bound:
    """A sensor's limit with the levels that count now."""

    sensor: Sensor
    limit: Limit
    levels: tuple[Level, ...]
    wartime: bool


_table = cache(risk_weights)


def outlook_of(connection: Connection, cell: str, moment: datetime) -> CellOutlook | None:
    """Of a cell as this transaction sees it; None in a city that has no weights of risk."""
    table = _table(server().settings.city)
    if table is None:
        return None
    day = moment.astimezone(server().zone).date()
    bound = _bound(connection, cell, moment)
    standing = [one.standing(moment.timestamp()) for one in _hazards(connection, cell, bound, table, moment)]
    expected, untold, age_s = _expected(connection, bound, moment)
    parts = _parts(read_ground(connection, table, day, moment, cell=cell))
    return CellOutlook(outlook(standing, expected, parts, table.hazard), untold, age_s)


def _bound(connection: Connection, cell: str, moment: datetime) -> list[_Bound]:
    """The limits of the cell's sensors: those for wartime while their levels count."""
    book, catalogue = rules_in_force(connection).book, server().catalogue
    here = {sensor.id: sensor for sensor in catalogue.sensors.values() if sensor.cell == cell}
    wartime = {rule.id for rule in book.thresholds if rule.when.mode == "wartime"}
    found = limits(book.thresholds, replace(catalogue, sensors=here), book.areas, wartime=True)
    bound = []
    for sensor in here.values():
        for limit in found.get(sensor.n, ()):
            met = rungs(book.thresholds, sensor, limit.quantity, microseconds(moment), server().situation, book.areas)
            levels = tuple(rung.level for rung in met if rung.rule == limit.rule)
            if levels or limit.rule not in wartime:
                bound.append(_Bound(sensor, limit, levels, limit.rule in wartime))
    return bound


def _hazards(
    connection: Connection, cell: str, bound: Sequence[_Bound], table: RiskTable, moment: datetime
) -> list[Found]:
    """What counts in the cell now."""
    since = moment - timedelta(seconds=table.hazard.remembered_s)
    rows = connection.execute(
        text(f"SELECT * FROM ({ALERTS}) AS a WHERE cell = :cell"), {"since": since, "cell": cell}
    ).all()
    alerts = [row for row in rows if row.domain in DOMAINS]
    sensors = connection.execute(
        text(f"{SENSORS} WHERE cell = :cell OR id = ANY (:sources)"),
        {"cell": cell, "sources": [row.source for row in alerts]},
    ).all()
    silent = {row.id: at for row in sensors if (at := silent_since(row)) is not None}
    found = [of_alert(row, 0, table.hazard, silent) for row in alerts]
    latest = {row.id: row.latest for row in sensors}
    for one in bound:
        if not one.wartime:
            close = near((one.limit,), latest.get(one.sensor.id, {}))
            found += [of_reading(n, one.sensor.id, one.sensor.name, 0, table.hazard.closeness) for n in close]
    return found


def _expected(
    connection: Connection, bound: Sequence[_Bound], moment: datetime
) -> tuple[list[Expected], dict[str, dict[str, Any]], float | None]:
    """Forecasts of all of them at once, why there is none of the others, and the age of what they go by."""
    wanted = dict[tuple[str, str], Wanted]()
    for one in bound:
        quantity = server().catalogue.quantities[one.limit.quantity]
        wanted[one.sensor.id, quantity.name] = one.sensor, quantity, gauge_of(one.sensor, quantity)
    hours = hourly(connection, list(wanted.values()), moment) if wanted else {}
    untold, histories, ages = dict[str, dict[str, Any]](), dict[tuple[str, str], Any](), list[float]()
    for key, (sensor, quantity, _) in wanted.items():
        own = hours.get((sensor.n, quantity.n), [])
        history = history_of(own)
        reason = reason_of(history)
        if reason is not None:
            untold[sensor.id] = {"sensor": sensor.id, "name": sensor.name, "quantity": quantity.name, "reason": reason}
        else:
            histories[key] = history
            ages.append((moment - max(row.newest_at for row in own)).total_seconds())
    values = dict[tuple[str, str], tuple[float, ...]]()
    if histories:
        rain = np.stack([rain_of(hours, wanted[key][2]) for key in histories])
        ahead = forecast.ahead(np.stack(list(histories.values())), rain)
        for row, key in enumerate(histories):
            quantity = wanted[key][1]
            said = forecast.forecasts(ahead, row, moment, quantity.low, quantity.high)
            values[key] = tuple(one.value for one in said)
    expected = [
        Expected(
            one.sensor.id,
            one.sensor.name,
            one.limit,
            one.levels,
            values.get((one.sensor.id, one.limit.quantity), ()),
        )
        for one in bound
    ]
    return expected, untold, round(max(ages), 3) if ages else None


def _parts(ground: Ground) -> list[Part]:
    """What stands in the cell and how it has fared."""
    if not ground.cells:
        return []
    columns = zip(ground.extra, ground.measured_by_cell[0], ground.extra_by_cell[0], strict=True)
    return [
        Part(part_of(name), name, float(measured.sum() if name in BY_DOMAIN else measured[0]), tuple(extra.tolist()))
        for name, measured, extra in columns
    ]
