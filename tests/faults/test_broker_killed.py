"""kill -9 of the broker: a broker's word is not the disk's, our receipt is."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from command_center.local import broker as private_broker
from command_center.local import child
from command_center.local.broker import BrokerAccount
from tests.conftest import Database
from tests.faults.trial import each_seed, trial
from tests.waiting import wait_until


@each_seed
def test_a_killed_broker_costs_nothing_that_has_our_receipt_and_what_only_has_its_own_word_is_counted(
    seed: int, make_database: Callable[[], Database], var_folder: Path
) -> None:
    """Producers publish again what asked for our receipt until they see it. What else is gone is printed as ``forgotten``."""
    chance = random.Random(seed)
    folder = var_folder / f"killed broker {seed}"
    gateway = BrokerAccount("gateway", "gateway-of-the-tests", write=("cc/v1/#",), read=("cc/v1/+/+/ack",))
    own, process = private_broker.start(folder, [private_broker.worker_account(folder), gateway])
    ready = partial(private_broker.accepts_connections, own)
    try:
        with trial(make_database(), own.url("gateway"), seed, CC_MQTT_URL=own.url("worker")) as city:
            city.open()
            city.start_worker()
            # What names itself by nothing cannot be told from its repeat when the repeat comes by another connection.
            city.produce(rate=60, named=True)
            for worker_is_there in (True, False):
                time.sleep(chance.uniform(1, 3))
                if not worker_is_there:
                    # Now messages wait at the broker and nowhere else.
                    city.worker.kill()
                    time.sleep(2)
                process.kill()
                process.wait()
                if worker_is_there:
                    wait_until(lambda: not city.listens(), 60, "the worker says that the broker is away")
                time.sleep(chance.uniform(0.1, 1))
                process = child.launch(private_broker.program(own), ready, private_broker.READY_S)
                if worker_is_there:
                    wait_until(city.listens, 60, "the worker is subscribed again")
            city.start_worker()
            city.quiet()
            assert city.verdict("broker killed twice, once with the worker away", broker_kept=False).clean
    finally:
        private_broker.stop(own, process)
