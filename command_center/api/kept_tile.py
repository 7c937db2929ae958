"""Tiles as they go out, and as many of them as a number of bytes holds."""

from __future__ import annotations

import gzip
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock

Address = tuple[str, str, str, int, int, int]
"""Scope, layer, version, zoom, column and row: the version names what lies in the tile, the scope for whom."""

_WORTH_PACKING_BYTES = 256
_PACKING = 4  # of 9: a tenth larger than the tightest and ten times as fast


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes of an answer and the digest that stands for exactly these."""

    content: bytes
    digest: str

    @classmethod
    def of(cls, content: bytes) -> Body:
        return cls(content, sha256(content).hexdigest()[:32])


@dataclass(frozen=True, slots=True)
class KeptTile:
    """A tile plain and, where that is shorter, packed by gzip."""

    plain: Body
    packed: Body | None

    @classmethod
    def of(cls, content: bytes) -> KeptTile:
        if len(content) < _WORTH_PACKING_BYTES:
            return cls(Body.of(content), None)
        # Without the time of packing: the same tile is the same bytes in every process.
        return cls(Body.of(content), Body.of(gzip.compress(content, _PACKING, mtime=0)))

    @property
    def nbytes(self) -> int:
        return len(self.plain.content) + (len(self.packed.content) if self.packed else 0)


class KeptTiles:
    """The tiles that were asked for last."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._tiles: OrderedDict[Address, KeptTile] = OrderedDict()
        self._lock = Lock()
        self.nbytes = 0

    def find(self, address: Address) -> KeptTile | None:
        """The tile if it is still there."""
        with self._lock:
            found = self._tiles.get(address)
            if found is not None:
                self._tiles.move_to_end(address)
            return found

    def keep(self, address: Address, tile: KeptTile) -> None:
        """Keep a tile, and let those go that nobody asked for the longest."""
        with self._lock:
            self._forget(address)
            self._tiles[address] = tile
            self.nbytes += tile.nbytes
            while self.nbytes > self._most_bytes:
                self._forget(next(iter(self._tiles)))

    def clear(self) -> None:
        """Let all go."""
        with self._lock:
            self._tiles.clear()
            self.nbytes = 0

    def _forget(self, address: Address) -> None:
        gone = self._tiles.pop(address, None)
        self.nbytes -= 0 if gone is None else gone.nbytes
