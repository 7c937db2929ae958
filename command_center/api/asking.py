"""Who is asking, and what the web process has at hand to answer with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol, cast
from zoneinfo import ZoneInfo

from flask import Flask, current_app, g, request
from sqlalchemy import Connection, Engine
from structlog.stdlib import BoundLogger

from command_center.account.account import Account, NotLoggedIn
from command_center.account.store import account_of
from command_center.calendar_store import load_calendar
from command_center.mode import store as mode_store
from command_center.mode.mode import in_force
from command_center.report.report import ReportPack
from command_center.ticket.dispatch import DispatchTable
from config.database import scoped
from config.settings import Settings
from gis.region import Region, RegionTree
from gis.store import load_regions
from gis.version_store import ground_mark
from ingest.sensor import Catalogue
from ingest.store import load_catalogue
from rules.correlation import PLAIN, Correlation
from rules.situation import Situation

COOKIE = "cc_session"
_KEY = "command_center"


class Consoles(Protocol):
    """The live connections, as far as HTTP has to do with them."""

    cut: int

    @property
    def connections(self) -> int: ...

    def end(self, secret: str) -> None: ...


@dataclass
class Server:
    """The web process's parts. ``tree`` is of the whole city and decides; what is shown comes from scoped queries.

    ``mark`` says which state of the ground ``root``, ``tree`` and ``catalogue`` were read from.
    """

    settings: Settings
    engine: Engine
    clock: Callable[[], datetime]
    root: Region
    tree: RegionTree
    catalogue: Catalogue
    dispatch: DispatchTable
    reports: ReportPack
    log: BoundLogger
    consoles: Consoles | None = None
    mark: str = ""
    correlation: Correlation = PLAIN

    @property
    def zone(self) -> ZoneInfo:
        """The city's time zone."""
        return ZoneInfo(self.settings.time_zone)

    @property
    def situation(self) -> Situation:
        """What rules may ask beside readings, as it is now."""
        return Situation(self.zone, self.dispatch.offices.calendar.is_workday, self.dispatch.wartime)

    def read_modes(self) -> None:
        """Go by what is in wartime operation now. Cheap: asked every second."""
        with scoped(self.engine, self.root.scope) as connection:
            declarations = mode_store.unended(connection)
        self.dispatch = self.dispatch.at_war(in_force(declarations, self.clock()))

    def read_ground(self) -> bool:
        """Read regions, cells and catalogue anew when they are not what they were; whether they were read. Cheap when not."""
        with scoped(self.engine, self.root.scope, snapshot=True) as connection:
            mark = ground_mark(connection)
            if mark == self.mark:
                return False
            tree, catalogue = load_regions(connection), load_catalogue(connection)
            calendar = load_calendar(connection)
        self.dispatch = self.dispatch.on(calendar)
        self.root, self.tree, self.catalogue, self.mark = tree.root, tree, catalogue, mark
        return True


def keep(app: Flask, parts: Server) -> None:
    """Give an application its parts."""
    app.extensions[_KEY] = parts


def server() -> Server:
    """The parts of the application that answers."""
    return cast(Server, current_app.extensions[_KEY])


def token() -> str | None:
    """The session secret of this request: from its cookie, or as a bearer token."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer:
        return bearer.strip()
    return request.cookies.get(COOKIE)


def account() -> Account:
    """The account that asks. Raises NotLoggedIn."""
    found = anybody()
    if found is None:
        raise NotLoggedIn("log in first")
    return found


def anybody() -> Account | None:
    """The account that asks, None when nobody is logged in: for what is open to the public."""
    if "account" not in g:
        secret = token()
        g.account = None
        if secret is not None:
            with server().engine.begin() as connection:
                g.account = account_of(connection, secret, now())
    return cast(Account | None, g.account)


@contextmanager
def sight(*, snapshot: bool = False) -> Iterator[Connection]:
    """A transaction that sees what the asking account may see. Raises NotLoggedIn."""
    with scoped(server().engine, account().scope, snapshot=snapshot) as connection:
        yield connection


@contextmanager
def whole_city() -> Iterator[Connection]:
    """A transaction that sees the whole city, whoever asks: for what is public, and for what was decided on before."""
    with scoped(server().engine, server().root.scope) as connection:
        yield connection


def now() -> datetime:
    """The server's time."""
    return server().clock()


def today() -> date:
    """The day it is in the city."""
    return now().astimezone(server().zone).date()


def wall_clock() -> datetime:
    """Now, aware, UTC."""
    return datetime.now(UTC)
