"""``command-center sensors``: the catalogue of sensors, in and out."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import click

from command_center.provision_commands import provision
from config.settings import BadSetting, Settings, from_environment

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from command_center.catalogue_plan import Plan
    from gis.locate import Cells
    from ingest.catalogue_file import Sheet
    from ingest.sensor import Catalogue

_FILE = click.Path(path_type=Path)
_LARGEST_FILE: Final = 64 << 20
_SAID: Final = 1000


@click.group()
def sensors() -> None:
    """The catalogue of sensors (目录): who measures what, where, for whom, and with what they log in at the broker."""


sensors.add_command(provision)


@sensors.command("import")
@click.argument("file", type=_FILE)
@click.option("--check", is_flag=True, help="Only read and report; change nothing.")
@click.option("--partial", is_flag=True, help="Leave rows with faults out and store the others.")
@click.option("--by", help="Whom the history names.  [default: the login name]")
def import_sensors(file: Path, check: bool, partial: bool, by: str | None) -> None:
    """Add and change sensors from a CSV in UTF-8 or GB 18030; the first line names the columns.

    \b
    id,name,domain,quantities,county,lng,lat,datum,cell,owner,profile,interval_s,sharing,in_service,service_since
    or 编号,名称,领域,监测量,区县,经度,纬度,坐标系,网格,权属单位,型号,上报间隔,共享类型,在用,在用起始

    Only id must be there; what is missing stays. The cell is found by the position (datum CGCS2000, WGS84, GCJ02 or BD09);
    what moves has none and names the cell it belongs to. Every wrong cell is a line; with one, nothing is stored and the exit
    status is 2. Rows that say what stands change nothing. Needs CC_DATABASE_URL (role cc_worker).
    """
    from command_center.city import state_measurable
    from gis.store import index_cells, read_cells
    from ingest.store import load_catalogue

    content = _content(file)
    with _database() as (engine, settings):
        with engine.begin() as connection:
            state_measurable(connection, settings.city)
        with engine.connect() as connection:
            catalogue = load_catalogue(connection)
            rows = read_cells(connection)
        sheet = _read(file, content, catalogue, ZoneInfo(settings.time_zone))
        # Seconds for a large city: no transaction stands open meanwhile.
        cells = index_cells(rows, painted=False)
        author = file.name, by or getpass.getuser()
        found = _written(
            engine, sheet, cells, catalogue, author, faulty="good" if partial else "nothing", keep=not check
        )
    for fault in sorted(found.faults, key=lambda fault: fault.line)[:_SAID]:
        click.echo(f"{file}: {fault}", err=True)
    if len(found.faults) > _SAID:
        click.echo(f"{file}: and {len(found.faults) - _SAID} faults more", err=True)
    told = f"{found.added} added, {len(found.changes) - found.added} changed, {found.unchanged} unchanged"
    lines = len({fault.line for fault in found.faults})
    if found.faults and not partial:
        click.echo(f"{len(found.faults)} faults in {lines} rows: nothing stored (without them: {told})", err=True)
        sys.exit(2)
    left_out = f", {lines} rows with faults left out" if lines else ""
    click.echo(f"{told}{left_out}" + ("; nothing stored" if check else ""))


@sensors.command("export")
@click.argument("file", type=_FILE, required=False)
@click.option("--region", help="Only sensors of this region and all below it.")
def export_sensors(file: Path | None, region: str | None) -> None:
    """Write the catalogue as a CSV that import takes back unchanged, to FILE or to standard output.

    Positions are CGCS2000. Needs CC_DATABASE_URL.
    """
    from command_center.point_table import BadTable
    from gis.store import load_regions
    from ingest.catalogue_file import write
    from ingest.catalogue_store import each_entry
    from ingest.store import load_catalogue

    with _database() as (engine, settings), engine.connect() as connection:
        scope = ""
        if region is not None:
            found = load_regions(connection).regions.get(region)
            if found is None:
                raise BadSetting(f"--region: there is no region {region[:40]!r}")
            scope = found.scope
        catalogue = load_catalogue(connection)
        lines = write(each_entry(connection, scope), catalogue, ZoneInfo(settings.time_zone))
        if file is None:
            for line in lines:
                click.echo(line, nl=False)
            return
        try:
            count = _save(file, lines)
        except BadTable as problem:
            raise BadSetting(str(problem)) from None
    click.echo(f"{count} sensors in {file}")


def _save(file: Path, lines: Iterator[str]) -> int:
    from command_center.point_table import replaced

    with replaced(file) as stream:
        return sum(1 for line in lines if stream.write(line)) - 1


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST_FILE + 1)
    except OSError as problem:
        raise BadSetting(f"{file}: {(problem.strerror or str(problem)).lower()}") from None
    if len(content) > _LARGEST_FILE:
        raise BadSetting(f"{file}: larger than {_LARGEST_FILE >> 20} MiB: split it")
    return content


def _read(file: Path, content: bytes, catalogue: Catalogue, zone: ZoneInfo) -> Sheet:
    from ingest.catalogue_file import BadCatalogueFile, read

    try:
        return read(content, catalogue, zone)
    except BadCatalogueFile as problem:
        raise BadSetting(f"{file}: {problem}") from None


def _written(
    engine: Engine,
    sheet: Sheet,
    cells: Cells,
    catalogue: Catalogue,
    author: tuple[str, str],
    *,
    faulty: str,
    keep: bool,
) -> Plan:
    from command_center.catalogue_move import write
    from command_center.event import log
    from ingest.catalogue_store import Author, begin_writing

    source, name = author
    with engine.begin() as connection:
        begin_writing(connection)
        whom = Author("", name, datetime.now(UTC), source)
        found = write(connection, sheet.stated, cells, catalogue, whom, faulty=faulty, earlier=sheet.faults, keep=keep)
        log.append(connection, found.events)
    return found.plan


@contextmanager
def _database() -> Iterator[tuple[Engine, Settings]]:
    from config.database import worker_engine

    settings = from_environment(os.environ)
    engine = worker_engine(settings.database_url, pool_size=1)
    try:
        yield engine, settings
    finally:
        engine.dispose()
