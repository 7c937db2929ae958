"""Rule files that mean harm: given up within a tenth of a second, and nobody else the worse for it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from datetime import date

import pytest

from rules.document import MOST_BYTES, MOST_NODES
from rules.rulebook import BadRule, Rulebook, read, read_one

TODAY = date(2026, 11, 23)
KNOWN = ("water_depth",)
LIMIT_S = 0.1
FLOOD = """\
  - id: {id}
    kind: {kind}
    domain: emergency
    category: waterlogging
    title: {{zh-CN: 积水, en: Flood}}
    quantity: water_depth
    levels: [{{severity: 2, at: {at}, action: {{zh-CN: 立案, en: file}}}}]
    clear: 0.12
    source: {{text: a test, confidence: found}}
"""


def rule(identity: str = "good", at: str = "0.15", kind: str = "threshold", more: str = "") -> str:
    return FLOOD.format(id=identity, at=at, kind=kind) + more


def condition(text: str) -> str:
    """A combination of one condition."""
    head, _, rest = rule("bad", kind="combination").partition("    levels:")
    tail = rest.partition("    clear: 0.12\n")[2]
    return f"{head}    severity: 2\n    action: {{zh-CN: 立案, en: file}}\n    condition: {text}\n{tail}"


def laughs() -> str:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(lines) + "\nrules: *a11\n"


# What makes the whole file useless. Each is made when its test runs: some are large.
FILES: dict[str, tuple[Callable[[], str | bytes], str]] = {
    "a billion laughs": (laughs, "anchor"),
    "a cycle": (lambda: "x: &x [*x]\nrules: []", "anchor"),
    "rules that are their own alias": (lambda: "rules: &r [*r]", "anchor"),
    "a merge bomb": (lambda: "a: &a {x: 1}\nb: {<<: [*a, *a, *a]}\nrules: []", "anchor"),
    "deep lists": (lambda: "rules: " + "[" * 100_000, "deep"),
    "deep mappings": (lambda: "rules: " + "{a: " * 100_000, "deep"),
    "deep blocks": (lambda: "".join(" " * n + "a:\n" for n in range(1_000)), "deep"),
    "a deep key": (lambda: "? " * 50_000 + "a", "deep"),
    "too many values": (lambda: "rules:\n" + "  - 1\n" * (MOST_NODES + 1), "values"),
    "too many keys": (lambda: "rules: []\nx: {" + ", ".join(f"k{n}: 1" for n in range(MOST_NODES)) + "}", "values"),
    "too many bytes": (lambda: "rules: []\n#" + "x" * MOST_BYTES, "bytes"),
    "a gigabyte in a few words": (lambda: "rules: []\nx: !!binary " + "A" * 900_000, "tag"),
    "one very long word": (lambda: "rules: " + "x" * 1_000_000, "one list named rules"),
    "one very long number": (lambda: "rules: " + "9" * 1_000_000, "one list named rules"),
    "a very long number of base sixty": (lambda: "rules: 1" + ":59" * 300_000, "one list named rules"),
    "a very long fraction": (lambda: "rules: 0." + "0" * 1_000_000 + "e", "one list named rules"),
    "many documents": (lambda: "---\nrules: []\n" * 50_000, "second document"),
    "many directives": (lambda: "%TAG ! tag:x,2026:\n" * 50_000 + "---\nrules: []", "not YAML"),
    "a command": (lambda: "rules: !!python/object/apply:os.system ['true']", "tag"),
    "an object": (lambda: "rules: []\nx: !!python/object:os.system {}", "tag"),
    "no UTF-8": (lambda: b"rules: []\n# \xff\xfe", "not UTF-8"),
    "UTF-16": (lambda: "rules: []".encode("utf-16"), "not UTF-8"),
    "half a character": (lambda: b"pack: \xe5\xae\nrules: []", "not UTF-8"),
    "lone surrogates": (lambda: "rules: []\nx: \udcff", "not YAML"),
    "a null byte": (lambda: "rules: \0", "not YAML"),
    "the same key again": (lambda: "rules: []\npack: a\npack: b", "pack stands there already"),
    "a pack of another time": (lambda: "schema: 99\nrules: []", "schema 99 is unknown"),
    "a huge schema": (lambda: "schema: " + "9" * 300 + "\nrules: []", "schema"),
}

# What spoils one rule only.
RULES: dict[str, tuple[Callable[[], str], str]] = {
    "a huge number": (lambda: rule("bad", at="1e9999"), "finite"),
    "a number of many digits": (lambda: rule("bad", at="9" * 60), "finite"),
    "a number of very many digits": (lambda: rule("bad", at="9" * 100_000), "levels[0].at"),
    "just too large a number": (lambda: rule("bad", at="1000000001"), "finite"),
    "no number": (lambda: rule("bad", at=".nan"), "finite"),
    "infinity": (lambda: rule("bad", at=".inf"), "finite"),
    "an expression for a number": (lambda: rule("bad", at="\"__import__('os').getpid()\""), "at"),
    "an expression for a condition": (lambda: condition('"9**9**9**9 > water_depth"'), "condition"),
    "a regular expression for a condition": (lambda: condition('{quantity: "(a+)+$", above: 1}'), "condition"),
    "a deep condition": (lambda: condition("{not: " * 12 + "{quantity: water_depth, above: 1}" + "}" * 12), "deep"),
    "a wide condition": (
        lambda: condition("{any: [" + "{quantity: water_depth, above: 1}, " * 500 + "]}"),
        "at most 32 values",
    ),
    "a regular expression for an id": (lambda: rule('"(a+)+$"'), "id"),
    "an id against a regular expression": (lambda: rule("a" * 60 + "!" * 60), "id"),
    "an id as long as a file": (lambda: rule("b" * 900_000), "id"),
    "a tag as long as a file": (lambda: rule("bad", at=f"!{'t' * 900_000} 1"), "tag"),
    "a key with a line break twice": (
        lambda: rule("bad", more='    "a\\nb": 1\n    "a\\nb": 2\n'),
        "a b stands there already",
    ),
    "an id with a line break": (lambda: rule('"good\\n"'), "id"),
    "a very long text": (lambda: rule("bad", more="    notes: " + "x" * 900_000 + "\n"), "notes"),
    "a key twice": (lambda: rule("bad", more="    clear: 0.1\n"), "clear stands there already"),
    "an alias": (lambda: rule("bad", at="*good"), "alias"),
    "a tag": (lambda: rule("bad", at="!!float 1"), "tag"),
    "a very long window": (lambda: rule("bad", kind="rate", more="    gap: hold\n    over_s: 1000000000\n"), "over_s"),
    "a rule as long as a file": (
        lambda: rule("bad", more="    where: {sensors: [" + "a, " * 15_000 + "]}\n    x: 1\n"),
        "x",
    ),
}


def timed(packs: dict[str, str | bytes]) -> tuple[Rulebook, float]:
    """The rulebook, and the processor time that reading took: the best of three, for others use the machine too."""
    spent = []
    for _ in range(3):
        gc.collect()
        begun = time.process_time()
        book = read(packs, KNOWN, TODAY)
        spent.append(time.process_time() - begun)
    return book, min(spent)


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_given_up_at_once_and_stops_no_other(name: str) -> None:
    make, reason = FILES[name]
    book, spent_s = timed({"a.yaml": "rules:\n" + rule(), "b.yaml": make(), "c.yaml": "rules:\n" + rule("other")})
    assert [found.id for found in book.rules] == ["good", "other"]
    [refusal] = book.refusals
    assert (refusal.file, reason in refusal.reason) == ("b.yaml", True), str(refusal)[:300]
    assert len(str(refusal)) < 500
    assert "\n" not in str(refusal)
    assert spent_s < LIMIT_S


@pytest.mark.parametrize("name", RULES)
def test_a_hostile_rule_is_refused_at_once_and_stops_not_even_its_neighbours(name: str) -> None:
    make, reason = RULES[name]
    book, spent_s = timed({"a.yaml": "rules:\n" + rule() + make() + rule("other")})
    assert [found.id for found in book.rules] == ["good", "other"]
    [refusal] = book.refusals
    assert 10 <= refusal.line <= 10 + make().count("\n")
    assert reason in refusal.reason, str(refusal)[:300]
    assert len(str(refusal)) < 500
    assert "\n" not in str(refusal)
    assert spent_s < LIMIT_S


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_text_for_a_single_rule_is_refused_at_once(name: str) -> None:
    text = FILES[name][0]()
    begun = time.process_time()
    with pytest.raises(BadRule) as refused:
        read_one(text.decode("utf-8", "replace") if isinstance(text, bytes) else text, KNOWN)
    assert time.process_time() - begun < LIMIT_S
    assert len(str(refused.value)) < 500


def test_many_hostile_files_do_not_add_up_to_a_wrong_result() -> None:
    packs = {f"{n:02}.yaml": make() for n, (make, _) in enumerate(FILES.values())}
    book = read(packs | {"zz.yaml": "rules:\n" + rule()}, KNOWN, TODAY)
    assert [found.id for found in book.rules] == ["good"]
    assert sorted(refusal.file for refusal in book.refusals) == sorted(packs)
