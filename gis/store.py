"""Regions, merged cells and the synthetic or real water and roads under them, in PostGIS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import shapely
from geoalchemy2 import Geometry
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Row,
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

Instant = DateTime(timezone=True)
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
    Column("scheme", Text, nullable=False, server_default="local"),
    Column("valid_from", Date),
    Column("valid_to", Date),
    Column("source", Text, nullable=False, server_default=""),
    Column("version", Integer, nullable=False, server_default="0"),
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

# Every state that a cell was ever in force with. A code names one cell for ever; each of its states is a row with its own n.
cells = Table(
    "cells",
    metadata,
    Column("n", Integer, Identity(), primary_key=True),
    Column("code", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="basic"),
    Column("region", Text, ForeignKey("regions.code"), nullable=False, index=True),
    Column("scope", Path, nullable=False, index=True),
    Column("area_m2", Double, nullable=False),
    Column("sources", JSONB, nullable=False, server_default="{}"),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("valid_from", Instant, nullable=False, server_default=text("now()")),
    Column("valid_to", Instant),
    Column("geom", Geometry("MULTIPOLYGON", srid=4490, spatial_index=True), nullable=False),
    Index("ix_cells_in_force", "code", unique=True, postgresql_where=text("valid_to IS NULL")),
)

grid_versions = Table(
    "grid_versions",
    metadata,
    Column("n", Integer, Identity(), primary_key=True),
    Column("state", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("made_at", Instant, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("effective_at", Instant),
    Column("in_force_from", Instant),
    Column("in_force_to", Instant),
    Column("report", JSONB, nullable=False, server_default="{}"),
    Column("changes", JSONB, nullable=False, server_default="{}"),
    # One version is in force, and at most one waits for its time: two that wait would each be made from the same ground.
    Index("ix_grid_versions_one", "state", unique=True, postgresql_where=text("state IN ('in_force', 'published')")),
)

planned_cells = Table(
    "planned_cells",
    metadata,
    Column("version", Integer, ForeignKey("grid_versions.n", ondelete="CASCADE"), primary_key=True),
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("region", Text, ForeignKey("regions.code"), nullable=False),
    Column("scope", Path, nullable=False, index=True),
    Column("area_m2", Double, nullable=False),
    Column("sources", JSONB, nullable=False),
    Column("geom", Geometry("MULTIPOLYGON", srid=4490, spatial_index=False), nullable=False),
)

# What a version made of the cells before it: m2 of cell from_code that lie in cell code since.
cell_lineage = Table(
    "cell_lineage",
    metadata,
    Column("version", Integer, ForeignKey("grid_versions.n", ondelete="CASCADE"), primary_key=True),
    Column("from_code", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("change", Text, nullable=False),
    Column("area_m2", Double, nullable=False),
    Column("scope", Path, nullable=False, index=True),
)

cell_functions = Table(
    "cell_functions",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("cell", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("worker", Text),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),
    Column("scope", Path, nullable=False, index=True),
    Index("ix_cell_functions_cell", "cell", "domain", "valid_from", unique=True),
)

# The departments' own drawings, as imported, and what is wrong with them.
networks = Table(
    "networks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("file", Text, nullable=False),
    Column("datum", Text, nullable=False),
    Column("imported_at", Instant, nullable=False),
    Column("grids", Integer, nullable=False),
    Column("notices", JSONB, nullable=False),
)

network_grids = Table(
    "network_grids",
    metadata,
    Column("network", Text, ForeignKey("networks.name", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("id", JSONB, nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("scope", Path, nullable=False, index=True),
    Column("geom", Geometry("GEOMETRY", srid=4490, spatial_index=True), nullable=False),
)

network_problems = Table(
    "network_problems",
    metadata,
    Column("network", Text, ForeignKey("networks.name", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("grids", JSONB, nullable=False),
    Column("area_m2", Double),
    Column("length_m", Double),
    Column("detail", Text, nullable=False),
    Column("scope", Path, nullable=False, index=True),
    Column("geom", Geometry("GEOMETRY", srid=4490, spatial_index=True), nullable=False),
)

# A merge of stored networks takes minutes, so it is a row that is claimed, leased and done once.
merge_jobs = Table(
    "merge_jobs",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("wish", JSONB, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("lease_until", Instant),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("step", Text, nullable=False, server_default=""),
    Column("ended_at", Instant),
    Column("problem", Text),
    Column("version", Integer, ForeignKey("grid_versions.n", ondelete="SET NULL")),
)

imports = Table(
    "imports",
    metadata,
    Column("n", Integer, Identity(), primary_key=True),
    Column("what", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("datum", Text, nullable=False),
    Column("imported_at", Instant, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("notices", JSONB, nullable=False),
)

# Shapes as tiles draw them: simplified per level as a coverage, in web Mercator. A layer's revision names the state of it.
tile_shapes = Table(
    "tile_shapes",
    metadata,
    Column("layer", Text, primary_key=True),
    Column("level", SmallInteger, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("parent", Text),
    Column("inferred", Boolean, nullable=False, server_default="false"),
    Column("scope", Path, nullable=False, index=True),
    Column("geom", Geometry("MULTIPOLYGON", srid=3857, spatial_index=True), nullable=False),
)

map_layers = Table(
    "map_layers",
    metadata,
    Column("layer", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("drawn_at", Instant, nullable=False),
    # What the layer shows has changed; whoever changed it says so in the same transaction, the scheduler draws it anew.
    Column("stale", Boolean, nullable=False, server_default="false"),
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

_WHOLE_CITY = f"{SCOPE} = ANY (ARRAY(SELECT scope FROM regions WHERE tier = 'city'))"

policies = (
    # An account may see the regions above its own by name and outline: its breadcrumb. Nothing beside it. The city's own
    # name is nobody's secret: the login page shows it.
    Policy("regions", f"{within('scope')} OR starts_with({SCOPE}, scope) OR tier = 'city'"),
    Policy("region_parents", "code = ANY (ARRAY(SELECT code FROM regions))"),
    Policy("cells", within("scope")),
    Policy("planned_cells", within("scope")),
    Policy("cell_lineage", within("scope")),
    Policy("cell_functions", within("scope")),
    Policy("network_grids", within("scope")),
    Policy("network_problems", within("scope")),
    # Their reports name grids of the whole city: for who sees all of it.
    *(Policy(table, _WHOLE_CITY) for table in ("grid_versions", "networks", "merge_jobs", "imports")),
    # The same exception as for regions: an account sees those above its own.
    Policy("tile_shapes", f"{within('scope')} OR (layer <> 'cells' AND starts_with({SCOPE}, scope))"),
)


def load_regions(connection: Connection) -> RegionTree:
    """All regions that the connection may see, merged cells included as the lowest tier."""
    cell = (
        "code, name, 'grid', region, scope, '', false, ST_X(ST_PointOnSurface(geom)), ST_Y(ST_PointOnSurface(geom))"
        " FROM cells"
    )
    found = connection.execute(
        text(
            "SELECT code, name, tier, parent, scope, kind, inferred, ST_X(label), ST_Y(label) FROM regions"
            f" UNION ALL SELECT {cell} WHERE valid_to IS NULL"
        )
    )
    former = connection.execute(
        text(
            f"SELECT DISTINCT ON (code) {cell} c WHERE NOT EXISTS (SELECT FROM cells o WHERE o.code = c.code"
            " AND o.valid_to IS NULL) ORDER BY code, valid_to DESC"
        )
    )
    return RegionTree.of((Region(*row) for row in found), (Region(*row) for row in former))


def load_cells(connection: Connection) -> Cells:
    """The merged grid with its look-up index."""
    return index_cells(read_cells(connection))


def read_cells(connection: Connection) -> Sequence[Row[Any]]:
    """The cells in force as rows, for ``index_cells``."""
    found = connection.execute(
        text(
            "SELECT code, n, region, scope, ST_X(ST_PointOnSurface(geom)) AS lng, ST_Y(ST_PointOnSurface(geom)) AS lat,"
            " ST_AsBinary(geom) AS shape FROM cells WHERE valid_to IS NULL ORDER BY code"
        )
    )
    return found.all()


def index_cells(rows: Sequence[Row[Any]], *, painted: bool = True) -> Cells:
    """The look-up over cells that were read: takes seconds for a large city, in which no transaction should stand open."""
    polygons = list(shapely.from_wkb([bytes(row.shape) for row in rows]))
    index = CellIndex([row.code for row in rows], polygons, painted=painted)
    places = {row.n: CellPlace(row.code, row.region, row.scope, row.lng, row.lat) for row in rows}
    return Cells(index, {row.code: row.n for row in rows}, places)


def load_root(connection: Connection) -> Region | None:
    """The city itself, None before anything is imported. Needs no scope."""
    row = connection.execute(
        text("SELECT code, name, tier, parent, scope FROM regions WHERE tier = 'city' ORDER BY code LIMIT 1")
    ).one_or_none()
    return None if row is None else Region(*row)


def load_scopes(connection: Connection) -> dict[str, str]:
    """Region path by code, for every region above the grid."""
    return dict(connection.execute(text("SELECT code, scope FROM regions")).all())
