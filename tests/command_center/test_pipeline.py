"""The path: from messages to what is committed, on a real database."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from sqlalchemy import Engine, text

from command_center.city import City, load_city
from command_center.heartbeat import beat
from command_center.pipeline import Memory, Outcome, advance, remember, save_latest
from command_center.schedule import fire_deadlines
from command_center.ticket.store import load_steps, load_tickets
from command_center.ticket.ticket import Status, fold
from config.database import worker_engine
from gis.datum import Datum, convert
from ingest.message import Message
from ingest.reading import NO_TIME, OUTSIDE_CITY
from tests.conftest import Database
from tests.small_city import SmallCity, build, cell_code

_CAMERA_SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "camera" / "frigate_mqtt_payloads.json"


class Bench:
    """The worker's path without its processes: messages go in, the database is looked at."""

    def __init__(self, database: Database) -> None:
        self.small: SmallCity = build(database)
        self.engine: Engine = worker_engine(database.worker_url)
        self.restart()

    def restart(self) -> None:
        """Forget everything that is not in the database."""
        with self.engine.connect() as connection:
            self.city: City = load_city(connection, "suqian", ZoneInfo("Asia/Shanghai"), datetime.now(UTC))
            self.memory: Memory = remember(connection, self.city, time.time())

    def send(self, *messages: Message) -> Outcome:
        return advance(messages, self.city, self.memory, self.engine, time.time())

    def rows(self, sql: str, **values: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(sql), values))


@pytest.fixture
def bench(database: Database) -> Iterator[Bench]:
    made = Bench(database)
    yield made
    made.engine.dispose()


def reading(sensor: str, values: dict[str, Any], county: str = "321302", **more: Any) -> Message:
    """A native reading as the door hands it on."""
    body = {"id": f"{sensor}-{time.time_ns()}", "values": values} | more
    duplicate = bool(body.pop("duplicate", False))
    return Message(f"cc/v1/{county}/{sensor}/reading", json.dumps(body).encode(), time.time(), duplicate)


def test_a_deep_reading_becomes_one_alert_one_incident_and_one_ticket_at_the_city(bench: Bench) -> None:
    bench.send(reading("water-1", {"water_depth": 0.31}))
    [alert] = bench.rows("SELECT rule, severity, value, cell FROM alerts")
    assert (alert.rule, alert.severity, alert.value, alert.cell) == ("road-waterlogging", 4, 0.31, cell_code(0))
    [ticket] = bench.rows("SELECT status, tier, severity, cell, source, title FROM tickets")
    assert (ticket.status, ticket.tier, ticket.severity) == ("filed", "city", 4)
    assert (ticket.cell, ticket.source) == (cell_code(0), "water-1")
    assert "0.31 m" in ticket.title


def test_a_repeated_message_is_stored_once_and_opens_one_ticket(bench: Bench) -> None:
    message = reading("water-1", {"water_depth": 0.31})
    bench.send(message, message)
    bench.send(message)
    bench.restart()
    outcome = bench.send(message)
    assert outcome.counts["repeated"] == 1
    assert len(bench.rows("SELECT FROM readings")) == 1
    assert len(bench.rows("SELECT FROM tickets")) == 1


def test_a_repeat_older_than_memory_reaches_is_found_in_the_database(bench: Bench) -> None:
    old = reading("water-1", {"water_depth": 0.31}, at=int((time.time() - 1800) * 1000))
    bench.send(old)
    bench.memory.decode.keys.clear()
    outcome = bench.send(old)
    assert outcome.counts["repeated"] == 1
    assert len(bench.rows("SELECT FROM readings")) == 1


def test_the_newest_value_by_the_device_s_clock_is_the_latest_however_readings_are_ordered_and_cut(
    bench: Bench,
) -> None:
    now_ms = int(time.time() * 1000)

    def at(later_ms: int, value: float) -> Message:
        return reading("gas-1", {"gas_concentration": value}, county="321322", at=now_ms + later_ms)

    def latest() -> Any:
        save_latest(bench.memory, bench.city, bench.engine)
        return bench.rows("SELECT latest, last_received_at FROM sensors WHERE id = 'gas-1'")[0]

    bench.send(at(-3000, 1.0), at(-1000, 3.0), at(-2000, 2.0))
    bench.send(at(-1500, 2.5), reading("gas-1", {"noise": 50.0}, county="321322", at=now_ms))
    first = latest()
    assert {name: told["value"] for name, told in first.latest.items()} == {"gas_concentration": 3.0, "noise": 50.0}
    bench.send(at(-500, 3.5), at(-500, 4.0), at(-7_200_000, 9.0))
    second = latest()
    assert {name: told["value"] for name, told in second.latest.items()} == {"gas_concentration": 4.0, "noise": 50.0}
    assert second.last_received_at > first.last_received_at


def test_two_gauges_on_one_flooded_road_share_one_ticket(bench: Bench) -> None:
    bench.send(reading("water-1", {"water_depth": 0.20}), reading("water-2", {"water_depth": 0.21}))
    [incident] = bench.rows("SELECT signals, version FROM incidents")
    assert incident.signals == 2
    assert len(bench.rows("SELECT FROM tickets")) == 1
    assert len(bench.rows("SELECT FROM incident_signals")) == 2


def test_the_same_matter_in_another_county_is_another_ticket(bench: Bench) -> None:
    bench.send(reading("water-1", {"water_depth": 0.2}), reading("water-far", {"water_depth": 0.2}, county="321322"))
    assert len(bench.rows("SELECT FROM tickets")) == 2


def test_rising_water_makes_the_same_ticket_graver_and_takes_it_up_by_a_visible_step(bench: Bench) -> None:
    bench.send(reading("water-1", {"water_depth": 0.18}))
    bench.send(reading("water-1", {"water_depth": 0.31}))
    [ticket] = bench.rows("SELECT id, severity, version, tier, title FROM tickets")
    assert (ticket.severity, ticket.version, ticket.tier) == (4, 2, "city")
    assert "0.31" in ticket.title
    assert [r.move for r in bench.rows("SELECT move FROM ticket_steps ORDER BY version")] == ["file", "raise"]


def test_the_row_of_a_ticket_is_the_fold_of_its_steps(bench: Bench) -> None:
    bench.send(reading("water-1", {"water_depth": 0.18}))
    bench.send(reading("water-1", {"water_depth": 0.31}))
    [(identity,)] = bench.rows("SELECT id FROM tickets")
    with bench.engine.begin() as connection:
        ticket = load_tickets(connection, [identity])[identity]
        assert fold(ticket.place, load_steps(connection, identity)) == ticket


def test_an_alert_ends_on_the_good_side_of_its_clear_value_and_not_before(bench: Bench) -> None:
    bench.send(reading("water-1", {"water_depth": 0.2}))
    bench.send(reading("water-1", {"water_depth": 0.14}))
    assert bench.rows("SELECT ended_at FROM alerts")[0].ended_at is None
    bench.restart()
    bench.send(reading("water-1", {"water_depth": 0.02}))
    assert bench.rows("SELECT ended_at FROM alerts")[0].ended_at is not None


def test_a_historical_reading_is_stored_but_alerts_nobody(bench: Bench) -> None:
    bench.send(reading("water-1", {"water_depth": 0.9}, at=int((time.time() - 7200) * 1000)))
    assert len(bench.rows("SELECT FROM readings")) == 1
    assert bench.rows("SELECT FROM alerts") == []


BAD = {
    "malformed": b"{not json",
    "not_a_number": b'{"id": "n", "values": {"water_depth": NaN}}',
    "wrong_type": b'{"id": "t", "values": {"water_depth": "deep"}}',
    "oversized": b'{"values": {"water_depth": 1}, "pad": "' + b"x" * 300_000 + b'"}',
    "unknown_quantity": b'{"id": "q", "values": {"depth_of_field": 1}}',
    "bad_time": b'{"id": "b", "at": "yesterday", "values": {"water_depth": 0.1}}',
}


def test_every_kind_of_bad_message_is_kept_with_its_reason_and_the_good_one_beside_it_is_stored(bench: Bench) -> None:
    bad = [Message("cc/v1/321302/water-1/reading", payload, time.time()) for payload in BAD.values()]
    unknown = reading("nobody-1", {"water_depth": 0.1})
    elsewhere = reading("water-1", {"water_depth": 0.1}, county="321322")
    outcome = bench.send(*bad, unknown, reading("water-1", {"water_depth": 0.05}), elsewhere)
    kept = {
        row.reason: row for row in bench.rows("SELECT reason, detail, size, length(payload) AS kept FROM quarantine")
    }
    assert set(kept) == {*BAD, "unknown_sensor", "wrong_county"}
    assert all(row.detail for row in kept.values())
    assert kept["oversized"].size > 300_000 > kept["oversized"].kept
    assert [row.value for row in bench.rows("SELECT value FROM readings")] == [0.05]
    assert all(outcome.counts[f"rejected_{reason}"] == 1 for reason in kept)


def test_a_county_sees_what_was_rejected_in_its_name_and_no_other(bench: Bench) -> None:
    bench.send(reading("nobody-1", {"water_depth": 0.1}, county="321322"))
    [row] = bench.rows("SELECT scope FROM quarantine")
    assert row.scope == bench.small.region("321322").scope


def test_a_moving_sensor_is_put_on_the_cell_it_stands_in(bench: Bench) -> None:
    lng, lat = bench.small.centre(cell_code(1, 2, 1, 3))
    bench.send(reading("vehicle-1", {"link_speed": 40.0}, lng=lng, lat=lat))
    bench.send(reading("vehicle-1", {"link_speed": 40.0}, lng=118.3, lat=34.0))
    found = bench.rows(
        "SELECT c.code, r.flags FROM readings r LEFT JOIN cells c ON c.n = r.cell ORDER BY r.received_at"
    )
    assert [(row.code, row.flags) for row in found] == [
        (cell_code(1, 2, 1, 3), NO_TIME),
        (None, NO_TIME | OUTSIDE_CITY),
    ]


MISPLACED = {
    "null_island": ((0.0, 0.0), "no fix"),
    "swapped_axes": ((34.015, 118.005), "exchanged"),
    "far_outside": ((117.2, 34.26), "km from the nearest cell"),
    "outside_city": ((218.0, 34.0), "not on the earth"),
}


def speed(identity: str, at: tuple[float, float], **more: Any) -> dict[str, Any]:
    """One observation of a vehicle, as an object of a payload."""
    return {"id": identity, "values": {"link_speed": 40.0}, "lng": at[0], "lat": at[1]} | more


def listed(*objects: dict[str, Any], county: str = "321302") -> Message:
    """A vehicle's observations as one message."""
    return Message(f"cc/v1/{county}/vehicle-1/reading", json.dumps(objects).encode(), time.time())


@pytest.mark.parametrize("reason", MISPLACED)
def test_a_position_that_cannot_be_right_is_kept_with_its_reason_and_its_values_are_not_used(
    bench: Bench, reason: str
) -> None:
    position, sentence = MISPLACED[reason]
    outcome = bench.send(listed(speed("a", position)))
    [row] = bench.rows("SELECT reason, detail, source, scope, payload FROM quarantine")
    assert (row.reason, row.source, row.scope) == (reason, "vehicle-1", bench.small.region("321302").scope)
    assert sentence in row.detail
    assert json.loads(bytes(row.payload)) == [speed("a", position)]
    assert (outcome.counts[f"rejected_{reason}"], outcome.counts["readings"]) == (1, 0)
    assert bench.rows("SELECT FROM readings") == bench.rows("SELECT FROM reading_positions") == []
    assert bench.rows("SELECT latest FROM sensors WHERE id = 'vehicle-1'")[0].latest == {}


def test_of_a_list_only_the_objects_with_a_bad_position_are_refused_and_the_receipt_says_which(bench: Bench) -> None:
    here = bench.small.centre(cell_code(1, 2, 1, 3))
    objects = [speed("good", here, ack=True), {"id": "still", "values": {"link_speed": 7.0}}]
    objects += [speed(reason, position) for reason, (position, _) in MISPLACED.items()]
    outcome = bench.send(listed(*objects, speed("beside", (118.3, 34.0))), reading("water-1", {"water_depth": 0.05}))
    assert {row.reason for row in bench.rows("SELECT reason FROM quarantine")} == set(MISPLACED)
    assert len(bench.rows("SELECT FROM readings")) == 4
    [reply] = outcome.replies
    told = json.loads(reply.payload)
    assert (told["stored"], told["ids"]) == (3, ["good", "still", "beside"])
    assert [refused["reason"] for refused in told["rejected"]] == list(MISPLACED)
    assert all(refused["detail"] for refused in told["rejected"])


def test_a_bad_position_far_down_a_large_batch_is_kept_with_its_own_message(bench: Bench) -> None:
    here = bench.small.centre(cell_code())
    many = [listed(speed(str(n), here)) for n in range(600)]
    many[100], many[599] = listed(speed("early", (0.0, 0.0))), listed(speed("late", (34.015, 118.005)))
    bench.send(*many)
    rows = bench.rows("SELECT reason, payload FROM quarantine ORDER BY id")
    assert [(row.reason, json.loads(bytes(row.payload))[0]["id"]) for row in rows] == [
        ("null_island", "early"),
        ("swapped_axes", "late"),
    ]
    assert len(bench.rows("SELECT FROM reading_positions")) == 598


def test_an_observation_comes_again_once_its_position_is_right_even_in_the_same_batch(bench: Bench) -> None:
    here = bench.small.centre(cell_code())
    outcome = bench.send(listed(speed("a", (0.0, 0.0), ack=True)), listed(speed("a", here, ack=True)))
    assert [json.loads(reply.payload)["ids"] for reply in outcome.replies] == [[], ["a"]]
    assert len(bench.rows("SELECT FROM readings")) == 1
    again = bench.send(listed(speed("a", (0.0, 0.0))))
    assert (again.counts["repeated"], again.counts["rejected_null_island"]) == (1, 0)


def test_the_position_as_sent_is_kept_beside_the_one_that_is_used(bench: Bench) -> None:
    lng, lat = bench.small.centre(cell_code(1, 2, 1, 3))
    sent = tuple(float(degrees) for degrees in convert(lng, lat, Datum.CGCS2000, Datum.BD09))
    both = {"link_speed": 40.0, "online": 1.0}
    bench.send(
        listed(speed("a", (sent[0], sent[1]), datum="BD09", values=both)), reading("water-1", {"water_depth": 0})
    )
    [row] = bench.rows("SELECT p.*, s.id FROM reading_positions p JOIN sensors s ON s.n = p.sensor")
    assert (row.id, row.raw_lng, row.raw_lat, row.datum) == ("vehicle-1", *sent, "BD09")
    assert (row.lng, row.lat) == pytest.approx((lng, lat), abs=1e-9)
    received = bench.rows("SELECT DISTINCT received_at FROM readings WHERE key = :key", key=row.key)
    assert [r.received_at for r in received] == [row.received_at]


def test_a_repeated_message_stores_one_position(bench: Bench) -> None:
    here = bench.small.centre(cell_code())
    message = listed(speed("a", here), speed("b", here))
    bench.send(message, message)
    bench.send(message)
    bench.restart()
    bench.send(message)
    assert len(bench.rows("SELECT FROM reading_positions")) == 2
    # Two equal payloads without id or time are two readings at one place.
    nameless = listed({"values": {"link_speed": 1.0}, "lng": here[0], "lat": here[1]})
    bench.send(nameless, nameless)
    bench.send(nameless)
    assert len(bench.rows("SELECT FROM readings")) == 5
    assert len(bench.rows("SELECT FROM reading_positions")) == 3


def frigate(kind: str, **after: Any) -> Message:
    body = {
        "id": "1.5-abc",
        "camera": "front_door",
        "frame_time": time.time(),
        "label": "person",
        "score": 0.9,
        "top_score": 0.95,
        "false_positive": False,
        "start_time": time.time() - 5,
        "end_time": None,
        "current_zones": ["restricted"],
        "entered_zones": ["restricted"],
    } | after
    payload = json.dumps({"type": kind, "before": body, "after": body}).encode()
    return Message("cc/v1/321302/nvr-1/raw/frigate/events", payload, time.time())


def test_one_tracked_person_in_a_restricted_zone_is_one_ticket_however_often_it_is_reported(bench: Bench) -> None:
    bench.send(frigate("new"), frigate("update"))
    bench.send(frigate("update"))
    bench.restart()
    bench.send(frigate("end", end_time=time.time()))
    [event] = bench.rows("SELECT phase, kind, cell, ended_at FROM camera_events")
    assert (event.phase, event.kind, event.cell) == ("end", "person", cell_code())
    [alert] = bench.rows("SELECT ended_at, source_kind FROM alerts")
    assert alert.ended_at is not None
    assert len(bench.rows("SELECT FROM tickets WHERE source_kind = 'camera'")) == 1


def test_an_alarm_of_a_video_platform_is_one_ticket_however_often_it_is_sent(bench: Bench) -> None:
    body = (
        '<?xml version="1.0" encoding="GB2312"?><Notify><CmdType>Alarm</CmdType><SN>7</SN>'
        "<DeviceID>32130200081326000001</DeviceID><AlarmPriority>2</AlarmPriority><AlarmMethod>5</AlarmMethod>"
        f"<AlarmTime>{datetime.now(ZoneInfo('Asia/Shanghai')):%Y-%m-%dT%H:%M:%S}</AlarmTime>"
        "<AlarmDescription>人员密度超限</AlarmDescription><Info><AlarmType>10</AlarmType></Info></Notify>"
    )
    alarm = Message("cc/v1/321302/wvp-1/raw/gb28181/alarm", body.encode("gb2312"), time.time())
    bench.send(alarm, alarm)
    bench.restart()
    bench.send(alarm)
    [event] = bench.rows("SELECT kind, cell FROM camera_events")
    assert (event.kind, event.cell) == ("density", cell_code())
    [ticket] = bench.rows("SELECT category, source_kind FROM tickets")
    assert (ticket.category, ticket.source_kind) == ("crowd", "camera")


def test_a_late_repeat_of_an_ended_camera_event_raises_nothing(bench: Bench) -> None:
    bench.send(frigate("new"))
    bench.send(frigate("end", end_time=time.time()))
    bench.restart()
    bench.send(frigate("update"))
    assert len(bench.rows("SELECT FROM alerts")) == 1
    assert len(bench.rows("SELECT FROM tickets")) == 1


@pytest.mark.skipif(not _CAMERA_SAMPLES.exists(), reason="the shared camera samples are not beside this checkout")
def test_the_published_frigate_samples_pass_or_are_rejected_with_a_reason(bench: Bench) -> None:
    samples = json.loads(_CAMERA_SAMPLES.read_text("utf-8"))
    tails = {"`frigate/events`": "events", "`frigate/reviews`": "reviews"}
    messages = [
        Message(
            f"cc/v1/321302/nvr-1/raw/frigate/{tails.get(s['topic_heading'], 'tracked_object_update')}",
            json.dumps(s["payload"]).encode(),
            time.time(),
        )
        for s in samples
    ]
    outcome = bench.send(*messages)
    assert outcome.counts["camera_events"] == 1
    assert outcome.counts["rejected_unknown_camera"] == 1
    [event] = bench.rows("SELECT camera, kind FROM camera_events")
    assert (event.camera, event.kind) == ("32130200081326000001", "person")


def test_a_ticket_whose_time_is_up_is_marked_overdue_once(bench: Bench) -> None:
    bench.send(reading("water-1", {"water_depth": 0.31}))
    later = datetime.now(UTC) + timedelta(hours=3)
    for now in (datetime.now(UTC), later):
        assert bench.rows("SELECT overdue_at FROM tickets")[0].overdue_at is None
        fire_deadlines(bench.engine, now, lambda _: bench.city)
    fire_deadlines(bench.engine, later + timedelta(minutes=5), lambda _: bench.city)
    [ticket] = bench.rows("SELECT overdue_at, status FROM tickets")
    assert (ticket.overdue_at, ticket.status) == (later, Status.FILED)
    assert len(bench.rows("SELECT FROM ticket_steps WHERE move = 'overdue'")) == 1


def test_a_sensor_that_speaks_comes_online_and_the_log_says_so_once(bench: Bench) -> None:
    bench.send(reading("water-1", {"water_depth": 0.0}))
    bench.send(reading("water-1", {"water_depth": 0.01}))
    assert bench.rows("SELECT state FROM sensors WHERE id = 'water-1'")[0].state == "online"
    assert [row.id for row in bench.rows("SELECT id FROM event_log WHERE kind = 'sensor'")] == ["water-1"]


def test_a_rejected_camera_message_is_kept_without_the_persons_in_it(bench: Bench) -> None:
    bench.send(frigate("new", camera="elsewhere", sub_label="Zhang San", recognized_license_plate="SU-N12345"))
    bench.send(Message("cc/v1/321302/nvr-1/raw/frigate/events", b"Zhang San {", time.time()))
    rows = bench.rows("SELECT reason, payload, size FROM quarantine ORDER BY id")
    assert [row.reason for row in rows] == ["unknown_camera", "malformed"]
    assert rows[1].size == len(b"Zhang San {")
    assert b"restricted" in bytes(rows[0].payload)
    assert b"Zhang" not in bytes(rows[0].payload) + bytes(rows[1].payload)
    assert b"SU-N" not in bytes(rows[0].payload)


def test_alerts_of_moving_sensors_stand_where_the_readings_were_taken(bench: Bench) -> None:
    for vehicle, cell in (("vehicle-1", cell_code(0, 1, 1, 2)), ("vehicle-1", cell_code(1, 2, 1, 3))):
        lng, lat = bench.small.centre(cell)
        bench.send(reading(vehicle, {"link_speed": 5.0}, lng=lng, lat=lat))
        bench.send(reading(vehicle, {"link_speed": 60.0}, lng=lng, lat=lat))
    lng, lat = bench.small.centre(cell_code(1, 2, 1, 3))
    found = bench.rows("SELECT cell, scope, lng, lat FROM alerts ORDER BY raised_at")
    assert [row.cell for row in found] == [cell_code(0, 1, 1, 2), cell_code(1, 2, 1, 3)]
    assert (found[1].lng, found[1].lat) == pytest.approx((lng, lat))
    assert found[1].scope == bench.small.region(cell_code(1, 2, 1, 3)).scope
    assert len(bench.rows("SELECT FROM incidents")) == 2


def test_a_repeat_that_comes_after_a_long_stop_of_the_worker_is_still_known(bench: Bench) -> None:
    message = reading("water-1", {"water_depth": 0.31})
    bench.send(message)
    with bench.engine.begin() as connection:
        connection.execute(text("UPDATE readings SET received_at = received_at - interval '2 hours'"))
        beat(connection, "worker", datetime.now(UTC), datetime.now(UTC) - timedelta(hours=2), "{}")
    bench.restart()
    assert bench.send(msgspec.structs.replace(message, received_at=time.time())).counts["repeated"] == 1
