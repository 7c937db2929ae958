"""``/api/v1/session``: log in, who am I, log out."""

from __future__ import annotations

from typing import Any

import gevent
from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from command_center.account.account import Account, BadCredentials
from command_center.account.password import matches
from command_center.account.store import SESSION_LIFE, account_of, end_session, open_session, stored_password
from command_center.api.asking import COOKIE, account, now, server, token
from command_center.api.throttle import Throttle
from command_center.mode import store as mode_store
from command_center.mode.mode import shown as shown_mode
from config.database import scoped

blueprint = APIBlueprint("session", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="session")])

_failed = Throttle(10, 60.0)
"""Wrong passwords by user name."""


class Credentials(BaseModel):
    """Who wants in."""

    username: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=256)


@blueprint.post("/session", summary="Log in")
def log_in(body: Credentials) -> tuple[Response, int]:
    """Sets the session cookie."""
    _failed.require(body.username, f"too many wrong passwords for {body.username}", now())
    with server().engine.begin() as connection:
        found = stored_password(connection, body.username)
    # argon2 is slow on purpose and holds the processor: in a thread of its own the consoles go on meanwhile.
    stored = None if found is None else found[1]
    if not gevent.get_hub().threadpool.apply(matches, (stored, body.password)) or found is None:
        _failed.count(body.username, now())
        raise BadCredentials("the user name or the password is wrong")
    _failed.forgive(body.username)
    with server().engine.begin() as connection:
        secret = open_session(connection, found[0], now())
        who = account_of(connection, secret, now())
        if who is None:
            raise BadCredentials("the account has no region to work in: ask an administrator for a grant")
    response = jsonify(shown(who))
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(SESSION_LIFE.total_seconds()),
        httponly=True,
        samesite="Strict",
        secure=server().settings.secure_cookie or request.is_secure,
        path="/",
    )
    return response, 201


@blueprint.get("/session", summary="Who am I")
def who_am_i() -> dict[str, Any]:
    """The logged-in account."""
    return shown(account())


@blueprint.delete("/session", summary="Log out")
def log_out() -> Response:
    """Ends the session and its live connections."""
    secret = token()
    if secret is not None:
        with server().engine.begin() as connection:
            end_session(connection, secret)
        consoles = server().consoles
        if consoles is not None:
            consoles.end(secret)
    response = Response(status=204)
    response.delete_cookie(COOKIE, path="/")
    return response


@blueprint.get("/city", summary="Which city this is")
def city() -> dict[str, Any]:
    """The city's code, name and time zone (IANA); needs no login."""
    root = server().root
    return {"code": root.code, "name": root.name, "time_zone": server().settings.time_zone}


def shown(who: Account) -> dict[str, Any]:
    """An account as HTTP shows it."""
    return {
        "account": {
            "username": who.username,
            "name": who.name,
            "tier": who.tier,
            "region": who.region,
            "region_name": who.region_name,
        },
        "city": city(),
        "modes": _modes(who),
    }


def _modes(who: Account) -> list[dict[str, Any]]:
    """The wartime operation that holds for an account's region, above it or below it."""
    moment = now()
    with scoped(server().engine, who.scope) as connection:
        return [shown_mode(mode, moment) for mode in mode_store.unended(connection) if mode.holds(moment)]
