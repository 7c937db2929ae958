"""``/api/v1/quarantine``: messages that could not be used, why, and taking them up again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import ColumnElement, Connection, func, select, true

from command_center.api.asking import account, now, sight
from command_center.api.once import Made, OnceHeader, once
from command_center.api.paging import Page, listed
from command_center.api.problem import problem
from ingest.quarantine_store import (
    QUEUED,
    REPLAYED,
    ask_replay,
    chosen,
    quarantine,
    quarantine_dropped,
    replay_as_it_stands,
    replays,
)

blueprint = APIBlueprint("quarantine", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="quarantine")])

_BEGINNING = 120
_MOST_IDS = 1000
_HOURS = 24
_WAITING = ~QUEUED & ~REPLAYED


class Choice(BaseModel):
    """Which messages; what is not given narrows nothing."""

    model_config = ConfigDict(extra="forbid")

    reason: str | None = None
    county: str | None = None
    source: str | None = None
    since: AwareDatetime | None = Field(None, description="received at or after")
    until: AwareDatetime | None = Field(None, description="received before")


class QuarantineQuery(Page):
    """Which messages."""

    reason: str | None = None
    county: str | None = None
    source: str | None = None
    since: AwareDatetime | None = Field(None, description="received at or after")
    until: AwareDatetime | None = Field(None, description="received before")
    state: Literal["waiting", "queued", "replayed"] | None = None


class MessagePath(BaseModel):
    """One message."""

    id: int = Field(ge=1, lt=2**63)


class ReplayPath(BaseModel):
    """One replay."""

    id: int = Field(ge=1, lt=2**63)


class ReplayBody(Choice):
    """Which messages to take up again: ``ids``, or all that fit the rest. One of them has to be given."""

    ids: list[int] | None = Field(None, min_length=1, max_length=_MOST_IDS)

    @model_validator(mode="after")
    def _says_which(self) -> ReplayBody:
        if not self.model_fields_set:
            raise ValueError("say which: ids, reason, county, source, since or until")
        return self


def _chosen(choice: Choice | QuarantineQuery, ids: list[int] | None = None) -> ColumnElement[bool]:
    return chosen(choice.reason, choice.county, choice.source, choice.since, choice.until, ids)


@blueprint.get("/quarantine", summary="Rejected messages, newest first")
def list_quarantine(query: QuarantineQuery) -> dict[str, Any]:
    """With the beginning of each payload."""
    table = quarantine.c
    names = (column for column in quarantine.columns if column.name != "payload")
    beginning = func.substring(table.payload, 1, _BEGINNING).label("beginning")
    statement = select(*names, func.octet_length(table.payload).label("kept_bytes"), beginning)
    state = {"waiting": _WAITING, "queued": QUEUED, "replayed": REPLAYED, None: true()}[query.state]
    with sight() as connection:
        return listed(
            connection, statement.where(_chosen(query), state), (table.id,), query, _message, newest_first=True
        )


@blueprint.get("/quarantine/reasons", summary="How many messages were rejected for which reason")
def list_reasons() -> dict[str, Any]:
    """Most frequent first. ``dropped`` are those that are no longer kept; ``hours`` counts the kept ones of the last 24 hours,
    oldest first.
    """
    at = now()
    with sight(snapshot=True) as connection:
        return {"items": _reasons(connection, at), "at": at.isoformat(), "next": None}


def _reasons(connection: Connection, at: Any) -> list[dict[str, Any]]:
    table = quarantine.c
    ago = func.floor(func.extract("epoch", at - table.received_at) / 3600)
    kept = select(
        table.reason,
        func.count().label("kept"),
        func.sum(func.octet_length(table.payload)).label("bytes"),
        func.count().filter(_WAITING).label("waiting"),
        func.count().filter(QUEUED).label("queued"),
        func.count().filter(REPLAYED).label("replayed"),
        func.min(table.received_at).label("first_at"),
        func.max(table.received_at).label("last_at"),
    ).group_by(table.reason)
    found = {row.reason: _reason(row) for row in connection.execute(kept)}
    recent = (
        select(table.reason, ago.label("ago"), func.count().label("n"))
        .where(table.received_at > at - timedelta(hours=_HOURS), table.received_at <= at)
        .group_by(table.reason, "ago")
    )
    for row in connection.execute(recent):
        if row.reason in found and 0 <= int(row.ago) < _HOURS:
            found[row.reason]["hours"][_HOURS - 1 - int(row.ago)] += row.n
    gone = select(
        quarantine_dropped.c.reason,
        func.sum(quarantine_dropped.c.messages).label("messages"),
        func.max(quarantine_dropped.c.last_at).label("last_at"),
    ).group_by(quarantine_dropped.c.reason)
    for row in connection.execute(gone):
        one = found.setdefault(row.reason, {"reason": row.reason, **_NONE, "hours": [0] * _HOURS})
        one |= {"dropped": int(row.messages), "dropped_at": row.last_at.isoformat()}
    return sorted(found.values(), key=lambda one: (-(one["kept"] + one["dropped"]), one["reason"]))


_NONE: dict[str, Any] = {
    "kept": 0, "bytes": 0, "waiting": 0, "queued": 0, "replayed": 0,
    "first_at": None, "last_at": None, "dropped": 0, "dropped_at": None,
}  # fmt: skip


def _reason(row: Any) -> dict[str, Any]:
    times = {"first_at": row.first_at.isoformat(), "last_at": row.last_at.isoformat()}
    counts = {name: int(getattr(row, name)) for name in ("kept", "bytes", "waiting", "queued", "replayed")}
    return _NONE | {"reason": row.reason, **counts, **times, "hours": [0] * _HOURS}


@blueprint.get("/quarantine/<int:id>", summary="One rejected message with its payload")
def get_message(path: MessagePath) -> Any:
    """``text`` is null where the payload is no UTF-8; ``hex`` always says what came. ``cut``: the payload was longer."""
    with sight() as connection:
        row = connection.execute(quarantine.select().where(quarantine.c.id == path.id)).one_or_none()
    if row is None:
        return problem(404, "No such message", f"there is no message {path.id} in quarantine where this account looks")
    payload = bytes(row.payload)
    return _message(row, payload[:_BEGINNING], len(payload)) | {"text": _text(payload), "hex": payload.hex()}


@blueprint.post("/quarantine/replay", summary="Have rejected messages taken up again")
def post_replay(body: ReplayBody, header: OnceHeader) -> Response:
    """202 and the replay, which the worker does. Messages that were taken up with success, or wait to be, are left out;
    ``impossible`` are those that were cut short or had been kept by the broker.
    """
    who, at = account(), now()
    wish = body.model_dump(mode="json", exclude_none=True)

    def ask(connection: Connection) -> Made:
        number = ask_replay(connection, _chosen(body, body.ids), wish, who.username, who.scope, at)
        return Made(replay_as_it_stands(connection, number), status=202)

    return once(header.idempotency_key, f"replay {body.model_dump_json()}", ask)


@blueprint.get("/quarantine/replays", summary="Replays, newest first")
def list_replays(query: Page) -> dict[str, Any]:
    """Those that accounts of the asker's subtree asked for."""
    with sight() as connection:
        page = listed(connection, select(replays.c.id), (replays.c.id,), query, dict_of, newest_first=True)
        return page | {"items": [replay_as_it_stands(connection, item["id"]) for item in page["items"]]}


def dict_of(row: Any) -> dict[str, Any]:
    """A row by column."""
    return dict(row._mapping)


@blueprint.get("/quarantine/replays/<int:id>", summary="One replay: how far it is and what came of it")
def get_replay(path: ReplayPath) -> Any:
    """``outcomes`` counts messages by what became of them: stored, partly, nothing_new, rejected, not_stored."""
    with sight() as connection:
        known = select(func.count()).select_from(replays).where(replays.c.id == path.id)
        if not connection.execute(known).scalar_one():
            return problem(404, "No such replay", f"there is no replay {path.id} where this account looks")
        return replay_as_it_stands(connection, path.id)


def _message(row: Any, beginning: bytes | None = None, kept_bytes: int | None = None) -> dict[str, Any]:
    plain = (
        "id",
        "topic",
        "size",
        "cut",
        "reason",
        "detail",
        "county",
        "source",
        "replay",
        "outcome",
        "outcome_detail",
    )
    begun = bytes(row.beginning) if beginning is None else beginning
    waits = row.replay is not None and row.replayed_at is None
    return {name: getattr(row, name) for name in plain} | {
        "received_at": row.received_at.isoformat(),
        "state": "queued" if waits else "replayed" if row.replayed_at else "waiting",
        "replayed_at": None if row.replayed_at is None else row.replayed_at.isoformat(),
        "kept_bytes": row.kept_bytes if kept_bytes is None else kept_bytes,
        "beginning": begun.decode("utf-8", "replace"),
    }


def _text(payload: bytes) -> str | None:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        return None
