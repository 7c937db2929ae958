"""Messages taken together and one by one: the same readings, rejections, receipts, keys and repeats."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decode import Decoded, Memory, decode
from ingest.message import Message
from ingest.quarantine import Refusal
from ingest.reading import ReadingBatch
from ingest.sensor import Catalogue, Plausible, Profile
from tests.ingest.wire import NOW, catalogue, depth, message, sensor

_GAUGE = "cc/v1/321302/gauge-{}/reading"
_NOW_MS = int(NOW * 1000)


def _city() -> Catalogue:
    """The two gauges, and a third of a model that has sentinels and a range of its own."""
    plain = catalogue()
    told = {"water_depth": Plausible(0.0, 1.0, frozenset({-999.0, 9.99})), "noise": Plausible(30.0, 100.0)}
    third = sensor(3, "gauge-3", profile="model-a")
    profile = Profile("model-a", "型号甲", "Model A", None, told)
    return Catalogue.of([*plain.sensors.values(), third], plain.quantities.values(), [profile])


CITY = _city()

_TIMES = st.sampled_from(
    [
        None,
        _NOW_MS,
        _NOW_MS - 1,
        _NOW_MS + 400000,
        _NOW_MS - 950000,
        _NOW_MS - 4000000,
        _NOW_MS + 0.25,
        17,
        1 << 70,
        "2026-11-23T10:00:00+08:00",
        "2026-11-23T10:00:00",
        "yesterday",
        True,
        [],
    ]
)
_VALUES = st.dictionaries(
    st.sampled_from(["water_depth", "noise", "noise", "link_speed", "online", "nothing"]),
    st.sampled_from([0.1, 0, 7.5, 9.99, -999.0, 50, 1e300, "0.1", None]),
    max_size=3,
)
_POSITIONS = st.sampled_from(
    [{}] * 6
    + [{"lng": 118.3, "lat": 33.9}, {"lng": 118.3, "lat": 33.9, "datum": "GCJ02"}, {"lng": 118.3}]
    + [{"lng": 0, "lat": 0}, {"lng": 200, "lat": 0}, {"lng": 1, "lat": 1, "datum": "Mars"}]
)
_GOOD = st.builds(
    lambda n, value, at: {"id": f"m-{n}", "at": _NOW_MS - at} | depth(value),
    st.integers(0, 30),
    st.sampled_from([0.1, 0.2, 0.3]),
    st.sampled_from([0, 1000, 2000]),
)
_ANY = st.builds(
    lambda name, at, values, position, ack: (
        {"values": values}
        | position
        | ({} if name is None else {"id": name})
        | ({} if at is None else {"at": at})
        | ack
    ),
    st.sampled_from([None, "m-1", "m-2", 1, 2, "1"]),
    _TIMES,
    _VALUES,
    _POSITIONS,
    st.sampled_from([{}, {}, {}, {"ack": True}]),
)
_PAYLOADS = st.one_of(
    _GOOD.map(lambda body: json.dumps(body).encode()),
    _ANY.map(lambda body: json.dumps(body).encode()),
    st.lists(_GOOD | _ANY, max_size=3).map(lambda body: json.dumps(body).encode()),
    st.sampled_from([b"", b"{", b"null", b'{"values":{"noise":NaN}}', b"\xff", b"[" * 5000, b"x" * 300_000, b"online"]),
)
_MESSAGES: st.SearchStrategy[Message] = st.builds(
    lambda payload, topic, duplicate, response, late: message(
        payload, topic, duplicate=duplicate, response_topic=response, received_at=NOW + late
    ),
    _PAYLOADS,
    st.sampled_from(
        [_GAUGE.format(1)] * 4
        + [_GAUGE.format(2), _GAUGE.format(3), _GAUGE.format(9), "cc/v1/321322/gauge-1/reading", "elsewhere"]
        + ["cc/v1/321302/gauge-1/state"]
    ),
    st.booleans(),
    st.sampled_from([None, None, None, "cc/v1/321302/gauge-1/ack/x"]),
    st.sampled_from([0.0, 0.5, 1e-6]),
)


def _judge(lng: Any, lat: Any, datum: Any) -> dict[int, Refusal]:
    return {int(row): Refusal("null_island", "zero and zero") for row in np.flatnonzero((lng == 0) & (lat == 0))}


def _told(decoded: Decoded) -> Any:
    columns = {
        f.name: (getattr(decoded.batch, f.name).tobytes(), getattr(decoded.batch, f.name).dtype)
        for f in fields(ReadingBatch)
    }
    doubts = sorted((doubt.key, doubt.at_us) for doubt in decoded.doubts)
    return columns, decoded.rejections, decoded.replies, decoded.keys, doubts, decoded.repeated


@settings(max_examples=400, deadline=None)
@given(
    st.lists(_MESSAGES, max_size=25), st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), max_size=5), st.data()
)
def test_together_or_one_by_one_comes_to_the_same(
    messages: list[Message], repeats: list[tuple[int, int]], data: st.DataObject
) -> None:
    for source, place in repeats:
        if source < len(messages):
            messages.insert(place, messages[source])
    memory = Memory()
    if messages and data.draw(st.booleans()):
        earlier = data.draw(st.lists(st.sampled_from(messages), max_size=3))
        memory.remember(decode(earlier, CITY, Memory(), many=1 << 30).keys, NOW)
    one_by_one = decode(messages, CITY, memory, _judge, many=1 << 30)
    together = decode(messages, CITY, memory, _judge, many=0)
    assert _told(together) == _told(one_by_one)


def test_a_large_ordinary_batch_needs_no_message_to_be_taken_by_itself() -> None:
    batch = [
        message({"id": f"m-{n}", "at": _NOW_MS, "values": {"water_depth": 0.1, "noise": 50}}, _GAUGE.format(n % 3 + 1))
        for n in range(300)
    ]
    found = decode(batch, CITY, Memory())
    assert len(found.batch) == 600
    assert found.batch.message.tolist() == [n // 2 for n in range(600)]
    assert found.keys == found.batch.key[::2].tolist()


def _both_ways(*messages: Message) -> Decoded:
    one_by_one = decode(messages, CITY, Memory(), many=1 << 30)
    together = decode(messages, CITY, Memory(), many=0)
    assert _told(together) == _told(one_by_one)
    return together


def test_what_was_taken_together_is_known_to_a_later_odd_one_and_the_other_way_round() -> None:
    ordinary, odd = {"id": "m-1"} | depth(), [{"id": "m-1"} | depth(0.2)]
    assert _both_ways(message(ordinary), message(odd)).batch.value.tolist() == [0.1]
    assert _both_ways(message(odd), message(ordinary)).batch.value.tolist() == [0.2]


def test_equal_bytes_without_id_and_time_are_two_observations_whichever_way_they_are_taken() -> None:
    bare = b'{"values":{"water_depth":0.1}}'
    assert len(_both_ways(message(b"[" + bare + b"]"), message(bare)).batch) == 2
    assert len(_both_ways(message(b"[" + bare + b"]"), message(bare, duplicate=True)).batch) == 1
