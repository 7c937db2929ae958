"""Merges of stored networks: each is a row that is asked for, claimed, leased and ended once.

A merge takes minutes and gigabytes, so it runs in a process of its own, never in the worker, the scheduler or the web process.
The scheduler claims a job and starts that process; the process renews its lease from a thread of its own. When it dies, or
hangs, the lease ends and the job is claimed again, at most ATTEMPTS times. A claim is told from later ones by the number of
the attempt; whoever finds that it is no longer the newest stops at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from gis.merge import Merged

LEASE: Final = timedelta(seconds=30)
RENEWED_EACH_S: Final = 10.0
ATTEMPTS: Final = 3
STEPS: Final = ("reading", "merging", "reporting", "planning")

_LOST_STATUS: Final = 3
_PLANNING: Final = 4  # class of advisory locks: one process at a time plans the version of a job


class Wish(msgspec.Struct, frozen=True):
    """What to merge and how. ``villages`` None means: if there are any; ``special`` names the network of special grids."""

    networks: tuple[str, ...]
    base: str | None = None
    villages: bool | None = None
    min_area_m2: float = 1_000.0
    min_width_m: float = 5.0
    special: str | None = None
    note: str = ""


class CannotMerge(ValueError):
    """A merge cannot be done as asked; asking again will not help."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do a job for as long as its lease lasts."""

    job: int
    attempt: int


def ask(connection: Connection, wish: Wish, asked_by: str, now: datetime) -> int:
    """Put a merge on the list; its number."""
    number: int = connection.execute(
        text(
            "INSERT INTO merge_jobs (asked_by, asked_at, wish, state) VALUES (:by, :now, :wish, 'waiting') RETURNING id"
        ).bindparams(bindparam("wish", type_=JSONB)),
        {"by": asked_by, "now": now, "wish": msgspec.to_builtins(wish)},
    ).scalar_one()
    return number


def shown(row: Any) -> dict[str, Any]:
    """A job as HTTP and the command line show it; ``progress`` is the share of its steps that are done."""
    steps_done = STEPS.index(row.step) if row.step in STEPS else 0
    return {
        "id": row.id,
        "asked_by": row.asked_by,
        "asked_at": row.asked_at.isoformat(),
        "wish": row.wish,
        "state": row.state,
        "step": row.step,
        "progress": 1.0 if row.state == "done" else steps_done / len(STEPS),
        "attempts": row.attempts,
        "ended_at": None if row.ended_at is None else row.ended_at.isoformat(),
        "problem": row.problem,
        "version": row.version,
    }


def read_job(connection: Connection, job: int) -> dict[str, Any]:
    """A job as it stands."""
    return shown(connection.execute(text("SELECT * FROM merge_jobs WHERE id = :id"), {"id": job}).one())


def run_due_merges(engine: Engine, now: datetime) -> None:
    """Start the process of one job that waits, or whose lease ended, unless one is running. Returns at once."""
    with engine.begin() as connection:
        claim = _claimed(connection, now)
    if claim is not None:
        _start(engine, claim)


def _claimed(connection: Connection, now: datetime) -> Claim | None:
    # Two schedulers at once must not each start one: a merge needs the memory for itself.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('merge jobs', 0))"))
    connection.execute(
        text(
            "UPDATE merge_jobs SET state = 'failed', ended_at = :now, problem = :problem"
            " WHERE state = 'running' AND lease_until <= :now AND attempts >= :attempts"
        ),
        {
            "now": now,
            "attempts": ATTEMPTS,
            "problem": f"given up after {ATTEMPTS} attempts: the process ended each time before the merge did;"
            " its log tells more, want of memory is the likeliest cause",
        },
    )
    row = connection.execute(
        text(
            "UPDATE merge_jobs SET state = 'running', step = '', attempts = attempts + 1, lease_until = :until"
            " WHERE id = (SELECT id FROM merge_jobs WHERE state IN ('waiting', 'running')"
            "  AND (state = 'waiting' OR lease_until <= :now)"
            "  AND NOT EXISTS (SELECT FROM merge_jobs WHERE state = 'running' AND lease_until > :now)"
            "  ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, attempts"
        ),
        {"now": now, "until": now + LEASE},
    ).one_or_none()
    return None if row is None else Claim(row.id, row.attempts)


def _start(engine: Engine, claim: Claim) -> None:
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    child = subprocess.Popen(
        [sys.executable, "-m", "command_center.cli", "grid", "run-merge", str(claim.job), str(claim.attempt)],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "CC_DATABASE_URL": url},
    )
    # Somebody has to take note of its end, or it stays in the table of processes.
    threading.Thread(target=child.wait, name=f"merge-{claim.job}", daemon=True).start()


def run(engine: Engine, claim: Claim, checkpoint: Callable[[str], None] = lambda _: None) -> None:
    """Do a claimed job: to its end, or until the claim is lost. ``checkpoint`` is told where the work stands."""
    from gis.cell_code import TooManyCells
    from gis.lattice import TooWide
    from gis.merge import NotACoverage, NothingToMerge
    from gis.network import NoGrids
    from gis.network_store import NoSuchNetwork
    from gis.overlay import NoVillage
    from gis.planned_cell import VersionRefused

    stop = threading.Event()
    renewing = threading.Thread(target=_renew, args=(engine, claim, stop), name="lease", daemon=True)
    renewing.start()
    checkpoint("claimed")
    version, why = None, None
    try:
        merged = _merged(engine, claim)
        checkpoint("merged")
        version = _planned(engine, claim, merged)
        checkpoint("planned")
    except (
        CannotMerge,
        NoGrids,
        NoSuchNetwork,
        NotACoverage,
        NothingToMerge,
        NoVillage,
        TooManyCells,
        TooWide,
        VersionRefused,
    ) as problem:
        why = str(problem)
    stop.set()
    renewing.join()
    ended = {"state": "failed" if version is None else "done", "problem": why, "version": version}
    _set(
        engine,
        claim,
        "state = :state, problem = :problem, version = :version, ended_at = :now, lease_until = NULL",
        **ended,
        now=datetime.now(UTC),
    )


def _merged(engine: Engine, claim: Claim) -> Merged:
    from gis.merge import merge
    from gis.network_store import load_lands, load_network, load_previous, villages_of
    from gis.sliver import Limits

    _reached(engine, claim, "reading")
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
        row = connection.execute(text("SELECT wish FROM merge_jobs WHERE id = :id"), {"id": claim.job}).one()
        wish = msgspec.convert(row.wish, Wish)
        networks = [load_network(connection, name) for name in wish.networks]
        previous = load_previous(connection)
        lands = load_lands(connection)
    city = next((land.shape for land in lands if land.tier == "city"), None)
    villages = None if wish.villages is False else villages_of(lands)
    if wish.special is not None and wish.special not in wish.networks:
        raise CannotMerge(f"the special network {wish.special!r} is none of {', '.join(wish.networks)}")
    if wish.villages and villages is None:
        raise CannotMerge("there are no villages to cut by: import them, or merge without them")
    _reached(engine, claim, "merging")
    return merge(
        networks,
        base=wish.base,
        villages=villages,
        boundary=city,
        previous=previous,
        limits=Limits(wish.min_area_m2, wish.min_width_m),
    )


def _planned(engine: Engine, claim: Claim, merged: Merged) -> int:
    """The planned version of this job, made once: who comes second finds the one that the first made before it died."""
    from gis.cell_file import CellFile
    from gis.merge_report import report
    from gis.version_store import plan

    _reached(engine, claim, "reporting")
    told = report(merged) | {"merge_job": claim.job}
    polygons = np.empty(len(merged.cells), dtype=object)
    polygons[:] = [cell.geometry for cell in merged.cells]
    cells = CellFile(merged.coded.codes, polygons, tuple(cell.sources for cell in merged.cells), merged.coded.retired)
    _reached(engine, claim, "planning")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # Held by the session, not by a transaction: planning has transactions of its own.
        lock = {"kind": _PLANNING, "job": claim.job}
        connection.execute(text("SELECT pg_advisory_lock(:kind, :job)"), lock)
        try:
            job = _ours(connection, claim)
            made = _version_of(connection, claim.job)
            if made is not None:
                return made
            wish = msgspec.convert(job.wish, Wish)
            return plan(engine, cells, report=told, note=wish.note, made_by=job.asked_by, special=wish.special)
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:kind, :job)"), lock)


def _version_of(connection: Connection, job: int) -> int | None:
    """The version that an earlier attempt made of the job before it died."""
    found: int | None = connection.execute(
        text("SELECT n FROM grid_versions WHERE report ->> 'merge_job' = CAST(:job AS text)"), {"job": str(job)}
    ).scalar_one_or_none()
    return found


_OURS: Final = "WHERE id = :job AND attempts = :attempt AND state = 'running'"


def _ours(connection: Connection, claim: Claim) -> Any:
    """Who asked for the job, and for what. Ends the process when the job is another's by now."""
    statement = text(f"SELECT asked_by, wish FROM merge_jobs {_OURS}")
    row = connection.execute(statement, _named(claim)).one_or_none()
    _stop_unless(row)
    return row


def _reached(engine: Engine, claim: Claim, step: str) -> None:
    _set(engine, claim, "step = :step", step=step)


def _set(engine: Engine, claim: Claim, columns: str, **values: Any) -> None:
    statement = text(f"UPDATE merge_jobs SET {columns} {_OURS} RETURNING id")
    with engine.begin() as connection:
        found = connection.execute(statement, {**values, **_named(claim)}).one_or_none()
    _stop_unless(found)


def _renew(engine: Engine, claim: Claim, stop: threading.Event) -> None:
    """Until ``stop``: a lease that cannot be renewed before it ends ends the process, for the job is another's by then."""
    ends = time.monotonic() + LEASE.total_seconds()
    wait_s = 0.0
    while not stop.wait(wait_s):
        try:
            _set(engine, claim, "lease_until = :until", until=datetime.now(UTC) + LEASE)
            ends, wait_s = time.monotonic() + LEASE.total_seconds(), RENEWED_EACH_S
        except SQLAlchemyError:
            wait_s = 1.0
            _stop_unless(time.monotonic() < ends)


def _stop_unless(still_ours: object) -> None:
    # At once and from any thread: the merge that runs beside may be minutes inside one call.
    if not still_ours:
        os._exit(_LOST_STATUS)


def _named(claim: Claim) -> dict[str, int]:
    return {"job": claim.job, "attempt": claim.attempt}
