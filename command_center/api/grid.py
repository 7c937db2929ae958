"""``/api/v1/cells/at``, ``/api/v1/cells/{code}/lineage`` and ``/api/v1/grid/versions``: the grid now and as of any moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from flask import abort
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, Field, field_validator

from command_center.api.asking import account, now, server, sight
from config.database import scoped
from gis.datum import Datum, UnknownDatum, convert, named
from gis.version_store import cell_at, functions_of, kin_of, nearest_at, states_of, taken_effect, versions

blueprint = APIBlueprint("grid", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="grid")])


class PlaceQuery(BaseModel):
    """Where, and when."""

    lng: float = Field(ge=-180, le=180, allow_inf_nan=False)
    lat: float = Field(ge=-90, le=90, allow_inf_nan=False)
    as_of: AwareDatetime | None = Field(
        None, description="the grid as of this moment, RFC 3339; now when it is missing"
    )
    datum: str = Field("CGCS2000", description="CGCS2000, WGS84, GCJ02 or BD09")

    @field_validator("datum")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return str(named(name))
        except UnknownDatum as problem:
            raise ValueError(str(problem)) from None


class CellPath(BaseModel):
    """One cell."""

    code: str = Field(max_length=64)


@blueprint.get("/cells/at", summary="The cell of a point, now or as of a moment")
def get_cell_at(query: PlaceQuery) -> dict[str, Any]:
    """As far as the account sees. On shared edges the lowest code wins; outside every cell: the nearest and how far it is."""
    moment, scope = query.as_of or now(), account().scope
    lng, lat = convert(np.array([query.lng]), np.array([query.lat]), Datum[query.datum], Datum.CGCS2000)
    place = float(lng[0]), float(lat[0])
    with sight() as connection:
        cell = cell_at(connection, *place, moment, scope)
        nearest = nearest_at(connection, *place, moment, scope) if cell is None else None
        day = moment.astimezone(ZoneInfo(server().settings.time_zone)).date()
        functions = {} if cell is None else functions_of(connection, [cell.code], day)
    return {
        "cell": None if cell is None else _state(cell) | {"functions": functions.get(cell.code, [])},
        "nearest": None if nearest is None else {"code": nearest[0], "distance_m": round(nearest[1], 2)},
        "as_of": moment.isoformat(),
    }


@blueprint.get("/cells/<string:code>/lineage", summary="A cell's states, ancestors and successors")
def get_lineage(path: CellPath) -> Any:
    """As far as the account sees: what each version made the cell of, and what it made of the cell (areas in m2)."""
    with scoped(server().engine, server().root.scope) as connection:
        taken = taken_effect(connection)
    with sight() as connection:
        states = states_of(connection, path.code)
        kin = kin_of(connection, path.code, taken)
    if not states:
        abort(404, f"there is no cell {path.code}")

    def told(row: Any, other: str) -> dict[str, Any]:
        return {"version": row.version, "code": other, "change": row.change, "area_m2": round(row.area_m2, 1)}

    return {
        "code": path.code,
        "states": [_state(row) for row in states],
        "from": [told(row, row.from_code) for row in kin if row.code == path.code],
        "into": [told(row, row.code) for row in kin if row.from_code == path.code],
    }


@blueprint.get("/grid/versions", summary="Versions of the grid, newest first")
def list_versions() -> dict[str, Any]:
    """For accounts that see the whole city; others get none."""
    with sight() as connection:
        return {"items": [_version(row) for row in versions(connection)], "next": None}


def _state(row: Any) -> dict[str, Any]:
    return {
        "code": row.code,
        "name": row.name,
        "region": row.region,
        "kind": row.kind,
        "area_m2": row.area_m2,
        "sources": row.sources,
        "version": row.version,
        "valid_from": _text(row.valid_from),
        "valid_to": _text(row.valid_to),
    }


def _version(row: Any) -> dict[str, Any]:
    times = ("made_at", "effective_at", "in_force_from", "in_force_to")
    plain = {name: getattr(row, name) for name in ("n", "state", "note", "made_by", "counts")}
    return plain | {name: _text(getattr(row, name)) for name in times}


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
