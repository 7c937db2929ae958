"""Alerts in PostgreSQL: what rules say of them, and beside it what people and mutes made of them.

The two never write each other's columns. A row's version counts both, so it is the database that counts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Double,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    case,
    func,
    or_,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from config.database import Policy, metadata, within
from rules.alert import Alert, AlertChange, Source
from rules.life import Acknowledged, Muted, Muting, Standing, State
from rules.mute import Mute

Instant = DateTime(timezone=True)
Path = Text(collation="C")

alerts = Table(
    "alerts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("rule_version", Integer, nullable=False),
    Column("fingerprint", Uuid, nullable=False),
    Column("source_kind", Text, nullable=False),
    Column("source", Text, nullable=False, index=True),
    Column("source_name", Text, nullable=False),
    Column("cell", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("scope", Path, nullable=False, index=True),
    Column("lng", Double, nullable=False),
    Column("lat", Double, nullable=False),
    Column("domain", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("warning_level", SmallInteger),
    Column("title", Text, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("quantity", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("value", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("why", JSONB, nullable=False, server_default="{}"),
    Column("raised_at", Instant, nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("version", Integer, nullable=False),
    # What people and mutes made of it; placed_at: when it came before people.
    Column("acknowledged_at", Instant),
    Column("acknowledged_by", Text),
    Column("acknowledged_name", Text),
    Column("muted_kind", Text),
    Column("muted_by", Uuid),
    Column("muted_until", Instant),
    Column("muted_name", Text),
    Column("muted_reason", Text),
    Column("placed_at", Instant),
    # A camera tracks several things at once; each of those has an id of its own.
    Index(
        "uq_alerts_open",
        "fingerprint",
        unique=True,
        postgresql_where=text("ended_at IS NULL AND source_kind <> 'camera'"),
    ),
    Index("ix_alerts_open", "category", "scope", postgresql_where=text("ended_at IS NULL")),
    Index("ix_alerts_ended_at", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    Index(
        "ix_alerts_held",
        "muted_by",
        postgresql_where=text("ended_at IS NULL AND (placed_at IS NULL OR muted_by IS NOT NULL)"),
    ),
)

policies = (Policy("alerts", within("scope")),)

_OF_PEOPLE = (
    "acknowledged_at",
    "acknowledged_by",
    "acknowledged_name",
    "muted_kind",
    "muted_by",
    "muted_until",
    "muted_name",
    "muted_reason",
    "placed_at",
)


def moment(us: int) -> datetime:
    """Epoch microseconds as an aware time."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)


def microseconds(at: datetime) -> int:
    """An aware time as epoch microseconds."""
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def save_alerts(
    connection: Connection, changes: Sequence[AlertChange], muted: Mapping[UUID, Muted], now: datetime
) -> list[Standing]:
    """Write each alert as its last change left it; returns the rows that changed, in the order of their last changes.

    A new one that is not ``muted`` counts as placed ``now``. What ended stays ended, and nobody's acknowledgement or mute is
    touched. When another alert of the same rule and source still stands, the newer one takes its place: it ends, and comes
    first in what is returned.
    """
    final = _last(changes)
    if not final:
        return []
    replaced = _end_replaced(connection, final)
    statement = insert(alerts)
    kept = {"id", "raised_at", "version", *_OF_PEOPLE}
    values: dict[str, Any] = {c.name: statement.excluded[c.name] for c in alerts.columns if c.name not in kept}
    values["version"] = func.greatest(alerts.c.version + 1, statement.excluded.version)
    upsert = statement.on_conflict_do_update(index_elements=["id"], set_=values, where=alerts.c.ended_at.is_(None))
    # What ends first, so that what takes its place may stand; else in the order of their ids, as everybody locks them.
    rows = [
        _row(alert) | _mark(muted.get(alert.id)) | {"placed_at": None if alert.id in muted else now}
        for alert in sorted(final.values(), key=lambda alert: (alert.ended_at_us is None, alert.id))
    ]
    saved = {row.id: standing_of(row) for row in connection.execute(upsert.returning(*alerts.c), rows)}
    return replaced + [saved[identity] for identity in final if identity in saved]


def _last(changes: Sequence[AlertChange]) -> dict[UUID, Alert]:
    """Each alert as its last change left it; of several that stand for one rule and source only the one raised last does."""
    final: dict[UUID, Alert] = {}
    for alert in (change.alert for change in changes):
        final.pop(alert.id, None)
        final[alert.id] = alert
    standing: dict[UUID, Alert] = {}
    for alert in final.values():
        if alert.ended_at_us is None and alert.source.kind != "camera":
            other = standing.get(alert.fingerprint, alert)
            standing[alert.fingerprint] = max(other, alert, key=lambda one: (one.raised_at_us, one.id))
    for alert in list(final.values()):
        newest = standing.get(alert.fingerprint, alert)
        if alert.ended_at_us is None and alert.source.kind != "camera" and newest.id != alert.id:
            final[alert.id] = replace(alert, ended_at_us=newest.raised_at_us, version=alert.version + 1)
    return final


def _end_replaced(connection: Connection, final: Mapping[UUID, Alert]) -> list[Standing]:
    taking = [a for a in final.values() if a.ended_at_us is None and a.source.kind != "camera"]
    if not taking:
        return []
    found = connection.execute(
        text(
            "UPDATE alerts a SET ended_at = greatest(a.raised_at, n.raised_at), version = a.version + 1,"
            """ why = a.why || jsonb_build_object('ended', 'replaced', 'by', n.id::text)"""
            " FROM unnest(CAST(:ids AS uuid[]), CAST(:prints AS uuid[]), CAST(:times AS timestamptz[]))"
            " AS n(id, fingerprint, raised_at)"
            " WHERE a.fingerprint = n.fingerprint AND a.ended_at IS NULL AND a.source_kind <> 'camera'"
            " AND a.id <> ALL (CAST(:told AS uuid[])) RETURNING a.*"
        ),
        {
            "ids": [alert.id for alert in taking],
            "prints": [alert.fingerprint for alert in taking],
            "times": [moment(alert.raised_at_us) for alert in taking],
            "told": list(final),
        },
    )
    return [standing_of(row) for row in found]


def known_alerts(connection: Connection, ids: Iterable[UUID]) -> set[UUID]:
    """Which of the ids are stored, open or ended."""
    return set(connection.execute(text("SELECT id FROM alerts WHERE id = ANY (:ids)"), {"ids": list(ids)}).scalars())


def load_open_alerts(connection: Connection) -> list[Alert]:
    """Every alert that has not ended."""
    return [alert_of(row) for row in connection.execute(alerts.select().where(alerts.c.ended_at.is_(None)))]


def _row(alert: Alert) -> dict[str, Any]:
    source = alert.source
    return {
        "id": alert.id,
        "rule": alert.rule,
        "rule_version": alert.rule_version,
        "fingerprint": alert.fingerprint,
        "source_kind": source.kind,
        "source": source.id,
        "source_name": source.name,
        "cell": source.cell,
        "region": source.region,
        "scope": source.scope,
        "lng": source.lng,
        "lat": source.lat,
        "domain": alert.domain,
        "category": alert.category,
        "severity": alert.severity,
        "warning_level": alert.warning_level,
        "title": alert.title,
        "title_en": alert.title_en,
        "quantity": alert.quantity,
        "unit": alert.unit,
        "value": alert.value,
        "threshold": alert.threshold,
        # Through msgspec, so that a number which JSON does not have becomes null instead of stopping the batch.
        "why": msgspec.json.decode(msgspec.json.encode(dict(alert.why))),
        "raised_at": moment(alert.raised_at_us),
        "at": moment(alert.at_us),
        "ended_at": None if alert.ended_at_us is None else moment(alert.ended_at_us),
        "version": alert.version,
    }


def alert_of(row: Any) -> Alert:
    """An alert from its row."""
    source = Source(row.source_kind, row.source, row.source_name, row.cell, row.region, row.scope, row.lng, row.lat)
    return Alert(
        id=row.id,
        rule=row.rule,
        rule_version=row.rule_version,
        source=source,
        domain=row.domain,
        category=row.category,
        severity=row.severity,
        title=row.title,
        title_en=row.title_en,
        quantity=row.quantity,
        unit=row.unit,
        value=row.value,
        threshold=row.threshold,
        raised_at_us=microseconds(row.raised_at),
        at_us=microseconds(row.at),
        ended_at_us=None if row.ended_at is None else microseconds(row.ended_at),
        version=row.version,
        warning_level=row.warning_level,
        why=row.why,
    )


def standing_of(row: Any) -> Standing:
    """An alert with its life from its row."""
    seen = row.acknowledged_at
    muted = row.muted_by
    return Standing(
        alert_of(row),
        None if seen is None else Acknowledged(seen, row.acknowledged_by, row.acknowledged_name),
        None
        if muted is None
        else Muted(Muting(row.muted_kind), muted, row.muted_until, row.muted_name, row.muted_reason),
        row.placed_at,
    )


def in_state(wanted: State) -> ColumnElement[bool]:
    """SQL: the alert is in a state. The same as rules.life.state."""
    muted, ended = alerts.c.muted_kind, alerts.c.ended_at.is_not(None)
    acknowledged = alerts.c.acknowledged_at.is_not(None)
    quiet = case(
        (muted == str(Muting.SHELVED), str(State.SHELVED)),
        (muted == str(Muting.OUT_OF_SERVICE), str(State.OUT_OF_SERVICE)),
        else_=str(State.SUPPRESSED),
    )
    found = case(
        (ended & or_(acknowledged, muted.is_not(None)), str(State.NORMAL)),
        (ended, str(State.RETURNED)),
        (muted.is_not(None), quiet),
        (acknowledged, str(State.ACKNOWLEDGED)),
        else_=str(State.RAISED),
    )
    return found == str(wanted)


def read_alert(connection: Connection, identity: UUID) -> Standing | None:
    """An alert as far as the connection may see it, not locked."""
    row = connection.execute(alerts.select().where(alerts.c.id == identity)).one_or_none()
    return None if row is None else standing_of(row)


def alerts_by_id(connection: Connection, ids: Iterable[UUID]) -> list[Alert]:
    """Those of the alerts that the connection may see, not locked."""
    return [alert_of(row) for row in connection.execute(alerts.select().where(alerts.c.id.in_(list(ids))))]


def lock_alert(connection: Connection, identity: UUID) -> Standing | None:
    """An alert as far as the connection may see it, locked until the transaction ends."""
    row = connection.execute(alerts.select().where(alerts.c.id == identity).with_for_update()).one_or_none()
    return None if row is None else standing_of(row)


def acknowledge(connection: Connection, identity: UUID, seen: Acknowledged) -> Standing:
    """Mark a locked alert as acknowledged."""
    row = connection.execute(
        alerts.update()
        .where(alerts.c.id == identity)
        .values(
            acknowledged_at=seen.at,
            acknowledged_by=seen.by,
            acknowledged_name=seen.name,
            version=alerts.c.version + 1,
        )
        .returning(*alerts.c)
    ).one()
    return standing_of(row)


def save_muted(connection: Connection, standing: Standing, muted: Muted | None) -> Standing:
    """Mark a locked alert as kept quiet, or as no longer so."""
    row = connection.execute(
        alerts.update()
        .where(alerts.c.id == standing.alert.id)
        .values(**_mark(muted), version=alerts.c.version + 1)
        .returning(*alerts.c)
    ).one()
    return standing_of(row)


def save_placed(connection: Connection, ids: Iterable[UUID], now: datetime) -> list[Standing]:
    """Mark locked alerts as kept quiet by nothing and as having come before people; those that had come before stay so."""
    found = connection.execute(
        alerts.update()
        .where(alerts.c.id.in_(list(ids)))
        .values(**_mark(None), placed_at=func.coalesce(alerts.c.placed_at, now), version=alerts.c.version + 1)
        .returning(*alerts.c)
    )
    return sorted((standing_of(row) for row in found), key=_age)


def standing_under(connection: Connection, mute: Mute) -> list[Standing]:
    """The alerts that stand where a mute applies, locked until the transaction ends."""
    table = alerts.c
    wanted = {"domain": mute.domain, "category": mute.category, "rule": mute.rule, "source": mute.source}
    statement = alerts.select().where(
        table.ended_at.is_(None), table.scope >= mute.scope, table.scope < mute.scope + "~"
    )
    for name, value in wanted.items():
        if value is not None:
            statement = statement.where(table[name] == value)
    return [standing_of(row) for row in connection.execute(statement.order_by(table.id).with_for_update())]


def load_seen(connection: Connection, categories: Iterable[str]) -> list[Alert]:
    """The alerts of these categories that stand and are kept quiet by nothing: those that may keep others quiet."""
    table = alerts.c
    found = connection.execute(
        alerts.select().where(
            table.ended_at.is_(None), table.muted_by.is_(None), table.category.in_(sorted(set(categories)))
        )
    )
    return [alert_of(row) for row in found]


def claim_freed(connection: Connection, now: datetime, limit: int) -> list[Standing]:
    """Alerts that stand, are held back or marked as quiet, and are kept quiet by nothing any more; the oldest first.

    Locked: no other claimant gets them before the transaction ends, and nobody waits for them.
    """
    found = connection.execute(
        text(
            "SELECT * FROM alerts a WHERE ended_at IS NULL AND (placed_at IS NULL OR muted_by IS NOT NULL) AND ("
            " muted_by IS NULL"
            " OR (muted_kind <> 'inhibited' AND NOT EXISTS (SELECT FROM mutes m"
            "  WHERE m.id = a.muted_by AND m.ended_at IS NULL AND m.ends_at > :now))"
            " OR (muted_kind = 'inhibited' AND NOT EXISTS (SELECT FROM alerts s"
            "  WHERE s.id = a.muted_by AND s.ended_at IS NULL AND s.muted_by IS NULL)))"
            " ORDER BY raised_at, id LIMIT :limit FOR UPDATE OF a SKIP LOCKED"
        ),
        {"now": now, "limit": limit},
    )
    return [standing_of(row) for row in found]


def _age(standing: Standing) -> tuple[int, UUID]:
    return standing.alert.raised_at_us, standing.alert.id


def _mark(muted: Muted | None) -> dict[str, Any]:
    if muted is None:
        return dict.fromkeys(("muted_kind", "muted_by", "muted_until", "muted_name", "muted_reason"))
    return {
        "muted_kind": str(muted.kind),
        "muted_by": muted.by,
        "muted_until": muted.until,
        "muted_name": muted.name,
        "muted_reason": muted.reason,
    }
