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
from command_center.alert_move import NoSuchAlert, NoSuchMute, StaleAlert
from command_center.api.forecast import NoSuchSensor, NotMeasured
from command_center.api.paging import BadCursor
from command_center.api.reading import TooManyExports
from command_center.api.throttle import Throttled
from command_center.catalogue_move import BadEntry, NoSuchEntry, NotYoursToCatalogue, StaleEntry
from command_center.idempotency import KeyReused
from command_center.incident.incident import NoStatutoryColour
from command_center.incident.incident import shown as shown_incident
from command_center.level_move import BadLevels, NoSuchIncident, StaleIncident, VersionMissing
from command_center.mode.mode import BadMode, ModeOver, NoSuchMode, NotYoursToDeclare
from command_center.move import NoSuchTicket, OutOfDate
from command_center.regroup_move import BadRegrouping, IncidentMoved, NotOpen
from command_center.report.report import BadReport, NoSuchReceipt
from command_center.rule_move import NotOfTheCity
from command_center.shown import shown_alert
from command_center.staff_store import NoSuchShift, ShiftOver, ShiftsOverlap
from command_center.ticket.decide import BadWish, IllegalMove, NoSuchTarget, NotYours, ReasonMissing
from command_center.ticket.ticket import shown
from gis.tiles import NoSuchTile
from ingest.catalogue_file import BadCatalogueFile
from ingest.reading_range import BadRange
from rules.life import ImpossibleMove, TierTooLow
from rules.mute import BadMute
from rules.risk import NoSuchPlace
from rules.rulebook import BadRule
from rules.version import IllegalRuleMove, NoSuchRule, RuleMoved, RuleReasonMissing, SecondPersonNeeded

_STATUS: dict[type[Exception], tuple[int, str]] = {
    BadCredentials: (401, "Wrong user name or password"),
    NotLoggedIn: (401, "Not logged in"),
    NotYours: (403, "Not yours to move"),
    NoSuchTicket: (404, "No such ticket"),
    NoSuchReceipt: (404, "No such receipt"),
    NoSuchTile: (404, "No such tile"),
    OutOfDate: (409, "Somebody was faster"),
    IllegalMove: (409, "Not possible from here"),
    NoSuchTarget: (422, "No such target"),
    ReasonMissing: (422, "A reason is needed"),
    BadWish: (422, "Something is missing"),
    BadReport: (422, "Report not taken"),
    BadCursor: (422, "Bad cursor"),
    KeyReused: (422, "Idempotency key used before"),
    NotOfTheCity: (403, "Not yours to write"),
    SecondPersonNeeded: (403, "A second person is needed"),
    NoSuchRule: (404, "No such rule"),
    RuleMoved: (409, "Somebody was faster"),
    IllegalRuleMove: (409, "Not possible from here"),
    BadRule: (422, "Rule not taken"),
    RuleReasonMissing: (422, "A reason is needed"),
}


_STATUS |= {
    TierTooLow: (403, "Not yours to move"),
    NoSuchAlert: (404, "No such alert"),
    NoSuchIncident: (404, "No such incident"),
    IncidentMoved: (409, "Somebody was faster"),
    NotOpen: (409, "Not possible from here"),
    BadRegrouping: (422, "Not two matters of one, nor one of two"),
    NoSuchMute: (404, "No such mute"),
    StaleAlert: (409, "Somebody was faster"),
    StaleIncident: (412, "Somebody was faster"),
    ImpossibleMove: (422, "Not possible from here"),
    BadMute: (422, "Mute not taken"),
    BadLevels: (422, "Levels not taken"),
    NoStatutoryColour: (422, "No statutory warning level"),
    VersionMissing: (428, "Version missing"),
}


_STATUS |= {
    Throttled: (429, "Too many attempts"),
    TooManyExports: (429, "Too many exports"),
    BadRange: (422, "Range not given like that"),
}
_STATUS |= {
    NoSuchShift: (404, "No such shift"),
    ShiftsOverlap: (409, "Shifts overlap"),
    ShiftOver: (409, "Shift is over"),
}
_STATUS |= {
    NotYoursToDeclare: (403, "Not yours to declare"),
    NoSuchMode: (404, "No such mode"),
    ModeOver: (409, "Mode is over"),
    BadMode: (422, "Mode not taken"),
}
_STATUS |= {
    NotYoursToCatalogue: (403, "Not yours to write"),
    NoSuchEntry: (404, "No such sensor"),
    StaleEntry: (412, "Somebody was faster"),
    BadEntry: (422, "Entry not taken"),
    BadCatalogueFile: (422, "Table not taken"),
}
_STATUS[NoSuchPlace] = (404, "No such place")
_STATUS |= {NoSuchSensor: (404, "No such sensor"), NotMeasured: (422, "Not measured")}


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
    more = _current(error)
    if isinstance(error, ShiftsOverlap):
        own = error.other
        times = {"starts_at": own.starts_at.isoformat(), "ends_at": own.ends_at.isoformat()}
        more = {"shift": {"id": str(own.id), "region": own.region, "org": own.org, **times}}
    if isinstance(error, BadEntry):
        more = {"faults": [{"column": own.column, "zh": own.zh, "en": own.en} for own in error.faults]}
    if isinstance(error, BadRule):
        more = {"problems": [{"line": error.line, "reason": error.reason}]}
    return problem(status, title, str(error), **more)


def _current(error: Exception) -> dict[str, Any]:
    """The object as it stands, for who looked at an older version of it."""
    if isinstance(error, OutOfDate):
        return {"current": shown(error.current)}
    if isinstance(error, StaleEntry):
        return {"current": error.current}
    if isinstance(error, StaleAlert):
        return {"current": shown_alert(error.current)}
    return {"current": shown_incident(error.current)} if isinstance(error, StaleIncident | IncidentMoved) else {}


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
