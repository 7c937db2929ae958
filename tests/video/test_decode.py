from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import quarantine as why
from ingest.message import Message
from ingest.quarantine import Rejection
from tests.video.film import DATA
from video.camera import Camera, CameraEvent
from video.decode import decode
from video.formats import frigate
from video.sighting import Ignored

COUNTY = "321302"
RECEIVED_AT = 1_718_987_140.0


def make_camera(id: str = "demo-camera-001", county: str = COUNTY) -> Camera:  # noqa: A002  the noun's own field
    return Camera(id, "路口", county, "r", "c", "321300/321302/", "public_order", 118.27, 33.96, 0.0, 90.0)


CAMERAS = {"front_door": make_camera(), "front_cam": make_camera("demo-camera-002")}


def make_tracked(**changes: Any) -> dict[str, Any]:
    return {
        "id": "1607123955.475377-mxklsc",
        "camera": "front_door",
        "frame_time": 1_607_123_962.25,
        "label": "person",
        "sub_label": None,
        "top_score": 0.9,
        "score": 0.7,
        "false_positive": False,
        "start_time": 1_607_123_955.5,
        "end_time": None,
        "current_zones": ["yard"],
        "entered_zones": ["yard", "driveway"],
    } | changes


def make_message(payload: Any, tail: str = "events", county: str = COUNTY, source: str = "frigate-1") -> Message:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Message(f"cc/v1/{county}/{source}/raw/frigate/{tail}", body, RECEIVED_AT)


def event(phase: str = "update", **changes: Any) -> dict[str, Any]:
    return {"type": phase, "before": None, "after": make_tracked(**changes)}


def without(field: str) -> dict[str, Any]:
    return {"type": "new", "after": {k: v for k, v in make_tracked().items() if k != field}}


def decode_one(payload: Any, **where: Any) -> CameraEvent:
    events, rejections, ignored = decode([make_message(payload, **where)], CAMERAS)
    assert (rejections, ignored) == ([], 0)
    return events[0]


def reject_one(message: Message) -> Rejection:
    events, rejections, ignored = decode([message], CAMERAS)
    assert (events, ignored) == ([], 0)
    return rejections[0]


def real_payloads(heading: str) -> list[Any]:
    path = DATA / "camera" / "frigate_mqtt_payloads.json"
    if not path.is_file():
        pytest.skip("the real payloads ../shared/data/camera/frigate_mqtt_payloads.json are not here")
    return [block["payload"] for block in json.loads(path.read_text()) if heading in block["topic_heading"]]


def test_a_real_event_becomes_a_camera_event_without_name_or_plate() -> None:
    (payload,) = real_payloads("events")
    found = decode_one(payload)
    assert found == CameraEvent(
        camera="demo-camera-001",
        key="1607123955.475377-mxklsc",
        phase="update",
        kind="person",
        score=0.958984375,
        zones=("yard", "driveway"),
        started_at=1607123955.475377,
        at=1607123962.082975,
        ended_at=None,
        message=0,
    )
    assert not any(word in repr(found) for word in ("John", "Smith", "ABC12345"))


def test_a_real_review_becomes_a_camera_event_without_name() -> None:
    (payload,) = real_payloads("reviews")
    found = decode_one(payload, tail="reviews")
    assert (found.camera, found.kind, found.phase, found.score) == ("demo-camera-002", "review_alert", "update", 1.0)
    assert (found.started_at, found.at, found.zones) == (1718987129.308396, RECEIVED_AT, ("front_yard",))
    assert "Bob" not in repr(found)


def test_real_descriptions_faces_plates_and_triggers_are_ignored() -> None:
    tails = {"Update": "tracked_object_update", "triggers": "triggers"}
    messages = [make_message(p, tail=tail) for heading, tail in tails.items() for p in real_payloads(heading)]
    assert len(messages) == 6
    assert decode(messages, CAMERAS) == ([], [], 6)


@pytest.mark.parametrize(
    ("tail", "payload"),
    [
        ("available", b"online"),
        ("stats", b"{}"),
        ("front_door/person", b"2"),
        ("yard/car", b""),
        ("front_door/status/x", b"1"),
    ],
)
def test_other_topics_of_the_server_are_ignored_whatever_they_hold(tail: str, payload: bytes) -> None:
    assert decode([make_message(payload, tail=tail)], CAMERAS) == ([], [], 1)
    seen = frigate.read(tail, payload, RECEIVED_AT)
    assert isinstance(seen, Ignored)
    assert seen.why


@pytest.mark.parametrize("sub_label", [None, "John", ["John", 0.79], {"odd": 1}, 7])
def test_a_sub_label_of_any_shape_is_passed_over(sub_label: Any) -> None:
    assert "John" not in repr(decode_one(event(sub_label=sub_label)))


def test_the_same_id_is_the_same_matter_from_new_to_end() -> None:
    payloads = [event("new"), event("update"), event("end", end_time=1_607_123_970)]
    events, rejections, ignored = decode([make_message(p) for p in payloads], CAMERAS)
    assert (rejections, ignored) == ([], 0)
    assert len({e.key for e in events}) == 1
    assert [(e.phase, e.ended_at, e.message) for e in events] == [
        ("new", None, 0),
        ("update", None, 1),
        ("end", 1_607_123_970.0, 2),
    ]


def test_an_end_without_its_time_still_ends() -> None:
    assert decode_one(event("end")).ended_at == 1_607_123_962.25


@pytest.mark.parametrize("field", sorted(make_tracked().keys() - {"id", "camera", "start_time"}))
def test_a_field_that_is_not_needed_may_be_missing(field: str) -> None:
    assert decode_one(without(field)).camera == "demo-camera-001"


@pytest.mark.parametrize("field", ["id", "camera", "start_time"])
def test_a_field_that_is_needed_may_not(field: str) -> None:
    rejection = reject_one(make_message(without(field)))
    assert rejection.reason == why.WRONG_TYPE
    assert field in rejection.detail


def test_numbers_may_be_whole_and_fields_unknown() -> None:
    found = decode_one(event(start_time=1_607_123_955, frame_time=1_607_123_962, top_score=1, novelty={"deep": [1]}))
    assert (found.started_at, found.at, found.score) == (1_607_123_955.0, 1_607_123_962.0, 1.0)


def test_a_false_positive_is_ignored() -> None:
    assert decode([make_message(event(false_positive=True))], CAMERAS) == ([], [], 1)


def test_a_generated_review_text_is_ignored() -> None:
    assert decode([make_message({"type": "genai", "summary": "…"}, tail="reviews")], CAMERAS) == ([], [], 1)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", why.MALFORMED),
        (b"  ", why.MALFORMED),
        (b"{", why.MALFORMED),
        (b'{"type":"new","after":{"id":"\xff"}}', why.MALFORMED),
        (b'{"x":' + b"[" * 100_000, why.MALFORMED),
        (b" " * 300_000, why.OVERSIZED),
        ([event()], why.WRONG_TYPE),
        ({"type": "new"}, why.WRONG_TYPE),
        ({"type": "new", "after": None}, why.WRONG_TYPE),
        (event("begin"), why.WRONG_TYPE),
        (event(id=7), why.WRONG_TYPE),
        (event(id=""), why.WRONG_TYPE),
        (event(id="a\0b"), why.WRONG_TYPE),
        (event(id="x" * 129), why.WRONG_TYPE),
        (event(label="a\0b"), why.WRONG_TYPE),
        (event(camera=""), why.WRONG_TYPE),
        (event(top_score="high"), why.WRONG_TYPE),
        (event(top_score=87), why.WRONG_TYPE),
        (event(top_score=-0.1), why.WRONG_TYPE),
        (event(entered_zones="yard"), why.WRONG_TYPE),
        (event(entered_zones=["z"] * 65), why.WRONG_TYPE),
        (event(start_time="2020-12-04T23:19:15Z"), why.WRONG_TYPE),
        (event(start_time=1_607_123_955_475), why.BAD_TIME),
        (event(start_time=0), why.BAD_TIME),
        (event(end_time=-1), why.BAD_TIME),
        (event(camera="back_door"), why.UNKNOWN_CAMERA),
    ],
)
def test_a_bad_payload_is_rejected_with_its_reason_and_its_sender(payload: Any, reason: str) -> None:
    rejection = reject_one(make_message(payload))
    assert (rejection.message, rejection.reason, rejection.county, rejection.source) == (0, reason, COUNTY, "frigate-1")
    assert rejection.detail


@pytest.mark.parametrize("severity", ["", "panic"])
def test_a_review_of_unknown_severity_is_rejected(severity: str) -> None:
    after = {"id": "1-a", "camera": "front_cam", "start_time": 1_718_987_129, "severity": severity}
    assert reject_one(make_message({"type": "new", "after": after}, tail="reviews")).reason == why.WRONG_TYPE


def test_a_camera_of_another_county_is_rejected() -> None:
    assert reject_one(make_message(event(), county="321311")).reason == why.WRONG_COUNTY


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("cc/v1/321302/frigate-1/raw/onvif/events", why.UNKNOWN_FORMAT),
        ("cc/v1/321302/frigate-1/raw/frigate", why.BAD_TOPIC),
        ("cc/v1/321302/frigate-1/raw/frigate/", why.BAD_TOPIC),
        ("cc/v1/321302/frigate-1/reading", why.BAD_TOPIC),
        ("cc/v1/321302/bad name/raw/frigate/events", why.BAD_TOPIC),
        ("frigate/events", why.BAD_TOPIC),
        ("", why.BAD_TOPIC),
    ],
)
def test_a_topic_of_another_kind_is_rejected(topic: str, reason: str) -> None:
    assert reject_one(Message(topic, json.dumps(event()).encode(), RECEIVED_AT)).reason == reason


def test_two_servers_may_both_have_a_front_door() -> None:
    cameras = {"frigate-1/front_door": make_camera("a"), "frigate-2/front_door": make_camera("b")}
    messages = [make_message(event(), source=f"frigate-{n}") for n in (2, 1, 3)]
    events, rejections, _ = decode(messages, cameras)
    assert [e.camera for e in events] == ["b", "a"]
    assert [(r.message, r.reason) for r in rejections] == [(2, why.UNKNOWN_CAMERA)]


def test_a_bad_message_spoils_nothing_beside_it() -> None:
    messages = [
        make_message(p) for p in (b"{", event(), event(camera="nobody"), event(false_positive=True), event("end"))
    ]
    events, rejections, ignored = decode(messages, CAMERAS)
    assert [e.message for e in events] == [1, 4]
    assert [r.message for r in rejections] == [0, 2]
    assert ignored == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NEARLY = st.builds(
    lambda kind, changes, severity: {"type": kind, "after": make_tracked() | changes | severity},
    st.sampled_from(["new", "update", "end", "genai"]) | JSON,
    st.dictionaries(st.sampled_from(sorted(make_tracked())), JSON, max_size=3),
    st.fixed_dictionaries({"severity": st.sampled_from(["alert", "detection"]) | JSON, "data": JSON}),
)
TAILS = st.sampled_from(["events", "reviews"]) | st.text(max_size=20)


@given(st.lists(st.tuples(TAILS, NEARLY | JSON), max_size=5))
def test_arbitrary_json_never_raises_and_every_message_is_accounted_for(found: list[tuple[str, Any]]) -> None:
    messages = [make_message(json.dumps(payload).encode(), tail=tail) for tail, payload in found]
    check_account(messages)


@given(st.lists(st.binary(max_size=200), max_size=5), st.text(max_size=60))
def test_arbitrary_bytes_and_topics_never_raise(payloads: list[bytes], topic: str) -> None:
    check_account([make_message(p) for p in payloads] + [Message(topic, p, RECEIVED_AT) for p in payloads])


def check_account(messages: list[Message]) -> None:
    events, rejections, ignored = decode(messages, CAMERAS)
    assert len(events) + len(rejections) + ignored == len(messages)
    assert all(r.detail for r in rejections)
    for found in events:
        assert found.started_at > 0
        assert 0 <= found.score <= 1
        assert msgspec.json.encode(found)
        assert all(text.isprintable() for text in (found.key, found.kind, *found.zones))
