"""``command-center grid``: networks kept in the database, and merges of them."""

from __future__ import annotations

import os
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from command_center.network_file import file_and_property, placed
from config.settings import BadSetting, from_environment

if TYPE_CHECKING:
    from sqlalchemy import Engine

_NAME: Final = re.compile(r"[\w-]{1,40}")
_POLL_S: Final = 0.5
_SILENT: Final = timedelta(seconds=15)


@click.command("network")
@click.argument("name")
@click.argument("given", metavar="FILE[:ID_PROPERTY]")
@click.option("--datum", "datum_name", metavar="DATUM", help="CGCS2000, WGS84, GCJ02 or BD09, whatever the file says.")
@click.option("--name-property", metavar="PROPERTY", help="The property that holds what people call a grid.")
def import_network(name: str, given: str, datum_name: str | None, name_property: str | None) -> None:
    """Import a department's network of work grids in the place of the one with this NAME, and list what is wrong with it.

    FILE is GeoJSON, GeoPackage or Shapefile. Needs CC_DATABASE_URL (role cc_worker).
    """
    from config.database import worker_engine
    from gis.datum import Datum, UnknownDatum, named
    from gis.lattice import TooWide
    from gis.network import NoGrids, NoSuchProperty
    from gis.network_problem import find_problems
    from gis.network_store import Imported, load_lands, replace_network
    from gis.read_network import Unreadable, read_network
    from gis.sliver import Limits

    if not _NAME.fullmatch(name):
        raise BadSetting(f"a network's name is 1 to 40 letters, digits, - or _, it is {name!r}")
    engine = worker_engine(from_environment(os.environ).database_url, pool_size=1)
    try:
        datum = named(datum_name) if datum_name else None
        file, id_property = file_and_property(given)
        drawn = read_network(name, file, id_property, datum, name_property)
        with engine.begin() as connection:
            lands = load_lands(connection)
        drawn = placed(drawn, lands, datum)
        problems, notices = find_problems(drawn, Limits())
        # All that takes time is done before the transaction: one that idles is ended by the server.
        found = Imported.of(drawn, problems, notices, lands, file.name, datum or Datum.CGCS2000)
        with engine.begin() as connection:
            replace_network(connection, found, datetime.now(UTC))
    except (NoGrids, NoSuchProperty, TooWide, Unreadable) as problem:
        raise BadSetting(str(problem)) from None
    except UnknownDatum as problem:
        raise BadSetting(f"--datum: {problem}") from None
    finally:
        engine.dispose()
    kinds = [str(problem.kind) for problem in problems]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))) or "none"
    click.echo(f"{name}: {len(drawn.ids):,} grids from {drawn.drawn:,} polygons; problems: {counted}")
    for line in (*found.notices, *drawn.skipped):
        click.echo(f"{name}: {line}")


@click.command("merge-stored")
@click.option("--networks", "names", metavar="NAME,NAME", help="Which stored networks.  [default: all]")
@click.option("--base", help="Keep this network's grids whole; they take the others on by largest share.")
@click.option("--villages/--no-villages", default=None, help="Cut by the villages.  [default: if there are any]")
@click.option("--min-area-m2", type=float, default=1_000.0, show_default=True, help="A smaller cell is a sliver.")
@click.option("--min-width-m", type=float, default=5.0, show_default=True, help="A narrower cell is a sliver.")
@click.option("--special", help="The network whose grids are special ones (markets, campuses, factories).")
@click.option("--note", default="", help="What the planned version is for.")
@click.option("--no-wait", is_flag=True, help="Only ask for it.")
def merge_stored(
    names: str | None,
    base: str | None,
    villages: bool | None,
    min_area_m2: float,
    min_width_m: float,
    special: str | None,
    note: str,
    no_wait: bool,
) -> None:
    """Ask for a merge of stored networks and wait until it is a planned version of the grid.

    The scheduler runs it. Exit status 2 with the reason when it cannot be done. Needs CC_DATABASE_URL (role cc_worker).
    """
    from command_center.merge_job import Wish, ask
    from config.database import worker_engine
    from gis.network_store import network_names

    if not (0 <= min_area_m2 < float("inf") and 0 <= min_width_m < float("inf")):
        raise BadSetting("--min-area-m2 and --min-width-m are sizes: zero or more")
    engine = worker_engine(from_environment(os.environ).database_url, pool_size=1)
    try:
        with engine.begin() as connection:
            wanted = network_names(connection) if names is None else [name.strip() for name in names.split(",")]
            wish = Wish(tuple(wanted), base, villages, min_area_m2, min_width_m, special, note)
            job = ask(connection, wish, "command line", datetime.now(UTC))
        click.echo(f"merge {job}: {', '.join(wanted) or 'no network'}")
        if not no_wait:
            _told(_ended(engine, job))
    finally:
        engine.dispose()


def _ended(engine: Engine, job: int) -> dict[str, Any]:
    """The job once it has ended; each step is said when it begins."""
    from command_center.heartbeat import last_beat
    from command_center.merge_job import read_job

    said = ""
    while True:
        with engine.begin() as connection:
            found = read_job(connection, job)
            beat = last_beat(connection, "scheduler").at
        if found["state"] in ("done", "failed"):
            return found
        is_away = beat is None or datetime.now(UTC) - beat > _SILENT
        away = "; no scheduler is running, it begins when one does" if is_away and found["state"] == "waiting" else ""
        line = f"merge {job}: {found['step'] or found['state']}{away}"
        if line != said:
            click.echo(line, err=True)
            said = line
        time.sleep(_POLL_S)


def _told(job: dict[str, Any]) -> None:
    if job["state"] == "failed":
        raise BadSetting(f"merge {job['id']}: {job['problem']}")
    click.echo(f"merge {job['id']}: done; planned version {job['version']}")


@click.command("run-merge", hidden=True)
@click.argument("job", type=int)
@click.argument("attempt", type=int)
def run_merge(job: int, attempt: int) -> None:
    """The process of one claimed merge; the scheduler starts it."""
    from command_center.merge_job import Claim, run
    from config.database import worker_engine

    engine = worker_engine(from_environment(os.environ).database_url)
    run(engine, Claim(job, attempt))
    sys.exit(0)
