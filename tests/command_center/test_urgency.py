"""Who comes first when more messages wait than a batch holds."""

from __future__ import annotations

from command_center.urgency import gravest_topics, open_topics
from rules import judge
from rules.judge import Memory, lay
from rules.rulebook import Rulebook
from tests.rules.located import ANY_TIME, CITY, FLOOD, NOISE, SECOND, Row, located, rule

_LOUD = rule("loud", "noise", [(1, 90.0)], 80.0)
_BURST = rule("burst", "water_pressure", [(2, 2.0)], 2.5, direction="below")
_LAYOUT = lay(Rulebook((_BURST, FLOOD)), CITY, {}, ANY_TIME.zone)


def _own(*identities: str) -> set[str]:
    return {f"cc/v1/321302/{identity}/{rest}" for identity in identities for rest in ("reading", "state")}


def test_sensors_that_may_raise_the_gravest_alerts_are_urgent_by_all_their_topics() -> None:
    assert gravest_topics(_LAYOUT, CITY) == _own("gauge-1", "gauge-2")


def test_a_sensor_with_an_open_alert_is_urgent_however_small_it_is_and_as_long_as_it_is_open() -> None:
    layout = lay(Rulebook((_LOUD,)), CITY, {}, ANY_TIME.zone)
    memory = Memory.quiet(layout, 0)
    urgent = []
    for second, value in enumerate((50.0, 95.0, 50.0)):
        at_us = second * SECOND
        judge.judge(located([Row(1, NOISE, value, at_us, at_us)]), [], layout, memory, at_us, ANY_TIME)
        urgent.append(open_topics(layout, memory, CITY))
    assert urgent == [set(), _own("gauge-1"), set()]
