"""The same matter, seen again: by distance, time and category."""

from __future__ import annotations

import math
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.correlate import NEAR_M, RECENT_S, Matter, Placed, Signal, correlate, incident_id, metres

LNG, LAT = 118.3, 33.96
METRE_LAT = 1 / 111_195.08  # degrees of latitude in one metre, on the sphere that is used
AT_US = 1_795_400_000_000_000


def signal(n: int = 1, *, north_m: float = 0, later_s: float = 0, category: str = "waterlogging") -> Signal:
    return Signal(UUID(int=n), "alert", category, LNG, LAT + north_m * METRE_LAT, AT_US + round(later_s * 1e6))


def matter(n: int = 100, *, north_m: float = 0, later_s: float = 0) -> Matter:
    return Matter(UUID(int=n), "waterlogging", LNG, LAT + north_m * METRE_LAT, AT_US + round(later_s * 1e6))


def test_a_signal_with_nothing_near_opens_an_incident_of_its_own() -> None:
    [placed] = correlate([signal()], [])
    assert placed == Placed(signal(), incident_id(signal()), opens=True)


@pytest.mark.parametrize(
    ("seen", "joins"),
    [
        (signal(north_m=NEAR_M - 0.1), True),
        (signal(north_m=NEAR_M + 0.1), False),
        (signal(later_s=RECENT_S), True),
        (signal(later_s=RECENT_S + 1), False),
        (signal(later_s=-RECENT_S), True),
        (signal(later_s=-RECENT_S - 1), False),
        (signal(category="gas_leak"), False),
    ],
)
def test_a_signal_joins_what_is_near_recent_and_of_its_category(seen: Signal, joins: bool) -> None:
    [placed] = correlate([seen], [matter()])
    assert (placed.incident == matter().id, placed.opens) == (joins, not joins)


def test_of_several_the_nearest_is_joined_then_the_latest_then_the_lowest_id() -> None:
    def chosen(*matters: Matter) -> int:
        [placed] = correlate([signal()], matters)
        return placed.incident.int

    assert chosen(matter(1, north_m=20), matter(2, north_m=10, later_s=-60)) == 2
    assert chosen(matter(1, later_s=-60), matter(2)) == 2
    assert chosen(matter(2), matter(1)) == 1


def test_signals_of_one_batch_join_the_incident_that_the_first_of_them_opened() -> None:
    seen = [signal(1), signal(2, north_m=30), signal(3, north_m=-30), signal(4, north_m=300)]
    placed = correlate(seen, [])
    first = incident_id(seen[0])
    assert [p.incident for p in placed] == [first, first, first, incident_id(seen[3])]
    assert [p.opens for p in placed] == [True, False, False, True]


signals = st.builds(
    signal,
    st.integers(1, 1000),
    north_m=st.floats(-200, 200),
    later_s=st.floats(0, 3 * RECENT_S),
    category=st.sampled_from(["waterlogging", "gas_leak"]),
)
matters = st.builds(matter, st.integers(2000, 3000), north_m=st.floats(-200, 200), later_s=st.floats(0, 3 * RECENT_S))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(signals, max_size=8, unique_by=lambda s: s.id),
    st.lists(matters, max_size=5, unique_by=lambda m: m.id),
    st.data(),
)
def test_every_signal_gets_one_incident_and_always_the_same(
    seen: list[Signal], open_matters: list[Matter], data: st.DataObject
) -> None:
    placed = correlate(seen, open_matters)
    assert [p.signal for p in placed] == seen
    known = {m.id for m in open_matters}
    for one in placed:
        assert one.opens == (one.incident not in known)
        known.add(one.incident)
    assert correlate(seen, data.draw(st.permutations(open_matters))) == placed


degrees = st.tuples(st.floats(-180, 180), st.floats(-90, 90))


# Rounding lifts this pair's chord above 1, where an arc sine ends.
@example((0.0, -58.56871280789409), (180.00000008043628, 58.568712774418394))
@given(degrees, degrees)
def test_distance_is_symmetric_and_never_more_than_half_round_the_earth(
    one: tuple[float, float], other: tuple[float, float]
) -> None:
    distance = metres(*one, *other)
    assert 0 <= distance <= math.pi * 6_371_009
    assert math.isclose(distance, metres(*other, *one), abs_tol=1e-3)
    assert metres(*one, *one) == 0


@given(st.floats(-180, 180), st.floats(-90, 90))
def test_the_other_side_of_the_earth_is_half_its_round_away(lng: float, lat: float) -> None:
    assert math.isclose(metres(lng, lat, lng + 180, -lat), math.pi * 6_371_008.8, rel_tol=1e-6)


def test_a_degree_of_longitude_shrinks_with_the_cosine_of_the_latitude() -> None:
    assert math.isclose(metres(118, 60, 119, 60) / metres(118, 0, 119, 0), 0.5, rel_tol=1e-3)
