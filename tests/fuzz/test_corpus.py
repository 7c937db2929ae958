"""Every decoder stands whatever is thrown at it. `make fuzz` goes on for longer, led by what it has reached."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.decode import LARGEST_PAYLOAD
from tests.fuzz.target import TARGETS, corpus, strike


@pytest.mark.parametrize("name", TARGETS)
def test_the_stored_beginnings_are_read_or_refused(name: str) -> None:
    assert corpus(name), "each format has some to begin with"
    for payload in corpus(name):
        strike(name, payload)
        strike(name, payload[: len(payload) // 2])


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_what_is_changed_here_and_there_is_read_or_refused(name: str, data: st.DataObject) -> None:
    payload = bytearray(data.draw(st.sampled_from(corpus(name))))
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(payload)))
        gone = data.draw(st.integers(0, 8))
        payload[at : at + gone] = data.draw(st.one_of(st.binary(max_size=8), st.just(bytes(payload[:40]))))
    strike(name, bytes(payload))


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    "unit", [b"[", b'{"a":', b"\x81", b"\xa1\x00", b"\x12\x00", b"\x12\x02\x10\x01", b"##0000", b"9", b"{},", b";a=1,"]
)
def test_the_largest_payload_of_one_thing_again_and_again_costs_little_memory(name: str, unit: bytes) -> None:
    payload = (unit * (LARGEST_PAYLOAD // len(unit)))[:LARGEST_PAYLOAD]
    strike(name, payload)
    tracemalloc.start()
    try:
        strike(name, payload)
        assert tracemalloc.get_traced_memory()[1] < 100 * LARGEST_PAYLOAD
    finally:
        tracemalloc.stop()
