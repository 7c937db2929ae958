"""``/api/v1/tickets``: lists, trails and moves."""

from __future__ import annotations

import hashlib
from typing import Any, Final
from uuid import UUID

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import Connection

from command_center.account.account import Account
from command_center.api.asking import account, now, server, sight
from command_center.api.paging import Page, listed, narrowed
from command_center.api.region import below
from command_center.idempotency import earlier_answer, keep_answer
from command_center.move import NoSuchTicket, make_move, tell
from command_center.report import report as reports
from command_center.report.store import reports_of_tickets
from command_center.report_move import duplicates, require_look
from command_center.standard.store import standard_of
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.decide import BadWish, Wish, offers
from command_center.ticket.table import TRANSITIONS, Who
from command_center.ticket.ticket import Cause, Filing, Move, Step, Ticket

blueprint = APIBlueprint("tickets", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="tickets")])

_PEOPLE: Final = sorted({move for (_, move), transition in TRANSITIONS.items() if transition.who != {Who.SYSTEM}})


class TicketQuery(Page):
    """Which tickets."""

    region: str | None = Field(None, description="region code: it and all below it")
    status: str | None = None
    domain: str | None = None
    sensor: str | None = Field(None, description="the sensor or camera whose signal opened it")
    since: AwareDatetime | None = Field(None, description="opened at or after, RFC 3339")
    open: bool | None = Field(None, description="true: something is to be done; false: ended")


class TicketPath(BaseModel):
    """One ticket."""

    id: UUID


class MoveBody(BaseModel):
    """A move. ``version`` is the version of the ticket that was being looked at."""

    # A misspelt member would otherwise be a move that does less than was meant.
    model_config = ConfigDict(extra="forbid")

    move: Move = Field(json_schema_extra={"enum": [str(move) for move in _PEOPLE]})
    version: int
    to: str | None = Field(None, max_length=64, description="a region's code; of `merge` the id of the other ticket")
    reason: str | None = Field(None, max_length=2000)
    cause: Cause | None = Field(None, description="of `return`")
    until: AwareDatetime | None = Field(None, description="of `ask_suspension`, RFC 3339, at most a year ahead")
    ok: bool | None = Field(None, description="of `verified` and `checked`: whether it is so")
    score: int | None = Field(None, ge=1, le=5, description="of `evaluate`")
    standard: int | None = Field(None, ge=1, le=2**62, description="of `file`: number of the filing condition")
    severity: int | None = Field(None, ge=1, le=4, description="of `file`: 4 gravest; as reported when it is missing")

    @field_validator("move")
    @classmethod
    def of_people(cls, move: Move) -> Move:
        """Raises ValueError for what only the system does."""
        if move not in _PEOPLE:
            raise ValueError(f"{move} is not for people: one of {', '.join(_PEOPLE)}")
        return move


class MoveHeader(BaseModel):
    """``Idempotency-Key`` makes a repeat harmless."""

    idempotency_key: str | None = Field(None, alias="Idempotency-Key", max_length=128)


@blueprint.get("/tickets", summary="Tickets, newest first")
def list_tickets(query: TicketQuery) -> dict[str, Any]:
    """The tickets that the account may see."""
    table = ticket_store.tickets
    equal = {"status": query.status, "domain": query.domain, "source": query.sensor}
    statement = narrowed(table.select(), table, equal)
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    if query.since is not None:
        statement = statement.where(table.c.opened_at >= query.since)
    if query.open is not None:
        ended = table.c.closed_at.is_not(None)
        statement = statement.where(~ended if query.open else ended)
    who = account()
    with sight() as connection:
        keys = (table.c.opened_at, table.c.id)
        return listed(
            connection,
            statement,
            keys,
            query,
            lambda row: with_moves(ticket_store.ticket_of(row), who),
            newest_first=True,
        )


@blueprint.get("/tickets/<uuid:id>", summary="One ticket")
def get_ticket(path: TicketPath) -> dict[str, Any]:
    """With the moves that the account may make now."""
    with sight() as connection:
        return with_moves(_seen(ticket_store.read_ticket(connection, path.id), path.id), account())


@blueprint.get("/tickets/<uuid:id>/steps", summary="A ticket's trail")
def get_steps(path: TicketPath) -> dict[str, Any]:
    """Every step, oldest first."""
    with sight() as connection:
        _seen(ticket_store.read_ticket(connection, path.id), path.id)
        return {"items": [shown_step(step) for step in ticket_store.load_steps(connection, path.id)], "next": None}


@blueprint.get("/tickets/<uuid:id>/reports", summary="What people said of a ticket's matter")
def get_reports(path: TicketPath) -> dict[str, Any]:
    """The ticket's own report and those of the tickets that were merged into it, oldest first."""
    with sight() as connection:
        _seen(ticket_store.read_ticket(connection, path.id), path.id)
        found = reports_of_tickets(connection, ticket_store.with_followers(connection, path.id))
    return {"items": [reports.shown(report) for report in found], "next": None}


@blueprint.get("/tickets/<uuid:id>/duplicates", summary="Open tickets that may be the same matter")
def get_duplicates(path: TicketPath) -> dict[str, Any]:
    """Those near it in place and time with its small class, the likeliest first, as far as the account may see them."""
    who, pack = account(), server().reports
    with sight() as connection:
        found = duplicates(connection, _seen(ticket_store.read_ticket(connection, path.id), path.id), pack)
    items = [
        {
            "ticket": with_moves(one.ticket, who),
            "metres": round(one.metres, 1),
            "minutes": round(one.apart.total_seconds() / 60),
            "same": one.same,
        }
        for one in found
    ]
    return {"near_m": pack.near_m, "within_h": pack.within_h, "items": items, "next": None}


@blueprint.post("/tickets/<uuid:id>/moves", summary="Move a ticket")
def post_move(path: TicketPath, body: MoveBody, header: MoveHeader) -> Response:
    """409 with the current ticket when it was moved meanwhile."""
    who = account()
    request = hashlib.sha256(f"{path.id} {body.model_dump_json()}".encode()).hexdigest()
    key = header.idempotency_key
    with sight() as connection:
        if key is not None and (earlier := earlier_answer(connection, who.username, key, request)) is not None:
            return jsonify(earlier[1])
        wish = _wish(connection, body)
        require_look(connection, ticket_store.read_ticket(connection, path.id), wish, server().reports)
        done = make_move(connection, who, server(), path.id, wish, now())
        answer = with_moves(done.ticket, who)
        if key is not None:
            keep_answer(connection, who.username, key, request, 200, answer, now())
        tell(connection, done)
    return jsonify(answer)


def _wish(connection: Connection, body: MoveBody) -> Wish:
    filing = limit = None
    if body.standard is not None:
        found = standard_of(connection, body.standard)
        if found is None:
            raise BadWish(f"there is no filing condition {body.standard}")
        filing = Filing(body.standard, found.small_code, found.condition, found.close_condition, found.limit_text)
        limit = found.limit
    told = {name: getattr(body, name) for name in ("to", "reason", "cause", "until", "ok", "score", "severity")}
    return Wish(body.move, body.version, **told, filing=filing, limit=limit)


def with_moves(ticket: Ticket, who: Account) -> dict[str, Any]:
    """A ticket with what the asking account may do."""
    moves = [
        {
            "move": str(o.move),
            "needs_reason": o.needs_reason,
            "to": [{"region": code, "name": name} for code, name in o.to],
            "asks": list(o.asks),
        }
        for o in offers(ticket, who.actor, server().tree, server().dispatch, now())
    ]
    return tickets.shown(ticket) | {"moves": moves}


def shown_step(step: Step) -> dict[str, Any]:
    """A step as HTTP shows it."""
    return {
        "version": step.version,
        "move": str(step.move),
        "at": step.at.isoformat(),
        "by": None if step.by is None else {"account": step.by.account, "name": step.by.name, "tier": step.by.tier},
        "status": str(step.status),
        "tier": step.holder.tier,
        "holder": {"region": step.holder.region, "name": step.holder.name},
        "reason": step.reason,
        "told": step.told,
    }


def _seen(ticket: Ticket | None, identity: UUID) -> Ticket:
    if ticket is None:
        raise NoSuchTicket(f"there is no ticket {identity}")
    return ticket
