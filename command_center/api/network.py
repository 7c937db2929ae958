"""``/api/v1/networks`` as the departments drew them, with what is wrong with each, and ``/grid/merges`` of them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select, cast, func, select, text
from sqlalchemy.dialects.postgresql import JSONB

from command_center.api.asking import account, now, sight
from command_center.api.paging import Page, listed, narrowed
from command_center.api.problem import problem
from command_center.api.region import below
from command_center.idempotency import earlier_answer, keep_answer
from command_center.merge_job import Wish, ask, read_job, shown
from gis import store as gis_store
from gis.network_problem import Kind

blueprint = APIBlueprint("networks", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="networks")])

_SEVEN = 7  # decimals of a degree: a centimetre
_PLAIN = 0  # no "crs" member, which RFC 7946 has done away with


class NetworkPath(BaseModel):
    """One network."""

    name: str


class ProblemQuery(Page):
    """Which problems."""

    kind: Kind | None = None
    region: str | None = Field(None, description="region code: it and all below it")


class MergePath(BaseModel):
    """One merge."""

    id: int = Field(ge=1, lt=2**31)


class MergeBody(BaseModel):
    """What to merge. Without ``villages`` they cut if there are any."""

    model_config = ConfigDict(extra="forbid")

    networks: list[str] = Field(min_length=1, max_length=20)
    base: str | None = None
    villages: bool | None = None
    min_area_m2: float = Field(1_000.0, ge=0, allow_inf_nan=False)
    min_width_m: float = Field(5.0, ge=0, allow_inf_nan=False)
    special: str | None = Field(None, description="the network whose grids are special ones")
    note: str = Field("", max_length=500)


class MergeHeader(BaseModel):
    """``Idempotency-Key`` makes a repeat harmless."""

    idempotency_key: str | None = Field(None, alias="Idempotency-Key", max_length=128)


@blueprint.get("/networks", summary="The departments' networks, by name")
def list_networks() -> dict[str, Any]:
    """How many grids and problems of each the account sees; where a network comes from only the city's accounts see."""
    with sight() as connection:
        found = connection.execute(
            text(
                "WITH seen AS (SELECT network, count(*) AS grids FROM network_grids GROUP BY network),"
                " kinds AS (SELECT network, kind, count(*) AS n FROM network_problems GROUP BY network, kind),"
                " wrong AS (SELECT network, jsonb_object_agg(kind, n) AS problems FROM kinds GROUP BY network)"
                " SELECT seen.network AS name, seen.grids, coalesce(wrong.problems, '{}') AS problems,"
                " networks.file, networks.datum, networks.imported_at, networks.notices"
                " FROM seen LEFT JOIN wrong USING (network) LEFT JOIN networks ON networks.name = seen.network ORDER BY 1"
            )
        ).all()
    return {"items": [_network(row) for row in found], "next": None}


def _network(row: Any) -> dict[str, Any]:
    item = {"name": row.name, "grids": row.grids, "problems": row.problems}
    if row.imported_at is None:
        return item
    return item | {
        "file": row.file,
        "datum": row.datum,
        "imported_at": row.imported_at.isoformat(),
        "taken_in": row.notices,
    }


@blueprint.get("/networks/<name>/problems", summary="What is wrong with a network, as GeoJSON")
def get_problems(path: NetworkPath, query: ProblemQuery) -> Response:
    """A page of a FeatureCollection; ``count`` is of all that fit the query, ``next`` as in other lists."""
    table = gis_store.network_problems
    statement: Select[Any] = table.select().with_only_columns(
        table.c.place,
        table.c.kind,
        table.c.grids,
        table.c.area_m2,
        table.c.length_m,
        table.c.detail,
        func.ST_IsEmpty(table.c.geom).label("is_nowhere"),
        cast(func.ST_AsGeoJSON(func.ST_ForcePolygonCCW(table.c.geom), _SEVEN, _PLAIN), JSONB).label("shape"),
    )
    statement = narrowed(statement, table, {"network": path.name, "kind": query.kind and str(query.kind)})
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    with sight(snapshot=True) as connection:
        known = text("SELECT EXISTS (SELECT FROM network_grids WHERE network = :name)")
        if not connection.execute(known, {"name": path.name}).scalar_one():
            return problem(404, "No such network", f"there is no network {path.name!r} where this account looks")
        count = connection.execute(select(func.count()).select_from(statement.subquery())).scalar_one()
        page = listed(connection, statement, (table.c.place,), query, _feature, newest_first=False)
    found = {"type": "FeatureCollection", "count": count, "next": page["next"], "features": page["items"]}
    return Response(json.dumps(found, ensure_ascii=False), content_type="application/geo+json")


def _feature(row: Any) -> dict[str, Any]:
    properties = {name: getattr(row, name) for name in ("kind", "grids", "area_m2", "length_m", "detail")}
    # A ring that collapsed altogether is somewhere in the file, but nowhere on the map.
    geometry = None if row.is_nowhere else row.shape
    return {"type": "Feature", "id": row.place, "properties": properties, "geometry": geometry}


@blueprint.post("/grid/merges", summary="Ask for a merge of stored networks")
def post_merge(body: MergeBody, header: MergeHeader) -> Response:
    """202 and the job, which runs in the background; its result is a planned version of the grid."""
    who = account()
    if who.tier != "city":
        return problem(403, "Not yours to merge", "only accounts of the city may merge networks")
    wish = Wish(**body.model_dump() | {"networks": tuple(body.networks)})
    request = hashlib.sha256(f"merge {body.model_dump_json()}".encode()).hexdigest()
    key = header.idempotency_key
    with sight() as connection:
        if key is not None and (earlier := earlier_answer(connection, who.username, key, request)) is not None:
            return _accepted(earlier[1])
        answer = read_job(connection, ask(connection, wish, who.username, now()))
        if key is not None:
            keep_answer(connection, who.username, key, request, 202, answer, now())
    return _accepted(answer)


def _accepted(answer: dict[str, Any]) -> Response:
    response = jsonify(answer)
    response.status_code = 202
    response.headers["Location"] = f"/api/v1/grid/merges/{answer['id']}"
    return response


@blueprint.get("/grid/merges", summary="Merges, newest first")
def list_merges(query: Page) -> dict[str, Any]:
    """The merges that were asked for; an account below the city sees none."""
    table = gis_store.merge_jobs
    with sight() as connection:
        return listed(connection, table.select(), (table.c.id,), query, shown, newest_first=True)


@blueprint.get("/grid/merges/<int:id>", summary="One merge")
def get_merge(path: MergePath) -> Any:
    """With its state (waiting, running, done, failed), the step it is at, and why it failed."""
    with sight() as connection:
        table = gis_store.merge_jobs
        row = connection.execute(table.select().where(table.c.id == path.id)).one_or_none()
    return problem(404, "No such merge", f"there is no merge {path.id}") if row is None else shown(row)
