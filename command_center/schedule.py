"""The scheduler process. APScheduler pokes; it never owns a deadline: those are rows, claimed and done in a transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from structlog.stdlib import BoundLogger

from command_center.event import log as event_log
from command_center.heartbeat import beat
from command_center.merge_job import run_due_merges
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.ticket import Move, Status
from config.database import worker_engine
from gis.region_store import apply_parentage
from gis.tiles import redraw_stale
from gis.version_store import take_effect
from ingest.store import ensure_partitions

LEASE = timedelta(seconds=30)
_CLAIMED = 100
_TICK_S = 1
_PARENTAGE_S = 60
_PARTITIONS_S = 3600


def run_scheduler(database_url: str, zone: ZoneInfo, log: BoundLogger, stop: threading.Event) -> None:
    """Until ``stop`` is set. ``zone`` says which day it is in the city."""
    engine = worker_engine(database_url, pool_size=4)
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1})
    now = datetime.now(UTC)

    def bring_into_force(engine: Engine, now: datetime) -> None:
        effect = take_effect(engine, now, zone)
        if effect is not None:
            codes = {"ended": len(effect.ended), "fresh": len(effect.fresh), "replaced": effect.replaced}
            placed = {"rehomed": effect.rehomed, "unplaced": effect.unplaced, "functions": effect.functions}
            log.info("a version of the grid took effect", version=effect.version, **codes, **placed)

    def bring_parentage(engine: Engine, now: datetime) -> None:
        with engine.begin() as connection:
            moved = apply_parentage(connection, now.astimezone(zone).date())
        for region in moved:
            log.info("a region stands under another parent", code=region.code, parent=region.parent, was=region.was)

    def draw(engine: Engine, now: datetime) -> None:
        for layer in redraw_stale(engine, now):
            log.info("a map layer was drawn anew", layer=layer)

    works = (
        (_beat, _TICK_S),
        (fire_deadlines, _TICK_S),
        (bring_into_force, _TICK_S),
        (draw, _TICK_S),
        (run_due_merges, _TICK_S),
        (bring_parentage, _PARENTAGE_S),
        (_partitions, _PARTITIONS_S),
    )
    for work, every_s in works:
        poke = _patient(work, engine, log)
        scheduler.add_job(poke, "interval", seconds=every_s, next_run_time=now, misfire_grace_time=None)
    scheduler.start()
    try:
        stop.wait()
    finally:
        scheduler.shutdown()
        engine.dispose()


def fire_deadlines(engine: Engine, now: datetime) -> None:
    """Mark tickets whose time is up. A lease that ends unfinished is claimed again; a deadline is done once."""
    with engine.begin() as connection:
        due = ticket_store.claim_deadlines(connection, now, now + LEASE, _CLAIMED)
    for ticket in due:
        with engine.begin() as connection:
            found = ticket_store.load_tickets(connection, [ticket])[ticket]
            ticket_store.end_deadline(connection, ticket, now)
            if found.status is Status.CLOSED or found.overdue_at is not None:
                continue
            step = tickets.machine_step(found, Move.OVERDUE, now)
            after = tickets.after(found, step)
            ticket_store.move_ticket(connection, found, after, step)
            event_log.append(connection, [tickets.event_of(after, found)])


def _beat(engine: Engine, now: datetime) -> None:
    with engine.begin() as connection:
        beat(connection, "scheduler", now, None, "{}")


def _partitions(engine: Engine, now: datetime) -> None:
    with engine.begin() as connection:
        ensure_partitions(connection, now)


def _patient(work: Callable[[Engine, datetime], None], engine: Engine, log: BoundLogger) -> Callable[[], None]:
    """The work as APScheduler calls it: a database that is away is said and tried again at the next poke."""

    def poke() -> None:
        try:
            work(engine, datetime.now(UTC))
        except SQLAlchemyError as problem:
            log.warning("not done, again at the next poke", work=work.__name__, problem=str(problem)[:200])

    return poke
