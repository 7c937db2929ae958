"""The composition root of the web process: settings in, a server that answers out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from flask import Flask, Response
from flask.json.provider import DefaultJSONProvider
from flask_openapi3 import Info, OpenAPI
from flask_socketio import SocketIO
from structlog.stdlib import BoundLogger

import command_center.api.alert
import command_center.api.catalogue
import command_center.api.deadline_finding
import command_center.api.forecast
import command_center.api.grid
import command_center.api.health
import command_center.api.incident
import command_center.api.link
import command_center.api.mode
import command_center.api.mute
import command_center.api.network
import command_center.api.page
import command_center.api.quarantine
import command_center.api.reading
import command_center.api.region
import command_center.api.report
import command_center.api.risk
import command_center.api.routing
import command_center.api.rule
import command_center.api.session
import command_center.api.source
import command_center.api.staff
import command_center.api.standard
import command_center.api.summary
import command_center.api.ticket
from command_center import websocket
from command_center.api import problem
from command_center.api.asking import Server, keep, wall_clock
from command_center.city import correlations, dispatch_table, report_pack
from command_center.push import Push
from command_center.ticket.clock import Offices
from config.database import assert_bound_by_row_security, assert_durable, web_engine
from config.settings import Settings
from gis.region import RegionTree
from gis.store import load_root
from ingest.sensor import Catalogue

LARGEST_REQUEST = 1024 * 1024
_LARGEST_PACKET = 64 * 1024

_BLUEPRINTS = (
    command_center.api.session.blueprint,
    command_center.api.summary.blueprint,
    command_center.api.ticket.blueprint,
    command_center.api.incident.blueprint,
    command_center.api.alert.blueprint,
    command_center.api.mute.blueprint,
    command_center.api.mode.blueprint,
    command_center.api.risk.blueprint,
    command_center.api.rule.blueprint,
    command_center.api.routing.blueprint,
    command_center.api.report.blueprint,
    command_center.api.standard.blueprint,
    command_center.api.staff.blueprint,
    command_center.api.deadline_finding.blueprint,
    command_center.api.catalogue.blueprint,
    command_center.api.source.blueprint,
    command_center.api.reading.blueprint,
    command_center.api.quarantine.blueprint,
    command_center.api.link.blueprint,
    command_center.api.forecast.blueprint,
    command_center.api.region.blueprint,
    command_center.api.region.tile_blueprint,
    command_center.api.grid.blueprint,
    command_center.api.network.blueprint,
)
_PLAIN_BLUEPRINTS = (command_center.api.health.blueprint, command_center.api.page.blueprint)

# Everything comes from this server: a government network has nothing else, and a page that asks elsewhere is a leak.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:;"
        " connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class NoCity(RuntimeError):
    """The database holds no city yet."""


def make_app(
    settings: Settings, log: BoundLogger, clock: Callable[[], datetime] = wall_clock
) -> tuple[Flask, SocketIO, Push]:
    """Raises NoCity, UnsafeRole or UnsafeServer instead of serving what must not be served."""
    engine = web_engine(settings.database_url)
    assert_bound_by_row_security(engine)
    assert_durable(engine)
    with engine.connect() as connection:
        root = load_root(connection)
    if root is None:
        raise NoCity("the database has no city: fill it first, for example with `command-center seed --demo`")
    dispatch = dispatch_table(settings.city, Offices(ZoneInfo(settings.time_zone)))
    people = report_pack(settings.city)
    server = Server(settings, engine, clock, root, RegionTree({}), Catalogue({}, {}), dispatch, people, log)
    server.correlation = correlations(settings.city)
    server.read_ground()
    server.read_modes()
    app = OpenAPI(
        __name__,
        info=Info(title="City operations command centre", version="1"),
        doc_ui=False,
        validation_error_callback=problem.invalid,
        static_folder=None,
    )
    app.json = _Encoder(app)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_REQUEST
    keep(app, server)
    problem.register(app)
    for blueprint in _BLUEPRINTS:
        app.register_api(blueprint)
    for plain in _PLAIN_BLUEPRINTS:
        app.register_blueprint(plain)
    app.add_url_rule("/api/v1/openapi.json", "openapi", lambda: app.api_doc)
    app.after_request(_protect)
    socketio = SocketIO(
        app,
        async_mode="gevent",
        transports=["websocket"],
        manage_session=False,
        max_http_buffer_size=_LARGEST_PACKET,
        json=_Json,
        ping_interval=10,
        ping_timeout=10,
    )
    websocket.install(socketio.server.eio)
    push = Push(server, socketio)
    server.consoles = push
    return app, socketio, push


def _protect(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


class _Encoder(DefaultJSONProvider):
    """Answers are written by msgspec: a page of tickets takes a tenth of the time."""

    def dumps(self, obj: object, **_: object) -> str:
        # Sorted: an answer that was kept and is given again is the same to the byte.
        return msgspec.json.encode(obj, order="sorted").decode()


class _Json:
    """msgspec behind the interface that Socket.IO wants."""

    @staticmethod
    def dumps(value: object, **_: object) -> str:
        return msgspec.json.encode(value).decode()

    @staticmethod
    def loads(text: str | bytes, **_: object) -> object:
        return msgspec.json.decode(text)
