"""What the Sparkplug format remembers, in PostgreSQL: written in the transaction of the batch it follows from."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import Column, Connection, Double, LargeBinary, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import insert

from config.database import metadata
from ingest.formats.sparkplug import Births, Edge

sparkplug_edges = Table(
    "sparkplug_edges",
    metadata,
    Column("name", Text, primary_key=True),
    Column("births", LargeBinary, nullable=False),
    Column("seq", SmallInteger),
    Column("asked_at", Double, nullable=False),
)

_births = msgspec.msgpack.Decoder(Births)
_SAVE_TURN = text("UPDATE sparkplug_edges SET seq = :seq, asked_at = :asked_at WHERE name = :name")


def save_edges(connection: Connection, changed: Mapping[str, Edge], known: Mapping[str, Edge]) -> None:
    """Write edges that changed since ``known``. A birth is large and rare; the rest is small and changes with each message."""
    turns, born = [], []
    for name, edge in changed.items():
        row = {"name": name, "seq": edge.seq, "asked_at": edge.asked_at}
        if name in known and known[name].births is edge.births:
            turns.append(row)
        else:
            born.append(row | {"births": msgspec.msgpack.encode(edge.births)})
    if turns:
        connection.execute(_SAVE_TURN, turns)
    if born:
        added = insert(sparkplug_edges)
        later = {name: added.excluded[name] for name in ("births", "seq", "asked_at")}
        connection.execute(added.on_conflict_do_update(index_elements=["name"], set_=later), born)


def load_edges(connection: Connection) -> dict[str, Edge]:
    """Every edge node by its topic."""
    return {
        row.name: Edge(_births.decode(row.births), row.seq, row.asked_at)
        for row in connection.execute(sparkplug_edges.select())
    }
