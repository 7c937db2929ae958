"""A city read anew goes on where it stood: evaluation cannot tell that it was."""

from __future__ import annotations

from ingest.sensor import Catalogue
from rules.carry import carried
from rules.evaluate import Memory, evaluate, lay_out
from tests.ingest.wire import sensor
from tests.rules.located import BURST, CITY, DRY, FLOOD, RULES, WATER, Row, located

GROWN = Catalogue.of([sensor(9, "gauge-0"), *CITY.sensors.values()], CITY.quantities.values())
SHRUNK = Catalogue.of([s for s in CITY.sensors.values() if s.id != "gauge-1"], CITY.quantities.values())


def flooded() -> Memory:
    """Gauge 1 stands on the second rung."""
    slots = lay_out(RULES, CITY)
    memory = Memory.quiet(slots)
    evaluate(located([Row(1, WATER, 2.5, 10)]), slots, memory).after(memory)
    return memory


def test_an_open_alert_goes_on_when_sensors_and_rules_have_other_numbers() -> None:
    slots = lay_out((FLOOD, DRY, BURST), GROWN)
    memory = carried(flooded(), lay_out(RULES, CITY), slots)
    assert evaluate(located([Row(1, WATER, 2.5, 20)]), slots, memory).changes == []
    [grew] = evaluate(located([Row(1, WATER, 3.5, 20)]), slots, memory).changes
    assert (str(grew.change), grew.alert.source.id, grew.alert.version) == ("grew", "gauge-1", 2)


def test_what_is_older_than_the_last_reading_stays_without_effect() -> None:
    slots = lay_out(RULES, GROWN)
    memory = carried(flooded(), lay_out(RULES, CITY), slots)
    assert evaluate(located([Row(1, WATER, 3.5, 5)]), slots, memory).changes == []


def test_sensors_that_are_gone_are_forgotten_and_new_ones_begin_quiet() -> None:
    slots = lay_out(RULES, SHRUNK)
    memory = carried(flooded(), lay_out(RULES, CITY), slots)
    assert memory.firing == {}
    assert not memory.rung.any()
