"""``/api/v1/mutes``: what is kept quiet, where, until when, by whom and why.

Mutes are no events: a console asks for the list when it shows it. The alerts that a mute touches are told as ``alert``.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID, uuid4

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from command_center.alert_move import add_mute, end_mute
from command_center.api.asking import account, now, server, sight
from command_center.api.once import Made, OnceHeader, once
from command_center.api.paging import Page, listed, narrowed
from command_center.api.region import below
from gis.region import covers
from rules import mute_store
from rules.mute import BadMute, Mute, MuteKind

blueprint = APIBlueprint("mutes", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="mutes")])

_Kind = Literal["silence", "maintenance", "shelve", "out_of_service"]
_Domain = Literal["emergency", "public_order", "urban_management", "traffic"]


class MuteQuery(Page):
    """Which mutes."""

    region: str | None = Field(None, description="region code: mutes of it and all below it")
    kind: _Kind | None = None
    active: bool | None = Field(None, description="true: in force or still to come; false: over")


class MutePath(BaseModel):
    """One mute."""

    id: UUID


class MuteBody(BaseModel):
    """What to keep quiet. Everything given must apply; at least one of domain, category, rule and source, or a region below
    the city. ``region``: the account's own when it is missing.
    """

    model_config = ConfigDict(extra="forbid")

    kind: _Kind
    region: str | None = Field(None, max_length=64)
    domain: _Domain | None = None
    category: str | None = Field(None, min_length=1, max_length=64)
    rule: str | None = Field(None, min_length=1, max_length=64)
    source: str | None = Field(None, min_length=1, max_length=64, description="the sensor or camera")
    starts_at: AwareDatetime | None = Field(None, description="RFC 3339; now when it is missing")
    ends_at: AwareDatetime = Field(description="RFC 3339; at most 30 days after the start, for shelve 24 hours")
    reason: str = Field(min_length=1, max_length=500)


class EndBody(BaseModel):
    """Why it ends before its time."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=500)


@blueprint.get("/mutes", summary="Mutes, newest first")
def list_mutes(query: MuteQuery) -> dict[str, Any]:
    """The mutes of the account's region and below it."""
    table = mute_store.mutes
    statement = narrowed(table.select(), table, {"kind": query.kind})
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    if query.active is not None:
        lasting = table.c.ended_at.is_(None) & (table.c.ends_at > now())
        statement = statement.where(lasting if query.active else ~lasting)
    keys = (table.c.made_at, table.c.id)
    with sight() as connection:
        return listed(
            connection, statement, keys, query, lambda row: shown_mute(mute_store.mute_of(row)), newest_first=True
        )


@blueprint.post("/mutes", summary="Keep something quiet")
def post_mute(body: MuteBody, header: OnceHeader) -> Response:
    """For accounts of township and above, within their own region. What stands already is marked within a second."""
    who, moment = account(), now()
    code = body.region or who.region
    region = server().tree.regions.get(code)
    if region is None or not covers(who.scope, region.scope):
        raise BadMute(f"region {code} is not one of yours: leave it out for all of your region")
    mute = Mute(
        id=uuid4(),
        kind=MuteKind(body.kind),
        region=region.code,
        scope=region.scope,
        starts_at=body.starts_at or moment,
        ends_at=body.ends_at,
        author=who.username,
        author_name=who.name,
        reason=body.reason.strip(),
        made_at=moment,
        **body.model_dump(include={"domain", "category", "rule", "source"}),
    )

    def work(connection: Connection) -> Made:
        add_mute(connection, who, mute)
        return Made(shown_mute(mute), status=201)

    return once(header.idempotency_key, f"mutes {body.model_dump_json()}", work)


@blueprint.post("/mutes/<uuid:id>/end", summary="End a mute before its time")
def post_end(path: MutePath, body: EndBody, header: OnceHeader) -> Response:
    """What it held back and still stands comes before people within a second."""

    def work(connection: Connection) -> Made:
        return Made(shown_mute(end_mute(connection, account(), path.id, body.reason, now())))

    return once(header.idempotency_key, f"mutes/{path.id}/end {body.model_dump_json()}", work)


def shown_mute(mute: Mute) -> dict[str, Any]:
    """A mute as HTTP shows it. ``state``: to_come, in_force or over."""
    moment, ended, tree = now(), mute.ended, server().tree
    over = ended is not None or mute.ends_at <= moment
    return {
        "id": str(mute.id),
        "kind": str(mute.kind),
        "state": "over" if over else "to_come" if mute.starts_at > moment else "in_force",
        "region": mute.region,
        "region_name": tree[mute.region].name if mute.region in tree.regions else mute.region,
        "domain": mute.domain,
        "category": mute.category,
        "rule": mute.rule,
        "source": mute.source,
        "starts_at": mute.starts_at.isoformat(),
        "ends_at": mute.ends_at.isoformat(),
        "author": mute.author,
        "author_name": mute.author_name,
        "reason": mute.reason,
        "made_at": mute.made_at.isoformat(),
        "ended_at": None if ended is None else ended.at.isoformat(),
        "ended_by": None if ended is None else ended.by,
        "ended_name": None if ended is None else ended.name,
        "ended_reason": None if ended is None else ended.reason,
    }
