"""Real parts for every test: a private PostgreSQL and Mosquitto for each test process, a database for each test."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from command_center.local import broker as private_broker
from command_center.local import postgres
from command_center.local.broker import Broker, BrokerAccount
from command_center.local.postgres import Cluster

_TEMPLATE = "migrated"


@dataclass(frozen=True)
class Database:
    """A database of one test and how each of the three roles reaches it (``postgresql://...``)."""

    name: str
    owner_url: str
    worker_url: str
    web_url: str
    superuser_url: str


@pytest.fixture(scope="session")
def var_folder() -> Iterator[Path]:
    """A var folder that system users can enter (pytest's own are closed to them), with a blank in its path on purpose."""
    folder = Path(tempfile.mkdtemp(prefix="cc test "))
    folder.chmod(0o755)
    yield folder / "var"
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def cluster(var_folder: Path) -> Iterator[Cluster]:
    """A private PostgreSQL with our roles, one for each test process."""
    with postgres.running(var_folder) as running:
        yield running


@pytest.fixture(scope="module")
def broker(var_folder: Path, request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A private Mosquitto with the accounts ``worker`` and ``gateway``; the gateway may publish all below cc/v1.

    A module has its own: a broker keeps every message for all workers that ever came, and saves all it keeps at each change,
    so that one with the sessions of a dozen other tests takes minutes for a storm.
    """
    folder = var_folder / request.module.__name__.replace(".", "-")
    gateway = BrokerAccount("gateway", "gateway-of-the-tests", write=("cc/v1/#",), read=("cc/v1/+/+/ack",))
    with private_broker.running(folder, [private_broker.worker_account(folder), gateway]) as running:
        yield running


@pytest.fixture(scope="session")
def migrated_template(cluster: Cluster) -> str:
    """The name of a database with all migrations, made once and copied for every test that needs one."""
    from command_center.migrations import upgrade

    postgres.prepare(cluster, _TEMPLATE)
    upgrade(cluster.url("cc_owner", _TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def make_database(cluster: Cluster, migrated_template: str) -> Iterator[Callable[[], Database]]:
    """Makes databases with all tables and no rows; they are dropped after the test, whoever is still connected."""
    with databases(cluster, migrated_template) as make:
        yield make


@pytest.fixture(scope="module")
def module_database(cluster: Cluster, migrated_template: str) -> Iterator[Database]:
    """A migrated, empty database that the tests of one file share."""
    with databases(cluster, migrated_template) as make:
        yield make()


@pytest.fixture
def database(make_database: Callable[[], Database]) -> Database:
    """A migrated, empty database of this test's own."""
    return make_database()


_numbers = itertools.count(1)


@contextmanager
def databases(cluster: Cluster, template: str) -> Iterator[Callable[[], Database]]:
    made: list[str] = []

    def make() -> Database:
        database = _copy(cluster, template)
        made.append(database.name)
        return database

    yield make
    with psycopg.connect(cluster.url(postgres.SUPERUSER, "postgres"), autocommit=True) as connection:
        for name in made:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _copy(cluster: Cluster, template: str) -> Database:
    name = f"test_{next(_numbers)}"
    with psycopg.connect(cluster.url(postgres.SUPERUSER, "postgres"), autocommit=True) as connection:
        postgres.make_database(connection, name, template)
    urls = [cluster.url(role, name) for role in (*postgres.ROLES, postgres.SUPERUSER)]
    return Database(name, *urls)
