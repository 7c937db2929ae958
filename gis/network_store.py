"""Networks in PostGIS, as the departments drew them, with what is wrong with each; and the ground they are held against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import shapely
from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from gis.cell_code import Previous
from gis.network import Drawn, Network, Repair, assemble
from gis.network_problem import Kind, Land, Problem, concerned, homes

_SRID: Final = 4490


class NoSuchNetwork(ValueError):
    """A network of this name was never imported."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A network and everything that is known of it once it was read: ``scopes`` and ``problem_scopes`` say who sees what."""

    network: Network
    problems: tuple[Problem, ...]
    notices: tuple[str, ...]
    scopes: tuple[str, ...]
    problem_scopes: tuple[str, ...]
    file: str
    datum: str

    @classmethod
    def of(
        cls,
        network: Network,
        problems: tuple[Problem, ...],
        notices: tuple[str, ...],
        lands: Sequence[Land],
        file: str,
        datum: str,
    ) -> Imported:
        """``notices`` are those about the problems; the network has its own."""
        scopes = homes(network.polygons, lands)
        places = np.empty(len(problems), dtype=object)
        places[:] = [problem.geometry for problem in problems]
        seen_by = concerned(problems, homes(places, lands), dict(zip(network.ids, scopes, strict=True)))
        return cls(network, problems, network.notices + notices, tuple(scopes), tuple(seen_by), file, datum)


def replace_network(connection: Connection, found: Imported, now: datetime) -> None:
    """Put a network in the place of the one with its name, if there is one."""
    network = found.network
    # Two imports of one name at once: one after the other, the later one stays.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 5))"), {"name": network.name})
    connection.execute(text("DELETE FROM networks WHERE name = :name"), {"name": network.name})
    connection.execute(
        text(
            "INSERT INTO networks (name, file, datum, imported_at, grids, notices)"
            " VALUES (:name, :file, :datum, :now, :grids, :notices)"
        ).bindparams(bindparam("notices", type_=JSONB)),
        {
            "name": network.name,
            "file": found.file,
            "datum": found.datum,
            "now": now,
            "grids": len(network.ids),
            "notices": {"polygons": network.drawn, "skipped": network.skipped, "notices": found.notices},
        },
    )
    connection.execute(_GRID, list(_grid_rows(found)))
    if found.problems:
        connection.execute(_PROBLEM, list(_problem_rows(found)))


_GRID = text(
    "INSERT INTO network_grids (network, place, id, name, scope, geom)"
    f" VALUES (:network, :place, :id, :name, :scope, ST_GeomFromWKB(:shape, {_SRID}))"
).bindparams(bindparam("id", type_=JSONB))

_PROBLEM = text(
    "INSERT INTO network_problems (network, place, kind, grids, area_m2, length_m, detail, scope, geom)"
    " VALUES (:network, :place, :kind, :grids, :area_m2, :length_m, :detail, :scope,"
    f" ST_GeomFromWKB(:shape, {_SRID}))"
).bindparams(bindparam("grids", type_=JSONB))


def _grid_rows(found: Imported) -> Iterable[dict[str, Any]]:
    network = found.network
    names = network.names or ("",) * len(network.ids)
    rows = zip(network.ids, names, found.scopes, shapely.to_wkb(network.polygons), strict=True)
    for place, (own, name, scope, shape) in enumerate(rows):
        yield {"network": network.name, "place": place, "id": own, "name": name, "scope": scope, "shape": shape}


def _problem_rows(found: Imported) -> Iterable[dict[str, Any]]:
    for place, (problem, scope) in enumerate(zip(found.problems, found.problem_scopes, strict=True)):
        yield {
            "network": found.network.name,
            "place": place,
            "kind": str(problem.kind),
            "grids": problem.grids,
            "area_m2": problem.area_m2,
            "length_m": problem.length_m,
            "detail": problem.detail,
            "scope": scope,
            "shape": shapely.to_wkb(problem.geometry),
        }


def network_names(connection: Connection) -> list[str]:
    """Every stored network, in order."""
    return list(connection.execute(text("SELECT name FROM networks ORDER BY name")).scalars())


def load_network(connection: Connection, name: str) -> Network:
    """A network exactly as it was imported. Raises NoSuchNetwork."""
    head = connection.execute(text("SELECT notices FROM networks WHERE name = :name"), {"name": name}).one_or_none()
    if head is None:
        known = ", ".join(network_names(connection)) or "none"
        raise NoSuchNetwork(f"there is no stored network {name!r}: there are {known}")
    grids = connection.execute(
        text("SELECT id, name, ST_AsBinary(geom) AS shape FROM network_grids WHERE network = :name ORDER BY place"),
        {"name": name},
    ).all()
    repaired = connection.execute(
        text(
            "SELECT grids, detail, ST_AsBinary(geom) AS shape FROM network_problems"
            " WHERE network = :name AND kind = :kind ORDER BY place"
        ),
        {"name": name, "kind": str(Kind.INVALID)},
    ).all()
    names = tuple(row.name for row in grids)
    return Network(
        name,
        tuple(row.id for row in grids),
        np.asarray(shapely.from_wkb([bytes(row.shape) for row in grids]), dtype=object),
        head.notices["polygons"],
        tuple(Repair(row.grids[0], row.detail, shapely.from_wkb(bytes(row.shape))) for row in repaired),
        tuple(head.notices["skipped"]),
        tuple(head.notices["notices"]),
        names if any(names) else (),
    )


def load_lands(connection: Connection) -> list[Land]:
    """The ground of every region above the grid, by code."""
    found = connection.execute(text("SELECT code, tier, scope, ST_AsBinary(geom) AS shape FROM regions ORDER BY code"))
    return [Land(row.code, row.tier, row.scope, shapely.from_wkb(bytes(row.shape))) for row in found]


def villages_of(lands: Sequence[Land]) -> Network | None:
    """The villages as a layer that cuts; None when there are none."""
    drawn = [Drawn(land.shape, {}, land.code) for land in lands if land.tier == "village"]
    return assemble("villages", drawn) if drawn else None


def load_previous(connection: Connection) -> Previous | None:
    """The cells in force, whose codes live on, and every code that was in force once and is given up; None before the first."""
    found = connection.execute(
        text("SELECT code, ST_AsBinary(geom) AS shape FROM cells WHERE valid_to IS NULL ORDER BY code")
    ).all()
    codes = tuple(row.code for row in found)
    retired = sorted(set(connection.execute(text("SELECT DISTINCT code FROM cells")).scalars()) - set(codes))
    if not codes and not retired:
        return None
    return Previous(
        codes, np.asarray(shapely.from_wkb([bytes(row.shape) for row in found]), dtype=object), tuple(retired)
    )
