"""``/api/v1/summary``: the figures of a screen's frame."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field
from sqlalchemy import Connection, text

from command_center.api.asking import now, server, sight
from command_center.api.region import path_of
from command_center.heartbeat import Heartbeat, last_beat

blueprint = APIBlueprint("summary", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="summary")])

DOMAINS: Final = ("emergency", "public_order", "urban_management", "traffic")
TREND_HOURS: Final = 24
LATE_S: Final = 5.0
AWAY_S: Final = 10.0

_FIGURES = """
SELECT domain,
  count(*) FILTER (WHERE closed_at IS NULL) AS open,
  count(*) FILTER (WHERE opened_at >= date_trunc('day', :now AT TIME ZONE :zone) AT TIME ZONE :zone) AS today,
  count(*) FILTER (WHERE closed_at IS NULL AND (overdue_at IS NOT NULL
    OR due_at < :now AND status NOT IN ('handled', 'checking', 'suspended', 'reported', 'verifying'))) AS overdue
FROM tickets
WHERE (closed_at IS NULL OR opened_at >= date_trunc('day', :now AT TIME ZONE :zone) AT TIME ZONE :zone) AND {within}
GROUP BY domain"""

_TREND = """
SELECT domain, floor(extract(epoch FROM :now - opened_at) / 3600)::int AS hours_ago, count(*) AS opened
FROM tickets WHERE opened_at > :since AND {within} GROUP BY 1, 2"""

# Without a region: all that the account sees, what was dispatched to it from elsewhere included.
_EVERYWHERE = "true"
_WITHIN = "scope >= :path AND scope < :path || '~'"


class SummaryQuery(BaseModel):
    """Of which region."""

    region: str | None = Field(
        None, description="region code: it and all below it; all that the account sees without it"
    )


@blueprint.get("/summary", summary="Counts of what the account sees")
def get_summary(query: SummaryQuery) -> dict[str, Any]:
    """Open, new and overdue tickets by domain, sensors and cameras by state, and whether the worker lives."""
    moment = now()
    within = _EVERYWHERE if query.region is None else _WITHIN
    values = {} if query.region is None else {"path": path_of(query.region)}
    with sight(snapshot=True) as connection:
        return {
            "at": moment.isoformat(),
            "domains": _domains(connection, moment, within, values),
            "sensors": _states(connection, "sensors", within, values),
            "cameras": _states(connection, "cameras", within, values),
            **worker_state(last_beat(connection, "worker"), moment),
        }


def worker_state(beat: Heartbeat, moment: datetime) -> dict[str, Any]:
    """Whether the worker lives, and how old the newest data is."""
    age_s = None if beat.at is None else (moment - beat.at).total_seconds()
    state = "away" if age_s is None or age_s > AWAY_S else "late" if age_s > LATE_S else "live"
    return {
        "worker": {"state": state, "beat_at": None if beat.at is None else beat.at.isoformat()},
        "data_at": None if beat.data_at is None else beat.data_at.isoformat(),
    }


def _domains(connection: Connection, moment: datetime, within: str, values: dict[str, str]) -> list[dict[str, Any]]:
    zone = server().settings.time_zone
    counted = connection.execute(text(_FIGURES.format(within=within)), {"now": moment, "zone": zone, **values})
    figures = {row.domain: row for row in counted}
    trends = {domain: [0] * TREND_HOURS for domain in DOMAINS}
    since = moment - timedelta(hours=TREND_HOURS)
    for row in connection.execute(text(_TREND.format(within=within)), {"now": moment, "since": since, **values}):
        if row.domain in trends and 0 <= row.hours_ago < TREND_HOURS:
            trends[row.domain][TREND_HOURS - 1 - row.hours_ago] = row.opened
    return [
        {
            "domain": domain,
            "open": figures[domain].open if domain in figures else 0,
            "today": figures[domain].today if domain in figures else 0,
            "overdue": figures[domain].overdue if domain in figures else 0,
            "trend": trends[domain],
        }
        for domain in DOMAINS
    ]


def _states(connection: Connection, table: str, within: str, values: dict[str, str]) -> dict[str, int]:
    found = connection.execute(text(f"SELECT state, count(*) FROM {table} WHERE {within} GROUP BY state"), values)
    counts = {"online": 0, "silent": 0, "offline": 0, "unknown": 0} | dict(found.all())
    return counts | {"total": sum(counts.values())}
