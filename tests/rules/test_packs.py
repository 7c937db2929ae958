"""The shipped packs: every rule does what its examples in the pack say, through the engine that runs live."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from click.testing import CliRunner

from command_center.city import rule_packs
from command_center.cli import main
from rules.example import Example, Expected
from rules.play import differences, play
from rules.rule import Level, Rule
from rules.rulebook import read, read_one
from tests.small_city import quantities

ZONE = ZoneInfo("Asia/Shanghai")
QUANTITIES = {quantity.name: quantity for quantity in quantities()}
BOOK = read(rule_packs("suqian"), QUANTITIES, date(2026, 11, 23))
RULES: dict[str, Rule] = {rule.id: rule for rule in BOOK.rules}


@pytest.mark.parametrize("example", BOOK.examples, ids=[f"{each.rule}: {each.name}" for each in BOOK.examples])
def test_an_example_comes_out_as_the_pack_says(example: Example) -> None:
    assert play(example, RULES[example.rule], QUANTITIES, BOOK.areas, ZONE) == list(example.alerts)


def test_every_rule_has_an_example_that_fires_and_one_that_does_not() -> None:
    shown: dict[str, set[bool]] = defaultdict(set)
    for example in BOOK.examples:
        shown[example.rule].add(bool(example.alerts))
    assert {rule: shown[rule] for rule in RULES} == {rule: {True, False} for rule in RULES}


def test_the_packs_use_every_kind_of_rule_and_every_domain_has_its_share() -> None:
    kinds = Counter(str(rule.__struct_config__.tag) for rule in RULES.values())
    assert set(kinds) == {
        "threshold",
        "rate",
        "window",
        "exceedance",
        "deviation",
        "difference",
        "area",
        "combination",
        "count",
        "absence",
        "camera_event",
    }
    domains = Counter(rule.domain for rule in RULES.values())
    assert min(domains[name] for name in ("emergency", "public_order", "urban_management", "traffic")) >= 9


def levels(rule: str) -> tuple[Level, ...]:
    found: tuple[Level, ...] = RULES[rule].levels  # type: ignore[union-attr]
    return found


@pytest.mark.parametrize(
    ("hours", "published"),
    [(12, {50: 4}), (6, {50: 3}), (3, {50: 2, 100: 1})],
)
def test_rain_has_the_numbers_of_the_published_signals(hours: int, published: dict[int, int]) -> None:
    for rule in (f"heavy-rain-{hours}h", f"rain-sum-{hours}h"):
        assert {level.at: level.warning_level for level in levels(rule)} == published
        assert RULES[rule].source.confidence == "found"


def test_only_rules_of_found_rainfall_name_a_statutory_level() -> None:
    named = {
        rule.id
        for rule in RULES.values()
        if any(level.warning_level is not None for level in getattr(rule, "levels", ()))
    }
    assert named == {f"{kind}-{hours}h" for kind in ("heavy-rain", "rain-sum") for hours in (3, 6, 12)}


@pytest.mark.parametrize(
    "rule",
    [
        "confined-space-h2s",
        "confined-space-oxygen",
        "confined-space-co",
        "crowd-density",
        "bridge-strain",
        "parking-full",
        "river-level-high",
        "pressure-drop",
        "pressure-pair",
        "crack-wide",
        "tsp-15min-count",
        "rain-sum-1h",
    ],
)
def test_numbers_that_sources_disagree_on_or_lack_are_marked_unverified(rule: str) -> None:
    assert RULES[rule].source.confidence == "unverified"


def test_an_example_that_comes_out_otherwise_is_told() -> None:
    [example] = [each for each in BOOK.examples if each.name == "just below 15 cm nothing happens"]
    wrong = msgspec.structs.replace(example, alerts=(Expected(60, 2, 90),))
    told = list(differences(replace(BOOK, examples=(wrong,)), QUANTITIES, ZONE))
    assert told == [
        "rule road-waterlogging, example 'just below 15 cm nothing happens':"
        " severity 2 from 60 s to 90 s expected, no alert found"
    ]


def test_checking_on_the_command_line_plays_the_examples(tmp_path: Path) -> None:
    pack = rule_packs("suqian")["emergency.yaml"].decode()
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(pack, encoding="utf-8")
    bad.write_text(pack.replace("at: 0.15,", "at: 0.17,", 1), encoding="utf-8")
    taken = CliRunner().invoke(main, ["rules", "check", str(good)])
    assert (taken.exit_code, taken.stderr) == (0, "")
    assert "25 rules taken, 0 refused; " in taken.stdout
    refused = CliRunner().invoke(main, ["rules", "check", str(bad)])
    assert refused.exit_code == 2
    assert "rule road-waterlogging, example" in refused.stderr


@pytest.mark.parametrize("content", [b"\xff", b"rules: [", b"x" * 2_000_000, b"- 1\n" * 30_000])
def test_a_file_that_is_no_pack_ends_the_check_with_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    refused = CliRunner().invoke(main, ["rules", "check", str(file)])
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"{file}:")
    assert refused.stderr.count("\n") == 1


def shown_in_the_documentation() -> list[str]:
    text = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    return [part.partition("\n```")[0] for part in text.split("```yaml\n")[1:]]


def test_what_the_documentation_shows_is_taken() -> None:
    whole, _, *kinds = shown_in_the_documentation()
    book = read({"a.yaml": whole}, QUANTITIES, date(2026, 11, 23))
    assert (book.refusals, len(book.examples)) == ((), 2)
    assert not list(differences(book, QUANTITIES, ZONE))
    common = (
        "id: shown\ncategory: shown\ndomain: emergency\n"
        "title: {zh-CN: 示例, en: Shown}\nsource: {text: docs, confidence: unverified}\n"
    )
    for kind in kinds:
        assert read_one(common + kind, QUANTITIES, book.areas).id == "shown"
    assert len(kinds) == 10


def test_what_the_documentation_shows_of_where_when_and_sites_is_taken() -> None:
    whole, fields, *_ = shown_in_the_documentation()
    rules = whole.partition("examples:")[0]
    indented = "".join(f"    {line}\n" for line in fields.splitlines())
    book = read({"a.yaml": rules + indented}, QUANTITIES, date(2026, 11, 23))
    assert (book.refusals, len(book.rules)) == ((), 1)
