"""The whole table walked at random by everybody at once: no illegal state, and replaying the steps gives the ticket."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any, get_type_hints
from uuid import UUID

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from command_center.ticket.deadline import acted, deadlines_of, graded, recounted
from command_center.ticket.decide import IllegalMove, NoSuchTarget, NotYours, Offer, Wish, decide, machine_step, offers
from command_center.ticket.dispatch import MOST_EXTENSIONS, MOST_SUSPENSIONS
from command_center.ticket.table import TRANSITIONS
from command_center.ticket.ticket import (
    DONE,
    Actor,
    Cause,
    Move,
    Place,
    Status,
    Step,
    Ticket,
    after,
    audience,
    fold,
    may_see,
    responsible,
    shown,
)
from command_center.work_calendar import StatedDay, WorkCalendar
from tests.command_center.ticket.opened import CELL, NOW, TABLE, TREE, actor, desk, trail
from tests.small_city import COUNTIES, cell_code

_PLACES = {region.code for cell in (CELL, cell_code(0, 2), cell_code(1)) for region in TREE.path(cell)}
EVERYBODY = [actor(code) for code in sorted(_PLACES)]
_OTHER = str(UUID(int=99))
_TYPES = get_type_hints(Ticket)
_FROM = {(status, move): transition.status for (status, move), transition in TRANSITIONS.items()}


def stored(step: Step) -> Step:
    """A step as it comes back from the database."""
    facts = msgspec.json.decode(msgspec.json.encode(step.facts))
    return replace(step, facts={name: msgspec.convert(value, _TYPES[name]) for name, value in facts.items()})


def becomes_possible(before: Ticket, step: Step) -> bool:
    """Whether the table allows where a step took a ticket."""
    stated = _FROM.get((before.status, step.move))
    if stated is not None:
        back = {Status.ARBITRATING, Status.RETURNED}
        return step.status is stated or (step.move in {Move.RETURN, Move.HAND_UP} and step.status in back)
    if step.move is Move.ESCALATE and before.status is Status.ACCEPTED and step.holder.region != before.holder.region:
        return step.status is Status.DISPATCHED
    if step.move is Move.RESUME:
        return step.status is before.suspended_from
    return step.status is before.status or (step.move is Move.GRANT and step.status is Status.SUSPENDED)


class Life(RuleBasedStateMachine):
    """One ticket, all the people of three branches of the small city, the system, and time that passes."""

    place: Place
    steps: list[Step]
    ticket: Ticket
    now: datetime

    @initialize(severity=st.integers(1, 4), reported=st.booleans())
    def opens(self, severity: int, reported: bool) -> None:
        self.now = NOW
        self.place, first = trail(severity)
        if reported:
            until = TABLE.stage_due("filing", severity, NOW)
            facts = {"severity": severity, "title": "井盖", "title_en": "Cover", "due_at": until, "stage_due_at": until}
            first = Step(1, Move.REPORT, NOW, Status.REPORTED, desk(TREE.path(CELL)[2].code), facts=facts)
        self.steps, self.ticket, self.table = [first], fold(self.place, [first]), TABLE

    def take(self, step: Step) -> None:
        assert becomes_possible(self.ticket, step), (self.ticket.status, step.move, step.status)
        assert step.version == self.ticket.version + 1
        self.steps.append(step)
        self.ticket = after(self.ticket, step)

    def wish(self, offer: Offer, data: st.DataObject) -> Wish:
        more: dict[str, Any] = {}
        if "until" in offer.asks:
            more["until"] = self.now + timedelta(days=data.draw(st.integers(1, 365)))
        if "ok" in offer.asks:
            more["ok"] = data.draw(st.booleans())
        if "score" in offer.asks:
            more["score"] = data.draw(st.integers(1, 5))
        if "cause" in offer.asks:
            more["cause"] = data.draw(st.sampled_from(list(Cause)))
        to = data.draw(st.sampled_from([code for code, _ in offer.to])) if offer.to else None
        if offer.move is Move.MERGE:
            to = _OTHER
        return Wish(offer.move, self.ticket.version, to, "因为", **more)

    @rule(data=st.data(), who=st.sampled_from(EVERYBODY))
    def somebody_does_what_is_offered(self, data: st.DataObject, who: Actor) -> None:
        offered = offers(self.ticket, who, TREE, self.table, self.now)
        if not offered:
            return
        wish = self.wish(data.draw(st.sampled_from(offered)), data)
        try:
            step = decide(self.ticket, wish, who, TREE, self.table, self.now)
        except IllegalMove:
            # The one thing that an offer cannot know: a wished suspension may be over when it is granted.
            assert wish.move is Move.GRANT
            assert self.ticket.request is not None
            assert self.ticket.request.what == "suspension"
            return
        self.take(step)

    @rule(data=st.data())
    def the_holder_goes_on(self, data: st.DataObject) -> None:
        """So that a walk gets deep: somebody at random is mostly nobody."""
        own = responsible(self.ticket) or self.ticket.holder.region
        self.somebody_does_what_is_offered(data, actor(own))

    @rule(who=st.sampled_from(EVERYBODY), move=st.sampled_from(list(Move)))
    def what_is_not_offered_is_refused(self, who: Actor, move: Move) -> None:
        if move in {offer.move for offer in offers(self.ticket, who, TREE, self.table, self.now)}:
            return
        wish = Wish(move, self.ticket.version, None, "因为", until=self.now + timedelta(days=1), ok=True, score=3)
        with pytest.raises((IllegalMove, NotYours, NoSuchTarget)):
            decide(self.ticket, wish, who, TREE, self.table, self.now)

    @rule(minutes=st.sampled_from([1, 20, 90, 600, 5000, 600_000]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        _, steps = acted(self.ticket, TREE, self.table, self.now)
        for step in steps:
            self.take(step)
        assert not any(at <= self.now for at in deadlines_of(self.ticket).values())

    @rule(severity=st.integers(2, 4))
    def it_grows(self, severity: int) -> None:
        if not self.ticket.ended and severity > self.ticket.severity:
            self.take(machine_step(self.ticket, Move.RAISE, self.table, self.now, severity=severity))

    @rule(grade=st.sampled_from([None, 1, 2, 3, 4]))
    def people_grade_the_event(self, grade: int | None) -> None:
        step = graded(self.ticket, grade, self.table, self.now)
        if step is not None:
            self.take(step)

    @rule(day=st.integers(0, 20), works=st.booleans())
    def the_calendar_changes(self, day: int, works: bool) -> None:
        stated = StatedDay((self.now + timedelta(days=day)).date(), works, "notice", verified=True)
        self.table = TABLE.on(WorkCalendar((stated,)))
        step = recounted(self.ticket, self.table, self.now)
        if step is not None:
            self.take(step)

    @invariant()
    def the_steps_replayed_are_the_ticket(self) -> None:
        assert fold(self.place, self.steps) == self.ticket
        assert fold(self.place, [stored(step) for step in self.steps]) == self.ticket

    @invariant()
    def whatever_is_open_has_a_deadline_and_somebody(self) -> None:
        one = self.ticket
        if one.ended:
            assert deadlines_of(one) == {}
            assert responsible(one) is None
        else:
            assert deadlines_of(one)
            assert responsible(one) in TREE.regions
        assert (one.closed_at is not None) == one.ended

    @invariant()
    def the_bounds_hold(self) -> None:
        one = self.ticket
        assert one.extensions <= MOST_EXTENSIONS
        assert one.suspensions <= MOST_SUSPENSIONS
        assert (one.status is Status.SUSPENDED) == (one.suspended_from is not None) == (one.resumes_at is not None)
        assert one.status is not Status.RETURNED or one.returns < 2
        assert one.overdue_at is None or one.overdues > 0
        assert one.status is not Status.HANDLED or one.handled_at is not None
        assert (one.status is Status.CHECKING) <= (one.desk is not None)
        assert one.status in DONE or one.ended or one.status is Status.SUSPENDED or one.handled_at is None

    @invariant()
    def whoever_has_to_do_with_it_sees_it(self) -> None:
        one = self.ticket
        assert may_see(one, self.place.scope)
        assert may_see(one, one.holder.scope)
        assert all(may_see(one, helper.scope) for helper in one.helpers)
        assert len(audience(one)) == len(set(audience(one)))
        assert msgspec.json.encode(shown(one))


# The same walks each time, so that what fails here fails everywhere; many more were walked when the table was made.
Life.TestCase.settings = settings(
    max_examples=300, stateful_step_count=50, deadline=None, derandomize=True, database=None, phases=[Phase.generate]
)
TestLife = Life.TestCase


def test_every_field_of_a_ticket_but_its_place_is_set_by_steps() -> None:
    assert {field.name for field in fields(Ticket)} - {"place", "status", "holder", "version"} <= _TYPES.keys()
    assert COUNTIES
