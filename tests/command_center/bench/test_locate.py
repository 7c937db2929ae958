"""The look-up benchmark measures what it says, over a city small enough for a test."""

from __future__ import annotations

import numpy as np
import psycopg
import pytest
import shapely

from command_center.bench.locate import by_postgis, by_tree, irregular_cells, load_cells, points_on_edges, random_points
from command_center.local import postgres
from command_center.local.postgres import Cluster
from gis.cell_index import CellIndex


@pytest.fixture(scope="module")
def polygons() -> np.ndarray:
    return irregular_cells(np.random.default_rng(1), 300)


def test_the_cells_are_a_rough_coverage(polygons: np.ndarray) -> None:
    assert len(polygons) == 300
    assert shapely.coverage_is_valid(polygons)
    assert shapely.get_num_coordinates(polygons).mean() > 20


def test_index_tree_and_postgis_name_the_same_cells(polygons: np.ndarray, cluster: Cluster) -> None:
    rng = np.random.default_rng(2)
    points = np.concatenate([random_points(rng, polygons, 4000), points_on_edges(rng, polygons, 4000)])
    index = CellIndex([f"{row:06d}" for row in range(len(polygons))], list(polygons))
    assert index.is_coverage
    ours = index.locate(points[:, 0], points[:, 1])
    with psycopg.connect(cluster.url(postgres.SUPERUSER)) as link:
        load_cells(link, polygons)
        assert ours.tolist() == by_postgis(link, points).tolist()
    assert ours.tolist() == by_tree(shapely.STRtree(polygons), points).tolist()
    assert (ours == -1).any()
