"""Packs of rules: what is right is taken, what is wrong is named by file, line and reason."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.city import rule_packs
from rules.rulebook import Refusal, Rulebook, read
from tests.small_city import quantities

TODAY = date(2026, 11, 23)
KNOWN = ("water_depth", "noise")
GOOD: dict[str, Any] = {
    "id": "good",
    "kind": "threshold",
    "domain": "emergency",
    "category": "waterlogging",
    "title": {"zh-CN": "积水", "en": "Flood"},
    "quantity": "water_depth",
    "direction": "above",
    "levels": [
        {"severity": 2, "at": 0.15, "action": {"zh-CN": "立案", "en": "file"}},
        {"severity": 4, "at": 0.25, "action": {"zh-CN": "封路", "en": "close"}},
    ],
    "clear": 0.12,
    "source": {"text": "a test", "confidence": "found"},
}
CAMERA: dict[str, Any] = {
    "id": "camera",
    "kind": "camera_event",
    "domain": "public_order",
    "category": "intrusion",
    "title": {"zh-CN": "闯入", "en": "Intrusion"},
    "event": "person",
    "zones": ["restricted"],
    "min_score": 0.7,
    "severity": 2,
    "action": {"zh-CN": "核实", "en": "check"},
    "source": {"text": "a test", "confidence": "unverified"},
}
GONE = object()


def changed(rule: dict[str, Any], *path: str | int, to: Any) -> dict[str, Any]:
    """A copy with the value at ``path`` replaced, or taken out when it becomes GONE."""
    made = deepcopy(rule) | {"id": "bad"}
    inner: Any = made
    for key in path[:-1]:
        inner = inner[key]
    if to is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return made


def pack(*rules: Any, **head: Any) -> str:
    """A pack in flow style: each rule on its own line, the first on line 2 when there is no head."""
    lines = [f"{key}: {json.dumps(value)}" for key, value in head.items()]
    return "\n".join([*lines, "rules:", *(f"  - {_flow(rule)}" for rule in rules)]) + "\n"


def _flow(rule: Any) -> str:
    return yaml.safe_dump(rule, default_flow_style=True, allow_unicode=True, width=10_000).strip().removesuffix("\n...")


def taken(book: Rulebook) -> list[str]:
    return [rule.id for rule in book.rules]


NAN, INF = float("nan"), float("inf")
FAULTS: list[tuple[Any, str]] = [
    ("no mapping", "mapping"),
    (["no mapping"], "mapping"),
    (None, "mapping"),
    (changed(GOOD, "kind", to="thresold"), "kind"),
    (changed(GOOD, "kind", to=GONE), "kind"),
    (changed(GOOD, "id", to=GONE), "id"),
    (changed(GOOD, "id", to=5), "id"),
    (changed(GOOD, "id", to="good"), "rule good is there already"),
    (changed(GOOD, "domain", to="weather"), "domain"),
    (changed(GOOD, "title", "zh-CN", to=GONE), "zh-CN"),
    (changed(GOOD, "title", "de", to="Flut"), "de"),
    (changed(GOOD, "quantity", to="depth"), "no quantity 'depth'"),
    (changed(GOOD, "direction", to="sideways"), "direction"),
    (changed(GOOD, "levels", to=[]), "levels is empty"),
    (changed(GOOD, "levels", 0, "severity", to=0), "severity"),
    (changed(GOOD, "levels", 1, "severity", to=5), "severity"),
    (changed(GOOD, "levels", 1, "severity", to=2), "rise"),
    (changed(GOOD, "levels", 1, "severity", to=1), "rise"),
    (changed(GOOD, "levels", 1, "at", to=0.15), "rise"),
    (changed(GOOD, "levels", 1, "at", to=0.13), "rise"),
    (changed(GOOD, "direction", to="below") | {"clear": 0.3}, "rise"),
    (changed(GOOD, "levels", 1, "at", to=INF), "finite"),
    (changed(GOOD, "levels", 0, "at", to=NAN), "finite"),
    (changed(GOOD, "clear", to=NAN), "finite"),
    (changed(GOOD, "clear", to=-INF), "finite"),
    (changed(GOOD, "clear", to=0.16), "clear 0.16 lies beyond the first level 0.15"),
    (changed(GOOD, "clear", to="low"), "clear"),
    (changed(GOOD, "clear", to=GONE), "clear"),
    (changed(GOOD, "source", to=GONE), "source"),
    (changed(GOOD, "source", "confidence", to="certain"), "confidence"),
    (changed(GOOD, "colour", to="red"), "colour"),
    (changed(GOOD, "event", to="person"), "event"),
    (changed(CAMERA, "min_score", to=1.1), "min_score"),
    (changed(CAMERA, "min_score", to=NAN), "min_score"),
    (changed(CAMERA, "zones", to="restricted"), "zones"),
    (changed(CAMERA, "severity", to=True), "severity"),
    (changed(CAMERA, "event", to=GONE), "event"),
]


@pytest.mark.parametrize(("bad", "reason"), FAULTS, ids=[f"{n}-{reason[:12]}" for n, (_, reason) in enumerate(FAULTS)])
def test_a_bad_rule_is_refused_by_file_line_and_reason_and_stops_no_other(bad: Any, reason: str) -> None:
    packs = {"a.yaml": pack(GOOD, bad, CAMERA), "b.yaml": pack(GOOD | {"id": "other"})}
    book = read(packs, KNOWN, TODAY)
    assert taken(book) == ["camera", "good", "other"]
    [refusal] = book.refusals
    assert (refusal.file, refusal.line) == ("a.yaml", 3)
    assert reason in refusal.reason
    assert str(refusal).startswith("a.yaml:3: ")
    assert "\n" not in str(refusal)


UNREADABLE = [
    ("rules: [", 1),
    ("pack: x\nrules:\n  - {id: a}\n - b\n", 4),
    ("a: 1\n b: 2\n", 2),
    ("", 1),
    ("just words", 1),
    ("- a\n- list", 1),
    ("rules: 5", 1),
    ("pack: x", 1),
    ("rules: []\nrules: [1, 2]", 1),
    ("<<: {rules: [{}]}", 1),
    ("effective_from: soon\nrules: []", 1),
    ("effective_from: 2026-13-01\nrules: []", 1),
    ("effective_from: 2026-01-01 10:00:00\nrules: []", 1),
    ("effective_from:\nrules: []", 1),
    ("rules: []\n---\nrules: []", 2),
    ("x: !!bool perhaps\nrules: []", 1),
    ("x: !!timestamp then\nrules: []", 1),
    ("x: !!python/object:os.system {}\nrules: []", 1),
    ("{[a]: b}", 1),
    ("rules: *nothing", 1),
    ("[" * 2000, 1),
    ("rules: \0", 1),
]


@pytest.mark.parametrize(("text", "line"), UNREADABLE, ids=[str(n) for n in range(len(UNREADABLE))])
def test_a_file_that_is_no_pack_is_refused_once_and_stops_no_other(text: str, line: int) -> None:
    book = read({"a.yaml": text, "b.yaml": pack(GOOD)}, KNOWN, TODAY)
    assert taken(book) == ["good"]
    [refusal] = book.refusals
    assert (refusal.file, refusal.line) == ("a.yaml", line)
    assert refusal.reason
    assert "\n" not in refusal.reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text("abc-é\n", max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(GOOD)), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([GOOD, CAMERA]), st.data(), json_values)
def test_whatever_stands_in_a_rule_it_is_taken_or_refused_and_stops_no_other(
    rule: dict[str, Any], data: st.DataObject, value: Any
) -> None:
    name = data.draw(st.sampled_from(sorted(rule)))
    other = GOOD | {"id": "the other"}
    book = read({"a.yaml": pack(changed(rule, name, to=value), other)}, KNOWN, TODAY)
    assert "the other" in taken(book)
    assert len(book.rules) + len(book.refusals) == 2


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.text("rules:[]{}-!&*<>|\n #'\"0", max_size=40))
def test_whatever_stands_in_a_file_it_stops_no_other(text: str) -> None:
    book = read({"a.yaml": text, "b.yaml": pack(GOOD)}, KNOWN, TODAY)
    assert taken(book) == ["good"]


def test_of_two_rules_of_one_id_the_first_file_s_counts() -> None:
    packs = {"b.yaml": pack(GOOD | {"clear": 0.1}), "a.yaml": pack(GOOD)}
    book = read(packs, KNOWN, TODAY)
    assert [rule.clear for rule in book.thresholds] == [0.12]
    assert book.refusals == (Refusal("b.yaml", 2, "rule good is there already: ids must differ"),)


def test_a_pack_counts_from_its_first_day_on() -> None:
    text = pack(GOOD).replace("rules:", "effective_from: 2026-11-23\nrules:")
    assert taken(read({"a.yaml": text}, KNOWN, TODAY)) == ["good"]
    assert read({"a.yaml": text}, KNOWN, date(2026, 11, 22)) == Rulebook(())


def test_a_clear_value_may_stand_on_the_first_level() -> None:
    assert taken(read({"a.yaml": pack(GOOD | {"clear": 0.15})}, KNOWN, TODAY)) == ["good"]


def test_a_ladder_may_lead_down() -> None:
    down = changed(GOOD, "direction", to="below") | {"levels": list(reversed(GOOD["levels"])), "clear": 0.3}
    down["levels"] = [level | {"severity": n} for n, level in enumerate(down["levels"], start=1)]
    assert taken(read({"a.yaml": pack(down)}, KNOWN, TODAY)) == ["bad"]


def test_the_shipped_packs_are_taken_whole() -> None:
    packs = rule_packs("suqian")
    book = read(packs, [quantity.name for quantity in quantities()], TODAY)
    assert book.refusals == ()
    listed = [rule["id"] for text in packs.values() for rule in yaml.safe_load(text)["rules"]]
    assert taken(book) == sorted(listed)
    assert {rule.domain for rule in book.rules} == {"emergency", "public_order", "urban_management", "traffic"}
    assert len(book.thresholds) + len(book.camera_rules) == len(book.rules)
