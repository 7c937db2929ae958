"""The naive way to evaluate rules, to measure against: a straightforward loop. It knows thresholds with ladder, duration,
separate clear value and calm, and ``gap: hold``; each sensor reports once in ``interval_s``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ingest.sensor import Quantity
from rules.rule import ThresholdRule

Row = tuple[int, int, float, int]
"""Sensor number, quantity number, value, time in microseconds."""
Said = tuple[str, str, str, int, int]
"""A change of an alert: what, rule, sensor, severity, time."""

SECOND_US: Final = 1_000_000
_GAPS: Final = 3


class _Rule:
    """A rule as the loop meets it, all that can be computed beforehand computed."""

    def __init__(self, rule: ThresholdRule, interval_s: int) -> None:
        self.id = rule.id
        self.sign = 1.0 if rule.direction == "above" else -1.0
        self.levels = [(self.sign * level.at, level.severity) for level in rule.levels]
        self.first = self.levels[0][0]
        self.clear = self.sign * rule.clear
        self.for_us = round(rule.for_s * SECOND_US)
        self.clear_for_us = round(rule.clear_for_s * SECOND_US)
        self.gap_after_us = _GAPS * interval_s * SECOND_US


class _State:
    """What the loop remembers of a rule on a sensor."""

    __slots__ = ("good_since", "last", "rung", "since")

    def __init__(self, at_us: int) -> None:
        self.last = at_us
        self.rung = 0
        self.since: list[int | None] = [None] * 3
        self.good_since: int | None = None


class Loop:
    """The naive way: one reading after the other, one rule after the other, a dict of states."""

    def __init__(self, rules: Sequence[ThresholdRule], quantities: Mapping[str, Quantity], interval_s: int) -> None:
        self.rules: dict[int, list[_Rule]] = {quantity.n: [] for quantity in quantities.values()}
        for rule in rules:
            self.rules[quantities[rule.quantity].n].append(_Rule(rule, interval_s))
        self.states: dict[tuple[int, str], _State] = {}

    def take(self, rows: Sequence[Row]) -> list[Said]:
        said: list[Said] = []
        states = self.states
        for n, quantity, value, at in rows:
            for rule in self.rules[quantity]:
                state = states.get((n, rule.id))
                if state is None:
                    state = states[n, rule.id] = _State(at)
                elif at < state.last:
                    continue
                lost = at - state.last
                state.last = at
                signed = rule.sign * value
                if not state.rung and signed < rule.first:
                    if state.since[0] is not None:
                        state.since = [None] * 3
                    continue
                self.step(n, rule, state, signed, at, lost if lost > rule.gap_after_us else 0, said)
        return said

    def step(self, n: int, rule: _Rule, state: _State, signed: float, at: int, lost: int, said: list[Said]) -> None:
        """``lost``: the time of a gap before this reading, in which no duration runs."""
        held = 0
        for place, (level, _) in enumerate(rule.levels):
            since = state.since[place]
            if signed < level:
                state.since[place] = None
                continue
            since = at if since is None else since + lost
            state.since[place] = since
            if at - since >= rule.for_us:
                held = place + 1
        if state.rung and signed < rule.clear:
            state.good_since = at if state.good_since is None else state.good_since + lost
            if at - state.good_since >= rule.clear_for_us:
                said.append(("ended", rule.id, f"s{n}", rule.levels[state.rung - 1][1], at))
                state.rung, state.good_since = 0, None
            return
        state.good_since = None
        if held > state.rung:
            what = "grew" if state.rung else "raised"
            said.append((what, rule.id, f"s{n}", rule.levels[held - 1][1], at))
            state.rung = held
