"""Where two moves of a ticket meet: what one of them leaves for the other."""

from __future__ import annotations

from datetime import timedelta

from command_center.ticket.deadline import acted, deadlines_of
from command_center.ticket.ticket import Move, Status, Ticket
from tests.command_center.ticket.opened import CELL, COUNTY, NOW, TABLE, TOWN, TREE, desk
from tests.command_center.ticket.test_ticket import HOUR, OTHER_TOWN, accepted, go, handled, reported, travel


def late_and_closed() -> Ticket:
    late, _ = acted(accepted(), TREE, TABLE, NOW + 9 * HOUR)
    return travel(late, (Move.FINISH, TOWN), (Move.CLOSE, COUNTY))


def test_a_ticket_closed_under_a_check_is_that_of_the_desk_that_did_the_work() -> None:
    closed = go(go(handled(), Move.CHECK, COUNTY, to=OTHER_TOWN), Move.FORCE_CLOSE, COUNTY)
    assert (closed.status, closed.holder.region, closed.desk) == (Status.CLOSED, TOWN, None)
    assert go(closed, Move.REOPEN, COUNTY).holder == desk(TOWN)


def test_a_report_closed_before_it_was_filed_is_reopened_with_the_time_of_its_category() -> None:
    closed = go(go(reported(), Move.VERIFY, TOWN, to=CELL), Move.FORCE_CLOSE, COUNTY)
    again = go(closed, Move.REOPEN, COUNTY)
    assert again.holder == desk(TOWN)
    assert again.due_at == TABLE.due_at(again.place.category, again.severity, NOW) > NOW
    assert deadlines_of(again)["handling"] == again.due_at


def test_an_evaluation_leaves_the_appeal_that_waits() -> None:
    one = travel(late_and_closed(), (Move.APPEAL, TOWN), (Move.EVALUATE, COUNTY))
    assert one.request is not None
    assert go(one, Move.GRANT, COUNTY).request is not None


def test_an_appeal_that_a_reopening_cuts_off_may_be_made_again() -> None:
    one = travel(late_and_closed(), (Move.APPEAL, TOWN), (Move.REOPEN, COUNTY))
    assert (one.request, one.appealed) == (None, False)
    one = travel(one, (Move.ACCEPT, TOWN), (Move.FINISH, TOWN), (Move.CLOSE, COUNTY), (Move.APPEAL, TOWN))
    assert one.appealed


def test_work_done_after_its_time_is_late_also_when_the_system_had_not_said_so_yet() -> None:
    one = accepted()
    assert go(one, Move.FINISH, TOWN, at=one.due_at).overdues == 0
    late = go(one, Move.FINISH, TOWN, at=one.due_at + timedelta(seconds=1))
    assert (late.overdue_at, late.overdues) == (one.due_at + timedelta(seconds=1), 1)
