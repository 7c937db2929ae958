"""Rules as text for people, and what differs between two of them."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
import yaml

from command_center.city import read_quantities, rule_packs
from rules.rule import Rule
from rules.rule_text import differences, written
from rules.rulebook import read, read_one

QUANTITIES = frozenset(quantity.name for quantity in read_quantities("suqian"))
SHIPPED = read(rule_packs("suqian"), QUANTITIES, datetime(2026, 11, 24, tzinfo=UTC).date())


@pytest.mark.parametrize("rule", SHIPPED.rules, ids=lambda rule: rule.id)
def test_a_shipped_rule_reads_back_from_its_text_as_the_same_rule(rule: Rule) -> None:
    text = written(rule)
    assert read_one(text, QUANTITIES, SHIPPED.areas) == msgspec.structs.replace(rule, version=1)
    assert "version" not in yaml.safe_load(text)
    assert "\\u" not in text


def _rule(**changes: object) -> Rule:
    found = next(rule for rule in SHIPPED.rules if rule.id == "road-waterlogging")
    return msgspec.structs.replace(found, **changes)


def test_equal_rules_differ_in_nothing_whatever_their_versions() -> None:
    assert differences(_rule(version=1), _rule(version=7)) == []


def test_fields_and_levels_are_told_one_by_one() -> None:
    before = _rule(clear=0.1)
    deeper = msgspec.structs.replace(before.levels[0], at=0.14)  # type: ignore[union-attr]
    after = _rule(clear=0.05, for_s=300.0, gap="hold", levels=(deeper,))
    found = {item["path"]: (item["before"], item["after"]) for item in differences(before, after)}
    assert found["clear"] == (0.1, 0.05)
    assert found["levels[0].at"] == (before.levels[0].at, 0.14)  # type: ignore[union-attr]
    assert found["levels[1]"][1] is None
    assert found["for_s"] == (None, 300.0)
    assert found["gap"] == (None, "hold")
    assert "title" not in " ".join(found)


def test_a_new_rule_and_a_rule_switched_off_differ_in_every_field() -> None:
    new, off = differences(None, _rule()), differences(_rule(), None)
    assert [item["path"] for item in new] == [item["path"] for item in off]
    assert all(item["before"] is None for item in new)
    assert {"kind", "id", "levels"} <= {item["path"] for item in off}
