"""The one door to PostgreSQL: engines by purpose and the metadata that every room's tables join."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import psycopg
from psycopg.errors import IdleInTransactionSessionTimeout
from sqlalchemy import Connection, Engine, MetaData, create_engine, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UnsafeRole(RuntimeError):
    """The web process was given a database role that row-level security does not bind."""


class UnsafeServer(RuntimeError):
    """The database server would lose committed rows in a crash."""


def connect_url(url: str) -> str:
    """SQLAlchemy's spelling of a postgresql:// URL, driver named."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def worker_engine(url: str, *, pool_size: int = 4) -> Engine:
    """For processes that run in threads and see every region."""
    return create_engine(
        connect_url(url),
        pool_size=pool_size,
        pool_pre_ping=True,
        json_deserializer=msgspec.json.decode,
        connect_args={"connect_timeout": 5},
    )


def web_engine(url: str, *, pool_size: int = 20) -> Engine:
    """For the web process. No prepared statements: their frozen plans would outlive the scope they were made for."""
    return create_engine(
        connect_url(url),
        pool_size=pool_size,
        max_overflow=20,
        pool_timeout=5,
        pool_pre_ping=True,
        json_deserializer=msgspec.json.decode,
        connect_args={"prepare_threshold": None, "connect_timeout": 5},
    )


@contextmanager
def scoped(engine: Engine, scope: str, *, snapshot: bool = False) -> Iterator[Connection]:
    """One transaction that sees the region subtree ``scope`` and nothing else.

    ``snapshot`` makes every statement in it see the same state of the database.
    """
    with engine.connect() as connection:
        if snapshot:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            widen(connection, scope)
            yield connection


def widen(connection: Connection, scope: str) -> None:
    """Let the rest of this transaction see ``scope``: for writes that were decided on already and reach beyond the asker."""
    connection.execute(text("SELECT set_config('cc.scope', :scope, true)"), {"scope": scope})


def assert_bound_by_row_security(engine: Engine) -> None:
    """Raise UnsafeRole unless the role is an ordinary one: no superuser, no BYPASSRLS, owner of nothing."""
    with engine.connect() as connection:
        role, unbound, owned = connection.execute(
            text(
                "SELECT current_user, rolsuper OR rolbypassrls,"
                " EXISTS (SELECT FROM pg_tables WHERE tableowner = current_user)"
                " FROM pg_roles WHERE rolname = current_user"
            )
        ).one()
    if unbound or owned:
        raise UnsafeRole(f"role {role} is not bound by row-level security: run the web process as cc_web")


def assert_durable(engine: Engine) -> None:
    """Raise UnsafeServer on a server that may forget or tear what it has committed."""
    with engine.connect() as connection:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            if connection.execute(text(f"SHOW {name}")).scalar_one() == "off":
                raise UnsafeServer(f"the database server runs with {name} = off: turn it on, committed data is at risk")


def is_away(problem: Exception) -> bool:
    """Whether the server is the reason (gone, full, too slow for its own limits) and not what was asked: asked again later, it
    may do it. COPY goes past SQLAlchemy, so the driver's own errors come too.
    """
    if isinstance(problem, DBAPIError):
        if problem.connection_invalidated:
            return True
        problem = problem.orig if isinstance(problem.orig, Exception) else problem
    away = PendingRollbackError, psycopg.OperationalError, psycopg.InterfaceError, IdleInTransactionSessionTimeout
    return isinstance(problem, away)


@dataclass(frozen=True, slots=True)
class Policy:
    """Row-level security of one table: a row is visible where ``using`` holds, and may be written where ``writing`` does
    (none: the same).
    """

    table: str
    using: str
    writing: str | None = None

    def statements(self) -> Iterator[str]:
        """SQL that puts the policy in force, whatever stood before."""
        yield f"ALTER TABLE {self.table} ENABLE ROW LEVEL SECURITY"
        yield f"ALTER TABLE {self.table} FORCE ROW LEVEL SECURITY"
        yield f"DROP POLICY IF EXISTS scope ON {self.table}"
        check = "" if self.writing is None else f" WITH CHECK ({self.writing})"
        yield f"CREATE POLICY scope ON {self.table} USING ({self.using}){check}"


SCOPE = "nullif(current_setting('cc.scope', true), '')"
"""The asking account's scope. An ended scope is '' on a reused connection: nullif makes it see nothing, not everything."""


def within(column: str) -> str:
    """SQL: the path in ``column`` lies in the asking account's subtree. A range, so that a btree index serves it."""
    return f"({column} >= {SCOPE} AND {column} < {SCOPE} || '~')"
