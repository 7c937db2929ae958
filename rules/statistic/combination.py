"""A condition over several sensors around an anchor: 1 while it surely holds, 0 while it surely does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rules.condition import Condition, holds, leaves_of
from rules.rule import Leaf
from rules.statistic.exact import MILLION, millionths
from rules.statistic.moment import rfc3339

_LONG_AGO: Final = -(1 << 62)


class Combination:
    """``quantities`` names what each input measures. A leaf holds while the newest value of some input, not older than the
    leaf's ``fresh_s``, is at its bound or beyond; it is not known while every input of its quantity is older or silent.

    Inputs are different sensors, whose times may cross: fresh is judged at the newest of them.
    """

    __slots__ = ("_asked", "_condition", "_now_us", "_quantities")

    def __init__(self, condition: Condition, quantities: Sequence[str]) -> None:
        self._condition = condition
        self._quantities = tuple(quantities)
        leaves = list(leaves_of(condition))
        self._asked = [_Asked(leaf) for leaf in leaves]
        self._now_us = _LONG_AGO

    def take(self, at_us: int, value: float, place: int = 0) -> float | None:
        quantity = self._quantities[place]
        for asked in self._asked:
            if asked.leaf.quantity == quantity:
                asked.take(at_us, value, place)
        self._now_us = max(self._now_us, at_us)
        held = holds(self._condition, [asked.answer(self._now_us) for asked in self._asked])
        return None if held is None else float(held)

    def forget(self) -> None:
        self._now_us = _LONG_AGO
        for asked in self._asked:
            asked.forget()

    def frozen(self) -> Any:
        return [self._now_us, [asked.frozen() for asked in self._asked]]

    def thaw(self, frozen: Any) -> None:
        match frozen:
            case [int(now_us), list(asked)] if len(asked) == len(self._asked):
                self._now_us = now_us
                for each, found in zip(self._asked, asked, strict=True):
                    each.thaw(found)
            case _:
                raise ValueError("not the answers of this condition")

    def why(self) -> dict[str, Any]:
        return {"conditions": [asked.why(self._now_us) for asked in self._asked]}


class _Asked:
    """A leaf and what its inputs said: ``newest`` of them all, and ``beyond`` by input, of those whose newest value is."""

    __slots__ = ("beyond", "bound", "fresh_us", "leaf", "newest", "sign")

    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf
        self.sign = 1 if leaf.above is not None else -1
        given = leaf.above if leaf.above is not None else leaf.below
        self.bound = self.sign * millionths(given or 0.0)
        self.fresh_us = round(leaf.fresh_s * MILLION)
        self.forget()

    def forget(self) -> None:
        self.newest: tuple[int, int] | None = None
        self.beyond: dict[int, tuple[int, int]] = {}

    def take(self, at_us: int, value: float, place: int) -> None:
        reading = (at_us, millionths(value))
        if self.newest is None or at_us >= self.newest[0]:
            self.newest = reading
        if self.sign * reading[1] >= self.bound:
            self.beyond[place] = reading
        else:
            self.beyond.pop(place, None)

    def answer(self, now_us: int) -> bool | None:
        since_us = now_us - self.fresh_us
        if any(at_us >= since_us for at_us, _ in self.beyond.values()):
            return True
        return None if self.newest is None or self.newest[0] < since_us else False

    def frozen(self) -> Any:
        return [self.newest, [[place, *reading] for place, reading in self.beyond.items()]]

    def thaw(self, frozen: Any) -> None:
        try:
            newest, beyond = frozen
            self.newest = None if newest is None else (int(newest[0]), int(newest[1]))
            self.beyond = {int(place): (int(at_us), int(value)) for place, at_us, value in beyond}
        except (TypeError, IndexError):
            raise ValueError("not the answer to a leaf") from None

    def why(self, now_us: int) -> dict[str, Any]:
        since_us = now_us - self.fresh_us
        beyond = [reading for reading in self.beyond.values() if reading[0] >= since_us]
        worst = max(beyond, key=lambda reading: self.sign * reading[1], default=self.newest)
        bound = "above" if self.sign > 0 else "below"
        told: dict[str, Any] = {"quantity": self.leaf.quantity, bound: self.sign * self.bound / MILLION}
        told["holds"] = self.answer(now_us)
        return told if worst is None else told | {"value": worst[1] / MILLION, "at": rfc3339(worst[0])}
