"""``/api/v1/modes``: what is in wartime operation (平战结合), where, until when, by whom and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal
from uuid import UUID, uuid4

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from command_center.api.asking import account, now, server, sight
from command_center.api.once import Made, OnceHeader, once
from command_center.api.paging import Page, listed
from command_center.mode import mode as modes
from command_center.mode import store
from command_center.mode.mode import BadMode, Declaration, ModeStep, NoSuchMode
from gis.region import covers

blueprint = APIBlueprint("modes", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="modes")])

_Domain = Literal["emergency", "public_order", "urban_management", "traffic"]
_Reason = Field(min_length=1, max_length=500)
_EndsAt = Field(description="RFC 3339; at most 72 hours ahead")


class ModeQuery(Page):
    """Which declarations."""

    active: bool | None = Field(None, description="true: in force; false: over")


class ModePath(BaseModel):
    """One declaration."""

    id: UUID


class ModeBody(BaseModel):
    """What is at war from now on."""

    model_config = ConfigDict(extra="forbid")

    region: str = Field(min_length=1, max_length=64, description="region code: it and all below it")
    domains: list[_Domain] = Field(min_length=1, max_length=4)
    ends_at: AwareDatetime = _EndsAt
    reason: str = _Reason


class ProlongBody(BaseModel):
    """Until when it goes on, and why."""

    model_config = ConfigDict(extra="forbid")

    ends_at: AwareDatetime = _EndsAt
    reason: str = _Reason


class EndBody(BaseModel):
    """Why it ends before its time."""

    model_config = ConfigDict(extra="forbid")

    reason: str = _Reason


@blueprint.get("/modes", summary="Wartime operation, newest first")
def list_modes(query: ModeQuery) -> dict[str, Any]:
    """What was declared for the account's region, above it and below it. Everything else is at peace."""
    table, moment = store.modes, now()
    statement = table.select()
    if query.active is not None:
        lasting = table.c.ended_at.is_(None) & (table.c.ends_at > moment)
        statement = statement.where(lasting if query.active else ~lasting)
    keys = (table.c.starts_at, table.c.id)
    with sight() as connection:
        return listed(
            connection, statement, keys, query, lambda row: modes.shown(store.mode_of(row), moment), newest_first=True
        )


@blueprint.get("/modes/<uuid:id>/steps", summary="Who declared, prolonged and ended it, and why")
def list_steps(path: ModePath) -> dict[str, Any]:
    """The trail of a declaration, oldest first; complete, it is short."""
    with sight() as connection:
        found = store.load_steps(connection, path.id)
    if not found:
        raise NoSuchMode(f"there is no mode {path.id}")
    return {"items": [_shown_step(step) for step in found], "next": None}


@blueprint.post("/modes", summary="Declare wartime operation")
def post_mode(body: ModeBody, header: OnceHeader) -> Response:
    """For accounts of the city and its counties, within their own region. It counts from now on and ends by itself."""
    who, moment = account(), now()
    region = server().tree.regions.get(body.region)
    if region is None or not covers(who.scope, region.scope):
        raise BadMode(f"region {body.region} is not one of yours")
    mode, step = modes.declared(uuid4(), region, body.domains, body.ends_at, body.reason, who.actor, moment)

    def work(connection: Connection) -> Made:
        store.insert_mode(connection, mode, step)
        return Made(modes.shown(mode, moment), [modes.event_of(mode, moment)], 201)

    return _at_once(once(header.idempotency_key, f"modes {body.model_dump_json()}", work))


@blueprint.post("/modes/<uuid:id>/prolong", summary="Let wartime operation go on")
def post_prolong(path: ModePath, body: ProlongBody, header: OnceHeader) -> Response:
    """Until a later time, again at most 72 hours ahead."""
    who, moment = account().actor, now()
    work = _changed(path.id, lambda mode: modes.prolonged(mode, body.ends_at, body.reason, who, moment))
    return _at_once(once(header.idempotency_key, f"modes/{path.id}/prolong {body.model_dump_json()}", work))


@blueprint.post("/modes/<uuid:id>/end", summary="End wartime operation before its time")
def post_end(path: ModePath, body: EndBody, header: OnceHeader) -> Response:
    """Back to peacetime. Tickets keep the limits that they were given."""
    who, moment = account().actor, now()
    work = _changed(path.id, lambda mode: modes.ended(mode, body.reason, who, moment))
    return _at_once(once(header.idempotency_key, f"modes/{path.id}/end {body.model_dump_json()}", work))


def _changed(
    identity: UUID, decide: Callable[[Declaration], tuple[Declaration, ModeStep]]
) -> Callable[[Connection], Made]:
    def work(connection: Connection) -> Made:
        mode = store.lock_mode(connection, identity)
        if mode is None:
            raise NoSuchMode(f"there is no mode {identity}")
        after, step = decide(mode)
        store.change_mode(connection, after, step)
        return Made(modes.shown(after, step.at), [modes.event_of(after, step.at)])

    return work


def _at_once(answer: Response) -> Response:
    """Who declared it and acts in the same second acts by it; other processes see it within a second."""
    server().read_modes()
    return answer


def _shown_step(step: ModeStep) -> dict[str, Any]:
    return {
        "version": step.version,
        "move": str(step.move),
        "at": step.at.isoformat(),
        "ends_at": step.ends_at.isoformat(),
        "by": step.by,
        "by_name": step.by_name,
        "reason": step.reason,
    }
