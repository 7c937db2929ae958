"""The checker bites: programs that leave out one line of ours do not pass it."""

from __future__ import annotations

import pytest

from command_center.local.broker import Broker
from tests.conftest import Database
from tests.faults.trial import trial
from tests.small_city import CITY
from tests.waiting import wait_until


def test_a_worker_that_acknowledges_before_it_commits_loses_what_it_acknowledged(
    database: Database, broker: Broker
) -> None:
    hasty = ("-m", "tests.faults.naive_acknowledgement")
    with trial(database, broker.url("gateway"), 0, hasty, CC_MQTT_URL=broker.url("worker")) as city:
        city.start_worker("before_commit:3", "after_insert:3", "before_insert:3")
        city.produce()
        wait_until(lambda: city.deaths() == 3, 90, "every life has ended")
        city.quiet()
        verdict = city.verdict("acknowledged before the commit", settles_s=0)
    assert verdict.lost
    assert not verdict.extra
    assert not verdict.duplicate_tickets


@pytest.mark.parametrize("lockless", [True, False], ids=["without the lock", "with the lock"])
def test_consoles_miss_events_exactly_when_the_log_is_appended_to_without_its_lock(
    lockless: bool, database: Database, broker: Broker
) -> None:
    """The worker commits late, and desks write in between."""
    program = ("-m", "tests.faults.slow_commit", *(["lockless"] if lockless else []))
    with trial(database, broker.url("gateway"), 0, program, CC_MQTT_URL=broker.url("worker")) as city:
        city.open(consoles=[CITY])
        city.worker.start()
        wait_until(city.listens, 90, "the worker is subscribed")
        city.produce()
        desk = city.work_at_a_desk()
        wait_until(lambda: city.events("report") >= 5, 90, "people have reported something")
        desk.finish()
        city.quiet()
        verdict = city.verdict("lockless log" if lockless else "locked log", settles_s=2 if lockless else 30)
    assert bool(verdict.lost) is lockless, verdict.lost
    assert verdict.clean is not lockless
