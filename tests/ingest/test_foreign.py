"""What becomes of messages in the formats of others: whose reading, in which unit, at what time, and only once."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import cbor2
import numpy as np
import pytest

from ingest import quarantine as why
from ingest.decode import LARGEST_PAYLOAD, Memory
from ingest.formats import hj212
from ingest.message import Message, sent_again
from ingest.reading import AHEAD, FAULTY, LATE, NO_TIME, OUT_OF_RANGE
from tests.ingest.formats.wire import decoded, message, raw, reasons, recorded, rows
from tests.ingest.wire import COUNTY, NOW, TOPIC, depth

NOW_US = round(NOW * 1e6)


def epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def chirpstack(values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "deduplicationId": "d-1",
        "time": "2026-11-23T02:13:20Z",
        "deviceInfo": {"devEui": "0102030405060788", "deviceName": "any"},
        "object": values,
    } | more


# -- recorded samples ---------------------------------------------------------------------------------------------------------


def test_a_recorded_parking_sensor_26_days_ahead_moves_nobody_elses_clock() -> None:
    sample = json.loads(recorded("chirpstack_parking.json"))
    received_at = epoch("2025-09-15T13:54:22+00:00")
    mad = message(sample["topic"], sample["payload"], received_at=received_at)
    sober = message(TOPIC, depth(at=round(received_at * 1000)), received_at=received_at)
    found = decoded(sober, mad, message(TOPIC, depth(0.2), received_at=received_at + 1))
    assert rows(found)[1] == ("gauge-1", "water_depth", 1.7)
    assert found.batch.flags.tolist() == [0, AHEAD, NO_TIME]
    assert found.batch.at[1] == np.datetime64("2025-10-11T12:00:00")
    assert found.batch.received_at[1] == np.datetime64("2025-09-15T13:54:22")
    assert found.batch.at[0] == found.batch.received_at[0]


def test_a_recorded_uplink_that_nobody_decoded_is_refused_as_such() -> None:
    payload = json.loads(recorded("chirpstack_watermeter.json"))["payload"]
    found = decoded(message("application/x/device/8cc30232011a52cf/event/up", payload))
    assert reasons(found) == [why.UNDECODED]
    assert "8cc30232011a52cf" in found.rejections[0].detail


def test_the_recorded_uplink_of_the_things_stack_has_no_time() -> None:
    found = decoded(message("v3/foo-app/devices/foo-device/up", recorded("tts_uplink.json")))
    assert rows(found) == [("gauge-1", "noise", 42.0)]
    assert found.batch.flags.tolist() == [NO_TIME]


def test_the_recorded_zigbee_messages_are_readings_or_of_no_use() -> None:
    sent = [message(said["topic"], said["payload"]) for said in json.loads(recorded("zigbee2mqtt_samples.json"))]
    found = decoded(*sent)
    assert rows(found) == [("room-1", "temperature", 27.34), ("room-2", "occupied", 1.0)]
    assert found.ignored == 2  # the bridge speaks of itself
    # A bulb that nobody has catalogued; a switch that only says "single" has measured nothing.
    assert [(r.reason, r.source) for r in found.rejections] == [(why.UNKNOWN_SENSOR, "bulb")]


def test_the_recorded_tasmota_messages_tell_local_time_and_fahrenheit() -> None:
    samples = json.loads(recorded("tasmota_samples.json"))
    found = decoded(*(message(f"cc/v1/{COUNTY}/room-1/raw/tasmota", sample) for sample in samples))
    values = [value for _, quantity, value in rows(found) if quantity == "temperature"]
    # 80.9 comes without a unit; 78.8 and 74.8 are Fahrenheit and say so.
    assert values == pytest.approx([80.9, 26.0, 23.7777778, 24.7])
    assert found.batch.at[0] == np.datetime64("2018-02-10T14:46:34")  # 22:46:34 in Shanghai
    assert ("room-1", "pressure", 98.44) in rows(found)
    # The fourth has its values at the top, under names that no pattern fits; each message is kept once.
    assert set(reasons(found)) == {why.UNKNOWN_QUANTITY}
    assert len({r.message for r in found.rejections}) == len(found.rejections)


def test_the_recorded_pack_of_senml_is_the_same_in_json_and_cbor_and_no_xml() -> None:
    as_json, as_cbor, as_xml = (
        decoded(raw("senml", recorded(f"senml_pack.{kind}"))) for kind in ("json", "cbor", "xml")
    )
    assert reasons(as_json) == [why.UNKNOWN_SENSOR]
    assert as_json.rejections[0].source == "base-name"
    assert reasons(as_cbor) == reasons(as_json)
    assert reasons(as_xml) == [why.MALFORMED]


# -- each format --------------------------------------------------------------------------------------------------------------

GAS = [{"bn": "gas-1:", "bt": 1_795_399_990, "n": "gas_concentration", "u": "%VOL", "v": 0.5}]
STATION = "QN=20261123100000000;ST=51;CN=2011;PW=1;MN=DUST-7;Flag=5;"
ONE_OF_EACH: list[tuple[Message, list[tuple[str, str, float]]]] = [
    (raw("senml", GAS), [("gas-1", "gas_concentration", 10.0)]),
    (
        raw("senml", cbor2.dumps([{-2: "gas-1:", 0: "gas_concentration", 1: "%VOL", 2: 0.5}])),
        [("gas-1", "gas_concentration", 10.0)],
    ),
    (message("zigbee2mqtt/temp", {"temperature": 21.5, "humidity": 40}), [("room-1", "temperature", 21.5)]),
    (message("zigbee2mqtt/temp/availability", b"offline"), [("room-1", "online", 0.0)]),
    (message("zigbee2mqtt/temp/availability", {"state": "online"}), [("room-1", "online", 1.0)]),
    (
        raw("tasmota", {"Time": "2026-11-23T10:00:00", "SI7021": {"Temperature": 77}, "TempUnit": "F"}, "room-1"),
        [("room-1", "temperature", 25.0)],
    ),
    (raw("tasmota/tele/x/LWT", b"Offline", "room-1"), [("room-1", "online", 0.0)]),
    (message("application/1/device/2/event/up", chirpstack({"distance_cm": 12})), [("gauge-1", "water_depth", 0.12)]),
    (
        message("application/1/device/2/event/up", {"devEUI": "AQIDBAUGB4g=", "objectJSON": '{"distance_cm": 12}'}),
        [("gauge-1", "water_depth", 0.12)],
    ),
    (
        message("v1.1/Datastreams(5)/Observations", {"result": 1, "phenomenonTime": "2026-11-23T10:00:00+08:00"}),
        [("gauge-1", "water_depth", 0.3048)],
    ),
    (message("v1.1/Observations", {"result": 2, "Datastream": {"@iot.id": 5}}), [("gauge-1", "water_depth", 0.6096)]),
    (raw("sensor_things/Datastreams('noise')/Observations", {"result": 61}, "gauge-2"), [("gauge-2", "noise", 61.0)]),
    (
        message("hj212/DUST-7", hj212.build(STATION + "CP=&&a34002-Rtd=0.085&&")),
        [("DUST-7", "pm10", 85.0)],
    ),
]


@pytest.mark.parametrize(("sent", "expected"), ONE_OF_EACH)
def test_every_format_becomes_readings_in_the_units_of_the_catalogue(
    sent: Message, expected: list[tuple[str, str, float]]
) -> None:
    found = decoded(sent)
    assert rows(found) == expected
    assert found.rejections == []


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (raw("morse", b"..."), why.UNKNOWN_FORMAT),
        (raw("senml", b"x" * (LARGEST_PAYLOAD + 1)), why.OVERSIZED),
        (raw("senml", [{"n": "gas-1:gas_concentration", "v": 1}] * 1001), why.OVERSIZED),
        (raw("senml", {"n": "gas-1:gas_concentration", "v": 1}), why.WRONG_TYPE),
        (raw("senml", [{"bn": "gas-1:", "n": "gas_concentration", "v": 1, "vb": True}]), why.WRONG_TYPE),
        (raw("senml", [{"bn": "gas-1:", "n": "gas_concentration"}]), why.WRONG_TYPE),
        (raw("senml", [{"bn": "gas-1:", "n": "gas_concentration", "v": 1, "new_": 1}]), why.WRONG_TYPE),
        (raw("senml", [{"bver": 64, "n": "gas-1:gas_concentration", "v": 1}]), why.WRONG_TYPE),
        (raw("senml", [{"n": ":x", "v": 1}]), why.WRONG_TYPE),
        (raw("senml", [{"bn": "gas-1:", "n": "gas_concentration", "v": 1, "u": "s"}]), why.BAD_UNIT),
        (raw("senml", [{"bn": "gas-1:", "n": "colour", "v": 1}]), why.UNKNOWN_QUANTITY),
        (raw("senml", [{"bn": "far-1:", "n": "noise", "v": 1}]), why.WRONG_COUNTY),
        (raw("senml", [{"bn": "gas-1:", "n": "gas_concentration", "v": 1}], "gauge-1"), why.WRONG_SOURCE),
        (raw("senml", b"\x81" * 5000), why.MALFORMED),  # lists in lists
        (raw("senml", b"\x9b" + b"\xff" * 8), why.MALFORMED),  # a list that says it is endless
        (raw("senml", b"\x81\xa1\x02\xc2\x58\x40" + b"\xff" * 64), why.MALFORMED),  # a number of 64 bytes
        (raw("senml", b"\xd8\x1c\x81\xd8\x1d\x00"), why.MALFORMED),  # a list that holds itself
        (raw("senml", b'<!DOCTYPE a [<!ENTITY b "cc"><!ENTITY c "&b;&b;">]><sensml>&c;</sensml>'), why.MALFORMED),
        (message("zigbee2mqtt/temp", b"[" * 100_000), why.MALFORMED),
        (message("zigbee2mqtt/temp", b"[1]"), why.WRONG_TYPE),
        (message("zigbee2mqtt/temp", {"temperature": "hot"}), why.WRONG_TYPE),
        (message("zigbee2mqtt/temp", {str(i): i for i in range(1001)}), why.OVERSIZED),
        (message("zigbee2mqtt/temp", b'{"temperature": 1e999}'), why.NOT_A_NUMBER),
        (message("zigbee2mqtt/temp", {"temperature": 20, "last_seen": "yesterday"}), why.BAD_TIME),
        (message("zigbee2mqtt/temp/availability", b"perhaps"), why.MALFORMED),
        (message("application/1/device/2/event/up", chirpstack({})), why.UNDECODED),
        (message("application/1/device/2/event/up", chirpstack({"a": 1}, deviceInfo={"devEui": "?"})), why.WRONG_TYPE),
        (message("v3/a/devices/b/up", {"end_device_ids": {}}), why.WRONG_TYPE),
        (message("v1.1/Things", {"name": "a"}), why.BAD_TOPIC),
        (message("v1.1/Observations", {"result": 1}), why.WRONG_TYPE),
        (message("v1.1/Datastreams(5)/Observations", {"result": [1]}), why.WRONG_TYPE),
        (message("hj212/DUST-7", b"##0003abc0000"), why.BAD_CHECKSUM),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(sent: Message, expected: str) -> None:
    found = decoded(sent)
    assert reasons(found) == [expected]
    assert rows(found) == []


def test_a_refusal_names_the_source_and_its_county() -> None:
    found = decoded(raw("senml", [{"bn": "gas-9:", "n": "gas_concentration", "v": 1}]))
    assert [(r.county, r.source) for r in found.rejections] == [(COUNTY, "gas-9")]


def test_who_has_an_account_of_its_own_may_call_itself_what_it_likes() -> None:
    found = decoded(raw("senml", [{"bn": "urn:dev:mac:0024befffe804ff1:", "n": "noise", "v": 60}], "gauge-2"))
    assert rows(found) == [("gauge-2", "noise", 60.0)]


def test_one_bad_field_spoils_nothing_beside_it() -> None:
    pack = [
        {"bn": "gauge-1:", "n": "noise", "v": 60},
        {"n": "water_depth", "u": "kg", "v": 1},
        {"n": "fog", "v": 1},
        {"n": "mist", "v": 2},
    ]
    found = decoded(raw("senml", pack))
    assert rows(found) == [("gauge-1", "noise", 60.0)]
    assert reasons(found) == [why.BAD_UNIT, why.UNKNOWN_QUANTITY]
    assert "fog" in found.rejections[1].detail
    assert "mist" in found.rejections[1].detail


def test_a_gateway_with_many_strangers_is_kept_a_few_times_only() -> None:
    found = decoded(raw("senml", [{"n": f"stranger-{i}:noise", "v": i} for i in range(500)]))
    assert len(found.rejections) == 20
    assert "480 more" in found.rejections[-1].detail


# -- time ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "at_s", "flags"),
    [
        ({}, NOW, NO_TIME),
        ({"t": NOW - 10}, NOW - 10, 0),
        ({"t": -10}, NOW - 10, 0),  # relative to now
        ({"t": NOW + 299}, NOW + 299, 0),
        ({"t": NOW + 301}, NOW + 301, AHEAD),
        ({"t": NOW - 3601}, NOW - 3601, LATE),
    ],
)
def test_device_time_is_kept_and_marked_when_odd(record: dict[str, float], at_s: float, flags: int) -> None:
    found = decoded(raw("senml", [{"bn": "gauge-1:", "n": "noise", "v": 60} | record]))
    assert found.batch.at.view("i8").tolist() == [round(at_s * 1e6)]
    assert found.batch.received_at.view("i8").tolist() == [NOW_US]
    assert found.batch.flags.tolist() == [flags]


def test_a_value_that_its_station_calls_faulty_is_kept_and_marked() -> None:
    frame = hj212.build(STATION + "CP=&&a34002-Rtd=-1,a34002-Flag=M&&")
    found = decoded(message("hj212/DUST-7", frame))
    assert found.batch.flags.tolist() == [FAULTY | OUT_OF_RANGE]


# -- only once ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [sent for sent, _ in ONE_OF_EACH])
def test_what_is_sent_again_is_counted_and_not_stored(sent: Message) -> None:
    memory = Memory()
    first = decoded(sent, memory=memory)
    memory.remember(first.keys, NOW)
    again = decoded(sent_again(sent), memory=memory)
    assert rows(again) == []
    assert again.repeated == len(rows(first)) > 0


def test_equal_values_without_time_or_id_are_two_readings_unless_sent_again() -> None:
    warm = message("zigbee2mqtt/temp", {"temperature": 21.5})
    assert len(rows(decoded(warm, warm))) == 2


def test_a_field_that_was_unknown_is_added_when_the_message_comes_again() -> None:
    memory = Memory()
    uplink = chirpstack({"distance_cm": 12, "noise": 60})
    known = decoded(
        message("application/1/device/2/event/up", {**uplink, "object": {"distance_cm": 12}}), memory=memory
    )
    memory.remember(known.keys, NOW)
    mended = decoded(message("application/1/device/2/event/up", uplink, duplicate=True), memory=memory)
    assert rows(mended) == [("gauge-1", "noise", 60.0)]


def test_native_and_other_messages_of_a_batch_keep_their_order() -> None:
    other = message("zigbee2mqtt/temp", {"temperature": 21.5})
    found = decoded(
        message(TOPIC, depth(0.1)), other, message(TOPIC, b"{"), raw("morse", b""), message(TOPIC, depth(0.2)), other
    )
    assert [sensor for sensor, _, _ in rows(found)] == ["gauge-1", "room-1", "gauge-1", "room-1"]
    assert found.batch.message.tolist() == [0, 1, 4, 5]
    assert [(r.message, r.reason) for r in found.rejections] == [(2, why.MALFORMED), (3, why.UNKNOWN_FORMAT)]
    assert len(found.keys) == 3  # what has neither time nor id is known by its bytes
