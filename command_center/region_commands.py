"""``command-center grid import`` and ``grid parentage``: the regions of the five tiers, and who belongs to whom since when."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click

from command_center.version_commands import plan_cells
from config.settings import BadSetting, Settings, from_environment

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from gis.datum import Datum
    from gis.nesting import Nested, Outlines, Parentage
    from gis.region_file import Columns, RegionFile
    from gis.region_store import Moved, Source, Standing

_FILE = click.Path(path_type=Path)
_TIERS: Final = ("city", "county", "township", "village")
_GRID: Final = "grid"
_MANY: Final = {"city": "city", "county": "counties", "township": "townships", "village": "villages"}
_COLUMNS: Final = ("code", "parent", "valid_from", "valid_to", "source")
_SAID: Final = 10


@click.command("import")
@click.argument("file", type=_FILE)
@click.option(
    "--tier", type=click.Choice((*_TIERS, _GRID)), required=True, help="What the file holds; from the city down."
)
@click.option("--id-property", "code", help="The property with the codes.  [default: code, adcode, 代码, id, …]")
@click.option("--name-property", "name", help="The property with the names.  [default: name, 名称, …]")
@click.option("--parent-property", "parent", help="The property with the parents' codes; without it code or area tell.")
@click.option("--datum", "datum_name", help="CGCS2000, WGS84, GCJ02 or BD09.  [default: as the file says]")
@click.option("--known-outline", "known_file", type=_FILE, help="A city outline in CGCS2000 that the city must fit.")
@click.option("--dry-run", is_flag=True, help="Only report; change nothing.")
@click.option("--report", "report_file", type=_FILE, help="JSON report to write.")
@click.option("--special", help="Tier grid: cells with a grid of this network are special ones (专属网格).")
@click.option("--note", help="Tier grid: what the version is for.")
@click.pass_context
def import_regions(
    context: click.Context,
    file: Path,
    tier: str,
    code: str | None,
    name: str | None,
    parent: str | None,
    datum_name: str | None,
    known_file: Path | None,
    dry_run: bool,
    report_file: Path | None,
    special: str | None,
    note: str | None,
) -> None:
    """Import the regions of one tier from GeoJSON, GeoPackage or Shapefile, or merged cells as a planned version.

    Tier grid takes the file that a merge wrote: its cells wait as a version, and nothing changes before `grid publish`.

    What stands under a code is replaced. Regions that FILE does not hold stay and are reported. Needs CC_DATABASE_URL
    (role cc_worker).
    """
    from config.database import worker_engine
    from gis.datum import UnknownDatum, named
    from gis.nesting import NoParent
    from gis.network import NoGrids
    from gis.outline import NoOutline
    from gis.read_network import Unreadable
    from gis.region_file import Columns, Misplaced
    from gis.region_store import TierMismatch

    _refuse_others_options(context, tier)
    if tier == _GRID:
        plan_cells(file, special=special, note=note or "")
        return
    settings = from_environment(os.environ)
    _refuse_unwritable(report_file)
    engine = worker_engine(settings.database_url)
    try:
        datum = named(datum_name) if datum_name else None
        found = _read(file, tier, Columns(code, name, parent), datum, known_file)
        told = _imported(engine, found, _source(file, str(found.datum)), _now(settings), write=not dry_run)
    except UnknownDatum as problem:
        raise BadSetting(f"--datum: {problem}") from None
    except (Misplaced, NoGrids, NoOutline, NoParent, TierMismatch, Unreadable) as problem:
        text = str(problem)
        raise BadSetting(text if text.startswith(str(file)) else f"{file}: {text}") from None
    finally:
        engine.dispose()
    if report_file is not None:
        _write(report_file, told)
    _say(told)


def _refuse_others_options(context: click.Context, tier: str) -> None:
    """Raise BadSetting for an option that means nothing for this tier: silence would look like consent."""
    own = {"file", "tier", "special", "note"} if tier == _GRID else set(context.params) - {"special", "note"}
    for option in context.command.params:
        given = context.params[option.name or ""] not in (None, False)
        if given and option.name not in own:
            raise BadSetting(f"{option.opts[0]} does not go with --tier {tier}")


def _read(file: Path, tier: str, columns: Columns, datum: Datum | None, known_file: Path | None) -> RegionFile:
    import numpy as np

    from gis.datum import Datum
    from gis.nesting import Outlines
    from gis.read_network import read_outline
    from gis.region_file import placed, read_regions

    found = read_regions(file, tier, columns, datum)
    if known_file is None:
        return found
    known, _ = read_outline(known_file, Datum.CGCS2000)
    return placed(found, Outlines("known", ("known",), np.array([known], dtype=object)))


@dataclass(frozen=True)
class _Ground:
    """What stands before an import: the regions, the parents of the day, the tier above and the tier itself, the cells."""

    standing: dict[str, Standing]
    held: dict[str, str]
    above: Outlines | None
    peers: Outlines
    cells: Outlines
    village_of: dict[str, str]


def _ground(engine: Engine, tier: str, today: date) -> _Ground:
    from gis import region_store
    from gis.nesting import parents_on

    with engine.connect() as connection:
        return _Ground(
            region_store.standing_regions(connection),
            parents_on(today, region_store.parentage(connection)),
            None if tier == _TIERS[0] else region_store.outlines(connection, _TIERS[_TIERS.index(tier) - 1]),
            region_store.outlines(connection, tier),
            *region_store.cells_in_force(connection),
        )


def _imported(engine: Engine, file: RegionFile, source: Source, now: datetime, *, write: bool) -> dict[str, Any]:
    """Decide on every region's parent, outside any transaction, then store; what was decided and done, as a report."""
    from gis.region_store import refuse_mismatch, store_regions

    ground = _ground(engine, file.outlines.tier, now.date())
    refuse_mismatch(ground.standing, file.outlines.tier, file.outlines.codes)
    file, nested = _nested(file, ground)
    version, moved = None, _moving(nested, ground.standing)
    if write:
        with engine.begin() as connection:
            stored = store_regions(connection, file, nested, source, now, now.date())
        version, moved = stored.version, list(stored.moved)
    return {
        "tier": file.outlines.tier,
        "file": source.file,
        "datum": source.datum,
        "version": version,
        "regions": len(file.entries),
        "added": [code for code in file.outlines.codes if code not in ground.standing],
        "moved": [{"code": m.code, "was": m.was, "parent": m.parent} for m in moved],
        "parents_by": dict(sorted(Counter(str(own.by) for own in nested).items())),
        "exceptions": [_exception(own) for own in nested if own.is_exception],
        "not_in_file": [
            {"code": code, "name": ground.standing[code].name} for code in ground.peers.codes if code not in file.named
        ],
        "repaired": [{"code": str(repair.id), "reason": repair.reason} for repair in file.repaired],
        "skipped": list(file.skipped),
        "notices": list(file.notices),
        "cells": [_exception(own) for own in _nested_cells(file, ground) if own.is_exception],
    }


def _nested(file: RegionFile, ground: _Ground) -> tuple[RegionFile, tuple[Nested, ...]]:
    """The regions, seen to lie where the tier above lies, and the parent of each; none for the city."""
    from gis.nesting import nest
    from gis.region_file import placed

    above = ground.above
    if above is None:
        return file, ()
    if not above.codes:
        raise BadSetting(f"import the {_MANY[above.tier]} first: {_MANY[file.outlines.tier]} need them to belong to")
    file = placed(file, above)
    there = frozenset(above.codes)
    parents = {code: ground.held.get(code, region.parent) for code, region in ground.standing.items()}
    known = {code: parent for code, parent in parents.items() if parent in there}
    return file, nest(file.outlines, above, _stated(file, above), known)


def _nested_cells(file: RegionFile, ground: _Ground) -> tuple[Nested, ...]:
    """How the cells in force lie in their villages once these are as the file draws them."""
    from gis.nesting import nest

    if file.outlines.tier != _TIERS[-1] or not ground.cells.codes:
        return ()
    return nest(ground.cells, _joined(ground.peers, file), known=ground.village_of)


def _stated(file: RegionFile, above: Outlines) -> dict[str, str]:
    """The parents that the file names. Raises NoParent for one that is not there."""
    from gis.nesting import NoParent

    stated = {entry.code: entry.parent for entry in file.entries if entry.parent is not None}
    there = frozenset(above.codes)
    lost = [f"{code} names {parent}" for code, parent in stated.items() if parent not in there]
    if lost:
        raise NoParent(f"a parent that is no {above.tier}: {', '.join(lost[:3])}{_and_more(len(lost) - 3)}")
    return stated


def _moving(nested: Sequence[Nested], standing: Mapping[str, Standing]) -> list[Moved]:
    from gis.region_store import Moved

    return [
        Moved(own.code, standing[own.code].parent, own.parent)
        for own in nested
        if own.code in standing and standing[own.code].parent != own.parent
    ]


def _joined(villages: Outlines, file: RegionFile) -> Outlines:
    """The villages as they stand once the file is taken in."""
    import numpy as np

    from gis.nesting import Outlines

    new = file.outlines
    rest = [place for place, code in enumerate(villages.codes) if code not in frozenset(new.codes)]
    codes = new.codes + tuple(villages.codes[place] for place in rest)
    return Outlines(new.tier, codes, np.concatenate([new.shapes, villages.shapes[rest]]))


def _exception(own: Nested) -> dict[str, Any]:
    return {
        "code": own.code,
        "parent": own.parent,
        "by": str(own.by),
        "share": round(own.share, 4),
        "runner_up": own.runner_up,
        "runner_up_share": round(own.runner_up_share, 4),
        "disagrees": own.disagrees,
    }


def _source(file: Path, datum: str) -> Source:
    from gis.region_store import Source

    return Source(file.name, f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}", datum)


def _say(told: Mapping[str, Any]) -> None:
    done = "nothing written: a dry run" if told["version"] is None else f"import {told['version']}"
    parents = ", ".join(f"{count:,} by {by}" for by, count in told["parents_by"].items())
    many = "region" if told["regions"] == 1 else "regions"
    click.echo(
        f"{told['regions']:,} {many} of tier {told['tier']}, {len(told['added']):,} new, {len(told['moved']):,} moved;"
        f" parents: {parents or 'none'}; {len(told['exceptions'])} exceptions; {done}"
    )
    for line in (*_lines(told), *told["skipped"], *told["notices"]):
        click.echo(line)


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    for own in told["exceptions"][:_SAID]:
        rest = f", {own['runner_up_share']:.1%} in {own['runner_up']}" if own["runner_up"] else ""
        yield f"{own['code']} lies {own['share']:.1%} in its parent {own['parent']} (by {own['by']}){rest}"
    for what, told_of in (
        ("exceptions", told["exceptions"][_SAID:]),
        ("cells that lie with less than 95 % in their village", told["cells"]),
        ("regions that stand but are not in the file", told["not_in_file"]),
        ("outlines repaired", told["repaired"]),
    ):
        if told_of:
            codes = ", ".join(own["code"] for own in told_of[:_SAID])
            yield f"{len(told_of):,} {'more ' if what == 'exceptions' else ''}{what}: {codes}{_and_more(len(told_of) - _SAID)}"


def _and_more(count: int) -> str:
    return f" and {count:,} more" if count > 0 else ""


def _now(settings: Settings) -> datetime:
    """Now, on the city's clock: its day is the day from which a new parent holds."""
    return datetime.now(ZoneInfo(settings.time_zone))


def _refuse_unwritable(path: Path | None) -> None:
    """Before anything is stored, and not after it."""
    if path is not None and not (path.parent.is_dir() and os.access(path if path.exists() else path.parent, os.W_OK)):
        raise BadSetting(f"--report {path}: it cannot be written there")


@click.command()
@click.argument("file", metavar="FILE.csv", type=_FILE)
def parentage(file: Path) -> None:
    """Import who belongs to whom since when: columns code,parent,valid_from and optionally valid_to,source.

    Days are dates as 2026-01-31; valid_to is the first day on which it no longer holds, empty for good. What FILE says of
    a day has the last word; what is due today moves at once, the rest on its day. Needs CC_DATABASE_URL (role cc_worker).
    """
    from config.database import worker_engine
    from gis import region_store
    from gis.read_network import Unreadable, read_text

    settings = from_environment(os.environ)
    try:
        content, notices = read_text(file)
        rows = list(_rows(content, str(file)))
    except Unreadable as problem:
        raise BadSetting(str(problem)) from None
    now = _now(settings)
    sources = sorted({f"source: {row['source']}" for _, row in rows if row["source"]})
    engine = worker_engine(settings.database_url)
    try:
        with engine.begin() as connection:
            given = _parentage(file, rows, region_store.standing_regions(connection))
            source = _source(file, "")
            stored = region_store.store_parentage(connection, given, source, [*notices, *sources], now, now.date())
    finally:
        engine.dispose()
    click.echo(f"{len(given)} rows of parentage, {len(stored.moved)} regions moved today; import {stored.version}")
    for moved in stored.moved:
        click.echo(f"{moved.code}: from {moved.was} to {moved.parent}")


def _rows(content: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and the known columns of each row. Raises BadSetting."""
    reader = csv.DictReader(content.splitlines(), restval="")
    missing = [name for name in _COLUMNS[:3] if name not in (reader.fieldnames or ())]
    if missing:
        raise BadSetting(f"{file}: column {', '.join(missing)} is missing: the first line names {','.join(_COLUMNS)}")
    try:
        for row in reader:
            yield reader.line_num, {name: (row.get(name) or "").strip() for name in _COLUMNS}
    except csv.Error as problem:
        raise BadSetting(f"{file}: line {reader.line_num}: {problem}") from None


def _parentage(
    file: Path, rows: Sequence[tuple[int, Mapping[str, str]]], standing: Mapping[str, Standing]
) -> list[Parentage]:
    """The rows as parentage; the first that cannot be is refused by line. Raises BadSetting."""
    from gis.nesting import Parentage

    found: dict[tuple[str, date], Parentage] = {}
    for line, row in rows:
        where = f"{file}: line {line}"
        since, until = _day(where, row["valid_from"]), _day(where, row["valid_to"]) if row["valid_to"] else None
        if until is not None and until <= since:
            raise BadSetting(f"{where}: valid_to {until} is not after valid_from {since}")
        own = Parentage(row["code"], since, row["parent"], until)
        _refuse_relation(where, own, standing)
        if found.setdefault((own.code, since), own) is not own:
            raise BadSetting(f"{where}: {own.code} has a row that begins on {since} already")
    if not found:
        raise BadSetting(f"{file}: there is no row in it")
    return list(found.values())


def _refuse_relation(where: str, own: Parentage, standing: Mapping[str, Standing]) -> None:
    unknown = next((code for code in (own.code, own.parent) if code not in standing), None)
    if unknown is not None:
        raise BadSetting(f"{where}: there is no region {unknown[:60]!r}")
    tier, above = standing[own.code].tier, standing[own.parent].tier
    if tier == _TIERS[0] or _TIERS.index(tier) - 1 != _TIERS.index(above):
        raise BadSetting(f"{where}: {own.parent} is a {above} and cannot be the parent of the {tier} {own.code}")


def _day(where: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadSetting(f"{where}: {text[:30]!r} is no day such as 2026-01-31") from None


def _write(path: Path, told: Mapping[str, Any]) -> None:
    try:
        path.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as problem:
        raise BadSetting(f"{path}: cannot be written: {(problem.strerror or str(problem)).lower()}") from None
