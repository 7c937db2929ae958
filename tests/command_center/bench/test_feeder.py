"""The stand-in for the broker hands out messages that the product's own door reads, and counts what it acknowledges."""

from __future__ import annotations

import socket
import threading

from command_center.bench.feeder import WINDOW, parts, serve
from ingest.buffer import Buffer
from ingest.message import Message, acknowledge
from ingest.mqtt import Inbox


def test_every_message_comes_once_and_the_feeder_ends_when_all_are_acknowledged() -> None:
    count, buffer = WINDOW + 2300, Buffer(100_000, 1 << 26)
    chunks = parts(count, sensors=7)
    took: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def feed() -> None:
            with listener.accept()[0] as client:
                took.append(serve(client, chunks, count))

        feeder = threading.Thread(target=feed)
        feeder.start()
        inbox = Inbox(f"mqtt://127.0.0.1:{listener.getsockname()[1]}", "fed", buffer)
        inbox.open()
        found: list[Message] = []
        while len(found) < count:
            part = buffer.take(5000, 60, 0)
            assert part, "the feeder goes on"
            found += part
            acknowledge(part)
        feeder.join(60)
        inbox.close()
    assert took
    assert len({message.payload for message in found}) == count
    assert {message.topic.split("/")[3] for message in found} == {f"s{n}" for n in range(1, 8)}
