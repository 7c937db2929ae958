"""``/api/v1/incidents``: lists, and the levels that people state, and what they say is one matter."""

from __future__ import annotations

from math import cos, radians
from typing import Annotated, Any, Final
from uuid import UUID

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from command_center.api.asking import account, now, server, sight
from command_center.api.once import Made, MatchHeader, OnceHeader, once
from command_center.api.paging import Page, listed, narrowed
from command_center.api.region import below
from command_center.incident import store as incident_store
from command_center.incident.incident import LEVELS, Incident, IncidentStep, nearest, shown
from command_center.level_move import NoSuchIncident, state_levels
from command_center.regroup_move import join, split
from rules.correlate import METRES_A_DEGREE, metres

NEARBY_M: Final = 2_000
NEARBY_SHOWN: Final = 20

blueprint = APIBlueprint("incidents", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="incidents")])


class IncidentQuery(Page):
    """Which incidents."""

    region: str | None = Field(None, description="region code: it and all below it")
    status: str | None = None
    domain: str | None = None
    since: AwareDatetime | None = Field(None, description="opened at or after, RFC 3339")


class IncidentPath(BaseModel):
    """One incident."""

    id: UUID


_Level = Annotated[int, Field(ge=1, le=4)]


class LevelsBody(BaseModel):
    """Levels of the law, 1 gravest to 4; null takes one away, one that is missing stays. None is made from our severity."""

    model_config = ConfigDict(extra="forbid")

    warning_level: _Level | None = Field(None, description="of the warning an authority published (art. 63)")
    event_grade: _Level | None = Field(None, description="特别重大, 重大, 较大, 一般 (art. 3)")
    response_level: _Level | None = Field(None, description="of the response that was started (art. 71)")
    reason: str = Field(min_length=1, max_length=500)


@blueprint.get("/incidents", summary="Incidents, newest first")
def list_incidents(query: IncidentQuery) -> dict[str, Any]:
    """The incidents the account may see."""
    table = incident_store.incidents
    statement = narrowed(table.select(), table, {"status": query.status, "domain": query.domain})
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    if query.since is not None:
        statement = statement.where(table.c.opened_at >= query.since)
    with sight() as connection:
        return listed(
            connection,
            statement,
            (table.c.opened_at, table.c.id),
            query,
            lambda row: shown(incident_store.incident_of(row)),
            newest_first=True,
        )


@blueprint.get("/incidents/<uuid:id>", summary="One incident")
def get_incident(path: IncidentPath) -> dict[str, Any]:
    """As it stands."""
    with sight() as connection:
        return shown(_seen(connection, path.id))


@blueprint.get("/incidents/<uuid:id>/levels", summary="Who stated which levels, and why")
def get_levels(path: IncidentPath) -> dict[str, Any]:
    """Oldest first; the newest is what the incident shows."""
    with sight() as connection:
        rows = incident_store.load_levels(connection, path.id)
    items = [
        {
            "version": row.version,
            "at": row.at.isoformat(),
            "by": {"account": row.by, "name": row.by_name},
            "reason": row.reason,
            **{name: getattr(row, name) for name in LEVELS},
        }
        for row in rows
    ]
    return {"items": items, "next": None}


@blueprint.patch("/incidents/<uuid:id>", summary="State an incident's levels")
def patch_incident(path: IncidentPath, body: LevelsBody, header: MatchHeader) -> Response:
    """For accounts of county and city. 412 when the incident changed meanwhile."""
    version = header.version()
    levels = body.model_dump(include=body.model_fields_set & set(LEVELS))

    def work(connection: Connection) -> Made:
        events = state_levels(connection, account(), path.id, levels, body.reason, version, now(), server())
        return Made(events[0].data, events)

    # A repeat finds another version: it needs no key of its own.
    return once(None, "", work)


@blueprint.get("/incidents/<uuid:id>/steps", summary="What became of an incident among others")
def get_steps(path: IncidentPath) -> dict[str, Any]:
    """Opened, merged, absorbed, parted, split, kept apart: by whom and why, oldest first."""
    with sight() as connection:
        _seen(connection, path.id)
        steps = incident_store.load_incident_steps(connection, path.id)
    return {"items": [_shown_step(step) for step in steps], "next": None}


@blueprint.get("/incidents/<uuid:id>/signals", summary="What speaks of an incident")
def get_signals(path: IncidentPath) -> dict[str, Any]:
    """Its alerts and reports, oldest first, as far as the account may see these themselves; ``metres`` from its place."""
    with sight() as connection:
        incident = _seen(connection, path.id)
        rows = incident_store.load_evidence(connection, path.id)
    items = [
        {
            "kind": row.kind,
            "id": str(row.id),
            "at": row.at.isoformat(),
            "lng": row.lng,
            "lat": row.lat,
            "title": row.title,
            "title_en": row.title_en,
            "came_to": str(row.came_to),
            "severity": row.severity,
            "name": row.name,
            "ended_at": None if row.ended_at is None else row.ended_at.isoformat(),
            "metres": round(metres(incident.lng, incident.lat, row.lng, row.lat), 1),
        }
        for row in rows
    ]
    return {"items": items, "next": None}


@blueprint.get("/incidents/<uuid:id>/nearby", summary="Open incidents that may be the same matter")
def get_nearby(path: IncidentPath) -> dict[str, Any]:
    """Those within two kilometres that the account may see, nearest first, at most 20: what it may be joined with."""
    north = NEARBY_M / METRES_A_DEGREE * 1.01
    with sight() as connection:
        incident = _seen(connection, path.id)
        east = north / max(cos(radians(incident.lat)), 0.01)
        others = incident_store.open_incidents_near(connection, incident, (east, north))
    found = nearest(incident, others, NEARBY_M, NEARBY_SHOWN)
    items = [{"incident": shown(other), "metres": round(away, 1)} for away, other in found]
    return {"items": items, "next": None}


class SplitBody(BaseModel):
    """Which alerts of the incident are another matter, and why."""

    model_config = ConfigDict(extra="forbid")

    signals: list[UUID] = Field(min_length=1, max_length=10_000)
    reason: str = Field(min_length=1, max_length=500)
    version: int = Field(ge=1, le=2**31 - 1)


class JoinBody(BaseModel):
    """Which incident is the same matter, and why."""

    model_config = ConfigDict(extra="forbid")

    other: UUID
    reason: str = Field(min_length=1, max_length=500)
    version: int = Field(ge=1, le=2**31 - 1)


@blueprint.post("/incidents/<uuid:id>/split", summary="Make alerts of an incident a matter of their own")
def post_split(path: IncidentPath, body: SplitBody, header: OnceHeader) -> Response:
    """201 with the new incident, which has a ticket of its own and stays apart. For desks of township and above."""

    def work(connection: Connection) -> Made:
        own = (connection, account(), path.id, body.signals, body.reason, body.version, server(), now())
        incident, events = split(*own)
        return Made(shown(incident), events, 201)

    return once(header.idempotency_key, f"split {path.id} {body.model_dump_json()}", work)


@blueprint.post("/incidents/<uuid:id>/join", summary="Make two incidents one")
def post_join(path: IncidentPath, body: JoinBody, header: OnceHeader) -> Response:
    """The one that goes on, with all signals: the older of the two. For desks of township and above."""

    def work(connection: Connection) -> Made:
        own = (connection, account(), path.id, body.other, body.reason, body.version, server(), now())
        incident, events = join(*own)
        return Made(shown(incident), events)

    return once(header.idempotency_key, f"join {path.id} {body.model_dump_json()}", work)


def _seen(connection: Connection, identity: UUID) -> Incident:
    table = incident_store.incidents
    row = connection.execute(table.select().where(table.c.id == identity)).one_or_none()
    if row is None:
        raise NoSuchIncident(f"there is no incident {identity}")
    return incident_store.incident_of(row)


def _shown_step(step: IncidentStep) -> dict[str, Any]:
    return {
        "version": step.version,
        "at": step.at.isoformat(),
        "what": step.what,
        "by": None if step.by is None else {"account": step.by, "name": step.by_name},
        "reason": step.reason,
        "facts": dict(step.facts),
    }
