"""The worker: takes messages off the broker, runs the path, and acknowledges what is committed."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError
from structlog.stdlib import BoundLogger

from command_center import pipeline
from command_center.city import City, build_city, city_mark, read_city, state_measurable
from command_center.clock_step import StepWatch
from command_center.heartbeat import beat
from command_center.mode import store as mode_store
from command_center.mode.mode import in_force
from command_center.pipeline import Memory, Outcome, advance
from command_center.urgency import open_topics
from config.database import assert_durable, is_away, worker_engine
from config.settings import BadSetting, Settings
from ingest.buffer import Buffer
from ingest.hj212_door import StationDoor
from ingest.message import Message, acknowledge, sent_again
from ingest.mqtt import Inbox
from ingest.partition_store import ensure_partitions
from ingest.quarantine import NOT_STORED
from ingest.quarantine_store import take_up
from rules.judge import carried

_TICK_S = 1.0
_SNAPSHOT_S = 30.0
_BETWEEN_LATEST = 9
"""Storing the newest values takes a tenth of the time at most: so many times as long passes before the next."""
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0


class DatabaseAway(Exception):
    """The database cannot be used now; what was asked can be asked again."""


@dataclass
class Worker:
    """One worker process. ``checkpoint`` is where tests kill it."""

    settings: Settings
    log: BoundLogger
    stop: threading.Event
    checkpoint: Callable[[str], None]
    counts: Counter[str] = field(default_factory=Counter)
    data_at: float | None = None
    listening_since: float = 0.0
    heard_to: float = 0.0
    doubtful: bool = False
    kept_at: float = 0.0
    latest_due: float = 0.0
    stations: StationDoor | None = None
    _reader: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "city"))
    _coming: Future[City] | None = None

    def run(self) -> None:
        """Until ``stop`` is set."""
        self.engine = worker_engine(self.settings.database_url)
        # Every door of the worker puts its messages here; each message knows whom to tell once it is stored.
        self.buffer = Buffer(self.settings.buffer_messages, self.settings.buffer_mb * 1024 * 1024)
        self.inbox = self._open_inbox()
        self._until_done(self._load, "start")
        self.inbox.open(self.city.routes.subscriptions)
        try:
            self.stations = self._open_station_door()
            self._loop()
        finally:
            if self.stations is not None:
                self.stations.close()
            self._reader.shutdown(cancel_futures=True)
            self.inbox.close()
            self.engine.dispose()

    def _open_station_door(self) -> StationDoor | None:
        if self.settings.hj212 is None:
            return None
        host, port = self.settings.hj212
        door = StationDoor(host, port, self.buffer)
        try:
            self.log.info("stations may connect", host=host, port=door.open())
        except OSError as problem:
            raise BadSetting(f"CC_HJ212={host}:{port} cannot be listened at: {problem.strerror}") from None
        return door

    def _open_inbox(self) -> Inbox:
        return Inbox(self.settings.require_mqtt(), f"cc-{self.settings.worker_name}", self.buffer)

    def _load(self) -> None:
        assert_durable(self.engine)
        now = time.time()
        with self.engine.begin() as connection:
            ensure_partitions(connection, datetime.fromtimestamp(now, UTC))
            state_measurable(connection, self.settings.city)
        self.city: City = self._read_city()
        self._end_left_over()
        if changed := pipeline.relabel(self.city, self.engine, now):
            self.log.info("incidents are one matter by the changed correlation table", events=changed)
        with self.engine.connect() as connection:
            self.memory: Memory = pipeline.remember(connection, self.city, now, self.settings.worker_name)
        self.listening_since = now
        self.clock = StepWatch(time.time() - time.monotonic())
        if self.memory.unread:
            self.log.warning("what the rules remembered is built up anew", problem=self.memory.unread[:200])
        self._say_forgotten()
        self._say_city("worker ready")

    def _say_forgotten(self) -> None:
        """Rules that build up anew what they know say less than they could for a while."""
        if forgotten := self.memory.rules.take_forgotten() + self.memory.shadow.take_forgotten():
            self.counts["forgotten"] += forgotten
            self.log.warning(
                "some of what the rules remembered does not fit any more and is built up anew", parts=forgotten
            )

    def _read_city(self) -> City:
        zone = ZoneInfo(self.settings.time_zone)
        return build_city(read_city(self.engine), self.settings.city, zone, datetime.now(UTC))

    def _end_left_over(self) -> None:
        if ended := pipeline.end_left_over(self.city, self.engine, time.time()):
            self.log.info("alerts of rules that are no longer in force ended", alerts=ended)

    def _say_city(self, what: str) -> None:
        for refusal in (*self.city.rulebook.refusals, *self.city.shadow_layout.book.refusals):
            self.log.warning("rule refused", where=str(refusal))
        index = self.city.cells.index
        if not index.is_coverage:
            self.log.warning(
                "the cells are no valid coverage, look-ups are slower", tree_share=round(index.tree_share, 4)
            )
        sensors, rules = len(self.city.catalogue.sensors), len(self.city.rulebook.rules)
        self.log.info(what, sensors=sensors, rules=rules, cells=len(index.codes), ground=self.city.mark)

    def _look_for_change(self) -> None:
        """Begin to read the city anew when it is not what it was. Messages go on meanwhile: a large city takes seconds.

        What is in wartime operation counts at once: it needs no reading of the rest.
        """
        now = datetime.now(UTC)
        with self.engine.connect() as connection:
            mark = city_mark(connection, self.city.zone, now)
            self.city = self.city.at_war(in_force(mode_store.unended(connection), now))
        if mark != self.city.mark and self._coming is None:
            self._coming = self._reader.submit(self._read_city)

    def _take_city(self) -> None:
        """Between two batches: go on with the city that was read, and with all that is remembered of the one before."""
        if self._coming is None or not self._coming.done():
            return
        coming, self._coming = self._coming, None
        try:
            city = coming.result()
        except (SQLAlchemyError, BadSetting) as problem:
            self.log.warning("the changed city was not read, again in a moment", problem=str(problem)[:200])
            return
        self.memory.rules = carried(self.memory.rules, self.city.layout, city.layout)
        self.memory.shadow = carried(self.memory.shadow, self.city.shadow_layout, city.shadow_layout)
        self.city = city
        self._until_done(self._end_left_over, "alerts of rules that ended")
        self._say_city("the city has changed")

    def _loop(self) -> None:
        ticked_at = 0.0
        connected = False
        while not self.stop.is_set():
            self._watch_clock()
            if self.inbox.connected and not connected:
                self._listen()
            connected = self.inbox.connected
            self._take_city()
            asked_at = time.time()
            most = self.settings.batch_messages
            is_urgent = self._urgent() if len(self.buffer) > most else None
            messages = self.buffer.take(most, 0.2, self.settings.linger_ms / 1000, is_urgent)
            if self.inbox.behind:
                self._listen()  # what the broker still holds for us may be anybody's
            self.heard_to = self.buffer.waiting_since or asked_at
            if messages:
                work: list[Sequence[Message]] = [messages]
                self._until_done(partial(self._handle, work), "batch")
            if time.monotonic() - ticked_at >= _TICK_S:
                ticked_at = time.monotonic()
                self._until_done(self._tick, "tick")

    def _urgent(self) -> Callable[[str], bool]:
        gravest = self.city.gravest_topics
        burning = open_topics(self.city.layout, self.memory.rules, self.city.catalogue)
        return lambda topic: topic in gravest or topic in burning

    def _listen(self) -> None:
        """From now on we can hear: while we were deaf nobody was silent."""
        self.listening_since = time.time()
        for rules in (self.memory.rules, self.memory.shadow):
            rules.listening(round(self.listening_since * 1e6))

    def _watch_clock(self) -> None:
        now = time.time()
        step_s = self.clock.look(now, time.monotonic())
        if step_s:
            self.log.warning("the clock stepped: what it told moves along", step_s=round(step_s, 3))
            self.listening_since += step_s
            self.heard_to += step_s
            pipeline.clock_stepped(self.memory, step_s, now)
            self.kept_at = 0.0  # readings are found again by the time of their receipt

    def _handle(self, work: list[Sequence[Message]]) -> None:
        """Store the parts of ``work``, last first; what is done leaves it, so that it can be called again for the rest.

        A part that cannot be stored is halved until the message at fault stands alone in quarantine.
        """
        while work:
            if self.doubtful or self.memory.spoilt:
                self._recollect()
            try:
                outcome = advance(work[-1], self.city, self.memory, self.engine, time.time(), self.checkpoint)
            except Exception as problem:  # the worker's door: one message must never stop the city's path
                if is_away(problem):
                    # The connection may have gone after the commit took effect: from now on these count as sent again,
                    # and what the database holds decides.
                    work[:] = [[sent_again(message) for message in part] for part in work]
                    self.doubtful = True
                    raise DatabaseAway(str(problem)) from problem
                part = work[-1]
                if len(part) > 1:
                    self.log.warning("batch halved", messages=len(part), problem=repr(problem)[:500])
                    middle = len(part) // 2
                    work[-1:] = [part[middle:], part[:middle]]
                    continue
                # It leaves the work only once quarantine has it: the database may go away in this very moment too.
                outcome = self._put_aside(part, problem)
                self._done(work.pop(), outcome)
            else:
                self._done(work.pop(), outcome)

    def _done(self, part: Sequence[Message], outcome: Outcome) -> None:
        self.checkpoint("before_acknowledgement")
        acknowledge(part)
        self.checkpoint("after_acknowledgement")
        self.inbox.publish(outcome.replies)
        self.checkpoint("after_receipts")
        self.counts.update(outcome.counts)
        self.data_at = time.time()

    def _recollect(self) -> None:
        with self.engine.connect() as connection:
            self.memory = pipeline.remember(connection, self.city, time.time(), self.settings.worker_name)
        self.doubtful = False

    def _put_aside(self, messages: Sequence[Message], problem: Exception) -> Outcome:
        self.log.error("message put aside", topic=messages[0].topic[:200], problem=repr(problem)[:500])
        self.checkpoint("before_put_aside")
        detail = f"{type(problem).__name__}: {problem}"[:500]
        pipeline.put_aside(messages, NOT_STORED, detail, self.city, self.engine, time.time())
        self.checkpoint("after_put_aside")
        return Outcome([], Counter(messages=1, **{f"rejected_{NOT_STORED}": 1}))

    def _save_latest(self) -> None:
        """Once a second; less often where it takes long, so that most of the time is left for messages."""
        begun = time.monotonic()
        if begun >= self.latest_due:
            pipeline.save_latest(self.memory, self.city, self.engine)
            self.latest_due = time.monotonic() + _BETWEEN_LATEST * (time.monotonic() - begun)

    def _take_up(self) -> None:
        """What people want taken up again from quarantine: a part of it each second, beside what comes."""
        with self.engine.begin() as connection:
            messages = take_up(connection, self.settings.worker_name, datetime.now(UTC))
        if messages:
            self._handle([messages])

    def _tick(self) -> None:
        now = time.time()
        self._look_for_change()
        self._take_up()
        if self.memory.spoilt:
            self._recollect()
        self._save_latest()
        if self.inbox.connected:
            self.counts.update(pipeline.advance_clock(self.city, self.memory, self.engine, now))
        if time.monotonic() - self.kept_at >= _SNAPSHOT_S or not self.kept_at:
            self.checkpoint("before_snapshot")
            pipeline.keep(self.memory, self.city, self.engine, now, self.settings.worker_name)
            self.checkpoint("after_snapshot")
            self.kept_at = time.monotonic()
        if self.inbox.connected:
            pipeline.declare_silence(self.city, self.memory, self.engine, self.listening_since, self.heard_to)
        self._say_forgotten()
        self.counts["deferred"] = self.buffer.deferred
        figures = {
            "waiting": {"messages": len(self.buffer), "bytes": self.buffer.nbytes},
            "broker": "connected" if self.inbox.connected else self.inbox.refused or "away",
            "counts": dict(self.counts),
            "sensors": Counter(self.memory.state.values()),
            "links": {link.county: [link.state, link.since] for link in self.memory.links.values()},
            "stations": {}
            if self.stations is None
            else {"connections": self.stations.connections, **self.stations.counts},
            "refused_rules": [str(refusal) for refusal in self.city.rulebook.refusals],
        }
        with self.engine.begin() as connection:
            moment = datetime.fromtimestamp(now, UTC)
            data_at = None if self.data_at is None else datetime.fromtimestamp(self.data_at, UTC)
            beat(connection, "worker", moment, data_at, json.dumps(figures, ensure_ascii=False))

    def _until_done(self, work: Callable[[], None], what: str) -> None:
        """Do it, and again with growing, jittered pauses while the database is away, until it is done or we stop."""
        pause_s = _FIRST_PAUSE_S
        while not self.stop.is_set():
            try:
                work()
                return
            except (DatabaseAway, SQLAlchemyError) as problem:
                if not isinstance(problem, DatabaseAway) and not is_away(problem):
                    raise
                self.log.warning(
                    "database away, waiting", what=what, pause_s=round(pause_s, 1), problem=str(problem)[:200]
                )
                self.stop.wait(pause_s * random.uniform(0.5, 1.5))
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def nowhere(_: str) -> None:
    """The checkpoint of a worker that nobody tests."""
