"""The machine that all kinds share: from a number to a rung of the ladder, and from there to an alert.

    quiet --level held for its time--> firing --graver level held--> firing, graver
    firing --good side held for its time--> quiet
    silence: hold stops the durations, reset makes quiet, fire lets the condition hold
    outside the rule's hours: quiet

One slot and one reading at a time; rules.plain does the same for many slots at once wherever nothing is to be told.
Values are signed here (times +1 above, -1 below), so that beyond is always >=. Times are epoch microseconds.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Final, Protocol
from uuid import UUID

from shapely import Polygon

from gis.locate import CellPlace
from ingest.sensor import Quantity
from rules.alert import Alert, AlertChange, Change, Source, alert_id
from rules.anomaly import Reason
from rules.memory import BUSY, CLEARING, Memory
from rules.rule import (
    AreaRule,
    CombinationRule,
    DeviationRule,
    DifferenceRule,
    ExceedanceRule,
    Level,
    RateRule,
    SensorRule,
    ThresholdRule,
    WindowRule,
)
from rules.situation import Situation
from rules.slots import FIRE, MOST_LEVELS, NEVER, RESET, SECOND_US, Ladder, Slots
from rules.statistic.moment import rfc3339
from rules.when import first, is_hour, is_mode

_MINUTE_US: Final = 60 * SECOND_US
_PER: Final = {1.0: "/s", 60.0: "/min", 3600.0: "/h", 86_400.0: "/d"}


class Origin(Protocol):
    """Where readings come from: a batch, or a reading that was held back (then ``row`` says nothing)."""

    def cause(self, row: int) -> str:
        """What names the reading in an alert's id: its message's key and the time that it was sent with."""

    def place(self, row: int) -> CellPlace | None:
        """Where it was taken."""

    def inside(self, area: Polygon, row: int) -> bool | None:
        """Whether it was taken in an area; None where its position is not known."""


class Machine:
    """One evaluation. ``found`` collects (row, slot, change); rows order what different readings bring about.

    ``reasons``: by slot, why the reading that is judged now is unusual, where its rule learns what is usual.
    """

    __slots__ = (
        "_hours",
        "busy",
        "found",
        "memory",
        "reasons",
        "rung",
        "since_us",
        "situation",
        "slots",
    )

    def __init__(self, slots: Slots, memory: Memory, situation: Situation) -> None:
        self.slots = slots
        self.memory = memory
        self.situation = situation
        self.found: list[tuple[int, int, AlertChange]] = []
        self.reasons: dict[int, Reason] = {}
        views = memory.views
        self.rung, self.busy, self.since_us = views.rung, views.busy, views.since_us
        self._hours: dict[tuple[int, int], bool] = {}

    def changes(self) -> list[AlertChange]:
        """What was found, in order of the readings that brought it about, then of slots."""
        self.found.sort(key=lambda entry: entry[:2])
        return [change for _, _, change in self.found]

    def counts(self, slot: int, ladder: Ladder, at_us: int) -> bool:
        """Whether the rule counts at that time; asked only of ladders with a ``when``."""
        when = ladder.when
        assert when is not None
        minute = (ladder.rule, at_us // _MINUTE_US)
        met = self._hours.get(minute)
        if met is None:
            met = self._hours[minute] = is_hour(when, at_us, self.situation)
        return met and self._is_mode(slot, ladder)

    def advance(self, slot: int, ladder: Ladder, last_us: int, until_us: int, row: int, reading: bool) -> None:
        """What the time from the last reading to ``until_us`` brings by itself: hours that end, and silence.

        ``reading``: a reading came at ``until_us``; else the clock only tells, and leaves the durations as they are.
        """
        if last_us == NEVER:
            return
        silent = until_us - last_us > ladder.gap_after_us
        gap_us = last_us + ladder.gap_after_us
        if ladder.when is not None and self.busy[slot]:
            # Silence may have raised it since, in later hours than those of the last reading.
            after_us = max(last_us, self.memory.firing[slot].at_us) if self.rung[slot] else last_us
            over_us = self._over_us(slot, ladder, after_us, until_us)
            if over_us is not None:
                if silent and ladder.gap == FIRE:
                    # Asked late: what silence brought before the hours ended was brought all the same.
                    self._fire(slot, ladder, last_us, over_us, row, reading)
                by_gap = silent and ladder.gap == RESET and gap_us < over_us
                self._quieten(slot, gap_us if by_gap else over_us, "gap" if by_gap else "when", row)
                # One silence is told once, and this one was cut short.
                self.memory.told_us[slot] = last_us
        if not silent:
            return
        if ladder.gap == RESET:
            if self.busy[slot]:
                self._quieten(slot, gap_us, "gap", row)
        elif ladder.gap == FIRE:
            self._fire(slot, ladder, last_us, until_us, row, reading)
            if reading and ladder.when is not None and self.busy[slot] and not self.counts(slot, ladder, until_us):
                self._quieten(slot, until_us, "when", row)
        elif reading and self.busy[slot]:
            self.shift(slot, until_us - last_us)

    def shift(self, slot: int, by_us: int) -> None:
        """Running durations do not count this time."""
        base = slot * MOST_LEVELS
        for i in range(base, base + MOST_LEVELS):
            if self.since_us[i] == NEVER:
                break
            self.since_us[i] += by_us
        if self.busy[slot] & CLEARING:
            self.memory.clearing[slot] += by_us

    def judge(
        self, slot: int, ladder: Ladder, at_us: int, x: float, shown: float | None, row: int, origin: Origin
    ) -> None:
        """One more number. ``shown`` is what people see of it, None when there is nothing to see."""
        rung, clearing = self.rung[slot], self.busy[slot] & CLEARING
        if rung:
            if x < ladder.clear:
                since = self.memory.clearing[slot] if clearing else at_us
                calm_us, damped = self._calm(slot, ladder, at_us)
                if at_us - since >= calm_us:
                    more = {"settle_s": ladder.damping.settle_s} if damped and ladder.damping else {}
                    self._end(slot, at_us, shown, {"ended_by": "value"} | more, row)
                    self._drop(slot)
                    return
                self.memory.clearing[slot] = since
                clearing = CLEARING
            elif clearing:
                del self.memory.clearing[slot]
                clearing = 0
        met, reached = self._climb(slot, ladder, at_us, x)
        if reached > rung:
            cause = "" if rung else origin.cause(row)
            place = None if rung else origin.place(row)
            value = ladder.sign * x if shown is None else shown
            self._tell(slot, ladder, reached, at_us, value, cause, place, row)
        self.busy[slot] = clearing | (BUSY if met or rung else 0)

    def _climb(self, slot: int, ladder: Ladder, at_us: int, x: float) -> tuple[int, int]:
        """Rungs that the number meets, and the highest of those that have held for their time."""
        base, since_us = slot * MOST_LEVELS, self.since_us
        met = reached = 0
        for bound, for_us in zip(ladder.at, ladder.for_us, strict=True):
            if not x >= bound:
                break
            since = since_us[base + met]
            if since == NEVER:
                since = since_us[base + met] = at_us
            met += 1
            if at_us - since >= for_us:
                reached = met
        for i in range(base + met, base + MOST_LEVELS):
            if since_us[i] == NEVER:
                break
            since_us[i] = NEVER
        return met, reached

    def _calm(self, slot: int, ladder: Ladder, at_us: int) -> tuple[int, bool]:
        """How long the good side must hold, and whether that is because the alert flaps."""
        damping, raises = ladder.damping, self.memory.raises.get(slot, ())
        if damping is None or len(raises) < damping.raises:
            return ladder.clear_for_us, False
        if raises[-damping.raises] <= at_us - round(damping.within_s * SECOND_US):
            return ladder.clear_for_us, False
        return max(ladder.clear_for_us, round(damping.settle_s * SECOND_US)), True

    def _fire(self, slot: int, ladder: Ladder, last_us: int, until_us: int, row: int, reading: bool) -> None:
        """Silence under ``fire``: from ``gap_after`` on the condition holds at the rung last met, the first one when quiet."""
        memory, base = self.memory, slot * MOST_LEVELS
        start_us = last_us + ladder.gap_after_us
        since_us = [self.since_us[base + k] for k in range(len(ladder.at))]
        if since_us[0] == NEVER:
            since_us[0] = start_us
            if reading:
                self.since_us[base] = start_us
                self.busy[slot] |= BUSY
        if reading and self.busy[slot] & CLEARING:
            del memory.clearing[slot]
            self.busy[slot] &= ~CLEARING
        due = sorted(
            (max(since + for_us, start_us), -k)
            for k, (since, for_us) in enumerate(zip(since_us, ladder.for_us, strict=True), 1)
            if since != NEVER
        )
        for at_us, k in due:
            if at_us > until_us or -k <= self.rung[slot]:
                continue
            moment = self._met_us(slot, ladder, at_us, until_us)
            if moment is None or (self.rung[slot] == 0 and memory.told_us.get(slot) == last_us):
                return
            memory.told_us[slot] = last_us
            why = {"gap": "fire", "silent_since": rfc3339(last_us)}
            place = memory.places.get(slot)
            level = ladder.levels[-k - 1]
            self._tell(slot, ladder, -k, moment, level.at, f"gap\0{last_us}", place, row, why, since_us[-k - 1])
            self.busy[slot] |= BUSY
            over_us = None if ladder.when is None else self._over_us(slot, ladder, moment, until_us)
            if over_us is not None:
                self._quieten(slot, over_us, "when", row)
                return

    def _over_us(self, slot: int, ladder: Ladder, after_us: int, until_us: int) -> int | None:
        """When in (after, until] the rule stopped counting."""
        assert ladder.when is not None
        found = first(ladder.when, False, after_us, until_us, self.situation)
        if found is None and not self._is_mode(slot, ladder):
            return until_us
        return found

    def _met_us(self, slot: int, ladder: Ladder, at_us: int, until_us: int) -> int | None:
        """The first time from ``at_us`` to ``until_us`` at which the rule counts."""
        if ladder.when is None:
            return at_us
        if not self._is_mode(slot, ladder):
            return None
        return first(ladder.when, True, at_us - 1, until_us, self.situation)

    def _is_mode(self, slot: int, ladder: Ladder) -> bool:
        when = ladder.when
        if when is None or when.mode is None:
            return True
        rule = self.slots.rules[ladder.rule]
        return is_mode(when, self.slots.sensor_of(slot).scope, rule.domain, self.situation)

    def _quieten(self, slot: int, at_us: int, why: str, row: int) -> None:
        """Drop what is running, and end the alert if there is one."""
        if self.rung[slot]:
            self._end(slot, at_us, None, {"ended_by": why}, row)
        self._drop(slot)

    def _drop(self, slot: int) -> None:
        base = slot * MOST_LEVELS
        for i in range(base, base + MOST_LEVELS):
            self.since_us[i] = NEVER
        self.memory.clearing.pop(slot, None)
        self.rung[slot] = 0
        self.busy[slot] = 0

    def _end(self, slot: int, at_us: int, shown: float | None, why: dict[str, Any], row: int) -> None:
        alert = self.memory.firing.pop(slot)
        at_us = max(at_us, alert.raised_at_us)
        value = alert.value if shown is None else shown
        why = {**alert.why, **why}
        ended = replace(alert, ended_at_us=at_us, at_us=at_us, value=value, version=alert.version + 1, why=why)
        self.found.append((row, slot, AlertChange(Change.ENDED, ended)))

    def _tell(
        self,
        slot: int,
        ladder: Ladder,
        rung: int,
        at_us: int,
        value: float,
        cause: str,
        place: CellPlace | None,
        row: int,
        gap: dict[str, Any] | None = None,
        since_us: int | None = None,
    ) -> None:
        """Raise an alert on a rung, or take the open one up to it. ``gap`` says that silence did it."""
        rule = self.slots.rules[ladder.rule]
        level = ladder.levels[rung - 1]
        since_us = self.since_us[slot * MOST_LEVELS + rung - 1] if since_us is None else since_us
        known = self.memory.firing.get(slot)
        if known is None:
            self._remember_raise(slot, ladder, at_us)
        quantity = self.slots.catalogue.quantities.get(rule.quantity)
        unit, reason = _unit(rule, quantity), None if gap else self.reasons.get(slot)
        if reason is None:
            title, title_en = _titles(rule, level.action.zh, level.action.en, value, unit, gap is not None)
        else:
            title, title_en = _unusual(rule, level, reason, "" if quantity is None else quantity.symbol)
        alert = Alert(
            id=self._identity(slot, rule, cause) if known is None else known.id,
            rule=rule.id,
            rule_version=rule.version if known is None else known.rule_version,
            source=self._source(slot, place) if known is None else known.source,
            domain=rule.domain,
            category=rule.category,
            severity=level.severity,
            title=title,
            title_en=title_en,
            quantity=rule.quantity,
            unit=unit,
            value=value,
            threshold=level.at,
            raised_at_us=at_us if known is None else known.raised_at_us,
            at_us=at_us,
            version=1 if known is None else known.version + 1,
            warning_level=level.warning_level,
            why=self._why(slot, ladder, rung, at_us, since_us, gap) | _reasoned(reason),
        )
        self.memory.firing[slot] = alert
        self.rung[slot] = rung
        change = Change.RAISED if known is None else Change.GREW
        self.found.append((row, slot, AlertChange(change, alert)))

    def _remember_raise(self, slot: int, ladder: Ladder, at_us: int) -> None:
        if ladder.damping is not None:
            raises = self.memory.raises.setdefault(slot, [])
            raises.append(at_us)
            del raises[: -ladder.damping.raises]

    def _why(
        self, slot: int, ladder: Ladder, rung: int, at_us: int, since_us: int, gap: dict[str, Any] | None
    ) -> dict[str, Any]:
        why = _facts(self.slots.rules[ladder.rule])
        against = self.slots.against(slot)
        if against is not None:
            why["against"] = against
        for_us = ladder.for_us[rung - 1]
        if for_us:
            held_s = round((at_us - since_us) / SECOND_US, 3)
            why |= {"for_s": for_us / SECOND_US, "since": rfc3339(since_us), "held_s": held_s}
        calm_us, damped = self._calm(slot, ladder, at_us)
        if damped:
            why["damped"] = {"raises": len(self.memory.raises[slot]), "settle_s": calm_us / SECOND_US}
        statistic = self.memory.statistics.get(slot)
        return why | (gap or {}) | (statistic.why() if statistic is not None else {})

    def _identity(self, slot: int, rule: SensorRule, cause: str) -> UUID:
        sensor, against = self.slots.sensor_of(slot), self.slots.against(slot)
        # One sensor may be compared with several.
        return alert_id(rule.id, sensor.id, cause if against is None else f"{cause}\0{against}")

    def _source(self, slot: int, place: CellPlace | None) -> Source:
        s = self.slots.sensor_of(slot)
        if s.lng is None and place is not None:
            return Source("sensor", s.id, s.name, place.code, place.region, place.scope, place.lng, place.lat)
        return Source("sensor", s.id, s.name, s.cell, s.region, s.scope, s.lng or 0.0, s.lat or 0.0)


def _titles(rule: SensorRule, zh: str, en: str, value: float, unit: str, is_silent: bool) -> tuple[str, str]:
    if is_silent:
        return f"{rule.title.zh}：数据中断，{zh}", f"{rule.title.en}, no data: {en}"
    if isinstance(rule, AreaRule | CombinationRule):
        return f"{rule.title.zh}，{zh}", f"{rule.title.en}: {en}"
    shown = f"{value:.4g} {unit}".rstrip()
    return f"{rule.title.zh} {shown}，{zh}", f"{rule.title.en} {shown}: {en}"


def _unusual(rule: SensorRule, level: Level, reason: Reason, symbol: str) -> tuple[str, str]:
    """The titles with what came and what was expected, as a score says little to people."""
    seen = f"{reason.seen:.4g} {symbol}".rstrip()
    if reason.aspect == "shift":
        zh, en = f"均值变化 {seen}", f"mean changed by {seen}"
    else:
        zh, en = f"{seen}（预期 {reason.expected:.4g}）", f"{seen} ({reason.expected:.4g} expected)"
    return f"{rule.title.zh} {zh}，{level.action.zh}", f"{rule.title.en} {en}: {level.action.en}"


def _reasoned(reason: Reason | None) -> dict[str, Any]:
    """What was expected, what came, and how rare that is."""
    if reason is None:
        return {}
    why = asdict(reason)
    if not reason.window:
        del why["window"]
    return why


def _unit(rule: SensorRule, quantity: Quantity | None) -> str:
    symbol = "" if quantity is None else quantity.symbol
    match rule:
        case ThresholdRule() | WindowRule() | DifferenceRule():
            return symbol
        case RateRule():
            return symbol + _PER.get(rule.per_s, f"/{rule.per_s:g} s")
        case _:
            return ""


def _facts(rule: SensorRule) -> dict[str, Any]:
    """What was computed, over which time."""
    why: dict[str, Any] = {"kind": rule.__struct_config__.tag}
    match rule:
        case WindowRule():
            why |= {"statistic": rule.statistic, "over_s": rule.over_s}
            if rule.percentile is not None:
                why["percentile"] = rule.percentile
        case RateRule():
            why |= {"over_s": rule.over_s, "per_s": rule.per_s}
        case ExceedanceRule():
            why |= {"limit": rule.limit, "side": rule.side}
            if rule.mean_s is not None:
                why["mean_s"] = rule.mean_s
        case DeviationRule():
            why["statistic"] = "rarity"
        case AreaRule():
            why["inside"] = rule.inside
        case _:
            pass
    return why
