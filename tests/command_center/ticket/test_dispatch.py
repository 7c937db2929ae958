"""Who gets a new ticket first, and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import yaml

from command_center.ticket.dispatch import (
    BadDispatchTable,
    DispatchTable,
    open_ticket,
    read,
    ticket_id,
)
from command_center.ticket.ticket import Move, Status
from command_center.work_calendar import StatedDay, WorkCalendar
from tests.command_center.ticket.opened import CELL, INCIDENT, NOW, TABLE, TREE, alert, desk

SOURCE = {"text": "a test", "confidence": "unverified"}


def table(**changes: Any) -> dict[str, Any]:
    """A whole table as its YAML text has it, with some of it changed."""
    made: dict[str, Any] = {
        "by_severity": {severity: limit(hours) for severity, hours in {1: 24, 2: 8, 3: 4, 4: 2}.items()},
        "by_category": {"gas_leak": limit(0.5)},
    } | changes
    handling = {name: made.pop(name) for name in ("by_severity", "by_category") if name in made}
    return made | {"handling": handling}


def limit(hours: Any, **changes: Any) -> dict[str, Any]:
    return {"hours": hours, "clock": "continuous", "source": SOURCE} | changes


def office(*spans: str, ends: str = "same_time") -> dict[str, Any]:
    return {"spans": list(spans), "working_day_ends": ends, "source": SOURCE}


def parsed(**changes: Any) -> DispatchTable:
    return read(yaml.safe_dump(table(**changes)), TABLE.routing)


@pytest.mark.parametrize(
    ("severity", "category", "hours"), [(1, "dust", 24), (4, "dust", 2), (1, "gas_leak", 0.5), (4, "gas_leak", 0.5)]
)
def test_a_category_s_own_limit_wins_over_that_of_the_severity(severity: int, category: str, hours: float) -> None:
    assert parsed().due_at(category, severity, NOW) == NOW + timedelta(hours=hours)


FRIDAY = datetime(2026, 11, 27, 16, tzinfo=ZoneInfo("Asia/Shanghai"))


@pytest.mark.parametrize(
    ("line", "until"),
    [
        (limit(20), "2026-11-28T12:00"),
        (limit(4, clock="working_hours"), "2026-11-30T10:00"),
        ({"days": 2, "clock": "working_days", "source": SOURCE}, "2026-12-01T16:00"),
        ({"days": 2, "clock": "natural_days", "source": SOURCE}, "2026-11-29T16:00"),
    ],
)
def test_a_line_may_count_by_any_of_the_four_clocks(line: dict[str, Any], until: str) -> None:
    found = parsed(by_category={"dust": line}).due_at("dust", 1, FRIDAY)
    assert found == datetime.fromisoformat(until).replace(tzinfo=FRIDAY.tzinfo)


def test_the_city_s_own_office_hours_and_calendar_are_what_working_time_is_counted_by() -> None:
    line = limit(4, clock="working_hours")
    early = parsed(by_category={"dust": line}, office_hours=office("07:30-11:30", "13:30-17:00"))
    assert early.due_at("dust", 1, FRIDAY) == datetime(2026, 11, 30, 10, 30, tzinfo=FRIDAY.tzinfo)
    saturday = StatedDay(date(2026, 11, 28), is_workday=True, source="notice", verified=True)
    on = early.on(WorkCalendar((saturday,)))
    assert on.due_at("dust", 1, FRIDAY) == datetime(2026, 11, 28, 10, 30, tzinfo=FRIDAY.tzinfo)


def test_the_last_working_day_is_whole_where_the_table_says_so() -> None:
    line = {"days": 1, "clock": "working_days", "source": SOURCE}
    hours = office("08:00-12:00", "14:00-18:00", ends="closing")
    found = parsed(by_category={"dust": line}, office_hours=hours).due_at("dust", 1, FRIDAY)
    assert found == datetime(2026, 11, 30, 18, tzinfo=FRIDAY.tzinfo)


BAD: list[tuple[str, str]] = [
    ("", "object"),
    ("[", "line 1: not YAML"),
    ("handling: [", "line 1: not YAML"),
    ("effective_from: 2026-13-01", "not YAML: month"),
    (yaml.safe_dump({"stages": {}}), "handling"),
    (yaml.safe_dump(table(stages={"lunch": limit(1)})), "lunch"),
    (yaml.safe_dump(table(escalation={"rungs": [], "repeat_minutes": 5})), "rungs"),
    (
        yaml.safe_dump(table(escalation={"rungs": [{"do": "up", "minutes": {1: 5}}], "repeat_minutes": 5})),
        "severities 1 to 4",
    ),
    (
        yaml.safe_dump(
            table(upward={"by_grade": {1: {"first_minutes": 0}}, "follow_up_hours": 1, "repeat_minutes": 1})
        ),
        "first",
    ),
    (yaml.safe_dump(table(by_severity={1: limit(24)})), "severity 2"),
    (yaml.safe_dump(table(by_category={"a": limit("soon")})), "hours"),
    (yaml.safe_dump(table(by_category={"a": limit(0)})), "hours"),
    (yaml.safe_dump(table(by_category={"a": limit(-1)})), "hours"),
    (yaml.safe_dump(table(by_category={"a": limit(float("nan"))})), "hours"),
    (yaml.safe_dump(table(by_category={"a": limit(float("inf"))})), "hours"),
    (yaml.safe_dump(table(by_category={"a": limit(1e300)})), "hours"),
    (yaml.safe_dump(table(by_category={"a": limit(1, clock="office")})), "clock"),
    (yaml.safe_dump(table(by_category={"a": limit(1, clock="working_days")})), "clock working_days counts in days"),
    (yaml.safe_dump(table(by_category={"a": limit(1, days=1)})), "clock continuous counts in hours"),
    (yaml.safe_dump(table(by_category={"a": limit(None, clock="natural_days", days=367)})), "days"),
    (yaml.safe_dump(table(by_category={"a": limit(None)})), "it needs `hours`"),
    (yaml.safe_dump(table(office_hours=office("08:00-12:00", "11:00-18:00"))), "office hours must be"),
    (yaml.safe_dump(table(office_hours=office())), "office hours must be"),
    (yaml.safe_dump(table(office_hours=office("8-12"))), "spans"),
    (yaml.safe_dump(table(office_hours=office("08:00-24:00"))), "spans"),
    (yaml.safe_dump(table(office_hours=office("08:00-12:00", ends="sometime"))), "working_day_ends"),
    (yaml.safe_dump(table(warning={"amber_left": 0.2, "red_left": 0.5, "source": SOURCE})), "red comes after amber"),
    (yaml.safe_dump(table(warning={"amber_left": 1, "red_left": 0.5, "source": SOURCE})), "amber_left"),
    (yaml.safe_dump(table(by_category={"a": {"hours": 1, "clock": "continuous"}})), "source"),
    (yaml.safe_dump(table(by_category={"a": limit(1, note="x")})), "note"),
]


@pytest.mark.parametrize(("text", "reason"), BAD, ids=[str(n) for n in range(len(BAD))])
def test_a_table_that_cannot_be_used_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(BadDispatchTable) as refused:
        read(text, TABLE.routing)
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
    rules = replace(TABLE.routing, tier_by_severity=dict.fromkeys((1, 2, 3, 4), "grid"), rules=TABLE.routing.rules[:-4])
    straight = replace(TABLE, routing=rules)
    _, step = open_ticket(alert(category="gas_leak"), INCIDENT, 7, TREE, straight, NOW)
    assert step.holder.region == CELL


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


def test_the_shipped_table_counts_office_hours_where_the_published_limit_does() -> None:
    for category in ("dust", "fire_lane"):
        assert TABLE.due_at(category, 4, FRIDAY) == FRIDAY + timedelta(hours=2)
        late = FRIDAY + timedelta(hours=1)
        assert TABLE.due_at(category, 4, late) == datetime(2026, 11, 30, 9, tzinfo=FRIDAY.tzinfo)
