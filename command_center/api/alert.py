"""``/api/v1/alerts`` and ``/rules``."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, Field

from command_center.api.asking import account, now, server, sight
from command_center.api.paging import Page, listed, narrowed
from command_center.api.region import below
from command_center.city import rule_packs
from command_center.shown import shown_alert
from rules import rulebook
from rules import store as rule_store

blueprint = APIBlueprint("alerts", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="alerts")])


class AlertQuery(Page):
    """Which alerts."""

    region: str | None = Field(None, description="region code: it and all below it")
    domain: str | None = None
    source: str | None = Field(None, description="the sensor or camera")
    open: bool | None = Field(None, description="true: still holds; false: ended")
    since: AwareDatetime | None = Field(None, description="raised at or after, RFC 3339")


@blueprint.get("/alerts", summary="Alerts, newest first")
def list_alerts(query: AlertQuery) -> dict[str, Any]:
    """The alerts the account may see."""
    table = rule_store.alerts
    statement = narrowed(table.select(), table, {"domain": query.domain, "source": query.source})
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    if query.since is not None:
        statement = statement.where(table.c.raised_at >= query.since)
    if query.open is not None:
        statement = statement.where(table.c.ended_at.is_(None) if query.open else table.c.ended_at.is_not(None))
    with sight() as connection:
        return listed(
            connection,
            statement,
            (table.c.raised_at, table.c.id),
            query,
            lambda row: shown_alert(rule_store.alert_of(row)),
            newest_first=True,
        )


@blueprint.get("/rules", summary="The rules in force")
def list_rules() -> dict[str, Any]:
    """Every rule with its numbers and their sources, and what was refused with line and reason."""
    account()
    today = now().astimezone(ZoneInfo(server().settings.time_zone)).date()
    book = rulebook.read(rule_packs(server().settings.city), server().catalogue.quantities, today)
    items = [msgspec.to_builtins(rule) for rule in book.rules]
    return {"items": items, "next": None, "refused": [str(refusal) for refusal in book.refusals]}
