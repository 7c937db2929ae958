"""Alembic's entry: the connection comes from ``command_center.migrations.upgrade`` or, for a developer, CC_DATABASE_URL."""

from __future__ import annotations

import os
import re
from typing import Any

from alembic import context
from geoalchemy2 import alembic_helpers
from sqlalchemy import Connection

import command_center.migrations  # noqa: F401  the rooms' tables join the metadata when it is imported
from config.database import metadata, worker_engine


def _ours(item: Any, name: str | None, kind: str, reflected: bool, compared: Any) -> bool:
    foreign = (
        reflected
        and kind == "table"
        and bool(name == "spatial_ref_sys" or re.match(r"(readings|reading_positions)_(\d|default)", name or ""))
    )
    return not foreign and alembic_helpers.include_object(item, name, kind, reflected, compared)


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=_ours,
        process_revision_directives=alembic_helpers.writer,
        render_item=alembic_helpers.render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    with worker_engine(os.environ["CC_DATABASE_URL"]).connect() as own:
        _run(own)
        own.commit()
