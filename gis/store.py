"""Regions, merged cells and the synthetic or real water and roads under them, in PostGIS."""

from __future__ import annotations

import shapely
from geoalchemy2 import Geometry
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Date,
    Double,
    ForeignKey,
    Identity,
    Integer,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from config.database import SCOPE, Policy, metadata, within
from gis.cell_index import CellIndex
from gis.locate import CellPlace, Cells
from gis.region import Region, RegionTree

Path = Text(collation="C")

regions = Table(
    "regions",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default=""),
    Column("parent", Text, ForeignKey("regions.code"), index=True),
    Column("scope", Path, nullable=False, index=True),
    Column("inferred", Boolean, nullable=False, server_default="false"),
    Column("synthetic", Boolean, nullable=False, server_default="false"),
    Column("geom", Geometry("MULTIPOLYGON", srid=4490, spatial_index=True), nullable=False),
    Column("label", Geometry("POINT", srid=4490, spatial_index=False), nullable=False),
)

region_parents = Table(
    "region_parents",
    metadata,
    Column("code", Text, ForeignKey("regions.code"), primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("parent", Text, ForeignKey("regions.code"), nullable=False),
    Column("valid_to", Date),
)

cells = Table(
    "cells",
    metadata,
    Column("code", Text, primary_key=True),
    Column("n", Integer, Identity(), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("region", Text, ForeignKey("regions.code"), nullable=False, index=True),
    Column("scope", Path, nullable=False, index=True),
    Column("area_m2", Double, nullable=False),
    Column("sources", JSONB, nullable=False, server_default="{}"),
    Column("geom", Geometry("POLYGON", srid=4490, spatial_index=True), nullable=False),
)

water = Table(
    "water",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("rank", SmallInteger, nullable=False, server_default="1"),
    Column("geom", Geometry("GEOMETRY", srid=4490, spatial_index=True), nullable=False),
)

policies = (
    # An account may see the regions above its own by name and outline: its breadcrumb. Nothing beside it. The city's own
    # name is nobody's secret: the login page shows it.
    Policy("regions", f"{within('scope')} OR starts_with({SCOPE}, scope) OR tier = 'city'"),
    Policy("region_parents", "code = ANY (ARRAY(SELECT code FROM regions))"),
    Policy("cells", within("scope")),
)


def load_regions(connection: Connection) -> RegionTree:
    """All regions that the connection may see, merged cells included as the lowest tier."""
    found = connection.execute(
        text(
            "SELECT code, name, tier, parent, scope, kind, inferred, ST_X(label), ST_Y(label) FROM regions"
            " UNION ALL SELECT code, name, 'grid', region, scope, '', false,"
            " ST_X(ST_PointOnSurface(geom)), ST_Y(ST_PointOnSurface(geom)) FROM cells"
        )
    )
    return RegionTree.of(Region(*row) for row in found)


def load_cells(connection: Connection) -> Cells:
    """The merged grid with its look-up index."""
    found = connection.execute(
        text(
            "SELECT code, n, region, scope, ST_X(ST_PointOnSurface(geom)) AS lng, ST_Y(ST_PointOnSurface(geom)) AS lat,"
            " ST_AsBinary(geom) AS shape FROM cells ORDER BY code"
        )
    ).all()
    index = CellIndex([row.code for row in found], list(shapely.from_wkb([bytes(row.shape) for row in found])))
    places = {row.n: CellPlace(row.code, row.region, row.scope, row.lng, row.lat) for row in found}
    return Cells(index, {row.code: row.n for row in found}, places)


def load_root(connection: Connection) -> Region | None:
    """The city itself, None before anything is imported. Needs no scope."""
    row = connection.execute(
        text("SELECT code, name, tier, parent, scope FROM regions WHERE tier = 'city' ORDER BY code LIMIT 1")
    ).one_or_none()
    return None if row is None else Region(*row)


def load_scopes(connection: Connection) -> dict[str, str]:
    """Region path by code, for every region above the grid."""
    return dict(connection.execute(text("SELECT code, scope FROM regions")).all())
