"""``/api/v1/reports``: people report what they see, and follow by their receipt what becomes of it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import func, select

from command_center.account.account import NotLoggedIn
from command_center.api.asking import account, anybody, now, server, sight, whole_city
from command_center.api.paging import Page, listed
from command_center.api.region import below
from command_center.api.throttle import Throttle
from command_center.event import log
from command_center.report import report as reports
from command_center.report import store as report_store
from command_center.report.report import OF_DESKS, Channel, make_receipt
from command_center.report_move import Followed, Said, follow, take_report
from command_center.ticket import store as ticket_store
from gis.store import regions

blueprint = APIBlueprint("reports", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="reports")])

_SHORTEST_KEY: Final = 16
_sent = Throttle(20, 60.0)
"""Reports without a login, by the address they come from."""


class ReportBody(BaseModel):
    """What a person saw, and where: degrees, CGCS2000."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(min_length=1, max_length=64)
    words: str = Field(min_length=2, max_length=1000)
    lng: float = Field(ge=-180, le=180, allow_inf_nan=False)
    lat: float = Field(ge=-90, le=90, allow_inf_nan=False)
    contact: str | None = Field(None, max_length=100, description="telephone or name; only the desks see it")
    channel: Channel | None = Field(None, description=f"from desks: {', '.join(OF_DESKS)}")
    handled: str | None = Field(None, min_length=2, max_length=1000, description="what was done on the spot")

    @field_validator("words", "contact", "handled")
    @classmethod
    def written(cls, words: str | None) -> str | None:
        """Raises ValueError for blanks and for what no text holds."""
        if words is None:
            return None
        if "\x00" in words:
            raise ValueError("a text has no NUL characters")
        if not words.strip():
            raise ValueError("it is blank")
        return words.strip()


class ReportHeader(BaseModel):
    """``Idempotency-Key`` makes a repeat harmless. The receipt follows from it, so it must be unguessable: a random UUID."""

    idempotency_key: str | None = Field(None, alias="Idempotency-Key", min_length=_SHORTEST_KEY, max_length=128)


class ReceiptPath(BaseModel):
    """One report, by what its sender alone knows."""

    receipt: str = Field(max_length=64)


class ReportQuery(Page):
    """Which reports."""

    region: str | None = Field(None, description="region code: it and all below it")
    mine: bool | None = Field(None, description="true: those that this account sent, wherever they lie")


@blueprint.get("/reports/kinds", summary="What people may report")
def list_kinds() -> dict[str, Any]:
    """Needs no login."""
    pack = server().reports
    kinds = [
        {
            "code": kind.code,
            "title": kind.title.zh,
            "title_en": kind.title.en,
            "domain": kind.domain,
            "category": kind.category,
            "small_class": kind.small_class,
            "severity": kind.severity,
        }
        for kind in pack.kinds
    ]
    return {"anonymous": pack.anonymous, "kinds": kinds, "channels": [str(channel) for channel in OF_DESKS]}


@blueprint.get("/reports/ground", summary="The outlines that a reporter finds the place by")
def ground() -> Response:
    """Counties and townships as GeoJSON; names and outlines are public, so it needs no login."""
    with whole_city() as connection:
        shape = func.ST_AsGeoJSON(func.ST_SimplifyPreserveTopology(regions.c.geom, 0.0005), 5)
        found = connection.execute(
            select(regions.c.code, regions.c.name, regions.c.tier, shape.label("shape"))
            .where(regions.c.tier.in_(("county", "township")))
            .order_by(regions.c.code)
        ).all()
    features = [
        {
            "type": "Feature",
            "geometry": None if row.shape is None else msgspec.json.decode(row.shape),
            "properties": {"code": row.code, "name": row.name, "tier": row.tier},
        }
        for row in found
    ]
    answer = jsonify({"type": "FeatureCollection", "features": features})
    answer.headers["Cache-Control"] = "public, max-age=600"
    return answer


@blueprint.post("/reports", summary="Report something")
def post_report(body: ReportBody, header: ReportHeader) -> tuple[Response, int]:
    """Answers with the receipt: whoever has it sees what becomes of the report."""
    who = anybody()
    if who is None:
        if not server().reports.anonymous:
            raise NotLoggedIn("this city takes reports from accounts only: log in first")
        address = request.remote_addr or ""
        _sent.require(address, "too many reports from here", now())
        _sent.count(address, now())
    username = None if who is None else who.username
    receipt = make_receipt(header.idempotency_key, username, body.model_dump_json())
    with whole_city() as connection:
        taken = take_report(connection, Said(**body.model_dump()), who, receipt, server(), now())
        answer = _shown(receipt, follow(connection, receipt))
        log.append(connection, taken.events)
    return jsonify(answer), 201


@blueprint.get("/reports/<string:receipt>", summary="What became of a report")
def get_report(path: ReceiptPath) -> dict[str, Any]:
    """Needs no login: the receipt is what allows it. Says nothing about people."""
    with whole_city() as connection:
        return _shown(path.receipt, follow(connection, path.receipt))


@blueprint.get("/reports", summary="Reports, newest first")
def list_reports(query: ReportQuery) -> dict[str, Any]:
    """Those of the account's own region, or with ``mine`` those that it sent."""
    who, table, own = account(), report_store.reports, ticket_store.tickets
    statement = select(table, own.c.number, own.c.path, own.c.status, own.c.merged_into).join(
        own, own.c.id == table.c.ticket
    )
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    if query.mine:
        statement = statement.where(table.c.account == who.username)
    with whole_city() if query.mine else sight() as connection:
        return listed(connection, statement, (table.c.at, table.c.id), query, _listed, newest_first=True)


def _listed(row: Any) -> dict[str, Any]:
    merged = None if row.merged_into is None else str(row.merged_into)
    town = next((name for tier, _, name in row.path if tier == "township"), "")
    standing = {"number": row.number, "region_name": town, "status": row.status, "merged_into": merged}
    return reports.shown(report_store.report_of(row)) | standing


def _shown(receipt: str, followed: Followed) -> dict[str, Any]:
    report, ticket = followed.report, followed.ticket
    town = next((name for tier, _, name in ticket.place.path if tier == "township"), "")
    return {
        "receipt": receipt,
        "number": ticket.place.number,
        "kind": report.kind,
        "title": report.title,
        "title_en": report.title_en,
        "words": report.words,
        "at": report.at.isoformat(),
        "region_name": town,
        "lng": report.lng,
        "lat": report.lat,
        "status": str(ticket.status),
        "merged": followed.merged,
        "desk": ticket.holder.org_name or ticket.holder.name,
        "trail": [{"at": s.at.isoformat(), "status": str(s.status), "desk": s.desk} for s in followed.trail],
        "answer": followed.answer,
    }
