"""A producer: sends its mail by MQTT at QoS 1 and writes down what went out and what was answered.

It publishes again what asked for our receipt and did not get one, as producers are told to that need certainty. What only has
the broker's acknowledgement it takes the broker's word for.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from tests.faults.ledger import Ledger, Sent
from tests.faults.letter import Letter, Mail
from tests.waiting import wait_until

_AGAIN_AFTER_S = 4.0
_HEAP = 10
_FINISHED_S = 90.0


@dataclass
class Producer:
    """``rate`` letters a second, until ``finish``."""

    url: str
    mail: Mail
    ledger: Ledger
    rate: float
    _answers: queue.SimpleQueue[tuple[int, bool] | bytes] = field(default_factory=queue.SimpleQueue)
    _unanswered: dict[int, Letter] = field(default_factory=dict)
    _awaited: dict[str, tuple[Letter, float, float]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> Producer:
        """Connect and begin to send."""
        where = urlsplit(self.url)
        name = f"producer-{self.mail.producer}"
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(where.username, where.password)
        self._client.reconnect_delay_set(1, 1)
        self._client.max_inflight_messages_set(200)
        self._client.on_connect = lambda client, *_: client.subscribe("cc/v1/+/+/ack", 1)
        self._client.on_publish = self._on_publish
        self._client.on_message = lambda _client, _data, message: self._answers.put(bytes(message.payload))
        self._client.connect(where.hostname or "", where.port or 1883)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()
        return self

    def finish(self) -> None:
        """Stop sending new mail, say last words, and wait for every answer that is still out."""
        self._stop.set()
        self._thread.join()
        self._send(self.mail.last_words())
        wait_until(self._all_answered, _FINISHED_S, f"producer {self.mail.producer} has its answers")
        self.close()

    def abandon(self, wait_s: float) -> None:
        """Stop sending, and wait a little for answers: some may never come."""
        self._stop.set()
        self._thread.join()
        time.sleep(wait_s)
        self._write_down()
        self.close()

    def close(self) -> None:
        """Hang up; safe to repeat."""
        self._stop.set()
        self._client.disconnect()
        self._client.loop_stop()

    def _all_answered(self) -> bool:
        self._send_again()
        return not self._unanswered and not self._awaited

    def _run(self) -> None:
        letters = self.mail.letters()
        due = time.monotonic()
        while not self._stop.is_set():
            self._send([next(letters) for _ in range(_HEAP)])
            self._send_again()
            due = max(due + _HEAP / self.rate, time.monotonic() - 1)
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _send_again(self) -> None:
        self._write_down()
        now = time.monotonic()
        late = [(name, own) for name, own in self._awaited.items() if now > own[2]]
        self._send([letter for _, (letter, _, _) in late])
        for name, (letter, since, _) in late:
            # Each time it waits twice as long: a worker that is behind must not be given more and more to do.
            self._awaited[name] = letter, since, now + 2 * (now - since)

    def _send(self, letters: Sequence[Letter]) -> None:
        for letter in letters:
            # It is written down before it goes out: what is not in the book was not sent.
            with self.ledger.open():
                for sent in self._entries(letter):
                    sent.times += 1
            if letter.receipt is not None:
                now = time.monotonic()
                self._awaited[letter.receipt] = letter, now, now + _AGAIN_AFTER_S
            self._unanswered[self._client.publish(letter.topic, letter.payload, qos=1).mid] = letter

    def _write_down(self) -> None:
        """Enter the answers that have come. Not when they come: the client holds its own lock then."""
        with suppress(queue.Empty):
            while True:
                answer = self._answers.get_nowait()
                if isinstance(answer, bytes):
                    self._receipted(answer)
                else:
                    self._acknowledged(*answer)

    def _acknowledged(self, number: int, refused: bool) -> None:
        letter = self._unanswered.pop(number, None)
        if letter is not None and not refused:
            with self.ledger.open():
                for sent in self._entries(letter):
                    sent.pubacks += 1

    def _receipted(self, receipt: bytes) -> None:
        for own in json.loads(receipt)["ids"]:
            letter, _, _ = self._awaited.pop(own, (None, 0.0, 0.0))
            if letter is not None:
                with self.ledger.open():
                    for sent in self._entries(letter):
                        sent.receipts += 1

    def _entries(self, letter: Letter) -> list[Sent]:
        found = [self.ledger.readings.setdefault(name, Sent(at_us)) for name, at_us in letter.names]
        self.ledger.alarms.update(name for name, _ in letter.names if name.quantity == "elevator_trapped_s")
        if letter.poison is not None:
            found.append(self.ledger.poisons.setdefault(letter.poison, Sent()))
        return found

    def _on_publish(self, _client: Client, _data: Any, number: int, reason: ReasonCode, _properties: Any) -> None:
        self._answers.put((number, reason.is_failure))
