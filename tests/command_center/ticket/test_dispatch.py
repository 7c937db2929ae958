"""Who gets a new ticket first, and until when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import yaml

from command_center.ticket.dispatch import BadDispatchTable, DispatchTable, open_ticket, read, ticket_id
from command_center.ticket.ticket import Move, Status
from tests.command_center.ticket.opened import CELL, INCIDENT, NOW, TABLE, TREE, alert, desk

SOURCE = {"text": "a test", "confidence": "unverified"}


def table(**changes: Any) -> dict[str, Any]:
    """A whole table as its YAML text has it, with some of it changed."""
    made: dict[str, Any] = {
        "first_tier": {1: "village", 2: "township", 3: "county", 4: "city"},
        "by_severity": {severity: limit(hours) for severity, hours in {1: 24, 2: 8, 3: 4, 4: 2}.items()},
        "by_category": {"gas_leak": limit(0.5)},
    } | changes
    handling = {name: made.pop(name) for name in ("by_severity", "by_category") if name in made}
    return made | {"handling": handling}


def limit(hours: Any, **changes: Any) -> dict[str, Any]:
    return {"hours": hours, "clock": "continuous", "source": SOURCE} | changes


def parsed(**changes: Any) -> DispatchTable:
    return read(yaml.safe_dump(table(**changes)))


@pytest.mark.parametrize(
    ("severity", "category", "hours"), [(1, "dust", 24), (4, "dust", 2), (1, "gas_leak", 0.5), (4, "gas_leak", 0.5)]
)
def test_a_category_s_own_limit_wins_over_that_of_the_severity(severity: int, category: str, hours: float) -> None:
    assert parsed().due_at(category, severity, NOW) == NOW + timedelta(hours=hours)


BAD: list[tuple[str, str]] = [
    ("", "object"),
    ("[", "line 1: not YAML"),
    ("first_tier: [", "line 1: not YAML"),
    ("effective_from: 2026-13-01", "not YAML: month"),
    (yaml.safe_dump({"handling": table()["handling"]}), "first_tier"),
    (yaml.safe_dump({"first_tier": {}}), "handling"),
    (yaml.safe_dump(table(first_tier={1: "village", 2: "township", 3: "county"})), "severity 4"),
    (yaml.safe_dump(table(first_tier={1: "street", 2: "township", 3: "county", 4: "city"})), "severity 1"),
    (yaml.safe_dump(table(by_severity={1: limit(24)})), "severity 2"),
    (yaml.safe_dump(table(by_category={"a": limit("soon")})), "hours"),
    (yaml.safe_dump(table(by_category={"a": limit(0)})), "hours"),
    (yaml.safe_dump(table(by_category={"a": limit(-1)})), "hours"),
    (yaml.safe_dump(table(by_category={"a": limit(float("nan"))})), "hours"),
    (yaml.safe_dump(table(by_category={"a": limit(float("inf"))})), "hours"),
    (yaml.safe_dump(table(by_category={"a": limit(1e300)})), "hours"),
    (yaml.safe_dump(table(by_category={"a": limit(1, clock="office")})), "clock"),
    (yaml.safe_dump(table(by_category={"a": {"hours": 1, "clock": "continuous"}})), "source"),
    (yaml.safe_dump(table(by_category={"a": limit(1, note="x")})), "note"),
]


@pytest.mark.parametrize(("text", "reason"), BAD, ids=[str(n) for n in range(len(BAD))])
def test_a_table_that_cannot_be_used_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(BadDispatchTable) as refused:
        read(text)
    assert str(refused.value).startswith("dispatch table: ")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("severity", "tier"), [(1, 3), (2, 2), (3, 1), (4, 0)])
def test_the_graver_the_higher_the_desk_a_ticket_comes_to_first(severity: int, tier: int) -> None:
    _, step = open_ticket(alert(severity), INCIDENT, 7, TREE, TABLE, NOW)
    assert step.holder == desk(TREE.path(CELL)[tier].code)
    assert (step.move, step.status, step.version, step.by) == (Move.FILE, Status.FILED, 1, None)
    assert step.facts["due_at"] == TABLE.due_at("somewhat", severity, NOW)


def test_a_table_may_send_a_ticket_straight_to_the_grid() -> None:
    straight = parsed(first_tier=dict.fromkeys((1, 2, 3, 4), "grid"))
    _, step = open_ticket(alert(), INCIDENT, 7, TREE, straight, NOW)
    assert step.holder == desk(CELL)


def test_a_ticket_says_where_it_is_and_what_it_came_from() -> None:
    place, step = open_ticket(alert(), INCIDENT, 7, TREE, TABLE, NOW)
    assert place.number == "T20261123-000007"
    assert (place.cell, place.scope, place.source) == (CELL, TREE[CELL].scope, "gauge")
    assert [code for _, code, _ in place.path] == [region.code for region in TREE.path(CELL)]
    assert (step.facts["title"], step.facts["title_en"]) == ("积水 4", "Flood 4")


def test_an_incident_has_one_ticket_id_for_ever() -> None:
    assert ticket_id(INCIDENT) == ticket_id(UUID(int=5)) != ticket_id(UUID(int=6))


def test_the_shipped_table_gives_the_graver_ticket_less_time() -> None:
    due = [TABLE.due_at("nothing of its own", severity, NOW) for severity in (1, 2, 3, 4)]
    assert due == sorted(due, reverse=True)
    assert TABLE.due_at("waterlogging", 1, NOW) == NOW + timedelta(hours=2)
