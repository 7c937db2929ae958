"""The Socket.IO door: consoles are replicas of the event log.

Who hears what is decided here, from a row's audience, never by what a client asks for. Within one connection every event is
delivered or the connection ends: a console that cannot keep up is cut, reconnects and calls ``sync``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import gevent
import psycopg
from flask import request
from flask_socketio import ConnectionRefusedError as ConnectionRefused
from flask_socketio import SocketIO, join_room
from sqlalchemy.exc import SQLAlchemyError

from command_center.account.account import Account
from command_center.account.store import account_of, live_sessions
from command_center.api.asking import COOKIE, Server
from command_center.event import log
from command_center.event.event import rooms, rooms_below
from command_center.event.log import Entry
from command_center.heartbeat import last_beat
from command_center.incident import store as incident_store
from command_center.incident.incident import shown as shown_incident
from command_center.mode import store as mode_store
from command_center.mode.mode import shown as shown_mode
from command_center.shown import shown_alert, shown_notice
from command_center.ticket import store as ticket_store
from command_center.ticket.ticket import shown as shown_ticket
from config.database import scoped
from rules import store as rule_store
from rules.group_store import told_groups

REPLAYED = 500
"""A console further behind than this gets a snapshot: faster for both."""
SNAPSHOT_ROWS = 500
QUEUED = 500
"""Packets that may wait for one console before it is cut."""
CUTS_PER_SWEEP = 20
_FETCHED = 1000
_LOGGED_IN = "logged in"
_POLL_S = 1.0
_PAUSE_S = 1.0


class Refused(ConnectionRefused):  # type: ignore[misc]
    """The console has no session."""


@dataclass
class _Console:
    account: Account
    digest: bytes
    room: str


@dataclass
class Push:
    """Fans the log out to the consoles of this process. ``position`` is the newest event that was emitted."""

    server: Server
    socketio: SocketIO
    position: int = 0
    cut: int = 0
    consoles: dict[str, _Console] = field(default_factory=dict)

    @property
    def connections(self) -> int:
        """Consoles that are connected."""
        return len(self.consoles)

    def start(self) -> None:
        """Answer consoles and begin to fan out."""
        with scoped(self.server.engine, self.server.root.scope) as connection:
            self.position = log.newest(connection)
        self.socketio.on_event("connect", self._connect)
        self.socketio.on_event("disconnect", self._disconnect)
        self.socketio.on_event("sync", self._sync)
        for loop in (self._fan_out, self._pulse):
            gevent.spawn(loop).link_exception(self._give_up)

    def _give_up(self, ended: gevent.Greenlet) -> None:
        """A loop that ended by a fault of ours would leave consoles frozen that look alive: better no process than that."""
        self.server.log.error("a loop of the web process ended, stopping", problem=repr(ended.exception)[:500])
        os._exit(1)

    def end(self, secret: str) -> None:
        """End the connections of a session that logged out."""
        digest = _digest(secret)
        for sid in [sid for sid, console in self.consoles.items() if console.digest == digest]:
            self.socketio.server.disconnect(sid)

    def _connect(self, _auth: Any = None) -> None:
        secret = request.cookies.get(COOKIE)
        account = None
        if secret is not None:
            with self.server.engine.begin() as connection:
                account = account_of(connection, secret, self.server.clock())
        if account is None or secret is None:
            raise Refused("log in first")
        self.consoles[_sid()] = _Console(account, _digest(secret), _room(account.scope))
        # Not Socket.IO's own room for everybody: that one holds whoever is still being asked for a session.
        join_room(_LOGGED_IN)

    def _disconnect(self, *_: Any) -> None:
        self.consoles.pop(_sid(), None)

    def _sync(self, *wish: Any) -> dict[str, Any]:
        """Join first, then read: what is committed in between comes live and is dropped by its number."""
        console = self.consoles.get(_sid())
        if console is None:
            return {"error": "log in first"}
        if len(wish) != 1 or not isinstance(wish[0], dict):
            return {"error": 'sync wants one object: {"cursor": null or the number of an event}'}
        cursor = wish[0].get("cursor")
        if cursor is not None and (not isinstance(cursor, int) or isinstance(cursor, bool) or cursor < 0):
            return {"error": "cursor must be null or the number of an event"}
        join_room(console.room)
        head = self.position
        with scoped(self.server.engine, console.account.scope, snapshot=True) as connection:
            if cursor is not None and cursor <= head:
                entries = log.read(connection, cursor, REPLAYED + 1)
                if len(entries) <= REPLAYED:
                    newest = max([head, *(entry.n for entry in entries)])
                    return {"cursor": newest, "events": [log.wire(entry) for entry in entries]}
            return {"cursor": head, "snapshot": snapshot(connection, self.server.clock())}

    def _fan_out(self) -> None:
        """Wait for the log to grow, and look each second besides: a lost notification must not freeze a wall."""
        while True:
            try:
                with _listening(self.server.settings.database_url) as connection:
                    while True:
                        self._emit_new()
                        for _ in connection.notifies(timeout=_POLL_S, stop_after=1):
                            pass
            except (psycopg.Error, SQLAlchemyError) as problem:
                self.server.log.warning("fan-out waits for the database", problem=str(problem)[:200])
                gevent.sleep(_PAUSE_S)

    def _emit_new(self) -> None:
        while True:
            with scoped(self.server.engine, self.server.root.scope) as connection:
                entries = log.read(connection, self.position, _FETCHED)
            for entry in entries:
                self._emit(entry)
                self.position = entry.n
            if len(entries) < _FETCHED:
                return

    def _emit(self, entry: Entry) -> None:
        present = {console.account.scope for console in self.consoles.values()}
        below = rooms_below(entry.kind, entry.after, present)
        seeing = [_room(scope) for scope in sorted(rooms(entry.after) | below)]
        left = [_room(scope) for scope in sorted(rooms(entry.before) - rooms(entry.after))]
        if seeing:
            self.socketio.emit("event", log.wire(entry), to=seeing)
        if left:
            gone = Entry(entry.n, entry.kind, entry.id, entry.version, entry.region, entry.before, entry.after, None)
            self.socketio.emit("event", log.wire(gone), to=left)

    def _pulse(self) -> None:
        """Once a second: the server's time and how old its data is. A console that misses it knows that it is cut off."""
        while True:
            gevent.sleep(_POLL_S)
            moment = self.server.clock()
            try:
                with self.server.engine.connect() as connection:
                    beat = last_beat(connection, "worker")
                self._end_sessions(moment)
                self.server.read_modes()
                if self.server.read_ground():
                    self.server.log.info("regions, cells and catalogue read anew", ground=self.server.mark)
            except SQLAlchemyError as problem:
                self.server.log.warning("pulse without data", problem=str(problem)[:200])
                beat = None
            self._cut_slow()
            told = {"at": moment.isoformat(), "worker_at": None, "data_at": None}
            if beat is not None:
                told |= {"worker_at": _text(beat.at), "data_at": _text(beat.data_at)}
            self.socketio.emit("pulse", told, to=_LOGGED_IN)

    def _end_sessions(self, moment: datetime) -> None:
        """Disconnect consoles whose session, account or grant has ended since they connected."""
        if not self.consoles:
            return
        with self.server.engine.connect() as connection:
            alive = live_sessions(connection, moment)
        for sid, console in list(self.consoles.items()):
            if (console.digest, console.account.scope) not in alive:
                self.socketio.server.disconnect(sid)

    def _cut_slow(self) -> None:
        """Cut those that are too far behind, a few at a time, so that their return is no stampede."""
        engine = self.socketio.server.eio
        slow = [
            socket for socket in list(engine.sockets.values()) if socket.queue.qsize() > QUEUED and not socket.closed
        ]
        for socket in slow[:CUTS_PER_SWEEP]:
            self.cut += 1
            # A word of goodbye would have to wait behind all that it does not read.
            socket.close(wait=False, abort=True)
            socket.line.end()


def snapshot(connection: Any, now: datetime) -> dict[str, Any]:
    """What is open in the connection's scope: tickets, incidents and alerts newest first, notices oldest first; and which
    wartime operation holds for it, or below it.
    """
    tickets, incidents, alerts = ticket_store.tickets, incident_store.incidents, rule_store.alerts
    open_tickets = tickets.select().where(tickets.c.closed_at.is_(None)).order_by(tickets.c.opened_at.desc())
    open_incidents = incidents.select().where(incidents.c.status == "open").order_by(incidents.c.opened_at.desc())
    open_alerts = alerts.select().where(alerts.c.ended_at.is_(None)).order_by(alerts.c.raised_at.desc())
    return {
        "tickets": [
            shown_ticket(ticket_store.ticket_of(row)) for row in connection.execute(open_tickets.limit(SNAPSHOT_ROWS))
        ],
        "incidents": [
            shown_incident(incident_store.incident_of(row))
            for row in connection.execute(open_incidents.limit(SNAPSHOT_ROWS))
        ],
        "alerts": [
            shown_alert(rule_store.standing_of(row)) for row in connection.execute(open_alerts.limit(SNAPSHOT_ROWS))
        ],
        "notices": [shown_notice(group) for group in told_groups(connection, SNAPSHOT_ROWS)],
        "modes": [shown_mode(mode, now) for mode in mode_store.unended(connection) if mode.holds(now)],
    }


@contextmanager
def _listening(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        connection.execute(f"LISTEN {log.CHANNEL}")
        yield connection


def _sid() -> str:
    return str(request.sid)  # type: ignore[attr-defined]


def _room(scope: str) -> str:
    return f"scope:{scope}"


def _digest(secret: str) -> bytes:
    return b"sha256:" + hashlib.sha256(secret.encode()).digest()


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
