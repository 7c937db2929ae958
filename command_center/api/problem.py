"""Errors as RFC 9457 problems: the one place where an exception becomes an HTTP answer."""

from __future__ import annotations

import json
from typing import Any, cast

from flask import Flask, Response
from pydantic import ValidationError
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from command_center.account.account import BadCredentials, NotLoggedIn
from command_center.api.paging import BadCursor
from command_center.idempotency import KeyReused
from command_center.move import NoSuchTicket, OutOfDate
from command_center.ticket.ticket import IllegalMove, NoSuchTarget, NotYours, ReasonMissing, shown
from gis.tiles import NoSuchTile

_STATUS: dict[type[Exception], tuple[int, str]] = {
    BadCredentials: (401, "Wrong user name or password"),
    NotLoggedIn: (401, "Not logged in"),
    NotYours: (403, "Not yours to move"),
    NoSuchTicket: (404, "No such ticket"),
    NoSuchTile: (404, "No such tile"),
    OutOfDate: (409, "Somebody was faster"),
    IllegalMove: (409, "Not possible from here"),
    NoSuchTarget: (422, "No such target"),
    ReasonMissing: (422, "A reason is needed"),
    BadCursor: (422, "Bad cursor"),
    KeyReused: (422, "Idempotency key used before"),
}


class Throttled(Exception):
    """Too many attempts; the message says when to try again."""


_STATUS[Throttled] = (429, "Too many attempts")


def problem(status: int, title: str, detail: str, **more: Any) -> Response:
    """A problem document."""
    kind = title.lower().replace(" ", "-")
    body = {"type": f"/problems/{kind}", "title": title, "status": status, "detail": detail, **more}
    return Response(json.dumps(body, ensure_ascii=False), status, content_type="application/problem+json")


def invalid(error: ValidationError) -> Response:
    """What pydantic found wrong with a request."""
    found = [{"where": ".".join(str(part) for part in e["loc"]), "what": e["msg"]} for e in error.errors()]
    detail = "; ".join(f"{item['where']}: {item['what']}" for item in found)
    return problem(422, "Request not understood", detail, errors=found)


def register(app: Flask) -> None:
    """Have every exception answered as a problem."""
    for kind in _STATUS:
        app.register_error_handler(kind, _ours)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(RecursionError, _too_deep)
    app.register_error_handler(DataError, _cannot_be_stored)
    app.register_error_handler(DBAPIError, _database)
    app.register_error_handler(PoolTimeout, _database)


def _ours(error: Exception) -> Response:
    status, title = _STATUS[type(error)]
    more = {"current": shown(error.current)} if isinstance(error, OutOfDate) else {}
    return problem(status, title, str(error), **more)


def _http(error: HTTPException) -> Response:
    if error.response is not None:
        return cast(Response, error.response)
    return problem(error.code or 500, error.name, error.description or error.name)


def _too_deep(_: Exception) -> Response:
    return problem(422, "Request not understood", "the request is nested too deeply: send plain objects")


def _cannot_be_stored(error: Exception) -> Response:
    from command_center.api.asking import server

    server().log.warning("value refused by the database", problem=str(error)[:500])
    return problem(422, "Request not understood", "a value holds a NUL character or is too large: send another")


def _database(error: Exception) -> Response:
    # SQL and addresses are for the log, not for the asker.
    from command_center.api.asking import server

    server().log.error("database problem", problem=str(error)[:500])
    return problem(503, "Database away", "the database cannot answer now: try again in a moment")
