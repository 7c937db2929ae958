"""``command-center tickets``: figures over tickets of the past, from a table as other systems export it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click

from config.settings import BadSetting

if TYPE_CHECKING:
    from command_center.ticket.history import Finished, OnTime

_FILE = click.Path(path_type=Path)
_COLUMNS: Final = ("number", "service", "agency", "opened_at", "due_at", "closed_at")
_ENCODINGS: Final = ("utf-8-sig", "gb18030")
_HEAD: Final = ("total", "due", "closed", "on time", "late", "overdue", "rate", "of closed")


class BadHistory(ValueError):
    """A table of past tickets cannot be read; the message says which line and why."""


@click.group()
def tickets() -> None:
    """Tickets of the past."""


@tickets.command()
@click.argument("file", type=_FILE)
@click.option(
    "--columns",
    help="How the file calls them, where it differs: number=SERVICEREQUESTID,due_at=SERVICEDUEDATE,…  "
    f"Known: {', '.join(_COLUMNS)}.",
)
@click.option("--by", type=click.Choice(["service", "agency"]), default="service", show_default=True, help="Count per.")
@click.option("--now", "now_text", help="As the tickets stood then.  [default: the latest instant in FILE]")
@click.option("--zone", default="Asia/Shanghai", show_default=True, help="Time zone of times that state no offset.")
@click.option("--json", "json_file", type=_FILE, help="Write the figures here too.")
def evaluate(file: Path, columns: str | None, by: str, now_text: str | None, zone: str, json_file: Path | None) -> None:
    """On-time figures (按期结案率) per service or agency of the tickets in FILE, a CSV in UTF-8 or GB 18030.

    The column "rate" is on time ÷ due (应结案: closed, or open beyond the due time); "of closed" leaves the open ones out and
    is higher. Needs no database. Exit status 2 and one line at the first row that cannot be meant.
    """
    from command_center.ticket.history import on_time

    try:
        local = _zone(zone)
        found = _read(file, _titles(columns), local)
        now = _latest(found) if now_text is None else _moment(now_text, local, "--now")
    except BadHistory as problem:
        raise BadSetting(str(problem)) from None
    keys: dict[str, Callable[[Finished], str]] = {"service": lambda t: t.service, "agency": lambda t: t.agency}
    rows = on_time(found, keys[by], now)
    (every,) = on_time(found, lambda _: "total", now)
    if json_file is not None:
        _write(json_file, {"now": now.isoformat(), "by": by, "rows": [*map(_told, rows)], "all": _told(every)})
    click.echo("\n".join(_table(by, [*rows, every])))
    timeless = sum(ticket.due_at is None for ticket in found)
    waiting = every.total - every.due - timeless
    click.echo(f"as of {now.isoformat()}; not due: {waiting:,} open with time left, {timeless:,} without a due time")
    odd = sum(ticket.closed_at is not None and ticket.closed_at < ticket.opened_at for ticket in found)
    if odd:
        click.echo(
            f"warning: {odd:,} tickets are closed before they were opened; they are counted as they are", err=True
        )


def _titles(columns: str | None) -> dict[str, str]:
    """What the file calls each column. Raises BadHistory."""
    titles = {name: name for name in _COLUMNS}
    for pair in columns.split(",") if columns else ():
        name, equals, title = (part.strip() for part in pair.partition("="))
        if name not in titles or not equals or not title:
            raise BadHistory(f"--columns: {pair[:60]!r} is no pair such as number=ID; known are {', '.join(_COLUMNS)}")
        titles[name] = title
    return titles


def _read(path: Path, titles: Mapping[str, str], zone: ZoneInfo) -> list[Finished]:
    """The tickets of a table, at least one, each number once. Raises BadHistory."""
    for encoding in _ENCODINGS:
        try:
            with path.open(encoding=encoding, newline="") as stream:
                found = list(_tickets(csv.DictReader(stream, strict=True), titles, zone))
        except UnicodeDecodeError:
            continue
        except csv.Error as problem:
            raise BadHistory(f"{path}: not a CSV table: {problem}") from None
        except OSError as problem:
            raise BadHistory(f"{path}: {(problem.strerror or str(problem)).lower()}") from None
        except BadHistory as problem:
            raise BadHistory(f"{path}: {problem}") from None
        if not found:
            raise BadHistory(f"{path}: there is no ticket in it")
        return found
    raise BadHistory(f"{path}: neither UTF-8 nor GB 18030 text")


def _tickets(rows: csv.DictReader[str], titles: Mapping[str, str], zone: ZoneInfo) -> Iterator[Finished]:
    header = [title.strip() for title in rows.fieldnames or ()]
    missing = [title for title in titles.values() if title not in header]
    if missing:
        raise BadHistory(f"column {', '.join(missing)} is missing; name the file's own with --columns")
    rows.fieldnames = header
    seen: dict[str, int] = {}
    for row in rows:
        line = rows.line_num
        if None in row:
            raise BadHistory(f"line {line}: more fields than titles")
        ticket = _ticket({name: (row[title] or "").strip() for name, title in titles.items()}, line, zone)
        first = seen.setdefault(ticket.number, line)
        if first != line:
            raise BadHistory(f"line {line}: number {ticket.number[:40]!r} stands in line {first} already")
        yield ticket


def _ticket(row: Mapping[str, str], line: int, zone: ZoneInfo) -> Finished:
    from command_center.ticket.history import Finished

    empty = next((name for name in ("number", "service", "agency", "opened_at") if not row[name]), None)
    if empty is not None:
        raise BadHistory(f"line {line}: {empty} is empty")
    due_at, closed_at = (
        _moment(row[name], zone, f"line {line}: {name}") if row[name] else None for name in ("due_at", "closed_at")
    )
    opened_at = _moment(row["opened_at"], zone, f"line {line}: opened_at")
    return Finished(row["number"], row["service"], row["agency"], opened_at, due_at, closed_at)


def _moment(text: str, zone: ZoneInfo, what: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadHistory(f"{what} {text[:40]!r} is no time such as 2026-07-08T09:30:00+08:00") from None
    return found.replace(tzinfo=zone) if found.tzinfo is None else found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadHistory(f"--zone: {name[:40]!r} is no time zone such as Asia/Shanghai") from None


def _latest(found: Sequence[Finished]) -> datetime:
    return max(max(ticket.opened_at, ticket.closed_at or ticket.opened_at) for ticket in found)


def _told(row: OnTime) -> dict[str, Any]:
    return asdict(row) | {"rate": row.rate, "rate_of_closed": row.rate_of_closed}


def _table(by: str, rows: Sequence[OnTime]) -> Iterator[str]:
    width = max(len(by), *(len(row.key) for row in rows))
    yield "  ".join([by.ljust(width), *(f"{title:>9}" for title in _HEAD)])
    for row in rows:
        counts = (row.total, row.due, row.closed, row.on_time, row.late, row.open_overdue)
        shares = ("-" if share is None else f"{share:.1%}" for share in (row.rate, row.rate_of_closed))
        yield "  ".join([row.key.ljust(width), *(f"{n:>9,}" for n in counts), *(f"{share:>9}" for share in shares)])


def _write(path: Path, figures: Mapping[str, Any]) -> None:
    try:
        path.write_text(json.dumps(figures, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as problem:
        raise BadSetting(f"{path}: cannot be written: {(problem.strerror or str(problem)).lower()}") from None
