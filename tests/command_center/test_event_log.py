"""The event log's one guarantee: a reader that takes everything above its cursor misses nothing."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Connection, Engine, text

from command_center.event import log
from command_center.event.event import Event
from command_center.event.log import Entry
from config.database import scoped, web_engine, worker_engine
from tests.conftest import Database
from tests.waiting import wait_until

ROOT, A, B = "321300/", "321300/321302/", "321300/321322/"


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    made = worker_engine(database.worker_url, pool_size=12)
    yield made
    made.dispose()


def notice(name: str, after: str = A, *before: str) -> Event:
    return Event("notice", name, 1, "321302", {"name": name}, (after,), before)


def add(engine: Engine, *events: Event) -> None:
    with engine.begin() as connection:
        log.append(connection, events)


def test_while_eight_writers_append_a_reader_with_a_cursor_misses_nothing_and_reads_in_order(engine: Engine) -> None:
    failed: list[BaseException] = []

    def write(writer: int) -> None:
        chance = random.Random(writer)
        try:
            for n in range(25):
                with engine.begin() as connection:
                    connection.execute(text("SELECT pg_sleep(:s)"), {"s": chance.random() * 0.01})
                    log.append(connection, [notice(f"{writer}-{n}-{i}") for i in range(chance.randint(1, 4))])
        except BaseException as problem:
            failed.append(problem)
            raise

    writers = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    read: list[Entry] = []

    def read_on() -> None:
        with engine.connect() as connection:
            read.extend(log.read(connection, read[-1].n if read else 0, 7))

    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        read_on()
    for writer in writers:
        writer.join()
    assert not failed
    with engine.connect() as connection:
        stored = [row.n for row in connection.execute(text("SELECT n FROM event_log ORDER BY n"))]
    while len(read) < len(stored):
        before = len(read)
        read_on()
        assert len(read) > before
    assert [entry.n for entry in read] == stored
    assert len(stored) >= 200


def test_a_number_is_drawn_only_when_the_transaction_before_has_ended(engine: Engine) -> None:
    first = engine.connect()
    begun = first.begin()
    log.append(first, [notice("first")])
    second = threading.Thread(target=add, args=(engine, notice("second")))
    second.start()

    def waits() -> bool:
        with engine.connect() as connection:
            found = connection.execute(
                text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            )
            return bool(found.scalar_one())

    wait_until(waits, what="the second writer waits for the first")
    with engine.connect() as connection:
        assert log.read(connection, 0, 10) == []
    begun.commit()
    first.close()
    second.join()
    with engine.connect() as connection:
        assert [entry.id for entry in log.read(connection, 0, 10)] == ["first", "second"]


def test_a_rolled_back_event_never_was(engine: Engine) -> None:
    with engine.connect() as connection:
        log.append(connection, [notice("never")])
        connection.rollback()
    add(engine, notice("after"))
    with engine.connect() as connection:
        assert [entry.id for entry in log.read(connection, 0, 10)] == ["after"]
        assert log.newest(connection) == log.read(connection, 0, 10)[-1].n


def test_appending_nothing_takes_no_lock(engine: Engine) -> None:
    with engine.begin() as holder:
        log.append(holder, [notice("held")])
        with engine.begin() as other:
            other.execute(text("SET LOCAL lock_timeout = '200ms'"))
            log.append(other, [])


def test_who_listens_is_told_at_the_commit_and_not_before(engine: Engine, database: Database) -> None:
    with psycopg.connect(database.web_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {log.CHANNEL}")
        with engine.begin() as connection:
            log.append(connection, [notice("told")])
            assert list(listener.notifies(timeout=0.1)) == []
        began = time.monotonic()
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
        assert time.monotonic() - began < 4


def seen(connection: Connection) -> list[tuple[str, str]]:
    return [(entry.id, str(log.wire(entry)["op"])) for entry in log.read(connection, 0, 10)]


def test_who_an_object_leaves_gets_its_number_but_not_its_data(engine: Engine, database: Database) -> None:
    add(engine, notice("moves", B, A), notice("stays", A, A), notice("arrives", A, B), notice("both", A))
    web = web_engine(database.web_url, pool_size=1)
    with scoped(web, A) as connection:
        assert seen(connection) == [("moves", "gone"), ("stays", "put"), ("arrives", "put"), ("both", "put")]
        assert "data" not in log.wire(log.read(connection, 0, 1)[0])
    with scoped(web, B) as connection:
        assert seen(connection) == [("moves", "put"), ("arrives", "gone")]
    with scoped(web, ROOT) as connection:
        assert {op for _, op in seen(connection)} == {"put"}
    with web.connect() as connection:
        assert seen(connection) == []
        assert log.newest(connection) == 0
    web.dispose()
