"""Rejected messages: listed, counted, held to their bounds, and taken up again once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from command_center.pipeline import advance, save_latest
from command_center.retention import keep_quarantine
from config.settings import Keeping
from ingest.message import Message
from ingest.quarantine import KEPT_BYTES
from ingest.quarantine_store import Overtaken, ask_replay, chosen, take_up
from tests.command_center.test_pipeline import Bench, reading
from tests.conftest import Database
from tests.small_city import CITY, COUNTIES, add_sensor, cell_code

A, B, _ = COUNTIES


@pytest.fixture(scope="module")
def bench(module_database: Database) -> Iterator[Bench]:
    made = Bench(module_database)
    yield made
    made.engine.dispose()


@pytest.fixture
def clean(bench: Bench) -> Bench:
    """The city as it was built, with nothing received."""
    begin_again(bench)
    return bench


def begin_again(bench: Bench) -> None:
    with bench.engine.begin() as connection:
        for table in (
            "readings",
            "quarantine",
            "quarantine_dropped",
            "replays",
            "alerts",
            "incident_signals",
            "stale_hours",
        ):
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("DELETE FROM sensors WHERE n > 100"))
        connection.execute(
            text("UPDATE sensors SET quantities = '{water_depth}', state = 'unknown', latest = '{}', last_received_at = NULL"
                 " WHERE id LIKE 'water-%'")
        )  # fmt: skip
    bench.restart()


def ask(bench: Bench, **which: Any) -> int:
    with bench.engine.begin() as connection:
        return ask_replay(connection, chosen(**which), {}, "somebody", f"{CITY}/", datetime.now(UTC))


def replayed(bench: Bench) -> int:
    """Let the worker take up what was asked for; how many messages that were."""
    count = 0
    while True:
        with bench.engine.begin() as connection:
            messages = take_up(connection, "worker", datetime.now(UTC))
        if not messages:
            return count
        count += len(messages)
        advance(messages, bench.city, bench.memory, bench.engine, time.time())


def kept(bench: Bench) -> list[Any]:
    return bench.rows("SELECT * FROM quarantine ORDER BY id")


def adopt(bench: Bench, name: str, n: int = 101) -> None:
    with bench.engine.begin() as connection:
        add_sensor(connection, bench.small, name, cell_code(), ("water_depth",), n=n)
    bench.restart()


def test_what_an_unknown_sensor_sent_is_stored_at_its_own_receipt_once_it_is_adopted(clean: Bench) -> None:
    sent = reading("newcomer", {"water_depth": 0.02})
    clean.send(sent, sent)
    adopt(clean, "newcomer")
    ask(clean, reason="unknown_sensor")
    assert replayed(clean) == 1, "one message, though it is kept twice"
    [row] = clean.rows("SELECT received_at, at, sensor, value FROM readings")
    assert (row.sensor, row.value) == (101, 0.02)
    assert abs(row.received_at.timestamp() - sent.received_at) < 1e-5
    assert row.at == row.received_at
    assert {(r.outcome, r.replayed_at is None) for r in kept(clean)} == {("stored", False)}
    ask(clean, reason="unknown_sensor")
    assert replayed(clean) == 0, "what is stored is not taken up again"
    assert len(clean.rows("SELECT FROM readings")) == 1
    [first, second] = clean.rows("SELECT messages, outcomes, ended_at IS NULL AS open FROM replays ORDER BY id")
    assert (first.messages, first.outcomes, first.open) == (2, {"stored": 2}, False)
    assert (second.messages, second.outcomes) == (0, {})


def test_of_a_message_that_was_taken_in_part_only_the_rest_is_stored(clean: Bench) -> None:
    body = [
        {"values": {"water_depth": 0.02, "noise": 40}},
        {"values": {"water_depth": 0.03}},
        {"values": {"noise": "x"}},
    ]
    clean.send(Message(f"cc/v1/{A}/water-1/reading", json.dumps(body).encode(), time.time() - 4000))
    assert len(clean.rows("SELECT FROM readings")) == 2
    with clean.engine.begin() as connection:
        connection.execute(text("UPDATE sensors SET quantities = '{water_depth,noise}' WHERE id = 'water-1'"))
    clean.restart()
    for outcome in ("partly", "rejected", "rejected"):
        ask(clean, source="water-1")
        assert replayed(clean) == 1
        assert sorted(r.value for r in clean.rows("SELECT value FROM readings")) == [0.02, 0.03, 40]
        assert {r.outcome for r in kept(clean)} == {outcome}
        assert "wrong_type" in kept(clean)[0].outcome_detail
    assert len(kept(clean)) == 2, "what is rejected again is not kept again"


def test_what_is_old_is_history_it_alerts_nobody_and_says_nothing_of_now(clean: Bench) -> None:
    old = Message(f"cc/v1/{A}/newcomer/reading", b'{"values": {"water_depth": 0.5}}', time.time() - 7200)
    state = Message(f"cc/v1/{A}/newcomer/state", b"online", time.time() - 7200)
    clean.send(old, state)
    adopt(clean, "newcomer")
    ask(clean, source="newcomer")
    assert replayed(clean) == 2
    save_latest(clean.memory, clean.city, clean.engine)
    assert len(clean.rows("SELECT FROM readings WHERE sensor = 101")) == 2
    assert clean.rows("SELECT FROM alerts") == []
    [sensor] = clean.rows("SELECT state, latest FROM sensors WHERE n = 101")
    assert (sensor.state, sensor.latest) == ("unknown", {})
    assert clean.rows("SELECT FROM stale_hours") != []
    assert clean.memory.taken_in_to > (time.time() - 3600) * 1e6


def test_what_was_cut_short_or_kept_by_the_broker_stays_and_says_so(clean: Bench) -> None:
    cut = Message(f"cc/v1/{A}/newcomer/reading", b" " * KEPT_BYTES + b'{"values": {"water_depth": 0.1}}', time.time())
    stale = Message(f"cc/v1/{A}/water-1/reading", b'{"values": {"water_depth": 0.1}}', time.time(), retained=True)
    clean.send(cut, stale)
    number = ask(clean, since=datetime.now(UTC) - timedelta(hours=1))
    assert replayed(clean) == 0
    [(messages, impossible)] = clean.rows("SELECT messages, impossible FROM replays WHERE id = :id", id=number)
    assert (messages, impossible) == (0, 2)
    assert [(row.cut, row.reason, row.replay) for row in sorted(kept(clean), key=lambda row: row.reason)] == [
        (False, "retained", None),
        (True, "unknown_sensor", None),
    ]


def test_two_workers_with_the_same_messages_store_them_once(clean: Bench) -> None:
    clean.send(reading("newcomer", {"water_depth": 0.02}))
    adopt(clean, "newcomer")
    ask(clean, reason="unknown_sensor")
    now = datetime.now(UTC)
    with clean.engine.begin() as connection:
        mine = take_up(connection, "first", now)
        assert take_up(connection, "second", now) == [], "the first one's lease has not ended"
        theirs = take_up(connection, "second", now + timedelta(minutes=5))
    assert [m.payload for m in mine] == [m.payload for m in theirs]
    advance(theirs, clean.city, clean.memory, clean.engine, time.time())
    clean.restart()
    with pytest.raises(Overtaken):
        advance(mine, clean.city, clean.memory, clean.engine, time.time())
    assert len(clean.rows("SELECT FROM readings")) == 1


class Killed(Exception):
    """The worker dies here."""


# Sensors known from the start and later, with ids, times of their own or neither, good and bad values.
body = st.fixed_dictionaries(
    {
        "values": st.sampled_from(
            [{"water_depth": 0.01}, {"water_depth": 0.02, "noise": 3}, {"noise": 4}, {"water_depth": "x"}]
        )
    },
    optional={"id": st.just("its own"), "at": st.sampled_from([-60, -5000])},
)
messages = st.lists(
    st.tuples(
        st.sampled_from(["water-1", "later"]), st.lists(body, min_size=1, max_size=2), st.sampled_from([0, 1, 4000])
    ),
    min_size=1,
    max_size=6,
)


def wire(n: int, one: Any, now: float) -> Message:
    """The n-th message; ``ago`` seconds old."""
    sensor, bodies, ago = one
    received = now - ago - 1 + n / 100
    sent = [
        b
        | ({"at": round((received + b["at"]) * 1000)} if "at" in b else {})
        | ({"id": f"{n}/{k}"} if "id" in b else {})
        for k, b in enumerate(bodies)
    ]
    return Message(f"cc/v1/{A}/{sensor}/reading", json.dumps(sent).encode(), received)


def mend(bench: Bench) -> None:
    """The catalogue learns of the later sensor, and that both measure noise."""
    adopt(bench, "later")
    with bench.engine.begin() as connection:
        connection.execute(
            text("UPDATE sensors SET quantities = '{water_depth,noise}' WHERE id IN ('water-1', 'later')")
        )
    bench.restart()


def replayed_until(bench: Bench, death: str) -> None:
    """Ask for everything; the worker works until it is killed at ``death`` or done."""

    def checkpoint(point: str) -> None:
        if point == death:
            raise Killed

    ask(bench, since=datetime.now(UTC) - timedelta(days=1))
    while True:
        with bench.engine.begin() as connection:
            taken = take_up(connection, "worker", datetime.now(UTC))
        if not taken:
            return
        try:
            advance(taken, bench.city, bench.memory, bench.engine, time.time(), checkpoint)
        except Killed:
            bench.restart()
            return


@settings(max_examples=15, deadline=None)
@given(sent=messages, deaths=st.lists(st.sampled_from(["before_commit", "after_commit", ""]), max_size=3))
def test_however_often_it_is_replayed_and_killed_what_is_stored_is_what_a_good_catalogue_would_have_stored(
    bench: Bench, sent: list[Any], deaths: list[str]
) -> None:
    came = [wire(n, one, float(int(time.time()))) for n, one in enumerate(sent)]

    def stored() -> list[Any]:
        return sorted(map(tuple, bench.rows("SELECT sensor, quantity, value, key, at FROM readings")))

    begin_again(bench)
    mend(bench)
    for message in came:
        bench.send(message)
    wanted = stored()
    begin_again(bench)
    for message in came:
        bench.send(message)
    mend(bench)
    for death in [*deaths, "", ""]:
        replayed_until(bench, death)
    assert stored() == wanted


# -- bounds ----------------------------------------------------------------------------------------------------------------


def test_a_county_keeps_its_newest_and_what_went_is_counted_by_reason(clean: Bench) -> None:
    clean.send(*(reading(f"nobody-{n}", {"water_depth": 1}) for n in range(7)))
    clean.send(*(Message(f"cc/v1/{A}/water-1/reading", b"{" * 1000, time.time()) for _ in range(4)))
    clean.send(*(reading(f"nobody-{n}", {"water_depth": 1}, county=B) for n in range(3)))
    now = datetime.now(UTC)
    assert keep_quarantine(clean.engine, now, Keeping(quarantine_rows=5)) == 1
    left = clean.rows("SELECT county, reason, count(*) AS n FROM quarantine GROUP BY 1, 2 ORDER BY 1, 2")
    assert [tuple(row) for row in left] == [(A, "malformed", 4), (A, "unknown_sensor", 1), (B, "unknown_sensor", 3)]
    assert kept(clean)[0].source == "nobody-6"
    assert keep_quarantine(clean.engine, now, Keeping(quarantine_bytes=2500)) == 2
    assert keep_quarantine(clean.engine, now, Keeping(quarantine_bytes=2500)) == 0
    dropped = clean.rows("SELECT scope, reason, messages FROM quarantine_dropped ORDER BY 2")
    assert [tuple(row) for row in dropped] == [(f"{CITY}/{A}/", "malformed", 2), (f"{CITY}/{A}/", "unknown_sensor", 7)]
    assert keep_quarantine(clean.engine, now + timedelta(days=31), Keeping()) == 2
    assert kept(clean) == []
    assert sum(row.messages for row in clean.rows("SELECT messages FROM quarantine_dropped")) == 14
