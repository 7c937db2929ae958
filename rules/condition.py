"""Conditions as trees: ``all``, ``any`` and ``not`` over what sensors report. Data, never text to be evaluated.

Answers are three-valued (Kleene): what is not known stays not known, unless the rest settles the matter whatever it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, TypeAlias

import msgspec

from rules.rule import Leaf

DEEPEST: Final = 5
MOST_LEAVES: Final = 32

_FURTHEST = 1e9


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds when every part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when one part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Holds when its part does not."""

    part: Condition


Condition: TypeAlias = "AllOf | AnyOf | Not | Leaf"


class BadCondition(ValueError):
    """A condition that cannot be read; says where in it."""


def read(found: Any) -> Condition:
    """The tree of a rule's ``condition``. Raises BadCondition."""
    return _read(found, "condition", 1, [0])


def leaves_of(condition: Condition) -> Iterator[Leaf]:
    """The leaves from left to right: the order in which answers are given."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves_of(part)
        case Not(part):
            yield from leaves_of(part)
        case Leaf():
            yield condition


def quantities_of(condition: Condition) -> tuple[str, ...]:
    """The quantity of each leaf, in their order; one that several leaves ask for comes several times."""
    return tuple(leaf.quantity for leaf in leaves_of(condition))


def holds(condition: Condition, answers: Sequence[bool | None]) -> bool | None:
    """Whether a condition holds, by the answer to each leaf; None where that is not known."""
    return _holds(condition, iter(answers))


def _holds(condition: Condition, answers: Iterator[bool | None]) -> bool | None:
    match condition:
        case AllOf(parts):
            # Every part is asked, so that each leaf takes its own answer.
            return _settled([_holds(part, answers) for part in parts], by=False)
        case AnyOf(parts):
            return _settled([_holds(part, answers) for part in parts], by=True)
        case Not(part):
            held = _holds(part, answers)
            return None if held is None else not held
        case _:
            return next(answers)


def _settled(parts: list[bool | None], by: bool) -> bool | None:
    if by in parts:
        return by
    return None if None in parts else not by


def _read(found: Any, path: str, depth: int, leaves: list[int]) -> Condition:
    # Depth and number bound the walk, whatever cycles the anchors of a YAML file tie: every list has at least one leaf below.
    if depth > DEEPEST:
        raise BadCondition(f"{path}: conditions go at most {DEEPEST} deep")
    if not isinstance(found, dict):
        raise BadCondition(f"{path}: a condition is a mapping with all, any, not, or a quantity")
    joined = [word for word in ("all", "any", "not") if word in found]
    if not joined:
        leaves[0] += 1
        if leaves[0] > MOST_LEAVES:
            raise BadCondition(f"{path}: a condition asks for at most {MOST_LEAVES} values")
        return _leaf(found, path)
    if len(found) > 1:
        raise BadCondition(f"{path}: {joined[0]} stands alone in its mapping")
    word, parts = joined[0], found[joined[0]]
    if word == "not":
        return Not(_read(parts, f"{path}.not", depth + 1, leaves))
    if not isinstance(parts, list) or not parts:
        raise BadCondition(f"{path}.{word}: give a list of conditions")
    read_parts = tuple(_read(part, f"{path}.{word}[{i}]", depth + 1, leaves) for i, part in enumerate(parts))
    return AllOf(read_parts) if word == "all" else AnyOf(read_parts)


def _leaf(found: dict[str, Any], path: str) -> Leaf:
    try:
        leaf = msgspec.convert(found, Leaf)
    except msgspec.ValidationError as problem:
        raise BadCondition(f"{path}: {problem}") from None
    given = [value for value in (leaf.above, leaf.below) if value is not None]
    if len(given) != 1:
        raise BadCondition(f"{path}: give either above or below")
    if not isfinite(given[0]) or abs(given[0]) > _FURTHEST:
        raise BadCondition(f"{path}: {given[0]} is not a number between -1e9 and 1e9")
    return leaf
