"""The lines that answer "why is it 83?": each with its points, its words in both languages, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rules.risk import points

MOST_HAZARDS: Final = 20
"""Lines of hazards; what is less is told together."""


@dataclass(frozen=True, slots=True)
class Hazard:
    """One hazard as it counts now. ``kind``: alert or reading; ``source``: the alert, or the sensor. ``log``: risk.log_of."""

    kind: str
    source: str
    zh: str
    en: str
    log: float


@dataclass(frozen=True, slots=True)
class Amplifier:
    """A part of exposure or vulnerability (``of``): its measured ``value`` and what it adds to the logarithms."""

    of: str
    kind: str
    value: float
    log: float


_WORDS: Final = {
    "density": ("网格面积 {} m²：越小越密集", "cell of {} m²: the smaller, the denser"),
    "special": ("重点网格", "a cell of its own kind"),
    "duties": ("{} 项单位职责", "{} duties of organisations"),
    "devices": ("{} 个传感器和摄像机", "{} sensors and cameras"),
    "people": ("人员聚集程度 {} %", "{} % full of people"),
    "past": ("近期工单 {} 件", "{} tickets of late"),
    "overdue": ("超期未结工单 {} 件", "{} tickets overdue"),
    "silent": ("{} % 的传感器和摄像机失联", "{} % of sensors and cameras silent"),
}
_PERCENT: Final = frozenset({"people", "silent"})


def lines(tenths: int, hazards: Sequence[Hazard], amplifiers: Sequence[Amplifier]) -> list[dict[str, Any]]:
    """The lines of a score in tenths, hazards first, the greatest first; their points add up to it. None of 0 points but
    of hazards.
    """
    ordered = sorted(hazards, key=lambda hazard: (-hazard.log, hazard.source))
    if len(ordered) > MOST_HAZARDS:
        rest = ordered[MOST_HAZARDS:]
        together = Hazard(
            "further", "", f"另有 {len(rest)} 项", f"{len(rest)} more", sum(hazard.log for hazard in rest)
        )
        ordered = [*ordered[:MOST_HAZARDS], together]
    counted = sorted((own for own in amplifiers if own.log > 0), key=lambda own: (own.of, -own.log))
    shares = points(tenths, [hazard.log for hazard in ordered], [own.log for own in counted])
    found = [
        {
            "of": "hazard",
            "kind": hazard.kind,
            "zh": hazard.zh,
            "en": hazard.en,
            "points": part / 10,
            "source": hazard.source,
        }
        for hazard, part in zip(ordered, shares, strict=False)
    ]
    return found + [
        _amplified(own, part) for own, part in zip(counted, shares[len(ordered) :], strict=True) if part > 0
    ]


def _amplified(own: Amplifier, part: int) -> dict[str, Any]:
    zh, en = _WORDS[own.kind]
    value = own.value * 100 if own.kind in _PERCENT else own.value
    said = f"{value:,.0f}"
    words: Mapping[str, Any] = {"zh": zh.format(said), "en": en.format(said)}
    return {"of": own.of, "kind": own.kind, **words, "points": part / 10, "value": round(own.value, 3)}


def region_lines(top: int, code: str, name: str, further: int, added: int, at_least: float) -> list[dict[str, Any]]:
    """The lines of a region's score: its highest cell, and what further high ones add. Scores in tenths."""
    highest = {
        "of": "highest",
        "kind": "cell",
        "zh": f"最高网格：{name}",
        "en": f"highest cell: {name}",
        "points": top / 10,
        "source": code,
    }
    if not further:
        return [highest]
    more = {
        "of": "further",
        "kind": "cells",
        "zh": f"另有 {further} 个网格不低于 {at_least:g} 分",
        "en": f"{further} more at {at_least:g} or above",
        "points": added / 10,
        "value": further,
    }
    return [highest, more]
