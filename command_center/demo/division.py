"""Administrative divisions as published, and today's parent of each town: read from the data pack of a city."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

CITY_CODE = "321300"
CITY_NAME = "宿迁市"


@dataclass(frozen=True, slots=True)
class Division:
    """A county-level or town-level division. ``parent`` is today's parent, whatever the code's prefix says."""

    code: str
    name: str
    kind: str
    parent: str
    inferred: bool


def rows(pack: str, *path: str) -> Iterator[dict[str, str]]:
    """The rows of a CSV file of the data pack ``config/<pack>``."""
    with files("config").joinpath(pack, *path).open(encoding="utf-8") as file:
        yield from csv.DictReader(file)


def counties(pack: str = "suqian") -> tuple[Division, ...]:
    """County-level divisions and functional zones, in code order."""
    return tuple(
        Division(row["code"], row["name"], row["kind"], row["parent"], row["inferred"] == "true")
        for row in rows(pack, "counties.csv")
    )


def towns(pack: str = "suqian") -> tuple[Division, ...]:
    """Town-level divisions in code order; a town that a zone took stands under the zone, marked inferred where it is."""
    moved = {row["town"]: row for row in rows(pack, "parentage.csv")}
    return tuple(_town(row, moved.get(row["code9"])) for row in rows(pack, "towns.csv"))


def _town(row: dict[str, str], moved: dict[str, str] | None) -> Division:
    parent = moved["parent"] if moved else row["county_code"]
    inferred = moved is not None and moved["inferred"] == "true"
    return Division(row["code9"], row["name"], row["kind"], parent, inferred)
