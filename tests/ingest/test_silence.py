"""Who is offline, and who is merely not heard because nobody listened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.silence import MISSED, OFFLINE, ONLINE, patience_s, silent
from tests.ingest.wire import NOW, sensor

GAUGE = sensor(interval_s=60)
LONG_AGO = 0.0


def test_a_sensor_is_offline_after_three_missed_messages_and_not_before() -> None:
    heard = {GAUGE.n: NOW}
    assert silent([GAUGE], heard, {GAUGE.n: ONLINE}, LONG_AGO, NOW + 180) == []
    assert silent([GAUGE], heard, {GAUGE.n: ONLINE}, LONG_AGO, NOW + 180.1) == [(GAUGE, NOW)]


def test_a_sensor_that_speaks_every_second_is_given_half_a_minute() -> None:
    assert patience_s(sensor(interval_s=1)) == 30


def test_nobody_was_silent_while_we_were_deaf() -> None:
    listening_since = NOW + 3600
    heard, state = {GAUGE.n: NOW}, {GAUGE.n: ONLINE}
    assert silent([GAUGE], heard, state, listening_since, listening_since + MISSED * 60) == []
    assert silent([GAUGE], heard, state, listening_since, listening_since + MISSED * 60 + 1) == [(GAUGE, NOW)]


@pytest.mark.parametrize("state", [{}, {GAUGE.n: "unknown"}, {GAUGE.n: OFFLINE}])
def test_a_sensor_that_is_not_online_cannot_go_offline(state: dict[int, str]) -> None:
    assert silent([GAUGE], {GAUGE.n: NOW}, state, LONG_AGO, NOW + 1e6) == []


def test_a_sensor_that_was_never_heard_stays_unknown() -> None:
    assert silent([GAUGE], {}, {GAUGE.n: ONLINE}, LONG_AGO, NOW + 1e6) == []


@given(
    interval_s=st.floats(0.1, 86_400),
    heard=st.floats(0, 1e6),
    since=st.floats(0, 1e6),
    now=st.floats(0, 2e6),
    more=st.floats(0, 1e6),
)
def test_who_is_silent_stays_silent_until_heard_again(
    interval_s: float, heard: float, since: float, now: float, more: float
) -> None:
    one = sensor(interval_s=interval_s)
    if silent([one], {one.n: heard}, {one.n: ONLINE}, since, now):
        assert now - heard > MISSED * interval_s
        assert silent([one], {one.n: heard}, {one.n: ONLINE}, since, now + more)
        assert not silent([one], {one.n: now}, {one.n: ONLINE}, since, now + MISSED * interval_s * 0.99)
