"""Groups are told when they should be: hand-worked times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from command_center.city import grouping
from rules.group import BadGrouping, Group, Members, Pace, Told, joined, judged, left, opened, read, township
from rules.rule import Evidence
from tests.command_center.ticket.opened import TREE, alert

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
TOWN = "321302001"
PACE = Pace(wait_s=10, interval_s=60, repeat_s=1800, source=Evidence("t", "unverified"))


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def group(severity: int = 2) -> Group:
    return opened(alert(severity), TOWN, "乡镇", PACE, NOW)


def told(members: int = 1) -> Group:
    """A group whose first notice went out at second 10."""
    return judged(group(), standing(members), PACE, at(10))


def standing(total: int, unacknowledged: int | None = None, severity: int = 2) -> Members:
    return Members(total, total if unacknowledged is None else unacknowledged, severity, "积水", "Flood")


def due(found: Group) -> float:
    return (found.next_due_at - NOW).total_seconds()


def test_the_first_notice_waits_a_little_and_an_urgent_alert_for_nothing() -> None:
    assert due(group(3)) == 10
    assert due(group(4)) == 0
    assert due(joined(group(1), alert(4), PACE, at(3))) == 3


def test_what_comes_while_the_first_notice_waits_is_told_with_it_and_does_not_put_it_off() -> None:
    found = joined(joined(group(), alert(), PACE, at(4)), alert(3), PACE, at(9))
    assert due(joined(group(2), alert(3), PACE, at(9))) == 10
    after = judged(found, standing(3), PACE, at(10))
    assert (after.told, after.members, after.new, after.notices, after.fresh) == (Told.FIRST, 3, 3, 1, 0)
    assert due(after) == 10 + 1800


def test_what_came_and_went_before_anybody_was_told_is_not_told() -> None:
    after = judged(group(), standing(0), PACE, at(10))
    assert (after.notices, after.ended_at) == (0, at(10))


def test_news_is_told_after_the_interval_and_urgent_news_at_once() -> None:
    assert due(joined(told(), alert(3), PACE, at(30))) == 70
    assert due(joined(told(), alert(3), PACE, at(400))) == 400
    assert due(joined(told(), alert(4), PACE, at(30))) == 30
    two = joined(joined(told(), alert(3), PACE, at(30)), alert(3), PACE, at(65))
    assert due(two) == 70
    after = judged(two, standing(3, severity=3), PACE, at(70))
    assert (after.told, after.members, after.new, after.severity, after.notices) == (Told.MORE, 3, 2, 3, 2)
    assert due(after) == 70 + 1800


def test_it_repeats_itself_while_nobody_has_acknowledged() -> None:
    after = judged(told(), standing(2, 1), PACE, at(1810))
    assert (after.told, after.members, after.new, after.notices) == (Told.REPEAT, 2, 0, 2)
    assert due(after) == 1810 + 1800


def test_it_is_still_when_all_is_acknowledged_but_looks_again() -> None:
    after = judged(told(), standing(2, 0), PACE, at(1810))
    assert (after.told, after.notices) == (Told.FIRST, 1)
    assert due(after) == 1810 + 1800


def test_an_alert_that_ends_among_others_says_nothing_and_changes_no_repeat() -> None:
    gone = left(told(2), PACE, at(30))
    assert due(gone) == 70
    after = judged(gone, standing(1), PACE, at(70))
    assert after.notices == 1
    assert due(after) == 10 + 1800


def test_it_says_when_it_is_over_and_is_not_told_again() -> None:
    after = judged(left(told(), PACE, at(500)), standing(0), PACE, at(500))
    assert (after.told, after.members, after.new, after.ended_at) == (Told.OVER, 0, 0, at(500))


@pytest.mark.parametrize(("seconds", "expected"), [(11, 70), (69, 70), (500, 500)])
def test_the_end_is_told_no_sooner_than_other_news(seconds: float, expected: float) -> None:
    assert due(left(told(), PACE, at(seconds))) == expected


def test_before_the_first_notice_an_end_changes_no_deadline() -> None:
    assert due(left(group(), PACE, at(3))) == 10


def test_a_notice_names_the_town_the_gravest_alert_and_how_many() -> None:
    assert judged(group(), standing(1), PACE, at(10)).words == ("乡镇 积水", "乡镇: Flood")
    three = judged(group(), standing(3), PACE, at(10))
    assert three.words == ("乡镇 积水（共 3 条）", "乡镇: Flood (3 alerts)")
    assert judged(three, standing(0), PACE, at(99)).words == ("乡镇 积水（已解除）", "乡镇: Flood (over)")


def test_a_group_lies_in_a_township_by_today_s_path() -> None:
    cell = TREE[alert().source.cell]
    assert township(cell.scope) == TREE[TOWN].scope
    assert township("321300/321302/") == "321300/321302/"
    assert township("") == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "line 1"),
        ("by_category: {}", "default"),
        ("default: {wait_s: -1, interval_s: 60, repeat_s: 60, source: {text: t, confidence: found}}", ">= 0"),
        ("default: {wait_s: 1, interval_s: 60, repeat_s: .inf, source: {text: t, confidence: found}}", "<= 604800"),
        ("default: {wait_s: 1, interval_s: 0, repeat_s: 60, source: {text: t, confidence: found}}", ">= 1"),
        ("default: {wait_s: 1, interval_s: 9, repeat_s: 60}", "source"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(text: str, says: str) -> None:
    with pytest.raises(BadGrouping, match=says):
        read(text)


def test_a_category_of_its_own_pace_in_the_shipped_table() -> None:
    found: Any = grouping("suqian")
    assert (found.pace("waterlogging").wait_s, found.pace("waterlogging").repeat_s) == (10, 1800)
    assert found.pace("gas_leak").wait_s == 0
