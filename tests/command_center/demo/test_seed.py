"""Seeding: the whole demo city in a real database, once, however often it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from command_center.demo.seed import NoDemo, demo_gateway, demo_sensors, seed_demo
from config.database import worker_engine
from tests.conftest import Database

TABLES = (
    "regions",
    "region_parents",
    "cells",
    "water",
    "quantities",
    "sensors",
    "cameras",
    "accounts",
    "account_grants",
)


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    made = worker_engine(database.worker_url)
    yield made
    made.dispose()


def _one(engine: Engine, sql: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(sql)).scalar_one()


def test_the_city_is_seeded_once_however_often_it_is_asked_for(engine: Engine, tmp_path: Path) -> None:
    seed_demo(engine, "suqian", "a password for tests", tmp_path)
    counts = {table: _one(engine, f"SELECT count(*) FROM {table}") for table in TABLES}
    seed_demo(engine, "suqian", "another password", tmp_path)
    assert counts == {table: _one(engine, f"SELECT count(*) FROM {table}") for table in TABLES}

    assert counts["cells"] == 6015
    grids = "SELECT count(*) FROM cells WHERE sources ?& ARRAY['emergency', 'public_order', 'urban_management']"
    assert _one(engine, grids) == counts["cells"]
    assert counts["cameras"] == 300
    assert counts["sensors"] >= 2000
    assert _one(engine, "SELECT count(*) FROM regions WHERE tier = 'county'") == 9
    assert _one(engine, "SELECT count(*) FROM regions WHERE tier = 'village'") == pytest.approx(650, abs=20)
    assert _one(engine, "SELECT count(DISTINCT q) FROM sensors, unnest(quantities) AS q") >= 12
    assert _one(engine, "SELECT count(DISTINCT domain) FROM sensors") == 4
    assert _one(engine, "SELECT count(DISTINCT tier) FROM account_grants") == 5
    assert _one(engine, "SELECT bool_and(synthetic) FROM regions") is True
    # Nested exactly, in the database as in memory: every sensor stands in its cell, every cell in its village.
    assert (
        _one(
            engine, "SELECT count(*) FROM sensors s JOIN cells c ON c.code = s.cell WHERE NOT ST_Covers(c.geom, s.geom)"
        )
        == 0
    )
    outside = (
        "SELECT count(*) FROM cells c JOIN regions r ON r.code = c.region"
        " WHERE ST_Area(ST_Difference(c.geom, r.geom)) > 1e-12"
    )
    assert _one(engine, outside) == 0

    assert len(demo_sensors(tmp_path)) == counts["sensors"]
    accounts = json.loads((tmp_path / "demo-accounts.json").read_text("utf-8"))
    assert len(accounts) == counts["accounts"]


def test_a_folder_without_a_demo_city_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoDemo, match="command-center up --demo"):
        demo_sensors(tmp_path)
    with pytest.raises(NoDemo, match="command-center up --demo"):
        demo_gateway(tmp_path)
