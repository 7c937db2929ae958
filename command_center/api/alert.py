"""``/api/v1/alerts``: lists, and what people do to an alert."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select

from command_center.alert_move import AlertWish, NoSuchAlert, move_alert
from command_center.api.asking import account, now, sight
from command_center.api.once import Made, OnceHeader, once
from command_center.api.paging import Page, listed, narrowed
from command_center.api.region import below
from command_center.incident import store as incident_store
from command_center.shown import alert_event, shown_alert
from rules import store as rule_store
from rules.life import AlertMove, Standing, State, moves_of

blueprint = APIBlueprint("alerts", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="alerts")])


class AlertQuery(Page):
    """Which alerts."""

    region: str | None = Field(None, description="region code: it and all below it")
    domain: str | None = None
    category: str | None = None
    rule: str | None = None
    source: str | None = Field(None, description="the sensor or camera")
    sensor: str | None = Field(None, description="the same as source")
    incident: UUID | None = Field(None, description="the signals of an incident")
    state: State | None = Field(None, description="ISA-18.2")
    active: bool | None = Field(None, description="true: still holds; false: ended")
    open: bool | None = Field(None, description="the same as active")
    since: AwareDatetime | None = Field(None, description="raised at or after, RFC 3339")


class AlertPath(BaseModel):
    """One alert."""

    id: UUID


class AlertMoveBody(BaseModel):
    """A move. ``version`` is that of the alert that was being looked at. To shelve (24 hours at most) or take out of service
    (30 days at most) needs ``until`` and ``reason``.
    """

    model_config = ConfigDict(extra="forbid")

    move: Literal["acknowledge", "shelve", "unshelve", "out_of_service", "in_service"]
    version: int
    until: AwareDatetime | None = None
    reason: str | None = Field(None, max_length=500)


@blueprint.get("/alerts", summary="Alerts, newest first")
def list_alerts(query: AlertQuery) -> dict[str, Any]:
    """The alerts the account may see, each with the moves that the account may make now."""
    table = rule_store.alerts
    equal = {"domain": query.domain, "category": query.category, "rule": query.rule, "source": query.source}
    statement = narrowed(narrowed(table.select(), table, equal), table, {"source": query.sensor})
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    if query.since is not None:
        statement = statement.where(table.c.raised_at >= query.since)
    for active in (query.active, query.open):
        if active is not None:
            statement = statement.where(table.c.ended_at.is_(None) if active else table.c.ended_at.is_not(None))
    if query.incident is not None:
        signals = incident_store.incident_signals
        statement = statement.where(
            table.c.id.in_(
                select(signals.c.signal).where(signals.c.incident == query.incident, signals.c.kind == "alert")
            )
        )
    if query.state is not None:
        statement = statement.where(rule_store.in_state(query.state))
    tier = account().tier
    with sight() as connection:
        return listed(
            connection,
            statement,
            (table.c.raised_at, table.c.id),
            query,
            lambda row: _with_moves(rule_store.standing_of(row), tier),
            newest_first=True,
        )


@blueprint.get("/alerts/<uuid:id>", summary="One alert")
def get_alert(path: AlertPath) -> dict[str, Any]:
    """With the moves that the account may make now."""
    tier = account().tier
    with sight() as connection:
        found = rule_store.read_alert(connection, path.id)
    if found is None:
        raise NoSuchAlert(f"there is no alert {path.id}")
    return _with_moves(found, tier)


@blueprint.post("/alerts/<uuid:id>/moves", summary="Acknowledge an alert, or keep it quiet for a while")
def post_alert_move(path: AlertPath, body: AlertMoveBody, header: OnceHeader) -> Response:
    """409 with the current alert when it changed meanwhile. Nothing of this closes an incident or a ticket.

    To unshelve or put in service again takes effect within a second: the alert then changes by itself, and is told.
    """
    who, moment = account(), now()
    wish = AlertWish(AlertMove(body.move), body.version, body.until, body.reason)

    def work(connection: Connection) -> Made:
        after = move_alert(connection, who, path.id, wish, moment)
        changed = after.alert.version != body.version
        return Made(_with_moves(after, who.tier), [alert_event(after)] if changed else [])

    return once(header.idempotency_key, f"alerts/{path.id}/moves {body.model_dump_json()}", work)


def _with_moves(standing: Standing, tier: str) -> dict[str, Any]:
    return shown_alert(standing) | {"moves": [str(move) for move in moves_of(standing, tier)]}
