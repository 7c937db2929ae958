"""What alerts and newest readings say of a cell's risk before it fades: told the same way for now and for the hours ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zlib import crc32

from ingest.silence import OFFLINE, SILENT
from rules.risk import DOMAINS
from rules.risk_limit import Near
from rules.risk_outlook import Standing
from rules.risk_table import Closeness, HazardWeights

_DOMAIN: Final = {name: place for place, name in enumerate(DOMAINS)}
_ALERT: Final = """id, rule, cell, domain, severity, title, title_en, source, source_name, quantity,
 extract(epoch FROM ended_at)::float8 AS ended, muted_kind FROM alerts"""
ALERTS: Final = f"""SELECT {_ALERT} WHERE ended_at IS NULL
 UNION ALL SELECT {_ALERT} WHERE ended_at > :since"""
SENSORS: Final = """SELECT n, id, state, extract(epoch FROM last_received_at)::float8 AS heard,
 extract(epoch FROM state_since)::float8 AS since, latest FROM sensors"""


@dataclass(frozen=True, slots=True)
class Found:
    """A hazard before it fades. ``mark`` tells it from others; equal ``key``: the same rule on the same source."""

    key: tuple[str, str]
    cell: int
    domain: int
    weight: float
    since: float | None
    half_life_s: float
    kind: str
    source: str
    zh: str
    en: str

    @property
    def mark(self) -> int:
        return crc32(f"{self.source}\0{self.weight:.2f}\0{self.since is None}".encode())

    def standing(self, moment: float) -> Standing:
        """As it stands at ``moment`` (epoch seconds)."""
        age_s = None if self.since is None else moment - self.since
        domain = DOMAINS[self.domain]
        return Standing(
            self.key, domain, self.weight, age_s, self.half_life_s, self.kind, self.source, self.zh, self.en
        )


def silent_since(row: Any) -> float | None:
    """Since when a sensor (of SENSORS) has not been heard of, in epoch seconds; None while it is."""
    return (row.heard or row.since or 0.0) if row.state in (SILENT, OFFLINE) else None


def of_alert(row: Any, cell: int, table: HazardWeights, silent: Mapping[str, float]) -> Found:
    """The hazard of an alert (of ALERTS); ``silent``: since when sensors are."""
    weight = table.severity[str(row.severity)]
    zh, en = f"{row.title}（{row.source_name}）", f"{row.title_en} ({row.source_name})"
    since, half_life_s = row.ended, table.half_life_s
    if row.ended is not None:
        zh, en = f"{zh}，已结束，影响渐消", f"{en}, over and fading"
    elif row.quantity != "online" and row.source in silent:
        since, half_life_s = silent[row.source], table.silent_half_life_s
        zh, en = f"{zh}，测点失联，影响渐消", f"{en}, its sensor silent and fading"
    if row.muted_kind is not None:
        weight *= table.quiet.get(row.muted_kind, 0.0)
        zh, en = f"{zh}，已静默", f"{en}, kept quiet"
    key = (row.rule, row.source)
    return Found(key, cell, _DOMAIN[row.domain], weight, since, half_life_s, "alert", str(row.id), zh, en)


def of_reading(one: Near, identity: str, name: str, cell: int, table: Closeness) -> Found:
    """The hazard of a newest value that comes close to a limit."""
    limit, at = one.limit, datetime.fromisoformat(one.at).timestamp()
    # A closeness that trembles in its last digits is none the closer.
    weight = table.most * round(one.closeness, 1)
    value, first = f"{one.value:g} {limit.symbol}".strip(), f"{limit.first:g} {limit.symbol}".strip()
    zh = f"{name} {value}，接近{limit.title}的 {first}"
    en = f"{name} {value}, close to {first} of {limit.title_en}"
    key = (limit.rule, identity)
    return Found(key, cell, _DOMAIN[limit.domain], weight, at, table.half_life_s, "reading", identity, zh, en)
