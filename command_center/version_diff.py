"""Who works in cells that a version of the grid ends or moves: open tickets and accounts, as they stand when asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text


def touched(connection: Connection, cells: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Open ``tickets`` born in these cells or held there, and ``accounts`` whose region is one of them."""
    tickets = connection.execute(
        text(
            "SELECT number, cell, status, holder ->> 'region' AS holder FROM tickets WHERE closed_at IS NULL"
            " AND (cell = ANY (:cells) OR holder ->> 'region' = ANY (:cells)) ORDER BY number"
        ),
        {"cells": list(cells)},
    )
    accounts = connection.execute(
        text(
            "SELECT a.username, a.name, g.region AS cell FROM accounts a JOIN account_grants g ON g.account = a.id"
            " WHERE g.tier = 'grid' AND g.region = ANY (:cells) ORDER BY a.username"
        ),
        {"cells": list(cells)},
    )
    return {
        "tickets": [dict(row._mapping) for row in tickets],
        "accounts": [dict(row._mapping) for row in accounts],
    }
