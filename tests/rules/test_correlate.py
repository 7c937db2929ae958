"""The same matter, seen again: near in place and time, by one source, or in one storm; never across what a person parted."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.correlate import Cluster, Known, Signal, correlate, incident_id, metres
from rules.correlation import PLAIN, BadCorrelation, Correlation, Reach, Storm, read

LNG, LAT = 118.3, 33.96
METRE_LAT = 1 / 111_195.08  # degrees of latitude in one metre, on the sphere that is used
AT_US = 1_795_400_000_000_000
DAY_S = 24 * 3600
MOVING = "vehicle"
STORMY = replace(
    PLAIN,
    reaches={MOVING: Reach(50, 3_600_000_000, moves_m_s=20, moves_for_us=300_000_000)},
    storm=Storm(4, 60, groups={"wet": ("flood", "rain")}),
)


def signal(
    n: int = 1,
    *,
    north_m: float = 0,
    later_s: float = 0,
    family: str = "flood",
    town: str = "t",
    source: str | None = None,
) -> Signal:
    own = f"sensor-{n}" if source is None else source
    return Signal(UUID(int=n), "alert", family, town, own, LNG, LAT + north_m * METRE_LAT, AT_US + round(later_s * 1e6))


def matter(n: int, *signals: Signal) -> list[Known]:
    return [Known(one, UUID(int=n)) for one in signals]


def members(clusters: Iterable[Cluster]) -> list[list[int]]:
    return sorted(sorted(one.id.int for one in cluster.signals) for cluster in clusters)


def test_a_signal_with_nothing_near_is_a_matter_of_its_own() -> None:
    assert correlate([signal()]) == [Cluster((signal(),), ())]
    assert incident_id(signal(1)) != incident_id(signal(2))


@pytest.mark.parametrize(
    ("seen", "joins"),
    [
        (signal(north_m=49.9), True),
        (signal(north_m=50.1), False),
        (signal(later_s=DAY_S), True),
        (signal(later_s=DAY_S + 1), False),
        (signal(later_s=-DAY_S), True),
        (signal(later_s=-DAY_S - 1), False),
        (signal(family="gas_leak"), False),
        # A source that goes elsewhere sees another matter, unless it is the cause that moves.
        (signal(north_m=5000, source="sensor-9"), False),
    ],
)
def test_a_signal_joins_what_is_near_recent_and_of_its_family(seen: Signal, joins: bool) -> None:
    [cluster] = correlate([seen], matter(100, signal(9)))
    assert cluster.incidents == ((UUID(int=100),) if joins else ())


def test_a_signal_between_two_incidents_makes_them_one() -> None:
    known = matter(100, signal(8)) + matter(200, signal(9, north_m=80))
    [cluster] = correlate([signal(north_m=40)], known)
    assert set(cluster.incidents) == {UUID(int=100), UUID(int=200)}


def test_a_signal_between_two_that_people_parted_goes_to_the_nearest_one_only() -> None:
    known = matter(100, signal(8)) + matter(200, signal(9, north_m=80))
    parted = {frozenset((UUID(int=100), UUID(int=200)))}
    for north_m, nearest in ((39, 100), (41, 200)):
        [cluster] = correlate([signal(north_m=north_m)], known, parted)
        assert cluster.incidents == (UUID(int=nearest),)


def test_nothing_brings_together_what_people_parted_not_even_a_chain_or_a_storm() -> None:
    known = matter(100, signal(8)) + matter(200, signal(9, north_m=200))
    parted = {frozenset((UUID(int=100), UUID(int=200)))}
    chain = [signal(n, north_m=40 * n) for n in range(1, 5)]
    for table in (PLAIN, STORMY):
        clusters = correlate(chain, known, parted, table)
        assert sorted(cluster.incidents for cluster in clusters) == [(UUID(int=100),), (UUID(int=200),)]
        assert members(clusters)[0][0] == 1
        assert sum(len(one.signals) for one in clusters) == 4


def test_a_cause_that_moves_is_followed_as_fast_as_it_may_go_and_no_longer_than_it_is_followed() -> None:
    def joined(later_s: float, north_m: float) -> bool:
        seen = signal(2, later_s=later_s, north_m=north_m, family=MOVING)
        return len(correlate([signal(1, family=MOVING), seen], table=STORMY)) == 1

    assert joined(100, 2049)
    assert not joined(100, 2051)
    assert joined(300, 6049)
    assert not joined(301, 6000)


def test_a_storm_in_one_township_is_one_matter_and_what_is_rarer_is_not() -> None:
    storm = [signal(n, north_m=1000 * n, later_s=10 * n) for n in range(8)]
    assert members(correlate(storm, table=STORMY)) == [list(range(8))]
    drizzle = [signal(n, north_m=1000 * n, later_s=21 * n) for n in range(8)]
    assert len(correlate(drizzle, table=STORMY)) == 8
    spread = [replace(one, township=f"t{n % 4}") for n, one in enumerate(storm)]
    assert len(correlate(spread, table=STORMY)) == 8
    fire = signal(99, later_s=30, family="fire")
    assert members(correlate([*storm, fire], table=STORMY)) == [list(range(8)), [99]]


def test_a_storm_brings_together_the_families_of_its_group_and_no_others() -> None:
    grouped = replace(PLAIN, storm=Storm(4, 60, groups={"flooding": ("flood", "rain")}))
    seen = [signal(n, north_m=1000 * n, family=("flood", "rain", "gas_leak")[n % 3]) for n in range(9)]
    assert members(correlate(seen, table=grouped)) == [[0, 1, 3, 4, 6, 7], [2], [5], [8]]
    # Near each other they are two matters all the same, as long as it is no storm.
    assert len(correlate([signal(1, family="flood"), signal(2, family="rain")], table=grouped)) == 2


def linked(one: Signal, other: Signal, table: Correlation) -> bool:
    """As the definition says, without storms."""
    reach, apart_us = table.reach(one.family), abs(one.at_us - other.at_us)
    if one.family != other.family or apart_us > reach.within_us:
        return False
    follows = reach.moves_m_s * apart_us / 1e6 if apart_us <= reach.moves_for_us else 0
    near = metres(one.lng, one.lat, other.lng, other.lat) <= reach.near_m + follows
    return near or (reach.moves_m_s > 0 and one.source == other.source and one.source != "")


def stormy(signals: Sequence[Signal], table: Correlation, storm: Storm) -> set[tuple[int, int]]:
    """Pairs that are in one window that is full enough."""
    found = set()
    for first in signals:
        inside = [
            other
            for other in signals
            if (table.group(other.family), other.township) == (table.group(first.family), first.township)
            and 0 <= other.at_us - first.at_us <= storm.window_s * 1e6
        ]
        if len(inside) >= storm.rate:
            found |= {(one.id.int, other.id.int) for one in inside for other in inside}
    return found


def components(signals: Sequence[Signal], table: Correlation) -> list[list[int]]:
    """By trying every pair."""
    of = {one.id.int: {one.id.int} for one in signals}
    storms = set() if table.storm is None else stormy(signals, table, table.storm)
    for one in signals:
        for other in signals:
            if linked(one, other, table) or (one.id.int, other.id.int) in storms:
                both = of[one.id.int] | of[other.id.int]
                for member in both:
                    of[member] = both
    return sorted(map(list, {tuple(sorted(own)) for own in of.values()}))


def taken_in(batches: Iterable[Sequence[Signal]], table: Correlation) -> list[list[int]]:
    """The incidents after all batches, when each is correlated with what the ones before it left."""
    incidents: dict[UUID, list[Signal]] = {}
    for batch in batches:
        known = [Known(one, identity) for identity, own in incidents.items() for one in own]
        fresh = [one for one in batch if all(one.id != k.signal.id for k in known)]
        for cluster in correlate(fresh, known, (), table):
            survivor = cluster.incidents[0] if cluster.incidents else incident_id(cluster.signals[0])
            for gone in cluster.incidents[1:]:
                incidents[survivor] += incidents.pop(gone)
            incidents.setdefault(survivor, []).extend(cluster.signals)
    return sorted(sorted(one.id.int for one in own) for own in incidents.values())


# Places on a lattice, so that no distance comes to lie on a limit: rounding is not what is tested.
signals = st.builds(
    signal,
    st.integers(1, 10_000),
    north_m=st.integers(-12, 12).map(lambda n: n * 23.0),
    later_s=st.one_of(st.integers(0, 400), st.integers(0, 60).map(lambda n: n * 7001)),
    family=st.sampled_from(["flood", "rain", "gas_leak", MOVING]),
    town=st.sampled_from(["t", "u"]),
    source=st.sampled_from([None, None, None, "a", ""]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(signals, max_size=25, unique_by=lambda s: s.id), st.sampled_from([PLAIN, STORMY]), st.data())
def test_any_order_any_batches_and_any_repeats_give_the_connected_components(
    seen: list[Signal], table: Correlation, data: st.DataObject
) -> None:
    expected = components(seen, table)
    dice = random.Random(data.draw(st.integers(0, 2**32)))
    assert taken_in([seen], table) == expected
    for _ in range(3):
        told = seen + dice.sample(seen, len(seen) // 2)
        dice.shuffle(told)
        cuts = sorted(dice.randrange(len(told) + 1) for _ in range(dice.randrange(6)))
        batches = [told[a:b] for a, b in zip([0, *cuts], [*cuts, len(told)], strict=True)]
        assert taken_in(batches, table) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(signals, max_size=16, unique_by=lambda s: s.id), signals)
def test_one_more_signal_never_parts_what_belonged_together(seen: list[Signal], more: Signal) -> None:
    before = components(seen, STORMY)
    after = components([*(one for one in seen if one.id != more.id), more], STORMY)
    if all(one.id != more.id for one in seen):
        assert all(any(set(own) <= set(larger) for larger in after) for own in before)


@settings(max_examples=100, deadline=None)
@given(st.lists(signals, min_size=2, max_size=20, unique_by=lambda s: s.id), st.data())
def test_parted_incidents_never_meet_in_a_cluster_and_no_signal_is_lost(
    seen: list[Signal], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(seen) - 1))
    known = [Known(one, UUID(int=1 + n % 3)) for n, one in enumerate(seen[:cut])]
    parted = {frozenset((UUID(int=1), UUID(int=2)))}
    clusters = correlate(seen[cut:], known, parted, STORMY)
    assert not any({UUID(int=1), UUID(int=2)} <= set(cluster.incidents) for cluster in clusters)
    assert sorted(one.id for cluster in clusters for one in cluster.signals) == sorted(one.id for one in seen[cut:])
    held = [incident for cluster in clusters for incident in cluster.incidents]
    assert len(held) == len(set(held))


def test_three_thousand_signals_at_once_are_one_matter_in_less_than_two_seconds() -> None:
    storm = [signal(n, north_m=n % 50, later_s=n / 300) for n in range(3000)]
    begun = time.process_time()
    [cluster] = correlate(storm, table=STORMY)
    assert len(cluster.signals) == 3000
    assert time.process_time() - begun < 2


def test_a_table_says_which_categories_are_one_family() -> None:
    table = read(
        "default: {near_m: 30, within_h: 2, source: {text: t, confidence: unverified}}\n"
        "storm: {rate: 30, window_s: 60}\n"
        "families: {fire: {categories: [fire, smoke], near_m: 100, source: {text: t, confidence: unverified}}}\n"
    )
    assert (table.family("smoke"), table.family("gas_leak")) == ("fire", "gas_leak")
    assert table.reach("fire") == Reach(100, 7_200_000_000)
    assert table.reach("gas_leak") == Reach(30, 7_200_000_000)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("default: [", "line"),
        ("{}", "default"),
        ("default: {near_m: -1, within_h: 2, source: {text: t, confidence: found}}", "near_m"),
        (
            "default: {near_m: 1, within_h: 2, source: {text: t, confidence: found}}\nstorm: {rate: 1, window_s: 1}",
            "rate",
        ),
        (
            "default: {near_m: 1, within_h: 2, source: {text: t, confidence: found}}\nfamilies:\n"
            "  a: {categories: [x], source: {text: t, confidence: found}}\n"
            "  b: {categories: [x], source: {text: t, confidence: found}}",
            "one family",
        ),
        (
            "default: {near_m: 1, within_h: 2, source: {text: t, confidence: found}}\nfamilies:\n"
            "  a: {categories: [b], source: {text: t, confidence: found}}\n"
            "  b: {categories: [c], source: {text: t, confidence: found}}",
            "another name",
        ),
        (
            "default: {near_m: 1, within_h: 2, source: {text: t, confidence: found}}\n"
            "storm: {rate: 2, window_s: 1, groups: {g: [x], h: [x]}}",
            "one group",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_reason(text: str, word: str) -> None:
    with pytest.raises(BadCorrelation, match=word):
        read(text)


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
