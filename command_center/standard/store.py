"""Standards of filing in PostgreSQL: versions are added, never changed, so an old case keeps the limit it was filed under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Date,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Row,
    Table,
    Text,
    text,
)

from command_center.standard.standard import Standard
from command_center.ticket.clock import Limit, Unit
from config.database import metadata
from gis.store import imports

filing_standards = Table(
    "filing_standards",
    metadata,
    Column("n", BigInteger, Identity(), primary_key=True),
    Column("version", Integer, ForeignKey("imports.n"), nullable=False),
    Column("sheet", Text, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("row", Integer, nullable=False),
    Column("big_code", Text, nullable=False),
    Column("big_name", Text, nullable=False),
    Column("small_code", Text, nullable=False),
    Column("small_name", Text, nullable=False),
    Column("handling_unit", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("condition", Text, nullable=False),
    Column("close_condition", Text, nullable=False),
    Column("amount", Double, nullable=False),
    Column("unit", Text, nullable=False),
    Column("limit_text", Text, nullable=False),
    Column("note", Text, nullable=False),
    Index("ix_filing_standards_in_force", "sheet", "effective_from", "version"),
    Index("ix_filing_standards_small_code", "small_code"),
)

_PLAIN: Final = tuple(field.name for field in fields(Standard) if field.name != "limit")
# Of what a sheet says about a day, the version that began last holds; of two with one beginning, the later import.
_IN_FORCE: Final = (
    "version = (SELECT version FROM filing_standards WHERE sheet = :sheet AND effective_from <= :day"
    " ORDER BY effective_from DESC, version DESC LIMIT 1)"
)


@dataclass(frozen=True, slots=True)
class StandardsFile:
    """What a version is made from: file name, digest with its algorithm, which sheet it is, and the first day it holds."""

    file: str
    digest: str
    sheet: str
    effective_from: date


def store_standards(
    connection: Connection, standards: Sequence[Standard], source: StandardsFile, skipped: Sequence[str], now: datetime
) -> int:
    """Add a version of a sheet and return its number among all imports. ``skipped`` is what was left out, line by line."""
    record = {"what": "standards", "file": source.file, "digest": source.digest, "datum": "", "imported_at": now}
    version = connection.execute(
        imports.insert().returning(imports.c.n), record | {"rows": len(standards), "notices": list(skipped)}
    ).scalar_one()
    connection.execute(
        filing_standards.insert(),
        [
            {name: getattr(standard, name) for name in _PLAIN}
            | {"amount": standard.limit.amount, "unit": str(standard.limit.unit)}
            | {"version": version, "sheet": source.sheet, "effective_from": source.effective_from}
            for standard in standards
        ],
    )
    return int(version)


def is_stored(connection: Connection, source: StandardsFile) -> bool:
    """Whether the newest version of this sheet is this very file with this very beginning."""
    newest = connection.execute(
        text(
            "SELECT i.digest, s.effective_from FROM filing_standards s JOIN imports i ON i.n = s.version"
            " WHERE s.sheet = :sheet ORDER BY s.version DESC LIMIT 1"
        ),
        {"sheet": source.sheet},
    ).one_or_none()
    return newest is not None and tuple(newest) == (source.digest, source.effective_from)


def standards_of(
    connection: Connection, small_code: str, day: date, *, big_code: str | None = None, sheet: str = "city"
) -> list[Standard]:
    """The filing conditions of a small class as they hold on a day, in the order of the sheet; none when it is not in it.

    ``big_code`` for sheets whose small classes are numbered anew in each big class.
    """
    found = connection.execute(
        text(
            f"SELECT * FROM filing_standards WHERE small_code = :small AND {_IN_FORCE}"
            " AND (CAST(:big AS text) IS NULL OR big_code = :big) ORDER BY n"
        ),
        {"small": small_code, "big": big_code, "sheet": sheet, "day": day},
    )
    return [_standard(row) for row in found]


def standard_of(connection: Connection, n: int) -> Standard | None:
    """A filing condition by its number, whichever version it is of."""
    row = connection.execute(text("SELECT * FROM filing_standards WHERE n = :n"), {"n": n}).one_or_none()
    return None if row is None else _standard(row)


def numbered_on(
    connection: Connection, day: date, small_code: str | None = None, *, sheet: str = "city"
) -> list[tuple[int, Standard]]:
    """Filing conditions as they hold on a day with their numbers, in the order of the sheet; of one small class, or all."""
    found = connection.execute(
        text(
            f"SELECT * FROM filing_standards WHERE {_IN_FORCE}"
            " AND (CAST(:small AS text) IS NULL OR small_code = :small) ORDER BY n"
        ),
        {"small": small_code, "sheet": sheet, "day": day},
    )
    return [(row.n, _standard(row)) for row in found]


def standards_on(connection: Connection, day: date, *, sheet: str = "city") -> list[Standard]:
    """All standards of a sheet as they hold on a day, in its order."""
    found = connection.execute(
        text(f"SELECT * FROM filing_standards WHERE {_IN_FORCE} ORDER BY n"), {"sheet": sheet, "day": day}
    )
    return [_standard(row) for row in found]


def versions(connection: Connection) -> Sequence[Row[Any]]:
    """Every version of every sheet, newest first: version, sheet, effective_from, file, imported_at, conditions."""
    return connection.execute(
        text(
            "SELECT s.version, s.sheet, s.effective_from, i.file, i.imported_at, count(*) AS conditions"
            " FROM filing_standards s JOIN imports i ON i.n = s.version"
            " GROUP BY s.version, s.sheet, s.effective_from, i.file, i.imported_at ORDER BY s.version DESC"
        )
    ).all()


def _standard(row: Row[Any]) -> Standard:
    return Standard(limit=Limit(row.amount, Unit(row.unit)), **{name: getattr(row, name) for name in _PLAIN})
