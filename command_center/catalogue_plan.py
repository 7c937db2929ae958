"""What an import or a form would change in the catalogue: every sensor on its cell, every fault with its line. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from gis.cell_index import OUTSIDE
from gis.locate import CellPlace, Cells
from gis.position import implausible, in_city_datum
from gis.region import SEPARATOR
from ingest.entry import ADDED, CHANGED, Change, Entry
from ingest.reading import DATUMS
from ingest.sensor import CONDITIONAL, Catalogue
from ingest.stated import Fault, Stated

_NEEDED: Final = ("name", "domain", "quantities")
_PLAIN: Final = ("name", "domain", "quantities", "owner", "profile", "sharing", "in_service", "service_since")


@dataclass(frozen=True, slots=True)
class Plan:
    """``changes`` in the order stated; ``unchanged`` counts entries that say already what is stated."""

    changes: tuple[Change, ...]
    unchanged: int
    faults: tuple[Fault, ...]

    @property
    def added(self) -> int:
        return sum(change.before is None for change in self.changes)


@dataclass(frozen=True, slots=True)
class Known:
    """What a plan is made against: entries, cells and ids as far as the asker sees them, and ids ``taken`` beyond that."""

    standing: Mapping[str, Entry]
    cells: Cells
    catalogue: Catalogue
    taken: AbstractSet[str] = frozenset()


def plan(stated: Sequence[Stated], known: Known, *, what: str = ADDED) -> Plan:
    """``what`` says how new entries came into the catalogue."""
    placed = _placed(stated, known)
    changes: list[Change] = []
    faults: list[Fault] = []
    unchanged = 0
    for row, place in zip(stated, placed, strict=True):
        before = known.standing.get(row.id)
        found = _entry(row, before, place, known)
        if not isinstance(found, Entry):
            faults += found
            continue
        change = Change(before, found, what if before is None else CHANGED)
        if change.difference():
            changes.append(change)
        else:
            unchanged += 1
    return Plan(tuple(changes), unchanged, tuple(faults))


_Place = tuple[float, float, str] | Fault | None
"""Where a stated position lies: (lng, lat, cell) in CGCS2000, or why nowhere; None where none is stated."""


def _placed(stated: Sequence[Stated], known: Known) -> list[_Place]:
    found: list[_Place] = [None] * len(stated)
    rows = [n for n, row in enumerate(stated) if row.fields.get("position") is not None]
    if not rows:
        return found
    lng, lat = (np.array([stated[n].fields["position"][axis] for n in rows], dtype="f8") for axis in (0, 1))
    datum = np.array([DATUMS.index(stated[n].fields.get("datum", DATUMS[0])) for n in rows], dtype="i1")
    east, north = in_city_datum(lng, lat, datum)
    index = known.cells.index
    cell = index.locate(east, north).tolist()
    refused = implausible(lng, lat, datum, index)
    for place, n in enumerate(rows):
        line = stated[n].line
        x, y = float(east[place]), float(north[place])
        before = known.standing.get(stated[n].id)
        if cell[place] != OUTSIDE:
            found[n] = x, y, index.codes[cell[place]]
        elif before is not None and _has_not_moved(before, x, y):
            # The ground was redrawn under it: it keeps the cell it had until somebody says where it stands.
            found[n] = x, y, before.cell
        elif place in refused:
            found[n] = Fault(line, "lng", refused[place].reason, (refused[place].detail,))
        else:
            found[n] = Fault(line, "lng", "outside", (f"{lng[place]:g}", f"{lat[place]:g}"))
    return found


def _has_not_moved(before: Entry, lng: float, lat: float) -> bool:
    after = replace(before, lng=lng, lat=lat)
    return before.position is not None and not Change(before, after, CHANGED).difference()


def _entry(row: Stated, before: Entry | None, place: _Place, known: Known) -> Entry | list[Fault]:
    """The entry as it would stand then, or what is wrong."""
    if before is None and row.id in known.taken:
        return [Fault(row.line, "id", "taken")]
    faults = [] if before is not None else [Fault(row.line, c, "missing") for c in _NEEDED if c not in row.fields]
    fields = {name: row.fields[name] for name in _PLAIN if name in row.fields}
    home = _home(row, before, place, known)
    interval_s = _interval_s(row, before, known.catalogue)
    if isinstance(home, Fault):
        faults.append(home)
    elif interval_s is not None and not faults:
        entry = _blank(row.id) if before is None else before
        if before is not None and "in_service" in fields and fields["in_service"] != before.in_service:
            fields.setdefault("service_since", None)
        elif fields.get("service_since", 0) is None:
            del fields["service_since"]
        return replace(entry, **fields, **home, interval_s=interval_s)
    if interval_s is None:
        faults.append(Fault(row.line, "interval_s", "no_interval"))
    return faults


def _blank(identity: str) -> Entry:
    return Entry(identity, "", "", (), None, None, "", "", "", "", "", "", 0.0, CONDITIONAL)


def _interval_s(row: Stated, before: Entry | None, catalogue: Catalogue) -> float | None:
    stated = row.fields.get("interval_s")
    if stated is not None:
        return float(stated)
    profile = catalogue.profiles.get(row.fields.get("profile", "" if before is None else before.profile))
    of_model = None if profile is None else profile.interval_s
    if before is None:
        return of_model
    # A blank asks the model; what is not stated at all stays, unless the model becomes another one.
    asked = "interval_s" in row.fields or row.fields.get("profile", before.profile) != before.profile
    return of_model if asked and of_model is not None else before.interval_s


def _home(row: Stated, before: Entry | None, place: _Place, known: Known) -> dict[str, Any] | Fault:
    """Position, cell, region, scope and county."""
    fields = row.fields
    stated_cell = fields.get("cell") or None
    if isinstance(place, Fault):
        return place
    if place is not None:
        lng, lat, code = place
        if stated_cell not in (None, code):
            return Fault(row.line, "cell", "other_cell", (code, str(stated_cell)[:64]))
        if before is not None and _has_not_moved(before, lng, lat) and before.cell == code:
            found = _as_it_stands(before)
        else:
            found = _at(known.cells, code, lng, lat)
    elif "position" not in fields and before is not None and before.position is not None:
        if stated_cell not in (None, before.cell):
            return Fault(row.line, "cell", "other_cell", (before.cell, str(stated_cell)[:64]))
        found = _as_it_stands(before)
    else:
        code = stated_cell or (before.cell if before is not None else "")
        if not code:
            return Fault(row.line, "lng", "no_home")
        found = _at(known.cells, code, None, None)
        if not found and before is not None and before.position is None and code == before.cell:
            found = _as_it_stands(before)
        if not found:
            return Fault(row.line, "cell", "no_such_cell", (str(code)[:64],))
    if fields.get("county") and fields["county"] != found["county"]:
        return Fault(row.line, "county", "other_county", (found["county"], str(fields["county"])[:64]))
    return found


def _as_it_stands(before: Entry) -> dict[str, Any]:
    return {name: getattr(before, name) for name in ("lng", "lat", "county", "region", "cell", "scope")}


def _at(cells: Cells, code: str, lng: float | None, lat: float | None) -> dict[str, Any]:
    """Nothing when there is no such cell."""
    place: CellPlace | None = cells.places.get(cells.number.get(code, 0))
    if place is None:
        return {}
    county = place.scope.split(SEPARATOR)[1]
    return {"lng": lng, "lat": lat, "county": county, "region": place.region, "cell": code, "scope": place.scope}
