"""Alerts in the small city, and the tickets that open for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from command_center.city import dispatch_table
from command_center.ticket.dispatch import open_ticket
from command_center.ticket.ticket import Actor, Holder, Place, Step, Ticket, fold
from gis.region import Region, RegionTree
from rules.alert import Alert, Source, alert_id
from tests.small_city import CITY, cell_code, spots

TREE = RegionTree.of(spot.region for spot in spots())
TABLE = dispatch_table("suqian")
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
INCIDENT = UUID(int=5)
CELL = cell_code(0, 1, 1, 1)
VILLAGE, TOWN, COUNTY = (TREE.path(CELL)[n].code for n in (3, 2, 1))


def alert(severity: int = 4, cell: str = CELL, **more: Any) -> Alert:
    """An alert of a gauge in the middle of ``cell``."""
    region = TREE[cell]
    fields: dict[str, Any] = {
        "id": alert_id("flood", "gauge", str(severity)),
        "rule": "flood",
        "rule_version": 1,
        "source": Source("sensor", "gauge", "测点", cell, str(region.parent), region.scope, 118.0, 34.0),
        "domain": "emergency",
        "category": "somewhat",
        "severity": severity,
        "title": f"积水 {severity}",
        "title_en": f"Flood {severity}",
        "quantity": "water_depth",
        "unit": "m",
        "value": 0.3,
        "threshold": 0.25,
        "raised_at_us": 0,
        "at_us": 0,
    }
    return Alert(**fields | more)


def trail(severity: int = 4, cell: str = CELL) -> tuple[Place, Step]:
    """The place and first step of a new ticket: severity 4 to the city, 3 the county, 2 the township, 1 the village."""
    return open_ticket(alert(severity, cell), INCIDENT, 7, TREE, TABLE, NOW)


def ticket(severity: int = 4) -> Ticket:
    """A new ticket."""
    place, step = trail(severity)
    return fold(place, [step])


def actor(code: str) -> Actor:
    """The account of a region."""
    region = TREE[code]
    return Actor(f"u-{code}", f"{region.name}值班员", region.tier, region.scope)


def desk(code: str) -> Holder:
    """A region as holder, nobody there having accepted yet."""
    region: Region = TREE[code]
    return Holder(region.code, region.name, region.tier, region.scope)


CITY_DESK = CITY
