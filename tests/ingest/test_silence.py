"""Who is silent, whose link is, and who is merely not heard because nobody listened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sensor import Sensor
from ingest.silence import DOUBT_S, DOZENS, LATE_S, OFFLINE, ONLINE, SILENT, UNKNOWN, Fallen, fallen_silent
from tests.ingest.wire import COUNTY, NOW, sensor

GAUGE = sensor(interval_s=60)
BESIDE = sensor(2, "gauge-2", interval_s=600)
LONG_AGO = 0.0
LATEST_S = 10.0
"""What is promised: silent within one interval and so much more."""


def silent(heard: dict[int, float], now: float, *, state: str = ONLINE, since: float = LONG_AGO) -> list[float]:
    """When the gauge, with a neighbour that speaks all the time, was last heard; nothing while it is not silent."""
    found = fallen_silent([GAUGE, BESIDE], heard | {2: now}, {1: state, 2: ONLINE}, {COUNTY: ONLINE}, since, now)
    return [heard for one, heard, _ in found.sensors if one == GAUGE]


def test_a_sensor_is_silent_once_its_message_is_overdue_and_not_before() -> None:
    assert silent({1: NOW}, NOW + 60 + LATE_S) == []
    assert silent({1: NOW}, NOW + 60 + LATE_S + 0.1) == [NOW]


def test_nobody_was_silent_while_we_were_deaf() -> None:
    since = NOW + 3600
    assert silent({1: NOW}, since + 60, since=since) == []
    assert silent({1: NOW}, since + 60 + LATEST_S, since=since) == [NOW]


@pytest.mark.parametrize("state", [UNKNOWN, SILENT, OFFLINE])
def test_a_sensor_that_is_not_online_cannot_fall_silent(state: str) -> None:
    assert silent({1: NOW}, NOW + 1e6, state=state) == []


def test_a_sensor_that_was_never_heard_stays_unknown() -> None:
    assert silent({}, NOW + 1e6) == []


def county(count: int, interval_s: float = 60) -> list[Sensor]:
    return [sensor(n, f"gauge-{n}", interval_s=interval_s) for n in range(1, count + 1)]


def watch(sensors: list[Sensor], heard: dict[int, float], begin: float, seconds: int, link: str = ONLINE) -> Fallen:
    """What is said in the course of so many seconds, asked every second, while nobody speaks."""
    state = dict.fromkeys((one.n for one in sensors), ONLINE)
    said = Fallen([], [])
    for second in range(seconds):
        found = fallen_silent(sensors, heard, state, {COUNTY: link}, LONG_AGO, begin + second)
        state.update((one.n, SILENT) for one, _, _ in found.sensors)
        link = SILENT if found.links else link
        said.sensors.extend(found.sensors)
        said.links.extend(found.links)
    return said


@pytest.mark.parametrize("count", [24, 60, 500])
def test_dozens_that_fall_silent_at_once_are_their_countys_link_said_once(count: int) -> None:
    sensors = county(count)
    heard = {one.n: NOW - 60 * one.n / count for one in sensors}
    said = watch(sensors, heard, NOW, 75)
    assert said.links == [(COUNTY, max(heard.values()))]
    assert [told for _, _, told in said.sensors] == [False] * count, "each is silent, none is said by itself"


def test_what_a_link_that_said_offline_leaves_unsaid_is_not_said_by_its_sensors() -> None:
    sensors = county(3)
    said = watch(sensors, dict.fromkeys((1, 2, 3), NOW), NOW, 75, OFFLINE)
    assert said.links == []
    assert [told for _, _, told in said.sensors] == [False] * 3


def test_one_of_many_that_falls_silent_is_said_by_itself() -> None:
    sensors = county(40)
    heard = dict.fromkeys(range(1, 41), NOW + 100.0) | {7: NOW}
    found = fallen_silent(sensors, heard, dict.fromkeys(heard, ONLINE), {COUNTY: ONLINE}, LONG_AGO, NOW + 100)
    assert found == Fallen([(sensors[6], NOW, True)], [])


def test_a_county_of_few_sensors_is_silent_when_all_of_them_are() -> None:
    sensors = county(3)
    said = watch(sensors, {1: NOW, 2: NOW + 20, 3: NOW + 40}, NOW + 40, 75)
    assert [(one.id, told) for one, _, told in said.sensors] == [(f"gauge-{n}", True) for n in (1, 2, 3)]
    assert said.links == [(COUNTY, NOW + 40)]


COUNTIES = ("321302", "321322")
PLACES = [
    sensor(n, f"s-{n}", county=COUNTIES[n % 2], interval_s=interval)
    for n, interval in enumerate([1.0, 5.0, 20.0, 60.0] * 6, start=1)
]
steps = st.lists(
    st.tuples(
        st.floats(0, 40),
        st.one_of(
            st.sampled_from(["ask", "ask", "deaf"]),
            st.tuples(st.sampled_from(["speak", "leave"]), st.integers(1, len(PLACES))),
        ),
    ),
    max_size=60,
)


@given(steps)
def test_whatever_is_said_and_asked_when_nobody_overdue_is_online_and_nobody_heard_in_time_is_silent(
    course: list[tuple[float, str | tuple[str, int]]],
) -> None:
    now = since = NOW
    heard: dict[int, float] = {}
    state: dict[int, str] = {}
    links: dict[str, str] = {}
    for wait_s, what in course:
        now += wait_s
        if what == "deaf":
            since = now
        elif isinstance(what, tuple):
            word, n = what
            state[n] = ONLINE if word == "speak" else OFFLINE
            if word == "speak":
                heard[n] = now
                links[PLACES[n - 1].county] = ONLINE
        else:
            before = dict(state)
            found = fallen_silent(PLACES, heard, state, links, since, now)
            for one, last, _ in found.sensors:
                assert before[one.n] == ONLINE
                assert last == heard[one.n]
                assert now > max(last, since) + one.interval_s + LATE_S
                state[one.n] = SILENT
            for name, last in found.links:
                assert last == max(heard[one.n] for one in PLACES if one.county == name and one.n in heard)
                assert links[name] == ONLINE
                links[name] = SILENT
            assert len(dict(found.links)) == len(found.links), "each link is said once"
            for one in PLACES:
                if state.get(one.n) == ONLINE:
                    assert now <= max(heard[one.n], since) + one.interval_s + DOUBT_S


def test_the_promise_is_kept_with_a_second_between_two_looks_and_one_to_store() -> None:
    assert DOUBT_S + 2 <= LATEST_S
    assert LATE_S < DOUBT_S
    assert DOZENS <= 12
