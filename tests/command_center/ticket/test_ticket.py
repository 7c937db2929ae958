"""The life of a ticket: one table of moves, and a ticket that is the fold of its steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.ticket.ticket import (
    IllegalMove,
    Move,
    NoSuchTarget,
    NotYours,
    ReasonMissing,
    Status,
    Step,
    Ticket,
    after,
    audience,
    decide,
    event_of,
    fold,
    machine_step,
    may_see,
    offers,
    shown,
)
from gis.region import TIERS
from tests.command_center.ticket.opened import (
    CELL,
    CITY_DESK,
    COUNTY,
    NOW,
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
SYSTEM = (Move.RAISE, Move.OVERDUE)

# Who may do what to a ticket that a township holds: written out here once more, so that the table cannot drift unseen.
HOLDER_MAY = {
    Status.FILED: {Move.DISPATCH, Move.ACCEPT},
    Status.DISPATCHED: {Move.DISPATCH, Move.ACCEPT, Move.RETURN},
    Status.ACCEPTED: {Move.DISPATCH, Move.RETURN, Move.FINISH},
    Status.RETURNED: {Move.DISPATCH, Move.ACCEPT, Move.RETURN},
    Status.HANDLED: set(),
    Status.CLOSED: set(),
}
ABOVE_MAY = {status: {Move.REWORK, Move.CLOSE} if status is Status.HANDLED else set() for status in Status}
BECOMES = {
    Move.DISPATCH: Status.DISPATCHED,
    Move.ACCEPT: Status.ACCEPTED,
    Move.RETURN: Status.RETURNED,
    Move.FINISH: Status.HANDLED,
    Move.REWORK: Status.DISPATCHED,
    Move.CLOSE: Status.CLOSED,
}
NEED_REASON = {Move.RETURN, Move.REWORK}
ACTORS = {
    "holder": TOWN,
    "county": COUNTY,
    "city": CITY_DESK,
    "below": VILLAGE,
    "beside": OTHER_TOWN,
    "far": COUNTIES[1],
}


def standing(status: Status, region: str = TOWN) -> Ticket:
    """A ticket in that status at that desk."""
    return replace(ticket(), status=status, holder=desk(region))


def move(
    one: Ticket, what: Move, by: str, *, to: str | None = None, reason: str | None = "因为", at: datetime = NOW
) -> Step:
    return decide(one, what, actor(by), TREE, at, to=to, reason=reason)


@pytest.mark.parametrize(("status", "what", "who"), list(product(Status, Move, ACTORS)))
def test_each_move_is_possible_from_where_and_for_whom_the_table_says(status: Status, what: Move, who: str) -> None:
    one = standing(status)
    by = ACTORS[who]
    allowed = {"holder": HOLDER_MAY, "county": ABOVE_MAY, "city": ABOVE_MAY}.get(who, {}).get(status, set())
    if what in allowed:
        step = move(one, what, by)
        assert (step.status, step.version, step.by, step.at) == (BECOMES[what], one.version + 1, actor(by), NOW)
        return
    somebody_may = what in HOLDER_MAY[status] | ABOVE_MAY[status]
    with pytest.raises(NotYours if somebody_may else IllegalMove, match=one.place.number):
        move(one, what, by)


@pytest.mark.parametrize(("status", "what"), list(product(Status, Move)))
def test_the_system_makes_its_own_moves_only_and_none_on_a_closed_ticket(status: Status, what: Move) -> None:
    one = standing(status)
    if what in SYSTEM and status is not Status.CLOSED:
        step = machine_step(one, what, NOW)
        assert (step.status, step.holder, step.version, step.by) == (status, one.holder, one.version + 1, None)
        return
    with pytest.raises(IllegalMove):
        machine_step(one, what, NOW)


@pytest.mark.parametrize("status", Status)
def test_above_the_city_stands_the_city_itself(status: Status) -> None:
    one = standing(status, CITY_DESK)
    for what in (Move.REWORK, Move.CLOSE):
        if status is Status.HANDLED:
            assert move(one, what, CITY_DESK).status is BECOMES[what]
            with pytest.raises(NotYours):
                move(one, what, COUNTY)
        else:
            with pytest.raises(IllegalMove):
                move(one, what, CITY_DESK)


@pytest.mark.parametrize("reason", [None, "", "  \n"])
@pytest.mark.parametrize("what", sorted(BECOMES))
def test_a_move_that_needs_a_reason_has_none_without_words(what: Move, reason: str | None) -> None:
    status = Status.HANDLED if what in {Move.REWORK, Move.CLOSE} else Status.ACCEPTED
    one = standing(Status.DISPATCHED if what is Move.ACCEPT else status)
    by = COUNTY if status is Status.HANDLED else TOWN
    if what in NEED_REASON:
        with pytest.raises(ReasonMissing):
            move(one, what, by, reason=reason)
    else:
        assert move(one, what, by, reason=reason).reason is None
    assert move(one, what, by, reason=" 水深 ").reason == "水深"


def test_a_ticket_goes_down_to_the_place_unless_somebody_says_where() -> None:
    one = standing(Status.FILED, COUNTY)
    assert move(one, Move.DISPATCH, COUNTY).holder == desk(TOWN)
    assert move(one, Move.DISPATCH, COUNTY, to=OTHER_TOWN).holder == desk(OTHER_TOWN)


@pytest.mark.parametrize("to", [CITY_DESK, COUNTY, VILLAGE, CELL, COUNTIES[1], "nowhere"])
def test_a_ticket_goes_one_tier_down_and_nowhere_else(to: str) -> None:
    with pytest.raises(NoSuchTarget, match=to):
        move(standing(Status.FILED, COUNTY), Move.DISPATCH, COUNTY, to=to)


@pytest.mark.parametrize("to", [CITY_DESK, VILLAGE, TOWN, OTHER_TOWN])
def test_a_ticket_goes_back_to_the_tier_above_and_nowhere_else(to: str) -> None:
    one = standing(Status.ACCEPTED)
    assert move(one, Move.RETURN, TOWN).holder == desk(COUNTY)
    with pytest.raises(NoSuchTarget):
        move(one, Move.RETURN, TOWN, to=to)


def test_nothing_lies_below_the_grid_or_above_the_city() -> None:
    with pytest.raises(NoSuchTarget, match="grid"):
        move(standing(Status.ACCEPTED, CELL), Move.DISPATCH, CELL)
    with pytest.raises(NoSuchTarget, match="city"):
        move(standing(Status.RETURNED, CITY_DESK), Move.RETURN, CITY_DESK)


@pytest.mark.parametrize("region", [CITY_DESK, COUNTY, TOWN, VILLAGE])
def test_the_place_s_own_path_is_offered_first_and_every_child_is_offered(region: str) -> None:
    [offer] = [o for o in offers(standing(Status.FILED, region), actor(region), TREE) if o.move is Move.DISPATCH]
    path = [part.code for part in TREE.path(CELL)]
    assert offer.to[0][0] == path[path.index(region) + 1]
    assert {code for code, _ in offer.to} == {child.code for child in TREE.children[region]}


def accepted(one: Ticket, what: Move, by: str, to: str | None) -> bool:
    try:
        move(one, what, by, to=to)
    except (IllegalMove, NotYours, NoSuchTarget):
        return False
    return True


@pytest.mark.parametrize(
    ("status", "region"), list(product(Status, [CITY_DESK, COUNTY, TOWN, OTHER_TOWN, VILLAGE, CELL, COUNTIES[1]]))
)
def test_what_is_offered_is_accepted_and_nothing_else_is(status: Status, region: str) -> None:
    one = standing(status, region)
    targets = {CITY_DESK, COUNTY, TOWN, OTHER_TOWN, VILLAGE, CELL, *COUNTIES}
    for by in {CITY_DESK, COUNTY, TOWN, OTHER_TOWN, VILLAGE, CELL, COUNTIES[1], COUNTIES[2]}:
        offered = {offer.move: offer for offer in offers(one, actor(by), TREE)}
        for what in Move:
            offer = offered.get(what)
            assert accepted(one, what, by, None) == (offer is not None)
            assert offer is None or offer.needs_reason == (what in NEED_REASON)
            for to in targets:
                reachable = offer is not None and (not offer.to or to in dict(offer.to))
                assert accepted(one, what, by, to) == reachable


def walk(data: st.DataObject) -> tuple[list[Step], list[Ticket]]:
    """A trail of moves that anybody was offered, the system's among them, and the ticket after each step."""
    place, first = trail(data.draw(st.integers(1, 4)))
    steps, tickets = [first], [fold(place, [first])]
    for n in range(data.draw(st.integers(0, 20))):
        one, now = tickets[-1], NOW + timedelta(minutes=n + 1)
        if one.status is Status.CLOSED:
            break
        if data.draw(st.integers(0, 5)) == 0:
            step = data.draw(st.sampled_from([raised(one, now), machine_step(one, Move.OVERDUE, now)]))
        else:
            step = data.draw(st.sampled_from(human_steps(one, now)))
        steps.append(step)
        tickets.append(after(one, step))
    return steps, tickets


def seeing(one: Ticket) -> set[str]:
    """The regions that see a ticket: those on the way to its place and those on the way to its holder."""
    return {region.code for code in (CELL, one.holder.region) for region in TREE.path(code)}


def raised(one: Ticket, now: datetime) -> Step:
    return machine_step(one, Move.RAISE, now, severity=4, title="更深", title_en="deeper", due_at=now)


def human_steps(one: Ticket, now: datetime) -> list[Step]:
    """Every step that the holder or a region above it is offered."""
    desks = {region.code for region in TREE.path(one.holder.region)}
    return [
        move(one, offer.move, by, to=to, at=now)
        for by in sorted(desks)
        for offer in offers(one, actor(by), TREE)
        for to in (*(code for code, _ in offer.to), None)
    ]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_wherever_a_ticket_travels_it_is_the_fold_of_its_steps(data: st.DataObject) -> None:
    steps, tickets = walk(data)
    place = tickets[0].place
    for n, one in enumerate(tickets, start=1):
        assert fold(place, steps[:n]) == one
        assert one.version == n == steps[n - 1].version
        assert one.place is place
        assert (one.holder.account is not None) == (one.accepted_at is not None)
        assert (one.closed_at is not None) == (one.status is Status.CLOSED)
        assert (one.handled_at is not None) == (one.status in {Status.HANDLED, Status.CLOSED})
        assert one.status is not Status.ACCEPTED or one.accepted_at is not None
        assert set(audience(one)) <= {place.scope, one.holder.scope}
        assert may_see(one, one.holder.scope)
        assert {code for code in TREE.regions if may_see(one, TREE[code].scope)} == seeing(one)
        assert shown(one)["version"] == n


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_ticket_that_is_not_closed_can_always_be_moved_and_a_closed_one_never(data: st.DataObject) -> None:
    one = walk(data)[1][-1]
    everybody = [actor(code) for code in TREE.regions]
    if one.status is Status.CLOSED:
        assert not any(offers(one, somebody, TREE) for somebody in everybody)
        for what in Move:
            with pytest.raises(IllegalMove):
                machine_step(one, what, NOW)
    else:
        assert any(offers(one, somebody, TREE) for somebody in everybody)


def travel(one: Ticket, *moves: tuple[Move, str]) -> Ticket:
    for what, by in moves:
        one = after(one, move(one, what, by))
    return one


DOWN = [CITY_DESK, COUNTY, TOWN, VILLAGE]


def test_a_ticket_travels_from_the_city_to_the_grid_and_back_up_to_the_city() -> None:
    below = travel(ticket(), *((Move.DISPATCH, by) for by in DOWN))
    assert (below.holder, below.status) == (desk(CELL), Status.DISPATCHED)
    back = travel(below, *((Move.RETURN, by) for by in [CELL, *reversed(DOWN[1:])]))
    assert (back.holder, back.status, back.version) == (desk(CITY_DESK), Status.RETURNED, 9)
    tiers = [travel(ticket(), *((Move.DISPATCH, by) for by in DOWN[:n])).holder.tier for n in range(5)]
    assert tuple(tiers) == TIERS


def test_a_ticket_is_accepted_finished_sent_back_and_finished_again_before_it_is_closed() -> None:
    one = travel(ticket(), *((Move.DISPATCH, by) for by in DOWN), (Move.ACCEPT, CELL))
    assert (one.holder.account, one.accepted_at) == (f"u-{CELL}", NOW)
    one = travel(one, (Move.FINISH, CELL))
    assert (one.handled_at, one.holder.account) == (NOW, f"u-{CELL}")
    one = travel(one, (Move.REWORK, VILLAGE))
    assert (one.handled_at, one.accepted_at, one.holder) == (None, None, desk(CELL))
    one = travel(one, (Move.ACCEPT, CELL), (Move.FINISH, CELL), (Move.CLOSE, COUNTY))
    assert (one.status, one.closed_at, one.holder.region) == (Status.CLOSED, NOW, CELL)


def test_whoever_hands_a_ticket_on_no_longer_has_it() -> None:
    one = travel(standing(Status.DISPATCHED), (Move.ACCEPT, TOWN), (Move.DISPATCH, TOWN))
    assert (one.holder, one.accepted_at) == (desk(VILLAGE), None)


def test_a_graver_matter_and_a_lapsed_deadline_leave_the_ticket_where_it_is() -> None:
    one = standing(Status.DISPATCHED)
    due = NOW + timedelta(minutes=5)
    graver = after(one, machine_step(one, Move.RAISE, NOW, severity=4, title="深", title_en="deep", due_at=due))
    assert (graver.severity, graver.title, graver.title_en, graver.due_at) == (4, "深", "deep", due)
    assert (graver.status, graver.holder) == (one.status, one.holder)
    assert after(one, machine_step(one, Move.OVERDUE, NOW)).overdue_at == NOW


def test_a_ticket_sent_beside_its_place_is_seen_there_too_and_leaves_that_sight_again() -> None:
    one = standing(Status.FILED, COUNTY)
    beside = after(one, move(one, Move.DISPATCH, COUNTY, to=OTHER_TOWN))
    assert audience(one) == (one.place.scope,)
    assert audience(beside) == (one.place.scope, TREE[OTHER_TOWN].scope)
    back = after(beside, move(beside, Move.RETURN, OTHER_TOWN))
    event = event_of(back, beside)
    assert event.before == audience(beside)
    assert event.after == (one.place.scope,)


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
