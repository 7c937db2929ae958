"""Inhibition: one cause, one alert that people see."""

from __future__ import annotations

import textwrap
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.city import inhibitions
from rules.alert import Alert
from rules.inhibit import BadInhibition, Inhibition, read, suppressed
from rules.life import Muted, Muting
from tests.command_center.ticket.opened import alert
from tests.small_city import cell_code

EVIDENCE = "{text: t, confidence: unverified}"


def table(*rules: tuple[str, int, str, str]) -> tuple[Inhibition, ...]:
    """Rules of (category, min_severity, category kept quiet, within)."""
    lines = [
        f"  - {{id: r{n}, source: {{category: {one}, min_severity: {least}}}, mutes: {{categories: [{other}]}},"
        f" within: {{{within}}}, evidence: {EVIDENCE}}}"
        for n, (one, least, other, within) in enumerate(rules)
    ]
    return read("inhibitions:\n" + "\n".join(lines))


def one(number: int, category: str, cell: str | None = None, severity: int = 4, **more: Any) -> Alert:
    return alert(severity, cell or cell_code(), id=UUID(int=number), category=category, **more)


def quiet(rules: tuple[Inhibition, ...], fresh: list[Alert], seen: list[Alert], **more: Any) -> dict[int, int]:
    """Which alert is kept quiet by which, by number."""
    found = suppressed(rules, fresh, seen, more.get("quiet", {}))
    assert {muted.kind for muted in found.values()} <= {Muting.INHIBITED}
    return {identity.int: muted.by.int for identity, muted in found.items()}


@pytest.mark.parametrize(
    ("within", "cell", "expected"),
    [
        ("same: cell", cell_code(0, 1, 1, 1), True),
        ("same: cell", cell_code(0, 1, 1, 2), False),
        ("same: village", cell_code(0, 1, 1, 2), True),
        ("same: village", cell_code(0, 1, 2, 1), False),
        ("same: township", cell_code(0, 1, 2, 1), True),
        ("same: township", cell_code(0, 2, 1, 1), False),
        ("same: county", cell_code(0, 2, 1, 1), True),
        # The zone's town has a code that begins like the county's: the path decides.
        ("same: county", cell_code(2, 1, 1, 1), False),
    ],
)
def test_it_reaches_the_same_region_of_a_tier(within: str, cell: str, expected: bool) -> None:
    rules = table(("flood", 3, "pump", within))
    assert quiet(rules, [one(2, "pump", cell)], [one(1, "flood")]) == ({2: 1} if expected else {})


@pytest.mark.parametrize(("radius_m", "expected"), [(100, {}), (1000, {2: 1})])
def test_it_reaches_as_far_as_its_radius_across_any_border(radius_m: int, expected: dict[int, int]) -> None:
    rules = table(("flood", 3, "pump", f"radius_m: {radius_m}"))
    far = one(2, "pump", cell_code(1))
    # 0.005 degrees of latitude are 556 m.
    moved = Alert(**{name: getattr(far, name) for name in far.__slots__} | {"source": _shifted(far)})
    assert quiet(rules, [moved], [one(1, "flood")]) == expected


def _shifted(found: Alert) -> Any:
    source = found.source
    return type(source)(
        source.kind, source.id, source.name, source.cell, source.region, source.scope, source.lng, source.lat + 0.005
    )


def test_only_a_grave_enough_alert_of_the_right_category_keeps_others_quiet() -> None:
    rules = table(("flood", 3, "pump", "same: cell"))
    assert quiet(rules, [one(2, "pump")], [one(1, "flood", severity=2)]) == {}
    assert quiet(rules, [one(2, "pump")], [one(1, "rain")]) == {}
    assert quiet(rules, [one(2, "rain")], [one(1, "flood")]) == {}


def test_alerts_of_one_batch_meet_each_other_whatever_their_order() -> None:
    rules = table(("flood", 3, "pump", "same: cell"))
    flood, pump = one(1, "flood"), one(2, "pump")
    assert quiet(rules, [pump, flood], []) == quiet(rules, [flood, pump], []) == {2: 1}


def test_what_is_kept_quiet_keeps_nobody_quiet() -> None:
    rules = table(("flood", 1, "pump", "same: cell"), ("pump", 1, "jam", "same: cell"))
    assert quiet(rules, [one(3, "jam")], [one(2, "pump")]) == {3: 2}
    assert quiet(rules, [one(1, "flood"), one(2, "pump"), one(3, "jam")], []) == {2: 1}
    muted = {UUID(int=2): Muted(Muting.SILENCE, UUID(int=9))}
    assert quiet(rules, [one(2, "pump"), one(3, "jam")], [], quiet=muted) == {}


def test_one_that_ended_in_the_same_batch_keeps_nobody_quiet() -> None:
    rules = table(("flood", 3, "pump", "same: cell"))
    assert quiet(rules, [one(1, "flood", ended_at_us=5), one(2, "pump")], []) == {}


@given(
    st.lists(st.tuples(st.sampled_from(["flood", "pump", "jam"]), st.integers(0, 3)), max_size=8),
    st.randoms(use_true_random=False),
)
def test_the_order_never_matters_and_every_inhibited_alert_has_a_visible_cause(
    found: list[tuple[str, int]], random: Any
) -> None:
    rules = table(
        ("flood", 1, "pump", "same: village"), ("pump", 1, "jam", "same: cell"), ("flood", 1, "jam", "same: cell")
    )
    alerts = [
        one(n + 1, category, cell_code(0, 1, 1, cell + 1), raised_at_us=n) for n, (category, cell) in enumerate(found)
    ]
    result = quiet(rules, alerts, [])
    assert not set(result) & set(result.values())
    random.shuffle(alerts)
    assert quiet(rules, alerts, []) == result


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- [", "line 1: not YAML"),
        ("inhibitions: 7", "array"),
        ("nothing: 7", "inhibitions"),
        (f"inhibitions: [{{id: a, source: {{category: c, min_severity: 9}}, mutes: {{categories: [d]}},"
         f" within: {{same: cell}}, evidence: {EVIDENCE}}}]", "<= 4"),
        (f"inhibitions: [{{id: a, source: {{category: c, min_severity: 1}}, mutes: {{categories: []}},"
         f" within: {{same: cell}}, evidence: {EVIDENCE}}}]", "length >= 1"),
        (f"inhibitions: [{{id: a, source: {{category: c, min_severity: 1}}, mutes: {{categories: [d]}},"
         f" within: {{}}, evidence: {EVIDENCE}}}]", "exactly one"),
        (f"inhibitions: [{{id: a, source: {{category: c, min_severity: 1}}, mutes: {{categories: [d]}},"
         f" within: {{same: cell, radius_m: 5}}, evidence: {EVIDENCE}}}]", "exactly one"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_says_why(text: str, says: str) -> None:
    with pytest.raises(BadInhibition, match=says):
        read(textwrap.dedent(text))


@pytest.mark.parametrize(
    "circle", [[("a", "a")], [("a", "b"), ("b", "a")], [("a", "b"), ("b", "c"), ("c", "a"), ("x", "a")]]
)
def test_categories_that_keep_each_other_quiet_in_a_circle_are_refused(circle: list[tuple[str, str]]) -> None:
    with pytest.raises(BadInhibition, match="circle"):
        table(*((one, 1, other, "same: cell") for one, other in circle))


def test_two_ways_to_the_same_category_are_no_circle() -> None:
    assert len(table(("a", 1, "b", "same: cell"), ("a", 1, "c", "same: cell"), ("b", 1, "c", "same: cell"))) == 3


def test_two_rules_of_one_id_are_refused() -> None:
    line = (
        f"  - {{id: a, source: {{category: c, min_severity: 1}}, mutes: {{categories: [d]}}, within: {{same: cell}},"
        f" evidence: {EVIDENCE}}}\n"
    )
    with pytest.raises(BadInhibition, match="ids must differ"):
        read("inhibitions:\n" + line + line)


def test_the_shipped_table_can_be_used() -> None:
    assert inhibitions("suqian")
