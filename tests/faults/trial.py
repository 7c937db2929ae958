"""A small city under fire: its parts, its producers, desks and consoles, and the verdict over all of them."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from config.database import worker_engine
from tests import processes
from tests.conftest import Database
from tests.console import logged_in
from tests.faults.check import Verdict, judge
from tests.faults.desk import Desk
from tests.faults.held import audible, held
from tests.faults.ledger import Ledger
from tests.faults.letter import UNSTORABLE, Mail, Mouth
from tests.faults.part import Part, wait_for_web
from tests.faults.producer import Producer
from tests.faults.watcher import Watcher
from tests.small_city import CITY, COUNTIES, SmallCity, add_sensor, build
from tests.waiting import wait_until

_LIFTS = 30
_SETTLES_S = 30.0
WORKER = ("-m", "tests.faults.mortal_worker")
SEEDS = range(int(os.environ.get("CC_FAULT_SEEDS", "1")))
"""How many times each fault is tried, each time with other mail and at other moments: once in ``make test``."""

each_seed = pytest.mark.parametrize("seed", SEEDS)


@dataclass
class Trial:
    """What is being tried. ``worker``, ``web`` and ``scheduler`` are not started yet; consoles and desks need the web."""

    seed: int
    database: Database
    mqtt_url: str
    small: SmallCity
    engine: Engine
    worker: Part
    web: Part
    scheduler: Part
    url: str
    mouths: list[Mouth]
    _told: Path
    ledger: Ledger = field(default_factory=Ledger)
    watchers: list[Watcher] = field(default_factory=list)
    producers: list[Producer] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    def open(self, *, consoles: Sequence[str] = (CITY, COUNTIES[0])) -> None:
        """Start the web process and the consoles, who listen from the beginning."""
        self.start_web()
        for code in consoles:
            cookie = logged_in(self.url, self.small.username(code)).cookie
            watcher = Watcher(self.url, cookie, self.small.region(code).scope)
            self._stack.callback(watcher.stop)
            self.watchers.append(watcher)
        wait_until(lambda: all(w.record for w in self.watchers), 30, "the consoles are synchronised")

    def start_web(self) -> None:
        """The web process, answering."""
        self.web.start()
        wait_for_web(self.url)

    def start_scheduler(self, away_since: datetime | None = None) -> None:
        """The scheduler, at work. ``away_since``: when the one before was killed."""
        started = datetime.now(UTC)
        self.scheduler.start()
        sql = text("SELECT at FROM heartbeats WHERE process = 'scheduler' AND at > :started")
        with self.engine.connect() as connection:
            wait_until(lambda: connection.execute(sql, {"started": started}).scalar(), 60, "the scheduler is at work")
        if away_since is not None:
            self.ledger.scheduler_away.append((away_since, datetime.now(UTC)))

    def machine_tickets(self) -> list[UUID]:
        """Tickets that sensors opened."""
        with self.engine.connect() as connection:
            return list(connection.execute(text("SELECT id FROM tickets WHERE source_kind = 'sensor'")).scalars())

    def set_timer(self, ticket: UUID, due_s: float) -> None:
        """Make the time for handling run out so soon. Desks leave the ticket alone from now on."""
        due = datetime.now(UTC) + timedelta(seconds=due_s)
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE tickets SET due_at = :due WHERE id = :id"), {"due": due, "id": ticket})
            rows = text("UPDATE deadlines SET due_at = :due WHERE ticket = :id AND kind = 'handling'")
            connection.execute(rows, {"due": due, "id": ticket})
        with self.ledger.open() as ledger:
            ledger.timers[ticket] = due

    def start_worker(self, *lives: str) -> None:
        """A worker that dies as often as is said, and then lives on."""
        self._told.unlink(missing_ok=True)
        process = self.worker.start(str(self._told), *lives)

        def listens() -> bool:
            assert process.poll() is None, "the worker ended"
            return self.there(self.listens)

        wait_until(listens, 60, "a worker is subscribed")

    def deaths(self) -> int:
        """How many of the worker's lives have ended."""
        return int(self._told.read_text(encoding="ascii") or 0) if self._told.exists() else 0

    def listens(self) -> bool:
        """Whether the worker says that it hears the broker."""
        sql = (
            "SELECT figures ->> 'broker' FROM heartbeats"
            " WHERE process = 'worker' AND at > clock_timestamp() - interval '3 s'"
        )
        with self.engine.connect() as connection:
            return bool(connection.execute(text(sql)).scalar() == "connected")

    def events(self, kind: str) -> int:
        """How many events of a kind the log has."""
        with self.engine.connect() as connection:
            sql = text("SELECT count(*) FROM event_log WHERE kind = :kind")
            return int(connection.execute(sql, {"kind": kind}).scalar_one())

    def produce(self, count: int = 2, rate: float = 25, *, unstorable: int = 0, named: bool = False) -> None:
        """Producers begin to send, ``rate`` letters a second each; every sensor speaks through one of them."""
        for n in range(count):
            mail = Mail(
                n,
                self.seed,
                self.mouths[n::count],
                lambda: round(time.time() * 1000),
                unstorable=unstorable,
                named=named,
            )
            producer = Producer(self.mqtt_url, mail, self.ledger, rate).start()
            self._stack.callback(producer.close)
            self.producers.append(producer)

    def work_at_a_desk(self) -> Desk:
        """Somebody begins to report and to move tickets."""
        desk = Desk(self.url, self.small, self.ledger, self.seed).start()
        self._stack.callback(desk.finish)
        return desk

    def quiet(self) -> None:
        """The producers say their last words and have all their answers."""
        for producer in self.producers:
            producer.finish()

    def verdict(self, title: str, *, broker_kept: bool = True, settles_s: float = _SETTLES_S) -> Verdict:
        """Judge, once it is clean or nothing more is to be hoped for, and print the table."""
        found = Verdict()

        def clean() -> bool:
            nonlocal found
            found = self._judge(broker_kept)
            return found.clean

        give_up_at = time.monotonic() + settles_s
        while not clean() and time.monotonic() < give_up_at:
            time.sleep(0.5)
        sent = sum(1 for one in (*self.ledger.readings.values(), *self.ledger.poisons.values()) if one.times)
        asked = len(self.ledger.moves) + len(self.ledger.reports)
        said = f"{title} (seed {self.seed}): {sent} things sent {self.ledger.messages()} times, {asked} requests"
        print(found.table(said))
        return found

    def _judge(self, broker_kept: bool) -> Verdict:
        # Who can hear what is read before what was heard is, so that nobody is blamed for what came in between.
        stored = held(self.engine)
        consoles = [watcher.seen(audible(self.engine, watcher.scope)) for watcher in self.watchers]
        with self.ledger.open():
            return judge(self.ledger, stored, consoles, datetime.now(UTC), broker_kept=broker_kept)

    def there(self, condition: Callable[[], bool]) -> bool:
        """The condition; false while the database is away."""
        try:
            return condition()
        except SQLAlchemyError:
            self.engine.dispose()
            return False


@contextmanager
def trial(
    database: Database, mqtt_url: str, seed: int, worker: Sequence[str] = WORKER, **settings: str
) -> Iterator[Trial]:
    """A city with thirty lifts in cells of their own, ready to start."""
    small = build(database)
    mouths = _lifts(database, small)
    port = processes.free_port()
    name = f"worker-{database.name}"
    bus = {"CC_MQTT_URL": mqtt_url, "CC_WORKER_NAME": name, **settings}
    # Small batches, so that a kill falls between many of them.
    batches = {"CC_BATCH_MESSAGES": "100"}
    own = {"CC_DATABASE_URL": database.worker_url}
    page = {"CC_DATABASE_URL": database.web_url, "CC_HTTP_PORT": str(port)}
    engine = worker_engine(database.worker_url)
    folder = tempfile.mkdtemp(prefix="cc-trial-")
    made = Trial(
        seed,
        database,
        mqtt_url,
        small,
        engine,
        Part(*worker, settings={**own, **batches, **bus}),
        Part("-m", "command_center.web", settings=page),
        Part("-m", "command_center.cli", "scheduler", settings=own),
        f"http://127.0.0.1:{port}",
        mouths,
        Path(folder) / "deaths",
    )
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        stack.callback(engine.dispose)
        for part in (made.worker, made.web, made.scheduler):
            stack.callback(part.stop)
        stack.enter_context(made._stack)
        yield made


def _lifts(database: Database, small: SmallCity) -> list[Mouth]:
    """Each in a cell of its own: more than a kilometre apart, so that each trapped passenger is a matter of its own."""
    cells = [code for code, spot in small.spots.items() if spot.region.tier == "grid"][:_LIFTS]
    engine = worker_engine(database.worker_url)
    with engine.begin() as connection:
        for n, cell in enumerate(cells):
            add_sensor(connection, small, f"lift-{n}", cell, ("elevator_trapped_s", "noise"), n=101 + n)
    engine.dispose()
    return [
        Mouth(f"lift-{n}", small.region(cell).scope.split("/")[1], alarms=n % 3 == 0) for n, cell in enumerate(cells)
    ]


def refuse_the_unstorable(database: Database) -> None:
    """Make the database refuse one value, so that a message stands in the way of its whole batch."""
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute(f"ALTER TABLE readings ADD CONSTRAINT unstorable CHECK (value <> {UNSTORABLE})")
