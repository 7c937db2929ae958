from __future__ import annotations

from itertools import product
from time import process_time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rules import condition
from rules.condition import AllOf, AnyOf, BadCondition, Condition, Not, holds, quantities_of
from rules.rule import Leaf

WATER = {"quantity": "water_depth", "above": 0.15}
RAIN = {"quantity": "rain", "above": 10, "fresh_s": 1800}
PUMP = {"quantity": "pump", "below": 0.5}
YES, NO, UNKNOWN = True, False, None


def test_a_condition_is_read_as_a_tree_with_its_leaves_in_order() -> None:
    tree = condition.read({"all": [WATER, {"any": [RAIN, {"not": PUMP}]}]})
    water, rain, pump = Leaf("water_depth", 0.15), Leaf("rain", 10.0, fresh_s=1800.0), Leaf("pump", below=0.5)
    assert tree == AllOf((water, AnyOf((rain, Not(pump)))))
    assert quantities_of(tree) == ("water_depth", "rain", "pump")
    assert quantities_of(condition.read(WATER)) == ("water_depth",)


@pytest.mark.parametrize(
    ("answers", "all_of", "any_of"),
    [
        ((YES, YES), YES, YES),
        ((YES, NO), NO, YES),
        ((NO, NO), NO, NO),
        ((YES, UNKNOWN), UNKNOWN, YES),
        ((NO, UNKNOWN), NO, UNKNOWN),
        ((UNKNOWN, UNKNOWN), UNKNOWN, UNKNOWN),
    ],
)
def test_what_is_unknown_stays_unknown_unless_the_rest_settles_it(
    answers: tuple[bool | None, bool | None], all_of: bool | None, any_of: bool | None
) -> None:
    for given_answers in (answers, answers[::-1]):
        assert holds(condition.read({"all": [WATER, RAIN]}), given_answers) is all_of
        assert holds(condition.read({"any": [WATER, RAIN]}), given_answers) is any_of


@pytest.mark.parametrize(("answer", "held"), [(YES, NO), (NO, YES), (UNKNOWN, UNKNOWN)])
def test_not_turns_what_is_known(answer: bool | None, held: bool | None) -> None:
    assert holds(condition.read({"not": WATER}), [answer]) is held


def test_each_leaf_takes_its_own_answer_though_an_earlier_one_settled_the_matter() -> None:
    tree = condition.read({"any": [{"all": [WATER, RAIN]}, PUMP]})
    assert holds(tree, [NO, YES, NO]) is NO
    assert holds(tree, [NO, NO, YES]) is YES


TREES = st.recursive(
    st.just(Leaf("rain", 1.0)),
    lambda parts: (
        st.lists(parts, min_size=1, max_size=3).map(lambda p: AllOf(tuple(p)))
        | st.lists(parts, min_size=1, max_size=3).map(lambda p: AnyOf(tuple(p)))
        | parts.map(Not)
    ),
    max_leaves=5,
)


@given(TREES, st.data())
def test_what_holds_whatever_the_unknown_is_holds(tree: Condition, data: st.DataObject) -> None:
    answers = [data.draw(st.sampled_from([YES, NO, UNKNOWN])) for _ in quantities_of(tree)]
    held = holds(tree, answers)
    if held is not None:
        filled = product(*[(YES, NO) if answer is None else (answer,) for answer in answers])
        assert {holds(tree, possible) for possible in filled} == {held}


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ([], "condition: a condition is a mapping with all, any, not, or a quantity"),
        ({"all": []}, r"condition\.all: give a list of conditions"),
        ({"all": WATER}, r"condition\.all: give a list of conditions"),
        ({"all": [WATER], "any": [RAIN]}, "condition: all stands alone in its mapping"),
        ({"all": [WATER], "quantity": "rain"}, "condition: all stands alone in its mapping"),
        ({"all": [WATER, {"any": "rain > 3"}]}, r"condition\.all\[1\]\.any: give a list of conditions"),
        ({"all": [WATER, {"any": ["rain > 3"]}]}, r"condition\.all\[1\]\.any\[0\]: a condition is a mapping"),
        ({"not": {"quantity": "rain"}}, r"condition\.not: give either above or below"),
        ({"quantity": "rain", "above": 1, "below": 2}, "condition: give either above or below"),
        ({"quantity": "rain", "above": float("nan")}, "condition: nan is not a number between"),
        ({"quantity": "rain", "above": 1e12}, r"condition: 1000000000000\.0 is not a number between"),
        ({"quantity": "rain", "above": 10**400}, "condition: "),
        ({"quantity": "rain", "over": 1}, "condition: .*over"),
        ({"quantity": "rain", "above": 1, "fresh_s": 0}, "condition: .*fresh_s"),
        ({"not": {"not": {"not": {"not": {"not": WATER}}}}}, r"condition(\.not){5}: conditions go at most 5 deep"),
        ({"all": [WATER] * 33}, r"condition\.all\[32\]: a condition asks for at most 32 values"),
    ],
)
def test_a_bad_condition_is_refused_with_its_place(found: Any, problem: str) -> None:
    with pytest.raises(BadCondition, match=f"^{problem}"):
        condition.read(found)


@pytest.mark.parametrize(
    "text",
    [
        "&a {not: *a}",
        "&a {all: [*a, *a, *a]}",
        "{all: [&a {any: [&b {quantity: rain, above: 1}" + ", *b" * 999 + "]}" + ", *a" * 999 + "]}",
    ],
)
def test_cycles_and_anchors_that_multiply_are_refused_at_once(text: str) -> None:
    found = yaml.safe_load(text)
    began = process_time()
    with pytest.raises(BadCondition):
        condition.read(found)
    assert process_time() - began < 0.1
