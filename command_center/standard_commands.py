"""``command-center standards``: the sheet of filing and closing, and the work calendar that its limits are counted by."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import click

from config.settings import BadSetting, Settings, from_environment

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from command_center.standard.sheet import Reading, Sheet
    from command_center.standard.standard import Standard
    from command_center.ticket.ticket import Ticket
    from command_center.work_calendar import StatedDay, WorkCalendar

_FILE = click.Path(path_type=Path)
_DAY = click.DateTime(["%Y-%m-%d"])
_SAID: Final = 10
_SHEET: Final = "city"


@click.group()
def standards() -> None:
    """Standards of filing and closing (立案、结案标准), and the work calendar."""


@standards.command("import")
@click.argument("file", type=_FILE)
@click.option("--worksheet", help="Which worksheet of an xlsx file.  [default: the one with the nine columns]")
@click.option(
    "--sheet", default=_SHEET, show_default=True, help="What it is called here: it replaces the version of this name."
)
@click.option("--effective-from", type=_DAY, help="First day on which it holds.  [default: today]")
@click.option("--skip-bad", is_flag=True, help="Leave rows with faults out and store the others.")
@click.option("--dry-run", is_flag=True, help="Only read and report; needs no database.")
def import_standards(
    file: Path, worksheet: str | None, sheet: str, effective_from: datetime | None, skip_bad: bool, dry_run: bool
) -> None:
    """Import a sheet with the nine columns 大类代码 大类名称 小类代码 小类名称 处置单位 主管部门 立案条件 结案条件 处置时限.

    FILE is xlsx, or CSV in UTF-8 or GB 18030. Every wrong cell is a line; with one, nothing is stored and the exit status is
    2. Needs CC_DATABASE_URL (role cc_worker).
    """
    if not re.fullmatch(r"\w[\w.-]{0,39}", sheet):
        raise BadSetting(f"--sheet must be 1 to 40 letters, digits, _ . or -, it is {sheet[:40]!r}")
    found = _read(file, worksheet)
    for fault in found.faults:
        click.echo(f"{file}: {fault}", err=True)
    if found.faults and not skip_bad:
        click.echo(
            f"{len(found.faults)} faults, {len(found.standards)} conditions without one: nothing stored", err=True
        )
        sys.exit(2)
    if not found.standards:
        raise BadSetting(f"{file}: every row has a fault: nothing to store")
    skipped = f", {len(found.faults)} faults skipped" if found.faults else ""
    told = f"{len(found.standards)} conditions of {_classes(found.standards)} small classes{skipped}"
    click.echo(f"{told}; nothing stored" if dry_run else f"{told}; {_stored(file, found, sheet, effective_from)}")


@standards.command("list")
@click.argument("small_code", required=False)
@click.option("--sheet", default=_SHEET, show_default=True, help="Of which sheet.")
@click.option("--on", "day", type=_DAY, help="As they hold on this day.  [default: today]")
def list_standards(small_code: str | None, sheet: str, day: datetime | None) -> None:
    """List the versions; with SMALL_CODE, the conditions of that small class. Needs CC_DATABASE_URL."""
    from command_center.standard.store import standards_of, versions

    with _database() as (engine, settings), engine.connect() as connection:
        if small_code is None:
            for row in versions(connection):
                click.echo(
                    f"{row.version:>4}  {row.sheet:<10}  from {row.effective_from}  {row.conditions:>4} conditions  {row.file}"
                )
            return
        on = _day(day, settings)
        found = standards_of(connection, small_code, on, sheet=sheet)
    if not found:
        raise BadSetting(f"no standard for the small class {small_code[:40]!r} in sheet {sheet} on {on}")
    for own in found:
        click.echo(f"{own.small_code} {own.small_name}  {own.limit_text}  {own.condition} → {own.close_condition}")


@standards.command("calendar")
@click.argument("file", type=_FILE, required=False)
@click.option("--dry-run", is_flag=True, help="Only report what would change.")
def state_calendar(file: Path | None, dry_run: bool) -> None:
    """State workdays and days off, and say which open deadlines that would move; without FILE say what is stated.

    FILE is a CSV with the columns day,is_workday,source,verified. It wins over the published calendar for the days it names.
    Needs CC_DATABASE_URL (role cc_worker).
    """
    from command_center.calendar_store import load_calendar, store_calendar
    from command_center.work_calendar import overlaid

    stated = () if file is None else _stated_days(file)
    with _database() as (engine, settings):
        with engine.connect() as connection:
            before = load_calendar(connection)
        after = overlaid(before, stated)
        if file is None:
            click.echo(f"{len(before.stated)} days stated")
        else:
            moved = _shifts(engine, settings, after)
            if not dry_run:
                with engine.begin() as connection:
                    store_calendar(connection, stated, file.name, _digest(file), datetime.now(UTC))
            _say(stated, moved, ZoneInfo(settings.time_zone), dry_run=dry_run)
        _warn(after, _today(settings))


def _read(file: Path, worksheet: str | None) -> Reading:
    from command_center.standard.sheet import NotAStandardsSheet, read_standards
    from command_center.standard.workbook import read_sheets

    try:
        return read_standards(_chosen(read_sheets(file), worksheet))
    except NotAStandardsSheet as problem:
        raise BadSetting(f"{file}: {problem}") from None


def _chosen(sheets: Sequence[Sheet], name: str | None) -> Sheet:
    """The sheet of that name, or the only one that has the columns. Raises NotAStandardsSheet."""
    from command_center.standard.sheet import NotAStandardsSheet, has_header

    names = ", ".join(sheet.name for sheet in sheets)
    if name is not None:
        found = [sheet for sheet in sheets if sheet.name == name]
        if not found:
            raise NotAStandardsSheet(f"there is no sheet {name[:60]!r}, there is {names[:300]}")
        return found[0]
    found = [sheet for sheet in sheets if has_header(sheet)]
    if len(found) > 1:
        several = ", ".join(sheet.name for sheet in found)
        raise NotAStandardsSheet(f"several sheets have the nine columns: choose one with --worksheet ({several[:300]})")
    return found[0] if found else sheets[0]


def _stored(file: Path, found: Reading, sheet: str, effective_from: datetime | None) -> str:
    from command_center.standard.store import StandardsFile, is_stored, store_standards

    with _database() as (engine, settings):
        source = StandardsFile(file.name, _digest(file), sheet, _day(effective_from, settings))
        with engine.begin() as connection:
            if is_stored(connection, source):
                return "this file is the newest version already, nothing stored"
            skipped = [str(fault) for fault in found.faults]
            version = store_standards(connection, found.standards, source, skipped, datetime.now(UTC))
    return f"stored as version {version}, in force from {source.effective_from}"


def _classes(found: Sequence[Standard]) -> int:
    return len({(own.big_code, own.small_code) for own in found})


def _stated_days(file: Path) -> tuple[StatedDay, ...]:
    from command_center.standard.sheet import NotAStandardsSheet
    from command_center.standard.workbook import read_table, titled
    from command_center.work_calendar import COLUMNS, BadCalendar, stated_days

    try:
        return stated_days(titled(read_table(file), COLUMNS))
    except (BadCalendar, NotAStandardsSheet) as problem:
        raise BadSetting(f"{file}: {problem}") from None


def _shifts(engine: Engine, settings: Settings, after: WorkCalendar) -> list[tuple[Ticket, datetime]]:
    """Open tickets whose time would end elsewhere by a calendar, and where."""
    from command_center.city import dispatch_table
    from command_center.ticket.clock import Offices
    from command_center.ticket.deadline import recounted
    from command_center.ticket.store import open_tickets

    table = dispatch_table(settings.city, Offices(ZoneInfo(settings.time_zone), calendar=after))
    with engine.connect() as connection:
        found = open_tickets(connection)
    steps = ((ticket, recounted(ticket, table, datetime.now(UTC))) for ticket in found)
    return [(ticket, step.facts["due_at"]) for ticket, step in steps if step is not None and "due_at" in step.facts]


def _say(
    stated: Sequence[StatedDay], moved: Sequence[tuple[Ticket, datetime]], zone: ZoneInfo, *, dry_run: bool
) -> None:
    would = "would be stated" if dry_run else "stated"
    click.echo(f"{len(stated)} days {would}; {len(moved)} open deadlines lie elsewhere by this calendar")
    for ticket, due_at in moved[:_SAID]:
        was, becomes = (at.astimezone(zone) for at in (ticket.due_at, due_at))
        click.echo(f"{ticket.place.number}: {was:%Y-%m-%d %H:%M} becomes {becomes:%Y-%m-%d %H:%M}")
    if len(moved) > _SAID:
        click.echo(f"… and {len(moved) - _SAID} more")
    if moved and not dry_run:
        click.echo("the scheduler moves them now, each by a step in its trail")


def _warn(calendar: WorkCalendar, today: date) -> None:
    from command_center.work_calendar import unverified_years

    for year in unverified_years(calendar, today):
        click.echo(
            f"warning: the holidays of {year} are not verified: only weekends and fixed dates count, working time may shift",
            err=True,
        )


def _digest(file: Path) -> str:
    return "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()


def _today(settings: Settings) -> date:
    return datetime.now(ZoneInfo(settings.time_zone)).date()


def _day(given: datetime | None, settings: Settings) -> date:
    return _today(settings) if given is None else given.date()


@contextmanager
def _database() -> Iterator[tuple[Engine, Settings]]:
    from config.database import worker_engine

    settings = from_environment(os.environ)
    engine = worker_engine(settings.database_url, pool_size=1)
    try:
        yield engine, settings
    finally:
        engine.dispose()
