"""``/api/v1/routing``: the rules by which a matter finds its desk, and where a matter that may not exist would go."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from math import isinf
from typing import Any, Literal

import msgspec
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Connection

from command_center import staff_store
from command_center.account.account import Account
from command_center.api.asking import account, now, server, sight, today
from command_center.api.problem import problem
from command_center.ticket.routing import Matter, Organisation, Routed, RoutingTable, route, skills_of, trace
from command_center.ticket.staff import Choice, Person, away_m, choose
from gis.region import Region, covers
from gis.version_store import cell_at

blueprint = APIBlueprint("routing", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="routing")])


class TryBody(BaseModel):
    """A matter that may not exist: in a cell, or at a place."""

    model_config = ConfigDict(extra="forbid")

    domain: Literal["emergency", "public_order", "urban_management", "traffic"]
    category: str = Field(min_length=1, max_length=64)
    small_class: str | None = Field(None, min_length=1, max_length=64)
    severity: int = Field(ge=1, le=4)
    cell: str | None = Field(None, min_length=1, max_length=64)
    lng: float | None = Field(None, ge=-180, le=180, allow_inf_nan=False)
    lat: float | None = Field(None, ge=-90, le=90, allow_inf_nan=False)
    day: date | None = Field(None, description="which day's rules; today's when it is missing")

    @model_validator(mode="after")
    def _one_place(self) -> TryBody:
        if (self.lng is None) != (self.lat is None) or (self.cell is None) == (self.lng is None):
            raise ValueError("state either cell, or lng and lat")
        return self


@blueprint.get("/routing", summary="The routing rules in their order")
def get_routing() -> dict[str, Any]:
    """The first rule that fits a matter wins. ``skills`` are those that some rule asks for, ``tier_by_severity`` counts for
    rules that state no tier; ``regions`` names those in the rules that the account may see; ``wartime`` says what wartime
    operation leaves of the time to handle and to accept, and of which tiers desks hear of tickets beside them.
    """
    who, dispatch, tree, day = account(), server().dispatch, server().tree, today()
    table, shortened = dispatch.routing, dispatch.shortened
    stated = {code for rule in table.rules for code in rule.when.region or ()}
    seen = sorted(code for code in stated & tree.regions.keys() if covers(who.scope, tree[code].scope))
    return {
        "items": [
            msgspec.to_builtins(rule) | {"in_force": rule.effective_from <= day <= (rule.effective_to or day)}
            for rule in table.rules
        ],
        "next": None,
        "organisations": [_shown_organisation(own) for own in table.organisations.values()],
        "tier_by_severity": {str(severity): tier for severity, tier in sorted(table.tier_by_severity.items())},
        "skills": list(skills_of(table)),
        "regions": [{"code": code, "name": tree[code].name} for code in seen],
        "wartime": {
            "handling_share": shortened.handling_share,
            "accept_share": shortened.accept_share,
            "push": list(shortened.push),
        },
    }


@blueprint.post("/routing/try", summary="Where a matter would go, and to whom")
def post_try(body: TryBody) -> Any:
    """Nothing is opened. ``people`` and ``chosen`` only where the desk lies in the account's own region."""
    who, moment = account(), now()
    dispatch, tree = server().dispatch, server().tree
    table = dispatch.routing
    with sight() as connection:
        cell = _cell(connection, body, who, moment)
        if cell is None:
            return problem(422, "No such place", "there is no cell of yours there: choose one within your region")
        asked = Matter(body.domain, body.category, body.small_class, body.severity, cell.code)
        matter = dispatch.with_mode(asked, tree)
        day = body.day or today()
        routed = route(table, matter, tree, day)
        desk = tree[routed.region]
        visible = covers(who.scope, desk.scope)
        people = staff_store.on_duty(connection, desk.scope, moment) if visible else []
    # A cell stands for the point in its middle.
    place = (cell.lng, cell.lat) if body.lng is None or body.lat is None else (body.lng, body.lat)
    chosen = choose(people, desk.scope, routed.org, routed.skill, *place, moment) if visible else _HIDDEN
    return {
        "cell": cell.code,
        "cell_name": cell.name,
        "day": day.isoformat(),
        "routed": asdict(routed) | {"region_name": desk.name},
        "organisation": _organisation(table, routed),
        "chosen": {
            "person": None if chosen.person is None else _shown_person(chosen.person, *place, moment),
            "text": chosen.text,
            "text_en": chosen.text_en,
        },
        "people": [_shown_person(person, *place, moment) for person in people],
        "rules": [asdict(trial) | {"unfit": list(trial.unfit)} for trial in trace(table, matter, tree, day)],
    }


_HIDDEN = Choice(
    None, "受理席位不在您的辖区内，不显示其人员", "the desk lies outside your region: its people are not shown"
)


def _cell(connection: Connection, body: TryBody, who: Account, moment: datetime) -> Region | None:
    tree = server().tree
    code = body.cell
    if code is None and body.lng is not None and body.lat is not None:
        row = cell_at(connection, body.lng, body.lat, moment, who.scope)
        code = None if row is None else row.code
    found = None if code is None else tree.regions.get(code)
    return found if found is not None and found.tier == "grid" and covers(who.scope, found.scope) else None


def _organisation(table: RoutingTable, routed: Routed) -> dict[str, Any] | None:
    return None if routed.org is None else _shown_organisation(table.organisations[routed.org])


def _shown_organisation(own: Organisation) -> dict[str, Any]:
    return {"code": own.code, "name": own.name, "name_en": own.name_en, "tiers": list(own.tiers)}


def _shown_person(person: Person, lng: float, lat: float, moment: datetime) -> dict[str, Any]:
    """A person as others may see one: how far away, never where."""
    distance_m = away_m(person, lng, lat, moment)
    return {
        "account": person.account,
        "name": person.name,
        "region": person.region,
        "org": person.org,
        "skills": sorted(person.skills),
        "open_tickets": person.open_tickets,
        "distance_m": None if isinf(distance_m) else round(distance_m),
    }
