"""Somebody changes the sensors' catalogue: one transaction, one line of history and one event for every entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from command_center.account.account import Account
from command_center.catalogue_plan import Known, Plan, plan
from command_center.event.event import Event
from command_center.shown import shown_sensor
from gis.locate import Cells
from ingest import catalogue_store
from ingest.catalogue_store import Author
from ingest.entry import ADDED, Change
from ingest.sensor import Catalogue, Sensor
from ingest.stated import Fault, Stated

TIERS: Final = ("city", "county")
MOST_TOLD: Final = 500
"""Consoles hear of so many entries of one import; a console that is shown more reads the list again."""


class NotYoursToCatalogue(Exception):
    """Sensors are catalogued by the city and its counties, each in its own region."""


class NoSuchEntry(LookupError):
    """There is no such sensor, or the account may not know of it."""


class StaleEntry(Exception):
    """The request was made looking at an older revision of the entry; ``current`` is how it stands, as shown."""

    def __init__(self, current: dict[str, Any]) -> None:
        super().__init__(f"the entry is at revision {current['revision']} now: look again")
        self.current = current


class BadEntry(ValueError):
    """What was stated of a sensor cannot be taken; ``faults`` say why."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Written:
    """What was stored: the plan, the rows of the changed entries in its order, and the events that tell them."""

    plan: Plan
    rows: Sequence[Any]
    events: Sequence[Event]


def require_cataloguer(who: Account) -> None:
    """Raise NotYoursToCatalogue for accounts of townships and below."""
    if who.tier not in TIERS:
        raise NotYoursToCatalogue(
            f"the catalogue is kept by the city and the counties: {who.username} is of a {who.tier}"
        )


def write(
    connection: Connection,
    stated: Sequence[Stated],
    cells: Cells,
    catalogue: Catalogue,
    author: Author,
    *,
    taken: frozenset[str] = frozenset(),
    what: str = ADDED,
    faulty: str = "nothing",
    earlier: Sequence[Fault] = (),
    keep: bool = True,
) -> Written:
    """Store what is stated, or only say what that would change unless ``keep``. With faults, those of reading (``earlier``)
    included, ``faulty`` says what becomes of the rest: "nothing" is stored, the "good" rows are.

    Call ``catalogue_store.begin_writing`` first.
    """
    standing = catalogue_store.standing(connection, [row.id for row in stated])
    found = plan(stated, Known(standing, cells, catalogue, taken - standing.keys()), what=what)
    found = Plan(found.changes, found.unchanged, (*earlier, *found.faults))
    if not keep or (found.faults and faulty != "good"):
        return Written(found, (), ())
    rows = catalogue_store.save(connection, found.changes, author)
    told = zip(found.changes[:MOST_TOLD], rows[:MOST_TOLD], strict=True)
    return Written(found, rows, [_event(change, row, catalogue) for change, row in told])


def sensor_of(row: Any) -> Sensor:
    """A sensor from its row."""
    return Sensor(**{name: getattr(row, name) for name in Sensor.__slots__} | {"quantities": tuple(row.quantities)})


def shown_entry(row: Any, catalogue: Catalogue) -> dict[str, Any]:
    """A catalogue entry with its newest values."""
    sensor = shown_sensor(sensor_of(row), catalogue, row.state, row.state_since, row.latest)
    times = {name: getattr(row, name) for name in ("service_since", "last_received_at", "credential_at")}
    return sensor | {
        **{name: None if at is None else at.isoformat() for name, at in times.items()},
        "revision": row.revision,
    }


def _event(change: Change, row: Any, catalogue: Catalogue) -> Event:
    data = shown_sensor(sensor_of(row), catalogue, row.state, row.state_since, row.latest)
    before = () if change.before is None else (change.before.scope,)
    return Event("sensor", row.id, row.version, row.region, data, (row.scope,), before)
