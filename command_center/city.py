"""Everything the path looks up: the city as its catalogue, grid, rules and tables describe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any
from zoneinfo import ZoneInfo

import numpy.typing as npt
from sqlalchemy import Connection, Engine

from command_center.ticket import dispatch
from command_center.ticket.dispatch import BadDispatchTable, DispatchTable
from config.settings import BadSetting
from gis.locate import Cells, homes
from gis.region import RegionTree
from gis.store import index_cells, load_regions, read_cells
from gis.version_store import ground_mark
from ingest.sensor import Catalogue
from ingest.store import load_catalogue
from rules import rulebook
from rules.evaluate import Slots, lay_out
from rules.rulebook import Rulebook
from video.camera import Camera
from video.store import load_cameras


@dataclass(frozen=True)
class City:
    """One consistent reading of the city. A change makes a new one; ``mark`` names the state that this was read from."""

    catalogue: Catalogue
    cameras: Mapping[str, Camera]
    tree: RegionTree
    cells: Cells
    home: npt.NDArray[Any]
    rulebook: Rulebook
    slots: Slots
    dispatch: DispatchTable
    zone: ZoneInfo
    mark: str = ""

    @property
    def root(self) -> str:
        """The scope of the whole city."""
        return self.tree.root.scope

    @cached_property
    def cameras_by_name(self) -> Mapping[str, Camera]:
        """Cameras by their id and by the name that their analytics server gives them."""
        return dict(self.cameras) | {c.alias: c for c in self.cameras.values() if c.alias}

    def scope_of_county(self) -> dict[str, str]:
        """Region path by county code."""
        return {r.code: r.scope for r in self.tree.regions.values() if r.tier == "county"}


@dataclass(frozen=True)
class Reading:
    """What the database holds of a city, as rows and values."""

    mark: str
    catalogue: Catalogue
    cameras: Mapping[str, Camera]
    tree: RegionTree
    cells: Sequence[Any]


def read_city(engine: Engine) -> Reading:
    """Read all that the database holds of the city, in one state of it."""
    with engine.connect() as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
        return _read(connection)


def load_city(connection: Connection, pack: str, zone: ZoneInfo, now: datetime) -> City:
    """Read the city from the database and from its data pack ``config/<pack>/``; ``zone`` says which day ``now`` is there."""
    return build_city(_read(connection), pack, zone, now)


def build_city(read: Reading, pack: str, zone: ZoneInfo, now: datetime) -> City:
    """The city as the path uses it. Takes seconds for a large one: do it outside any transaction."""
    cells = index_cells(read.cells)
    book = rulebook.read(rule_packs(pack), read.catalogue.quantities, now.astimezone(zone).date())
    return City(
        catalogue=read.catalogue,
        cameras=read.cameras,
        tree=read.tree,
        cells=cells,
        home=homes(read.catalogue, cells),
        rulebook=book,
        slots=lay_out(book.thresholds, read.catalogue),
        dispatch=dispatch_table(pack),
        zone=zone,
        mark=read.mark,
    )


def _read(connection: Connection) -> Reading:
    # The mark first: what changes after it makes the next reading differ.
    return Reading(
        ground_mark(connection),
        load_catalogue(connection),
        load_cameras(connection),
        load_regions(connection),
        read_cells(connection),
    )


def rule_packs(pack: str) -> dict[str, str]:
    """The rule files of a data pack, by name. Raises BadSetting."""
    found = _pack(pack).joinpath("rules").iterdir()
    return {item.name: item.read_text("utf-8") for item in found if item.name.endswith(".yaml")}


def dispatch_table(pack: str) -> DispatchTable:
    """The dispatch table of a data pack. Raises BadSetting."""
    try:
        return dispatch.read(_pack(pack).joinpath("dispatch.yaml").read_text("utf-8"))
    except BadDispatchTable as problem:
        raise BadSetting(f"config/{pack}/dispatch.yaml: {problem}") from None


def _pack(name: str) -> Traversable:
    folder = files("config").joinpath(name)
    for needed in ("rules", "dispatch.yaml", "quantities.yaml"):
        if not folder.joinpath(needed).is_dir() and not folder.joinpath(needed).is_file():
            raise BadSetting(f"CC_CITY={name}: config/{name}/{needed} is missing")
    return folder
