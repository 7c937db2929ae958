"""Which sensors, cameras and positions a rule is for."""

from __future__ import annotations

from collections.abc import Mapping

import shapely
from shapely.geometry.base import BaseGeometry

from gis.region import SEPARATOR
from rules.rule import Where


def is_named(where: Where, identity: str, scope: str) -> bool:
    """Whether a rule is for a sensor or camera, by its id and the region path that it stands in."""
    if where.sensors and identity not in where.sensors:
        return False
    if identity in where.not_sensors:
        return False
    return not where.regions or not set(where.regions).isdisjoint(scope.split(SEPARATOR))


def is_met(where: Where, lng: float, lat: float, areas: Mapping[str, BaseGeometry]) -> bool:
    """Whether a position (degrees; edges are inside) is where the rule asks for."""
    if where.inside is not None and not shapely.intersects_xy(areas[where.inside], lng, lat):
        return False
    return where.outside is None or not shapely.intersects_xy(areas[where.outside], lng, lat)
