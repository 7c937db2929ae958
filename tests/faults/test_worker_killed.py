"""Promise 2: kill -9 of the worker, anywhere and at any time."""

from __future__ import annotations

import random
from collections.abc import Callable

from command_center.local.broker import Broker
from tests.conftest import Database
from tests.faults.trial import each_seed, refuse_the_unstorable, trial
from tests.waiting import wait_until

STEPS = (
    "before_insert",
    "after_insert",
    "before_commit",
    "after_commit",
    "before_acknowledgement",
    "after_acknowledgement",
    "after_receipts",
    "before_snapshot",
    "after_snapshot",
    "before_put_aside",
    "after_put_aside",
)


@each_seed
def test_a_worker_killed_at_every_named_step_and_at_random_loses_nothing_and_does_nothing_twice(
    seed: int, make_database: Callable[[], Database], broker: Broker
) -> None:
    chance = random.Random(seed)
    database = make_database()
    refuse_the_unstorable(database)
    lives = [step if "snapshot" in step or "aside" in step else f"{step}:{chance.randint(1, 2)}" for step in STEPS]
    lives += [f"{chance.uniform(0.2, 1.5):.2f}" for _ in range(3)]
    chance.shuffle(lives)
    with trial(database, broker.url("gateway"), seed, CC_MQTT_URL=broker.url("worker")) as city:
        city.open()
        city.scheduler.start()
        city.start_worker(*lives)
        city.produce(unstorable=2)
        desk = city.work_at_a_desk()
        wait_until(lambda: city.deaths() == len(lives), 150, "every life has ended")
        desk.finish()
        city.quiet()
        assert city.verdict(f"worker killed {len(lives)} times").clean
