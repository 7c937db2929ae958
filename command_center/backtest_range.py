"""Stored readings of a time range as a back-test needs them, and the tickets that were opened meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection, text

from command_center.backtest_report import Read
from command_center.city import City, load_city
from command_center.ticket.dispatch import open_ticket
from command_center.work_calendar import is_workday
from config.database import worker_engine
from config.settings import BadSetting, Settings
from gis.locate import LocatedBatch
from ingest.sensor import Catalogue
from ingest.store import stored_readings
from rules.backtest import rows_at_once
from rules.episode import Episodes, Group, groups
from rules.situation import Situation


@dataclass(frozen=True)
class StoredRange:
    """What was received from ``since`` on and before ``until``, from sensors of ``catalogue`` only, with today's city."""

    connection: Connection
    city: City
    catalogue: Catalogue
    situation: Situation
    since: datetime
    until: datetime
    scope: str
    read: Read

    def batches(self) -> Iterator[LocatedBatch]:
        """The readings in the order of their receipt."""
        wanted = np.array(sorted(self.catalogue.by_n), dtype="i4")
        for part in stored_readings(self.connection, self.since, self.until, rows_at_once(len(wanted))):
            taken = np.flatnonzero(np.isin(part.readings.sensor, wanted))
            yield LocatedBatch(
                part.readings.take(taken), part.cell[taken], part.lng[taken], part.lat[taken], self.city.cells.places
            )

    def tickets(self, episodes: Episodes) -> dict[str, Any]:
        """The tickets that the alerts would have opened, and how many of them were."""
        were = set(
            self.connection.execute(
                text(
                    "SELECT incident FROM tickets"
                    " WHERE opened_at >= :since AND opened_at < :until AND starts_with(scope, :scope)"
                ),
                {"since": self.since, "until": self.until, "scope": self.scope},
            ).scalars()
        )
        found = groups(episodes)
        both = sum(group.id in were for group in found)
        return {"would_be": [self._ticket(group) for group in found], "were": len(were), "both": both}

    def _ticket(self, group: Group) -> dict[str, Any]:
        opened_at = datetime.fromtimestamp(group.first.raised_at_us / 1e6, self.city.zone)
        place, step = open_ticket(group.first, group.id, 0, self.city.tree, self.city.dispatch, opened_at)
        return {
            "incident": str(group.id),
            "category": group.category,
            "severity": group.severity,
            "cell": place.cell,
            "holder": {"region": step.holder.region, "name": step.holder.name, "tier": step.holder.tier},
            "opened_at": opened_at.isoformat(),
            "due_at": step.facts["due_at"].isoformat(),
        }


@contextmanager
def over_range(
    settings: Settings, since: datetime, until: datetime, region: str | None, wartime: Mapping[str, frozenset[str]]
) -> Iterator[StoredRange]:
    """The range in one state of the database, judged and routed by ``wartime``; what lies ahead of now is left out.

    Raises BadSetting when there is no such region or it has no sensor.
    """
    now, zone = datetime.now(UTC), ZoneInfo(settings.time_zone)
    until = min(until, now)
    engine = worker_engine(settings.database_url)
    try:
        with engine.connect() as connection:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
            # What is declared today says nothing of what lies back.
            city = load_city(connection, settings.city, zone, now).at_war(wartime)
            catalogue, scope = _within(city, region)
            read = Read(0, len(catalogue.sensors), _microseconds(since), _microseconds(until))
            situation = Situation(zone, is_workday, wartime)
            yield StoredRange(connection, city, catalogue, situation, since, until, scope, read)
    finally:
        engine.dispose()


def _within(city: City, region: str | None) -> tuple[Catalogue, str]:
    """The sensors of a region (None: of the city), and its scope."""
    found = city.tree.root if region is None else city.tree.regions.get(region)
    if found is None:
        raise BadSetting(f"--region: there is no region {region!r}")
    sensors = [sensor for sensor in city.catalogue.sensors.values() if sensor.scope.startswith(found.scope)]
    if not sensors:
        raise BadSetting(f"--region: {found.name} has no sensor")
    return Catalogue.of(sensors, city.catalogue.quantities.values()), found.scope


def _microseconds(at: datetime) -> int:
    return round(at.timestamp() * 1e6)
