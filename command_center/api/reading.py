"""``/api/v1/readings``: what sensors measured in a range of time: each value, or by the hour or day."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from flask import Response, stream_with_context
from flask_openapi3 import APIBlueprint, Tag
from gevent.lock import BoundedSemaphore
from pydantic import AwareDatetime, BaseModel, Field, model_validator
from sqlalchemy import BigInteger, Connection, DateTime, Double, Integer, Text, column, select, text
from sqlalchemy.types import TypeEngine

from command_center.api.asking import now, server, sight
from command_center.api.paging import Page, listed
from command_center.api.region import path_of
from ingest.decode import AHEAD_AFTER_S
from ingest.hour_store import computed_to
from ingest.reading_range import Names, Step, by_day, by_hour, each, step_for

blueprint = APIBlueprint("readings", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="sources")])

_AHEAD: Final = timedelta(seconds=AHEAD_AFTER_S)
_USUAL: Final = timedelta(days=1)
_EXPORTS: Final = 4
_Instant = DateTime(timezone=True)
_exports = BoundedSemaphore(_EXPORTS)


class TooManyExports(RuntimeError):
    """As many tables are being given out as may be at once."""


class Range(BaseModel):
    """Which readings: of one sensor, of those that stand in a cell, or of those of a region and all below it."""

    sensor: str | None = None
    cell: str | None = None
    region: str | None = None
    quantity: str | None = None
    since: AwareDatetime | None = Field(None, description="measured at or after; the last day when it is missing")
    until: AwareDatetime | None = Field(None, description="measured before")
    step: Step | None = Field(
        None, description="each value, by the hour or by the day; chosen by the span when missing"
    )

    @model_validator(mode="after")
    def _of_whom(self) -> Range:
        if sum(one is not None for one in (self.sensor, self.cell, self.region)) != 1:
            raise ValueError("say of whom: sensor, cell or region, one of them")
        return self


class ReadingQuery(Range, Page):
    """A page of them."""


class ExportQuery(Range):
    """All of them as CSV."""

    bom: bool = Field(False, description="begin with a byte order mark, by which spreadsheets know UTF-8")


@dataclass(frozen=True, slots=True)
class _Asked:
    """``first`` and ``last`` are whole hours or days where figures are by them."""

    step: Step
    first: datetime
    last: datetime
    condition: str
    values: dict[str, Any]


# A condition over readings; a subquery, so that row-level security decides whose.
_OF: Final = {
    "sensor": "id = {0}",
    "cell": "cell = {0}",
    "region": "scope >= {0} AND scope < {0} || '~'",
}
_COLUMNS: Final[dict[Step, dict[str, TypeEngine[Any]]]] = {
    "raw": {"counted_at": _Instant, "sensor": Integer(), "quantity": Integer(), "key": BigInteger(), "value": Double(),
            "flags": Integer(), "at": _Instant, "received_at": _Instant},
    "hour": {"hour": _Instant, "sensor": Integer(), "quantity": Integer(), "readings": Integer(), "left_out": Integer(),
             "lowest": Double(), "highest": Double(), "mean": Double(), "last": Double(), "last_at": _Instant},
}  # fmt: skip
_COLUMNS["day"] = _COLUMNS["hour"]
_KEYS: Final[dict[Step, tuple[str, ...]]] = {
    "raw": ("counted_at", "sensor", "quantity", "key"),
    "hour": ("hour", "sensor", "quantity"),
    "day": ("hour", "sensor", "quantity"),
}
_SQL: Final = {"raw": each, "hour": by_hour, "day": by_day}
_MARKS: Final = {"raw": ("first", "last", "received"), "hour": ("first", "last", "received", "computed_to")}
_MARKS["day"] = (*_MARKS["hour"], "zone")


@blueprint.get("/readings", summary="Readings of a sensor, a cell or a region, newest first")
def list_readings(query: ReadingQuery) -> dict[str, Any]:
    """``step`` says how they are given. By the hour and day ``at`` is its beginning, and values outside the plausible range are
    counted as ``left_out``.
    """
    with sight() as connection:
        asked = _asked(connection, query, ":{}")
        sql = _SQL[asked.step](asked.condition)
        columns = [column(name, kind) for name, kind in _COLUMNS[asked.step].items()]
        used = {name: value for name, value in asked.values.items() if f":{name}" in sql}
        found = text(sql).bindparams(**used).columns(*columns).subquery("found")
        sensors = (
            text("SELECT n, id FROM sensors").columns(column("n", Integer()), column("id", Text())).subquery("named")
        )
        statement = select(found, sensors.c.id).join(sensors, sensors.c.n == found.c.sensor)
        keys = [found.c[name] for name in _KEYS[asked.step]]
        page = listed(connection, statement, keys, query, _raw if asked.step == "raw" else _figures, newest_first=True)
    return page | {"step": asked.step, "since": asked.first.isoformat(), "until": asked.last.isoformat()}


@blueprint.get("/readings/export.csv", summary="Readings of a sensor, a cell or a region as CSV, oldest first")
def export_readings(query: ExportQuery) -> Response:
    """Written by the database and handed on as fast as it is taken: however long it is, it takes no memory here. Times are the
    city's.
    """
    if not _exports.acquire(blocking=False):
        raise TooManyExports(f"{_EXPORTS} tables are being given out at this moment: try again when one is done")
    with ExitStack() as stack:
        stack.callback(_exports.release)
        connection = stack.enter_context(sight())
        asked = _asked(connection, query, "%({})s")
        connection.execute(text("SELECT set_config('TimeZone', :zone, true)"), {"zone": server().settings.time_zone})
        blocks = _blocks(connection, asked)
        stack.callback(blocks.close)
        # The first block at once: what is wrong with the query is to be said, not to break off the answer.
        begun = (b"\xef\xbb\xbf" if query.bom else b"") + next(blocks, b"")
        open_still = stack.pop_all()

    def table() -> Iterator[bytes]:
        with open_still:
            yield begun
            yield from blocks

    name = f"readings-{asked.step}-{asked.first:%Y%m%d}-{asked.last:%Y%m%d}.csv"
    answer = Response(stream_with_context(table()), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    # Also when nobody begins to read.
    answer.call_on_close(open_still.close)
    return answer


_TIME: Final = "to_char({0}, 'YYYY-MM-DD\"T\"HH24:MI:SS.MSTZH:TZM') AS {0}"


def _blocks(connection: Connection, asked: _Asked) -> Generator[bytes, None, None]:
    """The table as the database writes it."""
    names = Names(**{name: f"%({name})s" for name in Names.__slots__})
    figures = (_TIME.format("hour"), "readings", "left_out", "lowest", "highest", "mean", "last")
    values = (_TIME.format("at"), "value", "flags", _TIME.format("received_at"))
    shown = ", ".join(values if asked.step == "raw" else figures)
    order = "counted_at" if asked.step == "raw" else "hour"
    statement = (
        f"COPY (SELECT s.id AS sensor, q.name AS quantity, q.unit, {shown} FROM"
        f" ({_SQL[asked.step](asked.condition, names)}) AS found JOIN sensors s ON s.n = found.sensor"
        f" JOIN quantities q ON q.n = found.quantity ORDER BY found.{order}, s.id, q.n) TO STDOUT WITH (FORMAT csv, HEADER)"
    )
    driver = connection.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor, cursor.copy(statement, asked.values) as copy:
        for block in copy:
            yield bytes(block)


def _asked(connection: Connection, query: Range, mark: str) -> _Asked:
    moment = now()
    until = query.until or max(moment + _AHEAD, query.since or moment)
    since = query.since or until - _USUAL
    step = step_for(query.step, until - since, query.sensor is not None)
    first, last = _whole(since, step, up=False), _whole(until, step, up=True)
    whom = "sensor" if query.sensor is not None else "cell" if query.cell is not None else "region"
    named = str(getattr(query, whom))
    condition = f"sensor = ANY (ARRAY(SELECT n FROM sensors WHERE {_OF[whom].format(mark.format('whom'))}))"
    values: dict[str, Any] = {"whom": path_of(named) if whom == "region" else named}
    if query.quantity is not None:
        quantity = server().catalogue.quantities.get(query.quantity)
        condition += f" AND quantity = {mark.format('quantity')}"
        values["quantity"] = -1 if quantity is None else quantity.n
    every = {
        "first": first,
        "last": last,
        "received": first - _AHEAD,
        "computed_to": computed_to(connection),
        "zone": server().settings.time_zone,
    }
    return _Asked(step, first, last, condition, values | {name: every[name] for name in _MARKS[step]})


def _whole(at: datetime, step: Step, *, up: bool) -> datetime:
    """The hour or day that a time lies in begins, or with ``up`` ends; a time that begins one stays."""
    if step == "raw":
        return at
    local = at.astimezone(server().zone)
    begun = local.replace(hour=0 if step == "day" else local.hour, minute=0, second=0, microsecond=0)
    unit = timedelta(days=1) if step == "day" else timedelta(hours=1)
    return begun + unit if up and begun < local else begun


def _named(row: Any) -> dict[str, Any]:
    quantity = server().catalogue.quantity_by_n[row.quantity]
    return {"sensor": row.id, "quantity": quantity.name, "unit": quantity.unit}


def _raw(row: Any) -> dict[str, Any]:
    times = {"at": row.at.isoformat(), "received_at": row.received_at.isoformat()}
    return _named(row) | {"value": row.value, **times, "flags": row.flags}


def _figures(row: Any) -> dict[str, Any]:
    return _named(row) | {
        "at": row.hour.isoformat(),
        "count": row.readings,
        "left_out": row.left_out,
        "min": row.lowest,
        "max": row.highest,
        "mean": row.mean,
        "last": row.last,
        "last_at": None if row.last_at is None else row.last_at.isoformat(),
    }
