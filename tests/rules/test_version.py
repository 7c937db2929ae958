"""The life of a rule's version: who may do what with it from where, and which version stands on which day."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any
from uuid import uuid4

import pytest

from rules.alert import Alert, Change, Source
from rules.rule import ThresholdRule
from rules.rulebook import BadRule, Rulebook, read
from rules.version import (
    IllegalRuleMove,
    InForce,
    Move,
    RuleMoved,
    RuleReasonMissing,
    RuleVersion,
    SecondPersonNeeded,
    State,
    decide,
    in_force,
    in_shadow,
    left_over,
    offers,
    published,
    read_draft,
    replaced_by,
    standing,
)

TODAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
QUANTITIES = frozenset({"water_depth", "noise"})


def text(first: float = 0.3, *, rule: str = "deep", quantity: str = "water_depth", more: str = "") -> str:
    return f"""\
kind: threshold
id: {rule}
domain: emergency
category: waterlogging
title: {{zh-CN: 积水, en: Water}}
quantity: {quantity}
levels:
- {{severity: 2, at: {first}, action: {{zh-CN: 查看, en: Look}}}}
clear: 0.1
source: {{text: of the tests, confidence: unverified}}
{more}"""


def pack(*texts: str) -> Rulebook:
    listed = "".join("- " + one.rstrip().replace("\n", "\n  ") + "\n" for one in texts)
    found = read({"pack.yaml": f"rules:\n{listed}"}, QUANTITIES, TODAY)
    assert not found.refusals, found.refusals
    return found


def version(n: int = 2, state: State = State.DRAFT, *, rule: str = "deep", **more: Any) -> RuleVersion:
    base = RuleVersion(rule, n, text(rule=rule), state, 1, "author", "Author", NOW, "why", based_on=1)
    return replace(base, **more)


def in_effect(n: int = 2, since: date = TODAY, **more: Any) -> RuleVersion:
    return version(n, State.PUBLISHED, published_at=NOW, starts_on=since, **more)


def first_level(found: InForce | Rulebook, rule: str = "deep") -> float:
    book = found.book if isinstance(found, InForce) else found
    [one] = [r for r in book.rules if r.id == rule]
    assert isinstance(one, ThresholdRule)
    return one.levels[0].at


STEPS = {
    (State.DRAFT, Move.SHADOW): State.SHADOW,
    (State.DRAFT, Move.PUBLISH): State.PUBLISHED,
    (State.DRAFT, Move.WITHDRAW): State.WITHDRAWN,
    (State.SHADOW, Move.PUBLISH): State.PUBLISHED,
    (State.SHADOW, Move.WITHDRAW): State.WITHDRAWN,
    (State.PUBLISHED, Move.REPLACE): State.REPLACED,
}


@pytest.mark.parametrize(("state", "move"), list(product(State, Move)))
def test_every_state_meets_every_move(state: State, move: Move) -> None:
    found = version(state=state, starts_on=TODAY if state is State.PUBLISHED else None)
    expected = STEPS.get((state, move))
    if expected is None:
        with pytest.raises(IllegalRuleMove):
            decide(found, move, "second", TODAY, in_force=1, reason="because")
    else:
        assert decide(found, move, "second", TODAY, in_force=1, reason="because") is expected


def test_what_waits_for_its_day_can_be_withdrawn_until_that_day() -> None:
    waiting = in_effect(since=TODAY + timedelta(1))
    assert decide(waiting, Move.WITHDRAW, "author", TODAY, in_force=1, reason="no") is State.WITHDRAWN
    with pytest.raises(IllegalRuleMove, match="took effect"):
        decide(waiting, Move.WITHDRAW, "author", TODAY + timedelta(1), in_force=2, reason="no")


@pytest.mark.parametrize("state", [State.DRAFT, State.SHADOW])
def test_the_author_may_do_all_but_publish(state: State) -> None:
    with pytest.raises(SecondPersonNeeded, match="another account"):
        decide(version(state=state), Move.PUBLISH, "author", TODAY, in_force=1, reason=None)
    assert offers(version(state=state), "author", TODAY, 1)[Move.PUBLISH] is not None
    assert offers(version(state=state), "second", TODAY, 1)[Move.PUBLISH] is None


def test_a_version_written_against_what_is_no_longer_in_force_is_not_published() -> None:
    with pytest.raises(RuleMoved, match="version 1 was in force, now version 3 is"):
        decide(version(), Move.PUBLISH, "second", TODAY, in_force=3, reason=None)


def test_a_version_whose_last_day_is_over_is_not_published() -> None:
    ended = version(effective_to=TODAY - timedelta(1))
    with pytest.raises(IllegalRuleMove, match="ended on 2026-11-23"):
        decide(ended, Move.PUBLISH, "second", TODAY, in_force=1, reason=None)


def test_giving_up_needs_a_reason() -> None:
    for reason in (None, "", "  "):
        with pytest.raises(RuleReasonMissing):
            decide(version(), Move.WITHDRAW, "author", TODAY, in_force=1, reason=reason)


def test_a_retirement_has_no_shadow_run() -> None:
    with pytest.raises(IllegalRuleMove, match="evaluates nothing"):
        decide(version(retired=True), Move.SHADOW, "author", TODAY, in_force=1, reason=None)


def test_only_what_is_in_force_can_be_retired() -> None:
    assert set(offers(in_effect(2), "author", TODAY, 2)) == {Move.RETIRE}
    assert set(offers(in_effect(2), "author", TODAY, 3)) == set()
    assert Move.RETIRE not in offers(in_effect(2, retired=True), "author", TODAY, 2)


def test_the_published_version_stands_in_the_packs_place_and_has_its_own_number() -> None:
    found = in_force(pack(text(), text(rule="other")), [in_effect(2, text=text(0.5))], QUANTITIES, TODAY)
    assert [rule.id for rule in found.book.rules] == ["deep", "other"]
    assert (first_level(found), found.version("deep"), found.version("other")) == (0.5, 2, 1)
    assert first_level(found.packed) == 0.3


@pytest.mark.parametrize("state", [State.DRAFT, State.SHADOW, State.REPLACED, State.WITHDRAWN])
def test_a_version_in_any_other_state_changes_nothing(state: State) -> None:
    found = in_force(pack(text()), [version(2, state, text=text(0.5), starts_on=TODAY)], QUANTITIES, TODAY)
    assert (first_level(found), found.version("deep")) == (0.3, 1)


def test_a_rule_that_no_pack_has_comes_into_force_too() -> None:
    found = in_force(pack(text()), [in_effect(1, rule="new")], QUANTITIES, TODAY)
    assert [rule.id for rule in found.book.rules] == ["deep", "new"]


def test_a_published_retirement_switches_the_rule_off_until_another_version_is_published() -> None:
    retired = in_effect(2, retired=True)
    found = in_force(pack(text()), [retired], QUANTITIES, TODAY)
    assert found.book.rules == ()
    assert (found.version("deep"), found.book.refusals) == (2, ())
    again = in_force(pack(text()), [replace(retired, state=State.REPLACED), in_effect(3)], QUANTITIES, TODAY)
    assert again.version("deep") == 3
    assert len(again.book.rules) == 1


def test_a_version_takes_effect_on_its_day_and_what_stood_before_it_holds_until_then() -> None:
    now = in_effect(2, text=text(0.5))
    later = in_effect(3, since=TODAY + timedelta(3), text=text(0.7))
    for days, at, n in ((0, 0.5, 2), (2, 0.5, 2), (3, 0.7, 3), (400, 0.7, 3)):
        found = in_force(pack(text()), [later, now], QUANTITIES, TODAY + timedelta(days))
        assert (first_level(found), found.version("deep")) == (at, n)


def test_what_waits_takes_effect_on_its_day_although_a_newer_version_was_published_meanwhile() -> None:
    waiting = in_effect(2, since=TODAY + timedelta(3), text=text(0.5))
    newer = in_effect(3, since=TODAY + timedelta(1), text=text(0.7))
    days = {days: in_force(pack(text()), [waiting, newer], QUANTITIES, TODAY + timedelta(days)) for days in range(4)}
    assert [found.version("deep") for found in days.values()] == [1, 3, 3, 2]


def test_a_version_ends_its_rule_after_its_last_day() -> None:
    short = in_effect(2, effective_to=TODAY + timedelta(1))
    assert len(in_force(pack(text()), [short], QUANTITIES, TODAY + timedelta(1)).book.rules) == 1
    after = in_force(pack(text()), [short], QUANTITIES, TODAY + timedelta(2))
    assert after.book.rules == ()
    assert after.version("deep") == 2


@pytest.mark.parametrize(
    ("since", "replaced"),
    [(TODAY, [2]), (TODAY + timedelta(9), [4])],
    ids=["at once: what has begun", "later: what waits"],
)
def test_a_publication_replaces_its_like(since: date, replaced: list[int]) -> None:
    others = [in_effect(2, since=TODAY - timedelta(5)), version(3), in_effect(4, since=TODAY + timedelta(5))]
    fresh = version(5, effective_from=since)
    assert [v.n for v in replaced_by(fresh, others, TODAY)] == replaced
    after = published(replace(fresh, state=State.SHADOW), "second", NOW, TODAY)
    assert (after.starts_on, after.published_by, after.shadow_to) == (since, "second", NOW)


def test_a_first_day_that_is_over_means_today() -> None:
    after = published(version(effective_from=TODAY - timedelta(30)), "second", NOW, TODAY)
    assert after.starts_on == TODAY
    assert standing([replace(after, state=State.PUBLISHED)], TODAY) is not None


def test_a_stored_rule_that_no_longer_reads_is_refused_and_stops_no_other() -> None:
    bad = in_effect(2, text=text(0.5, quantity="gone"))
    good = in_effect(2, rule="other", text=text(0.6, rule="other"))
    found = in_force(pack(text(), text(rule="other")), [bad, good], QUANTITIES, TODAY)
    assert first_level(found) == 0.3, "the pack's rule holds in the meantime"
    assert first_level(found, "other") == 0.6
    [refusal] = found.book.refusals
    assert (refusal.file, refusal.line) == ("deep@2", 6)
    assert "gone" in refusal.reason


def test_a_count_rule_whose_counted_rule_is_retired_is_refused_with_its_reason() -> None:
    count = """\
kind: count
id: several
domain: emergency
category: area-flooding
title: {zh-CN: 多处积水, en: Several}
of: {rule: deep}
over_s: 600
levels:
- {severity: 3, at: 3, action: {zh-CN: 查看, en: Look}}
source: {text: of the tests, confidence: unverified}
"""
    packed = pack(text(), count)
    assert len(in_force(packed, [], QUANTITIES, TODAY).book.rules) == 2
    found = in_force(packed, [in_effect(2, retired=True)], QUANTITIES, TODAY)
    assert found.book.rules == ()
    [refusal] = found.book.refusals
    assert "deep" in refusal.reason
    with pytest.raises(BadRule, match="no rule 'deep'"):
        read_draft(count.replace("several", "many"), found, QUANTITIES)


def test_an_open_alert_ends_with_its_rule_and_no_other_does() -> None:
    place = Source("sensor", "s", "S", "c", "r", "r/", 118.0, 34.0)
    standing_alerts = [
        Alert(uuid4(), rule, 1, place, "emergency", "x", 2, "t", "t", "water_depth", "m", 0.3, 0.2, 5, 6, why={"n": 1})
        for rule in ("deep", "other")
    ]
    book = in_force(pack(text(), text(rule="other")), [in_effect(2, retired=True)], QUANTITIES, TODAY).book
    [change] = left_over(standing_alerts, book, 9)
    assert (change.change, change.alert.rule, change.alert.ended_at_us) == (Change.ENDED, "deep", 9)
    assert (change.alert.version, change.alert.why) == (2, {"n": 1, "ended": "rule_not_in_force"})


def test_shadow_versions_make_a_book_of_their_own() -> None:
    running = version(2, State.SHADOW, text=text(0.2, more="effective_from: 2030-01-01"))
    bad = version(3, State.SHADOW, rule="bad", text=text(rule="bad", quantity="gone"))
    found = in_shadow(pack(text()), [running, bad, version(4)], QUANTITIES)
    assert [(rule.id, rule.version) for rule in found.rules] == [("deep", 2)]
    assert [refusal.file for refusal in found.refusals] == ["bad@3"]
