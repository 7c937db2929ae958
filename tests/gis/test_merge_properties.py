"""Whatever departments draw, the merge is a valid coverage, keeps the ground, explains its labels and ignores order."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry.base import BaseGeometry

from gis.cell_file import encode
from gis.merge import Merged, merge
from gis.merge_report import report
from gis.network import Drawn, Network, assemble
from tests.gis.drawn import PROJECTION, Blocks, area_m2, place

_ACROSS = 6


@dataclass(frozen=True)
class _City:
    """Features by network, and a seed for bringing them into another order."""

    features: dict[str, list[tuple[str, BaseGeometry]]]
    seed: int

    def networks(self) -> list[Network]:
        return [_network(name, drawn) for name, drawn in self.features.items()]

    def otherwise(self) -> list[Network]:
        """The same networks, features and rings in another order, direction and start."""
        rng = np.random.default_rng(self.seed)
        found = []
        for name, drawn in self.features.items():
            turned = [(own, _turned(shape, rng)) for own, shape in drawn]
            found.append(_network(name, [turned[i] for i in rng.permutation(len(turned))]))
        return [found[i] for i in rng.permutation(len(found))]


def _network(name: str, drawn: list[tuple[str, BaseGeometry]]) -> Network:
    return assemble(name, [Drawn(place(shape), {"id": own}) for own, shape in drawn], "id")


def _turned(shape: BaseGeometry, rng: np.random.Generator) -> BaseGeometry:
    def ring(at: Any) -> Any:
        at = np.roll(np.asarray(at)[:-1], rng.integers(len(at)), axis=0)
        at = at[::-1] if rng.random() < 0.5 else at
        return np.vstack([at, at[:1]])

    parts = [
        shapely.Polygon(ring(p.exterior.coords), [ring(hole.coords) for hole in p.interiors])
        for p in shapely.get_parts(shape)
    ]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


@st.composite
def cities(draw: st.DrawFn) -> _City:
    """Two or three networks over the same streets, jittered, with holes, islands, enclaves and features drawn twice."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    features: dict[str, list[tuple[str, BaseGeometry]]] = {}
    for name in ["emergency", "order", "management"][: draw(st.integers(2, 3))]:
        streets = st.lists(st.integers(1, _ACROSS - 1), max_size=4, unique=True)
        columns, rows = ([0, *sorted(draw(streets)), _ACROSS] for _ in range(2))
        jitter_m = draw(st.sampled_from([0.0, 0.4, 2.0, 6.0]))
        drawn = list(Blocks(_ACROSS).drawn(rng, columns, rows, jitter_m).items())
        if draw(st.booleans()):
            drawn = _with_hole(drawn, rng)
        if draw(st.booleans()):
            drawn.append(("island", shapely.box(1500, 0, 1500 + rng.uniform(20, 300), rng.uniform(20, 300))))
        if draw(st.booleans()):
            drawn.append(("enclave", shapely.Point(rng.uniform(0, 900, 2)).buffer(rng.uniform(10, 90))))
        if draw(st.booleans()):
            drawn.append((f"{drawn[0][0]} again" if draw(st.booleans()) else drawn[0][0], drawn[0][1]))
        features[name] = drawn
    return _City(features, seed)


def _with_hole(drawn: list[tuple[str, BaseGeometry]], rng: np.random.Generator) -> list[tuple[str, BaseGeometry]]:
    hole = shapely.Point(rng.uniform(0, 900, 2)).buffer(rng.uniform(1, 120), quad_segs=4)
    cut = [(own, shapely.difference(shape, hole)) for own, shape in drawn]
    return [(own, shape) for own, shape in cut if not shape.is_empty]


def _overlay_shares(merged: Merged, cell: int) -> dict[tuple[object, ...], float]:
    """Ground of the cell by what the plain overlay says there, where no network claims it twice; worked out anew."""
    shares: dict[tuple[object, ...], BaseGeometry] = {(): merged.cells[cell].geometry}
    for network in merged.networks:
        found: dict[tuple[object, ...], BaseGeometry] = {}
        for said, ground in shares.items():
            left = ground
            for own, polygon in zip(network.ids, network.polygons, strict=True):
                part = shapely.intersection(ground, polygon)
                if part.area > 0:
                    found[(*said, own)] = part
                    left = shapely.difference(left, polygon)
            if left.area > 0:
                found[(*said, None)] = left
        shares = found
    return defaultdict(float, {said: area_m2([ground]) for said, ground in shares.items()})


@settings(max_examples=40, deadline=None)
@given(cities())
def test_a_merge_is_a_valid_coverage_that_keeps_the_ground(city: _City) -> None:
    merged = merge(city.networks())
    shapes = np.array([cell.geometry for cell in merged.cells])
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    given_ground = shapely.union_all(np.concatenate([network.polygons for network in merged.networks]))
    closed = area_m2([shapely.union_all(shapes)]) - area_m2(
        [shapely.intersection(shapely.union_all(shapes), given_ground)]
    )
    total = area_m2([given_ground])
    assert abs(area_m2(shapes) - closed - total) <= 1e-6 * total + 0.01 * closed
    told = report(merged)
    excused = {entry["code"] for entry in told["exceptions"]}
    for cell, metres in zip(merged.cells, PROJECTION.metres(shapes), strict=True):
        fits = metres.area >= 1_000 and not metres.buffer(-2.5).is_empty
        assert fits or cell.code in excused


@settings(max_examples=25, deadline=None)
@given(cities(), st.booleans(), st.integers(200, 700), st.floats(0, 6))
def test_villages_and_a_base_leave_a_valid_coverage_with_one_village_a_cell(
    city: _City, with_base: bool, street: int, jitter_m: float
) -> None:
    networks = city.networks()
    halves = {
        "321302001001": shapely.box(-5, -5, street, 905 + jitter_m),
        "321302001002": shapely.box(street, -5, 905, 905),
    }
    villages = _network("villages", list(halves.items()))
    merged = merge(networks, villages=villages, base=networks[0].name if with_base else None)
    shapes = np.array([cell.geometry for cell in merged.cells])
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    assert all(cell.village == cell.code[:12] for cell in merged.cells)
    told = report(merged)
    excused = {entry["code"] for entry in told["exceptions"]}
    assert {cell.code for cell in merged.cells if cell.area_m2 < 1_000} <= excused
    assert told["villages"]["kept_area_share"] > 0.99
    if with_base:
        assert told["networks"][networks[0].name]["kept_area_share"] > 0.99


@settings(max_examples=25, deadline=None)
@given(cities())
def test_every_label_set_is_the_overlays_or_listed(city: _City) -> None:
    merged = merge(city.networks())
    told = report(merged)
    listed = {entry["code"] for entry in told["label_changes"]}
    for place_, cell in enumerate(merged.cells):
        if cell.code not in listed:
            shares = _overlay_shares(merged, place_)
            assert shares[tuple(cell.sources.values())] >= max(shares.values()) * 0.99 - 1.0


@settings(max_examples=25, deadline=None)
@given(cities())
def test_order_and_direction_play_no_part(city: _City) -> None:
    one, other = merge(city.networks()), merge(city.otherwise())
    assert encode(one.cells, one.coded.retired) == encode(other.cells, other.coded.retired)
    assert report(one) == report(other)
