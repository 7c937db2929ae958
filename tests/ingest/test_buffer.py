"""The bounded buffer between the doors and the path."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from ingest.buffer import Buffer
from ingest.message import Message, acknowledge
from tests.waiting import wait_until


def _message(topic: str = "a", number: int = 0, size: int = 1) -> Message:
    return Message(topic, b"x" * size, 0.0, number=number)


def test_an_empty_buffer_gives_nothing_once_the_wait_is_over() -> None:
    assert Buffer(10, 1000).take(5, 0.01, 0) == []


def test_it_is_full_by_messages_and_by_bytes_and_has_room_again_once_some_are_taken() -> None:
    by_count, by_size = Buffer(2, 1000), Buffer(100, 10)
    by_count.put([_message(), _message()])
    by_size.put([_message(size=10)])
    for buffer in (by_count, by_size):
        assert not buffer.has_room
        assert not buffer.wait_for_room(0.01)
        buffer.take(1, 0, 0)
        assert buffer.has_room
    assert (len(by_size), by_size.nbytes) == (0, 0)


def test_a_door_that_waits_for_room_goes_on_when_the_worker_takes() -> None:
    buffer, went_on = Buffer(1, 1000), threading.Event()
    buffer.put([_message()])

    def door() -> None:
        if buffer.wait_for_room(30):
            went_on.set()

    threading.Thread(target=door, daemon=True).start()
    assert not went_on.wait(0.05)
    buffer.take(1, 0, 0)
    wait_until(went_on.is_set, what="the door goes on")


def test_the_linger_lets_company_come() -> None:
    buffer = Buffer(10, 1000)
    buffer.put([_message(number=1)])
    threading.Timer(0.02, lambda: buffer.put([_message(number=2)])).start()
    assert [m.number for m in buffer.take(2, 1, 30)] == [1, 2], "a full batch does not wait longer"


@given(
    topics=st.lists(st.sampled_from("abcd"), max_size=30),
    first=st.sets(st.sampled_from("abcd")),
    most=st.integers(1, 8),
)
def test_graver_sensors_come_first_and_each_keeps_its_order(topics: list[str], first: set[str], most: int) -> None:
    buffer = Buffer(1000, 1000)
    buffer.put([_message(topic, number) for number, topic in enumerate(topics)])
    taken: list[Message] = []
    while batch := buffer.take(most, 0, 0, first.__contains__ if first else None):
        grave_left = sum(m.topic in first for m in batch) < len(batch)
        taken += batch
        if grave_left:
            waiting = [topic for n, topic in enumerate(topics) if n not in {m.number for m in taken}]
            assert not first & set(waiting), "an ordinary message was taken while a grave one waits"
    assert sorted(m.number for m in taken) == list(range(len(topics))), "nothing is lost, nothing comes twice"
    for topic in "abcd":
        own = [m.number for m in taken if m.topic == topic]
        assert own == sorted(own)
    if not first:
        assert buffer.deferred == 0
        assert [m.number for m in taken] == list(range(len(topics)))


def test_what_was_passed_over_is_counted() -> None:
    buffer = Buffer(1000, 1000)
    buffer.put([_message("a", 0), _message("a", 1), _message("b", 2), _message("a", 3)])
    assert [m.number for m in buffer.take(1, 0, 0, "b".__eq__)] == [2]
    assert buffer.deferred == 2


def test_each_origin_is_told_of_its_own_messages_in_their_order() -> None:
    told: dict[str, list[int]] = {"mqtt": [], "tcp": []}
    origins = {name: (lambda own, name=name: told[name].extend(m.number for m in own)) for name in told}
    batch = [Message("t", b"", 0.0, origin=origins["tcp" if n % 3 else "mqtt"], number=n) for n in range(7)]
    acknowledge([*batch, Message("t", b"", 0.0)])
    assert told == {"mqtt": [0, 3, 6], "tcp": [1, 2, 4, 5]}
