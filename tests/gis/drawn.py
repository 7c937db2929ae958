"""Networks as departments draw them: the same streets, never quite in the same place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from gis.network import Drawn, Network, assemble
from gis.projection import EqualArea

CENTRE = (118.3, 33.96)
PROJECTION = EqualArea(*CENTRE)
_METRES = np.array([111_195.0 * np.cos(np.radians(CENTRE[1])), 111_195.0])


def degrees(metres: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Points (n, 2) in metres east and north of the centre as lng/lat."""
    return np.array(CENTRE) + np.asarray(metres, dtype=np.float64) / _METRES


def place(shape: BaseGeometry) -> BaseGeometry:
    """A shape in metres around the centre as one in lng/lat."""
    return shapely.transform(shape, degrees)


def network(name: str, shapes: dict[str, BaseGeometry]) -> Network:
    """A network of shapes in metres."""
    return assemble(name, [Drawn(place(shape), {"id": key}) for key, shape in shapes.items()])


def area_m2(geometries: Sequence[BaseGeometry] | npt.NDArray[np.object_]) -> float:
    """Sum of true areas of shapes in lng/lat."""
    return float(shapely.area(PROJECTION.metres(np.array(list(geometries), dtype=object))).sum())


@dataclass(frozen=True)
class Blocks:
    """Streets every ``step_m`` in a square of ``across`` blocks; a network's grids are rectangles of whole blocks."""

    across: int
    step_m: float = 150.0

    def drawn(
        self, rng: np.random.Generator, columns: Sequence[int], rows: Sequence[int], jitter_m: float
    ) -> dict[str, BaseGeometry]:
        """Rectangles between the given streets (numbers from 0 to across), every crossing up to ``jitter_m`` off."""
        corner = np.stack(np.meshgrid(np.arange(self.across + 1), np.arange(self.across + 1), indexing="ij"), axis=-1)
        corner = corner * self.step_m + rng.uniform(-jitter_m, jitter_m, corner.shape)
        return {
            f"{west}-{south}": shapely.Polygon(_rim(corner, west, east, south, north))
            for west, east in pairwise(columns)
            for south, north in pairwise(rows)
        }


def _rim(corner: npt.NDArray[np.float64], west: int, east: int, south: int, north: int) -> npt.NDArray[np.float64]:
    return np.vstack(
        [
            corner[west : east + 1, south],
            corner[east, south : north + 1],
            corner[east:west:-1, north] if east > west else corner[:0, 0],
            corner[west, north : south - 1 if south else None : -1],
        ]
    )
