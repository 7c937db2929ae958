"""A rough city in tiles of every zoom: neighbours leave no gap and no overlap, and no cell that could be seen is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from sqlalchemy import Engine, text

from command_center.bench.locate import irregular_cells
from config.database import scoped, web_engine, worker_engine
from gis.simplify import mercator
from gis.store import cells
from gis.tiles import LAST_ZOOM, mark_stale, redraw_stale, tile
from tests.conftest import Database
from tests.gis.decoded_tile import decode
from tests.small_city import CITY, build

ROUGH = 400
PIXEL = 8  # units, on a screen that shows a tile at 512 pixels
CLOSEST_TILES = 4
VILLAGE = "321302001001"
HALF_M = 20037508.342789244  # of the world's width in web Mercator


def code(n: int) -> str:
    return f"{VILLAGE}{n:03d}"


@dataclass(frozen=True)
class RoughCity:
    """Irregular cells in web Mercator, and who may look at them."""

    engine: Engine
    shapes: npt.NDArray[Any]

    def in_units(self, z: int, x: int, y: int) -> npt.NDArray[Any]:
        """The true shapes in a tile's units."""
        unit = 2 * HALF_M / 2**z / 4096
        return shapely.transform(
            self.shapes,
            lambda at: np.column_stack([(at[:, 0] + HALF_M) / unit - x * 4096, (HALF_M - at[:, 1]) / unit - y * 4096]),
        )


@pytest.fixture(scope="module")
def rough(module_database: Database) -> Iterator[RoughCity]:
    build(module_database)
    lng_lat = irregular_cells(np.random.default_rng(3), ROUGH)
    worker = worker_engine(module_database.worker_url)
    with worker.begin() as connection:
        connection.execute(text("UPDATE cells SET valid_to = now()"))
        rows = [
            {
                "code": code(n),
                "name": f"第{n}网格",
                "region": VILLAGE,
                "scope": f"{CITY}/321302/321302001/{VILLAGE}/{code(n)}/",
                "area_m2": 1.0,
                "geom": f"SRID=4490;{shapely.MultiPolygon([shape]).wkt}",
            }
            for n, shape in enumerate(lng_lat)
        ]
        connection.execute(cells.insert(), rows)
        mark_stale(connection, "cells")
    redraw_stale(worker, datetime(2026, 11, 24, tzinfo=UTC))
    worker.dispose()
    web = web_engine(module_database.web_url)
    yield RoughCity(web, mercator(lng_lat))
    web.dispose()


@pytest.mark.parametrize("zoom", range(5, LAST_ZOOM + 1))
def test_neighbours_leave_no_gap_and_no_overlap_and_no_cell_of_a_pixel_is_missing(rough: RoughCity, zoom: int) -> None:
    scope = f"{CITY}/"
    side = 2 * HALF_M / 2**zoom
    points = shapely.get_coordinates(shapely.point_on_surface(rough.shapes))
    places = sorted({(int((px + HALF_M) / side), int((HALF_M - py) / side)) for px, py in points.tolist()})
    chosen = places if len(places) <= CLOSEST_TILES else places[:: len(places) // CLOSEST_TILES]
    for x, y in chosen:
        with scoped(rough.engine, scope) as connection:
            drawn = decode(tile(connection, "cells", zoom, x, y, scope))["cells"]
        shapes = np.array([d.shape for d in drawn])
        assert shapely.is_valid(shapes).all()
        tree = shapely.STRtree(shapes)
        left, right = tree.query(shapes, predicate="intersects")
        common = shapely.intersection(shapes[left[left < right]], shapes[right[left < right]])
        assert not any(is_seen(shape) for shape in common)

        truth = rough.in_units(zoom, x, y)
        window = shapely.box(0, 0, 4096, 4096)
        inside = shapely.intersection(shapely.buffer(shapely.union_all(truth), -3 * PIXEL), window)
        assert not is_seen(shapely.difference(inside, shapely.union_all(shapes)))

        here = shapely.area(shapely.intersection(truth, window)) > PIXEL**2
        assert {code(n) for n in np.flatnonzero(here).tolist()} <= {d.properties["code"] for d in drawn}


def is_seen(shape: shapely.Geometry) -> bool:
    """Wider than the rounding of two points makes it, each by half a unit along both axes."""
    return not shapely.buffer(shape, -math.sqrt(0.5), join_style="mitre").is_empty
