"""Messages in the formats of others on the whole path: what is remembered of them is committed with them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from command_center.pipeline import advance
from ingest.message import Message, sent_again
from tests.command_center.test_pipeline import Bench
from tests.conftest import Database
from tests.ingest.formats.wire import sparkplug

COUNTY = "321302"
GAUGE = "water-1"


@pytest.fixture
def bench(database: Database) -> Iterator[Bench]:
    made = Bench(database)
    yield made
    made.engine.dispose()


def said(verb: str, *metrics: dict[str, Any], seq: int, at: float, device: str = GAUGE) -> Message:
    topic = "/".join(filter(None, ("spBv1.0/plant", verb, "edge-1", device)))
    return Message(topic, sparkplug(*metrics, seq=seq, at_ms=round(at * 1000)), at)


def birth(at: float) -> list[Message]:
    depth = {"name": "water_depth", "alias": 1, "datatype": 10, "double_value": 0.01, "unit": "m"}
    return [said("NBIRTH", seq=0, at=at, device=""), said("DBIRTH", depth, seq=1, at=at)]


def depth(seq: int, value: float, at: float) -> Message:
    return said("DDATA", {"alias": 1, "double_value": value}, seq=seq, at=at)


def stored(bench: Bench) -> list[float]:
    return [value for (value,) in bench.rows("SELECT value FROM readings ORDER BY at, value")]


def test_a_worker_that_starts_again_knows_what_the_numbers_stand_for(bench: Bench) -> None:
    now = time.time()
    bench.send(*birth(now - 9), depth(2, 0.02, now - 8))
    bench.restart()
    outcome = bench.send(depth(3, 0.03, now - 7))
    assert (stored(bench), outcome.replies) == ([0.01, 0.02, 0.03], [])


def test_what_a_lost_transaction_had_heard_is_heard_again(bench: Bench) -> None:
    now = time.time()
    bench.send(*birth(now - 9))
    before, later = bench.rows("SELECT * FROM sparkplug_edges"), [depth(2, 0.02, now - 8), depth(3, 0.03, now - 7)]

    def break_off(point: str) -> None:
        if point == "before_commit":
            raise RuntimeError(point)

    with pytest.raises(RuntimeError):
        advance(later, bench.city, bench.memory, bench.engine, now, break_off)
    assert bench.rows("SELECT * FROM sparkplug_edges") == before
    bench.restart()
    outcome = bench.send(*map(sent_again, later))
    assert (stored(bench), outcome.replies) == ([0.01, 0.02, 0.03], [])


def test_what_was_committed_and_not_acknowledged_changes_nothing_when_it_comes_again(bench: Bench) -> None:
    now = time.time()
    sent = [*birth(now - 9), depth(2, 0.02, now - 8), *birth(now - 7), depth(2, 0.04, now - 6)]
    bench.send(*sent)
    bench.restart()
    outcome = bench.send(*map(sent_again, sent))
    assert (len(stored(bench)), outcome.counts["readings"], outcome.replies) == (4, 0, [])
    assert bench.send(depth(3, 0.05, now - 5)).counts["readings"] == 1


def test_a_rebirth_is_asked_for_only_once_the_gap_is_stored(bench: Bench) -> None:
    now = time.time()
    outcome = bench.send(depth(7, 0.02, now))
    assert [reply.topic for reply in outcome.replies] == ["spBv1.0/plant/NCMD/edge-1"]
    assert bench.rows("SELECT reason FROM quarantine") == [("no_birth",)]
    bench.restart()
    assert bench.send(depth(8, 0.02, now + 1)).replies == []


def test_raw_topics_go_to_their_own_decoders(bench: Bench) -> None:
    now = time.time()
    place = f"cc/v1/{COUNTY}/{GAUGE}/raw"
    outcome = bench.send(
        Message(f"{place}/senml", b'[{"n": "water_depth", "u": "cm", "v": 12}]', now),
        Message(f"{place}/frigate/stats", b"{}", now),
        Message(f"{place}/morse", b"...", now),
    )
    assert stored(bench) == [pytest.approx(0.12)]
    assert outcome.counts["ignored"] == 1
    assert bench.rows("SELECT reason, source, county FROM quarantine") == [("unknown_format", GAUGE, COUNTY)]
