from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import quarantine as why
from ingest.formats.native import Unreadable
from ingest.message import Message
from tests.video.film import DATA
from video.camera import Camera, CameraEvent
from video.decode import decode
from video.formats import gb28181
from video.sighting import Ignored, Sighting

RECEIVED_AT = 1_780_624_000.0
ID = "34020000001320000001"
ALARM = (
    "<Notify><CmdType>Alarm</CmdType><SN>7</SN><DeviceID>{id}</DeviceID><AlarmPriority>2</AlarmPriority>"
    "<AlarmMethod>5</AlarmMethod><AlarmTime>2026-06-05T10:30:00</AlarmTime>"
    "<AlarmDescription>人员密度超限</AlarmDescription><Longitude>0.0</Longitude><Latitude>0.0</Latitude>"
    "<Info><AlarmType>10</AlarmType></Info></Notify>"
)


def alarm() -> str:
    return ALARM.format(id=ID)


def sighting(body: str | bytes) -> Sighting:
    found = gb28181.read("alarm", body if isinstance(body, bytes) else body.encode(), RECEIVED_AT)
    assert isinstance(found, Sighting)
    return found


def refusal(body: str | bytes) -> str:
    with pytest.raises(Unreadable) as refused:
        gb28181.read("alarm", body if isinstance(body, bytes) else body.encode(), RECEIVED_AT)
    return refused.value.reason


def real(name: str) -> bytes:
    path: Path = DATA / "camera" / name
    if not path.is_file():
        pytest.skip(f"the real body ../shared/data/camera/{name} is not here")
    return path.read_bytes()


def beijing(text: str) -> float:
    return datetime.fromisoformat(f"{text}+08:00").astimezone(UTC).timestamp()


@pytest.mark.parametrize(
    ("name", "camera", "kind", "at"),
    [
        ("gb28181_alarm_1.xml", "55123456781381000010", "other_alarm", "2026-06-05T09:46:05"),
        ("gb28181_alarm_2.xml", ID, "video_loss", "2026-06-05T10:30:00"),
        ("gb28181_alarm_3.xml", ID, "motion", "2026-06-05T10:30:00"),
        ("gb28181_alarm_standard_gb2312.xml", "64010000001340000001", "device_alarm", "2009-12-04T16:23:32"),
    ],
)
def test_a_real_alarm_says_which_device_what_and_when(name: str, camera: str, kind: str, at: str) -> None:
    found = sighting(real(name))
    assert (found.camera, found.kind, found.started_at) == (camera, kind, beijing(at))
    assert (found.phase, found.ended_at) == ("end", found.started_at)


def test_a_real_catalogue_is_understood_and_no_camera_event() -> None:
    assert isinstance(gb28181.read("x", real("gb28181_catalog_response.xml"), RECEIVED_AT), Ignored)


@pytest.mark.parametrize("encoding", ["utf-8", "gb2312", "gbk", "gb18030"])
@pytest.mark.parametrize(
    "declared", ["", '<?xml version="1.0" encoding="GB2312"?>', "<?xml version='1.0' encoding='UTF-8'?>"]
)
def test_the_declared_encoding_need_not_be_the_real_one(encoding: str, declared: str) -> None:
    assert sighting((declared + alarm()).encode(encoding)) == sighting(alarm())


def test_control_characters_blanks_and_other_cases_of_names_are_passed_over() -> None:
    odd = alarm().replace("人员", "\x01\x08人员").replace("<Info>", "<info>").replace("</Info>", "</info>")
    assert sighting(odd.replace(">5<", "> 5 <")) == sighting(alarm())


def test_a_name_cut_in_the_middle_of_a_character_spoils_nothing() -> None:
    whole = alarm().encode("gb18030")
    cut = whole.replace("限".encode("gb18030"), "限".encode("gb18030")[:1])
    assert sighting(cut).kind == "density"


def test_the_same_alarm_is_the_same_event_and_a_later_one_another() -> None:
    again = alarm().replace("<SN>7</SN>", "<SN>8</SN>")
    later = alarm().replace("10:30:00", "10:30:01")
    assert sighting(again).key == sighting(alarm()).key != sighting(later).key


def test_an_alarm_without_a_time_happened_when_it_came() -> None:
    assert sighting(alarm().replace("<AlarmTime>2026-06-05T10:30:00</AlarmTime>", "")).at == RECEIVED_AT


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", why.MALFORMED),
        ("not XML", why.MALFORMED),
        (alarm()[:-5], why.MALFORMED),
        (alarm().replace(ID, ""), why.WRONG_TYPE),
        (alarm().replace(ID, "x" * 65), why.WRONG_TYPE),
        (alarm().replace("<AlarmMethod>5", "<AlarmMethod>x"), why.WRONG_TYPE),
        (alarm().replace("2026-06-05T10:30:00", "yesterday"), why.BAD_TIME),
        (alarm().replace("2026-06-05T10:30:00", "1970-01-01T00:00:00"), why.BAD_TIME),
        ('<!DOCTYPE a [<!ENTITY b "c">]><Notify>&b;</Notify>', why.MALFORMED),
        ("<a>" * 40 + "</a>" * 40, why.MALFORMED),
        ("<a>" * 5000 + "</a>" * 5000, why.MALFORMED),
    ],
)
def test_a_bad_body_is_refused_with_its_reason(body: str, reason: str) -> None:
    assert refusal(body) == reason


@given(
    st.binary(max_size=300)
    | st.builds(lambda cut, end: alarm().encode()[:cut] + end, st.integers(0, 400), st.binary(max_size=40))
)
def test_any_bytes_are_an_event_or_a_refusal(payload: bytes) -> None:
    try:
        found = gb28181.read("alarm", payload, RECEIVED_AT)
    except Unreadable:
        return
    assert isinstance(found, Sighting | Ignored)


def test_an_alarm_over_mqtt_is_an_event_of_the_camera_with_that_code() -> None:
    camera = Camera(ID, "路口", "321302", "r", "c", "321300/321302/", "public_order", 118.27, 33.96, 0.0, 90.0)
    message = Message("cc/v1/321302/wvp-1/raw/gb28181/alarm", alarm().encode("gb18030"), RECEIVED_AT)
    events, rejections, ignored = decode([message], {ID: camera})
    assert (rejections, ignored) == ([], 0)
    at = beijing("2026-06-05T10:30:00")
    assert events == [CameraEvent(ID, f"{ID}-density-{at:.0f}", "end", "density", 1.0, (), at, at, at, 0)]
