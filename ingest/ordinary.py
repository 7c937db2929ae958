"""Ordinary messages by the thousand: good readings of known sensors that ask for no receipt, as columns.

Nearly all that a city says is ordinary, and costs a fraction of what ``decode`` spends on a message by itself. Whatever is odd
in any way is left out here and taken by itself, so that nothing is judged in two places: this file only knows what is good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, Final

import numpy as np

from ingest.formats import native
from ingest.key import keys_of
from ingest.lookup import Lookup
from ingest.message import Message
from ingest.reading import DATUMS, NO_TIME, Column

_DATUM: Final = {name: place for place, name in enumerate(DATUMS)}


@dataclass(frozen=True, slots=True)
class Ordinary:
    """By message: ``message`` its index in the batch, ``sensor`` (place in the look-up), ``key``, whether that ``named`` it,
    ``duplicate``, ``at_us``, ``received_us``, ``flags`` so far, ``lng``, ``lat``, ``datum`` (NaN, NaN, 0 without a position),
    and how many ``values`` it has. By value, message after message: ``quantity`` (place in the look-up) and ``value``.
    """

    message: Column
    sensor: Column
    key: Column
    named: Column
    duplicate: Column
    at_us: Column
    received_us: Column
    flags: Column
    lng: Column
    lat: Column
    datum: Column
    values: Column
    quantity: Column
    value: Column

    def __len__(self) -> int:
        return len(self.message)

    def keep(self, mask: Column) -> Ordinary:
        """Those messages, and their values."""
        if mask.all():
            return self
        rows = np.repeat(mask, self.values)
        by_row = {"quantity", "value"}
        return Ordinary(*(getattr(self, f.name)[rows if f.name in by_row else mask] for f in fields(self)))


def ordinary(messages: Sequence[Message], lookup: Lookup, largest: int) -> Ordinary:
    """The ordinary ones of a batch; ``largest`` bounds a payload (bytes)."""
    place_of = lookup.by_topic.get
    found = [
        (index, message, place, observation)
        for index, (message, observation) in enumerate(
            zip(messages, native.read_each([message.payload for message in messages], largest), strict=True)
        )
        if observation is not None
        and not observation.ack
        and (place := place_of(message.topic)) is not None
        and message.response_topic is None
    ]
    columns = zip(*found, strict=True) if found else ((), (), (), ())
    indices, taken, places, observations = columns
    return _checked(indices, taken, places, observations, lookup)


def _checked(
    indices: Sequence[int],
    messages: Sequence[Message],
    places: Sequence[int],
    observations: Sequence[native.Observation],
    lookup: Lookup,
) -> Ordinary:
    values = [observation.values for observation in observations]
    count = np.fromiter(map(len, values), dtype="i8", count=len(values))
    quantity_of = lookup.by_quantity.get
    quantity = np.array([quantity_of(name, -1) for name in chain.from_iterable(values)], dtype="i8")
    value = np.fromiter(chain.from_iterable(map(dict.values, values)), dtype="f8", count=len(quantity))
    received_us = np.rint(np.array([message.received_at for message in messages], dtype="f8") * 1e6).astype("i8")
    at_us, has_time = native.instants_us([observation.at for observation in observations])
    timeless = at_us == native.NO_INSTANT
    sensor = np.array(places, dtype="i8")
    names = [observation.id for observation in observations]
    key = keys_of([lookup.names[place] for place in places], names, [message.payload for message in messages])
    lng, lat, datum, is_placed = _positions(observations)
    found = Ordinary(
        np.array(indices, dtype="i4"),
        sensor,
        key,
        has_time | np.array([name is not None for name in names], dtype=bool),
        np.array([message.duplicate for message in messages], dtype=bool),
        np.where(timeless, received_us, at_us),
        received_us,
        np.where(timeless, NO_TIME, 0).astype("i2"),
        lng,
        lat,
        datum,
        count,
        quantity,
        value,
    )
    good = is_placed & (at_us != native.BAD_INSTANT) & (count > 0)
    known = quantity >= 0
    by_row = np.repeat(sensor, count)
    known &= lookup.measures[by_row, quantity]
    if lookup.sentinels.shape[2]:
        known &= ~(lookup.sentinels[lookup.profile[by_row], quantity] == value[:, None]).any(axis=1)
    if not known.all():
        good[np.repeat(np.arange(len(count)), count)[~known]] = False
    return found.keep(good)


def _positions(observations: Sequence[native.Observation]) -> tuple[Column, Column, Column, Column]:
    """lng, lat and datum as in Ordinary, and whether there is nothing wrong with them at first sight."""
    size = len(observations)
    lng, lat = np.full(size, np.nan), np.full(size, np.nan)
    datum, good = np.zeros(size, dtype="i1"), np.ones(size, dtype=bool)
    sent: list[Any] = [(n, o) for n, o in enumerate(observations) if o.lng is not None or o.lat is not None]
    for n, one in sent:
        good[n] = (
            one.lng is not None
            and one.lat is not None
            and one.datum in _DATUM
            and -180 <= one.lng <= 180
            and -90 <= one.lat <= 90
        )
        if good[n]:
            lng[n], lat[n], datum[n] = one.lng, one.lat, _DATUM[one.datum]
    return lng, lat, datum, good
