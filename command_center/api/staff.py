"""``/api/v1/staff``, ``/rosters`` and ``/positions``: who can do what, who is on duty when, who is where."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select

from command_center import staff_store
from command_center.account.store import accounts
from command_center.api.asking import account, now, server, sight
from command_center.api.once import Made, OnceHeader, once
from command_center.api.paging import Page, listed
from command_center.api.problem import problem
from command_center.api.region import below
from command_center.staff_store import Granted, Roster
from command_center.ticket.decide import NotYours
from command_center.ticket.routing import skills_of
from gis.region import Region, code_of, covers

blueprint = APIBlueprint("staff", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="staff")])

LONGEST_SHIFT = timedelta(days=31)
CLOCKS_DIFFER = timedelta(minutes=1)
"""How far a phone's clock may be ahead of ours."""
MOST_SKILLS = 32

_Lng = Field(ge=-180, le=180, allow_inf_nan=False, description="degrees, CGCS2000")
_Lat = Field(ge=-90, le=90, allow_inf_nan=False, description="degrees, CGCS2000")


class StaffQuery(Page):
    """Whose people."""

    region: str | None = Field(
        None, description="region code: people of it and all below it; the account's own if missing"
    )


class StaffPath(BaseModel):
    """One account."""

    username: str = Field(min_length=1, max_length=64)


class SkillsBody(BaseModel):
    """What somebody can do, instead of what was stated before."""

    model_config = ConfigDict(extra="forbid")

    skills: list[str] = Field(max_length=MOST_SKILLS)


class RosterPath(BaseModel):
    """One shift."""

    id: UUID


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
    starts_before: AwareDatetime | None = Field(None, description="RFC 3339; with ends_after: shifts that touch a span")
    ends_after: AwareDatetime | None = Field(None, description="RFC 3339")


class RosterBody(BaseModel):
    """A shift of an account, in its own region or in one below it."""

    model_config = ConfigDict(extra="forbid")

    account: str = Field(min_length=1, max_length=64, description="user name")
    region: str | None = Field(None, min_length=1, max_length=64, description="the account's own when it is missing")
    org: str | None = Field(None, min_length=1, max_length=64, description="organisation; the whole desk when missing")
    starts_at: AwareDatetime
    ends_at: AwareDatetime = Field(description="RFC 3339; at most 31 days after the start")


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


@blueprint.get("/staff", summary="People, those of upper desks first")
def list_staff(query: StaffQuery) -> dict[str, Any]:
    """Whose grant is at the desk of a region or below it, and who is on duty there. ``position_at``: when their position was
    last heard, never where. ``yours``: the account may put them on duty and state their skills.
    """
    who, moment = account(), now()
    # Accounts have no row-level security: nobody asks for people beyond their own region.
    region = server().tree.regions.get(query.region or who.region)
    if region is None or not covers(who.scope, region.scope):
        return {"items": [], "next": None}
    statement = staff_store.staff(region.scope, moment)
    keys = (statement.selected_columns["scope"], statement.selected_columns["username"])
    with sight() as connection:
        return listed(
            connection,
            statement,
            keys,
            query,
            lambda row: _shown_staff(row) | {"yours": who.tier != "grid" and covers(who.scope, row.scope)},
            newest_first=False,
        )


def _shown_staff(row: Any) -> dict[str, Any]:
    shift = {
        "id": str(row.shift_id),
        "region": row.shift_region,
        "region_name": _region_name(row.shift_region),
        "org": row.shift_org,
    }
    return {
        "account": row.username,
        "name": row.name,
        "region": row.region,
        "region_name": row.region_name,
        "tier": row.tier,
        "on_duty": None if row.shift_id is None else shift | _times(row.shift_starts_at, row.shift_ends_at),
        "skills": sorted(row.skills or ()),
        "open_tickets": row.open_tickets,
        "position_at": None if row.position_at is None else row.position_at.isoformat(),
    }


@blueprint.put("/staff/<username>/skills", summary="State what somebody can do")
def put_skills(path: StaffPath, body: SkillsBody) -> Any:
    """For accounts of village and above, of accounts in their region: skills that a routing rule asks for."""
    who, wanted = account(), set(body.skills)
    if who.tier == "grid":
        return problem(403, "Not yours to write", "a grid account states no skills: ask the village's desk")
    with sight() as connection:
        person = staff_store.granted(connection, path.username)
        if person is None or not covers(who.scope, person.scope):
            return problem(404, "No such account", f"account {path.username} is not one of your region")
        # A skill that the rules no longer know may stay where it stands.
        known = {*skills_of(server().dispatch.routing), *staff_store.skills_of(connection, person.account)}
        if wanted - known:
            unknown = ", ".join(sorted(wanted - known))
            return problem(422, "Skills not taken", f"no rule asks for {unknown}: known are {', '.join(sorted(known))}")
        staff_store.set_skills(connection, person.account, sorted(wanted))
    return {"account": person.username, "skills": sorted(wanted)}


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
    if query.starts_before is not None:
        statement = statement.where(table.c.starts_at < query.starts_before)
    if query.ends_after is not None:
        statement = statement.where(table.c.ends_at > query.ends_after)
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


@blueprint.post("/rosters/<uuid:id>/end", summary="End a shift, or withdraw one that has not begun")
def post_end(path: RosterPath, header: OnceHeader) -> Response:
    """For accounts of village and above whose region the person is of. ``state`` is ``over`` or ``withdrawn`` then."""
    who, moment = account(), now()

    def work(connection: Connection) -> Made:
        roster, person = staff_store.find_roster(connection, path.id)
        if who.tier == "grid" or not covers(who.scope, person.scope):
            raise NotYours(f"{person.name} was put on duty by a desk above yours: ask there")
        ended = staff_store.end_roster(connection, roster, moment)
        shown = _shown_roster(ended or roster, person.username, person.name)
        return Made(shown if ended is not None else shown | {"state": "withdrawn"})

    return once(header.idempotency_key, f"rosters/{path.id}/end", work)


def _desk(person: Granted, code: str | None) -> Region | None:
    """The region of a shift: within the person's grant, its own when none is stated."""
    regions = server().tree.regions
    found = regions.get(code_of(person.scope) if code is None else code)
    return found if found is not None and covers(person.scope, found.scope) else None


def _shown_roster(roster: Roster, username: str, name: str) -> dict[str, Any]:
    moment = now()
    return {
        "id": str(roster.id),
        "account": username,
        "name": name,
        "region": roster.region,
        "region_name": _region_name(roster.region),
        "org": roster.org,
        "state": "over" if roster.ends_at <= moment else "to_come" if roster.starts_at > moment else "running",
        "made_by": roster.made_by,
        **_times(roster.starts_at, roster.ends_at),
    }


def _region_name(code: str) -> str:
    tree = server().tree
    return tree[code].name if code in tree.regions else code


def _times(starts_at: datetime, ends_at: datetime) -> dict[str, str]:
    return {"starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat()}
