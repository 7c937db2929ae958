"""Objects of the rooms upstream, as HTTP and the event log show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from command_center.event.event import Event
from ingest.sensor import Catalogue, Sensor
from rules.alert import Alert
from rules.store import moment


def shown_alert(alert: Alert) -> dict[str, Any]:
    """An alert."""
    return {
        "id": str(alert.id),
        "rule": alert.rule,
        "source": {"kind": alert.source.kind, "id": alert.source.id, "name": alert.source.name},
        "cell": alert.source.cell,
        "region": alert.source.region,
        "domain": alert.domain,
        "category": alert.category,
        "severity": alert.severity,
        "quantity": alert.quantity,
        "value": alert.value,
        "unit": alert.unit,
        "threshold": alert.threshold,
        "raised_at": moment(alert.raised_at_us).isoformat(),
        "ended_at": None if alert.ended_at_us is None else moment(alert.ended_at_us).isoformat(),
        "version": alert.version,
        "title": alert.title,
        "title_en": alert.title_en,
    }


def alert_event(alert: Alert) -> Event:
    """What the log says when an alert changed."""
    scope = (alert.source.scope,)
    return Event("alert", str(alert.id), alert.version, alert.source.region, shown_alert(alert), scope, scope)


def shown_sensor(
    sensor: Sensor, catalogue: Catalogue, state: str, state_since: datetime | None, latest: Mapping[str, Any]
) -> dict[str, Any]:
    """A sensor with its newest values by quantity."""
    measured = [catalogue.quantities[name] for name in sensor.quantities if name in catalogue.quantities]
    return {
        "id": sensor.id,
        "name": sensor.name,
        "county": sensor.county,
        "region": sensor.region,
        "cell": sensor.cell,
        "lng": sensor.lng,
        "lat": sensor.lat,
        "domain": sensor.domain,
        "quantities": [{"name": q.name, "unit": q.unit, "title": q.title, "title_en": q.title_en} for q in measured],
        "state": state,
        "state_since": None if state_since is None else state_since.isoformat(),
        "latest": dict(latest),
    }
