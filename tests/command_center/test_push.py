"""Promise 5 and the Socket.IO contract: consoles are replicas of the log, each of its own part."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Any

import pytest

from command_center.push import REPLAYED
from tests.console import Console, logged_in
from tests.running_city import RunningCity
from tests.small_city import CITY, COUNTIES, cell_code
from tests.socket_console import Ended, SocketConsole
from tests.waiting import wait_until

A, B, _ = COUNTIES
IN_A, IN_B = cell_code(0), cell_code(1)


@pytest.fixture(autouse=True)
def _hung_up(running: RunningCity) -> Iterator[None]:
    """No connection of an earlier test is in the way of the next one."""
    yield
    running.hang_up()


_marks = count(1)


def settle(running: RunningCity) -> None:
    """Wait until all that the log holds has gone out to the consoles."""
    console = running.socket(A)
    console.sync(None)
    mark = f"mark {next(_marks)}"
    running.append(IN_A, mark)
    console.event(named(mark))


def named(name: str) -> Any:
    return lambda event: event["id"] == name


def newest(running: RunningCity) -> int:
    return int(running.rows("SELECT coalesce(max(n), 0) FROM event_log")[0][0])


def test_a_console_without_a_session_is_refused_with_a_reason(running: RunningCity) -> None:
    for cookie in (None, "cc_session=made-up"):
        stranger = SocketConsole(running.url, cookie)
        with pytest.raises(Ended, match="log in first"):
            stranger.open()
        stranger.close()


def test_a_refused_console_hears_nothing_and_its_sync_is_not_answered(running: RunningCity) -> None:
    stranger = SocketConsole(running.url)
    with pytest.raises(Ended):
        stranger.open()
    stranger.say('420["sync",{"cursor":null}]')
    own = running.socket(A)
    own.pulse()
    own.pulse()
    assert stranger.unread() == []
    stranger.close()


def test_a_page_of_another_site_gets_no_connection(running: RunningCity) -> None:
    foreign = SocketConsole(running.url, running.console(A).cookie, headers={"Origin": "http://elsewhere.example"})
    with pytest.raises(Ended):
        foreign.open()
    foreign.close()


def test_only_websocket_is_offered(running: RunningCity) -> None:
    answer = running.console(A).get("/socket.io/?EIO=4&transport=polling")
    assert answer.status == 400


def test_a_first_sync_gives_what_is_open_and_from_where_to_go_on(running: RunningCity) -> None:
    ticket = running.open_ticket(IN_A)
    [(incident,)] = running.rows("SELECT incident FROM tickets WHERE id = :id", id=ticket)
    settle(running)
    answer = running.socket(A).sync(None)
    assert "events" not in answer
    shown = {item["id"]: item for item in answer["snapshot"]["tickets"]}
    over_http = running.ticket(ticket, A)
    assert shown[str(ticket)] == {name: value for name, value in over_http.items() if name != "moves"}
    assert str(incident) in {item["id"] for item in answer["snapshot"]["incidents"]}
    assert {item["region"] for item in answer["snapshot"]["alerts"]} == {over_http["region"]}
    assert answer["cursor"] == newest(running)


def test_a_sync_with_a_cursor_gives_what_is_above_it_and_nothing_else(running: RunningCity) -> None:
    settle(running)
    cursor = running.socket(A).sync(None)["cursor"]
    running.append(IN_A, "first", "second")
    running.append(IN_B, "elsewhere")
    running.append(IN_A, "third")
    settle(running)
    console = running.socket(A)
    answer = console.sync(cursor)
    assert "snapshot" not in answer
    assert [event["id"] for event in answer["events"]] == ["first", "second", "third", f"mark {next(_marks) - 1}"]
    assert all(event["cursor"] > cursor for event in answer["events"])
    assert console.sync(answer["cursor"])["events"] == []


def test_a_console_too_far_behind_gets_a_snapshot(running: RunningCity) -> None:
    running.append(IN_A, *(f"old-{n}" for n in range(REPLAYED + 1)))
    settle(running)
    console = running.socket(A)
    head = newest(running)
    assert len(console.sync(head - REPLAYED)["events"]) == REPLAYED
    answer = console.sync(head - REPLAYED - 1)
    assert "events" not in answer
    assert answer["snapshot"]["tickets"] is not None
    assert answer["cursor"] == head


def test_a_cursor_from_the_future_gets_a_snapshot(running: RunningCity) -> None:
    settle(running)
    answer = running.socket(A).sync(newest(running) + 10**12)
    assert "snapshot" in answer
    assert answer["cursor"] == newest(running)


@pytest.mark.parametrize("wish", [[], [None], ["newest"], [[1]], [{"cursor": "7"}], [{"cursor": 1.5}], [{"cursor": -1}],
                                  [{"cursor": True}], [{"cursor": {}}], [{"cursor": None}, 2]])  # fmt: skip
def test_a_sync_that_makes_no_sense_is_answered_with_an_error(running: RunningCity, wish: list[Any]) -> None:
    console = running.socket(A)
    assert set(console.ask("sync", *wish)) == {"error"}
    assert "snapshot" in console.sync(None)


@pytest.mark.parametrize("packet", ["", "9", "x", "42", "42[", '42["sync"', "42{}", '421["sync",{"cursor":', "4", "45", "450",
                                    '451-["sync",{"_placeholder":true,"num":0}]', '42["nobody",1]', "4" + "[" * 9000,
                                    "40/elsewhere,", '42["connect"]', "4999", "x" * 70_000])  # fmt: skip
def test_a_torn_packet_hurts_nobody_but_its_sender(running: RunningCity, packet: str) -> None:
    other = running.socket(A)
    cursor = other.sync(None)["cursor"]
    torn = running.socket(A)
    torn.say(packet)
    running.append(IN_A, f"after {packet[:10]}")
    assert other.event()["cursor"] > cursor
    fresh = running.socket(A)
    assert "snapshot" in fresh.sync(None)


def test_a_live_event_reaches_its_county_and_not_the_next_one(running: RunningCity) -> None:
    consoles = {code: running.socket(code) for code in (CITY, A, B)}
    for console in consoles.values():
        console.sync(None)
    running.append(IN_A, "for A")
    running.append(IN_B, "for B")
    assert consoles[A].event()["id"] == "for A"
    first = consoles[B].event()
    assert (first["id"], first["op"], first["data"]) == ("for B", "put", {"name": "for B"})
    assert [consoles[CITY].event()["id"] for _ in range(2)] == ["for A", "for B"]


def test_a_move_is_pushed_to_everybody_above_the_place_with_the_data_of_http(running: RunningCity) -> None:
    ticket = running.open_ticket(IN_A)
    consoles = [running.socket(code) for code in running.small.region(IN_A).scope.split("/") if code]
    for console in consoles:
        console.sync(None)
    moved = running.move(CITY, ticket, "dispatch")
    for console in consoles:
        told = console.event(named(str(ticket)))
        assert (told["kind"], told["op"], told["version"]) == ("ticket", "put", 2)
        assert told["data"] == {name: value for name, value in moved.items() if name != "moves"}


def test_eight_writers_at_once_and_no_console_misses_an_event_or_hears_one_twice(running: RunningCity) -> None:
    settle(running)
    early, county = running.socket(CITY), running.socket(A)
    start = early.sync(None)["cursor"]
    county.sync(None)
    failed: list[BaseException] = []

    def write(writer: int) -> None:
        chance = random.Random(writer)
        try:
            for n in range(12):
                with running.engine.begin() as connection:
                    # Work of its own length before the log is reached: transactions begin in one order and end in another.
                    connection.exec_driver_sql("SELECT pg_sleep(%s)", (chance.random() * 0.02,))
                    running.append_in(
                        connection, chance.choice((IN_A, IN_B)), *(f"w{writer}-{n}-{i}" for i in range(3))
                    )
        except BaseException as problem:
            failed.append(problem)
            raise

    writers = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for writer in writers:
        writer.start()
    # One that joins in the middle of it all has to come out even, too.
    late = running.socket(CITY)
    middle = late.sync(start)
    for writer in writers:
        writer.join()
    assert not failed
    running.append(IN_A, "the end")

    def until_the_end(console: SocketConsole) -> list[int]:
        heard = [console.event()]
        while heard[-1]["id"] != "the end":
            heard.append(console.event())
        return [event["cursor"] for event in heard]

    stored = running.rows("SELECT n, id, after FROM event_log WHERE n > :start ORDER BY n", start=start)
    assert len(stored) == 8 * 12 * 3 + 1
    everything = [row.n for row in stored]
    assert until_the_end(early) == everything
    assert [event["cursor"] for event in middle["events"]] + until_the_end(late) == everything
    of_a = running.small.region(A).scope
    assert until_the_end(county) == [row.n for row in stored if row.after[0].startswith(of_a)]


def test_a_slow_line_gets_every_frame_whole(running: RunningCity) -> None:
    slow = running.socket(A, receive_buffer=4096)
    cursor = slow.sync(None)["cursor"]
    running.append(IN_A, *(f"big-{n}" for n in range(40)), data={"text": "水" * 40_000})
    other = running.socket(A)
    other.sync(None)
    running.append(IN_A, "small")
    other.event(named("small"))
    slow.say(f'427["sync",{{"cursor":{cursor}}}]')
    running.append(IN_A, "last")
    other.event(named("last"))
    heard = [slow.event() for _ in range(42)]
    assert [event["id"] for event in heard] == [*(f"big-{n}" for n in range(40)), "small", "last"]
    assert {len(event["data"]["text"]) for event in heard[:40]} == {40_000}
    slow.answered(7)


def test_a_console_that_stops_reading_is_cut_and_the_others_go_on(running: RunningCity) -> None:
    stuck, other = running.socket(A), running.socket(A)
    stuck.sync(None)
    other.sync(None)

    def cut() -> float:
        lines = running.console(A).get("/metrics").content.decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("cc_consoles_cut_total"))

    before, waves = cut(), 0
    while cut() == before:
        assert waves < 20, "it was never cut"
        running.append(IN_A, *(f"flood-{waves}-{n}" for n in range(300)), data={"text": "x" * 8_000})
        other.event(named(f"flood-{waves}-299"))
        waves += 1
    running.append(IN_A, "life goes on")
    other.event(named("life goes on"))
    other.pulses.clear()
    other.pulse()
    other.pulse()
    stuck.wait_end()
    assert "snapshot" in running.socket(A).sync(1)


def test_the_pulse_comes_each_second_with_the_servers_time_and_the_workers(running: RunningCity) -> None:
    running.rows(
        "INSERT INTO heartbeats (process, at, data_at)"
        " VALUES ('worker', '2026-11-23T10:00:00+08:00', '2026-11-23T09:59:00+08:00')"
        " ON CONFLICT (process) DO UPDATE SET at = excluded.at, data_at = excluded.data_at"
    )
    console = running.socket(A)
    console.pulse()
    began = time.monotonic()
    pulses = [console.pulse() for _ in range(3)]
    assert 2.5 < time.monotonic() - began < 4.5
    times = [datetime.fromisoformat(pulse["at"]) for pulse in pulses]
    assert all(at.utcoffset() is not None for at in times)
    assert times == sorted(set(times))
    assert datetime.fromisoformat(pulses[0]["worker_at"]) == datetime.fromisoformat("2026-11-23T10:00:00+08:00")
    assert datetime.fromisoformat(pulses[0]["data_at"]) == datetime.fromisoformat("2026-11-23T09:59:00+08:00")
    running.rows("DELETE FROM heartbeats")
    wait_until(lambda: console.pulse()["worker_at"] is None, what="the pulse says that no worker lives")


def own_console(running: RunningCity, code: str = A) -> Console:
    return logged_in(running.url, running.small.username(code))


def test_logging_out_ends_the_sessions_live_connection_and_no_other(running: RunningCity) -> None:
    leaving = own_console(running)
    ended = SocketConsole(running.url, leaving.cookie).open()
    other = running.socket(A)
    other.sync(None)
    ended.sync(None)
    assert leaving.ask("DELETE", "/api/v1/session").status == 204
    ended.wait_end()
    ended.close()
    running.append(IN_A, "still here")
    assert other.event()["id"] == "still here"


@pytest.mark.parametrize("how", ["session", "account", "grant"])
def test_a_session_that_ends_by_itself_ends_its_live_connection(running: RunningCity, how: str) -> None:
    code = COUNTIES[2]
    username = running.small.username(code)
    console = SocketConsole(running.url, own_console(running, code).cookie).open()
    console.sync(None)
    mine = "(SELECT id FROM accounts WHERE username = :name)"
    change, undo = {
        "session": (f"UPDATE sessions SET ends_at = now() WHERE account = {mine}", None),
        "account": (
            "UPDATE accounts SET disabled_at = now() WHERE username = :name",
            "UPDATE accounts SET disabled_at = NULL WHERE username = :name",
        ),
        "grant": (
            f"UPDATE account_grants SET scope = scope || 'x/' WHERE account = {mine}",
            f"UPDATE account_grants SET scope = replace(scope, 'x/', '') WHERE account = {mine}",
        ),
    }[how]
    running.rows(change, name=username)
    console.wait_end()
    console.close()
    if undo:
        running.rows(undo, name=username)
