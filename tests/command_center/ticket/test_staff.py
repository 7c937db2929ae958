"""The person at a desk that a ticket is meant for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.ticket.staff import FRESH, Choice, Person, away_m, choose
from tests.command_center.ticket.opened import CELL, TOWN, TREE, VILLAGE

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
DESK = TREE[TOWN].scope
PLACE = 118.0, 34.0


def person(account: str, *skills: str, **changes: Any) -> Person:
    """Somebody on duty at the township's desk, with nothing to do, standing nowhere."""
    plain: dict[str, Any] = {
        "account": account,
        "name": account,
        "region": TOWN,
        "scope": DESK,
        "org": None,
        "skills": frozenset(skills),
        "on_duty": True,
        "open_tickets": 0,
    }
    return Person(**plain | changes)


def at(north_deg: float, minutes_ago: float = 1) -> dict[str, Any]:
    """Where somebody was."""
    return {"lng": 118.0, "lat": 34.0 + north_deg, "position_at": NOW - timedelta(minutes=minutes_ago)}


def chosen(*people: Person, scope: str = DESK, org: str | None = None, skill: str | None = None) -> Choice:
    return choose(people, scope, org, skill, *PLACE, NOW)


def test_nobody_off_duty_or_at_another_desk_is_chosen() -> None:
    off = person("off", on_duty=False)
    elsewhere = person("elsewhere", scope=TREE[VILLAGE].scope)
    found = chosen(off, elsewhere)
    assert found.person is None
    assert "无人在岗" in found.text
    assert chosen(off, elsewhere, person("here")).person == person("here")


def test_a_village_s_grid_workers_are_its_own_hands() -> None:
    worker = person("worker", scope=TREE[CELL].scope)
    assert chosen(worker, scope=TREE[VILLAGE].scope).person == worker
    assert chosen(worker, scope=DESK).person is None


def test_a_matter_of_an_organisation_is_for_its_people_and_any_other_for_those_of_none() -> None:
    gas, desk = person("gas", org="gas"), person("desk")
    assert chosen(gas, desk, org="gas").person == gas
    assert chosen(gas, desk).person == desk
    assert chosen(gas).person is None
    assert chosen(gas, org="water").person is None


def test_while_nobody_of_the_organisation_is_on_duty_the_desk_itself_has_it_and_the_reason_says_so() -> None:
    found = chosen(person("gas", org="gas", on_duty=False), person("desk"), org="gas")
    assert found.person == person("desk")
    assert "该单位无人在岗" in found.text
    assert "nobody of gas" in found.text_en


def test_a_skill_that_nobody_has_is_left_aside_and_said_so() -> None:
    able, free = person("able", "gas", open_tickets=3), person("free")
    assert chosen(able, free, skill="gas").person == able
    found = chosen(able, free, skill="hazmat")
    assert found.person == free
    assert "hazmat" in found.text
    assert "hazmat" in found.text_en


def test_the_least_loaded_comes_before_the_nearest() -> None:
    near, far = person("near", open_tickets=1, **at(0.001)), person("far", **at(0.1))
    assert chosen(near, far).person == far
    found = chosen(replace(near, open_tickets=0), far)
    assert found.person == replace(near, open_tickets=0)
    assert "111 米" in found.text


@pytest.mark.parametrize(("minutes_ago", "who"), [(30, "b"), (30.1, "a")])
def test_a_position_older_than_half_an_hour_says_nothing(minutes_ago: float, who: str) -> None:
    assert timedelta(minutes=30) == FRESH
    found = chosen(person("a"), person("b", **at(0.001, minutes_ago)))
    assert found.person is not None
    assert found.person.account == who


def test_a_matter_without_a_place_is_for_the_least_loaded() -> None:
    busy = person("a", open_tickets=2, **at(0))
    assert choose([busy, person("b")], DESK, None, None, None, None, NOW).person == person("b")


people = st.lists(
    st.builds(
        person,
        st.sampled_from(["anna", "ben", "chen", "dai", "eva"]),
        skills=st.frozensets(st.sampled_from(["gas", "flood"])),
        scope=st.sampled_from([DESK, TREE[VILLAGE].scope, TREE[CELL].scope]),
        org=st.sampled_from([None, "gas"]),
        on_duty=st.booleans(),
        open_tickets=st.integers(0, 3),
        lng=st.none() | st.floats(117.9, 118.1),
        lat=st.none() | st.floats(33.9, 34.1),
        position_at=st.none() | st.integers(0, 60).map(lambda minutes: NOW - timedelta(minutes=minutes)),
    ),
    max_size=8,
    unique_by=lambda one: one.account,
)


@given(people, st.sampled_from([DESK, TREE[VILLAGE].scope]), st.sampled_from([None, "gas"]), st.data())
def test_the_choice_fits_is_the_best_and_does_not_hang_on_the_order(
    found: list[Person], scope: str, org: str | None, data: st.DataObject
) -> None:
    skill = data.draw(st.sampled_from([None, "gas", "flood"]))
    choice = choose(found, scope, org, skill, *PLACE, NOW)
    assert choose(data.draw(st.permutations(found)), scope, org, skill, *PLACE, NOW) == choice
    below = scope == TREE[VILLAGE].scope
    here = [one for one in found if one.on_duty and (one.scope == scope or (below and one.scope.startswith(scope)))]
    fit = [one for one in here if one.org == org] or [one for one in here if one.org is None]
    if choice.person is None:
        assert not fit
        return
    assert choice.person in fit
    able = [one for one in fit if skill is None or skill in one.skills]
    assert choice.person in (able or fit)
    for other in able or fit:
        mine, its = ((one.open_tickets, away_m(one, *PLACE, NOW)) for one in (choice.person, other))
        assert mine <= its
