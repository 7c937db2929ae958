"""Stations over TCP: what they send comes in once, what they are told is true, and what they do wrong harms only themselves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.buffer import Buffer
from ingest.formats.hj212 import build, checksum, frames
from ingest.hj212_door import Limits, StationDoor
from ingest.message import Message, acknowledge
from tests.waiting import wait_until


def sample(number: int, station: str = "DUST-1") -> bytes:
    """Real-time dust of a station that wants an answer."""
    who = f"QN=202611241000{number:05d};ST=51;CN=2011;PW=123456;MN={station};Flag=5"
    return build(f"{who};CP=&&DataTime=20261124100000;a34001-Rtd=35.2,a34001-Flag=N&&")


@contextmanager
def door(buffer: Buffer | None = None, limits: Limits | None = None) -> Iterator[tuple[StationDoor, int, Buffer]]:
    room = Buffer(1000, 1_000_000) if buffer is None else buffer
    found = StationDoor("127.0.0.1", 0, room, limits)
    port = found.open()
    try:
        yield found, port, room
    finally:
        found.close()


@contextmanager
def station(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        yield line


def take(buffer: Buffer, count: int) -> list[Message]:
    """What the path would take, so many of them."""
    taken: list[Message] = []
    wait_until(lambda: taken.extend(buffer.take(count, 0.05, 0)) or len(taken) >= count, what="the frames")
    return taken


def answers(line: socket.socket, count: int) -> list[bytes]:
    data = b""
    while len(frames(data)[0]) < count or not data.endswith(b"\r\n"):
        more = line.recv(4096)
        assert more, "the door closed"
        data += more
    return frames(data)[0]


def is_closed(line: socket.socket) -> bool:
    try:
        return line.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_frame_becomes_a_message_and_is_answered_when_it_is_stored_and_not_before() -> None:
    with door() as (_, port, buffer), station(port) as line:
        line.sendall(sample(1))
        [message] = take(buffer, 1)
        assert (message.topic, message.payload) == ("hj212/DUST-1", sample(1))
        line.settimeout(0.3)
        try:
            assert line.recv(1) == b"", "nothing is said before the commit"
            raise AssertionError("the door closed")
        except TimeoutError:
            pass
        line.settimeout(30)
        acknowledge([message])
        [said] = answers(line, 1)
        assert b"QN=20261124100000001;" in said
        assert b"CN=9014" in said


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 12))
def test_frames_come_in_whole_and_in_order_however_the_stream_is_cut(cuts: list[int], count: int) -> None:
    sent = [sample(n) for n in range(count)]
    stream = b"".join(sent)
    with door() as (_, port, buffer), station(port) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for size in cuts:
            line.sendall(stream[:size])
            stream = stream[size:]
        line.sendall(stream)
        assert [message.payload.strip() for message in take(buffer, count)] == [frame.strip() for frame in sent]


def test_each_station_hears_of_its_own_frames_only() -> None:
    with door() as (_, port, buffer), station(port) as one, station(port) as other:
        one.sendall(sample(1, "ONE"))
        other.sendall(sample(2, "OTHER"))
        acknowledge(take(buffer, 2))
        assert b"MN=ONE;" in answers(one, 1)[0]
        assert b"MN=OTHER;" in answers(other, 1)[0]


def test_a_wrong_checksum_is_kept_and_answered_as_such() -> None:
    good = sample(1).strip()
    wrong = good[:-4] + b"%04X" % (checksum(good[6:-4]) ^ 1) + b"\r\n"
    with door() as (_, port, buffer), station(port) as line:
        line.sendall(wrong)
        acknowledge(take(buffer, 1))
        [said] = answers(line, 1)
        assert b"CN=9011" in said
        assert b"QnRtn=9" in said


def test_a_station_that_is_gone_when_its_frame_is_stored_harms_nobody() -> None:
    with door() as (found, port, buffer):
        with station(port) as line:
            line.sendall(sample(1))
            [message] = take(buffer, 1)
        wait_until(lambda: found.connections == 0, what="it is noticed")
        acknowledge([message])
        with station(port) as line:
            line.sendall(sample(1))
            acknowledge(take(buffer, 1))
            assert b"CN=9014" in answers(line, 1)[0]


def test_while_the_buffer_is_full_stations_wait_and_nothing_is_lost() -> None:
    count = 3000
    with door(Buffer(10, 1_000_000), Limits(idle_s=0.5, frame_s=0.5)) as (found, port, buffer), station(port) as line:
        line.settimeout(None)
        line.setblocking(False)
        stream = b"".join(sample(n % 100_000) for n in range(count))
        wait_until(lambda: line.send(stream[:20_000]), what="room for the first")
        stream = stream[20_000:]
        wait_until(lambda: not buffer.has_room, what="the buffer is full")
        assert found.connections == 1
        taken = []
        while len(taken) < count:
            with suppress(BlockingIOError):
                stream = stream[line.send(stream) :] if stream else b""
            taken += buffer.take(10_000, 0.2, 0)
            assert len(buffer) < 1500, "what one read holds, and no more"
        assert len({message.payload.strip() for message in taken}) == count
        assert found.connections == 1, "who waits for us is not idle"


def test_one_too_many_is_turned_away_and_may_come_when_another_leaves() -> None:
    with door(limits=Limits(connections=2)) as (found, port, _):
        with station(port), station(port):
            wait_until(lambda: found.connections == 2, what="both are in")
            with station(port) as third:
                assert is_closed(third)
            assert found.counts["turned_away"] == 1
        wait_until(lambda: found.connections == 0, what="both are gone")
        with station(port):
            wait_until(lambda: found.connections == 1, what="there is room again")


def test_who_says_nothing_or_never_comes_to_an_end_is_parted_from() -> None:
    with door(limits=Limits(idle_s=1.0, frame_s=60)) as (found, port, _), station(port) as line:
        assert is_closed(line)
        assert found.counts["idle"] == 1
    with door(limits=Limits(idle_s=60, frame_s=1.0)) as (found, port, _), station(port) as line:
        # A byte now and then keeps the line alive, not the frame.
        wait_until(lambda: is_cut(line), what="the slow one is cut")
        assert found.counts["too_slow"] == 1


def is_cut(line: socket.socket) -> bool:
    try:
        line.sendall(b"##0100QN=2"[:1])
    except OSError:
        return True
    line.settimeout(0.1)
    try:
        return line.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_who_speaks_nonsense_is_parted_from_and_the_others_are_served() -> None:
    with door(limits=Limits(bad_pieces=3)) as (found, port, buffer), station(port) as fool, station(port) as line:
        fool.sendall(b"GET / HTTP/1.1\r\n\r\n" + b"".join(b"junk" + sample(n)[:40] for n in range(5)) + b"##0004")
        wait_until(lambda: found.counts["spoke_nonsense"] == 1, what="it is noticed")
        line.sendall(sample(1))
        kept = take(buffer, 1)
        while kept[-1].payload != sample(1):
            kept += take(buffer, 1)
        acknowledge(kept)
        assert b"CN=9014" in answers(line, 1)[0]


def test_who_does_not_fetch_its_answers_is_parted_from() -> None:
    with (
        door(Buffer(200_000, 100_000_000), Limits(unfetched_bytes=2000)) as (found, port, buffer),
        station(port) as line,
    ):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream = b"".join(sample(n) for n in range(1000))

        def parted() -> bool:
            line.settimeout(1)
            try:
                line.sendall(stream)
            except OSError:
                return True
            acknowledge(buffer.take(10_000, 0.05, 0))
            return found.counts["did_not_listen"] == 1

        wait_until(parted, 60, "it is cut")
