"""Sensors and county links that come and go: what of it is stored and what consoles are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection

from command_center.city import City
from command_center.event.event import Event
from command_center.shown import shown_link, shown_sensor
from ingest import link_store
from ingest import store as ingest_store
from ingest.admit import Word
from ingest.link import Link
from ingest.reading import Column, ReadingBatch
from ingest.sensor import Sensor
from ingest.silence import OFFLINE, ONLINE

Latest = Callable[[int], Mapping[str, Any]]
"""The newest values of a sensor by its number."""


@dataclass(frozen=True)
class StateChange:
    """A sensor came or went. ``since`` epoch seconds. ``told``: consoles hear of it by itself; else they hear of its link."""

    sensor: Sensor
    state: str
    since: float
    told: bool = True


def sensor_changes(batch: ReadingBatch, city: City, state: Mapping[int, str]) -> list[StateChange]:
    """Sensors whose state this batch changes: one that speaks is online, one that says offline is offline."""
    is_there = spoken(batch, city).tolist()
    received_us = batch.received_at.view("i8")
    by_n = city.catalogue.by_n
    last = dict(zip(batch.sensor.tolist(), range(len(batch)), strict=True))
    return [
        StateChange(by_n[n], now, float(received_us[row] / 1e6))
        for n, row in last.items()
        if state.get(n) != (now := ONLINE if is_there[row] else OFFLINE)
    ]


def spoken(batch: ReadingBatch, city: City) -> Column:
    """Mask of the rows by which a sensor shows that it is there; its ``offline`` may be the broker's word."""
    online = city.catalogue.quantities.get("online")
    if online is None:
        return np.ones(len(batch), dtype=bool)
    mask: Column = (batch.quantity != online.n) | (batch.value != 0)
    return mask


def link_changes(batch: ReadingBatch, words: Sequence[Word], city: City, links: Mapping[str, Link]) -> list[Link]:
    """Links whose state this batch changes: by what they say of themselves, and by any sensor of theirs that speaks."""
    changed: dict[str, Link] = {}
    for said in words:
        link = changed.get(said.county) or links.get(said.county) or Link(said.county)
        changed[said.county] = link.told(said.online, said.at)
    # Looked at only while some link is not known to be there.
    if len(batch) and any(links.get(county, Link(county)).state != ONLINE for county in city.counties_with_sensors):
        newest = float(batch.received_at.view("i8").max()) / 1e6
        for county in {city.catalogue.by_n[n].county for n in set(batch.sensor[spoken(batch, city)].tolist())}:
            link = changed.get(county) or links.get(county) or Link(county)
            changed[county] = link.heard(newest)
    return [link for link in changed.values() if links.get(link.county) != link]


def save_sensors(connection: Connection, changes: Sequence[StateChange], city: City, latest: Latest) -> list[Event]:
    """Store that sensors came or went; what to tell of it."""
    rows = [(c.sensor.n, c.state, datetime.fromtimestamp(c.since, UTC)) for c in changes]
    versions = ingest_store.save_states(connection, rows)
    events = []
    for change, (_, _, since) in zip(changes, rows, strict=True):
        sensor = change.sensor
        if change.told:
            data = shown_sensor(sensor, city.catalogue, change.state, since, latest(sensor.n))
            scope = (sensor.scope,)
            events.append(Event("sensor", sensor.id, versions.get(sensor.n, 1), sensor.region, data, scope, scope))
    return events


def save_links(connection: Connection, changed: Sequence[Link], city: City) -> list[Event]:
    """Store that links came or went; what to tell of it."""
    scopes = city.scope_of_county()
    versions = link_store.save_links(connection, changed, scopes)
    events = []
    for link in changed:
        scope = (scopes[link.county],)
        shown = shown_link(replace(link, version=versions[link.county]), city.tree.regions[link.county].name)
        events.append(Event("link", link.county, shown["version"], link.county, shown, scope, scope))
    return events
