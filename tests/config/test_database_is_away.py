"""What is the server's fault is asked again; what is the question's fault is not. COPY goes past SQLAlchemy."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Connection, Engine, text

from config.database import is_away, worker_engine
from tests.conftest import Database


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    made = worker_engine(database.worker_url)
    yield made
    made.dispose()


def failure(connection: Connection, statement: str) -> Exception:
    with pytest.raises(Exception) as caught:  # which one it is, is the question
        connection.execute(text(statement))
    return caught.value


def copy_failure(connection: Connection, row: bytes) -> Exception:
    driver = connection.connection.driver_connection
    assert driver is not None
    with pytest.raises(psycopg.Error) as caught, driver.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
        copy.write(row)
    return caught.value


def end_backend(connection: Connection, database: Database) -> None:
    pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with psycopg.connect(database.superuser_url, autocommit=True) as owner:
        owner.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def test_a_transaction_that_the_server_ended_for_its_slowness_is_asked_again(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SET idle_in_transaction_session_timeout = '50ms'"))
        time.sleep(0.5)
        assert is_away(failure(connection, "SELECT 1"))


def test_a_connection_that_goes_is_away_in_a_statement_and_in_a_copy(engine: Engine, database: Database) -> None:
    with engine.connect() as connection:
        end_backend(connection, database)
        assert is_away(failure(connection, "SELECT 1"))
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE t (n int)"))
        end_backend(connection, database)
        assert is_away(copy_failure(connection, b"1\n"))
        connection.invalidate()


def test_a_full_disk_is_away_in_a_statement_and_in_a_copy(engine: Engine) -> None:
    assert is_away(psycopg.errors.DiskFull("No space left on device"))
    with engine.connect() as connection:
        raised = "DO $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$"
        assert is_away(failure(connection, raised))


def test_a_row_that_cannot_be_stored_and_a_wrong_question_are_not_away(engine: Engine) -> None:
    for statement in ("SELECT 1 / 0", "SELECT nothing", "SELECT ST_GeomFromText('POINT(')"):
        with engine.connect() as connection:
            assert not is_away(failure(connection, statement))
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE t (n int CHECK (n < 5))"))
        assert not is_away(copy_failure(connection, b"7\n"))
    assert not is_away(ValueError("ours"))
