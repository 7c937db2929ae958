"""The small city with matters to deal with and with its web process: people, consoles and tickets through its doors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, pairwise
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, text

from command_center.city import City, load_city
from command_center.event import log
from command_center.event.event import Event
from command_center.respond import respond
from config.database import worker_engine
from gis.region import Region
from rules.alert import Alert, AlertChange, Change, Source
from tests import processes
from tests.conftest import Database
from tests.console import Console, logged_in
from tests.small_city import CITY, SmallCity, build, cell_code
from tests.socket_console import SocketConsole

_matters = count(1)


@dataclass(repr=False)
class StandingCity:
    """A city without processes. ``engine`` is the worker's: it sees and may write everything."""

    database: Database
    small: SmallCity
    city: City
    engine: Engine

    def rows(self, sql: str, **values: Any) -> list[Any]:
        """What the database holds, whoever it belongs to."""
        with self.engine.begin() as connection:
            found = connection.execute(text(sql), values)
            return list(found) if found.returns_rows else []

    def open_ticket(
        self, cell: str | None = None, *, severity: int = 4, source: str = "water-1", matter: str | None = None
    ) -> UUID:
        """A new matter in a cell, by the path from its alert on; severity 4 comes to the city's desk, 1 to the village's."""
        home = self.small.region(cell or cell_code())
        alert = self.alert(home, severity, source, matter or f"matter-{next(_matters)}")
        with self.engine.begin() as connection:
            events = respond(connection, [AlertChange(Change.RAISED, alert)], self.city, datetime.now(UTC))
            log.append(connection, events)
        [(ticket,)] = self.rows(
            "SELECT i.ticket FROM incidents i JOIN incident_signals s ON s.incident = i.id WHERE s.signal = :id",
            id=alert.id,
        )
        return UUID(str(ticket))

    def alert(self, home: Region, severity: int, source: str, category: str) -> Alert:
        """Something in the middle of a cell."""
        lng, lat = self.small.centre(home.code)
        now_us = int(time.time() * 1_000_000)
        return Alert(
            id=uuid4(),
            rule=f"rule-of-the-tests-{next(_matters)}",  # one rule and source have one open alert
            rule_version=1,
            source=Source("sensor", source, f"测点 {source}", home.code, home.parent or "", home.scope, lng, lat),
            domain="emergency",
            category=category,
            severity=severity,
            title=f"{category} 告警",
            title_en=f"{category} alarm",
            quantity="water_depth",
            unit="m",
            value=0.31,
            threshold=0.27,
            raised_at_us=now_us,
            at_us=now_us,
        )

    def append(self, cell: str, *names: str, data: dict[str, Any] | None = None) -> None:
        """Events of a cell, one for each name, in one transaction."""
        with self.engine.begin() as connection:
            self.append_in(connection, cell, *names, data=data)

    def append_in(self, connection: Connection, cell: str, *names: str, data: dict[str, Any] | None = None) -> None:
        """The same in a transaction of one's own."""
        home = self.small.region(cell)
        scope = (home.scope,)
        log.append(connection, [Event("notice", n, 1, home.code, data or {"name": n}, scope, scope) for n in names])


@dataclass(repr=False)
class RunningCity(StandingCity):
    """A city whose web process answers at ``url``."""

    url: str
    _stack: ExitStack
    _consoles: dict[str, Console] = field(default_factory=dict)

    def console(self, code: str = CITY) -> Console:
        """The desk of a region, logged in."""
        if code not in self._consoles:
            self._consoles[code] = logged_in(self.url, self.small.username(code))
        return self._consoles[code]

    def socket(self, code: str = CITY, **more: Any) -> SocketConsole:
        """A live connection of a region's desk."""
        made = SocketConsole(self.url, self.console(code).cookie, **more)
        self._stack.callback(made.close)
        return made.open()

    def hang_up(self) -> None:
        """Close the live connections made so far."""
        self._stack.pop_all().close()

    def ticket(self, identity: UUID, code: str = CITY) -> dict[str, Any]:
        """A ticket as a desk sees it."""
        answer = self.console(code).get(f"/api/v1/tickets/{identity}")
        assert answer.status == 200, answer.content
        found: dict[str, Any] = answer.json
        return found

    def move(self, code: str, identity: UUID, move: str, **more: Any) -> dict[str, Any]:
        """A desk moves a ticket as it stands, and is allowed to."""
        answer = self.console(code).move(self.ticket(identity, code), move, **more)
        assert answer.status == 200, answer.content
        found: dict[str, Any] = answer.json
        return found

    def send_down(self, identity: UUID, *codes: str) -> None:
        """From the first desk to the last, one tier at a time."""
        for holder, target in pairwise(codes):
            self.move(holder, identity, "dispatch", to=target)


def read_city(engine: Engine) -> City:
    """The city as the worker reads it when it starts."""
    with engine.connect() as connection:
        return load_city(connection, "suqian", ZoneInfo("Asia/Shanghai"), datetime.now(UTC))


@contextmanager
def standing_city(database: Database) -> Iterator[StandingCity]:
    """The small city in a database."""
    small = build(database)
    engine = worker_engine(database.worker_url, pool_size=8)
    try:
        with engine.connect() as connection:
            city = load_city(connection, "suqian", ZoneInfo("Asia/Shanghai"), datetime(2026, 11, 23, tzinfo=UTC))
        yield StandingCity(database, small, city, engine)
    finally:
        engine.dispose()


@contextmanager
def running_city(database: Database) -> Iterator[RunningCity]:
    """The small city in a database, and the web process on it."""
    with standing_city(database) as found, processes.web(database.web_url) as url, ExitStack() as stack:
        yield RunningCity(database, found.small, found.city, found.engine, url, stack)


def desks(cell: str, small: SmallCity) -> list[str]:
    """The codes of the regions a cell lies in, city first, the cell last."""
    return [code for code in small.region(cell).scope.split("/") if code]
