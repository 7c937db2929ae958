"""``/api/v1/regions``, ``/cells``, ``/map`` and the vector tiles."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Select, and_, func, text

from command_center.api.asking import account, server, sight, today
from command_center.api.kept_tile import Address, KeptTile, KeptTiles
from command_center.api.paging import Page, listed, narrowed
from gis import store as gis_store
from gis import tiles
from gis.version_store import functions_of

blueprint = APIBlueprint("regions", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="regions")])
tile_blueprint = APIBlueprint("tiles", __name__, abp_tags=[Tag(name="tiles")])

_NOWHERE = "/"
KEPT_TILES = KeptTiles(64 * 2**20)


class RegionQuery(Page):
    """Which regions."""

    tier: str | None = None
    parent: str | None = None
    code: str | None = None


class CellQuery(Page):
    """Which cells."""

    region: str | None = Field(None, description="region code: it and all below it")
    code: str | None = None


class TilePath(BaseModel):
    """Where in the pyramid."""

    layer: str
    version: str
    z: int
    x: int
    y: int


def path_of(region: str) -> str:
    """The scope of a region by its code; a path that nothing lies in when there is no such region."""
    tree = server().tree
    known = tree.regions.get(region) or tree.former.get(region)
    return _NOWHERE if known is None else known.scope


def below(scope: ColumnElement[str], region: str) -> ColumnElement[bool]:
    """SQL: a path lies in a region's subtree. An unknown region has nothing below it."""
    path = path_of(region)
    return and_(scope >= path, scope < path + "~")


@blueprint.get("/regions", summary="Regions above the grid, by code")
def list_regions(query: RegionQuery) -> dict[str, Any]:
    """The regions the account may see."""
    table = gis_store.regions
    box = func.box2d(table.c.geom)
    statement: Select[Any] = table.select().with_only_columns(
        table.c.code,
        table.c.name,
        table.c.tier,
        table.c.parent,
        table.c.kind,
        table.c.inferred,
        func.ST_X(table.c.label).label("lng"),
        func.ST_Y(table.c.label).label("lat"),
        func.ST_XMin(box).label("west"),
        func.ST_YMin(box).label("south"),
        func.ST_XMax(box).label("east"),
        func.ST_YMax(box).label("north"),
    )
    statement = narrowed(statement, table, {"tier": query.tier, "parent": query.parent, "code": query.code})
    with sight() as connection:
        return listed(connection, statement, (table.c.code,), query, _region, newest_first=False)


def _region(row: Any) -> dict[str, Any]:
    return {
        "code": row.code,
        "name": row.name,
        "tier": row.tier,
        "parent": row.parent,
        "kind": row.kind,
        "inferred": row.inferred,
        "label": [row.lng, row.lat],
        "bounds": [row.west, row.south, row.east, row.north],
    }


@blueprint.get("/cells", summary="Merged grid cells, by code")
def list_cells(query: CellQuery) -> dict[str, Any]:
    """The cells the account may see."""
    table = gis_store.cells
    statement: Select[Any] = table.select().with_only_columns(
        table.c.code, table.c.name, table.c.region, table.c.kind, table.c.area_m2, table.c.sources
    )
    statement = narrowed(statement.where(table.c.valid_to.is_(None)), table, {"code": query.code})
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    with sight() as connection:
        page = listed(connection, statement, (table.c.code,), query, lambda row: dict(row._mapping), newest_first=False)
        functions = functions_of(connection, [cell["code"] for cell in page["items"]], today())
    for cell in page["items"]:
        cell["functions"] = functions.get(cell["code"], [])
    return page


@blueprint.get("/map", summary="What the map needs to begin")
def get_map() -> dict[str, Any]:
    """Bounds of the account's region and of the city, and the version of each tile layer."""
    who = account()
    with sight() as connection:
        bounds = {
            row.scope: [row.west, row.south, row.east, row.north]
            for row in connection.execute(
                text(
                    "WITH found AS (SELECT scope, box2d(geom) AS b FROM regions"
                    " UNION ALL SELECT scope, box2d(geom) FROM cells WHERE valid_to IS NULL)"
                    " SELECT scope, ST_XMin(b) AS west, ST_YMin(b) AS south, ST_XMax(b) AS east, ST_YMax(b) AS north"
                    " FROM found WHERE scope IN (:own, :root)"
                ),
                {"own": who.scope, "root": server().root.scope},
            )
        }
        synthetic = connection.execute(text("SELECT bool_or(synthetic) FROM regions")).scalar_one()
        versions = tiles.versions(connection, who.scope)
    return {
        "synthetic": bool(synthetic),
        "bounds": bounds.get(who.scope),
        "city_bounds": bounds.get(server().root.scope),
        "layers": {layer: {"version": version} for layer, version in versions.items()},
    }


@tile_blueprint.get("/tiles/<layer>/<version>/<int:z>/<int:x>/<int:y>.mvt", summary="A vector tile")
def get_tile(path: TilePath) -> Response:
    """As far as the account sees. The version is part of the address, so a browser may keep the tile for ever.

    A version that has ended is answered with 404: ``/api/v1/map`` names the one that has begun.
    """
    tile = _tile((account().scope, path.layer, path.version, path.z, path.x, path.y))
    packed = tile.packed if request.accept_encodings["gzip"] > 0 else None
    body = packed or tile.plain
    response = Response(body.content, content_type="application/vnd.mapbox-vector-tile")
    if packed is not None:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    response.set_etag(body.digest)
    response.make_conditional(request)
    return response


def _tile(address: Address) -> KeptTile:
    scope, layer, version, z, x, y = address
    # One snapshot: what is drawn is what the version names, even when the layer is drawn anew meanwhile.
    with sight(snapshot=True) as connection:
        if version != tiles.versions(connection, scope).get(layer):
            raise tiles.NoSuchTile(
                f"version {version[:40]} of tile layer {layer[:40]} has ended or never was: /api/v1/map names those there are"
            )
        found = KEPT_TILES.find(address)
        if found is not None:
            return found
        content = tiles.tile(connection, layer, z, x, y, scope)
    made = KeptTile.of(content)
    KEPT_TILES.keep(address, made)
    return made
