"""``command-center grid``: merge the networks of the departments into one grid, and check the result. Needs no database."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from command_center.locate_commands import locate
from command_center.network_commands import import_network, merge_stored, run_merge
from command_center.network_file import file_and_property
from command_center.region_commands import import_regions, parentage
from command_center.version_commands import COMMANDS as VERSION_COMMANDS
from config.settings import BadSetting

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from shapely.geometry.base import BaseGeometry

    from gis.cell_code import Previous
    from gis.datum import Datum
    from gis.network import Network

_FILE = click.Path(path_type=Path)
_VILLAGES: Final = "villages"
_BOUNDARY: Final = "boundary"


@click.group()
def grid() -> None:
    """The merged grid of cells: make it from networks, check it, look points up in it."""


grid.add_command(locate)
grid.add_command(import_regions)
grid.add_command(parentage)
grid.add_command(import_network)
grid.add_command(merge_stored)
grid.add_command(run_merge)
for command in VERSION_COMMANDS:
    grid.add_command(command)


@grid.command()
@click.option("--network", "given", multiple=True, metavar="NAME=FILE[:ID_PROPERTY]", help="A network; two or more.")
@click.option("--base", help="Keep this network's grids whole; they take the others on by largest share.")
@click.option(
    "--villages", "villages_file", metavar="FILE[:ID_PROPERTY]", help="Villages: no cell crosses their boundaries."
)
@click.option(
    "--boundary", "boundary_file", type=_FILE, help="The city; without it the city is what any network covers."
)
@click.option("--previous", "previous_file", type=_FILE, help="An earlier result, whose codes live on.")
@click.option(
    "--datum", "datums", multiple=True, metavar="[NAME=]DATUM", help="CGCS2000, WGS84, GCJ02 or BD09; for all or one."
)
@click.option("--min-area-m2", type=float, default=1_000.0, show_default=True, help="A smaller cell is a sliver.")
@click.option("--min-width-m", type=float, default=5.0, show_default=True, help="A narrower cell is a sliver.")
@click.option("--out", "out_file", type=_FILE, required=True, help="GeoJSON of the cells to write.")
@click.option("--report", "report_file", type=_FILE, required=True, help="JSON report to write.")
def merge(
    given: tuple[str, ...],
    base: str | None,
    villages_file: str | None,
    boundary_file: Path | None,
    previous_file: Path | None,
    datums: tuple[str, ...],
    min_area_m2: float,
    min_width_m: float,
    out_file: Path,
    report_file: Path,
) -> None:
    """Merge networks of work grids into one coverage of cells, with a report that accounts for every square metre.

    FILE is GeoJSON, GeoPackage or Shapefile. NAME=DATUM also takes the names "villages" and "boundary".
    """
    from gis.cell_code import TooManyCells
    from gis.cell_file import NotACellFile, encode
    from gis.lattice import TooWide
    from gis.merge import NothingToMerge
    from gis.merge import merge as run
    from gis.merge_report import report
    from gis.network import NoGrids, NoSuchProperty
    from gis.overlay import NoVillage
    from gis.read_network import Unreadable
    from gis.sliver import Limits

    if not (0 <= min_area_m2 < float("inf") and 0 <= min_width_m < float("inf")):
        raise BadSetting("--min-area-m2 and --min-width-m are sizes: zero or more")
    try:
        sources = _read(given, villages_file, boundary_file, datums)
        merged = run(
            sources.networks,
            base=base,
            villages=sources.villages,
            boundary=sources.boundary,
            previous=_previous(previous_file),
            limits=Limits(min_area_m2, min_width_m),
        )
    except (
        NoGrids,
        NoSuchProperty,
        NotACellFile,
        NothingToMerge,
        NoVillage,
        TooManyCells,
        TooWide,
        Unreadable,
    ) as problem:
        raise BadSetting(str(problem)) from None
    told = report(merged)
    told["notices"] += sources.notices
    _write(out_file, encode(merged.cells, merged.coded.retired))
    _write(report_file, json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    _say(told)


@grid.command()
@click.argument("cells_file", metavar="CELLS.geojson", type=_FILE)
def check(cells_file: Path) -> None:
    """Check cells: valid polygons, no overlap, no two with one code. Exit status 1 when something is wrong."""
    from gis.cell_file import NotACellFile, decode
    from gis.coverage_check import check as judge
    from gis.read_network import Unreadable, read_text

    try:
        cells = decode(read_text(cells_file)[0], str(cells_file))
    except (NotACellFile, Unreadable) as problem:
        raise BadSetting(str(problem)) from None
    faults = judge(cells)
    for fault in faults:
        click.echo(fault, err=True)
    click.echo(f"{len(cells.codes):,} cells, {len(faults)} faults")
    sys.exit(1 if faults else 0)


@dataclass(frozen=True)
class _Sources:
    """Everything that a merge is made from, and what had to be said about it."""

    networks: list[Network]
    villages: Network | None
    boundary: BaseGeometry | None
    notices: list[str]


def _read(
    given: tuple[str, ...], villages_file: str | None, boundary_file: Path | None, datums: tuple[str, ...]
) -> _Sources:
    from gis.read_network import read_network, read_outline

    named = dict(_named(option) for option in given)
    if len(named) < len(given):
        raise BadSetting("--network: a name is given twice")
    if len(named) < 2:
        raise BadSetting("--network NAME=FILE is needed at least twice: there is nothing to merge")
    datum_of = _datums(datums, {*named, _VILLAGES, _BOUNDARY})
    networks = [read_network(name, *file_and_property(text), datum_of[name]) for name, text in sorted(named.items())]
    villages = (
        read_network(_VILLAGES, *file_and_property(villages_file), datum_of[_VILLAGES]) if villages_file else None
    )
    boundary, said = read_outline(boundary_file, datum_of[_BOUNDARY]) if boundary_file else (None, ())
    networks, turned = _placed(networks, told=bool(datums))
    if villages is not None:
        _refuse_apart(villages, networks)
    if boundary is not None:
        _refuse_boundary(boundary, networks)
    return _Sources(networks, villages, boundary, [f"boundary: {line}" for line in said] + turned)


def _named(option: str) -> tuple[str, str]:
    name, mark, file = option.partition("=")
    if not mark or not name.strip() or not file:
        raise BadSetting(f"--network {option!r}: it must read NAME=FILE or NAME=FILE:ID_PROPERTY")
    return name.strip(), file


def _datums(given: tuple[str, ...], known: set[str]) -> dict[str, Datum | None]:
    from gis.datum import UnknownDatum, named

    found: dict[str, Datum | None] = dict.fromkeys(known)
    try:
        for option in sorted(given, key=lambda text: "=" in text):
            name, mark, datum = option.rpartition("=")
            if mark and name not in known:
                raise BadSetting(f"--datum {option!r}: there is no network {name!r}")
            found.update(dict.fromkeys([name] if mark else known, named(datum)))
    except UnknownDatum as problem:
        raise BadSetting(f"--datum: {problem}") from None
    return found


def _placed(networks: list[Network], told: bool) -> tuple[list[Network], list[str]]:
    """The networks, swapped axes put right with a notice. Raises BadSetting for one that lies elsewhere or in another datum."""
    from gis.misplaced import lies_apart, lies_swapped, looks_like, swapped

    notices: list[str] = []
    networks = list(networks)
    for place, network in enumerate(networks):
        # Of two networks only one can be said to be wrong; the first by name is held to be right.
        if (place > 0 or len(networks) > 2) and lies_swapped(network.polygons, _others(networks, network)):
            networks[place] = replace(network, polygons=swapped(network.polygons))
            notices.append(f"network {network.name}: latitude stood before longitude: axes exchanged")
    for network in networks:
        datum = looks_like(network.polygons, _others(networks, network))
        if datum is not None:
            do = "check --datum" if told else f"pass --datum {network.name}={datum}"
            raise BadSetting(f"network {network.name} fits the others only when it is read as {datum}: {do}")
    for network in networks:
        if lies_apart(network.polygons, _others(networks, network)):
            others = " and ".join(other.name for other in networks if other is not network)
            raise BadSetting(
                f"network {network.name} lies apart from {others}: is this the right file, the right datum?"
            )
    return networks, notices


def _others(networks: list[Network], own: Network) -> npt.NDArray[np.object_]:
    import numpy as np

    return np.concatenate([network.polygons for network in networks if network is not own])


def _refuse_apart(villages: Network, networks: list[Network]) -> None:
    import numpy as np

    from gis.misplaced import lies_apart, looks_like

    others = np.concatenate([network.polygons for network in networks])
    if lies_apart(villages.polygons, others):
        raise BadSetting("the villages lie apart from the networks: is this the right file, are its axes swapped?")
    datum = looks_like(villages.polygons, others)
    if datum is not None:
        raise BadSetting(
            f"the villages fit the networks only when they are read as {datum}: pass --datum villages={datum}"
        )


def _refuse_boundary(boundary: BaseGeometry, networks: list[Network]) -> None:
    import numpy as np

    from gis.misplaced import lies_apart

    if lies_apart(np.array([boundary], dtype=object), np.concatenate([network.polygons for network in networks])):
        raise BadSetting("the boundary lies apart from the networks: is this the right file, are its axes swapped?")


def _previous(path: Path | None) -> Previous | None:
    from gis.cell_code import Previous
    from gis.cell_file import decode
    from gis.read_network import read_text

    if path is None:
        return None
    cells = decode(read_text(path)[0], str(path))
    return Previous(cells.codes, cells.polygons, cells.retired)


def _write(path: Path, text: str) -> None:
    """Write a file that appears under its name only when it is complete."""
    try:
        number, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(unfinished).chmod(0o644)
        Path(unfinished).replace(path)
    except OSError as problem:
        raise BadSetting(f"{path}: cannot be written: {(problem.strerror or str(problem)).lower()}") from None


def _say(told: dict[str, Any]) -> None:
    click.echo(
        f"{told['cells']:,} cells from {told['raw_pieces']:,} pieces; {told['slivers_dissolved']:,} slivers dissolved,"
        f" {told['area_moved_m2']:,.0f} m2 moved, {len(told['exceptions'])} exceptions"
    )
    for name, network in told["networks"].items():
        share = network["kept_area_share"]
        click.echo(
            f"{name}: {network['grids']:,} grids, {'none' if share is None else f'{share:.4%}'} of their area kept,"
            f" {len(network['overlaps'])} overlaps, {len(network['gaps'])} gaps, {len(network['repaired'])} repaired,"
            f" {len(network['lost'])} lost"
        )
        for line in (*network["notices"], *network["skipped"]):
            click.echo(f"{name}: {line}")
    for line in told["notices"]:
        click.echo(line)
