"""kill -9 of the web process while consoles listen and desks write, and of the scheduler around deadlines."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

from command_center.local.broker import Broker
from tests.conftest import Database
from tests.faults.trial import each_seed, trial
from tests.waiting import wait_until


@each_seed
def test_web_and_scheduler_killed_cost_no_console_an_event_no_desk_an_answer_and_no_ticket_its_deadline(
    seed: int, make_database: Callable[[], Database], broker: Broker
) -> None:
    chance = random.Random(seed)
    with trial(make_database(), broker.url("gateway"), seed, CC_MQTT_URL=broker.url("worker")) as city:
        city.open()
        city.start_worker()
        city.start_scheduler()
        city.produce()
        wait_until(lambda: len(city.machine_tickets()) >= 6, 60, "tickets to have deadlines for")
        for ticket in city.machine_tickets():
            city.set_timer(ticket, chance.uniform(1, 8))
        desk = city.work_at_a_desk()
        time.sleep(chance.uniform(0.5, 3))
        killed_at = datetime.now(UTC)
        city.scheduler.kill()
        city.web.kill()
        time.sleep(chance.uniform(0, 1))
        city.start_web()
        city.start_scheduler(away_since=killed_at)
        time.sleep(chance.uniform(0.5, 2))
        city.web.kill()
        city.start_web()
        wait_until(lambda: max(city.ledger.timers.values()) < datetime.now(UTC), 30, "every deadline has come")
        desk.finish()
        city.quiet()
        assert city.verdict(f"web killed twice, scheduler once; {len(city.ledger.timers)} deadlines").clean
