"""``/api/v1/routing/try``, ``/positions`` and ``/rosters``: where a matter would go, who is where, who is on duty when."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime, timedelta
from math import isinf
from typing import Any, Literal
from uuid import uuid4

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Connection, select

from command_center import staff_store
from command_center.account.account import Account
from command_center.account.store import accounts
from command_center.api.asking import account, now, server, sight, today
from command_center.api.once import Made, OnceHeader, once
from command_center.api.paging import Page, listed
from command_center.api.problem import problem
from command_center.api.region import below
from command_center.staff_store import Granted, Roster
from command_center.ticket.routing import Matter, Routed, RoutingTable, route, trace
from command_center.ticket.staff import Choice, Person, away_m, choose
from gis.region import Region, code_of, covers
from gis.version_store import cell_at

blueprint = APIBlueprint("routing", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="routing")])

LONGEST_SHIFT = timedelta(days=31)
CLOCKS_DIFFER = timedelta(minutes=1)
"""How far a phone's clock may be ahead of ours."""

_Lng = Field(ge=-180, le=180, allow_inf_nan=False, description="degrees, CGCS2000")
_Lat = Field(ge=-90, le=90, allow_inf_nan=False, description="degrees, CGCS2000")


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


class PositionBody(BaseModel):
    """Where the asking account is."""

    model_config = ConfigDict(extra="forbid")

    lng: float = _Lng
    lat: float = _Lat
    at: AwareDatetime | None = Field(None, description="RFC 3339; now when it is missing")


class RosterQuery(Page):
    """Which shifts."""

    region: str | None = Field(None, description="region code: shifts of it and all below it")
    active: bool | None = Field(None, description="true: running now; false: over or still to come")


class RosterBody(BaseModel):
    """A shift of an account, in its own region or in one below it."""

    model_config = ConfigDict(extra="forbid")

    account: str = Field(min_length=1, max_length=64, description="user name")
    region: str | None = Field(None, min_length=1, max_length=64, description="the account's own when it is missing")
    org: str | None = Field(None, min_length=1, max_length=64, description="organisation; the whole desk when missing")
    starts_at: AwareDatetime
    ends_at: AwareDatetime = Field(description="RFC 3339; at most 31 days after the start")


@blueprint.post("/routing/try", summary="Where a matter would go, and to whom")
def post_try(body: TryBody) -> Any:
    """Nothing is opened. ``people`` and ``chosen`` only where the desk lies in the account's own region."""
    who, moment = account(), now()
    table, tree = server().dispatch.routing, server().tree
    with sight() as connection:
        cell = _cell(connection, body, who, moment)
        if cell is None:
            return problem(422, "No such place", "there is no cell of yours there: choose one within your region")
        matter = Matter(body.domain, body.category, body.small_class, body.severity, cell.code)
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
    own = None if routed.org is None else table.organisations[routed.org]
    return None if own is None else {"code": own.code, "name": own.name, "name_en": own.name_en, "tiers": own.tiers}


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


@blueprint.put("/positions", summary="Say where you are")
def put_position(body: PositionBody) -> Any:
    """Only the last position is kept. ``kept``: false when a later one is known already."""
    who, moment = account(), now()
    at = body.at or moment
    if at > moment + CLOCKS_DIFFER:
        return problem(422, "Position not taken", f"at {at.isoformat()} is still to come: set the device's clock")
    with sight() as connection:
        kept = staff_store.save_position(connection, who.id, body.lng, body.lat, at, who.scope)
    return {"kept": kept, "at": at.isoformat()}


@blueprint.get("/rosters", summary="Shifts, newest first")
def list_rosters(query: RosterQuery) -> dict[str, Any]:
    """The shifts at the desks of the account's region and below it."""
    table = staff_store.rosters
    statement = select(table, accounts.c.username, accounts.c.name).join(accounts, accounts.c.id == table.c.account)
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    if query.active is not None:
        running = (table.c.starts_at <= now()) & (table.c.ends_at > now())
        statement = statement.where(running if query.active else ~running)
    keys = (table.c.starts_at, table.c.id)
    with sight() as connection:
        return listed(
            connection,
            statement,
            keys,
            query,
            lambda row: _shown_roster(staff_store.roster_of(row), row.username, row.name),
            newest_first=True,
        )


@blueprint.post("/rosters", summary="Put somebody on duty")
def post_roster(body: RosterBody, header: OnceHeader) -> Response:
    """For accounts of village and above: shifts of accounts in their region, at desks that those accounts may see."""
    who = account()
    if who.tier == "grid":
        return problem(403, "Not yours to write", "a grid account keeps no roster: ask the village's desk")
    if not timedelta(0) < body.ends_at - body.starts_at <= LONGEST_SHIFT:
        return problem(422, "Roster not taken", "ends_at comes after starts_at, by at most 31 days")
    if body.org is not None and body.org not in server().dispatch.routing.organisations:
        return problem(422, "Roster not taken", f"there is no organisation {body.org}")
    with sight() as connection:
        person = staff_store.granted(connection, body.account)
    # Who is of another region is not told from who does not exist.
    if person is None or not covers(who.scope, person.scope):
        return problem(422, "Roster not taken", f"account {body.account} is not one of your region")
    region = _desk(person, body.region)
    if region is None:
        return problem(422, "Roster not taken", f"region {body.region} is not one of account {body.account}'s")
    times = body.starts_at, body.ends_at
    roster = Roster(uuid4(), person.account, region.code, region.scope, body.org, *times, who.username)

    def work(connection: Connection) -> Made:
        staff_store.add_roster(connection, roster)
        return Made(_shown_roster(roster, person.username, person.name), status=201)

    return once(header.idempotency_key, f"rosters {body.model_dump_json()}", work)


def _desk(person: Granted, code: str | None) -> Region | None:
    """The region of a shift: within the person's grant, its own when none is stated."""
    regions = server().tree.regions
    found = regions.get(code_of(person.scope) if code is None else code)
    return found if found is not None and covers(person.scope, found.scope) else None


def _shown_roster(roster: Roster, username: str, name: str) -> dict[str, Any]:
    tree = server().tree
    return {
        "id": str(roster.id),
        "account": username,
        "name": name,
        "region": roster.region,
        "region_name": tree[roster.region].name if roster.region in tree.regions else roster.region,
        "org": roster.org,
        "starts_at": roster.starts_at.isoformat(),
        "ends_at": roster.ends_at.isoformat(),
        "made_by": roster.made_by,
    }
