"""Put the demo city into the database. Doing it again changes nothing that is there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import msgspec
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.dialects.postgresql import insert

from command_center.account.password import digest
from command_center.account.store import save_account
from command_center.city import state_measurable
from command_center.demo.catalogue import DemoCatalogue, make_catalogue
from command_center.demo.city import CellPlace, DemoCity, Place, make_city
from command_center.standard.sheet import read_standards
from command_center.standard.store import StandardsFile, store_standards, versions
from command_center.standard.workbook import read_sheets
from gis import store as gis_store
from gis.datum import Datum
from gis.network_problem import Land, find_problems
from gis.network_store import Imported, replace_network
from gis.sliver import Limits
from gis.tiles import mark_stale, redraw_stale
from gis.version_store import begin_first_version
from ingest import store as ingest_store
from ingest.sensor import Sensor
from video import store as video_store

CATALOGUE = "demo-catalogue.json"
SINCE = date(2026, 1, 1)


def seed_demo(engine: Engine, pack: str, password: str, var: Path | None) -> None:
    """Regions, cells, quantities, sensors, cameras and accounts of the demo city.

    ``var`` also receives ``demo-sensors.json`` and ``demo-accounts.json``, which say who may publish what and who may log in,
    and ``demo-catalogue.json``, with which the simulator needs no database.
    """
    with engine.connect() as connection:
        seeded = bool(connection.execute(text("SELECT EXISTS (SELECT FROM accounts)")).scalar_one())
    # Drawing the city takes seconds, in which no transaction may stand open.
    city = None if seeded else make_city()
    catalogue = None if city is None else make_catalogue(city)
    networks = [] if city is None else _networks(city)
    with engine.begin() as connection:
        state_measurable(connection, pack)
        if city is not None and catalogue is not None:
            _add_ground(connection, city)
            for network in networks:
                replace_network(connection, network, datetime.now(UTC))
            _add_sources(connection, catalogue)
            _add_accounts(connection, city, catalogue, password)
        _add_standards(connection, pack)
        if var is not None:
            _write_lists(connection, var)
    redraw_stale(engine, datetime.now(UTC))


def _add_standards(connection: Connection, pack: str) -> None:
    """The pack's filing conditions, unless the city has imported some."""
    if versions(connection):
        return
    with as_file(files("config").joinpath(pack, "standards.csv")) as file:
        [sheet] = read_sheets(file)
        source = StandardsFile(file.name, f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}", "city", SINCE)
        store_standards(connection, read_standards(sheet).standards, source, (), datetime.now(UTC))


class NoDemo(LookupError):
    """There is no demo city in the folder."""


def demo_sensors(var: Path) -> list[Sensor]:
    """The demo city's sensors as the last start left them in ``var``. Raises NoDemo."""
    try:
        return msgspec.json.decode((var / CATALOGUE).read_bytes(), type=list[Sensor])
    except (OSError, msgspec.DecodeError):
        raise NoDemo(f"{var} holds no demo city: start it with `command-center up --demo --var {var}`") from None


def demo_gateway(var: Path) -> str:
    """The address of a running demo's gateway, mqtt://user:password@host:port. Raises NoDemo."""
    try:
        mqtt = json.loads((var / "demo.json").read_text("utf-8"))["mqtt"]
        return f"mqtt://{mqtt['username']}:{mqtt['password']}@{mqtt['host']}:{mqtt['port']}"
    except (OSError, ValueError, KeyError):
        raise NoDemo(f"no demo city runs on {var}: start it with `command-center up --demo --var {var}`") from None


def _add_accounts(connection: Connection, city: DemoCity, catalogue: DemoCatalogue, password: str) -> None:
    stored = digest(password)
    regions = {place.region.code: place.region for place in city.places}
    for account in catalogue.accounts:
        region = regions[account.region]
        grant = (region.code, region.tier, region.name, region.scope)
        save_account(connection, account.username, account.name, stored, grant)
    _add_shifts(connection)
    _add_skills(connection)


def _add_shifts(connection: Connection) -> None:
    """Everybody is on duty, day and night, and able: a demo has no office hours."""
    connection.execute(
        text(
            "INSERT INTO rosters (id, account, region, scope, starts_at, ends_at, made_by)"
            " SELECT gen_random_uuid(), account, region, scope, now(), now() + interval '10 years', 'seed --demo'"
            " FROM account_grants"
        )
    )


# What people of each tier can do, of what config/<city>/routing.yaml asks for.
_SKILLS: Final = {
    "city": ("flood", "gas", "hazmat", "rescue"),
    "county": ("bridges", "fire", "flood", "gas", "hazmat", "lifts", "patrol", "pipes", "rescue", "street", "traffic"),
    "township": ("fire", "flood", "gas", "hazmat", "lifts", "patrol", "street", "traffic"),
    "village": ("flood", "patrol", "street"),
    "grid": ("flood", "patrol", "street"),
}


def _add_skills(connection: Connection) -> None:
    rows = [(tier, skill) for tier, known in _SKILLS.items() for skill in known]
    connection.execute(
        text(
            "INSERT INTO skills (account, skill) SELECT g.account, able.skill FROM account_grants g"
            " JOIN unnest(CAST(:tiers AS text[]), CAST(:skills AS text[])) able (tier, skill) ON able.tier = g.tier"
            " ON CONFLICT DO NOTHING"
        ),
        {"tiers": [tier for tier, _ in rows], "skills": [skill for _, skill in rows]},
    )


def _add(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table).on_conflict_do_nothing(), list(rows))


def _wkt(geometry: BaseGeometry) -> str:
    return f"SRID=4490;{geometry.wkt}"


def _many(shape: BaseGeometry) -> str:
    return _wkt(MultiPolygon([shape]) if isinstance(shape, Polygon) else shape)


def _add_ground(connection: Connection, city: DemoCity) -> None:
    _add(connection, gis_store.regions, [_region_row(place) for place in city.regions])
    parents = [
        {"code": p.region.code, "parent": p.region.parent, "valid_from": SINCE}
        for p in city.regions
        if p.region.parent is not None
    ]
    _add(connection, gis_store.region_parents, parents)
    _add(connection, gis_store.cells, [_cell_row(place) for place in sorted(city.cells, key=lambda p: p.region.code)])
    begin_first_version(connection, note="demo city", made_by="seed --demo")
    water = [{"kind": f.kind, "name": f.name, "rank": f.rank, "geom": _wkt(f.geometry)} for f in city.water]
    _add(connection, gis_store.water, water)
    mark_stale(connection, "regions", "cells", "water")


def _networks(city: DemoCity) -> list[Imported]:
    """The three departments' drawings, with what is wrong with each."""
    lands = [Land(p.region.code, p.region.tier, p.region.scope, p.geometry) for p in city.regions]
    found = []
    for network in city.networks:
        problems, notices = find_problems(network, Limits())
        found.append(Imported.of(network, problems, notices, lands, "demo", Datum.CGCS2000))
    return found


def _region_row(place: Place) -> dict[str, Any]:
    region, shape = place.region, place.geometry
    return {
        "code": region.code,
        "name": region.name,
        "tier": region.tier,
        "kind": region.kind,
        "parent": region.parent,
        "scope": region.scope,
        "inferred": region.inferred,
        "synthetic": True,
        "geom": _many(shape),
        "label": _wkt(shape.representative_point()),
    }


def _cell_row(place: CellPlace) -> dict[str, Any]:
    return {
        "code": place.region.code,
        "name": place.region.name,
        "region": place.region.parent,
        "scope": place.region.scope,
        "area_m2": place.area_m2,
        "sources": dict(place.sources),
        "geom": _many(place.geometry),
    }


def _add_sources(connection: Connection, catalogue: DemoCatalogue) -> None:
    shared = ("id", "name", "county", "region", "cell", "scope", "domain")
    sensors = [
        {name: getattr(s, name) for name in (*shared, "n", "interval_s", "owner", "profile", "sharing")}
        | {"quantities": list(s.quantities), "geom": _point(s.lng, s.lat)}
        for s in catalogue.sensors
    ]
    _add(connection, ingest_store.sensors, sensors)
    cameras = [
        {name: getattr(c, name) for name in (*shared, "direction", "field_of_view", "stream", "alias")}
        | {"geom": _point(c.lng, c.lat)}
        for c in catalogue.cameras
    ]
    _add(connection, video_store.cameras, cameras)


def _point(lng: float | None, lat: float | None) -> str | None:
    return None if lng is None or lat is None else f"SRID=4490;POINT({lng} {lat})"


def _write_lists(connection: Connection, var: Path) -> None:
    sensors = connection.execute(
        text("SELECT county, id FROM sensors UNION SELECT county, id FROM cameras ORDER BY 1, 2")
    )
    accounts = connection.execute(
        text(
            "SELECT a.username, a.name, g.tier, g.region FROM accounts a JOIN account_grants g ON g.account = a.id"
            " ORDER BY length(g.scope), a.username"
        )
    )
    (var / CATALOGUE).write_bytes(msgspec.json.encode(list(ingest_store.load_catalogue(connection).sensors.values())))
    _write(var / "demo-sensors.json", (dict(row._mapping) for row in sensors))
    _write(var / "demo-accounts.json", (dict(row._mapping) for row in accounts))


def _write(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    file.write_text(json.dumps(list(rows), ensure_ascii=False, indent=1), "utf-8")
