"""How well one matter is told, over situations as people describe them: precision and recall of pairs, as a table."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files
from itertools import combinations
from uuid import UUID

from rules.correlate import Signal, correlate
from rules.correlation import Correlation, read
from tests.rules.correlation_cases import CASES, Case

METRE_LAT = 1 / 111_195.08
METRE_LNG = METRE_LAT / 0.8294  # at 33.96 degrees north
TABLE = read(files("config").joinpath("suqian/correlation.yaml").read_text("utf-8"))


def signals(case: Case, table: Correlation) -> list[Signal]:
    """In the order in which the case tells them."""
    return [
        Signal(
            UUID(int=n),
            "alert" if source else "report",
            table.family(category),
            "321302001/",
            source,
            118.3 + east_m * METRE_LNG,
            33.96 + north_m * METRE_LAT,
            round(1.7954e15 + minutes * 60e6),
        )
        for n, (_, category, east_m, north_m, minutes, source) in enumerate(case.seen)
    ]


def pairs(case: Case, table: Correlation) -> Counter[str]:
    """Pairs that were taken for one matter and are, are not, and pairs that are and were not."""
    together = set()
    for cluster in correlate(signals(case, table), table=table):
        together |= set(combinations(sorted(one.id.int for one in cluster.signals), 2))
    found: Counter[str] = Counter()
    for one, other in combinations(range(len(case.seen)), 2):
        same = case.seen[one][0] == case.seen[other][0]
        if same or (one, other) in together:
            found["right" if same and (one, other) in together else "missed" if same else "wrong"] += 1
    return found


def rates(count: Counter[str]) -> tuple[float, float]:
    """Precision and recall; 1 where nothing was to be found."""
    told, real = count["right"] + count["wrong"], count["right"] + count["missed"]
    return (count["right"] / told if told else 1.0, count["right"] / real if real else 1.0)


def mean(cases: list[Case], table: Correlation) -> tuple[float, float]:
    """Each case counts the same, however many signals it has: one storm does not outweigh all the rest."""
    each = [rates(pairs(case, table)) for case in cases]
    return sum(p for p, _ in each) / len(each), sum(r for _, r in each) / len(each)


def test_precision_and_recall_over_the_labelled_situations_are_at_least_95_percent() -> None:
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)
    lines = [f"{'kind':<28}{'cases':>6}{'pairs':>8}{'precision':>11}{'recall':>8}{'by case':>16}"]
    for kind in [*dict.fromkeys(case.kind for case in CASES), "all"]:
        own = [case for case in CASES if kind in (case.kind, "all")]
        count = sum((pairs(case, TABLE) for case in own), Counter())
        precision, recall = rates(count)
        by_case = mean(own, TABLE)
        real = count["right"] + count["missed"]
        lines.append(
            f"{kind:<28}{len(own):>6}{real:>8}{precision:>11.3f}{recall:>8.3f}{by_case[0]:>9.3f}{by_case[1]:>7.3f}"
        )
    for case in CASES:
        count = pairs(case, TABLE)
        if count["wrong"] or count["missed"]:
            lines.append(f"  not right: {case.name}: {count['wrong']} wrong, {count['missed']} missed")
    print("\n".join(lines))
    precision, recall = rates(sum((pairs(case, TABLE) for case in CASES), Counter()))
    assert min(precision, recall) >= 0.95
    assert min(mean(list(CASES), TABLE)) >= 0.95
