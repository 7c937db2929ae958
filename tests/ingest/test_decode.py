"""What decoding makes of good, odd and bad messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import quarantine as why
from ingest.decode import (
    LARGEST_OBSERVATION_COUNT,
    LARGEST_PAYLOAD,
    REMEMBERED_S,
    Decoded,
    Memory,
    decode,
    topic_parts,
)
from ingest.message import Message
from ingest.reading import AHEAD, DATUMS, LATE, NO_TIME, OUT_OF_RANGE
from tests.ingest.wire import COUNTY, NOW, TOPIC, catalogue, depth, message

CITY = catalogue()
NOW_MS = int(NOW * 1000)


def read(*messages: Message, memory: Memory | None = None) -> Decoded:
    return decode(messages, CITY, memory or Memory())


def reasons(decoded: Decoded) -> list[str]:
    return [rejection.reason for rejection in decoded.rejections]


# A payload or a whole message for each reason, more than one where there is more than one way.
BAD: list[tuple[str, Message]] = [
    (why.MALFORMED, message(b"")),
    (why.MALFORMED, message(b"{not json")),
    (why.MALFORMED, message(b"[{}, ")),
    (why.MALFORMED, message(b"\xff\xfe")),
    (why.MALFORMED, message(b'{"id": "\xff", "values": {"water_depth": 1}}')),
    (why.MALFORMED, message(b'{"values": {"water_depth": 1}, "x": ' + b"[" * 50_000)),
    (why.OVERSIZED, message(b"[" + b" " * LARGEST_PAYLOAD + b"]")),
    (why.OVERSIZED, message([depth()] * (LARGEST_OBSERVATION_COUNT + 1))),
    (why.WRONG_TYPE, message(7)),
    (why.WRONG_TYPE, message("deep")),
    (why.WRONG_TYPE, message({})),
    (why.WRONG_TYPE, message({"values": {}})),
    (why.WRONG_TYPE, message({"values": {"water_depth": "deep"}})),
    (why.WRONG_TYPE, message({"values": {"water_depth": None}})),
    (why.WRONG_TYPE, message({"values": {"water_depth": True}})),
    (why.WRONG_TYPE, message(depth(at=True))),
    (why.WRONG_TYPE, message(depth(lng=118.0, lat=34.0, datum="Pulkovo"))),
    (why.WRONG_TYPE, message(depth(lat=34.0))),
    (why.WRONG_TYPE, message(depth(lng=118.0))),
    (why.WRONG_TYPE, message(b"on", topic=f"cc/v1/{COUNTY}/gauge-1/state")),
    (why.NOT_A_NUMBER, message(b'{"values": {"water_depth": NaN}}')),
    (why.NOT_A_NUMBER, message(b'{"values": {"water_depth": -Infinity}}')),
    (why.NOT_A_NUMBER, message(b'{"values": {"water_depth": 1e999}}')),
    (why.NOT_A_NUMBER, message(b'{"values": {"water_depth": ' + b"9" * 400 + b"}}")),
    (why.BAD_TIME, message(depth(at="yesterday"))),
    (why.BAD_TIME, message(depth(at="2026-11-23T10:00:00"))),
    (why.BAD_TIME, message(depth(at="1999-12-31T23:59:59Z"))),
    (why.BAD_TIME, message(depth(at="0001-01-01T00:00:00+23:59"))),
    (why.BAD_TIME, message(depth(at="9999-12-31T23:59:59-23:59"))),
    (why.BAD_TIME, message(depth(at=NOW))),  # seconds where milliseconds belong
    (why.BAD_TIME, message(depth(at=-1))),
    (why.BAD_TOPIC, message(depth(), topic="gauge-1")),
    (why.BAD_TOPIC, message(depth(), topic=f"cc/v2/{COUNTY}/gauge-1/reading")),
    (why.BAD_TOPIC, message(depth(), topic=f"cc/v1/{COUNTY}/gauge-1/reading/more")),
    (why.BAD_TOPIC, message(depth(), topic=f"cc/v1/{COUNTY}/a gauge/reading")),
    (why.UNKNOWN_SENSOR, message(depth(), topic=f"cc/v1/{COUNTY}/gauge-9/reading")),
    (why.WRONG_COUNTY, message(depth(), topic="cc/v1/321322/gauge-1/reading")),
    (why.UNKNOWN_QUANTITY, message({"values": {"depth_of_field": 1}})),
    (why.UNKNOWN_QUANTITY, message({"values": {"link_speed": 1}})),  # known to the city, not measured here
    (why.OUTSIDE_CITY, message(depth(lng=218.0, lat=34.0))),
    (why.OUTSIDE_CITY, message(depth(lng=118.0, lat=-91.0))),
]


@pytest.mark.parametrize(("reason", "bad"), BAD, ids=[f"{reason}-{n}" for n, (reason, _) in enumerate(BAD)])
def test_a_bad_message_is_rejected_with_its_reason_and_spoils_nothing_beside_it(reason: str, bad: Message) -> None:
    decoded = read(message(depth(0.1)), bad, message(depth(0.2)))
    [rejection] = decoded.rejections
    assert (rejection.reason, rejection.message) == (reason, 1)
    assert rejection.detail
    assert "\n" not in rejection.detail
    assert decoded.batch.value.tolist() == [0.1, 0.2]
    assert decoded.batch.message.tolist() == [0, 2]


def test_a_rejection_names_county_and_sensor_as_far_as_the_topic_does() -> None:
    decoded = read(message(depth(), topic="nowhere"), message(b"{"), message(depth(), topic="cc/v1/321322/x-1/reading"))
    assert [(r.county, r.source) for r in decoded.rejections] == [
        (None, None),
        (COUNTY, "gauge-1"),
        ("321322", "x-1"),
    ]


def test_one_bad_object_of_a_list_spoils_none_of_the_others() -> None:
    body = [depth(0.1), {"values": {"water_depth": "deep"}}, depth(0.3, at="never"), 5, depth(0.4)]
    decoded = read(message(body))
    assert reasons(decoded) == [why.WRONG_TYPE, why.BAD_TIME, why.WRONG_TYPE]
    assert decoded.batch.value.tolist() == [0.1, 0.4]


def test_one_unknown_quantity_of_an_object_spoils_none_of_the_others() -> None:
    decoded = read(message({"values": {"depth_of_field": 1, "water_depth": 0.1, "noise": 60}}))
    assert reasons(decoded) == [why.UNKNOWN_QUANTITY]
    assert decoded.batch.quantity.tolist() == [1, 12]
    assert len(set(decoded.batch.key.tolist())) == 1


def test_the_largest_payload_and_the_longest_list_are_taken() -> None:
    body = json.dumps(depth()).encode()
    padded = message(body + b" " * (LARGEST_PAYLOAD - len(body)))
    decoded = read(padded, message([depth(n / 1000) for n in range(LARGEST_OBSERVATION_COUNT)]))
    assert decoded.rejections == []
    assert len(decoded.batch) == 1 + LARGEST_OBSERVATION_COUNT


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
almost_observations = st.fixed_dictionaries(
    {"values": st.dictionaries(st.sampled_from(["water_depth", "noise", "x"]), json_values, max_size=3) | json_values},
    optional={
        "id": json_values,
        "at": json_values | st.integers(NOW_MS - 10**7, NOW_MS + 10**7) | st.datetimes().map(datetime.isoformat),
        "lng": json_values,
        "lat": json_values,
        "datum": st.sampled_from(DATUMS) | json_values,
        "ack": st.booleans() | json_values,
    },
)
payloads = (
    st.binary(max_size=200)
    | json_values.map(lambda body: json.dumps(body).encode())
    | (almost_observations | st.lists(almost_observations, max_size=4)).map(lambda body: json.dumps(body).encode())
)
topics = st.sampled_from([TOPIC, TOPIC.replace("reading", "state"), f"cc/v1/{COUNTY}/gauge-2/reading"]) | st.text(
    max_size=40
)
wire_messages = st.builds(
    Message,
    topic=topics,
    payload=payloads,
    received_at=st.floats(NOW, NOW + 60),
    duplicate=st.booleans(),
    response_topic=st.none() | st.text(max_size=20) | st.just(f"cc/v1/{COUNTY}/gauge-1/ack/x"),
    correlation=st.none() | st.binary(max_size=8),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(wire_messages, max_size=6))
def test_whatever_comes_in_never_raises_and_every_message_is_accounted_for(messages: list[Message]) -> None:
    messages.append(message(depth(0.25, id="the good one beside them")))
    decoded = read(*messages)
    assert decoded.batch.value[-1] == 0.25
    assert np.isfinite(decoded.batch.value).all()
    used = {*decoded.batch.message.tolist(), *(r.message for r in decoded.rejections)}
    unused = set(range(len(messages))) - used
    # Neither stored nor rejected: a repeat, or an empty list.
    empty = {n for n in unused if messages[n].payload.strip().startswith(b"[")}
    assert len(unused - empty) <= decoded.repeated
    for reply in decoded.replies:
        assert reply.topic.startswith(f"cc/v1/{COUNTY}/gauge-")
        assert not set(reply.topic) & set("+#")


@settings(max_examples=100, deadline=None)
@given(st.lists(wire_messages, max_size=6))
def test_decoding_each_message_by_itself_gives_the_same_as_decoding_them_together(messages: list[Message]) -> None:
    together = read(*messages)
    memory = Memory()
    values: list[float] = []
    found: list[str] = []
    for one in messages:
        alone = decode([one], CITY, memory)
        memory.remember(alone.keys, NOW)
        values += alone.batch.value.tolist()
        found += reasons(alone)
    assert together.batch.value.tolist() == values
    assert reasons(together) == found


def test_a_reading_keeps_what_the_message_said() -> None:
    body = {"id": "a", "at": NOW_MS - 1500, "values": {"noise": 61.5}, "lng": 118.2, "lat": 33.9, "datum": "GCJ02"}
    decoded = read(message(body, received_at=NOW + 0.000_25))
    batch = decoded.batch
    assert (batch.sensor[0], batch.quantity[0], batch.value[0], batch.flags[0]) == (1, 12, 61.5, 0)
    assert batch.at[0] == np.datetime64(NOW_MS - 1500, "ms")
    assert batch.received_at[0] == np.datetime64(round(NOW * 1e6) + 250, "us")
    assert (batch.lng[0], batch.lat[0], DATUMS[batch.datum[0]]) == (118.2, 33.9, "GCJ02")
    assert decoded.keys == batch.key.tolist()


@pytest.mark.parametrize(
    "at", ["2026-11-23T10:00:00+08:00", "2026-11-23T02:00:00Z", "2026-11-23T02:00:00.000+00:00", 1795399200000]
)
def test_a_time_is_the_same_instant_however_it_is_written(at: str | int) -> None:
    decoded = read(message(depth(at=at)))
    assert decoded.batch.at[0] == np.datetime64("2026-11-23T02:00:00", "us")


@given(st.integers(0, 98 * 365 * 86_400 * 10**6))
@settings(max_examples=100, deadline=None)
def test_a_written_time_keeps_its_microseconds(after_us: int) -> None:
    at = datetime(2001, 1, 1, tzinfo=UTC) + timedelta(microseconds=after_us)
    decoded = read(message(depth(at=at.isoformat())))
    assert decoded.batch.at[0].item() == at.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("offset_s", "flags"),
    [
        (0, 0),
        (300, 0),
        (301, AHEAD),
        (-3600, 0),
        (-3601, LATE),
    ],
)
def test_a_clock_that_is_far_off_is_flagged(offset_s: int, flags: int) -> None:
    decoded = read(message(depth(at=NOW_MS + offset_s * 1000)))
    assert decoded.batch.flags.tolist() == [flags]


def test_a_message_without_a_time_gets_that_of_its_receipt_and_is_marked() -> None:
    batch = read(message(depth())).batch
    assert batch.flags.tolist() == [NO_TIME]
    assert batch.at[0] == batch.received_at[0]


@pytest.mark.parametrize(("value", "flag"), [(-0.05, 0), (5, 0), (-0.06, OUT_OF_RANGE), (5.1, OUT_OF_RANGE)])
def test_an_implausible_value_is_kept_and_marked(value: float, flag: int) -> None:
    assert read(message(depth(value, at=NOW_MS))).batch.flags.tolist() == [flag]


def test_one_implausible_value_does_not_mark_its_neighbours() -> None:
    batch = read(message({"at": NOW_MS, "values": {"water_depth": 99, "noise": 60}})).batch
    assert batch.flags.tolist() == [OUT_OF_RANGE, 0]


def test_the_state_of_a_link_is_a_reading_like_any_other() -> None:
    topic = f"cc/v1/{COUNTY}/gauge-1/state"
    batch = read(message(b"online", topic), message(b"offline", topic)).batch
    assert batch.quantity.tolist() == [24, 24]
    assert batch.value.tolist() == [1, 0]


def sent_twice(body: Any, *, later_s: float = 1, duplicate: bool = False) -> tuple[Decoded, Decoded]:
    """The first sending, then the second one in a later batch."""
    memory = Memory()
    first = read(message(body), memory=memory)
    memory.remember(first.keys, NOW)
    return first, read(message(body, received_at=NOW + later_s, duplicate=duplicate), memory=memory)


@pytest.mark.parametrize("body", [depth(id="a"), depth(id=7), depth(at=NOW_MS), depth(id="a", at=NOW_MS)])
def test_a_named_observation_is_taken_once(body: dict[str, Any]) -> None:
    _, second = sent_twice(body)
    assert (len(second.batch), second.repeated, second.rejections) == (0, 1, [])
    together = read(message(body), message(body))
    assert (len(together.batch), together.repeated) == (1, 1)


def test_an_id_names_its_observation_whatever_else_changes() -> None:
    decoded = read(message(depth(0.1, id="a")), message(depth(0.2, id="a", at=NOW_MS)))
    assert decoded.batch.value.tolist() == [0.1]


@pytest.mark.parametrize(
    "other",
    [
        message(depth(id="b", at=NOW_MS)),
        message(depth(0.2, at=NOW_MS)),
        message(depth(at=NOW_MS + 1)),
        message(depth(at=NOW_MS), topic=f"cc/v1/{COUNTY}/gauge-2/reading"),
    ],
)
def test_another_id_value_time_or_sensor_is_another_observation(other: Message) -> None:
    decoded = read(message(depth(at=NOW_MS)), other)
    assert (len(decoded.batch), decoded.repeated) == (2, 0)


def test_two_equal_nameless_observations_are_two_unless_the_broker_says_it_sent_one_again() -> None:
    _, honest = sent_twice(depth())
    assert (len(honest.batch), honest.repeated) == (1, 0)
    _, again = sent_twice(depth(), duplicate=True)
    assert (len(again.batch), again.repeated) == (0, 1)


def test_the_broker_s_mark_alone_makes_nothing_a_repeat() -> None:
    decoded = read(message(depth(), duplicate=True))
    assert (len(decoded.batch), decoded.repeated) == (1, 0)


def test_what_was_rejected_may_come_again_once_it_is_right() -> None:
    decoded = read(message({"id": "a", "values": {"depth": 1}}), message(depth(id="a")))
    assert (len(decoded.batch), decoded.repeated) == (1, 0)


def test_a_named_observation_older_than_memory_reaches_is_left_for_the_database_to_judge() -> None:
    old_ms = NOW_MS - REMEMBERED_S * 1000
    decoded = read(message(depth(at=old_ms - 1)), message(depth(at=old_ms)), message(depth(id="a")))
    [doubt] = decoded.doubts
    assert (doubt.key, doubt.at_us) == (decoded.batch.key[0], (old_ms - 1) * 1000)


def test_decoding_changes_no_memory() -> None:
    memory = Memory({1: NOW})
    decoded = read(message(depth(id="a")), memory=memory)
    assert memory.keys == {1: NOW}
    assert len(read(message(depth(id="a")), memory=memory).batch) == 1
    memory.remember(decoded.keys, NOW)
    assert len(read(message(depth(id="a")), memory=memory).batch) == 0


def test_memory_forgets_what_lies_before_its_horizon_and_nothing_else() -> None:
    memory = Memory()
    memory.remember([1, 2], 100.0)
    memory.remember([2, 3], 200.0)
    memory.forget(150.0 + REMEMBERED_S)
    assert memory.keys == {2: 200.0, 3: 200.0}
    assert memory.reaches_to_us == 0


@pytest.mark.parametrize("many", [1, 1000])
def test_a_memory_that_is_full_drops_the_oldest_and_doubts_what_it_no_longer_reaches(many: int) -> None:
    memory = Memory()
    memory.remember([1, 2], NOW - 100)
    memory.remember([3, 4], NOW - 50)
    memory.forget(NOW, most=2)
    assert list(memory.keys) == [3, 4]
    times = [round((NOW - ago) * 1000) for ago in (101, 100, 99, 0)]
    messages = [message(depth(id=f"m-{n}", at=at)) for n, at in enumerate(times)]
    found = decode(messages, CITY, memory, many=many)
    assert [doubt.at_us // 1000 for doubt in found.doubts] == times[:2]


def test_a_full_memory_says_so_when_it_is_made_again_from_the_database() -> None:
    memory = Memory({1: NOW}, reaches_to_us=round((NOW - 10) * 1e6))
    late = read(message(depth(id="late", at=round((NOW - 11) * 1000))), memory=memory)
    fresh = read(message(depth(id="fresh", at=round((NOW - 9) * 1000))), memory=memory)
    assert (len(late.doubts), len(fresh.doubts)) == (1, 0)


def receipt(*messages: Message) -> tuple[str, dict[str, Any], bytes | None]:
    [reply] = read(*messages).replies
    return reply.topic, msgspec.json.decode(reply.payload), reply.correlation


OWN = f"cc/v1/{COUNTY}/gauge-1/ack"


def test_nobody_gets_a_receipt_who_asked_for_none() -> None:
    assert read(message(depth(id="a"))).replies == []


def test_a_receipt_says_what_was_stored_and_what_was_not() -> None:
    body = [depth(id="a", ack=True), depth(id="b", at="never"), depth(), depth(id=2**70)]
    topic, told, _ = receipt(message(body))
    assert topic == OWN
    assert (told["stored"], told["ids"]) == (3, ["a", None, 2**70])
    assert [r["reason"] for r in told["rejected"]] == [why.BAD_TIME]


def test_the_receipt_of_a_repeat_says_that_it_is_stored() -> None:
    replies = read(message(depth(id="a", ack=True)), message(depth(id="a", ack=True))).replies
    assert [msgspec.json.decode(reply.payload)["ids"] for reply in replies] == [["a"], ["a"]]


def test_a_receipt_carries_the_correlation_it_was_asked_with() -> None:
    assert receipt(message(depth(), response_topic=OWN + "/42", correlation=b"\0x")) == (
        OWN + "/42",
        {"stored": 1, "ids": [None], "rejected": []},
        b"\0x",
    )


@pytest.mark.parametrize(
    "asked",
    [
        "",
        OWN,
        "cc/v1/321302/gauge-2/ack",
        f"cc/v1/{COUNTY}/gauge-1/reading",
        OWN + "x",
        OWN + "/#",
        OWN + "/+/a",
        "$SYS/x",
    ],
)
def test_a_receipt_goes_nowhere_but_under_the_sensor_s_own_topic(asked: str) -> None:
    assert receipt(message(depth(), response_topic=asked))[0] == OWN


@pytest.mark.parametrize("payload", [b"[{", b" " * (LARGEST_PAYLOAD + 1), json.dumps([depth()] * 1001).encode()])
def test_a_message_that_is_rejected_whole_gets_its_receipt_too(payload: bytes) -> None:
    _, told, _ = receipt(message(payload, response_topic=OWN))
    assert told["stored"] == 0
    assert len(told["rejected"]) == 1


def test_only_topics_of_the_contract_have_parts() -> None:
    assert topic_parts("cc/v1/321302/s/raw/frigate/events") == ("321302", "s", "raw/frigate/events")
    assert topic_parts("cc/v1/321302/s") is None
    assert topic_parts("dd/v1/321302/s/reading") is None
