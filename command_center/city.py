"""Everything the path looks up: the city as its catalogue, grid, rules and tables describe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, tzinfo
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any
from zoneinfo import ZoneInfo

import numpy.typing as npt
import yaml
from sqlalchemy import Connection, Engine

from command_center.calendar_store import load_calendar
from command_center.mode import store as mode_store
from command_center.mode.mode import Declaration
from command_center.mode.mode import in_force as modes_in_force
from command_center.report import report
from command_center.report.report import BadReportPack, ReportPack
from command_center.ticket import dispatch, routing
from command_center.ticket.clock import DEFAULT_OFFICES, Offices
from command_center.ticket.dispatch import BadDispatchTable, DispatchTable
from command_center.ticket.routing import BadRoutingTable, RoutingTable
from command_center.urgency import gravest_topics
from command_center.work_calendar import WorkCalendar
from config.settings import BadSetting
from gis.locate import Cells, homes
from gis.region import RegionTree
from gis.store import index_cells, load_regions, read_cells
from gis.version_store import ground_mark
from ingest import profile, route
from ingest.profile import BadProfiles
from ingest.route import BadRoutes, Routes
from ingest.sensor import Catalogue, Profile, Quantity
from ingest.store import add_quantities, load_catalogue, save_profiles
from rules import correlation, group, inhibit, risk_table, rulebook
from rules.correlation import PLAIN, BadCorrelation, Correlation
from rules.group import BadGrouping, Grouping
from rules.inhibit import BadInhibition, Inhibition
from rules.judge import Layout, lay
from rules.risk_table import BadRiskTable, RiskTable
from rules.rulebook import Rulebook
from rules.situation import Situation
from rules.version import RuleVersion, State, in_force, in_shadow
from rules.version_store import load_versions, rule_mark
from video.camera import Camera
from video.store import load_cameras


@dataclass(frozen=True)
class City:
    """One consistent reading of the city. A change makes a new one; ``mark`` names the state that this was read from.

    ``layout`` holds the rules in force, ``shadow_layout`` those that are evaluated like them and alert nobody.
    """

    catalogue: Catalogue
    cameras: Mapping[str, Camera]
    tree: RegionTree
    cells: Cells
    home: npt.NDArray[Any]
    rulebook: Rulebook
    layout: Layout
    shadow_layout: Layout
    situation: Situation
    dispatch: DispatchTable
    zone: ZoneInfo
    mark: str = ""
    inhibitions: tuple[Inhibition, ...] = ()
    grouping: Grouping | None = None
    correlation: Correlation = PLAIN
    routes: Routes = field(default_factory=Routes)

    def at_war(self, wartime: Mapping[str, frozenset[str]]) -> City:
        """The same city with these domains in wartime operation, by scope."""
        if wartime == self.situation.wartime:
            return self
        situation = replace(self.situation, wartime=wartime)
        return replace(self, situation=situation, dispatch=self.dispatch.at_war(wartime))

    @property
    def root(self) -> str:
        """The scope of the whole city."""
        return self.tree.root.scope

    @cached_property
    def cameras_by_name(self) -> Mapping[str, Camera]:
        """Cameras by their id and by the name that their analytics server gives them."""
        return dict(self.cameras) | {c.alias: c for c in self.cameras.values() if c.alias}

    @cached_property
    def counties_with_sensors(self) -> frozenset[str]:
        """Codes of the counties that have a link."""
        return frozenset(s.county for s in self.catalogue.sensors.values()) & self.scope_of_county().keys()

    @cached_property
    def gravest_topics(self) -> frozenset[str]:
        """Topics of the sensors that may raise the gravest alerts."""
        return gravest_topics(self.layout, self.catalogue)

    def scope_of_county(self) -> dict[str, str]:
        """Region path by county code."""
        return {r.code: r.scope for r in self.tree.regions.values() if r.tier == "county"}


@dataclass(frozen=True)
class Desk:
    """What of a city it takes to bring alerts before people: read in a moment, by who needs no more of it."""

    tree: RegionTree
    dispatch: DispatchTable
    zone: ZoneInfo
    inhibitions: tuple[Inhibition, ...]
    grouping: Grouping | None
    correlation: Correlation = PLAIN


@dataclass(frozen=True)
class Reading:
    """What the database holds of a city, as rows and values."""

    mark: str
    catalogue: Catalogue
    cameras: Mapping[str, Camera]
    tree: RegionTree
    cells: Sequence[Any]
    versions: Sequence[RuleVersion] = ()
    calendar: WorkCalendar = DEFAULT_OFFICES.calendar
    modes: Sequence[Declaration] = ()


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
    day = now.astimezone(zone).date()
    quantities = read.catalogue.quantities.keys()
    packed = rulebook.read(rule_packs(pack), quantities, day)
    book = in_force(packed, read.versions, quantities, day).book
    shadow = in_shadow(packed, read.versions, quantities)
    wartime = modes_in_force(read.modes, now)
    return City(
        catalogue=read.catalogue,
        cameras=read.cameras,
        tree=read.tree,
        cells=cells,
        home=homes(read.catalogue, cells),
        rulebook=book,
        layout=lay(book, read.catalogue, read.cameras, zone),
        shadow_layout=lay(shadow, read.catalogue, read.cameras, zone),
        situation=Situation(zone, read.calendar.is_workday, wartime),
        dispatch=dispatch_table(pack, Offices(zone, calendar=read.calendar)).at_war(wartime),
        zone=zone,
        mark=_dated(read.mark, day),
        inhibitions=inhibitions(pack),
        grouping=grouping(pack),
        correlation=correlations(pack),
        routes=format_routes(pack, zone),
    )


def city_mark(connection: Connection, zone: ZoneInfo, now: datetime) -> str:
    """A text that differs whenever a city read now would not be what it was: its ground, its rules, or the day that rules
    begin or end on. Cheap: asked every second.
    """
    return _dated(_mark(connection), now.astimezone(zone).date())


def _mark(connection: Connection) -> str:
    return f"{ground_mark(connection)}/{rule_mark(connection)}"


def _dated(mark: str, day: date) -> str:
    return f"{mark}/{day.isoformat()}"


def _read(connection: Connection) -> Reading:
    # The mark first: what changes after it makes the next reading differ.
    return Reading(
        _mark(connection),
        load_catalogue(connection),
        load_cameras(connection),
        load_regions(connection),
        read_cells(connection),
        load_versions(connection, states=(State.PUBLISHED, State.SHADOW)),
        load_calendar(connection),
        mode_store.unended(connection),
    )


def rule_packs(pack: str) -> dict[str, bytes]:
    """The rule files of a data pack, by name. Raises BadSetting."""
    found = _pack(pack).joinpath("rules").iterdir()
    return {item.name: item.read_bytes() for item in found if item.name.endswith(".yaml")}


def dispatch_table(pack: str, offices: Offices = DEFAULT_OFFICES) -> DispatchTable:
    """The dispatch table of a data pack, counting by the zone and calendar of ``offices``. Raises BadSetting."""
    rules = routing_table(pack)
    try:
        return dispatch.read(_pack(pack).joinpath("dispatch.yaml").read_text("utf-8"), rules, offices=offices)
    except BadDispatchTable as problem:
        raise BadSetting(f"config/{pack}/dispatch.yaml: {problem}") from None


def routing_table(pack: str) -> RoutingTable:
    """The routing table of a data pack. Raises BadSetting."""
    file = _pack(pack).joinpath("routing.yaml")
    if not file.is_file():
        raise BadSetting(f"CC_CITY={pack}: config/{pack}/routing.yaml is missing")
    try:
        return routing.read(file.read_text("utf-8"))
    except (BadRoutingTable, UnicodeDecodeError) as problem:
        raise BadSetting(f"config/{pack}/routing.yaml: {problem}") from None


def report_pack(pack: str) -> ReportPack:
    """What people may report, by a data pack. Raises BadSetting."""
    file = _pack(pack).joinpath("reports.yaml")
    if not file.is_file():
        raise BadSetting(f"CC_CITY={pack}: config/{pack}/reports.yaml is missing")
    try:
        return report.read(file.read_text("utf-8"))
    except (BadReportPack, UnicodeDecodeError) as problem:
        raise BadSetting(f"config/{pack}/reports.yaml: {problem}") from None


def read_quantities(pack: str) -> list[Quantity]:
    """What sensors of a data pack's city may measure."""
    found = yaml.safe_load(_pack(pack).joinpath("quantities.yaml").read_text("utf-8"))
    return [
        Quantity(q["n"], q["name"], q["unit"], q["title"]["zh-CN"], q["title"]["en"], q["low"], q["high"])
        for q in found["quantities"]
    ]


def read_profiles(pack: str) -> tuple[Profile, ...]:
    """The models of devices that a data pack knows; none when it does not say. Raises BadSetting."""
    file = _pack(pack).joinpath("profiles.yaml")
    if not file.is_file():
        return ()
    try:
        return profile.read(file.read_text("utf-8"), {quantity.name for quantity in read_quantities(pack)})
    except (BadProfiles, UnicodeDecodeError) as problem:
        raise BadSetting(f"config/{pack}/profiles.yaml: {problem}") from None


def state_measurable(connection: Connection, pack: str) -> None:
    """Have the database know the quantities and models of devices of a data pack. Raises BadSetting."""
    add_quantities(connection, read_quantities(pack))
    save_profiles(connection, read_profiles(pack))


def inhibitions(pack: str) -> tuple[Inhibition, ...]:
    """Which alerts keep others quiet, by a data pack; none when it does not say. Raises BadSetting."""
    file = _pack(pack).joinpath("inhibition.yaml")
    try:
        return inhibit.read(file.read_text("utf-8")) if file.is_file() else ()
    except (BadInhibition, UnicodeDecodeError) as problem:
        raise BadSetting(f"config/{pack}/inhibition.yaml: {problem}") from None


def grouping(pack: str) -> Grouping | None:
    """How groups of alerts are told, by a data pack; not at all when it does not say. Raises BadSetting."""
    file = _pack(pack).joinpath("grouping.yaml")
    try:
        return group.read(file.read_text("utf-8")) if file.is_file() else None
    except (BadGrouping, UnicodeDecodeError) as problem:
        raise BadSetting(f"config/{pack}/grouping.yaml: {problem}") from None


def correlations(pack: str) -> Correlation:
    """What is taken for one matter, by a data pack; the plain defaults when it does not say. Raises BadSetting."""
    file = _pack(pack).joinpath("correlation.yaml")
    try:
        return correlation.read(file.read_text("utf-8")) if file.is_file() else PLAIN
    except (BadCorrelation, UnicodeDecodeError) as problem:
        raise BadSetting(f"config/{pack}/correlation.yaml: {problem}") from None


def format_routes(pack: str, zone: tzinfo) -> Routes:
    """Which topics carry which formats, by a data pack; none but the product's own when it does not say. Raises BadSetting."""
    file = _pack(pack).joinpath("formats.yaml")
    try:
        return route.read(file.read_text("utf-8"), zone) if file.is_file() else Routes(zone)
    except (BadRoutes, UnicodeDecodeError) as problem:
        raise BadSetting(f"config/{pack}/formats.yaml: {problem}") from None


def risk_weights(pack: str) -> RiskTable | None:
    """What risk is weighed by, by a data pack; there is none when it does not say. Raises BadSetting."""
    file = _pack(pack).joinpath("risk.yaml")
    try:
        return risk_table.read(file.read_text("utf-8")) if file.is_file() else None
    except (BadRiskTable, UnicodeDecodeError) as problem:
        raise BadSetting(f"config/{pack}/risk.yaml: {problem}") from None


def _pack(name: str) -> Traversable:
    folder = files("config").joinpath(name)
    for needed in ("rules", "dispatch.yaml", "quantities.yaml"):
        if not folder.joinpath(needed).is_dir() and not folder.joinpath(needed).is_file():
            raise BadSetting(f"CC_CITY={name}: config/{name}/{needed} is missing")
    return folder
