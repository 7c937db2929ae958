"""The database stops, dies and is full: it costs time, but nothing that was acknowledged."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from command_center.local.broker import Broker
from tests.faults.server import Server, server
from tests.faults.trial import Trial, each_seed, trial

# Longer than the server lets a transaction wait for its next statement: when it goes on, it ends what stood still inside one.
_STANDS_STILL_S = 6.0


def _stands_still(own: Server) -> None:
    own.stop()
    time.sleep(_STANDS_STILL_S)
    own.go_on()


def _loses_a_backend(own: Server) -> None:
    own.kill_one()


def _dies(own: Server) -> None:
    own.kill()
    time.sleep(1)
    own.back()


def _is_full(own: Server) -> None:
    own.fill()
    time.sleep(4)
    own.empty()
    own.back()


def _under_fire(city: Trial, own: Server, faults: list[Callable[[Server], None]], chance: random.Random) -> None:
    city.open()
    city.scheduler.start()
    city.start_worker()
    city.produce()
    desk = city.work_at_a_desk()
    for fault in faults:
        time.sleep(chance.uniform(0.5, 2))
        fault(own)
    time.sleep(1)
    desk.finish()
    city.quiet()


@each_seed
def test_a_database_that_stands_still_and_dies_costs_nothing_that_was_acknowledged(
    seed: int, var_folder: Path, broker: Broker
) -> None:
    chance = random.Random(seed)
    faults = [_stands_still, _loses_a_backend, _dies]
    chance.shuffle(faults)
    with (
        server(var_folder / f"own server {seed}") as (own, database),
        trial(database, broker.url("gateway"), seed, CC_MQTT_URL=broker.url("worker")) as city,
    ):
        _under_fire(city, own, faults, chance)
        assert city.verdict(f"database: {', '.join(fault.__name__ for fault in faults)}").clean


@each_seed
def test_a_full_disk_costs_nothing_that_was_acknowledged(seed: int, var_folder: Path, broker: Broker) -> None:
    chance = random.Random(seed)
    with server(var_folder / f"full server {seed}") as (own, database):
        if own.disk is None:
            pytest.skip("needs the right to mount a small disk (root): a real disk is not ours to fill")
        with trial(database, broker.url("gateway"), seed, CC_MQTT_URL=broker.url("worker")) as city:
            _under_fire(city, own, [_is_full], chance)
            assert city.verdict("disk full").clean
