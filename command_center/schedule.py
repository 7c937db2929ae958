"""The scheduler process. APScheduler pokes; it never owns a deadline: those are rows, claimed and done in a transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from structlog.stdlib import BoundLogger

from command_center.audit import audit_deadlines
from command_center.calendar_store import load_calendar
from command_center.city import Desk, correlations, dispatch_table, inhibitions, risk_weights
from command_center.city import grouping as read_grouping
from command_center.event import log as event_log
from command_center.heartbeat import beat
from command_center.merge_job import run_due_merges
from command_center.mode import mode as modes
from command_center.mode import store as mode_store
from command_center.mode.mode import in_force
from command_center.respond import begin_mute, release, tell_group
from command_center.retention import keep_days, keep_hours, keep_quarantine
from command_center.risk_move import RiskMemory, update_risks
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.clock import Offices
from command_center.ticket.deadline import acted, recounted
from command_center.ticket.decide import machine_step
from command_center.ticket.ticket import Move, Step, Ticket
from config.database import worker_engine
from config.settings import Keeping, Settings
from gis.region_store import apply_parentage
from gis.store import load_regions
from gis.tiles import redraw_stale
from gis.version_store import ground_mark, take_effect
from ingest.partition_store import ensure_partitions
from rules import group_store, mute_store
from rules.group import Grouping
from rules.store import claim_freed

Work = Callable[[Engine, datetime], None]
Works = tuple[tuple[Work, float], ...]
ReadDesk = Callable[[Connection], Desk]
_CLAIMED = 100
_TICK_S = 1
# What goes through every ticket or draws maps begins later than the deadlines: a process that starts is late already.
_LATER_S = 5
# Twice a second, so that a change is in the scores within one.
_RISK_S = 0.5
_AUDIT_S = 20
_PARENTAGE_S = 60
_PARTITIONS_S = 3600
_HOURS_S = 60
_DAYS_S = 600
_SURPLUS_S = 10


def run_scheduler(settings: Settings, log: BoundLogger, stop: threading.Event) -> None:
    """Until ``stop`` is set. Raises BadSetting."""
    zone, pack = ZoneInfo(settings.time_zone), settings.city
    at_once, later = _desk_works(pack, zone, log)
    engine = worker_engine(settings.database_url, pool_size=4)
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1})

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

    at_once += ((_beat, _TICK_S),)
    later += _risk_works(pack, zone, log)
    later += _keeping_works(settings.keeping, log)
    later += (
        (bring_into_force, _TICK_S),
        (draw, _TICK_S),
        (run_due_merges, _TICK_S),
        (end_modes, _TICK_S),
        (bring_parentage, _PARENTAGE_S),
        (_partitions, _PARTITIONS_S),
    )
    now = datetime.now(UTC)
    for works, after_s in ((at_once, 0), (later, _LATER_S)):
        for work, every_s in works:
            first = now + timedelta(seconds=after_s)
            poke = _patient(work, engine, log)
            scheduler.add_job(poke, "interval", seconds=every_s, next_run_time=first, misfire_grace_time=None)
    scheduler.start()
    try:
        stop.wait()
    finally:
        scheduler.shutdown()
        engine.dispose()


def _desk_works(pack: str, zone: ZoneInfo, log: BoundLogger) -> tuple[Works, Works]:
    """What is done for tickets and alerts by the tables of a data pack, and how often: what begins at once, and later."""
    dispatch, kept_quiet, groups = dispatch_table(pack, Offices(zone)), inhibitions(pack), read_grouping(pack)
    same_matter = correlations(pack)

    kept: dict[str, Desk] = {}

    def desk(connection: Connection) -> Desk:
        # The regions of a large city take a second to read: once a state of the ground, not once a deadline.
        mark = ground_mark(connection)
        if mark not in kept:
            kept.clear()
            table = dispatch.on(load_calendar(connection))
            kept[mark] = Desk(load_regions(connection), table, zone, kept_quiet, groups, same_matter)
        wartime = in_force(mode_store.unended(connection), datetime.now(UTC))
        return replace(kept[mark], dispatch=kept[mark].dispatch.at_war(wartime))

    def deadlines(engine: Engine, now: datetime) -> None:
        fire_deadlines(engine, now, desk)

    def audit(engine: Engine, now: datetime) -> None:
        for finding in audit_deadlines(engine, now, lambda connection: desk(connection).tree):
            log.error(
                "the deadlines of a ticket were not in order",
                ticket=finding.number,
                what=finding.what,
                missing=finding.missing,
                stray=finding.stray,
            )

    def mutes(engine: Engine, now: datetime) -> None:
        begin_mutes(engine, now, groups)

    def releases(engine: Engine, now: datetime) -> None:
        release_alerts(engine, now, desk)

    def beside(engine: Engine, now: datetime) -> None:
        tell_beside(engine, now, desk)

    def notices(engine: Engine, now: datetime) -> None:
        if groups is not None:
            tell_groups(engine, now, groups)

    at_once = (deadlines, mutes, releases, notices, beside)
    return tuple((work, _TICK_S) for work in at_once), ((_recount(desk), _TICK_S), (audit, _AUDIT_S))


def _recount(desk: ReadDesk) -> Work:
    counted: list[str] = []

    def recount(engine: Engine, now: datetime) -> None:
        # At the start too: a newer library may have brought the holidays of a year.
        with engine.connect() as connection:
            mark = ground_mark(connection)
        if counted != [mark]:
            recount_deadlines(engine, now, desk)
            counted[:] = [mark]

    return recount


def _keeping_works(keeping: Keeping, log: BoundLogger) -> Works:
    """What is kept of readings and of quarantine, and for how long."""

    def hours(engine: Engine, now: datetime) -> None:
        keep_hours(engine, now)

    def days(engine: Engine, now: datetime) -> None:
        indexed, dropped = keep_days(engine, now, keeping)
        if indexed or dropped:
            shown = {"indexed": [str(day) for day in indexed], "dropped": [str(day) for day in dropped]}
            log.info("days of readings were indexed or dropped", **shown)

    def surplus(engine: Engine, now: datetime) -> None:
        if keep_quarantine(engine, now, keeping):
            log.warning("quarantine was full or old: the oldest messages were dropped and counted")

    return (hours, _HOURS_S), (days, _DAYS_S), (surplus, _SURPLUS_S)


def _risk_works(pack: str, zone: ZoneInfo, log: BoundLogger) -> Works:
    """Risk, when the data pack says what it is weighed by."""
    table = risk_weights(pack)
    if table is None:
        return ()
    memory, unplaced = RiskMemory(pack, zone, table), [0]

    def risks(engine: Engine, now: datetime) -> None:
        done = update_risks(engine, now, memory)
        if done is not None and done.unplaced != unplaced[0]:
            unplaced[0] = done.unplaced
            log.warning("alerts that count for no risk: their cells are no more", alerts=done.unplaced)

    return ((risks, _RISK_S),)


def fire_deadlines(engine: Engine, now: datetime, desk: ReadDesk) -> None:
    """Do what tickets whose deadlines have come are due to do by themselves. Claimed and done in one transaction, so that what
    a killed scheduler had begun is as if it never was, and what it had committed is not done again.
    """
    while True:
        with engine.begin() as connection:
            due = ticket_store.claim_due(connection, now, _CLAIMED)
            if not due:
                return
            city = desk(connection)
            moved = [(ticket, *acted(ticket, city.tree, city.dispatch, now)) for ticket in due]
            # A row that came before its ticket says so is put right, not fired.
            ticket_store.replace_deadlines(connection, [ticket for ticket, _, steps in moved if not steps])
            _advance(connection, [one for one in moved if one[2]])


def _advance(connection: Connection, moved: Sequence[tuple[Ticket, Ticket, list[Step]]]) -> None:
    ticket_store.advance_tickets(connection, moved)
    event_log.append(connection, [tickets.event_of(after, before) for before, after, _ in moved])


def recount_deadlines(engine: Engine, now: datetime, desk: ReadDesk) -> int:
    """Count every open ticket's working time by the calendar as it is now: a year's holidays have been published, or a day was
    stated. Returns how many moved.
    """
    count, last = 0, None
    while True:
        with engine.begin() as connection:
            page = ticket_store.counted_in_working_time(connection, last, _CLAIMED)
            if not page:
                return count
            last = page[-1].place.id
            city = desk(connection)
            moved = [
                (ticket, tickets.after(ticket, step), [step])
                for ticket in page
                if (step := recounted(ticket, city.dispatch, now)) is not None
            ]
            _advance(connection, moved)
            count += len(moved)


def begin_mutes(engine: Engine, now: datetime, grouping: Grouping | None) -> None:
    """Mark what stands under mutes that begin. One transaction each: claimed and done together, or not at all."""
    while True:
        with engine.begin() as connection:
            mute = mute_store.claim_beginning(connection, now)
            if mute is None:
                return
            event_log.append(connection, begin_mute(connection, mute, grouping, now))


def release_alerts(engine: Engine, now: datetime, desk: ReadDesk) -> None:
    """Bring before people what nothing keeps quiet any more and still stands. Claimed and done in one transaction, so that
    what a killed scheduler had begun is as if it never was.
    """
    while True:
        with engine.begin() as connection:
            freed = claim_freed(connection, now, _CLAIMED)
            if not freed:
                return
            event_log.append(connection, release(connection, freed, desk(connection), now))


def end_modes(engine: Engine, now: datetime) -> None:
    """Note that wartime operation ran out. One transaction each, as with mutes. Nothing waits for it: what is in force is told
    by the end that a declaration has.
    """
    while True:
        with engine.begin() as connection:
            mode = mode_store.claim_over(connection, now)
            if mode is None:
                return
            after, step = modes.ran_out(mode, now)
            mode_store.change_mode(connection, after, step)
            event_log.append(connection, [modes.event_of(after, now)])


def tell_beside(engine: Engine, now: datetime, desk: ReadDesk) -> int:
    """Have the desks beside a ticket in wartime operation hear of it, and no longer once that is over. So many in one
    transaction, the rest at the next poke; returns how many.
    """
    with engine.begin() as connection:
        city = desk(connection)
        found = ticket_store.wrongly_told(connection, city.dispatch.beside(city.tree), _CLAIMED)
        moved = []
        for ticket, wanted in found:
            step = machine_step(ticket, Move.TELL, city.dispatch, now, beside=wanted)
            moved.append((ticket, tickets.after(ticket, step), [step]))
        _advance(connection, moved)
    return len(moved)


def tell_groups(engine: Engine, now: datetime, grouping: Grouping) -> None:
    """Give the notices whose time has come. One transaction each, as with mutes."""
    while True:
        with engine.begin() as connection:
            group = group_store.claim_group(connection, now)
            if group is None:
                return
            event_log.append(connection, tell_group(connection, group, grouping, now))


def _beat(engine: Engine, now: datetime) -> None:
    with engine.begin() as connection:
        beat(connection, "scheduler", now, None, "{}")


def _partitions(engine: Engine, now: datetime) -> None:
    with engine.begin() as connection:
        ensure_partitions(connection, now)


def _patient(work: Work, engine: Engine, log: BoundLogger) -> Callable[[], None]:
    """The work as APScheduler calls it: a database that is away is said and tried again at the next poke."""

    def poke() -> None:
        try:
            work(engine, datetime.now(UTC))
        except SQLAlchemyError as problem:
            log.warning("not done, again at the next poke", work=work.__name__, problem=str(problem)[:200])

    return poke
