"""``/api/v1/deadline-findings``: what the auditor found wrong with the deadlines of tickets, and when it was last at work."""

from __future__ import annotations

from typing import Any, Final, Literal

from flask_openapi3 import APIBlueprint, Tag
from pydantic import Field
from sqlalchemy import select

from command_center.api.asking import sight
from command_center.api.paging import Page, listed
from command_center.heartbeat import last_beat
from command_center.ticket.store import deadline_findings, tickets

blueprint = APIBlueprint("deadline_findings", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="deadline findings")])

AUDIT_EVERY_S: Final = 20
"""How often the scheduler has the auditor look."""


class FindingQuery(Page):
    """Which findings."""

    what: Literal["rows", "no_deadline", "nobody"] | None = Field(None, description="what was wrong")


@blueprint.get("/deadline-findings", summary="What the auditor found, newest first")
def list_findings(query: FindingQuery) -> dict[str, Any]:
    """Of the tickets that the account may see. ``missing`` and ``stray`` name kinds of deadlines: without a row or with a
    wrong time, and rows that the ticket should not have. The auditor runs in the scheduler, every ``every_s`` seconds.
    """
    table = deadline_findings
    named = (tickets.c.number, tickets.c.title, tickets.c.title_en, tickets.c.status, tickets.c.closed_at)
    statement = select(table, *named).join(tickets, tickets.c.id == table.c.ticket)
    if query.what is not None:
        statement = statement.where(table.c.what == query.what)
    with sight() as connection:
        page = listed(connection, statement, (table.c.found_at, table.c.id), query, _shown, newest_first=True)
        beat = last_beat(connection, "scheduler").at
    return page | {"every_s": AUDIT_EVERY_S, "scheduler_at": None if beat is None else beat.isoformat()}


def _shown(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "ticket": str(row.ticket),
        "number": row.number,
        "title": row.title,
        "title_en": row.title_en,
        "status": row.status,
        "closed": row.closed_at is not None,
        "what": row.what,
        "missing": row.missing,
        "stray": row.stray,
        "found_at": row.found_at.isoformat(),
    }
