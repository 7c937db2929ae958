"""Lists in pages: newest or lowest first, with a cursor that names the last row given."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, Select, Table, literal, tuple_

LARGEST_PAGE = 500


class BadCursor(ValueError):
    """The cursor is not one that we gave."""


class Page(BaseModel):
    """How much of a list, and from where."""

    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(100, ge=1, le=LARGEST_PAGE)


def narrowed(statement: Select[Any], table: Table, equal: Mapping[str, Any]) -> Select[Any]:
    """The rows whose columns have these values; what is None narrows nothing."""
    for name, value in equal.items():
        if value is not None:
            statement = statement.where(table.c[name] == value)
    return statement


def listed(
    connection: Connection,
    statement: Select[Any],
    keys: Sequence[ColumnElement[Any]],
    page: Page,
    shape: Callable[[Any], dict[str, Any]],
    *,
    newest_first: bool,
) -> dict[str, Any]:
    """One page: ``{"items", "next"}``. ``keys`` name a row and give the order. Raises BadCursor."""
    if page.cursor is not None:
        last = _read(page.cursor, keys)
        values = tuple_(*(literal(value, key.type) for value, key in zip(last, keys, strict=True)))
        statement = statement.where(tuple_(*keys) < values if newest_first else tuple_(*keys) > values)
    ordered = [key.desc() if newest_first else key.asc() for key in keys]
    rows = connection.execute(statement.order_by(*ordered).limit(page.limit + 1)).all()
    more = len(rows) > page.limit
    kept = rows[: page.limit]
    following = _write([getattr(kept[-1], key.key or "") for key in keys]) if more else None
    return {"items": [shape(row) for row in kept], "next": following}


def _write(values: Sequence[Any]) -> str:
    plain = [value.isoformat() if isinstance(value, datetime) else str(value) for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _read(cursor: str, keys: Sequence[ColumnElement[Any]]) -> list[Any]:
    try:
        plain = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(plain, list) or len(plain) != len(keys) or not all(isinstance(text, str) for text in plain):
            raise BadCursor("the cursor is not one of this list: begin again without it")
        return [_typed(text, key) for text, key in zip(plain, keys, strict=True)]
    except (ValueError, RecursionError) as error:
        raise BadCursor("the cursor cannot be read: begin again without it") from error


def _typed(text: str, key: ColumnElement[Any]) -> Any:
    kind = key.type.python_type
    if kind is datetime:
        return datetime.fromisoformat(text)
    return UUID(text) if kind is UUID else kind(text)
