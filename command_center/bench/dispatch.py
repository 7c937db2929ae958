"""Tickets at a city's worst: 100,000 open ones with thirty steps each, listed, moved, and overdue all at once.

The tickets are copies of a few that were opened and moved by the product's own functions; a copy has its own place in time
only. Pages are asked of the application with a session, so reading who asks and what they may do next is in the figure;
only the network is left out. Moves are made as HTTP makes them, each its own transaction. Deadlines are fired by the
scheduler process, first undisturbed, then killed again and again and started again at once, without the pause that grows
under ``command-center up``; how late one is, is told by the event log.
"""

from __future__ import annotations

import json
import math
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import numpy as np
import structlog
from sqlalchemy import Engine, text

from command_center.account.account import Account
from command_center.account.store import open_session
from command_center.app import make_app
from command_center.bench.figure import Figure, at_most
from command_center.city import Desk, dispatch_table
from command_center.demo.seed import seed_demo
from command_center.heartbeat import last_beat
from command_center.incident import incident as incidents
from command_center.incident import store as incident_store
from command_center.local import child, postgres
from command_center.local.child import Program
from command_center.local.postgres import SUPERUSER
from command_center.migrations import upgrade
from command_center.move import make_move, tell
from command_center.ticket import store as ticket_store
from command_center.ticket import ticket as tickets
from command_center.ticket.decide import Wish, decide
from command_center.ticket.dispatch import DispatchTable, open_ticket
from command_center.ticket.ticket import Actor, Move, Status, Step, Ticket
from config.database import scoped, web_engine, worker_engine
from config.settings import from_environment
from gis.region import Region, RegionTree
from gis.store import load_regions
from rules.alert import Alert, Source

_TEMPLATES: Final = 200
_COPIES: Final = 499
_STEPS: Final = 30
_SPAN: Final = timedelta(days=180)
_PAGES: Final = 50  # requests of each kind
_MOVES: Final = 1000
_DUE: Final = 10_000
_KILLED_EVERY_S: Final = 3.0
_AHEAD_S: Final = 10.0  # from stating when they are due to the first
_PATIENCE_S: Final = 120.0
_PACK: Final = "suqian"
_NEXT: Final = {Status.FILED: Move.ACCEPT, Status.DISPATCHED: Move.ACCEPT, Status.ACCEPTED: Move.FINISH}


def run() -> list[Figure]:
    """Measure over the demo city; starts a private PostgreSQL. Takes several minutes, half of them to fill it."""
    # Not pytest's or the user's own folder: the server runs as a system user, who must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        Path(folder).chmod(0o755)
        with postgres.running(Path(folder) / "var") as cluster:
            upgrade(cluster.url("cc_owner"))
            worker = worker_engine(cluster.url("cc_worker"))
            seed_demo(worker, _PACK, secrets.token_urlsafe(), None)
            fill(cluster.url(SUPERUSER), _TEMPLATES, _COPIES, _STEPS)
            found = held(worker)
            found += pages(worker, cluster.url("cc_web"), _PAGES)
            found += moves(worker, cluster.url("cc_web"), _MOVES)
            log = Path(folder) / "scheduler.log"
            for killed_every_s in (None, _KILLED_EVERY_S):
                found += deadlines(worker, cluster.url("cc_worker"), log, _DUE, 60.0, killed_every_s)
            worker.dispose()
            return found


def fill(superuser_url: str, templates: int, copies: int, steps: int) -> None:
    """Open tickets with about ``steps`` steps each. A superuser does it: the copies' references need no checking."""
    engine, now = worker_engine(superuser_url), datetime.now(UTC)
    table = dispatch_table(_PACK)
    rng = np.random.default_rng(20261124)
    with engine.begin() as connection:
        tree = load_regions(connection)
        cells = sorted(code for code, region in tree.regions.items() if region.tier == "grid")
        for n in range(templates):
            incident, ticket, trail = _template(n, cells[int(rng.integers(len(cells)))], steps, tree, table, now)
            connection.execute(incident_store.incidents.insert(), [asdict(incident)])
            ticket_store.insert_tickets(connection, [(ticket, trail[0])])
            ticket_store.save_steps(connection, [(ticket.place.id, step) for step in trail[1:]])
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in _copying():
            connection.execute(text(statement), {"copies": copies, "span": _SPAN / (copies + 1)})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def _template(
    n: int, cell: str, steps: int, tree: RegionTree, table: DispatchTable, now: datetime
) -> tuple[incidents.Incident, Ticket, list[Step]]:
    """A ticket that went down some tiers and was then accepted, handled and found wanting again and again."""
    at = now - timedelta(seconds=steps + 10)
    alert = _alert(n, tree[cell], at)
    place, first = open_ticket(alert, UUID(int=n + 1), n, tree, table, at)
    trail = [first]
    ticket = tickets.fold(place, trail)
    below = len(tree.path(cell)) - 1 - [region.code for region in tree.path(cell)].index(ticket.holder.region)
    sent = n % (below + 1)
    for k in range(steps + n % 3 - 2):
        round_of = (Move.ACCEPT, Move.FINISH, Move.REWORK)
        move = Move.DISPATCH if k < sent else round_of[(k - sent) % 3]
        actor = _actor(tree.root if move is Move.REWORK else tree[ticket.holder.region])
        if move is Move.REWORK and ticket.holder.region == tree.root.code:
            break
        wish = Wish(move, ticket.version, reason="现场还有积水" if move is Move.REWORK else None)
        trail.append(decide(ticket, wish, actor, tree, table, at + timedelta(seconds=k + 1)))
        ticket = tickets.after(ticket, trail[-1])
    return incidents.opened(alert, place.incident, place.id, n + 1, at), ticket, trail


def _actor(region: Region) -> Actor:
    return Actor(f"desk-{region.code}", region.name, region.tier, region.scope)


def _alert(n: int, home: Region, at: datetime) -> Alert:
    at_us = int(at.timestamp() * 1_000_000)
    return Alert(
        id=UUID(int=n + 1), rule="bench", rule_version=1,
        source=Source("sensor", f"bench-{n}", f"测点 {n}", home.code, home.parent or "", home.scope, 118.3, 33.9),
        domain="emergency", category="bench", severity=n % 3 + 1, title="积水告警", title_en="Water on the road",
        quantity="water_depth", unit="m", value=0.31, threshold=0.27, raised_at_us=at_us, at_us=at_us,
    )  # fmt: skip


def _copying() -> Iterator[str]:
    """SQL that copies every row of every ticket. What names a copy follows from what it copies and its number."""

    def own(column: str) -> str:
        return f"md5(s.{column}::text || n)::uuid"

    earlier = "s.opened_at - (n + random()) * CAST(:span AS interval)"
    parts: tuple[tuple[Any, dict[str, str]], ...] = (
        (
            incident_store.incidents,
            {"id": own("id"), "ticket": own("ticket"), "number": "s.number + n * 1000000", "opened_at": earlier},
        ),
        (
            ticket_store.tickets,
            {"id": own("id"), "incident": own("incident"), "number": "s.number || '-' || n", "opened_at": earlier},
        ),
        (ticket_store.ticket_steps, {"ticket": own("ticket")}),
        (ticket_store.deadlines, {"ticket": own("ticket")}),
    )
    for table, changed in parts:
        names = ", ".join(f'"{column.name}"' for column in table.c)
        values = ", ".join(changed.get(column.name, f's."{column.name}"') for column in table.c)
        yield (
            f"INSERT INTO {table.name} ({names}) SELECT {values}"
            f" FROM generate_series(1, :copies) AS n, {table.name} s WHERE CAST(:span AS interval) IS NOT NULL"
        )


def held(worker: Engine) -> list[Figure]:
    """How much there is."""
    with worker.connect() as connection:
        opened, steps = connection.execute(
            text("SELECT (SELECT count(*) FROM tickets WHERE closed_at IS NULL), (SELECT count(*) FROM ticket_steps)")
        ).one()
    return [Figure("open tickets", opened, "tickets"), Figure("their steps", steps, "steps")]


def pages(worker: Engine, web_url: str, requests: int) -> list[Figure]:
    """Pages of the list as accounts of three tiers ask for them, and a page far down against OFFSET."""
    app, _, push = make_app(from_environment({"CC_DATABASE_URL": web_url}), structlog.stdlib.get_logger())
    client = app.test_client()
    try:
        found = []
        for tier in ("city", "county", "township"):
            token, region, statuses = _asker(worker, tier)
            get = _getter(client, token)
            for size in (50, 100):
                wishes: dict[str, dict[str, Any]] = {"open": {"open": "true"}} | {
                    f"open, {status}": {"open": "true", "status": status} for status in statuses
                }
                wishes["open, a region below"] = {"open": "true", "region": region}
                for called, wish in wishes.items():
                    taken_ms = _walk(get, wish | {"limit": size}, requests)
                    what = f"list, {tier}'s account, {called}, pages of {size}, 95th percentile"
                    found.append(at_most(what, _percentile(taken_ms, 95), "ms", 50))
        return [*found, *_deep(push.server.engine, _scope_of_city(worker), 50)]
    finally:
        push.server.engine.dispose()


def _asker(worker: Engine, tier: str) -> tuple[str, str, list[str]]:
    """A session of the account of a tier that sees most tickets, a region below it, and the statuses it sees."""
    with worker.begin() as connection:
        of = "t.scope >= g.scope AND t.scope < g.scope || '~'"
        identity, scope = connection.execute(
            text(
                "SELECT g.account, g.scope FROM account_grants g WHERE g.tier = :tier"
                f" ORDER BY (SELECT count(*) FROM tickets t WHERE {of}) DESC, g.scope LIMIT 1"
            ),
            {"tier": tier},
        ).one()
        seen = {"low": scope, "high": f"{scope}~"}
        inside = "FROM tickets WHERE scope >= :low AND scope < :high"
        cell = connection.execute(text(f"SELECT max(scope) {inside}"), seen).scalar_one() or scope
        statuses = connection.execute(text(f"SELECT DISTINCT status {inside} ORDER BY 1"), seen).scalars()
        below = cell.removeprefix(scope).split("/")[0] or scope.rstrip("/").rsplit("/", 1)[-1]
        return open_session(connection, identity, datetime.now(UTC)), below, list(statuses)


def _getter(client: Any, token: str) -> Callable[[dict[str, Any]], bytes]:
    def get(query: dict[str, Any]) -> bytes:
        answer = client.get(f"/api/v1/tickets?{urlencode(query)}", headers={"Authorization": f"Bearer {token}"})
        if answer.status_code != 200:
            raise RuntimeError(f"list of tickets: status {answer.status_code}")
        content: bytes = answer.data
        return content

    return get


def _walk(get: Callable[[dict[str, Any]], bytes], query: dict[str, Any], requests: int) -> list[float]:
    """Milliseconds of each page, one after the other, from the first again where the list ends. The first warms up."""
    taken_ms, cursor = [], None
    for _ in range(requests + 1):
        begun = time.perf_counter()
        answer = get(query if cursor is None else query | {"cursor": cursor})
        taken_ms.append((time.perf_counter() - begun) * 1000)
        cursor = json.loads(answer)["next"]
    return taken_ms[1:]


def _scope_of_city(worker: Engine) -> str:
    with worker.connect() as connection:
        return load_regions(connection).root.scope


def _deep(engine: Engine, scope: str, turns: int) -> list[Figure]:
    """The rows alone of the page in the middle of the list: by its place, and by counting down to it."""
    order = "ORDER BY opened_at DESC, id DESC"
    unended = "FROM tickets WHERE closed_at IS NULL"
    by_place = text(f"SELECT * {unended} AND (opened_at, id) < (:opened_at, :id) {order} LIMIT 51")
    by_count = text(f"SELECT * {unended} {order} OFFSET :skipped LIMIT 51")
    ours_ms, naive_ms = [], []
    for _ in range(turns):
        with scoped(engine, scope) as connection:
            half = connection.execute(text(f"SELECT count(*) / 2 {unended}")).scalar_one()
            last = connection.execute(
                text(f"SELECT opened_at, id {unended} {order} OFFSET :at LIMIT 1"), {"at": half - 1}
            ).one()
            ours_ms.append(_ms(lambda: connection.execute(by_place, last._asdict()).all()))  # noqa: B023 (called at once)
            naive_ms.append(_ms(lambda: connection.execute(by_count, {"skipped": half}).all()))  # noqa: B023 (called at once)
    ours, naive = _percentile(ours_ms, 50), _percentile(naive_ms, 50)
    return [
        Figure("rows of the page in the middle of the list, median, against OFFSET", ours, "ms", naive, naive / ours)
    ]


def moves(worker: Engine, web_url: str, count: int) -> list[Figure]:
    """Moves as HTTP makes them, each from its transaction's begin to its commit, against one bare UPDATE."""
    engine, now = web_engine(web_url), datetime.now(UTC)
    with worker.connect() as connection:
        city = Desk(load_regions(connection), dispatch_table(_PACK), dispatch_table(_PACK).offices.zone, (), None)
        rows = connection.execute(
            text("SELECT * FROM tickets WHERE status = ANY (:own) ORDER BY md5(id::text) LIMIT :count"),
            {"own": [str(status) for status in _NEXT], "count": count + 1},
        )
        chosen = [ticket_store.ticket_of(row) for row in rows]
    bare = text("UPDATE tickets SET version = version WHERE id = :id")
    ours_ms, naive_ms = [], []
    for ticket in chosen:
        holder = ticket.holder
        of_region = (holder.tier, holder.region, holder.name, holder.scope)
        account = Account(UUID(int=0), holder.account or f"desk-{holder.region}", holder.name, *of_region)

        def move(ticket: Ticket = ticket, account: Account = account) -> None:
            with scoped(engine, account.scope) as connection:
                wish = Wish(_NEXT[ticket.status], ticket.version)
                tell(connection, make_move(connection, account, city, ticket.place.id, wish, now))

        def update(ticket: Ticket = ticket, account: Account = account) -> None:
            with scoped(engine, account.scope) as connection:
                connection.execute(bare, {"id": ticket.place.id})

        naive_ms.append(_ms(update))
        ours_ms.append(_ms(move))
    engine.dispose()
    ours, naive = (_percentile(taken_ms[1:], 95) for taken_ms in (ours_ms, naive_ms))
    return [
        Figure("a move, 95th percentile, against a bare UPDATE", ours, "ms", naive, naive / ours, 20, ours <= 20),
        Figure("a move, median", _percentile(ours_ms[1:], 50), "ms", _percentile(naive_ms[1:], 50)),
    ]


def deadlines(
    worker: Engine, worker_url: str, log: Path, count: int, within_s: float, killed_every_s: float | None
) -> list[Figure]:
    """Deadlines that come within a short while, fired by the scheduler process."""
    over = time.monotonic() + _AHEAD_S + within_s
    # First, because a scheduler that starts counts every ticket again and would lock them in another order.
    ids = _bring_due(worker, count, within_s)
    with _scheduler(worker_url, log) as again:
        _beating(worker)
        killed_at, kills = time.monotonic(), 0
        # Nobody asks before the last is due: the question itself would make the scheduler late.
        while (now := time.monotonic()) < over or (now < over + _PATIENCE_S and _fired(worker, ids) < len(ids)):
            if killed_every_s is not None and now >= killed_at + killed_every_s:
                again()
                kills, killed_at = kills + 1, now
            time.sleep(0.25)
    how = "undisturbed" if killed_every_s is None else f"killed every {killed_every_s:g} s"
    return _lateness(worker, ids, f"{len(ids):,} deadlines in {within_s:g} s, scheduler {how}", kills)


@contextmanager
def _scheduler(worker_url: str, log: Path) -> Iterator[Callable[[], None]]:
    """The process; yields what kills it and starts it again."""
    environment = {**child.clean_environment(), "CC_DATABASE_URL": worker_url}
    program = Program("scheduler", (sys.executable, "-m", "command_center.cli", "scheduler"), log, environment)
    running: list[subprocess.Popen[bytes]] = [child.spawn(program)]

    def again() -> None:
        running[0].kill()
        running[0].wait()
        running[0] = child.spawn(program)

    try:
        yield again
    finally:
        child.stop(running[0], program)


def _beating(worker: Engine) -> None:
    """Wait until the scheduler has told that it lives."""
    begun = datetime.now(UTC)
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        with worker.connect() as connection:
            heard_at = last_beat(connection, "scheduler").at
        if heard_at is not None and heard_at > begun:
            return
        time.sleep(0.1)
    raise RuntimeError("the scheduler did not start")


def _bring_due(worker: Engine, count: int, within_s: float) -> list[UUID]:
    """Let so many tickets be due, evenly within a while that is about to begin."""
    begin = datetime.now(UTC) + timedelta(seconds=_AHEAD_S)
    with worker.begin() as connection:
        ids = list(
            connection.execute(
                text(
                    "SELECT id FROM tickets WHERE status = ANY (:own) AND overdue_at IS NULL"
                    " ORDER BY md5(id::text) LIMIT :count"
                ),
                {"own": [str(status) for status in _NEXT], "count": count},
            ).scalars()
        )
        due = [{"own": id_, "at": begin + timedelta(seconds=within_s * n / len(ids))} for n, id_ in enumerate(ids)]
        rows = "unnest(CAST(:ids AS uuid[]), CAST(:times AS timestamptz[])) AS d(own, at)"
        values = {"ids": [one["own"] for one in due], "times": [one["at"] for one in due]}
        # The whole clock is moved: a due time that did not follow from it would be counted again.
        clock = ("counted_from", "amber_at", "red_at")
        moved = ", ".join(f"'{name}', CAST(standing ->> '{name}' AS timestamptz) + (d.at - due_at)" for name in clock)
        moved = f"jsonb_build_object({moved})"
        for statement in (
            f"UPDATE tickets SET due_at = d.at, next_at = d.at, standing = standing || {moved} FROM {rows} WHERE id = d.own",
            f"UPDATE deadlines SET due_at = d.at FROM {rows} WHERE ticket = d.own AND kind = 'handling'",
        ):
            connection.execute(text(statement), values)
    return ids


def _fired(worker: Engine, ids: Sequence[UUID]) -> int:
    with worker.connect() as connection:
        statement = text("SELECT count(*) FROM tickets WHERE id = ANY (:ids) AND overdue_at IS NOT NULL")
        found: int = connection.execute(statement, {"ids": list(ids)}).scalar_one()
        return found


def _lateness(worker: Engine, ids: Sequence[UUID], what: str, kills: int) -> list[Figure]:
    with worker.connect() as connection:
        steps = connection.execute(
            text("SELECT count(*) FROM ticket_steps WHERE move = 'overdue' AND ticket = ANY (:ids) GROUP BY ticket"),
            {"ids": list(ids)},
        )
        fired = list(steps.scalars())
        # The step bears the time of the scheduler's poke; the log that of its being written, which is later.
        late = connection.execute(
            text(
                "SELECT extract(epoch FROM min(e.at) - t.due_at) FROM tickets t JOIN event_log e ON e.id = t.id::text"
                " WHERE t.id = ANY (:ids) AND e.kind = 'ticket' AND e.data ->> 'overdue_at' IS NOT NULL GROUP BY t.id"
            ),
            {"ids": list(ids)},
        )
        late_s = [float(one) for one in late.scalars()]
    wrong = sum(times != 1 for times in fired) + len(ids) - len(fired)
    found = [at_most(f"{what}: fired never or more than once", wrong, "tickets", 0)]
    if late_s:
        found += [
            Figure("the same: late, median", _percentile(late_s, 50), "s"),
            at_most("the same: late, 99th percentile", _percentile(late_s, 99), "s", 5),
        ]
    return [*found, Figure("the same: times killed", kills, "times")]


def _ms(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def _percentile(values: Sequence[float], share: float) -> float:
    """The value that so many in a hundred do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * share / 100) - 1, 0)]
