"""The risk benchmark measures what it says, over a city small enough for a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from command_center.bench.risk import computing, everything, fill, turns
from config.database import worker_engine
from tests.conftest import Database
from tests.small_city import build


@pytest.fixture
def worker(database: Database) -> Iterator[Engine]:
    build(database)
    engine = worker_engine(database.worker_url)
    yield engine
    engine.dispose()


def test_computing_is_held_against_a_loop_that_gives_the_same_scores() -> None:
    taken, rate = computing(50, 40, 2)
    assert taken.value > 0
    assert rate.ratio is not None


def test_turns_are_measured_over_a_city_with_risk_in_it(worker: Engine) -> None:
    fill(worker, 60, 20, 10)
    with worker.connect() as connection:
        counts = "SELECT (SELECT count(*) FROM cells), (SELECT count(*) FROM sensors), (SELECT count(*) FROM alerts)"
        assert connection.execute(text(counts)).one() == (60, 20, 10)
    figures = turns(worker, 2)
    assert len(figures) == 5
    assert all(figure.value > 0 for figure in figures[:4])
    assert everything(worker).value > 0
    with worker.connect() as connection:
        cells = "SELECT count(*) FROM risks WHERE tier = 'grid' AND domain = 'overall' AND score > 0"
        assert connection.execute(text(cells)).scalar_one() == 60
        assert connection.execute(text("SELECT count(*) FROM event_log WHERE kind = 'risk'")).scalar_one() > 0
