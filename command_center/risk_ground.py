"""What risk is computed over: cells in the order of their paths, the regions they lie in, and what is measured of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Final

import numpy as np
from sqlalchemy import Connection, text

from gis.version_store import ground_mark
from rules.risk import DOMAINS, Numbers, Regions, saturated
from rules.risk_table import RiskTable

SPECIAL: Final = "special"
BY_DOMAIN: Final = frozenset({"duties", "past", "overdue"})
"""Parts that are another for each domain."""
_OF: Final = dict.fromkeys(("past", "overdue", "silent"), "vulnerability")
_DOMAIN: Final = {name: place for place, name in enumerate(DOMAINS)}


@dataclass(frozen=True, slots=True)
class Spot:
    """A cell or a region."""

    code: str
    name: str
    tier: str
    scope: str


@dataclass(frozen=True)
class Ground:
    """The places that have a risk: cells first, by path, then regions. ``measured``: by part [cell, domain], as it is said;
    ``extra``: by part, by how much more a hazard counts for it.
    """

    mark: str
    cells: tuple[Spot, ...]
    regions: tuple[Spot, ...]
    runs: Regions
    measured: Mapping[str, Numbers]
    extra: Mapping[str, Numbers]

    @cached_property
    def place(self) -> Mapping[str, int]:
        """A cell's place by its code."""
        return {cell.code: n for n, cell in enumerate(self.cells)}

    @cached_property
    def spots(self) -> tuple[Spot, ...]:
        return self.cells + self.regions

    @cached_property
    def row(self) -> Mapping[str, int]:
        """The row of a cell or region by its code."""
        return {spot.code: n for n, spot in enumerate(self.spots)}

    @cached_property
    def measured_by_cell(self) -> Numbers:
        """What is measured, [cell, part, domain], parts in the order of ``extra``."""
        return np.stack([self.measured[name] for name in self.extra], axis=1)

    @cached_property
    def extra_by_cell(self) -> Numbers:
        """By how much more hazards count, [cell, part, domain]."""
        return np.stack(list(self.extra.values()), axis=1)

    @cached_property
    def excess(self) -> Numbers:
        """By how much more hazards count [cell, domain]."""
        found: Numbers = np.sum(list(self.extra.values()), axis=0)
        return found


def part_of(name: str) -> str:
    """Whether a part is one of exposure or of vulnerability."""
    return _OF.get(name, "exposure")


def read_ground(
    connection: Connection, table: RiskTable, day: date, now: datetime, *, cell: str | None = None
) -> Ground:
    """All cells and regions as they are, with what stands there and how they have fared, in a fraction of a second; or one
    ``cell`` alone, in no region.
    """
    mark = ground_mark(connection)
    found = connection.execute(
        text(
            f"SELECT code, name, scope, area_m2, kind FROM cells WHERE valid_to IS NULL{_only(cell, 'code')} ORDER BY scope"
        ),
        {"cell": cell},
    ).all()
    cells = tuple(Spot(row.code, row.name, "grid", row.scope) for row in found)
    upper = "SELECT code, name, tier, scope FROM regions ORDER BY scope"
    regions = () if cell is not None else tuple(Spot(*row) for row in connection.execute(text(upper)))
    place = {cell.code: n for n, cell in enumerate(cells)}
    area = np.array([row.area_m2 for row in found], dtype="f8")
    special = np.array([row.kind == SPECIAL for row in found], dtype="f8")
    past = now - timedelta(days=table.vulnerability.past_days)
    measured = {
        "density": _in_every_domain(area),
        "special": _in_every_domain(special),
        **_devices(connection, place, cell),
        "duties": _counted(connection, _DUTIES, place, cell, {"day": day}),
        "people": _people(connection, table, place, cell, now),
        "past": _counted(connection, _PAST, place, cell, {"since": past}),
        "overdue": _counted(connection, _OVERDUE, place, cell, {"now": now}),
    }
    return Ground(mark, cells, regions, runs_of(cells, regions), measured, extra_of(measured, table))


def runs_of(cells: Sequence[Spot], regions: Sequence[Spot]) -> Regions:
    """Which run of the cells, which are in the order of their paths, lies in each region."""
    paths = [cell.scope for cell in cells]
    first = [bisect_left(paths, region.scope) for region in regions]
    end = [bisect_left(paths, region.scope + "~") for region in regions]
    return Regions(np.array(first, dtype="i8"), np.array(end, dtype="i8"))


def extra_of(measured: Mapping[str, Numbers], table: RiskTable) -> dict[str, Numbers]:
    """By how much more a hazard counts for each part."""
    exposure, vulnerability = table.exposure, table.vulnerability
    shares = {
        "density": 1.0 - saturated(measured["density"], exposure.density.half),
        "special": measured["special"],
        "duties": saturated(measured["duties"], exposure.duties.half),
        "devices": saturated(measured["devices"], exposure.devices.half),
        "people": measured["people"],
        "past": saturated(measured["past"], vulnerability.past.half),
        "overdue": saturated(measured["overdue"], vulnerability.overdue.half),
        "silent": measured["silent"],
    }
    weights = table.exposure_weights | table.vulnerability_weights
    return {name: share * weights[name] for name, share in shares.items()}


_DUTIES: Final = """SELECT cell, domain, count(*) FROM cell_functions
 WHERE valid_from <= :day AND (valid_to IS NULL OR valid_to > :day)"""
# What was merged into another matter was not one of its own.
_PAST: Final = "SELECT cell, domain, count(*) FROM tickets WHERE opened_at >= :since AND merged_into IS NULL"
_OVERDUE: Final = "SELECT cell, domain, count(*) FROM tickets WHERE closed_at IS NULL AND overdue_at <= :now"
_DEVICES: Final = """SELECT cell, count(*), count(*) FILTER (WHERE state IN ('silent', 'offline')) FROM
 (SELECT cell, state FROM sensors UNION ALL SELECT cell, state FROM cameras) AS d WHERE true"""


def _only(cell: str | None, column: str = "cell") -> str:
    """A further condition where one cell alone is asked for."""
    return "" if cell is None else f" AND {column} = :cell"


def _in_every_domain(values: Numbers) -> Numbers:
    return np.repeat(values[:, None], len(DOMAINS), axis=1)


def _counted(
    connection: Connection, query: str, place: Mapping[str, int], only: str | None, values: Mapping[str, object]
) -> Numbers:
    found = np.zeros((len(place), len(DOMAINS)))
    for cell, domain, count in connection.execute(
        text(f"{query}{_only(only)} GROUP BY 1, 2"), {**values, "cell": only}
    ):
        if cell in place and domain in _DOMAIN:
            found[place[cell], _DOMAIN[domain]] = count
    return found


def _devices(connection: Connection, place: Mapping[str, int], only: str | None) -> dict[str, Numbers]:
    devices, silent = np.zeros(len(place)), np.zeros(len(place))
    for cell, count, offline in connection.execute(text(f"{_DEVICES}{_only(only)} GROUP BY 1"), {"cell": only}):
        if cell in place:
            devices[place[cell]] = count
            silent[place[cell]] = offline / count
    return {"devices": _in_every_domain(devices), "silent": _in_every_domain(silent)}


def _people(
    connection: Connection, table: RiskTable, place: Mapping[str, int], only: str | None, now: datetime
) -> Numbers:
    """How full each cell is by its fullest reading, 0 to 1."""
    rule, found = table.exposure.people, np.zeros(len(place))
    rows = connection.execute(
        text(
            "SELECT s.cell, q.key AS quantity, CAST(q.value ->> 'value' AS float8) AS value"
            " FROM sensors s CROSS JOIN LATERAL jsonb_each(s.latest) q"
            " WHERE s.quantities && CAST(:names AS text[]) AND q.key = ANY (:names)"
            " AND CAST(q.value ->> 'at' AS timestamptz) > :since"
            f"{_only(only, 's.cell')}"
        ),
        {"names": sorted(rule.full), "since": now - timedelta(seconds=rule.fresh_s), "cell": only},
    )
    for cell, quantity, value in rows:
        if cell in place and value is not None:
            share = min(max(value / rule.full[quantity], 0.0), 1.0)
            found[place[cell]] = max(found[place[cell]], share)
    return _in_every_domain(found)
