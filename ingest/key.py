"""Keys: what a stored observation is known by when it comes again. Stored with every reading, so they must never change."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from ingest.reading import Column


def key_of(sensor: bytes, kind: bytes, name: bytes) -> int:
    """Of what a sensor calls ``name``; ``kind`` says what sort of name that is."""
    return int.from_bytes(_digest(sensor, kind, name), "big", signed=True)


def named(name: str | int | None, raw: bytes) -> tuple[bytes, bytes]:
    """Kind and name of an observation: its id, or its own bytes when it has none."""
    return (b"raw", raw) if name is None else (b"id", str(name).encode())


def keys_of(sensors: Sequence[bytes], names: Sequence[str | int | None], raws: Sequence[bytes]) -> Column:
    """The keys of many observations, as int64."""
    columns = zip(sensors, names, raws, strict=True)
    digests = [_digest(sensor, *named(name, raw)) for sensor, name, raw in columns]
    return np.frombuffer(b"".join(digests), dtype=">i8").astype("i8")


def _digest(sensor: bytes, kind: bytes, name: bytes) -> bytes:
    return blake2b(b"%b\0%b\0%b" % (sensor, kind, name), digest_size=8).digest()
