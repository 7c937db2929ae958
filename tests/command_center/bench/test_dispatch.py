"""The ticket benchmark measures what it says, over few tickets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from command_center.audit import audit_deadlines
from command_center.bench.dispatch import deadlines, fill, held, moves, pages
from command_center.ticket.store import load_steps, open_tickets
from command_center.ticket.ticket import fold
from config.database import worker_engine
from gis.store import load_regions
from tests.conftest import Database
from tests.small_city import build


@pytest.fixture
def worker(database: Database) -> Iterator[Engine]:
    build(database)
    fill(database.superuser_url, templates=12, copies=4, steps=9)
    engine = worker_engine(database.worker_url)
    yield engine
    engine.dispose()


def test_every_copy_is_the_fold_of_its_steps_and_its_deadlines_are_in_order(worker: Engine) -> None:
    with worker.connect() as connection:
        found = open_tickets(connection)
        assert len(found) == 12 * 5
        assert [fold(ticket.place, load_steps(connection, ticket.place.id)) for ticket in found] == found
        now = connection.execute(text("SELECT now()")).scalar_one()
    assert audit_deadlines(worker, now, load_regions) == []


def test_pages_and_moves_have_their_figures(database: Database, worker: Engine) -> None:
    assert held(worker)[0].value == 12 * 5
    listed = {figure.what: figure for figure in pages(worker, database.web_url, 3)}
    assert all(figure.value > 0 for figure in listed.values())
    for tier in ("city", "county", "township"):
        assert f"list, {tier}'s account, open, pages of 50, 95th percentile" in listed
    [slow, usual] = moves(worker, database.web_url, 5)
    assert slow.value >= usual.value > 0
    with worker.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM event_log")).scalar_one() == 6


def test_deadlines_are_fired_once_by_a_scheduler_that_is_killed(
    database: Database, worker: Engine, tmp_path: Path
) -> None:
    once, _, late, killed = deadlines(worker, database.worker_url, tmp_path / "log", 20, 8.0, 7.0)
    assert (once.value, once.met) == (0, True)
    assert late.value > 0
    assert killed.value >= 1
