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
from rules.rule import ThresholdRule
from rules.rulebook import BadRule, Refusal, Rulebook, read, read_one
from tests.small_city import quantities

TODAY = date(2026, 11, 23)
KNOWN = ("water_depth", "noise", "rain_1h")
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
SHARED = {name: GOOD[name] for name in ("domain", "category", "title", "source")}
ACTION = {"zh-CN": "核实", "en": "check"}
LADDER = {"quantity": "water_depth", "levels": [{"severity": 2, "at": 3, "action": ACTION}], "clear": 1, "gap": "hold"}
KINDS: dict[str, dict[str, Any]] = {
    "threshold": GOOD,
    "rate": LADDER | {"over_s": 600},
    "window": LADDER | {"statistic": "mean", "over_s": 600},
    "exceedance": LADDER | {"limit": 5, "mean_s": 900},
    "deviation": LADDER | {"least_spread": 0.1},
    "difference": LADDER | {"pairs": [{"a": "one", "b": "other"}]},
    "area": LADDER | {"inside": "lake", "levels": [{"severity": 2, "at": 1, "action": ACTION}], "clear": 0.5},
    "combination": {
        "quantity": "water_depth",
        "condition": {"all": [{"quantity": "water_depth", "above": 1}, {"not": {"quantity": "rain_1h", "above": 5}}]},
        "severity": 3,
        "action": ACTION,
    },
    "count": {"of": {"rule": "good"}, "over_s": 60, "levels": [{"severity": 2, "at": 3, "action": ACTION}]},
    "absence": {"levels": [{"severity": 1, "at": 900, "action": ACTION}]},
    "camera_event": CAMERA,
}
KINDS = {kind: SHARED | fields | {"kind": kind, "id": kind.replace("_", "-")} for kind, fields in KINDS.items()}
AREAS = {"lake": [[118.0, 33.0], [118.1, 33.0], [118.1, 33.1]]}
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


class _Plain(yaml.SafeDumper):
    """Writes a value out however often it comes: packs have no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _flow(rule: Any) -> str:
    text = yaml.dump(rule, Dumper=_Plain, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.strip().removesuffix("\n...")


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
    ("rules: [", 2),
    ("pack: x\nrules:\n  - {id: a}\n - b\n", 4),
    ("a: 1\n b: 2\n", 2),
    ("", 1),
    ("just words", 1),
    ("- a\n- list", 1),
    ("rules: 5", 1),
    ("pack: x", 1),
    ("rules: []\nrules: [1, 2]", 2),
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


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(KINDS.values())), st.data(), json_values)
def test_whatever_stands_in_a_rule_it_is_taken_or_refused_and_stops_no_other(
    rule: dict[str, Any], data: st.DataObject, value: Any
) -> None:
    name = data.draw(st.sampled_from(sorted(rule)))
    other = GOOD | {"id": "the-other"}
    book = read({"a.yaml": pack(changed(rule, name, to=value), other, GOOD, areas=AREAS)}, KNOWN, TODAY)
    assert {"good", "the-other"} <= set(taken(book))
    assert len(book.rules) + len(book.refusals) == 3


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
    kinds = (book.sensor_rules, book.counts, book.absences, book.camera_rules)
    assert all(kinds)
    assert sum(map(len, kinds)) == len(book.rules)


def test_every_kind_of_rule_is_taken_and_found_by_kind() -> None:
    book = read({"a.yaml": pack(*KINDS.values(), GOOD, areas=AREAS, schema=1)}, KNOWN, TODAY)
    assert book.refusals == ()
    assert {rule.id for rule in book.rules} == {rule["id"] for rule in KINDS.values()} | {"good"}
    assert {rule.id for rule in book.sensor_rules} == {"good", *list(KINDS)[:8]}
    assert [rule.id for rule in book.counts + book.absences + book.camera_rules] == ["count", "absence", "camera-event"]
    assert book.areas["lake"].area > 0


KIND_FAULTS: list[tuple[str, tuple[str | int, ...], Any, str]] = [
    ("threshold", ("levels", 1, "at"), 2e9, "finite number within"),
    ("threshold", ("levels", 1, "at"), 10**40, "finite number within"),
    ("threshold", ("for_s",), 60, "gap is missing"),
    ("threshold", ("clear_for_s",), 60, "gap is missing"),
    ("threshold", ("levels", 0, "for_s"), 60, "gap is missing"),
    ("threshold", ("for_s",), -1, "for_s"),
    ("threshold", ("for_s",), 40_000_000, "for_s"),
    ("threshold", ("gap",), "forget", "gap"),
    ("threshold", ("disorder_s",), 7200, "disorder_s"),
    ("threshold", ("levels", 0, "warning_level"), 5, "warning_level"),
    ("threshold", ("when",), {"hours": ["8-18"]}, "hours"),
    ("threshold", ("when",), {"hours": ["08:00-08:00"]}, "hours 08:00-08:00"),
    ("threshold", ("when",), {"hours": ["08:00-24:30"]}, "hours 08:00-24:30"),
    ("threshold", ("when",), {"days": [8]}, "days"),
    ("threshold", ("when",), {"days": [1, 1]}, "twice"),
    ("threshold", ("when",), {"calendar": "holiday"}, "calendar"),
    ("threshold", ("where",), {"inside": "nowhere"}, "no area 'nowhere'"),
    ("threshold", ("where",), {"inside": "lake", "outside": "lake"}, "nothing is inside and outside lake"),
    ("threshold", ("where",), {"sensors": ["a"], "not_sensors": ["a"]}, "a is named and left out"),
    ("threshold", ("where",), {"regions": [""]}, "a name is empty"),
    ("threshold", ("effective_to",), "yesterday", "effective_to"),
    ("threshold", ("damping",), {"raises": 1}, "raises"),
    ("threshold", ("sites",), [{"sensor": "a", "levels": [], "clear": 0, "source": GOOD["source"]}], "levels is empty"),
    (
        "threshold",
        ("sites",),
        [{"sensor": "a", "levels": GOOD["levels"], "clear": 0, "source": GOOD["source"]}] * 2,
        "already",
    ),
    ("rate", ("gap",), GONE, "gap is missing"),
    ("rate", ("over_s",), 0, "over_s"),
    ("window", ("gap",), GONE, "gap is missing"),
    ("window", ("over_s",), 33 * 86_400, "over_s"),
    ("window", ("percentile",), 50, "percentile goes with"),
    ("window", ("statistic",), "percentile", "percentile goes with"),
    ("window", ("statistic",), "median", "statistic"),
    ("exceedance", ("gap",), GONE, "gap is missing"),
    ("exceedance", ("mean_s",), 7_000, "must divide a day"),
    ("exceedance", ("direction",), "below", "direction is above here"),
    ("deviation", ("gap",), GONE, "gap is missing"),
    ("deviation", ("least_spread",), 0, "least_spread"),
    ("deviation", ("direction",), "below", "direction is above here"),
    ("deviation", ("clear",), 0, "a learnt score is 0 at least"),
    ("difference", ("pairs",), [], "pairs is empty"),
    ("difference", ("pairs",), [{"a": "x", "b": "x"}], "x is compared with itself"),
    ("difference", ("pairs",), [{"a": "x", "b": "y"}, {"a": "x", "b": "z"}], "x begins a pair already"),
    ("area", ("inside",), "nowhere", "no area 'nowhere'"),
    (
        "area",
        ("levels",),
        [{"severity": n, "at": n, "action": ACTION} for n in (1, 2)],
        "one is either inside or outside",
    ),
    ("combination", ("for_s",), 60, "gap is missing"),
    ("combination", ("condition",), {}, "condition"),
    ("combination", ("condition",), {"all": []}, "condition.all"),
    ("combination", ("condition", "all", 0), {"quantity": "water_depth"}, "either above or below"),
    ("combination", ("condition", "all", 0, "quantity"), "depth", "no quantity 'depth'"),
    ("combination", ("condition", "all", 0), "water_depth > 1", "a condition is a mapping"),
    ("combination", ("reach",), {"radius_m": 0}, "radius_m"),
    ("count", ("of",), {}, "exactly one of"),
    ("count", ("of",), {"rule": "good", "category": "x"}, "exactly one of"),
    ("count", ("of",), {"rule": "gone"}, "no rule 'gone' is in force"),
    ("count", ("of",), {"rule": "counting"}, "counting is a count rule"),
    ("count", ("of",), {"category": "counted"}, "a category of its own"),
    ("count", ("levels", 0, "at"), 1, "whole number of events, 2 or more"),
    ("count", ("levels", 0, "at"), 2.5, "whole number of events, 2 or more"),
    ("count", ("levels", 0, "for_s"), 60, "for_s has no meaning here"),
    ("absence", ("levels", 0, "at"), 0, "more than 0"),
    ("absence", ("quantity",), "depth", "no quantity 'depth'"),
    ("camera_event", ("zones",), [""], "a zone's name is empty"),
]


@pytest.mark.parametrize(
    ("kind", "path", "value", "reason"),
    KIND_FAULTS,
    ids=[f"{kind}-{path[-1]}-{n}" for n, (kind, path, *_) in enumerate(KIND_FAULTS)],
)
def test_what_a_kind_asks_for_is_checked(kind: str, path: tuple[str | int, ...], value: Any, reason: str) -> None:
    counting = KINDS["count"] | {"id": "counting", "category": "counted"}
    bad = changed(KINDS[kind], *path, to=value)
    book = read({"a.yaml": pack(GOOD, bad, counting, CAMERA, areas=AREAS)}, KNOWN, TODAY)
    assert taken(book) == ["camera", "counting", "good"]
    [refusal] = book.refusals
    assert (refusal.line, reason in refusal.reason) == (4, True), refusal
    assert "\n" not in refusal.reason


@pytest.mark.parametrize("domain", ["public_order", "urban_management", "traffic"])
def test_only_emergencies_have_statutory_warning_levels(domain: str) -> None:
    level = {"severity": 2, "at": 0.15, "warning_level": 3, "action": ACTION}
    book = read(
        {"a.yaml": pack(GOOD | {"levels": [level]}, GOOD | {"id": "bad", "levels": [level], "domain": domain})},
        KNOWN,
        TODAY,
    )
    assert taken(book) == ["good"]
    assert "no statutory warning level" in book.refusals[0].reason


def test_a_warning_level_gets_graver_with_the_severity() -> None:
    levels = [level | {"warning_level": n} for n, level in zip((2, 3), GOOD["levels"], strict=True)]
    book = read({"a.yaml": pack(GOOD | {"levels": levels})}, KNOWN, TODAY)
    assert [refusal.reason for refusal in book.refusals] == [
        "rule good: warning_level must fall towards 1 (red) as severity rises"
    ]


WRITTEN = """\
pack: written
rules:
  - id: good
    kind: threshold
    domain: emergency
    category: waterlogging
    title: {zh-CN: 积水, en: Flood}
    quantity: water_depth
    levels:
      - severity: 2
        at: high
        action: {zh-CN: 立案, en: file}
    clear: 0.12
    source: {text: a test, confidence: found}
"""


def test_a_refusal_names_the_line_of_the_field_itself() -> None:
    [refusal] = read({"a.yaml": WRITTEN}, KNOWN, TODAY).refusals
    assert (refusal.line, "levels[0].at" in refusal.reason) == (11, True)
    [refusal] = read({"a.yaml": WRITTEN.replace("high", "0.1")}, KNOWN, TODAY).refusals
    assert (refusal.line, refusal.reason) == (13, "rule good: clear 0.12 lies beyond the first level 0.1")


@pytest.mark.parametrize(
    ("first", "last", "there"),
    [
        (None, None, True),
        ("2026-11-23", None, True),
        ("2026-11-24", None, False),
        (None, "2026-11-23", True),
        (None, "2026-11-22", False),
        ("2026-11-23", "2026-11-23", True),
    ],
)
def test_a_rule_and_a_pack_count_from_their_first_day_to_their_last(
    first: str | None, last: str | None, there: bool
) -> None:
    dates = {"effective_from": first, "effective_to": last}
    given = {name: date.fromisoformat(day) for name, day in dates.items() if day is not None}
    in_rule = read({"a.yaml": pack(GOOD | given, CAMERA)}, KNOWN, TODAY)
    assert taken(in_rule) == (["camera", "good"] if there else ["camera"])
    head = "".join(f"{name}: {day}\n" for name, day in given.items())
    in_pack = read({"a.yaml": head + pack(GOOD), "b.yaml": pack(CAMERA)}, KNOWN, TODAY)
    assert taken(in_pack) == taken(in_rule)
    assert in_rule.refusals == in_pack.refusals == ()


def test_one_id_may_have_a_rule_for_each_time() -> None:
    until, since = {"effective_to": date(2026, 11, 23)}, {"effective_from": date(2026, 11, 24), "clear": 0.1}
    text = {"a.yaml": pack(GOOD | until, GOOD | since)}
    assert [rule.clear for rule in read(text, KNOWN, TODAY).thresholds] == [0.12]
    assert [rule.clear for rule in read(text, KNOWN, date(2026, 11, 24)).thresholds] == [0.1]


def test_a_rule_that_ends_before_it_begins_is_refused_though_it_is_not_in_force() -> None:
    dates = {"effective_from": date(2020, 1, 2), "effective_to": date(2020, 1, 1)}
    [refusal] = read({"a.yaml": pack(GOOD | dates)}, KNOWN, TODAY).refusals
    assert "effective_to 2020-01-01 lies before 2020-01-02" in refusal.reason


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("schema: 2", "schema 2 is unknown"),
        ("schema: one", "schema"),
        ("version: latest", "version"),
        ("rulse: []", "rulse"),
        ("effective_to: soon", "effective_to"),
    ],
)
def test_a_pack_whose_head_is_not_understood_is_refused_whole(head: str, reason: str) -> None:
    book = read({"a.yaml": f"pack: x\n{head}\n{pack(GOOD)}", "b.yaml": pack(CAMERA)}, KNOWN, TODAY)
    assert taken(book) == ["camera"]
    [refusal] = book.refusals
    assert (refusal.line, reason in refusal.reason) == (2, True)


@pytest.mark.parametrize(
    ("areas", "reason"),
    [
        ({"lake": [[118.0, 33.0], [118.1, 33.0]]}, "area lake: a ring has at least three points"),
        ({"lake": [[33.0, 118.0], [33.0, 118.1], [33.1, 118.1]]}, "area lake: point 1"),
        ({"Lake": AREAS["lake"]}, "area Lake: a name is made of"),
        ({"lake": "here"}, "area lake: an area is a list"),
    ],
)
def test_a_bad_area_is_refused_and_so_are_the_rules_that_ask_for_it(areas: Any, reason: str) -> None:
    asking = GOOD | {"id": "asking", "where": {"inside": "lake"}}
    book = read({"a.yaml": pack(GOOD, asking, areas=areas)}, KNOWN, TODAY)
    assert taken(book) == ["good"]
    assert [
        refusal.reason.startswith(text)
        for refusal, text in zip(book.refusals, (reason, "rule asking: no area"), strict=True)
    ] == [True, True]


def test_an_area_of_one_pack_is_known_to_the_rules_of_another() -> None:
    packs = {"a.yaml": pack(KINDS["area"]), "b.yaml": pack(GOOD, areas=AREAS)}
    assert taken(read(packs, KNOWN, TODAY)) == ["area", "good"]
    twice = packs | {"c.yaml": pack(CAMERA, areas=AREAS)}
    [refusal] = read(twice, KNOWN, TODAY).refusals
    assert str(refusal) == "c.yaml:1: area lake: there is an area of that name already"


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        ({"rule": "camera", "name": "x"}, "no rule 'camera' in this pack"),
        ({"rule": "good"}, "name"),
        ({"rule": "good", "name": "x", "readings": [[1]]}, "readings[0]"),
        ({"rule": "good", "name": "x", "readings": [[0, INF]]}, "finite"),
        (
            {"rule": "good", "name": "x", "readings": [{"from_s": 0, "to_s": 86_400, "every_s": 1, "value": 0}]},
            "too many",
        ),
        ({"rule": "good", "name": "x", "parts": [{"sensor": "a", "quantity": "depth", "readings": []}]}, "'depth'"),
        ("an example", "an example is a mapping"),
    ],
)
def test_a_bad_example_is_refused_and_stops_no_rule(example: Any, reason: str) -> None:
    good = {"rule": "good", "name": "quiet", "readings": [[0, 0.1]]}
    text = f"examples:\n  - {_flow(good)}\n  - {_flow(example)}\n{pack(GOOD)}"
    book = read({"a.yaml": text, "b.yaml": pack(CAMERA)}, KNOWN, TODAY)
    assert taken(book) == ["camera", "good"]
    assert [each.name for each in book.examples] == ["quiet"]
    [refusal] = book.refusals
    assert (refusal.line, reason in refusal.reason) == (3, True)


@pytest.mark.parametrize("rule", KINDS.values(), ids=KINDS)
def test_a_single_rule_is_read_from_text_or_from_a_mapping(rule: dict[str, Any]) -> None:
    found = read_one(yaml.safe_dump(rule, allow_unicode=True), KNOWN, AREAS)
    assert found == read_one(rule, KNOWN, AREAS)
    assert found.id == rule["id"]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "a rule is a mapping"),
        ("- a", 1, "a rule is a mapping"),
        ("id: a\nid: b", 2, "id stands there already"),
        ("id: a\n b: c", 2, "not YAML"),
        ("id: *a", 1, "alias"),
        (WRITTEN.partition("  - ")[2].replace("\n    ", "\n"), 9, "levels[0].at"),
    ],
)
def test_a_single_rule_that_is_bad_is_refused_by_line_and_reason(text: str, line: int, reason: str) -> None:
    with pytest.raises(BadRule) as refused:
        read_one(text, KNOWN)
    assert (refused.value.line, reason in refused.value.reason) == (line, True), refused.value
    assert isinstance(read_one(GOOD, KNOWN), ThresholdRule)
