"""A city small enough to think about: three county-level centres, squares for cells, a handful of sensors and cameras.

Every county has two towns, every town two villages, every village four square cells, so that places can be named by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shapely import MultiPolygon, box, union_all
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Connection

from command_center.account.password import digest
from command_center.account.store import save_account
from command_center.city import read_quantities
from config.database import worker_engine
from gis import store as gis_store
from gis.region import Region
from gis.tiles import redraw_stale
from ingest import store as ingest_store
from ingest.partition_store import ensure_partitions
from ingest.sensor import Quantity
from tests.conftest import Database
from video import store as video_store

CITY = "321300"
COUNTIES = ("321302", "321322", "321391")
PASSWORD = "a password for tests"
SIDE = 0.01
WEST, SOUTH = 118.0, 34.0
_STORED_PASSWORD = digest(PASSWORD)


@dataclass(frozen=True)
class Spot:
    """A region and its shape."""

    region: Region
    shape: BaseGeometry


def spots() -> list[Spot]:
    """Every region of the small city, the city first, cells last."""
    cells = list(_cells())
    found: dict[str, tuple[Region, list[BaseGeometry]]] = {}
    for path, cell in cells:
        for region in path:
            found.setdefault(region.code, (region, []))[1].append(cell.shape)
    order = ("city", "county", "township", "village")
    upper = [Spot(region, _many(union_all(shapes))) for region, shapes in found.values()]
    return sorted(upper, key=lambda s: (order.index(s.region.tier), s.region.code)) + [cell for _, cell in cells]


def _many(shape: BaseGeometry) -> BaseGeometry:
    return shape if isinstance(shape, MultiPolygon) else MultiPolygon([shape])


def _cells() -> Iterator[tuple[list[Region], Spot]]:
    column = 0
    for county in COUNTIES:
        for town in range(1, 3):
            for village in range(1, 3):
                for cell in range(1, 5):
                    path = _path(county, town, village)
                    code = f"{path[-1].code}{cell:03d}"
                    region = _below(path[-1], code, f"第{cell}网格", "grid")
                    west, south = WEST + SIDE * column, SOUTH + SIDE * (cell - 1)
                    yield path, Spot(region, box(west, south, west + SIDE, south + SIDE))
                column += 1


def _path(county: str, town: int, village: int) -> list[Region]:
    # The zone 321391 takes its towns from 321302: their codes begin with another county's.
    prefix = "321302" if county == "321391" else county
    town_code = f"{prefix}{town + (10 if county == '321391' else 0):03d}"
    city = Region(CITY, "宿迁市", "city", None, f"{CITY}/")
    county_region = _below(city, county, f"县区{county}", "county")
    town_region = _below(county_region, town_code, f"乡镇{town_code}", "township")
    return [
        city,
        county_region,
        town_region,
        _below(town_region, f"{town_code}{village:03d}", f"第{village}村", "village"),
    ]


def _below(parent: Region, code: str, name: str, tier: str) -> Region:
    return Region(code, name, tier, parent.code, f"{parent.scope}{code}/")


def cell_code(county: int = 0, town: int = 1, village: int = 1, cell: int = 1) -> str:
    """The code of a cell by position."""
    return f"{_path(COUNTIES[county], town, village)[-1].code}{cell:03d}"


@dataclass(frozen=True)
class SmallCity:
    """What stands in the database, by code."""

    spots: dict[str, Spot]

    def region(self, code: str) -> Region:
        return self.spots[code].region

    def centre(self, cell: str) -> tuple[float, float]:
        """A cell's middle, lng and lat."""
        point = self.spots[cell].shape.centroid
        return point.x, point.y

    def username(self, code: str) -> str:
        """Every region of the small city has an account; all have the password PASSWORD."""
        return f"u-{code}"


def quantities() -> list[Quantity]:
    """Those of the shipped data pack."""
    return read_quantities("suqian")


def build(database: Database) -> SmallCity:
    """Put the small city into an empty database."""
    city = SmallCity({spot.region.code: spot for spot in spots()})
    engine = worker_engine(database.worker_url)
    with engine.begin() as connection:
        ensure_partitions(connection, datetime.now(UTC))
        connection.execute(
            ingest_store.quantities.insert(), [{n: getattr(q, n) for n in Quantity.__slots__} for q in quantities()]
        )
        for spot in city.spots.values():
            _add_region(connection, spot)
        for code in city.spots:
            region = city.region(code)
            grant = (region.code, region.tier, region.name, region.scope)
            save_account(connection, city.username(code), f"{region.name}值班员", _STORED_PASSWORD, grant)
        for n, (name, cell, measured) in enumerate(_SENSORS, start=1):
            add_sensor(connection, city, name, cell, measured, n=n)
        add_camera(connection, city, "32130200081326000001", cell_code(), alias="front_door")
    redraw_stale(engine, datetime.now(UTC))
    engine.dispose()
    return city


# Two gauges stand in one cell, one in the next county, one is a vehicle that stands nowhere.
_SENSORS: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
    ("water-1", cell_code(0), ("water_depth",)),
    ("water-2", cell_code(0), ("water_depth",)),
    ("water-far", cell_code(1), ("water_depth",)),
    ("gas-1", cell_code(1, 2, 2, 4), ("gas_concentration", "noise")),
    ("vehicle-1", None, ("link_speed",)),
)


def _add_region(connection: Connection, spot: Spot) -> None:
    region = spot.region
    if region.tier == "grid":
        row: dict[str, Any] = {"region": region.parent, "area_m2": 1.0}
        table = gis_store.cells
    else:
        point = spot.shape.representative_point()
        row = {"tier": region.tier, "parent": region.parent, "synthetic": True, "label": f"SRID=4490;{point.wkt}"}
        table = gis_store.regions
    shape = f"SRID=4490;{_many(spot.shape).wkt}"
    connection.execute(
        table.insert(), {"code": region.code, "name": region.name, "scope": region.scope, "geom": shape, **row}
    )


def add_sensor(
    connection: Connection, city: SmallCity, name: str, cell: str | None, measured: tuple[str, ...], *, n: int
) -> None:
    """A sensor in the middle of a cell; without one it belongs to the first county and moves."""
    home = city.region(cell or cell_code())
    county = home.scope.split("/")[1]
    lng, lat = city.centre(home.code)
    connection.execute(
        ingest_store.sensors.insert(),
        {
            "n": n,
            "id": name,
            "name": f"测点 {name}",
            "county": county,
            "region": home.parent,
            "cell": home.code,
            "scope": home.scope,
            "domain": "emergency",
            "quantities": list(measured),
            "geom": f"SRID=4490;POINT({lng} {lat})" if cell else None,
            "interval_s": 60,
        },
    )


def add_camera(connection: Connection, city: SmallCity, identity: str, cell: str, *, alias: str | None = None) -> None:
    """A camera in the middle of a cell."""
    home = city.region(cell)
    lng, lat = city.centre(cell)
    connection.execute(
        video_store.cameras.insert(),
        {
            "id": identity,
            "name": f"摄像机 {identity[-3:]}",
            "county": home.scope.split("/")[1],
            "region": home.parent,
            "cell": cell,
            "scope": home.scope,
            "domain": "public_order",
            "geom": f"SRID=4490;POINT({lng} {lat})",
            "direction": 90.0,
            "field_of_view": 60.0,
            "alias": alias,
        },
    )
