"""A look at a camera ends as stored readings and, when the picture is black, as a ticket for its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from sqlalchemy import Engine

from command_center.local.broker import Broker
from config.database import worker_engine
from tests import processes
from tests.conftest import Database
from tests.small_city import add_sensor, build, cell_code
from tests.waiting import wait_until

CAMERA = "32130200081326000001"


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    made = worker_engine(database.worker_url)
    yield made
    made.dispose()


def _film(path: Path, *, black: bool) -> None:
    rng = np.random.default_rng(7)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (160, 120))
    for _ in range(60):
        frame = np.zeros((120, 160, 3), np.uint8) if black else rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)
        writer.write(frame)
    writer.release()


@pytest.mark.parametrize(("black", "tickets"), [(True, 1), (False, 0)])
def test_a_black_picture_opens_a_ticket_and_a_living_one_does_not(
    black: bool, tickets: int, database: Database, engine: Engine, broker: Broker, tmp_path: Path
) -> None:
    city = build(database)
    with engine.begin() as connection:
        add_sensor(connection, city, CAMERA, cell_code(), ("picture_dark_share", "picture_still_s"), n=90)
    _film(film := tmp_path / "look.avi", black=black)
    settings = {"CC_DATABASE_URL": database.worker_url, "CC_MQTT_URL": broker.url("worker")}
    look = ["-m", "command_center.cli", "cameras", "check", CAMERA, str(film), "--seconds", "4"]
    name = f"picture-{database.name}"
    with processes.worker(database.worker_url, broker.url("worker"), name), engine.connect() as connection:

        def listens() -> bool:
            sql = "SELECT count(*) FROM heartbeats WHERE process = 'worker' AND figures ->> 'broker' = 'connected'"
            found: int = connection.exec_driver_sql(sql).scalar_one()
            connection.rollback()
            return found == 1

        wait_until(listens, 20, "the worker is subscribed")
        with processes.running(look, settings) as process:
            assert process.wait(40) == 0
        [(dark,)] = connection.exec_driver_sql("SELECT value FROM readings WHERE sensor = 90 AND quantity = 22").all()
        assert dark == pytest.approx(1.0 if black else 0.0)
        found = connection.exec_driver_sql("SELECT category, cell FROM tickets WHERE source = %s", (CAMERA,)).all()
        assert len(found) == tickets


@pytest.mark.parametrize(
    ("camera", "address", "says"),
    [
        ("nobody", "film.avi", "is not in the catalogue"),
        (CAMERA, "film.avi", "has no sensor entry"),
    ],
)
def test_a_camera_that_cannot_be_judged_is_refused_with_one_clear_line(
    camera: str, address: str, says: str, database: Database, broker: Broker, capfd: pytest.CaptureFixture[str]
) -> None:
    build(database)
    settings = {"CC_DATABASE_URL": database.worker_url, "CC_MQTT_URL": broker.url("worker")}
    with processes.running(["-m", "command_center.cli", "cameras", "check", camera, address], settings) as process:
        assert process.wait(20) == 2
    said = capfd.readouterr().out.strip().splitlines()[1:]
    assert len(said) == 1, said
    assert says in said[0]
