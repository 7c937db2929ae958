"""The life of a ticket told as stories: one table of moves, and a ticket that is the fold of its steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from command_center.ticket.clock import Limit, Unit
from command_center.ticket.deadline import acted, deadlines_of, graded, recounted
from command_center.ticket.decide import (
    BadWish,
    IllegalMove,
    NoSuchTarget,
    NotYours,
    ReasonMissing,
    Wish,
    decide,
    machine_step,
    offers,
)
from command_center.ticket.table import TRANSITIONS, Who
from command_center.ticket.ticket import (
    ENDED,
    Cause,
    Filing,
    Move,
    Status,
    Step,
    Ticket,
    after,
    audience,
    event_of,
    fold,
    responsible,
    shown,
)
from command_center.work_calendar import StatedDay, WorkCalendar
from gis.region import TIERS
from tests.command_center.ticket.opened import (
    CELL,
    CITY_DESK,
    COUNTY,
    NOW,
    TABLE,
    TOWN,
    TREE,
    VILLAGE,
    actor,
    desk,
    ticket,
    trail,
)
from tests.small_city import COUNTIES, cell_code

OTHER_TOWN = TREE.path(cell_code(0, 2))[2].code
OTHER_VILLAGE = TREE.path(cell_code(0, 1, 2))[3].code
HOUR = timedelta(hours=1)
DOWN = [CITY_DESK, COUNTY, TOWN, VILLAGE]
_ROUND: dict[Move, dict[str, Any]] = {
    Move.VERIFIED: {"ok": True},
    Move.CHECKED: {"ok": True},
    Move.EVALUATE: {"score": 4},
}


def step(one: Ticket, what: Move, by: str, *, at: datetime = NOW, reason: str | None = "因为", **more: Any) -> Step:
    wish = Wish(what, one.version, reason=reason, **_ROUND.get(what, {}) | more)
    return decide(one, wish, actor(by), TREE, TABLE, at)


def go(one: Ticket, what: Move, by: str, **more: Any) -> Ticket:
    return after(one, step(one, what, by, **more))


def travel(one: Ticket, *moves: tuple[Move, str]) -> Ticket:
    for what, by in moves:
        one = go(one, what, by)
    return one


def accepted(region: str = TOWN, severity: int = 2) -> Ticket:
    one = travel(replace(ticket(severity), holder=desk(region)), (Move.ACCEPT, region))
    assert one.status is Status.ACCEPTED
    return one


def handled() -> Ticket:
    return go(accepted(), Move.FINISH, TOWN)


def reported() -> Ticket:
    """A person's report that the township has to look at."""
    place, _ = trail()
    due = TABLE.stage_due("filing", 1, NOW)
    facts = {"severity": 1, "title": "井盖缺失", "title_en": "Cover missing", "due_at": due, "stage_due_at": due}
    return fold(place, [Step(1, Move.REPORT, NOW, Status.REPORTED, desk(TOWN), facts=facts)])


def refused(one: Ticket, what: Move, by: str, error: type[Exception] = IllegalMove, **more: Any) -> None:
    with pytest.raises(error):
        step(one, what, by, **more)


def by_itself(one: Ticket, now: datetime) -> tuple[Ticket, list[Move]]:
    found, steps = acted(one, TREE, TABLE, now)
    return found, [own.move for own in steps]


# What a holder (H), a desk above (A), a helper (P) and the system (S) may do from each status: written out once more, so that
# the table cannot drift unseen.
_DESK = "dispatch:H return:H hand_up:H merge:HAS ask_extension:H ask_suspension:H grant:A refuse:A"
_WAITING = f"{_DESK} accept:H self_handle:H"
_ALWAYS = (
    "force_close:A raise:S grave:S absorb:S release:S recount:S tell:S report_lapse:S report_up:HA report_final:HA"
)
_HELP = "help_accept:P help_done:P help_decline:P help_lapse:S"
_RUNNING = f"{_ALWAYS} {_HELP} supervise:AS remind:AS overdue:S lapse:S escalate:S"
MAY = {
    "reported": f"{_RUNNING} verify:H file:H void:H merge:HA self_handle:H",
    "verifying": f"{_RUNNING} verified:H",
    "filed": f"{_RUNNING} {_WAITING}",
    "dispatched": f"{_RUNNING} {_WAITING}",
    "returned": f"{_RUNNING} {_WAITING}",
    "accepted": f"{_RUNNING} {_DESK} finish:H assist:H",
    "arbitrating": f"{_RUNNING} arbitrate:H merge:S",
    "suspended": f"{_ALWAYS} resume:HAS merge:S",
    "handled": f"{_RUNNING} check:A rework:A close:A merge:S",
    "checking": f"{_RUNNING} checked:H merge:S",
    "closed": "evaluate:A reopen:A appeal:H grant:A refuse:A",
    "evaluated": "reopen:A appeal:H grant:A refuse:A",
    "void": "reopen:A",
    "merged": "split:HA",
}
_LETTERS = {"H": Who.HOLDER, "A": Who.ABOVE, "P": Who.HELPER, "S": Who.SYSTEM}


@pytest.mark.parametrize("status", Status)
def test_each_move_is_possible_from_where_and_for_whom_the_table_says(status: Status) -> None:
    stated = dict(entry.split(":") for entry in MAY[status].split())
    found = {str(move): transition.who for (own, move), transition in TRANSITIONS.items() if own is status}
    assert found == {move: {_LETTERS[letter] for letter in letters} for move, letters in stated.items()}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("by", [TOWN, COUNTY, CITY_DESK, VILLAGE, OTHER_TOWN, COUNTIES[1]])
def test_who_is_neither_holder_nor_above_nor_helper_may_do_nothing(status: Status, by: str) -> None:
    one = replace(accepted(), status=status, desk=desk(COUNTY))
    whose = {TOWN: Who.HOLDER, COUNTY: Who.ABOVE, CITY_DESK: Who.ABOVE}.get(by)
    for what in Move:
        transition = TRANSITIONS.get((status, what))
        if transition is None or transition.who == {Who.SYSTEM}:
            refused(one, what, by)
        elif whose not in transition.who:
            refused(one, what, by, NotYours)


def test_an_organisation_acts_on_what_was_routed_to_it_and_on_nothing_else() -> None:
    one = replace(ticket(2), holder=replace(desk(TOWN), org="water"))
    water, police = replace(actor(TOWN), org="water"), replace(actor(TOWN), org="police")
    assert decide(one, Wish(Move.ACCEPT, 1), water, TREE, TABLE, NOW).status is Status.ACCEPTED
    with pytest.raises(NotYours):
        decide(one, Wish(Move.ACCEPT, 1), police, TREE, TABLE, NOW)
    assert offers(one, police, TREE, TABLE, NOW) == []


@pytest.mark.parametrize("reason", [None, "", "  \n"])
def test_a_move_that_needs_a_reason_has_none_without_words(reason: str | None) -> None:
    refused(accepted(), Move.RETURN, TOWN, ReasonMissing, reason=reason)
    refused(handled(), Move.REWORK, COUNTY, ReasonMissing, reason=reason)
    refused(accepted(), Move.FORCE_CLOSE, COUNTY, ReasonMissing, reason=reason)
    assert step(handled(), Move.CLOSE, COUNTY, reason=reason).reason is None


def test_a_ticket_travels_from_the_city_to_the_grid_and_each_return_goes_to_who_sent_it() -> None:
    below = travel(ticket(), *((Move.DISPATCH, by) for by in DOWN))
    assert (below.holder, below.status) == (desk(CELL), Status.DISPATCHED)
    assert [travel(ticket(), *((Move.DISPATCH, by) for by in DOWN[:n])).holder.tier for n in range(5)] == list(TIERS)
    straight = go(ticket(), Move.DISPATCH, CITY_DESK, to=CELL)
    assert straight.holder == desk(CELL)
    back = go(straight, Move.RETURN, CELL)
    assert (back.holder, back.status) == (desk(CITY_DESK), Status.RETURNED)


def test_a_ticket_goes_down_to_any_desk_below_and_up_only_as_far_as_it_is_grave() -> None:
    one = replace(ticket(3), holder=desk(COUNTY))
    assert go(one, Move.DISPATCH, COUNTY).holder == desk(TOWN)
    assert go(one, Move.DISPATCH, COUNTY, to=OTHER_TOWN).holder == desk(OTHER_TOWN)
    for to in (CITY_DESK, COUNTY, COUNTIES[1], "nowhere"):
        refused(one, Move.DISPATCH, COUNTY, NoSuchTarget, to=to)
    mild, grave = (replace(ticket(severity), holder=desk(VILLAGE)) for severity in (2, 3))
    assert go(mild, Move.HAND_UP, VILLAGE).holder == desk(TOWN)
    refused(mild, Move.HAND_UP, VILLAGE, NoSuchTarget, to=CITY_DESK)
    assert go(grave, Move.HAND_UP, VILLAGE, to=CITY_DESK).holder == desk(CITY_DESK)
    refused(replace(one, holder=desk(CELL)), Move.DISPATCH, CELL, NoSuchTarget)
    refused(replace(one, holder=desk(CITY_DESK)), Move.RETURN, CITY_DESK, NoSuchTarget)


def test_after_two_returns_the_lowest_desk_above_both_decides_and_that_binds() -> None:
    one = travel(ticket(3), (Move.DISPATCH, COUNTY), (Move.RETURN, TOWN))
    assert (one.status, one.holder, one.returns) == (Status.RETURNED, desk(COUNTY), 1)
    one = go(one, Move.DISPATCH, COUNTY, to=OTHER_TOWN)
    due = one.due_at
    last = step(one, Move.RETURN, OTHER_TOWN, cause=Cause.NOT_OURS, at=NOW + HOUR)
    assert last.told == {"cause": "not_ours"}
    one = after(one, last)
    assert (one.status, one.holder, one.returns) == (Status.ARBITRATING, desk(COUNTY), 2)
    assert one.due_at == due, "the clock keeps running"
    assert {offer.move for offer in offers(one, actor(COUNTY), TREE, TABLE, NOW)} == {Move.ARBITRATE}
    one = go(one, Move.ARBITRATE, COUNTY, to=OTHER_TOWN)
    assert (one.status, one.holder, one.binding) == (Status.DISPATCHED, desk(OTHER_TOWN), OTHER_TOWN)
    refused(one, Move.RETURN, OTHER_TOWN)
    refused(one, Move.HAND_UP, OTHER_TOWN)
    assert go(one, Move.ACCEPT, OTHER_TOWN).status is Status.ACCEPTED


def test_a_desk_that_returns_twice_is_judged_by_the_one_above_it() -> None:
    one = ticket(3)
    for _ in range(2):
        one = travel(one, (Move.DISPATCH, COUNTY), (Move.RETURN, TOWN))
    assert (one.status, one.holder) == (Status.ARBITRATING, desk(COUNTY))


def test_an_extension_adds_the_original_limit_twice_and_only_before_overdue() -> None:
    one = accepted(severity=2)
    first = one.due_at
    for n in (1, 2):
        one = go(go(one, Move.ASK_EXTENSION, TOWN), Move.GRANT, COUNTY)
        assert (one.extensions, one.due_at) == (n, first + n * timedelta(hours=8))
    refused(one, Move.ASK_EXTENSION, TOWN)
    other = accepted(severity=2)
    refused(other, Move.ASK_EXTENSION, TOWN, at=other.due_at)
    asked = go(other, Move.ASK_EXTENSION, TOWN)
    assert responsible(asked) == COUNTY
    refused(asked, Move.GRANT, TOWN, NotYours)
    refused(asked, Move.ASK_SUSPENSION, TOWN, until=NOW + HOUR)
    refused(asked, Move.GRANT, COUNTY, at=other.due_at)
    assert go(asked, Move.REFUSE, COUNTY).due_at == other.due_at


def test_a_suspension_stops_the_clock_once_at_most_a_year_and_ends_by_itself() -> None:
    one = accepted(severity=2)
    for until in (None, NOW, NOW + timedelta(days=366)):
        refused(one, Move.ASK_SUSPENSION, TOWN, BadWish, until=until)
    until = NOW + timedelta(days=30)
    one = go(go(one, Move.ASK_SUSPENSION, TOWN, until=until), Move.GRANT, COUNTY, at=NOW + HOUR)
    assert (one.status, deadlines_of(one)) == (Status.SUSPENDED, {"resume": until})
    assert by_itself(one, until - HOUR) == (one, [])
    one, moves = by_itself(one, until)
    assert (one.status, moves) == (Status.ACCEPTED, [Move.RESUME])
    assert one.due_at == until + timedelta(hours=7), "seven of its eight hours were left"
    refused(one, Move.ASK_SUSPENSION, TOWN, until=until + HOUR)


def test_overdue_acts_by_itself_remind_supervise_up_and_to_the_city() -> None:
    one = accepted(VILLAGE, severity=1)
    due = one.due_at
    one, moves = by_itself(one, due)
    assert (moves, one.overdue_at, one.overdues) == ([Move.OVERDUE, Move.REMIND], due, 1)
    one, moves = by_itself(one, due + HOUR)
    assert moves == [Move.SUPERVISE]
    assert one.supervised_at == due + HOUR
    one, moves = by_itself(one, due + 2 * HOUR)
    assert (moves, one.holder, one.status) == ([Move.ESCALATE], desk(TOWN), Status.DISPATCHED)
    assert one.why is not None
    assert one.why.how == "escalated"
    one, moves = by_itself(one, due + 6 * HOUR)
    assert (moves, one.holder) == ([Move.ESCALATE], desk(CITY_DESK))
    for n in range(1, 4):
        one, moves = by_itself(one, due + 6 * HOUR + n * timedelta(minutes=240))
        assert moves == [Move.REMIND], "the last desk is reminded until somebody acts"
    assert one.overdue_at == due


def test_a_stage_that_takes_too_long_climbs_too_and_an_acceptance_ends_that() -> None:
    one = replace(ticket(1), holder=desk(VILLAGE))
    until = one.stage_due_at
    assert until is not None
    one, moves = by_itself(one, until)
    assert moves == [Move.LAPSE, Move.REMIND]
    assert one.overdue_at is None
    one = go(one, Move.ACCEPT, VILLAGE, at=until)
    assert (one.rung_at, deadlines_of(one)) == (None, {"handling": one.due_at})


def test_finished_work_that_nobody_checks_calls_for_the_desks_above_and_stays_where_it_is() -> None:
    one = handled()
    until = one.stage_due_at
    assert until is not None
    assert set(deadlines_of(one)) == {"stage"}
    assert responsible(one) == COUNTY
    for n in range(6):
        one, moves = by_itself(one, until + n * timedelta(days=1))
        assert moves
    assert (one.holder.region, responsible(one), one.overdue_at) == (TOWN, CITY_DESK, None)


def test_work_is_checked_on_site_sent_back_and_closed() -> None:
    one = go(handled(), Move.CHECK, COUNTY, to=OTHER_TOWN)
    assert (one.status, one.holder.region) == (Status.CHECKING, OTHER_TOWN)
    assert TREE[TOWN].scope in audience(one) or one.place.scope.startswith(TREE[TOWN].scope)
    refused(one, Move.CHECKED, OTHER_TOWN, BadWish, ok=None)
    one = go(one, Move.CHECKED, OTHER_TOWN, ok=False)
    assert (one.status, one.holder.region, one.checked) == (Status.HANDLED, TOWN, False)
    one = go(one, Move.REWORK, COUNTY, at=NOW + 3 * HOUR)
    assert (one.status, one.handled_at, one.holder) == (Status.DISPATCHED, None, desk(TOWN))
    assert one.due_at == NOW + 11 * HOUR, "the clock stood while others looked"
    one = travel(one, (Move.ACCEPT, TOWN), (Move.FINISH, TOWN), (Move.CLOSE, COUNTY), (Move.EVALUATE, COUNTY))
    assert (one.status, one.score, deadlines_of(one), responsible(one)) == (Status.EVALUATED, 4, {}, None)
    refused(go(handled(), Move.CLOSE, COUNTY), Move.EVALUATE, COUNTY, BadWish, score=6)


def test_nobody_checks_his_own_work() -> None:
    refused(handled(), Move.CLOSE, TOWN, NotYours)
    refused(handled(), Move.CHECK, COUNTY, NoSuchTarget, to=VILLAGE)
    city = go(accepted(CITY_DESK), Move.FINISH, CITY_DESK)
    assert go(city, Move.CLOSE, CITY_DESK).status is Status.CLOSED, "above the city stands the city itself"


def test_a_matter_mended_on_the_spot_is_handled_at_once() -> None:
    one = go(replace(ticket(1), holder=desk(CELL)), Move.SELF_HANDLE, CELL)
    assert (one.status, one.accepted_at, one.handled_at, one.holder.account) == (Status.HANDLED, NOW, NOW, f"u-{CELL}")


def test_a_closed_ticket_is_reopened_with_its_whole_limit() -> None:
    one = go(handled(), Move.CLOSE, COUNTY)
    one = go(one, Move.REOPEN, COUNTY, at=NOW + 24 * HOUR)
    assert (one.status, one.closed_at, one.reopened) == (Status.DISPATCHED, None, 1)
    assert one.due_at == NOW + 32 * HOUR


def test_an_appeal_is_made_once_judged_twice_and_leaves_the_overdue_fact() -> None:
    late, _ = by_itself(accepted(), NOW + 9 * HOUR)
    closed = travel(late, (Move.FINISH, TOWN), (Move.CLOSE, COUNTY))
    refused(go(handled(), Move.CLOSE, COUNTY), Move.APPEAL, TOWN)
    one = go(go(closed, Move.APPEAL, TOWN), Move.GRANT, COUNTY)
    assert (one.exempt, one.request is not None) == (False, True)
    refused(one, Move.GRANT, COUNTY, NotYours)
    one = go(one, Move.GRANT, CITY_DESK)
    assert (one.exempt, one.overdues, one.overdue_at) == (True, 1, NOW + 9 * HOUR)
    refused(one, Move.APPEAL, TOWN)


def test_helpers_answer_before_the_lead_is_done() -> None:
    one = go(accepted(), Move.ASSIST, TOWN, to=COUNTIES[1], reason="请派泵车")
    assert TREE[COUNTIES[1]].scope in audience(one)
    assert f"help:{COUNTIES[1]}" in deadlines_of(one)
    refused(one, Move.FINISH, TOWN)
    refused(one, Move.ASSIST, TOWN, NoSuchTarget, to=COUNTIES[1])
    assert {offer.move for offer in offers(one, actor(COUNTIES[1]), TREE, TABLE, NOW)} >= {Move.HELP_ACCEPT}
    one = go(one, Move.HELP_ACCEPT, COUNTIES[1])
    one, moves = by_itself(one, NOW + 8 * HOUR)
    assert Move.HELP_LAPSE in moves
    one = go(one, Move.HELP_DONE, COUNTIES[1], reason="已抽排")
    assert one.helpers[0].answer == "已抽排"
    assert go(one, Move.FINISH, TOWN).status is Status.HANDLED


def test_a_grave_event_is_reported_up_by_its_own_clock() -> None:
    one = accepted()
    first = graded(one, 2, TABLE, NOW)
    assert first is not None
    one = after(one, first)
    assert deadlines_of(one)["upward"] == NOW + timedelta(minutes=15)
    one, moves = by_itself(one, NOW + timedelta(minutes=15))
    assert moves == [Move.REPORT_LAPSE]
    refused(one, Move.REPORT_FINAL, TOWN)
    one = go(one, Move.REPORT_UP, TOWN, reason="电话初报")
    assert deadlines_of(one)["upward"] == NOW + timedelta(minutes=30)
    one = go(one, Move.REPORT_UP, TOWN, reason="书面报告")
    assert deadlines_of(one)["upward"] == NOW + 24 * HOUR
    done = go(one, Move.FINISH, TOWN)
    refused(done, Move.CLOSE, COUNTY)
    assert travel(done, (Move.REPORT_FINAL, COUNTY), (Move.CLOSE, COUNTY)).status is Status.CLOSED
    assert graded(accepted(), 4, TABLE, NOW) is None, "an ordinary event is not reported up"


def test_a_report_is_verified_on_site_and_filed_under_a_condition_or_declared_void() -> None:
    one = reported()
    assert set(deadlines_of(one)) == {"stage"}
    asked = go(one, Move.VERIFY, TOWN, to=CELL)
    assert (asked.status, asked.holder) == (Status.VERIFYING, desk(CELL))
    back = go(asked, Move.VERIFIED, CELL, ok=True)
    assert (back.status, back.holder, back.verified) == (Status.REPORTED, desk(TOWN), True)
    condition = Filing(7, "C-0101", "缺失", "恢复", "2紧急工作时")
    filed = go(back, Move.FILE, TOWN, filing=condition, limit=Limit(2, Unit.CONTINUOUS))
    assert (filed.status, filed.due_at, filed.filing, filed.small_class) == (
        Status.FILED,
        NOW + 2 * HOUR,
        condition,
        "C-0101",
    )
    void = go(back, Move.VOID, TOWN, reason="无此问题")
    assert (void.status, void.closed_at) == (Status.VOID, NOW)
    again = go(void, Move.REOPEN, COUNTY)
    assert (again.status, set(deadlines_of(again))) == (Status.REPORTED, {"stage"})


def test_a_merged_ticket_ends_with_its_master_named_and_is_split_off_again() -> None:
    one = accepted()
    master = replace(one.place, id=one.place.incident).id
    refused(one, Move.MERGE, TOWN, BadWish, to="T1")
    refused(one, Move.MERGE, TOWN, NoSuchTarget, to=str(one.place.id))
    merged = go(one, Move.MERGE, TOWN, to=str(master))
    assert (merged.status, merged.merged_into, merged.closed_at) == (Status.MERGED, master, NOW)
    split = go(merged, Move.SPLIT, TOWN)
    assert (split.status, split.merged_into, split.closed_at) == (Status.FILED, None, None)
    assert deadlines_of(split)


def test_a_graver_matter_leaves_the_ticket_where_it_is() -> None:
    one = accepted()
    graver = after(one, machine_step(one, Move.RAISE, TABLE, NOW, severity=4, title="深", title_en="deep"))
    assert (graver.severity, graver.title, graver.status, graver.holder) == (4, "深", one.status, one.holder)
    for status in ENDED:
        with pytest.raises(IllegalMove):
            machine_step(replace(one, status=status), Move.RAISE, TABLE, NOW, severity=4)


def test_another_calendar_moves_working_time_and_nothing_else() -> None:
    friday = datetime(2026, 11, 27, 16, tzinfo=TABLE.offices.zone)
    clock = TABLE.counted(friday, Limit(4, Unit.WORKING_HOURS))
    one = replace(accepted(), **clock)
    assert one.due_at == datetime(2026, 11, 30, 10, tzinfo=friday.tzinfo)
    saturday = StatedDay(friday.date() + timedelta(days=1), is_workday=True, source="notice", verified=True)
    moved = recounted(one, TABLE.on(WorkCalendar((saturday,))), friday)
    assert moved is not None
    assert moved.move is Move.RECOUNT
    assert moved.facts["due_at"] == datetime(2026, 11, 28, 10, tzinfo=friday.tzinfo)
    assert recounted(one, TABLE, friday) is None
    assert recounted(accepted(), TABLE.on(WorkCalendar((saturday,))), NOW) is None


def test_a_limit_that_reaches_into_a_year_not_published_yet_says_so() -> None:
    last = datetime(2026, 12, 31, 17, tzinfo=TABLE.offices.zone)
    assert TABLE.counted(last, Limit(4, Unit.WORKING_HOURS))["provisional"]
    assert not TABLE.counted(last, Limit(4, Unit.CONTINUOUS))["provisional"]


def test_a_ticket_sent_beside_its_place_is_seen_there_too_and_leaves_that_sight_again() -> None:
    one = replace(ticket(3), holder=desk(COUNTY))
    beside = go(one, Move.DISPATCH, COUNTY, to=OTHER_TOWN)
    assert audience(one) == (one.place.scope,)
    assert audience(beside) == (one.place.scope, TREE[OTHER_TOWN].scope)
    event = event_of(go(beside, Move.RETURN, OTHER_TOWN), beside)
    assert (event.before, event.after) == (audience(beside), (one.place.scope,))


def test_the_log_calls_a_new_ticket_unseen_before() -> None:
    event = event_of(ticket())
    assert (event.kind, event.version, event.before, event.after) == ("ticket", 1, (), (TREE[CELL].scope,))


def test_a_ticket_is_shown_with_its_path_its_holder_and_its_times() -> None:
    one = travel(ticket(), (Move.ACCEPT, CITY_DESK))
    data: dict[str, Any] = shown(one)
    assert [part["tier"] for part in data["path"]] == list(TIERS)
    assert [part["region"] for part in data["path"]][-1] == data["cell"] == CELL
    assert data["holder"]["account"] == f"u-{CITY_DESK}"
    assert (data["opened_at"], data["accepted_at"], data["closed_at"]) == (NOW.isoformat(), NOW.isoformat(), None)
    assert data["limit"] == {"amount": 2.0, "unit": "continuous"}
