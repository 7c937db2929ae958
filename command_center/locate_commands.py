"""Points from one table to another: with the cell of each (``grid locate``) or in another datum (``datum convert``);
and the datum of an outline (``datum check``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from config.settings import BadSetting

if TYPE_CHECKING:
    from command_center.point_table import PointRows
    from gis.cell_index import CellIndex

_FILE = click.Path(path_type=Path)


@click.command()
@click.option(
    "--cells", "cells_file", type=_FILE, required=True, help="Cells with a code each (grid merge makes them)."
)
@click.option("--points", "points_file", type=_FILE, required=True, help="CSV with the columns id,lng,lat in CGCS2000.")
@click.option("--out", "out_file", type=_FILE, required=True, help="CSV to write: id,cell; empty where no cell is.")
def locate(cells_file: Path, points_file: Path, out_file: Path) -> None:
    """Find the cell of each point. On shared edges the lowest code wins. Needs no database."""
    from command_center.point_table import BadTable, read_points, written

    index = read_cells(cells_file)
    if not index.is_coverage:
        share = max(index.tree_share * 100, 0.01)
        click.echo(f"grid locate: cells overlap on {share:.2g} % of the map; look-ups are slow there", err=True)
    seen = _Seen()
    try:
        with written(out_file, ("id", "cell")) as table:
            for piece in read_points(points_file):
                rows = index.locate(piece.lng, piece.lat).tolist()
                seen.add(piece, rows, index)
                cells = [index.codes[row] if row >= 0 else "" for row in rows]
                table.writerows(zip(piece.ids, cells, strict=True))
            seen.refuse_swapped(points_file)
    except BadTable as problem:
        raise BadSetting(str(problem)) from None
    click.echo(f"{seen.inside:,} of {seen.points:,} points are in one of {len(index.codes):,} cells")


@click.group()
def datum() -> None:
    """Coordinates of one datum in another: CGCS2000, WGS84, GCJ02, BD09."""


@datum.command("convert")
@click.option("--from", "source", required=True, help="What the table's coordinates refer to.")
@click.option("--to", "target", required=True, help="What they shall refer to.")
@click.argument("in_file", metavar="IN.csv", type=_FILE)
@click.argument("out_file", metavar="OUT.csv", type=_FILE)
def convert_table(source: str, target: str, in_file: Path, out_file: Path) -> None:
    """Convert the columns lng and lat of IN.csv (id,lng,lat); other columns stay as they are."""
    from command_center.point_table import BadTable, read_points, written
    from gis.datum import UnknownDatum, convert, named

    try:
        start, end = named(source), named(target)
        pieces = read_points(in_file)
        first = next(pieces)
        with written(out_file, first.header) as table:
            piece: PointRows | None = first
            while piece is not None:
                _write_moved(table, piece, *(values.tolist() for values in convert(piece.lng, piece.lat, start, end)))
                piece = next(pieces, None)
    except (BadTable, UnknownDatum) as problem:
        raise BadSetting(str(problem)) from None


@datum.command("check")
@click.option("--known", "known_file", type=_FILE, required=True, help="The boundary as known, in CGCS2000.")
@click.argument("outline_file", metavar="OUTLINE", type=_FILE)
def check_outline(known_file: Path, outline_file: Path) -> None:
    """Say in which datum an outline seems to be, whatever its file says, by comparing it with the known boundary."""
    from gis.datum import Datum
    from gis.network import NoGrids
    from gis.outline import NoOutline, judge
    from gis.read_network import Unreadable, read_outline

    try:
        outline, known = (read_outline(path, Datum.CGCS2000)[0] for path in (outline_file, known_file))
        click.echo(f"{outline_file}: {judge(outline, known)}")
    except (Unreadable, NoGrids, NoOutline) as problem:
        raise BadSetting(str(problem)) from None


def read_cells(path: Path) -> CellIndex:
    """The cells of a file as an index. Raises BadSetting when it holds none or one without a code."""
    from gis.cell_index import CellIndex
    from gis.network import NoGrids, NoSuchProperty
    from gis.read_network import Unreadable, read_network

    try:
        network = read_network(path.stem, path, "code")
    except (Unreadable, NoGrids, NoSuchProperty) as problem:
        raise BadSetting(str(problem)) from None
    codes = [str(code) for code in network.ids]
    nameless = sum(code.startswith("#") for code in codes)
    if nameless:
        raise BadSetting(f"{path}: {nameless} of {len(codes)} cells have no code")
    for line in network.skipped:
        click.echo(f"grid locate: {path}: {line}", err=True)
    return CellIndex(codes, list(network.polygons))


@dataclass
class _Seen:
    """What came by: points, those in a cell, those that would lie on the map if their axes were swapped."""

    points: int = 0
    inside: int = 0
    swapped: int = 0

    def add(self, piece: PointRows, rows: list[int], index: CellIndex) -> None:
        self.points += len(rows)
        self.inside += sum(row >= 0 for row in rows)
        if not self.inside:
            self.swapped += int((index.locate(piece.lat, piece.lng) >= 0).sum())

    def refuse_swapped(self, path: Path) -> None:
        if self.swapped and not self.inside:
            raise BadSetting(
                f"{path}: no point is in a cell, but {self.swapped:,} of {self.points:,} would be with lng and lat swapped"
            )


def _write_moved(table: Any, piece: PointRows, lng: list[float], lat: list[float]) -> None:
    at_lng, at_lat = piece.header.index("lng"), piece.header.index("lat")
    for row, x, y in zip(piece.rows, lng, lat, strict=True):
        row[at_lng], row[at_lat] = repr(x), repr(y)
    table.writerows(piece.rows)
