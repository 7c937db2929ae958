"""What a back-test found: as JSON for programs, and as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from rules.alert import Alert
from rules.episode import Difference, Episodes, Group, Load, days, groups, loads
from rules.label import Score, Window
from rules.rulebook import Rulebook

_SHOWN: Final = 40


@dataclass(frozen=True)
class Read:
    """What became of the readings. Times are epoch microseconds, both 0 when there are none.

    ``unknown_quantities`` were taken as they came. ``refused`` counts rows by reason and ``refused_rows`` names the first;
    ``evaluation`` counts what the rules left out.
    """

    rows: int
    sensors: int
    from_us: int
    to_us: int
    refused: Mapping[str, int] = field(default_factory=dict)
    refused_rows: Sequence[tuple[int, str]] = ()
    unknown_quantities: Sequence[str] = ()
    evaluation: Counter[str] = field(default_factory=Counter)


def told(read: Read, book: Rulebook, silent: Mapping[str, str], episodes: Episodes, zone: tzinfo) -> dict[str, Any]:
    """The report without its comparisons. ``silent`` says why a rule that was taken could not speak."""
    alerts = episodes.in_order()
    found = groups(episodes)
    group_of = {alert.id: str(group.id) for group in found for alert in group.members}
    per_rule = loads(alerts, read.to_us, lambda alert: alert.rule)
    return {
        "rules": {
            "taken": len(book.rules),
            "refused": [{"file": r.file, "line": r.line, "reason": r.reason} for r in book.refusals],
            "not_evaluated": [{"rule": rule, "reason": reason} for rule, reason in sorted(silent.items())],
        },
        "readings": {
            "rows": read.rows + sum(read.refused.values()),
            "taken": read.rows,
            "sensors": read.sensors,
            "from": _moment(read.from_us) if read.rows else None,
            "to": _moment(read.to_us) if read.rows else None,
            "refused": dict(read.refused),
            "refused_rows": [{"line": line, "reason": reason} for line, reason in read.refused_rows],
            "unknown_quantities": list(read.unknown_quantities),
            "left_out": {what: count for what, count in sorted(read.evaluation.items()) if count},
        },
        "alerts": [shown(alert, episodes.peaks.get(alert.id), group_of.get(alert.id)) for alert in alerts],
        "groups": [_group(group) for group in found],
        "per_rule": [
            {"rule": rule.id} | _load(per_rule.get(rule.id, Load())) for rule in book.rules if rule.id not in silent
        ],
        "per_cell": [
            {"cell": cell} | _load(load) for cell, load in loads(alerts, read.to_us, lambda a: a.source.cell).items()
        ],
        "per_day": [{"day": f"{day}"} | _load(load) for day, load in days(alerts, read.to_us, zone).items()],
    }


def shown(alert: Alert, peak: float | None = None, group: str | None = None) -> dict[str, Any]:
    """An alert as the report lists it. ``peak`` is the value with which it reached its severity."""
    ended = None if alert.ended_at_us is None else _moment(alert.ended_at_us)
    found: dict[str, Any] = {
        "id": str(alert.id),
        "rule": alert.rule,
        "sensor": alert.source.id,
        "severity": alert.severity,
        "raised_at": _moment(alert.raised_at_us),
        "ended_at": ended,
        "cell": alert.source.cell,
        "domain": alert.domain,
        "category": alert.category,
        "title": alert.title,
        "title_en": alert.title_en,
        "quantity": alert.quantity,
        "unit": alert.unit,
        "threshold": alert.threshold,
        "why": dict(alert.why),
    }
    return found | {name: value for name, value in (("peak", peak), ("group", group)) if value is not None}


def compared(difference: Difference, here: Episodes, there: Episodes) -> dict[str, Any]:
    """What the rules under test give beside what the others give."""
    return {
        "alerts": len(there.alerts),
        "groups": len(groups(there)),
        "both": difference.both,
        "only_here": [shown(alert, here.peaks.get(alert.id)) for alert in difference.only_here],
        "only_there": [shown(alert, there.peaks.get(alert.id)) for alert in difference.only_there],
    }


def judged(score: Score) -> dict[str, Any]:
    """Alerts against labelled windows; rules.label says what each figure means."""
    return {
        "windows": score.detected + len(score.missed) + score.outside,
        "windows_outside_readings": score.outside,
        "true_positives": score.true_alerts,
        "false_positives": score.false_alerts,
        "detected": score.detected,
        "missed": [_window(window) for window in score.missed],
        "precision": score.precision,
        "recall": score.recall,
        "f1": score.f1,
        "median_delay_s": score.median_delay_s,
        "longest_delay_s": max(score.delays_s, default=None),
    }


def summary(report: Mapping[str, Any]) -> str:
    """The report in a page of text: one line for each rule that spoke, the loudest first."""
    readings, rules = report["readings"], report["rules"]
    lines = [
        f"{readings['taken']:,} readings of {readings['sensors']:,} sensors, {readings['from']} to {readings['to']};"
        f" {sum(readings['refused'].values()):,} rows refused",
        f"{rules['taken']} rules taken, {len(rules['refused'])} refused, {len(rules['not_evaluated'])} not evaluated",
    ]
    lines += [f"refused: {r['file']}:{r['line']}: {r['reason']}" for r in rules["refused"][:_SHOWN]]
    lines += [f"not evaluated: {r['rule']}: {r['reason']}" for r in rules["not_evaluated"][:_SHOWN]]
    lines += [f"left out: {what}: {count:,}" for what, count in readings["left_out"].items()]
    lines += [f"line {r['line']}: {r['reason']}" for r in readings["refused_rows"][:5]]
    loud = sorted((r for r in report["per_rule"] if r["alerts"]), key=lambda r: (-r["alerts"], r["rule"]))
    lines += ["", *_table(loud)] if loud else []
    quiet = len(report["per_rule"]) - len(loud)
    lines.append(f"{len(report['alerts']):,} alerts in {len(report['groups']):,} incident groups; {quiet} rules quiet")
    if "tickets" in report:
        tickets = report["tickets"]
        would_be, were, both = len(tickets["would_be"]), tickets["were"], tickets["both"]
        lines.append(f"tickets: {would_be:,} would have been opened, {were:,} were; {both:,} are the same")
    if "against" in report:
        against = report["against"]
        lines.append(
            f"against {against['rules']}: {against['both']:,} the same, {len(against['only_here']):,} only here,"
            f" {len(against['only_there']):,} only there"
        )
    if "labels" in report:
        labels = report["labels"]
        lines.append(
            f"labels: precision {_share(labels['precision'])}, recall {_share(labels['recall'])}, F1 {_share(labels['f1'])}"
            f" ({labels['true_positives']} true and {labels['false_positives']} false alerts,"
            f" {labels['detected']} windows detected and {len(labels['missed'])} missed)"
        )
    return "\n".join(lines)


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    width = max(len("rule"), *(len(row["rule"]) for row in rows))
    head = f"{'rule':<{width}}  alerts  sensors  minutes  severity 1/2/3/4"
    return [head] + [
        f"{row['rule']:<{width}}  {row['alerts']:>6,}  {row['sensors']:>7,}  {row['minutes']:>7,.0f}  "
        + "/".join(str(row["by_severity"].get(str(s), 0)) for s in (1, 2, 3, 4))
        for row in rows
    ]


def _load(load: Load) -> dict[str, Any]:
    return {
        "alerts": load.alerts,
        "minutes": round(load.minutes, 3),
        "sensors": len(load.sources),
        "by_severity": {str(severity): count for severity, count in sorted(load.severities.items())},
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "id": str(group.id),
        "category": group.category,
        "severity": group.severity,
        "members": [str(alert.id) for alert in group.members],
        "from": _moment(group.from_us),
        "to": None if group.to_us is None else _moment(group.to_us),
    }


def _window(window: Window) -> dict[str, Any]:
    return {
        "sensor": window.sensor,
        "from": _moment(window.from_us),
        "to": _moment(window.to_us),
        "about": window.about,
    }


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.3f}"


def _moment(us: int) -> str:
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000).isoformat()
