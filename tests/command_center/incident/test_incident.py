"""An incident grows with its signals and closes with its ticket."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from command_center.incident.incident import Incident, absorbed, event_of, following, joined, merged, opened, shown
from tests.command_center.ticket.opened import CELL, INCIDENT, NOW, TREE, alert

TICKET = UUID(int=9)


def incident(severity: int = 2) -> Incident:
    return opened(alert(severity), INCIDENT, TICKET, 12, NOW)


def test_an_incident_opens_with_what_its_first_alert_says() -> None:
    one = incident()
    assert (one.id, one.ticket, one.status, one.severity, one.title) == (INCIDENT, TICKET, "open", 2, "积水 2")
    assert (one.cell, one.scope, one.signals, one.version) == (CELL, TREE[CELL].scope, 1, 1)
    assert one.opened_at == one.last_signal_at == NOW


def test_a_graver_signal_gives_severity_and_title() -> None:
    one = joined(incident(), alert(4), new_signal=True, now=NOW + timedelta(minutes=1))
    assert (one.severity, one.title, one.title_en) == (4, "积水 4", "Flood 4")
    assert (one.signals, one.version, one.last_signal_at) == (2, 2, NOW + timedelta(minutes=1))
    assert one.opened_at == NOW


def test_of_two_incidents_that_are_one_the_survivor_has_all_signals_and_the_gravest_title() -> None:
    one, grave = incident(2), opened(alert(4), UUID(int=5), UUID(int=6), 13, NOW + timedelta(minutes=1))
    after, gone = absorbed(one, grave), merged(grave, one.id)
    assert (after.id, after.signals, after.severity, after.title, after.version) == (INCIDENT, 2, 4, "积水 4", 2)
    assert after.last_signal_at == grave.last_signal_at
    assert (gone.status, gone.merged_into, gone.signals, gone.version) == ("merged", INCIDENT, 0, 2)
    assert shown(gone)["merged_into"] == str(INCIDENT)
    kept = absorbed(one, grave, raises=False)
    assert (kept.severity, kept.title, kept.signals) == (2, "积水 2", 2)


def test_a_lesser_or_equal_signal_changes_neither_severity_nor_title() -> None:
    for severity in (1, 2):
        one = joined(incident(), alert(severity, title="another"), new_signal=True, now=NOW)
        assert (one.severity, one.title, one.signals) == (2, "积水 2", 2)


def test_a_signal_that_grew_is_not_counted_twice() -> None:
    one = joined(incident(), alert(3), new_signal=False, now=NOW)
    assert (one.signals, one.severity, one.version) == (1, 3, 2)


def test_the_last_signal_s_time_never_goes_back() -> None:
    assert joined(incident(), alert(), new_signal=True, now=NOW - timedelta(hours=1)).last_signal_at == NOW


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=12))
def test_whatever_joins_the_gravest_counts_and_every_change_is_a_version(found: list[tuple[int, bool]]) -> None:
    one = incident()
    for severity, new in found:
        one = joined(one, alert(severity), new_signal=new, now=NOW)
    gravest = max([2, *(severity for severity, _ in found)])
    assert (one.severity, one.title) == (gravest, f"积水 {gravest}")
    assert one.signals == 1 + sum(new for _, new in found)
    assert one.version == 1 + len(found)


def test_an_incident_ends_with_its_ticket_and_is_open_again_when_that_is_reopened() -> None:
    one = following(incident(), "closed", 4)
    assert one is not None
    assert (one.status, one.version, one.severity, one.signals) == ("closed", 2, 2, 1)
    again = following(one, "open", 4)
    assert again is not None
    assert (again.status, again.version) == ("open", 3)
    assert following(again, "open", 4) is None


def test_an_incident_is_shown_by_number_to_whoever_sees_its_place() -> None:
    one = incident()
    event = event_of(one)
    assert shown(one)["number"] == "I000012"
    assert event.data == shown(one)
    assert event.before == event.after == (TREE[CELL].scope,)
    assert (event.kind, event.id, event.version) == ("incident", str(INCIDENT), 1)
