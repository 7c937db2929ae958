"""Ranges of readings over HTTP: whose, how, in pages, and as one table however long it is."""

from __future__ import annotations

import csv
import io
import math
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from command_center.retention import keep_hours
from ingest.partition_store import ensure_partitions
from ingest.reading import AHEAD, LATE, OUT_OF_RANGE, ReadingBatch
from ingest.reading_range import BadRange, step_for
from ingest.store import save_readings
from tests.conftest import Database
from tests.running_city import RunningCity, running_city
from tests.small_city import CITY, COUNTIES, cell_code

A, B, _ = COUNTIES
NOW = datetime.now(UTC).replace(microsecond=0)
MANY = 300_000


@pytest.fixture(scope="module")
def running(module_database: Database) -> Iterator[RunningCity]:
    with running_city(module_database) as found:
        depth = found.city.catalogue.quantities["water_depth"].n
        rows = []
        # Every ten minutes for three days, sensor 2 beside sensor 1, sensor 3 in the next county.
        for n in range(1, 3 * 144):
            at = NOW - timedelta(minutes=10 * n)
            rows += [(sensor, depth, (n % 7) / 10 + sensor, at, at, n, 0) for sensor in (1, 2, 3)]
        hour_ago, yesterday = NOW - timedelta(hours=1), NOW - timedelta(days=1)
        rows += [
            (1, depth, 77.0, NOW - timedelta(days=2, minutes=5), hour_ago, 9001, LATE),
            (1, depth, 88.0, NOW + timedelta(days=20), yesterday, 9002, AHEAD),
            (1, depth, -999.0, yesterday, yesterday, 9003, OUT_OF_RANGE),
        ]
        with found.engine.begin() as connection:
            ensure_partitions(connection, NOW - timedelta(days=4), 4)
            save_readings(connection, batch_of(rows), np.zeros(len(rows), dtype="i4"))
            mark = (NOW - timedelta(days=5)).replace(minute=0, second=0)
            connection.execute(text("UPDATE reading_marks SET at = :at WHERE name = 'hours'"), {"at": mark})
        keep_hours(found.engine, NOW)
        yield found


def batch_of(rows: list[tuple[Any, ...]]) -> ReadingBatch:
    def us(at: datetime) -> int:
        return int(at.timestamp()) * 1_000_000

    nan = math.nan
    return ReadingBatch.of([(s, q, v, us(at), us(got), k, f, nan, nan, 0, 0) for s, q, v, at, got, k, f in rows])


def ask(running: RunningCity, code: str, tail: str = "", **query: Any) -> Any:
    answer = running.console(code).get(f"/api/v1/readings{tail}?{urlencode(query)}")
    assert answer.status == 200, answer.content
    return answer.json if not tail else answer.content


def every(running: RunningCity, code: str, **query: Any) -> list[dict[str, Any]]:
    items, cursor = [], {}
    while True:
        page = ask(running, code, **query, **cursor)
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = {"cursor": page["next"]}


def before(**ago: float) -> str:
    return (NOW - timedelta(**ago)).isoformat()


def test_pages_hold_every_value_of_the_range_once_newest_first(running: RunningCity) -> None:
    items = every(running, A, sensor="water-1", since=before(hours=26), until=before(hours=20), limit=7)
    assert [item["at"] for item in items] == sorted((item["at"] for item in items), reverse=True) or items
    assert len(items) == 36 + 2
    # A clock that is ahead lies where it was received.
    [ahead] = [item for item in items if item["value"] == 88.0]
    assert ahead["flags"] == AHEAD
    assert [item["value"] for item in items if item["flags"] == 0] == [
        pytest.approx((n % 7) / 10 + 1) for n in range(121, 157)
    ]
    [late] = every(running, A, sensor="water-1", since=before(days=2, minutes=6), until=before(days=2, minutes=4))
    assert (late["value"], late["flags"]) == (77.0, LATE)


def test_hours_that_are_stored_and_hours_that_are_not_yet_join_without_a_seam(running: RunningCity) -> None:
    values = every(running, A, sensor="water-1", since=before(days=3), until=before(hours=-1), step="raw", limit=500)
    hours = every(running, A, sensor="water-1", since=before(days=3), until=before(hours=-1), step="hour", limit=10)
    for hour in hours:
        begin = datetime.fromisoformat(hour["at"])
        kept = [
            v["value"]
            for v in values
            if begin <= _lies(v) < begin + timedelta(hours=1) and not v["flags"] & OUT_OF_RANGE
        ]
        assert (hour["count"], hour["min"], hour["max"]) == (len(kept), min(kept), max(kept))
        assert hour["mean"] == pytest.approx(sum(kept) / len(kept))
    assert sum(hour["count"] + hour["left_out"] for hour in hours) == len(values)
    days = every(running, A, sensor="water-1", since=before(days=3), until=before(hours=-1), step="day")
    assert 3 <= len(days) <= 5
    assert all(day["at"].endswith("T00:00:00+08:00") or day["at"].endswith("T16:00:00+00:00") for day in days)
    assert max(day["max"] for day in days) == 88.0
    assert min(day["min"] for day in days) == 1.0, "what lies outside the plausible range is no minimum"


def _lies(item: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(item["received_at" if item["flags"] & AHEAD else "at"])


def test_the_span_chooses_how_a_range_is_given_and_the_answer_says_so(running: RunningCity) -> None:
    assert ask(running, A, sensor="water-1")["step"] == "raw"
    assert ask(running, A, sensor="water-1", since=before(days=9))["step"] == "hour"
    assert ask(running, A, region=A)["step"] == "hour"
    assert ask(running, CITY, region=CITY, since=before(days=40))["step"] == "day"
    refused = running.console(CITY).get(f"/api/v1/readings?region={CITY}&step=raw&since=2020-01-01T00:00:00Z")
    assert (refused.status, refused.json["title"]) == (422, "Range not given like that")
    for query in ("", "sensor=water-1&region=321300", "sensor=water-1&step=week", "sensor=water-1&since=yesterday"):
        assert running.console(A).get(f"/api/v1/readings?{query}").status == 422, query


def test_a_cell_and_a_region_are_those_sensors_of_theirs_that_the_account_may_see(running: RunningCity) -> None:
    wanted = {"step": "hour", "since": before(hours=5), "limit": 500}
    assert {item["sensor"] for item in every(running, A, cell=cell_code(0), **wanted)} == {"water-1", "water-2"}
    assert {item["sensor"] for item in every(running, CITY, region=CITY, **wanted)} == {
        "water-1",
        "water-2",
        "water-far",
    }
    assert {item["sensor"] for item in every(running, A, region=CITY, **wanted)} == {"water-1", "water-2"}
    for other in ({"sensor": "water-far"}, {"cell": cell_code(1)}, {"region": B}, {"region": "nowhere"}):
        assert every(running, A, **other, **wanted) == []
        assert len(ask(running, A, "/export.csv", **other, step="raw").splitlines()) == 1
    assert every(running, A, sensor="water-1", quantity="noise", **wanted) == []


@given(
    seconds=st.integers(0, 400 * 86_400), wanted=st.sampled_from([None, "raw", "hour", "day"]), one_sensor=st.booleans()
)
def test_a_page_never_has_to_be_sorted_out_of_more_than_a_day_of_many_sensors(
    seconds: int, wanted: Any, one_sensor: bool
) -> None:
    span = timedelta(seconds=seconds)
    try:
        step = step_for(wanted, span, one_sensor)
    except BadRange:
        assert wanted == "raw"
        assert not one_sensor
    else:
        assert wanted in (None, step)
        assert step != "raw" or one_sensor or span <= timedelta(days=1)


# -- the table -------------------------------------------------------------------------------------------------------------


def test_the_table_has_a_head_the_citys_times_and_a_mark_for_spreadsheets_when_it_is_wanted(
    running: RunningCity,
) -> None:
    range_ = {"sensor": "water-1", "since": before(hours=3), "until": before(hours=0)}
    plain = ask(running, A, "/export.csv", **range_)
    marked = ask(running, A, "/export.csv", **range_, bom=True)
    assert marked == b"\xef\xbb\xbf" + plain
    rows = list(csv.DictReader(io.StringIO(plain.decode())))
    assert list(rows[0]) == ["sensor", "quantity", "unit", "at", "value", "flags", "received_at"]
    assert len(rows) == 18
    assert rows[0]["at"].endswith("+08:00")
    assert [datetime.fromisoformat(row["at"]) for row in rows] == [
        NOW - timedelta(minutes=10 * n) for n in range(18, 0, -1)
    ]
    hours = list(csv.DictReader(io.StringIO(ask(running, A, "/export.csv", **range_, step="hour").decode())))
    assert list(hours[0])[3:] == ["hour", "readings", "left_out", "lowest", "highest", "mean", "last"]


def resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def pid_of(url: str) -> int:
    """The web process that listens at an address."""
    wanted = f"CC_HTTP_PORT={urlsplit(url).port}".encode()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                return int(folder.name)
        except OSError:
            continue
    raise AssertionError("the web process is not to be found")


def test_a_long_table_takes_no_memory_and_waits_for_a_slow_reader_while_others_are_answered(
    running: RunningCity,
) -> None:
    pid = pid_of(running.url)
    with running.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO readings SELECT at, at, 2, 1, 0.1, n, 0, 0 FROM (SELECT n,"
                " CAST(:first AS timestamptz) + n * interval '0.1 second' AS at FROM generate_series(1, :many) n) s"
            ),
            {"first": NOW - timedelta(hours=70), "many": MANY},
        )
    target = urlsplit(running.url)
    query = urlencode({"sensor": "water-2", "step": "raw", "since": before(hours=70), "until": before(hours=60)})
    request = f"GET /api/v1/readings/export.csv?{query} HTTP/1.0\r\nCookie: {running.console(A).cookie}\r\n\r\n"
    with socket.create_connection((str(target.hostname), int(target.port or 0))) as reader:
        reader.sendall(request.encode())
        taken = reader.recv(1000)
        time.sleep(1)
        waiting_kb = resident_kb(pid)
        assert running.console(A).get("/api/v1/sensors").status == 200
        parts = [taken]
        while part := reader.recv(1 << 20):
            parts.append(part)
    done_kb = resident_kb(pid)
    answer = b"".join(parts)
    lines = answer.split(b"\r\n\r\n", 1)[1].splitlines()
    assert len(lines) == MANY + 60 + 1
    # Nothing of its twenty megabytes stays behind, whoever reads slowly or fast.
    assert len(answer) > 20_000_000
    assert abs(done_kb - waiting_kb) < 8_000


def test_who_leaves_in_the_middle_leaves_nothing_behind(running: RunningCity) -> None:
    target = urlsplit(running.url)
    query = urlencode({"sensor": "water-2", "step": "raw", "since": before(hours=70)})
    request = f"GET /api/v1/readings/export.csv?{query} HTTP/1.0\r\nCookie: {running.console(A).cookie}\r\n\r\n"
    for _ in range(6):
        with socket.create_connection((str(target.hostname), int(target.port or 0))) as reader:
            reader.sendall(request.encode())
            assert reader.recv(100).startswith(b"HTTP/1.1 200")
        for _ in range(100):
            if (
                running.console(A)
                .get(f"/api/v1/readings/export.csv?sensor=water-1&since={before(hours=1)[:19]}Z")
                .status
                == 200
            ):
                break
            time.sleep(0.1)
        else:
            raise AssertionError("an export that was left still counts")
