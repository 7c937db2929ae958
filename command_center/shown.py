"""Objects of the rooms upstream, as HTTP and the event log show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from command_center.event.event import Event
from ingest.link import Link
from ingest.sensor import Catalogue, Sensor
from rules.group import Group
from rules.life import Muted, Standing
from rules.store import moment


def shown_alert(standing: Standing) -> dict[str, Any]:
    """An alert with its life."""
    alert, seen = standing.alert, standing.acknowledged
    return {
        "id": str(alert.id),
        "rule": alert.rule,
        "rule_version": alert.rule_version,
        "fingerprint": str(alert.fingerprint),
        "source": {"kind": alert.source.kind, "id": alert.source.id, "name": alert.source.name},
        "cell": alert.source.cell,
        "region": alert.source.region,
        "domain": alert.domain,
        "category": alert.category,
        "severity": alert.severity,
        "warning_level": alert.warning_level,
        "quantity": alert.quantity,
        "value": alert.value,
        "unit": alert.unit,
        "threshold": alert.threshold,
        "why": dict(alert.why),
        "state": str(standing.state),
        "raised_at": moment(alert.raised_at_us).isoformat(),
        "ended_at": None if alert.ended_at_us is None else moment(alert.ended_at_us).isoformat(),
        "acknowledged_at": None if seen is None else seen.at.isoformat(),
        "acknowledged_by": None if seen is None else seen.name,
        "muted": None if standing.muted is None else shown_muted(standing.muted),
        "version": alert.version,
        "title": alert.title,
        "title_en": alert.title_en,
    }


def shown_muted(muted: Muted) -> dict[str, Any]:
    """What keeps an alert quiet."""
    return {
        "kind": str(muted.kind),
        "by": str(muted.by),
        "until": None if muted.until is None else muted.until.isoformat(),
        "name": muted.name,
        "reason": muted.reason,
    }


def alert_event(standing: Standing) -> Event:
    """What the log says when an alert changed."""
    alert = standing.alert
    scope = (alert.source.scope,)
    return Event("alert", str(alert.id), alert.version, alert.source.region, shown_alert(standing), scope, scope)


def shown_notice(group: Group) -> dict[str, Any]:
    """What people were last told of a group of alerts."""
    title, title_en = group.words
    return {
        "id": str(group.id),
        "title": title,
        "title_en": title_en,
        "domain": group.domain,
        "category": group.category,
        "severity": group.severity,
        "region": group.region,
        "region_name": group.region_name,
        "members": group.members,
        "new": group.new,
        "kind": None if group.told is None else str(group.told),
        "at": None if group.told_at is None else group.told_at.isoformat(),
        "version": group.notices,
    }


def notice_event(group: Group) -> Event:
    """What the log says when a group is told: its newest notice takes the place of the one before."""
    scope = (group.scope,)
    return Event("notice", str(group.id), group.notices, group.region, shown_notice(group), scope, scope)


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
        "owner": sensor.owner,
        "profile": sensor.profile,
        "sharing": sensor.sharing,
        "in_service": sensor.in_service,
        "interval_s": sensor.interval_s,
        "state": state,
        "state_since": None if state_since is None else state_since.isoformat(),
        "latest": dict(latest),
    }


def shown_link(link: Link, name: str) -> dict[str, Any]:
    """A county's link; ``name`` is the county's."""
    since = None if link.since is None else datetime.fromtimestamp(link.since, UTC)
    return {
        "id": link.county,
        "name": name,
        "region": link.county,
        "state": link.state,
        "state_since": None if since is None else since.isoformat(),
        "version": link.version,
    }
