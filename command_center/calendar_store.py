"""What the city has stated about its workdays, in PostgreSQL, and the deadlines that such a statement may move."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Boolean, Column, Connection, Date, Table, Text, select
from sqlalchemy.dialects.postgresql import insert

from command_center.work_calendar import StatedDay, WorkCalendar
from config.database import metadata
from gis.store import imports

calendar_days = Table(
    "calendar_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("is_workday", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
)

_FIELDS: Final = ("day", "is_workday", "source", "verified")


def load_calendar(connection: Connection) -> WorkCalendar:
    """The work calendar as the city has it."""
    columns = [calendar_days.c[name] for name in _FIELDS]
    return WorkCalendar(tuple(StatedDay(*row) for row in connection.execute(select(*columns).order_by(columns[0]))))


def store_calendar(connection: Connection, stated: Sequence[StatedDay], file: str, digest: str, now: datetime) -> None:
    """State days; what they say replaces what was said about the same day. Worker and web server then read the city anew.

    ``digest`` names its algorithm.
    """
    upsert = insert(calendar_days)
    changed = {name: upsert.excluded[name] for name in _FIELDS[1:]}
    rows = [{name: getattr(own, name) for name in _FIELDS} for own in stated]
    connection.execute(upsert.on_conflict_do_update(index_elements=["day"], set_=changed), rows)
    record = {"what": "calendar", "file": file, "digest": digest, "datum": "", "rows": len(rows), "notices": []}
    connection.execute(imports.insert(), record | {"imported_at": now})
