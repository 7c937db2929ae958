"""``/api/v1/risks``: scores of places, what each is made of, and how they went."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, Literal

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import func, select

from command_center.api.asking import account, now, server, sight
from command_center.api.outlook import outlook_of
from command_center.api.paging import Page, listed, narrowed
from command_center.api.region import below
from gis.region import Region, covers
from rules import risk_store
from rules.risk import SCORED, NoSuchPlace
from rules.risk_outlook import Hour

blueprint = APIBlueprint("risks", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="risks")])

Scored = Literal["emergency", "public_order", "urban_management", "traffic", "overall"]
Tier = Literal["city", "county", "township", "village", "grid"]


class RiskQuery(Page):
    """Which scores."""

    region: str | None = Field(None, description="region code: it and all below it")
    domain: Scored = "overall"
    tier: Tier | None = None
    min: float = Field(0.1, ge=0, le=100, description="scores below it are left out")


class MapQuery(BaseModel):
    """Which scores the map shows."""

    domain: Scored = "overall"


class PlacePath(BaseModel):
    """A cell or region by its code."""

    code: str


class HistoryQuery(Page):
    """Which part of a history."""

    domain: Scored = "overall"
    since: AwareDatetime | None = Field(None, description="at or after, RFC 3339")


@blueprint.get("/risks", summary="Risk by place, highest first")
def list_risks(query: RiskQuery) -> dict[str, Any]:
    """The cells and regions that the account may see."""
    table = risk_store.risks
    statement = narrowed(table.select(), table, {"domain": query.domain, "tier": query.tier})
    statement = statement.where(table.c.score >= query.min)
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    with sight() as connection:
        return listed(connection, statement, (table.c.score, table.c.code), query, _listed, newest_first=True)


@blueprint.get("/risks/map", summary="Risk of all cells, to colour a map by")
def get_risk_map(query: MapQuery) -> Response:
    """By cell code; cells that are not named have none. Answers 304 while nothing changed."""
    table = risk_store.risks
    wanted = select(table.c.code, table.c.score).where(
        table.c.tier == "grid", table.c.domain == query.domain, table.c.score > 0
    )
    with sight(snapshot=True) as connection:
        scores = {row.code: row.score for row in connection.execute(wanted.order_by(table.c.code))}
        at = connection.execute(
            select(func.max(table.c.at)).where(table.c.tier == "grid", table.c.domain == query.domain)
        ).scalar_one()
    body = {"at": _text(at), "domain": query.domain, "cells": scores}
    response = Response(json.dumps(body), content_type="application/json")
    response.headers["Cache-Control"] = "private, no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


@blueprint.get("/risks/<code>", summary="Why a place has the risk it has")
def get_risk(path: PlacePath) -> dict[str, Any]:
    """Every domain and overall, each with lines whose points add up to the score."""
    place = _place(path.code)
    table = risk_store.risks
    with sight() as connection:
        found = {row.domain: row for row in connection.execute(table.select().where(table.c.code == path.code))}
    return {
        "code": place.code,
        "name": place.name,
        "tier": place.tier,
        "region": place.parent,
        "above": _above(place),
        "scores": [_scored(domain, found.get(domain)) for domain in (SCORED[-1], *SCORED[:-1])],
    }


@blueprint.get("/risks/<code>/outlook", summary="The next six hours of a cell's risk")
def get_risk_outlook(path: PlacePath) -> dict[str, Any]:
    """Over all domains: readings as they are forecast, alerts of now fading as they do.

    ``age_s``: of the oldest newest reading that a forecast goes by. ``not_forecast``: sensors that count with their present
    reading alone, and why. ``items`` is empty in a city without weights of risk.
    """
    place, moment = _place(path.code), now()
    if place.tier != "grid":
        raise NoSuchPlace(f"{path.code[:40]!r} is no cell: the hours ahead are told of cells")
    with sight(snapshot=True) as connection:
        found = outlook_of(connection, place.code, moment)
    head = {"code": place.code, "now": moment.isoformat()}
    if found is None:
        return head | {"items": [], "highest": None, "age_s": None, "not_forecast": []}
    items = [_hour(hour, moment) for hour in found.outlook.hours]
    return head | {
        "items": items,
        "highest": items[found.outlook.highest.hours - 1],
        "age_s": found.age_s,
        "not_forecast": [found.untold[sensor] for sensor in found.outlook.not_forecast],
    }


@blueprint.get("/risks/<code>/history", summary="How the risk of a place went, newest first")
def list_risk_history(path: PlacePath, query: HistoryQuery) -> dict[str, Any]:
    """An entry when a score had moved by 5 points or fallen to nothing, and once an hour while there is one."""
    _place(path.code)
    table = risk_store.risk_history
    statement = narrowed(table.select(), table, {"code": path.code, "domain": query.domain})
    if query.since is not None:
        statement = statement.where(table.c.at >= query.since)
    with sight() as connection:
        return listed(
            connection,
            statement,
            (table.c.at, table.c.code),
            query,
            lambda row: {"at": row.at.isoformat(), "score": row.score},
            newest_first=True,
        )


def _place(code: str) -> Region:
    """A cell or region of the account's subtree. Raises NoSuchPlace."""
    place = server().tree.regions.get(code)
    if place is None or not covers(account().scope, place.scope):
        raise NoSuchPlace(f"there is no cell or region {code[:40]!r}")
    return place


def _listed(row: Any) -> dict[str, Any]:
    place = server().tree.regions.get(row.code)
    return {
        "code": row.code,
        "name": row.code if place is None else place.name,
        "tier": row.tier,
        "region": None if place is None else place.parent,
        "above": [] if place is None else _above(place),
        "domain": row.domain,
        "score": row.score,
        "at": row.at.isoformat(),
        "version": row.version,
    }


def _scored(domain: str, row: Any) -> dict[str, Any]:
    if row is None:
        return {"domain": domain, "score": 0.0, "at": None, "version": 0, "why": []}
    return {"domain": domain, "score": row.score, "at": row.at.isoformat(), "version": row.version, "why": row.parts}


def _hour(hour: Hour, moment: datetime) -> dict[str, Any]:
    return {
        "at": (moment + timedelta(hours=hour.hours)).isoformat(),
        "horizon_h": hour.hours,
        "score": hour.score / 10,
        "cause": hour.cause,
        "why": list(hour.lines),
    }


def _above(place: Region) -> list[str]:
    """The names of the regions that it lies in, the county first: many a cell is called number 1."""
    regions, found = server().tree.regions, list[str]()
    above = None if place.parent is None else regions.get(place.parent)
    while above is not None and above.parent is not None:
        found.insert(0, above.name)
        above = regions.get(above.parent)
    return found


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
