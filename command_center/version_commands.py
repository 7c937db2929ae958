"""``command-center grid``: versions of the grid, and who has which function in its cells. They need CC_DATABASE_URL."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click

from config.settings import BadSetting, Settings, from_environment

if TYPE_CHECKING:
    from sqlalchemy import Engine

_FILE = click.Path(path_type=Path)
_SHOWN: Final = 10


def _plan(engine: Engine, cells_file: Path, special: str | None, note: str) -> None:
    from gis.cell_code import TooManyCells
    from gis.cell_file import NotACellFile, decode
    from gis.planned_cell import VersionRefused
    from gis.read_network import Unreadable, read_text
    from gis.version_store import plan

    try:
        cells = decode(read_text(cells_file)[0], str(cells_file))
        report = {"file": cells_file.name}
        made_by = os.environ.get("USER") or "command line"
        version = plan(engine, cells, report=report, note=note, made_by=made_by, special=special)
    except (NotACellFile, TooManyCells, Unreadable) as problem:
        raise BadSetting(str(problem)) from None
    except VersionRefused as problem:
        raise BadSetting(f"{cells_file}: {problem}") from None
    _say(engine, version)


def plan_cells(cells_file: Path, *, special: str | None, note: str) -> None:
    """``grid import --tier grid``: plan a version from a file of merged cells. Raises BadSetting."""
    with _database() as (engine, _):
        _plan(engine, cells_file, special, note)


@click.command("versions")
def list_versions() -> None:
    """List the versions of the grid, newest first."""
    from gis.version_store import versions

    with _database() as (engine, settings):
        zone = ZoneInfo(settings.time_zone)
        with engine.connect() as connection:
            found = versions(connection)
        for row in found:
            since = row.in_force_from or row.effective_at or row.made_at
            note = f"  {row.note}" if row.note else ""
            click.echo(f"{row.n:>4}  {row.state:<9}  {since.astimezone(zone):%Y-%m-%d %H:%M:%S%z}  {row.made_by}{note}")
        if not found:
            click.echo("no version yet: make one with `command-center grid import --tier grid CELLS.geojson`")


@click.command("diff")
@click.argument("version", type=int)
@click.option("--json", "json_file", type=_FILE, help="Write the whole report there.")
def show_diff(version: int, json_file: Path | None) -> None:
    """Say what a version changes for whom: cells, sensors, cameras, functions, open tickets and accounts."""
    with _database() as (engine, _):
        told = _say(engine, version)
    if json_file is not None:
        try:
            json_file.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", "utf-8")
        except OSError as problem:
            raise BadSetting(f"{json_file}: cannot be written: {(problem.strerror or str(problem)).lower()}") from None


@click.command("publish")
@click.argument("version", type=int)
@click.option("--at", "at", metavar="TIME", help="When it takes effect, such as 2026-12-01T00:00.  [default: now]")
def publish_version(version: int, at: str | None) -> None:
    """Publish a planned version: it takes effect at that time, at once without one. The scheduler sees to it."""
    from gis.version_store import publish

    with _database() as (engine, settings):
        zone = ZoneInfo(settings.time_zone)
        effective_at = publish(engine, version, _moment(at, zone), datetime.now(UTC))
        click.echo(f"version {version} takes effect at {effective_at.astimezone(zone).isoformat()}")


@click.command("withdraw")
@click.argument("version", type=int)
def withdraw_version(version: int) -> None:
    """Give up a version that is planned or published."""
    from gis.version_store import withdraw

    with _database() as (engine, _):
        withdraw(engine, version)
        click.echo(f"version {version} is withdrawn")


@click.command("functions")
@click.argument("table", metavar="FILE.csv", type=_FILE)
def import_functions(table: Path) -> None:
    """Import who does what in which cell.

    Columns: cell,domain,organisation,worker,valid_from,valid_to; worker and valid_to (the first day without the function)
    may be empty.
    """
    from command_center.function_table import BadFunctions, read_functions
    from gis.version_store import save_functions, scopes_in_force

    with _database() as (engine, _):
        with engine.connect() as connection:
            scopes = scopes_in_force(connection)
        try:
            functions = read_functions(table, scopes)
        except BadFunctions as problem:
            raise BadSetting(str(problem)) from None
        with engine.begin() as connection:
            stored = save_functions(connection, functions, scopes)
    click.echo(f"{stored.written:,} functions written, {stored.ended:,} earlier ones end where a new one begins")


@contextmanager
def _database() -> Iterator[tuple[Engine, Settings]]:
    """The engine of the role cc_worker; what a version refuses becomes one clear line."""
    from config.database import worker_engine
    from gis.planned_cell import VersionRefused

    settings = from_environment(os.environ)
    engine = worker_engine(settings.database_url, pool_size=1)
    try:
        yield engine, settings
    except VersionRefused as problem:
        raise BadSetting(str(problem)) from None
    finally:
        engine.dispose()


def _moment(text: str | None, zone: ZoneInfo) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadSetting(f"--at {text!r} is no time such as 2026-12-01T00:00 or 2026-12-01T00:00:00+08:00") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)


def _say(engine: Engine, version: int) -> dict[str, Any]:
    """Print what a version changes; the whole report."""
    from command_center.version_diff import touched
    from gis.version_store import version_of

    with engine.connect() as connection:
        row = version_of(connection, version)
        leaving = [cell["code"] for cell in row.changes.get("cells", ()) if "into" in cell or cell["change"] == "moved"]
        changes: dict[str, Any] = {"version": version, "state": row.state} | row.changes | touched(connection, leaving)
    base = changes.get("compared_with")
    against = "the cells that stand" if base is None else f"version {base}"
    click.echo(f"version {version} ({row.state}), compared with {against}: {_counted(changes.get('total', {}))}")
    for what in ("sensors", "cameras"):
        found = changes.get(what, [])
        lost = sum(item["to"] is None for item in found)
        click.echo(f"{what}: {len(found):,} change cell{f', {lost:,} of them are in no cell any more' if lost else ''}")
    click.echo(
        f"functions: {len(changes.get('functions', [])):,} in cells that change,"
        f" {len(changes.get('functions_inherited', [])):,} handed over"
    )
    for what, place in (("tickets", "open in cells that end or move"), ("accounts", "of cells that end or move")):
        found = changes[what]
        names = ", ".join(item.get("number") or item["username"] for item in found[:_SHOWN])
        click.echo(f"{what}: {len(found):,} {place}{f': {names}' if found else ''}")
    for item in changes.get("straddling", [])[:_SHOWN]:
        click.echo(f"cell {item['cell']} lies in village {item['village']} with {item['share']:.1%} of its ground only")
    return changes


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {change}" for change, count in counts.items()) or "no cells"


COMMANDS: Final = (list_versions, show_diff, publish_version, withdraw_version, import_functions)
